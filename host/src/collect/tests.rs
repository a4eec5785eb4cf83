//! The worker under paused time, with a vendor that is a script, and sinks and state that can fail.

mod recovery;
mod sinks;
mod tenants;
mod vendor;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::vendor::{Scripted, Vendor, fault, number};
use super::{StreamState, StreamStatus};
use crate::config::{self, OnPositionLost};
use crate::deliver::{Attached, Batch, Storage};
use crate::outside::{Clock, Outside, Random};
use crate::sandbox::{FaultClass, LogStream, Network, NetworkError, Quota, Start, Transport, Way};
use crate::sinks::{DeliverFuture, Sink, SinkError};
use crate::state::{Commit, Counts, DeadLetter, HealthRow, StateError, StreamKey, StreamState as Stored};
use crate::{Ready, Running};

const MINUTE: Duration = Duration::from_secs(60);

/// What sinks and state hold; both outlive the host.
#[derive(Default)]
struct World {
    delivered: Mutex<Vec<u128>>,
    sink_fails: Mutex<u32>,
    state_fails: Mutex<u32>,
    commits: Mutex<Vec<(Instant, u64)>>,
    stored: Mutex<BTreeMap<StreamKey, Stored>>,
    seen: Mutex<BTreeSet<u128>>,
    letters: Mutex<Vec<DeadLetter>>,
    letters_full: Mutex<bool>,
}

/// Counts one failure down.
fn fails(left: &Mutex<u32>) -> bool {
    let mut left = left.lock().unwrap();
    let fails = *left > 0;
    *left = left.saturating_sub(1);
    fails
}

impl Storage for World {
    fn stream(&self, key: &StreamKey) -> Result<Stored, StateError> {
        Ok(self.stored.lock().unwrap().get(key).cloned().unwrap_or_default())
    }

    fn known(&self, _: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError> {
        let seen = self.seen.lock().unwrap();
        Ok(ids.iter().map(|id| seen.contains(id)).collect())
    }

    fn commit(&self, commits: Vec<Commit>) -> Result<(), StateError> {
        if fails(&self.state_fails) {
            return Err(StateError::Full { path: "state".into() });
        }
        for commit in commits {
            let mut stored = self.stored.lock().unwrap();
            let stream = stored.entry(commit.key).or_default();
            if let Some(position) = commit.position {
                let at = number(&position);
                let delivered: BTreeSet<_> = self.delivered.lock().unwrap().iter().copied().collect();
                assert!(commit.seen.iter().all(|id| delivered.contains(id)), "stored before it was delivered");
                self.commits.lock().unwrap().push((Instant::now(), at));
                stream.position = Some(position);
            }
            stream.ledger.counts.add(&commit.counts);
            if let Some(partly) = commit.partly {
                stream.partly = partly;
            }
            self.seen.lock().unwrap().extend(commit.seen);
        }
        Ok(())
    }

    fn forget(&self, key: &StreamKey) -> Result<(), StateError> {
        self.stored.lock().unwrap().remove(key);
        Ok(())
    }

    fn keep_health(&self, _: &[HealthRow]) -> Result<(), StateError> {
        Ok(())
    }

    fn keep(&self, _: &str, letters: &[DeadLetter]) -> Result<(), StateError> {
        if *self.letters_full.lock().unwrap() {
            return Err(StateError::DeadLettersFull { path: "letters".into(), bytes: 1, limit: 1 });
        }
        self.letters.lock().unwrap().extend_from_slice(letters);
        Ok(())
    }
}

struct Memorizing(Arc<World>);

impl Sink for Memorizing {
    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async {
            sleep(Duration::from_millis(50)).await;
            if fails(&self.0.sink_fails) {
                return Err(SinkError::new("the disk is full"));
            }
            let ids = batches.iter().flat_map(|batch| batch.events.iter().map(|event| event.id));
            self.0.delivered.lock().unwrap().extend(ids);
            Ok(Vec::new())
        })
    }
}

struct NoNetwork;

impl Network for NoNetwork {
    fn transport(&self, _: &Way<'_>) -> Result<Arc<dyn Transport>, NetworkError> {
        unreachable!("a script needs no network")
    }
}

