//! Whom the transport believes, what it shows, and which protocols it speaks.

use std::sync::Arc;
use std::time::Duration;

use tributary_host::config::network::{NetworkSettings, Protocol, TlsSettings, TlsVersion};
use tributary_host::sandbox::{Egress, Network, Sockets, TransportError, Way};

use crate::far::{Authority, Client, FakeNames, Server};

const NAME: &str = "api.test";

/// A client with these settings, to whom every name is this machine.
fn client(tls: TlsSettings) -> Client {
    Client::new(&NetworkSettings { tls, ..NetworkSettings::default() }, &FakeNames::leading(&[&["127.0.0.1"]]))
}

fn trusting(authority: &Authority) -> TlsSettings {
    TlsSettings { authorities: authority.trusted(), ..TlsSettings::default() }
}

fn url(server: &Server) -> String {
    format!("https://{NAME}:{}/", server.port)
}

#[tokio::test]
async fn an_authority_of_ones_own_is_believed_when_it_is_named() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = Server::tls(authority.server(NAME)).await;
    assert_eq!(client(trusting(&authority)).get(&url(&server)).await.unwrap().0, 200);
    for settings in [TlsSettings::default(), trusting(&stranger)] {
        let error = client(settings).get(&url(&server)).await.unwrap_err();
        assert!(matches!(error, TransportError::Certificate { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("`tls.ca_file`"), "{error:?}");
    }
    // Who does not look, sees nothing wrong.
    let blind = TlsSettings { verify_certificate: false, ..TlsSettings::default() };
    assert_eq!(client(blind).get(&url(&server)).await.unwrap().0, 200);
}

#[tokio::test]
async fn the_name_must_be_the_certificates() {
    let authority = Authority::new();
    let server = Server::tls(authority.server("other.test")).await;
    let error = client(trusting(&authority)).get(&url(&server)).await.unwrap_err();
    assert!(matches!(error, TransportError::Certificate { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("name"), "{error:?}");
    let lenient = TlsSettings { verify_hostname: false, ..trusting(&authority) };
    assert_eq!(client(lenient).get(&url(&server)).await.unwrap().0, 200);
    // That says nothing of who signed it.
    let lenient = TlsSettings { verify_hostname: false, ..TlsSettings::default() };
    let error = client(lenient).get(&url(&server)).await.unwrap_err();
    assert!(matches!(error, TransportError::Certificate { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_asks_gets_the_clients_certificate() {
    let (authority, clients) = (Authority::new(), Authority::new());
    for versions in [&[&rustls::version::TLS13][..], &[&rustls::version::TLS12]] {
        let server = Server::tls(authority.server_with(NAME, versions, Some(&clients))).await;
        let with = |identity| client(TlsSettings { identity, ..trusting(&authority) });
        assert_eq!(with(clients.identity()).get(&url(&server)).await.unwrap().0, 200);
        for identity in [None, authority.identity()] {
            let error = with(identity).get(&url(&server)).await.unwrap_err();
            assert!(matches!(error, TransportError::Tls { .. }), "{error:?}");
            assert!(error.hint().is_some_and(|hint| hint.contains("`tls.crt_file`")), "{error:?}");
        }
    }
}

#[tokio::test]
async fn an_older_version_than_allowed_is_refused() {
    let authority = Authority::new();
    let server = Server::tls(authority.server_with(NAME, &[&rustls::version::TLS12], None)).await;
    let of = |min_version| client(TlsSettings { min_version, ..trusting(&authority) });
    assert_eq!(of(TlsVersion::V12).get(&url(&server)).await.unwrap().0, 200);
    let error = of(TlsVersion::V13).get(&url(&server)).await.unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.contains("`tls.min_tls_version`")), "{error:?}");
    let newer = Server::tls(authority.server_with(NAME, &[&rustls::version::TLS13], None)).await;
    assert_eq!(of(TlsVersion::V13).get(&url(&newer)).await.unwrap().0, 200);
}

#[tokio::test]
async fn http_2_is_spoken_where_both_want_it() {
    let authority = Authority::new();
    let both = Server::tls(authority.server(NAME)).await;
    let mut old = authority.server(NAME);
    old.alpn_protocols = vec![b"http/1.1".to_vec()];
    let old = Server::tls(old).await;
    let mut silent = authority.server(NAME);
    silent.alpn_protocols = Vec::new();
    let silent = Server::tls(silent).await;
    let usual = client(trusting(&authority));
    assert_eq!(usual.get(&url(&both)).await.unwrap().1, "HTTP/2.0");
    assert_eq!(usual.get(&url(&old)).await.unwrap().1, "HTTP/1.1");
    assert_eq!(usual.get(&url(&silent)).await.unwrap().1, "HTTP/1.1");
    let first_only = client(TlsSettings { protocols: vec![Protocol::Http1], ..trusting(&authority) });
    assert_eq!(first_only.get(&url(&both)).await.unwrap().1, "HTTP/1.1");
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let authority = Authority::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let server = Server::tls(authority.server(NAME)).await;
        let client = client(TlsSettings { protocols: vec![protocol], ..trusting(&authority) });
        for _ in 0..20 {
            client.get(&url(&server)).await.unwrap();
        }
        let counts = client.notes.counts();
        assert_eq!((server.connections(), server.requests(), counts.connections), (1, 20, 1), "{protocol:?}");
        // A handshake alone is more than a kilobyte, and each answer has a head.
        assert!(counts.received_bytes > 1_500 && counts.sent_bytes > 500, "{counts:?}");
    }
}

#[tokio::test]
async fn many_requests_at_once_share_a_connection_of_http_2() {
    let authority = Authority::new();
    let server = Server::tls(authority.server(NAME)).await;
    let (client, url) = (Arc::new(client(trusting(&authority))), url(&server));
    client.get(&url).await.unwrap();
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (client, url) = (Arc::clone(&client), url.clone());
        all.spawn(async move { client.get(&url).await });
    }
    assert!(all.join_all().await.iter().all(Result::is_ok));
    assert_eq!((server.connections(), server.requests()), (1, 51));
}

#[tokio::test]
async fn a_server_that_never_speaks_tls_is_given_up_in_time() {
    let server = Server::raw(|stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    let mut client = client(TlsSettings::default());
    client.options.connect = Duration::from_millis(300);
    let begun = std::time::Instant::now();
    let error = client.get(&url(&server)).await.unwrap_err();
    assert_eq!(error, TransportError::ConnectTimeout(client.options.connect));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_clients_of_idle_sources_are_small() {
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let authority = Authority::new();
    // Each has an authority of its own to believe, as each source that names the same file has.
    let settings = NetworkSettings { tls: trusting(&authority), ..NetworkSettings::default() };
    let sockets = Sockets::resolving(FakeNames::leading(&[]));
    let before = resident();
    let clients: Vec<_> = (0..10_000)
        .map(|_| {
            let way = Way {
                source: "one of many".into(),
                egress: Arc::new(Egress::nothing()),
                settings: &settings,
                notes: Arc::default(),
            };
            sockets.transport(&way).unwrap()
        })
        .collect();
    let each = resident().saturating_sub(before) / clients.len();
    println!("{each} bytes each");
    assert!(each < 8 << 10, "{each} bytes each");
}
