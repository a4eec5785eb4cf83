//! Keeps a line that repeats itself from drowning the others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A line is said once in this time.
const WINDOW: Duration = Duration::from_secs(10);
/// Lines that are remembered; beyond it, those whose window is over are forgotten.
const REMEMBERED: usize = 4096;

/// Says which lines to log: each once in ten seconds, with the number of those left out since the last time.
///
/// ```
/// # use tributary_host::observe::Repeats;
/// # let repeats = Repeats::default();
/// if let Some(suppressed) = repeats.admit("acme/siem: http-503") {
///     tracing::warn!(source = "acme", suppressed, "Mail service answers 503");
/// }
/// ```
#[derive(Debug, Default)]
pub struct Repeats {
    lines: Mutex<HashMap<String, Line>>,
}

#[derive(Debug)]
struct Line {
    said: Instant,
    suppressed: u64,
}

impl Repeats {
    /// `None` if the line that `line` names was said less than ten seconds ago; otherwise how often it was left out
    /// since. Nothing that changes with each time belongs into the name.
    pub fn admit(&self, line: &str) -> Option<u64> {
        self.admit_at(line, WINDOW, Instant::now())
    }

    /// The same, for a line that is said less often.
    pub fn admit_every(&self, window: Duration, line: &str) -> Option<u64> {
        self.admit_at(line, window, Instant::now())
    }

    /// The lines whose window is over and that were left out, with how often: to be said in a summary.
    pub fn overdue(&self) -> Vec<(String, u64)> {
        self.overdue_at(Instant::now())
    }

    fn admit_at(&self, line: &str, window: Duration, now: Instant) -> Option<u64> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.get_mut(line) {
            Some(known) if now.duration_since(known.said) < window => {
                known.suppressed += 1;
                None
            }
            Some(known) => {
                known.said = now;
                Some(std::mem::take(&mut known.suppressed))
            }
            None => {
                if lines.len() >= REMEMBERED {
                    lines.retain(|_, known| now.duration_since(known.said) < WINDOW);
                }
                lines.insert(line.to_owned(), Line { said: now, suppressed: 0 });
                Some(0)
            }
        }
    }

    fn overdue_at(&self, now: Instant) -> Vec<(String, u64)> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut overdue = Vec::new();
        lines.retain(|line, known| {
            let over = now.duration_since(known.said) >= WINDOW;
            if over && known.suppressed > 0 {
                overdue.push((line.clone(), known.suppressed));
            }
            !over
        });
        overdue.sort_unstable();
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_in_ten_seconds_with_a_count() {
        let repeats = Repeats::default();
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(repeats.admit_at("a", WINDOW, at(0)), Some(0));
        assert_eq!(repeats.admit_at("b", WINDOW, at(1)), Some(0));
        assert_eq!(repeats.admit_at("a", WINDOW, at(1)), None);
        assert_eq!(repeats.admit_at("a", WINDOW, at(9)), None);
        assert_eq!(repeats.admit_at("a", WINDOW, at(10)), Some(2));
        assert_eq!(repeats.admit_at("a", WINDOW, at(19)), None);
        assert_eq!(repeats.overdue_at(at(19)), []);
        assert_eq!(repeats.overdue_at(at(20)), [("a".to_owned(), 1)]);
        assert_eq!(repeats.overdue_at(at(20)), []);
        assert_eq!(repeats.admit_at("a", WINDOW, at(21)), Some(0));
    }

    #[test]
    fn memory_is_bounded() {
        let repeats = Repeats::default();
        let start = Instant::now();
        for i in 0..3 * REMEMBERED as u64 {
            repeats.admit_at(&i.to_string(), WINDOW, start + Duration::from_millis(10 * i));
        }
        assert!(repeats.lines.lock().unwrap().len() <= REMEMBERED);
    }
}
