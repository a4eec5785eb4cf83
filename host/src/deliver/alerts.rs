//! Which alerts of a source each sink was given already: each key passes once in a window, counted from when it first did.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Batch, EventId, Head};
use crate::state::{Sighting, Sightings};

/// The keys of one source, by sink. All its streams share them: an alert is often told by several. Its clones are one.
#[derive(Debug, Clone)]
pub struct Alerts(Arc<Mutex<Seen>>);

#[derive(Debug)]
struct Seen {
    window_ms: u64,
    /// Whether what an earlier run saw is known.
    loaded: bool,
    /// Whether it is stored.
    is_kept: bool,
    sinks: BTreeMap<Arc<str>, Keys>,
    /// What counts for all sinks: earlier releases did not tell them apart.
    all: Keys,
}

#[derive(Debug, Default)]
struct Keys {
    keys: HashSet<EventId>,
    /// When each was first seen, the oldest first.
    ages: VecDeque<(u64, EventId)>,
}

/// Some of the events of one batch.
#[derive(Debug, Default)]
pub struct Chosen(BTreeSet<EventId>);

impl Chosen {
    /// Of each key for which `is_new` says so, the first event of the batch.
    fn first_of(batch: &Batch, mut is_new: impl FnMut(EventId) -> bool) -> Self {
        let mut keys = BTreeSet::new();
        let alerts = batch.events.iter().filter_map(|head| Some((head.alert_key?, head.id)));
        Self(alerts.filter(|(key, _)| keys.insert(*key) && is_new(*key)).map(|(_, id)| id).collect())
    }

    pub fn has(&self, head: &Head) -> bool {
        self.0.contains(&head.id)
    }
}

impl Alerts {
    pub fn new(window: Duration) -> Self {
        let (sinks, all) = (BTreeMap::new(), Keys::default());
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Self(Arc::new(Mutex::new(Seen { window_ms, loaded: false, is_kept: true, sinks, all })))
    }

    /// Apart from those of the stream itself, and not to be stored.
    pub fn of_replay(window: Duration) -> Self {
        let alerts = Self::new(window);
        let mut seen = alerts.lock();
        (seen.loaded, seen.is_kept) = (true, false);
        drop(seen);
        alerts
    }

    /// The same with another window; what it needs of an earlier run is to be [loaded](Self::load) again.
    pub fn within(self, window: Duration) -> Self {
        let mut seen = self.lock();
        (seen.window_ms, seen.loaded) = (u64::try_from(window.as_millis()).unwrap_or(u64::MAX), false);
        drop(seen);
        self
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
    pub fn load(&self, sightings: Vec<Sighting>) {
        let mut seen = self.lock();
        if std::mem::replace(&mut seen.loaded, true) {
            return;
        }
        for Sighting { key, at_ms, sink } in sightings {
            match sink {
                Some(sink) => seen.sinks.entry(sink).or_default().note(key, at_ms),
                None => seen.all.note(key, at_ms),
            };
        }
        let Seen { sinks, all, .. } = &mut *seen;
        for keys in sinks.values_mut().chain([all]) {
            keys.ages.make_contiguous().sort_unstable();
        }
    }

    /// Events of alerts that `sink` has not seen in their windows. Nothing is noted.
    pub fn unseen(&self, sink: &str, batch: &Batch, now_ms: u64) -> Chosen {
        let mut seen = self.lock();
        seen.forget(now_ms);
        let is_new = |key| !seen.knows(sink, key);
        let events = batch.events.iter().filter(|head| head.alert_key.is_some_and(is_new));
        Chosen(events.map(|head| head.id).collect())
    }

    /// The events with which `batch` shows `sink` alerts for the first time in their windows. They are known from now on.
    pub fn first(&self, sink: &Arc<str>, batch: &Batch, now_ms: u64) -> (Chosen, Vec<Sighting>) {
        let (mut seen, mut sightings) = (self.lock(), Vec::new());
        seen.forget(now_ms);
        let first = Chosen::first_of(batch, |key| {
            let is_new = !seen.knows(sink, key);
            if is_new {
                seen.sinks.entry(Arc::clone(sink)).or_default().note(key, now_ms);
                sightings.push(Sighting { key, at_ms: now_ms, sink: Some(Arc::clone(sink)) });
            }
            is_new
        });
        (first, if seen.is_kept { sightings } else { Vec::new() })
    }

    /// What is to be stored of `seen`.
    pub fn sightings(&self, seen: Vec<Sighting>, now_ms: u64) -> Sightings {
        Sightings { since_ms: now_ms.saturating_sub(self.lock().window_ms), seen }
    }
}

impl Seen {
    fn knows(&self, sink: &str, key: EventId) -> bool {
        self.all.keys.contains(&key) || self.sinks.get(sink).is_some_and(|keys| keys.keys.contains(&key))
    }

