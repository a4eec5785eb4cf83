//! A source of a made-up vendor. `GET {url}/events?after=ID&limit=N` answers, oldest first,
//! `{"events": [{"id": 8, "at_ms": 1750000000000, …}, …], "more": false}`.
//!
//! Small, and whole: it keeps the five laws of the contract, hands over what it cannot read, and says of every fault what
//! to do next.
#![cfg(target_family = "wasm")]

mod http;

use std::cell::Cell;

use blake2::digest::consts::U16;
use blake2::{Blake2b, Digest as _};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Generated.
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "log-source" });
    use super::Feed;
    export!(Feed);
}

use bindings::exports::tributary::source::source::{Guest, GuestReader, Reader as Handle};
use bindings::tributary::source::types::{
    Budget, Chunk, Descriptor, Detail, Digest, Event, Fault, Kind, LogStream, Malformed, Next, Pieces, Plan, Session,
    Start,
};

/// Of a record that cannot be read, so much is kept: the contract's limit.
const HEAD: usize = 1 << 20;

struct Feed;

/// What an operator may set. The host itself takes `tenant` and `fields`, which every source has.
#[derive(Deserialize)]
struct Config {
    url: String,
    token: String,
    /// Makes the ids of two tenants differ.
    #[serde(default)]
    tenant: String,
}

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["url", "token"],
  "additionalProperties": false,
  "properties": {
    "url": { "type": "string", "description": "Where the feed is: https://host, without a path" },
    "token": { "type": "string", "description": "The feed's token", "writeOnly": true },
    "collect": { "type": "array", "items": { "enum": ["events"] }, "description": "The streams to collect" },
    "tenant": { "type": "string", "description": "Whose feed it is" },
    "fields": { "type": "object", "description": "Constant fields, which the events of this source do not carry" }
  }
}"#;

impl Config {
    fn read(text: &str) -> Result<Self, Fault> {
        let config: Self = serde_json::from_str(text).map_err(|error| {
            Fault::Configuration(detail("bad-configuration", error, "Set `url` and `token` of the source"))
        })?;
        if http::origin(&config.url) == Some(config.url.as_str()) {
            Ok(config)
        } else {
            let message = "`url` is no https://host or http://host";
            Err(Fault::Configuration(detail("bad-url", message, "Write it without a path: https://feed.example.com")))
        }
    }
}

fn detail(code: &str, message: impl ToString, hint: &str) -> Detail {
    Detail { code: code.into(), message: message.to_string(), hint: Some(hint.into()), status: None }
}

fn stream() -> LogStream {
    LogStream {
        name: "events".into(),
        description: "Everything that the vendor tells".into(),
        interval_ms: 60_000,
        retention_ms: None,
        // A number is given once: what follows a position was never read before.
        repeats_within_ms: 0,
        quota: None,
    }
}

impl Guest for Feed {
    type Reader = Reader;

    fn describe() -> Descriptor {
        Descriptor {
            name: "feed".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            config_schema: SCHEMA.into(),
            streams: vec![stream()],
            kinds: vec![Kind { name: "event".into(), labels: Vec::new() }],
            quotas: Vec::new(),
        }
    }

    fn plan_for(config: String) -> Result<Plan, Fault> {
        let config = Config::read(&config)?;
        // The host lets the source reach this and nothing else.
        Ok(Plan { streams: vec![stream()], hosts: vec![config.url] })
    }

    /// The token is all there is. A vendor with logins would be asked here, once for all streams.
    fn authenticate(config: String) -> Result<Session, Fault> {
        Ok(Session { secret: Config::read(&config)?.token.into_bytes(), expires_at: None })
    }
}

/// How far a stream was read. As text: `8`, or `8+2`.
#[derive(Clone, Copy, Default)]
struct Position {
    /// The number of the last record that was handed over.
    after: u64,
    /// Records behind it that have no number, and were handed over as malformed.
    unread: u32,
}

impl Position {
    fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let (after, unread) = text.split_once('+').unwrap_or((text, "0"));
        Some(Self { after: after.parse().ok()?, unread: unread.parse().ok()? })
    }

    fn text(self) -> String {
        match self {
            Self { after, unread: 0 } => after.to_string(),
            Self { after, unread } => format!("{after}+{unread}"),
        }
    }
}

