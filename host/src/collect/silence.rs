//! Whether a stream has fallen silent: it brings nothing, though at this time yesterday it did.

/// Milliseconds of an hour.
const HOUR: u64 = 3_600_000;

/// For how many hours nothing must have come. One more is looked at, since the first of them has only begun.
const SILENT: u32 = 6;
/// As many hours as this lie between the same times of two days.
const DAY: u32 = 24;

/// The hours, of the last 32, in which a stream brought anything new: eight bytes for each of forty thousand streams. Times
/// are milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hours {
    /// The newest, counted from the Unix epoch.
    newest: u32,
    /// The newest is the lowest bit.
    bits: u32,
}

impl Hours {
    /// Something new came at `at_ms`.
    pub fn heard(&mut self, at_ms: u64) {
        let hour = hour(at_ms);
        let passed = hour.saturating_sub(self.newest);
        // A clock that was set back goes on in the newest hour.
        self.bits = self.bits.checked_shl(passed).unwrap_or(0) | 1;
        self.newest = self.newest.max(hour);
    }

    /// Whether nothing came for six hours before `now_ms`, and something did in the six hours before this time yesterday. In
    /// the first day of the process nobody knows that.
    pub fn fell_silent(&self, now_ms: u64) -> bool {
        let bits = self.bits.checked_shl(hour(now_ms).saturating_sub(self.newest)).unwrap_or(0);
        let hours = (1 << (SILENT + 1)) - 1;
        bits & hours == 0 && bits & (hours << DAY) != 0
    }
}

fn hour(ms: u64) -> u32 {
    u32::try_from(ms / HOUR).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::collect::Board;
    use crate::observe::Health;
    use crate::outside::Clock;

    const START: u64 = 495_000 * HOUR;

    /// After something came in each of these hours.
    fn heard(hours: impl IntoIterator<Item = u64>) -> Hours {
        let mut heard = Hours::default();
        hours.into_iter().for_each(|hour| heard.heard(START + hour * HOUR + 1));
        heard
    }

    fn silent_at(hours: Hours) -> Vec<u64> {
        (0..80).filter(|hour| hours.fell_silent(START + hour * HOUR)).collect()
    }

    #[test]
    fn silence_is_told_against_the_day_before() {
        assert_eq!(silent_at(heard(0..20)), (26..=49).collect::<Vec<_>>(), "it ended, and a day later that is usual");
        assert_eq!(silent_at(heard(0..72)), Vec::<u64>::from_iter(78..80), "not while it goes on");
        assert_eq!(silent_at(heard([0, 8])), (24..=30).chain(32..=38).collect::<Vec<_>>(), "rare");
        assert_eq!(silent_at(heard([0, 24])), Vec::<u64>::from_iter(48..=54), "once a day, at the same hour");
        assert_eq!(silent_at(Hours::default()), Vec::<u64>::new(), "one that never brought anything");
    }

    #[test]
    fn a_clock_that_is_set_back_breaks_nothing() {
        let mut hours = heard([50]);
        hours.heard(START);
        assert_eq!(hours, heard([50]));
        hours.heard(u64::MAX);
        assert!(!hours.fell_silent(0) && !hours.fell_silent(u64::MAX));
    }

    /// Polled once in an hour or less often, it does not seem unread between two polls.
    #[test]
    fn what_is_read_as_often_as_it_should_be_is_known_to_be_silent() {
        let board = Board::new(Health::new(Clock::System));
        let entry = board.entry(&"acme".into(), &"acme".into(), &"threat-intel".into());
        let now = START + 40 * HOUR;
        for (interval, known_for) in [(HOUR / 12, HOUR), (HOUR, 2 * HOUR), (3 * HOUR, 6 * HOUR)] {
            let is_silent = |ago: u64| {
                entry.update(|status| {
                    (status.hours, status.interval) = (heard(0..20), Duration::from_millis(interval));
                    status.succeeded_ms = Some(now - ago);
                });
                board.all()[0].fell_silent(now * 1_000_000)
            };
            assert!(is_silent(0) && is_silent(interval + 1) && is_silent(known_for - 1), "{interval}");
            assert!(!is_silent(known_for), "{interval}");
        }
    }
}
