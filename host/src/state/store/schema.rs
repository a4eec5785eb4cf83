//! The store's tables, and what a file says of itself before it is used.

use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use redb::{Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::super::disk::{Disk, Rehearsal, StorageBackend};
use super::super::error::StateError;
use super::super::seen::{BLOCKS, RUNS};
use super::super::{Ledger, StreamKey};
use super::CACHE_BYTES;

/// Numbers that describe the file.
pub const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Stream to (form of the row, position).
pub const POSITIONS: TableDefinition<&str, (u8, &[u8])> = TableDefinition::new("positions");
/// Stream to its ledger as JSON.
pub const LEDGERS: TableDefinition<&str, &[u8]> = TableDefinition::new("ledgers");
/// Stream to (its own milliseconds, time of its last commit).
pub const CLOCKS: TableDefinition<&str, (u64, u64)> = TableDefinition::new("clocks");

/// (Stream, sink) to ascending ids of events that the sink has and the position does not cover, 16 bytes each, big-endian.
pub const PARTLY: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("partly");
/// (Stream, number) to a gap as JSON, in the order in which they were found.
pub const GAPS: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("gaps");
/// Source that is no longer configured to since when: milliseconds since the Unix epoch.
pub const RETIRED: TableDefinition<&str, u64> = TableDefinition::new("retired");
/// (Source, number) to a health event as JSON, in the order in which they were told. It is made when the first is kept, and
/// a release that does not know it may leave it alone: so it is part of no format.
pub const HEALTH: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("health");

/// (Source, when, alert key, sink): the sink first saw the alert then, in milliseconds since the Unix epoch. As with health,
/// it is part of no format.
pub const ALERTS: TableDefinition<(&str, u64, u128, &str), ()> = TableDefinition::new("alerts-by-sink");
/// (Source, when, alert key) of earlier releases, which did not tell sinks apart. None comes to it any more.
pub const ALERTS_OF_ALL: TableDefinition<(&str, u64, u128), ()> = TableDefinition::new("alerts");

pub const FORMAT_KEY: &str = "format";
pub const LAST_COMMIT: &str = "last-commit";

/// Version of the tables. A file with a higher one is refused; one with a lower one is brought up to it. Since 2 ledgers
/// know more of each sink, and there are gaps, what sinks have in part, and retired sources.
pub const FORMAT: u64 = 2;
pub const POSITION_FORM: u8 = 1;

/// [`rehearse_on`] the file at `path`.
pub fn rehearse(path: &Path) -> Result<Contents, StateError> {
    let file = File::open(path).map_err(|error| StateError::io(path, &error))?;
    rehearse_on(path, Box::new(Disk::of(file)))
}

/// Opens `file`, which `path` names, in memory and checks every page, so that a damaged one is found before a byte of it
/// changes. What a crash left is sound here: redb goes back to the last whole commit.
pub fn rehearse_on(path: &Path, file: Box<dyn StorageBackend>) -> Result<Contents, StateError> {
    let damaged = |reason: &str| StateError::Damaged { path: path.to_path_buf(), reason: reason.to_owned() };
    if file.len().map_err(|error| StateError::io(path, &error))? == 0 {
        return Err(damaged("it is empty"));
    }
    let rehearsal = Rehearsal::new(file).map_err(|error| StateError::io(path, &error))?;
    // redb may panic on a file that was changed from outside.
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let database = builder.create_with_backend(rehearsal)?;
        inspect(&database)
    }));
    match result {
        Ok(Ok(contents)) => Ok(contents),
        Ok(Err(redb::Error::Io(error))) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(StateError::io(path, &error))
        }
        Ok(Err(error)) => Err(damaged(&error.to_string())),
        Err(_) => Err(damaged("its pages contradict each other")),
    }
}

/// What a file says of itself.
pub struct Contents {
    pub format: u64,
    pub next_run: u64,
    pub next_commit: u64,
}

fn inspect(database: &Database) -> Result<Contents, redb::Error> {
    let transaction = database.begin_read()?;
    let format = transaction.open_table(META)?.get(FORMAT_KEY)?.map(|value| value.value());
    let format = format.ok_or_else(|| corrupted("it does not say its format".into()))?;
    if format > FORMAT {
        return Ok(Contents { format, next_run: 0, next_commit: 0 });
    }
    let last = transaction.open_table(BLOCKS)?.last()?.map(|(key, _)| key.value().0);
    // Opened, so that a table of another type is found here.
    transaction.open_table(POSITIONS)?;
    transaction.open_table(LEDGERS)?;
    transaction.open_table(CLOCKS)?;
    transaction.open_table(RUNS)?;
    if format > 1 {
        transaction.open_table(PARTLY)?;
        transaction.open_table(GAPS)?;
        transaction.open_table(RETIRED)?;
    }
    match transaction.open_table(HEALTH) {
        Ok(_) | Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    match transaction.open_table(ALERTS) {
        Ok(_) | Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    match transaction.open_table(ALERTS_OF_ALL) {
        Ok(_) | Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let next_commit = last_commit(&transaction)? + 1;
    Ok(Contents { format, next_run: last.map_or(0, |last| last + 1), next_commit })
}

/// The number of the last commit; zero before the first.
pub fn last_commit(transaction: &ReadTransaction) -> Result<u64, redb::Error> {
    Ok(transaction.open_table(META)?.get(LAST_COMMIT)?.map_or(0, |value| value.value()))
}

/// Makes all tables that are not there, and writes the format.
pub fn prepare(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
    transaction.open_table(POSITIONS)?;
    transaction.open_table(LEDGERS)?;
    transaction.open_table(CLOCKS)?;
    transaction.open_table(RUNS)?;
    transaction.open_table(BLOCKS)?;
    transaction.open_table(PARTLY)?;
    transaction.open_table(GAPS)?;
    transaction.open_table(RETIRED)?;
    transaction.commit()?;
    Ok(())
}

pub fn parse_ledger(key: &StreamKey, bytes: &[u8]) -> Result<Ledger, redb::Error> {
    serde_json::from_slice(bytes).map_err(|error| corrupted(format!("the ledger of {key} cannot be read: {error}")))
}

pub fn corrupted(reason: String) -> redb::Error {
    redb::Error::Corrupted(reason)
}

/// The ids of a row, 16 bytes each.
pub fn parse_ids(bytes: &[u8]) -> impl Iterator<Item = u128> {
    bytes.as_chunks::<16>().0.iter().map(|id| u128::from_be_bytes(*id))
}

/// Ids as a row holds them.
pub fn id_bytes<'a>(ids: impl IntoIterator<Item = &'a u128>) -> Vec<u8> {
    ids.into_iter().flat_map(|id| id.to_be_bytes()).collect()
}
