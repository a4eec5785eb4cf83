//! The task of one sink: it gathers what comes to deliveries, gives them to the sink, again if need be, and hands on what
//! the sink says of each chunk.

mod health;
mod load;
mod once;
mod pace;
mod refusals;
mod tickets;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, sleep_until};

use self::health::{Events, SinkHealth};
use self::load::{Gatherer, Load};
pub use self::once::deliver_once;
use self::pace::Pace;
use self::refusals::Refusals;
use self::tickets::Tickets;
pub use self::tickets::letter;
use super::Batch;
use super::commit::Acknowledgement;
use super::pipeline::Attached;
use crate::observe::Health;
use crate::outside::{Clock, Random};
use crate::sinks::{Answer, DeliverFuture, Retry, Sink, SinkError, Terms, Verdict};
use crate::state::DeadLetter;

/// How often an idle sink is asked to look after its files.
const IDLE: Duration = Duration::from_secs(1);

/// A batch on its way to one sink. The queue needs no bound of its own where positions wait for the sink: what is in
/// flight is bounded in bytes.
pub struct Delivery {
    pub batch: Arc<Batch>,
    /// Of events that the sink is not given, as a rule could not be applied to them.
    pub letters: Vec<DeadLetter>,
    pub acknowledgement: Acknowledgement,
}

/// What a sink's task shares with those who send to it.
#[derive(Clone, Default)]
pub struct Shared {
    /// Bytes that wait for an answer.
    pub queued: Arc<AtomicUsize>,
    /// Whether something was lost since it last took anything.
    pub losing: Arc<AtomicBool>,
    /// Told when somebody cannot go on before it has taken what waits for company.
    pub flush: Arc<Notify>,
    /// Why it takes nothing now, with what to do about it.
    pub trouble: Arc<Mutex<Option<String>>>,
    pub counters: Arc<Counters>,
}

/// What a sink's task counts since the host began.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events that wait for an answer: no counter, as they get one.
    pub queued_events: AtomicUsize,
    pub deliveries: AtomicU64,
    pub failures: AtomicU64,
    pub events: AtomicU64,
    pub bytes: AtomicU64,
    /// In milliseconds since the Unix epoch; zero before the first.
    pub succeeded_ms: AtomicU64,
}

/// How a sink is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkStatus {
    pub id: Arc<str>,
    /// Whether positions wait for it.
    pub holds: bool,
    /// Bytes in memory that it has not answered for.
    pub queued_bytes: usize,
    /// Events in memory that it has not answered for.
    pub queued_events: usize,
    /// Deliveries that it answered, and those that it did not take, since the host began.
    pub deliveries: u64,
    pub failures: u64,
    /// Events that it has taken since the host began, and the bytes of their lines.
    pub events: u64,
    pub bytes: u64,
    /// When it last took a delivery, in milliseconds since the Unix epoch.
    pub succeeded_ms: Option<u64>,
    /// Why it takes nothing now, with what to do about it.
    pub trouble: Option<String>,
}

/// All sinks, to be looked at while they work.
#[derive(Clone, Default)]
pub struct SinkBoard(pub Arc<[(Arc<str>, bool, Shared)]>);

