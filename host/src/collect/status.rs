//! What can be seen of each stream from outside: its state, and what it has counted since the host began.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{Hours, Rate};
use crate::observe::{Cause, Health, Place};
use crate::state::Counts;

/// The states that a stream goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    /// Configured.
    Pending,
    /// A worker has it.
    Started,
    /// The source accepted the configuration.
    Initialized,
    /// The vendor accepted the credentials.
    Authenticated,
    Collecting,
    /// Trouble that does not pass by itself, or has lasted too long. It is tried again all the same.
    Error,
    /// The account has no right to it.
    NotLicensed,
    Stopping,
    /// It stays so until the operator changes something.
    Stopped,
}

impl StreamState {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            StreamState::Pending => "pending",
            StreamState::Started => "started",
            StreamState::Initialized => "initialized",
            StreamState::Authenticated => "authenticated",
            StreamState::Collecting => "collecting",
            StreamState::Error => "error",
            StreamState::NotLicensed => "not licensed",
            StreamState::Stopping => "stopping",
            StreamState::Stopped => "stopped",
        }
    }
}

impl fmt::Display for StreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One stream, as it stands.
#[derive(Debug, Clone)]
pub struct StreamStatus {
    pub source: Arc<str>,
    pub tenant: Arc<str>,
    pub stream: Arc<str>,
    pub state: StreamState,
    /// What was read, since the host began.
    pub read: Counts,
    /// How many new events were read in the last minutes.
    pub rate: Rate,
    /// In which hours it brought new events.
    pub hours: Hours,
    /// What of it is acknowledged and stored.
    pub stored: Counts,
    /// Chunks between pull and store.
    pub in_flight: u64,
    pub polls: u64,
    /// From the start of a poll to that of the next.
    pub interval: Duration,
    pub faults: u64,
    /// The last fault, with what to do about it; cleared by a success.
    pub fault: Option<String>,
    /// The same in its parts.
    pub cause: Option<Box<Cause>>,
    /// Why what was read cannot be stored, with what to do about it; positions stand still until it is.
    pub held: Option<String>,
    /// Whether the last poll reached the end of what the vendor has.
    pub caught_up: bool,
    /// Whether any poll did, since the host began.
    pub was_caught_up: bool,
    /// When the newest event happened that was read: nanoseconds since the Unix epoch.
    pub newest: Option<u64>,
    /// When the last poll began: milliseconds since the Unix epoch.
    pub polled_ms: Option<u64>,
    /// When a pull last gave a chunk, though it may have been empty: likewise.
    pub succeeded_ms: Option<u64>,
    /// How much time the gaps cover that say from when to when they are, in nanoseconds.
    pub gap_nanos: u64,
    /// The faults by their code. After [`CODES`] codes all others are one: a component may make up as many as it likes.
    pub fault_codes: BTreeMap<String, u64>,
    /// When it is read next, in nanoseconds since the Unix epoch; none while it is read, and where it stands still.
    pub next: Option<u64>,
}

/// A stream whose last good answer is older than this, and than two of its intervals, is not known to be silent: between two
/// good answers lies an interval, and as much as the second took longer than the first.
const WELL_FOR: Duration = Duration::from_secs(3_600);

/// Codes of faults that are told apart in one stream.
const CODES: usize = 32;

/// The code of those that are not.
pub const OTHER_CODE: &str = "other";

impl StreamStatus {
    /// How far behind the present the stream reads, in nanoseconds; zero when it is caught up.
    pub fn lag(&self, now: u64) -> Option<u64> {
        if self.caught_up { Some(0) } else { self.newest.map(|newest| now.saturating_sub(newest)) }
    }

    /// Whether it is read well, and brings nothing, though at this time yesterday it did. `now` is in nanoseconds since the
    /// Unix epoch.
    pub fn fell_silent(&self, now: u64) -> bool {
        let now_ms = now / 1_000_000;
        let well_for = WELL_FOR.max(self.interval.saturating_mul(2)).as_millis();
        let is_read = self.succeeded_ms.is_some_and(|at_ms| u128::from(now_ms.saturating_sub(at_ms)) < well_for);
        is_read && self.hours.fell_silent(now_ms)
    }

