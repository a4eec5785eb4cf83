use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use tributary_tests::process::{Output, command, output, until};

use crate::BINARY;
use crate::site::{MINUTE, Site, TOKEN};

impl Site {
    fn call(&self, line: &str) -> Output {
        let file = self.file();
        let arguments: Vec<&str> = line.split(' ').chain(["--config", file.to_str().unwrap()]).collect();
        output(&mut command(BINARY, &arguments))
    }

    /// Waits until somebody looks, then lets the last hours pass once more.
    fn pass_again(&self) {
        self.call("replay --source acme --stream audit --from 6h --all --json").expect(0, &[]);
    }
}

#[test]
fn health_events_are_told_while_they_happen_and_end_with_the_host() {
    let site = Site::new("");
    let process = site.run();
    assert!(site.is_in("collecting"));
    let mut lines = site.watch("/v1/health/events?source=acme", &[]).filter(|line| line.starts_with('{'));
    let states = |line: String| {
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["source"], "acme");
        event["state"].as_str().unwrap_or_default().to_owned()
    };
    // What was before.
    assert!(lines.by_ref().any(|line| states(line) == "collecting"));
    let events = site.watch("/v1/health/events?recent=0", &[("Accept", "text/event-stream")]);
    let mut events = events.filter_map(|line| line.strip_prefix("data: ").map(str::to_owned));
    let nothing = site.watch("/v1/health/events?source=nobody", &[]);
    process.signal("TERM");
    assert!(lines.by_ref().any(|line| states(line) == "stopping"));
    assert_eq!(states(events.next().unwrap()), "stopping");
    assert_eq!(lines.count(), 0);
    assert!(!nothing.into_iter().any(|line| line.starts_with('{')));
    assert_eq!(process.wait(MINUTE).0.code(), Some(0));
}

#[test]
fn a_tap_shows_events_in_a_terminal_until_it_is_interrupted() {
    let site = Site::new("");
    let process = site.run();
    assert!(site.is_in("collecting"));
    let (shown, file) = (site.folder.path().join("shown"), site.file());
    let line = format!("{BINARY} --config {} tap acme --stream 'aud*'", file.display());
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--flush", "--return", "--command", &line, shown.to_str().unwrap()]);
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let text = || fs::read_to_string(&shown).unwrap_or_default();
    assert!(until(MINUTE, || text().contains("Ctrl-C")), "{}", text());
    assert!(!text().contains("{\""), "nothing passes yet: {}", text());
    site.pass_again();
    let is_event =
        |line: &str| serde_json::from_str::<Value>(line.trim()).is_ok_and(|event| event["metadata"].is_object());
    assert!(until(MINUTE, || text().lines().filter(|line| is_event(line)).count() > 3), "{}", text());
    // As the key does it.
    use std::io::Write;
    terminal.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    let mut status = None;
    assert!(until(MINUTE, || {
        status = terminal.try_wait().unwrap();
        status.is_some()
    }));
    assert!(matches!(status.unwrap().code(), Some(0 | 130)), "{status:?}");
    assert!(!text().contains('\x1b'), "the terminal is as it was");
    drop(process);
}

#[test]
fn a_tap_ends_at_its_limit_and_with_the_host_and_knows_names() {
    let site = Site::new("");
    let process = site.run();
    assert!(site.is_in("collecting"));
    site.call("tap acmee").expect(64, &["acmee", "status"]);
    let tap = |line: &'static str| {
        let file = site.file();
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        std::thread::spawn(move || {
            let mut all = vec!["--config", file.to_str().unwrap(), "tap"];
            all.extend(arguments.iter().map(String::as_str));
            output(&mut command(BINARY, &all))
        })
    };
    let limited = tap("files --meta --limit 3");
    let other = tap("--tenant other --quiet");
    let lasting = tap("--outputs-of a* --tenant acme");
    let watched = || limited.is_finished();
    // Each look is a replay, until the taps are there.
    assert!(until(MINUTE, || {
        site.pass_again();
        watched()
    }));
    let said = limited.join().unwrap().expect(0, &[]);
    let lines: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{said:?}");
    assert!(lines.iter().all(|line| line["sink"] == "files" && line["tenant"] == "acme" && line["event"].is_object()));
    site.pass_again();
    process.signal("TERM");
    assert_eq!(process.wait(MINUTE).0.code(), Some(0));
    let said = lasting.join().unwrap().expect(69, &["the host has stopped"]);
    assert!(said.stdout.lines().count() > 3 && said.stdout.lines().all(|line| line.starts_with("{\"")), "{said:?}");
    let said = other.join().unwrap().expect(69, &[]);
    assert_eq!(said.text(), "");
}

#[test]
fn who_watches_with_a_token_that_was_exchanged_sees_no_more() {
    let site = Site::new("");
    let process = site.run();
    assert!(site.is_in("collecting"));
    let mut lines = site.watch("/v1/tap", &[]);
    let mut passes = || {
        site.pass_again();
        lines.by_ref().any(|line| line.starts_with('{'))
    };
    assert!(passes());
    // A reload with the same token ends nothing.
    let reload = |times| {
        process.signal("HUP");
        assert!(until(MINUTE, || process.log().matches("SIGHUP: ").count() == times), "{}", process.log());
    };
    reload(1);
    assert!(passes());
    let new = "an0ther-token-0123456789abcdef";
    fs::write(site.file(), fs::read_to_string(site.file()).unwrap().replace(TOKEN, new)).unwrap();
    reload(2);
    // Signs of life would go on for ever.
    let rest = std::thread::spawn(move || lines.count());
    assert!(until(MINUTE, || rest.is_finished()), "it goes on");
    let authorization = format!("Bearer {new}");
    let right = [("Host", "localhost"), ("Authorization", authorization.as_str())];
    assert_eq!(site.ask_with("GET /v1/sources", &right).status, 200);
}
