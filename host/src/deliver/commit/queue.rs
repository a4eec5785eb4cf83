//! The chunks of one stream between pull and store, in order, and what each sink has said of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{PARTLY_AFTER, Parcel, Progress, Report};
use crate::deliver::{Batch, EventId, Flight, Room};
use crate::state::{Commit, Counts, DeadLetter, Partly, SinkCounts, StreamKey};

/// What one sink is to say of a chunk.
#[derive(Debug)]
pub struct Expected {
    pub sink: Arc<str>,
    /// Whether the position waits for it.
    pub holds: bool,
    /// How many of the chunk's events a rule or route keeps from it.
    pub filtered: u64,
    /// How many it is sent; it has the others since before a restart.
    pub sent: u64,
    answer: Option<Answer>,
    /// Whether the store knows what the sink has of this chunk.
    noted: bool,
}

impl Expected {
    pub fn new(sink: Arc<str>, holds: bool, filtered: u64, sent: u64) -> Self {
        Self { sink, holds, filtered, sent, answer: None, noted: false }
    }
}

/// What a sink has said: it has all events but these.
#[derive(Debug)]
pub struct Answer {
    /// So many it was not given, and never will be. Nobody knows which.
    lost: u64,
    /// It refused these for good.
    refused: Vec<EventId>,
    /// Of those, until they are kept.
    letters: Vec<DeadLetter>,
}

impl Answer {
    pub fn new(lost: usize, letters: Vec<DeadLetter>) -> Self {
        let refused = letters.iter().filter_map(|letter| Some(letter.refused.as_ref()?.event)).collect();
        Self { lost: lost as u64, refused, letters }
    }

    /// What became of the events, of which it was `sent` so many.
    fn counts(&self, sent: u64) -> SinkCounts {
        let (lost, dead_lettered) = (self.lost, self.refused.len() as u64);
        let delivered = sent.saturating_sub(lost + dead_lettered);
        SinkCounts { delivered, dead_lettered, lost, ..SinkCounts::default() }
    }
}

/// One chunk.
struct Waiting {
    number: u64,
    parcel: Box<Parcel>,
    batch: Arc<Batch>,
    sinks: Vec<Expected>,
    since: Instant,
}

/// See the module.
pub struct Queue {
    /// Their numbers ascend.
    waiting: VecDeque<Waiting>,
    /// A moved position, or what was counted of records that are known, that is not worth a transaction of its own yet.
    idle: Option<(Instant, Box<Commit>)>,
    /// What sinks said of chunks that were stored without them. It is no hurry either.
    late: Counts,
    late_letters: Vec<DeadLetter>,
    /// What the store knows of sinks that have what the position does not cover.
    partly: Partly,
    partly_changed: bool,
    /// Of the last chunk that was stored.
    last: Option<Heading>,
}

/// What a commit says beside what it stores and of which stream. Kept of each stream for as long as the host runs, so it
/// is no whole commit.
#[derive(Clone)]
struct Heading {
    tenant: String,
    seen_for: Duration,
    at_ms: u64,
}

/// What goes into one transaction.
#[derive(Default)]
pub struct Transaction {
    pub commits: Vec<Commit>,
    pub stored: Vec<(Counts, Room, Flight, Report)>,
}

