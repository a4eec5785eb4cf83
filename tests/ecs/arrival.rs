//! Nothing is lost: every populated leaf of a record is found again in its event.

use mimecast_source::{
    kind::{Generation, Kind},
    normalize::Origin,
    record::time::date_time,
};
use serde_json::{Map, Value, json};

use crate::{dictionary::shared, ecs, golden, origin, records, samples, siem};

/// Where a record lay, not what it says.
const TRANSPORT: [&str; 3] = ["_offset", "_partition", "Content-Disposition"];

fn leaves(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.values().for_each(|value| leaves(value, found)),
        Value::Array(elements) => elements.iter().for_each(|value| leaves(value, found)),
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => found.push(text.clone()),
        scalar => found.push(scalar.to_string()),
    }
}

/// The leaves of one field: those of the JSON in it, where it holds JSON, and the names in a list of names.
fn source_leaves(field: &str, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    match value.as_str() {
        // JSON in a string in a string.
        Some(json) if json.starts_with("\"{") && serde_json::from_str::<String>(json).is_ok() => {
            let inner = serde_json::from_str::<String>(json).unwrap_or_default();
            return source_leaves(field, &Value::String(inner));
        }
        Some(json) if json.starts_with(['{', '[']) => {
            leaves(&serde_json::from_str(json).unwrap_or_else(|_| value.clone()), &mut found);
        }
        Some(names) if ["attachments", "AttNames"].contains(&field) => {
            let names = names.split(", ").map(|name| name.trim_matches('"').to_owned());
            found.extend(names.filter(|name| !name.is_empty()));
        }
        _ => leaves(value, &mut found),
    }
    found
}

/// How the output says what a field says in a code.
fn coded(field: &str, leaf: &str, event: &Value) -> bool {
    match field {
        "direction" | "Dir" | "route" | "Route" => {
            event["email"]["direction"].as_str().is_some_and(|direction| leaf.eq_ignore_ascii_case(direction))
        }
        "tlsUsed" | "UseTls" => event["tls"]["established"].is_boolean(),
        "type" | "eventType" => event["mimecast"]["log_type"].is_string(),
        "timestamp" | "datetime" | "date" | "eventTime" | "createTime" | "created" | "dateReceived" | "released"
        | "modified" | "valid_from" | "viewed" | "messageDate" => {
            let time = date_time(leaf.as_bytes());
            // A small number is seconds.
            let number =
                leaf.parse().ok().map(|number: u64| if number < 32_503_680_000 { number * 1000 } else { number });
            let milliseconds = number.or(time.map(|time| time / 1_000_000));
            ["/@timestamp", "/email/origination_timestamp"].iter().any(|path| {
                let written = event.pointer(path).and_then(Value::as_str).unwrap_or_default();
                milliseconds.is_some() && date_time(written.as_bytes()).map(|time| time / 1_000_000) == milliseconds
            })
        }
        _ => false,
    }
}

fn lost(record: &Map<String, Value>, event: &Value) -> Vec<String> {
    let mut outputs = Vec::new();
    leaves(event, &mut outputs);
    // JSON in a text is traced by what it says, as in the record: a number may be written in several ways.
    for text in outputs.clone() {
        if let Ok(json @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(&text) {
            leaves(&json, &mut outputs);
        }
    }
    let mut lost = Vec::new();
    for (field, value) in record.iter().filter(|(field, _)| !TRANSPORT.contains(&field.as_str())) {
        for leaf in source_leaves(field, value) {
            let found = outputs.iter().any(|output| *output == leaf || (leaf.len() > 3 && output.contains(&leaf)));
            if !found && !coded(field, &leaf, event) {
                lost.push(format!("{field}: {leaf}"));
            }
        }
    }
    lost
}

pub fn check(generation: Generation, origin: &Origin<'_>, record: &Value) {
    let event = ecs(generation, origin, record);
    let members = record.as_object().expect("an object");
    assert_eq!(lost(members, &event), Vec::<String>::new(), "{record:#} {event:#}");
}

#[test]
fn every_value_of_a_sample_arrives() {
    for sample in samples::folders() {
        sample.records().iter().for_each(|record| check(Generation::V2, &sample.origin, record));
    }
}

#[test]
fn every_value_of_a_golden_record_arrives() {
    for (generation, kind, record) in golden::records() {
        check(generation, &origin(kind), &record);
    }
}

#[test]
fn every_field_arrives_in_every_kind() {
    let Some(shared) = shared() else { return };
    for ((generation, _), fields) in records::dictionary(&shared) {
        let generation = if generation == "1.0" { Generation::V1 } else { Generation::V2 };
        let mut record = records::record(&fields);
        record.retain(|field, _| !["type", "eventType"].contains(&field.as_str()));
        for kind in Kind::ALL {
            check(generation, &origin(kind), &Value::Object(record.clone()));
        }
    }
}

/// One by one, so that no other field hides that a value did not arrive.
#[test]
fn every_name_arrives_alone_in_every_kind() {
    let names = mimecast_source::record::dictionary::Name::all().map(|name| name.text());
    for name in names.filter(|name| !["type", "eventType"].contains(name)) {
        for value in [json!("something rare"), json!(7_654_321), json!({"inner": "rare"}), json!(["rare"])] {
            for kind in Kind::ALL {
                for generation in [Generation::V1, Generation::V2] {
                    check(generation, &origin(kind), &json!({ name: value }));
                }
            }
        }
    }
}

/// The trace sees what is missing.
#[test]
fn a_loss_is_noticed() {
    let record = json!({"type": "journal", "subject": "something rare", "timestamp": 1_740_816_902_123_i64});
    let mut event = ecs(Generation::V2, &siem(None), &record);
    let members = record.as_object().expect("an object");
    assert_eq!(lost(members, &event), Vec::<String>::new());
    event["email"] = json!({});
    assert_eq!(lost(members, &event), ["subject: something rare"]);
}

#[test]
fn an_unknown_field_keeps_its_name_and_type_in_every_kind() {
    for kind in Kind::ALL {
        for value in [json!("x"), json!(7), json!({"a": [1, null]}), json!(false)] {
            let record = json!({"brandNewField": value, "quo\"ted": value, "": value, "nothing": null, "empty": ""});
            let event = ecs(Generation::V2, &origin(kind), &record);
            let mut vendor = event["mimecast"].clone();
            vendor.as_object_mut().expect("an object").remove("log_type");
            assert_eq!(vendor, json!({"brandNewField": value, "quo\"ted": value, "_": value}), "{kind:?}");
        }
    }
}
