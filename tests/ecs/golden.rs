//! One record of each kind and generation, and what becomes of it. `BLESS=1` rewrites the files.

use std::{fs, path::PathBuf};

use mimecast_source::{
    kind::{Generation, Kind},
    normalize::{Form, Settings},
};
use serde_json::Value;

use crate::{judge, normalized, origin, settings};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/ecs/golden"))
}

/// The records of `golden/records/<generation>/<kind>.json`, made up for these tests.
pub fn records() -> Vec<(Generation, Kind, Value)> {
    let mut found = Vec::new();
    for (generation, name) in [(Generation::V1, "1.0"), (Generation::V2, "2.0")] {
        for kind in Kind::ALL {
            let path = folder().join("records").join(name).join(format!("{}.json", kind.name()));
            if let Ok(text) = fs::read_to_string(&path) {
                let record = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                found.push((generation, kind, record));
            }
        }
    }
    found
}

fn check(form: Form, name: &str, change: impl Fn(Settings) -> Settings) {
    let bless = std::env::var_os("BLESS").is_some();
    let mut stale = Vec::new();
    for (generation, kind, record) in records() {
        let text = serde_json::to_vec(&record).expect("a value is JSON");
        let (head, body) = normalized(change(settings(form, generation)), &origin(kind), &text).expect("a record");
        assert_eq!(Kind::ALL[head.kind as usize], kind);
        if form == Form::Ecs {
            assert_eq!(judge::complaints(&body).unwrap_or_default(), Vec::<String>::new(), "{body:#}");
        }
        let own = format!("{body:#}\n");
        let generation = if generation == Generation::V1 { "1.0" } else { "2.0" };
        let path = folder().join(name).join(generation).join(format!("{}.json", kind.name()));
        if bless {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(&path, own).expect("written");
        } else if fs::read_to_string(&path).ok().as_deref() != Some(&own) {
            stale.push(format!("{}\n{own}", path.display()));
        }
    }
    assert!(stale.is_empty(), "{} files differ; BLESS=1 rewrites them\n{}", stale.len(), stale[0]);
}

#[test]
fn ecs_events_are_as_they_were() {
    check(Form::Ecs, "ecs", |settings| settings);
}

#[test]
fn raw_events_are_as_they_were() {
    check(Form::Raw, "raw", |settings| settings);
}

#[test]
fn every_kind_has_a_record() {
    let records = records();
    for kind in Kind::ALL {
        assert!(records.iter().any(|(of, own, _)| *of == Generation::V2 && *own == kind), "{kind:?}");
    }
    assert_eq!(records.iter().filter(|(of, ..)| *of == Generation::V1).count(), 20);
}