impl SinkBoard {
    pub fn all(&self) -> Vec<SinkStatus> {
        let one = |(id, holds, shared): &(Arc<str>, bool, Shared)| SinkStatus {
            id: Arc::clone(id),
            holds: *holds,
            queued_bytes: shared.queued.load(Ordering::Relaxed),
            queued_events: shared.counters.queued_events.load(Ordering::Relaxed),
            deliveries: shared.counters.deliveries.load(Ordering::Relaxed),
            failures: shared.counters.failures.load(Ordering::Relaxed),
            events: shared.counters.events.load(Ordering::Relaxed),
            bytes: shared.counters.bytes.load(Ordering::Relaxed),
            succeeded_ms: Some(shared.counters.succeeded_ms.load(Ordering::Relaxed)).filter(|at| *at > 0),
            trouble: shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        self.0.iter().map(one).collect()
    }
}

/// The task of one sink.
pub struct SinkTask {
    id: Arc<str>,
    sink: Arc<dyn Sink>,
    terms: Terms,
    holds: bool,
    queue: UnboundedReceiver<Delivery>,
    shared: Shared,
    clock: Clock,
    random: Random,
    health: SinkHealth,
    tickets: Tickets,
    gatherer: Gatherer,
    pace: Pace,
    refusals: Refusals,
    flights: FuturesUnordered<Pin<Box<dyn Future<Output = Landed> + Send>>>,
    /// Deliveries among the flights.
    flying: usize,
}

/// What has ended.
enum Landed {
    Load { load: Load, answer: Result<Vec<Answer>, SinkError>, took: Duration },
    Health { events: Events, result: Result<(), SinkError> },
    Checked(Result<(), SinkError>),
}

impl SinkTask {
    pub(super) fn new(
        id: Arc<str>,
        attached: Attached,
        queue: UnboundedReceiver<Delivery>,
        shared: Shared,
        health: &Health,
        (clock, random): (Clock, Random),
    ) -> Self {
        let Attached { inputs, acknowledgements: holds, max_refused_share, sink, .. } = attached;
        let terms = sink.terms();
        Self {
            health: SinkHealth::new(Arc::clone(&id), &inputs, holds, health.clone(), Arc::clone(&shared.trouble)),
            id,
            sink: sink.into(),
            terms,
            holds,
            queue,
            shared,
            clock,
            random,
            tickets: Tickets::default(),
            gatherer: Gatherer::new(terms),
            pace: Pace::new(terms.concurrency),
            refusals: Refusals::new(max_refused_share),
            flights: FuturesUnordered::new(),
            flying: 0,
        }
    }

    /// Delivers until nobody is left who could send, then closes the sink.
    pub async fn run(mut self) {
        let idles = self.sink.idles();
        let mut ends = false;
        let sink = Arc::clone(&self.sink);
        self.flights.push(Box::pin(async move { Landed::Checked(sink.check().await) }));
        loop {
            self.take_off();
            if ends && self.gatherer.is_empty() && self.flying == 0 {
                break;
            }
            let wake = self.wake();
            // While something waits, what it owes is what says how it is.
            let idles = idles && !ends && self.flying == 0 && self.gatherer.is_empty();
            let flush = Arc::clone(&self.shared.flush);
            tokio::select! {
                biased;
                Some(landed) = self.flights.next() => self.landed(landed, ends),
                arrived = self.queue.recv(), if !ends => match arrived {
                    Some(delivery) => self.arrived(delivery),
                    None => {
                        ends = true;
                        self.gatherer.flush();
                    }
                },
                () = flush.notified() => self.gatherer.flush(),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                () = self.health.ready(), if !ends => {}
                () = sleep(IDLE), if idles => {
                    match self.sink.idle().await {
                        Ok(()) => self.health.over(),
                        Err(error) => self.health.trouble(&error, IDLE),
                    }
                }
            }
        }
        while let Some(landed) = self.flights.next().await {
            self.landed(landed, ends);
        }
        self.health.finish(&*self.sink).await;
        if let Err(error) = self.sink.close().await {
            tracing::error!(sink = %self.id, "the sink did not close: {error}");
        }
    }

    fn arrived(&mut self, first: Delivery) {
        let mut next = Some(first);
        while let Some(delivery) = next {
            let (ticket, batch) = self.tickets.open(delivery);
            self.gatherer.add(ticket, &batch, &*self.sink);
            next = self.queue.try_recv().ok();
        }
    }

