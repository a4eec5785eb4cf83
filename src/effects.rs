//! Everything that the core wants of the outside, as one trait: time, randomness, HTTP.
//!
//! Inside wasm, `http.rs` implements it with WASI; a native test or benchmark brings its own.

use crate::chunk::Timestamp;
use crate::code::Code;

/// The outside. Nothing in the core reads a clock, draws a number or opens a connection except through this.
pub trait Effects {
    /// The wall clock.
    fn now(&mut self) -> Timestamp;

    /// A clock that only goes forward, in milliseconds from any origin: for budgets.
    fn monotonic_ms(&mut self) -> u64;

    /// Sixteen random bytes, for request ids.
    fn random(&mut self) -> [u8; 16];

    /// Sends a request and waits for the head of the answer. Redirects are not followed.
    fn send(&mut self, request: Request) -> Result<Response, TransportError>;
}

/// An HTTP request as a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    /// Absolute: `https://host[:port]/path?query`. May hold a signed query: never logged whole.
    pub url: String,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// The head of an answer, and its body yet to be read.
pub struct Response {
    pub status: u16,
    /// Names in lower case, as received otherwise.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Box<dyn Body>,
}

impl Response {
    /// The first header of that name (lower case) whose value is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).and_then(|(_, v)| std::str::from_utf8(v).ok())
    }
}

/// A body that is read piece by piece. Dropping it abandons the rest.
pub trait Body {
    /// The next bytes; `None` at the end. A piece is never empty.
    fn next(&mut self) -> Result<Option<Vec<u8>>, TransportError>;
}

/// The request got no answer, or the answer broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportError {
    /// One of those for the way to the vendor.
    pub code: Code,
    /// One sentence. Never holds a URL's query.
    pub message: String,
}

/// A body without anything in it.
pub struct Nothing;

impl Body for Nothing {
    fn next(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        Ok(None)
    }
}
