//! What a sink's task shares with others, and what can be seen of it while it works.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

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
    /// Deliveries of which it took events, and those that it did not take, since the host began.
    pub deliveries: u64,
    pub failures: u64,
    /// Events that it has taken since the host began, and the bytes of their lines.
    pub events: u64,
    pub bytes: u64,
    /// When it last took events, in milliseconds since the Unix epoch.
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
