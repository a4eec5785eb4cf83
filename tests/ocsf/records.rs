//! Records made up for these tests, after the field dictionary and section 13 of the API reference.

#![allow(dead_code, reason = "the tests of each form use their part")]

use std::collections::BTreeMap;

use mimecast_source::kind::Kind;
use serde_json::{Map, Value, json};

/// A plausible value for a field of a SIEM record, by its name in either generation.
pub fn value(field: &str) -> Value {
    match field {
        "timestamp" => json!(1_740_816_902_123_i64),
        "datetime" => json!("2025-03-01T09:15:02+0100"),
        "senderEnvelope" | "Sender" | "sender" => json!("envelope@example.org"),
        "senderHeader" | "headerFrom" => json!("header@example.org"),
        "recipients" | "recipient" | "Rcpt" | "Recipient" => json!("ann@example.com"),
        "senderIp" | "IP" => json!("192.0.2.10"),
        "sourceIp" | "SourceIP" => json!("192.0.2.11"),
        "destinationIp" => json!("198.51.100.25"),
        "Hostname" | "Host" => json!("mx.example.com"),
        "messageId" | "MsgId" | "msgid" => json!("<m1@example.org>"),
        "subject" | "Subject" => json!("Q1 | plan \"x\""),
        "direction" | "Dir" => json!("Inbound"),
        "route" | "Route" => json!("To Example"),
        "action" | "Act" | "Action" => json!("Acc"),
        "subtype" | "subType" => json!("Acc-sub"),
        "delivered" | "Delivered" | "tlsUsed" | "UseTls" => json!("true"),
        "fileName" => json!("invoice.docx"),
        "fileExtension" | "fileExt" => json!("docx"),
        "fileMime" => json!("application/msword"),
        "md5" => json!("00000000000000000000000000000001"),
        "sha1" => json!("0000000000000000000000000000000000000002"),
        "sha256" => json!("0000000000000000000000000000000000000000000000000000000000000003"),
        "url" | "URL" => json!("https://phish.example.net/a,b?c=d"),
        "attachments" | "AttNames" => json!("\"a.docx\", \"b.xlsx\""),
        "analysis" => json!("{\"Status\":[\"VerdictBlock\"]}"),
        "spamProcessingDetail" | "SpamProcessingDetail" => json!(
            "{\"spf\":{\"allow\":true,\"info\":\"SPF_X\"},\"dkim\":{\"allow\":false,\"info\":\"DKIM_X\"},\
             \"dmarc\":{\"allow\":true,\"info\":\"DMARC_X\"},\"rbl\":{\"allow\":true,\"info\":\"\"},\
             \"managedSender\":{\"allow\":true,\"info\":\"MANAGED_X\"},\
             \"permittedSender\":{\"allow\":true,\"info\":\"PERMITTED_X\"},\"greyEmail\":false}"
        ),
        "spamScore" | "SpamScore" => json!("17"),
        "emailSize" | "MsgSize" => json!("2116"),
        "deliveryTime" | "Latency" => json!("2777"),
        "deliveryAttempts" | "Attempt" => json!("27"),
        "sizeAttachment" | "Size" => json!("71825"),
        "itemsDetected" | "Hits" => json!("3"),
        "_offset" => json!(1001),
        "_partition" => json!(60),
        _ if field.starts_with("tagged") || field.starts_with("Tagged") => json!("true"),
        other => json!(format!("the value of {other}")),
    }
}