    /// Counts a chunk that was read.
    pub(super) fn progress(&mut self, counts: &Counts, newest: Option<u64>, caught_up: bool, now_ms: u64) {
        self.read.add(counts);
        self.succeeded_ms = Some(now_ms);
        self.newest = self.newest.max(newest);
        (self.fault, self.cause) = (None, None);
        self.caught_up = caught_up;
        self.was_caught_up |= caught_up;
    }

    /// Says what its fault is.
    pub fn fails(&mut self, cause: &Cause, text: String) {
        (self.fault, self.cause) = (Some(text), Some(Box::new(cause.clone())));
    }

    /// Counts a fault, which is the last one from now on.
    pub(super) fn faulted(&mut self, cause: &Cause, text: String) {
        self.fails(cause, text);
        self.faults += 1;
        let code = &*cause.code;
        let known = self.fault_codes.contains_key(code) || self.fault_codes.len() < CODES;
        *self.fault_codes.entry(if known { code } else { OTHER_CODE }.to_owned()).or_default() += 1;
    }

    /// Whether everything that the vendor had is read and stored, or nothing more is to be expected.
    fn is_settled(&self) -> bool {
        let ended = matches!(self.state, StreamState::Error | StreamState::NotLicensed | StreamState::Stopped);
        (self.was_caught_up || ended) && self.in_flight == 0
    }
}

/// Source and stream.
type Key = (Arc<str>, Arc<str>);
type Entries = BTreeMap<Key, Entry>;

/// In a host of more streams than this, one that begins is no line in the log: there would be forty thousand.
const CROWD: usize = 200;

/// The status of all streams.
#[derive(Clone)]
pub struct Board {
    entries: Arc<Mutex<Entries>>,
    changed: watch::Sender<()>,
    health: Health,
}

/// One stream's place on the board.
#[derive(Clone)]
pub struct Entry {
    status: Arc<Mutex<StreamStatus>>,
    changed: watch::Sender<()>,
    health: Health,
    /// Whether it is one of very many.
    crowd: bool,
}

impl Board {
    /// A board without streams; each change of a state on it is a health event.
    pub fn new(health: Health) -> Self {
        Self { entries: Arc::default(), changed: watch::Sender::default(), health }
    }

    /// A place for a stream that begins.
    pub fn entry(&self, source: &Arc<str>, tenant: &Arc<str>, stream: &Arc<str>) -> Entry {
        let status = StreamStatus {
            source: Arc::clone(source),
            tenant: Arc::clone(tenant),
            stream: Arc::clone(stream),
            state: StreamState::Pending,
            read: Counts::default(),
            rate: Rate::default(),
            hours: Hours::default(),
            stored: Counts::default(),
            in_flight: 0,
            polls: 0,
            interval: Duration::ZERO,
            faults: 0,
            fault: None,
            cause: None,
            held: None,
            caught_up: false,
            was_caught_up: false,
            newest: None,
            polled_ms: None,
            succeeded_ms: None,
            gap_nanos: 0,
            fault_codes: BTreeMap::new(),
            next: None,
        };
        let mut entries = self.lock();
        let entry = Entry {
            status: Arc::new(Mutex::new(status)),
            changed: self.changed.clone(),
            health: self.health.clone(),
            crowd: entries.len() >= CROWD,
        };
        entries.insert((Arc::clone(source), Arc::clone(stream)), entry.clone());
        entry
    }

    /// Gives a stream that begins anew the place that it had, with what it has counted.
    pub fn put_back(&self, entry: &Entry, tenant: &Arc<str>) {
        let key = {
            let mut status = entry.lock();
            status.tenant = Arc::clone(tenant);
            (status.state, status.was_caught_up) = (StreamState::Pending, false);
            (status.fault, status.cause) = (None, None);
            (Arc::clone(&status.source), Arc::clone(&status.stream))
        };
        self.lock().insert(key, entry.clone());
    }

