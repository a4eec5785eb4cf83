//! The store: positions, ledgers, gaps and seen ids in one file.

mod alerts;
mod care;
mod exchange;
mod health;
mod read;
mod schema;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use redb::{Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, Table, WriteTransaction};
use tracing::{info, warn};

pub use self::care::{Forget, KEPT, Retired, Summary};
pub use self::exchange::ImportError;
use self::schema::{
    CLOCKS, Contents, FORMAT, GAPS, LAST_COMMIT, LEDGERS, META, PARTLY, POSITION_FORM, POSITIONS, corrupted, id_bytes,
    last_commit, parse_ledger, prepare, rehearse_on,
};
use super::disk::{InFolder, Opened, Place, StorageBackend};
use super::error::StateError;
use super::filter::{Filter, Filters};
use super::folder::STATE_FILE;
use super::seen::{self, BLOCKS, Change, LONGEST_STEP, RUNS, Writer};
use super::{Commit, Gap, Ledger, StreamKey, StreamState};

/// Pages of the file in memory.
const CACHE_BYTES: usize = 64 << 20;
/// Filters of seen ids in memory: 130 million ids. What does not fit is read from the file when it is needed.
const FILTER_BYTES: usize = 256 << 20;

/// For how long a replay knows what it has delivered, should it be interrupted. When it is done, it is forgotten.
const REPLAY_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// See the module. Dropping it closes the file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// `None` after a fault of the disk, until the file could be opened again.
    database: RwLock<Option<Database>>,
    /// Behind the database, whose last words are written while it is dropped: this holds the folder's lock, and whoever gets
    /// that next must find a file that is finished.
    place: Arc<dyn Place>,
    filters: Mutex<Filters>,
    next_run: AtomicU64,
    next_commit: AtomicU64,
    /// Milliseconds of the last commit of each stream in this process.
    last_commits: Mutex<HashMap<StreamKey, u64>>,
    /// The last transaction, if nobody knows yet whether it is on disk.
    doubtful: Mutex<Option<Doubtful>>,
    #[cfg(test)]
    faults: Arc<super::disk::Faults>,
}

impl Store {
    /// Opens the store in `data_dir`, or makes one. A damaged file is refused and left as it is.
    pub fn open(data_dir: &Path) -> Result<Store, StateError> {
        #[cfg(test)]
        let faults = Arc::<super::disk::Faults>::default();
        let place = InFolder::new(
            data_dir,
            #[cfg(test)]
            faults.clone(),
        )?;
        let store = Store::open_at(Arc::new(place), data_dir.join(STATE_FILE))?;
        #[cfg(test)]
        let store = Store { faults, ..store };
        Ok(store)
    }

    /// The same on another disk; `path` is what messages call the file.
    pub fn open_at(place: Arc<dyn Place>, path: PathBuf) -> Result<Store, StateError> {
        let mut store = Store {
            database: RwLock::new(None),
            filters: Mutex::new(Filters::new(FILTER_BYTES)),
            next_run: AtomicU64::new(0),
            next_commit: AtomicU64::new(0),
            last_commits: Mutex::new(HashMap::new()),
            doubtful: Mutex::new(None),
            #[cfg(test)]
            faults: Arc::default(),
            path,
            place,
        };
        let file = match store.file()? {
            Some(file) => file,
            None => {
                store.create()?;
                store.existing_file()?
            }
        };
        // Judged before it is opened for writing: a file that is refused stays as it is.
        let Contents { format, next_run, next_commit } = rehearse_on(&store.path, file)?;
        if format > FORMAT {
            return Err(StateError::Newer { path: store.path, found: format, known: FORMAT });
        }
        let database = store.open_database(store.existing_file()?)?;
        if format < FORMAT {
            prepare(&database).map_err(|error| StateError::database(&store.path, error))?;
            info!(path = %store.path.display(), from = format, to = FORMAT, "the state was brought up to this release");
        }
        store.next_run = AtomicU64::new(next_run);
        store.next_commit = AtomicU64::new(next_commit);
        store.database = RwLock::new(Some(database));
        Ok(store)
    }

    /// Makes the file under another name first: an empty or half-made one is never taken for a new store.
    fn create(&self) -> Result<(), StateError> {
        let io = |error: &std::io::Error| StateError::io(&self.path, error);
        let database = self.open_database(self.place.draft().map_err(|error| io(&error))?)?;
        prepare(&database).map_err(|error| StateError::database(&self.path, error))?;
        database.close().map_err(|error| StateError::database(&self.path, error.into()))?;
        self.place.publish().map_err(|error| io(&error))
    }

