//! When sinks first saw each alert of a source.

use redb::{Key, ReadOnlyTable, ReadTransaction, TableDefinition, TableError, WriteTransaction};

use super::Store;
use super::schema::{ALERTS, ALERTS_OF_ALL};
use crate::state::{Sighting, Sightings, StateError};

impl Store {
    /// The alerts of `source` that sinks first saw at `since_ms` or later.
    pub fn alerts(&self, source: &str, since_ms: u64) -> Result<Vec<Sighting>, StateError> {
        self.read(|transaction| of(transaction, source, since_ms))
    }

    /// Forgets those of a source.
    pub(super) fn forget_alerts(&self, source: &str) -> Result<(), StateError> {
        self.change(|transaction| add(transaction, source, &Sightings { since_ms: u64::MAX, seen: Vec::new() }))
    }
}

pub(super) fn of(transaction: &ReadTransaction, source: &str, since_ms: u64) -> Result<Vec<Sighting>, redb::Error> {
    let mut found = Vec::new();
    if let Some(table) = opened(transaction, ALERTS_OF_ALL)? {
        for row in table.range((source, since_ms, 0)..=(source, u64::MAX, u128::MAX))? {
            let (_, at_ms, key) = row?.0.value();
            found.push(Sighting { key, at_ms, sink: None });
        }
    }
    if let Some(table) = opened(transaction, ALERTS)? {
        for row in table.range((source, since_ms, 0, "")..)? {
            let row = row?.0;
            let (of, at_ms, key, sink) = row.value();
            if of != source {
                break;
            }
            found.push(Sighting { key, at_ms, sink: Some(sink.into()) });
        }
    }
    Ok(found)
}

/// `None` before the first alert was seen.
fn opened<K: Key + 'static>(
    transaction: &ReadTransaction,
    table: TableDefinition<K, ()>,
) -> Result<Option<ReadOnlyTable<K, ()>>, redb::Error> {
    match transaction.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Adds sightings, and forgets what is older than they need.
pub(super) fn add(transaction: &WriteTransaction, source: &str, sightings: &Sightings) -> Result<(), redb::Error> {
    let Sightings { since_ms, seen } = sightings;
    let (mut table, mut of_all) = (transaction.open_table(ALERTS)?, transaction.open_table(ALERTS_OF_ALL)?);
    table.retain_in((source, 0, 0, "")..(source, *since_ms, 0, ""), |_, ()| false)?;
    of_all.retain_in((source, 0, 0)..(source, *since_ms, 0), |_, ()| false)?;
    for Sighting { key, at_ms, sink } in seen {
        match sink {
            Some(sink) => table.insert((source, *at_ms, *key, &**sink), ())?,
            None => of_all.insert((source, *at_ms, *key), ())?,
        };
    }
    Ok(())
}

/// Gives those of `old` to `new`.
pub(super) fn rename(transaction: &WriteTransaction, old: &str, new: &str) -> Result<(), redb::Error> {
    let (mut table, mut of_all) = (transaction.open_table(ALERTS)?, transaction.open_table(ALERTS_OF_ALL)?);
    let (mut moved, mut moved_of_all) = (Vec::new(), Vec::new());
    table.retain(|(source, at_ms, key, sink), ()| {
        if source == old {
            moved.push((at_ms, key, sink.to_owned()));
        }
        source != old
    })?;
    of_all.retain(|(source, at_ms, key), ()| {
        if source == old {
            moved_of_all.push((at_ms, key));
        }
        source != old
    })?;
    for (at_ms, key, sink) in moved {
        table.insert((new, at_ms, key, sink.as_str()), ())?;
    }
    for (at_ms, key) in moved_of_all {
        of_all.insert((new, at_ms, key), ())?;
    }
    Ok(())
}
