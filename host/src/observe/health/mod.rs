//! Health events: what an operator should know of each source, as a source of the host's own that sinks name in `inputs`.
//!
//! They stand outside the ledger: they hold no position, and no balance counts them. The last thousand of each source are
//! kept in the store; what the store cannot take is kept in memory until it can. To a sink that does not take them they
//! wait in a queue with an end, and the oldest are dropped and counted.
//!
//! The same trouble does not flood: it is told when it begins, for each code that it shows, when its stream goes into
//! another state, and when it is over. Trouble that comes and goes is told at most once in ten minutes for each code.

mod event;
mod keeper;
mod listen;
mod queue;
mod trouble;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use self::event::HealthEvent;
pub use self::event::{Happening, Severity, Told};
pub use self::keeper::Keeper;
use self::listen::Audience;
pub use self::listen::{Heard, Listener};
pub use self::queue::{HEALTH_KIND, Queue, batches};
use self::trouble::Troubles;
pub use self::trouble::{Cause, HostCode, Place};
use crate::collect::StreamState;
use crate::config;
use crate::outside::Clock;
use crate::state::{Gap, KEPT_HEALTH};

/// Where everybody tells what happened. Cheap to clone.
#[derive(Clone)]
pub struct Health(Arc<Shared>);

struct Shared {
    clock: Clock,
    book: Mutex<Book>,
    /// Something is to be kept, or the end has come.
    wake: Notify,
}

#[derive(Default)]
struct Book {
    sources: BTreeMap<Arc<str>, Watched>,
    queues: Vec<Arc<Queue>>,
    audience: Audience,
    /// Events so far: part of each id, so that two of one moment differ.
    number: u64,
    closed: bool,
}

/// One source.
#[derive(Default)]
struct Watched {
    tenant: Arc<str>,
    /// Streams that the operator has named one by one.
    named: BTreeSet<String>,
    troubles: BTreeMap<Place, Troubles>,
    /// What the store does not have yet.
    unsaved: VecDeque<Arc<Told>>,
    /// It is no longer run.
    leaves: bool,
}

impl Book {
    fn resize(&mut self) {
        let capacity = queue::capacity(self.sources.len());
        self.queues.iter().for_each(|queue| queue.holds_at_most(capacity));
    }
}

