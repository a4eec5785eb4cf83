//! The committer: it moves positions, and only over what every sink has acknowledged.
//!
//! Chunks of one stream are committed in the order in which they were pulled. Whatever is ready when a transaction ends
//! goes into the next one together, so a busy host makes few transactions and an idle one makes each at once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep};

use super::flight::{Flight, Room};
use super::storage::{Storage, blocking};
use crate::backoff::Backoff;
use crate::outside::Random;
use crate::state::{Commit, Counts, DeadLetter, StreamKey};

/// A position that moved without a record is written no later than this: it saves only the reading of what is known to
/// hold nothing.
const IDLE_POSITION: Duration = Duration::from_secs(600);

/// What its worker wants to know of a chunk that is stored.
pub type Stored = Box<dyn FnOnce(&Counts) + Send + Sync>;

/// What is to be stored of one chunk, once it is acknowledged.
pub struct Parcel {
    pub commit: Commit,
    pub dead_letters: Vec<DeadLetter>,
    /// Held until the chunk is stored.
    pub room: Room,
    pub flight: Flight,
    /// Called when it is stored.
    pub stored: Stored,
}

enum Message {
    Chunk { ticket: Ticket, sinks: usize, parcel: Box<Parcel> },
    Acknowledged(Ticket),
}

/// Names one chunk.
#[derive(Debug, Clone)]
struct Ticket {
    key: Arc<StreamKey>,
    number: u64,
}

/// One sink's word that it has a chunk. Dropped unsaid, the chunk is never committed.
#[derive(Debug)]
pub struct Acknowledgement {
    ticket: Ticket,
    committer: UnboundedSender<Message>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}

impl Acknowledgement {
    /// The sink has stored the chunk as durably as it can.
    pub fn acknowledge(self) {
        // A committer that is gone was dropped with all that waits: nobody is left to tell.
        let _ = self.committer.send(Message::Acknowledged(self.ticket));
    }
}

/// Where one stream's worker hands its chunks in.
#[derive(Debug)]
pub struct Line {
    key: Arc<StreamKey>,
    next: u64,
    committer: UnboundedSender<Message>,
}

impl Line {
    /// Announces a chunk that `sinks` sinks must acknowledge, and gives their acknowledgements.
    pub fn announce(&mut self, parcel: Parcel, sinks: usize) -> impl Iterator<Item = Acknowledgement> {
        let ticket = Ticket { key: Arc::clone(&self.key), number: self.next };
        self.next += 1;
        // Announced before any sink can acknowledge it.
        let message = Message::Chunk { ticket: ticket.clone(), sinks, parcel: Box::new(parcel) };
        let _ = self.committer.send(message);
        let committer = self.committer.clone();
        (0..sinks).map(move |_| Acknowledgement { ticket: ticket.clone(), committer: committer.clone() })
    }
}

/// Gives workers their lines. When it and all lines and acknowledgements are gone, the committer ends.
#[derive(Clone)]
pub struct Lines(UnboundedSender<Message>);

impl Lines {
    pub fn line(&self, key: StreamKey) -> Line {
        Line { key: Arc::new(key), next: 0, committer: self.0.clone() }
    }
}

/// Makes the committer; [`Committer::run`] is its task.
pub fn committer(storage: Arc<dyn Storage>, random: Random) -> (Lines, Committer) {
    let (sender, messages) = unbounded_channel();
    (Lines(sender), Committer { storage, random, messages, queues: HashMap::new() })
}

pub struct Committer {
    storage: Arc<dyn Storage>,
    random: Random,
    messages: UnboundedReceiver<Message>,
    queues: HashMap<Arc<StreamKey>, Queue>,
}

/// The chunks of one stream, in order.
#[derive(Default)]
struct Queue {
    first: u64,
    waiting: VecDeque<(usize, Box<Parcel>)>,
    /// A moved position that is not worth a transaction of its own yet.
    idle: Option<(Instant, Box<Commit>)>,
}

/// What goes into one transaction.
#[derive(Default)]
struct Batch {
    commits: Vec<Commit>,
    /// By source.
    dead_letters: BTreeMap<String, Vec<DeadLetter>>,
    stored: Vec<(Counts, Room, Flight, Stored)>,
}

