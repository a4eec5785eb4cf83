//! The real host and the real component over TLS, and what their operator reads when the network says no.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mimecast_simulator as sim;
use serde_json::Value;
use tributary_host::collect::{StreamState, StreamStatus};
use tributary_host::outside::Outside;
use tributary_host::sandbox::{NetworkCounts, Sockets};
use tributary_host::{Host, Options, config};
use tributary_tests::process::{Process, command, output, until};
use tributary_tests::world::{component, configuration};

use crate::far::{Authority, FakeNames, Server, front};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
const NAME: &str = "api.vendor.test";

struct Vendor {
    simulator: sim::Server,
    tenant: sim::Tenant,
    folder: tempfile::TempDir,
}

impl Vendor {
    fn new() -> Self {
        let (clock, tenant) = (sim::Clock::real(), sim::Tenant::v2("acme", 600));
        let settings = sim::Settings {
            start_ms: clock.now(),
            backlog_ms: 6 * 3_600_000,
            tenants: vec![tenant.clone()],
            quota_factor: 900,
            ..sim::Settings::default()
        };
        let simulator = tributary_tests::world::start(clock, settings);
        Self { simulator, tenant, folder: tempfile::tempdir().unwrap() }
    }

    fn port(&self) -> u16 {
        self.simulator.api_url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// The configuration that collects one stream from `url`, with these keys more, and without the allowance for loopback.
    fn configuration(&self, url: &str, keys: &str) -> String {
        let keys = format!("collect = [\"audit\"]\n{keys}");
        let text = configuration(self.folder.path(), url, std::slice::from_ref(&self.tenant), &keys, "");
        let text = text.replace("egress.allow_private = [\"127.0.0.0/8\"]\n", "");
        if url.starts_with("https") { text.replace("insecure_http = true\n", "") } else { text }
    }

    fn write(&self, text: &str) -> std::path::PathBuf {
        let file = self.folder.path().join("tributary.toml");
        fs::write(&file, text).unwrap();
        file
    }
}

/// Collects with this configuration until the stream has read or failed; what became of it.
async fn collected(text: &str, vendor: &Vendor, names: &Arc<FakeNames>) -> (StreamStatus, NetworkCounts) {
    let config = config::load(&vendor.write(text)).unwrap_or_else(|error| panic!("{error}")).config;
    let outside = Outside { network: Arc::new(Sockets::resolving(Arc::clone(names) as _)), ..Outside::system() };
    let options = Options { outside, ..Options::new(tributary_host::COMPONENT) };
    let running = Host::around(component().await, options).collect(&config).await.unwrap();
    let status = loop {
        let status = running.status().remove(0);
        if status.fault.is_some() || status.stored.accepted > 0 {
            // The state follows the fault.
            tokio::time::sleep(Duration::from_millis(300)).await;
            break running.status().remove(0);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let counts = running.control().facts("acme").and_then(|facts| facts.network).unwrap();
    running.kill().await;
    (status, counts)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_collects_over_tls_what_the_operator_allows() {
    let (vendor, authority) = (Vendor::new(), Authority::new());
    let beyond = SocketAddr::from((Ipv4Addr::LOCALHOST, vendor.port()));
    // The simulator speaks HTTP/1.1.
    let mut tls = authority.server(NAME);
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let server: Server = front(beyond, tls).await;
    let names = FakeNames::leading(&[&["127.0.0.1"]]);
    let ca = vendor.folder.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let ca = format!("tls.ca_file = \"{}\"\n", ca.display());
    let allowed = "egress.allow_private = \"127.0.0.1\"\n";
    let url = format!("https://{NAME}:{}", server.port);

    let (status, counts) = collected(&vendor.configuration(&url, &format!("{ca}{allowed}")), &vendor, &names).await;
    assert_eq!(status.fault, None);
    assert!(status.stored.accepted > 0 && counts.requests >= 2 && counts.connections >= 1, "{counts:?}");
    assert!(counts.connections < counts.requests && counts.received_bytes > 1_000 && counts.denied == 0, "{counts:?}");

    let (status, _) = collected(&vendor.configuration(&url, allowed), &vendor, &names).await;
    let fault = status.fault.clone().unwrap();
    assert!(fault.contains("UnknownIssuer") && fault.contains("`tls.ca_file`"), "{fault}");

    // What a name leads to may be otherwise tomorrow: it is tried again.
    let (status, counts) = collected(&vendor.configuration(&url, &ca), &vendor, &names).await;
    let fault = status.fault.clone().unwrap();
    assert!(fault.contains("127.0.0.1") && fault.contains("`egress.allow_private`"), "{fault}");
    assert!(status.state != StreamState::Stopped && counts.denied > 0 && counts.connections == 0, "{status:?}");

    // What the operator has left out stays out.
    let narrow = format!("{ca}{allowed}egress.hosts = [\"https://other.test\"]\n");
    let (status, counts) = collected(&vendor.configuration(&url, &narrow), &vendor, &names).await;
    let fault = status.fault.clone().unwrap();
    assert!(fault.contains("`egress.hosts`") && fault.contains(NAME), "{fault}");
    assert!(status.state == StreamState::Stopped && counts.denied > 0, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_time_outs_hold_for_the_built_in_component() {
    let vendor = Vendor::new();
    let beyond = SocketAddr::from((Ipv4Addr::LOCALHOST, vendor.port()));
    let names = FakeNames::leading(&[]);
    // It answers, but not at once.
    let server = Server::raw(move |mut stream| async move {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let Ok(mut beyond) = tokio::net::TcpStream::connect(beyond).await else { return };
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut beyond).await;
    })
    .await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let allowed = "egress.allow_private = \"127.0.0.1\"\n";

    let short = vendor.configuration(&url, &format!("{allowed}timeouts.first_byte_secs = 1\n"));
    let (status, _) = collected(&short, &vendor, &names).await;
    let fault = status.fault.clone().unwrap();
    assert!(fault.contains("1s") && fault.contains("`timeouts.first_byte_secs`"), "{fault}");

    let long = vendor.configuration(&url, &format!("{allowed}timeouts.first_byte_secs = 20\n"));
    let (status, _) = collected(&long, &vendor, &names).await;
    assert!(status.fault.is_none() && status.stored.accepted > 0, "{status:?}");
}

#[test]
fn the_command_shows_what_was_denied() {
    let vendor = Vendor::new();
    let file = vendor.write(&vendor.configuration(&vendor.simulator.api_url, ""));
    let call = |line: &str| {
        let arguments: Vec<&str> = line.split(' ').chain(["-c", file.to_str().unwrap()]).collect();
        output(&mut command(BINARY, &arguments))
    };
    let checked = call("check");
    assert_eq!(checked.code, Some(78), "{checked:?}");
    assert!(checked.stdout.contains("egress.allow_private") && checked.stdout.contains("loopback"), "{checked:?}");

    let process = Process::run(BINARY, &file);
    assert!(until(Duration::from_secs(60), || call("status").stdout.contains("requests were denied")));
    let shown = call("status").stdout;
    assert!(shown.contains("stopped") && shown.contains("\"127.0.0.1/32\""), "{shown}");
    let json: Value = serde_json::from_str(&call("status --json").stdout).unwrap();
    let network = &json["sources"][0]["network"];
    assert!(network["denied"].as_u64() > Some(0) && network["connections"] == 0, "{network}");
    let log = process.log();
    let said = log.lines().filter(|line| line.contains("a request was denied")).count();
    assert_eq!(said, 1, "once a minute: {log}");

    // It is taken over without a restart, and the stream goes on.
    vendor.write(&vendor.configuration(&vendor.simulator.api_url, "egress.allow_private = \"127.0.0.1\"\n"));
    process.signal("HUP");
    let collecting = || call("status").stdout.contains("collecting");
    assert!(until(Duration::from_secs(60), collecting), "{}\n{}", call("status").stdout, process.log());
    let network: Value = serde_json::from_str(&call("status --json").stdout).unwrap();
    let network = &network["sources"][0]["network"];
    assert!(network["connections"].as_u64() > Some(0) && network["denied"].as_u64() > Some(0), "{network}");
}
