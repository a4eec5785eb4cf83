//! How far one stream is read, for whoever takes its worker's place.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::deliver::Ids;

/// How far one stream is read. It outlives its worker: a worker that takes another's place goes on behind the last chunk
/// that was pulled, and knows what is still on its way to the sinks.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    pulled: Arc<Mutex<Pulled>>,
    pub ids: Ids,
}

#[derive(Debug, Default)]
struct Pulled {
    /// Whether what is stored was taken up.
    known: bool,
    /// Behind the last chunk that was pulled; what is stored may lie before it.
    position: Option<Vec<u8>>,
}

impl Reach {
    /// Whether a worker has taken up what is stored.
    pub fn is_known(&self) -> bool {
        self.lock().known
    }

    pub fn position(&self) -> Option<Vec<u8>> {
        self.lock().position.clone()
    }

    pub fn is_at(&self, position: &[u8]) -> bool {
        self.lock().position.as_deref() == Some(position)
    }

    pub fn set(&self, position: Option<Vec<u8>>) {
        *self.lock() = Pulled { known: true, position };
    }

    fn lock(&self) -> MutexGuard<'_, Pulled> {
        self.pulled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