impl Queue {
    pub fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            idle: None,
            late: Counts::default(),
            late_letters: Vec::new(),
            partly: Partly::new(),
            partly_changed: false,
            last: None,
        }
    }

    /// What the store knows from before this start.
    pub fn restore(&mut self, partly: Partly) {
        self.partly = partly;
    }

    pub fn push(&mut self, number: u64, parcel: Box<Parcel>, batch: Arc<Batch>, sinks: Vec<Expected>) {
        self.waiting.push_back(Waiting { number, parcel, batch, sinks, since: Instant::now() });
    }

    /// Notes what a sink, of which `sent` tells how much it was sent, says of chunk `number`.
    pub fn answered(&mut self, number: u64, sink: &Arc<str>, sent: u64, answer: Answer) {
        let Ok(place) = self.waiting.binary_search_by_key(&number, |waiting| waiting.number) else {
            return self.answered_late(sink, sent, answer);
        };
        let waiting = self.waiting.get_mut(place);
        if let Some(expected) = waiting.and_then(|waiting| waiting.sinks.iter_mut().find(|known| known.sink == *sink)) {
            expected.answer.get_or_insert(answer);
        }
    }

    fn answered_late(&mut self, sink: &str, sent: u64, answer: Answer) {
        let counts = SinkCounts { confirmed: sent, ..answer.counts(sent) };
        self.late_letters.extend(answer.letters);
        self.late.add(&Counts { sinks: [(sink.to_owned(), counts)].into(), ..Counts::default() });
    }

    /// The letters that must be kept before the position moves over the acknowledged prefix.
    pub fn letters(&mut self) -> impl Iterator<Item = &mut Vec<DeadLetter>> {
        let prefix = self.waiting.iter_mut().take_while(|waiting| waiting.is_ready());
        std::iter::once(&mut self.late_letters).chain(prefix.flat_map(Waiting::letters))
    }

    /// Tells the chunks whose letters cannot be kept why they wait.
    pub fn held(&self, why: &str) {
        for waiting in self.waiting.iter().take_while(|waiting| waiting.is_ready()) {
            (waiting.parcel.report)(Progress::Held(why));
        }
    }

    /// Since when something waits that is no hurry.
    pub fn idle_since(&self) -> Option<Instant> {
        self.idle.as_ref().map(|(begun, _)| *begun)
    }

    /// Whether anything waits for more than that.
    pub fn is_busy(&self) -> bool {
        !self.waiting.is_empty()
            || self.late != Counts::default()
            || !self.late_letters.is_empty()
            || self.partly_changed
    }

    /// When the store should be written though nothing is acknowledged.
    pub fn due(&self) -> Option<Instant> {
        let partly = self.waiting.iter().find(|waiting| waiting.unnoted().next().is_some());
        partly.map(|waiting| waiting.since + PARTLY_AFTER)
    }

    /// Takes what is to be stored now: the acknowledged prefix, what sinks have behind it for long enough, and what is
    /// idle, if it has company or is to be written with `all` others.
    pub fn collect(&mut self, key: &StreamKey, transaction: &mut Transaction, all: bool) {
        let mut merged: Option<Box<Commit>> = None;
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.is_ready() && waiting.is_kept()) {
            let Waiting { parcel, batch, sinks, .. } = waiting;
            let Parcel { mut commit, room, flight, caught_up, report, .. } = *parcel;
            for expected in sinks {
                let sink = expected.sink.to_string();
                commit.counts.sinks.insert(sink, expected.counts(batch.events.len() as u64));
            }
            self.covered(&batch, caught_up);
            transaction.stored.push((commit.counts.clone(), room, flight, report));
            self.last = Some(Heading::of(&commit));
            merge(&mut merged, commit);
        }
        if self.waiting.is_empty() {
            // Most streams have nothing on its way most of the time.
            self.waiting = VecDeque::new();
        }
        self.note();
        if std::mem::take(&mut self.partly_changed)
            && let Some(blank) = self.blank(key)
        {
            merge(&mut merged, Commit { partly: Some(self.partly.clone()), ..blank });
        }
        // A replay is forgotten when it is done: nothing of it may be written after that.
        let urgent =
            merged.as_ref().is_some_and(|new| new.partly.is_some() || new.key.is_replay() || is_news(&new.counts));
        if self.late != Counts::default()
            && self.late_letters.is_empty()
            && let Some(blank) = self.blank(key)
        {
            merge(&mut merged, Commit { counts: std::mem::take(&mut self.late), ..blank });
        }
        let mut begun = Instant::now();
        if let Some((since, idle)) = self.idle.take() {
            begun = since;
            // The idle one is the older.
            if let Some(newer) = merged.replace(idle) {
                merge(&mut merged, *newer);
            }
        }
        let Some(commit) = merged else { return };
        if all || urgent {
            transaction.commits.push(*commit);
        } else {
            self.idle = Some((begun, commit));
        }
    }

    /// The position covers this chunk: nobody needs to know any more who had it.
    fn covered(&mut self, batch: &Batch, caught_up: bool) {
        if self.partly.is_empty() {
            return;
        }
        for ids in self.partly.values_mut() {
            for event in &batch.events {
                self.partly_changed |= ids.remove(&event.id);
            }
        }
        // What has not come again by the end of the stream never will.
        if caught_up && self.waiting.is_empty() {
            self.partly.clear();
            self.partly_changed = true;
        }
        self.partly.retain(|_, ids| !ids.is_empty());
    }

    /// Notes what some sinks have of chunks that have waited for long.
    fn note(&mut self) {
        let mut changed = false;
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.since.elapsed() >= PARTLY_AFTER) {
            for expected in waiting.sinks.iter_mut().filter(|expected| !expected.noted) {
                let Some(Answer { lost: 0, refused, .. }) = &expected.answer else { continue };
                expected.noted = true;
                // What was refused is sent and refused again: its letter is only kept when the chunk is stored.
                let ids = waiting.batch.events.iter().map(|event| event.id).filter(|id| !refused.contains(id));
                self.partly.entry(expected.sink.to_string()).or_default().extend(ids);
                changed = true;
            }
        }
        self.partly_changed |= changed;
    }

    /// A commit of this stream that stores nothing.
    fn blank(&self, key: &StreamKey) -> Option<Commit> {
        let oldest = || self.waiting.front().map(|waiting| Heading::of(&waiting.parcel.commit));
        Some(self.last.clone().or_else(oldest)?.blank(key))
    }
}

