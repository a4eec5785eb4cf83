//! Records of the lists, of Cloud Integrated and of the feeds, made up after sections 6, 7.5 and 13 of the API reference.

use mimecast_source::{
    kind::{Generation, Kind},
    normalize::{Origin, Source},
};
use serde_json::{Map, Value, json};

use crate::siem;

/// Where the records of a kind come from.
pub fn origin(kind: Kind) -> Origin<'static> {
    let stream = match kind {
        Kind::CloudEntities | Kind::CloudMailflow | Kind::CloudUrlClick => return siem(Some(kind)),
        Kind::Audit => "audit",
        Kind::Dlp => "dlp",
        Kind::Held => "held/messages",
        Kind::HeldRelease => "held/releases",
        Kind::Rejection => "rejections",
        Kind::TtpUrl => "ttp/url",
        Kind::TtpAttachment => "ttp/attachment",
        Kind::TtpImpersonation => "ttp/impersonation",
        Kind::ThreatIntel => "threat_intel/customer",
        Kind::ArchiveSearch => "archive/search",
        Kind::ArchiveUserSearch => "archive/user-search",
        Kind::ArchiveView => "archive/view",
        _ => return siem(Some(kind)),
    };
    Origin { source: Source::List, stream, kind: Some(kind), ..siem(None) }
}

/// One record of each kind (two where a verdict makes two classes), with every field that is known of it.
pub fn records() -> Vec<(Generation, Kind, Map<String, Value>)> {
    let both = [
        (Kind::Dlp, dlp()),
        (Kind::Held, held()),
        (Kind::TtpUrl, ttp_url("malicious")),
        (Kind::TtpUrl, ttp_url("clean")),
        (Kind::TtpAttachment, ttp_attachment("malicious")),
        (Kind::TtpAttachment, ttp_attachment("safe")),
        (Kind::TtpImpersonation, ttp_impersonation()),
        (Kind::ThreatIntel, indicator()),
        (Kind::ArchiveSearch, archive_search()),
        (Kind::ArchiveUserSearch, archive_user_search()),
        (Kind::ArchiveView, archive_view()),
    ];
    let second = [
        (Kind::CloudEntities, entities(json!(["UNTRUSTWORTHY", "MALWARE"]))),
        (Kind::CloudEntities, entities(Value::Null)),
        (Kind::CloudMailflow, mailflow()),
        (Kind::CloudUrlClick, url_click()),
        (Kind::HeldRelease, release("released")),
        (Kind::HeldRelease, release("rejected")),
        (Kind::Rejection, rejection()),
    ];
    let generations = [Generation::V1, Generation::V2].into_iter();
    let all = generations
        .flat_map(|generation| both.clone().into_iter().map(move |(kind, record)| (generation, kind, record)));
    all.chain(second.into_iter().map(|(kind, record)| (Generation::V2, kind, record)))
        .map(|(generation, kind, record)| (generation, kind, record.as_object().cloned().unwrap_or_default()))
        .collect()
}

pub fn entities(tags: Value) -> Value {
    let detected = tags.is_array();
    json!({
        "aggregateId": "4Xaggregate_1740817000", "processingId": "01_1740817000", "accountId": "AUS0001",
        "timestamp": 1_740_816_902_123_i64, "messageId": "<m7@example.org>", "attachments": ["a, b.pdf", "c.xls"],
        "recipients": ["ann@example.com", "tom@example.com"],
        "policiesApplied": [{"action": "QUARANTINE", "mode": "ACTIVE", "name": "Default O365 Mail policy"}],
        "historicalMail": true, "senderIp": "192.0.2.11", "senderEnvelope": "bounce@example.org",
        "senderHeader": "bob@example.org", "subject": "Hi there", "source": "OFFICE_365_MAIL",
        "threatState": if detected { "QUARANTINED" } else { "DELIVERY_IN_PROGRESS" },
        "threatType": if detected { "PHISHING" } else { "NO_DETECTIONS" },
        "direction": "INBOUND", "tags": tags, "type": "entities",
        "subtype": if detected { "PHISHING" } else { "NO_DETECTIONS" }, "_offset": 2001, "_partition": 53,
    })
}

