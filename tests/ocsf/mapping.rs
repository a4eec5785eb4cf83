//! What goes where: tables 4.3 to 4.5 of the normalization reference, case by case.

use mimecast_source::{
    chunk::Digest,
    kind::{Generation, Kind},
};
use serde_json::{Value, json};

use crate::{audit, event, siem};

fn map(kind: Kind, mut record: Value) -> Value {
    record["timestamp"] = json!(1_740_816_902_123_i64);
    event(Generation::V2, &siem(Some(kind)), &record).1
}

fn key(kind: Kind, record: Value) -> Option<Digest> {
    event(Generation::V2, &siem(Some(kind)), &record).0.alert_key
}

#[test]
fn class_severity_and_alert_by_kind_and_verdict() {
    for (kind, record, type_uid, severity, alert) in [
        (Kind::Receipt, json!({"action": "Acc"}), 400_902, 1, json!(false)),
        (Kind::Receipt, json!({"action": "Rej"}), 400_902, 2, json!(true)),
        (Kind::Receipt, json!({"rejectionType": "Malicious QRCode Detection"}), 400_902, 2, json!(true)),
        (Kind::Process, json!({"action": "Acc"}), 400_903, 1, json!(false)),
        (Kind::Process, json!({"action": "Hld"}), 400_903, 2, json!(true)),
        (Kind::Process, json!({"action": "Sdbx"}), 400_903, 2, json!(false)),
        (Kind::Delivery, json!({"delivered": "false", "rejectionType": "x"}), 400_901, 1, Value::Null),
        (Kind::Journal, json!({}), 400_904, 1, Value::Null),
        (Kind::Spam, json!({"taggedMalicious": "true"}), 400_903, 2, Value::Null),
        (Kind::Spam, json!({"taggedMalicious": "false"}), 400_903, 1, Value::Null),
        (Kind::Av, json!({}), 200_401, 4, json!(true)),
        (Kind::AttachmentProtect, json!({}), 200_401, 4, json!(true)),
        (Kind::UrlProtect, json!({}), 200_401, 4, json!(true)),
        (Kind::InternalEmailProtect, json!({}), 200_401, 4, json!(true)),
        (Kind::ImpersonationProtect, json!({"taggedMalicious": true}), 200_401, 4, json!(true)),
        (Kind::ImpersonationProtect, json!({"taggedMalicious": "false"}), 200_401, 2, json!(true)),
        (Kind::SiemOther, json!({}), 0, 1, Value::Null),
    ] {
        let body = map(kind, record.clone());
        let got = (&body["type_uid"], &body["severity_id"], &body["is_alert"]);
        assert_eq!(got, (&json!(type_uid), &json!(severity), &alert), "{kind:?} {record}");
    }
}

#[test]
fn an_action_becomes_an_id_or_stays_a_word() {
    let body = map(Kind::Receipt, json!({"action": "Rej"}));
    assert_eq!((&body["action_id"], &body["action"]), (&json!(2), &json!("Denied")));
    assert_eq!((&body["disposition_id"], &body["disposition"]), (&json!(25), &json!("Rejected")));
    assert_eq!(body["metadata"]["profiles"], json!(["security_control"]));
    let body = map(Kind::Receipt, json!({"action": "Ign"}));
    assert_eq!((&body["action_id"], &body["action"]), (&json!(99), &json!("Ign")));
    assert_eq!((&body["disposition_id"], &body["disposition"]), (&json!(99), &json!("Ign")));
    // Detected and let through is not allowed.
    let body = map(Kind::ImpersonationProtect, json!({"action": "none"}));
    assert_eq!((&body["action_id"], &body["disposition_id"]), (&json!(3), &json!(16)));
    // Without any of the profile's attributes it is not declared.
    assert!(map(Kind::Journal, json!({}))["metadata"]["profiles"].is_null());
}

