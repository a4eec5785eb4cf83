//! The collisions of other collectors' keys (section 6.1 of the normalization reference) in the lists, Cloud Integrated
//! and the feeds, and what must not tell two records apart.

use mimecast_source::{
    chunk::Digest,
    kind::{Generation, Kind},
    normalize::Origin,
};
use serde_json::{Value, json};

use crate::{event, judge, lists, normalize, siem, validity};

fn id(kind: Kind, record: &Value) -> Digest {
    event(Generation::V2, &lists::origin(kind), record).0.id
}

fn with(mut record: Value, changes: &[(&str, Value)]) -> Value {
    for (field, value) in changes {
        record[*field] = value.clone();
    }
    record
}

#[test]
fn two_data_loss_rows_of_one_message_are_two() {
    // Elastic's key lacks the recipient and the policy.
    for change in [
        ("recipientAddress", json!("tom@example.com")),
        ("policy", json!("Another")),
        ("action", json!("notification")),
        ("eventTime", json!("2025-03-01T08:15:03+0000")),
    ] {
        assert_ne!(id(Kind::Dlp, &lists::dlp()), id(Kind::Dlp, &with(lists::dlp(), &[change])));
    }
}

#[test]
fn two_attachments_of_one_message_are_two() {
    // Elastic's key is the message and the date, Sentinel's the sender, the recipient and the message.
    let one = lists::ttp_attachment("safe");
    for change in [
        ("fileName", json!("numbers.pptx")),
        ("fileHash", json!("1000000000000000000000000000000000000000000000000000000000000004")),
        // One file to one recipient in one second, scanned twice.
        ("details", json!("Result: x   \r\nTime taken: 0 hrs, 0 min, 5 sec")),
    ] {
        assert_ne!(id(Kind::TtpAttachment, &one), id(Kind::TtpAttachment, &with(one.clone(), &[change])));
    }
}

#[test]
fn two_clicks_are_two_if_only_their_time_differs() {
    let later = with(lists::ttp_url("clean"), &[("date", json!("2025-03-01T08:15:03+0000"))]);
    assert_ne!(id(Kind::TtpUrl, &lists::ttp_url("clean")), id(Kind::TtpUrl, &later));
}

#[test]
fn an_archive_search_has_no_id_and_is_told_by_its_content() {
    // Elastic's key is an id that no record has.
    let other = with(lists::archive_search(), &[("searchText", json!("another"))]);
    assert_ne!(id(Kind::ArchiveSearch, &lists::archive_search()), id(Kind::ArchiveSearch, &other));
}

#[test]
fn one_vendor_id_may_have_several_observations() {
    // An impersonation's token, a release, a held message and an indicator come again under one id.
    for (kind, record, change) in [
        (Kind::TtpImpersonation, lists::ttp_impersonation(), ("messageId", json!("<other@example.com>"))),
        (Kind::HeldRelease, lists::release("released"), ("status", json!("rejected"))),
        (Kind::Held, lists::held(), ("reason", json!("Another policy"))),
        (Kind::ThreatIntel, lists::indicator(), ("modified", json!("2025-03-02T08:00:00.000Z"))),
        (Kind::Audit, json!({"id": "eNq", "eventInfo": "a"}), ("eventInfo", json!("b"))),
    ] {
        let (_, body) = event(Generation::V2, &lists::origin(kind), &record);
        assert_eq!(body["metadata"]["original_event_uid"], record["id"], "{kind:?}");
        assert_ne!(id(kind, &record), id(kind, &with(record, &[change])), "{kind:?}");
    }
}

#[test]
fn cloud_integrated_records_of_one_message_are_told_apart_by_kind_and_content() {
    let entities = lists::entities(json!(["SPAM"]));
    assert_ne!(
        id(Kind::CloudEntities, &entities),
        id(Kind::CloudEntities, &with(entities.clone(), &[("tags", json!(["MALWARE"]))]))
    );
    let moved = with(entities.clone(), &[("_offset", json!(1)), ("_partition", json!(2))]);
    assert_eq!(id(Kind::CloudEntities, &entities), id(Kind::CloudEntities, &moved));
}

#[test]
fn the_batch_and_the_stream_form_of_a_record_share_an_id() {
    let batch = json!({
        "type": "receipt", "subtype": "Acc", "recipients": "ann@example.com", "timestamp": 1_740_816_902_123_i64,
        "aggregateId": "a_1740816902", "spamScore": "1", "virusFound": null, "_offset": 1001, "_partition": 60,
    });
    let stream = json!({
        "recipient": "ann@example.com", "spamScore": 1, "timestamp": "1740816902123", "aggregateId": "a_1740816902",
        "eventType": "receipt", "subType": "Acc",
    });
    let of_batch = event(Generation::V2, &Origin { stream: "siem/receipt", ..siem(Some(Kind::Receipt)) }, &batch);
    let of_stream = event(Generation::V2, &Origin { stream: "siem/events", ..siem(None) }, &stream);
    assert_eq!(of_batch.0.id, of_stream.0.id);
    assert_eq!((of_batch.0.kind, of_batch.0.time), (of_stream.0.kind, of_stream.0.time));
    // The lists of both generations are one log, too.
    let v1 = event(Generation::V1, &lists::origin(Kind::Dlp), &lists::dlp());
    assert_eq!(v1.0.id, id(Kind::Dlp, &lists::dlp()));
}

#[test]
fn the_public_samples_of_all_streams_do_not_collide() {
    let Some(shared) = judge::shared() else { return };
    for (kind, lines) in validity::samples(&shared) {
        let mut contents = std::collections::BTreeMap::<Digest, Value>::new();
        let origin = kind.map_or_else(|| siem(None), lists::origin);
        for line in &lines {
            let mut content: Value = serde_json::from_str(line).expect("a sample is JSON");
            if let Some(members) = content.as_object_mut() {
                members.retain(|field, value| !field.starts_with('_') && !value.is_null() && *value != "");
            }
            let id = normalize(Generation::V2, &origin, &[line.as_bytes()]).events[0].id;
            if let Some(before) = contents.insert(id, content.clone()) {
                assert_eq!(before, content);
            }
        }
        assert!(contents.len() > 5);
    }
}
