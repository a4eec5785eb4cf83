//! Records as OCSF 1.8.0 events (tables 4.3 to 4.5 of the normalization reference).
//!
//! The class depends on the kind of log alone, never on which optional fields happen to be there. What a class has no
//! place for stands in `unmapped` under the dictionary's name; nothing is dropped.

mod address;
pub(super) mod audit;
pub(super) mod audit_text;
mod email;
mod finding;
mod metadata;
pub(super) mod parts;
pub mod values;

use super::{Assessment, Origin, Settings, writer::Writer};
use crate::{
    chunk::{Digest, Timestamp},
    kind::{Generation, Kind},
    record::{Field, Record, Value},
};
use metadata::Common;
use values::{Verdict, action_caption, disposition_caption, severity_caption, verdict};

/// What the head of an event says besides its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub class: u32,
    pub severity: u8,
    pub alert_key: Option<Digest>,
}

/// One record on its way.
pub struct Input<'i, 'a> {
    pub record: &'i Record<'a>,
    pub origin: &'i Origin<'i>,
    pub id: Digest,
    pub time: Timestamp,
    /// As the record has it, if it was understood.
    pub original_time: Option<Value<'a>>,
    pub assessment: Assessment,
}

/// An OCSF class.
#[derive(Debug)]
pub struct Class {
    pub uid: u32,
    pub name: &'static str,
    pub category_uid: u8,
    pub category: &'static str,
}

const EMAIL: Class = Class { uid: 4009, name: "Email Activity", category_uid: 4, category: "Network Activity" };
const FINDING: Class = Class { uid: 2004, name: "Detection Finding", category_uid: 2, category: "Findings" };
const BASE: Class = Class { uid: 0, name: "Base Event", category_uid: 0, category: "Uncategorized" };

/// The class of a kind, its activity and the activity's caption. `None` for the audit log, where the type decides.
fn class(kind: Kind) -> Option<(&'static Class, u32, &'static str)> {
    Some(match kind {
        Kind::Receipt => (&EMAIL, 2, "Receive"),
        Kind::Process | Kind::Spam => (&EMAIL, 3, "Scan"),
        Kind::Delivery => (&EMAIL, 1, "Send"),
        Kind::Journal => (&EMAIL, 4, "Trace"),
        Kind::Av
        | Kind::AttachmentProtect
        | Kind::UrlProtect
        | Kind::ImpersonationProtect
        | Kind::InternalEmailProtect => (&FINDING, 1, "Create"),
        Kind::Audit => return None,
        // Whole, in `unmapped`, as all that has no mapping of its own.
        _ => (&BASE, 0, "Unknown"),
    })
}

/// Maps records. Holds what is the same for all of a source.
#[derive(Debug)]
pub struct Mapper {
    tenant: String,
    /// By kind: from the activity to the type.
    heads: Vec<String>,
    common: Common,
    provider: &'static str,
    /// `"tags":[…],`, if the operator set any.
    tags: Option<String>,
    observables: Vec<u8>,
    buffer: Vec<u8>,
    spam_detail: Vec<u8>,
}

impl Mapper {
    pub fn new(settings: &Settings) -> Self {
        let tags: Vec<_> =
            settings.fields.iter().map(|(name, value)| serde_json::json!({ "name": name, "value": value })).collect();
        Self {
            tenant: settings.tenant.clone(),
            heads: Kind::ALL.iter().map(|kind| class(*kind).map_or_else(String::new, head)).collect(),
            common: Common::default(),
            provider: match settings.generation {
                Generation::V1 => "Mimecast API 1.0",
                Generation::V2 => "Mimecast API 2.0",
            },
            tags: (!tags.is_empty()).then(|| format!("\"tags\":{},", serde_json::Value::Array(tags))),
            observables: Vec::new(),
            buffer: Vec::new(),
            spam_detail: Vec::new(),
        }
    }

