//! A disk that is full for real: a small file system in memory, the real process, and somebody who makes room.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mimecast_simulator as sim;
use tributary_tests::delivered::{Comparison, Delivered, dead_letters};
use tributary_tests::process::{Process, command, output, until};
use tributary_tests::world::{QUOTA, configuration, serve};

const HOUR: u64 = 3_600_000;
const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
const MINUTE: Duration = Duration::from_secs(60);

/// Set in the process that may mount.
const INSIDE: &str = "TRIBUTARY_TEST_MAY_MOUNT";

fn mount(folder: &Path, mebibytes: u32) -> Command {
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"]).arg(folder);
    command
}

/// Whether this process may mount. If not, and another one may, then that has run the test `name` when this returns.
fn may_mount(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let probe = tempfile::tempdir().unwrap();
    // As root, or as whoever may be root among its own mounts.
    for flags in ["--mount", "--map-root-user --mount"] {
        let inside = |program: &Command| {
            let mut command = Command::new("unshare");
            command.args(flags.split(' ')).arg("--").arg(program.get_program()).args(program.get_args());
            command.env(INSIDE, "1");
            command
        };
        if !inside(&mount(probe.path(), 1)).output().is_ok_and(|output| output.status.success()) {
            continue;
        }
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", name, "--nocapture"]);
        let output = inside(&again).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        println!("{}", String::from_utf8_lossy(&output.stdout));
        return false;
    }
    // Not even in CI it fails: who runs that, and in what container, is not known. It must be seen in the log, though, and
    // what a test prints is hidden while it passes.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: {name}: nobody may mount a file system here, neither root nor by `unshare --map-root-user --mount`; \
         a full disk is not tested"
    );
    false
}

/// One tenant's server, and a host whose state (and perhaps events) lie on a small disk.
struct Site {
    server: sim::Server,
    tenant: sim::Tenant,
    folder: tempfile::TempDir,
    /// Where there is room.
    _elsewhere: tempfile::TempDir,
    begin: u64,
}

impl Site {
    fn new(events_too: bool) -> Self {
        let clock = sim::Clock::real();
        let begin = clock.now();
        let tenant = sim::Tenant::v2("acme", 3_000);
        let settings =
            sim::Settings { backlog_ms: 24 * HOUR, tenants: vec![tenant.clone()], ..sim::Settings::default() };
        let server = serve(clock, settings);
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(mount(folder.path(), 24).status().unwrap().success());
        if !events_too {
            std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("events")).unwrap();
        }
        let tenants = [tenant.clone()];
        let text = configuration(folder.path(), &server.api_url, &tenants, QUOTA, "");
        std::fs::write(folder.path().join("tributary.toml"), text).unwrap();
        let site = Self { server, tenant, folder, _elsewhere: elsewhere, begin };
        site.slow(100);
        site
    }

    /// Each file has a record that cannot be read, and takes its time.
    fn slow(&self, delay_ms: u64) {
        let at = sim::Endpoint::Storage;
        let mut simulator = self.server.simulator();
        simulator.clear_faults(&self.tenant.name).unwrap();
        for fault in [sim::Fault::BadLine { at }, sim::Fault::Slow { at, delay_ms }] {
            simulator.inject(&self.tenant.name, fault, sim::When::Always).unwrap();
        }
    }

    fn run(&self) -> Process {
        Process::run(BINARY, &self.folder.path().join("tributary.toml"))
    }

    fn delivered(&self) -> Delivered {
        Delivered::read(&self.folder.path().join("events"), &self.tenant.name)
    }

    fn compare(&self) -> Comparison {
        let simulator = self.server.simulator();
        self.delivered().compare(&simulator, &self.tenant.name, self.begin, self.server.now())
    }

    /// Takes what room there is, also what is given back meanwhile.
    fn fill(&self) {
        let mut ballast = OpenOptions::new().create(true).append(true).open(self.ballast()).unwrap();
        fill_with(&mut ballast, 64 << 10);
        fill_with(&mut ballast, 1);
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.folder.path().join("ballast")
    }

    fn audit(&self) -> String {
        let file = self.folder.path().join("tributary.toml");
        let said = output(&mut command(BINARY, &["--config", file.to_str().unwrap(), "audit"]));
        assert_eq!(said.code, Some(0), "{}", said.text());
        said.stdout
    }
}

