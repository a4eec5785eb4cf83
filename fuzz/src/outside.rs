//! An outside that answers by a script: time stands still unless it is moved, and a body comes in pieces of one size.

use std::collections::VecDeque;

use mimecast_source::chunk::Timestamp;
use mimecast_source::effects::{Body, Effects, Request, Response, TransportError};

/// 2026-03-08 12:00:00 UTC.
pub const NOW: Timestamp = 1_772_971_200 * 1_000_000_000;

pub const V2: &str = r#""client_id":"made-up-id","client_secret":"made-up-secret""#;
pub const SESSION: &[u8] = br#"{"token":"made-up-token"}"#;
pub const V1: &str = r#""api":"1.0","region":"eu","app_id":"made-up-app","app_key":"made-up-app-key","access_key":"made-up-access","secret_key":"bWFkZS11cA==""#;
pub const SESSION_V1: &[u8] = br#"{"base_url":"https://eu-api.mimecast.com"}"#;

/// An answer with status 200.
#[derive(Clone)]
pub struct Reply {
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Self { headers: Vec::new(), body: body.into() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }
}

pub struct Outside<'a> {
    pub now: Timestamp,
    pub monotonic: u64,
    pub piece: usize,
    pub script: &'a dyn Fn(&Request) -> Reply,
}

impl<'a> Outside<'a> {
    pub fn new(piece: usize, script: &'a dyn Fn(&Request) -> Reply) -> Self {
        Self { now: NOW, monotonic: 0, piece: piece.max(1), script }
    }

    pub fn wait(&mut self, milliseconds: u64) {
        self.monotonic += milliseconds;
        self.now += milliseconds * 1_000_000;
    }
}

impl Effects for Outside<'_> {
    fn now(&mut self) -> Timestamp {
        self.now
    }

    fn monotonic_ms(&mut self) -> u64 {
        self.monotonic
    }

    fn random(&mut self) -> [u8; 16] {
        [7; 16]
    }

    fn send(&mut self, request: Request) -> Result<Response, TransportError> {
        let Reply { headers, body } = (self.script)(&request);
        let pieces = body.chunks(self.piece).map(<[u8]>::to_vec).collect();
        Ok(Response { status: 200, headers, body: Box::new(Pieces(pieces)) })
    }
}

struct Pieces(VecDeque<Vec<u8>>);

impl Body for Pieces {
    fn next(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        Ok(self.0.pop_front())
    }
}
