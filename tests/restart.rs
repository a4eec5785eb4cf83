//! A host that is stopped at any moment and started again misses nothing.

use std::path::Path;
use std::time::Duration;

use mimecast_simulator as sim;
use tributary_host::Running;
use tributary_tests::delivered::{Comparison, Delivered};
use tributary_tests::process::{Process, command, output, until};
use tributary_tests::world::{World, configuration, quota, serve};

const HOUR: u64 = 3_600_000;
const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
const MINUTE: Duration = Duration::from_secs(60);

/// Killed in the process at many moments, of which some lie between the sink and the store.
#[tokio::test(start_paused = true)]
async fn killed_hosts_lose_nothing() {
    let mut caught = 0;
    for (tenant, data) in [
        (sim::Tenant::v2("acme", 3_000), sim::Endpoint::Storage),
        (sim::Tenant::v1("initech", 2_000), sim::Endpoint::SiemLogs),
    ] {
        let world = World::of(tenant, 24);
        // Else all is read before the first millisecond is over.
        world.inject(sim::Fault::Slow { at: data, delay_ms: 60 }, sim::When::Always);
        let begin = world.now();
        let mut kills = Vec::new();
        for milliseconds in [0, 30, 70, 130, 200, 300, 400, 600, 900] {
            let running = world.start().await;
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            let on_the_way = until_in_flight(&running).await;
            running.kill().await;
            kills.push((world.delivered().total(), on_the_way));
        }
        let running = world.start().await;
        running.caught_up().await;
        assert!(running.stop().await);
        let found = world.compare(begin);
        assert!(found.is_complete(), "{found}; at the kills {kills:?}");
        let in_flight: u64 = kills.iter().map(|(_, in_flight)| in_flight).sum();
        caught += in_flight;
        let repeated = world.delivered().repeated_ids() as u64;
        assert!(repeated <= in_flight, "{repeated} came again; at the kills {kills:?}");
        let total = found.total();
        let between = kills.iter().filter(|(amount, _)| *amount > 0 && *amount < total).count();
        assert!(between >= 4, "the kills were not in the middle: {kills:?} of {total}");
    }
    assert!(caught > 0, "no kill caught anything between the sink and the store");
}

