//! `mimecast`: everything that ECS has no field for, by the vendor's name or Elastic's.

use super::EventWriter;
use crate::{
    kind::Kind,
    normalize::writer::Writer,
    record::{Field, Value, value},
};

/// Members of `mimecast` that are Elastic's, not the record's.
const OWN: [&[u8]; 8] =
    [b"log_type", b"2FA", b"application", b"method", b"remote_ip", b"search_details", b"email", b"detections"];

impl EventWriter<'_, '_> {
    /// `more` writes what else Elastic has there for this kind.
    pub fn vendor(&mut self, kind: Kind, more: impl FnOnce(&mut Self)) {
        let mark = self.json.open("mimecast");
        self.log_type(kind);
        more(self);
        for (field, value) in self.record.unread() {
            let name = self.vendor_name(field);
            self.json.key(name);
            self.vendor_value(kind, field, value);
            self.json.comma();
        }
        for (name, value) in self.record.extras() {
            self.extra_key(name);
            self.json.value(value);
            self.json.comma();
        }
        self.json.close(mark);
    }

    /// The kind, by Elastic's name. A type that names nothing else than the kind is said by it.
    fn log_type(&mut self, kind: Kind) {
        let own = self.record.peek(Field::Type);
        if kind == Kind::SiemOther
            && let Some(text) = own.text().filter(|text| !text.trim_ascii().is_empty())
        {
            self.json.key("log_type");
            self.json.string(&super::event::joined(text, b"-", |byte| byte == b' ', false));
            self.json.comma();
            return;
        }
        // By the feed's name.
        let of_feed = if self.feed_suffix() == "_grid" { "malware_grid" } else { "malware_customer" };
        let log_type = if kind == Kind::ThreatIntel { of_feed } else { self.constant.spec.log_type };
        self.json.literal("log_type", log_type);
        if own.text().and_then(value::kind) == Some(kind) {
            self.record.read(Field::Type);
        }
    }

    fn vendor_value(&mut self, kind: Kind, field: Field, value: Value<'_>) {
        match field {
            // One type for what comes as an object, as its text, and as the text of its text.
            Field::SpamProcessingDetail if kind != Kind::HeldRelease => match self.record.spam_detail() {
                Some(detail) => self.json.string(detail.text()),
                None => self.json.value(value),
            },
            Field::SenderDomainInternal | Field::TaggedExternal | Field::TaggedMalicious => match value.boolean() {
                Some(truth) => self.json.raw(if truth { "true" } else { "false" }),
                None => self.json.value(value),
            },
            _ => self.json.value(value),
        }
    }

    /// A key that is neither one of Elastic's own nor one that Elasticsearch refuses a whole document for: it takes a
    /// dot for the border of an object.
    fn extra_key(&mut self, name: &[u8]) {
        let refused = name.split(|byte| *byte == b'.').any(|part| part.trim_ascii().is_empty());
        if !refused && !OWN.contains(&name) {
            return self.json.any_key(name);
        }
        let mut safe = b"_".to_vec();
        safe.extend(name.iter().map(|byte| if *byte == b'.' { b'_' } else { *byte }));
        Writer { out: self.json.out }.any_key(&safe);
    }
}
