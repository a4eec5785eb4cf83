//! The pictures in `docs/pictures`.

use std::path::PathBuf;

use mimecast_simulator::{Endpoint, Fault};

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

#[test]
#[ignore = "makes pictures: it proves nothing"]
fn pictures() {
    let Some(browser) = Browser::start() else { return };
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures");
    std::fs::create_dir_all(&folder).unwrap();
    let streams = "collect = [\"siem/receipt\", \"siem/delivery\", \"audit\", \"dlp\"]";
    let tenants = TENANTS.map(|id| (id, streams));
    let mut site = Site::with(&tenants, "", |tenant| sim::Tenant { events_per_day: BUSY, ..tenant });
    past(&site);
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
