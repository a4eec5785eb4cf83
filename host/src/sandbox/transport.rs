//! How an allowed request reaches its host: one pooled client a tenant.
//!
//! No socket and no TLS ticket crosses tenants. Redirects are not followed: a guest sees them, and each hop that it makes
//! passes the egress policy again.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;
use wasmtime_wasi_http::{Error as WasiError, WasiBody};

/// A body, either way.
pub type Body = WasiBody;
/// An answer; its body is still to be read.
pub type Response = http::Response<Body>;
/// A request on its way.
pub type Sent = Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send>>;

/// Sends requests for one tenant. The policy has already let them pass.
pub trait Transport: Send + Sync {
    fn send(&self, request: Request<Body>, options: RequestOptions) -> Sent;
}

/// Gives each tenant a transport of its own.
pub trait Network: Send + Sync {
    fn transport(&self, tenant: &str) -> Arc<dyn Transport>;
}

/// How long each part of an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestOptions {
    /// Name resolution, TCP and TLS together.
    pub connect: Duration,
    /// From the request's start to the head of the answer, beyond the time to connect.
    pub first_byte: Duration,
    /// Between two pieces of the body.
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

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    #[error("the policy denies it")]
    Denied,
    #[error("the name was not found: {0}")]
    Dns(String),
    #[error("the connection was refused")]
    Refused,
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    #[error("the server's TLS certificate was not accepted: {0}")]
    Certificate(String),
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("no answer within {0:?}")]
    ResponseTimeout(Duration),
    #[error("the connection was closed before the answer was whole")]
    Closed,
    #[error("{0}")]
    Other(String),
}

impl From<TransportError> for WasiError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Denied => WasiError::HttpRequestDenied,
            TransportError::Dns(message) => WasiError::DnsError { rcode: Some(message), info_code: None },
            TransportError::Refused => WasiError::ConnectionRefused,
            TransportError::ConnectTimeout(_) => WasiError::ConnectionTimeout,
            TransportError::Certificate(_) => WasiError::TlsCertificateError,
            TransportError::Tls(_) => WasiError::TlsProtocolError,
            TransportError::ResponseTimeout(_) => WasiError::HttpResponseTimeout,
            TransportError::Closed => WasiError::HttpResponseIncomplete,
            TransportError::Other(message) => WasiError::InternalError(Some(message)),
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

type Pool = Client<Connector, Body>;

/// The system's sockets.
pub struct Sockets {
    tls: Arc<rustls::ClientConfig>,
    tenants: Mutex<HashMap<String, Arc<Pooled>>>,
}

impl Sockets {
    /// With the system's certificate authorities, or Mozilla's where the system has none.
    pub fn new() -> Self {
        Self { tls: Arc::new(tls()), tenants: Mutex::default() }
    }
}

impl Default for Sockets {
    fn default() -> Self {
        Self::new()
    }
}

impl Network for Sockets {
    fn transport(&self, tenant: &str) -> Arc<dyn Transport> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let pooled = tenants.entry(tenant.to_owned()).or_insert_with(|| {
            // Each tenant has a store of tickets of its own.
            let mut tls = rustls::ClientConfig::clone(&self.tls);
            tls.resumption = rustls::client::Resumption::in_memory_sessions(32);
            Arc::new(Pooled { client: pool(tls) })
        });
        Arc::clone(pooled) as Arc<dyn Transport>
    }
}

fn tls() -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!("a certificate authority of the system was not read: {error}");
    }
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        tracing::debug!("the system has no certificate authorities; Mozilla's are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn pool(tls: rustls::ClientConfig) -> Pool {
    let mut tcp = HttpConnector::new_with_resolver(Resolver);
    // TLS comes above it.
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    let https = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        // Shorter than the keep-alive of the usual load balancers (60 s), so that a dead connection is seldom met.
        .pool_idle_timeout(Duration::from_secs(50))
        .pool_max_idle_per_host(8)
        .build(Connector(https.wrap_connector(tcp)))
}

struct Pooled {
    client: Pool,
}