    /// Takes a stream off the board.
    pub fn remove(&self, source: &Arc<str>, stream: &Arc<str>) {
        self.lock().remove(&(Arc::clone(source), Arc::clone(stream)));
        self.changed.send_replace(());
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// All streams, by source and name.
    pub fn all(&self) -> Vec<StreamStatus> {
        self.lock().values().map(|entry| entry.lock().clone()).collect()
    }

    /// Shows each stream to `look`, by source and name. Nothing is copied.
    pub fn each(&self, mut look: impl FnMut(&StreamStatus)) {
        self.lock().values().for_each(|entry| look(&entry.lock()));
    }

    /// The streams of one source, by name.
    pub fn of(&self, source: &str) -> Vec<StreamStatus> {
        let first: Key = (source.into(), "".into());
        let entries = self.lock();
        let streams = entries.range(first..).take_while(|((id, _), _)| **id == *source);
        streams.map(|(_, entry)| entry.lock().clone()).collect()
    }

    /// Whether a worker has begun with each.
    pub fn all_started(&self) -> bool {
        self.lock().values().all(|entry| entry.lock().state != StreamState::Pending)
    }

    /// Waits until each stream has been caught up with everything stored, or is in error.
    pub async fn settled(&self) {
        self.until(StreamStatus::is_settled).await;
    }

    /// Waits until nothing is between pull and store.
    pub async fn emptied(&self) {
        self.until(|status| status.in_flight == 0).await;
    }

    /// Waits until `done` holds for all. It waits for one after the other, and looks at all of them only when the last is
    /// done: with thousands of streams each change would else be a walk along all of them.
    async fn until(&self, done: impl Fn(&StreamStatus) -> bool) {
        let mut changed = self.changed.subscribe();
        loop {
            let waits: Vec<Key> = {
                let entries = self.lock();
                let waiting = entries.iter().filter(|(_, entry)| !done(&entry.lock()));
                waiting.map(|(key, _)| key.clone()).collect()
            };
            if waits.is_empty() {
                return;
            }
            for key in waits {
                loop {
                    changed.borrow_and_update();
                    if self.lock().get(&key).is_none_or(|entry| done(&entry.lock())) {
                        break;
                    }
                    // The board itself holds a sender, so this cannot fail.
                    let _ = changed.changed().await;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Changes the status, and wakes who waits for that.
    pub fn update(&self, change: impl FnOnce(&mut StreamStatus)) {
        change(&mut self.lock());
        self.changed.send_replace(());
    }

    /// Says when it is read next. Nobody is woken for that.
    pub fn is_due(&self, next: Option<u64>) {
        self.lock().next = next;
    }

    /// Goes to `state`, and says so if that is news.
    pub fn enter(&self, state: StreamState) {
        let Some((source, stream, before)) = self.change(state, None) else { return };
        if state == StreamState::Collecting && (!self.crowd || before != StreamState::Authenticated) {
            tracing::info!(%source, %stream, %before, "{state}");
        } else {
            tracing::debug!(%source, %stream, %before, "{state}");
        }
    }

    /// Goes to `state` because of `cause`. If that is news, it gives the state that it was in: the caller logs it, and
    /// knows whether others have the same trouble.
    pub fn enter_for(&self, state: StreamState, cause: &Cause) -> Option<StreamState> {
        self.change(state, Some(cause)).map(|(_, _, before)| before)
    }

    /// If it changes: whose state it is, and what it was.
    fn change(&self, state: StreamState, cause: Option<&Cause>) -> Option<(Arc<str>, Arc<str>, StreamState)> {
        let mut status = self.lock();
        let before = std::mem::replace(&mut status.state, state);
        if before == state {
            return None;
        }
        let (source, stream) = (Arc::clone(&status.source), Arc::clone(&status.stream));
        drop(status);
        self.changed.send_replace(());
        self.health.state_changed(&source, &stream, before, state, cause);
        Some((source, stream, before))
    }

    pub fn state(&self) -> StreamState {
        self.lock().state
    }

    /// Chunks between pull and store.
    pub fn in_flight(&self) -> u64 {
        self.lock().in_flight
    }

    /// The last fault, until a success.
    pub fn fault(&self) -> Option<String> {
        self.lock().fault.clone()
    }

    /// Its source, and its own name.
    pub fn name(&self) -> (Arc<str>, Arc<str>) {
        let status = self.lock();
        (Arc::clone(&status.source), Arc::clone(&status.stream))
    }

    /// Tells trouble of this stream.
    pub fn tell(&self, cause: &Cause) {
        let (source, stream) = self.name();
        self.health.trouble(&source, &Place::Stream(stream), cause, None);
    }

    /// Where its trouble is told.
    pub fn health(&self) -> &Health {
        &self.health
    }

    fn lock(&self) -> MutexGuard<'_, StreamStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
