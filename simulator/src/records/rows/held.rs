//! The life of a held message: it arrives, waits, and is released, rejected, or forgotten (section 6.7 of the API
//! reference). The list shows those that wait; the log tells the end of those about which somebody decided.

use serde_json::{Value, json};

use super::mail::{Mail, Place, person};
use super::{LATEST_RELEASE, Row, Rows};
use crate::random::{Random, combine};
use crate::records::audit::opaque;
use crate::time::{Millis, with_offset};

/// What becomes of a held message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Released,
    Rejected,
    Expired,
}

/// How many recipients, so rows of one second, a held message has.
pub fn recipients(seed: u64) -> u8 {
    let mut random = Random::new(combine(&[seed, 37]));
    match random.below(100) {
        0..80 => 1,
        80..95 => random.between(2, 4) as u8,
        _ => random.between(8, 12) as u8,
    }
}

/// When and how one recipient's copy leaves the queue.
pub fn end(seed: u64, index: u8, visible: Millis, life: (Millis, Millis)) -> (Millis, Fate) {
    let mut random = Random::new(combine(&[seed, 38, u64::from(index)]));
    let (fate, latest) = match random.below(20) {
        // Users look at their digest; administrators take their time.
        0..5 => (Fate::Released, LATEST_RELEASE / 12),
        5..9 => (Fate::Released, LATEST_RELEASE),
        9..12 => (Fate::Rejected, LATEST_RELEASE / 2),
        _ => (Fate::Expired, 0),
    };
    let (shortest, longest) = life;
    let waits = if fate == Fate::Expired { longest } else { random.between(shortest, latest.max(shortest)) };
    // Nobody decides about what has expired.
    if waits >= longest { (visible + longest, Fate::Expired) } else { (visible + waits, fate) }
}

/// The hold reason as a text, and the policy.
const REASONS: [(&str, &str); 6] = [
    ("Spam Signature policy", "Relaxed Spam Detection"),
    ("Impersonation Protection policy", "High-Confidence Impersonation Protection"),
    ("Attachment policy", "Dangerous \"macro\" files"),
    ("Content Examination policy", "Gehälter, vertraulich"),
    ("Attachment Protection policy", "Sandbox, strict"),
    ("Virus Signature policy", "Default AV"),
];

/// What a held message and its release both tell.
struct Held {
    mail: Mail,
    reason: &'static str,
    policy: &'static str,
    name: String,
    size: u64,
    attachments: bool,
    random: Random,
}

fn held(rows: &Rows, row: &Row) -> Held {
    let mail = Mail::new(rows, row, &["inbound", "inbound", "inbound", "outbound"], true, Place::Elsewhere);
    let random = Random::new(combine(&[row.seed, 39, u64::from(row.index)]));
    let mut shared = Random::new(combine(&[row.seed, 40]));
    let (reason, policy) = REASONS[shared.below(REASONS.len() as u64) as usize];
    let (size, attachments) = (shared.between(1_200, 4_000_000), shared.chance(300));
    let name = if shared.chance(300) { String::new() } else { mail.sender_name.clone() };
    Held { mail, reason, policy, name, size, attachments, random }
}

pub fn message(rows: &Rows, row: &Row) -> Value {
    let Held { mail, reason, policy, name, size, attachments, mut random } = held(rows, row);
    let reason = format!("Message Hold Applied - {reason}");
    let code = reason.to_lowercase().replace(" - ", "_").replace(' ', "_");
    // Written one way or the other; the appendix has no `s`.
    let key = if random.chance(700) { "hasAttachments" } else { "hasAttachment" };
    let mut record = json!({
        "id": opaque(&json!({
            "secureid": random.base64url(64), "hldqid": random.hex(24), "queue_id": random.below(9000),
            "tnde": rows.account_code, "version": 1,
        })),
        "reason": reason,
        "reasonId": code.to_uppercase(),
        "reasonCode": code,
        "from": mail.from(""),
        "fromHeader": {"displayableName": name, "emailAddress": format!("postmaster@{}", mail.sender_domain)},
        "to": {"displayableName": mail.recipient_name, "emailAddress": mail.recipient},
        "subject": mail.subject,
        "route": mail.route.to_uppercase(),
        "size": size,
        "dateReceived": with_offset(row.time_ms, 0),
        "policyInfo": format!("{policy} [{}]", row.mark),
    });
    record[key] = attachments.into();
    if random.chance(300) {
        record["toHeader"] = json!({"displayableName": "", "emailAddress": mail.recipient});
    }
    record
}