tokio::task_local! {
    /// The connector is handed only a URL, so the request's own time to connect comes to it this way.
    static CONNECT: Duration;
}

impl Transport for Pooled {
    fn send(&self, request: Request<Body>, options: RequestOptions) -> Sent {
        let client = self.client.clone();
        Box::pin(async move {
            let limit = options.connect + options.first_byte;
            let answer = tokio::time::timeout(limit, CONNECT.scope(options.connect, client.request(request))).await;
            let response = match answer {
                Ok(answer) => answer.map_err(|error| classify(&error))?,
                Err(_) => return Err(TransportError::ResponseTimeout(limit)),
            };
            Ok(response.map(|body| TimedBody::new(body, options.between_bytes).boxed_unsync()))
        })
    }
}

/// Resolves names. The place where addresses are judged before anything connects to them; a host that is an address is
/// never resolved, and has to be judged before the client is called.
#[derive(Clone)]
struct Resolver;

/// A name that was not found.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ResolveError(String);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let addresses: Vec<_> = found.map_err(|error| ResolveError(format!("{name}: {error}")))?.collect();
            Ok(addresses.into_iter())
        })
    }
}

/// Name, TCP and TLS within one limit.
#[derive(Clone)]
struct Connector(HttpsConnector<HttpConnector<Resolver>>);

#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
struct ConnectTimeout(Duration);

type BoxError = Box<dyn StdError + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = <HttpsConnector<HttpConnector<Resolver>> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = CONNECT.try_with(|limit| *limit).unwrap_or(RequestOptions::default().connect);
        let connecting = self.0.call(uri);
        Box::pin(async move {
            tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| Err(ConnectTimeout(limit).into()))
        })
    }
}

/// Finds the cause in a chain of errors that nest differently at each layer.
fn classify(error: &ClientError) -> TransportError {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    let mut last = String::new();
    while let Some(error) = next {
        if let Some(known) = known(error) {
            return known;
        }
        last = error.to_string();
        // An I/O error shows the source of what it wraps, not what it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    TransportError::Other(last)
}

fn known(error: &(dyn StdError + 'static)) -> Option<TransportError> {
    if let Some(ConnectTimeout(limit)) = error.downcast_ref() {
        return Some(TransportError::ConnectTimeout(*limit));
    }
    if let Some(error) = error.downcast_ref::<ResolveError>() {
        return Some(TransportError::Dns(error.to_string()));
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(match error {
            rustls::Error::InvalidCertificate(_) => TransportError::Certificate(error.to_string()),
            _ => TransportError::Tls(error.to_string()),
        });
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>()
        && (error.is_incomplete_message() || error.is_closed())
    {
        return Some(TransportError::Closed);
    }
    match error.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::ConnectionRefused => Some(TransportError::Refused),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            Some(TransportError::Closed)
        }
        io::ErrorKind::TimedOut => Some(TransportError::ConnectTimeout(RequestOptions::default().connect)),
        _ => None,
    }
}

/// A body that must go on arriving.
struct TimedBody {
    inner: Incoming,
    limit: Duration,
    timer: Pin<Box<tokio::time::Sleep>>,
    waiting: bool,
}

impl TimedBody {
    fn new(inner: Incoming, limit: Duration) -> Self {
        Self { inner, limit, timer: Box::pin(tokio::time::sleep(limit)), waiting: false }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        let this = self.get_mut();
        // The time runs only while somebody waits: a guest that pauses between two reads is not the server's fault.
        if !this.waiting {
            this.waiting = true;
            this.timer.as_mut().reset(tokio::time::Instant::now() + this.limit);
        }
        let frame = match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => match this.timer.as_mut().poll(context) {
                Poll::Ready(()) => return Poll::Ready(Some(Err(WasiError::ConnectionReadTimeout))),
                Poll::Pending => return Poll::Pending,
            },
        };
        this.waiting = false;
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                tracing::debug!("the body of an answer broke off: {error}");
                WasiError::HttpResponseIncomplete
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests;
