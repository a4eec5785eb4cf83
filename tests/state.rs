//! The verbs that look after what the host remembers, as an operator meets them: audit, dead-letters, state.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mimecast_simulator as sim;
use mimecast_simulator::{Endpoint, Fault, When};
use serde_json::Value;
use tributary_host::state::{
    Commit, Counts, DataDir, DeadLetter, DeadLetters, Gap, HealthRow, Pieces, Refused, SinkCounts, Store, StreamKey,
};
use tributary_tests::delivered::Delivered;
use tributary_tests::process::{Output, Process, command, output, until};
use tributary_tests::world::{QUOTA, configuration, serve};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
const MINUTE: Duration = Duration::from_secs(60);

/// A folder with a state of its own, without any vendor.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With two streams of one source, of which one has a gap.
    fn filled() -> Self {
        let site = Self::new();
        let store = Store::open(&site.state()).unwrap();
        store.commit(vec![commit("acme", "audit"), commit("acme", "siem/receipt"), commit("other", "audit")]).unwrap();
        site
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn letters(&self) -> DeadLetters {
        DeadLetters::new(&self.state(), u64::MAX)
    }

    fn call(&self, line: &str) -> Output {
        let state = self.state();
        let arguments: Vec<&str> = line.split(' ').chain(["--data-dir", state.to_str().unwrap()]).collect();
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
}

fn commit(source: &str, stream: &str) -> Commit {
    let lake = SinkCounts { accepted: 70, delivered: 68, dead_lettered: 2, ..SinkCounts::default() };
    // Added later, without acknowledgements.
    let probe =
        SinkCounts { accepted: 40, delivered: 25, lost: 5, unconfirmed: 30, confirmed: 20, ..SinkCounts::default() };
    let counts = Counts {
        records: 100,
        events: 90,
        malformed: 7,
        merged: 3,
        repeated: 20,
        accepted: 70,
        gaps: 1,
        pieces: Pieces { listed: 12, fetched: 9, gone: 2 },
        rules: Default::default(),
        sinks: [("lake".to_owned(), lake), ("probe".to_owned(), probe)].into(),
    };
    let gap = Gap {
        what: "file 17".into(),
        begin: Some(1_795_000_000_000_000_000),
        end: None,
        reason: "gone for an hour".into(),
        at_ms: 1_795_000_360_000,
    };
    Commit {
        key: StreamKey::new(source, stream),
        tenant: "Acme Ltd".into(),
        position: Some(b"{\"v\":1,\"at\":\"there\"}".to_vec()),
        counts,
        seen: vec![1, 2, 3],
        seen_for: 60 * MINUTE,
        gaps: vec![gap],
        partly: None,
        alerts: Default::default(),
        at_ms: 1_795_000_000_000,
    }
}

fn malformed(reason: &str, head: &[u8]) -> DeadLetter {
    DeadLetter::malformed(1_795_000_000_000, "acme", "audit", reason, head.to_vec(), Some(head.len() as u64))
}

fn refused(number: u32, sink: &str) -> DeadLetter {
    let body = format!("{{\"number\":{number}}}\n");
    let refused = Refused {
        sink: sink.into(),
        tenant: "acme".into(),
        event: number.into(),
        time: 1,
        kind: 0,
        class: 4009,
        severity: 1,
        alert_key: None,
    };
    let at_ms = 1_795_000_000_000 + 86_400_000 * u64::from(number);
    DeadLetter::refused(at_ms, "acme", "audit", format!("too long by {number}"), refused, body.as_bytes())
}

#[test]
fn audit_shows_the_ledger_and_tells_when_it_does_not_balance() {
    let site = Site::filled();
    let said = site.says("audit --gaps", 0, &["Acme Ltd", "siem/receipt", "√ Everything balances", "OFFERED are"]);
    let probe = said.stdout.lines().find(|line| line.contains("probe")).unwrap();
    let numbers: Vec<&str> = probe.split_whitespace().skip_while(|word| *word != "probe").collect();
    // What was neither confirmed nor told as lost will not be: no host runs.
    assert_eq!(numbers, ["probe", "40", "25", "0", "0", "15", "0"]);
    assert!(said.stdout.contains("file 17") && said.stdout.contains("2026-11-18T11:06:40.000Z"), "{said:?}");
    let one = site.says("audit other", 0, &[]);
    assert!(one.stdout.contains("other") && !one.stdout.contains("siem/receipt"), "{one:?}");
    site.says("audit nobody", 64, &["nobody", "to see all"]);
    let row = said.stdout.lines().find(|line| line.contains("siem/receipt")).unwrap();
    let numbers: Vec<&str> = row.split_whitespace().filter(|word| word.parse::<u32>().is_ok()).collect();
    assert_eq!(numbers, ["100", "90", "7", "3", "20", "70", "12", "9", "2", "1"]);
    let all = site.json("audit --json");
    let pieces = serde_json::json!({ "listed": 12, "fetched": 9, "gone": 2, "open": 1 });
    assert_eq!(all["streams"][0]["pieces"], pieces);
    assert_eq!((&all["balanced"], all["streams"].as_array().unwrap().len()), (&Value::Bool(true), 3));
    assert_eq!(all["streams"][0]["sinks"]["probe"]["lost"], 15);
    assert_eq!(all["streams"][0]["gap_list"][0]["reason"], "gone for an hour");

    // A number that a fault of the host might get wrong.
    let mut wrong = commit("acme", "audit");
    wrong.counts.sinks.get_mut("lake").unwrap().delivered -= 1;
    Store::open(&site.state()).unwrap().commit(vec![wrong]).unwrap();
    let said = site.says("audit", 1, &["x acme/audit: sink lake: accepted 140 is not delivered 135", "report it"]);
    assert!(!said.stdout.contains("Everything balances"), "{said:?}");
    assert_eq!(site.call("audit --json").code, Some(1));
    site.says("audit other", 0, &["Everything balances"]);
}

#[test]
fn a_state_that_is_not_there_or_in_use_is_told_and_nothing_is_made() {
    let site = Site::new();
    for verb in ["audit", "state show", "state check", "state export", "state reset acme", "state move a b"] {
        site.says(verb, 66, &["there is no", "state.redb", "data_dir"]);
    }
    assert!(!site.state().exists());
    let site = Site::filled();
    let held = DataDir::open(&site.state()).unwrap();
    // What reads asks a running host; this one has no socket to be asked at.
    let [reads, writes] =
        [["audit", "state show", "state export"], ["state check", "state reset acme", "state move acme b"]];
    for (verbs, next) in [(reads, "api.enabled = true"), (writes, "Stop it")] {
        for verb in verbs {
            site.says(verb, 75, &["in use by another tributary, process", next]);
        }
    }
    // Letters can be looked at, and dropped, beside a host.
    site.letters().append("acme", &[malformed("not JSON", b"x")]).unwrap();
    site.says("dead-letters list", 0, &["not JSON"]);
    site.says("dead-letters drop --all", 0, &["1 dead letters are dropped"]);
    drop(held);
    site.says("audit", 0, &[]);
}

#[test]
fn dead_letters_are_listed_shown_and_dropped() {
    let site = Site::filled();
    let letters = site.letters();
    let control = b"{\"a\": \x1b[31mred\xff";
    letters.append("acme", &[malformed("not JSON", control), refused(1, "lake"), refused(2, "probe")]).unwrap();
    letters.append("other", &[DeadLetter { source: "other".into(), ..malformed("cut", b"z") }]).unwrap();
    let listed = |options: &str| {
        let line = format!("dead-letters list --json {options}");
        let said = site.says(line.trim_end(), 0, &[]);
        said.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    for (options, number) in [
        ("", 4),
        ("--source other", 1),
        ("--stream audit", 4),
        ("--stream siem", 0),
        ("--sink lake", 1),
        ("--reason NOT", 1),
        ("--since 2026-11-19T00:00:00Z", 2),
        ("--until 2026-11-19T00:00:00Z", 2),
        ("--sink lake --reason cut", 0),
    ] {
        assert_eq!(listed(options).len(), number, "{options}");
    }
    site.says("dead-letters list", 0, &["REFUSED BY", "not JSON", "too long by 2", "probe"]);
    let id = |letter: &Value| letter["id"].as_str().unwrap().to_owned();
    let all = listed("");
    let shown = site.says(&format!("dead-letters show {}", id(&all[0])), 0, &["not JSON", "--raw writes it out"]);
    assert!(!shown.stdout.contains('\x1b'), "what others wrote steers the terminal");
    let state = site.state();
    let raw =
        command(BINARY, &["dead-letters", "show", &id(&all[0])[..8], "--raw", "--data-dir", state.to_str().unwrap()])
            .output()
            .unwrap();
    assert_eq!((raw.status.code(), raw.stdout.as_slice()), (Some(0), control.as_slice()));
    site.says(&format!("dead-letters show {}", id(&all[1])), 0, &["sink    lake", "replay", "{\"number\":1}"]);
    assert_eq!(site.json(&format!("dead-letters show --json {}", id(&all[2])))["sink"], "probe");
    site.says("dead-letters show zzz", 64, &["there is no dead letter zzz"]);
    // Nothing goes by mistake.
    site.says("dead-letters drop", 64, &["--all"]);
    site.says("dead-letters drop --sink nobody", 64, &["no dead letter fits"]);
    assert_eq!(listed("").len(), 4);
    site.says(&format!("dead-letters drop {}", id(&all[0])), 0, &["1 dead letters are dropped"]);
    site.says("dead-letters drop --sink probe", 0, &["1 dead letters are dropped"]);
    assert_eq!(listed("").iter().map(id).collect::<Vec<_>>(), [id(&all[1]), id(&all[3])]);
}

#[test]
fn a_damaged_letter_is_told_and_hides_no_other() {
    let site = Site::filled();
    let letters = site.letters();
    letters.append("acme", &[refused(1, "lake"), refused(2, "lake"), refused(3, "lake")]).unwrap();
    site.says("state check", 0, &["√ the store is sound", "√ the dead letters are sound: 3"]);
    let path = letters.path("acme");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("too long by 2", "too long by 9")).unwrap();
    let said =
        site.says("dead-letters list", 74, &["too long by 1", "too long by 3", "acme.ndjson", "are no dead letter"]);
    assert!(!said.text().contains("too long by 9"), "{said:?}");
    site.says("state check", 74, &["√ the store is sound", "x ", "acme.ndjson", "the 2 others are sound"]);
    site.says("dead-letters drop --all", 0, &["2 dead letters"]);
    assert!(fs::read_to_string(&path).unwrap().contains("too long by 9"), "what nobody can read is not thrown away");
}

#[test]
fn a_replay_sends_what_a_sink_refused_and_nothing_else() {
    let site = Site::filled();
    let letters = site.letters();
    let file = site.folder.path().join("tributary.toml");
    let events = site.folder.path().join("events");
    fs::write(
        &file,
        format!(
            "data_dir = \"{}\"\n[sources.acme]\ntype = \"mimecast\"\nclient_id = \"x\"\nclient_secret = \"y\"\n\
             [sinks.lake]\ntype = \"file\"\ninputs = [\"*\"]\npath = \"{}\"\n",
            site.state().display(),
            events.display()
        ),
    )
    .unwrap();
    letters
        .append("acme", &[malformed("not JSON", b"x"), refused(1, "lake"), refused(2, "gone"), refused(3, "lake")])
        .unwrap();
    let replay = |options: &str| {
        let line = format!("-c {} dead-letters replay {options}", file.display());
        output(&mut command(BINARY, &line.trim_end().split(' ').collect::<Vec<_>>()))
    };
    assert_eq!(replay("").code, Some(64));
    let held = DataDir::open(&site.state()).unwrap();
    assert_eq!(replay("--all").code, Some(75), "a host has the ledger");
    drop(held);
    // A file stands where the folder must be: nothing is taken away.
    fs::write(&events, "").unwrap();
    let said = replay("--sink lake");
    assert!(said.code == Some(75) && said.stderr.contains("stays; replay again"), "{said:?}");
    fs::remove_file(&events).unwrap();
    let said = replay("--all");
    assert_eq!(said.code, Some(1), "{said:?}");
    for word in ["2 events were delivered", "1 are records that could not be read", "--raw", "sink gone refused stay"] {
        assert!(said.stdout.contains(word), "no {word:?} in {said:?}");
    }
    let files = tributary_tests::delivered::files(&events);
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(!files[0].to_str().unwrap().ends_with(".part"), "{files:?}");
    assert_eq!(fs::read_to_string(&files[0]).unwrap(), "{\"number\":1}\n{\"number\":3}\n");
    let said = site.says("dead-letters list", 0, &["not JSON", "too long by 2"]);
    assert_eq!(said.stdout.lines().count(), 3, "{said:?}");
    let audit = site.json("audit --json");
    let lake = &audit["streams"][0]["sinks"]["lake"];
    assert_eq!((&lake["replayed"], &lake["dead_lettered"], &audit["balanced"]), (&2.into(), &2.into(), &true.into()));
    let again = replay("--sink lake");
    assert!(again.code == Some(0) && again.stdout.contains("0 events"), "{again:?}");
}

#[test]
fn state_is_shown_exported_imported_reset_and_moved() {
    let site = Site::filled();
    site.says("state show", 0, &["siem/receipt", "{\"v\":1,\"at\":\"there\"}", "SEEN IDS"]);
    site.says("state show nobody", 64, &["nobody"]);
    let shown = site.json("state show acme --json");
    assert_eq!((shown.as_array().unwrap().len(), &shown[0]["seen_ids"]), (2, &Value::from(3)));

    assert!(!site.call("state show acme").stdout.contains("HEALTH"), "nothing was told");
    site.says("state show other --health", 0, &["HEALTH"]);
    let told = |number: u64| HealthRow {
        source: "acme".into(),
        json: format!("{{\"time\":\"T{number}\",\"event\":\"Gap\",\"message\":\"m{number}.\",\"hint\":\"Look\"}}")
            .into(),
    };
    let store = Store::open(&site.state()).unwrap();
    store.keep_health(&(0..12).map(told).collect::<Vec<_>>()).unwrap();
    drop(store);
    let last = site.says("state show acme", 0, &["SEEN IDS", "HEALTH", "T2 ", "T11", "m11.. Look"]).stdout;
    assert!(!last.contains("T1 "), "the last ten: {last}");
    assert!(!site.call("state show").stdout.contains("HEALTH"), "only of the source that is named");
    site.says("state show --health", 0, &["T0", "T11"]);
    let all = site.json("state show acme --health --json");
    assert_eq!((all.as_array().unwrap().len(), &all[11]["time"]), (12, &Value::from("T11")));

    let file = site.folder.path().join("export.ndjson");
    let path = file.to_str().unwrap();
    site.says(&format!("state export -o {path}"), 0, &[]);
    site.says(&format!("state export -o {path}"), 73, &["Name a file that is not there"]);
    assert_eq!(site.call("state export").stdout, fs::read_to_string(&file).unwrap());
    site.says(&format!("state import {path}"), 65, &["there is a stream acme/audit already", "reset it first"]);
    let other = Site::new();
    other.says("state import /nowhere", 66, &["/nowhere"]);
    other.says(&format!("state import {}", site.state().join("state.redb").display()), 65, &["Nothing was taken in"]);
    other.says(&format!("state import {path}"), 0, &["3 streams were taken in"]);
    assert_eq!(other.call("audit").stdout, site.call("audit").stdout);
    assert_eq!(other.json("state show --json"), site.json("state show --json"));
    assert_eq!(other.call("state show --health --json").stdout, site.call("state show --health --json").stdout);

    site.says("state reset", 64, &["SOURCE"]);
    site.says("state reset acme --stream siem", 64, &["Choose from audit, siem/receipt"]);
    site.says("state reset acme --stream audit --keep-seen", 0, &["acme/audit begins where its configuration says"]);
    let shown = site.json("state show acme --json");
    assert_eq!((&shown[0]["position"], &shown[0]["seen_ids"]), (&Value::Null, &Value::from(3)));
    assert!(shown[1]["position"].is_string());
    site.says("state reset acme", 0, &["acme/audit", "acme/siem/receipt"]);
    let shown = site.json("state show acme --json");
    assert_eq!((&shown[1]["position"], &shown[1]["seen_ids"]), (&Value::Null, &Value::from(0)));
    site.says("audit", 0, &["Everything balances"]);

    site.letters().append("acme", &[malformed("not JSON", b"x")]).unwrap();
    site.says("state move acme other", 64, &["there is state of other already"]);
    site.says("state move nobody new", 64, &["nobody"]);
    site.says("state move acme a/b", 64, &["is no id"]);
    site.says("state move acme new", 0, &["2 streams of acme are new's now", "tenant = \"acme\""]);
    assert_eq!(site.json("state show new --json").as_array().unwrap().len(), 2);
    site.says("state show acme", 64, &[]);
    site.says("dead-letters list --source new", 0, &["not JSON"]);
}

#[test]
fn a_damaged_store_is_judged_set_aside_and_never_overwritten() {
    let site = Site::filled();
    site.says("state reset --damaged", 64, &["the store is sound, and stays"]);
    site.says("state check", 0, &["√ the store is sound"]);
    let path = site.state().join("state.redb");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    fs::write(&path, &bytes).unwrap();
    site.says("state check", 74, &["is damaged", "may deliver again", "state reset --damaged"]);
    for verb in ["audit", "state show", "state reset acme", "state move acme b"] {
        site.says(verb, 74, &["is damaged", "has not been touched"]);
    }
    assert!(fs::read(&path).unwrap() == bytes, "it was touched");
    let said = site.says("state reset --damaged", 0, &["state.redb.damaged-", "import"]);
    let aside = said.stdout.split_whitespace().find(|word| word.contains("state.redb.damaged-")).unwrap();
    assert!(fs::read(Path::new(aside)).unwrap() == bytes && !path.exists());
    site.says("state check", 66, &[]);
}

/// A vendor of which two lines cannot be read, and a configuration with `sinks` beside the files, written to a file.
fn vendor(site: &Site, sinks: &str) -> (sim::Server, PathBuf, String) {
    let clock = sim::Clock::real();
    let tenant = sim::Tenant::v2("acme", 6_000);
    let settings =
        sim::Settings { backlog_ms: 6 * 3_600_000, tenants: vec![tenant.clone()], ..sim::Settings::default() };
    let server = serve(clock, settings);
    server.simulator().inject("acme", Fault::BadLine { at: Endpoint::Storage }, When::First(2)).unwrap();
    let file = site.folder.path().join("tributary.toml");
    let text = configuration(site.folder.path(), &server.api_url, &[tenant], QUOTA, sinks);
    fs::write(&file, &text).unwrap();
    (server, file, text)
}

#[test]
fn full_dead_letters_hold_their_source_until_an_operator_makes_room_beside_the_host() {
    let site = Site::new();
    let (server, file, text) = vendor(&site, "");
    fs::write(&file, format!("max_dead_letter_bytes = 1048576\n{text}")).unwrap();
    fs::create_dir(site.state()).unwrap();
    let letters = site.letters();
    let old = DeadLetter { source: "old".into(), ..malformed("old", &[b'x'; 1 << 20]) };
    letters.append("old", &[old]).unwrap();
    let process = Process::run(BINARY, &file);
    let planted = || server.simulator().malformed("acme") as u64;
    let events = site.folder.path().join("events");
    assert!(until(MINUTE, || planted() > 0 && Delivered::read(&events, "acme").total() > 10));
    std::thread::sleep(Duration::from_secs(2));
    assert!(!letters.path("acme").exists());
    site.says("dead-letters drop --source old", 0, &["1 dead letters are dropped"]);
    assert!(until(MINUTE, || letters.path("acme").exists()), "it does not go on by itself");
    process.signal("TERM");
    let (status, log) = process.wait(MINUTE);
    assert_eq!(status.code(), Some(0), "{log}");
    for words in
        ["tributary dead-letters drop", "the dead letters can be kept again", "everything that was read is delivered"]
    {
        assert!(log.contains(words), "no {words:?} in {log}");
    }
    assert_eq!(site.json("audit --json")["balanced"], true);
    let listed = site.says("dead-letters list --json", 0, &[]);
    assert_eq!(listed.stdout.lines().count() as u64, planted());
}

/// The real thing: a vendor with unreadable lines, and a host that keeps them, stops, and balances.
#[test]
fn what_a_run_leaves_balances_and_shows_its_dead_letters() {
    let site = Site::new();
    let probe = "[sinks.probe]\ntype = \"stdout\"\ninputs = [\"*\"]\nacknowledgements = false\n";
    let (server, file, text) = vendor(&site, probe);
    let process = Process::run(BINARY, &file);
    let letters = site.letters();
    let events = site.folder.path().join("events");
    let begin = server.now();
    let compared = || Delivered::read(&events, "acme").compare(&server.simulator(), "acme", begin, server.now());
    let all = || letters.path("acme").exists() && compared().total() > 20 && compared().is_exact();
    assert!(until(MINUTE, all), "{}: {}", compared(), process.kill());
    process.signal("TERM");
    let (status, log) = process.wait(MINUTE);
    assert_eq!(status.code(), Some(0), "{log}");
    let audit = site.json("audit --json");
    let sum = |path: &[&str]| -> u64 {
        let streams = audit["streams"].as_array().unwrap().iter();
        streams.filter_map(|stream| path.iter().fold(stream, |value, key| &value[*key]).as_u64()).sum()
    };
    assert_eq!(audit["balanced"], true, "{audit:#}");
    let (accepted, malformed) = (sum(&["accepted"]), sum(&["malformed"]));
    assert!(accepted > 20, "{accepted}");
    assert_eq!(malformed, server.simulator().malformed("acme") as u64);
    assert_eq!(sum(&["sinks", "files", "delivered"]), accepted);
    assert_eq!(sum(&["sinks", "probe", "delivered"]) + sum(&["sinks", "probe", "lost"]), accepted);
    assert_eq!(sum(&["sinks", "probe", "lost"]), 0, "standard output takes everything");
    let listed = site.says("dead-letters list --json", 0, &[]);
    assert_eq!(listed.stdout.lines().count() as u64, malformed);

    // Taken out of the configuration, its state stays, and the next start says for how long.
    fs::write(&file, text.replace("[sources.acme]", "[sources.renamed]")).unwrap();
    let process = Process::run(BINARY, &file);
    assert!(until(MINUTE, || process.log().contains("no longer configured")), "{}", process.kill());
    process.signal("TERM");
    let (_, log) = process.wait(MINUTE);
    assert!(log.contains("no longer configured: its state is kept") && log.contains("days_left=30"), "{log}");
    site.says("state show acme", 0, &["not configured since"]);
}
