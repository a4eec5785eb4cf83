//! The contract's values as the host uses them, checked.

use std::fmt;

use bytes::Bytes;
use zeroize::Zeroize;

use super::Limit;
use crate::deliver::Head;

/// What a source is, without any configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    pub name: String,
    pub version: String,
    /// JSON Schema of the configuration, as text.
    pub config_schema: String,
    pub streams: Vec<LogStream>,
    pub kinds: Vec<Kind>,
    pub quotas: Vec<Quota>,
}

/// A sequence of records with a position of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStream {
    pub name: String,
    /// One sentence for people.
    pub description: String,
    /// From the start of one poll to the start of the next.
    pub interval_ms: u32,
    /// How far back the vendor keeps it.
    pub retention_ms: Option<u64>,
    /// For how long after it was first read a record may be read again; zero if never.
    pub repeats_within_ms: u64,
    /// The quota that its requests use up.
    pub quota: Option<String>,
}

/// A class of events, with the labels under which other products know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    pub name: String,
    pub labels: Vec<(String, String)>,
}

/// The vendor answers so many requests in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    pub name: String,
    pub requests: u32,
    pub window_ms: u32,
}

/// What a configuration selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub streams: Vec<LogStream>,
    /// `scheme://host[:port]`, a leading `*.` for subdomains.
    pub hosts: Vec<String>,
}

/// What authentication gave. Kept in memory only, which is wiped after its last use; its `Debug` hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    pub secret: Vec<u8>,
    /// Nanoseconds since the Unix epoch.
    pub expires_at: Option<u64>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    Configured,
    After(Vec<u8>),
    Oldest(Option<Vec<u8>>),
    Now(Option<Vec<u8>>),
    /// Only records of this span, nanoseconds since the Unix epoch.
    Span(u64, u64),
}

/// How much a pull may do.
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
    /// 5,000 events, 4 MiB, 5 s: large enough that the cost of a call vanishes, small enough to hold many in memory.
    fn default() -> Self {
        Self { events: 5_000, bytes: 4 << 20, time_ms: 5_000, requests: 50, verbatim: false }
    }
}

/// What one pull read: the contract's `chunk`, checked against its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub events: Vec<Head>,
    /// NDJSON; each event's line is `bodies[begin..end]`.
    pub bodies: Bytes,
    pub malformed: Vec<Malformed>,
    pub gaps: Vec<Gap>,
    pub pieces: Pieces,
    /// Events, malformed, and those merged into others.
    pub records: u32,
    pub merged: u32,
    pub requests: u32,
    pub quota_left: Option<u32>,
    pub position: Vec<u8>,
    pub next: Next,
}

/// A record, or a larger piece, that the source could not understand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    pub reason: String,
    /// Its first bytes, at most 1 MiB.
    pub head: Vec<u8>,
    pub size: Option<u64>,
}

/// Something that the vendor no longer serves, or never served whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub what: String,
    /// Nanoseconds since the Unix epoch.
    pub begin: Option<u64>,
    pub end: Option<u64>,
    pub reason: String,
}

/// What records come in, counted since the chunk before: a file, or a page where the vendor has no files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pieces {
    /// The vendor has named it.
    pub listed: u32,
    /// Read to its end, or as far as it can be read.
    pub fetched: u32,
    /// Given up, and told as a gap.
    pub gone: u32,
}

/// When to pull again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    More,
    CaughtUp,
    /// After this many milliseconds.
    Pause(u32),
}

/// What went wrong, as the source tells it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code}){}", hint.as_ref().map(|hint| format!(". {hint}")).unwrap_or_default())]
pub struct Fault {
    pub class: FaultClass,
    /// Stable and short, for machines: `http-403`, `bad-secret`.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// What the operator should do next.
    pub hint: Option<String>,
    /// The HTTP status behind it.
    pub status: Option<u16>,
}

impl Fault {
    /// What the operator should do next: the component's own word, or what follows from the class.
    pub fn next_step(&self) -> String {
        if let Some(hint) = self.hint.as_ref().filter(|hint| !hint.trim().is_empty()) {
            return hint.clone();
        }
        match self.class {
            FaultClass::Configuration => "Correct the source's table in the configuration".into(),
            FaultClass::Credentials | FaultClass::SessionExpired => {
                "Check the credentials, and whether the vendor has disabled or expired them".into()
            }
            FaultClass::NotEntitled => "Give the credentials the right to this log, or leave the stream out".into(),
            FaultClass::Throttled(pause) => {
                format!("Wait {} s; other tools with the same keys spend the same quota", pause.div_ceil(1_000))
            }
            FaultClass::Unavailable => "Wait: it is tried again. Look at the vendor's status page if it lasts".into(),
            FaultClass::PositionLost => "Set `on_position_lost` to say where the stream goes on".into(),
            FaultClass::Protocol => "Wait: it is tried again. Report it if it lasts".into(),
        }
    }

    /// Whether asking again is in vain until the operator has replaced the credentials: the contract's code for keys
    /// whose life has ended.
    pub fn keys_expired(&self) -> bool {
        self.class == FaultClass::Credentials && self.code == "keys-expired"
    }
}

/// What the host must do about a fault.
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

/// Why a call into a guest gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    /// The source answered with a fault of the contract. The guest stays usable.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The guest broke down. It is not usable any more.
    #[error("the component broke down: {message}. This is a fault of the component; report it with these lines{}",
        if backtrace.is_empty() { String::new() } else { format!(":\n{backtrace}") })]
    Trap { message: String, backtrace: String },
    /// The guest went over a limit. It is not usable any more.
    #[error(transparent)]
    Limit(#[from] Limit),
    /// The guest's answer breaks a rule of the contract, and was refused.
    #[error("the component broke the contract: {0}. This is a fault of the component; report it")]
    Breach(String),
}