fn outside() -> Outside {
    Outside {
        clock: Clock::simulated(Duration::from_secs(1_000_000)),
        random: Random::seeded(5),
        network: Arc::new(NoNetwork),
    }
}

struct Case {
    vendor: Arc<Vendor>,
    world: Arc<World>,
    policy: OnPositionLost,
    quota: Option<Quota>,
    in_flight: usize,
}

impl Case {
    fn new(backlog: u64) -> Self {
        let world = Arc::default();
        Self { vendor: Vendor::new(backlog), world, policy: OnPositionLost::Oldest, quota: None, in_flight: 8 << 20 }
    }

    fn start(&self) -> Running {
        let sink = Attached {
            id: "memory".into(),
            inputs: vec!["*".into()],
            acknowledgements: true,
            max_refused_share: 0.05,
            only: Default::default(),
            rules: Default::default(),
            sink: Box::new(Memorizing(Arc::clone(&self.world))),
        };
        self.start_with(vec![sink])
    }

    fn ready(&self) -> Ready {
        let config = config::Source {
            id: "acme".into(),
            kind: "script".into(),
            tenant: "acme".into(),
            settings: config::Settings::new("{}"),
            quota_share: 1.0,
            quotas: Default::default(),
            retry_for: 90 * MINUTE,
            on_position_lost: self.policy,
            max_in_flight_bytes: self.in_flight,
            limits: Default::default(),
            network: Default::default(),
            alert_window: Duration::from_secs(86_400),
            rules: Default::default(),
        };
        let stream = LogStream {
            name: "log".into(),
            description: String::new(),
            interval_ms: 300_000,
            retention_ms: None,
            repeats_within_ms: 3_600_000,
            quota: self.quota.as_ref().map(|quota| quota.name.clone()),
        };
        Ready {
            config,
            streams: vec![stream],
            quotas: self.quota.clone().into_iter().collect(),
            source: Arc::new(Scripted(Arc::clone(&self.vendor))),
        }
    }

    fn start_with(&self, sinks: Vec<Attached>) -> Running {
        Running::new(vec![self.ready()], sinks, Arc::clone(&self.world) as _, 256 << 20, outside(), MINUTE)
    }

    /// Fails if anything is missing, doubled, or wrongly counted.
    fn assert_whole(&self, repeated: u64) -> Counts {
        let delivered = self.world.delivered.lock().unwrap();
        let stored = self.world.stored.lock().unwrap();
        let stream = &stored[&StreamKey::new("acme", "log")];
        let counts = stream.ledger.counts.clone();
        let unique: BTreeSet<_> = delivered.iter().collect();
        assert_eq!(unique.len(), delivered.len(), "delivered twice");
        assert_eq!(number(stream.position.as_ref().unwrap()), counts.records, "each record once");
        assert_eq!(counts.records, counts.events + counts.malformed + counts.merged);
        assert_eq!((counts.repeated, counts.events), (repeated, repeated + counts.accepted));
        assert_eq!((counts.accepted, counts.sinks["memory"].delivered), (delivered.len() as u64, counts.accepted));
        counts
    }
}

