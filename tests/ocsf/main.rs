//! Every event is valid under the published schema of its class and profiles, and no field of any record is lost.

#![recursion_limit = "256"]

mod arrival;
mod coverage;
mod golden;
mod identity;
mod judge;
mod list_identity;
mod list_mapping;
mod lists;
mod mapping;
mod records;
mod robustness;
mod simulated;
mod validity;

use mimecast_source::{
    chunk::{Chunk, Event},
    kind::{Generation, Kind},
    normalize::{Encoding, Normalizer, Occurrences, Origin, Settings, Source},
};
use serde_json::Value;

pub fn settings(generation: Generation) -> Settings {
    Settings { fields: vec![("team".to_owned(), "mail \"ops\"".to_owned())], ..Settings::new(generation, "acme") }
}

pub fn siem(kind: Option<Kind>) -> Origin<'static> {
    Origin { source: Source::Siem, stream: "siem", kind, encoding: Encoding::Json, fallback_time: None }
}

pub fn audit() -> Origin<'static> {
    Origin { source: Source::List, stream: "audit", kind: Some(Kind::Audit), ..siem(None) }
}

/// What becomes of records, each on its own.
pub fn normalize(generation: Generation, origin: &Origin<'_>, records: &[&[u8]]) -> Chunk {
    let mut normalizer = Normalizer::new(settings(generation));
    let mut chunk = Chunk::default();
    for record in records {
        let mut occurrences = Occurrences::Adjacent { last: None, count: 0 };
        normalizer.push(record, origin, &mut occurrences, &mut chunk);
    }
    assert_eq!(chunk.records as usize, records.len());
    assert_eq!(chunk.events.len() + chunk.malformed.len(), records.len());
    assert_eq!(chunk.events.last().map_or(0, |event| event.end as usize), chunk.bodies.len());
    chunk
}

/// The bodies of a chunk with their heads.
pub fn events(chunk: &Chunk) -> Vec<(Event, Value)> {
    let mut start = 0;
    chunk
        .events
        .iter()
        .map(|event| {
            let line = &chunk.bodies[start..event.end as usize];
            start = event.end as usize;
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line feed, at the end");
            let body: Value = serde_json::from_slice(line).unwrap_or_else(|error| {
                panic!("not JSON: {error}: {}", String::from_utf8_lossy(line));
            });
            assert_eq!(body["class_uid"], event.class);
            assert_eq!(body["severity_id"], event.severity);
            assert_eq!(body["time"], event.time / 1_000_000);
            assert_eq!(body["metadata"]["uid"], event.id.to_string());
            assert_eq!(body["is_alert"] == true, event.alert_key.is_some());
            (*event, body)
        })
        .collect()
}

/// The one event of one record.
pub fn event(generation: Generation, origin: &Origin<'_>, record: &Value) -> (Event, Value) {
    let text = serde_json::to_vec(record).expect("a value is JSON");
    let chunk = normalize(generation, origin, &[&text]);
    events(&chunk).remove(0)
}
