//! Records as they came, in an envelope.
//!
//! `{"id","time","time_source"?,"tenant","kind","category"?,"labels"?,"fields","record"}`: `time` is RFC 3339 in UTC, `tenant` the
//! account that the record names or else the operator's name for it, `fields` the operator's own.
//!
//! `record` is a JSON record's own bytes, member for member and digit for digit: only blanks between its parts go, if
//! there are line feeds among them. So a name that came twice stands there twice, as RFC 8259 allows; the id covers the
//! last. A line of `key=value` is an object of texts under the names that it has; a name that came twice holds a list.

use super::{Encoding, Input, Settings, timestamp, writer::Writer};
use crate::{
    describe,
    kind::Kind,
    record::{Field, keyvalue, nested},
};

/// Wraps records. Holds what is the same for all of a source.
#[derive(Debug)]
pub struct Mapper {
    tenant: String,
    /// By kind: from the kind to the record's key.
    members: Vec<String>,
}

impl Mapper {
    pub fn new(settings: &Settings) -> Self {
        let fields: serde_json::Map<_, _> =
            settings.fields.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let fields = serde_json::Value::Object(fields);
        let category = settings.category.as_deref().map(serde_json::Value::from);
        let category = category.map_or_else(String::new, |category| format!("\"category\":{category},"));
        let members = Kind::ALL.iter().map(|kind| {
            let products = describe::labels(*kind);
            let chosen: serde_json::Map<_, _> = products
                .into_iter()
                .filter(|(product, _)| settings.labels.iter().any(|wanted| wanted == product))
                .map(|(product, label)| (product.to_owned(), label.into()))
                .collect();
            let labels = if chosen.is_empty() {
                String::new()
            } else {
                format!("\"labels\":{},", serde_json::Value::Object(chosen))
            };
            format!("\"kind\":\"{}\",{category}{labels}\"fields\":{fields},\"record\":", kind.name())
        });
        Self { tenant: settings.tenant.clone(), members: members.collect() }
    }

    /// Appends one event, without a line feed. `text` is the record as it came, in UTF-8.
    pub fn write(&self, input: &Input<'_, '_>, text: &[u8], out: &mut Vec<u8>) {
        let mut json = Writer { out };
        json.raw("{\"id\":");
        json.digest(input.id);
        json.raw(",\"time\":\"");
        timestamp::append(input.time, json.out);
        json.raw("\",");
        if let Some(source) = input.time_source {
            json.literal("time_source", source);
        }
        match input.record.peek(Field::AccountId) {
            account if account.text().is_some() => json.scalar("tenant", account),
            _ => json.text("tenant", self.tenant.as_bytes()),
        }
        json.raw(&self.members[input.record.kind() as usize]);
        match input.origin.encoding {
            Encoding::Json => nested::compact(text.trim_ascii(), json.out),
            Encoding::KeyValue => key_value(text, &mut json),
        }
        json.raw("}");
    }
}

fn key_value(text: &[u8], json: &mut Writer<'_>) {
    let mut pairs = Vec::with_capacity(32);
    // It was read before, so it has fields.
    let _ = keyvalue::line(text, |name, value| pairs.push((name.of(text), value.of(text))));
    json.raw("{");
    for (index, (name, value)) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|(before, _)| before == name) {
            continue;
        }
        let again: Vec<_> = pairs[index + 1..].iter().filter(|(later, _)| later == name).collect();
        json.any_key(name);
        if again.is_empty() {
            json.string(value);
        } else {
            json.raw("[");
            json.string(value);
            for (_, value) in again {
                json.comma();
                json.string(value);
            }
            json.raw("]");
        }
        json.comma();
    }
    json.end();
}