/// Top-level names of the dictionary, by stream, without the artefacts of an anonymiser.
pub fn dictionary(shared: &std::path::Path) -> BTreeMap<(String, String), Vec<String>> {
    let text = std::fs::read_to_string(shared.join("reference/fields.csv")).expect("the field dictionary");
    let mut streams = BTreeMap::<_, Vec<String>>::new();
    for line in text.lines().skip(1) {
        let mut columns = line.split(',');
        let mut column = || columns.next().expect("four columns").to_owned();
        let (generation, stream, field) = (column(), column(), column());
        let field = field.split(['.', '[']).next().unwrap_or_default().to_owned();
        if field.starts_with("ANONYMIZED") || field.starts_with('1') {
            continue;
        }
        let fields = streams.entry((generation, stream)).or_default();
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    streams
}

pub fn record(fields: &[String]) -> Map<String, Value> {
    fields.iter().map(|field| (field.clone(), value(field))).collect()
}

/// For each kind of API 2.0 a record with every field that was ever seen in one. Only one spelling of each.
pub fn api2(shared: &std::path::Path) -> Vec<(Kind, Map<String, Value>)> {
    dictionary(shared)
        .into_iter()
        .filter_map(|((generation, stream), fields)| {
            let kind = Kind::from_api2_type(stream.strip_prefix("siem/")?)?;
            (generation == "2.0").then(|| {
                let mut record = record(&fields);
                record.remove("eventType");
                record.remove("subType");
                record.insert("type".to_owned(), json!(kind.api2_type()));
                (kind, record)
            })
        })
        .collect()
}

/// Records of API 1.0, one of each kind.
pub fn api1() -> Vec<(Kind, Map<String, Value>)> {
    let lists: [(Kind, &str); 10] = [
        (
            Kind::Receipt,
            "acc Act IP Cphr TlsVer SpamLimit SpamInfo SpamScore SpamProcessingDetail Dir MsgId Subject headerFrom \
             Sender Rcpt aCode datetime RejType RejCode RejInfo Error Virus",
        ),
        (
            Kind::Process,
            "acc Act Hld AttCnt AttNames AttSize MsgSize Sender Subject MsgId aCode datetime IPNewDomain \
             IPReplyMismatch IPInternalName IPThreadDict IPSimilarDomain",
        ),
        (
            Kind::Delivery,
            "acc Delivered IP AttCnt Dir ReceiptAck MsgId Subject Latency Sender datetime Rcpt AttSize Attempt TlsVer \
             Cphr Snt aCode UseTls Route RejType RejCode RejInfo Err Host",
        ),
        (Kind::Journal, "acc Sender datetime Rcpt RcptActType aCode Dir RcptHdrType"),
        (
            Kind::Av,
            "acc MimecastIP fileName sha256 Size IP Recipient SenderDomain fileExt Subject MsgId Sender Virus sha1 \
             SenderDomainInternal fileMime CustomerIP md5 Route datetime",
        ),
        (Kind::Spam, "acc aCode Sender SenderDomain headerFrom SourceIP Recipient Route MsgId Subject datetime"),
        (
            Kind::InternalEmailProtect,
            "acc aCode URL UrlCategory ScanResultInfo Sender Recipient Route MsgId Subject datetime",
        ),
        (
            Kind::ImpersonationProtect,
            "acc aCode Action Definition Hits IP InternalName NewDomain ReplyMismatch CustomName \
             CustomThreatDictionary ThreatDictionary SimilarInternalDomain SimilarMimecastExternalDomain \
             SimilarCustomExternalDomain TaggedExternal TaggedMalicious Sender Recipient Route MsgId Subject datetime",
        ),
        (
            Kind::UrlProtect,
            "acc reason subject msgid url datetime route sourceIp sender recipient action urlCategory \
             credentialTheft senderDomain",
        ),
        (
            Kind::AttachmentProtect,
            "acc fileName fileExt fileMime md5 sha1 sha256 Size IP Recipient Sender SenderDomain Route datetime",
        ),
    ];
    lists
        .into_iter()
        .map(|(kind, names)| (kind, record(&names.split_whitespace().map(str::to_owned).collect::<Vec<_>>())))
        .collect()
}

/// Audit records of many types.
pub fn audit() -> Vec<Map<String, Value>> {
    let tail = "Date: 2025-03-01, Time: 00:07:12 GMT, IP: 192.0.2.10, Application: Administration Console";
    [
        (
            "User Logged On",
            format!("Successful authentication for ann@example.com <Ann>, {tail}, Method: Cloud, 2FA: TOTP"),
            "authentication_logs",
        ),
        (
            "Logon Authentication Failed",
            format!("Failed authentication for ann@example.com, {tail}, Reason: Wrong, again"),
            "authentication_logs",
        ),
        ("Logon Requires Challenge", "Challenge".to_owned(), "authentication_logs"),
        ("Mimecast Support Login", String::new(), "mimecast_access_logs"),
        (
            "User Password Changed",
            format!("Password changed for bob@example.com by ann@example.com {tail}"),
            "user_account_and_role_logs",
        ),
        (
            "Administrator Role Changed",
            format!("Role \"Basic\" assigned to bob@example.com, {tail}"),
            "user_account_and_role_logs",
        ),
        ("Profile Group (unlink) Log Entry", "Group 'Sales' unlinked".to_owned(), "profile_group_logs"),
        ("Existing Policy Changed", "Policy\nchanged {\"a\": 1}, Remote IP is 192.0.2.44".to_owned(), "account_logs"),
        ("Completed Directory Sync", String::new(), "account_logs"),
        ("A Type Nobody Knows", "IP: not an address".to_owned(), "new_logs"),
        ("", String::new(), ""),
    ]
    .into_iter()
    .enumerate()
    .flat_map(|(number, (audit_type, info, category))| {
        ["ann@example.com", "a plain name", ""].map(|user| {
            let record = json!({
                "id": format!("eNq{number}"), "auditType": audit_type, "user": user, "eventInfo": info,
                "eventTime": "2025-03-01T00:07:12+0000", "category": category,
            });
            record.as_object().cloned().unwrap_or_default()
        })
    })
    .collect()
}
