//! SIEM records of API 2.0, Cloud Gateway: one JSON object a line (section 7.4 of the API reference).

use super::cloud;
use super::details::{Details, address};
use super::fields::{Fields, Value, quote};
use super::message::{Direction, Outcome, Plan};
use super::world;
use crate::kind::Kind;
use crate::random::Random;

/// The record as one line of JSON, without its line feed.
pub fn line(plan: &Plan, account_code: &str) -> String {
    let mut line = String::with_capacity(1400);
    fields(plan, account_code).write_json(false, &mut line);
    line
}

/// The record as the stream form has it: without what tells of a file. The rest is the same.
pub fn inline(plan: &Plan, account_code: &str) -> String {
    let mut fields = fields(plan, account_code);
    fields.remove("_offset");
    fields.remove("_partition");
    let mut text = String::with_capacity(1400);
    fields.write_json(false, &mut text);
    text
}

fn fields(plan: &Plan, account_code: &str) -> Fields {
    if Kind::CLOUD.contains(&plan.kind) {
        return cloud::fields(plan, account_code);
    }
    let mut details = Details::new(plan, account_code);
    let mut fields = Fields::default();
    let style = Style::new(&mut details.random);
    common(plan, &details, account_code, style, &mut fields);
    match plan.kind {
        Kind::Receipt => receipt(plan, &mut details, &mut fields),
        Kind::Process => process(plan, &mut details, &mut fields),
        Kind::Delivery => delivery(plan, &mut details, &mut fields),
        Kind::Journal => journal(plan, &details, &mut fields),
        Kind::Spam => spam(&mut details, &mut fields),
        Kind::Av => av(&mut details, &mut fields),
        Kind::AttachmentProtect => attachment_protect(style, &mut details, &mut fields),
        Kind::UrlProtect => url_protect(&mut details, &mut fields),
        Kind::ImpersonationProtect => impersonation_protect(&mut details, &mut fields),
        Kind::InternalEmailProtect => internal_email_protect(&mut details, &mut fields),
        _ => {}
    }
    finish(plan, &details, style, &mut fields);
    fields
}

/// How the service of some month spelled things.
#[derive(Clone, Copy)]
struct Style {
    /// `type`, `subtype`, offsets; otherwise `eventType`, `subType`, none.
    newer: bool,
    /// Ids end in `_` and the epoch's seconds.
    suffix: bool,
    /// The whole form of attachment protect, and lower-case routes.
    lower: bool,
    recipients_as_list: bool,
    unknown_key: bool,
}

impl Style {
    fn new(random: &mut Random) -> Self {
        Self {
            newer: random.chance(700),
            suffix: random.chance(900),
            lower: random.chance(500),
            recipients_as_list: random.chance(25),
            unknown_key: random.chance(15),
        }
    }
}

fn common(plan: &Plan, details: &Details, account_code: &str, style: Style, fields: &mut Fields) {
    let epoch = plan.arrived_ms / 1000;
    let suffix = if style.suffix { format!("_{epoch}") } else { String::new() };
    fields.add("aggregateId", format!("{}{suffix}", details.aggregate));
    let mut random = details.random.clone();
    let processing = match plan.kind {
        Kind::UrlProtect if style.lower => format!("req-{}", random.hex(32)),
        _ => format!("{}_{epoch}", random.base64url(43)),
    };
    fields.add("processingId", processing);
    fields.add("accountId", account_code);
    fields.add("timestamp", plan.time_ms);
}

fn finish(plan: &Plan, details: &Details, style: Style, fields: &mut Fields) {
    let subtype = match plan.kind {
        Kind::Delivery => fields.get("delivered").cloned(),
        _ => fields.get("action").cloned(),
    }
    .unwrap_or(Value::Null);
    fields.add(if style.newer { "type" } else { "eventType" }, plan.kind.api2_type());
    fields.add(if style.newer { "subtype" } else { "subType" }, subtype);
    if style.newer {
        let mut random = details.random.clone();
        fields.add("_offset", random.below(90_000_000));
        fields.add("_partition", random.below(64));
    }
    if style.unknown_key {
        fields.add("futureField", Value::Json("{\"since\":\"2025\",\"flags\":[1,null,true]}".to_owned()));
    }
    if style.recipients_as_list && plan.recipients == 1 && plan.kind != Kind::AttachmentProtect {
        let list = format!("[{},{}]", quote(&details.recipient), quote(&format!("archive@{}", details.domain)));
        fields.replace("recipients", Value::Json(list));
    }
}