    /// Begins what may begin.
    fn take_off(&mut self) {
        // A busy sink gets them too.
        if let Some(events) = self.health.take() {
            let (id, sink) = (Arc::clone(&self.id), Arc::clone(&self.sink));
            self.flights.push(Box::pin(async move {
                let result = events.deliver(&id, &*sink).await;
                Landed::Health { events, result }
            }));
        }
        while self.pace.allows(self.flying)
            && let Some(load) = self.gatherer.next()
        {
            let sink = Arc::clone(&self.sink);
            self.flying += 1;
            self.flights.push(Box::pin(async move {
                let began = Instant::now();
                let delivering: DeliverFuture<'_> = sink.deliver(&load.batches);
                let answer = delivering.await;
                Landed::Load { load, answer, took: began.elapsed() }
            }));
        }
    }

    /// When something may begin that may not now, if that is only a matter of time.
    fn wake(&self) -> Option<Instant> {
        let due = self.gatherer.due()?;
        match self.pace.pause() {
            Some(pause) if pause > Instant::now() => Some(pause.max(due)),
            _ => self.pace.allows(self.flying).then_some(due),
        }
    }

    fn landed(&mut self, landed: Landed, ends: bool) {
        match landed {
            Landed::Load { load, answer: Ok(answers), took } => self.answered(load, answers, took, ends),
            Landed::Load { load, answer: Err(error), .. } => self.not_taken(load, &error, ends),
            Landed::Health { events, result } => self.health.settle(events, result, &self.random),
            Landed::Checked(Ok(())) => {}
            Landed::Checked(Err(error)) => {
                tracing::error!(sink = %self.id, "the sink is not ready: {error}");
            }
        }
    }

    /// All of `load` comes again; it counts as flying.
    fn not_taken(&mut self, load: Load, error: &SinkError, ends: bool) {
        match error.retry {
            Retry::Smaller if load.events() > 1 => {
                self.flying -= 1;
                tracing::debug!(sink = %self.id, events = load.events(), "again in halves: {error}");
                for half in load.halves(self.terms.overhead).into_iter().rev() {
                    self.gatherer.put_back(half);
                }
            }
            Retry::Smaller => self.answered(load, vec![Answer::refused(0, 0, error.to_string())], Duration::ZERO, ends),
            Retry::Later | Retry::After(_) => {
                self.flying -= 1;
                self.failed(load, error, ends);
            }
        }
    }

    fn failed(&mut self, load: Load, error: &SinkError, ends: bool) {
        self.shared.counters.failures.fetch_add(1, Ordering::Relaxed);
        self.gatherer.put_back(load);
        // Nobody waits for it, so the host need not stay for it.
        if !self.holds && ends {
            self.health.complain(error, Duration::ZERO);
            tracing::warn!(sink = %self.id, "the host ends, and what the sink has not taken is lost to it");
            self.gatherer.drain();
            self.free(|tickets| tickets.lose());
            self.shared.counters.queued_events.store(0, Ordering::Relaxed);
            return;
        }
        let wait = self.pace.failed(error.retry, &self.random);
        self.health.trouble(error, wait);
    }

