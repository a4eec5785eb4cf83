//! What it costs to remember: the whole way of a full backlog, from gzip to a null sink, with the real store on the disk of
//! the target folder and with one that forgets everything; in turns, in CPU time of the whole process and in wall time.
//! Exits with 1 if the store costs more than a tenth of either.
//!
//! ```text
//! cargo bench --bench commit [-- RECORDS ROUNDS]
//! ```
//!
//! The store is not new: it knows as many ids of each stream as a busy week brings.

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::records::Records;
use support::{Canned, spread};
use tributary_host::collect::{Call, Reader, Source};
use tributary_host::config::{self, OnPositionLost};
use tributary_host::deliver::{Attached, Batch, Disk, Storage};
use tributary_host::outside::{Clock, Outside, Random};
use tributary_host::sandbox::{Component, Context, LogStream, Network, NetworkError, Session, Start, Transport, Way};
use tributary_host::sinks::{DeliverFuture, Sink};
use tributary_host::state::{Commit, Counts, DeadLetter, HealthRow, StateError, StreamKey, StreamState};
use tributary_host::{Ready, Running};

/// What the issue asks for.
const SHARE: f64 = 0.1;

/// Ids that the store knows of the stream before it begins, and how many came in one commit.
const KNOWN: u64 = 500_000;
const AT_ONCE: u64 = 2_000;

const LETTERS: u64 = 1 << 30;

fn main() -> ExitCode {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (default_records, default_rounds) = if support::in_earnest() { (60_000, 11) } else { (1_000, 1) };
    let wanted = numbers.first().copied().unwrap_or(default_records);
    let rounds = numbers.get(1).copied().unwrap_or(default_rounds);
    let bench = Bench::new(Records::new(wanted));

    let mut samples: [[Vec<f64>; 2]; 2] = Default::default();
    for round in 0..=rounds {
        // Whoever comes second finds another state of the machine.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for which in order {
            let storage: Arc<dyn Storage> = match which {
                0 => Arc::new(Nothing),
                _ => Arc::new(Counted(bench.store())),
            };
            let (cpu, wall) = bench.run(&storage);
            // The first round warms up.
            if round > 0 {
                samples[which][0].push(cpu.as_nanos() as f64 / bench.records.count as f64);
                samples[which][1].push(wall.as_nanos() as f64 / bench.records.count as f64);
            }
        }
    }

    let count = bench.records.count;
    println!("{count} SIEM records from gzip to a null sink, by one stream; {rounds} rounds in turns");
    println!("the store on {} knew {KNOWN} ids before", bench.folder.display());
    println!("\n{:<12} {:>16} {:>16} {:>16} {:>10}", "an event", "forgetting", "remembering", "difference", "share");
    let mut good = true;
    for (title, number) in [("CPU time", 0), ("wall time", 1)] {
        let (without, with) = (spread(&samples[0][number]), spread(&samples[1][number]));
        let share = with.median / without.median - 1.0;
        let least = with.least / without.least - 1.0;
        println!(
            "{title:<12} {:>13.0} ns {:>13.0} ns {:>13.0} ns {:>8.1} % (of the least {:.1} %); goal at most {:.0} %: {}",
            without.median,
            with.median,
            with.median - without.median,
            100.0 * share,
            100.0 * least,
            100.0 * SHARE,
            if share <= SHARE { "met" } else { "MISSED" }
        );
        good &= share <= SHARE;
    }
    println!();
    let records = count * (rounds as u64 + 1);
    KNOWN_CALLS.print("asking for known ids", records);
    COMMIT_CALLS.print("commits", records);
    // One short round says nothing.
    if good || rounds < 5 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Bench {
    records: Records,
    runtime: tokio::runtime::Runtime,
    component: Component,
    clock: Clock,
    world: Context,
    stream: LogStream,
    folder: PathBuf,
}

impl Bench {
    fn new(records: Records) -> Self {
        // As the command runs it.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime of two threads starts");
        let component = runtime.block_on(support::component());
        let clock = runtime.block_on(async { Clock::simulated(Duration::from_millis(records.served_ms)) });
        let world = support::context(Canned::file(records.gzip.clone()), clock);
        let plan = runtime.block_on(async {
            let mut guest = component.instantiate(&world).await.expect("an instance is made");
            guest.plan_for(support::CONFIGURATION).await.expect("the configuration is good")
        });
        let stream = plan.streams.into_iter().find(|stream| stream.name == support::STREAM).expect("the plan has it");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("commit");
        let bench = Self { records, runtime, component, clock, world, stream, folder };
        bench.known();
        bench
    }

    /// Makes a store with a past.
    fn known(&self) {
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir_all(&self.folder).expect("the target folder can be written");
        let disk = Disk::open(&self.folder.join("past"), LETTERS).expect("a new store");
        let random = Random::seeded(7);
        for _ in 0..KNOWN / AT_ONCE {
            let id = |_| (u128::from(random.u64()) << 64) | u128::from(random.u64());
            let counts = Counts { records: AT_ONCE, events: AT_ONCE, accepted: AT_ONCE, ..Counts::default() };
            let commit = Commit {
                key: StreamKey::new("bench", support::STREAM),
                tenant: "acme".into(),
                position: None,
                counts,
                seen: (0..AT_ONCE).map(id).collect(),
                seen_for: Duration::from_millis(self.stream.repeats_within_ms),
                gaps: Vec::new(),
                partly: None,
                alerts: Default::default(),
                at_ms: self.records.served_ms,
            };
            disk.commit(vec![commit]).expect("the disk has room");
        }
    }

