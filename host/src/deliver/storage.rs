//! What delivery and collection need of the state, as a trait: a test lets it fail.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::state::{Commit, DeadLetter, DeadLetters, StateError, Store, StreamKey, StreamState};

/// The durable state. All calls block; [`blocking`] makes them from a task.
pub trait Storage: Send + Sync + 'static {
    fn stream(&self, key: &StreamKey) -> Result<StreamState, StateError>;

    /// Which of `ids` were stored as seen.
    fn known(&self, key: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError>;

    /// All of it, or nothing; on disk when it returns.
    fn commit(&self, commits: Vec<Commit>) -> Result<(), StateError>;

    /// Keeps letters of one source. On disk when it returns; after an error none of them is there.
    fn keep(&self, source: &str, letters: &[DeadLetter]) -> io::Result<()>;
}

/// The state in `data_dir`.
pub struct Disk {
    pub store: Store,
    /// By source.
    pub dead_letters: BTreeMap<String, DeadLetters>,
}

impl Disk {
    /// Opens the state in `data_dir` for `sources`, and takes the folder for this process.
    ///
    /// # Errors
    /// When the folder is not writable or in use, or what lies there is damaged or of a newer release.
    pub fn open<'a>(data_dir: &Path, sources: impl Iterator<Item = &'a str>) -> Result<Self, StateError> {
        let store = Store::open(data_dir)?;
        let open = |source: &str| match DeadLetters::open(data_dir, source) {
            Ok(letters) => Ok((source.to_owned(), letters)),
            Err(error) => Err(StateError::Io { path: data_dir.join("dead-letters"), reason: error.to_string() }),
        };
        Ok(Self { store, dead_letters: sources.map(open).collect::<Result<_, _>>()? })
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

    fn keep(&self, source: &str, letters: &[DeadLetter]) -> io::Result<()> {
        match self.dead_letters.get(source) {
            Some(file) => file.append(letters),
            None => Err(io::Error::other(format!("no file was opened for the dead letters of {source}"))),
        }
    }
}

/// Calls the storage from a thread that may block.
pub async fn blocking<T: Send + 'static>(
    storage: &Arc<dyn Storage>,
    call: impl FnOnce(&dyn Storage) -> T + Send + 'static,
) -> T {
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
