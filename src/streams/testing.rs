//! A scripted outside: answers are a function of the request, time stands still unless told otherwise.

use std::collections::VecDeque;
use std::io::Write;

use crate::chunk::{self, Budget, Chunk, Fault, Next, Start, Timestamp};
use crate::code::Code;
use crate::effects::{Body, Effects, Request, Response, TransportError};
use crate::streams::Reader;

/// 2026-03-08 12:00:00 UTC.
pub const NOW: Timestamp = 1_772_971_200 * 1_000_000_000;

/// What the script answers.
pub enum Reply {
    Status(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// 200, and a body that breaks off.
    Broken(Vec<u8>),
    Fail(&'static str),
}

pub fn ok(body: impl Into<Vec<u8>>) -> Reply {
    Reply::Status(200, Vec::new(), body.into())
}

pub fn status(status: u16, body: &str) -> Reply {
    Reply::Status(status, Vec::new(), body.into())
}

pub struct Fake<'a> {
    pub now: Timestamp,
    pub monotonic: u64,
    /// Added to the monotonic clock whenever it is read.
    pub tick: u64,
    pub random: u8,
    pub requests: Vec<Request>,
    pub script: Box<dyn FnMut(&Request) -> Reply + 'a>,
}

impl<'a> Fake<'a> {
    pub fn new(script: impl FnMut(&Request) -> Reply + 'a) -> Self {
        Self { now: NOW, monotonic: 0, tick: 0, random: 0, requests: Vec::new(), script: Box::new(script) }
    }

    /// How many requests went to a path that contains this.
    pub fn count(&self, part: &str) -> usize {
        self.requests.iter().filter(|request| request.url.contains(part)).count()
    }
}

impl Effects for Fake<'_> {
    fn now(&mut self) -> Timestamp {
        self.now
    }

    fn monotonic_ms(&mut self) -> u64 {
        self.monotonic += self.tick;
        self.monotonic
    }

    fn random(&mut self) -> [u8; 16] {
        self.random = self.random.wrapping_add(1);
        [self.random; 16]
    }

    fn send(&mut self, request: Request) -> Result<Response, TransportError> {
        self.requests.push(request.clone());
        let (status, headers, bytes, end) = match (self.script)(&request) {
            Reply::Status(status, headers, body) => (status, headers, body, None),
            Reply::Broken(body) => (200, Vec::new(), body, Some("closed")),
            Reply::Fail(code) => return Err(broken(code)),
        };
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())).collect();
        let pieces = bytes.chunks(1_000).map(<[u8]>::to_vec).collect();
        Ok(Response { status, headers, body: Box::new(Pieces { pieces, end }) })
    }
}

/// An error of the transport, by its code.
fn broken(code: &str) -> TransportError {
    let known = Code::ALL.iter().find(|known| known.text() == code);
    TransportError { code: *known.unwrap(), message: format!("scripted: {code}") }
}

struct Pieces {
    pieces: VecDeque<Vec<u8>>,
    end: Option<&'static str>,
}

impl Body for Pieces {
    fn next(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        match (self.pieces.pop_front(), self.end) {
            (None, Some(code)) => Err(broken(code)),
            (piece, _) => Ok(piece),
        }
    }
}

pub const V2: &str = r#"{"client_id":"made-up-id","client_secret":"made-up-secret","start_at":"7d"}"#;
pub const SESSION: &[u8] = br#"{"token":"made-up-token"}"#;

pub const V1: &str = r#"{"api":"1.0","region":"eu","app_id":"made-up-app","app_key":"made-up-app-key","access_key":"made-up-access","secret_key":"bWFkZS11cA==","start_at":"7d"}"#;
pub const SESSION_V1: &[u8] = br#"{"base_url":"https://eu-api.mimecast.com"}"#;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What a query or a form says under a name, decoded as far as tests need it.
pub fn parameter(request: &Request, name: &str) -> Option<String> {
    let query = request.url.split_once('?')?.1;
    query
        .split('&')
        .find_map(|pair| Some(pair.strip_prefix(name)?.strip_prefix('=')?.replace("%20", " ").replace("%3D", "=")))
}

