//! Requests that go through a proxy.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tributary_host::config::network::{NetworkSettings, TlsSettings};
use tributary_host::config::{Format, parse};
use tributary_host::sandbox::{EgressMode, TransportError};

use crate::far::{Authority, Client, FakeNames, Server};

const NAME: &str = "api.test";

/// A proxy that connects everything to `beyond`, whatever it is asked for, to those who say `user:pass@word`.
struct Proxy {
    server: Server,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn new(beyond: u16, authorization: Option<&'static str>, status: &'static str) -> Self {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&asked);
        let server = Server::raw(move |mut stream| {
            let heard = Arc::clone(&heard);
            async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let head = String::from_utf8(head).unwrap();
                heard.lock().unwrap().push(head.lines().next().unwrap().to_owned());
                let known =
                    authorization.is_none_or(|value| head.contains(&format!("Proxy-Authorization: {value}\r\n")));
                let status = if known { status } else { "407 Proxy Authentication Required" };
                // Whoever was refused may be gone.
                let _ = stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await;
                if status.starts_with("200") {
                    let mut beyond = TcpStream::connect(("127.0.0.1", beyond)).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut beyond).await;
                }
            }
        })
        .await;
        Self { server, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// `user:pass@word`.
const AUTHORIZATION: &str = "Basic dXNlcjpwYXNzQHdvcmQ=";

/// Settings as an operator writes them.
fn settings(keys: &str, authority: &Authority) -> NetworkSettings {
    let text = format!("[sources.a]\ntype = 'mimecast'\n{keys}\n[sinks.s]\ntype = 'stdout'\ninputs = ['a']\n");
    let loaded = parse(&text, Format::Toml, "t", &|_| None).unwrap_or_else(|error| panic!("{error}"));
    let tls = TlsSettings { authorities: authority.trusted(), ..TlsSettings::default() };
    NetworkSettings { tls, ..loaded.config.sources["a"].network.clone() }
}

#[tokio::test]
async fn a_tunnel_leads_to_the_vendor_and_only_the_proxy_knows_its_address() {
    let authority = Authority::new();
    let server = Server::tls(authority.server(NAME)).await;
    let proxy = Proxy::new(server.port, Some(AUTHORIZATION), "200 Connection established").await;
    let keys = format!("proxy.https = 'http://user:pass%40word@proxy.test:{}'", proxy.server.port);
    let names = FakeNames::leading(&[&["127.0.0.1"]]);
    // No private address is allowed: that of the proxy, which the operator has named, needs no allowance.
    let client = Client::with_egress(&settings(&keys, &authority), &names, &[], EgressMode::Enforce);
    for _ in 0..5 {
        assert_eq!(client.get(&format!("https://{NAME}/")).await.unwrap(), (200, "HTTP/2.0".to_owned()));
    }
    assert_eq!(proxy.asked(), [format!("CONNECT {NAME}:443 HTTP/1.1")], "one tunnel for all");
    assert_eq!(*names.asked.lock().unwrap(), ["proxy.test"], "the vendor's name is for the proxy to resolve");
    assert_eq!(client.notes.counts().connections, 1);
}

#[tokio::test]
async fn a_proxy_that_refuses_says_what_to_change() {
    let authority = Authority::new();
    let server = Server::tls(authority.server(NAME)).await;
    let names = FakeNames::leading(&[&["127.0.0.1"]]);
    let wants = Proxy::new(server.port, Some(AUTHORIZATION), "200 OK").await;
    let forbids = Proxy::new(server.port, None, "403 Forbidden").await;
    let closed = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap().port()
    };
    for (address, says, hint) in [
        (format!("http://127.0.0.1:{}", wants.server.port), "407", "http://user:password@host:port"),
        (format!("http://user:marked@127.0.0.1:{}", wants.server.port), "does not accept", "%40"),
        (format!("http://127.0.0.1:{}", forbids.server.port), "403", "`proxy.no_proxy`"),
        (format!("http://127.0.0.1:{closed}"), "cannot be reached: the connection was refused", "`proxy.https`"),
    ] {
        let client = Client::new(&settings(&format!("proxy.https = '{address}'"), &authority), &names);
        let error = client.get(&format!("https://{NAME}/")).await.unwrap_err();
        assert!(matches!(error, TransportError::Proxy(_)), "{error:?}");
        assert!(error.to_string().contains(says) && error.hint().unwrap().contains(hint), "{error:?}");
        assert!(!format!("{error:?}{error}").contains("marked"), "{error:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn no_proxy_and_the_other_scheme_go_directly() {
    let authority = Authority::new();
    let (server, plain) = (Server::tls(authority.server(NAME)).await, Server::plain().await);
    let proxy = Proxy::new(server.port, None, "200 OK").await;
    let names = FakeNames::leading(&[&["127.0.0.1"]]);
    let keys = format!("proxy.https = 'http://127.0.0.1:{}'\nproxy.no_proxy = ['api.test']", proxy.server.port);
    let client = Client::new(&settings(&keys, &authority), &names);
    assert_eq!(client.get(&format!("https://{NAME}:{}/", server.port)).await.unwrap().0, 200);
    assert_eq!(client.get(&format!("http://other.test:{}/", plain.port)).await.unwrap().0, 200);
    assert!(proxy.asked().is_empty());
    // Who goes around the proxy is judged by its address again.
    let strict = Client::with_egress(&settings(&keys, &authority), &names, &[], EgressMode::Enforce);
    let denied = strict.get(&format!("https://{NAME}:{}/", server.port)).await;
    assert!(matches!(denied, Err(TransportError::Egress(_))), "{denied:?}");
    let through = client.get(&format!("https://other.test:{}/", server.port)).await;
    assert!(
        matches!(through, Err(TransportError::Certificate { .. })),
        "it reached the server, of another name: {through:?}"
    );
    assert_eq!(proxy.asked(), [format!("CONNECT other.test:{} HTTP/1.1", server.port)]);
}
