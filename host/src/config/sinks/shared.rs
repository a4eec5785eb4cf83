//! Keys that several types of sinks have.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::config::section::Section;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Zstd,
}

const COMPRESSIONS: [(&str, Compression); 3] =
    [("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)];

/// `compression`, none by default.
pub fn compression(section: &mut Section<'_>) -> Compression {
    section.choice("compression", &COMPRESSIONS)
}

/// The same, of those that the far side reads.
pub fn compression_of(section: &mut Section<'_>, read: &[Compression], default: Compression) -> Compression {
    if section.peek("compression").is_none() {
        return default;
    }
    let known: Vec<_> = COMPRESSIONS.into_iter().filter(|(_, compression)| read.contains(compression)).collect();
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
pub fn batch(section: &mut Section<'_>, default: BatchOptions, most: BatchOptions) -> BatchOptions {
    let Some(mut table) = section.table("batch") else { return default };
    let max_bytes = table.whole("max_bytes", 1024, most.max_bytes as u64, default.max_bytes as u64) as usize;
    let max_events = table.whole("max_events", 1, most.max_events as u64, default.max_events as u64) as usize;
    let secs = table.whole("timeout_secs", 0, most.max_age.as_secs(), default.max_age.as_secs());
    table.close(&[]);
    BatchOptions { max_bytes, max_events, max_age: Duration::from_secs(secs) }
}

/// A text that shows itself to nobody who does not ask, and whose memory is wiped after the last use.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    /// The text. Send it to the far side and to nobody else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}
