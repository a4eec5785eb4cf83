//! Detection Finding (2004): virus, attachment, link, impersonation, internal e-mail.

use super::{
    FINDING, Head,
    event::EventWriter,
    metadata::feature,
    parts::{EmailPaths, FILE_FIELDS},
};
use crate::{
    kind::Kind,
    normalize::Assessment,
    record::{Field, FieldSet, nested, scan::Shape, set},
};

const PATHS: EmailPaths = EmailPaths {
    from: "evidences.email.from",
    to: "evidences.email.to",
    subject: "evidences.email.subject",
    message_uid: "evidences.email.message_uid",
    file_name: "evidences.email.files.name",
    file_hash: None,
    url: "evidences.url.url_string",
};

/// What belongs to the evidence and has no attribute of its own: kept in its `data`. Those that hold a number or a
/// truth as text become one.
const DATA: [Field; 28] = [
    Field::InternalUserName,
    Field::NewDomain,
    Field::ReplyMismatch,
    Field::CustomNameMatch,
    Field::CustomThreatDictionary,
    Field::MimecastThreatDictionary,
    Field::SimilarInternalDomain,
    Field::SimilarMimecastExternalDomain,
    Field::SimilarCustomExternalDomain,
    Field::TaggedExternal,
    Field::TaggedMalicious,
    Field::CustomerIp,
    Field::MimecastIp,
    Field::ItemsDetected,
    Field::Analysis,
    Field::CredentialTheft,
    Field::MonitoredDomainSource,
    Field::SimilarDomain,
    // Where there is no link that it could be the category of.
    Field::UrlCategory,
    Field::SenderDomainInternal,
    Field::Hits,
    Field::Identifiers,
    Field::ImpersonationResults,
    Field::EmailPartsDescription,
    Field::TagMap,
    Field::AdvancedPhishingResult,
    Field::HistoricalMail,
    Field::AuthResults,
];

const REASONS: [Field; 10] = [
    Field::ScanResults,
    Field::BlockReason,
    Field::RejectionInfo,
    Field::HoldReason,
    Field::ReceiptErrors,
    Field::DeliveryErrors,
    Field::ThreatType,
    Field::ScanResult,
    Field::Result,
    Field::Details,
];

pub fn write(event: &mut EventWriter<'_, '_>) -> Head {
    let kind = event.record.kind();
    let Assessment { severity, alert_key, .. } = event.input.assessment;
    let mapper = event.mapper;
    event.head_of(&mapper.detection, severity);
    event.action(true);
    write_evidence(event);
    write_finding(event, kind);
    event.malware();
    event.policy();
    if event.record.has(Field::SpamScore) {
        event.number("risk_score", Field::SpamScore);
    }
    event.text("risk_details", Field::SpamInfo);
    event.text("status_code", Field::RejectionCode);
    event.status_detail(&REASONS);
    event.json.boolean("is_alert", true);
    Head { class: FINDING.uid, severity, alert_key }
}

fn write_finding(event: &mut EventWriter<'_, '_>, kind: Kind) {
    let mark = event.json.open("finding_info");
    if let Some(policy) = event.scalar(Field::PolicyDefinition) {
        event.json.raw("\"analytic\":{\"name\":");
        event.json.scalar_value(policy);
        event.json.raw(",\"type\":\"Rule\",\"type_id\":1},");
    }
    let time = event.milliseconds();
    event.json.integer("created_time", time);
    event.json.literal("title", feature(kind));
    event.json.raw("\"types\":[\"");
    event.json.raw(kind.api2_type().unwrap_or(kind.name()));
    event.json.raw("\",");
    if kind == Kind::CloudEntities {
        write_tags(event);
    }
    event.json.out.pop();
    event.json.raw("],\"uid\":");
    event.json.digest(event.input.id);
    event.json.comma();
    event.json.close(mark);
}

/// The tags of Cloud Integrated, with commas behind them. What is none stays where it is.
fn write_tags(event: &mut EventWriter<'_, '_>) {
    let tags = event.record.peek(Field::Tags);
    let mut all = true;
    if tags.shape == Shape::Nested {
        nested::each(tags.bytes, |_, tag| match tag.text() {
            Some(_) => {
                event.json.scalar_value(tag);
                event.json.comma();
            }
            None => all &= !tag.populated(),
        });
    } else if tags.text().is_some() {
        event.json.scalar_value(tags);
        event.json.comma();
    }
    if all {
        event.record.read(Field::Tags);
    }
}

/// One evidence with all there is, or none.
fn write_evidence(event: &mut EventWriter<'_, '_>) {
    let evidences = event.json.open_array("evidences");
    let evidence = event.json.open_element();

    let data = event.json.open("data");
    write_data(event);
    event.json.close(data);

    const EMAIL: FieldSet = set(&[
        Field::SenderHeader,
        Field::SenderEnvelope,
        Field::Recipients,
        Field::Subject,
        Field::MessageId,
        Field::EmailSize,
        Field::Attachments,
    ]);
    if event.record.has_any(EMAIL) || !event.roles.is_empty() {
        let recipients = event.recipients();
        let email = event.json.open("email");
        // There is one place for a sender. The envelope's has it where the header's is not known.
        let sender = event.header_sender().or_else(|| event.envelope_sender());
        event.email(sender, &recipients, &PATHS);
        event.same_sender(sender);
        event.json.close(email);
    }
    let file = event.json.open("file");
    event.file("evidences.file.name", "evidences.file.hashes.value");
    event.json.close(file);
    let url = event.json.open("url");
    event.url(PATHS.url);
    event.json.close(url);
    let source = event.json.open("src_endpoint");
    event.endpoint(&[Field::SenderIp, Field::SourceIp], "evidences.src_endpoint.ip", Some(Field::SenderDomain), None);
    event.json.close(source);
    let destination = event.json.open("dst_endpoint");
    event.endpoint(&[Field::DestinationIp], "evidences.dst_endpoint.ip", None, Some(Field::Hostname));
    event.json.close(destination);
    // A version is what OCSF asks of `tls`, and something else than `tls` is what it asks of an evidence.
    if event.json.has_members()
        && let Some(version) = event.scalar(Field::TlsVersion)
    {
        let tls = event.json.open("tls");
        event.json.scalar("version", version);
        event.text("cipher", Field::TlsCipher);
        event.json.close(tls);
    }
    event.json.close(evidence);
    event.json.close_array(evidences);
}

fn write_data(event: &mut EventWriter<'_, '_>) {
    let has_url = event.record.peek(Field::Url).text().is_some();
    for field in DATA {
        if !event.record.has(field) || (field == Field::UrlCategory && has_url) {
            continue;
        }
        let value = event.record.read(field);
        event.json.key(field.name());
        if let Some(truth) = value.boolean() {
            event.json.raw(if truth { "true" } else { "false" });
        } else if let Some(number) = value.integer() {
            event.json.number(number);
        } else if field == Field::Analysis
            && let Some(analysis) = nested::unwrap(value, event.buffer).filter(|text| nested::each(text, |_, _| {}))
        {
            nested::compact(analysis, event.json.out);
        } else {
            event.json.value(value);
        }
        event.json.comma();
    }
    // A file without a name is no file for OCSF; what is known of it is evidence all the same.
    if event.record.peek(Field::FileName).text().is_none() {
        for field in FILE_FIELDS {
            if event.record.has(field) && event.record.peek(field).shape != Shape::Nested {
                let value = event.record.read(field);
                event.json.key(field.name());
                event.json.value(value);
                event.json.comma();
            }
        }
    }
}
