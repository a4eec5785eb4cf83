//! How long a start takes: the whole command as a process, with a template and a file for each tenant, of four streams each,
//! and a state that knows all of them, as after an upgrade. Measured is from the process's begin to the first request that
//! arrives at the simulated Mimecast, to the first one for data (the first poll), and to the log line which says that all
//! sources run; with the processor time that was spent until then. Exits with 1 if the first poll comes later than the goal.
//!
//! ```text
//! cargo bench --bench start [-- TENANTS ROUNDS]
//! ```
//!
//! All tenants share one account. The state is copied for each round, so each finds the same; a first start, without one, is
//! measured too.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mimecast_simulator as sim;
use mimecast_simulator::Endpoint;
use tributary_host::outside::Clock;
use tributary_host::state::{Commit, Counts, Store, StreamKey};
use tributary_tests::guest::LOOPBACK;
use tributary_tests::process::{command, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");

/// Tenants, and how soon the first poll shall come.
const CASES: [(usize, Duration); 2] = [(1_000, Duration::from_secs(2)), (10_000, Duration::from_secs(10))];

const STREAMS: [&str; 4] = ["siem/receipt", "siem/delivery", "audit", "ttp/url"];

/// Ids that each stream has seen.
const SEEN: u128 = 100;

/// Nothing takes so long.
const LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let earnest = arguments.iter().any(|word| word == "--bench");
    let (cases, rounds) = match numbers[..] {
        [tenants] => (vec![(tenants, None)], 5),
        [tenants, rounds, ..] => (vec![(tenants, None)], rounds.max(1)),
        [] if earnest => (CASES.map(|(tenants, goal)| (tenants, Some(goal))).to_vec(), 5),
        // Whoever only wants to know that it runs.
        [] => (vec![(20, None)], 1),
    };
    println!(
        "{:>8} {:>7} {:>14} {:>12} {:>12} {:>12}",
        "tenants", "state", "first request", "first poll", "all run", "CPU by then"
    );
    let mut missed = false;
    for (tenants, goal) in cases {
        match case(tenants, rounds, goal) {
            Ok(good) => missed |= !good,
            Err(error) => {
                eprintln!("{tenants} tenants: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::from(u8::from(missed))
}

/// What one start took.
struct Start {
    request: Duration,
    poll: Duration,
    all: Duration,
    cpu: Duration,
}

fn case(tenants: usize, rounds: usize, goal: Option<Duration>) -> io::Result<bool> {
    let folder = tempfile::tempdir()?;
    let known = folder.path().join("known");
    let tenant = sim::Tenant::v2("shared", 1_440).with_every_stream();
    // One tenant is read for real: its positions are what the others have too.
    {
        let server = serve(&tenant);
        write(folder.path(), &server.api_url, &tenant, 1)?;
        let mut process = spawn(folder.path())?;
        let asked = |at| server.simulator().count(at) > 0;
        if !until(LIMIT, || [Endpoint::Storage, Endpoint::Audit, Endpoint::TtpUrl].into_iter().all(asked)) {
            return Err(io::Error::other("the one tenant is not read"));
        }
        // What was read is delivered and stored.
        terminate(&mut process.child)?;
    }
    fs::rename(folder.path().join("state"), &known)?;
    fill(&known, tenants).map_err(io::Error::other)?;
    let mut good = true;
    for state in ["new", "known"] {
        let mut starts = Vec::new();
        for _ in 0..rounds {
            let place = folder.path().join("state");
            let _ = fs::remove_dir_all(&place);
            fs::create_dir(&place)?;
            if state == "known" {
                for file in fs::read_dir(&known)? {
                    let file = file?;
                    if file.file_type()?.is_file() {
                        fs::copy(file.path(), place.join(file.file_name()))?;
                    }
                }
            }
            starts.push(start(folder.path(), &tenant, tenants)?);
        }
        let median = |of: fn(&Start) -> Duration| {
            let mut times: Vec<Duration> = starts.iter().map(of).collect();
            times.sort();
            times[times.len() / 2]
        };
        let poll = median(|start| start.poll);
        let shown = [median(|start| start.request), poll, median(|start| start.all), median(|start| start.cpu)];
        let [request, first, all, cpu] = shown.map(|time| format!("{:.2} s", time.as_secs_f64()));
        println!("{tenants:>8} {state:>7} {request:>14} {first:>12} {all:>12} {cpu:>12}");
        if let Some(goal) = goal {
            good &= poll <= goal;
        }
    }
    if let Some(goal) = goal {
        println!("{:>16} goal: a first poll within {} s", "", goal.as_secs());
    }
    Ok(good)
}

/// The simulated Mimecast, with an hour of records and without quotas: all tenants are one account to it.
fn serve(tenant: &sim::Tenant) -> sim::Server {
    let clock = sim::Clock::real();
    let plenty = sim::Quota { limit: u32::MAX, ..sim::Settings::default().quota_api_v2 };
    let settings = sim::Settings {
        start_ms: clock.now(),
        backlog_ms: 3_600_000,
        tenants: vec![tenant.clone()],
        quota_siem_v2: plenty,
        quota_api_v2: plenty,
        ..sim::Settings::default()
    };
    let simulator = sim::Simulator::new(settings).expect("the settings are good");
    sim::Server::start(simulator, clock).expect("a port is free")
}

/// Writes the configuration, with a file for each tenant.
fn write(folder: &Path, url: &str, tenant: &sim::Tenant, tenants: usize) -> io::Result<()> {
    let sim::Credentials::V2 { client_id, client_secret } = &tenant.credentials else { unreachable!("made as 2.0") };
    let path = folder.display();
    let text = format!(
        "data_dir = \"{path}/state\"\n[templates.customers]\nfolder = \"customers.d\"\ntype = \"mimecast\"\n\
         base_url = \"{url}\"\ninsecure_http = true\negress.allow_private = [\"{LOOPBACK}\"]\n\
         client_id = \"{client_id}\"\nclient_secret = \"{client_secret}\"\ncollect = {STREAMS:?}\n\
         [sinks.files]\ntype = \"file\"\ninputs = [\"*\"]\npath = \"{path}/events\"\n"
    );
    fs::write(folder.join("tributary.toml"), text)?;
    fs::create_dir_all(folder.join("customers.d"))?;
    for number in 0..tenants {
        let file = folder.join(format!("customers.d/tenant-{number:05}.toml"));
        if !file.exists() {
            fs::write(file, "")?;
        }
    }
    Ok(())
}

/// Gives all tenants what the first has, and ids that they have seen.
fn fill(state: &Path, tenants: usize) -> Result<(), String> {
    let store = Store::open(state).map_err(|error| error.to_string())?;
    let mut positions = Vec::new();
    for stream in STREAMS {
        let known = store.stream(&StreamKey::new("tenant-00000", stream)).map_err(|error| error.to_string())?;
        // One that had nothing to read may have none.
        positions.push(known.position);
    }
    let (now, mut commits) = (Clock::System.millis(), Vec::new());
    for number in 0..tenants {
        let tenant = format!("tenant-{number:05}");
        let commit = |(place, stream): (usize, &&str)| {
            let first = ((number * STREAMS.len() + place) as u128) << 64;
            Commit {
                key: StreamKey::new(&*tenant, *stream),
                tenant: tenant.clone(),
                position: positions[place].clone(),
                counts: Counts {
                    records: SEEN as u64,
                    events: SEEN as u64,
                    accepted: SEEN as u64,
                    ..Counts::default()
                },
                // As even as hashes are.
                seen: (0..SEEN)
                    .map(|id| (first + id + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
                    .collect(),
                seen_for: Duration::from_secs(86_400),
                gaps: Vec::new(),
                partly: None,
                alerts: Default::default(),
                at_ms: now,
            }
        };
        commits.extend(STREAMS.iter().enumerate().map(commit));
        // A transaction for each would take minutes.
        if commits.len() >= 1_000 || number + 1 == tenants {
            store.commit(std::mem::take(&mut commits)).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// A host that runs, and what it says.
struct Running {
    child: Child,
    begun: Instant,
    lines: mpsc::Receiver<(Instant, String)>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path) -> io::Result<Running> {
    let file = folder.join("tributary.toml");
    let mut command = command(BINARY, &["--config", &file.display().to_string(), "run"]);
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let pipe = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // Nobody may listen any more.
            let _ = sender.send((Instant::now(), line));
        }
    });
    Ok(Running { child, begun, lines })
}

fn terminate(child: &mut Child) -> io::Result<()> {
    std::process::Command::new("kill").arg(child.id().to_string()).status()?;
    child.wait()?;
    Ok(())
}

/// One start.
fn start(folder: &Path, tenant: &sim::Tenant, tenants: usize) -> io::Result<Start> {
    let server = serve(tenant);
    write(folder, &server.api_url, tenant, tenants)?;
    let wall = server.now();
    let running = spawn(folder)?;
    let mut said = Vec::new();
    let all = loop {
        let Ok((at, line)) = running.lines.recv_timeout(LIMIT) else {
            return Err(io::Error::other(format!("it does not run: {}", said.join("\n"))));
        };
        if line.contains("tributary runs") {
            break at - running.begun;
        }
        said.push(line);
    };
    let cpu = cpu(running.child.id())?;
    let arrived = |data: bool| {
        let simulator = server.simulator();
        let wanted = |entry: &&sim::LogEntry| !data || entry.endpoint != Some(Endpoint::Token);
        simulator.log().find(wanted).map(|entry| entry.time_ms)
    };
    if !until(LIMIT, || arrived(true).is_some()) {
        return Err(io::Error::other("no poll comes"));
    }
    let after = |data| Duration::from_millis(arrived(data).unwrap_or(u64::MAX).saturating_sub(wall));
    Ok(Start { request: after(false), poll: after(true), all, cpu })
}

/// The processor time of a process so far. The kernel counts in hundredths of a second.
fn cpu(process: u32) -> io::Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in parentheses, may hold anything.
    let rest = text.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}
