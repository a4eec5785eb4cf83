//! One record in every form and both generations.

use std::cell::RefCell;
use std::collections::BTreeMap;

use mimecast_source::chunk::{Chunk, Timestamp};
use mimecast_source::kind::{Generation, Kind};
use mimecast_source::normalize::{Encoding, Form, Normalizer, Occurrences, Origin, Settings, Source};
use mimecast_source::record::dictionary::Name;

use crate::chunks::bodies;
use crate::json::Json;

const FORMS: [Form; 3] = [Form::Ocsf, Form::Ecs, Form::Raw];
const GENERATIONS: [Generation; 2] = [Generation::V1, Generation::V2];

/// When a file or page is from, of which a record without a time of its own is taken to be.
const FALLBACK: Timestamp = 1_772_971_200 * 1_000_000_000;

/// A record's origin, chosen by a byte: the SIEM log with or without a type, or the list of a kind.
pub fn origin(choice: u8, encoding: Encoding) -> Origin<'static> {
    let kind = Kind::ALL.get(usize::from(choice & 31)).copied();
    let source = if choice & 32 == 0 { Source::Siem } else { Source::List };
    let fallback_time = (choice & 64 == 0).then_some(FALLBACK);
    Origin { source, stream: "made-up", kind, encoding, fallback_time }
}

type Normalizers = BTreeMap<(usize, usize, bool), Normalizer>;

thread_local! {
    // As in a reader, which keeps its normalizer: what is left in its buffers must not show in the next record.
    static NORMALIZERS: RefCell<Normalizers> = const { RefCell::new(BTreeMap::new()) };
}

fn normalizer(form: Form, generation: Generation, include_original: bool) -> Normalizer {
    Normalizer::new(Settings {
        form,
        fields: vec![("site".to_owned(), "a \"b\"".to_owned())],
        labels: ["elastic", "sumo", "stellar"].map(str::to_owned).to_vec(),
        category: Some("mail".to_owned()),
        include_original,
        ..Settings::new(generation, "acme")
    })
}

fn fresh() -> Occurrences {
    Occurrences::Adjacent { last: None, count: 0 }
}

/// Puts a record through every form and both generations.
///
/// # Panics
/// If it is lost, differs from one form to the other in what they share, or a body is not what it should be.
pub fn check(record: &[u8], origin: &Origin<'_>, include_original: bool) {
    let source = match origin.encoding {
        Encoding::Json => Json::read(record).filter(|json| matches!(json, Json::Object(_))),
        Encoding::KeyValue => None,
    };
    for generation in GENERATIONS {
        let mut heads = Vec::new();
        for (index, form) in FORMS.into_iter().enumerate() {
            let chunk = NORMALIZERS.with_borrow_mut(|normalizers| {
                let normalizer = normalizers
                    .entry((index, generation as usize, include_original))
                    .or_insert_with(|| normalizer(form, generation, include_original));
                push(normalizer, record, origin)
            });
            heads.push(judge(form, record, origin, source.as_ref(), include_original, &chunk));
        }
        assert!(heads.windows(2).all(|pair| pair[0] == pair[1]), "the forms differ: {heads:?}");
    }
}

/// Twice, so that what the first one leaves behind would show in the second.
fn push(normalizer: &mut Normalizer, record: &[u8], origin: &Origin<'_>) -> Chunk {
    let [mut once, mut again, mut two] = [(); 3].map(|()| Chunk::default());
    normalizer.push(record, origin, &mut fresh(), &mut once);
    let mut occurrences = fresh();
    normalizer.push(record, origin, &mut occurrences, &mut again);
    assert!(once.bodies == again.bodies && once.events == again.events, "the same record gives another event");
    if let [event] = again.events[..] {
        normalizer.push(record, origin, &mut occurrences, &mut two);
        assert_ne!(two.events[0].id, event.id, "the second of two identical records has the id of the first");
    }
    once
}

/// What the forms share: id, time, kind, severity, and whether there is an event at all.
type Shared = Option<(String, u64, u32, u8, bool)>;

fn judge(
    form: Form,
    record: &[u8],
    origin: &Origin<'_>,
    source: Option<&Json>,
    include_original: bool,
    chunk: &Chunk,
) -> Shared {
    let bodies = bodies(chunk);
    assert_eq!(chunk.records, 1);
    let [event] = &chunk.events[..] else {
        let [malformed] = &chunk.malformed[..] else { panic!("neither an event nor malformed") };
        assert!(source.is_none(), "a good record is malformed: {}", malformed.reason);
        assert_eq!((malformed.size, &malformed.head[..]), (Some(record.len() as u64), record));
        return None;
    };
    let body = &bodies[0];
    if let Some(source) = source {
        assert!(
            source.twice().is_some() || body.twice().is_none(),
            "{form:?}: a name that the record has once stands twice: {:?}",
            body.twice()
        );
        unknown_fields(form, source, body);
    } else if origin.encoding == Encoding::Json {
        assert!(std::str::from_utf8(record).is_err(), "{form:?}: an event of what is no JSON object");
    }
    if let Ok(text) = std::str::from_utf8(record) {
        let original = match form {
            Form::Ocsf => body.get("raw_data"),
            Form::Ecs => body.get("event").and_then(|event| event.get("original")),
            Form::Raw => None,
        };
        let wanted = (include_original && form != Form::Raw).then_some(text);
        assert_eq!(original.and_then(Json::text), wanted, "{form:?}: the original");
        if form == Form::Raw && origin.encoding == Encoding::KeyValue {
            assert_eq!(letters_of(body.get("record")), letters(text.as_bytes()), "bytes of the line are missing");
        }
    }
    Some((event.id.to_string(), event.time, event.kind, event.severity, event.alert_key.is_some()))
}

/// What nobody knows arrives as it came, and in the raw form everything does.
fn unknown_fields(form: Form, source: &Json, body: &Json) {
    let Json::Object(members) = source else { return };
    let place = match form {
        Form::Raw => return assert_eq!(body.get("record"), Some(source), "the record is not what it was"),
        Form::Ocsf => body.get("unmapped"),
        Form::Ecs => body.get("mimecast"),
    };
    for (name, _) in members {
        let known = Name::find(name.as_bytes()).is_some();
        let value = source.get(name);
        let nothing = value.is_none_or(|value| value.is_null() || value.text() == Some(""));
        // These get another name in ECS.
        let renamed = form == Form::Ecs
            && (name.split('.').any(|part| part.trim_ascii().is_empty())
                || ["log_type", "2FA", "application", "method", "remote_ip", "search_details", "email", "detections"]
                    .contains(&name.as_str()));
        if !known && !nothing && !renamed {
            assert_eq!(place.and_then(|place| place.get(name)), value, "{form:?}: {name:?} is not what it was");
        }
    }
}

/// How often each byte occurs, but for those that separate.
fn letters(text: &[u8]) -> [u32; 256] {
    let mut counts = [0; 256];
    for byte in text.iter().filter(|byte| !matches!(byte, b'|' | b'=' | b'\\') && !byte.is_ascii_whitespace()) {
        counts[usize::from(*byte)] += 1;
    }
    counts
}

fn letters_of(record: Option<&Json>) -> [u32; 256] {
    let Some(Json::Object(members)) = record else { panic!("no record") };
    let mut text = String::new();
    for (name, value) in members {
        let values = match value {
            Json::List(values) => &values[..],
            value => std::slice::from_ref(value),
        };
        for value in values {
            text.push_str(name);
            text.push_str(value.text().unwrap_or_else(|| panic!("{name:?} is no text")));
        }
    }
    letters(text.as_bytes())
}
