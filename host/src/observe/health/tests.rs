use std::sync::Mutex as StdMutex;

use serde_json::Value;

use super::*;
use crate::config::Settings;
use crate::deliver::Storage;
use crate::outside::Random;
use crate::sandbox::{Fault, FaultClass};
use crate::state::{Commit, DeadLetter, HealthRow, StateError, StreamKey, StreamState as Stored};

fn source(id: &str, settings: &str) -> config::Source {
    config::Source {
        id: id.into(),
        kind: "k".into(),
        tenant: format!("{id} Ltd"),
        settings: Settings::new(settings),
        quota_share: 1.0,
        quotas: BTreeMap::new(),
        retry_for: Duration::from_secs(1),
        on_position_lost: Default::default(),
        max_in_flight_bytes: 1,
        limits: Default::default(),
        network: Default::default(),
        alert_window: Duration::from_secs(86_400),
        rules: Default::default(),
    }
}

fn health() -> Health {
    let health = Health::new(Clock::simulated(Duration::from_secs(1_795_000_000)));
    health.watch(&source("acme", r#"{"collect":["dlp"]}"#));
    health
}

fn events(health: &Health) -> Vec<Value> {
    health.unsaved("acme").iter().map(|told| serde_json::from_slice(&told.json).unwrap()).collect()
}

fn unavailable(code: &str) -> Cause {
    let fault = Fault {
        class: FaultClass::Unavailable,
        code: code.into(),
        message: "it is down".into(),
        hint: Some("Wait".into()),
        status: Some(503),
    };
    Cause::of(&fault.into())
}

#[tokio::test(start_paused = true)]
async fn an_event_says_all_that_is_known() {
    let health = health();
    let place = Place::Stream("audit".into());
    health.trouble("acme", &place, &unavailable("http-503"), Some(Duration::from_millis(1_500)));
    let all = events(&health);
    let mut event = all[0].clone();
    let id = event.as_object_mut().unwrap().remove("id").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 32);
    assert_eq!(
        event,
        serde_json::json!({
            "time": "2026-11-18T11:06:40.000Z", "kind": "health", "event": "ThirdPartyGenericError",
            "severity": "medium", "tenant": "acme Ltd", "source": "acme", "stream": "audit", "code": "http-503",
            "status": 503, "message": "it is down", "hint": "Wait", "retry_at": "2026-11-18T11:06:41.500Z",
            "retry_in_ms": 1500,
        })
    );
    let text = String::from_utf8(health.unsaved("acme")[0].json.to_vec()).unwrap();
    assert!(text.starts_with(r#"{"time":"2026-11-18T11:06:40.000Z","id":""#), "{text}");
    // Of the whole source; and of a source that nobody watches.
    health.trouble("acme", &Place::Session, &unavailable("http-503"), None);
    health.trouble("other", &Place::Session, &unavailable("http-503"), None);
    let all = events(&health);
    assert!(all.len() == 2 && all[1].get("stream").is_none() && all[1].get("retry_at").is_none(), "{all:?}");
    assert_ne!(all[0]["id"], all[1]["id"]);
}

#[tokio::test(start_paused = true)]
async fn trouble_is_told_when_it_begins_changes_and_clears() {
    let health = health();
    let place = Place::Stream("audit".into());
    for code in ["http-503", "http-503", "cut", "http-503", "cut"] {
        health.trouble("acme", &place, &unavailable(code), None);
    }
    health.clear("acme", &Place::Stream("dlp".into()));
    health.clear("acme", &place);
    health.clear("acme", &place);
    let told: Vec<_> = events(&health)
        .iter()
        .map(|event| format!("{} {}", event["event"].as_str().unwrap(), event["code"].as_str().unwrap()))
        .collect();
    assert_eq!(told, ["ThirdPartyGenericError http-503", "ThirdPartyGenericError cut", "Cleared http-503"]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_an_error_only_where_the_stream_was_named() {
    let health = health();
    assert!(health.is_named("acme", "dlp") && !health.is_named("acme", "audit") && !health.is_named("other", "dlp"));
    for stream in ["dlp", "audit"] {
        let (before, state) = (StreamState::Initialized, StreamState::NotLicensed);
        health.state_changed("acme", stream, before, state, Some(&unavailable("http-403")));
    }
    let all = events(&health);
    assert_eq!((&all[0]["severity"], &all[1]["severity"]), (&"high".into(), &"low".into()));
    assert_eq!((&all[0]["previous_state"], &all[0]["state"]), (&"initialized".into(), &"not_licensed".into()));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_the_oldest_and_counts_them() {
    let health = health();
    let queue = health.queue();
    let change = |number: usize| {
        let gap = Gap { what: number.to_string(), begin: Some(1), end: None, reason: "r".into(), at_ms: 0 };
        health.gap("acme", "audit", &gap);
    };
    (0..1_500).for_each(change);
    let events = queue.take();
    assert_eq!((events.len(), queue.take_dropped(), queue.take_dropped()), (1_100, 400, 0));
    let first: Value = serde_json::from_slice(&events[0].json).unwrap();
    assert_eq!((&first["message"], &first["begin"]), (&"400: r".into(), &"1970-01-01T00:00:00.000Z".into()));
    assert_eq!(health.unsaved("acme").len(), KEPT_HEALTH, "in memory too");
}

#[test]
fn batches_are_of_one_tenant_each() {
    let health = Health::new(Clock::System);
    ["b", "a"].iter().for_each(|id| health.watch(&source(id, "{}")));
    let queue = health.queue();
    for (id, stream) in [("a", "x"), ("b", "x"), ("a", "y")] {
        health.state_changed(id, stream, StreamState::Pending, StreamState::Started, None);
    }
    let batches = batches(&queue.take());
    let shape: Vec<_> = batches.iter().map(|batch| (&*batch.origin.tenant, batch.events.len())).collect();
    assert_eq!(shape, [("a Ltd", 2), ("b Ltd", 1)]);
    for batch in &batches {
        assert_eq!((&*batch.origin.source, &*batch.origin.stream), ("health", "health"));
        for head in &batch.events {
            let event: Value = serde_json::from_slice(&batch.bodies[head.begin as usize..head.end as usize]).unwrap();
            assert_eq!(event["id"], format!("{:032x}", head.id));
            assert_eq!((head.kind, head.severity), (HEALTH_KIND, 1));
        }
    }
}

/// A store for health alone.
#[derive(Default)]
struct Kept {
    rows: StdMutex<Vec<HealthRow>>,
    writes: StdMutex<u32>,
    full: StdMutex<bool>,
}

impl Storage for Kept {
    fn stream(&self, _: &StreamKey) -> Result<Stored, StateError> {
        unreachable!("health reads nothing")
    }

    fn known(&self, _: &StreamKey, _: &[u128]) -> Result<Vec<bool>, StateError> {
        unreachable!("health knows no ids")
    }

    fn commit(&self, _: Vec<Commit>) -> Result<(), StateError> {
        unreachable!("health has no position")
    }

    fn forget(&self, _: &StreamKey) -> Result<(), StateError> {
        unreachable!("health forgets nothing here")
    }

    fn keep(&self, _: &str, _: &[DeadLetter]) -> Result<(), StateError> {
        unreachable!("health has no letters")
    }

    fn keep_health(&self, events: &[HealthRow]) -> Result<(), StateError> {
        if *self.full.lock().unwrap() {
            return Err(StateError::Full { path: "state".into() });
        }
        *self.writes.lock().unwrap() += 1;
        self.rows.lock().unwrap().extend_from_slice(events);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_together_is_kept_together_and_idleness_writes_nothing() {
    let health = health();
    let kept = Arc::<Kept>::default();
    let keeper = tokio::spawn(Keeper::new(health.clone(), Arc::clone(&kept) as _, Random::seeded(1)).run());
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(*kept.writes.lock().unwrap(), 0);
    for stream in ["a", "b", "c"] {
        health.state_changed("acme", stream, StreamState::Pending, StreamState::Started, None);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!((*kept.writes.lock().unwrap(), kept.rows.lock().unwrap().len()), (1, 3));
    // The store is the trouble: in memory meanwhile.
    *kept.full.lock().unwrap() = true;
    health.trouble("acme", &Place::State, &Cause::host(HostCode::StateWrite, "full".into(), "Make room"), None);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(health.unsaved("acme").len(), 1);
    *kept.full.lock().unwrap() = false;
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert_eq!((health.unsaved("acme").len(), kept.rows.lock().unwrap().len()), (0, 4));
    // The end keeps what there is, and does not wait.
    health.clear("acme", &Place::State);
    health.close();
    keeper.await.unwrap();
    assert_eq!(kept.rows.lock().unwrap().len(), 5);
}
