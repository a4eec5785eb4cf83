//! The far side of the sinks: what lies there outlives every process of the host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mimecast_simulator::Mark;

use crate::dice::mix;

/// How a sink takes events.
#[derive(Debug, Clone)]
pub struct Manner {
    pub id: &'static str,
    /// Refuses ids that it has: what comes again makes no duplicate.
    pub idempotent: bool,
    /// Whether positions wait for it.
    pub acknowledgements: bool,
    /// Milliseconds of one delivery, at most.
    pub slow_ms: u64,
    /// Of a thousand deliveries, so many fail before anything was taken.
    pub fails: u64,
    /// Of a thousand deliveries, so many take a part and then fail.
    pub partly: u64,
    /// Of a thousand deliveries, so many take all, and the answer is lost.
    pub unanswered: u64,
    /// Of a thousand events, so many are refused for good.
    pub refuses: u64,
}

impl Manner {
    pub fn good(id: &'static str) -> Self {
        let (idempotent, acknowledgements) = (true, true);
        Self { id, idempotent, acknowledgements, slow_ms: 0, fails: 0, partly: 0, unanswered: 0, refuses: 0 }
    }

    /// Whether it refuses this event, which is so whenever it comes.
    pub fn refuses(&self, id: u128) -> bool {
        mix(id as u64 ^ crate::dice::hash(self.id.as_bytes())) % 1000 < self.refuses
    }
}

/// One event at one sink.
#[derive(Debug, Clone, Default)]
pub struct Copies {
    /// How often it came in.
    pub arrived: u64,
    /// How often it lies there: once at the most where known ids are refused.
    pub stored: u64,
    /// How often it may come again: it was on its way when the process crashed, or its delivery failed.
    pub excused: u64,
    pub mark: Option<Mark>,
    pub first_ms: u64,
}

/// What one sink has, by stream and id.
#[derive(Debug, Default)]
pub struct Heap {
    pub events: BTreeMap<(Arc<str>, u128), Copies>,
    pub marks: BTreeMap<(Arc<str>, Mark), BTreeSet<u128>>,
    /// Bodies that carry no mark, or several.
    pub unmarked: Vec<(Arc<str>, String)>,
}

impl Heap {
    pub fn take(&mut self, idempotent: bool, stream: &Arc<str>, id: u128, body: &[u8], now_ms: u64) {
        let copies = self.events.entry((Arc::clone(stream), id)).or_default();
        copies.arrived += 1;
        if copies.stored > 0 {
            copies.stored += u64::from(!idempotent);
            return;
        }
        copies.stored = 1;
        copies.first_ms = now_ms;
        let mut marks = Mark::find_all(body);
        marks.dedup();
        match marks.as_slice() {
            [mark] => {
                copies.mark = Some(*mark);
                self.marks.entry((Arc::clone(stream), *mark)).or_default().insert(id);
            }
            _ => self.unmarked.push((Arc::clone(stream), String::from_utf8_lossy(body).into_owned())),
        }
    }

    pub fn excuse(&mut self, stream: &Arc<str>, id: u128) {
        if let Some(copies) = self.events.get_mut(&(Arc::clone(stream), id)) {
            copies.excused += 1;
        }
    }

    pub fn has(&self, stream: &Arc<str>, id: u128) -> bool {
        self.events.contains_key(&(Arc::clone(stream), id))
    }
}

/// All sinks' far sides, by sink.
#[derive(Clone, Default)]
pub struct Far(Arc<Mutex<BTreeMap<&'static str, Heap>>>);

impl Far {
    pub fn all(&self) -> MutexGuard<'_, BTreeMap<&'static str, Heap>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
