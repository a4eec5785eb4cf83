//! How many events a stream brings in a minute, over the last minutes.

/// Seconds of a slot, and how many are kept: eight to ten minutes, in 28 bytes for each of forty thousand streams.
const SLOT: u64 = 120;
const SLOTS: usize = 5;

/// A younger stream is taken to have counted for so long: one event after a second is not sixty a minute.
const LEAST: u64 = 60;

/// See the module. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// When the first were counted, in seconds since the Unix epoch.
    begun: u32,
    /// The number of the newest slot.
    slot: u32,
    /// Newest first.
    counts: [u32; SLOTS],
}

impl Rate {
    /// Counts events that came at `at_ms`.
    pub fn count(&mut self, events: u64, at_ms: u64) {
        if events == 0 {
            return;
        }
        let seconds = at_ms / 1_000;
        if *self == Self::default() {
            self.begun = short(seconds);
        }
        self.turn(short(seconds / SLOT));
        self.counts[0] = self.counts[0].saturating_add(short(events));
    }

    /// Events a minute, as seen at `now_ms`.
    pub fn per_minute(&self, now_ms: u64) -> f64 {
        let seconds = now_ms / 1_000;
        let mut now = *self;
        now.turn(short(seconds / SLOT));
        let events: u64 = now.counts.iter().map(|count| u64::from(*count)).sum();
        let kept = seconds % SLOT + (SLOTS as u64 - 1) * SLOT;
        let counted = kept.min(seconds.saturating_sub(self.begun.into())).max(LEAST);
        events as f64 * 60.0 / counted as f64
    }

    /// Goes on to a slot. A clock that was set back goes on counting in the newest.
    fn turn(&mut self, slot: u32) {
        let passed = (slot.saturating_sub(self.slot) as usize).min(SLOTS);
        self.counts.copy_within(..SLOTS - passed, passed);
        self.counts[..passed].fill(0);
        self.slot = self.slot.max(slot);
    }
}

fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A moment at the beginning of a slot.
    const BEGIN: u64 = 1_795_000_080_000;

    #[test]
    fn it_is_an_average_of_the_last_minutes() {
        assert_eq!(BEGIN % (SLOT * 1_000), 0);
        let (mut rate, minute) = (Rate::default(), 60_000);
        assert_eq!(rate.per_minute(BEGIN), 0.0);
        rate.count(0, BEGIN);
        assert_eq!(rate, Rate::default());
        rate.count(30, BEGIN);
        // Not more than came in all.
        assert_eq!(rate.per_minute(BEGIN), 30.0);
        assert_eq!(rate.per_minute(BEGIN + 3 * minute), 10.0);
        (1..60).for_each(|passed| rate.count(30, BEGIN + passed * minute));
        let now = BEGIN + 59 * minute + 59_999;
        assert!((rate.per_minute(now) - 30.0).abs() < 0.1, "{}", rate.per_minute(now));
        // And then nothing more.
        assert!(rate.per_minute(now + 5 * minute) < 20.0);
        assert_eq!(rate.per_minute(now + 10 * minute), 0.0);
    }

    #[test]
    fn a_clock_that_is_set_back_loses_nothing() {
        let mut rate = Rate::default();
        rate.count(5, BEGIN);
        rate.count(5, BEGIN - 3_600_000);
        assert_eq!(rate.per_minute(BEGIN), 10.0);
        assert_eq!(rate.per_minute(0), 10.0);
        rate.count(u64::MAX, BEGIN);
        assert!(rate.per_minute(BEGIN).is_finite());
    }
}
