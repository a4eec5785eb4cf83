//! The keys of sinks that have a client.

use super::*;
use crate::config::{Format, Loaded, parse};
use crate::sinks::Concurrency;

fn read(sink: &str) -> Result<Loaded, String> {
    let text = format!("[sinks.far]\ninputs = [\"*\"]\n{sink}\n[sources.acme]\ntype = \"mimecast\"\n");
    parse(&text, Format::Toml, "test", &|_| None).map_err(|error| error.to_string())
}

fn kind(sink: &str) -> SinkKind {
    let loaded = read(sink).unwrap_or_else(|error| panic!("{sink}: {error}"));
    let config = loaded.config.sinks["far"].clone();
    // Whatever is secret in these is called so.
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter"), "{shown}");
    config.kind
}

fn problem(sink: &str) -> String {
    read(sink).map(drop).unwrap_err()
}

#[test]
fn http_with_all_its_keys() {
    let SinkKind::Http(options) = kind(
        r#"
        type = "http"
        uri = "https://logs.example.com/in?hunter=1"
        encoding = "json"
        compression = "zstd"
        auth = { strategy = "basic", user = "me", password = "hunter22" }
        request = { concurrency = 3, headers = { X-Key = "hunter23" } }
        batch = { max_bytes = 5000, max_events = 7, timeout_secs = 2 }
        healthcheck.enabled = false
        timeouts.first_byte_secs = 5
        proxy.https = "http://u:hunter24@proxy.example:1"
        "#,
    ) else {
        panic!()
    };
    let client = options.client;
    assert_eq!((options.encoding, client.compression), (Encoding::Json, Compression::Zstd));
    assert_eq!((client.batch.max_bytes, client.batch.max_events, client.batch.max_age.as_secs()), (5000, 7, 2));
    assert_eq!((client.concurrency, client.healthcheck), (Concurrency::Fixed(3), false));
    assert_eq!(client.auth.unwrap().value.expose(), "Basic bWU6aHVudGVyMjI=");
    assert_eq!((client.headers[0].0.as_str(), client.headers[0].1.expose()), ("x-key", "hunter23"));
    assert_eq!(client.endpoints[0].url(""), "https://logs.example.com/in?hunter=1");
    assert_eq!(client.network.timeouts.first_byte.as_secs(), 5);
    assert!(client.network.proxy.https.is_some());
}

#[test]
fn presets_have_their_own_defaults() {
    let SinkKind::SplunkHec(splunk) = kind(
        r#"
        type = "splunk_hec"
        endpoint = "https://splunk.example:8088/"
        default_token = "hunter22"
        acknowledgements = { indexer = false, retry_limit = 7 }
        "#,
    ) else {
        panic!()
    };
    assert_eq!(splunk.client.endpoints[0].url("/services/collector"), "https://splunk.example:8088/services/collector");
    assert_eq!(splunk.client.auth.unwrap().value.expose(), "Splunk hunter22");
    assert_eq!((splunk.acknowledgements.enabled, splunk.acknowledgements.retry_limit), (false, 7));
    assert_eq!((splunk.client.compression, splunk.index), (Compression::Gzip, None));
    let SinkKind::Elasticsearch(elastic) = kind(
        r#"
        type = "elasticsearch"
        endpoints = ["https://a.example:9200", "https://b.example:9200"]
        auth = { strategy = "api_key", api_key = "hunter22" }
        bulk.index = "logs-{tenant}"
        pipeline = "geo"
        "#,
    ) else {
        panic!()
    };
    assert_eq!((elastic.client.endpoints.len(), elastic.index.prefix()), (2, "logs-"));
    assert_eq!(elastic.client.auth.unwrap().value.expose(), "ApiKey hunter22");
    let SinkKind::Sumo(sumo) = kind(
        r#"
        type = "sumo"
        endpoint = "https://sumo.example/receiver/v1/http/hunter22"
        siem_forward = true
        siem_vendor = "Vendor"
        parser = "/Parsers/System/Vendor"
        fields = { customer = "{tenant}" }
        "#,
    ) else {
        panic!()
    };
    let names: Vec<&str> = sumo.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["_siemForward", "_siemVendor", "_parser", "customer"]);
    let SinkKind::Otlp(otlp) = kind("type = \"otlp\"\nendpoint = \"http://localhost:4318/v1/logs\"") else { panic!() };
    assert_eq!(otlp.client.endpoints[0].url("/v1/logs"), "http://localhost:4318/v1/logs", "not twice");
    assert!(matches!(kind("type = \"vector\"\nuri = \"http://[::1]:8080\""), SinkKind::Vector(_)));
}

