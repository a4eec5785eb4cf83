//! Every event in ECS holds fields of the dictionary only, says what OCSF says of the same record, and loses nothing;
//! every event in the raw form holds the record.
#![recursion_limit = "256"]

mod agreement;
mod arrival;
mod dictionary;
mod elastic;
mod golden;
mod judge;
#[path = "../ocsf/lists.rs"]
mod lists;
mod mapping;
mod raw;
#[path = "../ocsf/records.rs"]
mod records;
mod samples;
mod simulated;
mod validity;

use std::cell::RefCell;

use mimecast_source::{
    chunk::{Chunk, Event},
    kind::{Generation, Kind},
    normalize::{Encoding, Form, Normalizer, Occurrences, Origin, Settings, Source},
};
use serde_json::Value;

pub fn settings(form: Form, generation: Generation) -> Settings {
    Settings { form, fields: vec![("team".to_owned(), "mail".to_owned())], ..Settings::new(generation, "acme") }
}

pub fn siem(kind: Option<Kind>) -> Origin<'static> {
    Origin { source: Source::Siem, stream: "siem", kind, encoding: Encoding::Json, fallback_time: None }
}

/// Where records of a kind come from.
pub fn origin(kind: Kind) -> Origin<'static> {
    lists::origin(kind)
}

/// The bodies of a chunk with their heads.
pub fn events(chunk: &Chunk) -> Vec<(Event, Value)> {
    let mut start = 0;
    let mut found = Vec::new();
    for event in &chunk.events {
        let line = &chunk.bodies[start..event.end as usize];
        start = event.end as usize;
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line feed, at the end");
        let body = serde_json::from_slice(line)
            .unwrap_or_else(|error| panic!("not JSON: {error}: {}", String::from_utf8_lossy(line)));
        found.push((*event, body));
    }
    found
}

/// What becomes of one record: its event, or `None` if it is malformed.
pub fn normalized(settings: Settings, origin: &Origin<'_>, record: &[u8]) -> Option<(Event, Value)> {
    let mut chunk = Chunk::default();
    let mut occurrences = Occurrences::Adjacent { last: None, count: 0 };
    Normalizer::new(settings).push(record, origin, &mut occurrences, &mut chunk);
    assert_eq!(chunk.events.len() + chunk.malformed.len(), 1, "nothing is lost");
    events(&chunk).pop()
}

thread_local! {
    /// By form and generation: tests with very many records do not make one for each.
    static NORMALIZERS: RefCell<Vec<(Form, Generation, Normalizer)>> = const { RefCell::new(Vec::new()) };
}

/// The one event of one record, with the settings of these tests.
pub fn event_of(form: Form, generation: Generation, origin: &Origin<'_>, record: &[u8]) -> (Event, Value) {
    NORMALIZERS.with_borrow_mut(|known| {
        let place = known.iter().position(|(of, own, _)| (*of, *own) == (form, generation)).unwrap_or_else(|| {
            known.push((form, generation, Normalizer::new(settings(form, generation))));
            known.len() - 1
        });
        let mut chunk = Chunk::default();
        let mut occurrences = Occurrences::Adjacent { last: None, count: 0 };
        known[place].2.push(record, origin, &mut occurrences, &mut chunk);
        assert_eq!(chunk.malformed, []);
        events(&chunk).pop().expect("an event")
    })
}

pub fn event(form: Form, generation: Generation, origin: &Origin<'_>, record: &Value) -> (Event, Value) {
    event_of(form, generation, origin, &serde_json::to_vec(record).expect("a value is JSON"))
}

pub fn ecs(generation: Generation, origin: &Origin<'_>, record: &Value) -> Value {
    event(Form::Ecs, generation, origin, record).1
}
