//! The committer: it moves positions, and only over what every sink has acknowledged.
//!
//! Chunks of one stream are committed in the order in which they were pulled. Whatever is ready when a transaction ends
//! goes into the next one together, so a busy host makes few transactions and an idle one makes each at once.

mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, sleep_until};

pub use self::queue::Expected;
use self::queue::{Answer, Queue, Queues, Transaction};
use super::Batch;
use super::flight::{Flight, Room};
use super::storage::{Storage, blocking};
use crate::backoff::Backoff;
use crate::observe::{Cause, Health, HostCode, Place};
use crate::outside::Random;
use crate::state::{Commit, Counts, DeadLetter, Partly, StateError, StreamKey};

/// A position that moved without a new record is written no later than this: it saves only the reading of what is known
/// to hold nothing.
const IDLE_POSITION: Duration = Duration::from_secs(600);

/// A chunk that some sinks have and others lack for so long is noted in the store, so that a restart does not send it to
/// the healthy ones again. Sooner would cost a transaction for each chunk of a sink that is merely the slower one; what a
/// crash repeats within it was in flight.
const PARTLY_AFTER: Duration = Duration::from_secs(2);

/// The longest wait before letters that could not be kept are tried again: somebody may have made room.
const LONGEST_HOLD: Duration = Duration::from_secs(15);

/// How often the same trouble with letters is logged.
const COMPLAINT: Duration = Duration::from_secs(60);

