//! The sinks' tasks: each owns one sink, and hands it what is queued.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

use super::commit::{Acknowledgement, Expected, Line, Lines, Parcel};
use super::sink_health::SinkHealth;
use super::{Batch, EventId, Head, Origin};
use crate::backoff::Backoff;
use crate::config::takes;
use crate::observe::Health;
use crate::outside::{Clock, Random};
use crate::sinks::{Refusal, Sink};
use crate::state::{DeadLetter, Partly, Refused, StreamKey};

/// How often an idle sink is asked to look after its files.
const IDLE: Duration = Duration::from_secs(1);

/// Bytes that a sink is given at once. More would only make a failed delivery repeat more.
const DELIVERY_BYTES: usize = 8 << 20;

/// Bytes that may wait for a sink without acknowledgements; what comes then is lost to it. Twice what it is given at once.
const UNHELD_BYTES: usize = 2 * DELIVERY_BYTES;

/// A batch on its way to one sink. The queue needs no bound of its own where positions wait for the sink: what is in
/// flight is bounded in bytes.
struct Delivery {
    batch: Arc<Batch>,
    acknowledgement: Acknowledgement,
}

/// All sinks. When it and all routes are gone, the sinks finish what is queued, and close.
#[derive(Clone)]
pub struct Pipeline {
    lines: Lines,
    outlets: Arc<[Outlet]>,
}

#[derive(Clone)]
struct Outlet {
    id: Arc<str>,
    inputs: Arc<[String]>,
    /// Whether positions wait for it.
    holds: bool,
    queue: UnboundedSender<Delivery>,
    /// Bytes that the queue keeps in memory.
    queued: Arc<AtomicUsize>,
    losing: Arc<AtomicBool>,
}

/// A sink, and the sources that it takes: ids, in which `*` stands for any characters.
pub struct Attached {
    pub id: String,
    pub inputs: Vec<String>,
    /// Whether positions wait for it. If they do not, what it cannot take in time is lost to it, and counted.
    pub acknowledgements: bool,
    pub sink: Box<dyn Sink>,
}

impl Outlet {
    fn takes(&self, source: &str) -> bool {
        takes(&self.inputs, source)
    }
}

/// The way of one stream's chunks: to the sinks that take its source, then to the committer.
pub struct Route {
    line: Line,
    outlets: Box<[Outlet]>,
    /// What sinks had of what comes again after a restart.
    had: Partly,
}

/// The task of one sink.
pub struct SinkTask {
    id: Arc<str>,
    sink: Box<dyn Sink>,
    holds: bool,
    queue: UnboundedReceiver<Delivery>,
    queued: Arc<AtomicUsize>,
    losing: Arc<AtomicBool>,
    clock: Clock,
    random: Random,
    health: SinkHealth,
}

impl Pipeline {
    /// The pipeline, and the tasks that its sinks run in.
    pub fn new(
        lines: Lines,
        sinks: Vec<Attached>,
        health: &Health,
        clock: Clock,
        random: &Random,
    ) -> (Self, Vec<SinkTask>) {
        let (mut outlets, mut tasks) = (Vec::new(), Vec::new());
        for Attached { id, inputs, acknowledgements: holds, sink } in sinks {
            let (sender, queue) = unbounded_channel();
            let (queued, losing) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
            let id: Arc<str> = id.into();
            let health = SinkHealth::new(Arc::clone(&id), &inputs, holds, health.clone());
            outlets.push(Outlet {
                id: Arc::clone(&id),
                inputs: inputs.into(),
                holds,
                queue: sender,
                queued: Arc::clone(&queued),
                losing: Arc::clone(&losing),
            });
            tasks.push(SinkTask { id, sink, holds, queue, queued, losing, clock, random: random.fork(), health });
        }
        (Self { lines, outlets: outlets.into() }, tasks)
    }

    /// The sinks that take `source`.
    pub fn sinks(&self, source: &str) -> Vec<Arc<str>> {
        self.outlets.iter().filter(|outlet| outlet.takes(source)).map(|outlet| Arc::clone(&outlet.id)).collect()
    }

    pub fn route(&self, key: StreamKey) -> Route {
        self.route_to(key, None)
    }

    /// To one sink alone, if one is named.
    pub fn route_to(&self, key: StreamKey, sink: Option<&str>) -> Route {
        let wanted = |outlet: &&Outlet| outlet.takes(&key.source) && sink.is_none_or(|sink| *outlet.id == *sink);
        let outlets = self.outlets.iter().filter(wanted).cloned().collect();
        Route { line: self.lines.line(key), outlets, had: Partly::new() }
    }
}

impl Route {
    /// Takes up, before the first chunk, what sinks have of what will come again.
    pub fn restore(&mut self, partly: Partly) {
        self.line.restore(partly.clone());
        self.had = partly;
    }

    /// The same in the place of another, whose chunks may be on their way: the committer knows already.
    pub fn take_over(&mut self, partly: Partly) {
        self.had = partly;
    }

    /// Sends a chunk on its way.
    pub fn send(&mut self, parcel: Parcel, batch: Batch) {
        let batch = Arc::new(batch);
        let outlets = if batch.is_empty() { &[] } else { &*self.outlets };
        let had = &mut self.had;
        let batches: Vec<Arc<Batch>> = outlets.iter().map(|outlet| without(&batch, had.get_mut(&*outlet.id))).collect();
        let expected = outlets.iter().zip(&batches);
        let expected = expected
            .map(|(outlet, batch)| Expected::new(Arc::clone(&outlet.id), outlet.holds, batch.events.len() as u64));
        let acknowledgements = self.line.announce(parcel, batch, expected.collect());
        for ((outlet, batch), acknowledgement) in outlets.iter().zip(batches).zip(acknowledgements) {
            outlet.send(Delivery { batch, acknowledgement });
        }
    }
}

