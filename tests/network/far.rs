//! The far side: a certificate authority, servers on loopback, and names that lead where a test wants.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tributary_host::config::network::{Authorities, Identity, NetworkSettings};
use tributary_host::sandbox::{
    Body, Egress, EgressMode, EgressSettings, Names, Network, Notes, RequestOptions, Resolving, Sockets, Transport,
    TransportError, Way,
};

/// Who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two of one name would be taken for each other, until the signature is looked at.
        static AUTHORITIES: AtomicUsize = AtomicUsize::new(1);
        let name = format!("authority {}", AUTHORITIES.fetch_add(1, Ordering::SeqCst));
        parameters.distinguished_name.push(DnType::CommonName, name);
        let certificate = parameters.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(parameters, key), certificate }
    }

    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// As an operator names it.
    pub fn trusted(&self) -> Option<Arc<Authorities>> {
        Some(Arc::new(Authorities(vec![self.certificate.der().clone()])))
    }

    fn signs(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.extended_key_usages = vec![purpose];
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }

    pub fn identity(&self) -> Option<Arc<Identity>> {
        let (certificate, key) = self.signs("collector", ExtendedKeyUsagePurpose::ClientAuth);
        Some(Arc::new(Identity { chain: vec![certificate], key }))
    }

    /// What a server of this name speaks: HTTP/2 and 1.1, TLS 1.2 and 1.3, to everybody.
    pub fn server(&self, name: &str) -> rustls::ServerConfig {
        self.server_with(name, rustls::ALL_VERSIONS, None)
    }

    /// In these versions, and only to those who have a certificate of `clients`.
    pub fn server_with(
        &self,
        name: &str,
        versions: &[&'static rustls::SupportedProtocolVersion],
        clients: Option<&Authority>,
    ) -> rustls::ServerConfig {
        let (certificate, key) = self.signs(name, ExtendedKeyUsagePurpose::ServerAuth);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }
}

/// A server on loopback.
pub struct Server {
    pub port: u16,
    connections: Arc<AtomicUsize>,
    /// The numbers of those that are open.
    open: Arc<Mutex<BTreeSet<usize>>>,
    requests: Arc<AtomicUsize>,
}

impl Server {
    /// Does `each` with every connection.
    pub async fn raw<F, R>(each: F) -> Self
    where
        F: Fn(TcpStream) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let open = Arc::<Mutex<BTreeSet<usize>>>::default();
        let (counted, held) = (Arc::clone(&connections), Arc::clone(&open));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = counted.fetch_add(1, Ordering::SeqCst);
                held.lock().unwrap().insert(number);
                let (done, held) = (each(stream), Arc::clone(&held));
                tokio::spawn(async move {
                    done.await;
                    held.lock().unwrap().remove(&number);
                });
            }
        });
        Self { port, connections, open, requests: Arc::default() }
    }

    /// Serves HTTP by TLS. `/redirect` leads to a metadata service; everything else answers with its version.
    pub async fn tls(config: rustls::ServerConfig) -> Self {
        let (acceptor, requests) = (TlsAcceptor::from(Arc::new(config)), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&requests);
        let server = Self::raw(move |stream| {
            let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
            async move {
                // A client that refuses the certificate is not the server's trouble.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                serve(stream, http2, counted).await;
            }
        })
        .await;
        Self { requests, ..server }
    }

    /// The same in the clear.
    pub async fn plain() -> Self {
        let requests = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&requests);
        let server = Self::raw(move |stream| serve(stream, false, Arc::clone(&counted))).await;
        Self { requests, ..server }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The numbers of the connections that are open, from 0 on.
    pub fn open(&self) -> BTreeSet<usize> {
        self.open.lock().unwrap().clone()
    }

    /// Whether those of `numbers` are closed soon: long before an idle one is.
    pub async fn closes(&self, numbers: &BTreeSet<usize>) -> bool {
        for _ in 0..100 {
            if self.open().is_disjoint(numbers) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve<S>(stream: S, http2: bool, counted: Arc<AtomicUsize>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        counted.fetch_add(1, Ordering::SeqCst);
        let response = http::Response::builder();
        let response = match request.uri().path() {
            "/redirect" => response.status(302).header("location", "http://169.254.169.254/latest/meta-data/"),
            "/close" => response.header("connection", "close"),
            _ => response,
        };
        let version = format!("{:?}", request.version());
        async move { Ok::<_, Infallible>(response.body(Full::new(Bytes::from(version))).unwrap()) }
    });
    let stream = TokioIo::new(stream);
    // How a connection ends is for the client to judge.
    if http2 {
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
    } else {
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
    }
}

/// Names that lead to the addresses of a list, a list for each time that they are asked for, the last one for ever.
#[derive(Default)]
pub struct FakeNames {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    pub asked: Mutex<Vec<String>>,
    delay: Duration,
}

impl FakeNames {
    pub fn leading(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self { answers: Mutex::new(answers.iter().map(parse).collect()), ..Self::default() })
    }

    /// To this machine, after `delay`.
    pub fn slow(delay: Duration) -> Arc<Self> {
        Arc::new(Self { delay, answers: Mutex::new(vec![vec!["127.0.0.1".parse().unwrap()]]), ..Self::default() })
    }

    pub fn times(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Names for FakeNames {
    fn resolve(&self, name: &str) -> Resolving {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.len() {
            0 => Err(io::Error::other("no such name")),
            1 => Ok(answers[0].clone()),
            _ => Ok(answers.remove(0)),
        };
        let delay = self.delay;
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            answer
        })
    }
}

/// A client of one source, that may reach 127.0.0.1 and no other special address.
pub struct Client {
    pub notes: Arc<Notes>,
    pub transport: Arc<dyn Transport>,
    pub options: RequestOptions,
}

impl Client {
    pub fn new(settings: &NetworkSettings, names: &Arc<FakeNames>) -> Self {
        Self::with_egress(settings, names, &["127.0.0.1/32"], EgressMode::Enforce)
    }

    pub fn with_egress(settings: &NetworkSettings, names: &Arc<FakeNames>, allowed: &[&str], mode: EgressMode) -> Self {
        let allow_private = allowed.iter().map(|network| network.parse().unwrap()).collect();
        let policy = EgressSettings { allow_private, mode, ..EgressSettings::default() };
        let notes = Arc::<Notes>::default();
        let way = Way {
            source: "test".into(),
            egress: Arc::new(Egress::nothing().with(policy)),
            settings,
            notes: Arc::clone(&notes),
        };
        let sockets = Sockets::resolving(Arc::clone(names) as Arc<dyn Names>);
        let transport = sockets.transport(&way).unwrap_or_else(|error| panic!("{error}"));
        Self { notes, transport, options: RequestOptions::default() }
    }

    /// The answer's status and text.
    pub async fn get(&self, url: &str) -> Result<(u16, String), TransportError> {
        let answer = self.head(url).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(|error| TransportError::Other(format!("{error:?}")))?;
        Ok((status, String::from_utf8(body.to_bytes().to_vec()).unwrap()))
    }

    pub async fn head(&self, url: &str) -> Result<http::Response<Body>, TransportError> {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = http::Request::builder().uri(url).body(body).unwrap();
        self.transport.send(request, self.options).await
    }
}

/// A server that passes what it gets on to `to`.
pub async fn front(to: SocketAddr, config: rustls::ServerConfig) -> Server {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Server::raw(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let Ok(mut beyond) = TcpStream::connect(to).await else { return };
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut beyond).await;
        }
    })
    .await
}
