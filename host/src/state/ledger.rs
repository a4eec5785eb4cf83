//! What was counted in a stream, since it was first read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Numbers of one stream. Two balances hold: records = events + malformed + merged, and events = repeated + accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Read from the vendor.
    pub records: u64,
    /// Records that became events.
    pub events: u64,
    /// Records that could not be read.
    pub malformed: u64,
    /// Records that went into the event of another.
    pub merged: u64,
    /// Events that were seen before.
    pub repeated: u64,
    /// Events that were new.
    pub accepted: u64,
    /// Gaps that the source reported.
    pub gaps: u64,
    /// Accepted events that each sink has.
    pub delivered: BTreeMap<String, u64>,
}

impl Counts {
    /// Adds the numbers of `other`.
    pub fn add(&mut self, other: &Counts) {
        let Counts { records, events, malformed, merged, repeated, accepted, gaps, delivered } = other;
        for (sum, more) in [
            (&mut self.records, records),
            (&mut self.events, events),
            (&mut self.malformed, malformed),
            (&mut self.merged, merged),
            (&mut self.repeated, repeated),
            (&mut self.accepted, accepted),
            (&mut self.gaps, gaps),
        ] {
            *sum = sum.saturating_add(*more);
        }
        for (sink, more) in delivered {
            let sum = self.delivered.entry(sink.clone()).or_default();
            *sum = sum.saturating_add(*more);
        }
    }
}

/// A stream's numbers, and since when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    pub counts: Counts,
    /// First commit, in milliseconds since the Unix epoch; zero before it.
    pub since_ms: u64,
    /// Last commit, likewise.
    pub updated_ms: u64,
}
