//! Values that are right rather than merely valid: the tables of section 3, and the defects of 3.5 corrected.

use mimecast_source::{
    kind::{Generation, Kind},
    normalize::Form,
};
use serde_json::{Value, json};

use crate::{ecs, golden, normalized, origin, settings, siem};

fn v2(record: Value) -> Value {
    ecs(Generation::V2, &siem(None), &record)
}

#[test]
fn delivery_tells_its_outcome_and_its_destination() {
    let event = v2(json!({"type": "delivery", "delivered": "true", "destinationIp": "198.51.100.25",
        "Hostname": "mx.example.com", "tlsUsed": "Yes", "tlsVersion": "TLSv1.3", "deliveryTime": "1633",
        "route": "To Example", "direction": "Inbound"}));
    assert_eq!(event["event"]["outcome"], "success");
    assert_eq!(event["event"]["duration"], 1_633_000_000_i64);
    assert_eq!(event["tls"], json!({"established": true, "version": "TLSv1.3", "version_protocol": "tls"}));
    assert_eq!(event["destination"], json!({"domain": "mx.example.com", "ip": "198.51.100.25"}));
    assert_eq!(event["related"]["ip"], json!(["198.51.100.25"]));
    assert_eq!(event["email"]["direction"], "inbound");
    assert_eq!(event["mimecast"]["route"], "To Example");
    let failed = v2(json!({"type": "delivery", "delivered": "false", "route": "Outbound"}));
    assert_eq!(failed["event"]["outcome"], "failure");
    assert_eq!(failed["email"]["direction"], "outbound");
}

#[test]
fn nobody_is_no_sender_and_a_flag_is_no_domain() {
    let event = v2(json!({"type": "impersonation protect", "senderEnvelope": "<>", "newDomain": "false",
        "senderHeader": "a@b.example", "taggedMalicious": "true"}));
    assert_eq!(event["email"]["from"]["address"], json!(["a@b.example"]));
    assert_eq!(event["mimecast"]["senderEnvelope"], "<>");
    assert_eq!(event["mimecast"]["newDomain"], "false");
    assert_eq!(event["mimecast"]["taggedMalicious"], true);
    assert!(event["source"].is_null());
    assert_eq!(event["event"]["kind"], "alert");
}

#[test]
fn header_stands_before_envelope_and_each_once() {
    let event = v2(json!({"type": "spam", "senderEnvelope": "e@b.example", "senderHeader": "h@b.example"}));
    assert_eq!(event["email"]["from"]["address"], json!(["h@b.example", "e@b.example"]));
    assert_eq!(event["mimecast"]["senderHeader"], "h@b.example");
    let event = v2(json!({"type": "spam", "senderEnvelope": "h@b.example", "senderHeader": "h@b.example"}));
    assert_eq!(event["email"]["from"]["address"], json!(["h@b.example"]));
}

#[test]
fn attachments_are_an_array_of_files() {
    let event = v2(json!({"type": "process", "attachments": "\"a.pdf\", \"b.png\"", "totalSizeAttachments": "9",
        "numberAttachments": "2"}));
    assert_eq!(event["email"]["attachments"], json!([{"file": {"name": "a.pdf"}}, {"file": {"name": "b.png"}}]));
    assert_eq!(event["mimecast"]["totalSizeAttachments"], "9");
    let event = v2(json!({"type": "process", "attachments": "\"a.pdf\"", "totalSizeAttachments": "9",
        "numberAttachments": "1"}));
    assert_eq!(event["email"]["attachments"], json!([{"file": {"name": "a.pdf", "size": 9}}]));
}

#[test]
fn a_link_stands_whole_and_in_parts() {
    let event = v2(json!({"type": "url protect", "url": "https://x.example:8443/a.exe?b=c#d"}));
    assert_eq!(
        event["url"],
        json!({
            "full": "https://x.example:8443/a.exe?b=c#d", "original": "https://x.example:8443/a.exe?b=c#d",
            "scheme": "https", "domain": "x.example", "port": 8443, "path": "/a.exe", "query": "b=c",
            "fragment": "d", "extension": "exe",
        })
    );
}