#[test]
fn envelope_and_header_are_kept_apart() {
    let both = json!({"senderEnvelope": "e@example.org", "senderHeader": "h@example.org", "recipients": ["a@example.com", "b@example.com"]});
    let body = map(Kind::Receipt, both.clone());
    assert_eq!((&body["from"], &body["email"]["from"]), (&json!("e@example.org"), &json!("h@example.org")));
    assert_eq!(body["to"], json!(["a@example.com", "b@example.com"]));
    assert_eq!(body["email"]["to"], body["to"]);
    let body = map(Kind::Av, both);
    assert_eq!(body["evidences"][0]["email"]["from"], "h@example.org");
    assert_eq!(body["unmapped"]["senderEnvelope"], "e@example.org");
    let body = map(Kind::Av, json!({"senderEnvelope": "e@example.org"}));
    assert_eq!(body["evidences"][0]["email"]["from"], "e@example.org");
    // No header and nobody else: the envelope's sender is whom the e-mail names.
    let body = map(Kind::Process, json!({"senderEnvelope": "e@example.org"}));
    assert_eq!(body["email"], json!({"from": "e@example.org"}));
    let body = map(Kind::Receipt, json!({"senderHeader": "Ann <ann@example.com>"}));
    assert_eq!(body["email"], json!({"from": "ann@example.com", "from_mailbox": "Ann <ann@example.com>"}));
    assert!(body["from"].is_null() && body["unmapped"].is_null());
    let body = map(Kind::Receipt, json!({"recipients": "a@example.com, b@example.com"}));
    assert_eq!(body["to"], json!(["a@example.com", "b@example.com"]));
}

#[test]
fn recipients_in_every_form() {
    for (recipients, to, mailboxes, kept) in [
        (json!("<ann@example.com>"), json!(["ann@example.com"]), Value::Null, false),
        (json!("Ann <ann@example.com>"), json!(["ann@example.com"]), json!(["Ann <ann@example.com>"]), false),
        (
            json!("\"Doe, Bob\" <bob@example.com>; ann@example.com, "),
            json!(["bob@example.com", "ann@example.com"]),
            json!(["\"Doe, Bob\" <bob@example.com>"]),
            false,
        ),
        (
            json!(["ann@example.com", "\"Doe, Bob\" <bob@example.com>", null]),
            json!(["ann@example.com", "bob@example.com"]),
            json!(["\"Doe, Bob\" <bob@example.com>"]),
            false,
        ),
        // One that is no address hides neither itself nor the others.
        (json!(["ann@example.com", "<>", "b@under_score.example"]), json!(["ann@example.com"]), Value::Null, true),
        (json!("ann@example.com, nobody"), json!(["ann@example.com"]), Value::Null, true),
        (json!(" "), json!([]), Value::Null, true),
        (json!([]), json!([]), Value::Null, false),
    ] {
        let body = map(Kind::Delivery, json!({"recipients": recipients}));
        assert_eq!((&body["email"]["to"], &body["email"]["to_mailboxes"]), (&to, &mailboxes), "{recipients}");
        assert_eq!(body["to"], if to == json!([]) { Value::Null } else { to }, "{recipients}");
        assert_eq!(body["unmapped"]["recipients"], if kept { recipients } else { Value::Null });
    }
}

#[test]
fn an_envelope_sender_may_stand_in_brackets() {
    let body = map(Kind::Receipt, json!({"senderEnvelope": "<ann@example.com>", "senderHeader": "<ann@example.com>"}));
    assert_eq!((&body["from"], &body["unmapped"]), (&json!("ann@example.com"), &Value::Null));
    assert_eq!(body["email"], json!({"from": "ann@example.com"}));
    let body = map(Kind::Receipt, json!({"senderEnvelope": "Ann <ann@example.com>"}));
    assert_eq!(body["from"], "ann@example.com");
    assert_eq!(body["unmapped"]["senderEnvelope"], "Ann <ann@example.com>");
    let body = map(Kind::Receipt, json!({"senderEnvelope": "<>"}));
    assert_eq!((&body["from"], &body["unmapped"]["senderEnvelope"]), (&Value::Null, &json!("<>")));
}

#[test]
fn a_direction_is_one_and_a_route_may_be() {
    for (record, id, text, route) in [
        (json!({"direction": "INTERNAL"}), 3, "Internal", Value::Null),
        (json!({"route": "outbound"}), 2, "Outbound", Value::Null),
        (json!({"route": "To Example"}), 0, "Unknown", json!("To Example")),
        (json!({"direction": " Inbound "}), 1, "Inbound", Value::Null),
        (json!({"direction": "unknown"}), 0, "Unknown", Value::Null),
        (json!({"direction": "Inbound", "route": "Outbound"}), 1, "Inbound", json!("Outbound")),
        (json!({"direction": "Sideways", "route": "Outbound"}), 99, "Sideways", json!("Outbound")),
    ] {
        let body = map(Kind::Delivery, record.clone());
        assert_eq!((&body["direction_id"], &body["direction"]), (&json!(id), &json!(text)), "{record}");
        assert_eq!(body["unmapped"]["route"], route, "{record}");
    }
    assert_eq!(map(Kind::Av, json!({"route": "Inbound"}))["unmapped"], json!({"route": "Inbound"}));
}

