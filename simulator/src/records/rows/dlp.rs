//! Rows of data loss prevention and of rejections (sections 6.3 and 6.8 of the API reference).

use serde_json::{Value, json};

use super::mail::{Mail, Place};
use super::{Row, Rows};
use crate::random::Random;
use crate::records::audit::opaque;
use crate::time::with_offset;

const POLICIES: [&str; 7] = [
    "Explicit Language",
    "Content Inspection - Watermark",
    "Credit cards, outbound",
    "Block \"Project X\"",
    "Zusatz: Gehälter",
    "GDPR / PII",
    "Secure delivery (partners)",
];

/// Actions that one policy takes together: the second is that of a row that differs in nothing else.
const ACTIONS: [(&str, &str); 8] = [
    ("hold", "notification"),
    ("notification", "secure_messaging"),
    ("bounce", "notification"),
    ("delete", "notification"),
    ("smart_folder", "tag"),
    ("stationery", "none"),
    ("content_expire", "meta_expire"),
    ("secure_delivery", "link"),
];

pub fn dlp(rows: &Rows, row: &Row, mut random: Random) -> Value {
    let mail = Mail::new(rows, row, &["inbound", "outbound", "outbound", "internal"], false, Mail::place(row));
    let (one, other) = ACTIONS[random.below(ACTIONS.len() as u64) as usize];
    let mut record = json!({
        "senderAddress": mail.sender,
        "recipientAddress": mail.recipient,
        "subject": mail.subject,
        "eventTime": with_offset(row.time_ms, 0),
        "route": mail.route,
        "policy": random.pick(&POLICIES),
        "action": if row.variant == 0 { one } else { other },
        "messageId": mail.message_id,
    });
    // A message whose headers were never read.
    if random.chance(40) && Mail::place(row) == Place::Recipient {
        record["subject"] = "".into();
        record["messageId"] = Value::Null;
    }
    record
}

/// Description, number, text.
const REJECTIONS: [(&str, u64, &str); 6] = [
    ("Virus Signature Detection", 14030, "[eng1.Example-Signature, eng2.Example-File (not a virus)]"),
    ("Manual Envelope Rejection", 14012, "Envelope blocked - User Entry"),
    ("IP Found in RBL", 14007, "zen.blocklist.example Blocked - see the operator's page"),
    ("Anti-Spoofing Lockout", 14041, "Rejected by header based Anti-Spoofing policy"),
    ("Invalid Recipient Address", 14003, "No such user here <nobody>"),
    ("Message Size Limit Exceeded", 14018, ""),
];

pub fn rejection(rows: &Rows, row: &Row, mut random: Random) -> Value {
    let mail = Mail::new(rows, row, &["inbound"], true, Place::Recipient);
    let (description, number, info) = REJECTIONS[random.below(REJECTIONS.len() as u64) as usize];
    // As it was before an alias was resolved. The mark stands in the address that counts.
    let local =
        if random.chance(150) { "alias".to_owned() } else { mail.recipient_name.to_lowercase().replace(' ', ".") };
    let mut record = json!({
        "id": opaque(&json!({
            "secureid": random.base64url(64), "rejectid": random.hex(24), "messageStatusType": "rejected",
            "tmnd": random.below(90_000), "tnde": rows.account_code, "version": 1,
        })),
        "fromAddress": mail.sender,
        "toAddress": mail.recipient,
        "toAddressPreCheck": format!("{local}@{}", rows.domain),
        "toAddressPostCheck": "",
        "description": description,
        "type": number,
        "info": info,
        "created": with_offset(row.time_ms, 0),
        "ipAddress": mail.ip,
        "remoteName": mail.sender_domain,
        "remoteEhlo": format!("mx{}.{}", random.below(9), mail.sender_domain),
        "manageRecipient": if random.chance(200) { "true" } else { "false" },
    });
    // A connection that was refused before its data has no score.
    if random.chance(800) {
        record["spamScore"] = random.below(120).into();
        record["detectionLevel"] = random.pick(&["aggressive", "moderate", "relaxed"]).into();
    }
    record
}
