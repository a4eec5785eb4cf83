//! Routes, rules and alerts, from the real component to files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mimecast_simulator as sim;
use serde_json::Value;
use tributary_tests::delivered::files;
use tributary_tests::world::World;

/// Sinks beside `files`, each with a folder of its own.
fn sinks(world: &World, sinks: &[(&str, &str)]) -> String {
    let folder = world.folder.path().display();
    let one =
        |(id, keys): &(&str, &str)| format!("\n[sinks.{id}]\ntype = \"file\"\npath = \"{folder}/{id}\"\n{keys}\n");
    sinks.iter().map(one).collect()
}

/// Every event below `folder`, by id, with its stream; each lies there once.
fn events(folder: &Path) -> BTreeMap<String, Value> {
    let mut events = BTreeMap::new();
    for file in files(folder) {
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let id = event["metadata"]["uid"].as_str().unwrap().to_owned();
            assert!(events.insert(id, event).is_none(), "an event came twice");
        }
    }
    events
}

fn of(world: &World, sink: &str) -> BTreeMap<String, Value> {
    events(&world.folder.path().join(sink))
}

async fn read_all(world: &World) -> BTreeMap<String, tributary_host::state::Counts> {
    let running = world.start().await;
    running.caught_up().await;
    world.settled(&running).await;
    let disk = running.disk().unwrap();
    assert!(running.stop().await);
    let store = &disk.store;
    let keys = store.streams().unwrap();
    keys.into_iter().map(|key| (key.stream.clone(), store.stream(&key).unwrap().ledger.counts)).collect()
}

#[tokio::test(start_paused = true)]
async fn each_sink_gets_what_its_routes_and_rules_leave() {
    let mut world = World::of(sim::Tenant::v2("acme", 2_000), 24);
    world.source = "[[sources.acme.rules]]\ntype = \"mask\"\nname = \"subjects\"\nfield = \"email.subject\"\n".into();
    world.sink = sinks(
        &world,
        &[
            ("receipts", "inputs = [\"acme\"]\nwhere = { streams = [\"siem/receipt\"] }"),
            ("severe", "inputs = [\"acme\"]\nwhere = { severity_at_least = \"high\" }"),
            (
                "hashed",
                "inputs = [\"acme\"]\n[[sinks.hashed.rules]]\ntype = \"hash\"\nfield = \"email.from\"\nkey = \"0123456789abcdef\"\n[[sinks.hashed.rules]]\ntype = \"exclude\"\nname = \"no-audit\"\nstreams = [\"audit\"]",
            ),
        ],
    );
    let counts = read_all(&world).await;
    let all = of(&world, "events");
    let ids = |events: &BTreeMap<String, Value>| events.keys().cloned().collect::<BTreeSet<_>>();
    for counts in counts.values() {
        assert_eq!(counts.imbalances(), [""; 0]);
    }
    // By stream: the same events, no others.
    let (receipts, receipt) = (of(&world, "receipts"), &counts["siem/receipt"]);
    assert!(!receipts.is_empty());
    assert_eq!(receipts.len() as u64, receipt.sinks["receipts"].delivered);
    assert!(receipts.iter().all(|(id, event)| all[id] == *event));
    let audit = &counts["audit"];
    assert_eq!((audit.sinks["receipts"].filtered, audit.rules["receipts.where"]), (audit.accepted, audit.accepted));
    // By severity.
    let severity = |event: &Value| event["severity_id"].as_u64().unwrap_or_default();
    let expected: BTreeSet<String> =
        all.iter().filter(|(_, event)| (4..=6).contains(&severity(event))).map(|(id, _)| id.clone()).collect();
    assert!(!expected.is_empty() && expected.len() < all.len());
    assert_eq!(ids(&of(&world, "severe")), expected);
    // A source's rule comes before all sinks, a sink's own is its own.
    let hashed = of(&world, "hashed");
    assert_eq!(all.len() - hashed.len(), audit.accepted as usize);
    assert_eq!(audit.rules["hashed.rules.no-audit"], audit.accepted);
    let (mut subjects, mut senders) = (0, 0);
    for (id, event) in &all {
        if let Some(subject) = event["email"]["subject"].as_str() {
            subjects += 1;
            assert_eq!(subject, "****");
        }
        let Some(other) = hashed.get(id) else { continue };
        if let Some(from) = event["email"]["from"].as_str() {
            senders += 1;
            assert!(from.contains('@'), "{from}");
            let hash = other["email"]["from"].as_str().unwrap();
            assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
            let mut same = other.clone();
            same["email"]["from"] = from.into();
            assert_eq!(same, *event, "nothing else changed");
        } else {
            assert_eq!(event, other);
        }
    }
    assert!(subjects > 0 && senders > 0);
    let changed: u64 = counts.values().filter_map(|counts| counts.rules.get("rules.subjects")).sum();
    assert_eq!(changed, subjects);
}

