//! Every fault of API 1.0 shows, and in the end nothing is missing.

mod common;

use common::*;
use mimecast_simulator::{Endpoint, Fault, Reset, When};
use serde_json::{Value, json};

const AT: Endpoint = Endpoint::SiemLogs;

fn world() -> World {
    World::v1(|_| {})
}

fn once(world: &mut World, fault: Fault) {
    world.simulator.inject("one", fault, When::First(1)).unwrap();
}

fn is_whole(world: &mut World, format: &str) {
    let files = world.collect_logs(true, format);
    assert_eq!(marks(files.iter().map(|(_, bytes)| bytes)), world.truth("siem"));
}

/// The first file of the chain, plain.
fn first(world: &mut World, format: &str) -> (String, String) {
    let answer = world.siem_logs(false, format, None);
    assert_eq!(answer.status, 200);
    (file_name(&answer), String::from_utf8(answer.body.to_vec()).unwrap())
}

#[test]
fn requests_fail_in_every_way_and_then_work() {
    for (fault, status, wanted) in [
        (Fault::DeveloperKey { at: AT }, 200, "err_developer_key"),
        (Fault::BindingExpired { at: AT }, 418, "err_xdk_binding_expired"),
        (Fault::WrongRegion { at: AT }, 401, "err_audit_log_incorrect_region"),
        (Fault::FailWith200 { at: AT }, 200, "err_internal"),
        (Fault::Status { at: AT, status: 509 }, 509, ""),
        (Fault::HtmlError { at: AT }, 502, ""),
        (Fault::TooManyRequests { at: AT, reset: Reset::RetryAfter(3) }, 429, ""),
    ] {
        let mut world = world();
        once(&mut world, fault.clone());
        let answer = world.siem_logs(true, "json", None);
        assert_eq!((answer.status, code(&answer).as_str()), (status, wanted), "{fault:?}");
        assert_eq!(answer.header_value("mc-siem-token"), None);
        if status == 429 {
            assert_eq!(answer.header_value("Retry-After"), Some("3"));
            assert_eq!(answer.header_value("X-RateLimit-Reset"), None);
        }
        is_whole(&mut world, "json");
    }
    let mut world = world();
    once(&mut world, Fault::DeveloperKey { at: Endpoint::Account });
    let request = world.sign("/api/account/get-account", &json!({"data": []}));
    assert_eq!(code(&world.send(&request)), "err_developer_key");
    assert_eq!(code(&world.send(&request)), "");
}

#[test]
fn the_chain_stalls_and_repeats() {
    let mut world = world();
    let answer = world.siem_logs(true, "json", None);
    let token = answer.header_value("mc-siem-token").unwrap().to_owned();
    let straight = world.siem_logs(true, "json", Some(&token));

    once(&mut world, Fault::EmptyPageWithNext { at: AT });
    let empty = world.siem_logs(true, "json", Some(&token));
    assert_eq!(unzip(&empty.body).unwrap(), []);
    let fresh = empty.header_value("mc-siem-token").unwrap().to_owned();
    assert_ne!(fresh, token);
    assert_eq!(world.siem_logs(true, "json", Some(&fresh)).body, straight.body);

    once(&mut world, Fault::EmptyPageWithNext { at: AT });
    let plain = world.siem_logs(false, "json", Some(&token));
    assert_eq!(plain.body_json(), json!({"type": "MTA", "data": []}));

    once(&mut world, Fault::RepeatedToken { at: AT });
    let same = world.siem_logs(true, "json", Some(&token));
    assert_eq!(same.header_value("mc-siem-token"), Some(token.as_str()));

    once(&mut world, Fault::SiemTokenHeaderMissing);
    let silent = world.siem_logs(true, "json", Some(&token));
    assert_eq!((silent.header_value("mc-siem-token"), &silent.body), (None, &straight.body));

    once(&mut world, Fault::CursorRefused { at: AT });
    assert_eq!(world.siem_logs(true, "json", None).status, 200);
    assert_eq!(code(&world.siem_logs(true, "json", Some(&token))), "err_audit_siem_invalid_token");
    once(&mut world, Fault::LateRows { at: AT, count: 2, late_ms: HOUR });
    is_whole(&mut world, "json");
    world.now += HOUR;
    is_whole(&mut world, "json");
}

