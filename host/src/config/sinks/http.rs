//! Events to any HTTP server, as lines or as an array.

use super::client::{ADDRESS_KEYS, CLIENT, ClientOptions, Defaults, client};
use super::shared::{self, BatchBounds, batch_keys, compression_key};
use super::{COMMON, HOLDS};
use crate::config::declaration::{Group, Table, choice, table};
use crate::config::network::Networks;
use crate::config::section::Section;

pub static HTTP: Table = Table::new(
    "sinks.http",
    "Any HTTP service, as lines or arrays of JSON.",
    &[
        &COMMON,
        &HOLDS,
        &Group::of(&[
            choice("encoding", &["ndjson", "json"], Some("ndjson"), "The body: one object a line, or an array."),
            compression_key(&["none", "gzip", "zstd"]),
            table("batch", &BATCH),
        ]),
        &CLIENT,
    ],
)
.either(&[&ADDRESS_KEYS]);

/// Nothing is compressed if nobody says that the far side can read it. 10 MB and 1 s are Vector's own defaults.
static BATCH: Table = Table::new(
    "sinks.http.batch",
    shared::BATCH,
    &[&Group::of(&batch_keys(BatchBounds {
        max_bytes: (10_000_000, 100 << 20),
        max_events: (10_000, 1_000_000),
        timeout_secs: (1, 3600),
    }))],
);

/// Vector's source reads lines.
pub static VECTOR: Table = Table::new(
    "sinks.vector",
    "The `http_server` source of Vector.",
    &[&COMMON, &HOLDS, &Group::of(&[compression_key(&["none", "gzip", "zstd"]), table("batch", &BATCH)]), &CLIENT],
)
.either(&[&ADDRESS_KEYS]);

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    pub client: ClientOptions,
    pub encoding: Encoding,
}

/// What stands in the body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// One object a line, `application/x-ndjson`.
    #[default]
    Ndjson,
    /// An array, `application/json`.
    Json,
}

/// `encoding = "ndjson"` or `"json"`; the rest as [`client`].
pub fn read(section: &mut Section<'_>, networks: &Networks) -> HttpOptions {
    let client = client(section, networks, &DEFAULTS);
    let encoding = section.choice("encoding", &[("ndjson", Encoding::Ndjson), ("json", Encoding::Json)]);
    HttpOptions { client, encoding }
}

/// Into the `http_server` source of Vector: lines to one address.
pub fn vector(section: &mut Section<'_>, networks: &Networks) -> HttpOptions {
    let defaults = Defaults { example: "http://vector.example:8080", ..DEFAULTS };
    HttpOptions { client: client(section, networks, &defaults), encoding: Encoding::Ndjson }
}

const DEFAULTS: Defaults = Defaults { address_key: "uri", example: "https://logs.example.com/ingest", paths: &[] };
