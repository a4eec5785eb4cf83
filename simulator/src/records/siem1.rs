//! SIEM records of API 1.0, as JSON and as `key=value` (sections 7.1 to 7.3 of the API reference).

use super::details::{Details, address};
use super::fields::{Fields, Value, quote};
use super::message::{Direction, Outcome, Place, Plan};
use super::world;
use crate::kind::Kind;
use crate::settings::Tenant;
use crate::time::with_offset;

/// The record's fields, in the order of the JSON form.
pub fn fields(plan: &Plan, tenant: &Tenant) -> Fields {
    let mut plan = *plan;
    if plan.kind == Kind::Process {
        // The only value of its own that both forms of this type have.
        plan.place = Place::MessageId;
    }
    let mut details = Details::new(&plan, &tenant.account_code);
    let mut fields = Fields::default();
    let time = with_offset(plan.time_ms, tenant.utc_offset_minutes);
    fields.add("acc", tenant.account_code.as_str());
    let with_code = !matches!(plan.kind, Kind::Av | Kind::AttachmentProtect | Kind::UrlProtect);
    if with_code {
        fields.add("aCode", details.aggregate.as_str());
    }
    match plan.kind {
        Kind::Receipt => receipt(&plan, &mut details, &mut fields),
        Kind::Process => process(&plan, &mut details, &mut fields),
        Kind::Delivery => delivery(&plan, &mut details, &mut fields),
        Kind::Journal => journal(&plan, &details, &mut fields),
        Kind::Spam => spam(&details, &mut fields),
        Kind::Av => av(&mut details, &mut fields),
        Kind::AttachmentProtect => attachment_protect(&mut details, &mut fields),
        Kind::UrlProtect => url_protect(&mut details, &mut fields),
        Kind::ImpersonationProtect => impersonation_protect(&mut details, &mut fields),
        Kind::InternalEmailProtect => internal_email_protect(&details, &mut fields),
        // No other kind is published as a file of this generation.
        _ => {}
    }
    fields.add("datetime", time);
    fields
}

/// How lines of `key_value` are written.
#[derive(Debug, Clone, Copy, Default)]
pub struct LineStyle {
    /// All free texts stand between backslashes, not the usual ones only.
    pub backslashes: bool,
    pub blank_in_time: bool,
    pub pipe_in_subject: bool,
}

/// The texts that the documentation's sample wraps in backslashes.
const WRAPPED: [&str; 5] = ["Subject", "RejType", "RejInfo", "Err", "Error"];
/// Further free texts.
const FREE: [&str; 4] = ["ReceiptAck", "Virus", "ScanResultInfo", "Definition"];

/// The record as `key=value|key=value`, without its line ending. Absent values are left out; `datetime` comes first.
pub fn line(fields: &Fields, style: LineStyle) -> String {
    let mut out = String::with_capacity(700);
    let first = ["datetime", "aCode", "acc"];
    let ahead = first.iter().filter_map(|key| fields.0.iter().find(|(name, _)| name == key));
    let rest = fields.0.iter().filter(|(name, _)| !first.contains(name));
    // The documented lines of this type lack these two.
    let process = fields.get("MsgSize").is_some();
    let rest = rest.filter(|(name, _)| !process || !["Sender", "Subject"].contains(name));
    for (key, value) in ahead.chain(rest) {
        let text = match value {
            Value::Null => continue,
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Json(json) => json.clone(),
        };
        let text = match *key {
            "datetime" if style.blank_in_time => text.replacen(':', ": ", 1),
            "Subject" if style.pipe_in_subject => format!("{text} |not=a field| and on"),
            _ => text,
        };
        let wrapped = WRAPPED.contains(key) || style.backslashes && FREE.contains(key);
        if !out.is_empty() {
            out.push('|');
        }
        out.push_str(key);
        out.push('=');
        if wrapped {
            out.push('\\');
        }
        out.push_str(&text);
        if wrapped {
            out.push('\\');
        }
    }
    out
}