struct Reader {
    config: Config,
    at: Cell<Position>,
    /// What is left out: what a replay did not ask for.
    span: Option<(u64, u64)>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    more: bool,
}

/// What must be known of a record. All of it goes on as it came.
#[derive(Deserialize)]
struct Record {
    id: u64,
    at_ms: u64,
}

impl GuestReader for Reader {
    fn open(config: String, log_stream: String, start: Start) -> Result<Handle, Fault> {
        let config = Config::read(&config)?;
        if log_stream != "events" {
            let message = format!("there is no stream {log_stream:?}");
            return Err(Fault::Configuration(detail("no-such-stream", message, "The one stream is `events`")));
        }
        let (at, span) = match start {
            Start::After(position) => {
                let lost =
                    || Fault::PositionLost(detail("bad-position", "the position is no number", "Reset the state"));
                (Position::parse(&position).ok_or_else(lost)?, None)
            }
            Start::Span(span) => (Position::default(), Some(span)),
            // The vendor keeps everything.
            Start::Configured | Start::Oldest(_) | Start::Now(_) => (Position::default(), None),
        };
        Ok(Handle::new(Self { config, at: Cell::new(at), span }))
    }

    fn pull(&self, secret: Vec<u8>, budget: Budget) -> Result<Chunk, Fault> {
        let mut at = self.at.get();
        let limit = at.unread + if budget.verbatim { 1 } else { budget.events.clamp(1, 1000) };
        let body = http::get(&self.config.url, &format!("/events?after={}&limit={limit}", at.after), &secret)?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|error| {
            Fault::Protocol(detail("bad-answer", error, "Ask the vendor; it is tried again at the next interval"))
        })?;
        let (mut chunk, mut known, mut taken) = (Draft::default(), at.unread, 0);
        for raw in &answer.events {
            if chunk.bodies.len() >= budget.bytes as usize {
                break;
            }
            taken += 1;
            match serde_json::from_str::<Record>(raw.get()) {
                Ok(record) => {
                    at = Position { after: at.after.max(record.id), unread: 0 };
                    let time = record.at_ms.saturating_mul(1_000_000);
                    if budget.verbatim {
                        chunk.malformed(raw.get(), "reading it failed again and again".into());
                    } else if self.span.is_none_or(|(from, to)| (from..to).contains(&time)) {
                        chunk.event(identity(&self.config.tenant, record.id), time, raw.get());
                    }
                }
                // Handed over before.
                Err(_) if known > 0 => known -= 1,
                Err(error) => {
                    at.unread += 1;
                    chunk.malformed(raw.get(), error.to_string());
                }
            }
        }
        self.at.set(at);
        let next = if answer.more || taken < answer.events.len() { Next::More } else { Next::CaughtUp };
        Ok(chunk.finish(at, next))
    }
}

/// The vendor's numbers are unique for a customer.
fn identity(tenant: &str, id: u64) -> Digest {
    let hash = Blake2b::<U16>::new().chain_update(tenant).chain_update([0]).chain_update(id.to_be_bytes()).finalize();
    let number = u128::from_be_bytes(hash.into());
    ((number >> 64) as u64, number as u64)
}

#[derive(Default)]
struct Draft {
    events: Vec<Event>,
    bodies: Vec<u8>,
    malformed: Vec<Malformed>,
}

impl Draft {
    fn event(&mut self, id: Digest, time: u64, record: &str) {
        // One line: a line feed between the members would make two of it.
        self.bodies.extend(record.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
        self.bodies.push(b'\n');
        let end = self.bodies.len() as u32;
        self.events.push(Event { id, time, kind: 0, class: 0, severity: 1, alert_key: None, end });
    }

    fn malformed(&mut self, record: &str, reason: String) {
        let head = record.as_bytes()[..record.len().min(HEAD)].to_vec();
        self.malformed.push(Malformed { reason, head, size: Some(record.len() as u64) });
    }

    fn finish(self, at: Position, next: Next) -> Chunk {
        Chunk {
            records: (self.events.len() + self.malformed.len()) as u32,
            events: self.events,
            bodies: self.bodies,
            malformed: self.malformed,
            gaps: Vec::new(),
            pieces: Pieces { listed: 1, fetched: 1, gone: 0 },
            merged: 0,
            requests: 1,
            quota_left: None,
            position: at.text().into_bytes(),
            next,
        }
    }
}
