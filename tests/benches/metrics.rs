//! How long a scrape of the metrics takes: a host of so many tenants, of four streams each, over its local socket. The
//! sources are this program's own, so that nothing but the host is measured; each stream has read, failed and had gaps, so
//! that all of its series are there. Exits with 1 if a scrape with 1,000 tenants takes longer than the goal.
//!
//! ```text
//! cargo bench --bench metrics [-- TENANTS ROUNDS]
//! ```

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tributary_host::collect::{Call, Reader, Source};
use tributary_host::config::{self, OnPositionLost};
use tributary_host::deliver::{Attached, Batch, Head, Storage};
use tributary_host::observe::access::Access;
use tributary_host::observe::server::{Listener, serve};
use tributary_host::observe::socket::{self, Socket};
use tributary_host::outside::{Clock, Outside, Random};
use tributary_host::sandbox::{
    Budget, Chunk, Fault, FaultClass, Gap, GuestUsage, LogStream, Network, NetworkCounts, NetworkError, Next, Pieces,
    Quota, Session, Start, Transport, Way,
};
use tributary_host::sinks::{DeliverFuture, Sink};
use tributary_host::state::{Commit, DeadLetter, HealthRow, StateError, StreamKey, StreamState};
use tributary_host::{Ready, Running};

/// As the command has it.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

const GOAL: Duration = Duration::from_millis(100);
const GOAL_TENANTS: usize = 1_000;
const STREAMS: [&str; 4] = ["audit", "siem/receipt", "siem/delivery", "threats"];
const EVENTS: u128 = 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    // Whoever only wants to know that it runs.
    let (tenants, rounds) = if arguments.iter().any(|word| word == "--bench") { (GOAL_TENANTS, 51) } else { (20, 3) };
    let tenants = numbers.first().copied().unwrap_or(tenants);
    let rounds = numbers.get(1).copied().unwrap_or(rounds).max(1);
    // Time is tokio's until all is read: first polls are spread over minutes.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let good = runtime.expect("a runtime").block_on(measure(tenants, rounds));
    ExitCode::from(u8::from(!good))
}

