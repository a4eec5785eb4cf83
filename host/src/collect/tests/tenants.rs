//! Many sources in one host: they come and go, and none waits for another's backlog or another's vendor.

use super::sinks::{Steered, all_delivered, counts};
use super::*;
use crate::collect::source::{Call, Reader, Source};
use crate::config::Settings;
use crate::sandbox::{Budget, Chunk, Next, Session};

/// What a tenant's vendor has.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Nothing, said at once.
    Idle,
    /// A backlog without end: a second for each pull, and so many bytes.
    Backlog(usize),
    /// No answer, until a minute is over.
    Hangs,
}

/// One tenant's vendor, which notes when its streams are read.
struct Tenant {
    manner: Manner,
    /// Each poll of each stream.
    opened: Mutex<BTreeMap<String, Vec<Instant>>>,
    logins: Mutex<u32>,
}

struct Handle(Arc<Tenant>);

impl Source for Handle {
    fn authenticate(&self) -> Call<'_, Session> {
        *self.0.logins.lock().unwrap() += 1;
        Box::pin(async { Ok(Session { secret: Vec::new(), expires_at: None }) })
    }

    fn open<'a>(&'a self, stream: &'a str, start: Start) -> Call<'a, Box<dyn Reader>> {
        let mut opened = self.0.opened.lock().unwrap();
        opened.entry(stream.to_owned()).or_default().push(Instant::now());
        let at = if let Start::After(position) = start { number(&position) } else { 0 };
        Box::pin(async move { Ok(Box::new(Reading { manner: self.0.manner, at }) as Box<dyn Reader>) })
    }
}

struct Reading {
    manner: Manner,
    at: u64,
}

impl Reader for Reading {
    fn pull<'a>(&'a mut self, _: &'a Session, _: Budget) -> Call<'a, Chunk> {
        Box::pin(async move {
            let (pause, bytes) = match self.manner {
                Manner::Idle => (10, 0),
                Manner::Backlog(bytes) => (1_000, bytes),
                Manner::Hangs => (60_000, 0),
            };
            sleep(Duration::from_millis(pause)).await;
            if self.manner == Manner::Hangs {
                return Err(fault(FaultClass::Unavailable));
            }
            let has_more = bytes > 0;
            self.at += u64::from(has_more);
            let id = u128::from(self.at);
            let end = bytes as u32;
            let head =
                crate::deliver::Head { id, time: 0, kind: 0, class: 0, severity: 0, alert_key: None, begin: 0, end };
            Ok(Chunk {
                bodies: vec![b' '; bytes].into(),
                events: if has_more { vec![head] } else { Vec::new() },
                records: has_more.into(),
                malformed: vec![],
                gaps: vec![],
                merged: 0,
                requests: 1,
                quota_left: None,
                pieces: Default::default(),
                position: self.at.to_be_bytes().to_vec(),
                next: if has_more { Next::More } else { Next::CaughtUp },
            })
        })
    }
}

/// A state that remembers nothing.
struct Forgetful;

impl Storage for Forgetful {
    fn blocks(&self) -> bool {
        false
    }

    fn stream(&self, _: &StreamKey) -> Result<Stored, StateError> {
        Ok(Stored::default())
    }

    fn known(&self, _: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError> {
        Ok(vec![false; ids.len()])
    }

    fn commit(&self, _: Vec<Commit>) -> Result<(), StateError> {
        Ok(())
    }

    fn forget(&self, _: &StreamKey) -> Result<(), StateError> {
        Ok(())
    }

    fn keep_health(&self, _: &[HealthRow]) -> Result<(), StateError> {
        Ok(())
    }

    fn keep(&self, _: &str, _: &[DeadLetter]) -> Result<(), StateError> {
        Ok(())
    }
}

/// Takes what it is given in a second, or not at all.
struct Slow(bool);

impl Sink for Slow {
    fn deliver<'a>(&'a self, _: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async {
            sleep(Duration::from_secs(1)).await;
            if self.0 { Err(SinkError::new("nobody answers")) } else { Ok(Vec::new()) }
        })
    }
}

const INTERVAL: Duration = Duration::from_secs(60);

fn config(id: &str, tenant: &str) -> config::Source {
    config::Source {
        id: id.into(),
        kind: "script".into(),
        tenant: tenant.into(),
        settings: Settings::new("{}"),
        quota_share: 1.0,
        quotas: Default::default(),
        retry_for: 90 * MINUTE,
        on_position_lost: OnPositionLost::Oldest,
        max_in_flight_bytes: 8 << 20,
        limits: Default::default(),
        network: Default::default(),
        alert_window: Duration::from_secs(86_400),
        rules: Default::default(),
    }
}

