//! The list of many tenants: filter, pages, order.

use mimecast_simulator::{Endpoint, Fault};

use crate::browser::Browser;
use crate::site::Site;

#[test]
fn filter_and_pages() {
    let Some(browser) = Browser::start() else { return };
    let ids: Vec<String> = (0..130).map(|number| format!("tenant-{number:03}")).collect();
    let tenants: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "collect = [\"audit\"]")).collect();
    let mut site = Site::new(&tenants);
    site.inject("tenant-111", Fault::InvalidClientIdentifier { at: Endpoint::Token });
    site.run();
    site.sign_in(&browser, "/");
    assert_eq!(browser.text("#figure-tenants dd"), "130");
    // Trouble comes first, whatever its name is.
    browser.until("document.querySelector('tbody tr').id === 'row-tenant-111'");
    assert_eq!((browser.count(".list tbody tr"), browser.text("#range")), (100, "1–100 of 130 sources".to_owned()));
    browser.click("#next");
    browser.until_text("#range", "101–130 of 130");
    assert_eq!((browser.count(".list tbody tr"), browser.count("#next")), (30, 0));
    browser.click("#previous");
    browser.until_text("#range", "1–100 of 130");

    // What is typed takes effect, without a click, and the page can be kept.
    browser.type_in("#q", "TENANT-04");
    browser.until_text("#range", "1–10 of 10");
    assert_eq!(browser.get("location.search"), "?q=TENANT-04");
    assert_eq!(browser.get("document.activeElement.id"), "q");
    assert_eq!(browser.get("document.querySelector('#q').value"), "TENANT-04");
    browser.run(
        "const state = document.querySelector('#state'); state.value = 'failed'; \
         state.dispatchEvent(new Event('input', { bubbles: true }));",
    );
    browser.until_text("#empty", "Nothing fits");
    browser.type_in("#q", "tenant-11");
    browser.until_text("#range", "1–1 of 1");
    assert_eq!(browser.get("document.querySelector('.list tbody tr').id"), "row-tenant-111");
    browser.open(&site.url("/?q=tenant-11&state=failed"));
    browser.until_text("#range", "1–1 of 1");
    assert_eq!(browser.get("document.querySelector('#state').value"), "failed");

    // By stream, from the legend.
    browser.click("#legend-failed a");
    browser.until_text("#range", "1–1 of 1 streams");
    assert!(browser.text(".list tbody tr").contains("audit"));
    browser.open(&site.url("/?sort=tenant"));
    assert_eq!(browser.get("document.querySelector('.list tbody tr').id"), "row-tenant-000");
    assert_eq!(browser.get("document.querySelector('th[aria-sort]').innerText.trim().startsWith('Tenant')"), true);

    // On a narrow screen nothing is cut off.
    browser.set_size(360, 740);
    browser.open(&site.url("/"));
    browser.until_text("#range", "1–100");
    assert_eq!(browser.get("document.documentElement.scrollWidth <= innerWidth"), true);
    browser.open(&site.url("/sources/tenant-111"));
    browser.until_text("h1", "tenant-111");
    assert_eq!(browser.get("document.documentElement.scrollWidth <= innerWidth"), true);
    browser.assert_quiet(&site.origin);
}
