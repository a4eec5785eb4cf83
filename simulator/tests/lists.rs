//! The lists of `/api/...` other than audit, in both generations.

mod common;

use std::collections::BTreeSet;

use common::*;
use mimecast_simulator::{Kind, Request};
use serde_json::{Value, json};

/// What a list can show now: truth without held messages that have left.
fn there(world: &World, stream: &str) -> std::collections::BTreeMap<mimecast_simulator::Mark, u32> {
    let now = world.now;
    let issued = world.simulator.truth("one", now);
    let issued = issued.filter(|it| it.stream == stream && it.gone_from_ms.is_none_or(|gone| now < gone));
    issued.map(|it| (it.mark, it.count)).collect()
}

#[test]
fn a_closed_window_yields_exactly_the_truth_in_both_generations() {
    for v1 in [false, true] {
        let mut world = World::full(v1, |_| {});
        for list in LISTS {
            let data = World::window(&list, world.now - 3 * DAY, world.now);
            if v1 && ["held/releases", "rejections"].contains(&list.1) {
                let answer = world.rows(&list, &data, 50, None);
                assert_eq!(answer.status, 401, "{} is of API 2.0", list.1);
                assert!(there(&world, list.1).is_empty());
                continue;
            }
            let rows = world.collect_rows(&list, &data, 7);
            assert_eq!(marks(texts(&rows)), there(&world, list.1), "{}", list.1);
            assert!(rows.len() > 10, "{}: {}", list.1, rows.len());
            let times: Vec<&str> = rows.iter().filter_map(|row| row[list.4].as_str()).collect();
            assert!(times.windows(2).all(|pair| pair[0][..19] >= pair[1][..19]), "newest first");
            let ids: Vec<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
            assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
            let with_id = ["held/messages", "held/releases", "rejections", "ttp/impersonation"].contains(&list.1);
            assert_eq!(ids.len(), if with_id { rows.len() } else { 0 });
        }
    }
}

#[test]
fn each_list_has_its_shape() {
    let mut world = World::full(false, |_| {});
    for list in LISTS {
        let data = World::window(&list, world.now - 3 * DAY, world.now);
        let answer = world.rows(&list, &data, 3, None).body_json();
        assert_eq!(answer["meta"]["status"], 200);
        assert_eq!(answer["meta"]["pagination"]["pageSize"], 3, "{answer}");
        assert!(answer["meta"]["pagination"]["previous"].is_null());
        let rows = list.3.map_or(&answer["data"], |name| &answer["data"][0][name]);
        assert_eq!(rows.as_array().unwrap().len(), 3, "{}", list.1);
        let total = &answer["meta"]["pagination"]["totalCount"];
        let counted = list.1 == "held/messages" || list.1.starts_with("ttp/");
        assert_eq!(total.is_u64(), counted, "{}", list.1);
        if list.1 == "ttp/impersonation" {
            assert_eq!(&answer["data"][0]["resultCount"], total);
        }
        let next = answer["meta"]["pagination"]["next"].as_str().unwrap().to_owned();
        let second = world.rows(&list, &data, 3, Some(&next)).body_json();
        let previous = second["meta"]["pagination"]["previous"].as_str().unwrap().to_owned();
        assert_eq!(world.rows(&list, &data, 3, Some(&previous)).body_json()["data"], answer["data"]);

        let later = World::window(&list, world.now + DAY, world.now + 2 * DAY);
        let empty = world.rows(&list, &later, 3, None).body_json();
        let wanted = match list.3 {
            None => json!([]),
            Some(name) if list.1 == "ttp/impersonation" => json!([{name: [], "resultCount": 0}]),
            Some(name) => json!([{name: []}]),
        };
        assert_eq!(empty["data"], wanted);
        assert_eq!(empty["meta"]["pagination"]["pageSize"], 0);
        assert!(empty["meta"]["pagination"]["next"].is_null());
    }
}

#[test]
fn oldest_first_turns_the_lists_that_know_it() {
    let mut world = World::full(false, |_| {});
    for (stream, turns) in [("dlp", true), ("ttp/url", true), ("ttp/impersonation", true), ("rejections", false)] {
        let list = list(stream);
        let mut data = World::window(&list, world.now - 3 * DAY, world.now);
        let newest = world.collect_rows(&list, &data, 50);
        data["oldestFirst"] = true.into();
        let mut oldest = world.collect_rows(&list, &data, 50);
        if turns {
            assert_ne!(oldest, newest);
            oldest.reverse();
        }
        assert_eq!(oldest, newest, "{stream}");
    }
}

