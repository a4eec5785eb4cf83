//! Every fault of API 2.0 shows, and in the end nothing is missing.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use mimecast_simulator::{Endpoint, Fault, Kind, Mark, Request, Reset, Response, When};

const LIST: Endpoint = Endpoint::SiemBatch;

impl World {
    fn inject(&mut self, fault: Fault, when: When) {
        self.simulator.inject("one", fault, when).unwrap();
    }

    fn once(&mut self, fault: Fault) {
        self.inject(fault, When::First(1));
    }

    fn listing(&mut self) -> Response {
        self.list("type=receipt&dateRangeStartsAt=2025-05-01")
    }

    fn everything(&mut self) -> BTreeMap<Mark, u32> {
        let (lines, _) = self.collect("receipt", None);
        marks(lines)
    }

    fn is_whole(&mut self) {
        let found = self.everything();
        assert_eq!(found, self.truth("siem/receipt"));
        assert!(found.len() > 100);
    }
}

fn world() -> World {
    World::v2(|_| {})
}

#[test]
fn listings_fail_in_every_way_and_then_work() {
    let cases: Vec<(Fault, u16, &str)> = vec![
        (Fault::Status { at: LIST, status: 500 }, 500, ""),
        (Fault::Status { at: LIST, status: 503 }, 503, ""),
        (Fault::HtmlError { at: LIST }, 502, ""),
        (Fault::FailWith200 { at: LIST }, 200, "err_internal"),
        (Fault::Forbidden { at: LIST, kind: None }, 403, "app_forbidden"),
        (Fault::Forbidden { at: LIST, kind: Some(Kind::Receipt) }, 403, "app_forbidden"),
        (Fault::Unauthorized { at: LIST }, 401, "unauthorized"),
        (Fault::TokenExpiresNow { at: LIST }, 401, "token_expired"),
        (Fault::InvalidClientIdentifier { at: LIST }, 401, "InvalidClientIdentifier"),
        (Fault::TokenVerificationFailed { at: LIST }, 401, "token_verification_failed"),
    ];
    for (fault, status, wanted) in cases {
        let mut world = world();
        assert_eq!(world.listing().status, 200);
        world.once(fault.clone());
        let answer = world.listing();
        assert_eq!((answer.status, code(&answer).as_str()), (status, wanted), "{fault:?}");
        assert_eq!(world.simulator.fired("one"), [(fault.clone(), 1)]);
        assert_eq!(world.simulator.log().last().unwrap().fault, Some(fault.name()));
        if fault == (Fault::TokenExpiresNow { at: LIST }) {
            assert_eq!(world.listing().status, 401, "the token is gone for good");
            world.token();
        }
        assert_eq!(world.listing().status, 200, "{fault:?}");
        world.is_whole();
    }
}

#[test]
fn a_fault_can_last_for_ever_and_be_cleared() {
    let mut world = world();
    world.inject(Fault::Unauthorized { at: LIST }, When::Always);
    assert!((0..5).all(|_| world.listing().status == 401));
    world.simulator.clear_faults("one").unwrap();
    world.inject(Fault::Status { at: LIST, status: 500 }, When::After { skip: 1, count: 3 });
    let statuses: Vec<u16> = (0..6).map(|_| world.listing().status).collect();
    assert_eq!(statuses, [200, 500, 500, 500, 200, 200]);
    assert!(world.simulator.inject("nobody", Fault::UrlGone, When::Always).is_err());
}

#[test]
fn one_type_can_be_forbidden_alone() {
    let mut world = world();
    world.inject(Fault::Forbidden { at: LIST, kind: Some(Kind::Av) }, When::Always);
    assert_eq!(world.list("type=av").status, 403);
    assert_eq!(world.list("type=spam").status, 200);
    assert_eq!(world.list("type=spam,av").status, 403);
}

