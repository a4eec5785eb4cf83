//! Audit events of both generations.

mod common;

use std::collections::BTreeSet;

use common::*;
use mimecast_simulator::{Kind, Request};
use serde_json::{Value, json};

fn visible(world: &World) -> std::collections::BTreeMap<mimecast_simulator::Mark, u32> {
    world.truth("audit")
}

fn texts(rows: &[Value]) -> Vec<String> {
    rows.iter().map(Value::to_string).collect()
}

#[test]
fn a_closed_window_yields_exactly_the_truth_in_both_generations() {
    for mut world in [World::v2(|_| {}), World::v1(|_| {})] {
        let (begin, end) = (world.now - 3 * DAY, world.now);
        let rows = world.collect_audit(begin, end, 20);
        assert_eq!(marks(texts(&rows)), visible(&world));
        assert!(rows.len() > 50);
        let times: Vec<&str> = rows.iter().map(|row| row["eventTime"].as_str().unwrap()).collect();
        assert!(times.windows(2).all(|pair| pair[0] >= pair[1]), "newest first");
        let ids: BTreeSet<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), rows.len());
        assert!(ids.iter().all(|id| id.starts_with("eJ") && (150..=260).contains(&id.len())), "{ids:?}");
    }
}

#[test]
fn the_answer_tells_rows_next_and_previous() {
    let mut world = World::v2(|_| {});
    let (begin, end) = (world.now - 2 * DAY, world.now);
    let first = world.audit(begin, end, 7, None).body_json();
    assert_eq!(first["meta"]["pagination"]["pageSize"], 7);
    assert!(first["meta"]["pagination"]["previous"].is_null());
    let next = first["meta"]["pagination"]["next"].as_str().unwrap().to_owned();
    let second = world.audit(begin, end, 7, Some(&next)).body_json();
    let previous = second["meta"]["pagination"]["previous"].as_str().unwrap().to_owned();
    assert_eq!(world.audit(begin, end, 7, Some(&previous)).body_json()["data"], first["data"]);

    let empty = world.audit(end + DAY, end + 2 * DAY, 7, None).body_json();
    assert_eq!(empty["data"], json!([]));
    assert_eq!(empty["meta"]["pagination"], json!({"pageSize": 0}));

    let request = world.bearer(Request::post(
        "/api/audit/get-audit-events",
        json!({"data": [{"startDateTime": iso(begin), "endDateTime": iso(end)}]}).to_string(),
    ));
    assert_eq!(world.send(&request).body_json()["meta"]["pagination"]["pageSize"], 25, "the default");
}

#[test]
fn tokens_carry_their_filters_and_nothing_else() {
    let mut world = World::v2(|_| {});
    let (begin, end) = (world.now - 2 * DAY, world.now);
    let first = world.audit(begin, end, 5, None).body_json();
    let next = first["meta"]["pagination"]["next"].as_str().unwrap().to_owned();
    let moved = world.audit(begin + HOUR, end, 5, Some(&next));
    assert_eq!(moved.status, 400, "the same token with another window");
    let alone = json!({"meta": {"pagination": {"pageToken": next}}, "data": []}).to_string();
    let request = world.bearer(Request::post("/api/audit/get-audit-events", alone));
    let alone = world.send(&request).body_json();
    assert_eq!(alone["data"], world.audit(begin, end, 5, Some(&next)).body_json()["data"]);
    assert_eq!(alone["data"].as_array().unwrap().len(), 5);
    let mut forged = next.clone();
    forged.insert(10, 'A');
    assert_eq!(world.audit(begin, end, 5, Some(&forged)).status, 400);
}

