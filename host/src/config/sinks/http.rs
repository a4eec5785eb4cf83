//! Events to any HTTP server, as lines or as an array.

use super::client::{ClientOptions, Defaults, client};
use super::shared::{BatchOptions, Compression};
use crate::config::network::Networks;
use crate::config::section::Section;
use std::time::Duration;

/// POST to one address.
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

/// Nothing is compressed if nobody says that the far side can read it. 10 MB and 1 s are Vector's own defaults.
const DEFAULTS: Defaults = Defaults {
    address_key: "uri",
    example: "https://logs.example.com/ingest",
    compressions: &[Compression::None, Compression::Gzip, Compression::Zstd],
    batch: BatchOptions { max_bytes: 10_000_000, max_events: 10_000, max_age: Duration::from_secs(1) },
    most_bytes: 100 << 20,
};
