//! Rows of targeted threat protection (sections 6.4 to 6.6 and 7.7 of the API reference).

use serde_json::{Value, json};

use super::mail::{Mail, Place, file};
use super::{Row, Rows};
use crate::kind::Generation;
use crate::random::Random;
use crate::records::audit::opaque;
use crate::records::details::address;
use crate::records::world;
use crate::time::with_offset;

pub fn url(rows: &Rows, row: &Row, mut random: Random) -> Value {
    let bad = random.chance(300);
    let place = if row.mark.0.is_multiple_of(7) { Place::Elsewhere } else { Mail::place(row) };
    let mail = Mail::new(rows, row, &["inbound", "inbound", "outbound", "internal"], bad, place);
    let click = random.chance(700);
    let sender_domain = &mail.sender_domain;
    let url = match (place, random.below(10)) {
        (Place::Elsewhere, _) => format!("https://{sender_domain}/r/{}?a=1,2&b=%20", row.mark),
        (_, 0) => "http://7.T".to_owned(),
        (_, 1) => format!("https://{sender_domain}/a,b;c=d"),
        (_, 2) => format!("HTTP://{}:8080/", address(&mut random)),
        (_, 3) => format!("https://bücher.{sender_domain}/straße?q=ü"),
        _ => format!("https://{sender_domain}/c/{}", random.hex(12)),
    };
    let action = match (bad, random.below(4)) {
        (false, _) => "allow",
        (true, 0) => "warn",
        _ => "block",
    };
    let (one, other) = match action {
        "allow" => ("Allow", "None"),
        "warn" => ("Warn", "Browser Isolation"),
        _ => ("Block", "Hold, None"),
    };
    // Rows that differ in their second only keep the rest.
    let differs = row.variant == 1 && !row.seed.is_multiple_of(2);
    let parts = [json!(["Body"]), json!(["Subject", "Body"]), json!(["Attachment"])];
    let mut emails = parts[random.below(3) as usize].clone();
    if rows.generation == Generation::V1 && random.chance(300) {
        emails = emails[0].clone();
    }
    let mut record = json!({
        "userEmailAddress": mail.recipient,
        "fromUserEmailAddress": mail.sender,
        "url": url,
        "ttpDefinition": random.pick(&["Default URL Protection Definition", "Inbound URL 'Aggressive'", "Default Internal URL Protect Definition"]),
        "subject": mail.subject,
        "action": action,
        "adminOverride": "N/A",
        "userOverride": if bad { random.pick(&["None", "Allow", "N/A"]) } else { "None" },
        "scanResult": if bad { "malicious" } else { "clean" },
        "category": if bad { random.pick(&world::URL_CATEGORIES) } else { random.pick(&["Business", "Fashion & Beauty", "News", ""]) },
        "sendingIp": if mail.route == "internal" || random.chance(100) { "Internal IP" } else { mail.ip.as_str() },
        "userAwarenessAction": if click { random.pick(&["Continue", "N/A", "Go Back"]) } else { "N/A" },
        "date": with_offset(row.time_ms, 0),
        "actions": if differs { other } else { one },
        "route": mail.route,
        "creationMethod": if click { "User Click" } else { "Entry Scan" },
        "emailPartsDescription": emails,
        "messageId": mail.message_id,
    });
    if bad && random.chance(700) {
        record["tagMap"] = tag_map(&url, &mut random);
    }
    if bad && random.chance(150) {
        record["advancedPhishingResult"] = json!({"CredentialTheftBrands": ["Example Bank"], "CredentialTheftTags": ["Fake Login"], "CredentialTheftEvidence": ["Password field"]});
    }
    record
}

/// One of the maps of maps that a scan leaves. Its mark, if it is in the URL, must not stand twice.
fn tag_map(url: &str, random: &mut Random) -> Value {
    let place = url.split('/').nth(2).unwrap_or_default();
    if random.chance(500) {
        return json!({"UrlReputationScan": {
            "Status": [random.pick(&["VerdictBlock", "VerdictWarn"])],
            "Type": ["Malware, Phishing & Fraud"],
            "Url": [format!("http://{place}/")],
            "UrlBlock": [format!("ORIGINAL:http://{place}/ (Blocked as MALWARE,PHISHING)")],
        }});
    }
    let scanners = if random.chance(700) { vec!["Example.Scanner"] } else { Vec::new() };
    json!({"DangerousFileExt": {
        "Status": ["VerdictBlock"],
        "ContentCheck:ContentScannersBlocked": scanners,
        "ContentCheck:DangerousExtsUrlFileDownload": ["exe", "dll"],
        "ContentCheck:DangerousMimetypesUrlFileDownload": ["application/x-msdownload"],
        "Inspect:FileExts": ["exe"],
        "Inspect:MimeTypes": ["application/x-msdownload", "application/octet-stream"],
    }})
}