#[test]
fn tokens_carry_their_window_and_belong_to_one_list() {
    let mut world = World::full(false, |_| {});
    let (dlp, url) = (list("dlp"), list("ttp/url"));
    let data = World::window(&dlp, world.now - DAY, world.now);
    let first = world.rows(&dlp, &data, 5, None).body_json();
    let next = first["meta"]["pagination"]["next"].as_str().unwrap().to_owned();
    let moved = World::window(&dlp, world.now - 2 * DAY, world.now);
    assert_eq!(world.rows(&dlp, &moved, 5, Some(&next)).status, 400, "the same token with another window");
    assert_eq!(world.rows(&url, &json!({}), 5, Some(&next)).status, 400, "the token of another list");
    let again = world.rows(&dlp, &data, 5, Some(&next)).body_json();
    assert_eq!(world.rows(&dlp, &json!({}), 5, Some(&next)).body_json(), again, "the token alone");
    assert_eq!(rows_of(&again).len(), 5);
    let mut forged = next.clone();
    forged.insert(10, 'A');
    assert_eq!(world.rows(&dlp, &data, 5, Some(&forged)).status, 400);
}

#[test]
fn tokens_end_when_told() {
    let mut world = World::full(false, |settings| settings.page_token_life_ms = Some(5 * MINUTE));
    let dlp = list("dlp");
    let data = World::window(&dlp, world.now - DAY, world.now);
    let first = world.rows(&dlp, &data, 5, None).body_json();
    let next = first["meta"]["pagination"]["next"].as_str().unwrap().to_owned();
    world.now += 4 * MINUTE;
    assert_eq!(world.rows(&dlp, &data, 5, Some(&next)).status, 200);
    world.now += MINUTE;
    assert_eq!(world.rows(&dlp, &data, 5, Some(&next)).status, 400);
}

#[test]
fn windows_are_inclusive_unless_told_otherwise_and_default_to_today() {
    for (inclusive, wanted) in [(true, 1), (false, 0)] {
        let mut world = World::v2(|settings| settings.inclusive_window_ends = inclusive);
        let (list, now) = (list("ttp/url"), world.now);
        let time = (now - HOUR) / 1000 * 1000;
        world.simulator.insert_rows("one", Kind::TtpUrl, 1, time, now, now).unwrap();
        let until = World::window(&list, time - HOUR, time);
        assert_eq!(world.collect_rows(&list, &until, 5).len(), wanted);
        let from = World::window(&list, time, time + 1000);
        assert_eq!(world.collect_rows(&list, &from, 5).len(), 1, "begins are inclusive");
        let yesterday = (now - DAY) / 1000 * 1000;
        world.simulator.insert_rows("one", Kind::TtpUrl, 4, yesterday, now, now).unwrap();
        assert_eq!(world.collect_rows(&list, &json!({}), 5).len(), 1, "from the start of the day");
        let both = json!({"from": "2025-05-30T00:00:00Z", "to": "2025-06-05T00:00:00.000+00:00"});
        assert_eq!(world.collect_rows(&list, &both, 2).len(), 5);
        let wrong = world.rows(&list, &json!({"from": "yesterday"}), 5, None);
        assert_eq!((wrong.status, code(&wrong).as_str()), (400, "err_validation_invalid_date"));
    }
}

#[test]
fn rows_become_visible_after_a_lag_and_are_kept_for_a_time() {
    let mut world = World::full(false, |settings| {
        settings.list_retention_ms = DAY;
        settings.tenants[0].rates.rejections = 3_000;
    });
    let list = list("rejections");
    let end = world.now;
    let hour = World::window(&list, end - HOUR, end);
    let early = world.collect_rows(&list, &hour, 500).len();
    world.now += 10 * MINUTE;
    assert!(world.collect_rows(&list, &hour, 500).len() > early);

    let long_ago = World::window(&list, end - 3 * DAY, end - DAY - HOUR);
    assert!(world.collect_rows(&list, &long_ago, 500).is_empty());
    let mut strict = World::full(false, |settings| {
        settings.list_retention_ms = DAY;
        settings.refuse_old_windows = true;
    });
    assert_eq!(strict.rows(&list, &long_ago, 5, None).status, 400);
    assert_eq!(strict.rows(&list, &hour, 5, None).status, 200);
}

