//! The task of one sink: it gathers what comes to deliveries, gives them to the sink, again if need be, and hands on what
//! the sink says of each chunk.

mod board;
mod health;
mod load;
mod once;
mod pace;
mod refusals;
mod sorted;
mod tickets;
mod wholes;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, sleep_until};

pub use self::board::{Shared, SinkBoard, SinkStatus};
use self::health::{Events, SinkHealth};
use self::load::{Gatherer, Load};
pub use self::once::deliver_once;
use self::pace::Pace;
use self::refusals::Refusals;
use self::sorted::{Sorted, of_batch};
use self::tickets::Tickets;
pub use self::tickets::letter;
use self::wholes::{Judgement, Refused, Wholes};
use super::Batch;
use super::commit::Acknowledgement;
use super::pipeline::Attached;
use crate::observe::Health;
use crate::outside::{Clock, Random};
use crate::sinks::{Answer, DeliverFuture, Retry, Sink, SinkError, Terms};
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
    /// Of events of which nobody knows which they are.
    unsure: Refusals,
    wholes: Wholes,
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
            unsure: Refusals::new(max_refused_share),
            wholes: Wholes::default(),
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
            // Nobody waits for it, so the host need not stay for it.
            if ends && !self.holds && self.flying == 0 && self.pace.pause().is_some() {
                self.lose();
            }
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
            Some(pause) => Some(pause.max(due)),
            None => self.pace.allows(self.flying).then_some(due),
        }
    }

    fn landed(&mut self, landed: Landed, ends: bool) {
        match landed {
            Landed::Load { load, answer: Ok(answers), took } => self.answered(load, answers, Some(took), ends),
            Landed::Load { load, answer: Err(error), .. } => self.not_taken(load, &error, ends),
            Landed::Health { events, result } => self.health.settle(events, result, &self.random),
            Landed::Checked(Ok(())) => {}
            Landed::Checked(Err(error)) => {
                tracing::error!(sink = %self.id, "the sink is not ready: {error}");
            }
        }
    }

    /// All of `load` comes again; it counts as flying.
    fn not_taken(&mut self, mut load: Load, error: &SinkError, ends: bool) {
        match error.retry {
            Retry::Smaller if load.events() > 1 => {
                self.flying -= 1;
                tracing::debug!(sink = %self.id, events = load.events(), "again in halves: {error}");
                self.wholes.split(&mut load);
                for half in load.halves(self.terms.overhead).into_iter().rev() {
                    self.gatherer.put_back(half);
                }
            }
            // Nothing was taken, so how long that took says nothing.
            Retry::Smaller => self.answered(load, vec![Answer::refused(0, 0, error.to_string())], None, ends),
            Retry::Later | Retry::After(_) => {
                self.flying -= 1;
                self.gatherer.put_back(load);
                self.failed(error, ends);
            }
        }
    }

    /// What was not taken waits again.
    fn failed(&mut self, error: &SinkError, ends: bool) {
        self.shared.counters.failures.fetch_add(1, Ordering::Relaxed);
        let wait = self.pace.failed(error.retry, &self.random);
        match ends && !self.holds {
            true => self.health.complain(error, wait),
            false => self.health.trouble(error, wait),
        }
    }

    /// Gives up what waits, when the host ends.
    fn lose(&mut self) {
        self.gatherer.drain();
        self.wholes.clear();
        self.free(|tickets| tickets.lose());
        let events = self.shared.counters.queued_events.swap(0, Ordering::Relaxed);
        if events > 0 {
            tracing::warn!(sink = %self.id, events, "the host ends, and what the sink has not taken is lost to it, since it has acknowledgements = false. `tributary audit` counts it");
        }
    }

    fn answered(&mut self, mut load: Load, answers: Vec<Answer>, took: Option<Duration>, ends: bool) {
        let sorted = Sorted::new(&self.id, &load, answers);
        let Sorted { refused, unsure, again, .. } = &sorted;
        let error = again.values().next().cloned();
        let taken = load.events().saturating_sub(again.len() + refused.len());
        if !unsure.is_empty() {
            tracing::warn!(sink = %self.id, events = unsure.len(), "the sink refuses some events for good, and does not say which; all that it may be are kept. See `tributary dead-letters list`");
        }
        let too_many = self.unsure.are_too_many(load.events(), sorted.refused_of_unsure);
        // They do not come again.
        self.unsure.count(load.events(), sorted.refused_of_unsure);
        let doubtful = unsure.values().next().filter(|_| too_many).map(|reason| doubtful(reason));
        let (mut rest, mut kept) = (Load::default(), Vec::new());
        for (number, (batch, ticket)) in load.batches.iter().zip(&load.tickets).enumerate() {
            self.count(number, batch, &sorted);
            let letters = self.letters(batch, of_batch(unsure, number)).into_iter().map(DeadLetter::unsure).collect();
            let events: Vec<_> = of_batch(again, number).map(|(event, _)| event).collect();
            let (indices, reasons): (Vec<_>, Vec<_>) =
                of_batch(refused, number).map(|(event, reason)| (event, reason.clone())).unzip();
            let answered = batch.events.len() - events.len() - reasons.len();
            self.free(|tickets| tickets.answered(*ticket, answered, letters));
            if !events.is_empty() {
                rest.push(*ticket, some(batch, events), self.terms.overhead);
            }
            if !reasons.is_empty() {
                kept.push(Refused { ticket: *ticket, batch: some(batch, indices), reasons });
            }
        }
        let judgement = self.wholes.answered(&mut load, taken, kept, &mut self.refusals);
        rest.whole = load.whole;
        let held = match judgement {
            Judgement::GiveUp(refused) => {
                self.give_up(refused);
                None
            }
            Judgement::Hold(refused, error) => {
                self.gatherer.put_back(std::mem::take(&mut rest));
                let mut held = Load::part(load.whole);
                for Refused { ticket, batch, .. } in refused {
                    held.push(ticket, batch, self.terms.overhead);
                }
                self.gatherer.put_behind(held, self.terms.overhead);
                Some(error)
            }
            Judgement::Wait => None,
        };
        // What was refused does not come again, but what comes next need not fare the same.
        let held = held.or(doubtful);
        if held.is_some() {
            self.gatherer.put_back(std::mem::take(&mut rest));
        }
        match (held, error) {
            (Some(held), _) => {
                self.flying -= 1;
                self.failed(&held, ends);
            }
            (None, Some(error)) => self.not_taken(rest, &error, ends),
            (None, None) => {
                if let Some(took) = took {
                    self.pace.went_well(took, self.flying);
                }
                self.flying -= 1;
                // One that refuses all of it may be as it was.
                if taken > 0 {
                    self.succeeded();
                } else if self.flying == 0 && self.gatherer.is_empty() {
                    self.health.at_rest();
                }
            }
        }
    }

    /// It took events.
    fn succeeded(&mut self) {
        let counters = &self.shared.counters;
        counters.deliveries.fetch_add(1, Ordering::Relaxed);
        counters.succeeded_ms.store(self.clock.millis(), Ordering::Relaxed);
        self.health.over();
        if self.shared.losing.swap(false, Ordering::Relaxed) {
            tracing::info!(sink = %self.id, "the sink takes events again");
        }
    }

    /// Makes letters of what was refused for good.
    fn give_up(&mut self, refused: Vec<Refused>) {
        let events = refused.iter().map(|refused| refused.reasons.len()).sum::<usize>();
        if events == 0 {
            return;
        }
        tracing::warn!(sink = %self.id, events, "the sink refuses events for good; they are kept. See `tributary dead-letters list`");
        self.shared.counters.queued_events.fetch_sub(events, Ordering::Relaxed);
        for Refused { ticket, batch, reasons } in refused {
            let letters = self.letters(&batch, reasons.iter().enumerate());
            self.free(|tickets| tickets.answered(ticket, letters.len(), letters));
        }
    }

    /// What is kept of these events of a batch, by their index, with why.
    fn letters<'a>(&self, batch: &Batch, refused: impl Iterator<Item = (usize, &'a String)>) -> Vec<DeadLetter> {
        let letters = refused.map(|(event, reason)| {
            let head = &batch.events[event];
            tracing::debug!(sink = %self.id, id = format!("{:032x}", head.id), "refused for good: {reason}");
            letter(&self.id, batch, head, reason.clone(), self.clock.millis())
        });
        letters.collect()
    }

    /// Counts what the sink took of one batch.
    fn count(&self, number: usize, batch: &Batch, sorted: &Sorted) {
        let bytes = |event: usize| u64::from(batch.events[event].end - batch.events[event].begin);
        let taken = (0..batch.events.len()).filter(|event| sorted.is_taken((number, *event)));
        let (events, bytes) = taken.fold((0, 0), |(n, sum), event| (n + 1, sum + bytes(event)));
        let counters = &self.shared.counters;
        counters.events.fetch_add(events, Ordering::Relaxed);
        counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        // The others come again, or wait for what comes of those.
        let answered = events as usize + of_batch(&sorted.unsure, number).count();
        counters.queued_events.fetch_sub(answered, Ordering::Relaxed);
    }

    fn free(&mut self, answer: impl FnOnce(&mut Tickets) -> usize) {
        let bytes = answer(&mut self.tickets);
        self.shared.queued.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Why what comes next waits, though nothing that was refused comes again.
fn doubtful(reason: &str) -> SinkError {
    let hint = "So many look like a mistake of configuration, so the next ones wait: mend it here or there. What was refused is in the dead letters; `tributary dead-letters replay` sends it again. If they are bad indeed, `max_refused_share = 1` lets all of them go there";
    SinkError::new(format!("it refuses too many events for good: {reason}")).hint(hint)
}

/// These events of the batch, ascending, by their index.
fn some(batch: &Arc<Batch>, events: Vec<usize>) -> Arc<Batch> {
    if events.len() == batch.events.len() {
        return Arc::clone(batch);
    }
    Arc::new(batch.with(events.into_iter().map(|event| batch.events[event].clone()).collect()))
}

#[cfg(test)]
mod tests;
