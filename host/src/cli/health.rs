//! Health events that the store keeps, for `tributary state show`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::Value;
use serde_json::value::RawValue;

use super::place::table;
use crate::state::{StateError, Store};

/// Events by source, oldest first.
pub type Events = BTreeMap<String, Vec<Vec<u8>>>;

/// Those of the sources that `named` takes.
pub fn read(store: &Store, named: impl Fn(&str) -> bool) -> Result<Events, StateError> {
    let sources = store.health_sources()?.into_iter().filter(|source| named(source));
    sources.map(|source| store.health(&source).map(|events| (source, events))).collect()
}

/// Shows the last of each source: a table, or a list in JSON.
pub fn show(events: &Events, json: bool, last: usize, out: &mut impl Write) -> io::Result<()> {
    let of_each = events.values().flat_map(|events| &events[events.len().saturating_sub(last)..]);
    if json {
        // As they were told, members in their order.
        let all: Result<Vec<&RawValue>, _> = of_each.map(|event| serde_json::from_slice(event)).collect();
        serde_json::to_writer_pretty(&mut *out, &all?)?;
        return writeln!(out);
    }
    let rows: Vec<_> = of_each
        .map(|event| {
            let event: Value = serde_json::from_slice(event).unwrap_or_default();
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            let place = [text("source"), text("stream"), text("sink")].into_iter().filter(|part| !part.is_empty());
            let hint = event["hint"].as_str().map(|hint| format!(". {hint}")).unwrap_or_default();
            [
                text("time"),
                text("severity"),
                text("event"),
                place.collect::<Vec<_>>().join(" "),
                text("state"),
                text("code"),
                text("message") + &hint,
            ]
        })
        .collect();
    table(out, ["TIME", "SEVERITY", "HEALTH", "OF", "STATE", "CODE", "MESSAGE"], 0..0, &rows)
}
