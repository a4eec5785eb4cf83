//! How a connection is made: name, TCP, perhaps a proxy, TLS, within one limit.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::error;
use super::names::{Judge, Names, Resolver};
use super::stream::{Counted, Stream};
use super::tunnel::{self, TunnelError};
use crate::config::network::{ProxyAddress, ProxySettings, TimeoutSettings};
use crate::sandbox::Notes;
use crate::sandbox::egress::address::Host;

tokio::task_local! {
    /// The connector is handed only a URL, so the request's own time to connect comes to it this way.
    pub(super) static CONNECT: Duration;
}

#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
pub(super) struct ConnectTimeout(pub Duration);

type BoxError = Box<dyn StdError + Send + Sync>;

/// Makes the connections of one source.
#[derive(Clone)]
pub(super) struct Connector {
    /// To hosts, at addresses that may be reached.
    direct: HttpConnector<Resolver>,
    /// To proxies, wherever the operator says that they are.
    to_proxy: HttpConnector<Resolver>,
    shared: Arc<Shared>,
}

struct Shared {
    tls: TlsConnector,
    proxy: ProxySettings,
    notes: Arc<Notes>,
}

impl Connector {
    pub fn new(names: Arc<dyn Names>, judge: Judge, tls: Arc<rustls::ClientConfig>, proxy: ProxySettings) -> Self {
        let notes = Arc::clone(&judge.notes);
        Self {
            direct: tcp(Resolver { names: Arc::clone(&names), judge: Some(judge) }),
            to_proxy: tcp(Resolver { names, judge: None }),
            shared: Arc::new(Shared { tls: TlsConnector::from(tls), proxy, notes }),
        }
    }

    async fn connect(self, uri: Uri, limit: Duration) -> Result<Stream, BoxError> {
        let https = uri.scheme() == Some(&Scheme::HTTPS);
        // The policy has refused what cannot be read.
        let host = uri.host().and_then(Host::parse).ok_or("the request names no host")?;
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let bare = match &host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        };
        let Shared { tls, proxy, notes } = &*self.shared;
        let socket = match proxy.proxy(https, &bare, port) {
            Some(proxy) => through(open(self.to_proxy, proxy_uri(proxy)?, limit).await, proxy, &host, port).await?,
            None => open(self.direct, uri, limit).await?,
        };
        notes.connected();
        let stream = Counted { inner: socket, notes: Arc::clone(notes) };
        if !https {
            return Ok(Stream::Plain(stream));
        }
        let name = ServerName::try_from(bare)?;
        Ok(Stream::Tls(Box::new(tls.connect(name, stream).await?)))
    }
}

fn tcp(resolver: Resolver) -> HttpConnector<Resolver> {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    // TLS comes above it.
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    tcp
}

/// Of several addresses each gets its share of the limit, so that a dead one does not cost all of it.
async fn open(mut tcp: HttpConnector<Resolver>, uri: Uri, limit: Duration) -> Result<TcpStream, BoxError> {
    tcp.set_connect_timeout(Some(limit));
    match tcp.call(uri).await {
        Ok(socket) => Ok(socket.into_inner()),
        // It does not say how long that was.
        Err(cause) if error::timed_out(&cause) => Err(ConnectTimeout(limit).into()),
        Err(cause) => Err(cause.into()),
    }
}

async fn through(
    socket: Result<TcpStream, BoxError>,
    proxy: &ProxyAddress,
    host: &Host,
    port: u16,
) -> Result<TcpStream, TunnelError> {
    let name = proxy.to_string();
    let socket = socket
        .map_err(|cause| TunnelError::Unreachable { proxy: name.clone(), reason: error::find(&*cause).to_string() })?;
    tunnel::connect(socket, &name, &format!("{host}:{port}"), proxy.authorization()).await
}

fn proxy_uri(proxy: &ProxyAddress) -> Result<Uri, http::uri::InvalidUri> {
    format!("http://{proxy}").parse()
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = CONNECT.try_with(|limit| *limit).unwrap_or(TimeoutSettings::default().connect);
        let connecting = self.clone().connect(uri, limit);
        Box::pin(async move {
            let connected = tokio::time::timeout(limit, connecting).await;
            connected.unwrap_or_else(|_| Err(ConnectTimeout(limit).into())).map(TokioIo::new)
        })
    }
}
