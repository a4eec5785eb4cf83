//! One record has one id for ever, and no two share one.

use std::collections::{BTreeMap, HashMap};

use mimecast_source::{
    chunk::{Chunk, Digest},
    kind::{Generation, Kind},
    normalize::{Encoding, Normalizer, Occurrences, Origin, Settings, Source},
};
use serde_json::{Map, Value, json};

use crate::{audit, event, judge, lists, normalize, records, settings, siem};

fn id(generation: Generation, origin: &Origin<'_>, text: &str) -> Digest {
    normalize(generation, origin, &[text.as_bytes()]).events[0].id
}

/// The record as JSON with its members in another order, blanks, and every letter of its texts escaped.
fn respelled(record: &Map<String, Value>) -> String {
    let escape = |text: &str| -> String {
        text.encode_utf16().map(|unit| if unit == 0x2F { "\\/".to_owned() } else { format!("\\u{unit:04x}") }).collect()
    };
    let members: Vec<String> = record
        .iter()
        .rev()
        .map(|(key, value)| match value {
            Value::String(text) => format!("\"{}\" :\t\"{}\"", escape(key), escape(text)),
            other => format!("\"{}\" : {other}", escape(key)),
        })
        .collect();
    format!(" {{ {} }} ", members.join(" , "))
}

fn all(shared: &std::path::Path) -> Vec<(Generation, Origin<'static>, Map<String, Value>)> {
    let api2 = records::api2(shared).into_iter().map(|(_, record)| (Generation::V2, siem(None), record));
    let api1 = records::api1().into_iter().map(|(kind, record)| (Generation::V1, siem(Some(kind)), record));
    let audits = records::audit().into_iter().step_by(3).map(|record| (Generation::V2, audit(), record));
    let lists =
        lists::records().into_iter().map(|(generation, kind, record)| (generation, lists::origin(kind), record));
    api2.chain(api1).chain(audits).chain(lists).collect()
}

#[test]
fn spelling_order_and_place_do_not_matter() {
    let Some(shared) = judge::shared() else { return };
    for (generation, origin, record) in all(&shared) {
        let text = |record: &Map<String, Value>| Value::Object(record.clone()).to_string();
        let expected = id(generation, &origin, &text(&record));
        assert_eq!(id(generation, &origin, &respelled(&record)), expected);
        let mut other = record.clone();
        for (field, value) in [("_offset", json!(99)), ("_partition", json!(1)), ("Content-Disposition", json!("x"))] {
            other.insert(field.to_owned(), value);
        }
        other.insert("somethingNew".to_owned(), Value::Null);
        other.insert("somethingElse".to_owned(), json!(""));
        assert_eq!(id(generation, &origin, &text(&other)), expected);
        for (one, another) in [("type", "eventType"), ("subtype", "subType"), ("recipients", "recipient")] {
            let mut other = record.clone();
            if let Some(value) = other.remove(one) {
                other.insert(another.to_owned(), value);
            }
            assert_eq!(id(generation, &origin, &text(&other)), expected, "{another}");
        }
        let mut other = record.clone();
        for value in other.values_mut() {
            // A number and a truth are their text.
            match value.as_str() {
                Some("true") => *value = json!(true),
                Some(number) => *value = number.parse::<u32>().map_or(value.clone(), |number| json!(number)),
                None if value.is_number() || value.is_boolean() => *value = json!(value.to_string()),
                None => {}
            }
        }
        // Leading zeros are another text.
        let is_hash = |field: &str| ["md5", "sha", "fileHash"].iter().any(|start| field.starts_with(start));
        other.retain(|field, _| !is_hash(field));
        let mut without = record.clone();
        without.retain(|field, _| !is_hash(field));
        assert_eq!(id(generation, &origin, &text(&other)), id(generation, &origin, &text(&without)));
    }
}

