//! What the pages tell people to type is typed here, and what they tell people to write is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mimecast_simulator as sim;
use tributary_host::config::{self, Format};
use tributary_tests::component::build;
use tributary_tests::process::{Process, command, output, until};
use tributary_tests::world::{configuration, quota, serve};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
const LONG: Duration = Duration::from_secs(120);

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Every page, by its path from the root.
fn pages() -> BTreeMap<String, String> {
    let mut paths = vec!["README.md".to_owned(), "examples/pipelines/README.md".to_owned()];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            paths.push(format!("docs/{name}"));
        }
    }
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(root().join(&path)).unwrap())).collect()
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == format!("```{language}") {
            blocks.push(lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect());
        } else if line.starts_with("```") {
            // One of another language.
            lines.by_ref().find(|line| *line == "```");
        }
    }
    blocks
}

/// The commands of all pages, without their comments.
fn commands() -> Vec<String> {
    let mut commands = Vec::new();
    for text in pages().values() {
        for block in blocks(text, "sh") {
            commands.extend(block.lines().map(|line| line.split("  #").next().unwrap().trim().to_owned()));
        }
    }
    commands
}

/// A configuration with a source `acme` and a sink `lake`, as the pages name them, and a vendor behind it.
struct Site {
    folder: tempfile::TempDir,
    _server: sim::Server,
}

impl Site {
    fn new() -> Self {
        // Busy, so that a tap has not to wait.
        let tenant = sim::Tenant { audit_events_per_day: 100_000, ..sim::Tenant::v2("acme", 7_200) };
        let settings =
            sim::Settings { backlog_ms: 1_800_000, tenants: vec![tenant.clone()], ..sim::Settings::default() };
        let server = serve(sim::Clock::real(), settings);
        let folder = tempfile::tempdir().unwrap();
        let keys = format!(
            "{}\ncollect = [\"audit\", \"siem/receipt\"]\nintervals = {{ audit = \"10s\", siem = \"10s\" }}",
            quota(&tenant)
        );
        let text = configuration(folder.path(), &server.api_url, &[tenant], &keys, "");
        std::fs::write(folder.path().join("tributary.toml"), text.replace("[sinks.files]", "[sinks.lake]")).unwrap();
        std::os::unix::fs::symlink(BINARY, folder.path().join("tributary")).unwrap();
        Self { folder, _server: server }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("tributary.toml")
    }

    /// Types `line` into a shell, in the folder of the configuration.
    fn types(&self, line: &str) {
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", self.folder.path().display());
        let mut shell = Command::new("sh");
        println!("{line}");
        // None of them goes on for ever.
        let line = format!("timeout 100 {line}");
        shell.args(["-c", &line]).current_dir(self.folder.path()).stdin(Stdio::null());
        shell.env("PATH", path).env("TRIBUTARY_CONFIG", self.file());
        // Nothing was interrupted here.
        let expected = if line.ends_with("--resume") { 64 } else { 0 };
        let output = output(&mut shell);
        assert_eq!(output.code, Some(expected), "{line}\n{output:?}");
    }
}

/// Whether a host must not run meanwhile.
fn is_of_a_stopped_host(line: &str) -> bool {
    line.starts_with("tributary state import")
}

#[test]
fn what_the_pages_say_to_type_works() {
    let lines: Vec<String> = commands().into_iter().filter(|line| line.starts_with("tributary ")).collect();
    assert!(lines.len() > 15, "{lines:?}");
    let site = Site::new();
    let component = build("feed-source");
    let process = Process::run(BINARY, &site.file());
    let collected = || {
        let mut audit = command(BINARY, &["--config", site.file().to_str().unwrap(), "status"]);
        output(&mut audit).stdout.contains("2 streams: 2 collecting")
    };
    assert!(until(LONG, collected), "{}", process.log());
    let (stopped, running): (Vec<&String>, Vec<&String>) = lines.iter().partition(|line| is_of_a_stopped_host(line));
    for line in running {
        if line.starts_with("tributary run") {
            // That is how this one was started.
            continue;
        }
        // The host that runs has one of its own.
        let line = line.replace("/etc/tributary/", "written-");
        let line = match line.starts_with("tributary generate") {
            true => line.replace("> tributary.toml", "> written.toml"),
            false => line,
        };
        let component = component.to_str().unwrap();
        site.types(&line.replace("../../target/wasm32-unknown-unknown/component/feed_source.wasm", component));
    }
    process.signal("TERM");
    assert!(process.wait(LONG).0.success());
    for line in stopped {
        std::fs::remove_dir_all(site.folder.path().join("state")).unwrap();
        site.types(line);
    }
}