#[test]
fn the_flow_of_an_email() {
    let body = map(
        Kind::Delivery,
        json!({
            "delivered": "false", "deliveryAttempts": "27", "deliveryTime": "505", "destinationIp": "198.51.100.25:25",
            "Hostname": "mx.example.com", "rejectionCode": 550, "rejectionInfo": "no", "deliveryErrors": "no",
            "receiptErrors": "and \"no\"", "aggregateId": "agg", "processingId": "pro", "accountId": "C1",
            "messageId": "<m@x>", "subtype": "false", "totalSizeAttachments": "12", "attachments": "\"a.txt\"",
        }),
    );
    assert_eq!(
        (&body["status_id"], &body["status"], &body["status_code"]),
        (&json!(2), &json!("Failure"), &json!("550"))
    );
    assert_eq!(body["status_detail"], "no; and \"no\"");
    assert_eq!((&body["attempt"], &body["duration"]), (&json!(27), &json!(505)));
    assert_eq!(body["dst_endpoint"], json!({"ip": "198.51.100.25", "port": 25, "hostname": "mx.example.com"}));
    assert_eq!(body["email"]["message_uid"], "m@x");
    assert_eq!(body["email"]["files"], json!([{"name": "a.txt", "size": 12, "type": "Regular File", "type_id": 1}]));
    assert_eq!(body["message_trace_uid"], "agg");
    let metadata = &body["metadata"];
    for (name, value) in [
        ("correlation_uid", "agg"),
        ("original_event_uid", "pro"),
        ("tenant_uid", "C1"),
        ("event_code", "delivery/false"),
        ("log_name", "delivery"),
        ("log_source", "siem"),
        ("original_time", "1740816902123"),
        ("version", "1.8.0"),
    ] {
        assert_eq!(metadata[name], value, "{name}");
    }
    assert_eq!(metadata["product"]["vendor_name"], "Mimecast");
    assert_eq!(metadata["tags"], json!([{"name": "team", "value": "mail \"ops\""}]));
    // Two files, and one size for both.
    let body = map(Kind::Process, json!({"totalSizeAttachments": "12", "attachments": "\"a.txt\", \"b.txt\""}));
    assert_eq!(body["unmapped"], json!({"totalSizeAttachments": "12"}));
    // One name, but more files: the size is not that file's.
    let body =
        map(Kind::Process, json!({"totalSizeAttachments": "12", "attachments": "\"a.txt\"", "numberAttachments": "2"}));
    assert_eq!(body["unmapped"], json!({"totalSizeAttachments": "12", "numberAttachments": "2"}));
    let md5 = "0".repeat(32);
    let body = map(Kind::Receipt, json!({"fileName": "a.txt", "fileMime": "text/plain", "md5": md5}));
    let file = &body["email"]["files"][0];
    assert_eq!((&file["mime_type"], &file["hashes"][0]["value"]), (&json!("text/plain"), &json!(md5)));
    assert!(body["unmapped"].is_null());
    // One that is no name hides neither itself nor the others; an empty one says nothing.
    for (attachments, kept) in [(json!(["a.txt", {"b": 1}]), true), (json!(["a.txt", "", null]), false)] {
        let body = map(Kind::Process, json!({"attachments": attachments}));
        assert_eq!(body["email"]["files"], json!([{"name": "a.txt", "type": "Regular File", "type_id": 1}]));
        assert_eq!(body["unmapped"]["attachments"], if kept { attachments } else { Value::Null });
    }
    // Without an account the operator's own name stands.
    assert_eq!(body["metadata"]["tenant_uid"], "acme");
}

