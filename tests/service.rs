//! The process under a service manager, and the unit that makes it one.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tributary_host::config::{self, Format};
use tributary_tests::process::{Process, command};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
const LONG: Duration = Duration::from_secs(60);

/// What stands for systemd: the socket that `sd_notify(3)` writes to.
struct Manager {
    folder: tempfile::TempDir,
    socket: UnixDatagram,
    told: VecDeque<String>,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let manager = Self { folder, socket, told: VecDeque::new() };
        manager.write("file");
        manager
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("tributary.toml")
    }

    /// A configuration that calls nobody: of a source in a region that is not reachable from here.
    fn write(&self, sink: &str) {
        let folder = self.folder.path().display();
        let text = format!(
            "data_dir = \"{folder}/state\"\n\n[sources.acme]\ntype = \"mimecast\"\nclient_id = \"a\"\nclient_secret = \
             \"b\"\nbase_url = \"https://127.0.0.1:9\"\n\n[sinks.lake]\ntype = \"{sink}\"\ninputs = [\"acme\"]\npath = \
             \"{folder}/events\"\n"
        );
        std::fs::create_dir_all(self.folder.path().join("state")).unwrap();
        std::fs::write(self.file(), text).unwrap();
    }

    fn start(&self, watchdog: Option<Duration>) -> Process {
        let file = self.file();
        let mut command = command(BINARY, &["--config", file.to_str().unwrap(), "run"]);
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        command.env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
        if let Some(watchdog) = watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        Process::start(command)
    }

    /// The next line that is told; none within `limit`.
    fn next(&mut self, limit: Duration) -> Option<String> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(line) = self.told.pop_front() {
                return Some(line);
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            self.socket.set_read_timeout(Some(left)).unwrap();
            let mut piece = [0; 4096];
            if let Ok(length) = self.socket.recv(&mut piece) {
                self.told.extend(String::from_utf8(piece[..length].to_vec()).unwrap().lines().map(str::to_owned));
            }
        }
    }

    /// Passes over everything before `line`, and gives it back.
    #[track_caller]
    fn expect(&mut self, line: &str) -> Vec<String> {
        let mut before = Vec::new();
        while let Some(told) = self.next(LONG) {
            if told == line {
                return before;
            }
            before.push(told);
        }
        panic!("{line} is not told, but {before:?}");
    }
}

#[test]
fn a_service_manager_is_told_of_start_reload_and_stop() {
    let mut manager = Manager::new();
    let process = manager.start(Some(Duration::from_millis(200)));
    assert_eq!(manager.expect("READY=1"), Vec::<String>::new(), "nothing before it runs");
    manager.expect("STATUS=sources: 1");
    manager.expect("WATCHDOG=1");
    manager.expect("WATCHDOG=1");

    process.signal("HUP");
    manager.expect("RELOADING=1");
    let moment = manager.next(LONG).unwrap();
    assert!(moment.strip_prefix("MONOTONIC_USEC=").is_some_and(|now| now.parse::<u64>().is_ok()), "{moment}");
    manager.expect("READY=1");
    manager.expect("STATUS=sources: 1");

    // One that cannot be run: the old one goes on, and its keeper is told so.
    manager.write("no such sink");
    process.signal("HUP");
    manager.expect("RELOADING=1");
    manager.expect("READY=1");
    let status = manager.next(LONG).unwrap();
    assert!(status.contains("cannot be run") && status.contains("old one goes on"), "{status}");
    manager.expect("WATCHDOG=1");

    process.signal("TERM");
    manager.expect("STOPPING=1");
    manager.expect("EXTEND_TIMEOUT_USEC=70000000");
    let (status, log) = process.wait(LONG);
    assert!(status.success(), "{log}");
}

#[test]
fn a_watchdog_that_nobody_asked_for_is_not_fed() {
    let mut manager = Manager::new();
    let process = manager.start(None);
    manager.expect("STATUS=sources: 1");
    process.signal("HUP");
    let before = manager.expect("RELOADING=1");
    assert_eq!(before, Vec::<String>::new());
    process.signal("TERM");
    manager.expect("STOPPING=1");
    assert!(process.wait(LONG).0.success());
}

/// Where `packaging` and the examples are.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// As far as it can be known without a systemd that runs: the unit is only linted.
#[test]
fn the_unit_is_without_fault() {
    let unit = std::fs::read_to_string(root().join("packaging/systemd/tributary.service")).unwrap();
    // One bad file of a customer must not keep a reload from all the others.
    let reload = "ExecReload=/usr/bin/tributary validate --no-environment --warn-on-files";
    for line in
        [reload, "Type=notify", "NoNewPrivileges=yes", "ProtectSystem=strict", "User=tributary", "WatchdogSec=60"]
    {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    let analyze = |unit: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tributary.service");
        // The programs that it names are looked for.
        std::fs::write(&file, unit.replace("/usr/bin/tributary", "/bin/true")).unwrap();
        Command::new("systemd-analyze").arg("verify").arg(file).output()
    };
    let Ok(output) = analyze(&unit) else {
        assert!(std::env::var_os("CI").is_none(), "systemd-analyze is missing: install the package systemd");
        println!("skipped: there is no systemd-analyze");
        return;
    };
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = analyze(&unit.replace("Type=notify", "Type=notified")).unwrap();
    assert!(!output.stderr.is_empty(), "a fault is seen");
}

#[test]
fn the_configuration_of_the_container_is_accepted() {
    let file = root().join("packaging/docker/configuration/tributary.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let secrets = tempfile::tempdir().unwrap();
    let compose = std::fs::read_to_string(root().join("packaging/docker/compose.yaml")).unwrap();
    for mount in ["./configuration:/etc/tributary:ro", "./secrets:/etc/tributary-secrets:ro"] {
        assert!(compose.contains(mount), "{mount}");
    }
    // They are no part of what is built.
    let ignored = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "packaging/docker/secrets"));
    assert!(text.contains("\"/etc/tributary-secrets\""));
    let placed = text.replace("/etc/tributary-secrets", secrets.path().to_str().unwrap());
    config::parse(&placed, Format::Toml, "", &|_| None).expect_err("the secrets are not there");
    for secret in ["acme_client_id", "acme_client_secret"] {
        let file = secrets.path().join(secret);
        std::fs::write(&file, "made-up").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let loaded = config::parse(&placed, Format::Toml, "", &|_| None).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn an_upgrade_leaves_the_folder_of_secrets_as_its_operator_has_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("tributary");
    let script = std::fs::read_to_string(root().join("packaging/debian/postinst")).unwrap();
    // Its user is not here, and nothing outside the folder is touched.
    let script = script.replace("/etc/tributary", place.to_str().unwrap()).replace("-o root -g tributary ", "");
    let script = script.replace("systemd-sysusers tributary.conf", "true");
    let install = || Command::new("sh").args(["-c", &script, "postinst", "configure"]).status().unwrap().success();
    let secrets = place.join("secrets");
    let mode = || std::fs::metadata(&secrets).unwrap().permissions().mode() & 0o777;
    assert!(install());
    assert_eq!(mode(), 0o750);
    std::fs::set_permissions(&secrets, std::fs::Permissions::from_mode(0o500)).unwrap();
    assert!(install());
    assert_eq!(mode(), 0o500);
}