pub fn release(rows: &Rows, row: &Row) -> Value {
    let Held { mail, reason, policy, name, size, attachments, mut random } = held(rows, row);
    // The same draws as of the message's end: the mark tells the row, the seed and index tell the fate.
    let fate = end(row.seed, row.index, 0, rows.held_life).1;
    let rejected = fate == Fate::Rejected;
    let operator = format!("{}@{}", person(&mut random).to_lowercase().replace(' ', "."), rows.domain);
    let level = random.pick(&["aggressive", "moderate", "relaxed"]);
    let (message_info, policy) = if row.mark.0.is_multiple_of(3) {
        (String::new(), format!("{policy} [{}]", row.mark))
    } else {
        (format!("Held by {policy} ({})", row.mark), policy.to_owned())
    };
    let mut record = json!({
        "id": opaque(&json!({
            "secureid": random.base64url(64), "hldqid": random.hex(24), "tmnd": random.below(90_000),
            "tnde": rows.account_code, "version": 1,
        })),
        "status": if rejected { "rejected" } else { "released" },
        "rejectReason": if rejected { random.pick(&["Content is spam", "Message goes against email policies", ""]) } else { "" },
        "heldReason": reason.trim_end_matches(" policy"),
        "heldGroup": random.pick(&["IT Staff", "Finance, Berlin", ""]),
        "messageInfo": message_info,
        "operator": if random.chance(300) { json!({"emailAddress": operator}) } else { json!(operator) },
        "fromEnv": mail.from(&name),
        "fromHdr": {"displayableName": name, "emailAddress": format!("postmaster@{}", mail.sender_domain)},
        "to": [{"displayableName": mail.recipient_name, "emailAddress": mail.recipient}],
        "subject": mail.subject,
        "attachments": attachments,
        "route": mail.route,
        "size": size,
        "policy": policy,
        "spamScore": random.below(60),
        "detectionLevel": level,
        "spamProcessingDetail": spam_processing_detail(&mut random),
    });
    if random.chance(150) {
        record["to"] = json!([{"emailAddress": mail.recipient}]);
    }
    if !random.chance(120) {
        let plain = with_offset(row.time_ms, 0);
        // Once with a colon, once without.
        record["released"] = if random.chance(500) { plain.replace("+0000", "+00:00") } else { plain }.into();
    }
    record
}

/// In lower case here, and always an object.
fn spam_processing_detail(random: &mut Random) -> Value {
    let mut part = |infos: &[&'static str]| json!({"allow": random.chance(700), "info": random.pick(infos)});
    let mut detail = json!({
        "spf": part(&["allow", "unknown", "none"]),
        "dkim": part(&["allow", "dkim_unknown", "none"]),
        "dmarc": part(&["allow", "none", ""]),
        "rbl": part(&["", "zen.blocklist.example"]),
        "permittedSender": part(&["none", ""]),
        "managedSender": part(&["unknown", "permitted"]),
    });
    detail["greyEmail"] = random.chance(300).into();
    if random.chance(850) {
        let risk = random.pick(&["high", "medium", "low", "negligible"]);
        let sub = random.pick(&["phishing", "content", "heuristic", "technology_feed"]);
        detail["spamVerdict"] = json!({
            "decision": random.pick(&["spam", "requested"]), "description": "", "risk": risk,
            "categories": [{"name": "spam", "risk": risk, "subcategories": [
                {"name": sub, "risk": risk, "augmentations": [{"name": "body", "risk": "negligible"}]},
                {"name": "heuristic", "risk": "low", "augmentations": []},
            ]}],
        });
    }
    detail
}
