//! Elasticsearch and OpenSearch, by `_bulk`.

use std::time::Duration;

use super::client::{ClientOptions, Defaults, client};
use super::shared::{BatchOptions, Compression};
use super::templated::template;
use crate::config::network::Networks;
use crate::config::section::Section;
use crate::template::Template;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElasticsearchOptions {
    pub client: ClientOptions,
    /// An index, an alias or a data stream.
    pub index: Template,
    /// An ingest pipeline of theirs.
    pub pipeline: Option<String>,
}

/// The event's own day: an id is unique in one index alone, so what comes again must go to the same one.
const INDEX: &str = "tributary-{date}";

/// `endpoints`, `bulk.index` (also for data streams), `pipeline`; the rest as [`client`].
pub fn read(section: &mut Section<'_>, networks: &Networks) -> ElasticsearchOptions {
    let client = client(section, networks, &DEFAULTS);
    let index = match section.table("bulk") {
        Some(mut bulk) => {
            let index = template(&mut bulk, "index", Some(INDEX));
            if let Some(index) = &index
                && !index.prefix().starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.')
            {
                let hint = "Such as \"logs-mail-{tenant}\": what events hold must not choose among all indexes";
                bulk.fault("index", "must begin with a text in lower case", Some(hint.into()));
            }
            bulk.close(&[]);
            index
        }
        None => Template::parse(INDEX).ok(),
    };
    let pipeline = section.text("pipeline");
    if pipeline
        .as_deref()
        .is_some_and(|name| !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte)))
    {
        section.fault("pipeline", "is no name of a pipeline", None);
    }
    if client.endpoints.iter().any(super::client::Endpoint::has_query) {
        section.fault(client.address_key, "has a query", Some("Write the address alone; /_bulk is added to it".into()));
    }
    ElasticsearchOptions { client, index: index.unwrap_or_else(Template::empty), pipeline }
}

/// 10 MB as Vector does; Elasticsearch itself takes 100 MB, and advises 5 to 15.
const DEFAULTS: Defaults = Defaults {
    address_key: "endpoints",
    example: "https://elasticsearch.example:9200",
    compressions: &[Compression::Gzip, Compression::None],
    batch: BatchOptions { max_bytes: 10_000_000, max_events: 10_000, max_age: Duration::from_secs(1) },
    most_bytes: 100 << 20,
};
