//! Splunk's HTTP Event Collector, and what speaks as it does: LogScale, Cribl, the OpenTelemetry collector.

use std::time::Duration;

use http::{HeaderValue, header};
use serde_json::Value;

use super::auth::Credentials;
use super::client::{ClientOptions, Defaults, Endpoint, client};
use super::shared::{BatchOptions, Compression, Secret};
use super::templated::template;
use crate::config::network::Networks;
use crate::config::section::Section;
use crate::template::Template;

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

/// As Vector's sink does.
const ACKNOWLEDGEMENTS: IndexerAcknowledgements =
    IndexerAcknowledgements { enabled: true, query_interval: Duration::from_secs(10), retry_limit: 30 };

/// `acknowledgements`: true, false, or `{ enabled, indexer, query_interval_secs, retry_limit }`. Whether positions wait for
/// this sink, and how it is asked.
pub fn acknowledgements(section: &mut Section<'_>) -> (bool, IndexerAcknowledgements) {
    if !matches!(section.peek("acknowledgements"), Some(Value::Object(_))) {
        return (section.flag("acknowledgements", true), ACKNOWLEDGEMENTS);
    }
    let Some(mut table) = section.table("acknowledgements") else { return (true, ACKNOWLEDGEMENTS) };
    let holds = table.flag("enabled", true);
    let enabled = table.flag("indexer", ACKNOWLEDGEMENTS.enabled);
    let secs = table.whole("query_interval_secs", 1, 3600, ACKNOWLEDGEMENTS.query_interval.as_secs());
    let retry_limit = table.whole("retry_limit", 1, 10_000, ACKNOWLEDGEMENTS.retry_limit.into()) as u32;
    table.close(&[]);
    (holds, IndexerAcknowledgements { enabled, query_interval: Duration::from_secs(secs), retry_limit })
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
        section.fault("auth", "is not for this type", Some("`default_token` says who we are".into()));
    }
    let value = Secret::new(format!("Splunk {}", token.map(Secret::new).as_ref().map_or("", Secret::expose)));
    if HeaderValue::from_str(value.expose()).is_err() {
        section.fault(key, "has characters that a header cannot hold", None);
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
        host: template(section, "host", Some("{tenant}")),
        source: template(section, "source", Some("{source}/{stream}")),
        sourcetype: template(section, "sourcetype", Some("_json")),
        index: template(section, "index", None),
        acknowledgements,
    }
}

/// 1 MB as Vector does, which is also what Splunk Cloud advises; `max_content_length` of a Splunk is 800 MB.
const DEFAULTS: Defaults = Defaults {
    address_key: "endpoint",
    example: "https://splunk.example:8088",
    compressions: &[Compression::Gzip, Compression::None],
    batch: BatchOptions { max_bytes: 1_000_000, max_events: 10_000, max_age: Duration::from_secs(1) },
    most_bytes: 100 << 20,
};
