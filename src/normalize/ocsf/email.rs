//! Email Activity (4009): receipt, process, delivery, journal, spam.

use super::{
    EMAIL, Head,
    event::{EventWriter, observable},
    parts::EmailPaths,
    values::direction,
};
use crate::{
    kind::Kind,
    normalize::{Assessment, writer::Writer},
    record::{Field, nested, scan::Shape},
};

const PATHS: EmailPaths = EmailPaths {
    from: "email.from",
    to: "email.to",
    subject: "email.subject",
    message_uid: "email.message_uid",
    file_name: "email.files.name",
    file_hash: Some("email.files.hashes.value"),
    url: "email.urls.url_string",
};

/// What the record gives as its reason or result, most telling first.
const REASONS: [Field; 12] = [
    Field::RejectionInfo,
    Field::HoldReason,
    Field::BlockReason,
    Field::ScanResults,
    Field::ReceiptErrors,
    Field::DeliveryErrors,
    Field::HeldReason,
    Field::RejectReason,
    Field::ThreatType,
    Field::ScanResult,
    Field::Result,
    Field::Details,
];

pub fn write(event: &mut EventWriter<'_, '_>) -> Head {
    let kind = event.record.kind();
    let Assessment { severity, alert, alert_key, succeeded, .. } = event.input.assessment;
    if kind == Kind::Delivery && succeeded.is_some() {
        event.record.read(Field::Delivered);
    }
    if kind == Kind::HeldRelease && succeeded != Some(true) {
        let mapper = event.mapper;
        event.head_of(&mapper.refusal, severity);
    } else {
        event.head(severity);
    }
    event.action(false);
    write_direction(event);
    event.number("attempt", Field::DeliveryAttempts);
    event.number("duration", Field::DeliveryTime);

    let envelope = event.envelope_sender();
    let recipients = event.recipients();
    if let Some(envelope) = envelope {
        event.json.scalar("from", envelope);
        event.observe(observable::EMAIL_ADDRESS, "from", envelope);
    }
    event.texts("to", &recipients.addresses);

    let mark = event.json.open("email");
    // The header's sender is the e-mail's. Without one, and without recipients, the envelope's stands in for it.
    let sender = event.header_sender().or(if recipients.addresses.is_empty() { envelope } else { None });
    event.email(sender, &recipients, &PATHS);
    let urls = event.json.open_array("urls");
    let url = event.json.open_element();
    event.url(PATHS.url);
    event.json.close(url);
    event.json.close_array(urls);
    event.json.close(mark);
    event.email_auth();
    if kind == Kind::CloudMailflow {
        event.auth_results();
    }
    if kind == Kind::CloudEntities {
        event.no_tags();
    }

    let source = event.json.open("src_endpoint");
    event.endpoint(
        &[Field::SenderIp, Field::SourceIp],
        "src_endpoint.ip",
        Some(Field::SenderDomain),
        Some(Field::RemoteName),
    );
    event.json.close(source);
    let destination = event.json.open("dst_endpoint");
    event.endpoint(&[Field::DestinationIp], "dst_endpoint.ip", None, Some(Field::Hostname));
    event.json.close(destination);

    if kind == Kind::HeldRelease {
        event.host |= event.actor(Field::Operator, None);
        event.text("message", Field::MessageInfo);
    }
    event.text("command", Field::RemoteEhlo);
    event.policy();
    if event.record.has(Field::VirusFound) {
        let before = event.json.out.len();
        event.malware();
        event.security_control |= event.json.out.len() > before;
    }
    if let Some(score) = event.integer(Field::SpamScore) {
        event.json.integer("risk_score", score);
        event.security_control = true;
    }
    if let Some(details) = event.scalar(Field::SpamInfo) {
        event.json.scalar("risk_details", details);
        event.security_control = true;
    } else if kind == Kind::HeldRelease {
        event.spam_verdict();
    }
    if let Some(trace) = event.scalar(Field::AggregateId) {
        event.json.scalar("message_trace_uid", trace);
    }
    if let Some(succeeded) = succeeded {
        event.json.integer("status_id", if succeeded { 1 } else { 2 });
        event.json.literal("status", if succeeded { "Success" } else { "Failure" });
    }
    event.text("status_code", Field::RejectionCode);
    match kind {
        Kind::Rejection => event.status_detail(&[Field::Description]),
        _ => event.status_detail(&REASONS),
    }
    if kind == Kind::Rejection {
        event.earlier_recipients();
    }
    if let Some(alert) = alert {
        event.json.boolean("is_alert", alert);
        event.security_control = true;
    }
    Head { class: EMAIL.uid, severity, alert_key }
}

/// From `direction`; where there is none, from a `route` that is a direction rather than a route's name.
fn write_direction(event: &mut EventWriter<'_, '_>) {
    let known = |field| event.take(field, |value| direction(value.text()?));
    let found = if event.record.has(Field::Direction) { known(Field::Direction) } else { known(Field::Route) };
    match found {
        Some((id, caption)) => {
            event.json.integer("direction_id", id);
            event.json.literal("direction", caption);
        }
        None => match event.scalar(Field::Direction) {
            Some(other) => {
                event.json.integer("direction_id", 99);
                event.json.scalar("direction", other);
            }
            None => {
                event.json.integer("direction_id", 0);
                event.json.literal("direction", "Unknown");
            }
        },
    }
}

impl EventWriter<'_, '_> {
    /// `risk_details`, from what a release says of the spam scan's verdict: JSON, since it is a tree of categories with
    /// a risk each. The rest of the detail stays for `unmapped`.
    fn spam_verdict(&mut self) {
        const NAME: &[u8] = b"spamVerdict";
        let mut buffer = Vec::new();
        let Some(detail) = nested::unwrap(self.record.peek(Field::SpamProcessingDetail), &mut buffer) else { return };
        let mut verdict = None;
        let whole = nested::each(detail, |key, value| {
            if key == NAME && value.shape == Shape::Nested {
                verdict = Some(value);
            }
        });
        let Some(verdict) = verdict.filter(|_| whole) else { return };
        let mut text = Vec::new();
        nested::compact(verdict.bytes, &mut text);
        self.json.text("risk_details", &text);
        self.security_control = true;
        // What `email_auth` left, or all, if it took nothing.
        let mut left = Vec::new();
        match self.spam_detail.strip_suffix(b",") {
            Some(members) => left.extend([&b"{"[..], members, b"}"].concat()),
            None => left.extend_from_slice(detail),
        }
        self.spam_detail.clear();
        let mut rest = Writer { out: self.spam_detail };
        nested::each(&left, |key, value| {
            if key != NAME {
                rest.raw_member(key, value);
            }
        });
        self.record.read(Field::SpamProcessingDetail);
    }

    /// A list of tags without a tag is why a record of Cloud Integrated is no detection: the class says it.
    fn no_tags(&self) {
        let tags = self.record.peek(Field::Tags);
        let mut empty = tags.shape == Shape::Nested && !nested::is_object(tags.bytes);
        if empty {
            nested::each(tags.bytes, |_, tag| empty &= !tag.populated());
        }
        if empty {
            self.record.read(Field::Tags);
        }
    }

    /// A rejection names its recipient up to three times. Those that say the same again have arrived with the first.
    fn earlier_recipients(&self) {
        let recipient = self.record.peek(Field::ToAddress);
        for field in [Field::ToAddressPreCheck, Field::ToAddressPostCheck] {
            let arrived = self.email_address(Field::Recipients).is_some();
            if arrived && self.record.peek(field).text() == recipient.text() {
                self.record.read(field);
            }
        }
    }
}
