//! Whether what was read can be delivered and stored: if not for too long, the stream is in error.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Allowance, STATE_SAID_EVERY, Worker, said};
use crate::collect::StreamState;
use crate::observe::{Cause, HostCode};
use crate::state::StreamKey;

/// How often a stream that cannot go on is looked at.
const LOOK: Duration = Duration::from_secs(60);

/// What one stream has between pull and store, and when that moved last.
#[derive(Debug, Clone, Default)]
pub struct Standstill(Arc<Mutex<InFlight>>);

#[derive(Debug, Default)]
struct InFlight {
    chunks: u64,
    moved: Option<Instant>,
}

impl Standstill {
    pub fn sent(&self) {
        let mut state = self.lock();
        state.chunks += 1;
        state.moved.get_or_insert_with(Instant::now);
    }

    pub fn stored(&self) {
        let mut state = self.lock();
        state.chunks = state.chunks.saturating_sub(1);
        state.moved = (state.chunks > 0).then(Instant::now);
    }

    /// For how long nothing of what waits was stored.
    fn lasts(&self) -> Duration {
        self.lock().moved.map_or(Duration::ZERO, |moved| moved.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, InFlight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    /// Says in which state a stream is that has just been read.
    pub(super) fn after_reading(&self) {
        if !self.stands_still() {
            self.entry.enter(StreamState::Collecting);
        }
    }

    /// Whether what was read has waited for too long; then that is said.
    pub(super) fn stands_still(&self) -> bool {
        let lasts = self.standstill.lasts();
        let too_long = lasts >= self.account.policy().retry_for;
        if too_long {
            let minutes = lasts.as_secs() / 60;
            let message = format!("what was read could not be delivered and stored for {minutes} minutes");
            let hint =
                "Nothing is lost, and it goes on by itself; see the log for the sink or the disk that is in trouble";
            let cause = Cause::host(HostCode::Standstill, message, hint);
            let text = format!("{}. {hint}", cause.message);
            self.entry.update(|status| status.fails(&cause, text.clone()));
            if let Some(before) = self.entry.enter_for(StreamState::Error, &cause) {
                // One sink in trouble holds every stream of every source.
                match self.around.repeats.admit_every(STATE_SAID_EVERY, &cause.code) {
                    Some(more) => {
                        let (StreamKey { source, stream }, suppressed) = (&self.key, said(more));
                        tracing::error!(%source, %stream, code = cause.code, %before, suppressed, "error: {text}");
                    }
                    None => {
                        tracing::debug!(source = self.key.source, stream = self.key.stream, %before, "error: {text}")
                    }
                }
            }
        }
        too_long
    }

    /// Waits for room and requests for as long as it takes; `None` when the host stops.
    pub(super) async fn patient_allowance(&self) -> Option<Allowance> {
        let wait = self.allowance(true);
        tokio::pin!(wait);
        loop {
            match timeout(LOOK, &mut wait).await {
                Ok(allowance) => return allowance,
                Err(_) => self.stands_still(),
            };
        }
    }
}