#[test]
fn archives_have_broken_and_strange_members() {
    let mut world = world();
    let good = unzip(&world.siem_logs(true, "json", None).body).unwrap();
    once(&mut world, Fault::BrokenMember);
    assert_eq!(unzip(&world.siem_logs(true, "json", None).body).unwrap(), good, "what was given out changes no more");

    let mut world = World::v1(|_| {});
    once(&mut world, Fault::BrokenMember);
    let body = world.siem_logs(true, "json", None).body;
    assert!(unzip(&body).is_err());
    assert_eq!(world.siem_logs(true, "json", None).body, body, "whoever comes again reads the same");
    assert_eq!(world.simulator.malformed("one"), 1);

    let mut world = World::v1(|_| {});
    once(&mut world, Fault::MemberWithPath);
    once(&mut world, Fault::UnknownPrefix);
    let members = unzip(&world.siem_logs(true, "json", None).body).unwrap();
    assert!(members[0].0.starts_with("../../etc/newthing_"), "{}", members[0].0);
    assert_eq!(members[0].1, good[0].1);
    assert_eq!(members[1..], good[1..]);

    let mut world = World::v1(|_| {});
    once(&mut world, Fault::GuidName);
    let (name, _) = first(&mut world, "json");
    assert_eq!((name.len(), name.matches('-').count()), (41, 4), "{name}");
    is_whole(&mut world, "json");
}

#[test]
fn lines_are_written_in_strange_ways() {
    let mut world = world();
    let (_, plain) = first(&mut world, "key_value");
    let lines = plain.lines().count();
    let check = |fault: Fault, test: &dyn Fn(&str) -> bool| {
        let mut world = World::v1(|_| {});
        once(&mut world, fault.clone());
        let (_, text) = first(&mut world, "key_value");
        assert!(test(&text), "{fault:?}: {text}");
        assert!(!test(&plain), "{fault:?}");
        assert_eq!(marks([&text]), marks([&plain]));
        assert_eq!(first(&mut world, "key_value").1, text, "it stays");
        is_whole(&mut world, "key_value");
    };
    check(Fault::CarriageReturnLines, &|text| !text.contains('\n') && text.matches('\r').count() == lines);
    check(Fault::BlankInTime, &|text| text.lines().all(|line| line.as_bytes()[23] == b' '));
    check(Fault::PipeInSubject, &|text| text.contains("|not=a field|"));
    check(Fault::RecordWithoutDatetime, &|text| {
        text.lines().filter(|line| line.starts_with("datetime=")).count() < lines
    });
    check(Fault::BadLine { at: AT }, &|text| text.lines().any(|line| !line.contains('=')));

    let mut world = World::v1(|_| {});
    world.simulator.inject("one", Fault::BackslashTexts, When::Always).unwrap();
    let files = world.collect_logs(true, "key_value");
    assert!(files.iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains("|ReceiptAck=\\250")));
}

#[test]
fn json_files_are_written_in_strange_ways() {
    let mut world = world();
    let (_, plain) = first(&mut world, "json");
    assert!(serde_json::from_str::<Value>(&plain).is_ok());

    let mut world = World::v1(|_| {});
    once(&mut world, Fault::BadLine { at: AT });
    let (_, bad) = first(&mut world, "json");
    assert!(serde_json::from_str::<Value>(&bad).is_err());
    assert_eq!(marks([&bad]), marks([&plain]));
    assert_eq!(world.simulator.malformed("one"), 1);

    let mut world = World::v1(|settings| settings.tenants[0].events_per_day = 20_000);
    let (_, plain) = first(&mut world, "json");
    let mut world = World::v1(|settings| settings.tenants[0].events_per_day = 20_000);
    once(&mut world, Fault::GluedObjects { at: AT });
    let (_, glued) = first(&mut world, "json");
    assert!(glued.contains("}{") && !plain.contains("}{"));
    assert_eq!(marks([&glued]), marks([&plain]));

    let mut world = World::v1(|_| {});
    let (_, plain) = first(&mut world, "json");
    let mut world = World::v1(|_| {});
    once(&mut world, Fault::RecordWithoutDatetime);
    let (_, text) = first(&mut world, "json");
    let rows: Value = serde_json::from_str(&text).unwrap();
    assert!(rows["data"][0].get("datetime").is_none());
    assert_eq!(marks([&text]), marks([&plain]));
    is_whole(&mut world, "json");
}
