//! Records as ECS 9.5 events, with the names of Elastic's Mimecast integration, so that content made for it goes on
//! working (section 3 of the normalization reference), and without the defects of section 3.5.
//!
//! What ECS has no field for stands under `mimecast.`, by Elastic's name where it has one: that of the record itself.
//! `event.hash` is the record's id, `event.id` the vendor's where there is one.

mod address;
mod audit;
mod audit_parts;
mod email;
mod event;
mod kinds;
mod network;
mod related;
mod search;
mod threat;
mod url;
mod vendor;

use super::{Input, Settings, ocsf::roles::Cast, timestamp, writer::Writer};
use crate::{
    describe,
    kind::{Generation, Kind},
    record::{Field, FieldSet, Record, Value, set},
};
use event::Told;
use kinds::{Roles, Spec, spec};
use related::Related;

/// Maps records. Holds what is the same for all of a source.
#[derive(Debug)]
pub struct Mapper {
    tenant: String,
    generation: Generation,
    kinds: Vec<Constant>,
    related: Related,
}

/// What is the same for all events of one kind.
#[derive(Debug)]
struct Constant {
    spec: Spec,
    kept: FieldSet,
    /// Whether the record's time also stands in `event.created`.
    created: bool,
    /// The members that no record changes.
    members: String,
    /// The same of `event`.
    event: String,
    /// The data set, for `event` and `data_stream`.
    dataset: String,
}

impl Constant {
    fn new(kind: Kind, settings: &Settings) -> Self {
        let spec = spec(kind);
        let provider = match settings.generation {
            Generation::V1 => "Mimecast API 1.0",
            Generation::V2 => "Mimecast API 2.0",
        };
        let labels = labels(kind, settings);
        Self {
            kept: set(spec.roles.kept),
            created: kind.api2_type().is_some() || kind == Kind::SiemOther,
            members: format!(
                "\"ecs\":{{\"version\":\"9.5.0\"}},\"observer\":{{\"product\":\"Mimecast Email Security\",\
                 \"type\":\"email-gateway\",\"vendor\":\"Mimecast\"}},{labels}"
            ),
            event: format!("{}\"module\":\"mimecast\",\"provider\":\"{provider}\",", spec.event.unwrap_or_default()),
            dataset: format!("mimecast.{}", spec.dataset),
            spec,
        }
    }
}

/// `"labels":{…},`, if there are any: the operator's own fields and category, and what other products call the kind. A
/// dot in a name would make an object of it, which labels must not hold.
fn labels(kind: Kind, settings: &Settings) -> String {
    let mut labels = serde_json::Map::new();
    let products = describe::labels(kind);
    let chosen = products.iter().filter(|(product, _)| settings.labels.iter().any(|wanted| wanted == product));
    for (product, label) in chosen {
        labels.insert((*product).to_owned(), (*label).into());
    }
    if let Some(category) = &settings.category {
        labels.insert("category".to_owned(), category.as_str().into());
    }
    for (name, value) in &settings.fields {
        let name = if name.is_empty() { "_".to_owned() } else { name.replace('.', "_") };
        labels.insert(name, value.as_str().into());
    }
    if labels.is_empty() { String::new() } else { format!("\"labels\":{},", serde_json::Value::Object(labels)) }
}

impl Mapper {
    pub fn new(settings: &Settings) -> Self {
        Self {
            tenant: settings.tenant.clone(),
            generation: settings.generation,
            kinds: Kind::ALL.iter().map(|kind| Constant::new(*kind, settings)).collect(),
            related: Related::default(),
        }
    }

    /// Appends one event, without a line feed.
    pub fn write(&mut self, input: &Input<'_, '_>, out: &mut Vec<u8>) {
        self.related.clear();
        let mut related = std::mem::take(&mut self.related);
        let kind = input.record.kind();
        let constant = &self.kinds[kind as usize];
        let mut event = EventWriter {
            mapper: self,
            constant,
            roles: constant.spec.roles,
            input,
            record: input.record,
            cast: Cast::new(input.record),
            json: Writer { out },
            related: &mut related,
        };
        event.write(kind);
        self.related = related;
    }
}

