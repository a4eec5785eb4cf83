//! The command as an operator meets it: what each verb says, with which exit code, and what it never does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mimecast_simulator as sim;
use mimecast_simulator::{Endpoint, Fault, Kind, Reset, When};
use serde_json::Value;
use tributary_tests::process::{Output, Process, command, output, until};
use tributary_tests::world::{configuration, quota, serve};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");

/// A server for one tenant, and a folder for a configuration.
struct Site {
    server: sim::Server,
    folder: tempfile::TempDir,
    tenant: sim::Tenant,
}

impl Site {
    fn new(tenant: sim::Tenant) -> Self {
        Self::at(tenant, sim::Clock::real())
    }

    fn at(tenant: sim::Tenant, clock: sim::Clock) -> Self {
        let settings =
            sim::Settings { backlog_ms: 6 * 3_600_000, tenants: vec![tenant.clone()], ..sim::Settings::default() };
        let server = serve(clock, settings);
        Self { server, folder: tempfile::tempdir().unwrap(), tenant }
    }

    fn v2() -> Self {
        Self::new(sim::Tenant::v2("acme", 600))
    }

    fn v1() -> Self {
        Self::new(sim::Tenant::v1("initech", 600))
    }

    /// The configuration that an operator would write.
    fn good(&self) -> String {
        let tenants = std::slice::from_ref(&self.tenant);
        configuration(self.folder.path(), &self.server.api_url, tenants, quota(&self.tenant), "")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("tributary.toml")
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    /// Runs a verb with a configuration.
    fn call(&self, text: &str, verb: &str) -> Output {
        self.write(text);
        output(&mut command(BINARY, &["--config", self.file().to_str().unwrap(), "--log-level", "warn", verb]))
    }

    fn inject(&self, fault: Fault) {
        self.server.simulator().inject(&self.tenant.name, fault, When::Always).unwrap();
    }

    fn requests(&self) -> usize {
        self.server.simulator().log().count()
    }

    fn secrets(&self) -> Vec<String> {
        match self.tenant.credentials.clone() {
            sim::Credentials::V2 { client_id, client_secret } => vec![client_id, client_secret],
            sim::Credentials::V1 { app_key, access_key, secret_key, .. } => vec![app_key, access_key, secret_key],
        }
    }
}

/// One wrong input: how a good configuration becomes it, and what the operator must read.
struct Bad {
    what: &'static str,
    text: String,
    words: Vec<&'static str>,
}

fn bad_inputs(site: &Site) -> Vec<Bad> {
    let good = site.good();
    let v2 = site.tenant.generation() == sim::Generation::V2;
    let url = &site.server.api_url;
    let without = |key: &str| {
        good.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect::<String>()
    };
    let bad = |what, text: String, words: &[&'static str]| {
        assert_ne!(text, good, "{what}");
        Bad { what, text, words: words.to_vec() }
    };
    let also = |line: &str| good.replace("insecure_http = true\n", &format!("insecure_http = true\n{line}\n"));
    let mut inputs = if !v2 {
        Vec::new()
    } else {
        vec![
            bad("malformed TOML", good.replace("type = \"file\"", "type = \"file"), &["Parse", "tributary.toml"]),
            bad("an unknown key of a sink", good.replace("inputs", "input"), &["sinks.files.input", "inputs"]),
            bad("an unknown key of a source", also("colect = [\"siem\"]"), &["colect", "collect"]),
            bad(
                "a slip of a key of the host",
                also("qouta_share = 0.5"),
                &["sources.acme.qouta_share", "`quota_share`"],
            ),
            bad("an unknown stream", also("collect = [\"siem/recepit\"]"), &["siem/recepit", "siem"]),
            bad("a base URL with a path", good.replace(url, &format!("{url}/api")), &["base_url", "path"]),
            bad("a base URL without TLS", without("insecure_http"), &["base_url", "https"]),
            bad(
                "unknown quotas",
                also(
                    "quotas.siem-bach = { requests = 50, window_secs = 1 }\n\
                     quotas.none = { requests = 50, window_secs = 1 }",
                ),
                &["sources.acme.quotas.siem-bach", "sources.acme.quotas.none", "choose from"],
            ),
            bad(
                "an unknown quota beside another mistake",
                also("start_at = \"soon\"\nquotas.siem-bach = { requests = 50, window_secs = 1 }"),
                &["sources.acme.quotas.siem-bach", "sources.acme.start_at"],
            ),
        ]
    };
    if v2 {
        inputs.push(bad("no secret", without("client_secret"), &["client_secret"]));
        inputs.push(bad("keys of API 1.0", also("app_id = \"x\""), &["app_id", "1.0"]));
    } else {
        inputs.push(bad("no secret key", without("secret_key"), &["secret_key"]));
        inputs.push(bad("keys of API 2.0", also("client_id = \"x\""), &["client_id", "2.0"]));
        let wrong = good.replace("secret_key = \"", "secret_key = \"*");
        inputs.push(bad("a secret key that is no base64", wrong, &["secret_key", "base64"]));
    }
    inputs
}

#[test]
fn bad_input_is_told_before_anything_is_fetched() {
    for site in [Site::v2(), Site::v1()] {
        let good = site.call(&site.good(), "validate");
        assert_eq!(good.code, Some(0), "{good:?}");
        assert!(good.stdout.ends_with("The configuration can be run.\n"), "{good:?}");
        for Bad { what, text, words } in bad_inputs(&site) {
            // Each call compiles the component once more, so not every one is tried with every verb.
            let verbs: &[&str] = if what.contains("stream") { &["validate", "run", "check"] } else { &["validate"] };
            for verb in verbs {
                let said = site.call(&text, verb);
                assert_eq!(said.code, Some(78), "{what}, {verb}: {said:?}");
                for word in &words {
                    assert!(said.text().contains(word), "{what}, {verb}: no {word:?} in {said:?}");
                }
                assert!(!said.text().contains("panicked"), "{what}: {said:?}");
                for secret in site.secrets() {
                    assert!(!said.text().contains(&secret), "{what}, {verb}: a secret is told");
                }
            }
        }
        assert_eq!(site.requests(), 0, "something was fetched");
        assert!(!site.state().exists());
    }
}

#[test]
fn a_configuration_that_is_not_there_is_told() {
    let missing = output(&mut command(BINARY, &["--config", "/nowhere/tributary.toml", "validate"]));
    assert_eq!(missing.code, Some(78));
    assert!(missing.text().contains("/nowhere/tributary.toml") && missing.text().contains("--config"), "{missing:?}");
}

#[test]
fn state_that_cannot_be_used_is_told_before_anything_is_fetched() {
    let site = Site::v2();
    let state = site.state();
    let file = state.join("state.redb");
    let refused = |what: &str, code: i32, path: &Path, words: &[&str]| {
        let said = site.call(&site.good(), "run");
        assert_eq!(said.code, Some(code), "{what}: {said:?}");
        let path = path.display().to_string();
        for word in words.iter().copied().chain([&*path]) {
            assert!(said.stderr.contains(word), "{what}: no {word:?} in {}", said.stderr);
        }
        assert_eq!(site.requests(), 0, "{what}");
    };
    // A file where the folder must be.
    fs::write(&state, "").unwrap();
    refused("no folder", 74, &state, &["Check the disk and the folder"]);
    let judged = site.call(&site.good(), "validate");
    assert_eq!(judged.code, Some(78), "{judged:?}");
    assert!(judged.stdout.contains("x data_dir is writable"), "{judged:?}");
    fs::remove_file(&state).unwrap();

    // In use. The lock is what counts, not what the file says.
    fs::create_dir(&state).unwrap();
    let lock = fs::File::create(state.join("lock")).unwrap();
    lock.lock().unwrap();
    refused("in use", 75, &state, &["is in use by", "set data_dir to another folder"]);
    drop(lock);

    // Damaged, and left as it is.
    fs::write(&file, b"this is no database at all").unwrap();
    refused("damaged", 74, &file, &["is damaged", "move the file away", "has not been touched"]);
    assert_eq!(fs::read(&file).unwrap(), b"this is no database at all");
    fs::remove_file(&file).unwrap();

    // A healthy one, into which a newer release has written.
    let process = {
        site.write(&site.good());
        Process::run(BINARY, &site.file())
    };
    assert!(until(Duration::from_secs(60), || site.server.simulator().count(Endpoint::Audit) > 0));
    process.signal("TERM");
    assert_eq!(process.wait(Duration::from_secs(60)).0.code(), Some(0));
    let before = site.requests();
    assert!(before > 0, "the lawful neighbour fetches");
    {
        let database = redb::Database::open(&file).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(redb::TableDefinition::<&str, u64>::new("meta")).unwrap().insert("format", 99).unwrap();
        transaction.commit().unwrap();
    }
    let bytes = fs::read(&file).unwrap();
    let said = site.call(&site.good(), "run");
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(said.stderr.contains("newer release (format 99") && said.stderr.contains("state.redb"), "{said:?}");
    assert!(fs::read(&file).unwrap() == bytes, "it was changed");
    assert_eq!(site.requests(), before);
}

#[test]
fn check_says_what_each_refusal_means_and_stores_nothing() {
    use Endpoint::{Audit, SiemBatch, SiemLogs};
    for site in [Site::v2(), Site::v1()] {
        let said = site.call(&site.good(), "check");
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.stdout.contains("the credentials are accepted"), "{said:?}");
        let streams = if site.tenant.generation() == sim::Generation::V2 { 26 } else { 12 };
        assert_eq!(said.stdout.matches('√').count(), 1 + streams, "{said:?}");
        assert!(!site.state().exists() && !site.folder.path().join("events").exists(), "something was stored");
    }
    let status = |at, status| Fault::Status { at, status };
    type Case = (fn() -> Site, Fault, i32, &'static [&'static str]);
    let faults: [Case; 8] = [
        (
            Site::v2,
            Fault::Forbidden { at: SiemBatch, kind: Some(Kind::Av) },
            0,
            &["siem/av", "not licensed", "product"],
        ),
        (Site::v2, Fault::TooManyRequests { at: Audit, reset: Reset::RetryAfter(7) }, 75, &["audit", "429"]),
        (Site::v2, status(Audit, 503), 75, &["audit", "503", "tried again"]),
        (Site::v2, status(SiemBatch, 400), 75, &["siem/receipt", "400"]),
        (Site::v2, status(SiemBatch, 404), 75, &["siem/receipt", "404", "base_url"]),
        (Site::v1, Fault::BindingExpired { at: SiemLogs }, 77, &["418", "expired", "Never Expires"]),
        (Site::v1, Fault::DeveloperKey { at: SiemLogs }, 78, &["app_id"]),
        (Site::v1, Fault::WrongRegion { at: Audit }, 78, &["audit", "region"]),
    ];
    for (site, fault, code, words) in faults {
        let site = site();
        site.inject(fault.clone());
        let said = site.call(&site.good(), "check");
        assert_eq!(said.code, Some(code), "{fault:?}: {said:?}");
        assert!(said.stdout.contains("√"), "{fault:?}: the others are fine: {said:?}");
        assert!(words.iter().all(|word| said.stdout.contains(word)), "{fault:?}: {said:?}");
    }
    // What was asked for by name and is refused is an error.
    let site = Site::v2();
    site.inject(Fault::Forbidden { at: SiemBatch, kind: Some(Kind::Av) });
    let named = site.good().replace("[sources.acme]", "[sources.acme]\ncollect = [\"siem/av\", \"audit\"]");
    let said = site.call(&named, "check");
    assert_eq!(said.code, Some(77), "{said:?}");
    assert!(["siem/av", "403", "product"].iter().all(|word| said.stdout.contains(word)), "{said:?}");
}

