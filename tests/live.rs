//! The verbs that ask a running host through its local socket.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use mimecast_simulator as sim;
use serde_json::Value;
use tributary_tests::delivered::Delivered;
use tributary_tests::process::{Output, Process, command, output, until};
use tributary_tests::world::{QUOTA, configuration, serve};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
const MINUTE: Duration = Duration::from_secs(60);

/// A vendor, and a configuration for a host.
struct Site {
    server: sim::Server,
    folder: tempfile::TempDir,
    file: PathBuf,
}

impl Site {
    fn new() -> Self {
        let clock = sim::Clock::real();
        let tenant = sim::Tenant::v2("acme", 4_000);
        let settings =
            sim::Settings { backlog_ms: 6 * 3_600_000, tenants: vec![tenant.clone()], ..sim::Settings::default() };
        let server = serve(clock, settings);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tributary.toml");
        let more = format!("{QUOTA}\ncollect = [\"siem/receipt\", \"audit\"]");
        fs::write(&file, configuration(folder.path(), &server.api_url, &[tenant], &more, "")).unwrap();
        Self { server, folder, file }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("state/socket")
    }

    fn call(&self, line: &str) -> Output {
        let arguments: Vec<&str> = line.split(' ').chain(["-c", self.file.to_str().unwrap()]).collect();
        output(&mut command(BINARY, &arguments))
    }

    /// Calls it and expects `code`, with each of `words` in what it says.
    #[track_caller]
    fn says(&self, line: &str, code: i32, words: &[&str]) -> Output {
        self.call(line).expect(code, words)
    }

    #[track_caller]
    fn json(&self, line: &str) -> Value {
        self.says(line, 0, &[]).json()
    }

    fn is_settled(&self) -> bool {
        let shown: Value = serde_json::from_str(&self.call("status --json").stdout).unwrap_or_default();
        let settled = |stream: &Value| stream["caught_up"] == true && stream["in_flight"] == 0;
        shown["sources"][0]["streams"].as_array().is_some_and(|streams| streams.iter().all(settled))
    }

    /// A host that has read everything that there is.
    fn started(&self) -> Process {
        let process = Process::run(BINARY, &self.file);
        assert!(
            until(MINUTE, || self.socket().exists() && self.is_settled()),
            "{:?} {}",
            self.call("status --json"),
            process.kill()
        );
        process
    }

    /// Sends bytes to the socket, and gives what it answers until it closes.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(MINUTE)).unwrap();
        // It may refuse before it has read everything.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

// A poll may have moved a position meanwhile, and time goes on: the rest must be the same with and without a host.

/// Source, stream, records and seen ids of `state show`.
fn columns(text: &str) -> Vec<Vec<&str>> {
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().take(4).collect()).collect();
    assert_eq!(rows.len(), 3, "{text}");
    rows
}

/// The rows of `state show --json`, by source and stream.
fn rows_of(text: &str) -> BTreeMap<(String, String), Value> {
    let rows: Vec<Value> = serde_json::from_str(text).unwrap();
    let rows = rows.into_iter().map(|mut row| {
        let key = (row["source"].as_str().unwrap().to_owned(), row["stream"].as_str().unwrap().to_owned());
        assert!(row["position"].is_string() && row["ledger"]["records"].as_u64() > Some(0), "{row}");
        row["position"].take();
        row["stored"].take();
        (key, row)
    });
    let rows: BTreeMap<_, _> = rows.collect();
    assert_eq!(rows.len(), 2, "{text}");
    rows
}

/// The ledgers of an export and the ids that were seen, by source and stream.
fn exported(text: &str) -> BTreeMap<(String, String), (Value, BTreeSet<String>)> {
    let mut found: BTreeMap<_, (Value, BTreeSet<String>)> = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let of = |row: &Value| (row["source"].as_str().unwrap().to_owned(), row["stream"].as_str().unwrap().to_owned());
        if let Some(row) = line.get("stream") {
            let mut ledger = row["ledger"].clone();
            ledger["updated_ms"].take();
            found.entry(of(row)).or_default().0 = ledger;
        } else if let Some(row) = line.get("seen") {
            let ids = row["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned());
            found.entry(of(row)).or_default().1.extend(ids);
        }
    }
    assert_eq!(found.values().filter(|(_, seen)| !seen.is_empty()).count(), 2, "{text}");
    found
}