#[test]
fn a_path_that_is_added_is_cut_off_an_address_that_has_it() {
    let url = |sink: &str, path: &str| match kind(sink) {
        SinkKind::SplunkHec(options) => options.client.endpoints[0].url(path),
        SinkKind::Elasticsearch(options) => options.client.endpoints[0].url(path),
        SinkKind::Otlp(options) => options.client.endpoints[0].url(path),
        SinkKind::Http(options) => options.client.endpoints[0].url(path),
        other => panic!("{other:?}"),
    };
    for given in ["", "/", "/event", "/event/", "/event/1.0", "/raw", "/raw/1.0", "/health", "/ack"] {
        let base = if given.len() < 2 { "" } else { "/services/collector" };
        let sink = format!("type = \"splunk_hec\"\ntoken = \"t\"\nendpoint = \"https://a.example/hec{base}{given}\"");
        for path in ["/services/collector/event", "/services/collector/ack?channel=1"] {
            assert_eq!(url(&sink, path), format!("https://a.example/hec{path}"), "{given}");
        }
    }
    let sink = "type = \"splunk_hec\"\ntoken = \"t\"\nendpoint = \"https://a.example/services/collector\"";
    assert_eq!(url(sink, "/services/collector/health"), "https://a.example/services/collector/health");
    for given in ["", "/_bulk", "/_bulk/"] {
        let sink = format!("type = \"elasticsearch\"\nendpoint = \"https://a.example/es{given}\"");
        assert_eq!(url(&sink, "/_bulk?filter_path=errors"), "https://a.example/es/_bulk?filter_path=errors", "{given}");
    }
    let sink = "type = \"otlp\"\nendpoint = \"https://a.example/v1/logs/\"";
    assert_eq!(url(sink, "/v1/logs"), "https://a.example/v1/logs");
    // A plain address is what it is.
    assert_eq!(url("type = \"http\"\nuri = \"https://a.example/_bulk\"", ""), "https://a.example/_bulk");
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_without_secrets() {
    let elastic = "type = \"elasticsearch\"\nendpoints = \"https://a.example\"\n";
    let http = "type = \"http\"\nuri = \"https://a.example\"\n";
    for (sink, expected) in [
        ("type = \"http\"", "sinks.far.uri: is required"),
        ("type = \"otlp\"", "sinks.far.endpoint: is required"),
        ("type = \"http\"\nuri = \"logs.example.com/hunter22\"", "sinks.far.uri: has no https:// before its host"),
        ("type = \"http\"\nuri = \"ftp://logs.example.com\"", "sinks.far.uri: begins neither"),
        (
            "type = \"http\"\nuri = \"https://me:hunter22@logs.example.com\"",
            "sinks.far.uri: has a user before its host",
        ),
        ("type = \"http\"\nuri = \"https://a_b c.example\"", "sinks.far.uri: is no URL"),
        ("type = \"http\"\nuri = \"https://a.example:99999\"", "sinks.far.uri: "),
        (&format!("{http}endpoint = \"https://b.example\""), "sinks.far.endpoint: says the same as `uri`"),
        (&format!("{http}auth = {{ password = \"hunter22\" }}"), "sinks.far.auth.strategy: is required"),
        (&format!("{http}auth = {{ strategy = \"bearer\" }}"), "sinks.far.auth.token: is required"),
        (
            &format!("{http}auth = {{ strategy = \"bearer\", token = \"hunter22\\n\" }}"),
            "sinks.far.auth.token: has characters",
        ),
        (&format!("{http}request.headers = {{ Host = \"x\" }}"), "sinks.far.request.headers.Host: is not yours"),
        (&format!("{http}request.headers = {{ \"a b\" = \"x\" }}"), "is no name of a header"),
        (&format!("{http}compression = \"gzp\""), "sinks.far.compression"),
        (&format!("{http}batch.max_bytes = 1"), "sinks.far.batch.max_bytes"),
        (&format!("{http}batch.max_byte = 1"), "sinks.far.batch.max_byte: unknown key"),
        (&format!("{elastic}bulk.index = \"{{tenant}}\""), "sinks.far.bulk.index: must begin with a text"),
        (&format!("{elastic}bulk.index = \"logs-{{tenent}}\""), "sinks.far.bulk.index: there is no {tenent}"),
        (&format!("{elastic}pipeline = \"a&b\""), "sinks.far.pipeline"),
        (&format!("{elastic}compression = \"zstd\""), "sinks.far.compression"),
        ("type = \"splunk_hec\"\nendpoint = \"https://a.example\"", "sinks.far.default_token: is required"),
        (
            "type = \"splunk_hec\"\nendpoint = \"https://a.example?hunter22\"\ntoken = \"hunter22\"",
            "sinks.far.endpoint: has a query",
        ),
        ("type = \"sumo\"\nendpoint = \"https://a.example\"\nfields = { \"a,b\" = \"x\" }", "sinks.far.fields.a,b"),
    ] {
        let said = problem(sink);
        assert!(said.contains(expected), "{sink}\n{said}");
        assert!(!said.contains("hunter"), "{said}");
    }
}

#[test]
fn secrets_in_the_clear_are_warned_of() {
    let warned = |uri: &str| {
        let sink = format!("type = \"http\"\nuri = \"{uri}\"\nauth = {{ strategy = \"bearer\", token = \"t\" }}");
        read(&sink).unwrap().warnings.iter().any(|warning| warning.to_string().contains("in the clear"))
    };
    assert!(warned("http://logs.example.com"));
    assert!(!warned("https://logs.example.com") && !warned("http://127.0.0.1:8080"));
}
