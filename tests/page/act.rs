//! Signing in, what changes while somebody looks, and the buttons.

use mimecast_simulator::{Endpoint, Fault};

use crate::browser::Browser;
use crate::site::{Site, TOKEN};

const AUDIT: &str = "collect = [\"audit\"]";

#[test]
fn a_wrong_token_is_refused_and_the_right_one_passes() {
    let Some(browser) = Browser::start() else { return };
    let mut site = Site::new(&[("acme", AUDIT)]);
    site.run();
    browser.open(&site.url("/sources/acme"));
    assert_eq!(browser.text("h1"), "Sign in");
    assert!(!browser.text("body").contains("acme"));
    // The keyboard is where it is needed.
    assert_eq!(browser.get("document.activeElement.id"), "token");
    browser.press("wrong-token\u{e007}");
    browser.until_text("[role=alert]", "This is not the token");
    assert_eq!(browser.get("document.cookie"), "");
    assert_eq!(browser.text("h1"), "Sign in");
    browser.type_in("#token", TOKEN);
    browser.click("form button");
    // It goes on to what was asked for.
    browser.until_text("h1", "acme");
    assert_eq!(browser.get("location.pathname"), "/sources/acme");
    // No script reads what opens the page.
    assert_eq!(browser.get("document.cookie"), "");
    let _ = browser.console();
    browser.open(&site.url("/"));
    browser.until_text("#row-acme", "acme");
    browser.assert_quiet(&site.origin);

    browser.click("header form button");
    browser.until_text("h1", "Sign in");
    browser.open(&site.url("/"));
    assert_eq!(browser.text("h1"), "Sign in");
}

#[test]
fn states_change_live_and_check_and_restart_work() {
    let Some(browser) = Browser::start() else { return };
    let mut site = Site::new(&[("acme", AUDIT), ("globex", AUDIT)]);
    site.run();
    site.sign_in(&browser, "/");
    browser.until_text("#row-acme", "Collecting");
    browser.until_text("#row-globex", "Collecting");
    // What is at hand stays at hand while the page is renewed.
    assert_eq!(browser.get("document.querySelector('tbody tr').id"), "row-acme", "by name");
    browser.run("document.querySelector('#row-acme a').focus(); window.stays = document.querySelector('#row-acme');");

    // The vendor takes a right away. Somebody looks, and does nothing.
    site.inject("globex", Fault::Forbidden { at: Endpoint::Audit, kind: None });
    assert_eq!(site.status("POST /v1/sources/globex/restart", ""), Some(200));
    browser.until_text("#row-globex", "Error");
    browser.until_text("#figure-trouble", "1");
    assert_eq!(browser.get("document.querySelector('tbody tr').id"), "row-globex", "trouble comes first");
    assert_eq!(browser.get("document.activeElement.textContent"), "acme");
    assert_eq!(browser.get("window.stays.isConnected"), true);
    assert!(browser.get("document.title").as_str().unwrap().starts_with("(1) "));

    // One click shows why, what to do, and what happened.
    browser.click("#row-globex a");
    browser.until_text(".alert", "Next step");
    assert!(browser.text(".alert").contains("app_forbidden"), "{}", browser.text(".alert"));
    assert!(browser.text(".events").contains("Next step"), "{}", browser.text(".events"));
    assert!(browser.count("#strip-audit rect.failed") + browser.count("#strip-audit rect.unlicensed") >= 1);
    assert!(browser.text("#last-check").contains("None since the host began"));

    browser.click("#check");
    browser.until_text("#outcome", "The check found trouble: 1 of 2");
    assert!(browser.text("#last-check").contains("Refused") && browser.text("#last-check").contains("Next step"));
    browser.until_text("#check", "Check");
    assert!(browser.text("#stream-audit").contains("Not licensed"), "{}", browser.text("#stream-audit"));

    // It is mended: a good check clears the error, and the page says so by itself.
    site.clear("globex");
    browser.click("#check");
    browser.until_text("#outcome", "all well; what was given up is tried again");
    browser.until_text("#stream-audit", "Collecting");
    browser.until("document.querySelectorAll('.alert').length === 0");

    // Where it goes on is told to who asks, and what is unfolded stays so while the page is renewed.
    browser.click(".position summary");
    assert!(browser.text(".position code").contains("audit") || browser.text(".position code").contains('{'));
    // Restart, by the keyboard.
    let polls = "Number(document.querySelector('#stream-audit td:nth-of-type(7)').textContent)";
    let before = browser.get(polls).as_f64().unwrap();
    browser.run("document.querySelector('#restart').focus(); scrollTo(0, 40);");
    browser.press("\u{e007}");
    browser.until_text("#outcome", "All streams begin anew");
    browser.until(&format!("{polls} > {before}"));
    assert_eq!(browser.get("document.querySelector('.position').open"), true);
    assert_eq!(browser.get("document.activeElement.id"), "restart");
    assert_eq!(browser.get("scrollY"), 40);
    assert_eq!(browser.get("location.search"), "");
    browser.assert_quiet(&site.origin);
}

#[test]
fn a_slow_host_is_shown_and_a_silent_one_is_told() {
    let Some(browser) = Browser::start() else { return };
    let mut site = Site::new(&[("acme", AUDIT)]);
    site.run();
    site.sign_in(&browser, "/");
    browser.until_text("#row-acme", "Collecting");
    // Each answer takes longer than the page waits before it asks again.
    browser.run(
        "window.real = window.fetch; window.fetch = (...all) => \
         new Promise((go) => setTimeout(go, 4000)).then(() => window.real(...all));",
    );
    site.inject("acme", Fault::Forbidden { at: Endpoint::Audit, kind: None });
    assert_eq!(site.status("POST /v1/sources/acme/restart", ""), Some(200));
    browser.until_text("#row-acme", "Error");
    // None comes at all, until whoever asked gives up.
    browser.run(
        "window.fetch = (_, options) => new Promise((_, fail) => \
         options.signal?.addEventListener('abort', () => fail(options.signal.reason)));",
    );
    browser.until_text("#link", "The host does not answer");
    // And then it does again.
    browser.run("window.fetch = window.real;");
    browser.until("document.querySelector('#link').textContent === ''");
    browser.assert_quiet(&site.origin);
}

#[test]
fn the_buttons_work_without_the_script() {
    let Some(browser) = Browser::start() else { return };
    let mut site = Site::new(&[("acme", AUDIT)]);
    site.run();
    site.sign_in(&browser, "/sources/acme");
    browser.devtools("Emulation.setScriptExecutionDisabled", &serde_json::json!({ "value": true }));
    browser.open(&site.url("/sources/acme"));
    browser.click("#check");
    browser.devtools("Emulation.setScriptExecutionDisabled", &serde_json::json!({ "value": false }));
    browser.until_text("#outcome", "The check found all well");
    assert_eq!(browser.get("location.search"), "?did=check");
    assert_eq!(browser.console(), [""; 0]);
}