/// What no test can type: it needs a machine of its own, or is what runs the tests.
#[test]
fn every_other_command_is_known() {
    let names = |file: &str, table: &str| -> BTreeSet<String> {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let begin = format!("[[{table}]]\nname = \"");
        text.split(&begin).skip(1).map(|part| part.split('"').next().unwrap().to_owned()).collect()
    };
    let tests = names("tests/Cargo.toml", "test");
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    for line in commands() {
        let words: Vec<&str> = line.split_whitespace().skip_while(|word| word.contains('=')).collect();
        let after = |flag: &str| words.iter().skip_while(|word| **word != flag).nth(1).copied();
        match words[0] {
            // Typed by the test above.
            "tributary" => {}
            "cargo" => {
                if let Some(example) = after("--example") {
                    assert!(root().join(format!("examples/{example}.rs")).exists(), "{line}");
                }
                if let Some(test) = after("--test") {
                    assert!(tests.contains(test), "{line}");
                }
                if words == ["cargo", "test"] || after("--example") == Some("demo") {
                    assert!(
                        ci.contains("cargo test --locked") && ci.contains("--example demo"),
                        "CI does not run {line}"
                    );
                }
            }
            // `tests/example_source.rs` builds it.
            "cd" => assert_eq!(line, "cd examples/source && cargo build --profile component"),
            // Its secrets are those of who reads the page.
            "export" => {
                let variables = ["PATH=$PWD/target/release:$PATH", "ACME_CLIENT_ID=...", "ACME_CLIENT_SECRET=..."];
                assert_eq!(words[1..], variables, "{line}");
            }
            "apt-get" | "install" | "sudo" | "systemctl" => {
                let text = &pages()["docs/operating.md"];
                assert!(text.contains(&line) && text.contains("only linted"), "{line}");
            }
            other => panic!("nothing tries {other:?}: {line}"),
        }
    }
}

/// Tables that a fragment takes for granted.
const AROUND: [(&str, &str); 2] = [
    ("[sources.acme]", "[sources.acme]\ntype = \"mimecast\"\nclient_id = \"a\"\nclient_secret = \"b\"\n"),
    ("[sinks.lake]", "[sinks.lake]\ntype = \"stdout\"\ninputs = [\"*\"]\n"),
];

#[test]
fn what_the_pages_say_to_write_is_accepted() {
    let secrets = tempfile::tempdir().unwrap();
    std::fs::create_dir(secrets.path().join("customers.d")).unwrap();
    let environment = |_: &str| Some("made-up-made-up-made-up".to_owned());
    let mut read = 0;
    for (page, text) in pages() {
        for block in blocks(&text, "toml") {
            let mut whole = block.clone();
            // Secrets of a backend that the page does not define there.
            for place in ["SECRET[vault.", "SECRET[env."] {
                while let Some(at) = whole.find(place) {
                    let end = at + whole[at..].find(']').unwrap();
                    whole.replace_range(at..=end, "made-up-made-up-made-up");
                }
            }
            whole = whole.replace("\"customers.d\"", &format!("{:?}", secrets.path().join("customers.d")));
            whole = whole.replace("sha256 = \"...\"", &format!("sha256 = \"{}\"", "0".repeat(64)));
            for (table, around) in AROUND {
                let any = if table == "[sources.acme]" { "[sources." } else { table };
                let has = whole.lines().any(|line| line.starts_with(any));
                if !has {
                    whole += &format!("\n{around}");
                }
            }
            let loaded = config::parse(&whole, Format::Toml, "", &environment);
            let loaded = loaded.unwrap_or_else(|error| panic!("{page}\n{block}\n{error}"));
            assert!(!loaded.config.sinks.is_empty(), "{page}");
            read += 1;
        }
    }
    assert!(read > 8, "{read}");
}

/// A verb in the middle of a sentence is one that there is.
#[test]
fn verbs_that_the_pages_name_are_there() {
    let help = output(&mut command(BINARY, &["--help"])).expect(0, &[]).stdout;
    let listed = help.split("Commands:").nth(1).unwrap();
    let verbs: BTreeSet<&str> = listed
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(verbs.contains("run") && verbs.contains("audit"), "{verbs:?}");
    for (page, text) in pages() {
        for part in text.split("`tributary ").skip(1) {
            let verb = part.split([' ', '`']).next().unwrap();
            assert!(verb.starts_with('-') || verbs.contains(verb), "{page}: {verb}");
        }
    }
}

#[test]
fn links_of_the_pages_lead_somewhere() {
    for (page, text) in pages() {
        let folder = root().join(&page).parent().unwrap().to_owned();
        for part in text.split("](").skip(1) {
            let link = part.split(')').next().unwrap();
            if link.starts_with("http") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { root().join(&page) } else { folder.join(path) };
            assert!(target.exists(), "{page}: {link}");
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&target).unwrap();
                assert!(text.lines().any(|line| line.starts_with('#') && slug(line) == anchor), "{page}: {link}");
            }
        }
    }
}

/// As the common renderers name a heading.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
