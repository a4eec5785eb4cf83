//! Which records were read before. A row for each id would cost more than the event, so ids lie in sorted runs: each
//! commit appends one, and small ones are merged as in a log-structured merge tree. A run is cut into blocks, so that
//! confirming what the filter in memory suspects reads 16 KiB.
//!
//! On disk an id takes 16 bytes and is rewritten about log1.5(n) times at the most before its run is full; in memory it
//! takes 10 bits. A merge holds one run, at most 16 MiB, twice.
//!
//! Age is counted in the stream's own time: what passes between two commits, up to a quarter of an hour a step, and
//! nothing for the first step after a start. So a time in which the stream was not read makes no id expire early; ids
//! that stay longer than they must do no harm.

use std::sync::Arc;
use std::time::Duration;

use redb::{ReadableTable, Table, TableDefinition};

use super::filter::Filter;

/// (stream, run) to (expiry of its oldest id, expiry of its newest id, number of ids), both in the stream's own
/// milliseconds. Runs are numbered in the order in which they were written, across all streams.
pub const RUNS: TableDefinition<(&str, u64), (u64, u64, u64)> = TableDefinition::new("seen-runs");
/// (run, block) to ascending ids, 16 bytes each, big-endian.
pub const BLOCKS: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("seen-blocks");

/// Ids in a block: as many as fit into 16 KiB with what redb adds. With a few more it would take 32 KiB.
pub const BLOCK: usize = 1008;
const ID: usize = size_of::<u128>();
/// Ids in a run that is not merged any more.
const FULL_RUN: u64 = 1 << 20;
/// The most that one step between two commits adds to a stream's age.
pub const LONGEST_STEP: Duration = Duration::from_secs(15 * 60);

/// One run of ids of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub number: u64,
    oldest_expires: u64,
    expires: u64,
    pub count: u64,
}

impl Run {
    /// As its row has it.
    pub fn row(&self) -> (u64, u64, u64) {
        (self.oldest_expires, self.expires, self.count)
    }
}

/// The runs of a stream, in the order in which they were written.
pub fn runs(
    table: &impl ReadableTable<(&'static str, u64), (u64, u64, u64)>,
    stream: &str,
) -> Result<Vec<Run>, redb::StorageError> {
    table
        .range((stream, 0)..=(stream, u64::MAX))?
        .map(|row| {
            let (key, value) = row?;
            let (oldest_expires, expires, count) = value.value();
            Ok(Run { number: key.value().1, oldest_expires, expires, count })
        })
        .collect()
}

/// All ids of a run, ascending.
pub fn ids(table: &impl ReadableTable<(u64, u32), &'static [u8]>, run: &Run) -> Result<Vec<u128>, redb::StorageError> {
    let mut ids = Vec::with_capacity(run.count as usize);
    for row in table.range((run.number, 0)..=(run.number, u32::MAX))? {
        let (_, block) = row?;
        ids.extend(block.value().as_chunks::<ID>().0.iter().map(|id| u128::from_be_bytes(*id)));
    }
    Ok(ids)
}

/// Sets `known[i]` for each of `wanted`, (id, i) ascending, that the run holds.
pub fn mark(
    table: &impl ReadableTable<(u64, u32), &'static [u8]>,
    run: &Run,
    filter: &Filter,
    wanted: &[(u128, usize)],
    known: &mut [bool],
) -> Result<(), redb::StorageError> {
    // Neighbours share a block, which is read once.
    let mut at: Option<(u32, redb::AccessGuard<'_, &'static [u8]>)> = None;
    for (id, i) in wanted.iter().filter(|(_, i)| !known[*i]).copied().collect::<Vec<_>>() {
        let Some(number) = filter.block(id) else { continue };
        if at.as_ref().is_none_or(|(there, _)| *there != number) {
            let Some(block) = table.get((run.number, number))? else { continue };
            at = Some((number, block));
        }
        if let Some((_, block)) = &at {
            known[i] =
                block.value().as_chunks::<ID>().0.binary_search_by(|held| u128::from_be_bytes(*held).cmp(&id)).is_ok();
        }
    }
    Ok(())
}

/// What a commit does to the runs of a stream.
#[derive(Debug, Default)]
pub struct Change {
    pub added: Option<(u64, Arc<Filter>)>,
    pub removed: Vec<u64>,
}

/// The tables of runs and blocks, open for writing.
pub struct Writer<'a, 'txn> {
    pub runs: &'a mut Table<'txn, (&'static str, u64), (u64, u64, u64)>,
    pub blocks: &'a mut Table<'txn, (u64, u32), &'static [u8]>,
}

impl Writer<'_, '_> {
    /// Drops what has expired at `now` (the stream's own milliseconds) and adds `fresh` as run `number`, together with
    /// those before it that are small enough to be merged.
    pub fn add(
        &mut self,
        stream: &str,
        now: u64,
        fresh: Vec<u128>,
        keep: Duration,
        number: u64,
    ) -> Result<Change, redb::StorageError> {
        let mut change = Change::default();
        let (expired, mut kept): (Vec<Run>, Vec<Run>) =
            runs(&*self.runs, stream)?.into_iter().partition(|run| run.expires <= now);
        for run in expired {
            self.remove(stream, &run, &mut change)?;
        }
        if fresh.is_empty() || keep.is_zero() {
            return Ok(change);
        }
        let keep = keep.as_millis() as u64;
        let mut new = Run { number, oldest_expires: now + keep, expires: now + keep, count: fresh.len() as u64 };
        let mut all = fresh;
        while let Some(last) = kept.pop_if(|last| mergeable(last, &new, keep)) {
            all.extend(ids(&*self.blocks, &last)?);
            new.oldest_expires = new.oldest_expires.min(last.oldest_expires);
            new.expires = new.expires.max(last.expires);
            new.count += last.count;
            self.remove(stream, &last, &mut change)?;
        }
        // Stable: it finds the sorted runs that `all` consists of.
        all.sort();
        all.dedup();
        new.count = all.len() as u64;
        write_blocks(self.blocks, number, &all)?;
        self.runs.insert((stream, number), new.row())?;
        change.added = Some((number, Arc::new(Filter::new(&all, BLOCK))));
        Ok(change)
    }

    fn remove(&mut self, stream: &str, run: &Run, change: &mut Change) -> Result<(), redb::StorageError> {
        self.runs.remove((stream, run.number))?;
        self.blocks.retain_in((run.number, 0)..=(run.number, u32::MAX), |_, _| false)?;
        change.removed.push(run.number);
        Ok(())
    }
}

/// Writes ascending `ids` as the blocks of run `number`.
pub fn write_blocks(
    table: &mut Table<'_, (u64, u32), &'static [u8]>,
    number: u64,
    ids: &[u128],
) -> Result<(), redb::StorageError> {
    for (i, block) in ids.chunks(BLOCK).enumerate() {
        let bytes: Vec<u8> = block.iter().flat_map(|id| id.to_be_bytes()).collect();
        table.insert((number, i as u32), bytes.as_slice())?;
    }
    Ok(())
}

/// Whether `last` is so small beside `new`, which follows it, that merging pays, and so near to it in time that nothing
/// is kept for much longer than it must.
fn mergeable(last: &Run, new: &Run, keep: u64) -> bool {
    last.count < 2 * new.count
        && last.count + new.count <= FULL_RUN
        && new.expires.max(last.expires) - new.oldest_expires.min(last.oldest_expires) <= keep / 4
}
