//! Email Activity (4009): receipt, process, delivery, journal, spam.

use super::{EMAIL, EventWriter, Head, parts::EmailPaths, values::direction};
use crate::{kind::Kind, normalize::Assessment, record::Field};

const PATHS: EmailPaths = EmailPaths {
    from: "email.from",
    to: "email.to",
    subject: "email.subject",
    message_uid: "email.message_uid",
    file_name: "email.files.name",
    file_hash: Some("email.files.hashes.value"),
    url: "email.urls.url_string",
};

const REASONS: [Field; 6] = [
    Field::RejectionInfo,
    Field::HoldReason,
    Field::BlockReason,
    Field::ScanResults,
    Field::ReceiptErrors,
    Field::DeliveryErrors,
];

pub fn write(event: &mut EventWriter<'_, '_>) -> Head {
    let Assessment { severity, alert, alert_key, succeeded } = event.input.assessment;
    if succeeded.is_some() && event.record.kind() == Kind::Delivery {
        event.record.read(Field::Delivered);
    }
    event.head(severity);
    event.action(false);
    write_direction(event);
    event.number("attempt", Field::DeliveryAttempts);
    event.number("duration", Field::DeliveryTime);

    let envelope = event.envelope_sender();
    let recipients = event.recipients();
    if let Some(envelope) = envelope {
        event.json.scalar("from", envelope);
        event.observe(super::observable::EMAIL_ADDRESS, "from", envelope);
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

    let source = event.json.open("src_endpoint");
    event.endpoint(&[Field::SenderIp, Field::SourceIp], "src_endpoint.ip", Some(Field::SenderDomain), None);
    event.json.close(source);
    let destination = event.json.open("dst_endpoint");
    event.endpoint(&[Field::DestinationIp], "dst_endpoint.ip", None, Some(Field::Hostname));
    event.json.close(destination);

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
    }
    if let Some(trace) = event.scalar(Field::AggregateId) {
        event.json.scalar("message_trace_uid", trace);
    }
    if let Some(succeeded) = succeeded {
        event.json.integer("status_id", if succeeded { 1 } else { 2 });
        event.json.literal("status", if succeeded { "Success" } else { "Failure" });
    }
    event.text("status_code", Field::RejectionCode);
    event.status_detail(&REASONS);
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
