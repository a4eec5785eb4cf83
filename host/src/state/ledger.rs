//! What was counted in a stream, since it was first read, and whether it balances.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Numbers of one stream. Two balances hold: records = events + malformed + merged, and events = repeated + accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, from = "StoredCounts")]
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
    pub pieces: Pieces,
    /// How many events each rule or route kept back or changed: `rules.NAME` of the source, and of a sink `SINK.rules.NAME`,
    /// `SINK.where`, and `SINK.alerts` for repeated alerts.
    pub rules: BTreeMap<String, u64>,
    /// What became of the accepted events, by sink.
    pub sinks: BTreeMap<String, SinkCounts>,
}

/// What records came in: files, or pages of answers where the vendor has no files.
///
/// A piece that was listed is open until it is fetched or gone. That is no balance to be checked: what a position cannot
/// hold (more than a thousand open files, or any after it was lost unreadable) is counted again when it is listed again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pieces {
    /// The vendor has named it.
    pub listed: u64,
    /// Read to its end, or as far as it can be read.
    pub fetched: u64,
    /// Given up, and told as a gap.
    pub gone: u64,
}

impl Pieces {
    /// Listed, and neither fetched nor gone.
    pub fn open(&self) -> u64 {
        self.listed.saturating_sub(self.fetched.saturating_add(self.gone))
    }

    fn add(&mut self, other: &Pieces) {
        let Pieces { listed, fetched, gone } = other;
        for (sum, more) in [(&mut self.listed, listed), (&mut self.fetched, fetched), (&mut self.gone, gone)] {
            *sum = sum.saturating_add(*more);
        }
    }
}

/// What became of one stream's events at one sink. A balance holds: accepted = delivered + filtered + dead-lettered +
/// lost + (unconfirmed - confirmed).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SinkCounts {
    /// Accepted events that came while the sink took this source: a sink that is added later, or taken out, balances too.
    pub accepted: u64,
    /// The sink has them.
    pub delivered: u64,
    /// A rule or route kept them from the sink.
    pub filtered: u64,
    /// The sink refused them for good.
    pub dead_lettered: u64,
    /// Given up. Only a sink without acknowledgements loses any.
    pub lost: u64,
    /// The position moved past them before the sink had answered. Only for a sink without acknowledgements.
    pub unconfirmed: u64,
    /// Of the unconfirmed, those that the sink answered for later. They count elsewhere too.
    pub confirmed: u64,
    /// Dead letters that the sink took later, when they were replayed. They still count as dead-lettered.
    pub replayed: u64,
}

impl SinkCounts {
    /// Sent without an answer. While no host runs, nobody will answer: they are lost.
    pub fn pending(&self) -> u64 {
        self.unconfirmed.saturating_sub(self.confirmed)
    }

    fn add(&mut self, other: &SinkCounts) {
        let SinkCounts { accepted, delivered, filtered, dead_lettered, lost, unconfirmed, confirmed, replayed } = other;
        for (sum, more) in [
            (&mut self.accepted, accepted),
            (&mut self.delivered, delivered),
            (&mut self.filtered, filtered),
            (&mut self.dead_lettered, dead_lettered),
            (&mut self.lost, lost),
            (&mut self.unconfirmed, unconfirmed),
            (&mut self.confirmed, confirmed),
            (&mut self.replayed, replayed),
        ] {
            *sum = sum.saturating_add(*more);
        }
    }
}

impl Counts {
    /// Adds the numbers of `other`.
    pub fn add(&mut self, other: &Counts) {
        let Counts { records, events, malformed, merged, repeated, accepted, gaps, pieces, rules, sinks } = other;
        self.pieces.add(pieces);
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
        for (rule, more) in rules {
            let sum = self.rules.entry(rule.clone()).or_default();
            *sum = sum.saturating_add(*more);
        }
        for (sink, more) in sinks {
            self.sinks.entry(sink.clone()).or_default().add(more);
        }
    }

    /// What does not balance, a sentence each.
    pub fn imbalances(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |what: &str, left: u64, right: &[(&str, u64)]| {
            let sum = right.iter().fold(0u64, |sum, (_, number)| sum.saturating_add(*number));
            if left != sum {
                let parts: Vec<String> = right.iter().map(|(name, number)| format!("{name} {number}")).collect();
                found.push(format!("{what} {left} is not {}, which is {sum}", parts.join(" + ")));
            }
        };
        let Counts { records, events, malformed, merged, repeated, accepted, .. } = *self;
        check("records", records, &[("events", events), ("malformed", malformed), ("merged", merged)]);
        check("events", events, &[("repeated", repeated), ("accepted", accepted)]);
        for (sink, counts) in &self.sinks {
            let parts = [
                ("delivered", counts.delivered),
                ("filtered", counts.filtered),
                ("dead-lettered", counts.dead_lettered),
                ("lost", counts.lost.saturating_add(counts.pending())),
            ];
            check(&format!("sink {sink}: accepted"), counts.accepted, &parts);
        }
        for (sink, counts) in &self.sinks {
            if counts.accepted > accepted {
                found.push(format!("sink {sink}: accepted {} is more than the stream's {accepted}", counts.accepted));
            }
            if counts.confirmed > counts.unconfirmed {
                let (more, less) = (counts.confirmed, counts.unconfirmed);
                found.push(format!("sink {sink}: {more} were confirmed of {less} that were not"));
            }
        }
        found
    }
}