fn cased(plan: &Plan, random: &mut Random) -> &'static str {
    let [title, lower, upper] = match plan.direction {
        Direction::Inbound => ["Inbound", "inbound", "INBOUND"],
        Direction::Outbound => ["Outbound", "outbound", "OUTBOUND"],
        Direction::Internal => ["Internal", "internal", "INTERNAL"],
    };
    match random.below(20) {
        0..13 => title,
        13..19 => lower,
        _ => upper,
    }
}

fn receipt(plan: &Plan, details: &mut Details, fields: &mut Fields) {
    let random = &mut details.random;
    let (kind, code, info) = details.rejection.unzip3();
    fields.add("action", if kind.is_some() { "Rej" } else { "Acc" });
    fields.add("senderEnvelope", details.sender.as_str());
    fields.add("messageId", kind.is_none().then_some(details.message_id.as_str()));
    fields.add("subject", details.subject.as_deref());
    fields.add("recipients", details.recipient.as_str());
    fields.add("senderIp", details.sender_ip.as_str());
    fields.add("rejectionType", kind);
    fields.add("rejectionCode", code);
    fields.add("direction", cased(plan, random));
    fields.add("numberAttachments", details.attachments.len().to_string());
    fields.add("senderHeader", kind.is_none().then_some(details.sender_header.as_str()));
    fields.add("rejectionInfo", info);
    match details.tls {
        Some((version, cipher)) => {
            fields.add("tlsVersion", version);
            fields.add("tlsCipher", cipher);
        }
        None => {
            fields.add("tlsVersion", random.chance(500).then_some(""));
            fields.add("tlsCipher", None::<&str>);
        }
    }
    fields.add("spamInfo", kind.is_none().then_some("[]"));
    fields.add("spamProcessingDetail", spam_processing_detail(plan, kind.is_some(), random));
    fields.add("virusFound", if kind == Some("Virus Signature Detection") { info } else { None });
    fields.add("spamScore", kind.is_none().then(|| random.below(30).to_string()));
    fields.add("spamDetectionLevel", kind.is_none().then(|| random.pick(&["7", "28", "5"])));
    fields.add("receiptErrors", (kind == Some("Invalid Recipient Address")).then_some("Recipient lookup failed"));
}