#[test]
fn validate_warns_of_names_that_stand_for_nothing() {
    let site = Site::v2();
    let good = site.good().replace(
        "[sinks.files]",
        "[sinks.files]\nwhere = { streams = [\"siem/*\", \"audit\"], kinds = [\"receipt\"] }",
    );
    let said = site.call(&good, "validate");
    assert!(said.code == Some(0) && !said.stdout.contains("no source that it sees"), "{said:?}");
    let rule = "[[sinks.files.rules]]\ntype = \"exclude\"\nstreams = [\"siem/reciept\"]\n";
    let said = site.call(&(good.replace("receipt", "reciept") + rule), "validate");
    assert_eq!(said.code, Some(0), "{said:?}");
    for warning in [
        "sinks.files.where: no source that it sees has a kind `reciept`",
        "sinks.files.rules[0]: no source that it sees has a stream `siem/reciept`",
    ] {
        assert!(said.stdout.contains(warning), "{warning}: {said:?}");
    }
}

#[test]
fn check_asks_the_far_side_of_sinks_too() {
    let site = Site::v2();
    // Nobody listens where somebody did a moment ago.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sink =
        |uri: &str| format!("{}\n[sinks.far]\ntype = \"http\"\ninputs = [\"*\"]\nuri = \"{uri}\"\n", site.good());
    let said = site.call(&sink(&site.server.api_url), "check");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stdout.contains("√ sinks.far"), "{said:?}");
    let said = site.call(&sink(&format!("http://{gone}/events")), "check");
    assert_eq!(said.code, Some(75), "{said:?}");
    assert!(said.stdout.contains("x sinks.far: ") && said.stdout.contains("refused"), "{said:?}");
}

