//! The near side of the sinks, which the host owns: it carries events to the far side, more or less well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tributary_host::deliver::{Attached, Batch};
use tributary_host::sinks::{Answer, DeliverFuture, Sink, SinkError, SinkFuture};

use crate::dice::Dice;
use crate::far::{Far, Manner};
use crate::life::Life;
use crate::trace::Trace;
use tributary_host::outside::Clock;

pub struct Carrier {
    pub manner: Manner,
    pub far: Far,
    pub life: Life,
    pub dice: Dice,
    pub trace: Arc<Trace>,
    pub clock: Clock,
    /// No more faults.
    pub quiet: Arc<AtomicBool>,
}

impl Carrier {
    pub fn attach(self, wrap: impl FnOnce(Box<dyn Sink>) -> Box<dyn Sink>) -> Attached {
        let (id, acknowledgements) = (self.manner.id.to_owned(), self.manner.acknowledgements);
        Attached {
            id,
            inputs: vec!["*".into()],
            acknowledgements,
            max_refused_share: 1.0,
            only: Default::default(),
            rules: Default::default(),
            sink: wrap(Box::new(self)),
        }
    }

    async fn carry(&self, batches: &[Arc<Batch>]) -> Result<Vec<Answer>, SinkError> {
        let total: usize = batches.iter().map(|batch| batch.events.len()).sum();
        let quiet = self.quiet.load(Ordering::Relaxed);
        let chance = |dice: &Dice, per_mille| !quiet && dice.chance(per_mille);
        self.life.pass("deliver.before").await;
        if self.manner.slow_ms > 0 && !quiet {
            tokio::time::sleep(Duration::from_millis(self.dice.between(1, self.manner.slow_ms))).await;
            self.life.go_on().await;
        }
        if chance(&self.dice, self.manner.fails) {
            self.trace.fault("sink: failed");
            return Err(failed("the far side is not there"));
        }
        let partly = chance(&self.dice, self.manner.partly) && total > 1;
        let taken = if partly { self.dice.between(1, total as u64 - 1) as usize } else { total };
        let now = self.clock.millis();
        let (mut refusals, mut carried) = (Vec::new(), Vec::new());
        // Where the process may die in the middle.
        let middle = self.dice.between(0, taken as u64) as usize;
        let places = batches
            .iter()
            .enumerate()
            .flat_map(|(number, batch)| (0..batch.events.len()).map(move |event| (number, event)));
        for (count, (number, event)) in places.take(taken).enumerate() {
            if count == middle {
                self.life.pass("deliver.partial").await;
            }
            let (batch, head) = (&batches[number], &batches[number].events[event]);
            if self.manner.refuses(head.id) {
                refusals.push(Answer::refused(number, event, "the far side does not like it"));
                continue;
            }
            let body = &batch.bodies[head.begin as usize..head.end as usize];
            let mut far = self.far.all();
            let heap = far.entry(self.manner.id).or_default();
            heap.take(self.manner.idempotent, &batch.origin.stream, head.id, body, now);
            carried.push((Arc::clone(&batch.origin.stream), head.id));
        }
        self.trace.step("deliver", self.manner.id, taken as u64, total as u64);
        let excuse = |far: &Far| {
            let mut far = far.all();
            let heap = far.entry(self.manner.id).or_default();
            carried.iter().for_each(|(stream, id)| heap.excuse(stream, *id));
        };
        self.life.pass("deliver.after").await;
        if partly {
            self.trace.fault("sink: took a part and failed");
            excuse(&self.far);
            return Err(failed("the far side broke off in the middle"));
        }
        if chance(&self.dice, self.manner.unanswered) {
            self.trace.fault("sink: took all, and the answer was lost");
            excuse(&self.far);
            return Err(failed("the far side did not answer"));
        }
        Ok(refusals)
    }
}

fn failed(message: &str) -> SinkError {
    SinkError::new(message)
}

impl Sink for Carrier {
    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(self.carry(batches))
    }

    /// A day has many seconds.
    fn idles(&self) -> bool {
        false
    }

    fn close(&self) -> SinkFuture<'_> {
        Box::pin(async {
            self.life.pass("stop.close").await;
            Ok(())
        })
    }
}
