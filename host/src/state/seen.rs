//! Which records were read before. A row for each id would cost more than the event, so ids lie in sorted runs: each
//! commit appends one, and small ones are merged as in a log-structured merge tree. A run is cut into blocks, so that
//! confirming what the filter in memory suspects reads 16 KiB.
//!
//! Runs have classes by size, each four times as large as the one before. [`WIDTH`] runs of one class become one of a
//! higher class, all in one merge as far up as it goes; so an id is rewritten once a class, and of each class there are
//! fewer than [`WIDTH`] runs. More would save merges and make each question dearer, which looks into every run.
//!
//! On disk an id takes 16 bytes; in memory it takes 16 bits. A merge holds one run, at most 16 MiB, twice.
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
/// The most ids in a run.
const LARGEST: u64 = 1 << 20;
/// Runs of one class that are merged.
const WIDTH: usize = 4;
/// A stream has one run with fewer ids. They fit into 8 KiB, so writing them again with each commit costs little beside
/// the rest of it.
const SMALL: u64 = 500;
/// Ids in a run that is not merged any more: five classes lie between the smallest and it.
const FULL: u64 = SMALL << 10;
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
    append(table, run, &mut ids)?;
    Ok(ids)
}

/// Appends all ids of a run, ascending.
fn append(
    table: &impl ReadableTable<(u64, u32), &'static [u8]>,
    run: &Run,
    ids: &mut Vec<u128>,
) -> Result<(), redb::StorageError> {
    for row in table.range((run.number, 0)..=(run.number, u32::MAX))? {
        let (_, block) = row?;
        ids.extend(block.value().as_chunks::<ID>().0.iter().map(|id| u128::from_be_bytes(*id)));
    }
    Ok(())
}

