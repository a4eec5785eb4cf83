//! The pooled client of a source.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;

use super::body::TimedBody;
use super::connect::{CONNECT, Connector};
use super::error::classify;
use super::names::{Judge, Names, System};
use super::{Body, Network, NetworkError, RequestOptions, Sent, Transport, TransportError, Way, tls};
use crate::config::network::{Authorities, TimeoutSettings, TlsSettings};

/// The system's sockets.
pub struct Sockets {
    names: Arc<dyn Names>,
    roots: Arc<RootCertStore>,
    /// The roots with an operator's own: a provider names the same file for all its sources.
    extended: Mutex<Vec<(Arc<Authorities>, Arc<RootCertStore>)>>,
}

/// Sets of an operator's own authorities that are kept. Few use more than one.
const EXTENDED: usize = 16;

impl Sockets {
    /// With the system's certificate authorities, or Mozilla's where the system has none, and its names.
    pub fn new() -> Self {
        Self::resolving(Arc::new(System))
    }

    /// With other names than the system's.
    pub fn resolving(names: Arc<dyn Names>) -> Self {
        Self { names, roots: Arc::new(tls::system_roots()), extended: Mutex::default() }
    }

    fn roots(&self, settings: &TlsSettings) -> Result<Arc<RootCertStore>, NetworkError> {
        let Some(own) = &settings.authorities else { return Ok(Arc::clone(&self.roots)) };
        // Written whole, so a panic elsewhere cannot have left half of it.
        let mut extended = self.extended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, roots)) = extended.iter().find(|(known, _)| known == own) {
            return Ok(Arc::clone(roots));
        }
        let roots = Arc::new(tls::with_authorities(&self.roots, own)?);
        if extended.len() >= EXTENDED {
            extended.remove(0);
        }
        extended.push((Arc::clone(own), Arc::clone(&roots)));
        Ok(roots)
    }
}

impl Default for Sockets {
    fn default() -> Self {
        Self::new()
    }
}

impl Network for Sockets {
    fn transport(&self, way: &Way<'_>) -> Result<Arc<dyn Transport>, NetworkError> {
        let tls = tls::client(self.roots(&way.settings.tls)?, &way.settings.tls)?;
        let judge =
            Judge { source: Arc::clone(&way.source), egress: Arc::clone(&way.egress), notes: Arc::clone(&way.notes) };
        let proxy = way.settings.proxy.clone();
        let connector = Connector::new(Arc::clone(&self.names), judge, Arc::new(tls), proxy);
        Ok(Arc::new(Pooled { client: pool(connector), timeouts: way.settings.timeouts }))
    }
}

type Pool = Client<Connector, Body>;

fn pool(connector: Connector) -> Pool {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        // Shorter than the keep-alive of the usual load balancers (60 s), so that a dead connection is seldom met.
        .pool_idle_timeout(Duration::from_secs(50))
        .pool_max_idle_per_host(8)
        .timer(TokioTimer::new())
        // A connection that died without a word is taken out of the pool within a request's time: many share it.
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(20))
        .build(connector)
}

struct Pooled {
    client: Pool,
    timeouts: TimeoutSettings,
}

impl Transport for Pooled {
    fn send(&self, mut request: Request<Body>, options: RequestOptions) -> Sent {
        let (client, options) = (self.client.clone(), options.within(&self.timeouts));
        Box::pin(async move {
            let mut connection = capture_connection(&mut request);
            let mut answer = std::pin::pin!(CONNECT.scope(options.connect, client.request(request)));
            let connected = async {
                connection.wait_for_connection_metadata().await;
            };
            // The connector holds to its limit itself, and says so; the time to answer begins behind it.
            let early = tokio::select! {
                biased;
                answer = &mut answer => Some(answer),
                () = connected => None,
            };
            let answer = match early {
                Some(answer) => answer,
                None => match tokio::time::timeout(options.first_byte, answer).await {
                    Ok(answer) => answer,
                    Err(_) => return Err(TransportError::ResponseTimeout(options.first_byte)),
                },
            };
            let response = answer.map_err(|error| classify(&error))?;
            Ok(response.map(|body| TimedBody::new(body, options.between_bytes).boxed_unsync()))
        })
    }
}
