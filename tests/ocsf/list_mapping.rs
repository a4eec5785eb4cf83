//! What goes where, for the lists, Cloud Integrated and the feeds: tables 4.3 and 4.5 of the normalization reference.

use mimecast_source::{
    chunk::{Chunk, Digest},
    kind::{Generation, Kind},
    normalize::{Normalizer, Occurrences, Origin, Settings},
};
use serde_json::{Value, json};

use crate::{event, events, judge, lists, settings, siem};

fn map(kind: Kind, record: &Value) -> Value {
    event(Generation::V2, &lists::origin(kind), record).1
}

fn with(mut record: Value, field: &str, value: Value) -> Value {
    record[field] = value;
    record
}

#[test]
fn class_severity_and_alert_by_kind_and_verdict() {
    let url = |verdict: Value, action: &str| json!({"scanResult": verdict, "action": action});
    for (kind, record, type_uid, severity, alert) in [
        (Kind::CloudEntities, json!({"tags": ["SPAM"]}), 200_401, 4, json!(true)),
        (Kind::CloudEntities, json!({"tags": "SPAM"}), 200_401, 4, json!(true)),
        (Kind::CloudEntities, json!({"tags": []}), 400_903, 1, json!(false)),
        (Kind::CloudEntities, json!({"tags": null}), 400_903, 1, json!(false)),
        (Kind::CloudEntities, json!({"tags": [null, ""]}), 400_903, 1, json!(false)),
        (Kind::CloudMailflow, json!({}), 400_903, 1, Value::Null),
        (Kind::CloudUrlClick, json!({}), 400_903, 1, Value::Null),
        (Kind::Dlp, json!({}), 200_601, 3, json!(true)),
        (Kind::Held, json!({}), 400_903, 2, json!(true)),
        (Kind::HeldRelease, json!({"status": "released"}), 400_999, 1, Value::Null),
        (Kind::Rejection, json!({}), 400_902, 2, json!(true)),
        (Kind::TtpUrl, url(json!("clean"), "block"), 400_903, 1, json!(false)),
        (Kind::TtpUrl, url(json!("Clean"), "allow"), 400_903, 1, json!(false)),
        (Kind::TtpUrl, url(json!("malicious"), "allow"), 200_401, 4, json!(true)),
        (Kind::TtpUrl, url(json!("unknown"), "block"), 200_401, 3, json!(true)),
        (Kind::TtpUrl, url(json!("unknown"), "allow"), 200_401, 2, json!(true)),
        (Kind::TtpUrl, url(Value::Null, "allow"), 200_401, 2, json!(true)),
        (Kind::TtpAttachment, json!({"result": "safe"}), 400_903, 1, json!(false)),
        (Kind::TtpAttachment, json!({"result": "malicious"}), 200_401, 4, json!(true)),
        (Kind::TtpAttachment, json!({"result": "timeout"}), 200_401, 2, json!(true)),
        (Kind::TtpAttachment, json!({"result": "unsafe", "actionTriggered": "none"}), 200_401, 3, json!(true)),
        (Kind::TtpUrl, url(json!("suspicious"), "allow"), 200_401, 3, json!(true)),
        (Kind::TtpImpersonation, json!({"taggedMalicious": true}), 200_401, 4, json!(true)),
        (Kind::TtpImpersonation, json!({"taggedMalicious": "false"}), 200_401, 2, json!(true)),
        (Kind::ThreatIntel, json!({}), 502_102, 1, Value::Null),
        (Kind::ArchiveSearch, json!({}), 300_402, 1, Value::Null),
        (Kind::ArchiveUserSearch, json!({}), 300_402, 1, Value::Null),
        (Kind::ArchiveView, json!({}), 300_402, 1, Value::Null),
    ] {
        let body = map(kind, &record);
        let got = (&body["type_uid"], &body["severity_id"], &body["is_alert"]);
        assert_eq!(got, (&json!(type_uid), &json!(severity), &alert), "{kind:?} {record}");
        if let Some(shared) = judge::shared() {
            assert_eq!(judge::complaints(&shared, &body), Vec::<String>::new(), "{kind:?} {record}");
        }
    }
}

