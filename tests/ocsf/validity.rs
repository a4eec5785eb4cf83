//! The schema judge, over every record that there is.

use mimecast_source::kind::{Generation, Kind};
use serde_json::{Value, json};

use crate::{audit, event, events, judge, lists, normalize, records, siem};

fn assert_valid(shared: &std::path::Path, event: &Value) {
    let complaints = judge::complaints(shared, event);
    assert!(complaints.is_empty(), "{complaints:#?}\n{event:#}");
}

#[test]
fn every_made_up_record_is_valid() {
    let Some(shared) = judge::shared() else { return };
    for (kind, record) in records::api2(&shared) {
        let (head, body) = event(Generation::V2, &siem(None), &Value::Object(record));
        assert_eq!(head.kind, kind as u32);
        assert_valid(&shared, &body);
    }
    for (kind, record) in records::api1() {
        for told in [Some(kind), None] {
            let (head, body) = event(Generation::V1, &siem(told), &Value::Object(record.clone()));
            assert_eq!(head.kind, kind as u32, "{kind:?}");
            assert_eq!(head.time, 1_740_816_902_000_000_000);
            assert_valid(&shared, &body);
        }
    }
    for (generation, kind, record) in lists::records() {
        let (head, body) = event(generation, &lists::origin(kind), &Value::Object(record));
        assert_eq!(head.kind, kind as u32, "{kind:?}");
        assert_eq!(head.time / 1_000_000_000, 1_740_816_902, "{kind:?}");
        assert_valid(&shared, &body);
    }
    for record in records::audit() {
        let (head, body) = event(Generation::V2, &audit(), &Value::Object(record));
        assert_eq!(head.kind, Kind::Audit as u32);
        assert_valid(&shared, &body);
    }
}

#[test]
fn every_field_of_either_generation_in_every_kind_is_valid() {
    let Some(shared) = judge::shared() else { return };
    let streams = records::dictionary(&shared);
    let mut all2: Vec<String> =
        streams.iter().filter(|((_, stream), _)| stream.starts_with("siem/")).flat_map(|(_, f)| f.clone()).collect();
    all2.retain(|field| !["type", "eventType"].contains(&field.as_str()));
    let all1 = &streams[&("1.0".to_owned(), "siem".to_owned())];
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Audit) {
        let (head, body) = event(Generation::V2, &siem(Some(kind)), &Value::Object(records::record(&all2)));
        assert_eq!(head.kind, kind as u32);
        assert_valid(&shared, &body);
        let (_, body) = event(Generation::V1, &siem(Some(kind)), &Value::Object(records::record(all1)));
        assert_valid(&shared, &body);
    }
}

#[test]
fn every_public_sample_is_valid() {
    let Some(shared) = judge::shared() else { return };
    for (kind, lines) in samples(&shared) {
        let texts: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        let origin = kind.map_or_else(|| siem(None), lists::origin);
        let chunk = normalize(Generation::V2, &origin, &texts);
        assert_eq!(chunk.malformed, []);
        for (head, body) in events(&chunk) {
            assert_valid(&shared, &body);
            assert_ne!(head.kind, Kind::SiemOther as u32);
            assert_ne!(head.time, 0);
        }
        println!("{} samples are valid", lines.len());
    }
}

/// Other people's records by stream, one a line; the SIEM logs tell their kind themselves.
pub fn samples(shared: &std::path::Path) -> Vec<(Option<Kind>, Vec<String>)> {
    let folder = shared.join("samples/elastic-v2");
    let streams = [
        ("siem_logs", None),
        ("cloud_integrated_logs", None),
        ("dlp_logs", Some(Kind::Dlp)),
        ("ttp_url_logs", Some(Kind::TtpUrl)),
        ("archive_search_logs", Some(Kind::ArchiveSearch)),
    ];
    let read = |(stream, kind): (&str, Option<Kind>)| {
        let files = std::fs::read_dir(folder.join(stream)).ok()?.flatten().map(|entry| entry.path());
        let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        let texts = logs.map(|path| std::fs::read_to_string(path).expect("a sample is UTF-8"));
        // Two of the lines are an answer without records.
        let lines: Vec<String> = texts
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter(|line| !line.is_empty() && !line.starts_with("{\"meta\""))
            .collect();
        Some((kind, lines))
    };
    let found: Vec<_> = streams.into_iter().filter_map(read).collect();
    if found.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "no samples under {}", folder.display());
        println!("skipped: no samples under {}", folder.display());
    }
    found
}

#[test]
fn a_record_without_any_address_is_an_email_to_nobody() {
    let Some(shared) = judge::shared() else { return };
    for kind in [Kind::Receipt, Kind::Process, Kind::Delivery, Kind::Journal, Kind::Spam] {
        let (_, body) = event(Generation::V2, &siem(Some(kind)), &json!({"timestamp": 1_740_816_902_123_i64}));
        assert_eq!(body["email"]["to"], json!([]));
        assert_eq!(body["direction_id"], 0);
        assert_valid(&shared, &body);
    }
}

/// A judge that accepts everything would prove nothing.
#[test]
fn the_judge_refuses_what_is_wrong() {
    let Some(shared) = judge::shared() else { return };
    let record = records::api2(&shared).into_iter().find(|(kind, _)| *kind == Kind::Receipt).expect("a receipt").1;
    let (_, good) = event(Generation::V2, &siem(None), &Value::Object(record));
    assert_valid(&shared, &good);
    let mutations: [fn(&mut Value); 10] = [
        |event| event["no_such_attribute"] = json!(1),
        |event| event["severity_id"] = json!(42),
        |event| drop(event.as_object_mut().and_then(|event| event.remove("email"))),
        |event| event["type_uid"] = json!(400_901),
        |event| event["from"] = json!("<>"),
        |event| event["time"] = json!("yesterday"),
        |event| event["email"] = json!({"subject": "x"}),
        |event| event["src_endpoint"]["ip"] = json!("Internal IP"),
        |event| event["severity"] = json!("Fatal"),
        |event| drop(event["metadata"].as_object_mut().and_then(|metadata| metadata.remove("profiles"))),
    ];
    for (number, mutate) in mutations.into_iter().enumerate() {
        let mut bad = good.clone();
        mutate(&mut bad);
        assert!(!judge::complaints(&shared, &bad).is_empty(), "mutation {number} was accepted");
    }
}