async fn measure(tenants: usize, rounds: usize) -> bool {
    let outside = Outside { clock: Clock::System, random: Random::seeded(1), network: Arc::new(NoNetwork) };
    let sources = (0..tenants).map(source).collect();
    let running = Running::new(sources, vec![sink()], Arc::new(Nothing), 256 << 20, outside, Duration::from_secs(60));
    running.caught_up().await;
    // Those that have failed once are read again.
    let read = tenants as u64 * STREAMS.len() as u64 * EVENTS as u64;
    while running.status().iter().map(|status| status.stored.accepted).sum::<u64>() < read {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    tokio::time::resume();
    let folder = tempfile::tempdir().expect("a folder");
    let (_stop, stopped) = watch::channel(false);
    let server = tokio::spawn(serve(
        Listener::Unix(Socket::bind(folder.path()).expect("a socket")),
        Access::local(&[]),
        Arc::new(running.api()),
        stopped,
    ));
    println!(
        "{:>8} {:>8} {:>9} {:>12} {:>10} {:>10} {:>10}",
        "tenants", "labels", "series", "bytes", "least", "median", "most"
    );
    let mut good = true;
    for apart in [true, false] {
        running.control().tell_tenants_apart(apart);
        let (mut times, mut page) = (Vec::new(), String::new());
        // The first two warm up.
        for round in 0..rounds + 2 {
            let begun = Instant::now();
            page = scrape(folder.path()).await;
            if round > 1 {
                times.push(begun.elapsed());
            }
        }
        times.sort();
        let series = page.lines().filter(|line| line.starts_with("tributary_")).count();
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        let labels = if apart { "on" } else { "off" };
        println!(
            "{tenants:>8} {labels:>8} {series:>9} {:>12} {:>10} {:>10} {:>10}",
            page.len(),
            ms(times[0]),
            ms(median),
            ms(most)
        );
        good &= tenants != GOAL_TENANTS || median <= GOAL;
    }
    println!("goal with {GOAL_TENANTS} tenants: a median of {} ms at most", GOAL.as_millis());
    server.abort();
    running.kill().await;
    good
}

async fn scrape(folder: &std::path::Path) -> String {
    let mut stream = socket::connect(folder).await.expect("the socket").expect("somebody listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer of text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    body.to_owned()
}

fn source(number: usize) -> Ready {
    let id = format!("tenant-{number:05}");
    let stream = |name: &str| LogStream {
        name: name.into(),
        description: String::new(),
        interval_ms: 300_000,
        retention_ms: None,
        repeats_within_ms: 0,
        quota: Some("api".into()),
    };
    Ready {
        config: config::Source {
            tenant: format!("Tenant {number} of Example Industries"),
            id,
            kind: config::EMBEDDED_SOURCE.into(),
            settings: config::Settings::new("{}"),
            quota_share: 0.8,
            quotas: Default::default(),
            retry_for: Duration::from_secs(600),
            on_position_lost: OnPositionLost::Oldest,
            max_in_flight_bytes: 8 << 20,
            limits: Default::default(),
            network: config::network::NetworkSettings::default(),
            alert_window: Duration::from_secs(86_400),
            rules: Default::default(),
        },
        streams: STREAMS.map(stream).into(),
        quotas: vec![Quota { name: "api".into(), requests: 300, window_ms: 3_600_000 }],
        source: Arc::new(Own::default()),
    }
}

/// Each stream fails once, then reads.
#[derive(Default)]
struct Own {
    failed: Mutex<BTreeSet<String>>,
}

impl Source for Own {
    fn authenticate(&self) -> Call<'_, Session> {
        Box::pin(async { Ok(Session { secret: Vec::new(), expires_at: None }) })
    }

    fn open<'a>(&'a self, stream: &'a str, start: Start) -> Call<'a, Box<dyn Reader>> {
        let fails = self.failed.lock().expect("no thread panics").insert(stream.to_owned());
        Box::pin(async move {
            if fails {
                let (code, message) = ("http-503".into(), "The vendor answers 503".into());
                return Err(
                    Fault { class: FaultClass::Unavailable, code, message, hint: None, status: Some(503) }.into()
                );
            }
            Ok(Box::new(Stream { read: matches!(start, Start::After(_)) }) as Box<dyn Reader>)
        })
    }

    fn network(&self) -> Option<NetworkCounts> {
        let responses = [(200, 1_000), (429, 3), (503, 1)].into();
        let counts = NetworkCounts { requests: 1_004, connections: 12, responses, ..NetworkCounts::default() };
        Some(NetworkCounts { sent_bytes: 123_456, received_bytes: 987_654, ..counts })
    }

    fn usage(&self) -> Option<GuestUsage> {
        Some(GuestUsage { cpu: Duration::from_micros(1_234_567), memory_peak_bytes: 3 << 20 })
    }
}

/// Gives events and a gap, then nothing.
struct Stream {
    read: bool,
}

impl Reader for Stream {
    fn pull<'a>(&'a mut self, _: &'a Session, _: Budget) -> Call<'a, Chunk> {
        let first = !std::mem::replace(&mut self.read, true);
        Box::pin(async move { Ok(chunk(first)) })
    }
}

fn chunk(first: bool) -> Chunk {
    const LINE: &[u8] = b"{\"a\":\"event\"}\n";
    let events = (0..if first { EVENTS } else { 0 }).map(|number| {
        let begin = number as u32 * LINE.len() as u32;
        let end = begin + LINE.len() as u32 - 1;
        Head {
            id: number,
            time: 1_700_000_000_000_000_000,
            kind: 0,
            class: 0,
            severity: 0,
            alert_key: None,
            begin,
            end,
        }
    });
    let events: Vec<Head> = events.collect();
    let gap = Gap { what: "a file".into(), begin: Some(1), end: Some(1_000_000_001), reason: "it is gone".into() };
    Chunk {
        records: events.len() as u32,
        bodies: LINE.repeat(events.len()).into(),
        events,
        malformed: Vec::new(),
        gaps: if first { vec![gap] } else { Vec::new() },
        pieces: Pieces::default(),
        merged: 0,
        requests: 1,
        quota_left: Some(217),
        position: b"1".to_vec(),
        next: Next::CaughtUp,
    }
}

fn sink() -> Attached {
    Attached {
        id: "null".into(),
        inputs: vec!["*".into()],
        acknowledgements: true,
        max_refused_share: 0.05,
        only: Default::default(),
        rules: Default::default(),
        sink: Box::new(Null),
    }
}

struct Null;

impl Sink for Null {
    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        std::hint::black_box(batches);
        Box::pin(async { Ok(Vec::new()) })
    }
}

struct NoNetwork;

impl Network for NoNetwork {
    fn transport(&self, _: &Way<'_>) -> Result<Arc<dyn Transport>, NetworkError> {
        unreachable!("the sources bring their own")
    }
}

/// Forgets everything.
struct Nothing;

impl Storage for Nothing {
    fn blocks(&self) -> bool {
        false
    }

    fn stream(&self, _: &StreamKey) -> Result<StreamState, StateError> {
        Ok(StreamState::default())
    }

    fn known(&self, _: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError> {
        Ok(vec![false; ids.len()])
    }

    fn commit(&self, commits: Vec<Commit>) -> Result<(), StateError> {
        drop(commits);
        Ok(())
    }

    fn forget(&self, _: &StreamKey) -> Result<(), StateError> {
        Ok(())
    }

    fn keep(&self, _: &str, _: &[DeadLetter]) -> Result<(), StateError> {
        Ok(())
    }

    fn keep_health(&self, _: &[HealthRow]) -> Result<(), StateError> {
        Ok(())
    }
}
