//! How an allowed request reaches its host: one pooled client a source.
//!
//! No socket and no TLS ticket crosses sources. Redirects are not followed: a guest sees them, and each hop that it makes
//! passes the egress policy again.

mod body;
mod client;
mod connect;
mod error;
mod lookup;
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
use crate::config::network::{NetworkSettings, TimeoutSettings};
pub use client::Sockets;
pub use error::TransportError;
pub use lookup::look_up;
pub use names::{Names, Resolving};
pub use tls::plain_client as tls_client;

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

/// For how long a component would wait in each part of an exchange; [`Duration::MAX`] where it has no wish. It waits no
/// longer than the operator's [`TimeoutSettings`], which say what the parts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestOptions {
    pub connect: Duration,
    pub first_byte: Duration,
    pub between_bytes: Duration,
}

impl RequestOptions {
    /// What holds under the operator's settings.
    #[must_use]
    pub fn within(self, settings: &TimeoutSettings) -> Self {
        Self {
            connect: self.connect.min(settings.connect),
            first_byte: self.first_byte.min(settings.first_byte),
            between_bytes: self.between_bytes.min(settings.idle),
        }
    }
}

impl Default for RequestOptions {
    /// No wish.
    fn default() -> Self {
        Self { connect: Duration::MAX, first_byte: Duration::MAX, between_bytes: Duration::MAX }
    }
}

impl From<wasmtime_wasi_http::RequestOptions> for RequestOptions {
    fn from(asked: wasmtime_wasi_http::RequestOptions) -> Self {
        Self {
            connect: asked.connect_timeout.unwrap_or(Duration::MAX),
            first_byte: asked.first_byte_timeout.unwrap_or(Duration::MAX),
            between_bytes: asked.between_bytes_timeout.unwrap_or(Duration::MAX),
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
