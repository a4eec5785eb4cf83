//! The main job, end to end: a simulated Mimecast with three tenants over real HTTP on loopback, the real host with the
//! real component, seven days of backlog of every stream into files; then every record is counted against what the
//! simulator issued.
//!
//! ```text
//! cargo run --release --example demo [-- EVENTS_PER_DAY]
//! ```
//!
//! Exits with 1 if one record is missing or wrong.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use mimecast_simulator as sim;
use tributary_host::collect::StreamStatus;
use tributary_host::{COMPONENT, Host, Options, Running, config};

/// Seven days, but for some minutes. A stream begins seven days before it is opened, and the last ones are opened a while
/// after the simulation began: what would be older by then is not asked for.
const BACKLOG_MS: u64 = (7 * 24 * 60 - 15) * 60 * 1000;

/// The simulator's quota windows, and the host's idea of them, are shorter by this factor. Seven days of ten types are
/// about eighty listings for a tenant; at the true 40 in 15 minutes (0.8 of the quota) they alone would take half an hour.
const QUOTA_FACTOR: u32 = 900;

type Error = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    let events_per_day = match std::env::args().nth(1) {
        Some(text) => text.parse().map_err(|_| format!("{text:?} is no number of events a day"))?,
        None => 12_000,
    };
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/target/demo"));
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;

    let clock = sim::Clock::real();
    let begin = clock.now();
    let tenants = vec![
        sim::Tenant::v2("acme", events_per_day).with_every_stream(),
        sim::Tenant::v2("globex", events_per_day / 2).with_every_stream(),
        sim::Tenant { utc_offset_minutes: 60, ..sim::Tenant::v1("initech", events_per_day).with_every_stream() },
    ];
    let settings = sim::Settings {
        start_ms: begin,
        backlog_ms: BACKLOG_MS,
        tenants: tenants.clone(),
        quota_factor: QUOTA_FACTOR,
        ..sim::Settings::default()
    };
    let server = sim::Server::start(sim::Simulator::new(settings)?, clock.clone())?;
    println!("A simulated Mimecast listens on {}; its files lie on {}.", server.api_url, server.storage_url);
    println!("Its quota windows, and the host's idea of them, are shortened by a factor of {QUOTA_FACTOR}.");

    let file = folder.join("tributary.toml");
    std::fs::write(&file, configuration(&server, &tenants, folder))?;
    let config = config::load(&file)?.config;
    println!("The host runs {}.\n", file.display());

    // What a client could see when the run began must all come out; what appeared since then may.
    let mut issued: Vec<Truth> = tenants.iter().map(|tenant| Truth::of(&server, &tenant.name, begin)).collect();
    let started = Instant::now();
    let running = Host::start(&config, Options::new(COMPONENT)).await?;
    let times = watch(&running, &issued).await;
    let repeated = repeated(&running);
    let faults: Vec<String> = running.status().into_iter().filter_map(|status| status.fault).collect();
    running.stop().await;
    let elapsed = started.elapsed();

    let end = clock.now();
    let mut good = faults.is_empty();
    for fault in &faults {
        println!("fault: {fault}");
    }
    println!(
        "{:<10} {:<32} {:>8} {:>9} {:>8} {:>8} {:>6} {:>9}",
        "tenant", "stream", "issued", "delivered", "repeated", "missing", "wrong", "events/s"
    );
    let mut delivered_in_all = 0;
    for issued in &mut issued {
        issued.forget_what_was_gone_by(end);
        let seen = Truth::of(&server, &issued.tenant, end);
        let delivered = Delivered::read(&folder.join("events").join(&issued.tenant))?;
        for stream in issued.streams() {
            let row = compare(issued, &seen, &delivered, stream);
            delivered_in_all += row.delivered;
            good &= row.missing == 0 && row.wrong == 0 && row.delivered > 0;
            let key = (issued.tenant.clone(), stream.to_owned());
            let took = times.get(&key).copied().unwrap_or(elapsed);
            println!(
                "{:<10} {:<32} {:>8} {:>9} {:>8} {:>8} {:>6} {:>9.0}",
                issued.tenant,
                stream,
                row.issued,
                row.delivered,
                repeated.get(&key).copied().unwrap_or(0),
                row.missing,
                row.wrong,
                row.delivered as f64 / took.as_secs_f64()
            );
        }
        if delivered.unreadable > 0 || delivered.strangers(&seen) > 0 {
            good = false;
            println!(
                "{}: {} lines that no record explains",
                issued.tenant,
                delivered.unreadable + delivered.strangers(&seen)
            );
        }
    }
    let rate = delivered_in_all as f64 / elapsed.as_secs_f64();
    println!(
        "\n{delivered_in_all} events in {:.1} s: {rate:.0} events/s, the simulator's work on the same machine included.",
        elapsed.as_secs_f64()
    );
    println!("The events lie in {}, the state in {}.", folder.join("events").display(), folder.join("state").display());
    println!("{}", if good { "Every record is there, once." } else { "Records are missing or wrong: see the table." });
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The configuration that an operator would write; its credentials are made up.
fn configuration(server: &sim::Server, tenants: &[sim::Tenant], folder: &Path) -> String {
    let mut text = format!("data_dir = {:?}\n", folder.join("state").display().to_string());
    for tenant in tenants {
        text += &format!("\n[sources.{}]\ntype = \"mimecast\"\n", tenant.name);
        text += &format!("base_url = {:?}\ninsecure_http = true\n", server.api_url);
        // Only public addresses may be reached, unless the operator says otherwise.
        text += "egress.allow_private = [\"127.0.0.1\"]\n";
        match &tenant.credentials {
            sim::Credentials::V2 { client_id, client_secret } => {
                text += &format!("client_id = {client_id:?}\nclient_secret = {client_secret:?}\n");
                let window = 900.0 / f64::from(QUOTA_FACTOR);
                for quota in ["siem-batch", "cloud-batch"] {
                    text += &format!("quotas.{quota} = {{ requests = 50, window_secs = {window} }}\n");
                }
            }
            sim::Credentials::V1 { app_id, app_key, access_key, secret_key, .. } => {
                text += &format!("api = \"1.0\"\napp_id = {app_id:?}\napp_key = {app_key:?}\n");
                text += &format!("access_key = {access_key:?}\nsecret_key = {secret_key:?}\n");
            }
        }
    }
    text + &format!(
        "\n[sinks.files]\ntype = \"file\"\ninputs = [\"*\"]\npath = {:?}\n",
        folder.join("events").display().to_string()
    )
}

