//! What a pull gives back: the contract's `chunk` and `fault` as plain values, the same natively and inside wasm.
//!
//! `lib.rs` turns them into the contract's bindings; nothing else does.

use crate::code::Code;

/// Nanoseconds since the Unix epoch, UTC.
pub type Timestamp = u64;

/// The first 128 bits of a cryptographic hash, high half first. As text: 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub u64, pub u64);

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}{:016x}", self.0, self.1)
    }
}

/// What one pull read. The contract's `chunk`.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    pub events: Vec<Event>,
    /// One JSON object a line, each with its line feed, in the order of `events`.
    pub bodies: Vec<u8>,
    pub malformed: Vec<Malformed>,
    pub gaps: Vec<Gap>,
    pub pieces: Pieces,
    /// Records read: events, malformed, and those merged into others.
    pub records: u32,
    pub merged: u32,
    /// Requests made against the stream's quota.
    pub requests: u32,
    /// What the vendor said is left of it.
    pub quota_left: Option<u32>,
    /// Covers everything in this chunk.
    pub position: Vec<u8>,
    pub next: Next,
}

/// The head of one event; its body stands in [`Chunk::bodies`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub id: Digest,
    pub time: Timestamp,
    /// Index into the descriptor's kinds.
    pub kind: u32,
    /// OCSF class of the body; zero where the form has none.
    pub class: u32,
    /// 0 unknown, 1 informational, 2 low, 3 medium, 4 high, 5 critical, 6 fatal.
    pub severity: u8,
    /// Set where the event is an alert: events of one alert share the key.
    pub alert_key: Option<Digest>,
    /// Where its body ends in [`Chunk::bodies`].
    pub end: u32,
}

/// A record, or a larger piece, that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    pub reason: String,
    /// Its first bytes, at most [`Malformed::HEAD_LIMIT`].
    pub head: Vec<u8>,
    /// Its whole size in bytes, where that is known.
    pub size: Option<u64>,
}

impl Malformed {
    /// The contract allows at most 1 MiB of a malformed record.
    pub const HEAD_LIMIT: usize = 1 << 20;

    pub fn new(reason: impl Into<String>, bytes: &[u8]) -> Self {
        Self {
            reason: reason.into(),
            head: bytes[..bytes.len().min(Self::HEAD_LIMIT)].to_vec(),
            size: Some(bytes.len() as u64),
        }
    }
}

/// Something that the vendor no longer serves, or never served whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub what: String,
    pub begin: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub reason: String,
}

/// What records come in, counted since the chunk before: a file, or a page where the vendor has no files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pieces {
    /// The vendor has named it. One that is known only by reading it counts when it is read or given up.
    pub listed: u32,
    /// Read to its end, or as far as it can be read.
    pub fetched: u32,
    /// Given up, and told as a gap of this chunk.
    pub gone: u32,
}

impl Pieces {
    pub fn add(&mut self, other: Pieces) {
        let Pieces { listed, fetched, gone } = other;
        for (sum, more) in [(&mut self.listed, listed), (&mut self.fetched, fetched), (&mut self.gone, gone)] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// When to pull again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Next {
    /// There is more: at once.
    #[default]
    More,
    /// Nothing more for now: at the stream's interval.
    CaughtUp,
    /// The vendor asks for a pause of this many milliseconds.
    Pause(u32),
}

/// How much a pull may do. The contract's `budget`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pub events: u32,
    pub bytes: u32,
    pub time_ms: u32,
    /// Requests against the stream's quota.
    pub requests: u32,
    /// Hand the next record over as malformed, without parsing it.
    pub verbatim: bool,
}

impl Default for Budget {
    /// The design's default: 5,000 events, 4 MiB, 5 s.
    fn default() -> Self {
        Self { events: 5_000, bytes: 4 << 20, time_ms: 5_000, requests: 50, verbatim: false }
    }
}

/// Where to begin. The contract's `start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    Configured,
    After(Vec<u8>),
    Oldest(Option<Vec<u8>>),
    Now(Option<Vec<u8>>),
    /// Only records of this span: begin inclusive, end exclusive.
    Span(Timestamp, Timestamp),
}

/// What went wrong, told by what the host must do about it. The contract's `fault`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub class: FaultClass,
    /// Stable and short, for machines: `http-403`, `bad-secret`.
    pub code: String,
    /// One sentence for people. Never holds a secret.
    pub message: String,
    /// What the operator should do next.
    pub hint: Option<String>,
    /// The HTTP status behind it.
    pub status: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultClass {
    Configuration,
    Credentials,
    NotEntitled,
    SessionExpired,
    /// Wait this many milliseconds, with every stream of the same quota.
    Throttled(u32),
    Unavailable,
    PositionLost,
    Protocol,
}

impl Fault {
    pub fn new(class: FaultClass, code: Code, message: impl Into<String>) -> Self {
        Self { class, code: code.text().into_owned(), message: message.into(), hint: None, status: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)?;
        if let Some(hint) = &self.hint {
            write!(f, ". {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
