//! The pictures in `docs/pictures`.

use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, Utc};
use mimecast_simulator as sim;
use mimecast_simulator::{Endpoint, Fault};
use serde_json::json;
use tributary_host::outside::Clock;
use tributary_host::state::{HealthRow, Store};

use crate::browser::Browser;
use crate::site::Site;

const TENANTS: [&str; 14] = [
    "acme",
    "borealis",
    "contoso",
    "duff",
    "ember",
    "fabrikam",
    "globex",
    "hooli",
    "initech",
    "juniper",
    "kestrel",
    "lumen",
    "massive-dynamic",
    "northwind",
];

/// SIEM records a day of each tenant.
const BUSY: u64 = 60_000;

/// What a source has gone through, in minutes before now: stream, event, state.
const PAST: [(u64, &str, &str, &str); 14] = [
    (1_400, "audit", "StateChange", "collecting"),
    (1_400, "dlp", "StateChange", "collecting"),
    (1_400, "siem/delivery", "StateChange", "collecting"),
    (1_400, "siem/receipt", "StateChange", "collecting"),
    (1_130, "siem/receipt", "ThirdPartyGenericError", ""),
    (1_090, "siem/receipt", "Cleared", ""),
    (720, "siem/delivery", "ThirdPartyGenericError", ""),
    (720, "siem/receipt", "ThirdPartyGenericError", ""),
    (640, "siem/receipt", "StateChange", "error"),
    (600, "siem/receipt", "StateChange", "collecting"),
    (600, "siem/delivery", "Cleared", ""),
    (300, "dlp", "ThirdPartyGenericError", ""),
    (280, "dlp", "Cleared", ""),
    (12, "audit", "ThirdPartyGenericError", ""),
];

/// Milliseconds since the Unix epoch, as health events have them.
fn time(ms: u64) -> String {
    DateTime::<Utc>::from_timestamp_millis(ms as i64).unwrap().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Leaves it in the state, as a host that ran for a day would have.
fn past(site: &Site, source: &str) {
    let state = site.folder.path().join("state");
    std::fs::create_dir_all(&state).unwrap();
    let now = Clock::System.millis();
    let rows = PAST.map(|(minutes, stream, event, state)| {
        let mut told = json!({
            "time": time(now - minutes * 60_000), "id": "0", "kind": "health", "event": event,
            "severity": if event.ends_with("Error") || state == "error" { "medium" } else { "informational" },
            "tenant": source, "source": source, "stream": stream,
            "message": match event {
                "Cleared" => "it is read again, after http-503".to_owned(),
                "StateChange" => format!("the stream goes to {state}"),
                _ => "api.example.com answered 503, with an empty body".to_owned(),
            },
        });
        if !state.is_empty() {
            told["state"] = state.into();
        }
        HealthRow { source: source.into(), json: told.to_string().into() }
    });
    Store::open(&state).unwrap().keep_health(&rows).unwrap();
}

#[test]
#[ignore = "makes pictures: it proves nothing"]
fn pictures() {
    let Some(browser) = Browser::start() else { return };
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures");
    std::fs::create_dir_all(&folder).unwrap();
    let streams = "collect = [\"siem/receipt\", \"siem/delivery\", \"audit\", \"dlp\"]";
    let tenants = TENANTS.map(|id| (id, streams));
    let mut site = Site::with(&tenants, "", |tenant| sim::Tenant { events_per_day: BUSY, ..tenant });
    past(&site, "initech");
    site.inject("globex", Fault::InvalidClientIdentifier { at: Endpoint::Token });
    site.inject("kestrel", Fault::Status { at: Endpoint::Audit, status: 503 });
    site.run();
    site.sign_in(&browser, "/");
    browser.until_text("#row-globex", "Error");
    browser.until_text("#row-kestrel", "Retrying");
    browser.until("document.querySelectorAll('tr.starting').length === 0");
    // Something to look back at.
    site.inject("initech", Fault::Forbidden { at: Endpoint::Audit, kind: None });
    assert_eq!(site.status("POST /v1/sources/initech/restart", ""), Some(200));
    browser.until_text("#row-initech", "Error");
    browser.open(&site.url("/sources/initech"));
    browser.click("#check");
    browser.until_text("#outcome", "The check found trouble");
    for scheme in ["light", "dark"] {
        browser.set_scheme(scheme);
        for (name, path, (width, height)) in
            [("list", "/", (1280, 860)), ("source", "/sources/initech", (1280, 1250)), ("narrow", "/", (390, 800))]
        {
            browser.set_size(width, height);
            browser.open(&site.url(path));
            browser.until("document.querySelector('main h1')");
            browser.picture(&folder.join(format!("{name}-{scheme}.png")));
        }
    }
}