fn fill_with(file: &mut File, bytes: usize) {
    let block = vec![b'x'; bytes];
    loop {
        match file.write(&block) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // The namespace takes it along in any case.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

/// Fills the disk in the middle of a backlog, waits until the process is stuck, then makes room; a process that was killed
/// meanwhile starts on the full disk first.
fn runs_full(events_too: bool, killed: bool) {
    let what = format!("events on it too: {events_too}, killed: {killed}");
    let site = Site::new(events_too);
    let begun = Instant::now();
    let mut process = site.run();
    let some = || site.delivered().total() > 40;
    assert!(until(MINUTE, || some() || !process.is_running()) && process.is_running(), "{what}: {}", process.kill());
    let missing = site.compare().missing;
    assert!(missing > 100, "{what}: it was not in the middle: {missing} missing");
    let words = if events_too { "the sink does not take events; positions stand still" } else { "cannot be" };
    assert!(
        until(MINUTE, || {
            site.fill();
            process.log().contains(words)
        }),
        "{what}: {}",
        process.log()
    );
    // Time enough to try again, and to do harm.
    std::thread::sleep(Duration::from_secs(4));
    site.fill();
    assert!(process.is_running(), "{what}: {}", process.kill());
    let stuck = site.compare();
    assert!(stuck.missing > 0 || !events_too, "{what}: {stuck}");
    let mut log = process.log();
    site.slow(1);
    if killed {
        process.kill();
        process = site.run();
        // It may refuse to begin, or begin and wait; it must not begin anew.
        std::thread::sleep(Duration::from_secs(3));
        let alive = process.is_running();
        std::fs::remove_file(site.ballast()).unwrap();
        if !alive {
            let (status, said) = process.wait(MINUTE);
            assert!(status.code().is_some_and(|code| [73, 74].contains(&code)), "{what}: {status:?} {said}");
            assert!(said.contains("o space") && said.contains("Make room"), "{what}: {said}");
            println!("{what}: on a full disk it does not begin: {}", said.trim());
            process = site.run();
        }
    } else {
        std::fs::remove_file(site.ballast()).unwrap();
    }
    let room = Instant::now();
    assert!(until(MINUTE, || site.compare().missing == 0), "{what}: {} {}", site.compare(), process.log());
    let recovered = room.elapsed();
    process.signal("TERM");
    let (status, rest) = process.wait(MINUTE);
    log += &rest;
    assert_eq!(status.code(), Some(0), "{what}: {log}");
    assert!(log.contains("stopped; everything that was read is delivered and stored"), "{what}: {log}");
    assert!(log.contains("o space") && log.contains("Make room"), "{what}: {log}");
    let found = site.compare();
    let repeated = site.delivered().repeated_ids();
    assert!(found.is_complete(), "{what}: {found}");
    if killed {
        // What was in flight.
        assert!(repeated <= stuck.total(), "{what}: {repeated} of {}", stuck.total());
    } else {
        assert!(found.is_exact() && repeated == 0, "{what}: {found}, {repeated} ids twice");
    }
    let planted = site.server.simulator().malformed(&site.tenant.name);
    let letters = dead_letters(&site.folder.path().join("state"), &site.tenant.name).len();
    assert!(
        planted > 0 && if killed { letters >= planted } else { letters == planted },
        "{what}: {letters} of {planted}"
    );
    let audit = site.audit();
    assert!(audit.contains("siem/receipt"), "{audit}");
    println!(
        "{what}: {} events and {letters} letters, {repeated} twice; the rest came {recovered:?} after there was room; {:?}",
        found.total(),
        begun.elapsed()
    );
}

#[test]
fn a_full_disk_holds_positions_says_so_and_loses_nothing() {
    if may_mount("a_full_disk_holds_positions_says_so_and_loses_nothing") {
        for (events_too, killed) in [(true, false), (false, false), (true, true), (false, true)] {
            runs_full(events_too, killed);
        }
    }
}
