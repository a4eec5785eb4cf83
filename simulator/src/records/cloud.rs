//! Records of API 2.0, Cloud Integrated: one JSON object a line (section 7.5 of the API reference).

use super::details::{Details, address};
use super::fields::{Fields, Value, quote};
use super::message::{Direction, Outcome, Plan};
use super::world;
use crate::kind::Kind;
use crate::random::{Random, combine};

/// The record's fields, in their order.
pub fn fields(plan: &Plan, account_code: &str) -> Fields {
    let mut details = Details::new(plan, account_code);
    let mut fields = Fields::default();
    let epoch = plan.arrived_ms / 1000;
    let mut ids = Random::new(combine(&[plan.message, 53]));
    fields.add("aggregateId", format!("{}-{}_{epoch}", ids.base64url(15), ids.base64url(26)));
    fields.add("processingId", format!("{}_{epoch}", details.random.hex(64)));
    fields.add("accountId", account_code.replace("CUS", "AUS"));
    fields.add("timestamp", plan.time_ms);
    fields.add("messageId", details.message_id.as_str());
    let verdict = verdict(plan, &mut ids);
    match plan.kind {
        Kind::CloudMailflow => mailflow(&mut details.random, &mut fields),
        Kind::CloudUrlClick => click(plan, &mut details, &mut fields),
        _ => entities(plan, verdict, &mut details, &mut fields),
    }
    fields.add("type", plan.kind.api2_type());
    let subtype = match plan.kind {
        Kind::CloudEntities => Some(verdict.0),
        Kind::CloudUrlClick => Some(if plan.outcome == Outcome::UrlClick { "BLOCK" } else { "ALLOW" }),
        _ => None,
    };
    fields.add("subtype", subtype);
    fields.add("_offset", details.random.below(90_000_000));
    fields.add("_partition", details.random.below(64));
    fields
}

/// Threat type, state, action.
fn verdict(plan: &Plan, random: &mut Random) -> (&'static str, &'static str, Option<&'static str>) {
    match (plan.outcome, random.below(10)) {
        (Outcome::Virus, _) => ("MALWARE", "BLOCKED", Some("BLOCK")),
        (Outcome::Spam, 0..7) => ("PHISHING", "QUARANTINED", Some("QUARANTINE")),
        (_, 0) => ("POLICIES_DISABLED", "DELIVERED", None),
        (_, 1) => ("NO_DETECTIONS", "DELIVERY_IN_PROGRESS", Some("DO_NOTHING")),
        _ => ("NO_DETECTIONS", "DELIVERED", Some("DO_NOTHING")),
    }
}

fn entities(
    plan: &Plan,
    (threat, state, action): (&'static str, &'static str, Option<&'static str>),
    details: &mut Details,
    fields: &mut Fields,
) {
    let random = &mut details.random;
    let list =
        |items: &[String]| Value::Json(format!("[{}]", items.iter().map(|it| quote(it)).collect::<Vec<_>>().join(",")));
    fields.add("attachments", list(&details.attachments));
    let mut recipients = vec![details.recipient.clone()];
    if random.chance(200) {
        recipients.push(format!("team@{}", details.domain));
    }
    fields.add("recipients", list(&recipients));
    let text = |text: Option<&str>| text.map_or_else(|| "null".to_owned(), quote);
    let policy = |action: Option<&str>, name: &str| {
        let mode = action.map(|_| "ACTIVE");
        format!("{{\"action\":{},\"mode\":{},\"name\":{}}}", text(action), text(mode), quote(name))
    };
    let mut policies = vec![policy(action, "Default O365 Mail policy")];
    if random.chance(150) {
        policies.push(policy(None, "Link rewriting, \"strict\""));
    }
    fields.add("policiesApplied", Value::Json(format!("[{}]", policies.join(","))));
    fields.add("historicalMail", random.chance(50));
    fields.add("senderIp", details.sender_ip.as_str());
    fields.add("senderEnvelope", if random.chance(50) { "" } else { details.sender.as_str() });
    fields.add("senderHeader", if random.chance(50) { "" } else { details.sender_header.as_str() });
    fields.add("subject", details.subject.as_deref());
    fields.add("source", "OFFICE_365_MAIL");
    fields.add("threatState", state);
    fields.add("threatType", threat);
    let inbound = if random.chance(50) { "Inbound" } else { "INBOUND" };
    fields.add("direction", if plan.direction == Direction::Inbound { inbound } else { "INTERNAL" });
    let tags = match threat {
        "MALWARE" => Value::Json("[\"MALWARE\",\"UNTRUSTWORTHY\"]".to_owned()),
        "PHISHING" => Value::Json("[\"SPAM\",\"UNTRUSTWORTHY\"]".to_owned()),
        _ if random.chance(300) => Value::Json("[]".to_owned()),
        _ => Value::Null,
    };
    fields.add("tags", tags);
}

fn mailflow(random: &mut Random, fields: &mut Fields) {
    let results: Vec<String> = ["SPF", "DKIM", "DMARC"]
        .iter()
        .map(|kind| {
            let result = random.pick(&["pass", "pass", "fail", "none"]);
            let aligned = random.pick(&["true", "false", "null"]);
            format!("{{\"type\":\"{kind}\",\"result\":\"{result}\",\"aligned\":{aligned}}}")
        })
        .collect();
    fields.add("authResults", Value::Json(format!("[{}]", results.join(","))));
}

/// Its fields are not public (U21): these are made up.
fn click(plan: &Plan, details: &mut Details, fields: &mut Fields) {
    let blocked = plan.outcome == Outcome::UrlClick;
    fields.add("url", details.url.as_str());
    fields.add("urlCategory", if blocked { details.random.pick(&world::URL_CATEGORIES) } else { "Business" });
    fields.add("action", if blocked { "BLOCK" } else { "ALLOW" });
    fields.add("recipients", Value::Json(format!("[{}]", quote(&details.recipient))));
    fields.add("senderEnvelope", details.sender.as_str());
    fields.add("sourceIp", address(&mut details.random));
    fields.add("subject", details.subject.as_deref());
    fields.add("source", "OFFICE_365_MAIL");
}
