use std::time::Duration;

use super::*;

fn environment(name: &str) -> Option<String> {
    (name == "ACME_SECRET").then(|| "hunter2".to_owned())
}

fn read(text: &str) -> Result<Loaded, ConfigError> {
    parse(text, Format::Toml, "t.toml", &environment)
}

fn problems(text: &str) -> Vec<String> {
    let error = read(text).unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    error.problems.iter().map(Problem::to_string).collect()
}

const GOOD: &str = r#"
data_dir = "/var/lib/t"
[sources.acme]
type = "mimecast"
client_id = "c"
client_secret = "${ACME_SECRET}"
quota_share = "0.5"
retry_for_secs = 60
on_position_lost = "now"
fields = { customer = "7" }
[sources.other]
type = "mimecast"
tenant = "Other Ltd"
[sinks.files]
type = "file"
inputs = ["acme"]
path = "/out"
compression = "zstd"
[sinks.console]
type = "stdout"
inputs = "acm*"
"#;

#[test]
fn a_good_configuration() {
    let Loaded { config, warnings, .. } = read(GOOD).unwrap();
    let acme = &config.sources["acme"];
    assert_eq!((acme.kind.as_str(), acme.tenant.as_str(), acme.quota_share), ("mimecast", "acme", 0.5));
    assert_eq!((acme.retry_for, acme.on_position_lost), (Duration::from_secs(60), OnPositionLost::Now));
    let settings: Value = serde_json::from_str(acme.settings.as_json()).unwrap();
    assert_eq!(
        settings,
        serde_json::json!({"tenant": "acme", "client_id": "c", "client_secret": "hunter2", "fields": {"customer": "7"}})
    );
    let other = &config.sources["other"];
    assert_eq!((other.tenant.as_str(), other.retry_for), ("Other Ltd", Duration::from_secs(5400)));
    assert_eq!((other.quota_share, other.max_in_flight_bytes), (0.8, 8 << 20));
    assert_eq!(other.on_position_lost, OnPositionLost::Oldest);
    let SinkKind::File(files) = &config.sinks["files"].kind else { panic!() };
    assert_eq!((files.compression, files.max_bytes), (Compression::Zstd, 128 << 20));
    assert_eq!(files.max_age, Duration::from_secs(3600));
    assert!(config.sinks["console"].takes("acme") && !config.sinks["console"].takes("other"));
    assert!(!format!("{config:?}").contains("hunter2"));
    let warnings: Vec<String> = warnings.iter().map(Problem::to_string).collect();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("sources.other: no sink takes what it reads"), "{warnings:?}");
}

#[test]
fn the_default_of_data_dir() {
    let text = GOOD.replace("data_dir = \"/var/lib/t\"", "");
    assert_eq!(read(&text).unwrap().config.data_dir, Path::new("/var/lib/tributary"));
}

