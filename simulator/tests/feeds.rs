//! The threat feeds.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use mimecast_simulator::{Endpoint, Fault, Mark, Response, Settings, When};
use serde_json::{Value, json};

const PATH: &str = "/api/ttp/threat-intel/get-feed";

impl World {
    fn feed(&mut self, data: Value) -> Response {
        self.api(PATH, &json!({"data": [data]}))
    }

    fn stix(&mut self, feed: &str, token: Option<&str>) -> Response {
        let mut data = json!({"feedType": feed, "fileType": "stix", "start": "2025-05-20T00:00:00+0000"});
        if let Some(token) = token {
            data = json!({"feedType": feed, "fileType": "stix", "token": token});
        }
        self.feed(data)
    }

    /// All bundles from the beginning on.
    fn bundles(&mut self, feed: &str) -> Vec<Value> {
        let (mut bundles, mut token) = (Vec::new(), None);
        for _ in 0..200 {
            let response = self.stix(feed, token.as_deref());
            assert_eq!(response.header_value("content-type"), Some("application/octet-stream"), "{:?}", response.body);
            bundles.push(response.body_json());
            let next = next(&response);
            if next.is_none() || next == token {
                return bundles;
            }
            token = next;
        }
        panic!("never the last file");
    }
}

fn next(response: &Response) -> Option<String> {
    response.header_value("x-mc-threat-feed-next-token").map(str::to_owned)
}

fn world(change: impl FnOnce(&mut Settings)) -> World {
    World::full(false, |settings| {
        settings.feed_page = 20;
        settings.tenants[0].rates.threat_customer = 200;
        change(settings);
    })
}

fn objects(bundles: &[Value]) -> Vec<Value> {
    bundles.iter().flat_map(|bundle| bundle["objects"].as_array().unwrap().clone()).collect()
}

#[test]
fn a_feed_yields_exactly_its_truth_in_both_generations() {
    for v1 in [false, true] {
        let mut world = World::full(v1, |settings| settings.feed_page = 20);
        for (feed, stream) in [("malware_customer", "threat_intel/customer"), ("malware_grid", "threat_intel/grid")] {
            let bundles = world.bundles(feed);
            assert!(bundles.iter().all(|bundle| bundle["type"] == "bundle" && bundle["spec_version"] == "2.0"));
            assert_eq!(marks(texts(&bundles)), world.truth(stream), "{feed}");
        }
        assert!(world.truth("threat_intel/grid").len() > 50);
    }
}

