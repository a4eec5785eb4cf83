//! Keys that several types of sinks have.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::config::declaration::{Key, choice, whole};
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

/// `compression`: `names` are what the far side reads, the default first.
pub const fn compression_key(names: &'static [&'static str]) -> Key {
    choice("compression", names, Some(names[0]), "How what is written or sent is compressed.")
}

pub fn compression(section: &mut Section<'_>) -> Compression {
    section.choice("compression", &COMPRESSIONS)
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

/// What a type of sink gathers where nothing is said, and at most: what the far side is known to take. In bytes before
/// compression, events, and seconds.
pub struct BatchBounds {
    pub max_bytes: (u64, u64),
    pub max_events: (u64, u64),
    pub timeout_secs: (u64, u64),
}

/// The keys of the table `batch`.
pub const fn batch_keys(bounds: BatchBounds) -> [Key; 3] {
    let BatchBounds { max_bytes, max_events, timeout_secs } = bounds;
    [
        whole("max_bytes", 1024, max_bytes.1, max_bytes.0, "How much goes at once, in bytes before compression."),
        whole("max_events", 1, max_events.1, max_events.0, "How many events go at once."),
        whole("timeout_secs", 0, timeout_secs.1, timeout_secs.0, "How long an event waits for others, in seconds."),
    ]
}

pub const BATCH: &str = "How events are gathered.";

pub fn batch(section: &mut Section<'_>) -> BatchOptions {
    // Without a table, or with something else, the defaults hold.
    let Some(mut table) = section.table_or_empty("batch") else {
        return BatchOptions { max_bytes: 1, max_events: 1, max_age: Duration::ZERO };
    };
    let max_bytes = table.whole("max_bytes") as usize;
    let max_events = table.whole("max_events") as usize;
    let secs = table.whole("timeout_secs");
    table.close();
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
