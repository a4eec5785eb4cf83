//! From a chunk to the sinks that take it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::alerts::Alerts;
use super::aside::{Turn, Turns};
use super::commit::{Expected, Line, Lines, Parcel};
use super::outlet::{Delivery, Shared, SinkBoard, SinkTask};
use super::passage::{Nature, Passage, Passed, Tally};
use super::tap::{Joint, Taps};
use super::{Batch, EventId, Head};
use crate::config::{Where, takes, takes_alerts_alone};
use crate::observe::Health;
use crate::outside::{Clock, Random};
use crate::rules::Rules;
use crate::sinks::Sink;
use crate::state::{DeadLetter, Partly, StreamKey};

/// Deliveries that may wait for a sink without acknowledgements, in bytes of its longest one and of no less than 8 MiB; what
/// comes then is lost to it.
const UNHELD_DELIVERIES: usize = 2;
const UNHELD_DELIVERY_BYTES: usize = 8 << 20;

/// All sinks. When it and all routes are gone, the sinks finish what is queued, and close.
#[derive(Clone)]
pub struct Pipeline {
    lines: Lines,
    outlets: Arc<[Arc<Outlet>]>,
    taps: Taps,
    turns: Turns,
}

struct Outlet {
    id: Arc<str>,
    inputs: Arc<[String]>,
    only: Arc<Where>,
    rules: Rules,
    /// Whether positions wait for it.
    holds: bool,
    /// Bytes that may wait for it, if they do not.
    unheld_bytes: usize,
    queue: UnboundedSender<Delivery>,
    shared: Shared,
}

/// A sink, and the sources that it takes: ids, in which `*` stands for any characters.
pub struct Attached {
    pub id: String,
    pub inputs: Vec<String>,
    /// Which of their events.
    pub only: Where,
    /// What is done with those before.
    pub rules: Rules,
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
    /// The source's own rules, if it has any.
    source: Option<Box<Passage>>,
    exits: Box<[Exit]>,
    /// Which alerts were seen, if a sink takes them alone.
    alerts: Option<Alerts>,
    /// Those of other routes too.
    all: Arc<[Arc<Outlet>]>,
    /// What sinks had of what comes again after a restart.
    had: Partly,
    taps: Taps,
    /// Names of the source's kinds, for taps.
    kinds: Arc<[String]>,
    /// Where rules look into bodies.
    turns: Option<Turns>,
}