#[test]
fn a_429_says_when_to_come_back_in_five_ways() {
    let mut world = world();
    for (reset, name, value) in [
        (Reset::Milliseconds(1234), "X-RateLimit-Reset", Some("1234".to_owned())),
        (Reset::Decimal(1234), "X-RateLimit-Reset", Some("1234.0".to_owned())),
        (Reset::RetryAfter(7), "Retry-After", Some("7".to_owned())),
        (Reset::Bare, "X-RateLimit-Reset", None),
    ] {
        world.once(Fault::TooManyRequests { at: LIST, reset });
        let answer = world.listing();
        assert_eq!((answer.status, answer.header_value(name).map(str::to_owned)), (429, value), "{reset:?}");
        assert_eq!(world.listing().status, 200);
    }
    world.once(Fault::TooManyRequests { at: LIST, reset: Reset::EpochSeconds(30) });
    let answer = world.listing();
    let epoch = (world.now / 1000 + 30).to_string();
    assert_eq!((answer.status, answer.header_value("X-RateLimit-Reset")), (429, Some(epoch.as_str())));
}

#[test]
fn tokens_can_be_short_silent_and_refused() {
    let mut world = world();
    world.once(Fault::ShortToken { seconds: 2 });
    assert_eq!(world.token().body_json()["expires_in"], 2);
    assert_eq!(world.listing().status, 200);
    world.now += 2_000;
    assert_eq!(world.listing().status, 401);
    world.once(Fault::ExpiresInMissing);
    let answer = world.token().body_json();
    assert!(answer.get("expires_in").is_none() && answer["access_token"].is_string());
    world.once(Fault::Status { at: Endpoint::Token, status: 503 });
    assert_eq!(world.token().status, 503);
    world.once(Fault::InvalidClientIdentifier { at: Endpoint::Token });
    assert_eq!(world.token().status, 401);
    assert_eq!(world.token().status, 200);
}

#[test]
fn cursors_stall_repeat_and_are_refused() {
    let mut world = world();
    let first = world.page("receipt", None);
    let cursor = first.next.unwrap();

    world.once(Fault::EmptyPageWithNext { at: LIST });
    let empty = world.page("receipt", Some(&cursor));
    assert!(empty.urls.is_empty() && !empty.caught_up);
    let fresh = empty.next.unwrap();
    assert_ne!(fresh, cursor);
    let paths = |page: &Page| page.urls.iter().map(|url| url.split('?').next().unwrap().to_owned()).collect::<Vec<_>>();
    let (after, straight) = (world.page("receipt", Some(&fresh)), world.page("receipt", Some(&cursor)));
    assert!(!after.urls.is_empty());
    assert_eq!(paths(&after), paths(&straight), "it goes on from the same place");

    world.once(Fault::RepeatedToken { at: LIST });
    assert!(!world.page("receipt", None).urls.is_empty(), "without a token there is nothing to repeat");
    let same = world.page("receipt", Some(&cursor));
    assert_eq!((same.next.as_deref(), same.urls.len(), same.caught_up), (Some(cursor.as_str()), 0, false));

    world.once(Fault::CursorRefused { at: LIST });
    assert_eq!(world.listing().status, 200, "without a cursor there is nothing to refuse");
    let refused = world.list(&format!("type=receipt&nextPage={}", escape(&cursor)));
    assert_eq!(refused.status, 400);
    world.is_whole();
}

#[test]
fn pages_lie_about_their_end_and_repeat_files() {
    let mut world = world();
    world.once(Fault::CaughtUpWithFiles);
    let page = world.page("receipt", None);
    assert!(page.caught_up && page.urls.len() == 100);
    let (lines, _) = world.collect("receipt", page.next.clone());
    assert!(!lines.is_empty(), "there was more");

    world.once(Fault::NextPageMissing);
    assert_eq!(world.page("receipt", page.next.as_deref()).next, None);
    assert!(world.page("receipt", page.next.as_deref()).next.is_some());

    world.once(Fault::DuplicateUrl);
    let twice = world.page("receipt", None).urls;
    assert_eq!(twice.len(), 101);
    assert_eq!(twice[99], twice[100]);

    world.once(Fault::FileOnTwoPages);
    let one = world.page("receipt", None);
    let two = world.page("receipt", one.next.as_deref());
    assert_eq!(one.urls[99].split('?').next(), two.urls[0].split('?').next());
    world.is_whole();
}

