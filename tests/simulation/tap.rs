//! What stands between the host and a source, whichever it is: the crash points, the trace, and the planted breakdowns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mimecast_simulator::Mark;
use tributary_host::collect::{Call, Reader, Source};
use tributary_host::sandbox::{Budget, Chunk, GuestError, Next, Session, Start};

use crate::dice::{Dice, hash, mix};
use crate::life::Life;
use crate::storage::{Pull, Pulled};
use crate::trace::Trace;

pub struct Tap {
    pub inner: Arc<dyn Source>,
    pub life: Life,
    pub trace: Arc<Trace>,
    pub dice: Dice,
    pub pulled: Pulled,
    /// No more faults.
    pub quiet: Arc<AtomicBool>,
    /// Of a thousand pulls, so many break down by chance.
    pub breakdowns: u64,
    /// Records that make the source break down whenever they are read.
    pub poison: Poison,
}

/// Which records are poison: so many of a thousand, the same for ever.
#[derive(Debug, Clone, Copy, Default)]
pub struct Poison {
    pub seed: u64,
    pub per_mille: u64,
}

impl Poison {
    pub fn is(&self, mark: Mark) -> bool {
        self.per_mille > 0 && mix(mark.0 ^ self.seed) % 1000 < self.per_mille
    }
}

impl Source for Tap {
    fn authenticate(&self) -> Call<'_, Session> {
        Box::pin(async {
            self.life.pass("authenticate.before").await;
            let session = self.inner.authenticate().await;
            self.trace.step("authenticate", "", u64::from(session.is_ok()), 0);
            self.life.pass("authenticate.after").await;
            session
        })
    }

    fn open<'a>(&'a self, stream: &'a str, start: Start) -> Call<'a, Box<dyn Reader>> {
        Box::pin(async move {
            self.life.pass("reader.open").await;
            let inner = self.inner.open(stream, start).await;
            self.trace.step("open", stream, u64::from(inner.is_ok()), 0);
            Ok(Box::new(Tapped {
                inner: Some(inner?),
                stream: stream.into(),
                life: self.life.clone(),
                trace: Arc::clone(&self.trace),
                dice: self.dice.clone(),
                pulled: self.pulled.clone(),
                quiet: Arc::clone(&self.quiet),
                breakdowns: self.breakdowns,
                poison: self.poison,
            }) as Box<dyn Reader>)
        })
    }
}

struct Tapped {
    /// `None` after a breakdown.
    inner: Option<Box<dyn Reader>>,
    stream: Arc<str>,
    life: Life,
    trace: Arc<Trace>,
    dice: Dice,
    pulled: Pulled,
    quiet: Arc<AtomicBool>,
    breakdowns: u64,
    poison: Poison,
}

impl Tapped {
    fn trap(&mut self, kind: &str) -> GuestError {
        self.inner = None;
        self.trace.fault(kind);
        GuestError::Trap { message: kind.to_owned(), backtrace: String::new() }
    }

    fn is_poisoned(&self, chunk: &Chunk) -> bool {
        self.poison.per_mille > 0 && Mark::find_all(&chunk.bodies).into_iter().any(|mark| self.poison.is(mark))
    }
}

impl Reader for Tapped {
    fn pull<'a>(&'a mut self, session: &'a Session, budget: Budget) -> Call<'a, Chunk> {
        Box::pin(async move {
            self.life.pass("pull.before").await;
            let Some(inner) = &mut self.inner else { return Err(self.trap("source: used up")) };
            let answer = inner.pull(session, budget).await;
            self.life.pass("pull.after").await;
            if !self.quiet.load(Ordering::Relaxed) && self.dice.chance(self.breakdowns) {
                return Err(self.trap("source: broke down by chance"));
            }
            match &answer {
                Ok(chunk) if self.is_poisoned(chunk) => return Err(self.trap("source: broke down on a poison record")),
                Ok(chunk) => {
                    self.trace.step("chunk", &self.stream, chunk.records.into(), hash(&chunk.position));
                    let ids = chunk.events.iter().map(|event| event.id).collect();
                    let caught_up = chunk.next == Next::CaughtUp;
                    self.pulled.add(&self.stream, Pull { position: chunk.position.clone(), ids, caught_up });
                }
                Err(error) => self.trace.step("fault", &error.to_string(), 0, 0),
            }
            answer
        })
    }
}