impl Health {
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Shared { clock, book: Mutex::default(), wake: Notify::new() }))
    }

    /// From now on, events of this source are told. Of others nothing is.
    pub fn watch(&self, source: &config::Source) {
        let mut book = self.book();
        let (tenant, named) = (source.tenant.as_str().into(), source.named_streams());
        let watched = book.sources.entry(source.id.as_str().into()).or_default();
        (watched.tenant, watched.named, watched.leaves) = (tenant, named, false);
        book.resize();
    }

    /// The same of one whose configuration is wrong, so that nothing more is known of it.
    pub fn watch_unknown(&self, source: &str) {
        let mut book = self.book();
        if book.sources.get(source).is_none_or(|watched| watched.leaves) {
            let (tenant, leaves) = (source.into(), false);
            let watched = book.sources.entry(source.into()).or_default();
            (watched.tenant, watched.leaves) = (tenant, leaves);
            book.resize();
        }
    }

    /// Nothing more is told of this source. What was told is kept.
    pub fn unwatch(&self, source: &str) {
        if let Some(watched) = self.book().sources.get_mut(source) {
            watched.leaves = true;
            watched.troubles.clear();
        }
        self.forget_unwatched();
    }

    /// Forgets sources that nobody watches, once everything of them is kept.
    fn forget_unwatched(&self) {
        let mut book = self.book();
        let before = book.sources.len();
        book.sources.retain(|_, watched| !watched.leaves || !watched.unsaved.is_empty());
        if book.sources.len() != before {
            book.resize();
        }
    }

    /// Events that were told since the host began, and how many of them sinks were not given for want of room.
    pub fn counts(&self) -> (u64, u64) {
        let book = self.book();
        (book.number, book.queues.iter().map(|queue| queue.dropped_ever()).sum())
    }

    /// Where one sink gets the events from.
    pub fn queue(&self) -> Arc<Queue> {
        let mut book = self.book();
        let queue = Arc::new(Queue::new(queue::capacity(book.sources.len())));
        book.queues.push(Arc::clone(&queue));
        queue
    }

    /// Whether the operator has named this stream, not only a group that it belongs to: then it is an error if the account
    /// has no right to it.
    pub fn is_named(&self, source: &str, stream: &str) -> bool {
        self.book().sources.get(source).is_some_and(|watched| watched.named.contains(stream))
    }

    /// A stream has gone from one state to another; `cause` if an error was the reason.
    pub fn state_changed(
        &self,
        source: &str,
        stream: &str,
        before: StreamState,
        state: StreamState,
        cause: Option<&Cause>,
    ) {
        let severity = match state {
            StreamState::Error | StreamState::Stopped => Severity::High,
            StreamState::NotLicensed if self.is_named(source, stream) => Severity::High,
            StreamState::NotLicensed => Severity::Low,
            _ => Severity::Informational,
        };
        let message = || format!("the stream goes from {before} to {state}");
        let mut event = match cause {
            Some(cause) => HealthEvent::of(Happening::StateChange, severity, cause),
            None => HealthEvent::new(Happening::StateChange, severity, message()),
        };
        event.stream = Some(stream.to_owned());
        (event.previous_state, event.state) = (Some(word(before)), Some(word(state)));
        self.tell(&mut self.book(), source, event);
    }

    /// The vendor no longer has something.
    pub fn gap(&self, source: &str, stream: &str, gap: &Gap) {
        let mut event = HealthEvent::new(Happening::Gap, Severity::High, format!("{}: {}", gap.what, gap.reason));
        event.code = Some("gap".into());
        event.stream = Some(stream.to_owned());
        (event.begin, event.end) = (gap.begin.map(event::nanos), gap.end.map(event::nanos));
        self.tell(&mut self.book(), source, event);
    }

    /// There is trouble, or it goes on: told as the module says.
    pub fn trouble(&self, source: &str, place: &Place, cause: &Cause, retry_in: Option<Duration>) {
        let mut book = self.book();
        let Some(watched) = book.sources.get_mut(source) else { return };
        let troubles = watched.troubles.entry(place.clone()).or_default();
        if !troubles.is_news(&cause.code, Instant::now()) {
            return;
        }
        let mut event = HealthEvent::of(cause.happening, cause.severity, cause);
        place.mark(&mut event);
        if let Some(wait) = retry_in {
            let now = self.0.clock.now();
            event.retry_in_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            event.retry_at = Some(event::time(now.saturating_add(wait)));
        }
        self.tell(&mut book, source, event);
    }

    /// What was in trouble works.
    pub fn clear(&self, source: &str, place: &Place) {
        self.progress(source, place, true);
    }

    /// The same, but only if it is `sure`, or has worked for long: a stream that is read up to a file which cannot be had
    /// is in trouble all the same.
    pub fn progress(&self, source: &str, place: &Place, sure: bool) {
        let mut book = self.book();
        let Some(troubles) = book.sources.get_mut(source).and_then(|watched| watched.troubles.get_mut(place)) else {
            return;
        };
        let Some(codes) = troubles.clear(sure, Instant::now()) else { return };
        let message = format!("{} again, after {}", place.works(), codes.join(", "));
        let mut event = HealthEvent::new(Happening::Cleared, Severity::Informational, message);
        event.code = codes.into_iter().next();
        place.mark(&mut event);
        self.tell(&mut book, source, event);
    }

    /// The sources that `takes` names.
    pub fn sources(&self, takes: impl Fn(&str) -> bool) -> Vec<Arc<str>> {
        self.book().sources.keys().filter(|source| takes(source)).cloned().collect()
    }

    /// What the store does not have yet of a source, oldest first.
    pub fn unsaved(&self, source: &str) -> Vec<Arc<Told>> {
        let book = self.book();
        book.sources.get(source).map(|watched| watched.unsaved.iter().cloned().collect()).unwrap_or_default()
    }

    /// Nothing more will be told: the keeper ends when it has kept what there is.
    pub fn close(&self) {
        self.book().over();
        self.0.wake.notify_one();
    }

    fn tell(&self, book: &mut Book, source: &str, event: HealthEvent) {
        let Some((source, watched)) = book.sources.get_key_value(source) else { return };
        let (source, tenant) = (Arc::clone(source), Arc::clone(&watched.tenant));
        book.number += 1;
        let told = Arc::new(event.told(self.0.clock.now(), book.number, source, tenant));
        if let Some(watched) = book.sources.get_mut(&told.source) {
            watched.unsaved.push_back(Arc::clone(&told));
            watched.bound();
        }
        book.queues.iter().for_each(|queue| queue.push(&told));
        book.audience.hear(&told);
        self.0.wake.notify_one();
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    /// Of more than the store would keep, the oldest go.
    fn bound(&mut self) {
        let over = self.unsaved.len().saturating_sub(KEPT_HEALTH);
        self.unsaved.drain(..over);
    }
}

/// A state as one word.
fn word(state: StreamState) -> String {
    state.to_string().replace(' ', "_")
}

#[cfg(test)]
mod tests;
