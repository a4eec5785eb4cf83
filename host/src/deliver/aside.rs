//! Rules that look into bodies, away from the threads that carry the runtime's tasks: what they search, and for how long,
//! is up to whoever sends mail.

use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::block_in_place;

/// Chunks that rules look into at the same time. Each has a thread of its own, of the 64 that there are for what blocks; and
/// the system shares the CPU fairly between them and the two that carry everything else.
const AT_ONCE: usize = 8;

/// Who may look into bodies, in the order in which they ask.
#[derive(Clone)]
pub struct Turns(Arc<Semaphore>);

/// Leave to look into the bodies of one chunk, or no need of it.
pub struct Turn(#[expect(dead_code, reason = "it is given back when it is dropped")] Option<OwnedSemaphorePermit>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Turns {
    /// Waits for a turn.
    pub async fn wait(&self) -> Turn {
        // It is never closed.
        Turn(Arc::clone(&self.0).acquire_owned().await.ok())
    }
}

impl Turn {
    pub fn unneeded() -> Self {
        Self(None)
    }
}

/// Works on this thread, while another takes over the tasks that it carries. Where one thread carries everything, as in a
/// simulation, it does so after the work.
pub fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}
