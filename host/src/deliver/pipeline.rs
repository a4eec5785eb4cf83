//! From a chunk to the sinks that take it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::commit::{Expected, Line, Lines, Parcel};
use super::outlet::{Delivery, Shared, SinkTask};
use super::{Batch, EventId};
use crate::config::takes;
use crate::observe::Health;
use crate::outside::{Clock, Random};
use crate::sinks::Sink;
use crate::state::{Partly, StreamKey};

/// Bytes that may wait for a sink without acknowledgements; what comes then is lost to it.
const UNHELD_BYTES: usize = 16 << 20;

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
    shared: Shared,
}

/// A sink, and the sources that it takes: ids, in which `*` stands for any characters.
pub struct Attached {
    pub id: String,
    pub inputs: Vec<String>,
    /// Whether positions wait for it. If they do not, what it cannot take in time is lost to it, and counted.
    pub acknowledgements: bool,
    /// If it refuses a greater share of what it is given, it is given the same again: that is a mistake of configuration.
    pub max_refused_share: f64,
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
    outlets: Vec<Outlet>,
    /// Those of other routes too.
    all: Arc<[Outlet]>,
    /// What sinks had of what comes again after a restart.
    had: Partly,
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
        for attached in sinks {
            let (sender, queue) = unbounded_channel();
            let (id, shared): (Arc<str>, _) = (attached.id.as_str().into(), Shared::default());
            outlets.push(Outlet {
                id: Arc::clone(&id),
                inputs: attached.inputs.as_slice().into(),
                holds: attached.acknowledgements,
                queue: sender,
                shared: shared.clone(),
            });
            tasks.push(SinkTask::new(id, attached, queue, shared, health, (clock, random.fork())));
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
        Route { line: self.lines.line(key), outlets, all: Arc::clone(&self.outlets), had: Partly::new() }
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

    /// Asks all sinks not to wait for company: there is no room for any, and nobody knows who has it.
    pub fn flush(&self) {
        self.all.iter().for_each(|outlet| outlet.shared.flush.notify_one());
    }

    /// Sends a chunk on its way.
    pub fn send(&mut self, parcel: Parcel, batch: Batch) {
        let batch = Arc::new(batch);
        let outlets = if batch.is_empty() { &[] } else { self.outlets.as_slice() };
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
        let queued = self.shared.queued.fetch_add(bytes, Ordering::Relaxed);
        // Whatever its size, one waits at least.
        if !self.holds && queued > 0 && queued + bytes > UNHELD_BYTES {
            self.shared.queued.fetch_sub(bytes, Ordering::Relaxed);
            if !self.shared.losing.swap(true, Ordering::Relaxed) {
                tracing::warn!(sink = %self.id, "the sink takes less than comes, and events are lost to it, since it has acknowledgements = false. `tributary audit` counts them");
            }
            return delivery.acknowledgement.lose();
        }
        // A sink's task ends only when the host is killed.
        let _ = self.queue.send(delivery);
    }
}