fn only(running: &Running) -> StreamStatus {
    let mut status = running.status();
    assert_eq!(status.len(), 1);
    status.remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_backlog_and_what_follows_is_delivered_once() {
    let case = Case::new(23_456);
    let running = case.start();
    running.caught_up().await;
    assert_eq!(only(&running).state, StreamState::Collecting);
    sleep(11 * MINUTE).await;
    assert!(running.stop().await);
    let counts = case.assert_whole(0);
    assert!((23_456 + 600..=23_456 + 660).contains(&counts.records), "{counts:?}");
    let opened = case.vendor.with(|state| std::mem::take(&mut state.opened));
    assert_eq!(opened[0].1, Start::Configured);
    // From start to start.
    let gaps: Vec<_> = opened.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(gaps.len() == 2 && gaps.iter().all(|gap| gap.as_secs() == 300), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_killed_host_loses_nothing_and_repeats_only_what_was_in_flight() {
    let case = Case::new(200_000);
    let mut in_flight = 0;
    for _ in 0..5 {
        let running = case.start();
        sleep(Duration::from_millis(115)).await;
        let status = only(&running);
        assert!(status.stored.accepted > 0 && !status.caught_up, "killed in the middle");
        in_flight += status.read.accepted - status.stored.accepted;
        running.kill().await;
    }
    let running = case.start();
    running.caught_up().await;
    assert!(running.stop().await);
    let delivered = case.world.delivered.lock().unwrap();
    let unique: BTreeSet<_> = delivered.iter().copied().collect();
    let last = number(case.world.stored.lock().unwrap()[&StreamKey::new("acme", "log")].position.as_ref().unwrap());
    assert_eq!(unique, (0..u128::from(last)).collect());
    let repeated = (delivered.len() - unique.len()) as u64;
    assert!(repeated <= in_flight, "{repeated} of {in_flight}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_sink_or_state_holds_the_position_and_loses_nothing() {
    let case = Case::new(12_000);
    *case.world.sink_fails.lock().unwrap() = 4;
    *case.world.state_fails.lock().unwrap() = 4;
    let running = case.start();
    sleep(Duration::from_millis(500)).await;
    assert!(case.world.commits.lock().unwrap().is_empty());
    assert!(only(&running).in_flight > 0);
    running.caught_up().await;
    assert!(running.stop().await);
    case.assert_whole(0);
    let positions: Vec<_> = case.world.commits.lock().unwrap().iter().map(|(_, at)| *at).collect();
    assert!(positions.is_sorted(), "{positions:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_sink_bounds_what_is_read() {
    let case = Case { in_flight: 1 << 20, ..Case::new(1_000_000) };
    *case.world.sink_fails.lock().unwrap() = u32::MAX;
    let running = case.start();
    sleep(10 * MINUTE).await;
    let status = only(&running);
    // A chunk of 5,000 takes more than half of the mebibyte with its heads.
    assert!(status.in_flight <= 2 && status.read.records <= 10_000, "{status:?}");
    assert!(!running.stop().await, "it cannot drain");
    assert!(case.world.commits.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_expired_session_is_renewed_in_the_middle_of_a_poll() {
    let case = Case::new(30_000);
    let running = case.start();
    sleep(Duration::from_millis(45)).await;
    case.vendor.with(|state| state.expired = 1);
    running.caught_up().await;
    assert_eq!(only(&running).faults, 0);
    assert_eq!(case.vendor.with(|state| (state.sessions, state.opened.len())), (2, 1));
    running.stop().await;
    case.assert_whole(0);
}

#[tokio::test(start_paused = true)]
async fn passing_trouble_is_retried_behind_the_last_chunk() {
    let case = Case::new(20_000);
    case.vendor.with(|state| state.script.extend((0..3).map(|_| fault(FaultClass::Unavailable))));
    let running = case.start();
    sleep(Duration::from_secs(8)).await;
    assert_eq!(only(&running).faults, 3);
    case.vendor.fails(FaultClass::Protocol);
    running.caught_up().await;
    sleep(6 * MINUTE).await;
    running.stop().await;
    case.assert_whole(0);
}

#[tokio::test(start_paused = true)]
async fn poison_is_found_and_handed_over_verbatim() {
    let case = Case::new(12_000);
    case.vendor.with(|state| state.poison = BTreeSet::from([0, 7_777, 11_999]));
    let running = case.start();
    running.caught_up().await;
    running.stop().await;
    assert_eq!(case.assert_whole(0).malformed, 3);
    assert_eq!(case.world.letters.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn repeats_are_counted_and_not_delivered() {
    let case = Case::new(10_000);
    case.vendor.with(|state| state.repeat_after = Some(4_000));
    let running = case.start();
    running.caught_up().await;
    running.stop().await;
    let counts = case.assert_whole(case.vendor.records().max(10_000) - 4_000);
    assert_eq!(counts.accepted, 4_000);
}

#[tokio::test(start_paused = true)]
async fn throttling_waits_as_long_as_the_vendor_says() {
    let quota = Quota { name: "q".into(), requests: 1_000, window_ms: 60_000 };
    let case = Case { quota: Some(quota), ..Case::new(10) };
    case.vendor.fails(FaultClass::Throttled(90_000));
    let running = case.start();
    running.caught_up().await;
    let waited = case.vendor.start.elapsed();
    assert!(waited >= Duration::from_secs(90) && waited < Duration::from_secs(95), "{waited:?}");
}
