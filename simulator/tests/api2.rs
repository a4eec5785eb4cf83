//! API 2.0: tokens, listings, downloads, audit; what a client collects is what there is.

mod common;

use common::*;
use mimecast_simulator::{Endpoint, Kind, Request, Settings, Simulator, Tenant};
use serde_json::json;

#[test]
fn every_type_yields_exactly_the_truth_and_then_what_comes_later() {
    let mut world = World::v2(|_| {});
    for kind in TYPES {
        let stream = format!("siem/{}", kind.replace(' ', "-"));
        let (lines, cursor) = world.collect(kind, None);
        assert_eq!(marks(&lines), world.truth(&stream), "{kind}");
        assert!(lines.iter().all(|line| line.contains(&format!(":\"{kind}\""))), "{kind}");
        assert!(!lines.is_empty(), "{kind}");

        let before = world.truth(&stream);
        let (again, same) = world.collect(kind, cursor.clone());
        assert!(again.is_empty());
        assert_eq!(same, cursor);
        world.now += 2 * HOUR;
        let (later, _) = world.collect(kind, cursor);
        let mut wanted = world.truth(&stream);
        wanted.retain(|mark, _| !before.contains_key(mark));
        assert_eq!(marks(&later), wanted, "{kind}");
    }
}

#[test]
fn types_can_be_joined_and_pages_can_be_small() {
    let mut world = World::v2(|settings| settings.records_per_file = 7);
    let first = world.list("type=receipt,process,url+protect&pageSize=3&dateRangeStartsAt=2025-05-01");
    let mut page = page_of(&first);
    let mut lines = Vec::new();
    while !page.caught_up {
        assert_eq!(page.urls.len(), 3);
        for url in &page.urls {
            let response = world.fetch(url);
            let text = gunzip(&response.body);
            assert!(text.lines().count() <= 14);
            lines.extend(text.lines().map(str::to_owned));
        }
        let next = escape(&page.next.unwrap());
        page = page_of(&world.list(&format!("type=receipt,process,url%20protect&pageSize=3&nextPage={next}")));
    }
    for url in &page.urls {
        let response = world.fetch(url);
        lines.extend(gunzip(&response.body).lines().map(str::to_owned));
    }
    let mut wanted = world.truth("siem/receipt");
    wanted.extend(world.truth("siem/process"));
    wanted.extend(world.truth("siem/url-protect"));
    assert_eq!(marks(&lines), wanted);
}

#[test]
fn dates_choose_days() {
    let mut world = World::v2(|_| {});
    let day = page_of(&world.list("type=receipt&dateRangeStartsAt=2025-06-01&dateRangeEndsAt=2025-06-01"));
    assert!(day.caught_up && !day.urls.is_empty());
    for url in &day.urls {
        let response = world.fetch(url);
        for line in gunzip(&response.body).lines() {
            let time = serde_json::from_str::<serde_json::Value>(line).unwrap()["timestamp"].as_u64().unwrap();
            assert_eq!(iso(time).get(..10), Some("2025-06-01"));
        }
    }
    // The cursor goes on across days.
    let rest = page_of(&world.list(&format!("type=receipt&nextPage={}", escape(&day.next.unwrap()))));
    assert!(rest.caught_up && !rest.urls.is_empty());
    // Without any date: today.
    let today = page_of(&world.list("type=receipt"));
    assert_eq!(today.urls.len(), rest.urls.len());
}

#[test]
fn wrong_arguments_are_refused_and_their_lawful_neighbours_pass() {
    let mut world = World::v2(|_| {});
    for bad in ["", "type=", "type=mail", "type=av&pageSize=0", "type=av&pageSize=101", "type=av&pageSize=x"] {
        assert_eq!(world.list(bad).status, 400, "{bad}");
    }
    for bad in [
        "type=av&dateRangeStartsAt=1.6.2025",
        "type=av&dateRangeStartsAt=2025-06-02&dateRangeEndsAt=2025-06-01",
        "type=av&nextPage=bm9uc2Vuc2U%3D",
        "type=av&nextPage=%%%",
    ] {
        assert_eq!(world.list(bad).status, 400, "{bad}");
    }
    for good in ["type=av", "type=av&pageSize=1", "type=av&pageSize=100", "type=internal%20email%20protect"] {
        assert_eq!(world.list(good).status, 200, "{good}");
    }
    let cursor = escape(&world.page("av", None).next.unwrap());
    assert_eq!(world.list(&format!("type=spam&nextPage={cursor}")).status, 400, "a cursor of another type");
    assert_eq!(world.list(&format!("type=av&nextPage={cursor}")).status, 200);
    let post = world.bearer(Request::post("/siem/v1/batch/events/cg?type=av", ""));
    assert_eq!(world.send(&post).status, 405);
    assert_eq!(world.send(&Request::get("/siem/v2")).status, 404);
}

