//! Sinks that speak HTTP. Each has the way of its far side in a file of its own: how it wants events wrapped, how much at
//! once, and how it says what became of each.

mod client;
mod elasticsearch;
mod events;
mod excerpt;
mod generic;
mod payload;
mod splunk_hec;
mod sumo;
#[cfg(test)]
pub(super) mod tests;

#[cfg(feature = "object_store")]
pub use client::retry_after;
pub use client::{Client, Reply, headers};
pub use elasticsearch::Elasticsearch;
pub use events::{body, overhead, places};
pub use generic::Http;
pub use payload::Payload;
pub use splunk_hec::SplunkHec;
pub use sumo::Sumo;

use super::Terms;
use crate::config::ClientOptions;

/// Terms as the operator has them, where `overhead` bytes are added to each event.
pub fn terms(options: &ClientOptions, overhead: usize) -> Terms {
    Terms {
        max_bytes: options.batch.max_bytes,
        max_events: options.batch.max_events,
        overhead,
        max_age: options.batch.max_age,
        concurrency: options.concurrency,
        groups: false,
    }
}