fn mailflow() -> Value {
    json!({
        "aggregateId": "4Xaggregate_1740817000", "processingId": "02_1740817000", "accountId": "AUS0001",
        "timestamp": 1_740_816_902_123_i64, "messageId": "<m7@example.org>",
        "authResults": [
            {"type": "SPF", "result": "pass", "aligned": true}, {"type": "DKIM", "result": "none", "aligned": false},
            {"type": "DMARC", "result": "fail", "aligned": null},
        ],
        "type": "mailflow", "subtype": null, "_offset": 2002, "_partition": 53,
    })
}

/// Its fields are not public: those that its siblings have.
fn url_click() -> Value {
    json!({
        "aggregateId": "4Xaggregate_1740817000", "processingId": "03_1740817000", "accountId": "AUS0001",
        "timestamp": 1_740_816_902_123_i64, "messageId": "<m7@example.org>", "url": "https://phish.example.net/x",
        "urlCategory": "Phishing", "recipients": ["ann@example.com"], "sourceIp": "192.0.2.12", "action": "Block",
        "type": "urlclick", "subtype": null, "_offset": 2003, "_partition": 53,
    })
}

pub fn dlp() -> Value {
    json!({
        "senderAddress": "bob@example.org", "recipientAddress": "ann@example.com", "subject": "Salary list",
        "eventTime": "2025-03-01T08:15:02+0000", "route": "internal", "policy": "Explicit Language", "action": "hold",
        "messageId": "<m9@example.com>",
    })
}

pub fn held() -> Value {
    json!({
        "id": "eNpHOLDID", "reason": "Message Hold Applied - Spam Signature policy",
        "reasonId": "MESSAGE_HOLD_APPLIED_SPAM", "reasonCode": "message_hold_applied_spam",
        "from": {"displayableName": "", "emailAddress": "bounce@example.net"},
        "fromHeader": {"displayableName": "Win \"big\"", "emailAddress": "spam@example.net"},
        "to": {"displayableName": "Ann", "emailAddress": "ann@example.com"},
        "toHeader": {"displayableName": "Dear Ann", "emailAddress": "ann@example.com"}, "subject": "Win", "route": "INBOUND",
        "hasAttachments": false, "size": 5043, "dateReceived": "2025-03-01T08:15:02+0000",
        "policyInfo": "Relaxed Spam Detection",
    })
}

pub fn release(status: &str) -> Value {
    json!({
        "id": "eNpRELID", "status": status, "rejectReason": "not wanted", "heldReason": "Impersonation Protection",
        "heldGroup": "IT Staff", "messageInfo": "more of it", "released": "2025-03-01T08:15:02+0000",
        "operator": "admin@example.com", "fromEnv": {"displayableName": "Bob", "emailAddress": "bob@example.org"},
        "fromHdr": {"displayableName": "Bob", "emailAddress": "bob.header@example.org"},
        "to": [
            {"displayableName": "Ann", "emailAddress": "ann@example.com"}, {"displayableName": "", "emailAddress": "tom@example.com"},
        ],
        "subject": "Offer", "attachments": true, "route": "inbound", "size": 5043, "policy": "Moderate Spam Detection",
        "spamScore": 12, "detectionLevel": "moderate",
        "spamProcessingDetail": {
            "spf": {"allow": true, "info": "allow-spf"}, "dkim": {"allow": true, "info": "allow-dkim"},
            "dmarc": {"allow": false, "info": "no-dmarc"}, "greyEmail": true, "rbl": {"allow": true, "info": "rbl-x"},
            "managedSender": {"allow": true, "info": "managed-x"}, "permittedSender": {"allow": true, "info": "permitted-x"},
            "spamVerdict": {"decision": "spam", "description": "", "risk": "low", "categories": [
                {"name": "spam-x", "risk": "low-x", "subcategories": [
                    {"name": "phishing-x", "risk": "low-y", "augmentations": [{"name": "body-x", "risk": "negligible"}]},
                ]},
            ]},
        },
    })
}

pub fn rejection() -> Value {
    json!({
        "fromAddress": "x@example.net", "toAddress": "ann@example.com", "description": "Virus Signature Detection",
        "type": 14030, "info": "[eng1.Test-Signature]", "created": "2025-03-01T08:15:02+0000",
        "toAddressPreCheck": "ann@example.com", "toAddressPostCheck": "other@example.com", "ipAddress": "198.51.100.8",
        "remoteName": "mx.example.net", "remoteEhlo": "ehlo.example.net", "manageRecipient": "false", "id": "eNpREJID",
        "spamScore": 61, "detectionLevel": "aggressive",
    })
}