#[test]
fn what_was_done() {
    for (kind, record, action, disposition) in [
        (Kind::CloudEntities, json!({"threatState": "DELIVERED"}), 1, 1),
        (Kind::CloudEntities, json!({"threatState": "BLOCKED"}), 2, 2),
        (Kind::CloudEntities, json!({"threatState": "QUARANTINED"}), 2, 3),
        (Kind::Dlp, json!({"action": "hold"}), 2, 3),
        (Kind::Dlp, json!({"action": "notification"}), 3, 19),
        (Kind::Dlp, json!({"action": "smart_folder"}), 99, 99),
        (Kind::Held, json!({}), 2, 3),
        (Kind::Rejection, json!({}), 2, 25),
        (Kind::HeldRelease, json!({"status": "released"}), 1, 9),
        (Kind::HeldRelease, json!({"status": "rejected"}), 2, 25),
        // The definition's action, not the reader's answer; the list of actions only where it stopped the message.
        (Kind::TtpUrl, json!({"action": "block", "actions": "Allow", "userAwarenessAction": "Continue"}), 2, 2),
        (Kind::TtpUrl, json!({"actions": "Hold, None"}), 2, 3),
        (Kind::TtpUrl, json!({"action": "warn", "actions": "Block", "scanResult": "malicious"}), 2, 2),
        (Kind::TtpUrl, json!({"action": "warn", "actions": "Hold, None"}), 2, 3),
        (Kind::TtpUrl, json!({"action": "warn", "actions": "None"}), 3, 19),
        (Kind::TtpUrl, json!({"action": "allow", "actions": "Browser Isolation"}), 1, 1),
        (Kind::TtpAttachment, json!({"actionTriggered": "none, none"}), 3, 16),
        (Kind::TtpAttachment, json!({"actionTriggered": "user release, none"}), 99, 99),
        (Kind::TtpImpersonation, json!({"action": "none"}), 3, 16),
        (Kind::TtpImpersonation, json!({"action": "bounce"}), 2, 25),
    ] {
        let body = map(kind, &record);
        let got = (&body["action_id"], &body["disposition_id"]);
        assert_eq!(got, (&json!(action), &json!(disposition)), "{kind:?} {record}");
    }
    let body = map(Kind::HeldRelease, &lists::release("rejected"));
    assert_eq!((&body["activity_id"], &body["activity_name"]), (&json!(99), &json!("Held message rejected")));
    assert!(body["status_id"].is_null());
}

#[test]
fn a_held_message_its_release_and_a_rejection() {
    let body = map(Kind::Held, &lists::held());
    assert_eq!((&body["from"], &body["to"]), (&json!("bounce@example.net"), &json!(["ann@example.com"])));
    assert_eq!(body["email"]["from_mailbox"], "Win \"big\" <spam@example.net>");
    assert_eq!(body["policy"]["name"], "Relaxed Spam Detection");
    assert_eq!(body["status_detail"], "Message Hold Applied - Spam Signature policy");
    assert_eq!(body["metadata"]["original_event_uid"], "eNpHOLDID");
    assert_eq!((&body["direction_id"], &body["email"]["size"]), (&json!(1), &json!(5043)));

    let body = map(Kind::HeldRelease, &lists::release("released"));
    assert_eq!(body["actor"]["user"]["email_addr"], "admin@example.com");
    assert_eq!(body["metadata"]["profiles"], json!(["host", "security_control"]));
    assert_eq!(body["policy"]["group"]["name"], "IT Staff");
    assert_eq!(body["status_detail"], "Impersonation Protection; not wanted");
    assert_eq!(body["email_auth"], json!({"spf": "allow-spf", "dkim": "allow-dkim", "dmarc": "no-dmarc"}));
    assert_eq!((&body["risk_score"], &body["status_id"]), (&json!(12), &json!(1)));
    assert!(body["risk_details"].as_str().is_some_and(|text| text.contains("phishing-x")));
    assert_eq!(body["unmapped"]["spamProcessingDetail"]["rbl"]["info"], "rbl-x");
    assert!(body["unmapped"]["spamProcessingDetail"]["spamVerdict"].is_null());
    assert_eq!(body["unmapped"]["attachments"], true);
    // An operator may come as an object, and be nobody.
    let operator = json!({"emailAddress": "op@example.com", "displayableName": "Op"});
    let body = map(Kind::HeldRelease, &with(lists::release("released"), "operator", operator));
    assert_eq!(body["actor"]["user"]["display_name"], "Op");
    let body = map(Kind::HeldRelease, &with(lists::release("released"), "operator", json!("")));
    assert!(body["actor"].is_null() && body["metadata"]["profiles"] == json!(["security_control"]));

    let body = map(Kind::Rejection, &lists::rejection());
    assert_eq!(body["src_endpoint"], json!({"ip": "198.51.100.8", "hostname": "mx.example.net"}));
    assert_eq!(
        (&body["command"], &body["risk_details"]),
        (&json!("ehlo.example.net"), &json!("[eng1.Test-Signature]"))
    );
    assert_eq!((&body["metadata"]["event_code"], &body["status_id"]), (&json!("14030"), &json!(2)));
    assert_eq!(body["status_detail"], "Virus Signature Detection");
    assert_eq!(body["unmapped"], json!({"manageRecipient": "false", "toAddressPostCheck": "other@example.com"}));
}