fn direction(plan: &Plan) -> &'static str {
    match plan.direction {
        Direction::Inbound => "Inbound",
        Direction::Outbound => "Outbound",
        Direction::Internal => "Internal",
    }
}

fn receipt(plan: &Plan, details: &mut Details, fields: &mut Fields) {
    let random = &mut details.random;
    fields.add("IP", details.sender_ip.as_str());
    fields.add("Dir", direction(plan));
    match details.rejection {
        Some((kind, code, info)) => {
            fields.add("Act", "Rej");
            fields.add("RejType", kind);
            fields.add("RejCode", code);
            fields.add("RejInfo", info);
            if kind == "Manual Envelope Rejection" {
                fields.add("Error", "User level block list in force");
            }
            if kind == "Virus Signature Detection" {
                fields.add("Virus", random.pick(&world::VIRUSES));
            }
            fields.add("MsgId", None::<&str>);
            fields.add("Subject", None::<&str>);
        }
        None => {
            fields.add("Act", "Acc");
            fields.add("SpamLimit", random.pick(&[&7_u64, &28]).to_owned());
            fields.add("SpamInfo", "[]");
            fields.add("SpamScore", random.below(30));
            let spf = quote(random.pick(&["ALLOW", "UNKNOWN", "SPF_FAIL"]));
            let dkim = quote(random.pick(&["ALLOW", "NONE", "DKIM_UNKNOWN"]));
            fields.add(
                "SpamProcessingDetail",
                Value::Json(format!(
                    "{{\"spf\":{{\"info\":{spf},\"allow\":true}},\"dkim\":{{\"info\":{dkim},\"allow\":true}},\
                     \"dmarc\":{{\"info\":\"NONE\",\"allow\":true}}}}"
                )),
            );
            fields.add("MsgId", details.message_id.as_str());
            fields.add("Subject", details.subject.as_deref());
            fields.add("headerFrom", details.sender_header.as_str());
        }
    }
    fields.add("Sender", details.sender.as_str());
    fields.add("Rcpt", details.recipient.as_str());
    if let Some((version, cipher)) = details.tls {
        fields.add("TlsVer", version);
        fields.add("Cphr", cipher);
    }
}

fn process(plan: &Plan, details: &mut Details, fields: &mut Fields) {
    let (action, hold) = match plan.outcome {
        Outcome::Spam => ("Hld", Some("Spm")),
        Outcome::Impersonation | Outcome::Virus => ("Hld", Some("Oth")),
        Outcome::Sandboxed => ("Sdbx", None),
        _ => ("Acc", None),
    };
    fields.add("Act", action);
    if let Some(hold) = hold {
        fields.add("Hld", hold);
    }
    fields.add("AttCnt", details.attachments.len() as u64);
    fields.add("AttSize", details.attachment_bytes);
    let names: Vec<String> = details.attachments.iter().map(|name| format!("\"{name}\"")).collect();
    fields.add("AttNames", (!names.is_empty()).then(|| names.join(", ")));
    fields.add("MsgSize", details.email_bytes);
    fields.add("Sender", details.sender.as_str());
    fields.add("Subject", details.subject.as_deref());
    fields.add("MsgId", details.message_id.as_str());
    if details.random.chance(300) {
        for flag in ["IPNewDomain", "IPReplyMismatch", "IPInternalName", "IPThreadDict", "IPSimilarDomain"] {
            fields.add(flag, details.random.chance(100).to_string());
        }
    }
}

