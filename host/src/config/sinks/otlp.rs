//! An OpenTelemetry collector, by OTLP/HTTP.

use super::client::{ADDRESS_KEYS, CLIENT, ClientOptions, Defaults, Endpoint, client};
use super::shared::{self, BatchBounds, batch_keys, compression_key};
use super::{COMMON, HOLDS};
use crate::config::declaration::{Group, Table, table, text_or};
use crate::config::network::Networks;
use crate::config::section::Section;

pub static OTLP: Table = Table::new(
    "sinks.otlp",
    "An OpenTelemetry collector, by OTLP/HTTP. `/v1/logs` is added to the address.",
    &[
        &COMMON,
        &HOLDS,
        &Group::of(&[
            text_or("service_name", "tributary", "The resource's `service.name`."),
            compression_key(&["gzip", "none", "zstd"]),
            table("batch", &BATCH),
        ]),
        &CLIENT,
    ],
)
.either(&[&ADDRESS_KEYS]);

/// A collector's receiver takes 20 MiB unless it is told otherwise (`max_request_body_size`).
static BATCH: Table = Table::new(
    "sinks.otlp.batch",
    shared::BATCH,
    &[&Group::of(&batch_keys(BatchBounds {
        max_bytes: (4 << 20, 20 << 20),
        max_events: (8192, 1_000_000),
        timeout_secs: (1, 3600),
    }))],
);

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpOptions {
    pub client: ClientOptions,
    /// The resource's `service.name`.
    pub service_name: String,
}

/// `endpoint`, to which `/v1/logs` is added, and `service_name`; the rest as [`client`].
pub fn read(section: &mut Section<'_>, networks: &Networks) -> OtlpOptions {
    let client = client(section, networks, &DEFAULTS);
    if client.endpoints.iter().any(Endpoint::has_query) {
        section.fault(
            client.address_key,
            "has a query",
            Some("Write the address alone; /v1/logs is added to it".into()),
        );
    }
    let service_name = section.text("service_name").unwrap_or_else(|| "tributary".into());
    OtlpOptions { client, service_name }
}

const DEFAULTS: Defaults =
    Defaults { address_key: "endpoint", example: "http://collector.example:4318", paths: &["/v1/logs"] };
