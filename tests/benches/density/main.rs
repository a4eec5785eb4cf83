//! How many tenants one process carries: the real host with the real component, a store on disk, and a template's folder
//! with a file for each tenant, of four streams each at an interval of five minutes. Time is tokio's and is skipped, so
//! an hour takes as long as its work. Exits with 1 if a target is missed.
//!
//! ```text
//! cargo bench --bench density [-- TENANTS EVENTS_A_DAY MINUTES]
//! cargo bench --bench density -- tls [TENANTS INTERVAL_SECONDS MINUTES]
//! ```
//!
//! All tenants ask one simulated Mimecast, in memory, with credentials that they share: what is measured is the host, and
//! not ten thousand simulators. CPU time is that of the process without the simulator's. Each case is a process of its own.
//! Whether memory levels off is seen with 720 minutes: then what is resident is told at marks on the way. Over TLS: see
//! `sockets.rs`.

mod sockets;

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mimecast_simulator as sim;
use rustix::time::{ClockId, clock_gettime};
use tributary_host::collect::StreamStatus;
use tributary_host::outside::{Clock, Outside, Random};
use tributary_host::sandbox::{Body, Network, NetworkError, RequestOptions, Sent, Transport, Way};
use tributary_host::{Host, Options, config};
use tributary_tests::guest::{self, LOOPBACK};
use tributary_tests::memory::Memory;
use tributary_tests::world::component;

/// As the command has it.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIB: u64 = 1 << 20;

/// Tenants, events that each has in a day, and what the issue asks for: resident bytes, and the share of one core.
const CASES: [(usize, u64, Option<u64>, Option<f64>); 3] =
    [(1_000, 0, None, None), (10_000, 0, Some(512 * MIB), Some(0.2)), (1_000, 1_440, Some(256 * MIB), None)];

/// Each stream is polled twice at least before anything is measured.
const WARM: Duration = Duration::from_secs(660);

