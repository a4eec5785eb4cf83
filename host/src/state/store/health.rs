//! The last health events of each source, as the JSON that sinks got.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableError, WriteTransaction};

use super::Store;
use super::schema::HEALTH;
use crate::state::{HealthRow, KEPT_HEALTH, StateError};

type Reading = ReadOnlyTable<(&'static str, u64), &'static [u8]>;
type Writing<'a> = Table<'a, (&'static str, u64), &'static [u8]>;

impl Store {
    /// Keeps events, and forgets those of their sources that are too many now.
    pub fn keep_health(&self, events: &[HealthRow]) -> Result<(), StateError> {
        self.change(|transaction| {
            let mut table = transaction.open_table(HEALTH)?;
            events.iter().try_for_each(|HealthRow { source, json }| add(&mut table, source, json))
        })
    }

    /// What is kept of a source, oldest first.
    pub fn health(&self, source: &str) -> Result<Vec<Vec<u8>>, StateError> {
        self.read(|transaction| of(transaction, source))
    }

    /// The sources of which any are kept.
    pub fn health_sources(&self) -> Result<Vec<String>, StateError> {
        self.read(sources)
    }

    /// Forgets those of a source.
    pub(super) fn forget_health(&self, source: &str) -> Result<(), StateError> {
        self.change(|transaction| {
            transaction.open_table(HEALTH)?.retain_in((source, 0)..=(source, u64::MAX), |_, _| false)?;
            Ok(())
        })
    }
}

/// `None` before the first event was kept.
fn table(transaction: &ReadTransaction) -> Result<Option<Reading>, redb::Error> {
    match transaction.open_table(HEALTH) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What is kept of a source, oldest first.
pub(super) fn of(transaction: &ReadTransaction, source: &str) -> Result<Vec<Vec<u8>>, redb::Error> {
    let Some(table) = table(transaction)? else { return Ok(Vec::new()) };
    let rows = table.range((source, 0)..=(source, u64::MAX))?;
    rows.map(|row| Ok(row?.1.value().to_vec())).collect()
}

/// The sources of which any are kept.
pub(super) fn sources(transaction: &ReadTransaction) -> Result<Vec<String>, redb::Error> {
    let Some(table) = table(transaction)? else { return Ok(Vec::new()) };
    let mut sources: Vec<String> = Vec::new();
    for row in table.iter()? {
        let row = row?;
        let source = row.0.value().0;
        if sources.last().is_none_or(|last| last != source) {
            sources.push(source.to_owned());
        }
    }
    Ok(sources)
}

/// Adds one event.
pub(super) fn add(table: &mut Writing<'_>, source: &str, json: &[u8]) -> Result<(), redb::Error> {
    let last = table.range((source, 0)..=(source, u64::MAX))?.next_back().transpose()?;
    let number = last.map_or(0, |(key, _)| key.value().1 + 1);
    table.insert((source, number), json)?;
    let first = (number + 1).saturating_sub(KEPT_HEALTH as u64);
    table.retain_in((source, 0)..(source, first), |_, _| false)?;
    Ok(())
}

/// Gives the events of `old` to `new`, before those that it may have.
pub(super) fn rename(transaction: &WriteTransaction, old: &str, new: &str) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(HEALTH)?;
    let mut events: Vec<Vec<u8>> = Vec::new();
    for source in [old, new] {
        for row in table.range((source, 0)..=(source, u64::MAX))? {
            events.push(row?.1.value().to_vec());
        }
        table.retain_in((source, 0)..=(source, u64::MAX), |_, _| false)?;
    }
    events.iter().try_for_each(|event| add(&mut table, new, event))
}
