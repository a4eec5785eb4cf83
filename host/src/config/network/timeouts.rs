//! `timeouts`: how long each part of a request may take.

use std::time::Duration;

use crate::config::declaration::{Group, Table, whole};
use crate::config::section::Section;

/// How long each part of a request may take. A component that asks for less gets less, and none gets more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutSettings {
    /// Name resolution, TCP, the proxy and TLS together.
    pub connect: Duration,
    /// From when there is a connection, an old or a new one, to the whole head of the answer.
    pub first_byte: Duration,
    /// Between two pieces of the answer's body, while somebody waits for one.
    pub idle: Duration,
}

/// What may be set, in seconds: a call that waits for longer than an hour is of no use to any stream.
const MOST: u64 = 3600;

/// In seconds. A batch listing is computed while one waits for its first byte.
const CONNECT: u64 = 10;
const FIRST_BYTE: u64 = 60;
const IDLE: u64 = 60;

pub static TIMEOUTS: Table = Table::new(
    "timeouts",
    "How long each part of a request may take. At the top for all, and under a source or a sink for that one.",
    &[&Group::of(&[
        whole("connect_secs", 1, MOST, CONNECT, "Name resolution, TCP, the proxy and TLS together, in seconds."),
        whole("first_byte_secs", 1, MOST, FIRST_BYTE, "From the request to the whole head of the answer, in seconds."),
        whole("idle_secs", 1, MOST, IDLE, "Between two pieces of the answer's body, in seconds."),
    ])],
);

impl Default for TimeoutSettings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(CONNECT),
            first_byte: Duration::from_secs(FIRST_BYTE),
            idle: Duration::from_secs(IDLE),
        }
    }
}

pub fn read(mut section: Section<'_>) -> TimeoutSettings {
    let mut time = |key| Duration::from_secs(section.whole(key));
    let (connect, first_byte, idle) = (time("connect_secs"), time("first_byte_secs"), time("idle_secs"));
    section.close();
    TimeoutSettings { connect, first_byte, idle }
}
