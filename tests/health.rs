//! What the host says of itself: the health events of whole runs, as a sink gets them and as the store keeps them.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use mimecast_simulator as sim;
use mimecast_simulator::{Endpoint, Fault, When};
use serde_json::Value;
use tributary_host::state::Store;
use tributary_tests::delivered::files;
use tributary_tests::world::World;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// One tenant, with a sink for health beside the one for events.
fn world(source: &str) -> World {
    let mut world = World::of(sim::Tenant::v2("one", 600), 6);
    world.source = source.into();
    let path = world.folder.path().join("health");
    world.sink = format!("\n[sinks.health]\ntype = \"file\"\ninputs = [\"health\"]\npath = \"{}\"\n", path.display());
    world
}

/// All that the health sink has.
fn events(world: &World) -> Vec<Value> {
    let folder = world.folder.path().join("health");
    let mut files = files(&folder);
    files.sort();
    assert!(files.iter().all(|file| file.starts_with(folder.join("one").join("health"))), "{files:?}");
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// For each stream, for each sink, and for the whole source: what was told, in short.
fn told(events: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        let text = |key: &str| event[key].as_str().map(ToOwned::to_owned);
        let of = text("stream").or(text("sink").map(|sink| format!("sink {sink}"))).unwrap_or_default();
        let words = [text("event"), text("state"), text("code"), text("severity")];
        told.entry(of).or_default().push(words.into_iter().flatten().collect::<Vec<_>>().join(" "));
    }
    told
}

/// Looks for what must not be told, and that each event has what all have.
fn assert_sound(events: &[Value], secrets: &[&str]) {
    let mut ids = Vec::new();
    for event in events {
        let text = event.to_string();
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
        assert!(chrono_like(event["time"].as_str().unwrap()), "{text}");
        assert_eq!(
            (&event["kind"], &event["source"], &event["tenant"]),
            (&"health".into(), &"one".into(), &"one".into())
        );
        assert!(!event["message"].as_str().unwrap().is_empty());
        let retries = event.get("retry_at").is_some();
        assert_eq!(retries, event.get("retry_in_ms").is_some());
        assert!(!retries || event["retry_at"].as_str().unwrap() >= event["time"].as_str().unwrap(), "{text}");
        ids.push(event["id"].as_str().unwrap().to_owned());
    }
    let times: Vec<&str> = events.iter().map(|event| event["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted());
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), events.len());
}

/// As RFC 3339 with milliseconds.
fn chrono_like(time: &str) -> bool {
    time.len() == 24 && time.ends_with('Z') && time.as_bytes()[10] == b'T' && time.as_bytes()[19] == b'.'
}

#[tokio::test(start_paused = true)]
async fn a_healthy_run_tells_state_changes_and_nothing_else() {
    let world = world("collect = [\"siem/receipt\", \"audit\", \"dlp\"]");
    let running = world.start().await;
    let streams: Vec<String> = running.status().iter().map(|status| status.stream.to_string()).collect();
    world.settled(&running).await;
    tokio::time::sleep(6 * HOUR).await;
    assert!(running.stop().await);
    let events = events(&world);
    let states = ["started", "initialized", "authenticated", "collecting", "stopping"];
    let expected: Vec<_> = states.iter().map(|state| format!("StateChange {state} informational")).collect();
    let told = told(&events);
    assert_eq!(told.keys().cloned().collect::<Vec<_>>(), streams);
    for (stream, told) in told {
        assert_eq!(told, expected, "{stream}");
    }
    assert_sound(&events, &[]);
    // The store keeps the same.
    let store = Store::open(&world.state()).unwrap();
    let kept = store.health("one").unwrap();
    let kept: Vec<Value> = kept.iter().map(|event| serde_json::from_slice(event).unwrap()).collect();
    assert_eq!(kept, events);
}