/// By what tests know a record again: `mark-` and what follows, in the record as in the event's body.
pub fn mark(text: &str) -> String {
    let begin = text.find("mark-").unwrap_or_else(|| panic!("no mark in {text}"));
    text[begin..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

/// Everything that a reader gave until it was caught up.
#[derive(Default, Debug)]
pub struct Read {
    /// The marks of the events' records.
    pub bodies: Vec<String>,
    pub ids: Vec<String>,
    pub malformed: Vec<String>,
    pub gaps: Vec<String>,
    pub faults: Vec<Fault>,
    pub records: u32,
    pub pieces: chunk::Pieces,
    pub pauses: u32,
    pub position: Vec<u8>,
    pub largest_position: usize,
}

impl Read {
    pub fn add(&mut self, chunk: &Chunk) {
        let mut begin = 0;
        for event in &chunk.events {
            let end = event.end as usize;
            let body = std::str::from_utf8(&chunk.bodies[begin..end]).unwrap();
            assert!(body.ends_with('\n'));
            self.bodies.push(mark(body));
            self.ids.push(event.id.to_string());
            begin = end;
        }
        assert_eq!(begin, chunk.bodies.len());
        assert_eq!(chunk.records as usize, chunk.events.len() + chunk.malformed.len() + chunk.merged as usize);
        self.malformed.extend(chunk.malformed.iter().map(|m| m.reason.clone()));
        self.gaps.extend(chunk.gaps.iter().map(|g| format!("{}: {}", g.what, g.reason)));
        self.records += chunk.records;
        self.pieces.add(chunk.pieces);
        self.position.clone_from(&chunk.position);
        self.largest_position = self.largest_position.max(chunk.position.len());
        let text = std::str::from_utf8(&chunk.position).unwrap();
        for secret in ["made-up-secret", "made-up-token", "signed", "made-up-access", "made-up-app-key", "bWFkZS11cA"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

/// So many pieces listed, fetched, gone.
pub fn pieces(listed: u32, fetched: u32, gone: u32) -> chunk::Pieces {
    chunk::Pieces { listed, fetched, gone }
}

/// Pulls until the reader is caught up. Faults are collected; more than ten end it.
pub fn drain(reader: &mut Reader, effects: &mut Fake<'_>, session: &[u8], budget: Budget) -> Read {
    let mut read = Read::default();
    for _ in 0..20_000 {
        match reader.pull(effects, session, &budget) {
            Ok(chunk) => {
                read.add(&chunk);
                match chunk.next {
                    Next::CaughtUp => return read,
                    Next::Pause(ms) => {
                        effects.monotonic += u64::from(ms);
                        read.pauses += 1;
                    }
                    Next::More => {}
                }
            }
            Err(fault) => {
                read.faults.push(fault);
                if read.faults.len() > 10 {
                    return read;
                }
            }
        }
    }
    panic!("the reader never catches up: {read:?}");
}

/// The same, with a new reader for every pull: what a host does that crashes all the time.
pub fn drain_afresh(config: &str, stream: &str, effects: &mut Fake<'_>, session: &[u8], budget: Budget) -> Read {
    let mut read = Read::default();
    let mut start = Start::Configured;
    for _ in 0..20_000 {
        let mut reader = Reader::open(config, stream, start.clone()).unwrap();
        let chunk = reader.pull(effects, session, &budget).unwrap();
        read.add(&chunk);
        if let Next::Pause(ms) = chunk.next {
            effects.monotonic += u64::from(ms);
            read.pauses += 1;
        }
        if chunk.next == Next::CaughtUp {
            return read;
        }
        start = Start::After(chunk.position);
    }
    panic!("the reader never catches up: {read:?}");
}

pub fn one() -> Budget {
    Budget { events: 1, ..Budget::default() }
}