#[test]
fn files_without_records_are_listed() {
    let mut world = world();
    world.once(Fault::EmptyFile);
    world.once(Fault::ZeroByteFile);
    let page = world.page("receipt", None);
    assert_eq!(page.urls.len(), 102);
    assert_eq!(gunzip(&world.fetch(&page.urls[100]).body), "");
    let nothing = world.fetch(&page.urls[101]);
    assert_eq!((nothing.status, nothing.body.len()), (200, 0));
    world.is_whole();
}

#[test]
fn downloads_fail_and_then_work() {
    let mut world = world();
    let url = world.page("receipt", None).urls.remove(0);
    let good = world.fetch(&url).body;
    for (fault, status) in [
        (Fault::UrlExpired, 403),
        (Fault::UrlGone, 404),
        (Fault::Status { at: Endpoint::Storage, status: 503 }, 503),
        (Fault::HtmlError { at: Endpoint::Storage }, 502),
    ] {
        world.once(fault.clone());
        assert_eq!(world.fetch(&url).status, status, "{fault:?}");
        assert_eq!(world.fetch(&url).body, good);
    }
    world.once(Fault::TruncatedGzip);
    let cut = world.fetch(&url);
    assert_eq!(cut.body, good[..good.len() / 2]);
    world.once(Fault::WrongContentLength);
    let lie = world.fetch(&url);
    assert_eq!(lie.header_value("content-length"), Some((good.len() + 1000).to_string().as_str()));
    world.once(Fault::GzipEncodingHeader);
    assert_eq!(world.fetch(&url).header_value("content-encoding"), Some("gzip"));
    world.once(Fault::ConnectionCut { at: Endpoint::Storage, after: 10 });
    assert_eq!(world.fetch(&url).cut_after, Some(10));
    world.once(Fault::Slow { at: Endpoint::Storage, delay_ms: 9 });
    assert_eq!(world.fetch(&url).delay_ms, 9);
    assert_eq!(world.fetch(&url).body, good);
    world.is_whole();
}

#[test]
fn what_is_gone_for_ever_is_lost_in_truth_too() {
    let mut world = world();
    let page = world.page("receipt", None);
    let content = marks([gunzip(&world.fetch(&page.urls[3]).body)]);
    world.once(Fault::UrlGoneForever);
    for _ in 0..3 {
        assert_eq!(world.fetch(&page.urls[3]).status, 404);
    }
    assert_eq!(world.fetch(&page.urls[2]).status, 200);
    let lost: BTreeSet<Mark> =
        world.simulator.truth("one", world.now).filter(|issued| issued.lost).map(|issued| issued.mark).collect();
    assert_eq!(lost, content.into_keys().collect());
}

#[test]
fn bad_and_glued_lines_stay_where_they_are() {
    let mut world = world();
    let urls = world.page("receipt", None).urls;
    let large = |world: &mut World, url: &str| gunzip(&world.fetch(url).body).lines().count() > 2;
    let place = urls.iter().position(|url| large(&mut world, url)).unwrap();
    let good = gunzip(&world.fetch(&urls[place]).body);
    assert!(good.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    world.once(Fault::BadLine { at: Endpoint::Storage });
    assert_eq!(gunzip(&world.fetch(&urls[place]).body), good, "what was given out changes no more");

    // Every world of a seed has the same files.
    let mut world = self::world();
    let url = world.page("receipt", None).urls[place].clone();
    world.once(Fault::BadLine { at: Endpoint::Storage });
    let bad = gunzip(&world.fetch(&url).body);
    let broken = bad.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_err()).count();
    assert_eq!((broken, bad.lines().count()), (1, good.lines().count() + 1));
    assert_eq!(marks([&bad]), marks([&good]));
    assert_eq!(gunzip(&world.fetch(&url).body), bad, "whoever comes again reads the same");
    assert_eq!(world.simulator.malformed("one"), 1);
    world.is_whole();

    let mut world = self::world();
    let url = world.page("receipt", None).urls[place].clone();
    world.once(Fault::GluedObjects { at: Endpoint::Storage });
    let glued = gunzip(&world.fetch(&url).body);
    assert_eq!(glued.lines().count(), good.lines().count() - 1);
    assert_eq!(marks([&glued]), marks([&good]));
    assert_eq!(world.simulator.malformed("one"), 0, "glued objects can be read");
    world.is_whole();
}

