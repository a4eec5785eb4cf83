//! Nothing is lost: every populated leaf of a record is found again in its event.

use mimecast_source::kind::{Generation, Kind};
use serde_json::{Map, Value, json};

use crate::{audit, event, judge, records, siem};

/// Where a record lay, not what it says.
pub const TRANSPORT: [&str; 3] = ["_offset", "_partition", "Content-Disposition"];

pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub fn leaves(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.values().for_each(|value| leaves(value, found)),
        Value::Array(elements) => elements.iter().for_each(|value| leaves(value, found)),
        Value::Null => {}
        Value::String(string) if string.is_empty() => {}
        scalar => found.push(text(scalar)),
    }
}

/// The leaves of one field: those of the JSON in it, where it holds JSON, and the names in a list of names.
pub fn source_leaves(field: &str, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    match value.as_str() {
        Some(json) if json.starts_with('{') => {
            leaves(&serde_json::from_str(json).unwrap_or_else(|_| value.clone()), &mut found);
        }
        Some(names) if ["attachments", "AttNames"].contains(&field) => {
            found.extend(names.split(", ").map(|name| name.trim_matches('"').to_owned()));
        }
        _ => leaves(value, &mut found),
    }
    found
}

/// How the output says what a field says in a code: the table of 4.5, the direction, the time.
pub fn coded(field: &str, event: &Value) -> bool {
    match field {
        "action" | "Act" | "Action" | "threatState" | "status" => {
            !event["action_id"].is_null() && !event["disposition_id"].is_null()
        }
        "direction" | "Dir" | "route" | "Route" => event["direction_id"].as_i64().is_some_and(|id| id != 0),
        // The attribute is called by it.
        "authResults[]" => event["email_auth"].is_object(),
        "delivered" | "Delivered" => !event["status_id"].is_null(),
        _ => false,
    }
}

fn arrives(field: &str, leaf: &str, event: &Value, outputs: &[String]) -> bool {
    let bare = leaf.trim_start_matches('<').trim_end_matches('>');
    coded(field, event) || outputs.iter().any(|output| output == leaf || output.contains(bare))
}

#[derive(Default)]
struct Coverage {
    fields: usize,
    unmapped: usize,
    transport: usize,
    lost: Vec<String>,
}

fn trace(record: &Map<String, Value>, event: &Value, coverage: &mut Coverage) {
    let mut outputs = Vec::new();
    leaves(event, &mut outputs);
    let mut unmapped = Vec::new();
    leaves(&event["unmapped"], &mut unmapped);
    for (field, value) in record {
        let leaves = source_leaves(field, value);
        if leaves.is_empty() {
            continue;
        }
        coverage.fields += 1;
        if TRANSPORT.contains(&field.as_str()) {
            coverage.transport += 1;
            continue;
        }
        let lost = leaves.iter().filter(|leaf| !arrives(field, leaf, event, &outputs));
        coverage.lost.extend(lost.map(|leaf| format!("{field}: {leaf}")));
        // In `unmapped` as a whole; a part of it there (`spamProcessingDetail`) is a part in an attribute.
        coverage.unmapped += usize::from(leaves.iter().all(|leaf| unmapped.contains(leaf)));
    }
}

#[test]
fn every_value_arrives_and_the_coverage_is_this() {
    let Some(shared) = judge::shared() else { return };
    let mut total = Coverage::default();
    println!("{:32} {:>6} {:>9} {:>8} {:>9} {:>4}", "stream", "fields", "attribute", "unmapped", "transport", "lost");
    let mut row = |name: String, coverage: Coverage| {
        let attributes = coverage.fields - coverage.unmapped - coverage.transport;
        let Coverage { fields, unmapped, transport, lost } = coverage;
        println!("{name:32} {fields:>6} {attributes:>9} {unmapped:>8} {transport:>9} {:>4}", lost.len());
        total.fields += fields;
        total.unmapped += unmapped;
        total.transport += transport;
        total.lost.extend(lost);
    };
    for (kind, record) in records::api2(&shared) {
        let mut coverage = Coverage::default();
        let (_, body) = event(Generation::V2, &siem(None), &Value::Object(record.clone()));
        trace(&record, &body, &mut coverage);
        row(format!("2.0 {}", kind.name()), coverage);
    }
    for (kind, record) in records::api1() {
        let mut coverage = Coverage::default();
        let (_, body) = event(Generation::V1, &siem(Some(kind)), &Value::Object(record.clone()));
        trace(&record, &body, &mut coverage);
        row(format!("1.0 {}", kind.name()), coverage);
    }
    let mut coverage = Coverage::default();
    let record = records::audit().remove(0);
    trace(&record, &event(Generation::V2, &audit(), &Value::Object(record.clone())).1, &mut coverage);
    row("audit".to_owned(), coverage);
    assert_eq!(total.lost, Vec::<String>::new());
    let attributes = total.fields - total.unmapped - total.transport;
    println!("attributes: {:.1} %", 100.0 * attributes as f64 / (total.fields - total.transport) as f64);
    // The target of 4.4.
    assert!(attributes * 100 >= 85 * (total.fields - total.transport));
}

