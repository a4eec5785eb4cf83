//! The real process, killed (SIGKILL) at random moments while it reads a backlog of every stream of both generations.
//!
//! ```text
//! TRIBUTARY_KILLS=200 cargo test --release --test kills -- --nocapture
//! ```
//!
//! After each kill the state is sound and its ledger balances; at the end nothing is missing, and what lies there twice is
//! no more than what a kill caught between the sink and the store.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use mimecast_simulator as sim;
use serde_json::Value;
use tributary_host::outside::Random;
use tributary_tests::delivered::{Comparison, Delivered, dead_letters};
use tributary_tests::process::{Process, command, output, until};
use tributary_tests::world::{QUOTA, configuration, serve};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: u64 = 3_600_000;

/// A backlog lasts for so many kills; then it is read to its end and compared, and another one begins.
const KILLS_OF_A_SITE: u64 = 10;

/// What was seen over all kills.
#[derive(Debug, Default)]
struct Tally {
    sites: u64,
    kills: u64,
    /// Kills that left something to read.
    in_the_middle: u64,
    /// Kills that caught events between the sink and the store, and those events.
    in_flight: (u64, usize),
    records: usize,
    repeated: usize,
}

#[test]
fn a_process_that_is_killed_at_random_moments_misses_nothing() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let kills: u64 = number("TRIBUTARY_KILLS").unwrap_or(10);
    let seed = number("TRIBUTARY_SEED").unwrap_or_else(|| Random::system().u64());
    println!("TRIBUTARY_SEED={seed} chooses the same moments, as far as the machine lets it");
    let random = Random::seeded(seed);
    let mut tally = Tally::default();
    while tally.kills < kills {
        tally.sites += 1;
        let mut site = Site::new();
        for _ in 0..KILLS_OF_A_SITE.min(kills - tally.kills) {
            site.kill(&random, &mut tally);
        }
        site.finish(&mut tally);
    }
    println!("{tally:?}");
    assert!(tally.in_the_middle * 2 >= kills, "too few kills were in the middle: {tally:?}");
}

/// A server for a tenant of each generation, and the configuration by which the command reads both.
struct Site {
    server: sim::Server,
    folder: tempfile::TempDir,
    tenants: [sim::Tenant; 2],
    begin: u64,
    /// Events that lay in the files and were not stored at the kills so far.
    caught: usize,
}

impl Site {
    fn new() -> Self {
        let clock = sim::Clock::real();
        let begin = clock.now();
        let tenants =
            [sim::Tenant::v2("acme", 4_000), sim::Tenant::v1("initech", 4_000)].map(sim::Tenant::with_every_stream);
        let settings = sim::Settings {
            backlog_ms: 24 * HOUR,
            tenants: tenants.to_vec(),
            members_per_archive: 3,
            ..sim::Settings::default()
        };
        let server = serve(clock, settings);
        for tenant in &tenants {
            for at in [sim::Endpoint::Storage, sim::Endpoint::SiemLogs, sim::Endpoint::Dlp, sim::Endpoint::TtpUrl] {
                let slow = sim::Fault::Slow { at, delay_ms: 40 };
                server.simulator().inject(&tenant.name, slow, sim::When::Always).unwrap();
            }
        }
        let site = Self { server, folder: tempfile::tempdir().unwrap(), tenants, begin, caught: 0 };
        let text = configuration(site.folder.path(), &site.server.api_url, &site.tenants, "", "");
        // The quota that the simulator shortens is one of API 2.0.
        let text = text.replacen("[sources.acme]", &format!("[sources.acme]\n{QUOTA}"), 1);
        std::fs::write(site.file(), text).unwrap();
        site
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("tributary.toml")
    }

    fn delivered(&self) -> [Delivered; 2] {
        self.tenants.each_ref().map(|tenant| Delivered::read(&self.folder.path().join("events"), &tenant.name))
    }

    fn compare(&self, delivered: &[Delivered; 2]) -> [Comparison; 2] {
        let now = self.server.now();
        let compare =
            |at: usize| delivered[at].compare(&self.server.simulator(), &self.tenants[at].name, self.begin, now);
        [compare(0), compare(1)]
    }