#[test]
fn rows_come_late_and_pages_shift() {
    let mut world = world();
    let (_, cursor) = world.collect("receipt", None);
    world.once(Fault::LateRows { at: LIST, count: 4, late_ms: 3 * HOUR });
    let (now, _) = world.collect("receipt", cursor.clone());
    assert!(now.is_empty());
    world.now += 20 * MINUTE;
    let (later, _) = world.collect("receipt", cursor);
    let old = world.now - 2 * HOUR;
    let late =
        |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["timestamp"].as_u64().unwrap() < old;
    assert_eq!(later.iter().filter(|line| late(line)).count(), 4);
    world.is_whole();

    let (begin, end) = (world.now - DAY, world.now - HOUR);
    let before = world.collect_audit(begin, end, 10).len();
    world.once(Fault::RowsInsertedDuringPaging { count: 3 });
    let rows = world.collect_audit(begin, end, 10);
    let ids: BTreeSet<String> = rows.iter().map(|row| row["id"].to_string()).collect();
    assert_eq!((rows.len(), ids.len()), (before + 3, before), "three rows came twice, three new ones not at all");
    assert_eq!(world.collect_audit(begin, end, 10).len(), before + 3);
    world.once(Fault::LateRows { at: Endpoint::Audit, count: 2, late_ms: 3 * HOUR });
    assert_eq!(world.collect_audit(begin, end, 500).len(), before + 3);
    assert_eq!(world.collect_audit(begin, end, 500).len(), before + 5);
}

#[test]
fn audit_fails_in_every_way_and_then_works() {
    let at = Endpoint::Audit;
    let mut world = world();
    let (begin, end) = (world.now - DAY, world.now - HOUR);
    let whole = world.collect_audit(begin, end, 10);
    let next = world.audit(begin, end, 10, None).body_json()["meta"]["pagination"]["next"].as_str().unwrap().to_owned();

    world.once(Fault::EmptyPageWithNext { at });
    let empty = world.audit(begin, end, 10, Some(&next)).body_json();
    assert_eq!(empty["data"], serde_json::json!([]));
    let fresh = empty["meta"]["pagination"]["next"].as_str().unwrap().to_owned();
    assert_ne!(fresh, next);
    let straight = world.audit(begin, end, 10, Some(&next)).body_json();
    assert_eq!(world.audit(begin, end, 10, Some(&fresh)).body_json()["data"], straight["data"]);

    world.once(Fault::RepeatedToken { at });
    let same = world.audit(begin, end, 10, Some(&next)).body_json();
    assert_eq!(same["meta"]["pagination"]["next"], next.as_str());
    world.once(Fault::CursorRefused { at });
    assert_eq!(world.audit(begin, end, 10, Some(&next)).status, 400);
    for (fault, status) in [
        (Fault::FailWith200 { at }, 200),
        (Fault::Status { at, status: 500 }, 500),
        (Fault::Forbidden { at, kind: None }, 403),
        (Fault::Unauthorized { at }, 401),
        (Fault::TooManyRequests { at, reset: Reset::Milliseconds(5) }, 429),
    ] {
        world.once(fault.clone());
        let answer = world.audit(begin, end, 10, None);
        assert_eq!(answer.status, status, "{fault:?}");
        assert!(answer.body_json()["data"].as_array().is_none_or(Vec::is_empty));
    }
    assert_eq!(world.collect_audit(begin, end, 10), whole);
}

#[test]
fn faults_belong_to_one_tenant() {
    let mut world = World::v2(|settings| settings.tenants.push(mimecast_simulator::Tenant::v2("two", 2_000)));
    world.simulator.inject("two", Fault::Status { at: LIST, status: 500 }, When::Always).unwrap();
    assert_eq!(world.listing().status, 200);
    let unknown = world.send(&Request::get("https://storage.simulator.test/siem-batch/nobody/receipt/1/0-x.json.gz"));
    assert_eq!(unknown.status, 404);
}