/// One event being written.
struct EventWriter<'w, 'a> {
    mapper: &'w Mapper,
    constant: &'w Constant,
    roles: &'static Roles,
    input: &'w Input<'w, 'a>,
    record: &'w Record<'a>,
    /// The record, asked by the parts that its fields play.
    cast: Cast<'w, 'a>,
    json: Writer<'w>,
    related: &'w mut Related,
}

impl<'a> EventWriter<'_, 'a> {
    fn write(&mut self, kind: Kind) {
        self.json.raw("{");
        self.time("@timestamp", self.input.time);
        self.json.raw(&self.constant.members);
        self.tags(kind);
        match kind {
            Kind::Audit => self.audit(),
            Kind::ThreatIntel => self.threat(),
            Kind::ArchiveSearch | Kind::ArchiveUserSearch => self.search(),
            _ => self.mail(kind),
        }
        self.organization();
        self.related.write(&mut self.json);
        self.json.end();
    }

    /// `tags`: the labels of an indicator; and that `@timestamp` is not the record's own, which could not be read.
    fn tags(&mut self, kind: Kind) {
        let mark = self.json.open_array("tags");
        if kind == Kind::ThreatIntel {
            self.indicator_labels();
        }
        match self.input.time_source {
            Some("file") => self.json.raw("\"time_of_file\","),
            Some("page") => self.json.raw("\"time_of_page\","),
            Some(_) => self.json.raw("\"time_unknown\","),
            None => {}
        }
        self.json.close_array(mark);
    }

    /// Everything that tells of a message.
    fn mail(&mut self, kind: Kind) {
        self.event(&Told::default());
        self.email(kind);
        self.source();
        self.destination();
        self.tls();
        self.link();
        self.error();
        self.rule();
        self.user();
        self.vendor(kind, |_| {});
    }

    fn time(&mut self, key: &str, time: u64) {
        self.json.key(key);
        self.json.out.push(b'"');
        timestamp::append(time, self.json.out);
        self.json.raw("\",");
    }

    /// Marks a field as delivered, unless it also stays under `mimecast.`.
    fn moved(&self, field: Field) {
        if !self.constant.kept.contains(field) {
            self.record.read(field);
        }
    }

    /// What `parse` makes of the field. If it makes nothing of it, the field stays unread.
    #[inline]
    fn take<T>(&self, field: Field, parse: impl FnOnce(Value<'a>) -> Option<T>) -> Option<T> {
        if !self.record.has(field) {
            return None;
        }
        let parsed = parse(self.record.peek(field))?;
        self.moved(field);
        Some(parsed)
    }

    /// A scalar that the field holds; a value of another shape stays unread.
    fn scalar(&self, field: Field) -> Option<Value<'a>> {
        self.take(field, |value| value.text().map(|_| value))
    }

    /// The first of the fields that holds a scalar.
    fn first(&self, fields: &[Field]) -> Option<Value<'a>> {
        fields.iter().find_map(|field| self.scalar(*field))
    }

    /// Writes a scalar of the record as text, if there is one.
    fn text(&mut self, key: &str, field: Field) {
        if let Some(value) = self.scalar(field) {
            self.json.scalar(key, value);
        }
    }

    /// `organization`: the account at Mimecast, and the operator's name for the tenant.
    fn organization(&mut self) {
        let mark = self.json.open("organization");
        match self.record.peek(Field::AccountId) {
            account if account.text().is_some() => self.json.scalar("id", account),
            _ => self.json.text("id", self.mapper.tenant.as_bytes()),
        }
        self.json.text("name", self.mapper.tenant.as_bytes());
        self.json.close(mark);
    }

    /// By which name a field stands under `mimecast.`: in API 2.0 SIEM records, whose spelling varies, that of the
    /// dictionary; elsewhere the record's own.
    fn vendor_name(&self, field: Field) -> &'static str {
        use super::Source;
        if self.mapper.generation == Generation::V2 && self.input.origin.source == Source::Siem {
            field.name()
        } else {
            self.record.spelling(field)
        }
    }
}
