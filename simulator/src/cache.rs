//! The compressed bytes of the files that were asked for last. Everything else is made again from its seed.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::publication::FileId;

/// Bytes kept at most.
const LIMIT: usize = 64 << 20;

/// Finished files, the most recently used at the back.
#[derive(Debug, Default)]
pub struct Cache {
    files: VecDeque<((usize, FileId), Bytes)>,
    bytes: usize,
}

impl Cache {
    pub fn get(&mut self, tenant: usize, file: FileId) -> Option<Bytes> {
        let at = self.files.iter().position(|(key, _)| *key == (tenant, file))?;
        let entry = self.files.remove(at)?;
        let bytes = entry.1.clone();
        self.files.push_back(entry);
        Some(bytes)
    }

    pub fn put(&mut self, tenant: usize, file: FileId, bytes: Bytes) {
        self.forget(tenant, file);
        self.bytes += bytes.len();
        self.files.push_back(((tenant, file), bytes));
        while self.bytes > LIMIT && self.files.len() > 1 {
            if let Some((_, bytes)) = self.files.pop_front() {
                self.bytes -= bytes.len();
            }
        }
    }

    pub fn forget(&mut self, tenant: usize, file: FileId) {
        if let Some(at) = self.files.iter().position(|(key, _)| *key == (tenant, file))
            && let Some((_, bytes)) = self.files.remove(at)
        {
            self.bytes -= bytes.len();
        }
    }
}
