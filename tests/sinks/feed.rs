//! A source of some hundred events, each with its id in its body.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tributary_host::Ready;
use tributary_host::collect::{Call, Reader, Source};
use tributary_host::config::{self, OnPositionLost, Settings};
use tributary_host::deliver::Head;
use tributary_host::sandbox::{Budget, Chunk, LogStream, Next, Session, Start};

use crate::subject::{LONG, TAKEN};

pub const EVENTS: u64 = 300;
/// In a chunk.
const AT_ONCE: u64 = 37;

pub struct Feed {
    /// Whether one event is longer than the far side takes.
    pub with_long: bool,
}

/// Spread over all bits, so that a mistake in how it is written is seen.
pub fn id(number: u64) -> u128 {
    u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

pub fn ready(with_long: bool) -> Ready {
    let config = config::Source {
        id: "acme".into(),
        kind: "feed".into(),
        tenant: "Acme".into(),
        settings: Settings::new("{}"),
        quota_share: 1.0,
        quotas: Default::default(),
        retry_for: Duration::from_secs(3600),
        on_position_lost: OnPositionLost::Oldest,
        max_in_flight_bytes: 8 << 20,
        limits: Default::default(),
        network: Default::default(),
        alert_window: Duration::from_secs(86_400),
        rules: Default::default(),
    };
    let stream = LogStream {
        name: "log".into(),
        description: "numbers".into(),
        interval_ms: 3_600_000,
        retention_ms: None,
        repeats_within_ms: 0,
        quota: None,
    };
    Ready { config, streams: vec![stream], quotas: Vec::new(), source: Arc::new(Feed { with_long }) }
}

impl Source for Feed {
    fn authenticate(&self) -> Call<'_, Session> {
        Box::pin(async { Ok(Session { secret: Vec::new(), expires_at: None }) })
    }

    fn open<'a>(&'a self, _: &'a str, start: Start) -> Call<'a, Box<dyn Reader>> {
        let at = match start {
            Start::After(position) => u64::from_be_bytes(position.try_into().unwrap()),
            _ => 0,
        };
        let reader: Box<dyn Reader> = Box::new(FeedReader { at, with_long: self.with_long });
        Box::pin(async { Ok(reader) })
    }
}

struct FeedReader {
    at: u64,
    with_long: bool,
}

impl Reader for FeedReader {
    fn pull<'a>(&'a mut self, _: &'a Session, _: Budget) -> Call<'a, Chunk> {
        let end = (self.at + AT_ONCE).min(EVENTS);
        let (bodies, events) = lines(self.at..end, self.with_long);
        let records = (end - self.at) as u32;
        self.at = end;
        let chunk = Chunk {
            bodies,
            malformed: vec![],
            gaps: vec![],
            merged: 0,
            requests: 1,
            quota_left: None,
            pieces: Default::default(),
            position: end.to_be_bytes().to_vec(),
            next: if end == EVENTS { Next::CaughtUp } else { Next::More },
            records,
            events,
        };
        Box::pin(async { Ok(chunk) })
    }
}

/// The events of these numbers, and their heads.
pub fn lines(numbers: Range<u64>, with_long: bool) -> (Bytes, Vec<Head>) {
    let (mut bodies, mut events) = (String::new(), Vec::new());
    for number in numbers {
        let begin = bodies.len() as u32;
        let filler = if with_long && number == LONG { TAKEN + 100 } else { 20 + number as usize % 7 };
        bodies += &format!("{{\"id\":\"{:032x}\",\"n\":{number},\"é\":\"{}\"}}\n", id(number), "x".repeat(filler));
        // 2026-11-22T07:08:09Z, and a second each.
        let time = (1_795_331_289 + number) * 1_000_000_000;
        let (id, end) = (id(number), bodies.len() as u32);
        events.push(Head { id, time, kind: 0, class: 4009, severity: 3, alert_key: None, begin, end });
    }
    (bodies.into(), events)
}
