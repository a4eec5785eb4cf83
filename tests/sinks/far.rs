//! A far side that speaks HTTP, follows a script, and stores what it gets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::dialects::Dialect;

/// Under which name it is reached.
pub const NAME: &str = "far.test";

/// What it does with one delivery; with all that follow the script's end, what is right.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    Status(u16, Option<&'static str>),
    Slow(Duration),
    CutBefore,
    CutAfter,
    /// Half is stored.
    Partial,
}

/// A request, read and unpacked.
pub struct Received {
    pub method: Method,
    pub path: String,
    pub http2: bool,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// An answer.
pub struct Said {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Said {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }
}

#[derive(Default)]
pub struct State {
    pub script: VecDeque<Act>,
    /// How often each event was stored.
    pub stored: BTreeMap<u128, u64>,
    /// Events that came though they were there, and were refused for that.
    pub known: u64,
    pub refuses: BTreeSet<u128>,
    pub too_long: Option<usize>,
    /// Each delivery takes so long.
    pub slow: Duration,
    pub locked: bool,
    /// Requests that were turned away, and handshakes that failed.
    pub turned_away: u64,
    /// When deliveries came.
    pub deliveries: Vec<Instant>,
    /// Those by HTTP/2.
    pub http2: u64,
    pub violations: Vec<String>,
    /// For dialects that acknowledge later: how often each was asked for.
    pub asked: BTreeMap<u64, u64>,
    /// For those that acknowledge each event by itself: the events of which the client has no answer.
    #[cfg(feature = "all-sinks")]
    pub unanswered: BTreeSet<u128>,
    /// Whether an event of which the client has an answer must not come again.
    #[cfg(feature = "all-sinks")]
    pub answers_count: bool,
    /// For those that store under a name: the names.
    #[cfg(feature = "all-sinks")]
    pub objects: BTreeSet<String>,
}

impl State {
    pub fn store(&mut self, id: u128) {
        *self.stored.entry(id).or_default() += 1;
    }

    pub fn breach(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }
}

/// See the module.
pub struct Far {
    pub port: u16,
    /// Who has signed its certificate, if it has one.
    pub authority: Option<String>,
    state: Arc<Mutex<State>>,
}

impl Far {
    pub async fn start(dialect: Arc<dyn Dialect>, tls: bool) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        let (authority, acceptor) = if tls { certificate(NAME, &["h2", "http/1.1"]) } else { (None, None) };
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, dialect, acceptor) = (Arc::clone(&shared), Arc::clone(&dialect), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, false, state, dialect).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => {
                                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                                serve(stream, http2, state, dialect).await;
                            }
                            Err(_) => state.lock().unwrap().turned_away += 1,
                        },
                    }
                });
            }
        });
        Self { port, authority, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// An authority of its own, as PEM, and the TLS of who has its certificate for `name`.
pub fn certificate(name: &str, protocols: &[&str]) -> (Option<String>, Option<TlsAcceptor>) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    // Who has the name of who signed is taken for signed by itself.
    parameters.distinguished_name.push(DnType::CommonName, "authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&key).unwrap();
    let issuer = Issuer::new(parameters, key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS);
    let config = builder.unwrap().with_no_client_auth();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    (Some(authority.pem()), Some(TlsAcceptor::from(Arc::new(config))))
}

async fn serve<S>(stream: S, http2: bool, state: Arc<Mutex<State>>, dialect: Arc<dyn Dialect>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| answer(request, Arc::clone(&state), Arc::clone(&dialect)));
    let stream = TokioIo::new(stream);
    // An answer that fails closes the connection, or the stream in it: that is how it is cut.
    if http2 {
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
    } else {
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
    dialect: Arc<dyn Dialect>,
) -> Result<Response<Full<Bytes>>, Cut> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let http2 = parts.version == http::Version::HTTP_2;
    let body = unpacked(&parts.headers, &body);
    let received = Received { method: parts.method, path, http2, body, headers: parts.headers };
    let said = respond(&received, &state, &*dialect).await?;
    let response = said
        .headers
        .iter()
        .fold(Response::builder().status(said.status), |response, (name, value)| response.header(*name, value));
    Ok(response.body(Full::new(said.body.into())).unwrap())
}

async fn respond(received: &Received, state: &Mutex<State>, dialect: &dyn Dialect) -> Result<Said, Cut> {
    let (act, slow) = {
        let mut state = state.lock().unwrap();
        if state.locked {
            state.turned_away += 1;
            return Ok(dialect.stranger());
        }
        if !matches!(received.method, Method::POST | Method::PUT) || received.body.is_empty() {
            return Ok(dialect.asked());
        }
        if let Some(said) = dialect.aside(received, &mut state) {
            return Ok(said);
        }
        state.deliveries.push(Instant::now());
        state.http2 += u64::from(received.http2);
        if state.too_long.is_some_and(|most| received.body.len() > most) {
            return Ok(dialect.too_long());
        }
        (state.script.pop_front(), state.slow)
    };
    tokio::time::sleep(slow).await;
    let take = |half| dialect.take(received, &mut state.lock().unwrap(), half);
    match act {
        None => Ok(take(false)),
        Some(Act::Status(status, retry_after)) => {
            let headers = retry_after.map(|value| ("retry-after", value.to_owned())).into_iter().collect();
            Ok(Said { headers, ..dialect.not_now(status) })
        }
        Some(Act::Slow(time)) => {
            tokio::time::sleep(time).await;
            Ok(take(false))
        }
        Some(Act::CutBefore) => Err(Cut),
        Some(Act::CutAfter) => {
            take(false);
            Err(Cut)
        }
        Some(Act::Partial) => Ok(take(true)),
    }
}

fn unpacked(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    match headers.get("content-encoding").and_then(|encoding| encoding.to_str().ok()) {
        None => body.to_vec(),
        Some("gzip") => {
            let mut whole = Vec::new();
            flate2::read::GzDecoder::new(body).read_to_end(&mut whole).unwrap();
            whole
        }
        Some("zstd") => zstd::decode_all(body).unwrap(),
        Some(other) => panic!("{other}"),
    }
}
