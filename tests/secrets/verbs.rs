//! Which verbs ask for secrets: those that collect, or judge. What only looks after the state needs none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mimecast_simulator as sim;
use tributary_tests::process::{Output, Process, command, output, until};
use tributary_tests::world::{configuration, quota, serve};

use crate::BINARY;

/// A configuration whose secret is said by a program, which leaves a trace whenever it is asked.
struct Site {
    server: sim::Server,
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let tenant = sim::Tenant::v2("acme", 600);
        let settings =
            sim::Settings { backlog_ms: 6 * 3_600_000, tenants: vec![tenant.clone()], ..sim::Settings::default() };
        let site = Self { server: serve(sim::Clock::real(), settings), folder: tempfile::tempdir().unwrap() };
        let sim::Credentials::V2 { client_secret, .. } = &tenant.credentials else { unreachable!() };
        site.program(&format!("echo '{{\"key\":{{\"value\":\"{client_secret}\",\"error\":null}}}}'"));
        let path = site.folder.path();
        let keys = format!("{}\ncollect = [\"audit\"]", quota(&tenant));
        let text = configuration(path, &site.server.api_url, std::slice::from_ref(&tenant), &keys, "");
        let text = text.replace(&format!("\"{client_secret}\""), "\"SECRET[program.key]\"");
        let secret = format!("[secret.program]\ntype = \"exec\"\ncommand = [\"{}/program\"]\n", path.display());
        fs::write(site.file(), text + &secret).unwrap();
        site
    }

    /// What the program does beside leaving its trace.
    fn program(&self, answer: &str) {
        let (path, trace) = (self.folder.path().join("program"), self.trace());
        fs::write(&path, format!("#!/bin/sh\ncat >/dev/null\necho asked >>'{}'\n{answer}\n", trace.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("tributary.toml")
    }

    fn trace(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// How often the program was asked since this was last called.
    fn asked(&self) -> usize {
        let asked = fs::read_to_string(self.trace()).unwrap_or_default().lines().count();
        let _ = fs::remove_file(self.trace());
        asked
    }

    fn call(&self, line: &str) -> Output {
        let file = self.file();
        let arguments: Vec<&str> = line.split(' ').chain(["--config", file.to_str().unwrap()]).collect();
        output(&mut command(BINARY, &arguments))
    }

    fn holds_state(&self) -> bool {
        Path::new(&self.folder.path().join("state/state.redb")).exists()
    }
}

#[test]
fn what_looks_after_the_state_asks_for_no_secret_and_does_not_miss_one() {
    let site = Site::new();
    // Lawful neighbours: these do ask.
    site.call("validate").expect(0, &["The configuration can be run"]);
    assert_eq!(site.asked(), 1);
    let process = Process::run(BINARY, &site.file());
    let delivered = || site.call("audit").stdout.contains("audit");
    assert!(until(Duration::from_secs(60), || site.holds_state() && delivered()), "{}", process.log());
    assert_eq!(site.asked(), 1, "by the host alone");

    // Of the running host.
    for (line, words) in [
        ("status", "acme"),
        ("audit", "acme"),
        ("state show", "acme"),
        ("restart acme", "begin anew"),
        ("replay --source acme --stream audit --from 1h --json", "{"),
    ] {
        site.call(line).expect(0, &[words]);
        assert_eq!(site.asked(), 0, "{line}");
    }
    process.signal("TERM");
    assert_eq!(process.wait(Duration::from_secs(60)).0.code(), Some(0));
    assert_eq!(site.asked(), 0);

    // Of none, with a program that has nothing to say.
    site.program("exit 1");
    for (line, code, words) in [
        ("audit", 0, "acme"),
        ("state show", 0, "acme"),
        ("state check", 0, "sound"),
        ("state export", 0, "acme"),
        ("dead-letters list", 0, ""),
        ("status", 69, "no host runs"),
        ("restart acme", 69, "no host runs"),
    ] {
        site.call(line).expect(code, &[words]);
        assert_eq!(site.asked(), 0, "{line}");
    }
    // And those that need the secret say so.
    for line in ["validate", "run", "replay --source acme --stream audit --from 1h"] {
        site.call(line).expect(78, &["sources.acme.client_secret", "program"]);
        assert_eq!(site.asked(), 1, "{line}");
    }
}