impl Waiting {
    /// Whether the position need not wait for a sink.
    fn is_ready(&self) -> bool {
        self.sinks.iter().all(|expected| !expected.holds || expected.answer.is_some())
    }

    fn letters(&mut self) -> impl Iterator<Item = &mut Vec<DeadLetter>> {
        let refused = self.sinks.iter_mut().filter_map(|expected| Some(&mut expected.answer.as_mut()?.letters));
        std::iter::once(&mut self.parcel.dead_letters).chain(refused)
    }

    /// Whether all its letters are kept.
    fn is_kept(&mut self) -> bool {
        self.letters().all(|letters| letters.is_empty())
    }

    /// Sinks that have it, which the store does not know.
    fn unnoted(&self) -> impl Iterator<Item = &Expected> {
        let taken = |expected: &&Expected| matches!(expected.answer, Some(Answer { lost: 0, .. }));
        self.sinks.iter().filter(|expected| !expected.noted).filter(taken)
    }
}

impl Expected {
    fn counts(self, accepted: u64) -> SinkCounts {
        let filtered = self.filtered;
        let had = accepted.saturating_sub(filtered + self.sent);
        match self.answer {
            Some(answer) => {
                let counts = answer.counts(self.sent);
                SinkCounts { accepted, filtered, delivered: had + counts.delivered, ..counts }
            }
            None => SinkCounts { accepted, filtered, delivered: had, unconfirmed: self.sent, ..SinkCounts::default() },
        }
    }
}

/// Whether there is more to store than that a poll read again what is known.
fn is_news(counts: &Counts) -> bool {
    let Counts { records: _, events: _, repeated: _, merged: _, accepted, malformed, gaps, pieces: _, rules: _, sinks } =
        counts;
    *accepted + *malformed + *gaps > 0 || !sinks.is_empty()
}

impl Heading {
    fn of(commit: &Commit) -> Self {
        Self { tenant: commit.tenant.clone(), seen_for: commit.seen_for, at_ms: commit.at_ms }
    }

    /// A commit that stores nothing.
    fn blank(self, key: &StreamKey) -> Commit {
        let Self { tenant, seen_for, at_ms } = self;
        Commit {
            key: key.clone(),
            tenant,
            position: None,
            counts: Counts::default(),
            seen: Vec::new(),
            seen_for,
            gaps: Vec::new(),
            partly: None,
            alerts: Default::default(),
            at_ms,
        }
    }
}

fn merge(sum: &mut Option<Box<Commit>>, newer: Commit) {
    match sum {
        None => *sum = Some(Box::new(newer)),
        Some(sum) => {
            sum.counts.add(&newer.counts);
            sum.seen.extend(newer.seen);
            sum.gaps.extend(newer.gaps);
            sum.alerts.since_ms = sum.alerts.since_ms.max(newer.alerts.since_ms);
            sum.alerts.seen.extend(newer.alerts.seen);
            sum.position = newer.position.or(sum.position.take());
            sum.partly = newer.partly.or(sum.partly.take());
            (sum.seen_for, sum.at_ms) = (newer.seen_for, newer.at_ms);
        }
    }
}

/// The streams' queues, by stream.
pub type Queues = std::collections::BTreeMap<Arc<StreamKey>, Queue>;
