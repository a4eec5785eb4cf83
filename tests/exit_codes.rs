//! Exit codes of every verb, as sysexits has them, and the list of them that `--help` prints.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mimecast_simulator as sim;
use tributary_tests::process::{Output, Process, command, output, until};
use tributary_tests::world::{configuration, quota, serve};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");

fn call(arguments: &[&str]) -> Output {
    output(&mut command(BINARY, arguments))
}

/// The verbs, as `--help` lists them.
fn verbs() -> Vec<String> {
    let help = call(&["--help"]).expect(0, &["Commands:"]).stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let verbs = listed.filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help");
    verbs.map(str::to_owned).collect()
}

/// The codes that `--help` lists.
fn listed() -> BTreeSet<i32> {
    let help = call(&["--help"]).stdout;
    let (_, codes) = help.split_once("Exit codes: ").unwrap();
    codes.split(", ").filter_map(|code| code.split(' ').next()?.parse().ok()).collect()
}

#[test]
fn a_wrong_command_line_is_64_and_help_is_0() {
    let verbs = verbs();
    assert!(verbs.len() >= 15, "{verbs:?}");
    for verb in &verbs {
        call(&[verb, "--no-such-flag"]).expect(64, &["--no-such-flag", "Usage:"]);
        call(&[verb, "--help"]).expect(0, &["Usage:"]);
    }
    call(&["no-such-verb"]).expect(64, &["no-such-verb"]);
    call(&[]).expect(64, &["Usage:"]);
}

#[test]
fn each_verb_that_needs_a_configuration_says_78_without_one() {
    let rest: &[(&str, &[&str])] = &[
        ("replay", &["--source", "a", "--stream", "b", "--from", "2026-01-01T00:00:00Z"]),
        ("dead-letters", &["list"]),
        ("state", &["show"]),
        ("restart", &["a"]),
        ("completion", &["bash"]),
    ];
    for verb in verbs() {
        let rest = rest.iter().find(|(name, _)| *name == verb).map_or(&[][..], |(_, rest)| rest);
        let said = call(&[&["--config", "/nowhere/at/all.toml", &*verb], rest].concat());
        match verb.as_str() {
            // They say what is built in.
            "describe" | "generate" | "schema" | "completion" => said.expect(0, &[]),
            _ => said.expect(78, &["/nowhere/at/all.toml"]),
        };
    }
}

/// Every code that can be provoked here, each beside a lawful neighbour.
#[test]
fn each_code_of_the_list_is_given() {
    let tenant = sim::Tenant::v2("acme", 6_000);
    let settings = sim::Settings { backlog_ms: 3_600_000, tenants: vec![tenant.clone()], ..sim::Settings::default() };
    let server = serve(sim::Clock::real(), settings);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tributary.toml");
    let keys = format!("{}\ncollect = [\"audit\"]", quota(&tenant));
    let good = configuration(folder.path(), &server.api_url, std::slice::from_ref(&tenant), &keys, "");
    let test = |severity| {
        format!(
            "\n[[tests]]\nname = \"one\"\ninput = {{ source = \"acme\", severity = \"{severity}\", body = {{ a = 1 }} }}\n\
             outputs = [{{ sink = \"files\", body = {{ a = 1 }} }}]\n"
        )
    };
    let mut given = BTreeSet::new();
    let mut ends = |text: &str, arguments: &[&str], code: i32| {
        fs::write(&file, text).unwrap();
        call(&[&["--config", file.to_str().unwrap(), "--log-level", "warn"], arguments].concat()).expect(code, &[]);
        given.insert(code);
    };

    ends(&good, &["validate"], 0);
    ends(&good.replace("[sinks.", "[sink."), &["validate"], 78);
    ends(&good.replace("[sinks.", "[sink."), &["run"], 78);
    ends(&(good.clone() + &test("low")), &["test"], 0);
    ends(&(good.clone() + &test("low").replace("a = 1 } }]", "a = 2 } }]")), &["test"], 1);
    ends(&(good.clone() + &test("worse")), &["test"], 78);

    ends(&good, &["check"], 0);
    ends(&good.replace("client_secret = \"", "client_secret = \"x"), &["check"], 77);
    ends(&good.replace(&server.api_url, "http://127.0.0.1:9"), &["check"], 75);

    for verb in [&["status"][..], &["tap"], &["restart", "acme"]] {
        ends(&good, verb, 69);
    }
    for verb in [&["audit"][..], &["state", "show"], &["state", "check"], &["state", "export"]] {
        ends(&good, verb, 66);
    }
    let [sumo, none] = ["sumo.json", "none.json"].map(|name| folder.path().join(name));
    fs::write(&sumo, "{").unwrap();
    ends(&good, &["generate", "--from-sumo", sumo.to_str().unwrap()], 65);
    ends(&good, &["generate", "--from-sumo", none.to_str().unwrap()], 66);

    // A sink's folder that cannot be made, and a store that is no store.
    fs::write(folder.path().join("events"), "a file").unwrap();
    ends(&good, &["run"], 73);
    fs::remove_file(folder.path().join("events")).unwrap();
    fs::remove_dir_all(folder.path().join("state")).unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(state.join("state.redb"), "no store at all").unwrap();
    ends(&good, &["state", "check"], 74);
    ends(&good, &["run"], 74);
    fs::remove_dir_all(&state).unwrap();

    running(&file, &good);
    given.insert(64);
    let lacking: Vec<i32> = listed().difference(&given).copied().collect();
    assert_eq!(lacking, [70], "a fault of the program cannot be provoked");
    assert!(given.is_subset(&listed()), "{given:?}");
}

