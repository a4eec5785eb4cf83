//! How far long work is: a line that is rewritten, on a terminal; elsewhere a line now and then.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use crate::observe::estimate::{Estimate, roughly};
use crate::observe::terminal::{self, TerminalLine};

/// How often a line says how far it is, where lines stay.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// How often the line on a terminal is made anew.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// Work that lasts no longer says nothing.
const FIRST_AFTER: Duration = Duration::from_millis(500);

/// Shows on standard error how far work is, until it is dropped: standard output is for what it gives.
pub struct Progress {
    line: Option<TerminalLine>,
    begun: Instant,
    last: Option<Instant>,
    estimate: Estimate,
}

impl Progress {
    pub fn new() -> Self {
        Self { line: TerminalLine::new(), begun: Instant::now(), last: None, estimate: Estimate::default() }
    }

    /// Says which `share` of the work is done, from 0 to 1, if that is known, and what `text` says of it.
    pub fn tell(&mut self, share: Option<f64>, text: impl FnOnce() -> String) {
        self.tell_at(share, Instant::now(), text);
    }

    fn tell_at(&mut self, share: Option<f64>, now: Instant, text: impl FnOnce() -> String) {
        let every = if self.line.is_some() { SHOWN_EVERY } else { SAID_EVERY };
        let before = self.last.unwrap_or(self.begun);
        let every = if self.last.is_none() { FIRST_AFTER } else { every };
        if let Some(share) = share {
            self.estimate.see(now.duration_since(self.begun), 1.0 - share.clamp(0.0, 1.0));
        }
        if now.duration_since(before) < every {
            return;
        }
        self.last = Some(now);
        let left = self.left(share);
        match &self.line {
            Some(line) => line.show(share.unwrap_or(0.0), format!("{left}; {}", text())),
            None => terminal::say(&format!("{}; {left}", text())),
        }
    }

    fn left(&self, share: Option<f64>) -> String {
        let Some(share) = share else { return "time left unknown".into() };
        let percent = (share.clamp(0.0, 1.0) * 100.0).floor();
        match self.estimate.remaining() {
            // The last events are read, files are closed and disks are waited for.
            Some(Duration::ZERO) => "finishing".into(),
            Some(left) => format!("{percent} %, about {} left", roughly(left)),
            None => format!("{percent} %, time left unknown"),
        }
    }
}

/// Bytes that go to or come from `inner`, counted.
pub struct Counted<'a, T> {
    inner: T,
    progress: &'a mut Progress,
    bytes: u64,
    /// How many it will be, if that is known.
    of: Option<u64>,
    verb: &'static str,
}

impl<'a, T> Counted<'a, T> {
    /// `verb` says what is done to the bytes.
    pub fn new(inner: T, of: Option<u64>, verb: &'static str, progress: &'a mut Progress) -> Self {
        Self { inner, progress, bytes: 0, of, verb }
    }

    fn count(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        let share = self.of.map(|of| self.bytes as f64 / of.max(1) as f64);
        let (megabytes, verb) = (self.bytes as f64 / 1e6, self.verb);
        self.progress.tell(share, || format!("{megabytes:.1} MB {verb}"));
    }
}

impl<T: Write> Write for Counted<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.count(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Counted<'_, T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.count(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_now_and_then_and_short_work_has_none() {
        let begun = Instant::now();
        let mut progress = Progress { line: None, begun, last: None, estimate: Estimate::default() };
        let mut said = Vec::new();
        // A chunk every 100 ms, for 25 s.
        for tick in 0..250_u32 {
            let now = begun + Duration::from_millis(100) * tick;
            progress.tell_at(Some(f64::from(tick) / 1_000.0), now, || {
                said.push(tick);
                String::new()
            });
        }
        assert_eq!(said, [5, 105, 205]);
        // At 0.01 a second, 75.1 % are left.
        assert_eq!(progress.left(Some(0.249)), "24 %, about 2 min left");
        assert_eq!(progress.left(None), "time left unknown");
        assert_eq!(progress.estimate.remaining().map(|left| left.as_secs()), Some(75));
    }

    #[test]
    fn what_is_known_is_said_and_no_more() {
        let begun = Instant::now();
        let mut progress = Progress { line: None, begun, last: None, estimate: Estimate::default() };
        progress.tell_at(Some(0.5), begun, String::new);
        assert_eq!(progress.left(Some(0.5)), "50 %, time left unknown");
        progress.tell_at(Some(1.5), begun + SAID_EVERY, String::new);
        assert_eq!(progress.left(Some(1.5)), "finishing");
    }
}
