//! A source's connections go with it: none is kept of one that was removed, or that got another way to its vendor.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mimecast_simulator as sim;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tributary_host::config::network::{NetworkSettings, TlsSettings};
use tributary_host::config::{self, Config};
use tributary_host::{Host, Options, Reloader};
use tributary_tests::world::{component, source};

use crate::far::{Authority, Client, FakeNames, Server};

/// Two tenants, each with a way to the simulator on which connections are counted.
struct Vendors {
    _simulator: sim::Server,
    tenants: [sim::Tenant; 2],
    ways: [Server; 2],
    folder: tempfile::TempDir,
}

impl Vendors {
    async fn new() -> Self {
        let (clock, tenants) = (sim::Clock::real(), [sim::Tenant::v2("acme", 60), sim::Tenant::v2("umbrella", 60)]);
        let settings = sim::Settings {
            start_ms: clock.now(),
            backlog_ms: 3_600_000,
            tenants: tenants.to_vec(),
            quota_factor: 900,
            ..sim::Settings::default()
        };
        let simulator = tributary_tests::world::start(clock, settings);
        let port = simulator.api_url.rsplit(':').next().unwrap().parse().unwrap();
        let beyond = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let way = async || {
            Server::raw(move |mut stream| async move {
                let Ok(mut beyond) = TcpStream::connect(beyond).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut beyond).await;
            })
            .await
        };
        let ways = [way().await, way().await];
        Self { _simulator: simulator, tenants, ways, folder: tempfile::tempdir().unwrap() }
    }

    /// With these tenants, and keys of the first one.
    fn config(&self, count: usize, keys: &str) -> Config {
        let mut text = format!("data_dir = \"{}/state\"\n", self.folder.path().display());
        for (number, (tenant, way)) in self.tenants.iter().zip(&self.ways).enumerate().skip(2 - count) {
            let keys = format!("collect = [\"audit\"]\n{}", if number == 0 { keys } else { "" });
            text += &source(tenant, &format!("http://127.0.0.1:{}", way.port), &keys);
        }
        text += "[sinks.out]\ntype = \"stdout\"\ninputs = [\"*\"]\nacknowledgements = false\n";
        let file = self.folder.path().join("tributary.toml");
        fs::write(&file, text).unwrap();
        config::load(&file).unwrap_or_else(|error| panic!("{error}")).config
    }

    /// The open connections of both, once each has some.
    async fn open(&self) -> [BTreeSet<usize>; 2] {
        for _ in 0..200 {
            let open = [self.ways[0].open(), self.ways[1].open()];
            if open.iter().all(|open| !open.is_empty()) {
                return open;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("there are no connections");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_a_source_that_goes_or_changes_are_closed() {
    let vendors = Vendors::new().await;
    let config = vendors.config(2, "");
    let host = Host::around(component().await, Options::new(tributary_host::COMPONENT));
    let running = host.clone().collect(&config).await.unwrap();
    running.caught_up().await;
    let mut reloader = Reloader::new(host, running.control(), config);
    let [first, second] = vendors.open().await;

    // Another way to the vendor.
    let changed = reloader.apply(&vendors.config(2, "timeouts.idle_secs = 90")).await;
    assert_eq!(changed.changed, ["acme"], "{changed:?}");
    assert!(vendors.ways[0].closes(&first).await, "{first:?} of {:?}", vendors.ways[0].open());
    let [newer, same] = vendors.open().await;
    assert!(newer.is_disjoint(&first) && same.is_superset(&second), "the other's stay: {same:?}");

    // None at all.
    let removed = reloader.apply(&vendors.config(1, "")).await;
    assert_eq!(removed.removed, ["acme"], "{removed:?}");
    assert!(vendors.ways[0].closes(&vendors.ways[0].open()).await, "{:?}", vendors.ways[0].open());
    assert!(vendors.ways[1].open().is_superset(&second), "the other's stay");
    let before = vendors.ways[0].connections();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((vendors.ways[0].connections(), vendors.ways[0].open().len()), (before, 0), "none is made");
    running.kill().await;
}

#[tokio::test]
async fn a_transport_that_is_dropped_closes_its_connections() {
    let authority = Authority::new();
    let server = Server::tls(authority.server("a.test")).await;
    let plain = Server::plain().await;
    let names = FakeNames::leading(&[&["127.0.0.1"]]);
    let tls = TlsSettings { authorities: authority.trusted(), ..TlsSettings::default() };
    let client = Client::new(&NetworkSettings { tls, ..NetworkSettings::default() }, &names);
    assert_eq!(client.get(&format!("https://a.test:{}/", server.port)).await.unwrap().1, "HTTP/2.0");
    assert_eq!(client.get(&format!("http://a.test:{}/", plain.port)).await.unwrap().1, "HTTP/1.1");
    // Two that never answer: one of them is waited for, the other has begun.
    let silent = Server::raw(|mut stream| async move {
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let half = Server::raw(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf of it").await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let answer = client.head(&format!("http://a.test:{}/", half.port)).await.unwrap();
    {
        let url = format!("http://a.test:{}/", silent.port);
        let waiting = tokio::time::timeout(Duration::from_millis(500), client.head(&url)).await;
        assert!(waiting.is_err() && server.open().len() == 1 && plain.open().len() == 1, "idle ones are kept");
    }
    drop((client, answer));
    for server in [&server, &plain, &silent, &half] {
        assert!(server.closes(&server.open()).await, "{:?}", server.open());
    }
}
