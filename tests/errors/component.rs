//! Every code of the component, provoked.

use std::collections::BTreeSet;

use mimecast_source::code::Code;
use serde_json::{Value, json};
use tributary_host::sandbox::FaultClass;

use crate::row::{Row, SECRET, show};
use crate::scripted::{Trial, said};

/// A code, how it comes about, and what it means. With no meaning it is another way to the code before.
pub type Case = (Code, Trial, &'static str);

fn v2(keys: Value) -> Trial {
    Trial::v2(|_| said(500, "")).with(keys)
}

fn v1(keys: Value) -> Trial {
    Trial::v1(|_| said(500, "")).with(keys)
}

/// What an operator writes.
pub fn settings() -> Vec<Case> {
    let mut text = v2(json!({}));
    text.settings = json!([]);
    let pasted = format!("{SECRET} {SECRET}");
    vec![
        (Code::BadJson, text, "The source's configuration is no table of keys."),
        (Code::UnknownKey, v2(json!({ "client_key": "x" })), "The source has no key of that name."),
        (Code::UnknownKey, v2(json!({ "colour": "x" })), ""),
        (Code::WrongType, v2(json!({ "client_id": 5 })), "A value is of another type than the key takes."),
        (Code::WrongType, v2(json!({ "insecure_http": "perhaps" })), ""),
        (Code::WrongType, v2(json!({ "collect": 5 })), ""),
        (Code::WrongType, v2(json!({ "intervals": 5 })), ""),
        (Code::WrongType, v2(json!({ "fields": 5 })), ""),
        (
            Code::MissingKey,
            v2(json!({ "client_secret": null })),
            "A key that this generation of the API needs is not set, or the variable behind it is empty.",
        ),
        (Code::MissingKey, v1(json!({ "access_key": null })), ""),
        (Code::MissingKey, v1(json!({ "base_url": null, "insecure_http": null })), ""),
        (Code::BadValue, v2(json!({ "output": "xml" })), "A value is none of those that the key takes."),
        (Code::BadValue, v2(json!({ "api": "3.0" })), ""),
        (Code::BadValue, v2(json!({ "region": "us" })), ""),
        (Code::BadValue, v2(json!({ "labels": ["x"] })), ""),
        (Code::BadValue, v2(json!({ "category": "" })), ""),
        (Code::BadValue, v2(json!({ "siem_mode": "x" })), ""),
        (Code::BadValue, v2(json!({ "collect": [] })), ""),
        (Code::BadValue, v2(json!({ "collect": ["siem/events"] })), ""),
        (Code::BadValue, v2(json!({ "intervals": { "audit": "x" } })), ""),
        (Code::BadValue, v2(json!({ "overlaps": { "audit": "9000h" } })), ""),
        (Code::BadValue, v2(json!({ "overlaps": { "siem/receipt": "1h" } })), ""),
        (Code::BadValue, v2(json!({ "page_sizes": { "audit": 0 } })), ""),
        (Code::BadValue, v2(json!({ "page_sizes": { "threat_intel": 5 } })), ""),
        (
            Code::BadSecret,
            v2(json!({ "client_secret": pasted })),
            "A key or secret cannot be right: it was copied with something else, or not whole.",
        ),
        (Code::BadSecret, v1(json!({ "secret_key": SECRET })), ""),
        (
            Code::BadBaseUrl,
            v2(json!({ "base_url": "http://api.example" })),
            "`base_url` is no address that may be asked: it is https://host and no more.",
        ),
        (
            Code::BadBaseUrl,
            v2(json!({ "base_url": format!("https://user:{SECRET}@a.example"), "insecure_http": null })),
            "",
        ),
        (Code::BadBaseUrl, v2(json!({ "base_url": "https://a.example/path", "insecure_http": null })), ""),
        (Code::BadBaseUrl, v2(json!({ "base_url": "https://a.example?query", "insecure_http": null })), ""),
        (Code::BadBaseUrl, v2(json!({ "base_url": "nowhere", "insecure_http": null })), ""),
        (Code::BadBaseUrl, v2(json!({ "base_url": "https://a.example" })), ""),
        (Code::BadBaseUrl, v2(json!({ "base_url": "ftp://a.example" })), ""),
        (Code::BadBaseUrl, v2(json!({ "base_url": null })), ""),
        (Code::BadStart, v2(json!({ "start_at": "yesterday" })), "`start_at` is neither a duration nor a time."),
        (
            Code::UnknownRegion,
            v1(json!({ "region": "uk", "base_url": null, "insecure_http": null })),
            "`region` is none of this generation's. The two generations have other regions.",
        ),
        (Code::UnknownRegion, v2(json!({ "region": "eu", "base_url": null, "insecure_http": null })), ""),
        (Code::UnknownStream, v2(json!({ "collect": ["mail"] })), "There is no stream or group of that name."),
        (Code::UnknownStream, v2(json!({ "page_sizes": { "mail": 5 } })), ""),
        (Code::UnknownStream, v2(json!({})).reads("siem"), ""),
        (
            Code::WrongGeneration,
            v2(json!({ "access_key": SECRET })),
            "Keys, address or options of API 1.0 are set together with those of API 2.0. An application of one generation is \
             not known to the other.",
        ),
        (Code::WrongGeneration, v1(json!({ "client_id": SECRET })), ""),
        (Code::WrongGeneration, v1(json!({ "siem_mode": "batch" })), ""),
        (Code::WrongGeneration, v1(json!({ "collect": ["rejections"] })), ""),
        (Code::WrongGeneration, v2(json!({ "base_url": "https://eu-api.mimecast.com", "insecure_http": null })), ""),
        (
            Code::WrongGeneration,
            v1(json!({ "base_url": "https://api.services.mimecast.com", "insecure_http": null })),
            "",
        ),
    ]
}

/// What each of the cases gives.
pub async fn rows(cases: Vec<Case>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (code, trial, means) in cases {
        let (row, _) = trial.row(means).await;
        assert_eq!(row.code, code.text(), "{row:?}");
        rows.push(row);
    }
    rows
}

/// The names of what the host does about a fault.
fn class(class: FaultClass) -> &'static str {
    match class {
        FaultClass::Configuration => "configuration",
        FaultClass::Credentials => "credentials",
        FaultClass::NotEntitled => "not entitled",
        FaultClass::SessionExpired => "session expired",
        FaultClass::Throttled(_) => "throttled",
        FaultClass::Unavailable => "unavailable",
        FaultClass::PositionLost => "position lost",
        FaultClass::Protocol => "protocol",
    }
}

