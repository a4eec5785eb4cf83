//! How many tenants one process carries: the real host with the real component, a store on disk, and a template's folder
//! with a file for each tenant, of four streams each at an interval of five minutes. Time is tokio's and is skipped, so
//! an hour takes as long as its work. Exits with 1 if a target is missed.
//!
//! ```text
//! cargo bench --bench density [-- TENANTS EVENTS_A_DAY MINUTES]
//! ```
//!
//! All tenants ask one simulated Mimecast, in memory, with credentials that they share: what is measured is the host, and
//! not ten thousand simulators. CPU time is that of the process without the simulator's. Each case is a process of its own.

use std::fs;
use std::io;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mimecast_simulator as sim;
use rustix::time::{ClockId, clock_gettime};
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

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let earnest = std::env::args().any(|argument| argument == "--bench");
    if std::env::args().any(|argument| argument == "--case")
        && let [tenants, events, minutes] = numbers[..]
    {
        case(tenants as usize, events, minutes);
        return ExitCode::SUCCESS;
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
        let figures = match apart(tenants, events, minutes) {
            Ok(figures) => figures,
            Err(error) => {
                eprintln!("{tenants} tenants: {error}");
                return ExitCode::FAILURE;
            }
        };
        let Figures { cpu, resident, read, started } = figures;
        let (share_is, mib) = (cpu / 3600.0, |bytes: u64| bytes as f64 / MIB as f64);
        println!(
            "{tenants:>8} {events:>9} {cpu:>12.1} {:>10.2} % {:>7.0} MiB {read:>8.1} s {started:>7.1} s",
            100.0 * share_is,
            mib(resident)
        );
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
    /// Seconds of CPU time in an hour.
    cpu: f64,
    /// Bytes, of the whole process.
    resident: u64,
    /// Seconds that it took to read the configuration, and to plan and start everything.
    read: f64,
    started: f64,
}

/// Runs a case in a process of its own.
fn apart(tenants: usize, events: u64, minutes: u64) -> io::Result<Figures> {
    let numbers = [tenants as u64, events, minutes].map(|number| number.to_string());
    // What is delivered goes to its standard output.
    let output = Command::new(std::env::current_exe()?).arg("--case").args(&numbers).stdout(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let figures: Vec<f64> =
        text.lines().last().unwrap_or_default().split(' ').filter_map(|word| word.parse().ok()).collect();
    match figures[..] {
        [cpu, resident, read, started] if output.status.success() => {
            Ok(Figures { cpu, resident: resident as u64, read, started })
        }
        _ => Err(io::Error::other(text.into_owned())),
    }
}

/// One case; its figures are the last line of standard error.
fn case(tenants: usize, events: u64, minutes: u64) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(64).start_paused(true).build();
    runtime.expect("a runtime of one thread starts").block_on(async {
        let shared = sim::Tenant::v2("shared", events);
        let plenty = sim::Quota { limit: u32::MAX, ..sim::Settings::default().quota_api_v2 };
        let settings = sim::Settings {
            tenants: vec![shared.clone()],
            backlog_ms: 3_600_000,
            storage_url: guest::STORAGE.into(),
            api_url: guest::API.into(),
            quota_siem_v2: plenty,
            quota_api_v2: plenty,
            ..sim::Settings::default()
        };
        let clock = Clock::simulated(Duration::from_millis(settings.start_ms));
        let memory = Memory::new(sim::Simulator::new(settings).expect("the settings are good"), clock);
        // It is the host that is weighed.
        memory.simulator().limit_log(100);
        let metered = Arc::new(Metered { memory, nanos: AtomicU64::new(0) });
        let folder = tempfile::tempdir().expect("a folder can be made");
        write(folder.path(), tenants, &shared).expect("the folder can be written");
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
        tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
        let spent = (cpu() - before).saturating_sub(metered.spent() - simulated);
        let resident = resident();
        let status = running.status();
        let polls: u64 = status.iter().map(|status| status.polls).sum();
        let faults: Vec<&String> = status.iter().filter_map(|status| status.fault.as_ref()).collect();
        assert!(faults.is_empty(), "{} faults, such as {}", faults.len(), faults[0]);
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

/// A provider's configuration.
fn write(folder: &std::path::Path, tenants: usize, shared: &sim::Tenant) -> io::Result<()> {
    let sim::Credentials::V2 { client_id, client_secret } = &shared.credentials else { unreachable!("made as 2.0") };
    let (api, path) = (guest::API, folder.display());
    let text = format!(
        "data_dir = \"{path}/state\"\n[templates.customers]\nfolder = \"customers.d\"\ntype = \"mimecast\"\n\
         base_url = \"{api}\"\ninsecure_http = true\negress.allow_private = [\"{LOOPBACK}\"]\nclient_id = \"{client_id}\"\nclient_secret = \"{client_secret}\"\n\
         collect = [\"siem/receipt\", \"siem/delivery\", \"audit\", \"ttp/url\"]\n\
         intervals = {{ siem = \"5m\", audit = \"5m\", ttp = \"5m\" }}\n\
         [sinks.out]\ntype = \"stdout\"\ninputs = [\"*\"]\n"
    );
    fs::write(folder.join("tributary.toml"), text)?;
    fs::create_dir(folder.join("customers.d"))?;
    (0..tenants).try_for_each(|number| fs::write(folder.join(format!("customers.d/tenant-{number:05}.toml")), ""))
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