#[tokio::test(start_paused = true)]
async fn each_trouble_is_told_once_with_what_it_is_and_when_it_is_over() {
    let world = world("collect = [\"siem/receipt\", \"audit\"]");
    // The vendor refuses the credentials.
    world.inject(Fault::InvalidClientIdentifier { at: Endpoint::Token }, When::Always);
    let running = world.start().await;
    tokio::time::sleep(30 * MINUTE).await;
    world.clear_faults();
    tokio::time::sleep(HOUR).await;
    world.settled(&running).await;
    // It refuses one stream, and later answers nothing sensible for two hours.
    world.inject(Fault::Forbidden { at: Endpoint::Audit, kind: None }, When::Always);
    tokio::time::sleep(3 * HOUR).await;
    world.clear_faults();
    world.settled(&running).await;
    tokio::time::sleep(HOUR).await;
    world.inject(Fault::Status { at: Endpoint::Audit, status: 503 }, When::Always);
    tokio::time::sleep(2 * HOUR).await;
    world.clear_faults();
    world.settled(&running).await;
    // A file is gone.
    world.inject(Fault::UrlGoneForever, When::First(1));
    tokio::time::sleep(4 * HOUR).await;
    world.clear_faults();
    world.settled(&running).await;
    // The events' sink is blocked; the one for health is not.
    let (there, away) = (world.events().join("one"), world.events().join("away"));
    fs::rename(&there, &away).unwrap();
    fs::write(&there, "").unwrap();
    tokio::time::sleep(HOUR).await;
    let while_blocked = events(&world);
    assert_eq!(while_blocked.last().unwrap()["sink"], "files", "told while it lasts");
    fs::remove_file(&there).unwrap();
    tokio::time::sleep(HOUR).await;
    world.settled(&running).await;
    assert!(running.stop().await);

    let events = events(&world);
    let told = told(&events);
    let expected: [(&str, &[&str]); 4] = [
        ("", &["ThirdPartyConfigError bad-client high", "Cleared bad-client informational"]),
        (
            "audit",
            &[
                "StateChange started informational",
                "StateChange initialized informational",
                "StateChange error bad-client high",
                "StateChange collecting informational",
                "ThirdPartyConfigError http-403 high",
                "StateChange not_licensed http-403 high",
                "Cleared http-403 informational",
                "StateChange collecting informational",
                "ThirdPartyGenericError http-503 medium",
                "StateChange error http-503 high",
                "Cleared http-503 informational",
                "StateChange collecting informational",
                "StateChange stopping informational",
            ],
        ),
        (
            "siem/receipt",
            &[
                "StateChange started informational",
                "StateChange initialized informational",
                "StateChange error bad-client high",
                "StateChange collecting informational",
                "ThirdPartyGenericError file-gone medium",
                "Cleared file-gone informational",
                "Gap gap high",
                "StateChange stopping informational",
            ],
        ),
        ("sink files", &["FirstPartyGenericError sink high", "Cleared sink informational"]),
    ];
    assert_eq!(told.keys().map(String::as_str).collect::<Vec<_>>(), expected.map(|(of, _)| of));
    for (of, expected) in expected {
        assert_eq!(told[of], expected, "{of}");
    }
    let sim::Credentials::V2 { client_secret, .. } = sim::Tenant::v2("one", 600).credentials else { panic!() };
    assert_sound(&events, &[&client_secret, "Bearer"]);
    let find = |event: &str, code: &str| {
        let found = events.iter().find(|found| found["event"] == event && found["code"] == code);
        found.unwrap_or_else(|| panic!("{event} {code}"))
    };
    let refused = find("ThirdPartyConfigError", "bad-client");
    assert_eq!((&refused["status"], &refused["retry_in_ms"]), (&401.into(), &3_600_000.into()));
    assert!(refused["hint"].as_str().unwrap().contains("client_secret"), "{refused}");
    assert!(!refused["message"].as_str().unwrap().contains(refused["hint"].as_str().unwrap()));
    let error = find("StateChange", "http-503");
    assert_eq!((&error["previous_state"], &error["status"]), (&"collecting".into(), &503.into()));
    let gap = find("Gap", "gap");
    assert!(gap["message"].as_str().unwrap().contains("404 for more than an hour"), "{gap}");
    let sink = find("FirstPartyGenericError", "sink");
    assert!(sink["message"].as_str().unwrap().contains("positions stand still"), "{sink}");
}

#[tokio::test(start_paused = true)]
async fn a_right_that_nobody_counted_on_is_no_error() {
    let world = world("collect = [\"siem\", \"audit\"]");
    world.inject(Fault::Forbidden { at: Endpoint::SiemBatch, kind: Some(sim::Kind::Av) }, When::Always);
    let running = world.start().await;
    tokio::time::sleep(3 * HOUR).await;
    assert!(running.stop().await);
    let told = told(&events(&world));
    let expected = ["started informational", "initialized informational", "authenticated informational"];
    let mut expected: Vec<_> = expected.iter().map(|state| format!("StateChange {state}")).collect();
    expected.extend(["StateChange not_licensed http-403 low".into(), "StateChange stopping informational".into()]);
    assert_eq!(told["siem/av"], expected);
    assert_eq!(told["siem/receipt"].len(), 5);
}
