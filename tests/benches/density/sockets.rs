//! The same over TLS: real sockets on loopback, and the far side in a process of its own.
//!
//! Time cannot be skipped while the kernel works, so this is real time: a case takes a quarter of an hour at the interval
//! of five minutes. At a shorter one, the CPU time of an hour is that of a poll, as measured, times the polls of an hour at
//! five minutes; that is fair as long as each round of a tenant costs a handshake, which `connections` shows: 0.25 a poll.
//!
//! No tenant keeps a socket between two rounds: a pool takes a connection for dead after 50 s, and closes it 50 s later at
//! most. But all streams begin together, so most tenants have one at the same time for a part of the five minutes. Then most
//! is resident; and a limit on open files (`ulimit -n`) must allow it. `without` is the least that is resident between two
//! rounds, at intervals that leave time for that.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mimecast_simulator as sim;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tributary_host::outside::{Clock, Outside, Random};
use tributary_host::sandbox::{Body, RequestOptions, Sockets, Transport};
use tributary_host::{Host, Options, Running, config};
use tributary_tests::memory::Memory;
use tributary_tests::world::component;

use super::{Figures, MIB, Provider, apart, cpu, fault, resident, settings, shared};

/// Tenants, seconds between two polls, and minutes that are measured.
const CASES: [(u64, u64, u64); 2] = [(1_000, 300, 5), (10_000, 300, 5)];

/// Polls of a stream in an hour, at the interval that is asked for: five minutes.
const POLLS_AN_HOUR: f64 = 12.0;

/// Runs the cases, each in a process of its own, and says what they gave.
pub fn run(numbers: &[u64]) -> io::Result<()> {
    println!(
        "{:>8} {:>8} {:>12} {:>10} {:>10} {:>11} {:>14} {:>14} {:>12}",
        "tenants",
        "interval",
        "CPU s/hour",
        "of a core",
        "CPU a poll",
        "connections",
        "at most open",
        "resident",
        "without"
    );
    let cases = match *numbers {
        [tenants, interval, minutes] => vec![(tenants, interval, minutes)],
        _ => CASES.to_vec(),
    };
    for (tenants, interval, minutes) in cases {
        let Figures { last, .. } = apart("--tls-case", &[tenants, interval, minutes])?;
        let [cpu, polls, most, least, connections, open] = last[..] else { return Err(io::Error::other("no figures")) };
        let hour = cpu / polls * 4.0 * tenants as f64 * POLLS_AN_HOUR;
        println!(
            "{tenants:>8} {interval:>6} s {hour:>12.1} {:>8.2} % {:>7.2} ms {:>6.2}/poll {open:>14} {:>10.0} MiB {:>8.0} MiB",
            hour / 36.0,
            1000.0 * cpu / polls,
            connections / polls,
            most / MIB as f64,
            least / MIB as f64,
        );
    }
    Ok(())
}

/// One case; its figures are the last line of standard error: CPU seconds and polls of what was measured, the most and
/// the least bytes that were resident, connections that were opened, and how many files were open at most.
pub fn case(tenants: usize, interval: u64, minutes: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(64).build();
    runtime.expect("a runtime of one thread starts").block_on(async {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let far = Far::start(folder.path()).expect("the far side starts");
        let provider = Provider {
            api: far.url.clone(),
            keys: format!("[tls]\nca_file = \"{}\"\n", folder.path().join("ca.pem").display()),
            // At an interval this short the host would wait for the vendor's own quota.
            source: "quotas.siem-batch = { requests = 1000000, window_secs = 60 }\n".into(),
            interval: format!("{interval}s"),
        };
        provider.write(folder.path(), tenants).expect("the folder can be written");
        let component = component().await;
        let config = config::load(&folder.path().join("tributary.toml")).expect("the configuration is good").config;
        assert_eq!((config.sources.len(), config.refused.len()), (tenants, 0));
        // The far side's clock began a moment ago.
        let clock = Clock::simulated(Duration::from_millis(sim::Settings::default().start_ms));
        let outside = Outside { clock, random: Random::seeded(1), network: Arc::new(Sockets::new()) };
        let host = Host::around(component, Options { outside, ..Options::new(tributary_host::COMPONENT) });
        let running = host.collect(&config).await.expect("the host starts");
        let ids: Vec<String> = config.sources.keys().cloned().collect();
        drop(config);
        let idle = resident();

        // Two rounds, and what is read for the first time.
        watched(Duration::from_secs(2 * interval + interval / 5)).await;
        let (begun, polls, connections) = (cpu(), polls(&running), opened(&running, &ids));
        let Watched { most, least, open } = watched(Duration::from_secs(60 * minutes)).await;
        let spent = cpu() - begun;
        let (polls, connections) = (self::polls(&running) - polls, opened(&running, &ids) - connections);
        if let Some(fault) = fault(&running.status()) {
            panic!("{fault}");
        }
        // All streams are polled at the same part of the interval, so only whole ones count.
        let due = 4 * tenants as u64 * (60 * minutes / interval);
        assert!(polls >= due * 9 / 10, "{polls} of {due} polls");
        eprintln!("{} MiB started", idle / MIB);
        eprintln!("{:.3} {polls} {most} {least} {connections} {open}", spent.as_secs_f64());
    });
}

