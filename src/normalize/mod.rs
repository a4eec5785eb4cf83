//! Typed records to events in a normal form.

pub mod assess;
pub mod ecs;
pub mod ocsf;
pub mod raw;
mod shared;
mod timestamp;
pub mod writer;

use std::collections::BTreeMap;

pub use assess::Assessment;
use assess::assess;
pub use ocsf::Input;

use crate::{
    chunk::{Chunk, Digest, Event, Malformed, Timestamp},
    kind::{Generation, Kind},
    record::{
        Field, Fields,
        identity::{Identity, again},
        time,
    },
};

/// The normal form of the bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// OCSF 1.8.0.
    #[default]
    Ocsf,
    /// ECS, with Elastic's names of fields.
    Ecs,
    /// The record as it came, in an envelope.
    Raw,
}

/// What an operator sets that concerns every event of a source.
#[derive(Debug, Clone)]
pub struct Settings {
    pub form: Form,
    pub generation: Generation,
    /// The operator's name for the tenant; the record's account code, where it has one, goes before it.
    pub tenant: String,
    /// What ids are unique within. Default: the tenant.
    pub id_scope: String,
    /// The operator's own names and values: `metadata.tags` of every event.
    pub fields: Vec<(String, String)>,
    /// The products (`elastic`, `sumo`, `stellar`) by whose names for the kind events are labelled: those of
    /// [`crate::describe::labels`].
    pub labels: Vec<String>,
    /// The operator's word for what these events are.
    pub category: Option<String>,
    /// Whether the record as it came stands in the event, too.
    pub include_original: bool,
}

impl Settings {
    /// All that is optional as it is by default; `tenant` is what ids are unique within.
    pub fn new(generation: Generation, tenant: &str) -> Self {
        Self {
            form: Form::default(),
            generation,
            tenant: tenant.to_owned(),
            id_scope: tenant.to_owned(),
            fields: Vec::new(),
            labels: Vec::new(),
            category: None,
            include_original: false,
        }
    }
}

/// The log that a record is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A record tells its kind itself, if its file does not.
    Siem,
    /// The answer to a list: the endpoint tells the kind.
    List,
}

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Json,
    /// `key=value|key=value`, API 1.0 only. Without its line ending.
    KeyValue,
}

/// Where a record came from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    pub source: Source,
    /// The stream's name: `metadata.log_source`.
    pub stream: &'a str,
    /// Told by the stream or the file's name. `None`: the record itself decides.
    pub kind: Option<Kind>,
    pub encoding: Encoding,
    /// The time of the file or the page, for records without one of their own.
    pub fallback_time: Option<Timestamp>,
}

/// Counts identical records, so that the second of two gets an id of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occurrences {
    /// In a file, only runs of identical lines count. `last` is the id of the line before without its number, `count` how often it
    /// came; both stand in the position, so that a run goes on after a restart.
    Adjacent { last: Option<Digest>, count: u32 },
    /// In the answer to a list, identical records count wherever they stand: how often each came, and the id of the last one
    /// without its number.
    Answer { counts: BTreeMap<Digest, u32>, last: Option<Digest> },
}

impl Occurrences {
    /// At the start of an answer to a list.
    pub fn answer() -> Self {
        Occurrences::Answer { counts: BTreeMap::new(), last: None }
    }

    /// The id of the record that is next: its own the first time, derived from it and its number after that.
    fn number(&mut self, id: Digest) -> Digest {
        let seen = match self {
            Occurrences::Adjacent { last, count } => {
                if *last != Some(id) {
                    *last = Some(id);
                    *count = 0;
                }
                count
            }
            Occurrences::Answer { counts, last } => {
                *last = Some(id);
                counts.entry(id).or_default()
            }
        };
        let number = *seen;
        *seen = seen.saturating_add(1);
        if number == 0 { id } else { again(id, number) }
    }
}

/// Turns records into events. Keeps its buffers from one record to the next.
#[derive(Debug)]
pub struct Normalizer {
    settings: Settings,
    fields: Fields,
    identity: Identity,
    /// Of the form that is written.
    mapper: Mapper,
}

#[derive(Debug)]
enum Mapper {
    Ocsf(ocsf::Mapper),
    Ecs(ecs::Mapper),
    Raw(raw::Mapper),
}

impl Normalizer {
    pub fn new(settings: Settings) -> Self {
        Self {
            fields: Fields::default(),
            identity: Identity::new(&settings.id_scope),
            mapper: match settings.form {
                Form::Ocsf => Mapper::Ocsf(ocsf::Mapper::new(&settings)),
                Form::Ecs => Mapper::Ecs(ecs::Mapper::new(&settings)),
                Form::Raw => Mapper::Raw(raw::Mapper::new(&settings)),
            },
            settings,
        }
    }

