//! One health event, and its JSON.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Cause;
use crate::config::HEALTH;

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Happening {
    /// A stream went from one state to another.
    StateChange,
    /// The vendor refuses the configuration, the credentials, or the right to a stream: the operator has to act.
    ThirdPartyConfigError,
    /// The vendor, the way to it or the component is in trouble: it is tried again.
    ThirdPartyGenericError,
    /// A sink, the state or the host is in trouble: it is tried again, and positions stand still.
    FirstPartyGenericError,
    /// The vendor no longer serves something, or never served it whole.
    Gap,
    /// What was in trouble works again.
    Cleared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Informational = 1,
    Low,
    Medium,
    High,
}

/// What is told, without where and when. Its texts never hold a secret: those that come from a source are bound to that by
/// the contract.
#[derive(Debug, Clone)]
pub struct HealthEvent {
    pub event: Happening,
    pub severity: Severity,
    /// `None` for the whole source.
    pub stream: Option<String>,
    pub sink: Option<String>,
    pub previous_state: Option<String>,
    pub state: Option<String>,
    /// Stable and short, for machines.
    pub code: Option<String>,
    /// The HTTP status behind it.
    pub status: Option<u16>,
    /// One sentence for people.
    pub message: String,
    /// What the operator should do next.
    pub hint: Option<String>,
    pub retry_at: Option<String>,
    pub retry_in_ms: Option<u64>,
    /// What time a gap covers.
    pub begin: Option<String>,
    pub end: Option<String>,
}

/// An event's JSON, in its order.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    id: String,
    kind: &'static str,
    event: Happening,
    severity: Severity,
    tenant: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sink: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    begin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<&'a str>,
}

/// An event that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub source: Arc<str>,
    pub tenant: Arc<str>,
    pub id: u128,
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    pub severity: u8,
    /// Its JSON, without a line feed.
    pub json: Bytes,
}

impl HealthEvent {
    pub fn new(event: Happening, severity: Severity, message: String) -> Self {
        let (stream, sink, previous_state, state) = (None, None, None, None);
        let (code, status, hint, retry_at, retry_in_ms, begin, end) = (None, None, None, None, None, None, None);
        Self {
            event,
            severity,
            stream,
            sink,
            previous_state,
            state,
            code,
            status,
            message,
            hint,
            retry_at,
            retry_in_ms,
            begin,
            end,
        }
    }

    pub fn of(event: Happening, severity: Severity, cause: &Cause) -> Self {
        let Cause { code, status, message, hint, .. } = cause;
        Self {
            code: Some(code.clone()),
            status: *status,
            hint: hint.clone(),
            ..Self::new(event, severity, message.clone())
        }
    }

    /// The `number`th event of this process, told `now` (since the Unix epoch).
    pub fn told(self, now: Duration, number: u64, source: Arc<str>, tenant: Arc<str>) -> Told {
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let mut line = Line {
            time: time(now),
            id: String::new(),
            kind: HEALTH,
            event: self.event,
            severity: self.severity,
            tenant: &tenant,
            source: &source,
            stream: self.stream.as_deref(),
            sink: self.sink.as_deref(),
            previous_state: self.previous_state.as_deref(),
            state: self.state.as_deref(),
            code: self.code.as_deref(),
            status: self.status,
            message: &self.message,
            hint: self.hint.as_deref(),
            retry_at: self.retry_at.as_deref(),
            retry_in_ms: self.retry_in_ms,
            begin: self.begin.as_deref(),
            end: self.end.as_deref(),
        };
        // Numbers and texts alone: writing them does not fail.
        let json = |line: &Line<'_>| serde_json::to_vec(line).unwrap_or_default();
        // Moment and number make it another for each event, also of two processes.
        let digest = Sha256::new_with_prefix(nanos.to_be_bytes()).chain_update(number.to_be_bytes());
        let digest = digest.chain_update(json(&line)).finalize();
        let id = digest.iter().take(16).fold(0u128, |id, byte| id << 8 | u128::from(*byte));
        line.id = format!("{id:032x}");
        let json = json(&line).into();
        Told { id, time: nanos, severity: self.severity as u8, json, source, tenant }
    }
}

/// A time since the Unix epoch as RFC 3339 with milliseconds.
pub fn time(since_epoch: Duration) -> String {
    let ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    let time = DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or(DateTime::<Utc>::MAX_UTC);
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Nanoseconds since the Unix epoch, likewise.
pub fn nanos(nanos: u64) -> String {
    time(Duration::from_nanos(nanos))
}
