//! Splunk's HTTP Event Collector, and what speaks as it does: LogScale, Cribl, the OpenTelemetry collector.

use std::time::Duration;

use http::{HeaderValue, header};
use serde_json::Value;

use super::COMMON;
use super::auth::Credentials;
use super::client::{ADDRESS_KEYS, CLIENT, ClientOptions, Defaults, Endpoint, client};
use super::shared::{self, BatchBounds, Secret, batch_keys, compression_key};
use super::templated::template;
use crate::config::declaration::{Group, Shape, Table, flag, key, secret, table, text, text_or, whole};
use crate::config::network::Networks;
use crate::config::section::Section;
use crate::template::Template;

pub static SPLUNK_HEC: Table = Table::new(
    "sinks.splunk_hec",
    "Splunk's HTTP Event Collector, and what speaks as it does: LogScale, Cribl, the OpenTelemetry collector.",
    &[
        &COMMON,
        &Group::of(&[
            secret("default_token", "The token of the HTTP Event Collector. Required."),
            secret("token", "The same, as some name it."),
            text_or("host", "{tenant}", "The event's host, in which places are filled in."),
            text_or("source", "{source}/{stream}", "The event's source, in which places are filled in."),
            text_or("sourcetype", "_json", "The event's source type, in which places are filled in."),
            text("index", "The index, in which places are filled in. The token's own, if absent."),
            key("acknowledgements", Shape::FlagOrTable(true, &ACKNOWLEDGEMENTS), ACKNOWLEDGEMENTS.description),
            compression_key(&["gzip", "none"]),
            table("batch", &BATCH),
        ]),
        &CLIENT,
    ],
)
.either(&[&ADDRESS_KEYS, &["default_token", "token"]]);

/// 1 MB as Vector does, which is also what Splunk Cloud advises; `max_content_length` of a Splunk is 800 MB.
static BATCH: Table = Table::new(
    "sinks.splunk_hec.batch",
    shared::BATCH,
    &[&Group::of(&batch_keys(BatchBounds {
        max_bytes: (1_000_000, 100 << 20),
        max_events: (10_000, 1_000_000),
        timeout_secs: (1, 3600),
    }))],
);

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplunkHecOptions {
    pub client: ClientOptions,
    pub host: Option<Template>,
    pub source: Option<Template>,
    pub sourcetype: Option<Template>,
    /// The token's own where there is none.
    pub index: Option<Template>,
    pub acknowledgements: IndexerAcknowledgements,
}

/// Whether Splunk is asked if it has written what it took, where the token has that switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexerAcknowledgements {
    pub enabled: bool,
    /// Between two questions, in the end; the first ones come sooner.
    pub query_interval: Duration,
    /// Questions, before the delivery counts as failed.
    pub retry_limit: u32,
}

static ACKNOWLEDGEMENTS: Table = Table::new(
    "sinks.splunk_hec.acknowledgements",
    "Whether positions wait for this sink, and how Splunk is asked whether it has written what it took.",
    &[&Group::of(&[
        flag("enabled", true, "Whether positions wait for this sink."),
        // As Vector's sink does.
        flag("indexer", true, "Whether Splunk is asked, where the token has acknowledgements switched on."),
        whole(
            "query_interval_secs",
            1,
            3600,
            10,
            "Between two questions in the end, in seconds; the first come sooner.",
        ),
        whole("retry_limit", 1, 10_000, 30, "Questions before the delivery counts as failed."),
    ])],
);

/// `acknowledgements`: true, false, or `{ enabled, indexer, query_interval_secs, retry_limit }`. Whether positions wait for
/// this sink, and how it is asked.
pub fn acknowledgements(section: &mut Section<'_>) -> (bool, IndexerAcknowledgements) {
    let alone = match section.peek("acknowledgements") {
        Some(Value::Object(_)) | None => None,
        Some(_) => Some(section.flag("acknowledgements")),
    };
    let Some(mut table) = section.table_or_empty("acknowledgements") else {
        return (true, IndexerAcknowledgements { enabled: true, query_interval: Duration::ZERO, retry_limit: 1 });
    };
    let holds = table.flag("enabled");
    let enabled = table.flag("indexer");
    let query_interval = Duration::from_secs(table.whole("query_interval_secs"));
    let retry_limit = table.whole("retry_limit") as u32;
    table.close();
    (alone.unwrap_or(holds), IndexerAcknowledgements { enabled, query_interval, retry_limit })
}

/// `endpoint`, `default_token` (or `token`), `host`, `source`, `sourcetype`, `index`; the rest as [`client`].
pub fn read(
    section: &mut Section<'_>,
    networks: &Networks,
    acknowledgements: IndexerAcknowledgements,
) -> SplunkHecOptions {
    let key = if section.peek("token").is_some() { "token" } else { "default_token" };
    let token = [section.text("default_token"), section.text("token")].into_iter().flatten().next();
    if token.is_none() {
        section.fault(
            key,
            "is required",
            Some("The token of the HTTP Event Collector; use SECRET[backend.key]".into()),
        );
    }
    let mut client = client(section, networks, &DEFAULTS);
    if client.auth.is_some() {
        section.fault("auth", "is not for this type", Some("Remove it: `default_token` says who we are".into()));
    }
    let value = Secret::new(format!("Splunk {}", token.map(Secret::new).as_ref().map_or("", Secret::expose)));
    if HeaderValue::from_str(value.expose()).is_err() {
        let hint = "Write it again without a line feed or other control characters";
        section.fault(key, "has characters that a header cannot hold", Some(hint.into()));
    }
    client.auth = Some(Credentials { header: header::AUTHORIZATION, value, key });
    if client.endpoints.iter().any(Endpoint::has_query) {
        section.fault(
            client.address_key,
            "has a query",
            Some("Write the address alone; the path is added to it".into()),
        );
    }
    SplunkHecOptions {
        client,
        host: template(section, "host"),
        source: template(section, "source"),
        sourcetype: template(section, "sourcetype"),
        index: template(section, "index"),
        acknowledgements,
    }
}

const DEFAULTS: Defaults = Defaults { address_key: "endpoint", example: "https://splunk.example:8088", paths: &PATHS };

/// Of the collector. Each has the version behind it, where one is named.
const PATHS: [&str; 7] = [
    "/services/collector/event/1.0",
    "/services/collector/event",
    "/services/collector/raw/1.0",
    "/services/collector/raw",
    "/services/collector/health",
    "/services/collector/ack",
    "/services/collector",
];