#[test]
fn what_reads_asks_the_running_host_and_prints_the_same_as_without() {
    let site = Site::new();
    site.says("status", 69, &["no host runs", "tributary run"]);
    site.says("restart acme", 69, &["no host runs"]);
    let process = site.started();
    assert_eq!(fs::metadata(site.socket()).unwrap().permissions().mode() & 0o777, 0o600);
    let shown = site.says("status", 0, &["STATE", "siem/receipt", "collecting", "audit"]);
    let rows: Vec<Vec<&str>> = shown.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((rows.len(), &rows[1][..5]), (5, &["acme", "acme", "audit", "collecting", "0s"][..]), "{shown:?}");
    assert!(shown.stdout.ends_with("\n\n1 source, 2 streams: 2 collecting. Nothing is in trouble\n"), "{shown:?}");
    assert_eq!(site.says("status a*e --tenant acme", 0, &["audit"]).stdout.lines().count(), 5);
    assert_eq!(site.says("status --trouble", 0, &["Nothing is in trouble"]).stdout.lines().count(), 2);
    let events: usize = rows[1..3].iter().map(|row| row[5].parse::<usize>().unwrap()).sum();
    assert_eq!(events, Delivered::read(&site.folder.path().join("events"), "acme").total());
    let json = site.json("status acme --json");
    assert_eq!(json["sources"][0]["streams"][1]["stored"]["accepted"].to_string(), rows[2][5]);
    site.says("status nobody", 64, &["nobody", "to see all"]);
    site.says("status --tenant nobody", 64, &["nobody", "to see all"]);

    let verbs = ["audit --gaps", "audit acme --json", "state show", "state show --json acme", "state export"];
    let live: Vec<String> = verbs.iter().map(|verb| site.says(verb, 0, &[]).stdout).collect();
    let export = site.folder.path().join("export");
    site.says(&format!("state export -o {}", export.display()), 0, &[]);
    assert_eq!(fs::read_to_string(&export).unwrap(), live[4]);
    site.says("audit nobody", 64, &["nobody"]);
    site.says("state show nobody", 64, &["nobody"]);
    // What changes it does not go on beside a host.
    let import = format!("state import {}", export.display());
    for verb in ["state move acme other", import.as_str()] {
        site.says(verb, 75, &["in use by another tributary, process", "Stop it"]);
    }

    process.signal("TERM");
    let (status, log) = process.wait(MINUTE);
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!site.socket().exists(), "{log}");
    for (verb, live) in verbs.iter().zip(live) {
        let said = site.says(verb, 0, &[]).stdout;
        match *verb {
            "state show" => assert_eq!(columns(&said), columns(&live)),
            "state show --json acme" => assert_eq!(rows_of(&said), rows_of(&live)),
            "state export" => assert_eq!(exported(&said), exported(&live)),
            _ => assert_eq!(said, live, "{verb}"),
        }
    }
}

#[test]
fn a_key_that_is_refused_is_told_once_and_not_for_each_stream() {
    let site = Site::new();
    let fault = sim::Fault::InvalidClientIdentifier { at: sim::Endpoint::Token };
    site.server.simulator().inject("acme", fault, sim::When::Always).unwrap();
    let process = Process::run(BINARY, &site.file);
    let streams = || -> Vec<Value> {
        let shown: Value = serde_json::from_str(&site.call("status --json --trouble").stdout).unwrap_or_default();
        shown["sources"][0]["streams"].as_array().cloned().unwrap_or_default()
    };
    let in_error = || streams().iter().filter(|stream| stream["state"] == "error").count() == 2;
    assert!(until(MINUTE, || site.socket().exists() && in_error()), "{:?} {}", site.call("status"), process.kill());
    let streams = streams();
    let field = |name: &str| streams[0][name].as_str().unwrap().to_owned();
    let (fault, code, hint) = (field("fault"), field("fault_code"), field("fault_hint"));
    assert!(fault.contains(&format!("({code})")) && fault.contains(&hint), "{fault:?} {code:?} {hint:?}");
    for line in ["status", "status --trouble", "status acme"] {
        let shown = site.says(line, 0, &["all 2 streams", "next try", "In trouble: 1 source, 2 streams"]).stdout;
        assert_eq!(shown.matches(&hint).count(), 1, "{line}: {shown}");
    }
    process.signal("TERM");
    let (_, log) = process.wait(MINUTE);
    let of_it = |line: &&str| line.contains("source=acme") && (line.contains("ERROR") || line.contains("WARN"));
    let told: Vec<&str> = log.lines().filter(of_it).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(["ERROR", "retry_in", &code, &hint].iter().all(|word| told[0].contains(word)), "{log}");
}

#[test]
fn a_killed_host_leaves_a_socket_that_hinders_nobody_and_sources_are_restarted() {
    let site = Site::new();
    site.started().kill();
    assert!(site.socket().exists());
    site.says("status", 69, &["no host runs"]);
    site.says("audit", 0, &["Everything balances"]);
    let process = site.started();
    site.says("status", 0, &["collecting"]);
    // Restarted, it reads on and delivers nothing twice.
    let polls = || site.json("status --json")["sources"][0]["streams"][0]["polls"].as_u64().unwrap();
    let before = polls();
    site.says("restart acme", 0, &["begin anew"]);
    assert!(until(MINUTE, || polls() > before && site.is_settled()));
    site.says("restart nobody", 64, &["nobody", "tributary status"]);
    site.says("restart a/b", 64, &["is no id"]);
    assert_eq!(Delivered::read(&site.folder.path().join("events"), "acme").repeated_ids(), 0);
    drop(process);
}

