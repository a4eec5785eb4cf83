//! The compressed bytes of the files that were asked for last. Everything else is made again from its seed.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::publication::FileId;

/// Bytes kept at most.
const LIMIT: usize = 64 << 20;

/// A tenant's file.
type Key = (usize, FileId);

/// Finished files; the least recently used ones go first.
#[derive(Debug, Default)]
pub struct Cache {
    files: BTreeMap<Key, (u64, Bytes)>,
    /// By their last use.
    uses: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
}

impl Cache {
    pub fn get(&mut self, tenant: usize, file: FileId) -> Option<Bytes> {
        let (used, bytes) = self.files.get_mut(&(tenant, file))?;
        self.uses.remove(used);
        self.clock += 1;
        *used = self.clock;
        self.uses.insert(self.clock, (tenant, file));
        Some(bytes.clone())
    }

    pub fn put(&mut self, tenant: usize, file: FileId, bytes: Bytes) {
        self.forget(tenant, file);
        self.bytes += bytes.len();
        self.clock += 1;
        self.uses.insert(self.clock, (tenant, file));
        self.files.insert((tenant, file), (self.clock, bytes));
        // The newest stays, however large it is: it is about to be fetched.
        while self.bytes > LIMIT && self.uses.len() > 1 {
            if let Some((_, (tenant, file))) = self.uses.first_key_value() {
                let (tenant, file) = (*tenant, *file);
                self.forget(tenant, file);
            }
        }
    }

    pub fn forget(&mut self, tenant: usize, file: FileId) {
        if let Some((used, bytes)) = self.files.remove(&(tenant, file)) {
            self.uses.remove(&used);
            self.bytes -= bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first_and_a_giant_is_kept() {
        let file = |slot| FileId::start_of(slot);
        let quarter = Bytes::from(vec![0; LIMIT / 4]);
        let mut cache = Cache::default();
        for slot in 0..4 {
            cache.put(0, file(slot), quarter.clone());
        }
        assert!(cache.get(0, file(0)).is_some());
        cache.put(0, file(4), quarter);
        assert!(cache.get(0, file(0)).is_some());
        assert!(cache.get(0, file(1)).is_none());
        assert!(cache.get(1, file(0)).is_none(), "another tenant's");
        cache.put(0, file(9), Bytes::from(vec![0; LIMIT + 1]));
        assert!(cache.get(0, file(9)).is_some() && cache.get(0, file(4)).is_none());
        cache.forget(0, file(9));
        assert_eq!(cache.bytes, 0);
    }
}