#[test]
fn data_loss_is_a_finding_about_a_message() {
    let body = map(Kind::Dlp, &lists::dlp());
    assert_eq!(body["actor"]["user"]["email_addr"], "bob@example.org");
    assert_eq!(body["data_security"]["policy"]["name"], "Explicit Language");
    assert_eq!(body["data_security"]["detection_system_id"], 6);
    assert_eq!(body["finding_info"]["title"], "Explicit Language");
    assert_eq!(body["policy"]["name"], "Explicit Language");
    let resource = &body["resources"][0];
    assert_eq!((&resource["uid"], &resource["name"]), (&json!("m9@example.com"), &json!("Salary list")));
    assert_eq!((&resource["owner"]["email_addr"], &resource["type"]), (&json!("ann@example.com"), &json!("email")));
    assert_eq!(body["unmapped"], json!({"route": "internal"}));
}

#[test]
fn detections_of_the_lists_keep_their_evidence() {
    let body = map(Kind::TtpUrl, &lists::ttp_url("malicious"));
    let evidence = &body["evidences"][0];
    assert_eq!(evidence["email"]["from"], "x@example.net");
    assert_eq!(
        evidence["url"],
        json!({"categories": ["Phishing & Fraud"], "url_string": "https://phish.example.net/a,b"})
    );
    assert_eq!(evidence["data"]["tagMap"]["UrlReputationScan"]["Type"][0], "Malware, Phishing & Fraud");
    assert_eq!(evidence["src_endpoint"]["ip"], "198.51.100.9");
    assert_eq!(body["policy"]["data"]["userAwarenessAction"], "Continue");
    assert_eq!(body["policy"]["data"]["actions"], "Hold, None");
    assert_eq!(body["metadata"]["event_code"], "Entry Scan");
    let body = map(Kind::TtpUrl, &with(lists::ttp_url("clean"), "sendingIp", json!("Internal IP")));
    assert_eq!(body["email"]["urls"][0]["url_string"], "https://phish.example.net/a,b");
    assert_eq!(body["direction_id"], 2);
    assert_eq!(body["unmapped"]["sendingIp"], "Internal IP");

    let body = map(Kind::TtpAttachment, &lists::ttp_attachment("malicious"));
    let file = &body["evidences"][0]["file"];
    assert_eq!((&file["name"], &file["mime_type"]), (&json!("numbers.pdf"), &json!("application/pdf")));
    assert_eq!(file["hashes"][0]["algorithm"], "SHA-256");
    assert!(body["status_detail"].as_str().is_some_and(|text| text.starts_with("malicious; Result: x")));
    let md5 = json!("00000000000000000000000000000001");
    let body = map(Kind::TtpAttachment, &with(lists::ttp_attachment("safe"), "fileHash", md5));
    assert_eq!(body["email"]["files"][0]["hashes"][0]["algorithm"], "MD5");
    assert!(body["unmapped"]["fileHash"].is_null());

    let nothing = with(lists::ttp_attachment("malicious"), "actionTriggered", json!("none, none"));
    assert_eq!(map(Kind::TtpAttachment, &nothing)["unmapped"], json!({"route": "inbound"}));

    let body = map(Kind::TtpImpersonation, &lists::ttp_impersonation());
    assert_eq!(body["evidences"][0]["data"]["impersonationResults"][0]["checkerResult"], "hit");
    assert_eq!(body["finding_info"]["analytic"]["name"], "IP - 1 hit (Tag email)");

    let body = map(Kind::CloudEntities, &lists::entities(json!(["MALWARE", "SPAM"])));
    assert_eq!(body["finding_info"]["types"], json!(["entities", "MALWARE", "SPAM"]));
    assert_eq!(body["policy"]["name"], "Default O365 Mail policy");
    assert_eq!(body["policy"]["data"][0]["mode"], "ACTIVE");
    assert_eq!(body["metadata"]["source"], "OFFICE_365_MAIL");
    assert_eq!(body["evidences"][0]["email"]["files"][1]["name"], "c.xls");
    let body = map(Kind::CloudEntities, &json!({"tags": [], "attachments": []}));
    assert!(body["unmapped"].is_null());
}

