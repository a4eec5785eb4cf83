//! Which alerts of a source were seen already: each key passes once in a window, counted from when it was first seen.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Batch, EventId, Head};
use crate::state::Sightings;

/// The keys of one source. All its streams share them: an alert is often told by several. Its clones are one.
#[derive(Debug, Clone)]
pub struct Alerts(Arc<Mutex<Seen>>);

#[derive(Debug)]
struct Seen {
    window_ms: u64,
    /// Whether what an earlier run saw is known.
    loaded: bool,
    /// Whether it is stored.
    is_kept: bool,
    keys: HashMap<EventId, u64>,
    /// The same, oldest first.
    ages: VecDeque<(u64, EventId)>,
}

/// An alert key, and when it was first seen, in milliseconds since the Unix epoch.
pub type Sighting = (EventId, u64);

/// Of one batch, the events with which an alert is seen for the first time.
#[derive(Debug, Default)]
pub struct First(BTreeSet<EventId>);

impl First {
    /// Of each key for which `is_new` says so, the first event of the batch.
    pub fn of(batch: &Batch, mut is_new: impl FnMut(EventId) -> bool) -> Self {
        let mut keys = BTreeSet::new();
        let alerts = batch.events.iter().filter_map(|head| Some((head.alert_key?, head.id)));
        Self(alerts.filter(|(key, _)| keys.insert(*key) && is_new(*key)).map(|(_, id)| id).collect())
    }

    pub fn is_first(&self, head: &Head) -> bool {
        head.alert_key.is_some() && self.0.contains(&head.id)
    }
}

impl Alerts {
    pub fn new(window: Duration) -> Self {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let (keys, ages) = (HashMap::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(Seen { window_ms, loaded: false, is_kept: true, keys, ages })))
    }

    /// Apart from those of the stream itself, and not to be stored.
    pub fn of_replay(window: Duration) -> Self {
        let alerts = Self::new(window);
        let mut seen = alerts.lock();
        (seen.loaded, seen.is_kept) = (true, false);
        drop(seen);
        alerts
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when sightings are needed, if an earlier run's are not known yet.
    pub fn wants(&self, now_ms: u64) -> Option<u64> {
        let seen = self.lock();
        (!seen.loaded).then(|| now_ms.saturating_sub(seen.window_ms))
    }

    /// Takes up what an earlier run saw.
    pub fn load(&self, mut sightings: Vec<Sighting>) {
        let mut seen = self.lock();
        if std::mem::replace(&mut seen.loaded, true) {
            return;
        }
        sightings.sort_by_key(|(_, at)| *at);
        for (key, at) in sightings {
            seen.note(key, at);
        }
    }

    /// The alerts that `batch` shows for the first time in their windows. They are known from now on.
    pub fn first(&self, batch: &Batch, now_ms: u64) -> (First, Sightings) {
        let (mut seen, mut sightings) = (self.lock(), Vec::new());
        seen.forget(now_ms);
        let first = First::of(batch, |key| {
            let is_new = seen.note(key, now_ms);
            if is_new {
                sightings.push((key, now_ms));
            }
            is_new
        });
        let seen_ms = if seen.is_kept { sightings } else { Vec::new() };
        (first, Sightings { since_ms: now_ms.saturating_sub(seen.window_ms), seen: seen_ms })
    }
}

impl Seen {
    fn note(&mut self, key: EventId, at_ms: u64) -> bool {
        let is_new = !self.keys.contains_key(&key);
        if is_new {
            self.keys.insert(key, at_ms);
            self.ages.push_back((at_ms, key));
        }
        is_new
    }

    fn forget(&mut self, now_ms: u64) {
        while let Some((at, key)) = self.ages.front().copied()
            && at.saturating_add(self.window_ms) <= now_ms
        {
            self.ages.pop_front();
            self.keys.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::tests::batch;

    fn alerts(keys: &[Option<u128>]) -> Batch {
        let lines = vec!["{}"; keys.len()];
        let mut batch = Batch::clone(&batch("t", "s", &lines));
        for (head, key) in batch.events.iter_mut().zip(keys) {
            head.alert_key = *key;
        }
        batch
    }

    fn first(alerts: &Alerts, batch: &Batch, now_ms: u64) -> Vec<bool> {
        let (first, sightings) = alerts.first(batch, now_ms);
        let passes: Vec<bool> = batch.events.iter().map(|head| first.is_first(head)).collect();
        assert_eq!(sightings.seen.len(), passes.iter().filter(|passes| **passes).count());
        passes
    }

    #[test]
    fn once_in_a_window_from_the_first_sight() {
        let known = Alerts::new(Duration::from_millis(100));
        let batch = alerts(&[Some(1), None, Some(1), Some(2)]);
        assert_eq!(first(&known, &batch, 1000), [true, false, false, true]);
        assert_eq!(first(&known, &alerts(&[Some(1)]), 1099), [false], "seen again, the window does not grow");
        assert_eq!(first(&known, &alerts(&[Some(1), Some(2)]), 1100), [true, true]);
    }

    #[test]
    fn an_earlier_run_counts() {
        let known = Alerts::new(Duration::from_millis(100));
        assert_eq!(known.wants(1050), Some(950));
        known.load(vec![(2, 1040), (1, 951)]);
        assert_eq!(known.wants(1050), None);
        assert_eq!(first(&known, &alerts(&[Some(1), Some(2), Some(3)]), 1050), [false, false, true]);
        assert_eq!(first(&known, &alerts(&[Some(1), Some(2)]), 1051), [true, false]);
    }
}
