use std::thread;

use mimecast_simulator::{Endpoint, Fault, When};

use crate::site::Site;

#[test]
fn a_good_check_clears_an_error_and_a_bad_one_says_why() {
    let site = Site::new("");
    let forbidden = Fault::Forbidden { at: Endpoint::Audit, kind: None };
    site.server.simulator().inject("acme", forbidden, When::Always).unwrap();
    let process = site.run();
    assert!(site.is_in("not licensed"), "{}", process.log());
    let answer = site.ask("POST /v1/sources/acme/check");
    let checked = answer.json();
    assert_eq!((answer.status, &checked["good"], &checked["resumed"]), (200, &false.into(), &false.into()));
    assert_eq!(checked["findings"][1]["stream"], "audit");
    assert_eq!(checked["findings"][1]["verdict"], "refused");
    assert!(checked["findings"][1]["next"].as_str().unwrap().contains("permission"), "{checked}");
    assert_eq!(site.state(), "not licensed");

    site.server.simulator().clear_faults("acme").unwrap();
    let checked = site.ask("POST /v1/sources/acme/check").json();
    assert_eq!((&checked["good"], &checked["resumed"]), (&true.into(), &true.into()), "{checked}");
    assert!(site.is_in("collecting"), "{}", process.log());
    let source = site.ask("GET /v1/sources/acme").json();
    assert_eq!(source["last_check"], checked);
    assert_eq!(source["stored"][0]["summary"]["key"]["stream"], "audit", "{source}");
    // Where nothing was wrong nothing is begun anew.
    assert_eq!(site.ask("POST /v1/sources/acme/check").json()["resumed"], false);
    assert_eq!(site.ask("POST /v1/sources/nobody/check").status, 404);
}

#[test]
fn two_checks_at_once_make_one_call_and_two_in_turn_two() {
    let site = Site::new("");
    let _process = site.run();
    assert!(site.is_in("collecting"));
    site.server.simulator().inject("acme", Fault::Slow { at: Endpoint::Token, delay_ms: 2_000 }, When::Always).unwrap();
    let logins = || site.server.simulator().count(Endpoint::Token);
    let before = logins();
    let at = thread::scope(|scope| {
        let check = || site.ask("POST /v1/sources/acme/check").json()["at_ms"].as_u64().unwrap();
        let both = [scope.spawn(check), scope.spawn(check)];
        both.map(|check| check.join().unwrap())
    });
    assert_eq!((at[0], logins() - before), (at[1], 1));
    assert!(site.ask("POST /v1/sources/acme/check").json()["at_ms"].as_u64().unwrap() > at[0]);
    assert_eq!(logins() - before, 2);
}
