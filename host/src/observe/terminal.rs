//! The one line on a terminal that is rewritten in place, and what else is written to standard error meanwhile.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// There is one terminal.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// The bar has so many steps.
const STEPS: u64 = 1_000;

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The line, until it is dropped. There is one at a time: of two the later is seen.
pub struct TerminalLine(ProgressBar);

impl TerminalLine {
    /// None, where standard error is no terminal, or one that cannot rewrite a line.
    pub fn new() -> Option<Self> {
        let can = io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
        if !can || bar.is_hidden() {
            return None;
        }
        // A template that cannot be read would be this line's own mistake, and the default does as well.
        if let Ok(style) = ProgressStyle::with_template("[{bar:20}] {wide_msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        *shown() = Some(bar.clone());
        Some(Self(bar))
    }

    /// Shows what share of the work is done, from 0 to 1, and a text. What does not fit is cut at its end.
    pub fn show(&self, share: f64, text: String) {
        self.0.set_position((share.clamp(0.0, 1.0) * STEPS as f64) as u64);
        self.0.set_message(text);
    }
}

impl Drop for TerminalLine {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        *shown() = None;
    }
}

/// Writes a line to standard error, above the rewritten one if there is one.
pub fn say(text: &str) {
    // Nothing can be done if the terminal is gone.
    let _ = Beside.write_all(format!("{text}\n").as_bytes());
}

/// Standard error for log lines: the rewritten line makes room for each.
pub(super) struct Beside;

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &*shown() {
            Some(bar) => bar.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