/// How long each stream of each tenant took until it was caught up.
type Times = BTreeMap<(String, String), Duration>;

/// Shows a bar for each tenant until every stream is caught up; a plain line now and then where there is no terminal.
async fn watch(running: &Running, issued: &[Truth]) -> Times {
    let style = ProgressStyle::with_template("{prefix:<10} [{bar:32}] {pos:>8}/{len:<8} {rate:>10}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", |state: &ProgressState, text: &mut dyn Write| {
            let _ = write!(text, "{:.0}/s", state.per_sec());
        })
        .progress_chars("=> ");
    let bars = MultiProgress::new();
    let bars: Vec<ProgressBar> = issued
        .iter()
        .map(|truth| {
            let bar = bars.add(ProgressBar::new(truth.total()).with_style(style.clone()));
            bar.set_prefix(truth.tenant.clone());
            bar
        })
        .collect();
    let started = Instant::now();
    let (mut times, mut said) = (Times::new(), started);
    let mut update = |last: bool| {
        let status = running.status();
        for stream in status.iter().filter(|stream| stream.was_caught_up) {
            times.entry((stream.tenant.to_string(), stream.stream.to_string())).or_insert_with(|| started.elapsed());
        }
        let say = bars[0].is_hidden() && (last || said.elapsed() >= Duration::from_secs(2));
        for (truth, bar) in issued.iter().zip(&bars) {
            let mine = || status.iter().filter(|stream| *stream.tenant == *truth.tenant);
            let done: u64 = mine().map(|stream| stream.stored.accepted).sum();
            let caught_up = format!(
                "{}/{} streams caught up",
                mine().filter(|stream| stream.was_caught_up).count(),
                mine().count()
            );
            if say {
                println!("{:<10} {done:>8}/{:<8} {caught_up}", truth.tenant, truth.total());
                said = Instant::now();
            }
            bar.set_position(done);
            bar.set_message(caught_up);
        }
    };
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let settled = running.caught_up();
    tokio::pin!(settled);
    loop {
        tokio::select! {
            () = &mut settled => break,
            _ = tick.tick() => update(false),
        }
    }
    update(true);
    for bar in bars {
        bar.abandon();
    }
    println!();
    times
}

