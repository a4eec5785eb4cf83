//! The forms of one record agree: on its head, its time, and everything by which events are searched for.

use std::collections::BTreeSet;

use mimecast_source::{
    chunk::Event,
    kind::{Generation, Kind},
    normalize::{Form, Origin},
    record::{time::date_time, value::is_email},
};
use serde_json::Value;

use crate::{dictionary::shared, event, golden, origin, records, samples};

/// The types of OCSF's observables.
const OBSERVED: [(i64, &[&str]); 5] = [
    (2, &["/related/ip"]),
    (
        5,
        &[
            "/email/from/address",
            "/email/to/address",
            "/user/email",
            "/user/target/email",
            "/threat/indicator/email/address",
        ],
    ),
    (8, &["/related/hash"]),
    (40, &["/email/subject"]),
    (42, &["/email/message_id"]),
];

fn texts(value: Option<&Value>, found: &mut BTreeSet<String>) {
    match value {
        Some(Value::String(text)) => {
            let bare = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).filter(|bare| !bare.is_empty());
            found.insert(bare.unwrap_or(text).to_owned());
        }
        Some(Value::Array(elements)) => elements.iter().for_each(|element| texts(Some(element), found)),
        _ => {}
    }
}

fn same_head(one: &Event, other: &Event) {
    assert_eq!((one.id, one.time, one.kind), (other.id, other.time, other.kind));
    assert_eq!((one.severity, one.alert_key), (other.severity, other.alert_key));
}

/// How many values the two forms agreed on.
pub fn agree(generation: Generation, origin: &Origin<'_>, record: &Value) -> usize {
    let (ocsf_head, ocsf) = event(Form::Ocsf, generation, origin, record);
    let (ecs_head, ecs) = event(Form::Ecs, generation, origin, record);
    let (raw_head, raw) = event(Form::Raw, generation, origin, record);
    same_head(&ocsf_head, &ecs_head);
    same_head(&ocsf_head, &raw_head);
    for time in [&ecs["@timestamp"], &raw["time"]] {
        let time = date_time(time.as_str().unwrap_or_default().as_bytes());
        assert_eq!(time.map(|time| time / 1_000_000), ocsf["time"].as_u64());
    }
    assert_eq!(ecs["event"]["hash"], ocsf["metadata"]["uid"]);
    assert_eq!(raw["id"], ocsf["metadata"]["uid"]);
    assert_eq!(ecs["organization"]["id"], ocsf["metadata"]["tenant_uid"]);
    assert_eq!(raw["tenant"], ocsf["metadata"]["tenant_uid"]);
    let mut agreed = 0;
    let whole = ocsf.to_string();
    for (kind, paths) in OBSERVED {
        let mut observed = BTreeSet::new();
        for observable in ocsf["observables"].as_array().into_iter().flatten() {
            if observable["type_id"] == kind {
                texts(observable.get("value"), &mut observed);
            }
        }
        let mut found = BTreeSet::new();
        paths.iter().for_each(|path| texts(ecs.pointer(path), &mut found));
        let missing: Vec<_> = observed.difference(&found).collect();
        assert!(missing.is_empty(), "{missing:?} is not in {paths:?}\n{ecs:#}\n{ocsf:#}");
        // What OCSF does not observe it holds all the same: an address that is none by its pattern, in `unmapped`.
        for text in found.difference(&observed) {
            let json = Value::from(text.as_str()).to_string();
            assert!(whole.contains(json.trim_matches('"')), "{text} is not in\n{ocsf:#}\n{record:#}");
            assert!(kind != 5 || !is_email(text.as_bytes()) || ocsf["class_uid"] != 4009, "{text} {ocsf:#}");
        }
        agreed += observed.len();
    }
    agreed
}

#[test]
fn the_forms_of_samples_agree() {
    let mut agreed = 0;
    for sample in samples::folders() {
        agreed += sample.records().iter().map(|record| agree(Generation::V2, &sample.origin, record)).sum::<usize>();
    }
    println!("{agreed} values");
    assert!(agreed == 0 || agreed > 200);
}

#[test]
fn the_forms_of_every_field_in_every_kind_agree() {
    let Some(shared) = shared() else { return };
    for ((generation, _), fields) in records::dictionary(&shared) {
        let mut record = records::record(&fields);
        record.retain(|field, _| !["type", "eventType"].contains(&field.as_str()));
        let generation = if generation == "1.0" { Generation::V1 } else { Generation::V2 };
        for kind in Kind::ALL {
            agree(generation, &origin(kind), &Value::Object(record.clone()));
        }
    }
}

#[test]
fn the_forms_of_golden_records_agree() {
    let mut agreed = 0;
    for (generation, kind, record) in golden::records() {
        agreed += agree(generation, &origin(kind), &record);
    }
    assert!(agreed > 100, "{agreed}");
}

#[test]
fn the_forms_of_audit_records_agree() {
    for record in records::audit() {
        agree(Generation::V2, &origin(Kind::Audit), &Value::Object(record));
    }
}
