//! Reading a span again, beside the stream's own position.
//!
//! A replay has a position and a ledger of its own, stored under [`StreamKey::replay`], so the stream's stay as they are
//! and both balance. What it delivers counts as seen by the stream too, or the stream would deliver it again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{Outcome, Worker};
use crate::collect::StreamState;
use crate::deliver::Ids;
use crate::sandbox::Start;
use crate::state::{Gap, Partly, StreamKey};

/// A span of time, in nanoseconds since the Unix epoch, and what of it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Inclusive.
    pub from: u64,
    /// Exclusive.
    pub to: u64,
    /// What was delivered before, too.
    pub all: bool,
}

/// What a replay has stored as its position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub span: Span,
    /// Nothing is left of it.
    pub done: bool,
    /// The source's own, behind what was delivered.
    #[serde(with = "crate::state::hex::option")]
    pub position: Option<Vec<u8>>,
}

impl Mark {
    /// As it is stored.
    pub fn bytes(&self) -> Vec<u8> {
        // It has no maps and no floats, so this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From what is stored; `None` if nothing is, or nothing that this release knows.
    pub fn read(stored: Option<&[u8]>) -> Option<Self> {
        serde_json::from_slice(stored?).ok()
    }
}

/// How a replay ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The span is read and delivered.
    Done,
    /// It was told to stop, and can go on.
    Interrupted,
    /// Why it cannot go on for now, and what to do.
    Failed(String),
}

/// What makes a worker a replay.
pub struct Replay {
    pub span: Span,
    /// The stream that is read again.
    pub of: StreamKey,
    /// What the stream's own worker has on its way.
    pub others: Ids,
    pub gaps: Gaps,
}

/// The gaps that a replay has found.
#[derive(Debug, Clone, Default)]
pub struct Gaps(Arc<Mutex<Vec<Gap>>>);

impl Gaps {
    pub fn all(&self) -> Vec<Gap> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Gap>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replay {
    pub fn start(&self, position: Option<Vec<u8>>) -> Start {
        match position {
            None => Start::Span(self.span.from, self.span.to),
            Some(position) => Start::After(position),
        }
    }

    /// What to store as the position.
    pub fn mark(&self, position: &[u8], done: bool) -> Vec<u8> {
        Mark { span: self.span, done, position: Some(position.to_vec()) }.bytes()
    }

    pub fn found(&self, gaps: &[Gap]) {
        self.gaps.lock().extend_from_slice(gaps);
    }
}

impl Worker {
    /// Makes it a replay that goes on at `position` (the source's own) and delivers under the key `key`.
    #[must_use]
    pub fn replaying(mut self, replay: Replay, key: StreamKey, position: Option<Vec<u8>>, partly: Partly) -> Self {
        (self.key, self.replay) = (key, Some(Box::new(replay)));
        self.reach.set(position);
        self.route.restore(partly);
        self
    }

    /// Reads until the span is done, or something is wrong that does not pass soon, or it is told to stop.
    pub async fn replay(mut self) -> Ended {
        self.entry.enter(StreamState::Started);
        let mut stop = self.around.stop.clone();
        loop {
            self.restarts.mark_unchanged();
            let wait = match Box::pin(self.poll()).await {
                Outcome::CaughtUp => return Ended::Done,
                Outcome::Stopping => return Ended::Interrupted,
                Outcome::Stopped => return self.given_up(),
                Outcome::Again(_) if matches!(self.entry.state(), StreamState::Error | StreamState::NotLicensed) => {
                    return self.given_up();
                }
                Outcome::Again(wait) => wait,
            };
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ended::Interrupted,
                () = sleep(wait) => {}
            }
        }
    }

    fn given_up(&self) -> Ended {
        Ended::Failed(self.entry.fault().unwrap_or_else(|| self.entry.state().to_string()))
    }
}