/// What its worker wants to know of a chunk.
pub type Report = Box<dyn Fn(Progress<'_>) + Send + Sync>;

/// How far a chunk that its sinks have acknowledged has come.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// It is stored, and this was counted.
    Stored(&'a Counts),
    /// It cannot be stored for now, and why.
    Held(&'a str),
}

/// What is to be stored of one chunk, once it is acknowledged.
pub struct Parcel {
    pub commit: Commit,
    pub dead_letters: Vec<DeadLetter>,
    /// Held until the chunk is stored.
    pub room: Room,
    pub flight: Flight,
    /// Whether it reaches the end of what the vendor has.
    pub caught_up: bool,
    pub report: Report,
}

enum Message {
    /// What sinks had behind the stored position when the host began.
    Restored(Arc<StreamKey>, Partly),
    Chunk {
        ticket: Ticket,
        parcel: Box<Parcel>,
        batch: Arc<Batch>,
        sinks: Vec<Expected>,
    },
    Answered {
        ticket: Ticket,
        sink: Arc<str>,
        sent: u64,
        answer: Answer,
    },
}

/// Names one chunk.
#[derive(Debug, Clone)]
struct Ticket {
    key: Arc<StreamKey>,
    number: u64,
}

/// One sink's word on a chunk. Dropped unsaid, the position never moves past the chunk if it waits for the sink.
#[derive(Debug)]
pub struct Acknowledgement {
    ticket: Ticket,
    sink: Arc<str>,
    sent: u64,
    committer: UnboundedSender<Message>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}

impl Acknowledgement {
    /// The sink has stored the chunk as durably as it can, but for the events of `letters`, which it refuses for good.
    pub fn acknowledge(self, letters: Vec<DeadLetter>) {
        self.answer(Answer::new(0, letters));
    }

    /// The sink was not given `events` of the chunk, and never will be. Of the others it is as
    /// [acknowledged](Self::acknowledge).
    pub fn lose(self, events: usize, letters: Vec<DeadLetter>) {
        self.answer(Answer::new(events, letters));
    }

    fn answer(self, answer: Answer) {
        let Self { ticket, sink, sent, committer } = self;
        // A committer that is gone was dropped with all that waits: nobody is left to tell.
        let _ = committer.send(Message::Answered { ticket, sink, sent, answer });
    }
}

/// Where one stream's worker hands its chunks in.
#[derive(Debug)]
pub struct Line {
    key: Arc<StreamKey>,
    numbers: Arc<AtomicU64>,
    committer: UnboundedSender<Message>,
}

impl Line {
    /// Says, before the first chunk, what the store knows of sinks that have what the position does not cover.
    pub fn restore(&self, partly: Partly) {
        if !partly.is_empty() {
            let _ = self.committer.send(Message::Restored(Arc::clone(&self.key), partly));
        }
    }

    /// Announces a chunk with its new events, and gives the sinks' acknowledgements, in their order.
    pub fn announce(
        &mut self,
        parcel: Parcel,
        batch: Arc<Batch>,
        sinks: Vec<Expected>,
    ) -> impl Iterator<Item = Acknowledgement> + use<> {
        let ticket = Ticket { key: Arc::clone(&self.key), number: self.numbers.fetch_add(1, Ordering::Relaxed) };
        let committer = self.committer.clone();
        let given: Vec<_> = sinks.iter().map(|expected| (Arc::clone(&expected.sink), expected.sent)).collect();
        // Announced before any sink can acknowledge it.
        let message = Message::Chunk { ticket: ticket.clone(), parcel: Box::new(parcel), batch, sinks };
        let _ = self.committer.send(message);
        given.into_iter().map(move |(sink, sent)| Acknowledgement {
            ticket: ticket.clone(),
            sink,
            sent,
            committer: committer.clone(),
        })
    }
}

/// Gives workers their lines. When it and all lines and acknowledgements are gone, the committer ends.
#[derive(Clone)]
pub struct Lines {
    committer: UnboundedSender<Message>,
    /// Of all chunks, so that a second line of a stream, behind the first, names none of its chunks again.
    numbers: Arc<AtomicU64>,
}

impl Lines {
    pub fn line(&self, key: StreamKey) -> Line {
        Line { key: Arc::new(key), numbers: Arc::clone(&self.numbers), committer: self.committer.clone() }
    }
}

/// Makes the committer; [`Committer::run`] is its task.
pub fn committer(storage: Arc<dyn Storage>, random: Random, health: Health) -> (Lines, Committer) {
    let (sender, messages) = unbounded_channel();
    let (queues, holds) = (Queues::new(), BTreeMap::new());
    let lines = Lines { committer: sender, numbers: Arc::default() };
    let (busy, idle) = (BTreeSet::new(), Idle::default());
    (lines, Committer { storage, random, health, messages, queues, busy, idle, holds })
}

pub struct Committer {
    storage: Arc<dyn Storage>,
    random: Random,
    health: Health,
    messages: UnboundedReceiver<Message>,
    queues: Queues,
    /// Streams of which something waits. The others are not looked at: there may be tens of thousands.
    busy: BTreeSet<Arc<StreamKey>>,
    idle: Idle,
    /// Sources whose letters cannot be kept.
    holds: BTreeMap<String, Hold>,
}

/// Streams with a position that is to be written some time, and since when.
#[derive(Default)]
struct Idle {
    since: BTreeMap<Arc<StreamKey>, Instant>,
    oldest: Option<Instant>,
}

impl Idle {
    fn set(&mut self, key: &Arc<StreamKey>, since: Option<Instant>) {
        let before = match since {
            Some(since) => {
                self.oldest = Some(self.oldest.map_or(since, |oldest| oldest.min(since)));
                self.since.insert(Arc::clone(key), since)
            }
            None => self.since.remove(key),
        };
        if before.is_some() && before != since && before == self.oldest {
            self.oldest = self.since.values().min().copied();
        }
    }

    fn due(&self) -> Option<Instant> {
        self.oldest.map(|oldest| oldest + IDLE_POSITION)
    }
}

/// Letters of one source that could not be kept.
struct Hold {
    backoff: Backoff,
    again: Instant,
    said: Instant,
    why: String,
}

impl Committer {
    /// Commits until nobody is left who could hand in or acknowledge, then writes what is left.
    pub async fn run(mut self) {
        loop {
            let due = self.due();
            tokio::select! {
                biased;
                message = self.messages.recv() => {
                    let Some(message) = message else { break };
                    self.take(message);
                    while let Ok(message) = self.messages.try_recv() {
                        self.take(message);
                    }
                    self.store(false).await;
                }
                () = sleep_until(due) => self.store(false).await,
            }
        }
        // Letters that cannot be kept hold the end too, until whoever waits for it has waited long enough.
        loop {
            self.store(true).await;
            let Some(again) = self.holds.values().map(|hold| hold.again).min() else { return };
            sleep_until(again).await;
        }
    }

    /// When to look again without a message.
    fn due(&self) -> Instant {
        let queues = self.busy.iter().filter_map(|key| self.queues.get(key)?.due());
        let due = queues.chain(self.idle.due()).chain(self.holds.values().map(|hold| hold.again)).min();
        due.unwrap_or_else(|| Instant::now() + IDLE_POSITION)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Restored(key, partly) => self.queue(key).restore(partly),
            Message::Chunk { ticket, parcel, batch, sinks } => {
                self.queue(ticket.key).push(ticket.number, parcel, batch, sinks)
            }
            Message::Answered { ticket, sink, sent, answer } => {
                self.queue(ticket.key).answered(ticket.number, &sink, sent, answer);
            }
        }
    }

    fn queue(&mut self, key: Arc<StreamKey>) -> &mut Queue {
        if !self.busy.contains(&key) {
            self.busy.insert(Arc::clone(&key));
        }
        self.queues.entry(key).or_insert_with(Queue::new)
    }

    /// Stores the acknowledged prefix of each stream, and what else is due.
    async fn store(&mut self, all: bool) {
        // Before the position moves past them: a crash between the two repeats a dead letter and loses none.
        self.keep_letters(all).await;
        let mut transaction = Transaction::default();
        // One that is due takes all others along, else each stream would have a transaction of its own in ten minutes.
        let all = all || self.idle.due().is_some_and(|due| due <= Instant::now());
        let mut keys: BTreeSet<Arc<StreamKey>> = std::mem::take(&mut self.busy);
        if all {
            keys.extend(self.idle.since.keys().cloned());
        }
        for key in keys {
            let Some(queue) = self.queues.get_mut(&key) else { continue };
            queue.collect(&key, &mut transaction, all);
            self.idle.set(&key, queue.idle_since());
            if queue.is_busy() {
                self.busy.insert(key);
            }
        }
        if !transaction.commits.is_empty() {
            self.persist(transaction.commits.into(), &transaction.stored).await;
        }
        for (counts, room, flight, report) in transaction.stored {
            drop((room, flight));
            report(Progress::Stored(&counts));
        }
    }

    /// Keeps the letters that the next transaction needs. Where that fails, the source's chunks wait; others go on.
    async fn keep_letters(&mut self, all: bool) {
        let mut letters: BTreeMap<String, Vec<DeadLetter>> = BTreeMap::new();
        for key in &self.busy {
            let Some(queue) = self.queues.get_mut(key) else { continue };
            for some in queue.letters().filter(|some| !some.is_empty()) {
                letters.entry(key.source.clone()).or_default().extend_from_slice(some);
            }
        }
        for (source, letters) in letters {
            if !all && self.holds.get(&source).is_some_and(|hold| hold.again > Instant::now()) {
                self.hold(&source);
                continue;
            }
            let (letters, to): (Arc<[DeadLetter]>, _) = (letters.into(), source.clone());
            match blocking(&self.storage, move |storage| storage.keep(&to, &letters)).await {
                Ok(()) => {
                    if self.holds.remove(&source).is_some() {
                        tracing::info!(%source, "the dead letters can be kept again");
                        self.health.clear(&source, &Place::DeadLetters);
                    }
                    for key in self.busy.iter().filter(|key| key.source == source) {
                        self.queues.get_mut(key).into_iter().flat_map(Queue::letters).for_each(Vec::clear);
                    }
                }
                Err(error) => self.refused(&source, &error),
            }
        }
    }

    fn refused(&mut self, source: &str, error: &StateError) {
        let (now, why) = (Instant::now(), error.to_string());
        let hold = self.holds.entry(source.to_owned()).or_insert_with(|| Hold {
            backoff: Backoff::default(),
            again: now,
            said: now,
            why: String::new(),
        });
        let wait = hold.backoff.next(&self.random).min(LONGEST_HOLD);
        hold.again = now + wait;
        let cause = Cause::host(
            HostCode::DeadLetters,
            format!("the dead letters cannot be kept: {}", error.what()),
            error.hint(),
        );
        self.health.trouble(source, &Place::DeadLetters, &cause, Some(wait));
        if hold.why.is_empty() || now - hold.said >= COMPLAINT {
            tracing::error!(%source, retry_in = ?wait, "the dead letters cannot be kept: {why}");
            hold.said = now;
        }
        hold.why = why;
        self.hold(source);
    }

    fn hold(&self, source: &str) {
        let Some(hold) = self.holds.get(source) else { return };
        for key in self.busy.iter().filter(|key| key.source == source) {
            self.queues.get(key).into_iter().for_each(|queue| queue.held(&hold.why));
        }
    }

    /// Tries until it succeeds. Meanwhile no position moves, and what is in flight bounds what is read.
    async fn persist(&self, commits: Arc<[Commit]>, stored: &[(Counts, Room, Flight, Report)]) {
        let mut backoff = Backoff::default();
        let mut troubled = false;
        let sources: BTreeSet<String> = commits.iter().map(|commit| commit.key.source.clone()).collect();
        loop {
            let commits = Arc::clone(&commits);
            let Err(error) = blocking(&self.storage, move |storage| storage.commit(commits.to_vec())).await else {
                if troubled {
                    sources.iter().for_each(|source| self.health.clear(source, &Place::State));
                }
                return;
            };
            let wait = backoff.next(&self.random);
            let why = format!("the state cannot be written: {error}");
            troubled = true;
            let what = format!("the state cannot be written: {}", error.what());
            let cause = Cause::host(HostCode::StateWrite, what, error.hint());
            sources.iter().for_each(|source| self.health.trouble(source, &Place::State, &cause, Some(wait)));
            tracing::error!(retry_in = ?wait, "{why}");
            stored.iter().for_each(|(.., report)| report(Progress::Held(&why)));
            sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests;