#[test]
fn what_the_spam_scan_says() {
    let detail = json!({"spf": {"allow": true, "info": "ALLOW"}, "dkim": {"allow": true}, "greyEmail": false});
    let body = map(
        Kind::Receipt,
        json!({"spamProcessingDetail": detail.to_string(), "spamScore": "7", "spamInfo": "[]", "virusFound": "V"}),
    );
    assert_eq!(body["email_auth"], json!({"spf": "ALLOW"}));
    assert_eq!(
        body["unmapped"]["spamProcessingDetail"],
        json!({"spf": {"allow": true}, "dkim": {"allow": true}, "greyEmail": false})
    );
    assert_eq!((&body["risk_score"], &body["risk_details"]), (&json!(7), &json!("[]")));
    assert_eq!(body["malware"][0]["name"], "V");
    // Cut off: neither half of it is taken for the whole.
    let body = map(Kind::Receipt, json!({"spamProcessingDetail": "{\"spf\":{\"info\":\"ALLOW\"},\"dki"}));
    assert_eq!((&body["email_auth"], body["unmapped"]["spamProcessingDetail"].is_string()), (&Value::Null, true));
    // Nothing for `email_auth`: it stays as it came.
    let body = map(Kind::Receipt, json!({"spamProcessingDetail": "{\"greyEmail\":true}"}));
    assert_eq!(body["unmapped"]["spamProcessingDetail"], "{\"greyEmail\":true}");
}

#[test]
fn the_evidence_of_a_finding() {
    let body = map(
        Kind::UrlProtect,
        json!({
            "url": "https://phish.example.net/a,b", "urlCategory": "Phishing & Fraud", "sourceIp": "203.0.113.5",
            "analysis": "{\"Status\":[\"VerdictBlock\"]}", "blockReason": "malicious", "tlsVersion": "TLSv1.3", "tlsCipher": "X",
            "policyDefinition": "Default",
        }),
    );
    let evidence = &body["evidences"][0];
    assert_eq!(
        evidence["url"],
        json!({"url_string": "https://phish.example.net/a,b", "categories": ["Phishing & Fraud"]})
    );
    assert_eq!(evidence["data"], json!({"analysis": {"Status": ["VerdictBlock"]}}));
    assert_eq!(evidence["src_endpoint"], json!({"ip": "203.0.113.5"}));
    assert_eq!(evidence["tls"], json!({"version": "TLSv1.3", "cipher": "X"}));
    assert_eq!(body["status_detail"], "malicious");
    assert_eq!(body["policy"], json!({"name": "Default"}));
    assert_eq!(body["finding_info"]["analytic"], json!({"name": "Default", "type": "Rule", "type_id": 1}));
    assert_eq!(body["finding_info"]["uid"], body["metadata"]["uid"]);
    let body =
        map(Kind::ImpersonationProtect, json!({"itemsDetected": "1", "newDomain": "false", "taggedExternal": true}));
    assert_eq!(body["evidences"][0]["data"], json!({"itemsDetected": 1, "newDomain": false, "taggedExternal": true}));
    // Hashes without a name are no file, but evidence.
    let md5 = "0".repeat(32);
    let body = map(Kind::AttachmentProtect, json!({"md5": md5}));
    assert_eq!(body["evidences"], json!([{"data": {"md5": md5}}]));
    let body = map(Kind::AttachmentProtect, json!({"fileName": "a.pdf", "md5": "not a hash"}));
    assert_eq!(body["unmapped"], json!({"md5": "not a hash"}));
    // The category alone is no link.
    let body = map(Kind::InternalEmailProtect, json!({"urlCategory": "Compromised"}));
    assert_eq!(body["evidences"], json!([{"data": {"urlCategory": "Compromised"}}]));
    assert!(map(Kind::Av, json!({}))["evidences"].is_null());
}

#[test]
fn repeats_of_one_alert_share_a_key() {
    let file = |change: &str, value: &str| {
        let mut record = json!({
            "senderIp": "192.0.2.1", "md5": "1", "senderEnvelope": "a", "recipients": "b", "aggregateId": "x", "timestamp": 1,
        });
        record[change] = json!(value);
        record
    };
    let same = key(Kind::Av, file("timestamp", "1"));
    assert!(same.is_some());
    assert_eq!(key(Kind::Av, file("timestamp", "2")), same);
    assert_eq!(key(Kind::AttachmentProtect, file("aggregateId", "y")), same);
    assert_eq!(key(Kind::Av, file("senderIp", "192.0.2.1:25")), same);
    for change in ["senderIp", "md5", "senderEnvelope", "recipients", "accountId"] {
        assert_ne!(key(Kind::Av, file(change, "192.0.2.9")), same, "{change}");
    }
    // Without any address, the message tells.
    let bare = |message: &str| key(Kind::AttachmentProtect, json!({"md5": "1", "aggregateId": message}));
    assert_eq!(bare("x"), bare("x"));
    assert_ne!(bare("x"), bare("y"));

    let link = |url: &str| key(Kind::UrlProtect, json!({"sourceIp": "192.0.2.1", "url": url, "aggregateId": url}));
    assert_ne!(link("a"), link("b"));
    let message = |id: &str, time: u64| json!({"aggregateId": id, "timestamp": time, "rejectionType": "x"});
    for kind in [Kind::ImpersonationProtect, Kind::InternalEmailProtect, Kind::Receipt] {
        assert_eq!(key(kind, message("x", 1)), key(kind, message("x", 2)));
        assert_ne!(key(kind, message("x", 1)), key(kind, message("y", 1)));
        // Nothing to go by: each is an alert of its own.
        assert_ne!(key(kind, message("", 1)), key(kind, message("", 2)));
    }
    assert_eq!(key(Kind::Journal, message("x", 1)), None);
}