#[test]
fn filters_choose() {
    let mut world = World::v2(|_| {});
    let mut ask = |extra: Value| {
        let mut data = json!({"startDateTime": iso(world.now - DAY), "endDateTime": iso(world.now)});
        for (key, value) in extra.as_object().unwrap() {
            data[key] = value.clone();
        }
        let body = json!({"meta": {"pagination": {"pageSize": "500"}}, "data": [data]}).to_string();
        let request = world.bearer(Request::post("/api/audit/get-audit-events", body));
        world.send(&request).body_json()["data"].as_array().unwrap().clone()
    };
    let all = ask(json!({}));
    let some = ask(json!({"categories": ["account_logs"]}));
    assert!(!some.is_empty() && some.len() < all.len());
    assert!(some.iter().all(|row| row["category"] == "account_logs"));
    let found = ask(json!({"query": "policy"}));
    assert!(!found.is_empty() && found.len() < all.len());
}

#[test]
fn events_become_visible_after_a_lag() {
    let mut world = World::v2(|settings| settings.tenants[0].audit_events_per_day = 2_000);
    let end = world.now;
    let early = world.collect_audit(end - HOUR, end, 500).len();
    world.now += 20 * MINUTE;
    let late = world.collect_audit(end - HOUR, end, 500).len();
    assert!(early < late, "{early} {late}");
    let now = world.now;
    world.simulator.insert_rows("one", Kind::Audit, 2, end - HOUR, now + 40 * MINUTE, now).unwrap();
    assert_eq!(world.collect_audit(end - HOUR, end, 500).len(), late);
    world.now += 41 * MINUTE;
    assert_eq!(world.collect_audit(end - HOUR, end, 500).len(), late + 2);
}

#[test]
fn window_ends_are_inclusive_unless_told_otherwise() {
    for (inclusive, wanted) in [(true, 1), (false, 0)] {
        let mut world = World::v2(|settings| {
            settings.inclusive_window_ends = inclusive;
            settings.tenants[0].audit_events_per_day = 0;
        });
        let time = (world.now - HOUR) / 1000 * 1000;
        let now = world.now;
        world.simulator.insert_rows("one", Kind::Audit, 1, time, now, now).unwrap();
        assert_eq!(world.collect_audit(time - HOUR, time, 5).len(), wanted);
        assert_eq!(world.collect_audit(time, time + 1000, 5).len(), 1, "begins are inclusive");
    }
}

#[test]
fn missing_and_wrong_dates_are_told_apart() {
    let mut world = World::v2(|_| {});
    let mut ask = |body: Value| {
        let request = world.bearer(Request::post("/api/audit/get-audit-events", body.to_string()));
        world.send(&request)
    };
    for body in [json!({"data": []}), json!({"data": [{}]}), json!({})] {
        let answer = ask(body);
        assert_eq!(answer.status, 200);
        let errors = answer.body_json()["fail"][0]["errors"].clone();
        let told: Vec<_> = errors.as_array().unwrap().iter().map(|error| (&error["code"], &error["field"])).collect();
        let null = json!("err_validation_null");
        assert_eq!(told, [(&null, &json!("startDateTime")), (&null, &json!("endDateTime"))]);
    }
    let one = ask(json!({"data": [{"startDateTime": "2025-06-01T00:00:00+0000"}]}));
    assert_eq!(one.body_json()["fail"][0]["errors"].as_array().unwrap().len(), 1);
    let wrong = ask(json!({"data": [{"startDateTime": "yesterday", "endDateTime": "2025-06-01T00:00:00Z"}]}));
    assert_eq!(wrong.status, 400);
    let good =
        ask(json!({"data": [{"startDateTime": "2025-06-01T00:00:00Z", "endDateTime": "2025-06-01T01:00:00+00:00"}]}));
    assert_eq!((good.status, &good.body_json()["fail"]), (200, &json!([])));
}

#[test]
fn old_windows_are_clamped_or_refused() {
    let mut world = World::v2(|_| {});
    let (begin, end) = (world.now - 90 * DAY, world.now);
    assert_eq!(world.audit(begin, end, 5, None).status, 200);
    let mut world = World::v2(|settings| settings.refuse_old_windows = true);
    assert_eq!(world.audit(begin, end, 5, None).status, 400);
    assert_eq!(world.audit(end - 59 * DAY, end, 5, None).status, 200);
}
