//! An OpenTelemetry collector, by OTLP/HTTP.

use std::time::Duration;

use super::client::{ClientOptions, Defaults, Endpoint, client};
use super::shared::{BatchOptions, Compression};
use crate::config::network::Networks;
use crate::config::section::Section;

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

/// A collector's receiver takes 20 MiB unless it is told otherwise (`max_request_body_size`).
const DEFAULTS: Defaults = Defaults {
    address_key: "endpoint",
    example: "http://collector.example:4318",
    compressions: &[Compression::Gzip, Compression::None, Compression::Zstd],
    batch: BatchOptions { max_bytes: 4 << 20, max_events: 8192, max_age: Duration::from_secs(1) },
    most_bytes: 20 << 20,
};
