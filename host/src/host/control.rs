//! What may be asked and told while the host runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::collect::{Account, Board, StreamStatus};
use crate::replay::{ReplayError, Replaying, Replays, Request};

/// What may be asked and told while the host runs, from any task. It holds nothing that the end of the host waits for.
#[derive(Clone)]
pub struct Control {
    /// By id.
    pub(crate) accounts: Arc<BTreeMap<Arc<str>, Arc<Account>>>,
    pub(super) board: Board,
    pub(super) replays: Replays,
    pub(super) refused: Arc<Notify>,
}

impl Control {
    /// Every stream, by source and name.
    pub fn status(&self) -> Vec<StreamStatus> {
        self.board.all()
    }

    /// Wakes all streams of `source`, whatever they wait for: they forget session, backoff and trouble, and open anew
    /// behind the last chunk pulled, so a healthy stream loses nothing. A pull that is under way ends first. False if there
    /// is no such source, or no sink takes it.
    pub fn restart(&self, source: &str) -> bool {
        let account = self.accounts.get(source);
        if let Some(account) = account {
            tracing::info!(%source, "its streams begin anew");
            account.restart();
        }
        account.is_some()
    }

    /// Begins to read a span of a stream again, beside the stream's own position.
    ///
    /// # Errors
    /// Why it does not begin, with what to do.
    pub async fn replay(&self, request: &Request) -> Result<Replaying, ReplayError> {
        self.replays.start(request).await
    }

    /// Waits until a vendor refuses the credentials of any source: it is time to look for newer ones.
    pub async fn credentials_refused(&self) {
        self.refused.notified().await;
    }
}
