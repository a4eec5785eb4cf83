//! What a guest writes to its standard error: one line, one log message.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::time::Instant;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use super::meter::Meter;

/// A longer line is cut here, so that a guest cannot fill the log with one.
const LINE_LIMIT: usize = 4 << 10;

/// Lines of one instance that are logged in each [`WINDOW`]; the rest is counted.
const LINES_A_WINDOW: u32 = 20;

const WINDOW: Duration = Duration::from_secs(1);

/// The standard error of one instance.
#[derive(Clone)]
pub(super) struct GuestStderr {
    lines: Arc<Mutex<Lines>>,
    meter: Arc<Meter>,
}

struct Lines {
    source: Arc<str>,
    line: Vec<u8>,
    /// The last whole lines: a panic's message comes just before its trap.
    last: String,
    window: Instant,
    logged: u32,
    suppressed: u32,
}

impl GuestStderr {
    pub fn new(source: Arc<str>, meter: Arc<Meter>) -> Self {
        let (line, last) = (Vec::new(), String::new());
        let lines = Lines { source, line, last, window: Instant::now(), logged: 0, suppressed: 0 };
        Self { lines: Arc::new(Mutex::new(lines)), meter }
    }

    /// Ends a line that the guest left open, and gives the last one.
    pub fn last_line(&self) -> String {
        let mut lines = self.lock();
        lines.end_line();
        lines.last.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = LINE_LIMIT.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        self.last = line.to_owned();
        if self.window.elapsed() >= WINDOW {
            if self.suppressed > 0 {
                tracing::warn!(source = %self.source, lines = self.suppressed, "the component wrote more lines than are logged");
            }
            (self.window, self.logged, self.suppressed) = (Instant::now(), 0, 0);
        }
        if self.logged < LINES_A_WINDOW {
            self.logged += 1;
            tracing::warn!(source = %self.source, "component: {line}");
        } else {
            self.suppressed += 1;
        }
    }
}

impl IsTerminal for GuestStderr {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStderr {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this; it is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for GuestStderr {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if !self.meter.written(bytes.len()) {
            return Err(StreamError::trap("too much was written to standard error"));
        }
        self.lock().write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestStderr {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::*;

    fn stderr() -> GuestStderr {
        GuestStderr::new("s".into(), Arc::new(Meter::new(Limits { stderr_bytes: 100, ..Limits::default() })))
    }

    #[test]
    fn a_call_may_write_so_much() {
        let mut stderr = stderr();
        assert!(stderr.write(vec![b'x'; 100].into()).is_ok());
        assert!(matches!(stderr.write(vec![b'x'].into()), Err(StreamError::Trap(_))));
        assert_eq!(stderr.last_line().len(), 100, "what was too much is not kept");
    }

    #[test]
    fn lines_are_put_together_and_cut() {
        let stderr = stderr();
        stderr.lock().write(b"panicked at src/lib");
        stderr.lock().write(b".rs:1\nboom");
        assert_eq!(stderr.lock().last, "panicked at src/lib.rs:1");
        assert_eq!(stderr.last_line(), "boom");
        stderr.lock().write(&[b'x'; 3 * LINE_LIMIT]);
        assert_eq!(stderr.last_line().len(), LINE_LIMIT);
    }

    #[test]
    fn a_flood_is_counted_not_logged() {
        let stderr = stderr();
        for _ in 0..100 {
            stderr.lock().write(b"again\n");
        }
        let lines = stderr.lock();
        assert_eq!((lines.logged, lines.suppressed), (LINES_A_WINDOW, 100 - LINES_A_WINDOW));
    }
}