/// The fields of a refusal, one by one.
trait Unzip3 {
    fn unzip3(self) -> (Option<&'static str>, Option<&'static str>, Option<&'static str>);
}

impl Unzip3 for Option<(&'static str, &'static str, &'static str)> {
    fn unzip3(self) -> (Option<&'static str>, Option<&'static str>, Option<&'static str>) {
        (self.map(|it| it.0), self.map(|it| it.1), self.map(|it| it.2))
    }
}

/// In one of its four encodings: text of JSON, text of text of JSON, an object, null.
fn spam_processing_detail(plan: &Plan, refused: bool, random: &mut Random) -> Value {
    let part = |info: &str, allow: bool| format!("{{\"info\":{},\"allow\":{allow}}}", quote(info));
    let mut parts = vec![format!("\"spf\":{}", part(random.pick(&["ALLOW", "UNKNOWN", "NONE", "SPF_FAIL"]), !refused))];
    if !refused {
        let dkim = random.pick(&["ALLOW", "DKIM_UNKNOWN", "NONE"]);
        parts.push(format!("\"dkim\":{}", part(dkim, true)));
        parts.push(format!("\"dmarc\":{}", part(random.pick(&["ALLOW", "NONE"]), true)));
        parts.push(format!("\"rbl\":{}", part("", true)));
        parts.push(format!("\"greyEmail\":{}", random.chance(200)));
        parts.push(format!("\"permittedSender\":{}", part("NONE", true)));
        parts.push(format!("\"managedSender\":{}", part("UNKNOWN", true)));
        if random.chance(600) {
            let (name, risk) =
                if plan.outcome == Outcome::Spam { ("SPAM", "HIGH") } else { ("REQUESTED", "NEGLIGIBLE") };
            let score = format!("{}.{}", random.below(90), random.below(10));
            let sub = random.pick(&["CONTENT", "HEURISTIC", "SPAM_FILTER_TESTS", "TECHNOLOGY_FEED"]);
            parts.push(format!(
                "\"verdict\":{{\"decision\":\"{name}\",\"description\":\"\",\"risk\":\"{risk}\",\"categories\":[{{\"name\":\"{name}\",\
                 \"score\":{score},\"risk\":\"{risk}\",\"subcategories\":[{{\"name\":\"{sub}\",\"score\":{score},\"risk\":\"{risk}\",\
                 \"augmentations\":[{{\"name\":\"BODY\",\"score\":0.5,\"risk\":\"NEGLIGIBLE\"}}]}}]}}]}}"
            ));
        }
    }
    let json = format!("{{{}}}", parts.join(","));
    match random.below(100) {
        0..60 => Value::Text(json),
        60..75 => Value::Text(quote(&json)),
        75..92 => Value::Json(json),
        _ => Value::Null,
    }
}

fn process(plan: &Plan, details: &mut Details, fields: &mut Fields) {
    let (action, hold) = match plan.outcome {
        Outcome::Spam => ("Hld", Some("Spm")),
        Outcome::Impersonation | Outcome::Virus => ("Hld", Some("Oth")),
        Outcome::Sandboxed => ("Sdbx", None),
        _ => ("Acc", None),
    };
    fields.add("action", action);
    fields.add("senderEnvelope", details.sender.as_str());
    fields.add("messageId", details.message_id.as_str());
    fields.add("subject", details.subject.as_deref());
    fields.add("holdReason", hold);
    fields.add("totalSizeAttachments", details.attachment_bytes.to_string());
    fields.add("numberAttachments", details.attachments.len().to_string());
    fields.add("attachments", attachment_names(&details.attachments, &mut details.random));
    fields.add("emailSize", details.email_bytes.to_string());
}

/// Quoted and joined by commas, a bare name, a text with inner quotes, or null.
fn attachment_names(names: &[String], random: &mut Random) -> Value {
    match (names, random.below(10)) {
        ([], 0..3) => Value::Text(String::new()),
        ([], _) => Value::Null,
        ([one], 0..2) => Value::Text(one.clone()),
        ([one, ..], 2) => Value::Text(format!("\"the \"{one}\" file\"")),
        (all, _) => Value::Text(all.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")),
    }
}

fn delivery(plan: &Plan, details: &mut Details, fields: &mut Fields) {
    let random = &mut details.random;
    let failure = (!plan.succeeded).then(|| world::DELIVERY_FAILURES[random.below(4) as usize]);
    let some = |text: &'static str| (!text.is_empty()).then_some(text);
    fields.add("delivered", plan.succeeded.to_string());
    fields.add("deliveryTime", (plan.time_ms - plan.arrived_ms).to_string());
    fields.add("deliveryAttempts", plan.attempt.to_string());
    fields.add("deliveryErrors", failure.and_then(|it| some(it.3)));
    fields.add("destinationIp", address(random));
    fields.add("Hostname", random.chance(850).then(|| format!("mx{}.{}", random.below(9), details.domain)));
    fields.add("emailSize", details.email_bytes.to_string());
    fields.add("numberAttachments", details.attachments.len().to_string());
    fields.add("totalSizeAttachments", random.chance(900).then(|| details.attachment_bytes.to_string()));
    fields.add("rejectionType", failure.and_then(|it| some(it.0)));
    fields.add("rejectionCode", failure.and_then(|it| some(it.1)));
    fields.add("rejectionInfo", failure.and_then(|it| some(it.2)));
    fields.add(
        "route",
        if plan.succeeded {
            random.pick(&["Office365", "Mimecast Exchange Route", "To the branch"])
        } else {
            "Outbound"
        },
    );
    match details.tls {
        Some((version, cipher)) => {
            fields.add("tlsUsed", random.pick(&["Yes", "Yes", "true"]));
            fields.add("tlsVersion", version);
            fields.add("tlsCipher", cipher);
        }
        None => {
            fields.add("tlsUsed", random.pick(&["No", "false"]));
            fields.add("tlsVersion", None::<&str>);
            fields.add("tlsCipher", None::<&str>);
        }
    }
    fields.add("senderEnvelope", details.sender.as_str());
    fields.add("recipients", details.recipient.as_str());
    fields.add("messageId", details.message_id.as_str());
    fields.add("subject", details.subject.as_deref());
    fields.add("direction", random.chance(950).then(|| cased(plan, random)));
}

fn journal(plan: &Plan, details: &Details, fields: &mut Fields) {
    fields.add("senderEnvelope", details.sender.as_str());
    fields.add("recipients", details.recipient.as_str());
    fields.add("direction", if plan.direction == Direction::Outbound { "Outbound" } else { "Internal" });
}

fn spam(details: &mut Details, fields: &mut Fields) {
    fields.add("senderEnvelope", details.sender.as_str());
    fields.add("messageId", details.message_id.as_str());
    fields.add("subject", if details.random.chance(300) { None } else { details.subject.as_deref() });
    fields.add("recipients", details.recipient.as_str());
    fields.add("senderDomain", details.sender_domain.as_str());
    fields.add("senderHeader", details.sender_header.as_str());
    fields.add("senderIp", details.sender_ip.as_str());
    fields.add("route", "Inbound");
    if details.random.chance(300) {
        fields.add("taggedExternal", "false");
        fields.add("taggedMalicious", "true");
    }
}

fn av(details: &mut Details, fields: &mut Fields) {
    fields.add("senderEnvelope", details.sender.as_str());
    fields.add("messageId", details.message_id.as_str());
    fields.add("subject", details.subject.as_deref());
    fields.add("recipients", details.recipient.as_str());
    fields.add("senderIp", details.sender_ip.as_str());
    fields.add("senderDomain", details.sender_domain.as_str());
    fields.add("senderDomainInternal", "false");
    fields.add("route", "Inbound");
    fields.add("emailSize", details.email_bytes.to_string());
    fields.add("virusFound", details.random.pick(&world::VIRUSES));
    file(details, fields);
}

fn file(details: &mut Details, fields: &mut Fields) {
    fields.add("fileName", details.file.0.as_str());
    fields.add("fileExtension", details.file.1);
    fields.add("md5", details.random.hex(32));
    fields.add("sha1", details.random.hex(40));
    fields.add("sha256", details.random.hex(64));
}

fn attachment_protect(style: Style, details: &mut Details, fields: &mut Fields) {
    file(details, fields);
    if style.lower {
        fields.add("fileMime", details.file.2);
        fields.add("sizeAttachment", details.random.between(900, 4_000_000).to_string());
        fields.add("senderEnvelope", details.sender.as_str());
        fields.add("senderDomain", details.sender_domain.as_str());
        fields.add("senderIp", details.sender_ip.as_str());
        fields.add("recipient", details.recipient.as_str());
        fields.add("messageId", details.message_id.as_str());
        fields.add("subject", details.subject.as_deref());
        fields.add("route", "inbound");
    }
}

fn url_protect(details: &mut Details, fields: &mut Fields) {
    let analysis = "{\"CredentialTheftEvidence\":[\"Password field\"],\"Status\":[\"VerdictBlock\"]}";
    fields.add("action", "Block");
    fields.add("senderEnvelope", details.sender.as_str());
    fields.add("messageId", details.message_id.as_str());
    fields.add("subject", details.subject.as_deref());
    fields.add("recipients", details.recipient.as_str());
    fields.add("url", details.url.as_str());
    fields.add("urlCategory", details.random.pick(&world::URL_CATEGORIES));
    fields.add("blockReason", "malicious");
    fields.add("sourceIp", address(&mut details.random));
    fields.add("senderDomain", details.sender_domain.as_str());
    fields.add("route", details.random.pick(&["inbound", "Inbound"]));
    fields.add("analysis", if details.random.chance(500) { analysis } else { "null" });
}

fn impersonation_protect(details: &mut Details, fields: &mut Fields) {
    let random = &mut details.random;
    fields.add("action", "Hold");
    fields.add("senderEnvelope", details.sender.as_str());
    fields.add("messageId", if random.chance(400) { "" } else { details.message_id.as_str() });
    fields.add("subject", details.subject.as_deref());
    fields.add("recipients", details.recipient.as_str());
    fields.add("senderIp", details.sender_ip.as_str());
    fields.add("route", "Inbound");
    fields.add("itemsDetected", random.between(1, 4).to_string());
    fields.add("policyDefinition", "Default Impersonation Definition");
    for flag in [
        "internalUserName",
        "newDomain",
        "replyMismatch",
        "customNameMatch",
        "customThreatDictionary",
        "mimecastThreatDictionary",
        "similarInternalDomain",
        "similarMimecastExternalDomain",
        "similarCustomExternalDomain",
        "taggedExternal",
    ] {
        fields.add(flag, random.chance(250).to_string());
    }
    fields.add("taggedMalicious", "true");
}

fn internal_email_protect(details: &mut Details, fields: &mut Fields) {
    let url = details.random.chance(600);
    let executable = "Restricted File Type - Found executable extension: dll";
    fields.add("senderEnvelope", details.sender.as_str());
    fields.add("messageId", details.message_id.as_str());
    fields.add("subject", details.subject.as_deref());
    fields.add("recipients", details.recipient.as_str());
    fields.add("scanResults", if url { "Blocked URL Category" } else { executable });
    fields.add("urlCategory", if url { "Compromised" } else { "Dangerous file extension" });
    fields.add("monitoredDomainSource", None::<&str>);
    fields.add("similarDomain", None::<&str>);
    fields.add("route", "Internal");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::records::Mark;
    use crate::records::message::{Calendar, Traffic};
    use crate::time::{HOUR, MINUTE};

    #[test]
    fn each_record_is_json_with_its_mark_once_and_about_a_kilobyte() {
        let mut plans = Vec::new();
        Traffic { seed: 3, calendar: Calendar::Working, interval: 15 * MINUTE, events_per_day: 400_000 }
            .plan(1_748_822_400_000 + 9 * HOUR, &mut plans);
        let (mut bytes, mut keys, mut details) = (0, BTreeSet::new(), BTreeSet::new());
        for plan in &plans {
            let line = line(plan, "CUSA1A100");
            assert_eq!(Mark::find_all(line.as_bytes()), [plan.mark], "{line}");
            assert_eq!(line, super::line(plan, "CUSA1A100"));
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            let object = value.as_object().unwrap();
            keys.extend(object.keys().cloned());
            if plan.kind == Kind::Receipt {
                details.insert(match &value["spamProcessingDetail"] {
                    serde_json::Value::String(text) if text.starts_with('"') => "twice",
                    serde_json::Value::String(_) => "text",
                    serde_json::Value::Object(_) => "object",
                    serde_json::Value::Null => "null",
                    _ => "else",
                });
            }
            bytes += line.len();
        }
        assert_eq!(details, BTreeSet::from(["twice", "text", "object", "null"]));
        let average = bytes / plans.len();
        assert!((700..1300).contains(&average), "{average} bytes on average");
        for key in ["type", "eventType", "subtype", "subType", "_offset", "recipient", "futureField", "Hostname"] {
            assert!(keys.contains(key), "{key}");
        }
    }
}