#[test]
fn cloud_integrated_says_what_authentication_found() {
    let record = lists::records().into_iter().find(|(_, kind, _)| *kind == Kind::CloudMailflow).expect("one").2;
    let body = map(Kind::CloudMailflow, &Value::Object(record));
    assert_eq!(body["email_auth"], json!({"spf": "pass", "dkim": "none", "dmarc": "fail"}));
    let left = json!([{"type": "SPF", "aligned": true}, {"type": "DKIM", "aligned": false}]);
    assert_eq!(body["unmapped"]["authResults"], left);
    assert_eq!(body["email"]["to"], json!([]));
}

#[test]
fn an_indicator_with_its_malware() {
    let body = map(Kind::ThreatIntel, &lists::indicator());
    let osint = &body["osint"][0];
    assert_eq!((&osint["type_id"], &osint["uid"]), (&json!(4), &json!("indicator--3")));
    assert_eq!(osint["malware"][0]["classification_ids"], json!([19, 99]));
    assert_eq!(osint["created_time"], 1_738_396_800_000_i64);
    assert_eq!(body["time"], 1_740_816_902_000_i64);
    let both = json!("[file:hashes.MD5 = 'a' OR url:value = 'https://x.example/']");
    let body = map(Kind::ThreatIntel, &with(lists::indicator(), "pattern", both));
    assert_eq!(body["osint"][1]["value"], "https://x.example/");
    // A malware or a relationship alone is kept.
    for record in [lists::indicator()["malware"].clone(), lists::indicator()["relationship"].clone()] {
        let body = map(Kind::ThreatIntel, &record);
        assert!(!body["osint"][0]["value"].is_null());
        if let Some(shared) = judge::shared() {
            assert_eq!(judge::complaints(&shared, &body), Vec::<String>::new());
        }
    }
}

#[test]
fn who_looked_into_the_archive() {
    let body = map(Kind::ArchiveSearch, &lists::archive_search());
    assert_eq!(
        (&body["actor"]["user"]["email_addr"], &body["entity"]["name"]),
        (&json!("admin@example.com"), &json!("archive"))
    );
    assert_eq!(body["entity"]["data"]["searchText"], "[Route : outbound]");
    assert_eq!((&body["comment"], &body["message"]), (&json!("an audit"), &json!("Message Tracking Search")));
    let body = map(Kind::ArchiveSearch, &with(lists::archive_search(), "emailAddr", json!("<>")));
    assert!(body["actor"].is_null());
    let body = map(Kind::ArchiveView, &lists::archive_view());
    assert_eq!(body["entity"]["data"]["subject"], "Old plans");
    assert_eq!(body["actor"]["user"]["name"], "admin@example.com");
}