#[test]
fn check_tells_wrong_credentials_and_wrong_ways_apart() {
    let (two, one) = (Site::v2(), Site::v1());
    let skewed = |by_ms: i64| {
        let now = sim::Clock::real();
        sim::Clock::new(move || now.now().saturating_add_signed(by_ms))
    };
    let behind = Site::at(sim::Tenant::v1("initech", 600), skewed(3_600_000));
    let ahead = Site::at(sim::Tenant::v2("acme", 600), skewed(-600_000));
    let wrong = |site: &Site, key: &str| {
        let begin = format!("{key} = \"");
        let (head, tail) = site.good().split_once(&begin).map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let (value, rest) = tail.split_once('"').unwrap();
        // Most letters the other way round; the end stays, so that base64 stays base64.
        let (turned, end) = value.split_at(value.len() - 8);
        let turned: String = turned.chars().rev().collect();
        format!("{head}{begin}{turned}{end}\"{rest}")
    };
    let closed = "http://127.0.0.1:9";
    let url = |site: &Site, to: &str| site.good().replace(&site.server.api_url, to);
    let cases: [(&str, &Site, String, i32, &[&str]); 9] = [
        ("a wrong secret", &two, wrong(&two, "client_secret"), 77, &["401", "client_secret"]),
        ("a wrong id", &two, wrong(&two, "client_id"), 77, &["401", "client_id"]),
        ("a wrong access key", &one, wrong(&one, "access_key"), 77, &["401", "access_key"]),
        ("a wrong secret key", &one, wrong(&one, "secret_key"), 77, &["401", "secret_key"]),
        ("a wrong application", &one, wrong(&one, "app_id"), 78, &["app_id"]),
        ("a closed port", &two, url(&two, closed), 75, &["127.0.0.1:9", "refused"]),
        (
            "an unknown name",
            &two,
            url(&two, "https://nowhere.invalid").replace("insecure_http = true\n", ""),
            75,
            &["nowhere.invalid", "base_url"],
        ),
        ("a clock behind", &behind, behind.good(), 77, &["clock", "behind"]),
        ("a clock ahead", &ahead, ahead.good(), 75, &["clock is", "ahead of", "NTP"]),
    ];
    for (what, site, text, code, words) in cases {
        let said = site.call(&text, "check");
        assert_eq!(said.code, Some(code), "{what}: {said:?}");
        assert!(words.iter().all(|word| said.stdout.contains(word)), "{what}: {said:?}");
        for secret in site.secrets() {
            assert!(!said.text().contains(&secret), "{what}: a secret is told");
        }
    }
}

