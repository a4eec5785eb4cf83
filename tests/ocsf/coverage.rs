//! How much of the field dictionary reaches an attribute: every (stream, field) pair that was ever populated, traced
//! into the output by its value. A pair that only stands in `unmapped` does not count.

use std::collections::BTreeMap;

use mimecast_source::{
    kind::{Generation, Kind},
    normalize::Origin,
};
use serde_json::{Map, Value, json};

use crate::{arrival, audit, event, judge, lists, records, siem};

/// Stream of the dictionary, how many of its fields reach an attribute, and how many there are without those of
/// transport. A number may rise; one that falls is a mapping that was lost.
const REACHED: [(&str, usize, usize); 20] = [
    ("1.0 siem", 68, 85),
    ("2.0 ci", 23, 25),
    ("2.0 rejection", 13, 14),
    ("2.0 siem/attachment protect", 18, 19),
    ("2.0 siem/av", 19, 20),
    ("2.0 siem/delivery", 18, 23),
    ("2.0 siem/impersonation protect", 22, 23),
    ("2.0 siem/internal email protect", 11, 12),
    ("2.0 siem/journal", 8, 8),
    ("2.0 siem/process", 13, 15),
    ("2.0 siem/receipt", 24, 38),
    ("2.0 siem/spam", 12, 15),
    ("2.0 siem/url protect", 17, 18),
    ("both archive-search", 7, 7),
    ("both audit", 6, 6),
    ("both dlp", 7, 8),
    ("both release", 31, 42),
    ("both ttp-attachment", 13, 13),
    ("both ttp-impersonation", 17, 17),
    ("both ttp-url", 28, 28),
];

/// Paths that were ever populated, by stream, without an anonymiser's artefacts and without what says where a record lay.
fn dictionary(shared: &std::path::Path) -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(shared.join("reference/fields.csv")).expect("the field dictionary");
    let mut streams = BTreeMap::<_, Vec<String>>::new();
    for line in text.lines().skip(1) {
        let columns: Vec<&str> = line.split(',').collect();
        let [generation, stream, field, populated] = columns[..] else { panic!("four columns: {line}") };
        let artefact = field.starts_with("ANONYMIZED") || field.starts_with('1');
        if populated == "yes" && !artefact && !arrival::TRANSPORT.contains(&field) {
            streams.entry(format!("{generation} {stream}")).or_default().push(field.to_owned());
        }
    }
    streams
}

/// The records of a stream that between them hold each of its fields.
fn samples(shared: &std::path::Path, stream: &str) -> Vec<(Generation, Origin<'static>, Map<String, Value>)> {
    let of = |kinds: &[Kind]| -> Vec<_> {
        let all = lists::records().into_iter().filter(|(_, kind, _)| kinds.contains(kind));
        all.map(|(generation, kind, record)| (generation, lists::origin(kind), record)).collect()
    };
    match stream {
        "1.0 siem" => {
            records::api1().into_iter().map(|(kind, record)| (Generation::V1, siem(Some(kind)), record)).collect()
        }
        "2.0 ci" => of(&[Kind::CloudEntities, Kind::CloudMailflow]),
        "2.0 rejection" => of(&[Kind::Rejection]),
        "both archive-search" => of(&[Kind::ArchiveSearch]),
        "both audit" => records::audit().into_iter().map(|record| (Generation::V2, audit(), record)).collect(),
        "both dlp" => of(&[Kind::Dlp]),
        "both release" => of(&[Kind::HeldRelease]),
        "both ttp-attachment" => of(&[Kind::TtpAttachment]),
        "both ttp-impersonation" => of(&[Kind::TtpImpersonation]),
        "both ttp-url" => of(&[Kind::TtpUrl]),
        siem_type => {
            let kind = siem_type.strip_prefix("2.0 siem/").and_then(Kind::from_api2_type).expect("a known stream");
            let found = records::api2(shared).into_iter().find(|(of, _)| *of == kind).expect("a record of each kind");
            vec![(Generation::V2, siem(None), found.1)]
        }
    }
}

/// The values at a path of the dictionary: `a.b[].c`. JSON in a string is entered.
fn at(value: &Value, path: &[&str], found: &mut Vec<Value>) {
    match (value, path) {
        (Value::Array(elements), _) => elements.iter().for_each(|element| at(element, path, found)),
        (Value::String(json), [_, ..]) => {
            if let Ok(inner @ Value::Object(_)) = serde_json::from_str(json) {
                at(&inner, path, found);
            }
        }
        (_, [name, rest @ ..]) => at(&value[name.trim_end_matches("[]")], rest, found),
        (Value::Null, []) => {}
        (Value::String(text), []) if text.is_empty() => {}
        (scalar, []) => found.push(scalar.clone()),
    }
}

