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
        let mut renamed = Vec::new();
        for (name, value) in self.record.extras() {
            self.extra_key(name, &mut renamed);
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
    /// dot for the border of an object. `renamed` are those that were written under another name than their own: one name
    /// must not stand twice.
    fn extra_key(&mut self, name: &[u8], renamed: &mut Vec<Vec<u8>>) {
        let refused = name.split(|byte| *byte == b'.').any(|part| part.trim_ascii().is_empty());
        if !refused && !OWN.contains(&name) {
            return self.json.any_key(name);
        }
        let mut safe = b"_".to_vec();
        safe.extend(name.iter().map(|byte| if *byte == b'.' { b'_' } else { *byte }));
        while renamed.contains(&safe) || self.record.extras().any(|(other, _)| other == safe) {
            safe.insert(0, b'_');
        }
        Writer { out: self.json.out }.any_key(&safe);
        renamed.push(safe);
    }
}

#[cfg(test)]
mod tests {
    use crate::chunk::Chunk;
    use crate::kind::{Generation, Kind};
    use crate::normalize::{Encoding, Form, Normalizer, Occurrences, Origin, Settings, Source};

    #[test]
    fn a_name_that_is_changed_meets_no_other() {
        let settings = Settings { form: Form::Ecs, ..Settings::new(Generation::V2, "acme") };
        let origin = Origin {
            source: Source::List,
            stream: "audit",
            kind: Some(Kind::Audit),
            encoding: Encoding::Json,
            fallback_time: None,
        };
        let record = br#"{"2FA":1,"_2FA":2,"__2FA":3,"new":4,"..a":5,"._a":6}"#;
        let (mut chunk, mut occurrences) = (Chunk::default(), Occurrences::Adjacent { last: None, count: 0 });
        Normalizer::new(settings).push(record, &origin, &mut occurrences, &mut chunk);
        let body: serde_json::Value = serde_json::from_slice(&chunk.bodies).expect("JSON");
        let found: Vec<_> =
            ["___2FA", "_2FA", "__2FA", "new", "___a", "____a"].map(|name| &body["mimecast"][name]).into();
        assert_eq!(found, [1, 2, 3, 4, 5, 6]);
    }
}
