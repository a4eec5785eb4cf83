//! One event being written: what all classes share.

use super::{
    BASE, Head, Input, Mapper, metadata,
    roles::{Cast, Roles},
    values::severity_caption,
};
use crate::{
    normalize::writer::Writer,
    record::{Field, Record, Value},
};

/// One event being written.
pub struct EventWriter<'w, 'a> {
    pub mapper: &'w Mapper,
    pub input: &'w Input<'w, 'a>,
    pub record: &'w Record<'a>,
    /// What this kind calls the fields that the mapping asks for.
    pub roles: Roles,
    pub json: Writer<'w>,
    /// Elements of the array to come.
    pub observables: &'w mut Vec<u8>,
    /// For a `spamProcessingDetail` that has to be unwrapped.
    pub buffer: &'w mut Vec<u8>,
    /// Whether an attribute of that profile was written.
    pub security_control: bool,
    /// The same of the profile `host`.
    pub host: bool,
    /// The members of `spamProcessingDetail` that did not go to `email_auth`, if others did.
    pub spam_detail: &'w mut Vec<u8>,
    /// Members for `unmapped`: what is left of fields that went to attributes in part.
    pub aside: &'w mut Vec<u8>,
}

/// The types of observables (4.5).
pub mod observable {
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
    pub fn head(&mut self, severity: u8) {
        self.head_of(&self.mapper.heads[self.record.kind() as usize], severity);
    }

    pub fn head_of(&mut self, head: &str, severity: u8) {
        self.json.raw(head);
        self.severity_and_time(severity);
    }

    /// The record, asked by the parts that its fields play.
    #[inline(always)]
    pub fn cast(&self) -> Cast<'_, 'a> {
        Cast { record: self.record, roles: self.roles }
    }

    #[inline(always)]
    pub fn role(&self, field: Field) -> Field {
        self.cast().role(field)
    }

    pub fn peek(&self, field: Field) -> Value<'a> {
        self.record.peek(self.role(field))
    }

    pub fn has(&self, field: Field) -> bool {
        self.record.has(self.role(field))
    }

    pub fn severity_and_time(&mut self, severity: u8) {
        self.json.literal("severity", severity_caption(severity));
        self.json.integer("severity_id", i64::from(severity));
        self.json.integer("time", self.milliseconds());
    }

    pub fn milliseconds(&self) -> i64 {
        (self.input.time / 1_000_000) as i64
    }

    /// A scalar that the field holds; a value of another shape stays unread.
    pub fn scalar(&self, field: Field) -> Option<Value<'a>> {
        self.take(field, |value| value.text().map(|_| value))
    }

    pub fn integer(&self, field: Field) -> Option<i64> {
        self.take(field, |value| value.integer())
    }

    /// What `parse` makes of the field. If it makes nothing of it, the field stays unread.
    pub fn take<T>(&self, field: Field, parse: impl FnOnce(Value<'a>) -> Option<T>) -> Option<T> {
        let field = self.role(field);
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
    pub fn text(&mut self, key: &str, field: Field) {
        if let Some(value) = self.scalar(field) {
            self.json.scalar(key, value);
        }
    }

    pub fn number(&mut self, key: &str, field: Field) {
        if let Some(value) = self.integer(field) {
            self.json.integer(key, value);
        }
    }

    /// The reasons that the record gives, each once.
    pub fn status_detail<const COUNT: usize>(&mut self, fields: &[Field; COUNT]) {
        let mut written: [&[u8]; COUNT] = [&[]; COUNT];
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
    pub fn join(&mut self, separator: &str, more: Value<'_>) {
        self.json.out.truncate(self.json.out.len().saturating_sub(2));
        self.json.raw(separator);
        let quote = self.json.out.len();
        self.json.scalar_value(more);
        self.json.out.remove(quote);
        self.json.comma();
    }

    /// Notes a value by which events are searched for. `name` is the path of the attribute that holds it.
    pub fn observe(&mut self, type_id: i64, name: &str, value: Value<'_>) {
        let mut json = Writer { out: self.observables };
        json.raw("{\"name\":\"");
        json.raw(name);
        json.raw("\",\"type_id\":");
        json.number(type_id);
        json.raw(",\"value\":");
        json.scalar_value(value);
        json.raw("},");
    }

    pub fn observables(&mut self) {
        let mark = self.json.open_array("observables");
        self.json.out.extend_from_slice(self.observables);
        self.json.close_array(mark);
    }

    /// The record as it came, as text.
    pub fn original(&mut self) {
        if let Some(original) = self.input.original {
            self.json.text("raw_data", original);
            self.json.integer("raw_data_size", original.len() as i64);
        }
    }

    /// A record of an unknown type: kept whole, as a Base Event.
    pub fn base(&mut self) -> Head {
        self.head(1);
        Head { class: BASE.uid, severity: 1, alert_key: None }
    }

    /// Everything that found no other place.
    pub fn unmapped(&mut self) {
        // What `metadata` is going to take is not left over.
        for field in metadata::fields(self.record.kind()) {
            self.scalar(*field);
        }
        let mark = self.json.open("unmapped");
        if !self.spam_detail.is_empty() {
            let detail = self.json.open(Field::SpamProcessingDetail.name());
            self.json.out.extend_from_slice(self.spam_detail);
            self.json.close(detail);
        }
        self.json.out.extend_from_slice(self.aside);
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
