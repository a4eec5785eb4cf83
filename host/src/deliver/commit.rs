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

/// What is to be stored of one chunk, once it is acknowledged.
pub struct Parcel {
    pub commit: Commit,
    pub dead_letters: Vec<DeadLetter>,
    /// Held until the chunk is stored.
    pub room: Room,
    pub flight: Flight,
    /// Called when it is stored.
    pub stored: Box<dyn FnOnce(&Counts) + Send + Sync>,
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
    stored: Vec<(Counts, Room, Flight, Box<dyn FnOnce(&Counts) + Send + Sync>)>,
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
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;
    use crate::deliver::{Ids, Memory, host_memory};
    use crate::state::{StateError, StreamState};

    /// Writes down what is stored, in order.
    #[derive(Default)]
    struct Journal {
        lines: Mutex<Vec<String>>,
        fails: Mutex<u32>,
    }

    impl Journal {
        fn lines(&self) -> Vec<String> {
            self.lines.lock().unwrap().clone()
        }

        fn fail(&self) -> bool {
            let mut fails = self.fails.lock().unwrap();
            let fail = *fails > 0;
            *fails = fails.saturating_sub(1);
            fail
        }
    }

    impl Storage for Journal {
        fn stream(&self, _: &StreamKey) -> Result<StreamState, StateError> {
            Ok(StreamState::default())
        }

        fn known(&self, _: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError> {
            Ok(vec![false; ids.len()])
        }

        fn commit(&self, commits: Vec<Commit>) -> Result<(), StateError> {
            if self.fail() {
                return Err(StateError::Full { path: "state".into() });
            }
            let line: Vec<String> = commits
                .iter()
                .map(|commit| format!("{} at {:?} +{}", commit.key.stream, commit.position, commit.counts.records))
                .collect();
            self.lines.lock().unwrap().push(line.join(", "));
            Ok(())
        }

        fn keep(&self, source: &str, letters: &[DeadLetter]) -> io::Result<()> {
            if self.fail() {
                return Err(io::Error::other("full"));
            }
            self.lines.lock().unwrap().push(format!("{source}: {} dead", letters.len()));
            Ok(())
        }
    }

    struct Case {
        journal: Arc<Journal>,
        lines: Lines,
        task: tokio::task::JoinHandle<()>,
        memory: Memory,
    }

    impl Case {
        fn new() -> Self {
            let journal = Arc::<Journal>::default();
            let (lines, committer) = committer(Arc::clone(&journal) as _, Random::seeded(1));
            let task = tokio::spawn(committer.run());
            Self { journal, lines, task, memory: Memory::new(1 << 20, host_memory(1 << 20), 1 << 20) }
        }

        async fn parcel(&self, stream: &str, position: u8, records: u64, malformed: bool) -> Parcel {
            let key = StreamKey::new("acme", stream);
            let counts = Counts { records, ..Counts::default() };
            let letter = || DeadLetter {
                at_ms: 0,
                source: "acme".into(),
                stream: stream.into(),
                reason: "r".into(),
                size: None,
                head: vec![],
            };
            Parcel {
                commit: Commit {
                    key,
                    position: Some(vec![position]),
                    counts,
                    seen: vec![],
                    seen_for: Duration::ZERO,
                    at_ms: 0,
                },
                dead_letters: malformed.then(letter).into_iter().collect(),
                room: self.memory.reserve(100).await.unwrap(),
                flight: Ids::default().depart(vec![]),
                stored: Box::new(|_| {}),
            }
        }

        async fn settle(&self) -> Vec<String> {
            sleep(Duration::from_millis(10)).await;
            self.journal.lines()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_contiguous_prefix_that_all_sinks_have_is_committed() {
        let case = Case::new();
        let mut line = case.lines.line(StreamKey::new("acme", "a"));
        let mut acks: Vec<Vec<_>> = Vec::new();
        for position in 1..=3 {
            acks.push(line.announce(case.parcel("a", position, 1, false).await, 2).collect());
        }
        acks[1].drain(..).for_each(Acknowledgement::acknowledge);
        acks[2].drain(..).for_each(Acknowledgement::acknowledge);
        acks[0].pop().unwrap().acknowledge();
        assert!(case.settle().await.is_empty());
        acks[0].pop().unwrap().acknowledge();
        assert_eq!(case.settle().await, ["a at Some([3]) +3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_acknowledgement_that_is_dropped_is_none() {
        let case = Case::new();
        let mut line = case.lines.line(StreamKey::new("acme", "a"));
        drop(line.announce(case.parcel("a", 1, 1, false).await, 1).collect::<Vec<_>>());
        line.announce(case.parcel("a", 2, 1, false).await, 1).for_each(Acknowledgement::acknowledge);
        drop((line, case.lines));
        case.task.await.unwrap();
        assert!(case.journal.lines().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn dead_letters_are_kept_before_the_position_moves() {
        let case = Case::new();
        *case.journal.fails.lock().unwrap() = 3;
        let mut line = case.lines.line(StreamKey::new("acme", "a"));
        let _ = line.announce(case.parcel("a", 1, 1, true).await, 0).count();
        sleep(Duration::from_secs(60)).await;
        assert_eq!(case.journal.lines(), ["acme: 1 dead", "a at Some([1]) +1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_position_waits_for_company_or_ten_minutes_or_the_end() {
        let case = Case::new();
        let mut a = case.lines.line(StreamKey::new("acme", "a"));
        let mut b = case.lines.line(StreamKey::new("acme", "b"));
        let _ = a.announce(case.parcel("a", 1, 0, false).await, 0).count();
        assert!(case.settle().await.is_empty());
        let _ = a.announce(case.parcel("a", 2, 5, false).await, 0).count();
        assert_eq!(case.settle().await, ["a at Some([2]) +5"]);
        let _ = a.announce(case.parcel("a", 3, 0, false).await, 0).count();
        let _ = a.announce(case.parcel("a", 4, 0, false).await, 0).count();
        sleep(IDLE_POSITION - Duration::from_secs(30)).await;
        assert_eq!(case.journal.lines().len(), 1);
        sleep(Duration::from_secs(120)).await;
        assert_eq!(case.journal.lines()[1..], ["a at Some([4]) +0"]);
        let _ = b.announce(case.parcel("b", 9, 0, false).await, 0).count();
        drop((a, b, case.lines));
        case.task.await.unwrap();
        assert_eq!(case.journal.lines()[2..], ["b at Some([9]) +0"]);
    }

    #[tokio::test(start_paused = true)]
    async fn streams_share_a_transaction_and_do_not_wait_for_each_other() {
        let case = Case::new();
        let mut a = case.lines.line(StreamKey::new("acme", "a"));
        let mut b = case.lines.line(StreamKey::new("acme", "b"));
        let stuck: Vec<_> = a.announce(case.parcel("a", 1, 1, false).await, 1).collect();
        let _ = b.announce(case.parcel("b", 1, 1, false).await, 0).count();
        assert_eq!(case.settle().await, ["b at Some([1]) +1"]);
        stuck.into_iter().for_each(Acknowledgement::acknowledge);
        let _ = b.announce(case.parcel("b", 2, 1, false).await, 0).count();
        let lines = case.settle().await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].contains("a at Some([1]) +1") && lines[1].contains("b at Some([2]) +1"));
    }
}
