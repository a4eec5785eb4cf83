//! The right to an instance, which tenants have by turns.

use std::time::Duration;

use tokio::time::Instant;

use super::Worker;
use crate::fair::Share;

/// A pull, or a login, that takes longer waits for a vendor that hangs rather than reads: its own budget is 5 s.
const SLOW: Duration = Duration::from_secs(15);

/// How long a stream with a backlog reads on while others wait for its turn. To open it anew costs a request.
const SLICE: Duration = Duration::from_secs(10);

/// The right to an instance, for as long as it is held.
pub(super) struct Turn {
    share: Share,
    since: Instant,
    /// When the vendor was last called.
    call: Instant,
}

impl Worker {
    /// Waits until it may have an instance; `None` when the host stops.
    pub(super) async fn turn(&self) -> Option<Turn> {
        let mut stop = self.around.stop.clone();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => None,
            share = self.around.turns.take(&self.origin.tenant, 1) => {
                let now = Instant::now();
                Some(Turn { share, since: now, call: now })
            }
        }
    }
}

impl Turn {
    pub fn begin(&mut self) {
        self.call = Instant::now();
    }

    /// The vendor has answered, or not. That a login is quick says nothing of the logs.
    pub fn called(&self, pulled: bool) {
        let slow = self.call.elapsed() >= SLOW;
        if slow || pulled {
            self.share.slow(slow);
        }
    }

    /// Whether others have waited for it long enough.
    pub fn is_over(&self) -> bool {
        self.since.elapsed() >= SLICE && self.share.is_wanted()
    }
}