#[test]
fn requests_that_are_wrong_large_or_slow_are_refused_and_others_go_on() {
    let site = Site::new();
    let process = site.started();
    let get = |path: &str| site.raw(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes());
    let good = get("/v1/sources");
    assert!(good.starts_with("HTTP/1.1 200 ") && good.contains("\"acme\""), "{good}");
    assert!(!good.contains("secret") && !get("/v1/state").contains("secret"));
    assert!(get("/v2/sources").starts_with("HTTP/1.1 404 "));
    let wrong = site.raw(b"DELETE /v1/sources HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(wrong.starts_with("HTTP/1.1 405 ") && wrong.contains("\"message\""), "{wrong}");
    let body = |length: usize| {
        let head = format!("GET /v1/sources HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
        site.raw(&[head.as_bytes(), &vec![b' '; length]].concat())
    };
    assert!(body(60_000).starts_with("HTTP/1.1 200 "));
    assert!(body(70_000).starts_with("HTTP/1.1 413 "));
    let long = format!("GET /v1/sources HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    assert!(!site.raw(long.as_bytes()).starts_with("HTTP/1.1 200 "));
    // Half a request is left after ten seconds, and meanwhile nobody waits.
    let slow: Vec<UnixStream> = (0..8)
        .map(|_| {
            let mut stream = UnixStream::connect(site.socket()).unwrap();
            stream.write_all(b"GET /v1/sources HTTP/1.1\r\nhost: ").unwrap();
            stream.set_read_timeout(Some(MINUTE)).unwrap();
            stream
        })
        .collect();
    site.says("status", 0, &["collecting"]);
    for mut stream in slow {
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        assert!(read.is_ok(), "it is not closed: {read:?}");
        assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200 "));
    }
    site.says("status", 0, &["collecting"]);
    drop(process);
}

/// Linux knows no longer paths of sockets.
#[test]
fn without_a_socket_the_host_runs_all_the_same() {
    let site = Site::new();
    let deep = site.folder.path().join("x".repeat(120));
    let text = fs::read_to_string(&site.file).unwrap();
    let state = site.folder.path().join("state");
    fs::write(&site.file, text.replace(state.to_str().unwrap(), deep.to_str().unwrap())).unwrap();
    let process = Process::run(BINARY, &site.file);
    let begin = site.server.now();
    let all = || {
        let delivered = Delivered::read(&site.folder.path().join("events"), "acme");
        let compared = delivered.compare(&site.server.simulator(), "acme", begin, site.server.now());
        compared.streams.get("audit").is_some_and(|events| *events > 0)
    };
    assert!(until(MINUTE, all));
    site.says("status", 69, &["in use by another tributary", "data_dir too long"]);
    site.says("audit", 75, &["in use by another tributary"]);
    process.signal("TERM");
    let (status, log) = process.wait(MINUTE);
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("there is no local socket") && log.contains("Choose a shorter data_dir"), "{log}");
}

/// How often each event of a stream lies there.
fn times(site: &Site, stream: &str) -> Vec<usize> {
    let mut ids = BTreeMap::new();
    let delivered = Delivered::read(&site.folder.path().join("events"), "acme");
    for event in delivered.events.into_values().flatten().filter(|event| event.stream == stream) {
        *ids.entry(event.id).or_insert(0) += 1;
    }
    ids.into_values().collect()
}

