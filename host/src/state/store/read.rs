//! What is stored, as one transaction sees it.

use redb::{ReadTransaction, ReadableTable};

use super::schema::{CLOCKS, GAPS, LEDGERS, PARTLY, POSITION_FORM, POSITIONS, corrupted, parse_ids, parse_ledger};
use crate::state::{Gap, Ledger, Partly, StreamKey, StreamState};

/// What is stored of a stream; the default if nothing is.
pub(super) fn stream(transaction: &ReadTransaction, key: &StreamKey) -> Result<StreamState, redb::Error> {
    let row = key.row();
    let position = match transaction.open_table(POSITIONS)?.get(row.as_str())? {
        Some(value) => {
            let (form, bytes) = value.value();
            if form != POSITION_FORM {
                return Err(corrupted(format!("the position of {key} has the unknown form {form}")));
            }
            Some(bytes.to_vec())
        }
        None => None,
    };
    let ledger = match transaction.open_table(LEDGERS)?.get(row.as_str())? {
        Some(value) => parse_ledger(key, value.value())?,
        None => Ledger::default(),
    };
    let mut partly = Partly::new();
    for entry in transaction.open_table(PARTLY)?.range((row.as_str(), "")..)? {
        let (key, ids) = entry?;
        let (stream, sink) = key.value();
        if stream != row {
            break;
        }
        partly.insert(sink.to_owned(), parse_ids(ids.value()).collect());
    }
    Ok(StreamState { position, ledger, partly })
}

/// Every stream of which something is stored.
pub(super) fn streams(transaction: &ReadTransaction) -> Result<Vec<StreamKey>, redb::Error> {
    let ledgers = transaction.open_table(LEDGERS)?;
    ledgers.iter()?.map(|row| Ok(StreamKey::of_row(row?.0.value()))).collect()
}

/// The gaps of a stream, in the order in which they were found.
pub(super) fn gaps(transaction: &ReadTransaction, key: &StreamKey) -> Result<Vec<Gap>, redb::Error> {
    let row = key.row();
    let gaps = transaction.open_table(GAPS)?;
    let rows = gaps.range((row.as_str(), 0)..=(row.as_str(), u64::MAX))?;
    rows.map(|entry| {
        serde_json::from_slice(entry?.1.value())
            .map_err(|error| corrupted(format!("a gap of {key} cannot be read: {error}")))
    })
    .collect()
}

/// A stream's own time, and the time of its last commit; both in milliseconds.
pub(super) fn clock(transaction: &ReadTransaction, key: &StreamKey) -> Result<(u64, u64), redb::Error> {
    Ok(transaction.open_table(CLOCKS)?.get(key.row().as_str())?.map_or((0, 0), |value| value.value()))
}