pub fn ttp_url(verdict: &str) -> Value {
    json!({
        "userEmailAddress": "ann@example.com", "fromUserEmailAddress": "x@example.net",
        "url": "https://phish.example.net/a,b", "ttpDefinition": "Default URL Protection Definition", "subject": "Parcel",
        "action": if verdict == "clean" { "allow" } else { "warn" }, "adminOverride": "N/A", "userOverride": "None-x",
        "scanResult": verdict, "category": "Phishing & Fraud", "sendingIp": "198.51.100.9", "userAwarenessAction": "Continue",
        "date": "2025-03-01T08:15:02+0000", "actions": "Hold, None", "route": "outbound", "creationMethod": "Entry Scan",
        "emailPartsDescription": ["Body"], "messageId": "<m10@example.com>",
        "tagMap": {"UrlReputationScan": {"Type": ["Malware, Phishing & Fraud"], "UrlBlock": ["ORIGINAL:https://x (Blocked)"]}},
        "advancedPhishingResult": {"CredentialTheftBrands": ["x"]},
    })
}

pub fn ttp_attachment(verdict: &str) -> Value {
    json!({
        "senderAddress": "bob@example.org", "recipientAddress": "ann@example.com", "fileName": "numbers.pdf",
        "fileType": "application/pdf", "result": verdict, "actionTriggered": "user release, none",
        "date": "2025-03-01T08:15:02+0000", "details": "Result: x   \r\nTime taken: 0 hrs, 0 min, 4 sec",
        "route": "inbound", "messageId": "<m11@example.org>", "subject": "Numbers",
        "fileHash": "0000000000000000000000000000000000000000000000000000000000000004",
        "definition": "Default Attachment Protection Definition",
    })
}

pub fn ttp_impersonation() -> Value {
    json!({
        "id": "MTOKEN:eNpID", "senderAddress": "boss@examp1e.com", "recipientAddress": "ann@example.com",
        "subject": "Requested file", "definition": "IP - 1 hit (Tag email)", "hits": 1,
        "identifiers": ["internal_user_name"], "action": "none", "taggedExternal": false, "taggedMalicious": true,
        "senderIpAddress": "198.51.100.9", "eventTime": "2025-03-01T08:15:02+0000",
        "impersonationResults": [{
            "impersonationDomainSource": "internal_user_name", "similarDomain": "The Boss <boss@example.com>",
            "stringSimilarToDomain": "The Boss", "checkerResult": "hit",
        }],
        "messageId": "<m12@examp1e.com>",
    })
}

pub fn indicator() -> Value {
    json!({
        "type": "indicator", "id": "indicator--3", "created": "2025-02-01T08:00:00.000Z",
        "modified": "2025-03-01T08:15:02.000Z", "labels": ["malicious-activity"], "valid_from": "2025-02-02T08:00:00Z",
        "pattern": "[file:hashes.'SHA-256' = '0000000000000000000000000000000000000000000000000000000000000005']",
        "malware": {
            "type": "malware", "id": "malware--2", "created": "2025-02-01T08:00:00.000Z",
            "modified": "2025-02-01T08:00:00.000Z", "name": "some-malware", "labels": ["virus", "new-kind"],
        },
        "relationship": {
            "type": "relationship", "id": "relationship--4", "created": "2025-02-01T08:00:00.000Z",
            "modified": "2025-02-01T08:00:00.000Z", "relationship_type": "indicates", "source_ref": "indicator--3",
            "target_ref": "malware--2",
        },
    })
}

pub fn archive_search() -> Value {
    json!({
        "createTime": "2025-03-01T08:15:02+0000", "emailAddr": "admin@example.com", "source": "archive",
        "searchText": "[Route : outbound]", "searchReason": "an audit", "description": "Message Tracking Search",
        "searchPath": "/inbox", "isAdmin": true,
    })
}

fn archive_user_search() -> Value {
    let mut record = archive_search();
    record["museQuery"] = json!("<query/>");
    record
}

pub fn archive_view() -> Value {
    json!({
        "to": "ann@example.com", "from": "bob@example.org", "viewed": "2025-03-01T08:15:02+0000", "source": "archive",
        "viewer": "admin@example.com", "messageDate": "2025-02-27T08:00:00+0000", "discoveryCase": false,
        "contentViewed": true, "subject": "Old plans",
    })
}