    /// Reads one record and appends it to the chunk: an event with its body line, or a malformed one.
    ///
    /// Bytes that are no UTF-8 arrive as U+FFFD in the body; the id covers them as they came.
    pub fn push(&mut self, record: &[u8], origin: &Origin<'_>, occurrences: &mut Occurrences, chunk: &mut Chunk) {
        chunk.records += 1;
        if let Err(reason) = read(&mut self.fields, record, origin.encoding) {
            chunk.malformed.push(Malformed::new(reason, record));
            return;
        }
        let kind = match origin.source {
            Source::Siem => self.fields.siem_kind(record, origin.kind, self.settings.generation),
            Source::List => origin.kind.unwrap_or(Kind::SiemOther),
        };
        let id = occurrences.number(self.identity.id(&self.fields.record(record, kind)));
        if is_utf8(record) {
            self.event(record, kind, id, origin, chunk);
            return;
        }
        let text = String::from_utf8_lossy(record);
        match read(&mut self.fields, text.as_bytes(), origin.encoding) {
            Ok(()) => self.event(text.as_bytes(), kind, id, origin, chunk),
            Err(reason) => chunk.malformed.push(Malformed::new(reason, record)),
        }
    }

    /// `text` is what `self.fields` read last.
    fn event(&mut self, text: &[u8], kind: Kind, id: Digest, origin: &Origin<'_>, chunk: &mut Chunk) {
        let record = self.fields.record(text, kind);
        let own = time_fields(kind).iter().find_map(|field| Some((*field, time::parse(record.peek(*field))?)));
        let time = own.map(|(_, time)| time).or(origin.fallback_time).unwrap_or(0);
        // A time that could not be understood stays where it can be read: unmapped.
        let original_time = own.map(|(field, _)| record.read(field));
        let time_source = match (own, origin.fallback_time, origin.source) {
            (Some(_), ..) => None,
            (None, None, _) => Some("none"),
            (None, Some(_), Source::Siem) => Some("file"),
            (None, Some(_), Source::List) => Some("page"),
        };
        let original = self.settings.include_original.then_some(text);
        let assessment = assess(&record, &self.settings.id_scope, id);
        let input = Input { record: &record, origin, id, time, original_time, time_source, original, assessment };
        let bodies = &mut chunk.bodies;
        let class = match &mut self.mapper {
            Mapper::Ocsf(mapper) => mapper.write(&input, bodies).class,
            // Neither has classes.
            Mapper::Ecs(mapper) => {
                mapper.write(&input, bodies);
                0
            }
            Mapper::Raw(mapper) => {
                mapper.write(&input, text, bodies);
                0
            }
        };
        chunk.bodies.push(b'\n');
        chunk.events.push(Event {
            id,
            time,
            kind: kind as u32,
            class,
            severity: assessment.severity,
            alert_key: assessment.alert_key,
            end: chunk.bodies.len() as u32,
        });
    }
}

/// When a record of the kind happened (section 6.1 of the API reference): the first of these that can be read.
pub const fn time_fields(kind: Kind) -> &'static [Field] {
    match kind {
        Kind::Audit | Kind::Dlp | Kind::TtpImpersonation => &[Field::EventTime],
        Kind::TtpUrl | Kind::TtpAttachment => &[Field::Date],
        Kind::Held => &[Field::DateReceived],
        Kind::HeldRelease => &[Field::Released],
        Kind::Rejection => &[Field::Created],
        Kind::ArchiveSearch | Kind::ArchiveUserSearch => &[Field::CreateTime],
        Kind::ArchiveView => &[Field::Viewed],
        // An indicator that changed is seen again.
        Kind::ThreatIntel => &[Field::Modified, Field::Created, Field::ValidFrom],
        _ => &[Field::Timestamp],
    }
}

/// Nearly every record is ASCII, and that shows sixteen bytes at a time.
fn is_utf8(text: &[u8]) -> bool {
    let (blocks, rest) = text.as_chunks::<16>();
    let high = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all | byte) >= 0x80;
    (!blocks.iter().any(|block| high(block)) && !high(rest)) || std::str::from_utf8(text).is_ok()
}