fn delivery(plan: &Plan, details: &mut Details, fields: &mut Fields) {
    let random = &mut details.random;
    fields.add("Delivered", plan.succeeded);
    fields.add("IP", address(random));
    fields.add("AttCnt", details.attachments.len() as u64);
    fields.add("Dir", direction(plan));
    if plan.succeeded {
        let id = random.hex(8);
        fields.add("ReceiptAck", format!("250 2.0.0 OK {} id={id}", plan.time_ms / 1000));
    } else {
        let (kind, code, info, error) = world::DELIVERY_FAILURES[random.below(4) as usize];
        fields.add("ReceiptAck", None::<&str>);
        for (key, text) in [("RejType", kind), ("RejCode", code), ("RejInfo", info), ("Err", error)] {
            if !text.is_empty() {
                fields.add(key, text);
            }
        }
    }
    fields.add("MsgId", details.message_id.as_str());
    fields.add("Subject", details.subject.as_deref());
    fields.add("Latency", plan.time_ms - plan.arrived_ms);
    fields.add("Sender", details.sender.as_str());
    let list = plan.recipients == 1 && random.chance(25);
    let one = Value::from(details.recipient.as_str());
    fields.add("Rcpt", if list { Value::Json(format!("[{}]", quote(&details.recipient))) } else { one });
    fields.add("AttSize", details.attachment_bytes);
    fields.add("Attempt", u64::from(plan.attempt));
    fields.add("Snt", if plan.succeeded { details.email_bytes } else { random.between(0, 200) });
    fields.add("UseTls", if details.tls.is_some() { "Yes" } else { "No" });
    if let Some((version, cipher)) = details.tls {
        fields.add("TlsVer", version);
        fields.add("Cphr", cipher);
    }
    if random.chance(900) {
        fields.add("Route", random.pick(&["Office365", "Mimecast Exchange Route", "To the branch"]));
    }
}

fn journal(plan: &Plan, details: &Details, fields: &mut Fields) {
    fields.add("Sender", details.sender.as_str());
    fields.add("Rcpt", details.recipient.as_str());
    fields.add("RcptActType", "Jnl");
    fields.add("Dir", direction(plan));
    fields.add("RcptHdrType", "Unknown");
}

fn spam(details: &Details, fields: &mut Fields) {
    fields.add("SourceIP", details.sender_ip.as_str());
    fields.add("Sender", details.sender.as_str());
    fields.add("SenderDomain", details.sender_domain.as_str());
    fields.add("headerFrom", details.sender_header.as_str());
    fields.add("Recipient", details.recipient.as_str());
    fields.add("Route", "Inbound");
    fields.add("MsgId", details.message_id.as_str());
    fields.add("Subject", details.subject.as_deref());
}

fn file(details: &mut Details, fields: &mut Fields) {
    fields.add("fileName", details.file.0.as_str());
    fields.add("fileExt", details.file.1);
    fields.add("fileMime", details.file.2);
    fields.add("md5", details.random.hex(32));
    fields.add("sha1", details.random.hex(40));
    fields.add("sha256", details.random.hex(64));
    fields.add("Size", details.random.between(900, 4_000_000));
    fields.add("IP", details.sender_ip.as_str());
    fields.add("Recipient", details.recipient.as_str());
    fields.add("Sender", details.sender.as_str());
    fields.add("SenderDomain", details.sender_domain.as_str());
    fields.add("Route", "Inbound");
}

fn av(details: &mut Details, fields: &mut Fields) {
    fields.add("MimecastIP", "false");
    file(details, fields);
    fields.add("Subject", details.subject.as_deref());
    fields.add("MsgId", details.message_id.as_str());
    fields.add("Virus", details.random.pick(&world::VIRUSES));
    fields.add("SenderDomainInternal", "false");
    fields.add("CustomerIP", "true");
}

fn attachment_protect(details: &mut Details, fields: &mut Fields) {
    file(details, fields);
}

fn url_protect(details: &mut Details, fields: &mut Fields) {
    let random = &mut details.random;
    fields.add("reason", "malicious");
    fields.add("subject", details.subject.as_deref());
    fields.add("msgid", random.chance(500).then_some(details.message_id.as_str()));
    fields.add("url", details.url.as_str());
    fields.add("route", "inbound");
    fields.add("sourceIp", address(random));
    fields.add("sender", details.sender.as_str());
    fields.add("recipient", details.recipient.as_str());
    if random.chance(800) {
        fields.add("action", "Block");
    }
    fields.add("urlCategory", random.pick(&world::URL_CATEGORIES));
    fields.add("credentialTheft", random.chance(200).then_some("Password field on a new domain"));
    fields.add("senderDomain", details.sender_domain.as_str());
}

