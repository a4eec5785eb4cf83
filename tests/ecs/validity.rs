//! Every event is right by the dictionary: of samples, of every field there is, and of records that are odd in every
//! way that can be thought of.

use mimecast_source::{
    kind::{Generation, Kind},
    normalize::{Encoding, Form},
};
use serde_json::{Map, Value, json};

use crate::{dictionary::shared, event_of, judge, normalized, origin, records, samples, settings, siem};

fn judged(generation: Generation, origin: &mimecast_source::normalize::Origin<'_>, record: &[u8]) -> Value {
    let (head, body) = event_of(Form::Ecs, generation, origin, record);
    let complaints = judge::complaints(&body).unwrap_or_default();
    assert!(complaints.is_empty(), "{complaints:#?} {}\n{body:#}", String::from_utf8_lossy(record));
    assert_eq!(body["event"]["hash"], head.id.to_string());
    assert_eq!(body["event"]["severity"], head.severity);
    // Spam is an alert in ECS (3.5, 12) and none in OCSF (4.3), which says what collapses.
    let is_spam = head.kind == Kind::Spam as u32;
    assert_eq!(body["event"]["kind"] == "alert", head.alert_key.is_some() || is_spam);
    assert_eq!(head.class, 0);
    body
}

fn judge_value(generation: Generation, origin: &mimecast_source::normalize::Origin<'_>, record: &Value) -> Value {
    judged(generation, origin, &serde_json::to_vec(record).expect("a value is JSON"))
}

#[test]
fn every_sample_is_valid() {
    let mut count = 0;
    for sample in samples::folders() {
        for record in sample.records() {
            judge_value(Generation::V2, &sample.origin, &record);
            count += 1;
        }
    }
    println!("{count} samples");
    assert!(count == 0 || count > 100);
}

#[test]
fn a_record_of_every_field_is_valid_in_every_kind() {
    let Some(shared) = shared() else { return };
    for ((generation, _), fields) in records::dictionary(&shared) {
        let record = records::record(&fields);
        for kind in Kind::ALL {
            let mut record = record.clone();
            record.retain(|field, _| !["type", "eventType"].contains(&field.as_str()));
            let generation = if generation == "1.0" { Generation::V1 } else { Generation::V2 };
            judge_value(generation, &origin(kind), &Value::Object(record));
        }
    }
}

#[test]
fn audit_records_are_valid() {
    for record in records::audit() {
        judge_value(Generation::V2, &origin(Kind::Audit), &Value::Object(record));
    }
}

/// Every name that the component knows, each with every odd value, in every kind.
#[test]
fn odd_values_are_valid_in_every_kind() {
    let long = "x".repeat(10_000);
    let odd = [
        json!(null),
        json!(""),
        json!(" "),
        json!("<>"),
        json!("Internal IP"),
        json!("192.0.2.1:25"),
        json!("[2001:db8::1]:25"),
        json!("300.1.2.3"),
        json!("-5"),
        json!(-5),
        json!(1.5),
        json!("007"),
        json!(1e300),
        json!("99999999999999999999"),
        json!(true),
        json!("false"),
        json!([]),
        json!({}),
        json!([null, "", {"emailAddress": null}, 5]),
        json!({"emailAddress": "a@b.example", "displayableName": "A \"b\""}),
        json!({"": {"a": [1]}}),
        json!("{\"a\":\"b\"}"),
        json!("\"{\\\"a\\\":\\\"b\\\"}\""),
        json!("a\u{0}b\u{7f}\u{2028}\n"),
        json!("http://a:b@[::1]:99/x.y?#"),
        json!("[file:hashes.'MD5' = 'zz']"),
        json!(long),
    ];
    for kind in Kind::ALL {
        for value in &odd {
            let record: Map<String, Value> = mimecast_source::record::dictionary::Name::all()
                .filter(|name| !["type", "eventType"].contains(&name.text()))
                .map(|name| (name.text().to_owned(), value.clone()))
                .collect();
            for generation in [Generation::V1, Generation::V2] {
                judge_value(generation, &origin(kind), &Value::Object(record.clone()));
            }
            for name in ["type", "timestamp", "subject", "", "log_type", "a..b", ".a", "2FA", "new"] {
                judge_value(Generation::V2, &origin(kind), &json!({ name: value }));
            }
        }
    }
}

#[test]
fn bytes_that_are_no_utf8_are_valid() {
    let record = b"{\"type\":\"receipt\",\"subject\":\"\xff\xfe\",\"x\xff\":\"\xc3\"}";
    let body = judged(Generation::V2, &siem(None), record);
    assert_eq!(body["email"]["subject"], "\u{fffd}\u{fffd}");
    assert_eq!(body["mimecast"]["x\u{fffd}"], "\u{fffd}");
}

#[test]
fn lines_of_keys_and_values_are_valid() {
    let origin =
        mimecast_source::normalize::Origin { encoding: Encoding::KeyValue, kind: Some(Kind::Receipt), ..siem(None) };
    let line = br"datetime=2025-03-01T08:15:03+0000|aCode=B|acc=C0EX1|IP=198.51.100.9|RejType=\Manual Envelope Rejection\|RejCode=550|Dir=Inbound|headerFrom=|Sender=x@example.net|Rcpt=ann@example.com|Act=Rej|new=1|RejInfo=\Blocked\";
    let body = judged(Generation::V1, &origin, line);
    assert_eq!(body["error"], json!({"code": "550", "type": "Manual Envelope Rejection"}));
    assert_eq!(body["source"]["ip"], "198.51.100.9");
    assert_eq!(body["mimecast"]["acc"], "C0EX1");
    assert_eq!(body["event"]["outcome"], "failure");
}

#[test]
fn what_is_no_record_is_malformed() {
    for bad in [&b"[]"[..], b"", b"{", b"null", b"{\"a\":}"] {
        for form in [Form::Ecs, Form::Raw] {
            assert!(normalized(settings(form, Generation::V2), &siem(None), bad).is_none());
        }
    }
}