/// Waits until something is between pull and store; gives up after a while. Returns how many events that are.
async fn until_in_flight(running: &Running) -> u64 {
    let in_flight = || running.status().iter().map(|status| status.read.accepted - status.stored.accepted).sum();
    // Two slow answers take no longer than this.
    for _ in 0..130 {
        // Time stands still while blocking work goes on. To sleep now would be to wake when it is done.
        // On a machine with much else to do, one step of the guest may take longer than that.
        let (begin, mut steps) = (std::time::Instant::now(), 0);
        while steps < 1_000 || begin.elapsed() < Duration::from_millis(8) {
            tokio::task::yield_now().await;
            if in_flight() > 0 {
                return in_flight();
            }
            steps += 1;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    0
}

/// A server for one tenant, and the configuration by which the command reads it, slowly enough to be hit in between.
struct Site {
    server: sim::Server,
    folder: tempfile::TempDir,
    tenant: sim::Tenant,
    begin: u64,
}

impl Site {
    fn new(tenant: sim::Tenant) -> Self {
        let clock = sim::Clock::real();
        let begin = clock.now();
        let settings = sim::Settings {
            backlog_ms: 24 * HOUR,
            tenants: vec![tenant.clone()],
            members_per_archive: 3,
            ..sim::Settings::default()
        };
        let server = serve(clock, settings);
        let site = Self { server, folder: tempfile::tempdir().unwrap(), tenant, begin };
        site.configure("tributary.toml", "");
        site
    }

    /// Writes a configuration; `folder` is where state and events lie below this one's.
    fn configure(&self, name: &str, folder: &str) -> std::path::PathBuf {
        let file = self.folder.path().join(name);
        let below = if folder.is_empty() { self.folder.path().to_owned() } else { self.folder.path().join(folder) };
        let tenants = [self.tenant.clone()];
        std::fs::write(&file, configuration(&below, &self.server.api_url, &tenants, quota(&self.tenant), "")).unwrap();
        file
    }

    fn run(&self) -> Process {
        Process::run(BINARY, &self.folder.path().join("tributary.toml"))
    }

    fn delivered(&self, folder: &Path) -> Delivered {
        Delivered::read(&folder.join("events"), &self.tenant.name)
    }

    fn compare(&self) -> Comparison {
        let delivered = self.delivered(self.folder.path());
        delivered.compare(&self.server.simulator(), &self.tenant.name, self.begin, self.server.now())
    }

    fn missing(&self) -> usize {
        self.compare().missing
    }

    fn slow(&self, at: sim::Endpoint, delay_ms: u64) {
        let fault = sim::Fault::Slow { at, delay_ms };
        self.server.simulator().inject(&self.tenant.name, fault, sim::When::Always).unwrap();
    }
}

#[test]
fn a_process_that_is_killed_again_and_again_misses_nothing() {
    for (tenant, data) in [
        (sim::Tenant::v2("acme", 3_000), sim::Endpoint::Storage),
        (sim::Tenant::v1("initech", 3_000), sim::Endpoint::SiemLogs),
    ] {
        let site = Site::new(tenant);
        site.slow(data, 80);
        let issued = site.missing();
        assert!(issued > 400);
        let mut kills = 0;
        for part in 1..=4 {
            let mut process = site.run();
            let goal = issued - issued * part / 6;
            assert!(until(MINUTE, || site.missing() <= goal || !process.is_running()), "{}", site.compare());
            assert!(process.is_running(), "{}", process.kill());
            let log = process.kill();
            assert!(!log.contains("stopped; everything"), "{log}");
            kills += usize::from(site.missing() > 0);
        }
        assert!(kills >= 3, "only {kills} kills were in the middle");
        let torn = site.delivered(site.folder.path()).unreadable.len();
        assert!(torn <= 44, "a kill tears at most the last line of a file");
        let process = site.run();
        assert!(until(MINUTE, || site.missing() == 0), "{}", site.compare());
        process.signal("TERM");
        let (status, log) = process.wait(MINUTE);
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("stopped; everything that was read is delivered and stored"), "{log}");
        let found = site.compare();
        assert!(found.is_complete(), "{found}");
        // What a kill caught between the sink and the store: at most what is in flight, and a small part of it here.
        let repeated = site.delivered(site.folder.path()).repeated_ids();
        assert!(repeated * 4 < issued * kills, "{repeated} of {issued} came again after {kills} kills");
    }
}

#[test]
fn a_signal_drains_and_a_second_one_does_not_wait() {
    let site = Site::new(sim::Tenant::v2("acme", 2_000));
    let process = site.run();
    assert!(until(MINUTE, || site.missing() == 0), "{}", site.compare());
    process.signal("INT");
    let (status, log) = process.wait(MINUTE);
    assert_eq!(status.code(), Some(0), "{log}");
    let files = tributary_tests::delivered::files(&site.folder.path().join("events"));
    assert!(!files.iter().any(|file| file.extension().is_some_and(|end| end == "part")), "all are finished: {files:?}");

    // Now a download hangs: to drain means to wait for it.
    let site = Site::new(sim::Tenant::v2("globex", 2_000));
    site.slow(sim::Endpoint::Storage, 20_000);
    let mut process = site.run();
    let asked = || site.server.simulator().count(sim::Endpoint::Storage) >= 3;
    assert!(until(MINUTE, asked));
    process.signal("TERM");
    std::thread::sleep(Duration::from_millis(400));
    assert!(process.is_running(), "it did not wait for what was under way");
    process.signal("TERM");
    let (status, log) = process.wait(Duration::from_secs(5));
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopped at once; what was not acknowledged is read again"), "{log}");
}

#[test]
fn a_data_folder_is_of_one_process() {
    let site = Site::new(sim::Tenant::v2("acme", 1_000));
    let mut first = site.run();
    assert!(until(MINUTE, || site.missing() == 0), "{}", site.compare());
    let second = site.configure("second.toml", "");
    // A second process would need a token of its own; the first goes on polling with the one it has.
    let logins = |site: &Site| {
        site.server.simulator().log().filter(|entry| entry.endpoint == Some(sim::Endpoint::Token)).count()
    };
    assert_eq!(logins(&site), 1);
    let refused = output(&mut command(BINARY, &["--config", second.to_str().unwrap(), "run"]));
    assert_eq!(refused.code, Some(75), "{refused:?}");
    let state = site.folder.path().join("state").display().to_string();
    for word in [&*state, "is in use by another tributary, process", "set data_dir to another folder"] {
        assert!(refused.stderr.contains(word), "{word:?} is not in {}", refused.stderr);
    }
    assert_eq!(logins(&site), 1, "only the first process may have asked");
    // The lawful neighbour.
    let other = site.configure("other.toml", "elsewhere");
    let mut neighbour = Process::run(BINARY, &other);
    let elsewhere = site.folder.path().join("elsewhere");
    let total = site.compare().total();
    assert!(until(MINUTE, || site.delivered(&elsewhere).total() >= total || !neighbour.is_running()));
    assert!(neighbour.is_running() && first.is_running());
    assert_eq!(logins(&site), 2);
    // And the folder is free again when its process is gone.
    first.signal("TERM");
    assert_eq!(first.wait(MINUTE).0.code(), Some(0));
    let mut third = Process::run(BINARY, &second);
    assert!(until(MINUTE, || logins(&site) == 3 || !third.is_running()));
    assert!(third.is_running(), "{}", third.kill());
}
