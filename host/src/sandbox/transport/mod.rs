//! How an allowed request reaches its host: one pooled client a source.
//!
//! No socket and no TLS ticket crosses sources. Redirects are not followed: a guest sees them, and each hop that it makes
//! passes the egress policy again.

mod body;
mod client;
mod connect;
mod error;
mod names;
mod stream;
mod tls;
mod tunnel;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use wasmtime_wasi_http::WasiBody;

use super::{Egress, Notes};
use crate::config::network::NetworkSettings;
pub use client::Sockets;
pub use error::TransportError;
pub use names::{Names, Resolving};

/// A body, either way.
pub type Body = WasiBody;
/// An answer; its body is still to be read.
pub type Response = http::Response<Body>;
/// A request on its way.
pub type Sent = Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send>>;

/// Sends requests for one source. The policy has already judged how their hosts are written; to which addresses names lead,
/// the transport finds out and judges itself.
pub trait Transport: Send + Sync {
    fn send(&self, request: Request<Body>, options: RequestOptions) -> Sent;
}

/// Gives each source a transport of its own.
pub trait Network: Send + Sync {
    /// # Errors
    /// When the settings cannot be used, such as a key that does not fit its certificate.
    fn transport(&self, way: &Way<'_>) -> Result<Arc<dyn Transport>, NetworkError>;
}

/// Whose requests a transport sends, and how.
#[derive(Debug)]
pub struct Way<'a> {
    /// The source's id.
    pub source: Arc<str>,
    pub egress: Arc<Egress>,
    pub settings: &'a NetworkSettings,
    /// Where it tells what it does.
    pub notes: Arc<Notes>,
}

/// Network settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {reason}")]
pub struct NetworkError {
    /// The keys that are wrong, without the source's.
    pub setting: &'static str,
    pub reason: String,
}

/// How long each part of an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestOptions {
    /// Name resolution, TCP, the proxy and TLS together.
    pub connect: Duration,
    /// From when there is a connection, an old or a new one, to the whole head of the answer.
    pub first_byte: Duration,
    /// Between two pieces of the body, while somebody waits for one.
    pub between_bytes: Duration,
}

impl RequestOptions {
    /// What a guest may ask for at most: a call is over in minutes.
    const LIMIT: Duration = Duration::from_secs(300);
}

impl Default for RequestOptions {
    /// 10 s to connect, 60 s to the first byte (a batch listing is computed while one waits), 30 s between bytes.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(60),
            between_bytes: Duration::from_secs(30),
        }
    }
}

impl From<wasmtime_wasi_http::RequestOptions> for RequestOptions {
    fn from(asked: wasmtime_wasi_http::RequestOptions) -> Self {
        let default = Self::default();
        let bounded = |asked: Option<Duration>, default: Duration| asked.unwrap_or(default).min(Self::LIMIT);
        Self {
            connect: bounded(asked.connect_timeout, default.connect),
            first_byte: bounded(asked.first_byte_timeout, default.first_byte),
            between_bytes: bounded(asked.between_bytes_timeout, default.between_bytes),
        }
    }
}

/// The transport of an instance that gets no network.
pub(super) struct Nowhere;

impl Transport for Nowhere {
    fn send(&self, _: Request<Body>, _: RequestOptions) -> Sent {
        Box::pin(async { Err(TransportError::Denied) })
    }
}

#[cfg(test)]
mod tests;
