//! Keys that several types of sinks have.

use std::time::Duration;

use crate::config::section::Section;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Zstd,
}

/// `compression`, none by default.
pub fn compression(section: &mut Section<'_>) -> Compression {
    let known = [("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)];
    section.choice("compression", &known)
}

/// How a remote sink wants events gathered: `batch = { max_bytes, max_events, timeout_secs }`, as Vector names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOptions {
    /// Before compression.
    pub max_bytes: usize,
    pub max_events: usize,
    /// How long an event waits for others.
    pub max_age: Duration,
}

/// With what the far side is known to take where nothing is said; `most` is what it takes at most.
#[expect(dead_code, reason = "the remote sinks, which come next, read it")]
pub fn batch(section: &mut Section<'_>, default: BatchOptions, most: BatchOptions) -> BatchOptions {
    let Some(mut table) = section.table("batch") else { return default };
    let max_bytes = table.whole("max_bytes", 1024, most.max_bytes as u64, default.max_bytes as u64) as usize;
    let max_events = table.whole("max_events", 1, most.max_events as u64, default.max_events as u64) as usize;
    let secs = table.whole("timeout_secs", 0, most.max_age.as_secs(), default.max_age.as_secs());
    table.close(&[]);
    BatchOptions { max_bytes, max_events, max_age: Duration::from_secs(secs) }
}