#[test]
fn objects_belong_together_and_hashes_come_again() {
    let mut world = world(|settings| settings.tenants[0].rates.threat_grid = 2_000);
    let bundles = world.bundles("malware_grid");
    let all = objects(&bundles);
    let ids: BTreeSet<&str> = all.iter().map(|object| object["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), all.len());
    let of = |kind: &str| all.iter().filter(|object| object["type"] == kind).count();
    assert!(of("malware") != of("indicator") || of("indicator") != of("relationship"), "some stand alone");
    let (mut alone, mut joined) = (0, 0);
    for bundle in &bundles {
        let list = bundle["objects"].as_array().unwrap();
        let by_id: BTreeMap<&str, &Value> =
            list.iter().map(|object| (object["id"].as_str().unwrap(), object)).collect();
        for link in list.iter().filter(|object| object["type"] == "relationship") {
            let ends = ["source_ref", "target_ref"].map(|end| by_id.get(link[end].as_str().unwrap()));
            match ends {
                [Some(indicator), Some(malware)] => {
                    assert_eq!((&indicator["type"], &malware["type"]), (&json!("indicator"), &json!("malware")));
                    let text = [*indicator, *malware, link].map(Value::to_string).concat();
                    assert_eq!(Mark::find_all(text.as_bytes()).len(), 1, "{text}");
                    joined += 1;
                }
                _ => alone += 1,
            }
        }
    }
    assert!(joined > 500 && alone > 5, "{joined} {alone}");
    let orders: BTreeSet<String> = bundles
        .iter()
        .map(|bundle| bundle["objects"].as_array().unwrap().iter().take(2).map(|it| it["type"].to_string()).collect())
        .collect();
    assert!(orders.len() > 2, "{orders:?}");
    let patterns: Vec<&str> = all.iter().filter_map(|object| object["pattern"].as_str()).collect();
    assert!(patterns.iter().collect::<BTreeSet<_>>().len() < patterns.len(), "the same hash under new ids");
}

#[test]
fn the_csv_form_and_compressed_files_hold_the_same() {
    let mut world = world(|settings| settings.feed_page = 1_000);
    let start = "2025-05-20T00:00:00+0000";
    let csv = world.feed(json!({"feedType": "malware_grid", "start": start}));
    assert!(file_name(&csv).starts_with("malware_grid_csv_") && file_name(&csv).ends_with(".csv"));
    let text = String::from_utf8(csv.body.to_vec()).unwrap();
    assert_eq!(marks([&text]), world.truth("threat_intel/grid"));
    let header = text.lines().next().unwrap();
    assert!(header.split('|').any(|column| column == "FileName"));
    assert!(text.contains("|\"a|"), "a bar inside of a quoted name");

    for (kind, extension) in [("csv", ".csv"), ("stix", ".stix")] {
        let data = json!({"feedType": "malware_grid", "fileType": kind, "compress": true, "start": start});
        let zip = world.feed(data);
        assert!(file_name(&zip).ends_with(".zip"));
        let members = unzip(&zip.body).unwrap();
        assert_eq!(members.len(), 1);
        assert!(members[0].0.ends_with(extension));
        assert_eq!(marks([&members[0].1]), world.truth("threat_intel/grid"));
    }
}

#[test]
fn nothing_is_told_by_a_failure() {
    let mut world = world(|_| {});
    let empty = json!({"feedType": "malware_grid", "fileType": "stix", "start": "2025-06-09T00:00:00+0000"});
    let answer = world.feed(empty.clone());
    assert_eq!(answer.status, 200);
    let message =
        |answer: &Response| answer.body_json()["fail"][0]["errors"][0]["message"].as_str().unwrap().to_owned();
    assert_eq!(message(&answer), "No results found for threat intel feed.");
    world.simulator.inject("one", Fault::FeedCannotCompress, When::Always).unwrap();
    assert_eq!(message(&world.feed(empty)), "Unable to compress feeds.");
    assert!(next(&world.stix("malware_grid", None)).is_some(), "where there is something it does not show");
}

#[test]
fn tokens_go_on_and_belong_to_one_feed() {
    let mut world = world(|_| {});
    let first = world.stix("malware_grid", None);
    let token = next(&first).unwrap();
    assert_eq!(
        first.body_json()["objects"].as_array().unwrap().iter().filter(|it| it["type"] == "indicator").count() / 10,
        1
    );
    let second = world.stix("malware_grid", Some(&token));
    assert_ne!(first.body, second.body);
    assert_eq!(world.stix("malware_grid", Some(&token)).body, second.body);
    assert_eq!(world.stix("malware_customer", Some(&token)).status, 400);
    assert_eq!(world.stix("malware_grid", Some("AAAA")).status, 400);
    let wrong = world.feed(json!({"feedType": "everything"}));
    assert_eq!((wrong.status, code(&wrong).as_str()), (400, "err_validation_null"));
}

#[test]
fn a_kept_token_brings_what_came_since() {
    let mut world = world(|settings| settings.feed_page = 5);
    let mut token = None;
    let mut seen = BTreeMap::new();
    for hour in 0..40 {
        world.now += HOUR * u64::from(hour > 30);
        loop {
            let response = world.stix("malware_customer", token.as_deref());
            let Some(rest) = response.body_json()["objects"].as_array().cloned() else { break };
            seen.append(&mut marks(texts(&rest)));
            let Some(next) = next(&response) else { break };
            token = Some(next);
        }
    }
    assert_eq!(seen, world.truth("threat_intel/customer"));
}

#[test]
fn the_quirks_of_tokens_and_files() {
    let mut world = world(|_| {});
    let calm = world.bundles("malware_grid");
    world.simulator.inject("one", Fault::FeedTokenRepeats, When::Always).unwrap();
    assert_eq!(world.bundles("malware_grid"), calm, "the last token is the one that was sent");
    let fired = world.simulator.fired("one");
    assert_eq!(fired, [(Fault::FeedTokenRepeats, 1)]);

    world.simulator.clear_faults("one").unwrap();
    world.simulator.inject("one", Fault::FeedEmptyBundle, When::After { skip: 1, count: 1 }).unwrap();
    let bundles = world.bundles("malware_grid");
    assert_eq!(bundles[1]["objects"], json!([]));
    assert_eq!(objects(&bundles), objects(&calm));

    world.simulator.inject("one", Fault::FeedCut, When::First(1)).unwrap();
    let cut = world.stix("malware_grid", None);
    assert!(cut.body_json().is_null() && next(&cut).is_some());
    assert_eq!(world.stix("malware_grid", None).body_json(), calm[0]);

    let at = Endpoint::ThreatFeed;
    world.simulator.inject("one", Fault::CursorRefused { at }, When::First(1)).unwrap();
    let token = next(&world.stix("malware_grid", None)).unwrap();
    assert_eq!(world.stix("malware_grid", Some(&token)).status, 400);
    assert_eq!(world.stix("malware_grid", Some(&token)).status, 200);
    world.simulator.inject("one", Fault::LateRows { at, count: 3, late_ms: 6 * HOUR }, When::First(1)).unwrap();
    let late = objects(&world.bundles("malware_grid"));
    assert_eq!(marks(texts(&late)), world.truth("threat_intel/grid"));
    assert!(late.len() > objects(&calm).len());
}

#[test]
fn one_feed_may_be_forbidden_and_downloads_may_be_audited() {
    let mut world = world(|settings| {
        settings.tenants[0].denied = vec!["threat_intel/customer".to_owned()];
        settings.feed_downloads_are_audited = true;
    });
    assert_eq!(world.stix("malware_customer", None).status, 403);
    let before = world.truth("audit").len();
    assert_eq!(world.stix("malware_grid", None).status, 200);
    let (begin, end) = (world.now, world.now + MINUTE);
    world.now += MINUTE;
    let rows = world.collect_audit(begin - 1000, end, 50);
    assert!(rows.iter().any(|row| row["auditType"] == "Threat Intel Feed Download"));
    assert!(world.truth("audit").len() > before);
}
