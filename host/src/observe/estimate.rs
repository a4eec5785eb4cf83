//! How much longer work takes, by how fast it went.

use std::time::Duration;

/// What is so long ago weighs e times less than the present: speed changes with the vendor, its quotas and the hour of the day
/// that is read.
const MEMORY: f64 = 60.0;

/// Before so many seconds have been watched nothing is said: the first chunks tell more of the connection than of the work.
const WATCHED: f64 = 3.0;

/// What would take longer than so many seconds, a year, is as good as unknown.
const LONGEST: f64 = 365.0 * 86_400.0;

/// Learns from how much is left, time and again, how long that will take. The first look is where it begins: what was done
/// before, or was not there to be done, is nobody's speed.
#[derive(Debug, Clone, Default)]
pub struct Estimate {
    last: Option<(f64, f64)>,
    /// Seconds since the first look.
    watched: f64,
    /// What was done, and in how many seconds; what is long ago has faded from both.
    done: f64,
    seconds: f64,
}

impl Estimate {
    /// At this time (since any moment that stays the same) so much is `left`, in any unit that stays the same. It may grow, as
    /// when the end moves on.
    pub fn see(&mut self, at: Duration, left: f64) {
        let at = at.as_secs_f64();
        if let Some((before, known)) = self.last {
            let passed = (at - before).max(0.0);
            let fade = (-passed / MEMORY).exp();
            self.done = self.done * fade + (known - left);
            self.seconds = self.seconds * fade + passed;
            self.watched += passed;
        }
        self.last = Some((at, left));
    }

    /// How long what is left takes at this speed; none while too little is known, and when nothing gets done.
    pub fn remaining(&self) -> Option<Duration> {
        let (_, left) = self.last?;
        if left <= 0.0 {
            return Some(Duration::ZERO);
        }
        let known = self.watched >= WATCHED && self.done > 0.0;
        let seconds = left * self.seconds / self.done;
        (known && seconds < LONGEST).then(|| Duration::from_secs_f64(seconds))
    }
}

/// Up to which time a stream has been read, by when its newest event happened. Many vendors' lists begin with the newest event
/// of a window: the newest says that what was newest before it is done, and nothing of what lies between.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reached {
    newest: Option<u64>,
    done: Option<u64>,
}

impl Reached {
    /// Takes in when the newest event happened that was read so far, and gives up to when all is read; none before that can be
    /// said.
    pub fn see(&mut self, newest: Option<u64>) -> Option<u64> {
        if newest > self.newest {
            (self.done, self.newest) = (self.newest, newest);
        }
        self.done
    }
}

/// A time as people say it: of what is large, the small is left out.
pub fn roughly(time: Duration) -> String {
    let seconds = time.as_secs_f64().ceil() as u64;
    let (minutes, hours, days) = (seconds.div_ceil(60), seconds / 3_600, seconds / 86_400);
    let and = |large: u64, name: &str, small: u64, small_name: &str| match small {
        0 => format!("{large} {name}"),
        small => format!("{large} {name} {small} {small_name}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min"),
        3_600..86_400 => and(hours, "h", seconds % 3_600 / 60, "min"),
        _ => and(days, "d", seconds % 86_400 / 3_600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn whole(estimate: &Estimate) -> Option<u64> {
        estimate.remaining().map(|left| left.as_secs_f64().round() as u64)
    }

    #[test]
    fn it_is_unknown_until_there_is_something_to_go_by() {
        let mut estimate = Estimate::default();
        assert_eq!(estimate.remaining(), None);
        // Nine tenths were done before: that is no speed.
        estimate.see(secs(100), 0.1);
        assert_eq!(estimate.remaining(), None);
        estimate.see(secs(102), 0.09);
        assert_eq!(estimate.remaining(), None, "two seconds are too few");
        estimate.see(secs(104), 0.08);
        assert_eq!(whole(&estimate), Some(16));
        let mut stuck = Estimate::default();
        (0..100).for_each(|at| stuck.see(secs(at), 5.0));
        assert_eq!(stuck.remaining(), None, "nothing gets done");
        stuck.see(secs(101), 4.999_999);
        assert_eq!(stuck.remaining(), None, "it would take years");
        stuck.see(secs(102), 0.0);
        assert_eq!(stuck.remaining(), Some(Duration::ZERO));
    }

    #[test]
    fn a_steady_speed_is_told_as_it_is_however_seldom_one_looks() {
        for step in [1, 7, 600] {
            let mut estimate = Estimate::default();
            (0..=20).for_each(|look| estimate.see(secs(look * step), 1_000_000.0 - (look * step) as f64 * 10.0));
            assert_eq!(whole(&estimate), Some(100_000 - 20 * step));
        }
    }

    #[test]
    fn it_follows_another_speed_without_a_jump() {
        let mut estimate = Estimate::default();
        (0..=300).for_each(|at| estimate.see(secs(at), 10_000.0 - at as f64 * 10.0));
        let before = whole(&estimate).unwrap();
        // Chunks come in lumps: a second without one changes little.
        estimate.see(secs(301), 7_000.0);
        let after = whole(&estimate).unwrap();
        assert!(before == 700 && after > before && after < before + 30, "{before} {after}");
        // Half as fast for five minutes.
        (1..=300).for_each(|at| estimate.see(secs(301 + at), 7_000.0 - at as f64 * 5.0));
        let left = whole(&estimate).unwrap();
        assert!((1_080..=1_100).contains(&left), "{left}");
    }

    #[test]
    fn an_end_that_runs_away_has_no_time() {
        let mut estimate = Estimate::default();
        (0..60).for_each(|at| estimate.see(secs(at), 1_000.0 + at as f64));
        assert_eq!(estimate.remaining(), None);
        (60..400).for_each(|at| estimate.see(secs(at), 1_060.0 - (at - 60) as f64));
        let left = whole(&estimate).unwrap();
        assert!((700..740).contains(&left), "{left}");
    }

    #[test]
    fn of_a_window_that_is_read_backwards_nothing_is_said_before_its_end() {
        let mut reached = Reached::default();
        let newest = [None, Some(100), Some(100), Some(200), Some(200), Some(300), Some(301)];
        let done = newest.map(|newest| reached.see(newest));
        assert_eq!(done, [None, None, None, Some(100), Some(100), Some(200), Some(300)]);
    }

    #[test]
    fn words() {
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "2 min"),
            (3_600, "1 h"),
            (3_660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
            (864_000, "10 d"),
        ] {
            assert_eq!(roughly(secs(seconds)), words);
        }
    }
}