impl Committer {
    /// Commits until nobody is left who could hand in or acknowledge, then writes what is left.
    pub async fn run(mut self) {
        let mut idle = tokio::time::interval(IDLE_POSITION / 10);
        loop {
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
                _ = idle.tick() => self.store(false).await,
            }
        }
        self.store(true).await;
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Chunk { ticket, sinks, parcel } => {
                self.queues.entry(ticket.key).or_default().waiting.push_back((sinks, parcel));
            }
            Message::Acknowledged(ticket) => {
                let Some(queue) = self.queues.get_mut(&ticket.key) else { return };
                let place = ticket.number.checked_sub(queue.first).and_then(|place| usize::try_from(place).ok());
                if let Some((sinks, _)) = place.and_then(|place| queue.waiting.get_mut(place)) {
                    *sinks = sinks.saturating_sub(1);
                }
            }
        }
    }

    /// Stores the acknowledged prefix of each stream, and idle positions that are due.
    async fn store(&mut self, all: bool) {
        let mut batch = Batch::default();
        for queue in self.queues.values_mut() {
            queue.collect(&mut batch, all);
        }
        // Before the position moves past them: a crash between the two repeats a dead letter and loses none.
        for (source, letters) in batch.dead_letters {
            let letters: Arc<[DeadLetter]> = letters.into();
            self.persist("the dead letters cannot be written", move |storage| storage.keep(&source, &letters)).await;
        }
        if !batch.commits.is_empty() {
            let commits: Arc<[Commit]> = batch.commits.into();
            self.persist("the state cannot be written", move |storage| storage.commit(commits.to_vec())).await;
        }
        for (counts, room, flight, stored) in batch.stored {
            drop((room, flight));
            stored(&counts);
        }
    }

    /// Tries until it succeeds. Meanwhile no position moves, and what is in flight bounds what is read.
    async fn persist<E: std::fmt::Display + Send + 'static>(
        &self,
        what: &str,
        write: impl Fn(&dyn Storage) -> Result<(), E> + Clone + Send + 'static,
    ) {
        let mut backoff = Backoff::default();
        loop {
            let write = write.clone();
            let Err(error) = blocking(&self.storage, move |storage| write(storage)).await else { return };
            let wait = backoff.next(&self.random);
            tracing::error!(retry_in = ?wait, "{what}: {error}");
            sleep(wait).await;
        }
    }
}

impl Queue {
    fn collect(&mut self, batch: &mut Batch, all: bool) {
        let mut merged: Option<Box<Commit>> = None;
        let mut since = None;
        while let Some((_, parcel)) = self.waiting.pop_front_if(|(sinks, _)| *sinks == 0) {
            self.first += 1;
            let Parcel { commit, dead_letters, room, flight, stored } = *parcel;
            if !dead_letters.is_empty() {
                batch.dead_letters.entry(commit.key.source.clone()).or_default().extend(dead_letters);
            }
            batch.stored.push((commit.counts.clone(), room, flight, stored));
            merge(&mut merged, commit);
        }
        if let Some((begun, idle)) = self.idle.take() {
            since = Some(begun);
            // The idle one is the older.
            let newer = merged.replace(idle);
            if let Some(newer) = newer {
                merge(&mut merged, *newer);
            }
        }
        let Some(commit) = merged else { return };
        let begun = since.unwrap_or_else(Instant::now);
        if all || commit.counts != Counts::default() || begun.elapsed() >= IDLE_POSITION {
            batch.commits.push(*commit);
        } else {
            self.idle = Some((begun, commit));
        }
    }
}

fn merge(sum: &mut Option<Box<Commit>>, newer: Commit) {
    match sum {
        None => *sum = Some(Box::new(newer)),
        Some(sum) => {
            sum.counts.add(&newer.counts);
            sum.seen.extend(newer.seen);
            sum.position = newer.position.or(sum.position.take());
            (sum.seen_for, sum.at_ms) = (newer.seen_for, newer.at_ms);
        }
    }
}

#[cfg(test)]
mod tests;