fn repeated(running: &Running) -> BTreeMap<(String, String), u64> {
    let key = |status: &StreamStatus| (status.tenant.to_string(), status.stream.to_string());
    running.status().iter().map(|status| (key(status), status.stored.repeated)).collect()
}

/// What the simulator knows of one tenant's records, by mark.
struct Truth {
    tenant: String,
    records: BTreeMap<sim::Mark, sim::Issued>,
}

impl Truth {
    fn of(server: &sim::Server, tenant: &str, until_ms: u64) -> Self {
        let records = server.simulator().truth(tenant, until_ms).map(|issued| (issued.mark, issued)).collect();
        Self { tenant: tenant.to_owned(), records }
    }

    /// A held message may leave its queue before anyone can read it there.
    fn forget_what_was_gone_by(&mut self, now_ms: u64) {
        self.records.retain(|_, record| record.gone_from_ms.is_none_or(|gone| gone > now_ms));
    }

    fn total(&self) -> u64 {
        self.records.values().map(|issued| u64::from(issued.count)).sum()
    }

    fn streams(&self) -> Vec<&'static str> {
        let mut streams: Vec<_> = self.records.values().map(|issued| issued.stream).collect();
        streams.sort_unstable();
        streams.dedup();
        streams
    }
}

/// What lies in a tenant's files, by mark: how often, and when it says that it happened.
struct Delivered {
    records: BTreeMap<sim::Mark, Vec<u64>>,
    /// The events' ids.
    ids: HashSet<String>,
    /// Lines that are no event, carry no mark or several, or have the id of another.
    unreadable: u64,
}

impl Delivered {
    fn read(folder: &Path) -> Result<Self, Error> {
        let mut delivered = Self { records: BTreeMap::new(), ids: HashSet::new(), unreadable: 0 };
        for file in files(folder)? {
            for line in BufReader::new(std::fs::File::open(file)?).split(b'\n') {
                delivered.take(&line?);
            }
        }
        Ok(delivered)
    }

    fn take(&mut self, line: &[u8]) {
        let event: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
        let mut marks = sim::Mark::find_all(line);
        marks.dedup();
        match (event["time"].as_u64(), event["metadata"]["uid"].as_str(), marks.as_slice()) {
            (Some(time), Some(id), [mark]) if self.ids.insert(id.to_owned()) => {
                self.records.entry(*mark).or_default().push(time);
            }
            _ => self.unreadable += 1,
        }
    }

    /// Lines whose mark the simulator never gave out.
    fn strangers(&self, seen: &Truth) -> u64 {
        let unknown = self.records.iter().filter(|(mark, _)| !seen.records.contains_key(mark));
        unknown.map(|(_, times)| times.len() as u64).sum()
    }
}

/// All files below a folder.
fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

/// Most records tell whole seconds. Rows of one mark may lie seconds apart, an indicator may have been modified a minute
/// after it was made, and a release that tells no time has the end of the window that it was read in.
fn is_timely(record: &sim::Issued, time_ms: u64) -> bool {
    let later = match record.stream {
        "held/releases" => 86_400 + 3_600,
        "threat_intel/customer" | "threat_intel/grid" => 60,
        _ if record.distinct > 1 => 3,
        _ => 0,
    };
    (time_ms / 1000).checked_sub(record.time_ms / 1000).is_some_and(|seconds| seconds <= later)
}

#[derive(Default)]
struct Row {
    issued: u64,
    delivered: u64,
    /// Issued before the run and not delivered as often as it was issued.
    missing: u64,
    /// Delivered more often than issued, or at another time than it says.
    wrong: u64,
}

fn compare(issued: &Truth, seen: &Truth, delivered: &Delivered, stream: &str) -> Row {
    let mut row = Row::default();
    for (mark, record) in seen.records.iter().filter(|(_, record)| record.stream == stream) {
        let expected = u64::from(record.count);
        let times = delivered.records.get(mark).map(Vec::as_slice).unwrap_or_default();
        let count = times.len() as u64;
        row.delivered += count;
        row.wrong += count.saturating_sub(expected);
        row.wrong += times.iter().filter(|time| !is_timely(record, **time)).count() as u64;
        if issued.records.contains_key(mark) {
            row.issued += expected;
            row.missing += expected.saturating_sub(count);
        }
    }
    row
}