#[test]
fn cursors_and_files_end_with_the_retention() {
    let mut world = World::v2(|_| {});
    let page = world.page("receipt", None);
    world.now += 8 * DAY;
    let cursor = escape(&page.next.clone().unwrap());
    assert_eq!(world.list(&format!("type=receipt&nextPage={cursor}")).status, 400);
    assert!(!world.page("receipt", None).urls.is_empty());

    let mut world = World::v2(|settings| settings.refuse_old_cursors = false);
    let cursor = world.page("receipt", None).next;
    world.now += 8 * DAY;
    assert!(!world.page("receipt", cursor.as_deref()).urls.is_empty());
}

#[test]
fn tokens_are_given_to_the_right_client_only_and_expire() {
    let mut world = World::v2(|_| {});
    let form = "application/x-www-form-urlencoded";
    let ask = |body: &str, kind: &str| Request::post("/oauth/token", body).header("Content-Type", kind);
    let wrong = "client_id=a&client_secret=b&grant_type=client_credentials";
    let refused = world.send(&ask(wrong, form));
    assert_eq!((refused.status, code(&refused).as_str()), (401, "InvalidClientIdentifier"));
    assert_eq!(world.send(&ask(wrong, "application/json")).status, 400);
    assert_eq!(world.send(&ask("client_id=a", form)).status, 400);

    let answer = world.token().body_json();
    assert_eq!(answer["expires_in"], 1799);
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["scope"], "");
    let old = world.bearer(Request::get("/siem/v1/batch/events/cg?type=av"));
    world.token();
    assert_eq!(world.send(&old).status, 200, "an old token lives until its end");
    world.now += 1799 * 1000;
    let expired = world.send(&old);
    assert_eq!((expired.status, code(&expired).as_str()), (401, "token_expired"));
    let nobody = world.send(&Request::get("/siem/v1/batch/events/cg?type=av"));
    assert_eq!(nobody.status, 401);
    let signed = Request::get("/siem/v1/batch/events/cg?type=av").header("Authorization", "MC a:b");
    assert_eq!(world.send(&signed).status, 401);
}

#[test]
fn a_permission_is_for_a_stream() {
    let mut world = World::v2(|settings| settings.tenants[0].denied = vec!["siem/av".to_owned(), "audit".to_owned()]);
    let refused = world.list("type=av");
    assert_eq!((refused.status, code(&refused).as_str()), (403, "app_forbidden"));
    assert_eq!(world.list("type=receipt,av").status, 403);
    assert_eq!(world.list("type=receipt").status, 200);
    let now = world.now;
    assert_eq!(world.audit(now - HOUR, now, 10, None).status, 403);
}

#[test]
fn storage_takes_no_credentials_and_its_urls_expire() {
    let mut world = World::v2(|_| {});
    let url = world.page("receipt", None).urls.remove(0);
    assert!(url.starts_with("https://storage.simulator.test/"));
    let good = world.fetch(&url);
    assert_eq!(good.status, 200);
    assert_eq!(good.header_value("content-encoding"), None);
    assert!(good.body.starts_with(&[0x1f, 0x8b]));
    for name in ["Authorization", "x-mc-app-id"] {
        let response = world.send(&Request::get(&url).header(name, "x"));
        assert_eq!(response.status, 400, "{name}");
    }
    let forged = url.replace("X-Amz-Expires=600", "X-Amz-Expires=999999");
    assert_eq!(world.fetch(&forged).status, 403);
    let (path, query) = url.split_once('?').unwrap();
    assert_eq!(world.fetch(&format!("{path}x?{query}")).status, 403);
    world.now += 10 * MINUTE;
    let expired = world.fetch(&url);
    assert_eq!(expired.status, 403);
    assert!(String::from_utf8_lossy(&expired.body).contains("<Code>AccessDenied</Code>"));
    let fresh = world.page("receipt", None).urls.remove(0);
    assert_eq!(fresh.split_once('?').unwrap().0, path, "the path stays");
    assert_eq!(world.fetch(&fresh).body, good.body);
}