/// The verbs that ask a running host (and end by themselves) end well beside one, and a second host does not begin.
fn running(file: &Path, good: &str) {
    fs::write(file, good).unwrap();
    let verb = |arguments: &[&str]| call(&[&["--config", file.to_str().unwrap()], arguments].concat());
    let process = Process::run(BINARY, file);
    assert!(until(std::time::Duration::from_secs(60), || verb(&["audit"]).code == Some(0)), "{}", process.log());
    for arguments in
        [&["status"][..], &["restart", "acme"], &["state", "show"], &["state", "export"], &["dead-letters", "list"]]
    {
        verb(arguments).expect(0, &[]);
    }
    verb(&["restart", "nobody"]).expect(64, &["nobody"]);
    let second = verb(&["run"]);
    assert!(matches!(second.code, Some(73..=75)), "{second:?}");
    process.signal("TERM");
    assert_eq!(process.wait(std::time::Duration::from_secs(60)).0.code(), Some(0));
}

#[test]
fn what_is_nearly_right_is_64_with_what_is_meant() {
    call(&["stats"]).expect(64, &["status"]);
    // A level that is none would have silenced errors too.
    for (level, code, words) in [
        ("warning", 78, &["/nowhere"][..]),
        ("warns", 64, &["Did you mean `warn`?"]),
        ("nonsense", 64, &["\"nonsense\" is none"]),
    ] {
        call(&["-c", "/nowhere", "run", "--log-level", level]).expect(code, words);
        output(command(BINARY, &["-c", "/nowhere", "run"]).env("TRIBUTARY_LOG", level)).expect(code, words);
    }
    for (value, code) in [("0", 78), ("false", 78), ("1", 78), ("perhaps", 64)] {
        output(command(BINARY, &["-c", "/nowhere", "run"]).env("TRIBUTARY_ALLOW_DEBUGGING", value)).expect(code, &[]);
    }
    call(&["validate", "/nowhere/a.toml"]).expect(78, &["/nowhere/a.toml"]);
    output(command(BINARY, &["validate", "/nowhere/a.toml"]).env("TRIBUTARY_CONFIG", "/b")).expect(78, &["a.toml"]);
    call(&["validate", "/nowhere/a.toml", "-c", "/nowhere/b.toml"]).expect(64, &["named twice"]);
    // Help that does not arrive is no success.
    for line in [&["--help"][..], &["run", "--help"], &["--version"], &["schema"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let said = command(BINARY, line).stdout(full).output().unwrap();
        assert_eq!(said.status.code(), Some(74), "{line:?}: {said:?}");
    }
}