#[test]
fn every_field_arrives_in_every_kind() {
    let Some(shared) = judge::shared() else { return };
    for ((generation, stream), fields) in records::dictionary(&shared) {
        let generation = match generation.as_str() {
            "1.0" => Generation::V1,
            _ => Generation::V2,
        };
        if !stream.starts_with("siem") {
            continue;
        }
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Audit) {
            let mut record = records::record(&fields);
            record.retain(|field, _| !["type", "eventType"].contains(&field.as_str()));
            let (_, body) = event(generation, &siem(Some(kind)), &Value::Object(record.clone()));
            let mut coverage = Coverage::default();
            trace(&record, &body, &mut coverage);
            assert_eq!(coverage.lost, Vec::<String>::new(), "{kind:?} {body:#}");
        }
    }
}

/// The trace sees what is missing.
#[test]
fn a_loss_is_noticed() {
    let record = json!({"type": "journal", "subject": "something rare", "timestamp": 1_740_816_902_123_i64});
    let (_, mut body) = event(Generation::V2, &siem(None), &record);
    let record = record.as_object().cloned().unwrap_or_default();
    let mut coverage = Coverage::default();
    trace(&record, &body, &mut coverage);
    assert_eq!(coverage.lost, Vec::<String>::new());
    body["email"] = json!({"to": []});
    body["observables"] = json!([]);
    trace(&record, &body, &mut coverage);
    assert_eq!(coverage.lost, ["subject: something rare"]);
}

#[test]
fn an_unknown_field_stands_in_unmapped_in_every_kind() {
    for kind in Kind::ALL {
        let origin = if kind == Kind::Audit { audit() } else { siem(Some(kind)) };
        for value in [json!("x"), json!(7), json!({"a": [1, null]}), json!(false)] {
            let record = json!({"brandNewField": value, "": value, "quo\"ted": value, "nothing": null, "empty": ""});
            let (_, body) = event(Generation::V2, &origin, &record);
            assert_eq!(body["unmapped"], json!({"brandNewField": value, "": value, "quo\"ted": value}), "{kind:?}");
        }
    }
}

#[test]
fn what_does_not_fit_an_attribute_stands_in_unmapped() {
    for (field, value) in [
        ("senderEnvelope", json!("<>")),
        ("senderEnvelope", json!("a@under_score.example")),
        ("senderHeader", json!("nobody")),
        ("recipients", json!("recipient@domain")),
        ("recipients", json!(["ann@example.com", "<>"])),
        ("recipients", json!({"a": 1})),
        ("senderIp", json!("Internal IP")),
        ("destinationIp", json!("192.0.2.300")),
        ("spamScore", json!("1.5")),
        ("spamScore", json!("high")),
        ("emailSize", json!("99999999999999999999999")),
        ("subject", json!({"a": 1})),
        ("timestamp", json!("yesterday")),
        ("messageId", json!(["a"])),
        ("action", json!({"a": 1})),
        ("delivered", json!("perhaps")),
        ("aggregateId", json!([1])),
        ("type", json!({"a": 1})),
        ("attachments", json!({"a": 1})),
    ] {
        for kind in [Kind::Receipt, Kind::Delivery, Kind::Av, Kind::SiemOther] {
            let (_, body) = event(Generation::V2, &siem(Some(kind)), &json!({ field: value }));
            let delivered_elsewhere = field == "delivered" && kind != Kind::Delivery;
            assert!(body["unmapped"][field] == value || delivered_elsewhere, "{kind:?} {field} {body:#}");
        }
    }
}
