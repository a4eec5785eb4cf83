//! Nothing is lost: every populated leaf of a record is found again in its event.

use mimecast_source::kind::{Generation, Kind};
use mimecast_source::record::time;
use serde_json::{Map, Value, json};

use crate::{audit, event, judge, lists, records, siem};

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
        "authResults" | "authResults[]" => event["email_auth"].is_object(),
        "isAdmin" => !event["actor"]["user"]["type_id"].is_null(),
        "delivered" | "Delivered" => !event["status_id"].is_null(),
        _ => false,
    }
}

/// A time stands as milliseconds.
fn retimed(leaf: &str, outputs: &[String]) -> bool {
    let time = time::date_time(leaf.as_bytes()).map(|time| (time / 1_000_000).to_string());
    time.is_some_and(|time| outputs.contains(&time))
}

fn arrives(field: &str, leaf: &str, event: &Value, outputs: &[String]) -> bool {
    let bare = leaf.trim_start_matches('<').trim_end_matches('>');
    coded(field, event)
        || retimed(leaf, outputs)
        || outputs.iter().any(|output| output.eq_ignore_ascii_case(leaf) || output.contains(bare))
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
    for (generation, kind, record) in lists::records() {
        let mut coverage = Coverage::default();
        let (_, body) = event(generation, &lists::origin(kind), &Value::Object(record.clone()));
        trace(&record, &body, &mut coverage);
        let number = if generation == Generation::V1 { "1.0" } else { "2.0" };
        row(format!("{number} {}", kind.name()), coverage);
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
    // Each stream's fields with a text each, and each list's own record, as every kind.
    let made = records::dictionary(&shared).into_iter().map(|((generation, _), fields)| {
        let generation = if generation == "1.0" { Generation::V1 } else { Generation::V2 };
        (generation, records::record(&fields))
    });
    let lists = lists::records().into_iter().map(|(generation, _, record)| (generation, record));
    for (generation, mut record) in made.chain(lists) {
        record.retain(|field, _| !["type", "eventType"].contains(&field.as_str()));
        for kind in Kind::ALL {
            let (_, body) = event(generation, &lists::origin(kind), &Value::Object(record.clone()));
            let mut coverage = Coverage::default();
            trace(&record, &body, &mut coverage);
            assert_eq!(coverage.lost, Vec::<String>::new(), "{kind:?} {body:#}");
            assert_eq!(judge::complaints(&shared, &body), Vec::<String>::new(), "{kind:?} {body:#}");
        }
    }
}

/// The same for the words of the lists.
#[test]
fn what_does_not_fit_an_attribute_of_a_list_stands_in_unmapped() {
    for (kind, field, value) in [
        (Kind::Dlp, "senderAddress", json!("<>")),
        (Kind::Dlp, "recipientAddress", json!("nobody")),
        (Kind::Dlp, "policy", json!(["a"])),
        (Kind::Held, "from", json!({"emailAddress": "<>", "displayableName": "x"})),
        (Kind::Held, "to", json!({"emailAddress": "ann@example.com", "new": 1})),
        (Kind::Held, "toHeader", json!({"emailAddress": "other@example.com", "displayableName": ""})),
        (Kind::Held, "size", json!("large")),
        (Kind::Held, "dateReceived", json!("yesterday")),
        (Kind::HeldRelease, "operator", json!("<>")),
        (Kind::HeldRelease, "operator", json!({"name": "x"})),
        (Kind::HeldRelease, "attachments", json!("true")),
        (Kind::HeldRelease, "fromEnv", json!({"emailAddress": "bob@example.org", "displayableName": "Another Bob"})),
        (Kind::Rejection, "toAddressPostCheck", json!("other@example.com")),
        (Kind::Rejection, "ipAddress", json!("somewhere")),
        (Kind::TtpUrl, "sendingIp", json!("Internal IP")),
        (Kind::TtpAttachment, "fileHash", json!("short")),
        (Kind::TtpImpersonation, "senderIpAddress", json!("x")),
        (Kind::CloudEntities, "tags", json!({"a": 1})),
        (Kind::CloudEntities, "policiesApplied", json!([{"action": "BLOCK", "name": null}])),
        (Kind::CloudMailflow, "authResults", json!([{"type": "ARC", "result": "pass"}])),
        (Kind::ThreatIntel, "malware", json!("x")),
        (Kind::ThreatIntel, "created", json!("long ago")),
        (Kind::ThreatIntel, "labels", json!({"a": 1})),
        (Kind::ArchiveSearch, "emailAddr", json!("<>")),
        (Kind::ArchiveView, "viewer", json!({"a": 1})),
    ] {
        let mut record = lists::records().into_iter().find(|(_, of, _)| *of == kind).expect("one of each").2;
        if kind == Kind::TtpUrl {
            record.insert("scanResult".to_owned(), json!("clean"));
        }
        record.insert(field.to_owned(), value.clone());
        let (_, body) = event(Generation::V2, &lists::origin(kind), &Value::Object(record));
        assert_eq!(body["unmapped"][field], value, "{kind:?} {body:#}");
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
        let origin = lists::origin(kind);
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