#[test]
fn the_type_of_a_record_decides_its_kind() {
    let kind = |record: Value, told| event(Generation::V2, &siem(told), &record).0.kind;
    assert_eq!(kind(json!({"type": "spam"}), Some(Kind::Av)), Kind::Spam as u32);
    assert_eq!(kind(json!({"eventType": "Attachment Protect"}), None), Kind::AttachmentProtect as u32);
    assert_eq!(kind(json!({"type": "brand new"}), Some(Kind::Av)), Kind::SiemOther as u32);
    assert_eq!(kind(json!({"type": null}), Some(Kind::Av)), Kind::Av as u32);
    assert_eq!(kind(json!({}), None), Kind::SiemOther as u32);
    // Records of API 1.0 carry no type: a word there is not taken for one.
    let kind = |told| event(Generation::V1, &siem(told), &json!({"type": "MTA", "SpamLimit": 1})).0.kind;
    assert_eq!((kind(Some(Kind::Av)), kind(None)), (Kind::Av as u32, Kind::Receipt as u32));
    let body = event(Generation::V2, &siem(None), &json!({"type": "brand new", "action": "Acc"})).1;
    assert_eq!((&body["class_uid"], &body["type_uid"]), (&json!(0), &json!(0)));
    assert_eq!((&body["metadata"]["log_name"], &body["unmapped"]), (&json!("brand new"), &json!({"action": "Acc"})));
}

#[test]
fn an_audit_record() {
    let record = json!({
        "id": "eNq", "auditType": "Logon Authentication Failed", "user": "ann@example.com", "category": "authentication_logs",
        "eventTime": "2025-03-01T00:07:12+0000",
        "eventInfo": "Failed for ann@example.com, Date: 1999-01-01, Time: 00:00:00 BST, IP: 192.0.2.10, Application: Console, Method: Cloud, 2FA: TOTP, Reason: Wrong, again",
    });
    let (head, body) = event(Generation::V1, &audit(), &record);
    assert_eq!(head.time, 1_740_787_632_000_000_000);
    for (path, value) in [
        ("/type_uid", json!(300_201)),
        ("/status_id", json!(2)),
        ("/severity_id", json!(2)),
        ("/user/email_addr", json!("ann@example.com")),
        ("/service/name", json!("Console")),
        ("/auth_protocol", json!("Cloud")),
        ("/is_mfa", json!(true)),
        ("/src_endpoint/ip", json!("192.0.2.10")),
        ("/status_detail", json!("Wrong, again")),
        ("/message", record["eventInfo"].clone()),
        ("/metadata/event_code", json!("Logon Authentication Failed")),
        ("/metadata/labels/0", json!("authentication_logs")),
        ("/metadata/original_event_uid", json!("eNq")),
        ("/metadata/original_time", json!("2025-03-01T00:07:12+0000")),
    ] {
        assert_eq!(body.pointer(path), Some(&value), "{path}");
    }
    assert!(body["unmapped"].is_null());
}

#[test]
fn the_text_names_who_logged_on_where_the_field_does_not() {
    let logon = |user: Value| {
        let record = json!({
            "auditType": "User Logged On", "user": user, "eventTime": "2025-03-01T00:07:12+0000",
            "eventInfo": "Successful authentication for ann@example.com <Ann>, IP: 192.0.2.10",
        });
        event(Generation::V2, &audit(), &record).1
    };
    for (user, name, kept) in [
        (json!(""), "ann@example.com", Value::Null),
        (json!("bob@example.com"), "bob@example.com", Value::Null),
        (json!({"a": 1}), "ann@example.com", json!({"a": 1})),
    ] {
        let body = logon(user);
        assert_eq!((&body["user"]["name"], &body["unmapped"]["user"]), (&json!(name), &kept));
    }
}