fn ready(id: &str, streams: usize, manner: Manner) -> (Arc<Tenant>, Ready) {
    let tenant = Arc::new(Tenant { manner, opened: Mutex::default(), logins: Mutex::default() });
    let stream = |number: usize| LogStream {
        name: format!("log-{number}"),
        description: String::new(),
        interval_ms: INTERVAL.as_millis() as u32,
        retention_ms: None,
        repeats_within_ms: 0,
        quota: None,
    };
    let streams = (0..streams).map(stream).collect();
    let ready =
        Ready { config: config(id, id), streams, quotas: vec![], source: Arc::new(Handle(Arc::clone(&tenant))) };
    (tenant, ready)
}

/// How long after the moment when it was due a poll began at worst, without those that were due before `from`.
fn worst_delay(tenants: &[Arc<Tenant>], from: Instant) -> Duration {
    let mut worst = Duration::ZERO;
    let end = Instant::now();
    for tenant in tenants {
        let opened = tenant.opened.lock().unwrap();
        assert!(!opened.is_empty(), "a tenant is not read at all");
        for times in opened.values() {
            // What has not begun until now is late too.
            let pairs = times.windows(2).map(|pair| (pair[0], pair[1])).chain(times.last().map(|last| (*last, end)));
            for (before, begun) in pairs.filter(|(before, _)| *before + INTERVAL >= from) {
                worst = worst.max(begun.saturating_duration_since(before + INTERVAL));
            }
        }
    }
    worst
}

/// Runs tenants with backlogs beside fifty idle ones; gives the worst delay of the idle ones' polls.
async fn beside(
    hogs: usize,
    streams: usize,
    manner: Manner,
    caps: crate::host::Caps,
    sink: bool,
    warm: Duration,
) -> Duration {
    let (_hogs, mut sources): (Vec<_>, Vec<_>) =
        (0..hogs).map(|number| ready(&format!("hog-{number}"), streams, manner)).unzip();
    let (idle, others): (Vec<_>, Vec<_>) =
        (0..50).map(|number| ready(&format!("idle-{number}"), 4, Manner::Idle)).unzip();
    sources.extend(others);
    let attached = |id: &str, inputs: &str, dead| Attached {
        id: id.into(),
        inputs: vec![inputs.into()],
        acknowledgements: true,
        max_refused_share: 0.05,
        only: Default::default(),
        rules: Default::default(),
        sink: Box::new(Slow(dead)),
    };
    let sinks = vec![attached("hogs", "hog-*", sink), attached("others", "idle-*", false)];
    let running = Running::assemble(sources, sinks, Arc::new(Forgetful), caps, outside(), MINUTE, true);
    let begin = Instant::now();
    sleep(warm + 10 * MINUTE).await;
    let worst = worst_delay(&idle, begin + warm);
    running.kill().await;
    worst
}

#[tokio::test(start_paused = true)]
async fn a_week_of_backlog_delays_no_other_tenants_polls() {
    // Two megabytes a pull, in 26 streams of 8 MiB each, for a sink that takes 8 MiB a second: more than the host's 64.
    let caps = crate::host::Caps { in_flight_bytes: 64 << 20, ..Default::default() };
    for dead in [false, true] {
        let worst = beside(1, 26, Manner::Backlog(2 << 20), caps, dead, Duration::ZERO).await;
        assert!(worst < Duration::from_millis(100), "{worst:?} with a sink that is dead: {dead}");
    }
}

/// P7: a sink that takes nothing, and a thousand tenants with more than it ever takes.
#[tokio::test(start_paused = true)]
async fn a_dead_sink_of_a_thousand_tenants_keeps_no_more_than_the_hosts_memory() {
    const CHUNK: usize = 64 << 10;
    let caps = crate::host::Caps { in_flight_bytes: 16 << 20, ..Default::default() };
    let sources = (0..1_000).map(|number| ready(&format!("tenant-{number}"), 4, Manner::Backlog(CHUNK)).1).collect();
    let dead = Attached {
        id: "dead".into(),
        inputs: vec!["*".into()],
        acknowledgements: true,
        max_refused_share: 0.05,
        only: Default::default(),
        rules: Default::default(),
        sink: Box::new(Slow(true)),
    };
    let running = Running::assemble(sources, vec![dead], Arc::new(Forgetful), caps, outside(), MINUTE, true);
    for minute in 1..=10 {
        sleep(MINUTE).await;
        let held: u64 = running.status().iter().map(|status| status.in_flight).sum();
        let bytes = held as usize * CHUNK;
        assert!(bytes <= caps.in_flight_bytes, "{bytes} bytes after {minute} minutes");
        assert!(minute < 10 || bytes > caps.in_flight_bytes / 4, "only {bytes} bytes: it is not what bounds them");
    }
    running.kill().await;
}

#[tokio::test(start_paused = true)]
async fn more_backlogs_than_turns_delay_others_by_a_slice_at_most() {
    let caps = crate::host::Caps { pulls: 8, ..Default::default() };
    let worst = beside(4, 26, Manner::Backlog(1), caps, false, Duration::ZERO).await;
    assert!(worst > Duration::ZERO && worst <= Duration::from_secs(15), "{worst:?}");
}