/// One sink of a route.
struct Exit {
    outlet: Arc<Outlet>,
    /// `None` if everything passes.
    passage: Option<Box<Passage>>,
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
            outlets.push(Arc::new(Outlet {
                id: Arc::clone(&id),
                inputs: attached.inputs.as_slice().into(),
                only: attached.only.clone().into(),
                rules: attached.rules.clone(),
                holds: attached.acknowledgements,
                unheld_bytes: attached
                    .sink
                    .terms()
                    .max_bytes
                    .max(UNHELD_DELIVERY_BYTES)
                    .saturating_mul(UNHELD_DELIVERIES),
                queue: sender,
                shared: shared.clone(),
            }));
            tasks.push(SinkTask::new(id, attached, queue, shared, health, (clock, random.fork())));
        }
        (Self { lines, outlets: outlets.into(), taps: Taps::default(), turns: Turns::default() }, tasks)
    }

    /// The sinks that take `source`.
    pub fn sinks(&self, source: &str) -> Vec<Arc<str>> {
        self.outlets.iter().filter(|outlet| outlet.takes(source)).map(|outlet| Arc::clone(&outlet.id)).collect()
    }

    /// Where events can be looked at as they pass.
    pub fn taps(&self) -> Taps {
        self.taps.clone()
    }

    /// How its sinks are. It keeps none of them waiting for more.
    pub fn board(&self) -> SinkBoard {
        let one = |outlet: &Arc<Outlet>| (Arc::clone(&outlet.id), outlet.holds, outlet.shared.clone());
        SinkBoard(self.outlets.iter().map(one).collect())
    }

    /// The way of a stream's chunks to all sinks that take its source.
    pub fn route(&self, key: StreamKey, nature: &Nature, alerts: Alerts) -> Route {
        let stream = key.stream.clone();
        self.route_to(key, &stream, nature, alerts, None)
    }

    /// The way of what is stored under `key`, but is of the stream `stream`; to one sink alone, if one is named.
    pub fn route_to(&self, key: StreamKey, stream: &str, nature: &Nature, alerts: Alerts, sink: Option<&str>) -> Route {
        let wanted = |outlet: &&Arc<Outlet>| outlet.takes(&key.source) && sink.is_none_or(|sink| *outlet.id == *sink);
        let exit = |outlet: &Arc<Outlet>| {
            let alerts = takes_alerts_alone(&outlet.inputs, &key.source).then_some(&alerts);
            let passage = Passage::new(&outlet.only, alerts, &outlet.rules, stream, nature);
            Exit { outlet: Arc::clone(outlet), passage }
        };
        let exits: Box<[Exit]> = self.outlets.iter().filter(wanted).map(exit).collect();
        let passages = exits.iter().filter_map(|exit| exit.passage.as_ref());
        let alerts = passages.into_iter().any(|passage| passage.takes_alerts()).then_some(alerts);
        let (source, line, all) = (Passage::of_source(stream, nature), self.lines.line(key), Arc::clone(&self.outlets));
        let (taps, kinds) = (self.taps.clone(), Arc::clone(&nature.kinds));
        let mut passages = exits.iter().filter_map(|exit| exit.passage.as_ref()).chain(&source);
        let turns = passages.any(|passage| passage.looks_into_bodies()).then(|| self.turns.clone());
        Route { line, source, exits, alerts, all, had: Partly::new(), taps, kinds, turns }
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

    /// The alerts of the source, if a sink takes them alone.
    pub fn alerts(&self) -> Option<&Alerts> {
        self.alerts.as_ref()
    }

    /// Asks all sinks not to wait for company: there is no room for any, and nobody knows who has it.
    pub fn flush(&self) {
        self.all.iter().for_each(|outlet| outlet.shared.flush.notify_one());
    }

    /// Waits until rules may look into the bodies of a chunk with these events, if any does.
    pub async fn turn(&self, events: &[Head]) -> Turn {
        match &self.turns {
            Some(turns) if !events.is_empty() => turns.wait().await,
            _ => Turn::unneeded(),
        }
    }

    /// Sends a chunk on its way.
    pub fn send(&mut self, mut parcel: Parcel, batch: Batch, turn: Turn) {
        let batch = Arc::new(batch);
        let at_ms = parcel.commit.at_ms;
        let (mut expected, mut deliveries, mut copied) = (Vec::new(), Vec::new(), 0);
        if !batch.is_empty() {
            let tally = &mut parcel.commit.counts.rules;
            let ruled = pass(self.source.as_deref(), None, &batch, tally, at_ms);
            copied += ruled.batch.copied_from(&batch);
            let tapped = self.taps.is_open();
            if tapped {
                self.taps.show(Joint::Output, &ruled.batch, &self.kinds);
            }
            let mut sightings = Vec::new();
            for Exit { outlet, passage } in &self.exits {
                let mut passed = pass(passage.as_deref(), Some(&outlet.id), &ruled.batch, tally, at_ms);
                sightings.append(&mut passed.sightings);
                copied += passed.batch.copied_from(&ruled.batch);
                if tapped {
                    self.taps.show(Joint::Input(&outlet.id), &passed.batch, &self.kinds);
                }
                // What this sink's rules would hide, a letter must not give it either when it is replayed.
                let hides = outlet.rules.hide();
                let of_sink = |letter: &DeadLetter| {
                    let letter = letter.clone().of_sink(&outlet.id);
                    if hides { letter.without_body() } else { letter }
                };
                passed.letters.extend(ruled.letters.iter().map(of_sink));
                let given = passed.batch.events.len() + passed.letters.len();
                let filtered = (batch.events.len() - given) as u64;
                let sent = without(&passed.batch, &batch, self.had.get_mut(&*outlet.id));
                let sent_events = (sent.events.len() + passed.letters.len()) as u64;
                expected.push(Expected::new(Arc::clone(&outlet.id), outlet.holds, filtered, sent_events));
                deliveries.push((sent, passed.letters));
            }
            if let Some(alerts) = &self.alerts {
                parcel.commit.alerts = alerts.sightings(sightings, at_ms);
            }
        }
        drop(turn);
        if copied > 0 {
            // What rules changed is in memory beside what was pulled.
            parcel.room.grow(copied);
        }
        let acknowledgements = self.line.announce(parcel, batch, expected);
        for ((exit, (batch, letters)), acknowledgement) in self.exits.iter().zip(deliveries).zip(acknowledgements) {
            exit.outlet.send(Delivery { batch, letters, acknowledgement });
        }
    }
}

/// Lets a batch pass where everything does, or where `passage` says.
fn pass(
    passage: Option<&Passage>,
    sink: Option<&Arc<str>>,
    batch: &Arc<Batch>,
    tally: &mut Tally,
    at_ms: u64,
) -> Passed {
    match passage {
        Some(passage) => passage.pass(sink, batch, tally, at_ms),
        None => Passed { batch: Arc::clone(batch), letters: Vec::new(), sightings: Vec::new() },
    }
}

/// The batch without the events that the sink `had` before a restart. Those of `all` come no more often.
fn without(batch: &Arc<Batch>, all: &Batch, had: Option<&mut BTreeSet<EventId>>) -> Arc<Batch> {
    let Some(had) = had.filter(|had| !had.is_empty()) else { return Arc::clone(batch) };
    let known: BTreeSet<EventId> = all.events.iter().map(|event| event.id).filter(|id| had.remove(id)).collect();
    let rest = batch.events.iter().filter(|event| !known.contains(&event.id));
    Arc::new(batch.with(rest.cloned().collect()))
}

impl Outlet {
    fn send(&self, delivery: Delivery) {
        if delivery.batch.is_empty() {
            return delivery.acknowledgement.acknowledge(delivery.letters);
        }
        let bytes = delivery.batch.held();
        let queued = self.shared.queued.fetch_add(bytes, Ordering::Relaxed);
        // Whatever its size, one waits at least.
        if !self.holds && queued > 0 && queued + bytes > self.unheld_bytes {
            self.shared.queued.fetch_sub(bytes, Ordering::Relaxed);
            if !self.shared.losing.swap(true, Ordering::Relaxed) {
                tracing::warn!(sink = %self.id, "the sink takes less than comes, and events are lost to it, since it has acknowledgements = false. `tributary audit` counts them");
            }
            return delivery.acknowledgement.lose(delivery.batch.events.len(), delivery.letters);
        }
        self.shared.counters.queued_events.fetch_add(delivery.batch.events.len(), Ordering::Relaxed);
        // A sink's task ends only when the host is killed.
        let _ = self.queue.send(delivery);
    }
}