    fn file(&self) -> Result<Option<Box<dyn StorageBackend>>, StateError> {
        self.place.open().map_err(|error| StateError::io(&self.path, &error))
    }

    fn existing_file(&self) -> Result<Box<dyn StorageBackend>, StateError> {
        self.file()?.ok_or_else(|| StateError::io(&self.path, &std::io::ErrorKind::NotFound.into()))
    }

    fn open_database(&self, file: Box<dyn StorageBackend>) -> Result<Database, StateError> {
        let database = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(Opened(file));
        database.map_err(|error| StateError::database(&self.path, error.into()))
    }

    /// Size of its file, in bytes.
    ///
    /// # Errors
    /// Those of asking the file system.
    pub fn bytes(&self) -> std::io::Result<u64> {
        Ok(std::fs::metadata(&self.path)?.len())
    }

    /// What is stored of a stream; the default if nothing is.
    pub fn stream(&self, key: &StreamKey) -> Result<StreamState, StateError> {
        self.read(|transaction| read::stream(transaction, key))
    }

    /// Every stream of which something is stored.
    pub fn streams(&self) -> Result<Vec<StreamKey>, StateError> {
        self.read(read::streams)
    }

    /// The gaps of a stream, in the order in which they were found.
    pub fn gaps(&self, key: &StreamKey) -> Result<Vec<Gap>, StateError> {
        self.read(|transaction| read::gaps(transaction, key))
    }