#[tokio::test(start_paused = true)]
async fn every_code_of_the_component_is_provoked_and_says_what_to_do() {
    let (mut classes, mut codes, mut rows, mut others) = (BTreeSet::new(), BTreeSet::new(), Vec::new(), Vec::new());
    let reading = crate::reading::cases().await;
    for (code, trial, means) in settings().into_iter().chain(crate::vendor::cases()).chain(reading) {
        let (row, fault) = trial.row(means).await;
        if row.code != code.text() {
            others.push(format!("{code}: {row:?}"));
        }
        codes.insert(fault.code.clone());
        classes.insert(class(fault.class));
        rows.push(Row { code: format!("{}/{}", class(fault.class), row.code), ..row });
    }
    for row in crate::vendor::elsewhere() {
        codes.insert(row.code.clone());
        rows.push(row);
    }
    assert!(others.is_empty(), "another code came: {others:#?}");
    show("The component: class/code | where | what | next step", &rows);
    let all: BTreeSet<String> = Code::ALL.iter().map(|code| code.text().into_owned()).collect();
    let missing: Vec<&String> = all.difference(&codes).collect();
    assert!(missing.is_empty(), "no case provokes {missing:?}");
    let statuses = codes.iter().filter(|code| !all.contains(*code)).count();
    assert!(statuses > 12, "{codes:?}");
    assert_eq!(classes.len(), 8, "{classes:?}");
}
