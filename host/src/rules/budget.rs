//! How long the rules of one batch may search for matches.
//!
//! One search takes time in proportion to its text. But behind each match the text is searched again, and there are patterns
//! for which every search reads all that is left, to find a few characters or none: `.*[^A-Z]|[A-Z]`, `(?:.*x)?`. With them
//! a text takes time in proportion to its square, 40 s for 200 KB. An operator writes such a pattern by mistake; the text is
//! written by whoever sends mail.

use std::time::Duration;

use crate::outside::thread_cpu;

/// How much text may be searched between two looks at the clock, in bytes. A look takes 0.3 µs, as the system is asked; what
/// a rule does to an ordinary event is over before the first.
const STRIDE: usize = 256 * 1024;

/// CPU time, which neither another process nor a wait makes longer.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What the events of one batch may take together, so that a few which are dear may take what the others leave.
    pub batch: Duration,
    /// What each event may take when that is used up, so that one event does not condemn those behind it: this,
    pub event: Duration,
    /// and this for each byte of it and each rule of the list.
    pub byte: Duration,
}

impl Limits {
    /// A rule takes 2 to 6 µs for an ordinary event of 1 to 2 KB, and 50 ms for the longest chunk of them.
    const USUAL: Self =
        Self { batch: Duration::from_secs(1), event: Duration::from_millis(2), byte: Duration::from_nanos(100) };
}

/// The time is used up.
#[derive(Debug, PartialEq, Eq)]
pub struct Overdue;

/// What is left of the limits, on one thread.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    clock: fn() -> Duration,
    /// What the clock may say at the most.
    end: Duration,
    /// Whether what the batch has together is used up.
    spent: bool,
    /// What the event of now may take then.
    own: Duration,
    /// Bytes searched since the last look.
    searched: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Limits::USUAL, thread_cpu)
    }
}

impl Budget {
    /// `clock` counts what this thread uses.
    pub fn new(limits: Limits, clock: fn() -> Duration) -> Self {
        let end = clock().saturating_add(limits.batch);
        Self { limits, clock, end, spent: false, own: Duration::ZERO, searched: 0 }
    }

    /// The next event comes, of that many bytes and for that many rules.
    pub fn begin(&mut self, bytes: usize, rules: usize) {
        let units = u32::try_from(bytes.saturating_mul(rules)).unwrap_or(u32::MAX);
        self.own = self.limits.event.saturating_add(self.limits.byte.saturating_mul(units));
        if self.spent {
            self.end = (self.clock)().saturating_add(self.own);
        }
    }

    /// A match was found, and no more than `bytes` were read to find it.
    ///
    /// # Errors
    /// If the event may be searched no longer.
    pub fn found(&mut self, bytes: usize) -> Result<(), Overdue> {
        self.searched = self.searched.saturating_add(bytes);
        if self.searched < STRIDE {
            return Ok(());
        }
        self.searched = 0;
        let now = (self.clock)();
        if now <= self.end {
            Ok(())
        } else if self.spent {
            Err(Overdue)
        } else {
            // Whoever used it up: this event has its own time still.
            self.spent = true;
            self.end = now.saturating_add(self.own);
            Ok(())
        }
    }
}