/// Counts as any release wrote them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct StoredCounts {
    records: u64,
    events: u64,
    malformed: u64,
    merged: u64,
    repeated: u64,
    accepted: u64,
    gaps: u64,
    pieces: Pieces,
    rules: BTreeMap<String, u64>,
    sinks: BTreeMap<String, SinkCounts>,
    /// Format 1 knew no more of a sink, and each that was sent an event had it.
    delivered: BTreeMap<String, u64>,
}

impl From<StoredCounts> for Counts {
    fn from(stored: StoredCounts) -> Self {
        let StoredCounts {
            records,
            events,
            malformed,
            merged,
            repeated,
            accepted,
            gaps,
            pieces,
            rules,
            mut sinks,
            delivered,
        } = stored;
        for (sink, delivered) in delivered {
            sinks.entry(sink).or_default().add(&SinkCounts { accepted: delivered, delivered, ..SinkCounts::default() });
        }
        Counts { records, events, malformed, merged, repeated, accepted, gaps, pieces, rules, sinks }
    }
}

/// A stream's numbers, and since when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// Whose events these are; empty if only an earlier release wrote it.
    pub tenant: String,
    pub counts: Counts,
    /// First commit, in milliseconds since the Unix epoch; zero before it.
    pub since_ms: u64,
    /// Last commit, likewise.
    pub updated_ms: u64,
}

/// Something that the vendor no longer serves, or never served whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub what: String,
    /// In nanoseconds since the Unix epoch.
    pub begin: Option<u64>,
    /// Likewise.
    pub end: Option<u64>,
    pub reason: String,
    /// When it was found, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl Gap {
    /// How much time it covers, in nanoseconds; zero if that is not known.
    pub fn nanos(&self) -> u64 {
        self.begin.zip(self.end).map_or(0, |(begin, end)| end.saturating_sub(begin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balanced() -> Counts {
        let full = SinkCounts { accepted: 80, delivered: 60, filtered: 10, dead_lettered: 10, ..Default::default() };
        let loose = SinkCounts { accepted: 50, delivered: 30, lost: 8, unconfirmed: 40, confirmed: 28, ..full };
        let loose = SinkCounts { filtered: 0, dead_lettered: 0, ..loose };
        Counts {
            records: 100,
            events: 95,
            malformed: 3,
            merged: 2,
            repeated: 15,
            accepted: 80,
            gaps: 1,
            pieces: Pieces::default(),
            rules: BTreeMap::new(),
            sinks: [("full".to_owned(), full), ("loose".to_owned(), loose)].into(),
        }
    }

    #[test]
    fn each_number_that_is_off_is_found() {
        assert_eq!(balanced().imbalances(), [""; 0]);
        type Change = fn(&mut Counts);
        let changes: [(&str, Change); 9] = [
            ("records", |counts| counts.records += 1),
            ("records", |counts| counts.malformed += 1),
            ("records", |counts| counts.merged -= 1),
            ("events", |counts| counts.repeated += 1),
            ("sink full", |counts| counts.sinks.get_mut("full").unwrap().delivered -= 1),
            ("sink full", |counts| counts.sinks.get_mut("full").unwrap().dead_lettered += 1),
            ("sink loose", |counts| counts.sinks.get_mut("loose").unwrap().lost += 1),
            ("sink loose", |counts| counts.sinks.get_mut("loose").unwrap().confirmed += 1),
            ("sink loose", |counts| counts.sinks.get_mut("loose").unwrap().confirmed += 20),
        ];
        for (word, change) in changes {
            let mut counts = balanced();
            change(&mut counts);
            let found = counts.imbalances();
            assert!(found.iter().any(|text| text.starts_with(word)), "{word}: {found:?}");
        }
    }

    #[test]
    fn sums_balance() {
        let mut sum = balanced();
        sum.add(&balanced());
        assert_eq!(sum.imbalances(), [""; 0]);
        assert_eq!((sum.records, sum.sinks["loose"].pending()), (200, 24));
        let pieces = Pieces { listed: 3, fetched: 1, gone: 1 };
        sum.add(&Counts { pieces, ..Counts::default() });
        sum.add(&Counts { pieces, ..Counts::default() });
        assert_eq!((sum.pieces, sum.pieces.open()), (Pieces { listed: 6, fetched: 2, gone: 2 }, 2));
    }

    #[test]
    fn format_1_is_read() {
        let old = r#"{"counts":{"records":10,"events":9,"malformed":1,"merged":0,"repeated":2,"accepted":7,"gaps":0,
            "delivered":{"files":7,"out":5}},"since_ms":1,"updated_ms":2}"#;
        let ledger: Ledger = serde_json::from_str(old).unwrap();
        assert_eq!(ledger.counts.imbalances(), [""; 0]);
        assert_eq!(ledger.counts.pieces, Pieces::default());
        assert_eq!((ledger.counts.sinks["files"].delivered, ledger.counts.sinks["out"].accepted), (7, 5));
        let again: Ledger = serde_json::from_slice(&serde_json::to_vec(&ledger).unwrap()).unwrap();
        assert_eq!(again, ledger);
    }
}