#[test]
fn any_other_value_is_another_record() {
    let Some(shared) = judge::shared() else { return };
    for (generation, origin, record) in all(&shared) {
        let text = |record: &Map<String, Value>| Value::Object(record.clone()).to_string();
        let mut ids = HashMap::from([(id(generation, &origin, &text(&record)), "itself".to_owned())]);
        for field in record.keys().filter(|field| !field.starts_with('_')) {
            for value in
                [json!("other"), json!("other "), json!(["other"]), json!({"other": 1}), json!("0"), Value::Null]
            {
                let mut changed = record.clone();
                changed.insert(field.clone(), value.clone());
                // What is empty is null already; a changed type is another kind.
                let absent = record[field] == "" || record[field].is_null();
                if (absent && value.is_null()) || (field == "type" && !value.is_null()) {
                    continue;
                }
                let name = format!("{field} = {value}");
                let before = ids.insert(id(generation, &origin, &text(&changed)), name.clone());
                assert_eq!(before, None, "{name}");
            }
        }
    }
}

#[test]
fn tenants_and_kinds_do_not_share_ids() {
    let record = json!({"timestamp": 1, "subject": "x"}).to_string();
    let mut ids: Vec<Digest> = Kind::ALL
        .into_iter()
        .map(|kind| {
            let origin = if kind == Kind::Audit { audit() } else { siem(Some(kind)) };
            id(Generation::V2, &origin, &record)
        })
        .collect();
    let mut normalizer = Normalizer::new(Settings { id_scope: "another".to_owned(), ..settings(Generation::V2) });
    let mut chunk = Chunk::default();
    let mut fresh = Occurrences::Adjacent { last: None, count: 0 };
    normalizer.push(record.as_bytes(), &siem(Some(Kind::Receipt)), &mut fresh, &mut chunk);
    ids.push(chunk.events[0].id);
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn the_four_encodings_of_the_spam_detail_are_one() {
    let detail = json!({"spf": {"allow": true, "info": "X", "none": null}, "greyEmail": false});
    let once = detail.to_string();
    let twice = json!(once).to_string();
    let forms = [
        detail.clone(),
        json!(once),
        json!(twice),
        json!(" {\"greyEmail\":false,\"spf\":{\"info\":\"X\",\"allow\":true}}"),
    ];
    let bodies: Vec<(Digest, Value)> = forms
        .iter()
        .map(|form| {
            let (head, body) =
                event(Generation::V2, &siem(Some(Kind::Receipt)), &json!({"spamProcessingDetail": form}));
            assert_eq!(body["email_auth"], json!({"spf": "X"}));
            assert_eq!(body["unmapped"]["spamProcessingDetail"]["greyEmail"], false);
            (head.id, body)
        })
        .collect();
    assert!(bodies.iter().all(|(id, _)| *id == bodies[0].0));
    let line = format!("SpamProcessingDetail={once}");
    let origin = Origin { encoding: Encoding::KeyValue, ..siem(Some(Kind::Receipt)) };
    assert_eq!(id(Generation::V1, &origin, &line), bodies[0].0);
    // Another text in the same place is no such detail, and an empty one says nothing.
    let other =
        |form: Value| event(Generation::V2, &siem(Some(Kind::Receipt)), &json!({"spamProcessingDetail": form})).0.id;
    assert_ne!(other(json!("spf")), bodies[0].0);
    assert_eq!(other(json!("")), other(Value::Null));
}

/// Table 6.1 in bold: records that share every vendor id, and differ elsewhere.
#[test]
fn records_that_share_the_vendor_ids_are_told_apart() {
    let delivery = |message: &str, time: u64| json!({"type": "delivery", "aggregateId": "a", "processingId": "p", "messageId": message, "timestamp": time});
    let attachment = |processing: &str| json!({"type": "attachment protect", "_offset": 72919, "_partition": 60, "aggregateId": "a", "processingId": processing});
    let recipient = |address: &str| json!({"type": "receipt", "_offset": 1, "_partition": 60, "aggregateId": "a", "processingId": "p", "timestamp": 5, "recipients": address});
    let file = |name: &str| json!({"type": "av", "messageId": "<m>", "timestamp": 5, "fileName": name});
    let refused =
        |recipient: &str| json!({"type": "receipt", "messageId": null, "timestamp": 5, "recipients": recipient});
    for pair in [
        [delivery("m1", 1), delivery("m2", 1)],
        [delivery("m1", 1), delivery("m1", 2)],
        [attachment("p1"), attachment("p2")],
        [recipient("a@example.com"), recipient("b@example.com")],
        [file("a.docx"), file("a.pptx")],
        [refused("a@example.com"), refused("b@example.com")],
    ] {
        let ids = pair.map(|record| event(Generation::V2, &siem(None), &record).0.id);
        assert_ne!(ids[0], ids[1]);
    }
}

#[test]
fn the_public_samples_do_not_collide() {
    let Some(shared) = judge::shared() else { return };
    let path = shared.join("samples/elastic-v2/siem_logs/test-siem-v2-logs.log");
    let Ok(text) = std::fs::read_to_string(&path) else {
        assert!(std::env::var_os("CI").is_none(), "no samples at {}", path.display());
        return println!("skipped: no samples at {}", path.display());
    };
    let mut by_id: BTreeMap<Digest, Value> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let mut content: Value = serde_json::from_str(line).expect("a sample is JSON");
        let id = id(Generation::V2, &siem(None), line);
        if let Some(members) = content.as_object_mut() {
            members.retain(|field, value| !field.starts_with('_') && !value.is_null());
        }
        if let Some(before) = by_id.insert(id, content.clone()) {
            assert_eq!(before, content);
        }
    }
    println!("{} distinct samples", by_id.len());
    assert!(by_id.len() > 50);
}