/// Puts a value at a path, if there is none, so that a field that the made-up records lack is traced as well.
fn fill(record: &mut Map<String, Value>, path: &[&str], value: &Value) {
    let [name, rest @ ..] = path else { return };
    let (key, list) = (name.trim_end_matches("[]"), name.ends_with("[]"));
    let missing = record.get(key).is_none_or(Value::is_null);
    if missing {
        let inner = if rest.is_empty() { value.clone() } else { json!({}) };
        record.insert(key.to_owned(), if list { json!([inner]) } else { inner });
    }
    let inner = match &mut record[key] {
        Value::Array(elements) => elements.first_mut(),
        inner => Some(inner),
    };
    if let Some(Value::Object(inner)) = inner {
        fill(inner, rest, value);
    }
}

fn names(stream: &str, path: &str) -> bool {
    // One record has one spelling of a field.
    !(stream.starts_with("2.0 siem/") && ["eventType", "subType"].contains(&path))
}

/// The fields of a stream that reach an attribute in the events of its records, and those that do not.
fn trace(shared: &std::path::Path, stream: &str, paths: &[String]) -> (Vec<String>, Vec<String>) {
    let mut reached: BTreeMap<&str, bool> = BTreeMap::new();
    for (generation, origin, mut record) in samples(shared, stream) {
        if stream != "1.0 siem" && stream != "2.0 ci" {
            for path in paths.iter().filter(|path| names(stream, path)) {
                let value = json!(format!("the value of {path}"));
                fill(&mut record, &path.split('.').collect::<Vec<_>>(), &value);
            }
        }
        let (_, mut body) = event(generation, &origin, &Value::Object(record.clone()));
        let unmapped = body.as_object_mut().and_then(|body| body.remove("unmapped")).unwrap_or_default();
        let mut outputs = Vec::new();
        arrival::leaves(&body, &mut outputs);
        for path in paths {
            let parts: Vec<&str> = path.split('.').collect();
            let mut values = Vec::new();
            at(&Value::Object(record.clone()), &parts, &mut values);
            if values.is_empty() {
                continue;
            }
            let mut left = Vec::new();
            at(&unmapped, &parts, &mut left);
            let whole = parts.len() == 1 || left.is_empty();
            let leaves = values.iter().flat_map(|value| arrival::source_leaves(path, value));
            let arrived = whole
                && leaves.into_iter().all(|leaf| {
                    // A truth or a small number is in many places: what still stands in `unmapped` has not arrived.
                    let short = leaf.len() < 6 && !left.is_empty();
                    (arrival::coded(parts[0], &body) && parts.last() != Some(&"aligned"))
                        || (!short && outputs.iter().any(|output| contains(output, &leaf)))
                });
            *reached.entry(path).or_default() |= arrived;
        }
    }
    let (yes, no): (Vec<_>, Vec<_>) = reached.into_iter().partition(|(_, reached)| *reached);
    let texts = |list: Vec<(&str, bool)>| list.into_iter().map(|(path, _)| path.to_owned()).collect();
    (texts(yes), texts(no))
}

fn contains(output: &str, leaf: &str) -> bool {
    let bare = leaf.trim_start_matches('<').trim_end_matches('>');
    output == leaf || output.contains(bare)
}

#[test]
fn of_all_fields_ever_populated_so_many_reach_an_attribute() {
    let Some(shared) = judge::shared() else { return };
    let (mut reached, mut all, mut table) = (0, 0, Vec::new());
    println!("{:32} {:>6} {:>9} {:>5}  stays in unmapped", "stream", "fields", "attribute", "%");
    for (stream, paths) in dictionary(&shared) {
        let expected = paths.iter().filter(|path| names(&stream, path)).count();
        let (yes, no) = trace(&shared, &stream, &paths);
        assert_eq!(yes.len() + no.len(), expected, "{stream}: a field is in no record: {paths:?} {yes:?} {no:?}");
        println!("{stream:32} {expected:>6} {:>9} {:>5}  {}", yes.len(), yes.len() * 100 / expected, no.join(" "));
        reached += yes.len();
        all += expected;
        table.push((stream, yes.len(), expected));
    }
    println!("{:32} {all:>6} {reached:>9} {:>5.1}", "all", reached as f64 * 100.0 / all as f64);
    let table: Vec<_> = table.iter().map(|(stream, reached, all)| (stream.as_str(), *reached, *all)).collect();
    assert_eq!(table, REACHED);
    assert!(reached * 100 >= all * 85, "{reached} of {all}");
}
