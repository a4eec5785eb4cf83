//! The real store on the simulated disk, and the real dead letters in a folder in memory.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use tributary_host::deliver::Storage;
use tributary_host::state::{
    Commit, DeadLetter, DeadLetters, Forget, HealthRow, StateError, Store, StreamKey, StreamState,
};

use crate::dice::{Dice, hash};
use crate::disk::{Mount, Mounted};
use crate::life::Life;
use crate::trace::Trace;

/// One process's state.
pub struct State {
    store: Store,
    letters: DeadLetters,
    mounted: Arc<Mounted>,
    life: Life,
    dice: Dice,
    trace: Arc<Trace>,
    /// Of a thousand appends of letters, so many fail.
    failing_letters: u64,
    pub pulled: Pulled,
}

/// What was pulled in this life, by stream: positions in their order, each with the ids that it covers beyond the one
/// before.
#[derive(Clone, Default)]
pub struct Pulled(Arc<Mutex<BTreeMap<String, Vec<Pull>>>>);

#[derive(Debug, Clone)]
pub struct Pull {
    pub position: Vec<u8>,
    pub ids: Vec<u128>,
    /// Whether the source said that there is no more for now.
    pub caught_up: bool,
}

impl Pulled {
    pub fn add(&self, stream: &str, pull: Pull) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(stream.to_owned()).or_default().push(pull);
    }

    pub fn take(&self) -> BTreeMap<String, Vec<Pull>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn dead() -> StateError {
    StateError::Io { path: PathBuf::from("state"), reason: "the process is dead".into() }
}

impl State {
    /// Opens the store as a starting process does.
    pub fn open(
        mounted: Arc<Mounted>,
        folder: &Path,
        failing_letters: u64,
        life: Life,
        dice: Dice,
        trace: Arc<Trace>,
    ) -> Result<Self, StateError> {
        let store = Store::open_at(Arc::new(Mount(Arc::clone(&mounted))), PathBuf::from("state.redb"))?;
        let letters = DeadLetters::new(folder, 1 << 40);
        mounted.committing.store(true, Ordering::Relaxed);
        Ok(Self { store, letters, mounted, life, dice, trace, failing_letters, pulled: Pulled::default() })
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The process dies while it appends: of what was written since the last sync any of the sectors are there, and the
    /// others are zeros, up to any length.
    fn tear(&self, source: &str, before: u64) -> std::io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.letters.path(source))?;
        let after = file.metadata()?.len();
        let length = self.dice.between(before, after);
        file.set_len(length)?;
        let mut begin = before;
        while begin < length {
            let end = length.min((begin / 512 + 1) * 512);
            if self.dice.chance(200) {
                file.write_all_at(&vec![0; (end - begin) as usize], begin)?;
            }
            begin = end;
        }
        Ok(())
    }
}

impl Storage for State {
    /// All of it is in memory, and a run has one thread.
    fn blocks(&self) -> bool {
        false
    }

    fn stream(&self, key: &StreamKey) -> Result<StreamState, StateError> {
        if self.life.strikes("position.read") {
            return Err(dead());
        }
        let state = self.store.stream(key)?;
        self.trace.step("position", &key.stream, hash(state.position.as_deref().unwrap_or_default()), 0);
        Ok(state)
    }

    fn known(&self, key: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError> {
        if self.life.strikes("known.read") {
            return Err(dead());
        }
        let known = self.store.known(key, ids)?;
        self.trace.step("known", &key.stream, ids.len() as u64, known.iter().filter(|known| **known).count() as u64);
        Ok(known)
    }

    fn commit(&self, commits: Vec<Commit>) -> Result<(), StateError> {
        if self.life.strikes("commit.before") {
            return Err(dead());
        }
        for commit in &commits {
            let position = hash(commit.position.as_deref().unwrap_or_default());
            self.trace.step("commit", &commit.key.stream, commit.counts.records, position);
        }
        let result = self.store.commit(commits);
        self.trace.step("committed", "", u64::from(result.is_ok()), 0);
        if self.life.strikes("commit.after") { Err(dead()) } else { result }
    }

    fn forget(&self, key: &StreamKey) -> Result<(), StateError> {
        let result = self.store.forget(key, Forget::All);
        self.trace.step("forget", &key.stream, u64::from(result.is_ok()), 0);
        result
    }

    fn keep_health(&self, events: &[HealthRow]) -> Result<(), StateError> {
        if self.life.strikes("health.before") {
            return Err(dead());
        }
        let result = self.store.keep_health(events);
        self.trace.step("health", "", events.len() as u64, u64::from(result.is_ok()));
        if self.life.strikes("health.after") { Err(dead()) } else { result }
    }

    fn keep(&self, source: &str, letters: &[DeadLetter]) -> Result<(), StateError> {
        if self.life.strikes("letters.before") {
            return Err(dead());
        }
        if self.mounted.is_full() {
            return Err(StateError::Full { path: self.letters.path(source) });
        }
        if !self.mounted.is_quiet() && self.dice.chance(self.failing_letters) {
            self.trace.fault("letters: not kept");
            return Err(StateError::Io { path: self.letters.path(source), reason: "the append failed".into() });
        }
        let length = |path: PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let before = length(self.letters.path(source));
        self.letters.append(source, letters)?;
        self.trace.step("letters", source, letters.len() as u64, 0);
        if self.life.strikes("letters.torn") {
            // The file is in memory: nothing of this fails.
            self.tear(source, before).expect("a file in memory");
            return Err(dead());
        }
        if self.life.strikes("letters.after") { Err(dead()) } else { Ok(()) }
    }
}