    fn answered(&mut self, load: Load, answers: Vec<Answer>, took: Duration, ends: bool) {
        let (mut refused, mut again) = self.sort(&load, answers);
        let mut error = again.pop_first().map(|(place, error)| {
            again.insert(place, error.clone());
            error
        });
        // Of what comes again nobody knows yet.
        if self.refusals.hold(load.events().saturating_sub(again.len()), refused.len()) {
            let first = refused.values().next().map(String::as_str).unwrap_or_default();
            let message =
                format!("it refuses {} of {} events for good, the first so: {first}", refused.len(), load.events());
            let hint = "So many look like a mistake of configuration, so they are held: mend it here or there. If they are bad indeed, `max_refused_share = 1` lets them go to the dead letters";
            let held = SinkError::new(message).hint(hint);
            again.extend(std::mem::take(&mut refused).into_keys().map(|place| (place, held.clone())));
            error = Some(held);
        }
        if !refused.is_empty() {
            tracing::warn!(sink = %self.id, events = refused.len(), "the sink refuses events for good; they are kept. See `tributary dead-letters list`");
        }
        let mut rest = Load::default();
        for (number, (batch, ticket)) in load.batches.iter().zip(&load.tickets).enumerate() {
            let events: Vec<_> = again.range((number, 0)..(number + 1, 0)).map(|((_, event), _)| *event).collect();
            let letters = self.letters(batch, number, &refused);
            let answered = batch.events.len() - events.len();
            self.count(number, batch, &again, &refused);
            self.free(|tickets| tickets.answered(*ticket, answered, letters));
            if events.len() == batch.events.len() {
                rest.push(*ticket, Arc::clone(batch), self.terms.overhead);
            } else if !events.is_empty() {
                let events = events.into_iter().map(|event| batch.events[event].clone()).collect();
                rest.push(*ticket, Arc::new(batch.with(events)), self.terms.overhead);
            }
        }
        match error {
            Some(error) => self.not_taken(rest, &error, ends),
            None => {
                self.pace.went_well(took, self.flying);
                self.flying -= 1;
                let counters = &self.shared.counters;
                counters.deliveries.fetch_add(1, Ordering::Relaxed);
                counters.succeeded_ms.store(self.clock.millis(), Ordering::Relaxed);
                self.health.over();
                if self.shared.losing.swap(false, Ordering::Relaxed) {
                    tracing::info!(sink = %self.id, "the sink takes events again");
                }
            }
        }
    }

    /// Counts what the sink took of one batch.
    fn count(
        &self,
        number: usize,
        batch: &Batch,
        again: &BTreeMap<Place, SinkError>,
        refused: &BTreeMap<Place, String>,
    ) {
        let answered = |event: &usize| !again.contains_key(&(number, *event));
        let taken = |event: &usize| answered(event) && !refused.contains_key(&(number, *event));
        let bytes = |event: usize| u64::from(batch.events[event].end - batch.events[event].begin);
        let all = 0..batch.events.len();
        let (events, bytes) = all.clone().filter(taken).fold((0, 0), |(n, sum), event| (n + 1, sum + bytes(event)));
        let counters = &self.shared.counters;
        counters.events.fetch_add(events, Ordering::Relaxed);
        counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        counters.queued_events.fetch_sub(all.filter(answered).count(), Ordering::Relaxed);
    }

    /// What was refused, and what is to come again, by place.
    fn sort(&self, load: &Load, answers: Vec<Answer>) -> (BTreeMap<Place, String>, BTreeMap<Place, SinkError>) {
        let (mut refused, mut again) = (BTreeMap::new(), BTreeMap::new());
        for Answer { batch, event, verdict } in answers {
            if load.batches.get(batch).is_none_or(|batch| batch.events.len() <= event) {
                tracing::error!(sink = %self.id, "the sink answers for an event that it was not given: {verdict:?}");
                continue;
            }
            match verdict {
                Verdict::Known => {}
                Verdict::Again(error) => {
                    again.insert((batch, event), error);
                }
                Verdict::Refused(reason) => {
                    refused.insert((batch, event), reason);
                }
            }
        }
        (refused, again)
    }

    /// What is kept of the events of one batch that the sink refuses.
    fn letters(&self, batch: &Batch, number: usize, refused: &BTreeMap<Place, String>) -> Vec<DeadLetter> {
        let refused = refused.range((number, 0)..(number + 1, 0));
        let letters = refused.map(|((_, event), reason)| {
            let head = &batch.events[*event];
            tracing::debug!(sink = %self.id, id = format!("{:032x}", head.id), "refused for good: {reason}");
            letter(&self.id, batch, head, reason.clone(), self.clock.millis())
        });
        letters.collect()
    }

    fn free(&mut self, answer: impl FnOnce(&mut Tickets) -> usize) {
        let bytes = answer(&mut self.tickets);
        self.shared.queued.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Of an event in a delivery: the index of its batch, and its own in it.
type Place = (usize, usize);

#[cfg(test)]
mod tests;