/// Minutes after which it is told what is resident, if it runs for so long.
const MARKS: [u64; 4] = [15, 60, 240, 720];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let numbers: Vec<u64> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let earnest = has("--bench");
    match (numbers.as_slice(), arguments.as_slice()) {
        ([tenants, events, minutes], _) if has("--case") => {
            case(*tenants as usize, *events, *minutes);
            return ExitCode::SUCCESS;
        }
        ([tenants, interval, minutes], _) if has("--tls-case") => {
            sockets::case(*tenants as usize, *interval, *minutes);
            return ExitCode::SUCCESS;
        }
        (_, [word, folder]) if word == "--far-side" => {
            sockets::far_side(Path::new(folder));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    if has("tls") {
        return match sockets::run(&numbers) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    println!(
        "{:>8} {:>9} {:>12} {:>12} {:>11} {:>10} {:>9}",
        "tenants", "events/d", "CPU s/hour", "of a core", "resident", "read", "started"
    );
    let cases = match numbers[..] {
        [tenants, events, minutes] => vec![(tenants as usize, events, None, None, minutes)],
        _ if earnest => CASES.map(|(tenants, events, memory, share)| (tenants, events, memory, share, 120)).to_vec(),
        // Whoever only wants to know that it runs.
        _ => vec![(20, 1_440, None, None, 20)],
    };
    let mut missed = false;
    for (tenants, events, memory, share, minutes) in cases {
        let figures = match apart("--case", &[tenants as u64, events, minutes]) {
            Ok(figures) => figures,
            Err(error) => {
                eprintln!("{tenants} tenants: {error}");
                return ExitCode::FAILURE;
            }
        };
        let Figures { last, marks } = figures;
        let [cpu, resident, read, started] = last[..] else {
            eprintln!("{tenants} tenants: there are no figures");
            return ExitCode::FAILURE;
        };
        let resident = resident as u64;
        let (share_is, mib) = (cpu / 3600.0, |bytes: u64| bytes as f64 / MIB as f64);
        println!(
            "{tenants:>8} {events:>9} {cpu:>12.1} {:>10.2} % {:>7.0} MiB {read:>8.1} s {started:>7.1} s",
            100.0 * share_is,
            mib(resident)
        );
        for (minutes, bytes) in marks {
            println!("{:>31} after {minutes} min: {:.0} MiB", "resident", mib(bytes));
        }
        if let Some(memory) = memory {
            missed |= resident > memory;
            println!("{:>31} memory: {:.0} of {:.0} MiB", "target", mib(resident), mib(memory));
        }
        if let Some(share) = share {
            missed |= share_is > share;
            println!("{:>31} CPU: {:.1} of {:.0} % of a core", "target", 100.0 * share_is, 100.0 * share);
        }
    }
    ExitCode::from(u8::from(missed))
}

/// What one case gives.
struct Figures {
    /// The numbers of its last line.
    last: Vec<f64>,
    /// Bytes that were resident after so many minutes.
    marks: Vec<(u64, u64)>,
}

/// Runs a case in a process of its own.
fn apart(case: &str, numbers: &[u64]) -> io::Result<Figures> {
    let numbers = numbers.iter().map(ToString::to_string);
    // What is delivered goes to its standard output.
    let output = Command::new(std::env::current_exe()?).arg(case).args(numbers).stdout(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let words = |line: &str| line.split(' ').filter_map(|word| word.parse::<f64>().ok()).collect::<Vec<_>>();
    let last = words(text.lines().last().unwrap_or_default());
    if last.is_empty() || !output.status.success() {
        return Err(io::Error::other(text.into_owned()));
    }
    let marks = text.lines().filter(|line| line.starts_with("mark ")).map(words);
    let marks = marks.filter_map(|mark| Some((*mark.first()? as u64, *mark.get(1)? as u64))).collect();
    Ok(Figures { last, marks })
}

/// One case; its figures are the last line of standard error: CPU seconds of an hour, bytes of the whole process, and the
/// seconds that it took to read the configuration, and to plan and start everything.
fn case(tenants: usize, events: u64, minutes: u64) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(64).start_paused(true).build();
    runtime.expect("a runtime of one thread starts").block_on(async {
        let settings = settings(&shared(events));
        let clock = Clock::simulated(Duration::from_millis(settings.start_ms));
        let memory = Memory::new(sim::Simulator::new(settings).expect("the settings are good"), clock);
        // It is the host that is weighed.
        memory.simulator().limit_log(100);
        let metered = Arc::new(Metered { memory, nanos: AtomicU64::new(0) });
        let folder = tempfile::tempdir().expect("a folder can be made");
        let provider = Provider {
            api: guest::API.into(),
            keys: String::new(),
            source: "insecure_http = true\n".into(),
            interval: "5m".into(),
        };
        provider.write(folder.path(), tenants).expect("the folder can be written");
        let component = component().await;

        let (begun, empty) = (cpu(), resident());
        let config = config::load(&folder.path().join("tributary.toml")).expect("the configuration is good").config;
        assert_eq!((config.sources.len(), config.refused.len()), (tenants, 0));
        let read = cpu();
        let network = Arc::new(Simulated(Arc::clone(&metered)));
        let outside = Outside { clock, random: Random::seeded(1), network };
        let host = Host::around(component, Options { outside, ..Options::new(tributary_host::COMPONENT) });
        let running = host.collect(&config).await.expect("the host starts");
        let (started, idle) = (cpu(), resident());
        drop(config);
        let streams = running.status().len();
        assert_eq!(streams, 4 * tenants);

        tokio::time::sleep(WARM).await;
        let (before, simulated) = (cpu(), metered.spent());
        let (begin, end) = (tokio::time::Instant::now() - WARM, WARM + Duration::from_secs(60 * minutes));
        for mark in MARKS.into_iter().filter(|mark| Duration::from_secs(60 * mark) <= end) {
            tokio::time::sleep_until(begin + Duration::from_secs(60 * mark)).await;
            eprintln!("mark {mark} {}", self::resident());
        }
        tokio::time::sleep_until(begin + end).await;
        let spent = (cpu() - before).saturating_sub(metered.spent() - simulated);
        let resident = resident();
        let status = running.status();
        let polls: u64 = status.iter().map(|status| status.polls).sum();
        if let Some(fault) = fault(&status) {
            panic!("{fault}");
        }
        let due = streams as u64 * (minutes + WARM.as_secs() / 60) / 5;
        assert!(polls >= due * 9 / 10, "{polls} of {due} polls");
        let events = status.iter().map(|status| status.stored.accepted).sum::<u64>();
        let mib = |bytes: u64| bytes / MIB;
        eprintln!("{polls} polls, {events} events");
        eprintln!("{} MiB before, {} MiB started, {} MiB now", mib(empty), mib(idle), mib(resident));
        let (reading, starting) = (read - begun, started - read);
        let hour = spent.as_secs_f64() * 60.0 / minutes as f64;
        eprintln!("{hour:.3} {resident} {:.3} {:.3}", reading.as_secs_f64(), starting.as_secs_f64());
    });
}

/// The account that all tenants have.
fn shared(events: u64) -> sim::Tenant {
    sim::Tenant::v2("shared", events)
}

/// The vendor that they ask.
fn settings(shared: &sim::Tenant) -> sim::Settings {
    let plenty = sim::Quota { limit: u32::MAX, ..sim::Settings::default().quota_api_v2 };
    sim::Settings {
        tenants: vec![shared.clone()],
        backlog_ms: 3_600_000,
        storage_url: guest::STORAGE.into(),
        api_url: guest::API.into(),
        quota_siem_v2: plenty,
        quota_api_v2: plenty,
        ..sim::Settings::default()
    }
}

/// How many streams have a fault, and one of them.
fn fault(status: &[StreamStatus]) -> Option<String> {
    let faults: Vec<&String> = status.iter().filter_map(|status| status.fault.as_ref()).collect();
    Some(format!("{} faults, such as {}", faults.len(), faults.first()?))
}

/// A provider's configuration, as far as it differs.
struct Provider {
    /// Where the API is.
    api: String,
    /// Keys at the top, and of each source.
    keys: String,
    source: String,
    interval: String,
}

impl Provider {
    /// Writes it, with a file for each tenant.
    fn write(&self, folder: &Path, tenants: usize) -> io::Result<()> {
        let Self { api, keys, source, interval } = self;
        let sim::Credentials::V2 { client_id, client_secret } = shared(0).credentials else {
            unreachable!("made as 2.0")
        };
        let path = folder.display();
        let text = format!(
            "data_dir = \"{path}/state\"\n{keys}[templates.customers]\nfolder = \"customers.d\"\ntype = \"mimecast\"\n\
             base_url = \"{api}\"\n{source}egress.allow_private = [\"{LOOPBACK}\"]\n\
             client_id = \"{client_id}\"\nclient_secret = \"{client_secret}\"\n\
             collect = [\"siem/receipt\", \"siem/delivery\", \"audit\", \"ttp/url\"]\n\
             intervals = {{ siem = \"{interval}\", audit = \"{interval}\", ttp = \"{interval}\" }}\n\
             [sinks.out]\ntype = \"stdout\"\ninputs = [\"*\"]\n"
        );
        fs::write(folder.join("tributary.toml"), text)?;
        fs::create_dir(folder.join("customers.d"))?;
        (0..tenants).try_for_each(|number| fs::write(folder.join(format!("customers.d/tenant-{number:05}.toml")), ""))
    }
}

/// The simulator, and the time that it takes.
struct Metered {
    memory: Memory,
    nanos: AtomicU64,
}

struct Simulated(Arc<Metered>);

impl Metered {
    fn spent(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }
}

impl Network for Simulated {
    fn transport(&self, _: &Way<'_>) -> Result<Arc<dyn Transport>, NetworkError> {
        Ok(Arc::new(Self(Arc::clone(&self.0))))
    }
}

impl Transport for Simulated {
    fn send(&self, request: http::Request<Body>, options: RequestOptions) -> Sent {
        let metered = Arc::clone(&self.0);
        let mut sent = metered.memory.send(request, options);
        Box::pin(std::future::poll_fn(move |context| {
            let begun = time(ClockId::ThreadCPUTime);
            let poll = sent.as_mut().poll(context);
            let nanos = (time(ClockId::ThreadCPUTime) - begun).as_nanos() as u64;
            metered.nanos.fetch_add(nanos, Ordering::Relaxed);
            poll
        }))
    }
}

fn cpu() -> Duration {
    time(ClockId::ProcessCPUTime)
}

fn time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the kernel tells it");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("it is a number");
    kib << 10
}