#[test]
fn spam_processing_detail_is_one_text_however_it_came() {
    let detail = "{\"spf\":{\"allow\":true}}";
    for came in [json!({"spf": {"allow": true}}), json!(detail), json!(json!(detail).to_string())] {
        let event = v2(json!({"type": "receipt", "spamProcessingDetail": came}));
        assert_eq!(event["mimecast"]["spamProcessingDetail"], detail);
    }
}

#[test]
fn names_of_api_1_stay_as_they_came() {
    let event = ecs(
        Generation::V1,
        &siem(Some(Kind::Delivery)),
        &json!({"acc": "C0", "AttCnt": 0, "Latency": 5, "IP": "192.0.2.1", "UseTls": "No", "ReceiptAck": "250 OK"}),
    );
    let vendor = json!({"log_type": "delivery", "acc": "C0", "AttCnt": 0, "Latency": 5, "ReceiptAck": "250 OK"});
    assert_eq!(event["mimecast"], vendor);
    assert_eq!(event["destination"]["ip"], "192.0.2.1");
    assert_eq!(event["tls"]["established"], false);
}

#[test]
fn an_unknown_type_is_named_and_kept_whole() {
    let event = v2(json!({"type": "Brand New", "subject": "s", "colour": "red"}));
    assert_eq!(event["mimecast"], json!({"log_type": "Brand-New", "type": "Brand New", "colour": "red"}));
    assert_eq!(event["email"]["subject"], "s");
}

#[test]
fn audit_records_are_classified_by_what_was_done() {
    let tail = "Date: 2025-03-01, Time: 00:07:12 BST, IP: 192.0.2.10, Application: Console, Method: Cloud, 2FA: TOTP";
    for (audit_type, info, category, types, outcome) in [
        ("User Logged On", tail, "authentication", json!(["start"]), "success"),
        ("User Logged Off", "", "authentication", json!(["end"]), "success"),
        ("Logon Requires Challenge", "", "authentication", json!(["info"]), "unknown"),
        ("Logon Authentication Failed", "Reason: Wrong", "authentication", json!(["start"]), "failure"),
        ("User Password Changed", "", "iam", json!(["user", "change"]), "unknown"),
        ("Administrator Role Changed", "", "iam", json!(["admin", "change"]), "unknown"),
        ("Profile Group Log Entry", "Group created", "iam", json!(["group", "creation"]), "unknown"),
        ("New Policy", "", "configuration", json!(["creation"]), "unknown"),
        ("Logon Policy Changed", "", "configuration", json!(["change"]), "unknown"),
        ("Completed Directory Sync", "5 added", "configuration", json!(["info"]), "unknown"),
        ("User Account Created", "", "iam", json!(["user", "creation"]), "unknown"),
        ("User Account Locked", "", "iam", json!(["user", "info"]), "unknown"),
        ("Policy Deleted", "", "configuration", json!(["deletion"]), "unknown"),
        ("Existing Policy Changed", "", "configuration", json!(["change"]), "unknown"),
        ("Threat Intel Feed Download", "", "configuration", json!(["access"]), "unknown"),
        ("Message Action", "Message Held", "email", json!(["info"]), "unknown"),
        ("A Type Nobody Knows", "", "configuration", json!(["info"]), "unknown"),
    ] {
        let record = json!({"auditType": audit_type, "eventInfo": info, "user": "ann@example.com", "id": "x1",
            "eventTime": "2025-03-01T00:07:12+0000", "category": "logs"});
        let event = ecs(Generation::V2, &origin(Kind::Audit), &record);
        let own = &event["event"];
        assert_eq!((&own["category"], &own["type"]), (&json!([category]), &types), "{audit_type}");
        assert_eq!(own["outcome"], outcome, "{audit_type}");
        assert_eq!(own["action"], audit_type.to_lowercase().replace(' ', "-"));
        assert_eq!((&own["id"], &own["code"]), (&json!("x1"), &json!(audit_type)));
        assert_eq!(event["user"], json!({"domain": "example.com", "email": "ann@example.com", "name": "ann"}));
        if info == tail {
            assert_eq!(event["client"]["ip"], "192.0.2.10");
            // Never from the text, whose zone is local.
            assert_eq!(event["@timestamp"], "2025-03-01T00:07:12.000Z");
            let vendor = &event["mimecast"];
            assert_eq!((&vendor["application"], &vendor["2FA"]), (&json!("Console"), &json!("TOTP")));
        }
    }
}