pub fn attachment(rows: &Rows, row: &Row, mut random: Random) -> Value {
    let in_file = !row.mark.0.is_multiple_of(3);
    let place = if in_file { Place::Elsewhere } else { Mail::place(row) };
    let mail = Mail::new(rows, row, &["inbound", "inbound", "outbound", "internal", "external"], false, place);
    let (name, _, mime) = file(&mut random, in_file.then(|| row.mark.to_string()));
    let result = match random.below(20) {
        0..14 => "safe",
        14..17 => "malicious",
        17 => "unknown",
        18 => "timeout",
        _ => "error",
    };
    // The seconds are all that twins differ in.
    let seconds = random.between(1, 40) + u64::from(row.variant);
    let details = match result {
        "safe" => {
            format!("Safe                                              \r\nTime taken: 0 hrs, 0 min, {seconds} sec")
        }
        "malicious" => {
            format!("[MALICIOUS_ACTIVITY: Exploit: shellcode, heap spray]\nTime taken: 0 hrs, 0 min, {seconds} sec")
        }
        other => format!("Result: {other}\r\nTime taken: 0 hrs, 5 min, {seconds} sec"),
    };
    json!({
        "senderAddress": mail.sender,
        "recipientAddress": mail.recipient,
        "fileName": name,
        "fileType": if random.chance(50) { "" } else { mime },
        "result": result,
        "actionTriggered": if result == "safe" {
            random.pick(&["none", "none, none", "user release, none"])
        } else {
            random.pick(&["none, hold", "admin release, none", "none, none"])
        },
        "date": with_offset(row.time_ms, 0),
        "details": details,
        "route": mail.route,
        "messageId": mail.message_id,
        "subject": mail.subject,
        "fileHash": random.hex(64),
        "definition": random.pick(&["Default Attachment Protection Definition", "Inbound - Safe File", "Sandbox, strict"]),
    })
}

const IDENTIFIERS: [&str; 10] = [
    "newly_observed_domain",
    "internal_user_name",
    "reply_address_mismatch",
    "similar_internal_domain",
    "custom_external_domain",
    "mimecast_external_domain",
    "targeted_threat_dictionary",
    "custom_name_list",
    "advanced_internal_user_name",
    "advanced_similar_internal_domain",
];

pub fn impersonation(rows: &Rows, row: &Row, mut random: Random) -> Value {
    let mail = Mail::new(rows, row, &["inbound"], true, Mail::place(row));
    let hits = random.between(1, 3) as usize;
    let first = random.below(IDENTIFIERS.len() as u64) as usize;
    let identifiers: Vec<&str> = (0..hits).map(|hit| IDENTIFIERS[(first + hit * 3) % IDENTIFIERS.len()]).collect();
    let results: Vec<Value> = identifiers
        .iter()
        .map(|source| {
            let mut result = json!({
                "impersonationDomainSource": source,
                "stringSimilarToDomain": if source.contains("domain") { mail.sender_domain.as_str() } else { "The Boss" },
            });
            if random.chance(700) {
                result["similarDomain"] = format!("The Boss <boss@{}>", rows.domain).into();
            }
            if random.chance(700) {
                result["checkerResult"] = "hit".into();
            }
            result
        })
        .collect();
    // Each recipient's row has an id of its own.
    let number = row.mark.0 >> 24;
    let id =
        opaque(&json!({"customercode": rows.account_code, "id": number, "version": 1, "tnde": random.base64url(96)}));
    json!({
        "id": format!("MTOKEN:{id}"),
        "senderAddress": mail.sender,
        "recipientAddress": mail.recipient,
        "subject": mail.subject,
        "definition": random.pick(&["IP - 1 hit (Tag email)", "Default Impersonation Definition", "VIPs, 2 hits (Hold)"]),
        "hits": hits,
        "identifiers": identifiers,
        "action": random.pick(&["hold", "bounce", "none", "tag"]),
        "taggedExternal": random.chance(400),
        "taggedMalicious": random.chance(600),
        "senderIpAddress": mail.ip,
        "eventTime": with_offset(row.time_ms, 0),
        "impersonationResults": results,
        "messageId": if random.chance(100) && Mail::place(row) != Place::MessageId { "" } else { mail.message_id.as_str() },
    })
}