#[test]
fn it_says_what_it_is() {
    let short = output(&mut command(BINARY, &["-V"]));
    assert_eq!((short.code, short.stdout.trim()), (Some(0), concat!("tributary ", env!("CARGO_PKG_VERSION"))));
    let said = output(&mut command(BINARY, &["--version"]));
    let (first, facts) = said.stdout.trim_end().split_once('\n').unwrap();
    assert_eq!((said.code, first), (Some(0), short.stdout.trim()));
    let facts: BTreeMap<&str, &str> = facts.lines().map(|line| line.split_once(": ").unwrap()).collect();
    let run = |program: &str, arguments: &[&str]| {
        let ran = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        String::from_utf8(ran.stdout).unwrap().split_whitespace().next().unwrap_or_default().to_owned()
    };
    let lock = run("sha256sum", &["../Cargo.lock"]);
    assert_eq!((facts["cargo-lock-sha256"], facts["component-cargo-lock-sha256"]), (&*lock, &*lock));
    assert_eq!(facts["component"], concat!("mimecast ", env!("CARGO_PKG_VERSION")));
    assert_eq!(facts["component-commit"], facts["commit"]);
    // A development build is not made anew for each commit.
    let commit = run("git", &["rev-parse", "HEAD"]);
    let released = !cfg!(debug_assertions) && commit.len() == 40;
    let expected = if released { commit.as_str() } else { "unknown" };
    assert_eq!(facts["commit"].trim_end_matches("-dirty"), expected);

    // The embedded component, as a file, says the same.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("any.wasm");
    fs::write(&file, tributary_host::COMPONENT).unwrap();
    let digest = run("sha256sum", &[file.to_str().unwrap()]);
    assert_eq!(facts["component-sha256"], digest);
    for arguments in [
        &["describe", "--format", "json"][..],
        &["describe", "--format", "json", "--component", file.to_str().unwrap()],
    ] {
        let said = output(&mut command(BINARY, arguments));
        assert_eq!(said.code, Some(0), "{said:?}");
        let described: Value = serde_json::from_str(&said.stdout).unwrap();
        let stamp = ["name", "version", "sha256", "cargo_lock_sha256"].map(|key| described[key].as_str().unwrap());
        assert_eq!(stamp, ["mimecast", env!("CARGO_PKG_VERSION"), &digest, &lock]);
        assert_eq!(described["commit"].as_str().unwrap_or("unknown"), facts["commit"]);
        assert_eq!(described["config_schema"]["type"], "object");
        let imports: Vec<&str> = described["imports"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(imports.iter().any(|name| name.starts_with("wasi:http/outgoing-handler@")), "{imports:?}");
    }
    let text = output(&mut command(BINARY, &["describe"]));
    let words = ["siem/receipt", "audit", &lock, &digest, "Imports\n  ", "wasi:http/types@"];
    assert!(text.code == Some(0) && words.iter().all(|word| text.stdout.contains(word)), "{text:?}");
    assert_eq!(output(&mut command(BINARY, &["descibe"])).code, Some(64));
    for (path, code, word) in
        [("/nowhere/x.wasm", 66, "cannot read"), ("/etc/passwd", 65, "not a WebAssembly component")]
    {
        let said = output(&mut command(BINARY, &["describe", "--component", path]));
        assert!(said.code == Some(code) && said.stderr.contains(word), "{said:?}");
        assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    }
}

/// Who asks about a state that a host holds without answering is not told that none runs.
#[test]
fn a_host_that_does_not_answer_is_not_called_absent() {
    let site = Site::v2();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("address = \"{port}\"\ntoken = \"0123456789abcdef\"");
    for (api, code) in [("enabled = false", 69), (&address, 0)] {
        site.write(&format!("{}\n[api]\n{api}\n", site.good()));
        let verb = |verb: &str| output(&mut command(BINARY, &["--config", site.file().to_str().unwrap(), verb]));
        verb("status").expect(69, &["no host runs with the state", "Start one with `tributary run`"]);
        let process = Process::run(BINARY, &site.file());
        assert!(until(Duration::from_secs(60), || process.log().contains("tributary runs")), "{}", process.log());
        if code == 0 {
            assert!(until(Duration::from_secs(60), || verb("status").code == Some(0)), "{}", process.log());
        } else {
            let words = ["is in use by another tributary, process", "api.enabled = false"];
            verb("status").expect(code, &words);
            verb("tap").expect(code, &words);
            verb("audit").expect(75, &words);
        }
        // What is wrong is the folder, not the port.
        let second = verb("run").expect(75, &["is in use by another tributary, process", "set data_dir"]);
        assert!(!second.stderr.contains("ddress"), "{second:?}");
        process.signal("TERM");
        assert_eq!(process.wait(Duration::from_secs(60)).0.code(), Some(0));
    }
}

/// A source runs a component from a folder of versions; one whose component is not there, or is another one, is told.
#[test]
fn components_come_from_files_too() {
    let site = Site::v2();
    let folder = site.folder.path().join("components");
    fs::create_dir(&folder).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    fs::write(folder.join(format!("acme-{version}.wasm")), tributary_host::COMPONENT).unwrap();
    fs::write(folder.join("acme-0.0.9.wasm"), tributary_host::COMPONENT).unwrap();
    let text = |more: &str| {
        let good = site.good().replace("type = \"mimecast\"", "type = \"acme\"");
        format!("{good}\n[components.acme]\npath = \"{}\"\n{more}\n", folder.display())
    };
    let good = site.call(&text(""), "validate");
    assert_eq!(good.code, Some(0), "{good:?}");
    let checked = site.call(&text(&format!("version = \"{version}\"")), "check");
    assert!(checked.code == Some(0) && checked.stdout.contains("the credentials are accepted"), "{checked:?}");
    let before = site.requests();
    for (more, words) in [
        ("version = \"7.0.0\"", &["no version 7.0.0", version][..]),
        ("version = \"0.0.9\"", &["says that it is version", "0.0.9"]),
        (&format!("sha256 = \"{}\"", "0".repeat(64)), &["has the SHA-256"]),
    ] {
        for verb in ["validate", "run"] {
            let said = site.call(&text(more), verb);
            assert_eq!(said.code, Some(78), "{more}, {verb}: {said:?}");
            assert!(words.iter().all(|word| said.text().contains(word)), "{more}, {verb}: {said:?}");
        }
    }
    let unknown = site.call(&site.good().replace("type = \"mimecast\"", "type = \"acme\""), "validate");
    assert!(unknown.code == Some(78) && unknown.text().contains("must be one of `mimecast`"), "{unknown:?}");
    assert_eq!(site.requests(), before, "something was fetched");
}
