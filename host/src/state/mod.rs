//! What the host remembers: how far each stream came, what it counted, which records it saw, and what it could not read.
//!
//! Everything but the dead letters lies in one file, `<data_dir>/state.redb`. A commit is one transaction, on disk when it
//! returns. All calls block; asynchronous callers use a thread for them.

mod dead_letters;
mod disk;
mod error;
mod filter;
mod folder;
pub(crate) mod hex;
mod ledger;
pub(crate) mod position;
pub mod rights;
mod seen;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use dead_letters::{DeadLetter, DeadLetters, Found, ReadError, Refused, Taken};
pub use disk::{Place, StorageBackend};
pub use error::{StateError, other_user};
pub use folder::{DataDir, SOCKET_FILE, blocked, is_free, is_writable};
pub use ledger::{Counts, Gap, Ledger, Pieces, SinkCounts};
pub use store::{Forget, ImportError, KEPT, Retired, Store, Summary};

/// Behind a stream's name, for what replays of it store.
const REPLAY: &str = "@replay";

/// Names one stream of one source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamKey {
    pub source: String,
    pub stream: String,
}

impl StreamKey {
    pub fn new(source: impl Into<String>, stream: impl Into<String>) -> Self {
        StreamKey { source: source.into(), stream: stream.into() }
    }

    /// Under which a replay of this stream is stored; of one that goes to `sink` alone, if one is named.
    pub fn replay(&self, sink: Option<&str>) -> Self {
        let sink = sink.map_or_else(String::new, |sink| format!(":{sink}"));
        StreamKey::new(&*self.source, format!("{}{REPLAY}{sink}", self.stream))
    }

    /// Whether a replay is stored under it.
    pub fn is_replay(&self) -> bool {
        self.stream.contains(REPLAY)
    }

    /// The stream that has what was delivered under this key, if it is a replay to all of its sinks.
    fn replayed(&self) -> Option<Self> {
        Some(StreamKey::new(&*self.source, self.stream.strip_suffix(REPLAY)?))
    }

    /// As a key of the store. An id of a source holds no NUL, so the first one parts the two.
    fn row(&self) -> String {
        format!("{}\0{}", self.source, self.stream)
    }

    fn of_row(row: &str) -> Self {
        let (source, stream) = row.split_once('\0').unwrap_or((row, ""));
        StreamKey::new(source, stream)
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.stream)
    }
}

/// What is stored of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamState {
    /// Where it goes on, in the source's own words. `None` before the first commit with one.
    pub position: Option<Vec<u8>>,
    pub ledger: Ledger,
    pub partly: Partly,
}

/// Which sinks have which events that lie behind the stored position, since other sinks do not have them yet: ids by sink.
pub type Partly = BTreeMap<String, BTreeSet<u128>>;

/// Health events that are kept of each source.
pub const KEPT_HEALTH: usize = 1_000;

/// A health event to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthRow {
    pub source: Arc<str>,
    pub json: Bytes,
}

/// What one stream has to store. It is all stored, or nothing is.
#[derive(Debug, Clone)]
pub struct Commit {
    pub key: StreamKey,
    /// Whose events these are.
    pub tenant: String,
    /// `None` leaves the position where it is.
    pub position: Option<Vec<u8>>,
    /// Added to the ledger.
    pub counts: Counts,
    /// Ids of records read for the first time.
    pub seen: Vec<u128>,
    /// For how long those may come again, in time in which the stream is read. Zero: nothing is kept.
    pub seen_for: Duration,
    /// Gaps that were found.
    pub gaps: Vec<Gap>,
    /// What sinks have of what lies behind the position; `None` leaves it as it is.
    pub partly: Option<Partly>,
    /// Alerts that were seen for the first time.
    pub alerts: Sightings,
    /// Now, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// Alerts of a source that were seen for the first time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Sightings {
    /// Older ones are of no interest any more, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    pub seen: Vec<Sighting>,
}

/// A sink was given an event of an alert for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sighting {
    /// The alert's key.
    pub key: u128,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The sink's id; none in what earlier releases stored, and then all have seen it.
    pub sink: Option<Arc<str>>,
}
