//! The verbs that have to do with the configuration: `schema`, `generate`, `completion`, `validate --json`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tributary_tests::process::{Output, command, output};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const SINKS: [&str; 12] = [
    "elasticsearch",
    "file",
    "http",
    "kafka",
    "nats",
    "object_store",
    "otlp",
    "splunk_hec",
    "stdout",
    "sumo",
    "syslog",
    "vector",
];

fn call(arguments: &[&str]) -> Output {
    output(&mut command(BINARY, arguments))
}

fn schema() -> Value {
    call(&["schema"]).expect(0, &[]).json()
}

/// A configuration as an editor sees it: nothing is filled in.
fn tree(path: &Path, text: &str) -> Value {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap(),
        Some("yaml" | "yml") => serde_saphyr::from_str(text).unwrap(),
        _ => serde_json::from_str(text).unwrap(),
    }
}

fn toml_tree(text: &str) -> Value {
    tree(Path::new("a.toml"), text)
}

/// All configurations under `examples/` and `packaging/`. Folders of customers and other products' files are none.
fn examples() -> Vec<PathBuf> {
    let folders = ["examples/configurations", "examples/sinks", "examples/pipelines", "packaging/docker/configuration"];
    let files = folders
        .into_iter()
        .flat_map(|folder| fs::read_dir(Path::new(ROOT).join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    let ours = |path: &PathBuf| {
        let text = if path.is_file() { fs::read_to_string(path).unwrap() } else { String::new() };
        text.contains("type = \"mimecast\"") || text.contains("type: mimecast")
    };
    files.filter(ours).collect()
}

#[test]
fn the_schema_takes_what_is_right() {
    let validator = jsonschema::validator_for(&schema()).expect("a schema");
    let examples = examples();
    assert!(
        examples.len() >= 19 && examples.iter().any(|path| path.ends_with("docker/configuration/tributary.toml")),
        "{examples:?}"
    );
    for path in examples {
        let tree = tree(&path, &fs::read_to_string(&path).unwrap());
        let errors: Vec<String> =
            validator.iter_errors(&tree).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

/// A customer's file has the keys of a source, and what is missing stands in the template.
#[test]
fn the_schema_takes_the_files_of_customers() {
    let validator = jsonschema::validator_for(&schema()).expect("a schema");
    let folder = Path::new(ROOT).join("examples/configurations");
    let main = toml_tree(&fs::read_to_string(folder.join("provider.toml")).unwrap());
    let template = main["templates"]["customers"].as_object().unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(folder.join("customers.d")).unwrap() {
        let path = entry.unwrap().path();
        let own = tree(&path, &fs::read_to_string(&path).unwrap());
        let mut source = template.clone();
        source.remove("folder");
        source.extend(own.as_object().cloned().unwrap_or_default());
        let tree = json!({ "sources": { "a": source }, "sinks": main["sinks"] });
        let errors: Vec<String> = validator.iter_errors(&tree).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
        let mut wrong = tree.clone();
        wrong["sources"]["a"]["qouta_share"] = json!(0.5);
        assert!(!validator.is_valid(&wrong), "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 2, "{seen}");
}

#[test]
fn the_schema_refuses_what_is_wrong() {
    let validator = jsonschema::validator_for(&schema()).expect("a schema");
    let good = "max_in_flight_bytes = 268435456\n[limits]\ncpu_secs = 5\n\
                [sources.a]\ntype = 'mimecast'\nclient_id = 'x'\nclient_secret = '${X}'\ncollect = ['siem']\n\
                retry_for_secs = '${SECS:-60}'\nintervals = { audit = '${SPAN}' }\negress_mode = 'enforce'\n\
                [[sources.a.rules]]\ntype = 'mask'\nfield = 'a'\n\
                [sinks.s]\ntype = 'http'\ninputs = ['*']\nuri = 'https://h'\nbatch = { max_events = '10' }\n\
                request = { concurrency = 4 }\n[sinks.s.where]\nclasses = [4009]\n\
                [[tests]]\nname = 'x'\ninput = { source = 'a', body = {} }\nno_outputs_from = 's'\n";
    assert!(validator.is_valid(&toml_tree(good)), "{:?}", validator.iter_errors(&toml_tree(good)).next());
    for (from, to) in [
        ("max_in_flight_bytes", "max_in_flight_byte"),
        ("268435456", "'256 MiB'"),
        ("268435456", "1"),
        ("cpu_secs = 5", "cpu_secs = 0"),
        ("cpu_secs", "cpu_seconds"),
        ("'mimecast'", "5"),
        ("client_secret", "client_secrt"),
        ("client_id = 'x'", "client_id = 5"),
        ("client_secret = '${X}'\n", ""),
        ("audit = '${SPAN}'", "audit = 'soon'"),
        ("retry_for_secs = '${SECS:-60}'", "retry_for_secs = 'an hour'"),
        ("'enforce'", "'enforced'"),
        ("'mask'", "'maks'"),
        ("field = 'a'", "feild = 'a'"),
        ("type = 'http'", "type = 'htp'"),
        ("inputs = ['*']\n", ""),
        ("uri = 'https://h'\n", ""),
        ("max_events = '10'", "max_events = 0"),
        ("max_events", "max_event"),
        ("concurrency = 4", "concurrency = 'adaptiv'"),
        ("classes = [4009]", "classes = ['4009']"),
        ("name = 'x'", "name = []"),
        ("source = 'a', ", ""),
        ("no_outputs_from = 's'", "no_output_from = 's'"),
    ] {
        assert!(good.contains(from), "{from}");
        let wrong = good.replacen(from, to, 1);
        assert!(!validator.is_valid(&toml_tree(&wrong)), "{from} -> {to}");
    }
}

#[test]
fn a_component_that_is_not_built_in_has_keys_of_its_own() {
    let validator = jsonschema::validator_for(&schema()).expect("a schema");
    let tree = |source: Value| json!({ "sources": { "a": source }, "components": { "other": { "path": "/x.wasm" } } });
    assert!(validator.is_valid(&tree(json!({ "type": "other", "what": [1], "quota_share": 0.5 }))));
    assert!(!validator.is_valid(&tree(json!({ "type": "other", "what": [1], "quota_share": 2 }))));
    assert!(!validator.is_valid(&tree(json!({ "what": [1] }))));
}

#[test]
fn schema_and_describe_agree() {
    let described = call(&["describe", "--format", "json"]).expect(0, &[]).json();
    let own = described["config_schema"]["properties"].as_object().unwrap().clone();
    let schema = schema();
    let source = &schema["$defs"]["sources"]["anyOf"][0];
    assert_eq!(source["properties"]["type"]["const"], "mimecast");
    assert_eq!(source["additionalProperties"], false);
    let all = source["properties"].as_object().unwrap();
    let host = schema["$defs"]["sources"]["anyOf"][1]["properties"].as_object().unwrap();
    for (key, said) in &own {
        // The tenant is the host's too.
        assert!(host.contains_key(key) || all[key]["description"] == said["description"], "{key}");
    }
    assert_eq!(all.len(), own.keys().chain(host.keys()).collect::<std::collections::BTreeSet<_>>().len());
    assert!(own.len() > 20 && host.len() > 10);
}

#[test]
fn the_page_of_all_keys_is_this_versions() {
    let page = call(&["schema", "--format", "markdown"]).expect(0, &["| `client_secret` |", "| `max_refused_share` |"]);
    let path = Path::new(ROOT).join("docs/configuration.md");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page.stdout,
        "docs/configuration.md is not what this version has. Run: tributary schema --format markdown > docs/configuration.md"
    );
    // No link leads nowhere.
    let anchor = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        kept.trim().to_lowercase().replace(' ', "-")
    };
    let headings: Vec<String> = committed
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect();
    for link in committed.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(headings.iter().any(|heading| heading == link), "#{link}");
    }
}

/// Writes what was generated, and judges it with a value for each variable that it names.
fn judged(text: &str, file: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    fs::write(&path, text).unwrap();
    let mut validate = command(BINARY, &["--config", path.to_str().unwrap(), "validate", "--no-environment"]);
    for name in text.split("${").skip(1).filter_map(|rest| rest.split('}').next()) {
        // base64, which the keys of API 1.0 must be; and where a whole address is secret, an address.
        let value = if name.ends_with("ENDPOINT") { "https://collectors.example/receiver/x" } else { "c2VjcmV0" };
        validate.env(name, value);
    }
    output(&mut validate)
}

/// Good, or wrong only for clients that were left out of the build.
#[track_caller]
fn expect_good(text: &str, file: &str) {
    let said = judged(text, file);
    let problems: Vec<&str> = said.stdout.lines().filter(|line| line.starts_with("  ")).collect();
    let left_out = problems.iter().filter(|line| line.contains("is not in this build")).count();
    let good = if left_out == 0 { said.code == Some(0) } else { problems.len() == left_out };
    assert!(good, "{text}\n{said:?}");
}

/// A line of a comment that is a key.
fn is_off(line: &str) -> bool {
    let key = line.strip_prefix("# ").and_then(|line| line.split_once(" = "));
    key.is_some_and(|(key, _)| key.chars().all(|c| c == '_' || c.is_ascii_lowercase()))
}

#[test]
fn what_is_generated_is_good() {
    // Each call compiles the component once more, so all sinks stand in one configuration.
    let sinks: Vec<&str> = SINKS.iter().flat_map(|sink| ["--sink", sink]).collect();
    let text = call(&[&["generate"], &sinks[..]].concat()).expect(0, &["[sources.acme]", "client_secret"]).stdout;
    expect_good(&text, "t.toml");
    let old = ["generate", "--api", "1.0", "--id", "7-eleven", "--format", "yaml"];
    expect_good(&call(&[&old, &sinks[..]].concat()).expect(0, &["sources:", "secret_key"]).stdout, "t.yaml");

    let validator = jsonschema::validator_for(&schema()).expect("a schema");
    let errors = |text: &str| -> Vec<String> {
        let tree = toml_tree(text);
        let errors = validator.iter_errors(&tree);
        errors.map(|error| format!("{}: {error}", error.instance_path())).collect()
    };
    assert!(errors(&text).is_empty(), "{:#?}\n{text}", errors(&text));
    for (kind, table) in toml_tree(&text)["sinks"].as_object().unwrap() {
        assert_eq!(table["type"].as_str().unwrap(), kind.replace('-', "_"));
    }
    // What is switched off is right too.
    let on: String = text.lines().map(|line| format!("{}\n", if is_off(line) { &line[2..] } else { line })).collect();
    assert!(toml_tree(&on)["sources"]["acme"].as_object().unwrap().len() > 10, "{on}");
    assert!(errors(&on).is_empty(), "{:#?}\n{on}", errors(&on));

    call(&["generate", "--sink", "sumologic"]).expect(64, &["sumo"]);
    call(&["generate", "--id", "a.b"]).expect(64, &["letters"]);
}

#[test]
fn what_is_generated_for_a_folder_needs_no_other_and_no_variable() {
    let folder = tempfile::tempdir().unwrap();
    let (secrets, file) = (folder.path().join("secrets"), folder.path().join("t.toml"));
    let names = ["acme_client_id", "acme_client_secret", "splunk_token"];
    fs::create_dir(&secrets).unwrap();
    let write = |name: &str| {
        fs::write(secrets.join(name), "c2VjcmV0\n").unwrap();
        fs::set_permissions(secrets.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    names.iter().for_each(|name| write(name));
    // As it is typed: from where somebody stands.
    let generated = |more: &[&str]| {
        let arguments =
            ["generate", "--folder", "mail", "--secrets", "secrets", "--sink", "file", "--sink", "splunk_hec"];
        let mut generate = command(BINARY, &[&arguments[..], more].concat());
        output(generate.current_dir(folder.path())).expect(0, &[]).stdout
    };
    let text = generated(&[]);
    assert_eq!(text.matches("${").count(), text.matches("${NAME}").count(), "{text}");
    for name in names {
        assert!(text.contains(&format!("\"SECRET[files.{name}]\"")), "{text}");
    }
    fs::write(&file, &text).unwrap();
    let validate = ["--config", file.to_str().unwrap(), "validate", "--deny-warnings"];
    let mail = folder.path().join("mail").display().to_string();
    call(&validate).expect(0, &[&format!("{mail}/state"), &format!("{mail}/events")]);
    fs::remove_file(secrets.join(names[0])).unwrap();
    call(&validate).expect(78, &[names[0]]);
    write(names[0]);
    expect_good(&generated(&["--format", "yaml"]), "t.yaml");
}

const SUMO_2: &str = r#"{
  "api.version": "v1",
  "source": {
    "config": {
      "name": "Mimecast EU", "description": "first\nsecond", "category": "email/mimecast",
      "fields": { "_siemForward": true, "team": "soc $1" },
      "clientID": "planted-id", "clientSecret": "planted-secret", "dataCollection": ["siem", "auditEvent", "holdMessageList", "planted-set"],
      "pollingIntervalMin": 10, "startTime": "2026-01-01T00:00:00Z", "planted_key": "planted-value"
    },
    "schemaRef": { "type": "Mimecast" }, "sourceType": "Universal"
  }
}"#;

const SUMO_1: &str = r#"{
  "name": "old", "domain": "eu-api.mimecast.com", "application_id": "planted-a", "application_key": "${OWN_KEY}",
  "access_key": "planted-b", "secret_key": "********", "supported_apis": ["SIEM", "DLP", "Audit Events", "Hold Message List"]
}"#;

#[test]
fn a_source_of_sumo_logic_becomes_ours() {
    let folder = tempfile::tempdir().unwrap();
    let import = |text: &str, more: &[&str]| {
        let path = folder.path().join("source.json");
        fs::write(&path, text).unwrap();
        call(&[&["generate", "--from-sumo", path.to_str().unwrap()], more].concat())
    };
    let said = import(SUMO_2, &[]).expect(0, &[]);
    assert!(!said.text().contains("planted-"), "{said:?}");
    for what in ["_siemForward", "planted_key", "dataCollection"] {
        let in_comment = said.stdout.lines().any(|line| line.starts_with('#') && line.contains(what));
        assert!(in_comment && said.stderr.contains(what), "{what}: {said:?}");
    }
    expect_good(&said.stdout, "t.toml");
    let own = toml_tree(&said.stdout)["sources"]["mimecast-eu"].clone();
    let expected = json!({
        "type": "mimecast", "api": "2.0", "tenant": "Mimecast EU", "client_id": "${MIMECAST_EU_CLIENT_ID}",
        "client_secret": "${MIMECAST_EU_CLIENT_SECRET}", "collect": ["siem", "audit", "held/messages"],
        "intervals": { "siem": "10m", "audit": "10m", "held/messages": "10m" }, "start_at": "2026-01-01T00:00:00Z",
        "category": "email/mimecast", "fields": { "team": "soc $$1" },
    });
    assert_eq!(own, expected);

    for (format, file) in [("toml", "t.toml"), ("yaml", "t.yaml")] {
        let said = import(SUMO_1, &["--format", format, "--sink", "sumo", "--id", "one"]).expect(0, &[]);
        assert!(!said.text().contains("planted-") && !said.text().contains("****"), "{said:?}");
        expect_good(&said.stdout, file);
        let own = tree(Path::new(file), &said.stdout)["sources"]["one"].clone();
        let expected = json!({
            "type": "mimecast", "api": "1.0", "tenant": "old", "app_id": "${ONE_APP_ID}", "app_key": "${OWN_KEY}",
            "access_key": "${ONE_ACCESS_KEY}", "secret_key": "${ONE_SECRET_KEY}", "base_url": "https://eu-api.mimecast.com",
            "collect": ["siem", "dlp", "audit", "held/messages"],
            "intervals": { "siem": "5m", "dlp": "5m", "audit": "5m", "held/messages": "5m" },
        });
        assert_eq!(own, expected);
    }

    import("{\"clientSecret\": \"planted-secret\"", &[]).expect(65, &["is no JSON", "JSON symbol"]);
    let other = import("{\"source\": {\"config\": {\"name\": \"Okta\", \"apiKey\": \"planted-x\"}}}", &[]);
    assert!(!other.expect(65, &["no Mimecast source"]).text().contains("planted-"));
    call(&["generate", "--from-sumo", "/nowhere/source.json"]).expect(66, &["/nowhere/source.json"]);
}

#[test]
fn shells_complete_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        call(&["completion", shell]).expect(0, &["generate", "dead-letters", "from-sumo", "no-environment"]);
    }
    call(&["completion", "cmd"]).expect(64, &["bash"]);
}

const MANY_MISTAKES: &str = r#"
data_dri = "/tmp/x"
max_concurrent_pulls = 0
[limits]
cpu_secs = "soon"
[sources.acme]
type = "mimcast"
quota_share = 2
[sources.third]
type = "mimecast"
client_id = "x"
foo = 1
region = "eu"
collect = ["mail"]
start_at = "yesterday"
[sources.other]
type = "mimecast"
client_secret = "${SURELY_NOT_SET}"
on_position_lost = "nwo"
[[sources.other.rules]]
type = "mask"
field = "a"
key = "x"
[sinks.web]
type = "http"
inputs = ["acme"]
batch = { max_event = 1 }
[sinks.files]
type = "file"
inputs = ["acme"]
path = "/tmp/y"
where = { classes = "4009" }
[[tests]]
name = "one"
input = { source = "other", event = 1 }
no_outputs_from = ["files"]
"#;

#[test]
fn all_mistakes_are_named_in_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    fs::write(&path, MANY_MISTAKES).unwrap();
    let paths = [
        "data_dri",
        "max_concurrent_pulls",
        "limits.cpu_secs",
        "sources.acme.type",
        "sources.acme.quota_share",
        "sources.third.foo",
        "sources.third.region",
        "sources.third.collect",
        "sources.third.start_at",
        "sources.third.client_secret",
        "sources.other.client_id",
        "sources.other.client_secret",
        "sources.other.on_position_lost",
        "sources.other.rules[0].key",
        "sinks.web.uri",
        "sinks.web.batch.max_event",
        "sinks.files.where.classes",
        "tests[0].input.body",
        "tests[0].input.event",
    ];
    let arguments = ["--config", path.to_str().unwrap(), "validate"];
    let said = call(&arguments).expect(78, &["x Top level", "x Sources", "x Sinks", "√ Parse"]);
    for path in paths {
        assert!(said.stdout.lines().any(|line| line.starts_with(&format!("  {path}: "))), "{path}: {said:?}");
    }
    let said = call(&[&arguments[..], &["--json"]].concat()).expect(78, &[]).json();
    let problems = said["steps"].as_array().unwrap().iter().flat_map(|step| step["problems"].as_array().unwrap());
    let told = |problem: &Value| {
        problem["message"].as_str().is_some_and(|text| !text.is_empty()) && problem["hint"].is_string()
    };
    let mut found: Vec<&str> = problems
        .inspect(|problem| assert!(told(problem), "{problem}"))
        .map(|problem| problem["path"].as_str().unwrap())
        .collect();
    found.sort_unstable();
    let mut expected = paths.to_vec();
    expected.push("sinks.web.uri");
    expected.sort_unstable();
    expected.dedup();
    found.dedup();
    assert_eq!(found, expected);
    assert_eq!((&said["ok"], &said["steps"][0]["ok"]), (&json!(false), &json!(true)));

    let good = Path::new(ROOT).join("examples/sinks/file.toml");
    let mut validate = command(BINARY, &["--config", good.to_str().unwrap(), "validate", "--no-environment", "--json"]);
    let said = output(validate.env("ACME_CLIENT_ID", "x").env("ACME_CLIENT_SECRET", "x")).expect(0, &[]).json();
    assert_eq!(said["ok"], true, "{said}");
    assert!(said["steps"].as_array().unwrap().iter().all(|step| step["ok"] == true));
}
