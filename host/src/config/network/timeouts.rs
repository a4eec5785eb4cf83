//! `timeouts`: how long each part of a request may take.

use std::time::Duration;

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

impl TimeoutSettings {
    /// What may be set, in seconds: a call that waits for longer than an hour is of no use to any stream.
    const MOST: u64 = 3600;
}

impl Default for TimeoutSettings {
    /// 10 s to connect; 60 s to the first byte, since a batch listing is computed while one waits; 60 s between bytes.
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), first_byte: Duration::from_secs(60), idle: Duration::from_secs(60) }
    }
}

pub fn read(mut section: Section<'_>) -> TimeoutSettings {
    let default = TimeoutSettings::default();
    let mut time =
        |key, default: Duration| Duration::from_secs(section.whole(key, 1, TimeoutSettings::MOST, default.as_secs()));
    let connect = time("connect_secs", default.connect);
    let first_byte = time("first_byte_secs", default.first_byte);
    let idle = time("idle_secs", default.idle);
    section.close(&[]);
    TimeoutSettings { connect, first_byte, idle }
}
