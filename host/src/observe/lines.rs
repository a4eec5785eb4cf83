//! Long answers in lines of JSON, which are made of what is stored while they are sent.
//!
//! Each holds a thread that may block, and a view of the store as it was. Commits need such threads too, so only a few are
//! made at once, and one whose reader does not take it is broken off.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::server::{Answer, refusal, streamed};

/// Answers of the kind at once.
const LONG: usize = 4;
/// How long one may wait for its turn.
const TURN_TIME: Duration = Duration::from_secs(10);
/// A long answer is made in pieces of this size, and so many are made ahead.
const PIECE: usize = 64 << 10;
const PIECES: usize = 4;

/// How long all waiting for a reader may take: so long, and the time that what was sent takes at the least speed.
#[derive(Clone, Copy)]
struct Pace {
    patience: Duration,
    bytes_per_second: u64,
}

const PACE: Pace = Pace { patience: Duration::from_secs(30), bytes_per_second: 64 << 10 };

/// Turns for long answers.
pub struct Long(Arc<Semaphore>);

impl Default for Long {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LONG)))
    }
}

impl Long {
    /// An answer in lines of JSON, which `write` makes on a thread that may block. It breaks off where `write` fails or its
    /// reader is too slow, and is never held whole.
    pub async fn lines(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Answer {
        match timeout(TURN_TIME, Arc::clone(&self.0).acquire_owned()).await {
            Ok(Ok(turn)) => made(write, PACE, turn),
            _ => {
                let message = format!("{LONG} long answers are being read already");
                refusal(StatusCode::SERVICE_UNAVAILABLE, message, Some("End one of them, or try again in a moment"))
            }
        }
    }
}

fn made(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    pace: Pace,
    turn: OwnedSemaphorePermit,
) -> Answer {
    // One place more, for the word that it broke off.
    let (sender, pieces) = mpsc::channel(PIECES + 1);
    let last = sender.clone().try_reserve_owned();
    spawn_blocking(move || {
        let mut pieces = Pieces { sender, pace, sent: 0, waited: Duration::ZERO, buffer: BytesMut::new() };
        // An answer that merely ends is taken for whole.
        let written = catch_unwind(AssertUnwindSafe(|| write(&mut pieces).and_then(|()| pieces.flush())));
        let written = written.unwrap_or_else(|_| Err(io::Error::other("the answer broke down")));
        drop(turn);
        // The channel was empty, so there was a place.
        if let (Err(error), Ok(last)) = (written, last) {
            let last: OwnedPermit<io::Result<Bytes>> = last;
            last.send(Err(error));
        }
    });
    streamed(pieces)
}

/// Cuts what is written into pieces, and waits while too many are untaken.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    pace: Pace,
    sent: u64,
    waited: Duration,
    buffer: BytesMut,
}

impl Pieces {
    fn send(&mut self, piece: Bytes) -> io::Result<()> {
        let Pace { patience, bytes_per_second } = self.pace;
        let limit = patience + Duration::from_millis(self.sent.saturating_mul(1_000) / bytes_per_second);
        let (length, begun) = (piece.len() as u64, Instant::now());
        let left = limit.saturating_sub(self.waited);
        match Handle::current().block_on(timeout(left, self.sender.send(Ok(piece)))) {
            Ok(Ok(())) => {
                self.waited += begun.elapsed();
                self.sent += length;
                Ok(())
            }
            // Whoever asked has gone.
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "whoever asked reads too slowly")),
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = self.buffer.split().freeze();
        self.send(piece)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const LINE: &[u8] = &[b'x'; 1 << 10];
    const LINES: usize = 2_000;

    fn write(out: &mut dyn Write) -> io::Result<()> {
        (0..LINES).try_for_each(|_| out.write_all(LINE))
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_left_and_told_so() {
        let turns = Arc::new(Semaphore::new(1));
        let turn = || Arc::clone(&turns).try_acquire_owned().expect("nobody has it");
        let pace = Pace { patience: Duration::from_millis(20), ..PACE };
        let mut answer = made(write, pace, turn());
        // It gives its thread back, though the answer is still there.
        let _turn = turns.acquire().await.unwrap();
        let mut taken = 0;
        let error = loop {
            match answer.body_mut().frame().await.expect("an end that is no end is not taken for one") {
                Ok(frame) => taken += frame.into_data().unwrap().len(),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((1..=(PIECES + 1) * (PIECE + LINE.len())).contains(&taken), "{taken}");
    }

    #[tokio::test]
    async fn a_reader_that_reads_gets_all_and_a_fault_breaks_the_answer_off() {
        let long = Long::default();
        let whole = long.lines(write).await.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(whole.len(), LINES * LINE.len());
        let broken = long.lines(|out| write(out).and(Err(io::Error::other("a dead disk")))).await;
        assert!(broken.into_body().collect().await.unwrap_err().to_string().contains("dead disk"));
        let defect = long.lines(|_| panic!("a defect")).await;
        assert!(defect.into_body().collect().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_a_few_at_once_and_the_next_waits_a_while() {
        let long = Long::default();
        let held: Vec<_> = (0..LONG).map(|_| Arc::clone(&long.0).try_acquire_owned().unwrap()).collect();
        let refused = long.lines(write).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        let text = refused.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&text).contains("try again"), "{text:?}");
        let freed = tokio::spawn(async move {
            tokio::time::sleep(TURN_TIME / 2).await;
            drop(held);
        });
        assert_eq!(long.lines(|_| Ok(())).await.status(), StatusCode::OK);
        freed.await.unwrap();
    }
}
