//! One record of each kind and generation, and the event that it becomes, as files to read and to compare. `BLESS=1`
//! rewrites them.

use std::path::PathBuf;

use mimecast_source::{
    kind::{Generation, Kind},
    normalize::Origin,
};
use serde_json::Value;

use crate::{audit, event, judge, lists, records, siem};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/ocsf/golden"))
}

/// What is compared: a name, the record, its event.
fn cases(shared: &std::path::Path) -> Vec<(String, Value, Value)> {
    let mut cases: Vec<(String, Value, Value)> = Vec::new();
    let mut add = |generation: Generation,
                   kind: Kind,
                   origin: Origin<'static>,
                   record: serde_json::Map<String, Value>| {
        let record = Value::Object(record);
        let (_, body) = event(generation, &origin, &record);
        let number = if generation == Generation::V1 { "1.0" } else { "2.0" };
        let mut name = format!("{number}-{}", kind.name());
        if cases.iter().any(|(taken, ..)| *taken == name) {
            name =
                format!("{name}-{}", body["class_name"].as_str().unwrap_or_default().to_lowercase().replace(' ', "-"));
            if cases.iter().any(|(taken, ..)| *taken == name) {
                name = format!("{name}-2");
            }
        }
        cases.push((name, record, body));
    };
    for (kind, record) in records::api2(shared) {
        add(Generation::V2, kind, siem(None), record);
    }
    for (kind, record) in records::api1() {
        add(Generation::V1, kind, siem(Some(kind)), record);
    }
    for (generation, kind, record) in lists::records() {
        add(generation, kind, lists::origin(kind), record);
    }
    for generation in [Generation::V1, Generation::V2] {
        add(generation, Kind::Audit, audit(), records::audit().remove(0));
    }
    let unknown = serde_json::json!({"type": "brand new", "timestamp": 1_740_816_902_123_i64, "what": {"is": "this"}});
    add(Generation::V2, Kind::SiemOther, siem(None), unknown.as_object().cloned().unwrap_or_default());
    cases
}

#[test]
fn events_are_what_they_were() {
    let Some(shared) = judge::shared() else { return };
    let bless = std::env::var_os("BLESS").is_some();
    let mut names = Vec::new();
    for (name, record, event) in cases(&shared) {
        let text = format!("{:#}\n", serde_json::json!({ "record": record, "event": event }));
        let path = folder().join(format!("{name}.json"));
        if bless {
            std::fs::create_dir_all(folder()).expect("a folder");
            std::fs::write(&path, &text).expect("a file");
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(known == text, "{name} is not what it was; look at what changed with BLESS=1 and git diff");
        names.push(format!("{name}.json"));
    }
    let files = std::fs::read_dir(folder()).expect("a folder").flatten();
    let left = files.map(|file| file.file_name().to_string_lossy().into_owned()).filter(|file| !names.contains(file));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new(), "files of no case");
    for kind in Kind::ALL {
        assert!(names.iter().any(|name| name[4..].starts_with(kind.name())), "{kind:?} has no case");
    }
}