/// Sets `known[i]` for each of `wanted` that the run holds.
pub fn mark(
    table: &impl ReadableTable<(u64, u32), &'static [u8]>,
    run: &Run,
    filter: &Filter,
    wanted: &[u128],
    known: &mut [bool],
) -> Result<(), redb::StorageError> {
    let mut suspects: Vec<(u128, usize)> = Vec::new();
    for (i, (id, known)) in wanted.iter().zip(&*known).enumerate() {
        if !known && filter.suspects(*id) {
            suspects.push((*id, i));
        }
    }
    // Most are strangers, so only the few others are sorted: neighbours share a block, which is read once.
    suspects.sort_unstable();
    let mut at: Option<(u32, redb::AccessGuard<'_, &'static [u8]>)> = None;
    for (id, i) in suspects {
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
        all.sort_unstable();
        let merged = kept.split_off(kept.len() - mergeable(&kept, &new, keep));
        all.reserve(merged.iter().map(|run| run.count as usize).sum());
        for last in merged.iter().rev() {
            append(&*self.blocks, last, &mut all)?;
            new.oldest_expires = new.oldest_expires.min(last.oldest_expires);
            new.expires = new.expires.max(last.expires);
            self.remove(stream, last, &mut change)?;
        }
        // Stable: it finds the sorted runs that `all` consists of, the shortest first.
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
    let mut bytes = Vec::with_capacity(BLOCK.min(ids.len()));
    for (i, block) in ids.chunks(BLOCK).enumerate() {
        bytes.clear();
        bytes.extend(block.iter().map(|id| id.to_be_bytes()));
        table.insert((number, i as u32), bytes.as_flattened())?;
    }
    Ok(())
}

/// How many of the last of `runs` are to be merged with `new`, which follows them.
///
/// Those of a lower class are: they rise. Those of its own class are when they are [`WIDTH`] with it, and so on with what
/// comes of it. A run is left alone that would make the new one too large, or that lies so far off in time that ids would
/// be kept for much longer than they must.
fn mergeable(runs: &[Run], new: &Run, keep: u64) -> usize {
    let last = |number: usize| &runs[runs.len() - 1 - number];
    let (mut oldest_expires, mut expires) = (new.oldest_expires, new.expires);
    let near = runs.iter().rev().take_while(|run| {
        (oldest_expires, expires) = (oldest_expires.min(run.oldest_expires), expires.max(run.expires));
        run.count < FULL && expires - oldest_expires <= keep / 4
    });
    let near = near.count();
    let (mut merged, mut count) = (0, new.count);
    loop {
        let among =
            |of: &dyn Fn(u32) -> bool| (merged..near).take_while(|number| of(class(last(*number).count))).count();
        let own = class(count);
        let lower = among(&|class| class < own);
        let same = among(&|class| class == own);
        let wanted = match (lower, same) {
            (0, same) if own == 0 || same + 1 >= WIDTH => same,
            // Else the fourth might make it too large, and the first would stay behind for ever.
            (0, same) if count + (merged..merged + same).map(|number| last(number).count).sum::<u64>() >= FULL => same,
            (lower, _) => lower,
        };
        let before = merged;
        while merged < before + wanted && count + last(merged).count <= LARGEST {
            count += last(merged).count;
            merged += 1;
        }
        if merged == before {
            return merged;
        }
    }
}

/// The class of a run: zero below [`SMALL`] ids, and one more for each time that it is four times as large.
fn class(count: u64) -> u32 {
    (count / SMALL).checked_ilog2().map_or(0, |doubled| 1 + doubled / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: u64 = 1_000_000;

    /// What stands after commits of so many ids at such times, and how many ids were written for it.
    fn after(commits: impl Iterator<Item = (u64, u64)>, mut look: impl FnMut(&[Run])) -> (Vec<Run>, u64) {
        let (mut runs, mut written) = (Vec::<Run>::new(), 0);
        for (number, (count, now)) in (0..).zip(commits) {
            runs.retain(|run| run.expires > now);
            let mut new = Run { number, oldest_expires: now + KEEP, expires: now + KEEP, count };
            for run in runs.split_off(runs.len() - mergeable(&runs, &new, KEEP)) {
                new.oldest_expires = new.oldest_expires.min(run.oldest_expires);
                new.count += run.count;
            }
            assert!(new.count <= LARGEST && new.expires - new.oldest_expires <= KEEP / 4, "{new:?}");
            written += new.count;
            runs.push(new);
            look(&runs);
        }
        (runs, written)
    }

    type Size = fn(u64) -> u64;

    /// Ways in which the sizes of commits may vary, by their number.
    fn sizes() -> [(&'static str, Size); 6] {
        [
            ("ones", |_| 1),
            ("chunks", |_| 2_000),
            ("small and large", |i| if i % 2 == 0 { 3 } else { 4_000 }),
            ("growing", |i| 1 + i % 5_000),
            ("shrinking", |i| 5_000 - i % 5_000),
            ("any", |i| 1 << (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60)),
        ]
    }

    #[test]
    fn runs_are_few_and_ids_seldom_written_again() {
        for (name, size) in sizes() {
            let ids: u64 = (0..20_000).map(size).sum();
            let (runs, written) = after((0..20_000).map(|i| (size(i), 0)), |runs| {
                // Five classes, the smallest, and what is full or stayed behind a full one.
                let there: u64 = runs.iter().map(|run| run.count).sum();
                assert!(runs.len() as u64 <= 5 * (WIDTH as u64 - 1) + 1 + 2 * there / FULL, "{name}: {runs:?}");
            });
            assert_eq!(runs.iter().map(|run| run.count).sum::<u64>(), ids);
            // Ones stay in the smallest class, where each commit writes all of them.
            let most = if name == "ones" { 20_000 * 2 * SMALL } else { 8 * ids };
            assert!(written <= most, "{name}: {written} written for {ids}");
        }
    }

    #[test]
    fn what_lies_far_off_in_time_is_not_merged() {
        // So slow that a quarter of the time to keep holds 25 of them.
        let slow = (0..10_000).map(|i| (1, i * KEEP / 100));
        after(slow, |runs| assert!(runs.len() <= 10, "{runs:?}"));
        let run = |at: u64| Run { number: 0, oldest_expires: at, expires: at, count: 10 };
        assert_eq!(mergeable(&[run(KEEP)], &run(KEEP + KEEP / 4), KEEP), 1);
        assert_eq!(mergeable(&[run(KEEP)], &run(KEEP + KEEP / 4 + 1), KEEP), 0);
    }

    #[test]
    fn four_of_a_class_are_merged_as_far_up_as_it_goes() {
        let run = |count: u64| Run { number: 0, oldest_expires: KEEP, expires: KEEP, count };
        let merged = |runs: &[u64], new: u64| {
            mergeable(&runs.iter().map(|count| run(*count)).collect::<Vec<_>>(), &run(new), KEEP)
        };
        assert_eq!(merged(&[1000, 1000], 1000), 0);
        assert_eq!(merged(&[1000, 1000, 1000], 1000), 3);
        assert_eq!(merged(&[4000, 4000, 4000, 1000, 1000, 1000], 1000), 6);
        assert_eq!(merged(&[4000, 4000, 1000, 1000, 1000], 1000), 3);
        // Smaller ones rise with a larger one; the smallest are one.
        assert_eq!(merged(&[4000, 10, 1000], 5000), 2);
        assert_eq!(merged(&[1000, 10], 10), 1);
        // None becomes too large: what fits is merged.
        assert_eq!(merged(&[300_000], 300_000), 1);
        assert_eq!(merged(&[500_000; 3], 300_000), 1);
        assert_eq!(merged(&[FULL], 300_000), 0);
    }
}
