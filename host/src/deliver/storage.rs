//! What delivery and collection need of the state, as a trait: a test lets it fail.

use std::path::Path;
use std::sync::Arc;

use crate::state::{
    Commit, DeadLetter, DeadLetters, Forget, HealthRow, Sighting, StateError, Store, StreamKey, StreamState,
};

/// The durable state. All calls block; [`blocking`] makes them from a task.
pub trait Storage: Send + Sync + 'static {
    /// Whether a call may take long enough to deserve a thread of its own. One in memory says that it does not: then
    /// nothing of a host runs on any other thread than the one that polls it, and a run of it can be repeated exactly.
    fn blocks(&self) -> bool {
        true
    }

    fn stream(&self, key: &StreamKey) -> Result<StreamState, StateError>;

    /// Which of `ids` were stored as seen.
    fn known(&self, key: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError>;

    /// All of it, or nothing; on disk when it returns.
    fn commit(&self, commits: Vec<Commit>) -> Result<(), StateError>;

    /// The alerts of `source` that sinks first saw at `since_ms` or later.
    fn alerts(&self, _source: &str, _since_ms: u64) -> Result<Vec<Sighting>, StateError> {
        Ok(Vec::new())
    }

    /// Forgets where a stream is, and which ids it has seen.
    fn forget(&self, key: &StreamKey) -> Result<(), StateError>;

    /// Keeps letters of one source. On disk when it returns; after an error none of them is there.
    fn keep(&self, source: &str, letters: &[DeadLetter]) -> Result<(), StateError>;

    /// Keeps health events, and of each source no more than the last [`KEPT_HEALTH`](crate::state::KEPT_HEALTH).
    fn keep_health(&self, events: &[HealthRow]) -> Result<(), StateError>;
}

/// The state in `data_dir`.
pub struct Disk {
    pub store: Store,
    pub dead_letters: DeadLetters,
}

impl Disk {
    /// Opens the state in `data_dir`, and takes the folder for this process. Dead letters may take `max_dead_letter_bytes`.
    ///
    /// # Errors
    /// When the folder is not writable or in use, or what lies there is damaged or of a newer release.
    pub fn open(data_dir: &Path, max_dead_letter_bytes: u64) -> Result<Self, StateError> {
        let store = Store::open(data_dir)?;
        Ok(Self { store, dead_letters: DeadLetters::new(data_dir, max_dead_letter_bytes) })
    }
}

impl Storage for Disk {
    fn stream(&self, key: &StreamKey) -> Result<StreamState, StateError> {
        self.store.stream(key)
    }

    fn known(&self, key: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError> {
        self.store.known(key, ids)
    }

    fn commit(&self, commits: Vec<Commit>) -> Result<(), StateError> {
        self.store.commit(commits)
    }

    fn alerts(&self, source: &str, since_ms: u64) -> Result<Vec<Sighting>, StateError> {
        self.store.alerts(source, since_ms)
    }

    fn forget(&self, key: &StreamKey) -> Result<(), StateError> {
        self.store.forget(key, Forget::All)
    }

    fn keep(&self, source: &str, letters: &[DeadLetter]) -> Result<(), StateError> {
        self.dead_letters.append(source, letters)
    }

    fn keep_health(&self, events: &[HealthRow]) -> Result<(), StateError> {
        self.store.keep_health(events)
    }
}

/// Calls the storage from a thread that may block.
pub async fn blocking<T: Send + 'static>(
    storage: &Arc<dyn Storage>,
    call: impl FnOnce(&dyn Storage) -> T + Send + 'static,
) -> T {
    if !storage.blocks() {
        return call(&**storage);
    }
    let storage = Arc::clone(storage);
    match tokio::task::spawn_blocking(move || call(&*storage)).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down, and with it the task that waits here.
            Err(_) => std::future::pending().await,
        },
    }
}
