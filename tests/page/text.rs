//! What others have written stays text.

use serde_json::json;
use tributary_host::state::{HealthRow, Store};

use crate::browser::Browser;
use crate::site::Site;

const WICKED: &str = "<script>window.owned = 1</script><img src=x onerror='window.owned = 2'>";

#[test]
fn planted_markup_stays_text() {
    let Some(browser) = Browser::start() else { return };
    let keys = format!("collect = [\"audit\"]\ntenant = \"{WICKED}\"");
    let mut site = Site::new(&[("acme", &keys)]);
    let event = json!({
        "time": "2026-11-18T11:05:10.000Z", "id": "0", "kind": "health", "event": "ThirdPartyGenericError",
        "severity": "high", "tenant": WICKED, "source": "acme", "stream": "audit", "code": WICKED,
        "message": format!("The vendor says {WICKED}"), "hint": format!("\"'>{WICKED}"),
    });
    {
        let state = site.folder.path().join("state");
        std::fs::create_dir_all(&state).unwrap();
        let store = Store::open(&state).unwrap();
        store.keep_health(&[HealthRow { source: "acme".into(), json: event.to_string().into() }]).unwrap();
    }
    site.run();
    site.sign_in(&browser, "/");
    browser.until_text("#row-acme .tenant", WICKED);
    browser.click("#row-acme a");
    browser.until_text("h1", "acme");
    assert!(browser.text(".head .tenant").contains(WICKED));
    let events = browser.text(".events");
    assert!(
        events.contains(&format!("The vendor says {WICKED}")) && events.contains(&format!("\"'>{WICKED}")),
        "{events}"
    );
    // Also when the script has renewed it, and where it is looked for.
    browser.open(&site.url("/?q=%3Cscript%3E"));
    browser.until_text("#row-acme .tenant", WICKED);
    assert_eq!(browser.get("document.querySelector('#q').value"), "<script>");
    browser.run("document.querySelector('#row-acme .tenant').dataset.old = 1");
    browser.until("!document.querySelector('#row-acme .tenant').dataset.old");
    assert_eq!(browser.get("window.owned ?? 0"), 0);
    assert_eq!(browser.count("script"), 1);
    assert_eq!(browser.count("main img"), 0);
    browser.assert_quiet(&site.origin);

    // And were it markup, the policy would stop it.
    browser.run(
        "const script = document.createElement('script'); script.textContent = 'window.owned = 3'; \
         document.body.append(script); document.querySelector('main').insertAdjacentHTML('beforeend', \
         \"<img src='/none' onerror='window.owned = 4'>\");",
    );
    browser.until("performance.getEntriesByName(location.origin + '/none').length > 0");
    assert_eq!(browser.get("window.owned ?? 0"), 0);
    let console = browser.console();
    assert!(console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
}
