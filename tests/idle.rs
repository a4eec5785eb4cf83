//! A source in which nothing happens costs the disk next to nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use mimecast_simulator as sim;
use tokio::time::Instant;
use tributary_host::deliver::{Attached, Batch, Disk, Head, Origin, Storage};
use tributary_host::outside::{Outside, Random};
use tributary_host::state::{Commit, DeadLetter, HealthRow, StateError, StreamKey, StreamState};
use tributary_host::{Ready, Running, sinks};
use tributary_tests::delivered::files;
use tributary_tests::world::World;

const MINUTE: Duration = Duration::from_secs(60);

/// The state on disk, and when it was written.
struct Watched {
    disk: Disk,
    writes: Mutex<Vec<(Instant, String)>>,
}

impl Watched {
    fn note(&self, what: String) {
        self.writes.lock().unwrap().push((Instant::now(), what));
    }
}

impl Storage for Watched {
    fn stream(&self, key: &StreamKey) -> Result<StreamState, StateError> {
        self.disk.stream(key)
    }

    fn known(&self, key: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError> {
        self.disk.known(key, ids)
    }

    fn commit(&self, commits: Vec<Commit>) -> Result<(), StateError> {
        self.note(commits.iter().map(|commit| commit.key.stream.as_str()).collect::<Vec<_>>().join(" "));
        self.disk.commit(commits)
    }

    fn forget(&self, key: &StreamKey) -> Result<(), StateError> {
        self.disk.forget(key)
    }

    fn keep(&self, source: &str, letters: &[DeadLetter]) -> Result<(), StateError> {
        self.note(format!("{} dead letters", letters.len()));
        self.disk.keep(source, letters)
    }

    fn keep_health(&self, events: &[HealthRow]) -> Result<(), StateError> {
        self.note(format!("{} health events", events.len()));
        self.disk.keep_health(events)
    }
}

/// A tenant to whom nothing happens.
fn quiet(mut tenant: sim::Tenant) -> sim::Tenant {
    (tenant.events_per_day, tenant.audit_events_per_day) = (0, 0);
    tenant
}

fn one_event() -> Arc<Batch> {
    let origin = Origin { source: "quiet".into(), tenant: "quiet".into(), stream: "audit".into() };
    let head = Head { id: 7, time: 0, kind: 0, class: 0, severity: 0, alert_key: None, begin: 0, end: 3 };
    Arc::new(Batch { origin, bodies: "{}\n".into(), events: vec![head] })
}

type Snapshot = BTreeMap<PathBuf, (SystemTime, u64)>;

fn snapshot(folder: &Path) -> Snapshot {
    let stamp = |path: PathBuf| {
        let data = path.metadata().unwrap();
        (path, (data.modified().unwrap(), data.len()))
    };
    files(folder).into_iter().map(stamp).collect()
}

#[tokio::test(start_paused = true)]
async fn an_idle_source_writes_at_most_once_in_ten_minutes() {
    let cases = [(sim::Tenant::v2("quiet", 0), 26, 24), (sim::Tenant::v1("quiet", 0), 12, 6)];
    for (tenant, streams, hours) in cases.map(|(tenant, streams, hours)| (quiet(tenant), streams, hours)) {
        let world = World::of(tenant, 6);
        let (config, host) = (world.config(|text| text), world.host().await);
        let planned = host.plan(&config.sources["quiet"]).await.unwrap();
        assert_eq!(planned.plan.streams.len(), streams);
        let storage =
            Arc::new(Watched { disk: Disk::open(&world.state(), 1 << 30).unwrap(), writes: Mutex::default() });
        let sink = sinks::build(&config.sinks["files"], &Outside::system()).unwrap();
        // Something came just before it became quiet, and its file is open.
        assert_eq!(sink.deliver(&[one_event()]).await.unwrap(), []);
        let ready = Ready {
            config: planned.config,
            streams: planned.plan.streams,
            quotas: host.component().await.unwrap().descriptor().quotas.clone(),
            source: planned.source,
        };
        let sink = Attached {
            id: "files".into(),
            inputs: vec!["*".into()],
            acknowledgements: true,
            max_refused_share: 0.05,
            only: Default::default(),
            rules: Default::default(),
            sink,
        };
        let network = Arc::new(world.memory.clone());
        let outside = Outside { clock: world.clock, random: Random::seeded(1), network };
        let running = Running::new(vec![ready], vec![sink], Arc::clone(&storage) as _, 256 << 20, outside, MINUTE);
        running.caught_up().await;
        let (mut last, mut changes) = (snapshot(&world.events()), 0);
        assert_eq!(last.len(), 1);
        let begin = Instant::now();
        for _ in 0..6 * hours {
            tokio::time::sleep(10 * MINUTE).await;
            let now = snapshot(&world.events());
            changes += usize::from(now != last);
            last = now;
        }
        let polls: u64 = running.status().iter().map(|status| status.polls).sum();
        assert!(polls > 500, "{polls}");
        assert!(running.status().iter().all(|status| status.caught_up && status.read.records == 0));
        assert_eq!(changes, 1, "the file was finished when it was old enough");
        let writes = storage.writes.lock().unwrap().split_off(0);
        // The streams have begun to collect: that has happened, and is told at once, but then nothing does.
        let (told, writes): (Vec<_>, Vec<_>) =
            writes.into_iter().partition(|(_, what)| what.ends_with("health events"));
        assert!(!told.is_empty() && told.iter().all(|(at, _)| *at <= begin + MINUTE), "{told:?}");
        assert!((4 * hours..=6 * hours).contains(&writes.len()), "{} writes in {hours} hours", writes.len());
        let gaps = writes.windows(2).map(|pair| pair[1].0 - pair[0].0);
        for (gap, (at, what)) in gaps.zip(&writes[1..]) {
            assert!(gap >= 10 * MINUTE, "{what} after {gap:?}, {:?} from the beginning", *at - begin);
        }
        // Nothing of it was put off for ever.
        assert!(writes.iter().all(|(_, what)| what.split(' ').count() <= streams));
        assert!(writes.iter().any(|(_, what)| what.contains("audit")), "positions move: {:?}", writes.last());
        assert!(running.stop().await);
    }
}