#[test]
fn the_quota_is_per_application_and_its_window_restarts() {
    let mut world = World::v2(|settings| settings.quota_factor = 1);
    for _ in 0..50 {
        assert_eq!(world.list("type=av").status, 200);
    }
    let refused = world.list("type=av");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header_value("x-ratelimit-limit"), Some("50"));
    assert_eq!(refused.header_value("X-RateLimit-Remaining"), Some("0"));
    let reset: u64 = refused.header_value("X-RateLimit-Reset").unwrap().parse().unwrap();
    assert!((14 * MINUTE..15 * MINUTE).contains(&reset), "{reset}");
    assert!(world.list("type=av").header_value("X-RateLimit-Reset").is_some());
    world.now += reset;
    let answer = world.list("type=av");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header_value("X-RateLimit-Reset"), None);
    assert_eq!(world.simulator.counts()[&(Endpoint::SiemBatch, 429)], 2);

    let mut world = World::v2(|settings| {
        settings.quota_factor = 900;
        settings.rate_headers_always = true;
    });
    let answer = world.list("type=av");
    assert_eq!(answer.header_value("X-RateLimit-Remaining"), Some("49"));
    assert_eq!(answer.header_value("X-RateLimit-Reset"), Some("1000"));
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let run = |seed: u64| {
        let mut world = World::v2(|settings| settings.seed = seed);
        let mut bytes = world.token().body.to_vec();
        let page = world.list("type=receipt,delivery&dateRangeStartsAt=2025-06-01");
        bytes.extend_from_slice(&page.body);
        for url in page_of(&page).urls.iter().take(5) {
            bytes.extend_from_slice(&world.fetch(url).body);
        }
        let now = world.now;
        bytes.extend_from_slice(&world.audit(now - HOUR, now, 10, None).body);
        bytes
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn two_tenants_have_nothing_in_common() {
    let settings = Settings {
        tenants: vec![Tenant::v2("one", 2_000), Tenant::v2("two", 2_000)],
        backlog_ms: DAY,
        ..Settings::default()
    };
    let simulator = Simulator::new(settings).unwrap();
    let now = simulator.settings().start_ms;
    let one: std::collections::BTreeSet<_> = simulator.truth("one", now).map(|issued| issued.mark).collect();
    assert!(!one.is_empty());
    assert!(simulator.truth("two", now).all(|issued| !one.contains(&issued.mark)));
    assert_eq!(simulator.truth("three", now).count(), 0);
}

#[test]
fn records_are_repeated_now_and_then_with_the_same_bytes() {
    let mut world = World::v2(|settings| settings.tenants[0].events_per_day = 20_000);
    let (lines, _) = world.collect("receipt", None);
    let twice = world.truth("siem/receipt").values().filter(|count| **count == 2).count();
    assert!(twice > 0);
    assert_eq!(lines.windows(2).filter(|pair| pair[0] == pair[1]).count(), twice);
}

#[test]
fn inserted_rows_come_late_and_are_true() {
    let mut world = World::v2(|_| {});
    let (_, cursor) = world.collect("av", None);
    let (now, old) = (world.now, world.now - 5 * HOUR);
    let visible = world.simulator.insert_rows("one", Kind::Av, 3, old, now + HOUR, now).unwrap();
    assert!((now + HOUR..now + HOUR + 15 * MINUTE).contains(&visible));
    let row = |world: &World| {
        let issued = world.simulator.truth("one", world.now);
        issued.filter(|issued| issued.kind == "av" && issued.time_ms == old).count()
    };
    world.now = visible - 100;
    assert_eq!(row(&world), 0);
    let (before, cursor) = world.collect("av", cursor);
    assert!(before.iter().all(|line| !line.contains(&old.to_string())));
    world.now = visible;
    assert_eq!(row(&world), 3);
    let (after, _) = world.collect("av", cursor);
    assert_eq!(after.iter().filter(|line| line.contains(&old.to_string())).count(), 3);
    assert!(world.simulator.insert_rows("nobody", Kind::Av, 1, 0, 0, now).is_err());
}

#[test]
fn the_account_answers_and_the_log_holds_no_secret() {
    let mut world = World::v2(|_| {});
    let request = world.bearer(Request::post("/api/account/get-account", json!({"data": []}).to_string()));
    let answer = world.send(&request);
    assert_eq!(answer.status, 200);
    let tenant = world.simulator.tenant("one").unwrap().clone();
    assert_eq!(answer.body_json()["data"][0]["accountCode"], tenant.account_code.as_str());
    let page = world.page("receipt", None);
    world.fetch(&page.urls[0]);
    let log: Vec<_> = world.simulator.log().cloned().collect();
    assert_eq!(log.len(), 4);
    assert_eq!(log[1].tenant.as_deref(), Some("one"));
    assert_eq!((log[3].endpoint, log[3].status), (Some(Endpoint::Storage), 200));
    let text = format!("{log:?} {tenant:?} {:?} {request:?} {answer:?}", world.simulator);
    assert!(!text.contains("X-Amz") && !text.contains("Bearer"));
    let bearer = request.header_value("authorization").unwrap().trim_start_matches("Bearer ");
    assert!(!text.contains(bearer));
    let mimecast_simulator::Credentials::V2 { client_secret, .. } = &tenant.credentials else { panic!() };
    assert!(!text.contains(client_secret.as_str()));
}