#[tokio::test(start_paused = true)]
async fn an_alert_passes_once_in_its_window_across_restarts() {
    let mut world = World::of(sim::Tenant::v2("acme", 2_000), 24);
    world.sink = sinks(
        &world,
        &[("pager", "inputs = [\"acme.alerts\"]"), ("flagged", "inputs = [\"acme\"]\nwhere = { alerts = true }")],
    );
    let counts = read_all(&world).await;
    let (pager, flagged) = (of(&world, "pager"), of(&world, "flagged"));
    let repeated: u64 = counts.values().filter_map(|counts| counts.rules.get("pager.alerts")).sum();
    let accepted: u64 = counts.values().map(|counts| counts.accepted).sum();
    assert!(!pager.is_empty() && pager.len() < flagged.len(), "{} of {}", pager.len(), flagged.len());
    assert_eq!(pager.len() as u64 + repeated, accepted);
    assert!(pager.keys().all(|id| flagged.contains_key(id)));
    // What is read again, from the beginning, shows no alert that was seen in the last day.
    let keys = tributary_host::state::Store::open(&world.state()).unwrap();
    for key in keys.streams().unwrap() {
        keys.forget(&key, tributary_host::state::Forget::All).unwrap();
    }
    drop(keys);
    let before = pager.len();
    std::fs::remove_dir_all(world.folder.path().join("flagged")).unwrap();
    read_all(&world).await;
    assert!(!of(&world, "flagged").is_empty(), "it was read again");
    let fresh = of(&world, "pager").len() - before;
    let since: BTreeSet<String> = of(&world, "flagged").into_keys().filter(|id| !flagged.contains_key(id)).collect();
    assert!(fresh <= since.len(), "{fresh} alerts of {} new events", since.len());
}

#[tokio::test(start_paused = true)]
async fn an_event_that_a_sink_does_not_take_uses_up_no_alert() {
    // Of many an alert the first event is of low severity, and another stream has one of a higher.
    let severe = "where = { severity_at_least = \"medium\" }";
    let pager = format!("inputs = [\"*.alerts\"]\n{severe}");
    let ruled = "inputs = [\"*.alerts\"]\n[[sinks.ruled.rules]]\ntype = \"include\"\nseverity_at_least = \"medium\"";
    let mut world = World::of(sim::Tenant::v2("acme", 2_000), 24);
    world.sink = sinks(&world, &[("everything", "inputs = [\"*.alerts\"]"), ("pager", &pager), ("ruled", ruled)]);
    let counts = read_all(&world).await;
    assert!(counts.values().all(|counts| counts.imbalances().is_empty()), "{counts:?}");
    // The same where only such events come to the sinks at all.
    let mut other = World::of(sim::Tenant::v2("acme", 2_000), 24);
    other.source =
        "[[sources.acme.rules]]\ntype = \"include\"\nname = \"severe\"\nseverity_at_least = \"medium\"\n".into();
    other.sink = sinks(&other, &[("pager", "inputs = [\"*.alerts\"]")]);
    read_all(&other).await;
    let expected = of(&other, "pager").len();
    assert!(expected > 30 && expected < of(&world, "everything").len());
    assert_eq!([of(&world, "pager").len(), of(&world, "ruled").len()], [expected; 2]);
}

#[tokio::test(start_paused = true)]
async fn the_same_alert_passes_again_after_its_window() {
    let mut world = World::of(sim::Tenant::v2("acme", 2_000), 24);
    world.source = "alert_window_secs = 60\n".into();
    world.sink = sinks(&world, &[("pager", "inputs = [\"*.alerts\"]")]);
    read_all(&world).await;
    let first = of(&world, "pager");
    std::fs::remove_dir_all(world.folder.path().join("pager")).unwrap();
    let store = tributary_host::state::Store::open(&world.state()).unwrap();
    for key in store.streams().unwrap() {
        store.forget(&key, tributary_host::state::Forget::All).unwrap();
    }
    drop(store);
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    read_all(&world).await;
    let again = of(&world, "pager");
    assert!(!first.is_empty() && first.keys().filter(|id| again.contains_key(*id)).count() * 2 > first.len());
}