#[test]
fn messages_and_files_of_audit_texts_are_where_they_are_searched_for() {
    let event = |audit_type: &str, info: &str| {
        let record = json!({"auditType": audit_type, "eventInfo": info, "user": "ann@example.com",
            "eventTime": "2025-03-01T00:07:12+0000"});
        ecs(Generation::V2, &origin(Kind::Audit), &record)
    };
    let held = event(
        "Message Action",
        "Message Held - From : <x@example.net>, To : b@example.com, Subject : Hi, IP: 192.0.2.1",
    );
    assert_eq!(
        held["email"],
        json!({"from": {"address": ["x@example.net"]}, "to": {"address": ["b@example.com"]}, "subject": "Hi"})
    );
    assert!(held["related"]["user"].as_array().is_some_and(|users| users.contains(&json!("x@example.net"))));
    let feed = event("Threat Intel Feed Download", "Feed malware_grid_csv_1.zip, Date: 2024-07-06, IP: 192.0.2.1");
    assert_eq!(
        (&feed["file"], &feed["email"]),
        (&json!({"extension": "zip", "name": "malware_grid_csv_1.zip"}), &Value::Null)
    );
    let export = event("Archive Mailbox Export Download", "Done, File Name: a, b.pst, File Size: 12 bytes");
    assert_eq!(export["file"], json!({"extension": "pst", "name": "a, b.pst", "size": 12}));
    assert_eq!(event("Message Action", "Held - From: <>, Subject: ")["email"], Value::Null);
}

#[test]
fn what_elastic_says_of_siem_records_is_said() {
    let delivery = v2(json!({"type": "delivery", "timestamp": 1_740_816_902_123_i64, "numberAttachments": "1",
        "totalSizeAttachments": "500"}));
    assert_eq!(delivery["event"]["created"], delivery["@timestamp"]);
    assert_eq!(delivery["email"]["attachments"], json!([{"file": {"size": 500}}]));
    // A size of several, or of none, is no file's.
    for count in ["0", "2"] {
        let record = json!({"type": "delivery", "numberAttachments": count, "totalSizeAttachments": "500"});
        assert_eq!(v2(record)["email"], Value::Null);
    }
    assert_eq!(v2(json!({"type": "delivery", "timestamp": "never"}))["event"]["created"], Value::Null);
    // 3.5, 12.
    assert_eq!(v2(json!({"type": "spam", "senderIp": "192.0.2.1"}))["event"]["kind"], "alert");
    assert_eq!(v2(json!({"type": "journal"}))["event"]["kind"], "event");
    let click = json!({"date": "2025-03-01T00:07:12+0000", "actions": "Hold, None", "url": "https://a.example"});
    let click = ecs(Generation::V2, &origin(Kind::TtpUrl), &click);
    assert_eq!(
        (&click["event"]["action"], &click["mimecast"]["actions"]),
        (&json!("Hold, None"), &json!("Hold, None"))
    );
    assert_eq!(click["event"]["created"], Value::Null);
    for (action, actions, told) in [("warn", "Block", "Block"), ("warn", "None", "warn"), ("block", "Allow", "block")] {
        let click = json!({"action": action, "actions": actions, "userAwarenessAction": "NA"});
        let click = ecs(Generation::V2, &origin(Kind::TtpUrl), &click);
        assert_eq!((&click["event"]["action"], &click["mimecast"]["action"]), (&json!(told), &json!(action)));
    }
}

#[test]
fn what_operators_set_stands_in_labels() {
    let mut settings = settings(Form::Ecs, Generation::V2);
    settings.fields.push(("cost.centre".to_owned(), "42".to_owned()));
    settings.labels = vec!["stellar".to_owned(), "elastic".to_owned()];
    settings.category = Some("mail/gateway".to_owned());
    settings.include_original = true;
    let record = br#"{"type":"receipt", "subject":"\u0041"}"#;
    let (_, event) = normalized(settings, &siem(None), record).expect("a record");
    assert_eq!(
        event["labels"],
        json!({"team": "mail", "cost_centre": "42", "stellar": "mimecast_email", "elastic": "receipt",
            "category": "mail/gateway"})
    );
    assert_eq!(event["event"]["original"], std::str::from_utf8(record).expect("ASCII"));
    assert_eq!(event["organization"], json!({"id": "acme", "name": "acme"}));
}

