//! When a stream is polled: at an interval from start to start, at a phase of its own.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

/// How far the first polls are spread, for each stream of the host: fifty begin in a second.
const SPREAD: Duration = Duration::from_millis(20);

/// The intervals of one stream.
#[derive(Debug, Clone)]
pub struct Schedule {
    interval: Duration,
    first: Instant,
}

impl Schedule {
    /// For a stream of `source`, in a host that runs `streams`. The phase is a hash of the names, so it is the same
    /// after each restart, and different streams do not poll at one moment.
    pub fn new(source: &str, stream: &str, interval: Duration, streams: usize, now: Instant) -> Self {
        // `DefaultHasher::new` has no random keys: the same names give the same phase.
        let mut hasher = DefaultHasher::new();
        (source, stream).hash(&mut hasher);
        let spread = SPREAD.saturating_mul(u32::try_from(streams).unwrap_or(u32::MAX)).min(interval / 10);
        let phase = spread.mul_f64((hasher.finish() >> 11) as f64 / (1u64 << 53) as f64);
        Self { interval, first: now + phase }
    }

    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// The first poll.
    pub fn first(&self) -> Instant {
        self.first
    }

    /// The poll after one that began at `started`; at once, if that took longer than the interval.
    pub fn after(&self, started: Instant, now: Instant) -> Instant {
        (started + self.interval).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn intervals_run_from_start_to_start() {
        let now = Instant::now();
        let schedule = Schedule::new("s", "audit", MINUTE, 1, now);
        assert_eq!(schedule.after(now, now + MINUTE / 2), now + MINUTE);
        assert_eq!(schedule.after(now, now + 2 * MINUTE), now + 2 * MINUTE);
    }

    #[tokio::test(start_paused = true)]
    async fn first_polls_are_spread_and_stay_where_they_are() {
        let now = Instant::now();
        let first = |stream: usize| Schedule::new("s", &stream.to_string(), MINUTE, 100, now).first() - now;
        let phases: Vec<_> = (0..100).map(first).collect();
        assert!(phases.iter().all(|phase| *phase < Duration::from_secs(2)));
        let early = phases.iter().filter(|phase| **phase < Duration::from_secs(1)).count();
        assert!((30..70).contains(&early), "{early} of 100 in the first half");
        assert_eq!(phases, (0..100).map(first).collect::<Vec<_>>());
        // One stream alone does not wait.
        assert!(Schedule::new("s", "1", MINUTE, 1, now).first() - now <= SPREAD);
    }
}