#[tokio::test(start_paused = true)]
async fn vendors_that_hang_do_not_take_all_turns() {
    let caps = crate::host::Caps { pulls: 8, ..Default::default() };
    // Until it is known which vendors hang, each of them can take its minute.
    let worst = beside(30, 4, Manner::Hangs, caps, false, 10 * MINUTE).await;
    assert!(worst <= Duration::from_secs(15), "{worst:?}");
}

#[tokio::test(start_paused = true)]
async fn sources_come_and_go_and_the_others_do_not_notice() {
    let (one, first) = ready("one", 2, Manner::Idle);
    let attached = Attached {
        id: "null".into(),
        inputs: vec!["*".into()],
        acknowledgements: true,
        max_refused_share: 0.05,
        only: Default::default(),
        rules: Default::default(),
        sink: Box::new(Slow(false)),
    };
    let running = Running::new(vec![first], vec![attached], Arc::new(Forgetful), 256 << 20, outside(), MINUTE);
    let fleet = running.control().fleet;
    sleep(MINUTE).await;
    let (two, second) = ready("two", 3, Manner::Idle);
    fleet.put(vec![second]);
    sleep(2 * MINUTE).await;
    assert_eq!(running.status().len(), 5);
    assert_eq!(two.opened.lock().unwrap().len(), 3);
    // Of three streams one goes, one comes, one gets another pace, and one is merely told.
    let (two_anew, mut changed) = ready("two", 4, Manner::Idle);
    changed.streams.remove(0);
    changed.streams[0].interval_ms *= 2;
    changed.config.settings = Settings::new("{\"new\":1}");
    fleet.change(changed).await;
    sleep(3 * MINUTE).await;
    let names = |running: &Running| -> Vec<String> {
        running
            .status()
            .iter()
            .filter(|status| &*status.source == "two")
            .map(|status| status.stream.to_string())
            .collect()
    };
    assert_eq!(names(&running), ["log-1", "log-2", "log-3"]);
    let polls = |tenant: &Tenant| -> Vec<(String, usize)> {
        tenant.opened.lock().unwrap().iter().map(|(name, times)| (name.clone(), times.len())).collect()
    };
    let expected: Vec<_> =
        [("log-1", 2), ("log-2", 3), ("log-3", 3)].map(|(name, count)| (name.to_owned(), count)).into();
    let found = polls(&two_anew);
    assert!(
        found.iter().zip(&expected).all(|(found, expected)| found.0 == expected.0 && found.1.abs_diff(expected.1) <= 1),
        "{found:?}"
    );
    assert_eq!(found.len(), 3);
    assert!(fleet.remove("two").await && !fleet.remove("two").await);
    let before = polls(&two_anew);
    sleep(3 * MINUTE).await;
    assert_eq!((polls(&two_anew), names(&running)), (before, vec![]));
    assert!(running.control().fleet.account("two").is_none() && !running.restart("two") && running.restart("one"));
    assert_eq!(*one.logins.lock().unwrap(), 1, "it was not begun anew by any of this");
    assert_eq!(worst_delay(&[one], Instant::now() - 9 * MINUTE), Duration::ZERO);
    assert!(running.stop().await);
}

/// A source that is begun anew, or goes and comes back, while what was read waits for a sink.
#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_is_not_read_again_by_who_takes_the_place() {
    for removed in [false, true] {
        let case = Case { in_flight: 1 << 20, ..Case::new(40_000) };
        case.vendor.with(|state| state.padding = 100);
        all_delivered(&case);
        let sink = Arc::<Steered>::default();
        *sink.dead.lock().unwrap() = true;
        let running = case.start_with(vec![sink.attached("lake", true)]);
        sleep(MINUTE).await;
        let flying = only(&running).in_flight;
        assert!(flying > 0 && counts(&case).records == 0);
        let fleet = running.control().fleet;
        if removed {
            assert!(fleet.remove("acme").await);
            assert!(running.status().is_empty());
            fleet.put(vec![case.ready()]);
        } else {
            let mut ready = case.ready();
            ready.config.quota_share = 0.5;
            fleet.change(ready).await;
        }
        sleep(MINUTE).await;
        assert!(only(&running).in_flight > flying, "it goes on behind what was pulled");
        *sink.dead.lock().unwrap() = false;
        sleep(5 * MINUTE).await;
        running.caught_up().await;
        assert!(running.stop().await);
        let counts = counts(&case);
        assert_eq!((counts.imbalances(), counts.repeated), (vec![], 0), "nothing was read twice");
        assert_eq!((sink.total(), sink.unique()), (counts.accepted, counts.accepted), "each once");
        assert!(counts.accepted >= 40_000);
    }
}

/// What a worker's task takes while its stream waits for the next poll: there may be forty thousand.
#[test]
fn a_stream_that_waits_takes_little_memory() {
    fn task<W, T>(_: impl Fn(W) -> T) -> usize {
        size_of::<T>()
    }
    let bytes = task(crate::collect::Worker::run);
    println!("{bytes} bytes, {} of them the worker", size_of::<crate::collect::Worker>());
    assert!(bytes < 2_000, "{bytes}");
}
