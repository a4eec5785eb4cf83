//! Mistakes in the file: each is made in a configuration that is good otherwise, and named by its path.

use std::collections::BTreeMap;

use tributary_host::config::{self, Format};

use crate::row::{Row, SECRET, show};

const GOOD: &str = "data_dir = '/var/lib/tributary'\n\
    [sources.acme]\ntype = 'mimecast'\nclient_id = 'i'\nclient_secret = '${PEPPER}'\n\
    [sinks.lake]\ntype = 'file'\ninputs = ['acme']\npath = '/var/log/tributary'\n";

/// The path that is named, and the mistake.
type Mistake = (&'static str, Change);

enum Change {
    /// More keys of the top level, which stand before all tables.
    Top(&'static str),
    /// More keys of the source, and of the sink.
    Source(&'static str),
    Sink(&'static str),
    /// Tables behind all others.
    End(&'static str),
    /// The sink is another one.
    Instead(&'static str),
    /// Other text for a piece of it.
    For(&'static str, &'static str),
    /// Another text.
    Whole(Format, &'static str),
}

use Change::{End, For, Instead, Sink, Source, Top, Whole};

fn text(change: &Change) -> (Format, String) {
    let text = match change {
        Top(more) => format!("{more}\n{GOOD}"),
        Source(more) => GOOD.replace("[sinks.lake]", &format!("{more}\n[sinks.lake]")),
        Sink(more) | End(more) => format!("{GOOD}{more}\n"),
        Instead(sink) => {
            format!("{}[sinks.lake]\ninputs = ['acme']\n{sink}\n", GOOD.split("[sinks.lake]").next().unwrap())
        }
        For(old, new) => GOOD.replace(old, new),
        Whole(format, text) => return (*format, (*text).to_owned()),
    };
    (Format::Toml, text.replace("<secret>", SECRET))
}

fn mistakes() -> Vec<Mistake> {
    [file(), top(), sources(), rules(), sinks(), senders(), network()].into_iter().flatten().collect()
}

fn file() -> Vec<Mistake> {
    vec![
        ("tributary.toml:1:5", Whole(Format::Toml, "a = \n")),
        ("tributary.toml", Whole(Format::Yaml, "a: [\n")),
        ("tributary.toml", Whole(Format::Json, "{\"a\": }")),
        ("tributary.toml", Whole(Format::Json, "{\"a\": 1, \"a\": 2}")),
        ("sources", Whole(Format::Toml, "data_dir = '/tmp'")),
        ("sources.acme.client_secret", For("${PEPPER}", "${NOT_SET}")),
        ("sources.acme.client_secret", For("${PEPPER}", "${NOT_SET")),
        ("sources.acme.client_secret", For("${PEPPER}", "SECRET[nowhere.key]")),
        ("sources.acme.client_secret", For("${PEPPER}", "SECRET[env.NOT_SET]")),
        ("sources.acme.client_secret", For("${PEPPER}", "SECRET[env]")),
        ("secret.vault", End("[secret]\nvault = 5")),
        ("secret.vault.type", End("[secret.vault]\ntype = 'vault'")),
        ("secret.vault.path", End("[secret.vault]\ntype = 'file'")),
        ("secret.vault.command", End("[secret.vault]\ntype = 'exec'\ncommand = 5")),
        ("secret.vault.timeout", End("[secret.vault]\ntype = 'exec'\ncommand = ['/bin/true']\ntimeout = 0")),
        ("secret.vault.pth", End("[secret.vault]\ntype = 'env'\npth = '/x'")),
        ("secret.vault.path", End("[secret.vault]\ntype = 'env'\npath = '/x'")),
        ("templates", Top("templates = 5")),
        ("templates.mail", End("[templates]\nmail = 5")),
        ("templates.mail.folder", End("[templates.mail]\ntype = 'mimecast'")),
        ("/not/there", End("[templates.mail]\ntype = 'mimecast'\nfolder = '/not/there'")),
    ]
}

fn top() -> Vec<Mistake> {
    vec![
        ("data_dri", Top("data_dri = '/x'")),
        ("data_dir", For("data_dir = '/var/lib/tributary'", "data_dir = ''")),
        ("data_dir", For("data_dir = '/var/lib/tributary'", "data_dir = 5")),
        ("sinks", For("[sinks.lake]", "[other.lake]")),
        ("components.own.path", End("[components.own]")),
        ("components.own.sha256", End("[components.own]\npath = '/x.wasm'\nsha256 = 'x'")),
        ("max_dead_letter_bytes", Top("max_dead_letter_bytes = -1")),
    ]
}

fn sources() -> Vec<Mistake> {
    vec![
        ("sources.health", For("[sources.acme]", "[sources.health]")),
        ("sources.a/b", For("[sources.acme]", "[sources.'a/b']")),
        ("sources.acme.type", For("type = 'mimecast'", "type = 'mimcast'")),
        ("sources.acme.type", For("type = 'mimecast'", "type = 'x'")),
        ("sources.acme.type", For("type = 'mimecast'\n", "")),
        ("sources.acme.type", For("type = 'mimecast'", "type = 5")),
        ("sources.acme.tenant", Source("tenant = ''")),
        ("sources.acme.tenant", Source("tenant = \"a\\nb\"")),
        ("sources.acme.quota_share", Source("quota_share = 2")),
        ("sources.acme.quotas", Source("quotas = 5")),
        ("sources.acme.quotas.siem-batch", Source("quotas.siem-batch = 5")),
        ("sources.acme.retry_for_secs", Source("retry_for_secs = 'x'")),
        ("sources.acme.on_position_lost", Source("on_position_lost = 'newest'")),
        ("sources.acme.on_position_lost", Source("on_position_lost = 'x'")),
        ("sources.acme.limits", Source("limits = 5")),
        ("sources.acme.limits.cpu_secs", Source("limits.cpu_secs = 0")),
        ("sources.acme.limits.cpu", Source("limits.cpu = 1")),
    ]
}

fn rules() -> Vec<Mistake> {
    vec![
        ("sources.acme.rules", Source("rules = 5")),
        ("sources.acme.rules[0]", Source("rules = [5]")),
        ("sources.acme.rules[0].type", Source("rules = [{ pattern = 'x' }]")),
        ("sources.acme.rules[0].type", Source("rules = [{ type = 'drop', pattern = 'x' }]")),
        ("sources.acme.rules[0]", Source("rules = [{ type = 'exclude' }]")),
        ("sources.acme.rules[0]", Source("rules = [{ type = 'mask' }]")),
        ("sources.acme.rules[0].pattern", Source("rules = [{ type = 'exclude', pattern = '(' }]")),
        ("sources.acme.rules[0].pattern", Source("rules = [{ type = 'exclude', pattern = 5 }]")),
        ("sources.acme.rules[0].field", Source("rules = [{ type = 'exclude', field = 'a[' }]")),
        ("sources.acme.rules[0].field", Source("rules = [{ type = 'mask', field = 'metadata.uid' }]")),
        ("sources.acme.rules[0].key", Source("rules = [{ type = 'hash', field = 'a' }]")),
        ("sources.acme.rules[0].name", Source("rules = [{ type = 'exclude', field = 'a', name = 'a b' }]")),
        ("sources.acme.rules[0].replacement", Source("rules = [{ type = 'mask', field = 'a', replacement = 5 }]")),
        ("sources.acme.rules[0].severity_at_least", Source("rules = [{ type = 'exclude', severity_at_least = 'x' }]")),
    ]
}

fn sinks() -> Vec<Mistake> {
    vec![
        ("sinks.acme", For("[sinks.lake]", "[sinks.acme]")),
        ("sinks.lake.type", Instead("type = 'fil'")),
        ("sinks.lake.inputs", For("inputs = ['acme']", "")),
        ("sinks.lake.inputs", For("inputs = ['acme']", "inputs = 5")),
        ("sinks.lake.inputs[0]", For("inputs = ['acme']", "inputs = ['acne']")),
        ("sinks.lake.path", For("path = '/var/log/tributary'", "")),
        ("sinks.lake.path", For("path = '/var/log/tributary'", "path = '{'")),
        ("sinks.lake.path", For("path = '/var/log/tributary'", "path = '/var/lib/tributary'")),
        ("sinks.second.path", End("[sinks.second]\ntype = 'file'\ninputs = ['*']\npath = '/var/log/tributary'")),
        ("sinks.lake.max_bytes", Sink("max_bytes = 0")),
        ("sinks.lake.compression", Sink("compression = 'zip'")),
        ("sinks.lake.acknowledgements", Sink("acknowledgements = 5")),
        ("sinks.lake.max_refused_share", Sink("max_refused_share = 5")),
        ("sinks.lake.where", Sink("where = 5")),
        ("sinks.lake.where.classes", Sink("where.classes = ['x']")),
        ("sinks.lake.pth", Sink("pth = '/x'")),
        ("sinks.lake.proxy", Sink("proxy.https = 'http://proxy:1'")),
    ]
}

/// Those that speak with a far side.
fn senders() -> Vec<Mistake> {
    vec![
        ("sinks.lake.uri", Instead("type = 'http'")),
        ("sinks.lake.uri", Instead("type = 'http'\nuri = 'nowhere'")),
        ("sinks.lake.uri", Instead("type = 'http'\nuri = 5")),
        ("sinks.lake.auth.strategy", Instead("type = 'http'\nuri = 'https://a.example'\nauth = {}")),
        ("sinks.lake.auth.token", Instead("type = 'http'\nuri = 'https://a.example'\nauth.strategy = 'bearer'")),
        (
            "sinks.lake.auth.token",
            Instead(
                "type = 'http'\nuri = 'https://a.example'\nauth = { strategy = 'bearer', token = \"<secret>\\n\" }",
            ),
        ),
        (
            "sinks.lake.request.headers.a b",
            Instead("type = 'http'\nuri = 'https://a.example'\nrequest.headers.'a b' = 'x'"),
        ),
        (
            "sinks.lake.request.headers.host",
            Instead("type = 'http'\nuri = 'https://a.example'\nrequest.headers.host = 'x'"),
        ),
        (
            "sinks.lake.request.concurrency",
            Instead("type = 'http'\nuri = 'https://a.example'\nrequest.concurrency = 0"),
        ),
        ("sinks.lake.batch.max_bytes", Instead("type = 'http'\nuri = 'https://a.example'\nbatch.max_bytes = 0")),
        ("sinks.lake.default_token", Instead("type = 'splunk_hec'\nendpoint = 'https://a.example'")),
        (
            "sinks.lake.auth",
            Instead(
                "type = 'splunk_hec'\nendpoint = 'https://a.example'\ndefault_token = 'x'\nauth = { strategy = 'bearer', token = 'x' }",
            ),
        ),
        ("sinks.lake.pipeline", Instead("type = 'elasticsearch'\nendpoints = ['https://a.example']\npipeline = 'a b'")),
        (
            "sinks.lake.bulk.index",
            Instead("type = 'elasticsearch'\nendpoints = ['https://a.example']\nbulk.index = '{tenant}'"),
        ),
        (
            "sinks.lake.bulk.index",
            Instead("type = 'elasticsearch'\nendpoints = ['https://a.example']\nbulk.index = 'a-{tenat}'"),
        ),
        ("sinks.lake.endpoint", Instead("type = 'sumo'")),
        ("sinks.lake.fields.a", Instead("type = 'sumo'\nendpoint = 'https://a.example'\nfields.a = 5")),
        ("sinks.lake.endpoint", Instead("type = 'otlp'")),
        ("sinks.lake.uri", Instead("type = 'vector'")),
        ("sinks.lake.endpoint", Instead("type = 'syslog'\nendpoint = 'nowhere'")),
        (
            "sinks.lake.structured_data_id",
            Instead("type = 'syslog'\nendpoint = 'tcp://a:514'\nstructured_data_id = 'x'"),
        ),
    ]
}

fn network() -> Vec<Mistake> {
    vec![
        ("sources.acme.egress", Source("egress = 5")),
        ("sources.acme.egress.hosts", Source("egress.hosts = ['a b']")),
        ("sources.acme.egress.allow_private", Source("egress.allow_private = ['x']")),
        ("sources.acme.proxy.https", Source("proxy.https = 'nowhere'")),
        ("sources.acme.tls.ca_file", Source("tls.ca_file = '/not/there'")),
        ("sources.acme.tls.key_pass", Source("tls.key_pass = '<secret>'")),
        ("sources.acme.tls.min_tls_version", Source("tls.min_tls_version = '1.0'")),
        ("sources.acme.tls.alpn_protocols", Source("tls.alpn_protocols = ['h3']")),
        ("sources.acme.timeouts.connect_secs", Source("timeouts.connect_secs = 0")),
    ]
}

/// What the operator reads of the mistakes.
fn rows() -> Vec<Row> {
    let environment = |name: &str| (name == "PEPPER").then(|| "pepper".to_owned());
    let (mut rows, mut missed) = (Vec::new(), Vec::new());
    for (path, change) in mistakes() {
        let (format, text) = text(&change);
        let problems = match config::parse(&text, format, "tributary.toml", &environment) {
            Ok(_) => Vec::new(),
            Err(error) => error.problems,
        };
        if !problems.iter().any(|problem| problem.path.starts_with(path)) {
            missed.push(format!("{path}: {problems:?}\n{text}"));
        }
        rows.extend(problems.into_iter().map(|problem| Row {
            code: format!("{:?}", problem.step).to_lowercase(),
            place: problem.path,
            what: problem.message,
            next: problem.hint.unwrap_or_default(),
            means: "",
        }));
    }
    assert!(missed.is_empty(), "not noticed, or not named: {}", missed.join("\n\n"));
    rows
}

#[test]
fn every_mistake_in_a_file_is_named_by_its_path_and_says_what_to_do() {
    let good = config::parse(GOOD, Format::Toml, "tributary.toml", &|_| Some("x".into()));
    assert!(good.is_ok(), "{:?}", good.err());
    let mut rows = rows();
    // A text such as `must be a text` is long enough: it stands behind its path.
    for row in &mut rows {
        row.what = format!("{}: {}", row.place, row.what);
    }
    show("Configuration: step | where | what | next step", &rows);
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for row in rows {
        texts.insert(row.what.clone(), row.next);
    }
    assert!(texts.len() > 100, "{}", texts.len());
}
