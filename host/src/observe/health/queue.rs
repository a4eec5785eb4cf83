//! Health events on their way to one sink.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Told;
use crate::config::HEALTH;
use crate::deliver::{Batch, Head, Origin};

/// Events that may wait for a sink, and more for each source: what their streams say when the host begins.
const WAITING: usize = 1_000;
const OF_EACH_SOURCE: usize = 100;
/// But no more than this for all: an event takes most of a kilobyte.
const OF_ALL: usize = 20_000;

/// The kind in a health event's head: none of a component's.
pub const HEALTH_KIND: u32 = u32::MAX;

/// How many may wait.
pub(super) fn capacity(sources: usize) -> usize {
    (WAITING + OF_EACH_SOURCE * sources).min(OF_ALL)
}

/// See the module. Full, it drops the oldest, and counts them.
pub struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

struct Waiting {
    events: VecDeque<Arc<Told>>,
    capacity: usize,
    dropped: u64,
    /// The same since the host began.
    dropped_ever: u64,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        let waiting = Waiting { events: VecDeque::new(), capacity, dropped: 0, dropped_ever: 0 };
        Self { waiting: Mutex::new(waiting), arrived: Notify::new() }
    }

    pub(super) fn holds_at_most(&self, capacity: usize) {
        self.lock().capacity = capacity;
    }

    pub(super) fn push(&self, event: &Arc<Told>) {
        let mut waiting = self.lock();
        waiting.events.push_back(Arc::clone(event));
        waiting.bound();
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Wakes whoever waits.
    pub(super) fn wake(&self) {
        self.arrived.notify_one();
    }

    /// Waits until there is something. There may be nothing all the same.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    pub fn is_empty(&self) -> bool {
        self.lock().events.is_empty()
    }

    /// All that waits, oldest first.
    pub fn take(&self) -> Vec<Arc<Told>> {
        self.lock().events.drain(..).collect()
    }

    /// How many were dropped since this was last asked.
    pub fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.lock().dropped)
    }

    /// How many were dropped since the host began.
    pub fn dropped_ever(&self) -> u64 {
        self.lock().dropped_ever
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn bound(&mut self) {
        let over = self.events.len().saturating_sub(self.capacity);
        self.events.drain(..over);
        self.dropped += over as u64;
        self.dropped_ever += over as u64;
    }
}

/// Events as sinks take them: a batch for each tenant, of the source and the stream `health`.
pub fn batches(events: &[Arc<Told>]) -> Vec<Arc<Batch>> {
    let mut tenants: BTreeMap<&Arc<str>, (Vec<u8>, Vec<Head>)> = BTreeMap::new();
    for event in events {
        let (bodies, heads) = tenants.entry(&event.tenant).or_default();
        let offset = |bodies: &Vec<u8>| u32::try_from(bodies.len()).unwrap_or(u32::MAX);
        let begin = offset(bodies);
        bodies.extend_from_slice(&event.json);
        bodies.push(b'\n');
        let Told { id, time, severity, .. } = **event;
        let end = offset(bodies);
        heads.push(Head { id, time, kind: HEALTH_KIND, class: 0, severity, alert_key: None, begin, end });
    }
    let batch = |(tenant, (bodies, events)): (&Arc<str>, (Vec<u8>, Vec<Head>))| {
        let origin = Origin { source: HEALTH.into(), tenant: Arc::clone(tenant), stream: HEALTH.into() };
        Arc::new(Batch { origin, bodies: bodies.into(), events })
    };
    tenants.into_iter().map(batch).collect()
}
