//! How fast one sink is given deliveries: how many at a time, and how long it is left alone after trouble.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::outside::Random;
use crate::sinks::{Concurrency, Retry};

/// No far side is waited for longer, whatever it says: somebody may have mended it.
const LONGEST: Duration = Duration::from_secs(3600);

/// Deliveries that take so many times as long as usual mean that there are too many of them.
const SLOW: f64 = 3.0;

/// How much the newest delivery counts in what is usual.
const NEWEST: f64 = 0.1;

/// See the module. It adapts as TCP does: one more for each round that went well, half as many after trouble.
pub struct Pace {
    concurrency: Concurrency,
    /// So many may be under way, and parts of one.
    limit: f64,
    /// Seconds that a delivery usually takes; unknown at first.
    usual: Option<f64>,
    backoff: Backoff,
    /// Until then it is left alone.
    pause: Option<Instant>,
}

impl Pace {
    pub fn new(concurrency: Concurrency) -> Self {
        let limit = match concurrency {
            Concurrency::Fixed(limit) => limit.max(1) as f64,
            Concurrency::Adaptive(_) => 1.0,
        };
        Self { concurrency, limit, usual: None, backoff: Backoff::default(), pause: None }
    }

    /// Whether one more may begin beside those that are `flying`.
    pub fn allows(&self, flying: usize) -> bool {
        flying < self.limit as usize && self.pause().is_none()
    }

    /// When it may be tried again, if it is left alone after trouble.
    pub fn pause(&self) -> Option<Instant> {
        self.pause.filter(|until| *until > Instant::now())
    }

    /// A delivery was answered in `took`, beside others so that `flying` were under way.
    pub fn went_well(&mut self, took: Duration, flying: usize) {
        // One that began before the trouble says nothing of now.
        if self.pause().is_none() {
            self.backoff.reset();
            self.pause = None;
        }
        let Concurrency::Adaptive(most) = self.concurrency else { return };
        let took = took.as_secs_f64();
        let usual = *self.usual.get_or_insert(took);
        if took > usual * SLOW && self.limit > 1.0 {
            self.limit = (self.limit * 0.9).max(1.0);
        } else if flying >= self.limit as usize {
            self.limit = (self.limit + 1.0 / self.limit).min(most.max(1) as f64);
        }
        self.usual = Some(usual + NEWEST * (took - usual));
    }

    /// One failed: how long the sink is left alone. Several that fail together are one failure.
    pub fn failed(&mut self, retry: Retry, random: &Random) -> Duration {
        let now = Instant::now();
        let paused = self.pause.filter(|until| *until > now);
        if matches!((self.concurrency, paused), (Concurrency::Adaptive(_), None)) {
            self.limit = (self.limit / 2.0).max(1.0);
        }
        let until = match (retry, paused) {
            // All that were told the same do not come at the same moment.
            (Retry::After(wait), _) => now + wait.min(LONGEST) + random.up_to(Backoff::FIRST),
            (Retry::Later | Retry::Smaller, Some(until)) => until,
            (Retry::Later | Retry::Smaller, None) => now + self.backoff.next(random),
        };
        // What the far side asks for holds, whichever of them heard it.
        let until = paused.map_or(until, |pause| pause.max(until));
        self.pause = Some(until);
        until - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn more_while_it_goes_well_and_half_after_trouble() {
        let random = Random::seeded(1);
        let mut pace = Pace::new(Concurrency::Adaptive(8));
        assert!(pace.allows(0) && !pace.allows(1));
        for _ in 0..100 {
            pace.went_well(TENTH, 8);
        }
        assert!(pace.allows(7) && !pace.allows(8));
        pace.failed(Retry::Later, &random);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(pace.allows(3) && !pace.allows(4));
        for _ in 0..3 {
            pace.went_well(10 * TENTH, 4);
        }
        assert!(!pace.allows(3), "answers that are late mean too many");
        let mut fixed = Pace::new(Concurrency::Fixed(2));
        fixed.went_well(TENTH, 2);
        assert!(fixed.allows(1) && !fixed.allows(2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_use_the_limit_does_not_raise_it() {
        let mut pace = Pace::new(Concurrency::Adaptive(8));
        (0..10).for_each(|_| pace.went_well(TENTH, 1));
        assert!(pace.allows(1));
        let limit = pace.limit;
        (0..10).for_each(|_| pace.went_well(TENTH, 1));
        assert!(pace.limit <= limit.max(2.0), "{}", pace.limit);
    }

    #[tokio::test(start_paused = true)]
    async fn the_far_side_says_when() {
        let random = Random::seeded(1);
        let mut pace = Pace::new(Concurrency::Fixed(4));
        let wait = pace.failed(Retry::After(Duration::from_secs(30)), &random);
        assert!(wait >= Duration::from_secs(30) && wait <= Duration::from_secs(31), "{wait:?}");
        assert_eq!(pace.failed(Retry::Later, &random), wait, "those that were under way too are the same failure");
        assert!(!pace.allows(0));
        tokio::time::sleep(wait).await;
        assert!(pace.allows(0));
        assert!(pace.failed(Retry::After(Duration::MAX), &random) <= LONGEST + Backoff::FIRST);
    }
    #[tokio::test(start_paused = true)]
    async fn a_longer_wait_that_comes_late_is_heard_too() {
        let random = Random::seeded(1);
        let mut pace = Pace::new(Concurrency::Adaptive(4));
        (0..100).for_each(|_| pace.went_well(TENTH, 4));
        let short = pace.failed(Retry::Later, &random);
        assert!(short <= Backoff::FIRST);
        let long = pace.failed(Retry::After(Duration::from_secs(90)), &random);
        assert!(long >= Duration::from_secs(90), "{long:?}");
        assert_eq!(pace.failed(Retry::After(Duration::from_secs(5)), &random), long, "but no shorter one");
        tokio::time::sleep(long).await;
        assert!(pace.allows(1) && !pace.allows(2), "all of it is one failure");
    }
}