#[test]
fn filters_choose() {
    let mut world = World::full(false, |_| {});
    let mut ask = |stream: &str, extra: Value| {
        let list = list(stream);
        let mut data = World::window(&list, world.now - 2 * DAY, world.now);
        for (key, value) in extra.as_object().unwrap() {
            data[key] = value.clone();
        }
        world.collect_rows(&list, &data, 500)
    };
    for (stream, extra, field, wanted) in [
        ("dlp", json!({"routes": ["internal"]}), "route", json!("internal")),
        ("dlp", json!({"actions": ["hold"]}), "action", json!("hold")),
        ("ttp/url", json!({"scanResult": "malicious", "route": "all"}), "scanResult", json!("malicious")),
        ("ttp/attachment", json!({"route": "inbound"}), "route", json!("inbound")),
        ("ttp/impersonation", json!({"taggedMalicious": true}), "taggedMalicious", json!(true)),
        ("held/messages", json!({"filterBy": [{"route": ["outbound"]}]}), "route", json!("OUTBOUND")),
    ] {
        let (all, some) = (ask(stream, json!({})), ask(stream, extra));
        assert!(!some.is_empty() && some.len() < all.len(), "{stream} {}", some.len());
        assert!(some.iter().all(|row| row[field] == wanted), "{stream}");
    }
    let all = ask("ttp/impersonation", json!({}));
    assert_eq!(ask("ttp/impersonation", json!({"taggedMalicious": null})).len(), all.len());
    let some = ask("dlp", json!({"searchField": "policy", "query": "LANGUAGE"}));
    assert!(!some.is_empty() && some.iter().all(|row| row["policy"] == "Explicit Language"));
    let some = ask("held/messages", json!({"searchBy": {"fieldName": "reason_code", "value": "spam_signature"}}));
    assert!(!some.is_empty() && some.iter().all(|row| row["reasonCode"].as_str().unwrap().contains("spam_signature")));
}

#[test]
fn permissions_and_licences_are_of_streams_and_groups() {
    for v1 in [false, true] {
        let mut world = World::full(v1, |settings| {
            settings.tenants[0].denied = vec!["ttp/url".to_owned(), "archive".to_owned()];
            settings.tenants[0].unlicensed = vec!["held".to_owned(), "dlp".to_owned()];
        });
        for list in LISTS {
            if v1 && ["held/releases", "rejections"].contains(&list.1) {
                continue;
            }
            let refused = [
                "ttp/url",
                "archive/search",
                "archive/user-search",
                "archive/view",
                "held/messages",
                "held/releases",
                "dlp",
            ];
            let answer = world.rows(&list, &json!({}), 5, None);
            if !refused.contains(&list.1) {
                assert_eq!(answer.status, 200, "{}", list.1);
                continue;
            }
            assert_eq!(answer.status, 403, "{}", list.1);
            let wanted = if v1 { "err_xdk_operation_forbidden_for_address" } else { "app_forbidden" };
            assert_eq!(code(&answer), wanted);
            let product = answer.body_json().to_string().contains("any product assigned");
            assert_eq!(product, !v1 && ["held/messages", "held/releases", "dlp"].contains(&list.1));
        }
        let (begin, end) = (world.now - DAY, world.now);
        assert_eq!(world.audit(begin, end, 5, None).status, 200);
    }
}

#[test]
fn rows_of_one_mark_differ_in_one_field_or_in_nothing() {
    let mut world = World::full(false, |settings| settings.tenants[0].rates.ttp_attachment = 2_000);
    for (stream, may_differ) in
        [("dlp", vec!["action"]), ("ttp/attachment", vec!["details"]), ("ttp/url", vec!["actions", "date"])]
    {
        let list = list(stream);
        let data = World::window(&list, world.now - 2 * DAY, world.now);
        let rows = world.collect_rows(&list, &data, 500);
        let (mut same, mut other) = (0, 0);
        for issued in world.simulator.truth("one", world.now).filter(|it| it.stream == stream && it.count == 2) {
            let found: Vec<&Value> =
                rows.iter().filter(|row| row.to_string().contains(&issued.mark.to_string())).collect();
            assert_eq!(found.len(), 2);
            let keys = found[0].as_object().unwrap().keys();
            let differing: Vec<&str> =
                keys.filter(|key| found[0][*key] != found[1][*key]).map(String::as_str).collect();
            assert_eq!(differing.len() as u32, issued.distinct - 1, "{differing:?}");
            assert!(differing.iter().all(|key| may_differ.contains(key)), "{differing:?}");
            *(if differing.is_empty() { &mut same } else { &mut other }) += 1;
        }
        assert!(other > 0, "{stream}: {same} {other}");
        assert!(same > 0 || stream != "ttp/attachment", "true repeats occur");
    }
}

#[test]
fn a_signature_and_a_token_are_wanted() {
    let mut world = World::full(false, |_| {});
    for list in LISTS {
        let answer = world.send(&Request::post(list.0, "{}"));
        assert_eq!((answer.status, code(&answer).as_str()), (401, "unauthorized"));
        assert_eq!(world.send(&Request::get(list.0)).status, 405);
    }
    let mut old = World::full(true, |_| {});
    let list = list("dlp");
    let good = old.sign(list.0, &json!({}));
    assert_eq!(old.send(&good).status, 200);
    let mut wrong = old.sign("/api/ttp/url/get-logs", &json!({}));
    wrong.path = list.0.to_owned();
    assert_eq!(old.send(&wrong).status, 401);
}