    /// Appends one event, without a line feed.
    pub fn write(&mut self, input: &Input<'_, '_>, out: &mut Vec<u8>) -> Head {
        self.common.set(input.record.kind(), input.origin, self.provider, self.tags.as_deref());
        self.observables.clear();
        self.spam_detail.clear();
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut spam_detail = std::mem::take(&mut self.spam_detail);
        let mut observables = std::mem::take(&mut self.observables);
        let mut event = EventWriter {
            mapper: self,
            input,
            record: input.record,
            json: Writer { out },
            observables: &mut observables,
            buffer: &mut buffer,
            security_control: false,
            spam_detail: &mut spam_detail,
        };
        event.json.raw("{");
        let head = match class(input.record.kind()) {
            Some((class, ..)) if class.uid == EMAIL.uid => email::write(&mut event),
            Some((class, ..)) if class.uid == FINDING.uid => finding::write(&mut event),
            Some(_) => event.base(),
            None => audit::write(&mut event),
        };
        event.observables();
        event.unmapped();
        event.metadata();
        event.json.end();
        self.buffer = buffer;
        self.spam_detail = spam_detail;
        self.observables = observables;
        head
    }
}

fn head((class, activity, caption): (&Class, u32, &str)) -> String {
    let Class { uid, name, category_uid, category } = class;
    let type_uid = uid * 100 + activity;
    format!(
        "\"activity_id\":{activity},\"activity_name\":\"{caption}\",\"category_name\":\"{category}\",\
         \"category_uid\":{category_uid},\"class_name\":\"{name}\",\"class_uid\":{uid},\
         \"type_name\":\"{name}: {caption}\",\"type_uid\":{type_uid},"
    )
}

/// One event being written.
struct EventWriter<'w, 'a> {
    mapper: &'w Mapper,
    input: &'w Input<'w, 'a>,
    record: &'w Record<'a>,
    json: Writer<'w>,
    /// Elements of the array to come.
    observables: &'w mut Vec<u8>,
    /// For a `spamProcessingDetail` that has to be unwrapped.
    buffer: &'w mut Vec<u8>,
    /// Whether an attribute of that profile was written.
    security_control: bool,
    /// The members of `spamProcessingDetail` that did not go to `email_auth`, if others did.
    spam_detail: &'w mut Vec<u8>,
}

/// The types of observables (4.5).
mod observable {
    pub const IP_ADDRESS: i64 = 2;
    pub const USER_NAME: i64 = 4;
    pub const EMAIL_ADDRESS: i64 = 5;
    pub const URL: i64 = 6;
    pub const FILE_NAME: i64 = 7;
    pub const HASH: i64 = 8;
    pub const SUBJECT: i64 = 40;
    pub const MESSAGE_UID: i64 = 42;
}

