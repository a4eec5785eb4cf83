//! Long work shows how far it is: on a terminal as one line that is rewritten, elsewhere as lines; beside its output.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use mimecast_simulator as sim;
use mimecast_simulator::{Endpoint, Fault, When};
use tributary_host::state::{DeadLetter, DeadLetters, Refused, Store};
use tributary_tests::process::{Output, Process, command, output, until};
use tributary_tests::world::{QUOTA, configuration, serve};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
const MINUTE: Duration = Duration::from_secs(60);

/// A vendor whose files come slowly.
struct Site {
    server: sim::Server,
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let tenant = sim::Tenant::v2("acme", 40_000);
        let settings =
            sim::Settings { backlog_ms: 12 * 3_600_000, tenants: vec![tenant.clone()], ..sim::Settings::default() };
        let (server, folder) = (serve(sim::Clock::real(), settings), tempfile::tempdir().unwrap());
        let more = format!("{QUOTA}\ncollect = [\"siem/receipt\"]");
        let text = configuration(folder.path(), &server.api_url, &[tenant], &more, "");
        fs::write(folder.path().join("tributary.toml"), text).unwrap();
        Self { server, folder }
    }

    fn slowly(&self) {
        let slow = Fault::Slow { at: Endpoint::Storage, delay_ms: 700 };
        self.server.simulator().inject("acme", slow, When::Always).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn line(&self, verb: &str) -> String {
        format!("--config {} {verb}", self.path("tributary.toml").display())
    }

    fn call(&self, verb: &str) -> Output {
        output(&mut command(BINARY, &self.line(verb).split(' ').collect::<Vec<_>>()))
    }

    /// Runs it in a terminal, with its standard output in a file; gives what the terminal was sent, and the file.
    fn in_terminal(&self, verb: &str) -> (String, String) {
        let (shown, out) = (self.path("shown"), self.path("out"));
        let line = format!("{BINARY} {} > {}", self.line(verb), out.display());
        let mut script = Command::new("script");
        script.args(["--quiet", "--flush", "--return", "--command", &line, shown.to_str().unwrap()]);
        let status = script.env("TERM", "xterm").stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        assert!(status.success(), "{}", read(shown));
        (read(shown), read(out))
    }
}

const REPLAY: &str = "replay --source acme --stream siem/receipt --from 6h --all";

#[test]
fn a_replay_without_a_terminal_says_a_line_now_and_then() {
    let site = Site::new();
    site.slowly();
    let said = site.call(REPLAY).expect(0, &["events were read"]);
    assert!(!said.stderr.contains(['\r', '\x1b']), "{said:?}");
    let lines: Vec<&str> = said.stderr.lines().filter(|line| line.contains("events read")).collect();
    assert!(lines.len() >= 2, "{said:?}");
    assert!(lines[0].ends_with("time left unknown"), "nothing to go by: {said:?}");
    assert!(lines[1].contains(" %, ") || lines[1].contains("unknown"), "{said:?}");
    assert!(!said.stdout.contains(" left") && !said.stdout.contains("delivered;"), "{said:?}");
    // As JSON it is data.
    site.server.simulator().clear_faults("acme").unwrap();
    let said = site.call(&format!("{REPLAY} --json --log-level warn")).expect(0, &[]);
    assert!(said.stderr.is_empty() && said.stdout.lines().all(|line| line.starts_with('{')), "{said:?}");
}

#[test]
fn a_replay_of_the_running_host_rewrites_one_line_of_a_terminal() {
    let site = Site::new();
    let process = Process::run(BINARY, &site.path("tributary.toml"));
    let collects = || site.call("status").stdout.contains("collecting");
    assert!(until(MINUTE, collects), "{}", process.log());
    site.slowly();
    // It takes some chunks until there is a speed.
    let (shown, out) = site.in_terminal(&REPLAY.replace("6h", "12h"));
    assert!(out.contains("events were read") && !out.contains(['\r', '\x1b']) && !out.contains(" left"), "{out}");
    // Each drawing goes back to where the one before began.
    let drawings: Vec<&str> = shown.split('\r').filter(|part| part.contains("events read")).collect();
    assert!(drawings.len() > 3 && drawings.iter().all(|drawing| drawing.contains('[')), "{shown:?}");
    assert!(drawings[0].contains("time left unknown"), "nothing to go by: {shown:?}");
    assert!(drawings.iter().any(|drawing| drawing.contains(" %, about ")), "{shown:?}");
    assert!(drawings.iter().all(|drawing| !drawing.contains('\n')), "{shown:?}");
    process.signal("TERM");
    assert_eq!(process.wait(MINUTE).0.code(), Some(0));
}

/// A receiver that takes half a second and more for each request.
fn slow_receiver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || answer_slowly(&stream));
        }
    });
    format!("http://{address}/")
}

fn answer_slowly(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let header = line.to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        io::copy(&mut reader.by_ref().take(length), &mut io::sink()).unwrap();
        thread::sleep(Duration::from_millis(700));
        let mut stream = stream;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}

#[test]
fn a_replay_of_dead_letters_says_how_far_it_is() {
    let site = Site::new();
    let sink = format!("\n[sinks.far]\ntype = \"http\"\ninputs = [\"*\"]\nuri = \"{}\"\n", slow_receiver());
    let text = fs::read_to_string(site.path("tributary.toml")).unwrap();
    fs::write(site.path("tributary.toml"), text + &sink).unwrap();
    let letters = || {
        drop(Store::open(&site.path("state")).unwrap());
        let letter = |event| {
            let (sink, tenant) = ("far".to_owned(), "acme".to_owned());
            let refused = Refused { sink, tenant, event, time: 1, kind: 0, class: 0, severity: 1, alert_key: None };
            let body = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1_000_000));
            DeadLetter::refused(1_000, "acme", "siem/receipt", "too long", refused, body.as_bytes())
        };
        // Four fit into what a sink is given at once.
        let all: Vec<DeadLetter> = (0..16).map(letter).collect();
        DeadLetters::new(&site.path("state"), u64::MAX).append("acme", &all).unwrap();
    };
    letters();
    let said = site.call("dead-letters replay --all").expect(0, &["16 events were delivered"]);
    assert!(said.stderr.contains("4 of 16 events sent; 25 %, time left unknown"), "{said:?}");
    assert!(!said.stderr.contains(['\r', '\x1b']) && !said.stdout.contains("sent"), "{said:?}");

    letters();
    let (shown, out) = site.in_terminal("dead-letters replay --all");
    assert!(out.contains("16 events were delivered") && !out.contains(['\r', '\x1b']), "{out}");
    let drawings: Vec<&str> = shown.split('\r').filter(|part| part.contains("events sent")).collect();
    let has = |text: &str| drawings.iter().any(|drawing| drawing.contains(text));
    assert!(["4 of 16", "8 of 16", "12 of 16"].into_iter().all(has), "{shown:?}");
    assert!(drawings.iter().all(|drawing| drawing.contains('[') && !drawing.contains('\n')), "{shown:?}");
}

#[test]
fn what_is_exported_is_not_mixed_with_how_far_it_is() {
    let site = Site::new();
    site.call(REPLAY).expect(0, &["events were read"]);
    let (shown, out) = site.in_terminal("state export --log-level warn");
    assert!(out.lines().count() > 2 && out.lines().all(|line| line.starts_with('{')), "{out}");
    assert!(!shown.contains("\"export\""), "{shown:?}");
    let file = site.path("out");
    let into = site.path("other");
    let said = site.call(&format!("state import --data-dir {} {}", into.display(), file.display()));
    said.expect(0, &["streams were taken in"]);
}
