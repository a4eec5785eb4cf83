//! Data Security Finding (2006): a policy on content matched a message.

use super::{
    DATA_SECURITY, Head,
    event::{EventWriter, observable},
    metadata::feature,
    parts::without_brackets,
};
use crate::{kind::Kind, normalize::Assessment, record::Field};

pub fn write(event: &mut EventWriter<'_, '_>) -> Head {
    let Assessment { severity, alert_key, .. } = event.input.assessment;
    event.head(severity);
    event.action(true);
    // `<>` is nobody and stays unread.
    event.actor(Field::SenderEnvelope, None);
    let policy = event.scalar(Field::PolicyDefinition);

    event.json.raw("\"data_security\":{\"detection_system\":\"Secure Email Gateway\",\"detection_system_id\":6,");
    let applied = event.json.open("policy");
    if let Some(policy) = policy {
        event.json.scalar("name", policy);
    }
    event.json.close(applied);
    event.json.out.pop();
    event.json.raw("},\"finding_info\":{");
    if let Some(policy) = policy {
        event.json.raw("\"analytic\":{\"name\":");
        event.json.scalar_value(policy);
        event.json.raw(",\"type\":\"Rule\",\"type_id\":1},");
    }
    let time = event.milliseconds();
    event.json.integer("created_time", time);
    match policy {
        Some(policy) => event.json.scalar("title", policy),
        None => event.json.literal("title", feature(Kind::Dlp)),
    }
    event.json.raw("\"uid\":");
    event.json.digest(event.input.id);
    event.json.raw("},");

    event.policy();
    write_message(event);
    event.json.boolean("is_alert", true);
    Head { class: DATA_SECURITY.uid, severity, alert_key }
}

/// The message: one resource for each whom it was for, since a resource has one owner.
fn write_message(event: &mut EventWriter<'_, '_>) {
    let recipients = event.recipients();
    let uid = event.scalar(Field::MessageId).map(without_brackets);
    let subject = event.scalar(Field::Subject);
    let owners = recipients.addresses.iter().copied().map(Some).collect::<Vec<_>>();
    let owners = if owners.is_empty() { vec![None] } else { owners };
    let resources = event.json.open_array("resources");
    for owner in owners {
        let resource = event.json.open_element();
        match (subject, uid) {
            (Some(subject), _) => event.json.scalar("name", subject),
            // OCSF asks for one of the two.
            (None, None) => event.json.literal("name", "E-mail message"),
            (None, Some(_)) => {}
        }
        if let Some(owner) = owner {
            event.json.raw("\"owner\":{");
            event.address_of_user(owner, "resources.owner.email_addr");
            event.json.scalar("name", owner);
            event.json.out.pop();
            event.json.raw("},");
        }
        event.json.literal("type", "email");
        if let Some(uid) = uid {
            event.json.scalar("uid", uid);
        }
        event.json.close(resource);
    }
    event.json.close_array(resources);
    if let Some(subject) = subject {
        event.observe(observable::SUBJECT, "resources.name", subject);
    }
    if let Some(uid) = uid {
        event.observe(observable::MESSAGE_UID, "resources.uid", uid);
    }
}