    /// For each of `ids`, whether a record with it is known to have been read in this stream.
    pub fn known(&self, key: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError> {
        let mut known = vec![false; ids.len()];
        if ids.is_empty() {
            return Ok(known);
        }
        self.read(|transaction| {
            known.fill(false);
            let blocks = transaction.open_table(BLOCKS)?;
            for run in seen::runs(&transaction.open_table(RUNS)?, &key.row())? {
                // Runs never change, so a filter is right for as long as its run is there.
                let there = self.filters().get(run.number);
                let filter = match there {
                    Some(filter) => filter,
                    None => {
                        let filter = Arc::new(Filter::new(&seen::ids(&blocks, &run)?, seen::BLOCK));
                        self.filters().insert(run.number, filter.clone());
                        filter
                    }
                };
                seen::mark(&blocks, &run, &filter, ids, &mut known)?;
            }
            Ok(())
        })?;
        Ok(known)
    }

    /// Stores all of `commits` in one transaction, or none of them. It is on disk when this returns.
    ///
    /// After an error of the disk that lasts it may be unknown whether they were stored: then [`Store::stream`] tells,
    /// as soon as it answers again. The same commits may be handed in again then: they are stored once.
    pub fn commit(&self, commits: Vec<Commit>) -> Result<(), StateError> {
        if commits.is_empty() {
            return Ok(());
        }
        let print = fingerprint(&commits);
        let times: Vec<(StreamKey, u64)> = commits.iter().map(|commit| (commit.key.clone(), commit.at_ms)).collect();
        let commits = commits
            .into_iter()
            .map(|commit| Ok(Addition { of_stream: self.fresh_to_stream(&commit)?, commit }))
            .collect::<Result<Vec<_>, StateError>>()?;
        let changes = {
            let guard = self.database()?;
            let Some(database) = guard.as_ref() else { return Err(self.closed()) };
            // Left behind by an error, which no reader has outlived: the database was opened again since.
            let doubtful = self.doubtful().take().filter(|doubtful| doubtful.print == print);
            let last = doubtful.as_ref().map(|_| {
                database.begin_read().map_err(redb::Error::from).and_then(|transaction| last_commit(&transaction))
            });
            let mut changes = Vec::new();
            match (doubtful, last) {
                (Some(doubtful), Some(Err(error))) => {
                    *self.doubtful() = Some(doubtful);
                    drop(guard);
                    return Err(self.fault(error));
                }
                (Some(doubtful), Some(Ok(last))) if last == doubtful.number => {}
                _ => {
                    let number = self.next_commit.fetch_add(1, Ordering::Relaxed);
                    let result = self.write(database, commits, number, &mut changes);
                    drop(guard);
                    if let Err(error) = result {
                        let fault = self.fault(error);
                        // The last sync may have failed with everything in place; to store it again would count it twice.
                        match self.read(last_commit) {
                            Ok(last) if last == number => {}
                            Ok(_) => return Err(fault),
                            Err(_) => {
                                *self.doubtful() = Some(Doubtful { number, print });
                                return Err(fault);
                            }
                        }
                    }
                }
            }
            changes
        };
        let mut filters = self.filters();
        for change in changes {
            for run in change.removed {
                filters.remove(run);
            }
            if let Some((run, filter)) = change.added {
                filters.insert(run, filter);
            }
        }
        drop(filters);
        self.last_commits.lock().unwrap_or_else(PoisonError::into_inner).extend(times);
        Ok(())
    }

    /// Ids of a replay that its stream does not know: what a replay delivers, its stream would deliver again otherwise. A
    /// replay to one sink alone is no reason for that, since the others have not got it.
    fn fresh_to_stream(&self, commit: &Commit) -> Result<Option<(StreamKey, Vec<u128>)>, StateError> {
        let Some(stream) = commit.key.replayed().filter(|_| !commit.seen_for.is_zero()) else { return Ok(None) };
        let known = self.known(&stream, &commit.seen)?;
        let fresh: Vec<u128> = commit.seen.iter().zip(known).filter(|(_, known)| !known).map(|(id, _)| *id).collect();
        Ok((!fresh.is_empty()).then_some((stream, fresh)))
    }

    fn write(
        &self,
        database: &Database,
        commits: Vec<Addition>,
        number: u64,
        changes: &mut Vec<Change>,
    ) -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        transaction.open_table(META)?.insert(LAST_COMMIT, number)?;
        {
            let mut positions = transaction.open_table(POSITIONS)?;
            let mut ledgers = transaction.open_table(LEDGERS)?;
            let mut clocks = transaction.open_table(CLOCKS)?;
            let mut runs = transaction.open_table(RUNS)?;
            let mut blocks = transaction.open_table(BLOCKS)?;
            let mut gaps = transaction.open_table(GAPS)?;
            let mut partly = transaction.open_table(PARTLY)?;
            let mut writer = Writer { runs: &mut runs, blocks: &mut blocks };
            for Addition { commit, of_stream } in commits {
                if let Some((stream, ids)) = of_stream {
                    let row = stream.row();
                    let row = row.as_str();
                    if ledgers.get(row)?.is_none() {
                        let (since_ms, tenant) = (commit.at_ms, commit.tenant.clone());
                        let ledger = Ledger { since_ms, updated_ms: since_ms, tenant, ..Ledger::default() };
                        ledgers.insert(row, ledger_bytes(&ledger)?.as_slice())?;
                    }
                    // The stream grows no older by it: it is not read.
                    let now = clocks.get(row)?.map_or(0, |value| value.value().0);
                    changes.push(writer.add(row, now, ids, commit.seen_for, self.next_run())?);
                }
                let row = commit.key.row();
                let row = row.as_str();
                if let Some(position) = &commit.position {
                    positions.insert(row, (POSITION_FORM, position.as_slice()))?;
                }
                let stored = ledgers.get(row)?.map(|value| value.value().to_vec());
                let mut ledger = match stored {
                    Some(bytes) => parse_ledger(&commit.key, &bytes)?,
                    None => Ledger { since_ms: commit.at_ms, ..Ledger::default() },
                };
                ledger.counts.add(&commit.counts);
                ledger.updated_ms = commit.at_ms;
                if !commit.tenant.is_empty() {
                    ledger.tenant.clone_from(&commit.tenant);
                }
                ledgers.insert(row, ledger_bytes(&ledger)?.as_slice())?;

                if !commit.gaps.is_empty() {
                    add_gaps(&mut gaps, row, &commit.gaps)?;
                }
                if !commit.alerts.seen.is_empty() {
                    alerts::add(&transaction, &commit.key.source, &commit.alerts)?;
                }
                if let Some(sinks) = &commit.partly {
                    remove_stream(&mut partly, row)?;
                    for (sink, ids) in sinks.iter().filter(|(_, ids)| !ids.is_empty()) {
                        partly.insert((row, sink.as_str()), id_bytes(ids).as_slice())?;
                    }
                }

                let (before, _) = clocks.get(row)?.map_or((0, 0), |value| value.value());
                let now = before + self.step(&commit);
                clocks.insert(row, (now, commit.at_ms))?;
                let keep = if commit.key.is_replay() { REPLAY_KEPT } else { commit.seen_for };
                changes.push(writer.add(row, now, commit.seen, keep, self.next_run())?);
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Changes something in one transaction, or nothing. For what an operator does: a host commits.
    fn change(&self, change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>) -> Result<(), StateError> {
        let guard = self.database()?;
        let Some(database) = guard.as_ref() else { return Err(self.closed()) };
        let result = database.begin_write().map_err(redb::Error::from).and_then(|transaction| {
            change(&transaction)?;
            Ok(transaction.commit()?)
        });
        drop(guard);
        result.map_err(|error| self.fault(error))
    }

    fn next_run(&self) -> u64 {
        self.next_run.fetch_add(1, Ordering::Relaxed)
    }

    /// What a commit adds to its stream's own time.
    fn step(&self, commit: &Commit) -> u64 {
        let last = self.last_commits.lock().unwrap_or_else(PoisonError::into_inner).get(&commit.key).copied();
        last.map_or(0, |last| commit.at_ms.saturating_sub(last).min(LONGEST_STEP.as_millis() as u64))
    }

    fn read<T>(&self, mut read: impl FnMut(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, StateError> {
        let guard = self.database()?;
        let Some(database) = guard.as_ref() else { return Err(self.closed()) };
        let result = database.begin_read().map_err(redb::Error::from).and_then(|transaction| read(&transaction));
        drop(guard);
        result.map_err(|error| self.fault(error))
    }

    /// The database. After a fault of the disk it was closed; then it is opened again here.
    fn database(&self) -> Result<std::sync::RwLockReadGuard<'_, Option<Database>>, StateError> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        if guard.is_some() {
            return Ok(guard);
        }
        drop(guard);
        let mut writer = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if writer.is_none() {
            *writer = Some(self.open_database(self.existing_file()?)?);
            info!(path = %self.path.display(), "the state can be used again");
        }
        drop(writer);
        Ok(self.database.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// After an error of the disk, redb wants its file to be opened again.
    fn fault(&self, error: redb::Error) -> StateError {
        if matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo) {
            self.database.write().unwrap_or_else(PoisonError::into_inner).take();
            warn!(path = %self.path.display(), %error, "the state could not be used; its file will be opened again");
        }
        StateError::database(&self.path, error)
    }

    fn closed(&self) -> StateError {
        StateError::Io { path: self.path.clone(), reason: "the file is closed after a fault of the disk".into() }
    }

    fn doubtful(&self) -> MutexGuard<'_, Option<Doubtful>> {
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn filters(&self) -> MutexGuard<'_, Filters> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one commit adds.
struct Addition {
    commit: Commit,
    /// Ids that another stream has seen by it.
    of_stream: Option<(StreamKey, Vec<u128>)>,
}

/// A transaction of which nobody knows whether it is on disk.
#[derive(Debug)]
struct Doubtful {
    number: u64,
    print: u64,
}

/// By what the same commits are known again when they are handed in once more.
fn fingerprint(commits: &[Commit]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for Commit { key, position, counts, seen, at_ms, .. } in commits {
        (key, position, counts.records, counts.accepted, seen, at_ms).hash(&mut hasher);
    }
    hasher.finish()
}

fn ledger_bytes(ledger: &Ledger) -> Result<Vec<u8>, redb::Error> {
    serde_json::to_vec(ledger).map_err(|error| corrupted(error.to_string()))
}

/// Adds gaps to the stream of `row`.
fn add_gaps(
    table: &mut Table<'_, (&'static str, u64), &'static [u8]>,
    row: &str,
    gaps: &[Gap],
) -> Result<(), redb::Error> {
    let last = table.range((row, 0)..=(row, u64::MAX))?.next_back().transpose()?;
    let next = last.map_or(0, |(key, _)| key.value().1 + 1);
    for (number, gap) in (next..).zip(gaps) {
        let bytes = serde_json::to_vec(gap).map_err(|error| corrupted(error.to_string()))?;
        table.insert((row, number), bytes.as_slice())?;
    }
    Ok(())
}

/// Removes what sinks have in part of the stream of `row`.
fn remove_stream(
    table: &mut Table<'_, (&'static str, &'static str), &'static [u8]>,
    row: &str,
) -> Result<(), redb::Error> {
    let mut sinks = Vec::new();
    for entry in table.range((row, "")..)? {
        let (key, _) = entry?;
        let (stream, sink) = key.value();
        if stream != row {
            break;
        }
        sinks.push(sink.to_owned());
    }
    for sink in sinks {
        table.remove((row, sink.as_str()))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