fn read(fields: &mut Fields, text: &[u8], encoding: Encoding) -> Result<(), String> {
    match encoding {
        Encoding::Json => fields.read_json(text).map_err(|error| error.to_string()),
        Encoding::KeyValue => fields.read_key_value(text).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_of_identical_lines_is_numbered_in_a_file() {
        let (a, b) = (Digest(1, 1), Digest(2, 2));
        let mut file = Occurrences::Adjacent { last: None, count: 0 };
        let ids: Vec<_> = [a, a, a, b, a].into_iter().map(|id| file.number(id)).collect();
        assert_eq!(ids, [a, again(a, 1), again(a, 2), b, a]);
        // A run goes on where a position cut it.
        let mut rest = Occurrences::Adjacent { last: Some(a), count: 2 };
        assert_eq!(rest.number(a), again(a, 2));
    }

    #[test]
    fn identical_records_of_an_answer_are_numbered_wherever_they_stand() {
        let (a, b) = (Digest(1, 1), Digest(2, 2));
        let mut answer = Occurrences::answer();
        let ids: Vec<_> = [a, b, a, b, a].into_iter().map(|id| answer.number(id)).collect();
        assert_eq!(ids, [a, b, again(a, 1), again(b, 1), again(a, 2)]);
    }

    #[test]
    fn text_in_the_spam_detail_is_not_taken_for_an_object() {
        let settings = Settings::new(Generation::V2, "acme");
        let origin = Origin {
            source: Source::Siem,
            stream: "siem/receipt",
            kind: Some(Kind::Receipt),
            encoding: Encoding::Json,
            fallback_time: None,
        };
        let mut chunk = Chunk::default();
        let record = br#"{"type":"receipt","spamProcessingDetail":{"spf":"{}","dkim":{"info":"OK","allow":true}}}"#;
        let mut occurrences = Occurrences::Adjacent { last: None, count: 0 };
        Normalizer::new(settings).push(record, &origin, &mut occurrences, &mut chunk);
        let body: serde_json::Value = serde_json::from_slice(&chunk.bodies).expect("JSON");
        assert_eq!(body["email_auth"], serde_json::json!({ "dkim": "OK" }));
        let rest = serde_json::json!({ "spf": "{}", "dkim": { "allow": true } });
        assert_eq!(body["unmapped"]["spamProcessingDetail"], rest);
    }

    /// A value of its own in every field at once: nothing is counted that could be more than there is room for.
    #[test]
    fn every_field_at_once_with_a_value_of_its_own() {
        type Value = fn(usize) -> serde_json::Value;
        let values: [Value; 6] = [
            |n| format!("text {n}").into(),
            |n| format!("a{n}@example.com, <b{n}@example.com>").into(),
            |n| n.into(),
            |n| format!("192.0.2.{n}:25").into(),
            |n| vec![format!("a{n}@example.com"), format!("b{n}.pdf")].into(),
            |n| serde_json::json!({ "spf": { "info": n }, "name": format!("c{n}") }),
        ];
        for (generation, form) in [Generation::V1, Generation::V2]
            .into_iter()
            .flat_map(|generation| [Form::Ocsf, Form::Ecs, Form::Raw].map(|form| (generation, form)))
        {
            let mut normalizer = Normalizer::new(Settings { form, ..Settings::new(generation, "acme") });
            for kind in Kind::ALL {
                let source = if kind.api2_type().is_some() { Source::Siem } else { Source::List };
                for value in values {
                    let fields = crate::record::dictionary::FIELDS.iter().enumerate();
                    let record: serde_json::Map<_, _> =
                        fields.map(|(n, field)| (field.name().to_owned(), value(n))).collect();
                    let record = serde_json::to_vec(&record).expect("JSON");
                    let origin = Origin {
                        source,
                        stream: "made-up",
                        kind: Some(kind),
                        encoding: Encoding::Json,
                        fallback_time: None,
                    };
                    let mut chunk = Chunk::default();
                    normalizer.push(&record, &origin, &mut Occurrences::answer(), &mut chunk);
                    assert_eq!((chunk.events.len(), chunk.malformed.len()), (1, 0), "{kind:?} {form:?}");
                    serde_json::from_slice::<serde_json::Value>(&chunk.bodies).expect("JSON");
                }
            }
        }
    }

    #[test]
    fn utf8_is_known_at_any_place() {
        for length in 0..40 {
            let mut text = vec![b'a'; length];
            assert!(is_utf8(&text));
            for at in 0..length {
                text[at] = 0xff;
                assert!(!is_utf8(&text), "{length} {at}");
                text[at] = b'a';
            }
            text.extend_from_slice("\u{e4}".as_bytes());
            assert!(is_utf8(&text));
        }
    }
}