#[test]
fn all_problems_at_once() {
    let found = problems(
        r#"
        data_dri = "/x"
        [sources.acme]
        type = "mimecats"
        client_secret = "${NOT_SET}"
        [sources."a.b"]
        type = "mimecast"
        [sources.rest]
        type = "mimecast"
        quota_share = 2
        retry_for_secs = "soon"
        on_position_lost = "latest"
        max_in_flight_bytes = -1
        client_secret = "${ACME_SECRET}"
        [sinks.rest]
        type = "file"
        inputs = ["acme", "rst", "x*"]
        max_byte = 5
        compression = "gzp"
        [sinks.second]
        type = "stdout"
        "#,
    );
    let expected = [
        "sources.acme.client_secret: the environment variable NOT_SET is not set",
        "data_dri: unknown key. Did you mean `data_dir`?",
        "sources.a.b: the id must be",
        "sources.acme.type: must be one of `mimecast`. Did you mean `mimecast`?",
        "sources.rest.quota_share: must be a number of more than 0 and at most 1. Set such",
        "sources.rest.retry_for_secs: must be a whole number",
        "sources.rest.on_position_lost: must be one of `oldest`, `now`, `stop`",
        "sources.rest.max_in_flight_bytes: must be a whole number",
        "sinks.rest: the id is also that of sources.rest",
        "sinks.rest.inputs[1]: `rst` fits no source. Did you mean `rest`?",
        "sinks.rest.inputs[2]: `x*` fits no source",
        "sinks.rest.path: is required",
        "sinks.rest.compression: must be one of `none`, `gzip`, `zstd`. Did you mean `gzip`?",
        "sinks.rest.max_byte: unknown key. Did you mean `max_bytes`?",
        "sinks.second.inputs: is required",
    ];
    for want in expected {
        assert!(found.iter().any(|problem| problem.starts_with(want)), "{want}\nnot in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn nothing_to_do_is_an_error() {
    let found = problems("data_dir = '/x'");
    assert_eq!(found, ["sources: there is no source. Add [sources.<id>]", "sinks: there is no sink. Add [sinks.<id>]"]);
    assert_eq!(problems("sources = 3\nsinks = []").len(), 2);
}

#[test]
fn file_sinks_do_not_share_a_folder() {
    let sink = |id: &str, path: &str| format!("[sinks.{id}]\ntype = \"file\"\ninputs = [\"*\"]\npath = \"{path}\"\n");
    let text = |first: &str, second: &str| {
        format!("data_dir = '/data'\n[sources.s]\ntype = \"mimecast\"\n{}{}", sink("a", first), sink("b", second))
    };
    assert_eq!(
        problems(&text("/out", "/out/b")),
        ["sinks.b.path: overlaps the folder of sinks.a. Give each file sink a folder of its own"]
    );
    assert_eq!(problems(&text("/out", "/data")).len(), 1);
    read(&text("/out/a", "/out/b")).unwrap();
}

#[test]
fn a_file_on_disk() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tributary.toml");
    let text = GOOD.replace("${ACME_SECRET}", "hunter2");
    fs::write(&path, &text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = load(&path).unwrap().warnings;
    assert!(warnings[0].to_string().starts_with("sources.acme.client_secret: a secret is written out"), "{warnings:?}");
    assert!(!format!("{warnings:?}").contains("hunter2"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(load(&path).unwrap().warnings.len(), 1);
    let missing = load(&folder.path().join("no.toml")).unwrap_err().to_string();
    assert!(missing.contains("cannot read it") && missing.contains("--config"), "{missing}");
    let unknown = load(&folder.path().join("no.conf")).unwrap_err().to_string();
    assert!(unknown.contains(".toml, .yaml, .yml or .json"), "{unknown}");
}

#[test]
fn hints_lead_to_what_is_meant() {
    let sink = |lines: &str| {
        problems(&GOOD.replace("[sinks.console]\ntype = \"stdout\"", &format!("[sinks.console]\n{lines}")))
    };
    let types = sink("type = \"splunk\"");
    assert!(types.len() == 1 && types[0].ends_with("Did you mean `splunk_hec`?"), "{types:?}");
    let types = sink("type = \"carrier pigeon\"");
    assert!(types[0].ends_with(". Choose one of these"), "no component is a sink: {types:?}");
    let source = problems(&GOOD.replacen("\"mimecast\"", "\"okta\"", 1));
    assert!(source[0].contains("or name the component in [components]"), "{source:?}");
    // What nothing was filled in to is not judged.
    let open = sink("type = \"sumo\"\nendpoint = \"${SUMO_ENDPOINT}\"");
    assert!(open.len() == 1 && open[0].contains("SUMO_ENDPOINT is not set"), "{open:?}");
    for lines in [
        "type = \"elasticsearch\"\nbulk.index = \"i\"\nendpoints = [\"${ES_URL}\"]",
        "type = \"http\"\nuri = \"https://a.example\"\ntls.alpn_protocols = [\"h2\", \"${ALPN}\"]",
        "type = \"nats\"\nurl = [\"${URL}\"]",
        "type = \"file\"\npath = \"${FOLDER}\"",
        "type = \"stdout\"\nrules = [{ type = \"hash\", field = \"a\", key = \"${PEPPER}\" }]",
    ] {
        let text = GOOD.replace("[sinks.console]\ntype = \"stdout\"", &format!("[sinks.console]\n{lines}"));
        let error = read(&text).unwrap_err();
        let open = error.problems.iter().filter(|problem| problem.step == Step::Interpolate).count();
        let built = !error.to_string().contains("is not in this build");
        assert!(open == 1 && error.problems.len() == if built { 1 } else { 2 }, "{error}");
        assert_eq!(error.warnings, [], "{lines}");
    }
    let error = read(&format!("data_dir = '${{UNSET}}'\n{}", GOOD.replace("data_dir", "#"))).unwrap_err();
    assert!(error.problems.len() == 1 && error.warnings.is_empty(), "{error:?}");
    // What stands beside it is judged.
    let beside = sink("type = \"elasticsearch\"\nbulk.index = \"i\"\nendpoints = [\"${ES_URL}\", \"nowhere\"]");
    assert!(beside.len() == 2 && beside[1].starts_with("sinks.console.endpoints[1]: has no https"), "{beside:?}");
    let alone = sink("type = \"elasticsearch\"\nbulk.index = \"i\"\nendpoints = [\"nowhere\"]");
    assert!(alone.len() == 1 && alone[0].starts_with("sinks.console.endpoints: has no https"), "{alone:?}");
    let unclosed = problems(&GOOD.replace("${ACME_SECRET}", "SECRET[vault.x"));
    assert!(unclosed.len() == 1 && unclosed[0].ends_with("Write `SECRET[backend.key]`"), "{unclosed:?}");
    let shut = sink("type = \"sumo\"\nendpoint = \"nowhere\"");
    assert!(shut.len() == 1 && shut[0].starts_with("sinks.console.endpoint: "), "{shut:?}");
}

#[test]
fn folders_from_where_it_is_started_are_warned_of() {
    let warned = |text: &str| -> Vec<String> {
        let folders = |warning: &&Problem| warning.message.contains("is started");
        read(text).unwrap().warnings.iter().filter(folders).map(|warning| warning.path.clone()).collect()
    };
    assert_eq!(warned(GOOD), Vec::<String>::new());
    assert_eq!(warned(&GOOD.replace("/var/lib/t", "state")), ["data_dir"]);
    assert_eq!(warned(&GOOD.replace("\"/out\"", "\"out/{tenant}\"")), ["sinks.files.path"]);
}

#[test]
fn an_account_may_have_quotas_of_its_own() {
    let text = |quotas: &str| {
        format!("[sources.a]\ntype = \"mimecast\"\nquotas = {quotas}\n[sinks.s]\ntype = \"stdout\"\ninputs = [\"a\"]\n")
    };
    let parsed = |quotas: &str| parse(&text(quotas), Format::Toml, "test", &|_| None);
    let loaded = parsed("{ siem-batch = { requests = 100, window_secs = 0.5 } }").unwrap();
    let limit = QuotaLimit { requests: 100, window: std::time::Duration::from_millis(500) };
    assert_eq!(loaded.config.sources["a"].quotas["siem-batch"], limit);
    for wrong in [
        "7",
        "{ x = 7 }",
        "{ x = { requests = 1.5, window_secs = 1 } }",
        "{ x = { requests = 0, window_secs = 1 } }",
        "{ x = { requests = 1 } }",
        "{ x = { requests = 1, window_secs = 1, more = 1 } }",
    ] {
        let error = parsed(wrong).unwrap_err().to_string();
        assert!(error.contains("sources.a.quotas") && error.contains("For example"), "{wrong}: {error}");
    }
}

#[test]
fn sinks_may_hold_positions_or_not() {
    let config = read(GOOD).unwrap().config;
    assert!(config.sinks["files"].acknowledgements && config.sinks["console"].acknowledgements);
    assert_eq!(config.max_dead_letter_bytes, 1 << 30);
    let loose = GOOD.replace("type = \"stdout\"", "type = \"stdout\"\nacknowledgements = false");
    let loaded = read(&loose).unwrap();
    assert!(!loaded.config.sinks["console"].acknowledgements && loaded.config.sinks["files"].acknowledgements);
    assert_eq!(loaded.warnings.len(), 1, "files holds acme's: {:?}", loaded.warnings);
    let none = loose.replace("compression = \"zstd\"", "acknowledgements = false");
    let warnings: Vec<String> = read(&none).unwrap().warnings.iter().map(Problem::to_string).collect();
    assert!(warnings.iter().any(|text| text.starts_with("sources.acme: no sink holds its positions")), "{warnings:?}");
    let found = problems(&GOOD.replace("type = \"stdout\"", "type = \"stdout\"\nacknowledgements = 1"));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("sinks.console.acknowledgements: must be true or false"), "{found:?}");
    let small = format!("max_dead_letter_bytes = 5\n{GOOD}");
    assert!(problems(&small)[0].starts_with("max_dead_letter_bytes: must be a whole number"));
}

#[test]
fn health_is_the_hosts_own_source() {
    let named = GOOD.replace("inputs = \"acm*\"", "inputs = [\"health\"]");
    let config = read(&named).unwrap().config;
    assert!(takes_health(&config.sinks["console"].inputs) && !takes_health(&config.sinks["files"].inputs));
    let taken = GOOD.replace("[sources.other]", "[sources.health]");
    let found = problems(&taken);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("sources.health: the id is reserved") && found[0].contains("Rename"), "{found:?}");
    let typo = problems(&GOOD.replace("inputs = \"acm*\"", "inputs = [\"heath\"]"));
    assert!(typo[0].contains("`heath` fits no source. Did you mean `health`?"), "{typo:?}");
}

#[test]
fn the_data_folder_is_known_without_the_rest() {
    let environment = |name: &str| (name == "STATE").then(|| "/from/env".to_owned());
    let folder = |text: &str| {
        let folder = named_data_dir(text, Format::Toml, "t.toml", &environment);
        folder.map(|path| path.display().to_string()).map_err(|error| error.to_string())
    };
    let wrong = "[sources.a]\ntype = 'nothing'\nsecret = 'SECRET[vault.key] ${NOT_SET}'\n";
    assert_eq!(folder(&format!("data_dir = '/d'\n{wrong}")).as_deref(), Ok("/d"));
    assert_eq!(folder(&format!("data_dir = '${{STATE}}/x'\n{wrong}")).as_deref(), Ok("/from/env/x"));
    assert_eq!(folder("data_dir = 'SECRET[env.STATE]'").as_deref(), Ok("/from/env"));
    assert_eq!(folder(wrong).as_deref(), Ok("/var/lib/tributary"));
    let files = tempfile::tempdir().unwrap();
    let key = files.path().join("key");
    std::fs::write(&key, "/from/file\n").unwrap();
    let secret = format!("[secret.d]\ntype = 'directory'\npath = '{}'\n", files.path().display());
    assert_eq!(folder(&format!("data_dir = 'SECRET[d.key]'\n{secret}")).as_deref(), Ok("/from/file"));
    for (text, words) in [
        ("data_dir = 5", "data_dir: must be a text"),
        ("data_dir = ''", "data_dir: must not be empty"),
        ("data_dir = '${NOT_SET}'", "NOT_SET"),
        ("data_dir = 'SECRET[d.key]'", "no secret backend `d`"),
        ("data_dir = '", "t.toml:1:"),
    ] {
        let error = folder(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}