impl<'a> EventWriter<'_, 'a> {
    /// Class, activity, severity, time.
    fn head(&mut self, severity: u8) {
        let head = &self.mapper.heads[self.record.kind() as usize];
        self.json.raw(head);
        self.severity_and_time(severity);
    }

    fn severity_and_time(&mut self, severity: u8) {
        self.json.literal("severity", severity_caption(severity));
        self.json.integer("severity_id", i64::from(severity));
        self.json.integer("time", self.milliseconds());
    }

    fn milliseconds(&self) -> i64 {
        (self.input.time / 1_000_000) as i64
    }

    /// A scalar that the field holds; a value of another shape stays unread.
    fn scalar(&self, field: Field) -> Option<Value<'a>> {
        self.take(field, |value| value.text().map(|_| value))
    }

    fn integer(&self, field: Field) -> Option<i64> {
        self.take(field, |value| value.integer())
    }

    /// What `parse` makes of the field. If it makes nothing of it, the field stays unread.
    fn take<T>(&self, field: Field, parse: impl FnOnce(Value<'a>) -> Option<T>) -> Option<T> {
        if !self.record.has(field) {
            return None;
        }
        let parsed = parse(self.record.peek(field));
        if parsed.is_some() {
            self.record.read(field);
        }
        parsed
    }

    /// Writes a scalar of the record as text, if there is one.
    fn text(&mut self, key: &str, field: Field) {
        if let Some(value) = self.scalar(field) {
            self.json.scalar(key, value);
        }
    }

    fn number(&mut self, key: &str, field: Field) {
        if let Some(value) = self.integer(field) {
            self.json.integer(key, value);
        }
    }

    /// `action` and `disposition`, by the table; Mimecast's own word where the table has none.
    fn action(&mut self, finding: bool) {
        let Some(action) = self.scalar(Field::Action) else { return };
        self.security_control = true;
        match verdict(action.bytes, finding) {
            Some(Verdict { action_id, disposition_id }) => {
                self.json.integer("action_id", action_id);
                self.json.literal("action", action_caption(action_id));
                self.json.integer("disposition_id", disposition_id);
                self.json.literal("disposition", disposition_caption(disposition_id));
            }
            None => {
                self.json.integer("action_id", 99);
                self.json.scalar("action", action);
                self.json.integer("disposition_id", 99);
                self.json.scalar("disposition", action);
            }
        }
    }

    /// The reasons that the record gives, each once.
    fn status_detail(&mut self, fields: &[Field]) {
        let mut written: [&[u8]; 8] = [&[]; 8];
        let mut count = 0;
        for field in fields {
            let Some(value) = self.scalar(*field) else { continue };
            if written[..count].contains(&value.bytes) {
                continue;
            }
            if count == 0 {
                self.json.scalar("status_detail", value);
            } else {
                self.join("; ", value);
            }
            written[count] = value.bytes;
            count += 1;
        }
    }

    /// Puts more text into the string that was just written, comma included.
    fn join(&mut self, separator: &str, more: Value<'_>) {
        self.json.out.truncate(self.json.out.len().saturating_sub(2));
        self.json.raw(separator);
        let quote = self.json.out.len();
        self.json.scalar_value(more);
        self.json.out.remove(quote);
        self.json.comma();
    }

    /// Notes a value by which events are searched for. `name` is the path of the attribute that holds it.
    fn observe(&mut self, type_id: i64, name: &str, value: Value<'_>) {
        let mut json = Writer { out: self.observables };
        json.raw("{\"name\":\"");
        json.raw(name);
        json.raw("\",\"type_id\":");
        json.number(type_id);
        json.raw(",\"value\":");
        json.scalar_value(value);
        json.raw("},");
    }

    fn observables(&mut self) {
        let mark = self.json.open_array("observables");
        self.json.out.extend_from_slice(self.observables);
        self.json.close_array(mark);
    }

    /// A record of an unknown type: kept whole, as a Base Event.
    fn base(&mut self) -> Head {
        let Assessment { severity, alert_key, .. } = self.input.assessment;
        self.head(severity);
        Head { class: BASE.uid, severity, alert_key }
    }

    /// Everything that found no other place.
    fn unmapped(&mut self) {
        // What `metadata` is going to take is not left over.
        let later: &[Field] = match self.record.kind() {
            Kind::Audit => &[Field::AggregateId, Field::AccountId, Field::Id, Field::AuditType, Field::Category],
            _ => &[Field::AggregateId, Field::AccountId, Field::Type, Field::Subtype, Field::ProcessingId],
        };
        for field in later {
            self.scalar(*field);
        }
        let mark = self.json.open("unmapped");
        if !self.spam_detail.is_empty() {
            let detail = self.json.open(Field::SpamProcessingDetail.name());
            self.json.out.extend_from_slice(self.spam_detail);
            self.json.close(detail);
        }
        for (field, value) in self.record.unread() {
            self.json.key(field.name());
            self.json.value(value);
            self.json.comma();
        }
        for (name, value) in self.record.extras() {
            self.json.any_key(name);
            self.json.value(value);
            self.json.comma();
        }
        self.json.close(mark);
    }
}