#[test]
fn alerts_are_alerts_and_each_kind_has_its_data_set() {
    let expected = [
        (Kind::UrlProtect, "alert", "siem_logs"),
        (Kind::Delivery, "event", "siem_logs"),
        (Kind::Dlp, "alert", "dlp_logs"),
        (Kind::ThreatIntel, "enrichment", "threat_intel_malware_customer"),
        (Kind::ArchiveSearch, "event", "archive_search_logs"),
        (Kind::HeldRelease, "event", "message_release_logs"),
        (Kind::CloudMailflow, "event", "cloud_integrated_logs"),
    ];
    for (kind, what, dataset) in expected {
        let (generation, _, record) =
            golden::records().into_iter().rfind(|(_, own, _)| *own == kind).expect("a record of each kind");
        let event = ecs(generation, &origin(kind), &record);
        assert_eq!(event["event"]["kind"], what, "{kind:?}");
        assert_eq!(event["event"]["dataset"], format!("mimecast.{dataset}"));
        assert_eq!(event["data_stream"]["dataset"], event["event"]["dataset"]);
    }
}

#[test]
fn an_indicator_is_read_out_of_its_pattern() {
    let hash = "0".repeat(63) + "5";
    let record = json!({"type": "indicator", "id": "indicator--1", "created": "2025-03-01T08:00:00.000Z",
        "modified": "2025-03-02T08:00:00.000Z", "labels": ["malicious-activity"],
        "valid_from": "2025-03-01T09:00:00Z", "pattern": format!("[file:hashes.'SHA-256' = '{hash}']"),
        "malware": {"name": hash, "labels": ["virus"]}});
    let mut feed = origin(Kind::ThreatIntel);
    feed.stream = "threat_intel/grid";
    let event = ecs(Generation::V2, &feed, &record);
    let indicator = &event["threat"]["indicator"];
    assert_eq!(indicator["type"], "file");
    assert_eq!(indicator["file"]["hash"]["sha256"], hash);
    assert_eq!(indicator["first_seen"], "2025-03-01T08:00:00.000Z");
    assert_eq!(indicator["modified_at"], "2025-03-02T08:00:00.000Z");
    assert_eq!(event["related"]["hash"], json!([hash]));
    assert_eq!(event["event"]["dataset"], "mimecast.threat_intel_malware_grid");
    assert_eq!(event["mimecast"]["log_type"], "malware_grid");
    assert_eq!(event["mimecast"]["malware"]["labels"], json!(["virus"]));
    assert!(event["tags"].as_array().is_some_and(|tags| tags.contains(&json!("malicious-activity"))));
}

#[test]
fn a_pattern_of_several_comparisons_is_found_by_each() {
    let (md5, sha256, other) = ("1".repeat(32), "2".repeat(64), "3".repeat(64));
    let indicator = |pattern: String| {
        let record =
            json!({"type": "indicator", "id": "indicator--1", "created": "2025-03-01T08:00:00Z", "pattern": pattern});
        crate::agreement::agree(Generation::V2, &origin(Kind::ThreatIntel), &record);
        ecs(Generation::V2, &origin(Kind::ThreatIntel), &record)
    };
    let event = indicator(format!(
        "[file:hashes.'SHA-256' = '{sha256}' OR file:hashes.MD5 = '{md5}' OR file:hashes.'SHA-256' = '{other}']"
    ));
    assert_eq!(event["threat"]["indicator"]["file"]["hash"], json!({"md5": md5, "sha256": sha256}));
    assert_eq!(event["threat"]["indicator"]["type"], "file");
    assert_eq!(event["related"]["hash"], json!([sha256, md5, other]));
    let event = indicator("[ipv4-addr:value = '192.0.2.1' OR ipv6-addr:value = '2001:db8::1']".to_owned());
    assert_eq!(
        (&event["threat"]["indicator"]["ip"], &event["threat"]["indicator"]["type"]),
        (&json!("192.0.2.1"), &json!("ipv4-addr"))
    );
    assert_eq!(event["related"]["ip"], json!(["192.0.2.1", "2001:db8::1"]));
}