#[test]
fn a_span_is_replayed_by_the_running_host_or_alone() {
    let site = Site::new();
    let process = site.started();
    let total = times(&site, "siem/receipt").len();
    assert!(total > 5, "{total}");
    let wrong = |words: &str| {
        for (line, code, words) in [
            ("replay --source acme --stream siem/receipt", 64, "--from"),
            ("replay --source acme --stream siem/receipt --from yesterday", 64, "7d, 36h"),
            ("replay --source acme --stream siem/receipt --from 3h --to 4h", 64, "before --to"),
            ("replay --source acme --stream dlp --from 3h", 64, "It selects"),
            ("replay --source nobody --stream dlp --from 3h", 64, "Choose from acme"),
            ("replay --source acme --stream audit --from 3d", 64, "say --all"),
            ("replay --source acme --stream audit --resume", 64, "Name a span"),
        ] {
            let said = site.says(line, code, &[words]);
            assert!(said.stdout.is_empty(), "{said:?}");
        }
        site.says("replay --source acme --stream siem/receipt --from 7h", 0, &[words, "had been delivered before"]);
    };
    wrong("0 of them delivered");
    assert_eq!(times(&site, "siem/receipt"), vec![1; total]);
    let said = site.says("replay --source acme --stream siem/receipt --from 7h --all --json", 0, &[]);
    let end: Value = serde_json::from_str(said.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&end["ended"], end["stored"]["accepted"].as_u64()), (&"done".into(), Some(total as u64)));
    assert_eq!(times(&site, "siem/receipt"), vec![2; total]);
    site.says("audit", 0, &["siem/receipt@replay", "Everything balances"]);
    process.signal("TERM");
    assert!(process.wait(MINUTE).0.success());

    std::fs::remove_dir_all(site.folder.path().join("events")).unwrap();
    wrong("0 of them delivered");
    site.says("replay --source acme --stream siem/receipt --from 7h --all", 0, &["events were read"]);
    assert_eq!(times(&site, "siem/receipt"), vec![1; total]);
    let audit = site.json("audit --json");
    let row = audit["streams"].as_array().unwrap().iter().find(|row| row["stream"] == "siem/receipt@replay").unwrap();
    assert_eq!((&row["accepted"], &audit["balanced"]), (&Value::from(2 * total), &Value::Bool(true)));
}

/// A signal stops it where it is, alone or in the host, and `--resume` brings the rest.
#[test]
fn a_replay_that_is_stopped_can_be_resumed() {
    let site = Site::new();
    let process = site.started();
    let total = times(&site, "siem/receipt").len();
    let slow = sim::Fault::Slow { at: sim::Endpoint::Storage, delay_ms: 4_000 };
    let interrupt = || {
        site.server.simulator().inject("acme", slow.clone(), sim::When::Always).unwrap();
        let line = "replay --source acme --stream siem/receipt --from 7h --all";
        let arguments: Vec<&str> = line.split(' ').chain(["-c", site.file.to_str().unwrap()]).collect();
        let downloads = || site.server.simulator().count(sim::Endpoint::Storage);
        let before = downloads();
        let mut child = command(BINARY, &arguments).stderr(std::process::Stdio::null()).spawn().unwrap();
        assert!(until(MINUTE, || downloads() > before), "{:?}", child.kill());
        let pid = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = child.wait().unwrap();
        site.server.simulator().clear_faults("acme").unwrap();
        status.code()
    };
    assert_eq!(interrupt(), None, "a client has nothing to finish");
    let resume = || site.call("replay --source acme --stream siem/receipt --resume");
    // The host finishes the pull that is under way.
    let mut said = resume();
    assert!(until(MINUTE, || {
        if said.code == Some(75) {
            said = resume();
        }
        said.code != Some(75)
    }));
    // It may have come to its end with that pull.
    assert!(said.code == Some(0) || said.stderr.contains("Name a span"), "{said:?}");
    assert_eq!(times(&site, "siem/receipt"), vec![2; total]);
    process.signal("TERM");
    assert!(process.wait(MINUTE).0.success());
    let code = interrupt();
    if code == Some(75) {
        let said = resume();
        assert!(said.code == Some(0) && said.stdout.contains("resumed"), "{said:?}");
    } else {
        assert_eq!(code, Some(0));
    }
    assert_eq!(times(&site, "siem/receipt"), vec![3; total]);
    site.says("audit", 0, &["Everything balances"]);
}

#[test]
fn a_good_check_resumes_what_the_running_host_had_given_up() {
    let site = Site::new();
    let forbidden = sim::Fault::Forbidden { at: sim::Endpoint::Audit, kind: None };
    site.server.simulator().inject("acme", forbidden, sim::When::Always).unwrap();
    let process = Process::run(BINARY, &site.file);
    let state = |stream: usize| {
        let shown: Value = serde_json::from_str(&site.call("status --json").stdout).unwrap_or_default();
        shown["sources"][0]["streams"][stream]["state"].as_str().unwrap_or_default().to_owned()
    };
    assert!(until(MINUTE, || state(0) == "not licensed" && state(1) == "collecting"));
    // A check that is not good changes nothing.
    let said = site.says("check", 77, &["audit"]);
    assert!(!said.text().contains("tries them again"), "{said:?}");
    assert_eq!(state(0), "not licensed");
    site.server.simulator().clear_faults("acme").unwrap();
    site.says("check", 0, &["The running host had given up streams of acme, and tries them again now"]);
    assert!(until(MINUTE, || state(0) == "collecting"));
    // Nothing is wrong now, so nobody is disturbed.
    let said = site.says("check", 0, &[]);
    assert!(!said.text().contains("tries them again"), "{said:?}");
    process.signal("TERM");
    assert_eq!(process.wait(MINUTE).0.code(), Some(0));
}