fn impersonation_protect(details: &mut Details, fields: &mut Fields) {
    let random = &mut details.random;
    fields.add("Action", "Hold");
    fields.add("Definition", "Default Impersonation Definition");
    fields.add("Hits", random.between(1, 4).to_string());
    fields.add("IP", details.sender_ip.as_str());
    for flag in [
        "InternalName",
        "NewDomain",
        "ReplyMismatch",
        "CustomName",
        "CustomThreatDictionary",
        "ThreatDictionary",
        "SimilarInternalDomain",
        "SimilarMimecastExternalDomain",
        "SimilarCustomExternalDomain",
        "TaggedExternal",
    ] {
        fields.add(flag, random.chance(250).to_string());
    }
    fields.add("TaggedMalicious", "true");
    fields.add("Sender", details.sender.as_str());
    fields.add("Recipient", details.recipient.as_str());
    fields.add("Route", "Inbound");
    fields.add("MsgId", details.message_id.as_str());
    fields.add("Subject", details.subject.as_deref());
}

fn internal_email_protect(details: &Details, fields: &mut Fields) {
    fields.add("URL", details.url.as_str());
    fields.add("UrlCategory", "Phishing & Fraud");
    fields.add("ScanResultInfo", "Blocked URL Category");
    fields.add("Sender", details.sender.as_str());
    fields.add("Recipient", details.recipient.as_str());
    fields.add("Route", "Internal");
    fields.add("MsgId", details.message_id.as_str());
    fields.add("Subject", details.subject.as_deref());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Mark;
    use crate::records::message::{Calendar, Traffic};
    use crate::time::{HOUR, MINUTE};

    #[test]
    fn both_forms_hold_the_mark_once() {
        let mut plans = Vec::new();
        Traffic { seed: 3, calendar: Calendar::Working, interval: 30 * MINUTE, events_per_day: 200_000 }
            .plan(1_748_822_400_000 + 9 * HOUR, &mut plans);
        let tenant = Tenant { utc_offset_minutes: 60, ..Tenant::v1("one", 1) };
        for plan in &plans {
            let fields = fields(plan, &tenant);
            let mut json = String::new();
            fields.write_json(true, &mut json);
            assert_eq!(Mark::find_all(json.as_bytes()), [plan.mark], "{json}");
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert!(value["datetime"].as_str().unwrap().ends_with("+0100"));
            let line = line(&fields, LineStyle::default());
            assert_eq!(Mark::find_all(line.as_bytes()), [plan.mark], "{line}");
            assert!(line.starts_with("datetime=2025-06-02T1") && !line.contains("null"), "{line}");
        }
    }

    #[test]
    fn lines_are_spoilt_when_asked() {
        let mut plans = Vec::new();
        Traffic { seed: 3, calendar: Calendar::Working, interval: 30 * MINUTE, events_per_day: 50_000 }
            .plan(1_748_822_400_000 + 9 * HOUR, &mut plans);
        let plan = plans.iter().find(|plan| plan.kind == Kind::Delivery && plan.succeeded).unwrap();
        let fields = fields(plan, &Tenant::v1("one", 1));
        let plain = line(&fields, LineStyle::default());
        let style = LineStyle { backslashes: true, blank_in_time: true, pipe_in_subject: true };
        let spoilt = line(&fields, style);
        assert!(plain.contains("|Subject=\\") && plain.contains("|ReceiptAck=250"), "{plain}");
        assert!(spoilt.contains("|not=a field|") && spoilt.contains("|ReceiptAck=\\250"), "{spoilt}");
        assert!(spoilt.starts_with("datetime=2025-06-02T09: "), "{spoilt}");
    }
}
