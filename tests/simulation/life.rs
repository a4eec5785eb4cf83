//! One life of the host's process, and where it ends.
//!
//! What the host does to the world it does through a sink, the storage, the disk or a request, and each of these passes a
//! named point before and after. A crash strikes at a point: from then on nothing that the host does has any effect, its
//! calls never come back or fail, and the world drops it. Between two points nothing outside changes, so a crash at any
//! other await is the same as one at the next point.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::trace::Trace;

/// Every point, in the order of an event's way.
pub const POINTS: [&str; 24] = [
    "open-store.sync",
    "open-store.synced",
    "position.read",
    "authenticate.before",
    "authenticate.after",
    "reader.open",
    "pull.before",
    "pull.request",
    "pull.after",
    "known.read",
    "deliver.before",
    "deliver.partial",
    "deliver.after",
    "letters.before",
    "letters.torn",
    "letters.after",
    "commit.before",
    "commit.sync",
    "commit.synced",
    "commit.after",
    "health.before",
    "health.after",
    "stop.close",
    "moment",
];

/// See the module.
#[derive(Clone)]
pub struct Life(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    struck: Notify,
    trace: Arc<Trace>,
}

struct State {
    dead: bool,
    /// Where it ends, and how often that point is passed before.
    end: Option<(&'static str, u64)>,
}

impl Life {
    pub fn new(trace: Arc<Trace>, end: Option<(&'static str, u64)>) -> Self {
        let state = Mutex::new(State { dead: false, end });
        Self(Arc::new(Inner { state, struck: Notify::new(), trace }))
    }

    pub fn is_over(&self) -> bool {
        self.state().dead
    }

    /// Passes a point from code that cannot wait. True if the process is dead: then the caller must do nothing, and fail.
    pub fn strikes(&self, point: &'static str) -> bool {
        debug_assert!(POINTS.contains(&point), "{point}");
        let mut state = self.state();
        if state.dead {
            return true;
        }
        let Some((end, left)) = &mut state.end else { return false };
        if *end != point {
            return false;
        }
        if *left > 0 {
            *left -= 1;
            return false;
        }
        drop(state);
        self.end(point);
        true
    }

    /// Passes a point. Does not come back if the process is dead.
    pub async fn pass(&self, point: &'static str) {
        if self.strikes(point) {
            std::future::pending().await
        }
    }

    /// Does not come back if the process is dead.
    pub async fn go_on(&self) {
        if self.is_over() {
            std::future::pending().await
        }
    }

    /// Ends it here and now.
    pub fn end(&self, point: &'static str) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.dead, true) {
            drop(state);
            self.0.trace.crash(point);
            self.0.struck.notify_one();
        }
    }

    /// Ends it without a crash: what was left running must touch nothing any more.
    pub fn close(&self) {
        self.state().dead = true;
    }

    /// Nothing strikes any more.
    pub fn spare(&self) {
        self.state().end = None;
    }

    /// Waits for the crash.
    pub async fn struck(&self) {
        self.0.struck.notified().await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
