//! How much the sinks copy: every byte that one of them writes into a buffer of its own for a delivery, be it copied out of
//! a chunk, put around an event, or the output of a compressor. What a client's library, TLS or the kernel copies further
//! on is not in it.

use std::sync::atomic::{AtomicU64, Ordering};

static COPIED: AtomicU64 = AtomicU64::new(0);

/// Counts so many bytes; once a delivery or less often than once an event, for it is shared by all.
pub(super) fn count(bytes: usize) {
    COPIED.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// Bytes that all sinks of this process have copied since it began; see the module.
pub fn copied() -> u64 {
    COPIED.load(Ordering::Relaxed)
}