    /// A copy of it, all on disk.
    fn store(&self) -> Disk {
        let folder = self.folder.join("now");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the target folder can be written");
        for entry in fs::read_dir(self.folder.join("past")).expect("it was made") {
            let entry = entry.expect("it was made");
            let to = folder.join(entry.file_name());
            fs::copy(entry.path(), &to).expect("the disk has room");
            File::open(&to).and_then(|file| file.sync_all()).expect("the disk works");
        }
        Disk::open(&folder, LETTERS).expect("a sound store")
    }

    /// CPU and wall time from the start of the host until everything is stored.
    fn run(&self, storage: &Arc<dyn Storage>) -> (Duration, Duration) {
        self.runtime.block_on(async {
            let start = || {
                let sink = Attached {
                    id: "null".into(),
                    inputs: vec!["*".into()],
                    acknowledgements: true,
                    max_refused_share: 0.05,
                    only: Default::default(),
                    rules: Default::default(),
                    sink: Box::new(Null),
                };
                let outside = Outside { clock: self.clock, random: Random::seeded(1), network: Arc::new(NoNetwork) };
                let drain = Duration::from_secs(60);
                Running::new(vec![self.source()], vec![sink], Arc::clone(storage), 256 << 20, outside, drain)
            };
            let begun = Instant::now();
            let before = support::cpu();
            let running = start();
            running.caught_up().await;
            let spent = (support::cpu() - before, begun.elapsed());
            let status = running.status().remove(0);
            assert_eq!((status.stored.records, status.stored.accepted), (self.records.count, self.records.count));
            assert!(running.stop().await);
            spent
        })
    }

    fn source(&self) -> Ready {
        let settings = config::Settings::new(support::CONFIGURATION);
        Ready {
            config: config::Source {
                id: "bench".into(),
                kind: config::EMBEDDED_SOURCE.into(),
                tenant: "acme".into(),
                settings,
                quota_share: 1.0,
                quotas: Default::default(),
                retry_for: Duration::from_secs(60),
                on_position_lost: OnPositionLost::Oldest,
                max_in_flight_bytes: 8 << 20,
                limits: Default::default(),
                network: config::network::NetworkSettings::default(),
                alert_window: Duration::from_secs(86_400),
                rules: Default::default(),
            },
            streams: vec![LogStream { quota: None, ..self.stream.clone() }],
            quotas: Vec::new(),
            source: Arc::new(LoggedIn { component: self.component.clone(), world: self.world.clone() }),
        }
    }
}

/// The component, with a session that it need not ask for: the network has no answer to that.
struct LoggedIn {
    component: Component,
    world: Context,
}

impl Source for LoggedIn {
    fn authenticate(&self) -> Call<'_, Session> {
        Box::pin(async { Ok(Session { secret: support::SESSION.to_vec(), expires_at: None }) })
    }

    fn open<'a>(&'a self, stream: &'a str, start: Start) -> Call<'a, Box<dyn Reader>> {
        Box::pin(async move {
            let mut guest = self.component.instantiate(&self.world).await?;
            guest.open(support::CONFIGURATION, stream, start).await?;
            Ok(Box::new(guest) as Box<dyn Reader>)
        })
    }
}

struct NoNetwork;

impl Network for NoNetwork {
    fn transport(&self, _: &Way<'_>) -> Result<Arc<dyn Transport>, NetworkError> {
        unreachable!("the source brings its own")
    }
}

struct Null;

impl Sink for Null {
    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        std::hint::black_box(batches);
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// Forgets everything.
struct Nothing;

impl Storage for Nothing {
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

/// What the store did: how often, and CPU and wall time in nanoseconds.
struct Calls {
    number: AtomicU64,
    cpu: AtomicU64,
    wall: AtomicU64,
}

impl Calls {
    fn count<T>(&self, call: impl FnOnce() -> T) -> T {
        let (cpu, wall) = (support::thread_cpu(), Instant::now());
        let value = call();
        self.number.fetch_add(1, Ordering::Relaxed);
        self.cpu.fetch_add((support::thread_cpu() - cpu).as_nanos() as u64, Ordering::Relaxed);
        self.wall.fetch_add(wall.elapsed().as_nanos() as u64, Ordering::Relaxed);
        value
    }

    fn print(&self, title: &str, records: u64) {
        let [number, cpu, wall] =
            [&self.number, &self.cpu, &self.wall].map(|counter| counter.swap(0, Ordering::Relaxed) as f64);
        let each = |nanos: f64| nanos / number / 1e6;
        println!(
            "{title:<24} {number:>6} calls, each {:>7.2} ms of CPU and {:>7.2} ms; an event {:>6.0} ns of CPU",
            each(cpu),
            each(wall),
            cpu / records as f64
        );
    }
}

static KNOWN_CALLS: Calls = Calls { number: AtomicU64::new(0), cpu: AtomicU64::new(0), wall: AtomicU64::new(0) };
static COMMIT_CALLS: Calls = Calls { number: AtomicU64::new(0), cpu: AtomicU64::new(0), wall: AtomicU64::new(0) };

/// The real store.
struct Counted(Disk);

impl Storage for Counted {
    fn stream(&self, key: &StreamKey) -> Result<StreamState, StateError> {
        self.0.stream(key)
    }

    fn known(&self, key: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError> {
        KNOWN_CALLS.count(|| self.0.known(key, ids))
    }

    fn commit(&self, commits: Vec<Commit>) -> Result<(), StateError> {
        COMMIT_CALLS.count(|| self.0.commit(commits))
    }

    fn forget(&self, key: &StreamKey) -> Result<(), StateError> {
        self.0.forget(key)
    }

    fn keep(&self, source: &str, letters: &[DeadLetter]) -> Result<(), StateError> {
        self.0.keep(source, letters)
    }

    fn keep_health(&self, events: &[HealthRow]) -> Result<(), StateError> {
        self.0.keep_health(events)
    }
}