    fn missing(&self) -> usize {
        self.compare(&self.delivered()).iter().map(|found| found.missing).sum()
    }

    /// Runs a verb that must find everything in order; gives what it says.
    fn says(&self, verb: &[&str]) -> String {
        let state = self.folder.path().join("state");
        let said = output(&mut command(BINARY, &[verb, &["--data-dir", state.to_str().unwrap()]].concat()));
        assert_eq!(said.code, Some(0), "{verb:?}: {said:?}");
        said.stdout
    }

    /// Events that the ledger has as delivered.
    fn stored(&self) -> usize {
        if !self.folder.path().join("state/state.redb").exists() {
            return 0;
        }
        self.says(&["state", "check"]);
        let audit: Value = serde_json::from_str(&self.says(&["audit", "--json"])).unwrap();
        let delivered = |row: &Value| row["sinks"]["files"]["delivered"].as_u64().unwrap_or(0) as usize;
        audit["streams"].as_array().unwrap().iter().map(delivered).sum()
    }

    /// Starts the process, kills it after a random number of requests and some milliseconds, and looks at what is left.
    fn kill(&mut self, random: &Random, tally: &mut Tally) {
        let requests = |site: &Self| site.server.simulator().counts().values().sum::<u64>();
        // Squared, so that kills soon after the start are as likely as others.
        let part = random.up_to(Duration::from_secs(1)).as_secs_f64();
        let goal = requests(self) + (part * part * 120.0) as u64;
        let mut process = Process::run(BINARY, &self.file());
        // A process that has read everything makes no more requests: it is killed in its sleep.
        let quiet = std::time::Instant::now() + MINUTE / 4;
        until(MINUTE, || requests(self) >= goal || std::time::Instant::now() >= quiet || !process.is_running());
        std::thread::sleep(random.up_to(Duration::from_millis(100)));
        assert!(process.is_running(), "{}", process.kill());
        let log = process.kill();
        assert!(!log.contains("stopped; everything"), "{log}");

        let delivered = self.delivered();
        let torn: usize = delivered.iter().map(|delivered| delivered.unreadable.len()).sum();
        let streams = delivered.iter().map(streams).sum::<usize>();
        assert!(torn <= streams + 2, "a kill tears at most the last line of a file: {torn} in {streams} files");
        let lines = delivered.iter().map(Delivered::total).sum::<usize>();
        let in_flight = lines.checked_sub(self.stored() + self.caught).expect("what is stored lies in the files");
        self.caught += in_flight;
        tally.kills += 1;
        tally.in_the_middle += u64::from(self.compare(&delivered).iter().any(|found| found.missing > 0));
        tally.in_flight.0 += u64::from(in_flight > 0);
        tally.in_flight.1 += in_flight;
    }

    /// Reads to the end, stops in good order, and compares.
    fn finish(self, tally: &mut Tally) {
        let process = Process::run(BINARY, &self.file());
        assert!(until(2 * MINUTE, || self.missing() == 0), "{:?}", self.compare(&self.delivered()));
        process.signal("TERM");
        let (status, log) = process.wait(MINUTE);
        assert_eq!(status.code(), Some(0), "{log}");
        let delivered = self.delivered();
        for found in self.compare(&delivered) {
            assert!(found.is_complete(), "{found}");
        }
        let lines = delivered.iter().map(Delivered::total).sum::<usize>();
        let repeated = delivered.iter().map(Delivered::repeated_ids).sum::<usize>();
        assert!(repeated <= self.caught, "{repeated} came again, and {} were in flight", self.caught);
        assert_eq!(self.stored(), lines - repeated, "the ledger has each record once");
        for tenant in &self.tenants {
            assert!(dead_letters(&self.folder.path().join("state"), &tenant.name).is_empty());
        }
        tally.records += lines - repeated;
        tally.repeated += repeated;
    }
}

fn streams(delivered: &Delivered) -> usize {
    delivered.events.values().flatten().map(|event| event.stream.as_str()).collect::<BTreeSet<_>>().len()
}