/// The batch without the events that the sink `had` before a restart.
fn without(batch: &Arc<Batch>, had: Option<&mut BTreeSet<EventId>>) -> Arc<Batch> {
    let Some(had) = had.filter(|had| !had.is_empty()) else { return Arc::clone(batch) };
    let mut rest = Batch::clone(batch);
    rest.events.retain(|event| !had.remove(&event.id));
    Arc::new(rest)
}

impl Outlet {
    fn send(&self, delivery: Delivery) {
        if delivery.batch.is_empty() {
            return delivery.acknowledgement.acknowledge(Vec::new());
        }
        let bytes = delivery.batch.held();
        let queued = self.queued.fetch_add(bytes, Ordering::Relaxed);
        // Whatever its size, one waits at least.
        if !self.holds && queued > 0 && queued + bytes > UNHELD_BYTES {
            self.queued.fetch_sub(bytes, Ordering::Relaxed);
            if !self.losing.swap(true, Ordering::Relaxed) {
                tracing::warn!(sink = %self.id, "the sink takes less than comes, and events are lost to it, since it has acknowledgements = false. `tributary audit` counts them");
            }
            return delivery.acknowledgement.lose();
        }
        // A sink's task ends only when the host is killed.
        let _ = self.queue.send(delivery);
    }
}

impl SinkTask {
    /// Delivers until nobody is left who could send, then closes the sink.
    pub async fn run(mut self) {
        let idles = self.sink.idles();
        loop {
            // A busy sink gets them too.
            self.health.deliver(&mut *self.sink, &self.random).await;
            tokio::select! {
                biased;
                first = self.queue.recv() => match first {
                    Some(first) => self.deliver(first).await,
                    None => break,
                },
                () = self.health.ready() => {}
                () = sleep(IDLE), if idles => {
                    match self.sink.idle().await {
                        Ok(()) => self.health.over(),
                        Err(error) => self.health.trouble(&error, IDLE),
                    }
                }
            }
        }
        self.health.finish(&mut *self.sink).await;
        if let Err(error) = self.sink.close().await {
            tracing::error!(sink = %self.id, "the sink did not close: {error}");
        }
    }

    async fn deliver(&mut self, first: Delivery) {
        let (mut size, mut held) = (first.batch.len(), first.batch.held());
        let (mut batches, mut acknowledgements) = (vec![first.batch], vec![first.acknowledgement]);
        while size < DELIVERY_BYTES
            && let Ok(delivery) = self.queue.try_recv()
        {
            size += delivery.batch.len();
            held += delivery.batch.held();
            batches.push(delivery.batch);
            acknowledgements.push(delivery.acknowledgement);
        }
        let mut backoff = Backoff::default();
        let refusals = loop {
            match self.sink.deliver(&batches).await {
                Ok(refusals) => break Some(refusals),
                // Nobody waits for it, so the host need not stay for it.
                Err(error) if !self.holds && self.queue.is_closed() => {
                    self.health.complain(&error, Duration::ZERO);
                    break None;
                }
                Err(error) => {
                    let wait = backoff.next(&self.random);
                    self.health.trouble(&error, wait);
                    sleep(wait).await;
                }
            }
        };
        self.queued.fetch_sub(held, Ordering::Relaxed);
        let Some(refusals) = refusals else {
            tracing::warn!(sink = %self.id, "the host ends, and what the sink has not taken is lost to it");
            return acknowledgements.into_iter().for_each(Acknowledgement::lose);
        };
        self.health.over();
        if self.losing.swap(false, Ordering::Relaxed) {
            tracing::info!(sink = %self.id, "the sink takes events again");
        }
        let mut letters = self.letters(&batches, refusals);
        for (number, acknowledgement) in acknowledgements.into_iter().enumerate() {
            acknowledgement.acknowledge(letters.remove(&number).unwrap_or_default());
        }
    }

    /// What is kept of the events that the sink refuses, by batch.
    fn letters(&self, batches: &[Arc<Batch>], refusals: Vec<Refusal>) -> BTreeMap<usize, Vec<DeadLetter>> {
        let mut letters: BTreeMap<usize, Vec<DeadLetter>> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for Refusal { batch: number, event, reason } in refusals {
            let Some((batch, head)) = batches.get(number).and_then(|batch| Some((batch, batch.events.get(event)?)))
            else {
                tracing::error!(sink = %self.id, "the sink refuses an event that it was not given: {reason}");
                continue;
            };
            if !known.insert((number, event)) {
                continue;
            }
            tracing::debug!(sink = %self.id, id = format!("{:032x}", head.id), "refused for good: {reason}");
            letters.entry(number).or_default().push(letter(&self.id, batch, head, reason, self.clock.millis()));
        }
        if !known.is_empty() {
            tracing::warn!(sink = %self.id, events = known.len(), "the sink refuses events for good; they are kept. See `tributary dead-letters list`");
        }
        letters
    }
}

/// What is kept of an event that `sink` refused.
fn letter(sink: &str, batch: &Batch, head: &Head, reason: String, at_ms: u64) -> DeadLetter {
    let Origin { source, tenant, stream } = &batch.origin;
    let refused = Refused {
        sink: sink.to_owned(),
        tenant: tenant.to_string(),
        event: head.id,
        time: head.time,
        kind: head.kind,
        class: head.class,
        severity: head.severity,
        alert_key: head.alert_key,
    };
    let body = &batch.bodies[head.begin as usize..head.end as usize];
    DeadLetter::refused(at_ms, &**source, &**stream, reason, refused, body)
}
