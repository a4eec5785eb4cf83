//! When each alert of a source was first seen.

use redb::{ReadTransaction, ReadableTable, TableError, WriteTransaction};

use super::Store;
use super::schema::ALERTS;
use crate::state::{Sightings, StateError};

impl Store {
    /// The alerts of `source` that were first seen at `since_ms` or later, with when that was.
    pub fn alerts(&self, source: &str, since_ms: u64) -> Result<Vec<(u128, u64)>, StateError> {
        self.read(|transaction| of(transaction, source, since_ms))
    }

    /// Forgets those of a source.
    pub(super) fn forget_alerts(&self, source: &str) -> Result<(), StateError> {
        self.change(|transaction| add(transaction, source, &Sightings { since_ms: u64::MAX, seen: Vec::new() }))
    }
}

pub(super) fn of(transaction: &ReadTransaction, source: &str, since_ms: u64) -> Result<Vec<(u128, u64)>, redb::Error> {
    let table = match transaction.open_table(ALERTS) {
        Ok(table) => table,
        // Before the first alert was seen.
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let rows = table.range((source, since_ms, 0)..=(source, u64::MAX, u128::MAX))?;
    let row = |(_, at, key): (&str, u64, u128)| (key, at);
    rows.map(|found| Ok(row(found?.0.value()))).collect()
}

/// Adds sightings, and forgets what is older than they need.
pub(super) fn add(transaction: &WriteTransaction, source: &str, sightings: &Sightings) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(ALERTS)?;
    table.retain_in((source, 0, 0)..(source, sightings.since_ms, 0), |_, _| false)?;
    for (key, at) in &sightings.seen {
        table.insert((source, *at, *key), ())?;
    }
    Ok(())
}

/// Gives those of `old` to `new`.
pub(super) fn rename(transaction: &WriteTransaction, old: &str, new: &str) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(ALERTS)?;
    let all = |source| (source, 0, 0)..=(source, u64::MAX, u128::MAX);
    let moved: Vec<(u64, u128)> = table
        .range(all(old))?
        .map(|row| row.map(|row| (row.0.value().1, row.0.value().2)))
        .collect::<Result<_, _>>()?;
    table.retain_in(all(old), |_, ()| false)?;
    for (at, key) in moved {
        table.insert((new, at, key), ())?;
    }
    Ok(())
}