    fn forget(&mut self, now_ms: u64) {
        let before_ms = now_ms.checked_sub(self.window_ms);
        for keys in self.sinks.values_mut().chain([&mut self.all]) {
            keys.forget(before_ms);
        }
        self.sinks.retain(|_, keys| !keys.ages.is_empty());
    }
}

impl Keys {
    fn note(&mut self, key: EventId, at_ms: u64) {
        if self.keys.insert(key) {
            self.ages.push_back((at_ms, key));
        }
    }

    /// Forgets those of `until_ms` and before.
    fn forget(&mut self, until_ms: Option<u64>) {
        while let Some((at, key)) = self.ages.front().copied()
            && until_ms.is_some_and(|until| at <= until)
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

    fn first(alerts: &Alerts, sink: &str, batch: &Batch, now_ms: u64) -> Vec<bool> {
        let unseen = alerts.unseen(sink, batch, now_ms);
        let (first, sightings) = alerts.first(&sink.into(), batch, now_ms);
        let passes: Vec<bool> = batch.events.iter().map(|head| first.has(head)).collect();
        assert_eq!(sightings.len(), passes.iter().filter(|passes| **passes).count());
        assert!(batch.events.iter().all(|head| unseen.has(head) || !first.has(head)));
        passes
    }

    fn sighting(key: EventId, at_ms: u64, sink: Option<&str>) -> Sighting {
        Sighting { key, at_ms, sink: sink.map(Into::into) }
    }

    #[test]
    fn once_in_a_window_from_the_first_sight() {
        let known = Alerts::new(Duration::from_millis(100));
        let batch = alerts(&[Some(1), None, Some(1), Some(2)]);
        assert_eq!(first(&known, "a", &batch, 1000), [true, false, false, true]);
        assert_eq!(first(&known, "a", &alerts(&[Some(1)]), 1099), [false], "seen again, the window does not grow");
        assert_eq!(first(&known, "b", &alerts(&[Some(1)]), 1099), [true], "another sink has not seen it");
        assert_eq!(first(&known, "a", &alerts(&[Some(1), Some(2)]), 1100), [true, true]);
        assert_eq!(first(&known, "b", &alerts(&[Some(1), Some(2)]), 1100), [false, true]);
    }

    #[test]
    fn an_earlier_run_counts() {
        let known = Alerts::new(Duration::from_millis(100));
        assert_eq!(known.wants(1050), Some(950));
        known.load(vec![sighting(2, 1040, Some("a")), sighting(1, 951, None)]);
        assert_eq!(known.wants(1050), None);
        assert_eq!(first(&known, "a", &alerts(&[Some(1), Some(2), Some(3)]), 1050), [false, false, true]);
        assert_eq!(first(&known, "b", &alerts(&[Some(1), Some(2), Some(3)]), 1050), [false, true, true]);
        assert_eq!(first(&known, "a", &alerts(&[Some(1), Some(2)]), 1051), [true, false]);
    }

    #[test]
    fn another_window_forgets_nothing_that_is_on_its_way() {
        let known = Alerts::new(Duration::from_millis(100));
        known.load(Vec::new());
        assert_eq!(first(&known, "a", &alerts(&[Some(1)]), 1000), [true]);
        let known = known.within(Duration::from_millis(200));
        assert_eq!(known.wants(1050), Some(850));
        known.load(vec![sighting(2, 900, Some("a"))]);
        assert_eq!(first(&known, "a", &alerts(&[Some(1), Some(2)]), 1099), [false, false]);
        assert_eq!(first(&known, "a", &alerts(&[Some(1), Some(2)]), 1100), [false, true]);
        assert_eq!(first(&known, "a", &alerts(&[Some(1), Some(2)]), 1200), [true, false]);
    }

    #[test]
    fn what_is_too_old_takes_no_memory() {
        let known = Alerts::new(Duration::from_millis(100));
        known.load(vec![sighting(1, 1, None)]);
        for now_ms in (1000..100_000).step_by(10) {
            first(&known, &format!("sink-{}", now_ms % 1000), &alerts(&[Some(now_ms.into())]), now_ms);
        }
        let seen = known.lock();
        let keys = |keys: &Keys| (keys.keys.len(), keys.ages.len());
        assert_eq!((keys(&seen.all), seen.sinks.len()), ((0, 0), 10));
        assert!(seen.sinks.values().all(|of_sink| keys(of_sink) == (1, 1)));
    }
}