#[test]
fn a_time_that_cannot_be_read_is_the_pages_and_the_event_says_so() {
    for (kind, field) in [(Kind::Dlp, "eventTime"), (Kind::Held, "dateReceived"), (Kind::Receipt, "timestamp")] {
        let origin = Origin { fallback_time: Some(5_000_000_000), ..lists::origin(kind) };
        for value in [json!("yesterday"), Value::Null] {
            let (head, body) = event(Generation::V2, &origin, &json!({ field: value }));
            assert_eq!(head.time, 5_000_000_000);
            assert_eq!(body["unmapped"][field], value);
            let source = if kind == Kind::Receipt { "file" } else { "page" };
            let tag = json!({"name": "time_source", "value": source});
            assert!(body["metadata"]["tags"].as_array().is_some_and(|tags| tags.contains(&tag)), "{body:#}");
        }
        let (_, body) = event(Generation::V2, &origin, &json!({ field: "2025-03-01T08:15:02+0000" }));
        assert_eq!(body["metadata"]["tags"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn repeats_of_one_alert_share_a_key() {
    let key = |kind: Kind, record: &Value| -> Digest {
        event(Generation::V2, &lists::origin(kind), record).0.alert_key.expect("an alert")
    };
    for (kind, record, same, other) in [
        (Kind::Dlp, lists::dlp(), ("action", json!("notification")), ("policy", json!("Another"))),
        (Kind::Held, lists::held(), ("subject", json!("x")), ("id", json!("another"))),
        (Kind::Rejection, lists::rejection(), ("spamScore", json!(1)), ("id", json!("another"))),
        (Kind::TtpUrl, lists::ttp_url("malicious"), ("actions", json!("x")), ("url", json!("https://x.example"))),
        (
            Kind::TtpAttachment,
            lists::ttp_attachment("malicious"),
            ("details", json!("x")),
            ("fileHash", json!("1000000000000000000000000000000000000000000000000000000000000004")),
        ),
        (
            Kind::TtpImpersonation,
            lists::ttp_impersonation(),
            ("recipientAddress", json!("tom@example.com")),
            ("messageId", json!("<x@example.com>")),
        ),
        (
            Kind::CloudEntities,
            lists::entities(json!(["SPAM"])),
            ("processingId", json!("x")),
            ("aggregateId", json!("another")),
        ),
    ] {
        let expected = key(kind, &record);
        assert_eq!(key(kind, &with(record.clone(), same.0, same.1)), expected, "{kind:?}");
        assert_ne!(key(kind, &with(record, other.0, other.1)), expected, "{kind:?}");
        // What names nothing is an alert of its own.
        let own = |number: u32| json!({"result": "x", "tags": ["SPAM"], "someNumber": number});
        assert_ne!(key(kind, &own(1)), key(kind, &own(2)), "{kind:?}");
    }
}

#[test]
fn an_operators_labels_category_and_original() {
    let settings = Settings {
        labels: vec!["stellar".to_owned(), "sumo".to_owned()],
        category: Some("email \"ops\"".to_owned()),
        include_original: true,
        ..settings(Generation::V2)
    };
    let mut normalizer = Normalizer::new(settings);
    let mut chunk = Chunk::default();
    let record = "{\"type\":\"receipt\",\n \"timestamp\":1,\"subject\":\"é\"}";
    let mut fresh = Occurrences::Adjacent { last: None, count: 0 };
    normalizer.push(record.as_bytes(), &siem(None), &mut fresh, &mut chunk);
    normalizer.push(
        br#"{"category":"authentication_logs","id":"x"}"#,
        &lists::origin(Kind::Audit),
        &mut fresh,
        &mut chunk,
    );
    let bodies = events(&chunk);
    let body = &bodies[0].1;
    assert_eq!(body["metadata"]["labels"], json!(["sumo:receipt", "stellar:mimecast_email"]));
    assert_eq!(body["metadata"]["tags"][1], json!({"name": "category", "value": "email \"ops\""}));
    assert_eq!((&body["raw_data"], &body["raw_data_size"]), (&json!(record), &json!(record.len())));
    assert_eq!(bodies[1].1["metadata"]["labels"][0], "authentication_logs");
    if let Some(shared) = judge::shared() {
        for (_, body) in &bodies {
            assert_eq!(judge::complaints(&shared, body), Vec::<String>::new());
        }
    }
    // Without them nothing of it is there.
    let plain = map(Kind::Receipt, &json!({"timestamp": 1}));
    assert!(plain["raw_data"].is_null() && plain["metadata"]["labels"].is_null());
}

#[test]
fn a_sender_that_arrived_is_not_left_over() {
    let map = |envelope: &str| {
        let record = json!({"tags": ["SPAM"], "senderHeader": "a@b.example", "senderEnvelope": envelope});
        let body = map(Kind::CloudEntities, &record);
        assert_eq!(body["evidences"][0]["email"]["from"], "a@b.example");
        body["unmapped"]["senderEnvelope"].clone()
    };
    assert_eq!(map("a@b.example"), Value::Null);
    assert_eq!(map("c@d.example"), "c@d.example");
}

#[test]
fn an_unknown_type_is_a_base_event_with_all_its_fields() {
    for origin in [siem(None), siem(Some(Kind::CloudEntities))] {
        let record = json!({"type": "brand new", "timestamp": 1_740_816_902_123_i64, "x": {"y": 1}, "subject": "s"});
        let (head, body) = event(Generation::V2, &origin, &record);
        assert_eq!((head.kind, head.class), (Kind::SiemOther as u32, 0));
        assert_eq!(body["unmapped"], json!({"x": {"y": 1}, "subject": "s"}));
        assert_eq!(body["metadata"]["event_code"], "brand new");
    }
}