#[test]
fn repeats_are_numbered_and_arrive() {
    let line = br#"{"type":"journal","timestamp":1,"subject":"x"}"#;
    let other = br#"{"type":"journal","timestamp":2,"subject":"x"}"#;
    let run = |mut occurrences: Occurrences| {
        let mut normalizer = Normalizer::new(settings(Generation::V2));
        let mut chunk = Chunk::default();
        for record in [line, line, other, line] {
            normalizer.push(record, &siem(None), &mut occurrences, &mut chunk);
        }
        chunk.events.iter().map(|event| event.id).collect::<Vec<_>>()
    };
    let file = run(Occurrences::Adjacent { last: None, count: 0 });
    assert_eq!(file[0], file[3]);
    assert!(file[0] != file[1] && file[1] != file[2]);
    let answer = run(Occurrences::answer());
    assert_eq!(answer[..3], file[..3]);
    assert!(!answer[..3].contains(&answer[3]));
}

/// Made with Python from the description in `src/record/identity.rs`, not with this code.
#[test]
fn the_vectors_hold() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../identity-vectors.json")).expect("vectors");
    assert!(vectors.len() >= 10);
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().expect("a text").to_owned();
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == text("kind")).expect("a kind");
        let source = if kind == Kind::Audit { Source::List } else { Source::Siem };
        let encoding = if text("encoding") == "json" { Encoding::Json } else { Encoding::KeyValue };
        let origin = Origin { source, kind: Some(kind), encoding, ..siem(None) };
        let mut normalizer = Normalizer::new(Settings { id_scope: text("id_scope"), ..settings(Generation::V1) });
        let mut chunk = Chunk::default();
        let mut occurrences = Occurrences::answer();
        for _ in 0..=vector["occurrence"].as_u64().expect("a number") {
            normalizer.push(text("record").as_bytes(), &origin, &mut occurrences, &mut chunk);
        }
        let id = chunk.events.last().expect("an event").id.to_string();
        assert_eq!(id, text("id"), "{vector}");
    }
}
