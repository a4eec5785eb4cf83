//! Entity Management (3004), read: who searched the archive, and who looked at which message.

use super::{ENTITY, Head, event::EventWriter};
use crate::{kind::Kind, record::Field};

/// What was looked for or looked at.
const SEARCH: [Field; 3] = [Field::SearchText, Field::SearchPath, Field::MuseQuery];
const VIEW: [Field; 7] = [
    Field::From,
    Field::To,
    Field::Subject,
    Field::MessageId,
    Field::MessageDate,
    Field::DiscoveryCase,
    Field::ContentViewed,
];

pub fn write(event: &mut EventWriter<'_, '_>) -> Head {
    event.head(1);
    let view = event.record.kind() == Kind::ArchiveView;
    let administrator = if view { None } else { event.record.peek(Field::IsAdmin).boolean() };
    let user = if view { Field::Viewer } else { Field::EmailAddr };
    if event.actor(user, administrator) && administrator.is_some() {
        event.record.read(Field::IsAdmin);
    }
    let entity = event.json.open("entity");
    let data = event.json.open("data");
    let fields: &[Field] = if view { &VIEW } else { &SEARCH };
    for field in fields {
        event.member(*field);
    }
    event.json.close(data);
    // What was read: the archive, under the name that the record has for it.
    match event.scalar(Field::Source) {
        Some(source) => event.json.scalar("name", source),
        None => event.json.literal("name", "archive"),
    }
    event.json.literal("type", if view { "Archived Message" } else { "Archive" });
    event.json.close(entity);
    if !view {
        event.text("comment", Field::SearchReason);
        event.text("message", Field::Description);
    }
    Head { class: ENTITY.uid, severity: 1, alert_key: None }
}
