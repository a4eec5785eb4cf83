//! Says of a run of seen ids, from memory, which ids it does not hold and in which block the others would be.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Bits of memory for each id. With one bit in each of eight words set for each, about one id in a thousand is taken for a
/// known one, which costs reading one block: more than all its questions to filters.
const BITS_PER_ID: usize = 16;
const WORDS: usize = 8;

/// A Bloom filter whose bits for one id lie in one cache line, one in each of its words. Ids are hashes already: their own
/// bits choose.
#[derive(Debug)]
pub struct Filter {
    lines: Vec<[u64; WORDS]>,
    /// The first id of each block.
    fences: Vec<u128>,
}

impl Filter {
    /// Of ascending `ids`, in blocks of `block` ids.
    pub fn new(ids: &[u128], block: usize) -> Self {
        let lines = (ids.len() * BITS_PER_ID).div_ceil(WORDS * 64).max(1);
        let mut filter =
            Filter { lines: vec![[0; WORDS]; lines], fences: ids.iter().step_by(block).copied().collect() };
        for id in ids {
            let line = filter.line(*id);
            for (number, word) in filter.lines[line].iter_mut().enumerate() {
                *word |= bit(*id, number);
            }
        }
        filter
    }

    fn line(&self, id: u128) -> usize {
        // The high half, scaled to the number of lines.
        (((id >> 64) * self.lines.len() as u128) >> 64) as usize
    }

    /// Whether the run may hold `id`.
    pub fn suspects(&self, id: u128) -> bool {
        let line = &self.lines[self.line(id)];
        let missing = |words: Range<usize>| words.fold(0, |missing, word| missing | (bit(id, word) & !line[word]));
        // One stranger in sixteen passes the first three words. One word after the other would stop sooner, but after the
        // first it is chance whether it stops, and a branch that cannot be foreseen costs more than a word.
        missing(0..3) == 0 && missing(3..WORDS) == 0
    }

    /// The block in which `id` is, if it is in the run.
    pub fn block(&self, id: u128) -> Option<u32> {
        (self.fences.partition_point(|first| *first <= id) as u32).checked_sub(1)
    }

    /// Memory that it takes.
    fn bytes(&self) -> usize {
        self.lines.len() * WORDS * 8 + self.fences.len() * 16
    }
}

/// The bit of a word: six bits of the id's low half choose it.
fn bit(id: u128, word: usize) -> u64 {
    1 << ((id as u64 >> (6 * word)) & 63)
}

/// Filters in memory, by run, up to a number of bytes; beyond it those that were not used for longest go.
#[derive(Debug)]
pub struct Filters {
    limit: usize,
    bytes: usize,
    clock: u64,
    filters: HashMap<u64, (u64, Arc<Filter>)>,
}

impl Filters {
    pub fn new(limit: usize) -> Self {
        Filters { limit, bytes: 0, clock: 0, filters: HashMap::new() }
    }

    pub fn get(&mut self, run: u64) -> Option<Arc<Filter>> {
        self.clock += 1;
        let (used, filter) = self.filters.get_mut(&run)?;
        *used = self.clock;
        Some(filter.clone())
    }

    pub fn insert(&mut self, run: u64, filter: Arc<Filter>) {
        self.remove(run);
        self.clock += 1;
        self.bytes += filter.bytes();
        self.filters.insert(run, (self.clock, filter));
        if self.bytes <= self.limit {
            return;
        }
        // To three quarters, so that this does not happen at each call.
        let mut by_use: Vec<(u64, u64)> = self.filters.iter().map(|(run, (used, _))| (*used, *run)).collect();
        by_use.sort_unstable();
        for (_, old) in by_use {
            if self.bytes <= self.limit / 4 * 3 || old == run {
                break;
            }
            self.remove(old);
        }
    }

    pub fn remove(&mut self, run: u64) {
        if let Some((_, filter)) = self.filters.remove(&run) {
            self.bytes -= filter.bytes();
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Ids as a hash gives them (SplitMix64).
    pub fn ids(seed: u64, count: usize) -> Vec<u128> {
        let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d);
        let mut next = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            u128::from(z ^ (z >> 31))
        };
        (0..count).map(|_| (next() << 64) | next()).collect()
    }

    #[test]
    fn never_denies_what_is_there_and_seldom_affirms_what_is_not() {
        for count in [1, 51, 52, 1024, 100_000] {
            let mut known = ids(1, count);
            known.sort_unstable();
            let filter = Filter::new(&known, 1024);
            for (i, id) in known.iter().enumerate() {
                assert!(filter.suspects(*id));
                assert_eq!(filter.block(*id), Some((i / 1024) as u32));
            }
            let wrong = ids(2, 100_000).into_iter().filter(|id| filter.suspects(*id)).count();
            assert!(wrong < 250, "{wrong} of 100,000 at {count}");
        }
    }

    #[test]
    fn memory_has_a_limit() {
        let filter = || Arc::new(Filter::new(&ids(1, 1000), 1024));
        let one = filter().bytes();
        let mut filters = Filters::new(10 * one);
        for run in 0..100 {
            filters.insert(run, filter());
            assert!(filters.bytes <= 10 * one);
            assert!(filters.get(run).is_some(), "what was just put in is there");
            if run > 0 {
                assert!(filters.get(0).is_some(), "what is in use stays");
            }
        }
        filters.remove(0);
        assert!(filters.get(0).is_none());
    }
}
