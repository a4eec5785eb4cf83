//! What goes wrong while a stream is read, and with the position that it was left at.

use mimecast_source::code::Code;
use serde_json::json;
use tributary_tests::guest::API;
use wasmtime_wasi_http::Error as WasiError;

use crate::component::Case;
use crate::scripted::{Asked, Said, Trial, said};

/// A listing with these files and a token.
fn listing(files: &[&str]) -> Said {
    let files: Vec<_> = files.iter().map(|file| json!({ "url": format!("{API}/files/{file}"), "size": 1 })).collect();
    said(200, json!({ "value": files, "@nextPage": "A==", "isCaughtUp": false }).to_string())
}

fn is_file(asked: &Asked) -> bool {
    asked.path.starts_with("/files/")
}

/// Ten records.
fn file() -> String {
    (0..10)
        .map(|n| format!("{{\"type\":\"receipt\",\"timestamp\":{},\"n\":\"{n}\"}}\n", 1_772_971_000_000_u64 + n))
        .collect()
}

/// The receipt log, whose file is answered like this.
fn receipt(mut answer: impl FnMut(&Asked) -> Said + Send + 'static) -> Trial {
    Trial::v2(move |asked| if is_file(asked) { answer(asked) } else { listing(&["a.json.gz"]) }).reads("siem/receipt")
}

fn listed(body: &'static str) -> Trial {
    Trial::v2(move |_| said(200, body)).reads("siem/receipt")
}

fn dlp(body: impl ToString) -> Trial {
    let body = body.to_string();
    Trial::v2(move |_| said(200, body.clone())).reads("dlp")
}

fn rows(next: Option<&str>) -> String {
    json!({ "meta": { "status": 200, "pagination": { "pageSize": 0, "next": next } }, "data": [], "fail": [] })
        .to_string()
}

/// The beginning of a ZIP archive with one member that is stored as it is.
fn archive() -> Vec<u8> {
    let name = b"receipt_20260308110000000.json";
    let mut bytes = b"PK\x03\x04\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00".to_vec();
    for size in [5_000_u32, 5_000] {
        bytes.extend(size.to_le_bytes());
    }
    bytes.extend((name.len() as u16).to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(name);
    bytes.extend(b"{\"type\":\"MTA\",\"data\":[");
    bytes
}

pub async fn cases() -> Vec<Case> {
    [pages(), files().await, positions().await].into_iter().flatten().collect()
}

fn pages() -> Vec<Case> {
    vec![
        (Code::BadPage, listed("{}"), "A page has a form that is not known."),
        (Code::BadPage, dlp(r#"{"data":5}"#), ""),
        (
            Code::BadPage,
            Trial::v2(|_| said(200, r#"{"value":5}"#)).with(json!({"siem_mode": "stream"})).reads("siem/events"),
            "",
        ),
        (Code::BadPage, Trial::v2(|_| said(200, r#"{"data":[{"a":5}]}"#)).reads("threat_intel/grid"), ""),
        (
            Code::BadFileUrl,
            listed(r#"{"value":[{"url":"http://files.example/a"}],"@nextPage":"A==","isCaughtUp":true}"#),
            "A listing names a file at an address that cannot be asked without risk.",
        ),
        (
            Code::InvalidRequest,
            listed(r#"{"value":[{"url":"http://127.0.0.1:1/\"<>"}],"@nextPage":"A==","isCaughtUp":true}"#),
            "An address or a header cannot be sent as it is.",
        ),
        (
            Code::TokenTooLong,
            dlp(rows(Some(&"x".repeat(9_000)))),
            "The token of the next page is longer than any known one.",
        ),
        (
            Code::PageTokenRepeats,
            dlp(rows(Some("again"))),
            "Mimecast's pages of a window go round in a circle, or are all empty.",
        ),
    ]
}

async fn files() -> Vec<Case> {
    let breaks = |_: &Asked| Said::Broken(Vec::new(), b"{\"type\":\"rec".to_vec(), WasiError::HttpResponseIncomplete);
    let page =
        |_: &Asked| Said::Answer(200, vec![("content-type", "text/html".into())], "<html>Please sign in</html>".into());
    let begun = Trial { events: 4, ..receipt(|_| said(200, file())) }.position().await;
    let headers = || vec![("content-type", "application/octet-stream".to_owned()), ("mc-siem-token", "C".to_owned())];
    let cut = move |_: &Asked| Said::Broken(headers(), archive(), WasiError::HttpResponseIncomplete);
    vec![
        (Code::FileBreaksOff, receipt(breaks), "A file never comes whole: the connection breaks off each time."),
        (Code::ArchiveBreaksOff, Trial::v1(cut).reads("siem"), "The same for an archive of API 1.0."),
        (
            Code::FileGone,
            receipt(|_| said(404, "")),
            "A file that Mimecast lists cannot be fetched: it is gone, or something keeps the collector from the file store.",
        ),
        (
            Code::FileNotListed,
            Trial::v2(|_| said(200, r#"{"value":[],"@nextPage":"A==","isCaughtUp":false}"#))
                .reads("siem/receipt")
                .from(begun),
            "A file was read in part, and Mimecast lists it no longer.",
        ),
        (Code::NotAFile, receipt(page), "Where a file should be, a web page answers: a proxy or a portal."),
        (Code::Http(503), receipt(|_| said(503, "")), "The file store is in trouble, or answers what it never does."),
        (Code::Http(418), receipt(|_| said(418, "")), ""),
    ]
}

async fn positions() -> Vec<Case> {
    let caught_up = |asked: &Asked| match (is_file(asked), asked.query.contains("nextPage")) {
        (true, _) => said(200, file()),
        (false, true) => said(200, r#"{"value":[],"@nextPage":"A==","isCaughtUp":true}"#),
        (false, false) => listing(&["a.json.gz"]),
    };
    let read = Trial::v2(caught_up).reads("siem/receipt").position().await;
    let audit = Trial::v2(|_| said(200, rows(None))).reads("audit").position().await;
    let from = |position: &[u8]| Trial::v2(|_| said(500, "")).reads("audit").from(position);
    vec![
        (
            Code::TokenRefused,
            Trial::v2(|_| said(400, "")).reads("siem/receipt").from(read).later(30),
            "Mimecast no longer takes the token of where the stream was, and does not keep the log as far back as that.",
        ),
        (
            Code::TooOld,
            from(&audit).later(90),
            "The stream was read last so long ago that Mimecast no longer has all of it.",
        ),
        (Code::BadPosition, from(b"{}"), "What is stored of the stream cannot be read."),
        (Code::NewerPosition, from(br#"{"v":99,"stream":"audit"}"#), "A newer release has written what is stored."),
        (Code::ForeignPosition, from(br#"{"v":1,"stream":"dlp"}"#), "What is stored belongs to another stream."),
    ]
}
