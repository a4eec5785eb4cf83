//! The raw form: an envelope around the record as it came.

use mimecast_source::{
    chunk::Chunk,
    kind::{Generation, Kind},
    normalize::{Encoding, Form, Normalizer, Occurrences, Origin, Settings},
};
use serde_json::json;

use crate::{normalized, settings, siem};

fn line(settings: Settings, origin: &Origin<'_>, record: &[u8]) -> String {
    let mut chunk = Chunk::default();
    let mut occurrences = Occurrences::Adjacent { last: None, count: 0 };
    Normalizer::new(settings).push(record, origin, &mut occurrences, &mut chunk);
    String::from_utf8(chunk.bodies).expect("UTF-8")
}

#[test]
fn the_record_is_there_byte_for_byte() {
    let record = r#"{"type":"receipt", "big":12345678901234567890.50,"x":1,"x":2,"u":"\u0041\/","acc":"C0"}"#;
    let written = line(settings(Form::Raw, Generation::V2), &siem(None), record.as_bytes());
    assert!(written.ends_with(&format!("\"record\":{record}}}\n")), "{written}");
    let (head, body) =
        normalized(settings(Form::Raw, Generation::V2), &siem(None), record.as_bytes()).expect("a record");
    assert_eq!(body["id"], head.id.to_string());
    assert_eq!((head.class, head.severity), (0, 1));
    assert_eq!(body["tenant"], "C0");
    assert_eq!(body["kind"], "receipt");
    assert_eq!(body["fields"], json!({"team": "mail"}));
    // A time that is not the record's is said to be none.
    assert_eq!((&body["time"], &body["time_source"]), (&json!("1970-01-01T00:00:00.000Z"), &json!("none")));
    let of_file = Origin { fallback_time: Some(1_000_000_000), ..siem(None) };
    let (_, body) = normalized(settings(Form::Raw, Generation::V2), &of_file, record.as_bytes()).expect("a record");
    assert_eq!((&body["time"], &body["time_source"]), (&json!("1970-01-01T00:00:01.000Z"), &json!("file")));
}

#[test]
fn line_feeds_between_members_go_and_those_in_texts_stay() {
    let written = line(settings(Form::Raw, Generation::V2), &siem(None), b"{\n  \"subject\" : \"a b\\n\"\n}\n");
    assert!(written.ends_with("\"record\":{\"subject\":\"a b\\n\"}}\n"), "{written}");
}

#[test]
fn a_line_of_keys_and_values_is_an_object_of_texts() {
    let origin = Origin { encoding: Encoding::KeyValue, kind: Some(Kind::Receipt), ..siem(None) };
    let record = br#"datetime=2025-03-01T09:15:02+0100|acc=C0EX1|Subject=\Q1 "x"|y\|AttCnt=0|Act=Acc|Act=Rej|new=1"#;
    let (_, body) = normalized(settings(Form::Raw, Generation::V1), &origin, record).expect("a record");
    assert_eq!(
        body["record"],
        json!({
            "datetime": "2025-03-01T09:15:02+0100", "acc": "C0EX1", "Subject": "Q1 \"x\"|y", "AttCnt": "0",
            "Act": ["Acc", "Rej"], "new": "1",
        })
    );
    assert_eq!((&body["time"], body.get("time_source")), (&json!("2025-03-01T08:15:02.000Z"), None));
}

#[test]
fn labels_and_category_stand_in_the_envelope_if_they_are_set() {
    let mut settings = settings(Form::Raw, Generation::V2);
    let (_, body) = normalized(settings.clone(), &siem(None), br#"{"type":"receipt"}"#).expect("a record");
    assert!(body.get("labels").is_none() && body.get("category").is_none());
    settings.labels = vec!["stellar".to_owned(), "elastic".to_owned()];
    settings.category = Some("mail/gateway".to_owned());
    let (_, body) = normalized(settings, &siem(None), br#"{"type":"receipt"}"#).expect("a record");
    assert_eq!(body["labels"], json!({"elastic": "receipt", "stellar": "mimecast_email"}));
    assert_eq!(body["category"], "mail/gateway");
}

#[test]
fn bytes_that_are_no_utf8_are_replaced() {
    let (_, body) =
        normalized(settings(Form::Raw, Generation::V2), &siem(None), b"{\"subject\":\"\xff\"}").expect("a record");
    assert_eq!(body["record"], json!({"subject": "\u{fffd}"}));
}
