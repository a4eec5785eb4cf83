//! Elasticsearch and OpenSearch, by `_bulk`.

use super::client::{ADDRESS_KEYS, CLIENT, ClientOptions, Defaults, client};
use super::shared::{self, BatchBounds, batch_keys, compression_key};
use super::templated::template;
use super::{COMMON, HOLDS};
use crate::config::declaration::{Group, Table, table, text, text_or};
use crate::config::network::Networks;
use crate::config::section::Section;
use crate::template::Template;

pub static ELASTICSEARCH: Table = Table::new(
    "sinks.elasticsearch",
    "Elasticsearch and OpenSearch, by `_bulk`. The event's id is the document's.",
    &[
        &COMMON,
        &HOLDS,
        &Group::of(&[
            table("bulk", &BULK),
            text("pipeline", "An ingest pipeline of theirs."),
            compression_key(&["gzip", "none"]),
            table("batch", &BATCH),
        ]),
        &CLIENT,
    ],
)
.either(&[&ADDRESS_KEYS]);

/// 10 MB as Vector does; Elasticsearch itself takes 100 MB, and advises 5 to 15.
static BATCH: Table = Table::new(
    "sinks.elasticsearch.batch",
    shared::BATCH,
    &[&Group::of(&batch_keys(BatchBounds {
        max_bytes: (10_000_000, 100 << 20),
        max_events: (10_000, 1_000_000),
        timeout_secs: (1, 3600),
    }))],
);

static BULK: Table = Table::new(
    "sinks.elasticsearch.bulk",
    "Where documents go.",
    &[&Group::of(&[text_or(
        "index",
        INDEX,
        "An index, an alias or a data stream, in which places are filled in. It begins with a fixed text in lower case.",
    )])],
);

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
    let index = match section.table_or_empty("bulk") {
        Some(mut bulk) => {
            let index = template(&mut bulk, "index");
            if let Some(index) = &index
                && !index.prefix().starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.')
            {
                let hint = "Such as \"logs-mail-{tenant}\": what events hold must not choose among all indexes";
                bulk.fault("index", "must begin with a text in lower case", Some(hint.into()));
            }
            bulk.close();
            index
        }
        None => None,
    };
    let pipeline = section.text("pipeline");
    if pipeline
        .as_deref()
        .is_some_and(|name| !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte)))
    {
        let hint = "Name an ingest pipeline: letters, digits, `-`, `_`, `.` and `@`";
        section.fault("pipeline", "is no name of a pipeline", Some(hint.into()));
    }
    if client.endpoints.iter().any(super::client::Endpoint::has_query) {
        section.fault(client.address_key, "has a query", Some("Write the address alone; /_bulk is added to it".into()));
    }
    ElasticsearchOptions { client, index: index.unwrap_or_else(Template::empty), pipeline }
}

const DEFAULTS: Defaults =
    Defaults { address_key: "endpoints", example: "https://elasticsearch.example:9200", paths: &["/_bulk"] };