/// Bytes that were resident, and files that were open at most.
struct Watched {
    most: u64,
    least: u64,
    open: usize,
}

async fn watched(time: Duration) -> Watched {
    let (end, mut seen) = (Instant::now() + time, Watched { most: 0, least: u64::MAX, open: 0 });
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (resident, open) = (resident(), fs::read_dir("/proc/self/fd").map_or(0, Iterator::count));
        seen.most = seen.most.max(resident);
        seen.least = seen.least.min(resident);
        seen.open = seen.open.max(open);
    }
    seen
}

fn polls(running: &Running) -> u64 {
    running.status().iter().map(|status| status.polls).sum()
}

fn opened(running: &Running, ids: &[String]) -> u64 {
    let control = running.control();
    ids.iter().filter_map(|id| Some(control.facts(id)?.network?.connections)).sum()
}

/// The far side's process. It ends with its standard input.
struct Far {
    url: String,
    process: Child,
}

impl Far {
    fn start(folder: &Path) -> io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--far-side")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        let output = process.stdout.take().ok_or_else(|| io::Error::other("it has no output"))?;
        BufReader::new(output).read_line(&mut url)?;
        Ok(Self { url: url.trim_end().to_owned(), process })
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Serves the simulator by TLS until standard input ends, and leaves `ca.pem` in `folder`.
pub fn far_side(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let folder = folder.to_owned();
    std::thread::spawn(move || {
        runtime.expect("a runtime of one thread starts").block_on(async {
            let ((api, api_url), (storage, storage_url)) = (listen().await, listen().await);
            let settings = sim::Settings { api_url: api_url.clone(), storage_url, ..settings(&shared(0)) };
            let clock = Clock::simulated(Duration::from_millis(settings.start_ms));
            let memory = Memory::new(sim::Simulator::new(settings).expect("the settings are good"), clock);
            memory.simulator().limit_log(100);
            let (authority, config) = certificates();
            fs::write(folder.join("ca.pem"), authority).expect("the folder can be written");
            let acceptor = TlsAcceptor::from(Arc::new(config));
            for listener in [api, storage] {
                tokio::spawn(accept(listener, acceptor.clone(), memory.clone()));
            }
            println!("{api_url}");
            std::future::pending::<()>().await;
        });
    });
    let _ = io::stdin().read(&mut [0]);
}

/// A free port, and its URL.
async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a free port");
    let url = format!("https://{}", listener.local_addr().expect("it is bound"));
    (listener, url)
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, memory: Memory) {
    let authority = listener.local_addr().expect("it is bound").to_string();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, acceptor.clone(), memory.clone(), authority.clone()))),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, memory: Memory, authority: String) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (memory, authority) = (memory.clone(), authority.clone());
        async move {
            let (mut head, body) = request.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
            head.uri = format!("https://{authority}{path}").parse().map_err(io::Error::other)?;
            let body: Body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
            let answer = memory.send(http::Request::from_parts(head, body), RequestOptions::default()).await;
            let answer = answer.map_err(io::Error::other)?;
            Ok::<_, io::Error>(answer.map(|body| body.map_err(|error| io::Error::other(format!("{error:?}")))))
        }
    });
    // How a connection ends is the client's choice.
    let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    let _ = http2.await;
}

/// An authority's certificate as PEM, and what a server on loopback shows that it has signed.
fn certificates() -> (String, rustls::ServerConfig) {
    let generate = || KeyPair::generate().expect("there is randomness");
    let (key, own) = (generate(), generate());
    let mut parameters = CertificateParams::new(Vec::new()).expect("no name is a good name");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&key).expect("it signs itself");
    let issuer = Issuer::new(parameters, key);
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address is a good name");
    let server = server.signed_by(&own, &issuer).expect("the authority signs");
    let (chain, key) = (vec![CertificateDer::from(server)], PrivateKeyDer::Pkcs8(own.serialize_der().into()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(chain, key);
    let mut config = config.expect("the key is the certificate's");
    config.alpn_protocols = vec![b"h2".to_vec()];
    (authority.pem(), config)
}
