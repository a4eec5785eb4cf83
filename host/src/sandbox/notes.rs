//! What the network showed of one source: for whoever has to explain a failure.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use chrono::DateTime;
use serde::{Deserialize, Serialize};

use super::{EgressMode, Refusal, TransportError};
use crate::observe::Repeats;
use crate::outside::Clock;

/// A source's refusals are said once in this time, whatever it asks for: a component may ask for as many hosts as it likes.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// The last that was noted, and what was counted. A source's instances share it.
#[derive(Debug, Default)]
pub struct Notes {
    noted: Mutex<Noted>,
    requests: AtomicU64,
    connections: AtomicU64,
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
    denied: AtomicU64,
    reported: AtomicU64,
    failed: AtomicU64,
    cpu_nanos: AtomicU64,
    memory_peak_bytes: AtomicU64,
    repeats: Repeats,
}

#[derive(Debug, Default)]
struct Noted {
    transport_error: Option<TransportError>,
    skew: Option<i64>,
    refusal: Option<String>,
    responses: BTreeMap<u16, u64>,
}

/// The notes of each source, by its id: another configuration of a source goes on counting. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Notebook(Arc<Mutex<BTreeMap<String, Weak<Notes>>>>);

impl Notebook {
    /// Those of a source; new ones, once nobody has them any more.
    pub fn of(&self, source: &str) -> Arc<Notes> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let notes = known.get(source).and_then(Weak::upgrade).unwrap_or_default();
        known.insert(source.to_owned(), Arc::downgrade(&notes));
        notes
    }
}

/// What a source did on the network since the host began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkCounts {
    /// Requests that passed the egress policy.
    pub requests: u64,
    /// Connections that were opened; a connection serves many requests.
    pub connections: u64,
    /// On the wire, with TLS.
    pub sent_bytes: u64,
    pub received_bytes: u64,
    /// Requests that the egress policy denied.
    pub denied: u64,
    /// Requests that it would have denied, but for `egress_mode = "report"`.
    pub reported: u64,
    /// Why the last of either did not pass, with what to do about it.
    pub last_refusal: Option<String>,
    /// Answers by their HTTP status.
    #[serde(default)]
    pub responses: BTreeMap<u16, u64>,
    /// Requests that got no answer.
    #[serde(default)]
    pub failed: u64,
}

/// What the instances of a source used since the host began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GuestUsage {
    /// CPU time of the calls that have ended.
    pub cpu: Duration,
    /// The most linear memory that any of them had, in bytes.
    pub memory_peak_bytes: u64,
}

impl Notes {
    /// Why the last request got no answer; `None` once one did.
    pub fn transport_error(&self) -> Option<String> {
        self.lock().transport_error.as_ref().map(ToString::to_string)
    }

    /// How many seconds this machine's clock is ahead of the vendor's, by the `Date` of its last answer.
    pub fn skew(&self) -> Option<i64> {
        self.lock().skew
    }

    pub(super) fn answered(&self, status: u16, headers: &http::HeaderMap, clock: &Clock) {
        let date = headers.get(http::header::DATE).and_then(|date| date.to_str().ok());
        let theirs = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()).map(|date| date.timestamp());
        let mut noted = self.lock();
        noted.transport_error = None;
        *noted.responses.entry(status).or_default() += 1;
        if let Some(theirs) = theirs {
            noted.skew = Some(clock.now().as_secs() as i64 - theirs);
        }
    }

    pub(super) fn failed(&self, error: &TransportError) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.lock().transport_error = Some(error.clone());
    }

    /// Counts what a call used, after which its instance has had so much memory.
    pub(super) fn used(&self, cpu: Duration, memory_bytes: usize) {
        self.cpu_nanos.fetch_add(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.memory_peak_bytes.fetch_max(memory_bytes as u64, Ordering::Relaxed);
    }

    /// What the source's instances used.
    pub fn usage(&self) -> GuestUsage {
        GuestUsage {
            cpu: Duration::from_nanos(self.cpu_nanos.load(Ordering::Relaxed)),
            memory_peak_bytes: self.memory_peak_bytes.load(Ordering::Relaxed),
        }
    }

    /// What was counted.
    pub fn counts(&self) -> NetworkCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let noted = self.lock();
        NetworkCounts {
            requests: read(&self.requests),
            connections: read(&self.connections),
            sent_bytes: read(&self.sent_bytes),
            received_bytes: read(&self.received_bytes),
            denied: read(&self.denied),
            reported: read(&self.reported),
            last_refusal: noted.refusal.clone(),
            responses: noted.responses.clone(),
            failed: read(&self.failed),
        }
    }

    /// Counts a request that did not pass, and logs it, if that was not done a minute ago.
    pub(super) fn refused(&self, source: &str, refusal: &Refusal, mode: EgressMode) {
        let hint = refusal.hint();
        self.lock().refusal = Some(format!("{refusal}. {hint}"));
        let (counter, line) = match mode {
            EgressMode::Enforce => (&self.denied, "a request was denied"),
            EgressMode::Report => (&self.reported, "a request passed only because egress_mode is \"report\""),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(suppressed) = self.repeats.admit_every(SAID_EVERY, line) {
            tracing::warn!(source, suppressed, "{line}: {refusal}. {hint}");
        }
    }

    pub(super) fn requested(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_vendors_clock_is_compared() {
        let notes = Notes::default();
        let mut headers = http::HeaderMap::new();
        // RFC 9110's example: 784,111,777 seconds after the epoch.
        headers.insert("date", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        notes.answered(200, &headers, &Clock::simulated(Duration::from_secs(784_111_777 + 90)));
        assert_eq!(notes.skew(), Some(90));
        notes.answered(200, &http::HeaderMap::new(), &Clock::simulated(Duration::ZERO));
        assert_eq!(notes.skew(), Some(90), "an answer without a date says nothing");
    }

    #[test]
    fn a_source_that_is_configured_anew_goes_on_counting() {
        let book = Notebook::default();
        let (notes, other) = (book.of("a"), book.of("b"));
        notes.requested();
        assert_eq!((book.clone().of("a").counts().requests, other.counts().requests), (1, 0));
        drop(notes);
        assert_eq!(book.of("a").counts().requests, 0, "nobody had them any more");
    }

    #[tokio::test(start_paused = true)]
    async fn every_refusal_is_counted_and_the_last_is_told() {
        let notes = Notes::default();
        for mode in [EgressMode::Enforce, EgressMode::Report, EgressMode::Enforce] {
            notes.refused("a", &Refusal::Malformed("it names no host"), mode);
        }
        let counts = notes.counts();
        assert_eq!((counts.denied, counts.reported), (2, 1));
        assert!(counts.last_refusal.unwrap().contains("it names no host. Report it"));
    }

    #[test]
    fn an_answer_ends_the_trouble() {
        let notes = Notes::default();
        notes.failed(&TransportError::Refused);
        assert!(notes.transport_error().unwrap().contains("refused"));
        notes.answered(200, &http::HeaderMap::new(), &Clock::System);
        assert_eq!(notes.transport_error(), None);
    }
}
