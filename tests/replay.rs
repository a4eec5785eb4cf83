//! Replays: a span is read again, and brings what it should, once.

use std::collections::BTreeMap;
use std::time::Duration;

use mimecast_simulator as sim;
use tributary_host::Running;
use tributary_host::collect::{Ended, Span};
use tributary_host::replay::{Progress, ReplayError, Request};
use tributary_host::state::{Store, StreamKey};
use tributary_tests::delivered::Delivered;
use tributary_tests::world::World;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

fn request(world: &World, source: &str, stream: &str, from_ms: u64, to_ms: u64, all: bool) -> Request {
    assert!(to_ms <= world.now());
    let span = Some(Span { from: from_ms * 1_000_000, to: to_ms * 1_000_000, all });
    Request { source: source.into(), stream: stream.into(), sink: None, span }
}

async fn replayed(running: &Running, request: &Request) -> Progress {
    let mut replaying = running.control().replay(request).await.unwrap_or_else(|error| panic!("{error}"));
    let progress = replaying.end().await;
    assert_eq!(progress.ended, Some(Ended::Done), "{progress:?}");
    progress
}

/// How often each id lies there, with its time, by stream.
type Ids = BTreeMap<String, BTreeMap<String, (usize, u64)>>;

fn ids(delivered: &Delivered) -> Ids {
    assert_eq!(delivered.unreadable, [""; 0]);
    let mut ids = Ids::new();
    for event in delivered.events.values().flatten() {
        let of_stream = ids.entry(event.stream.clone()).or_default();
        of_stream.entry(event.id.clone()).or_insert((0, event.time_ms)).0 += 1;
    }
    ids
}

/// The events of a stream, each once, that happened in `[from, to)`.
fn within(ids: &Ids, stream: &str, from: u64, to: u64) -> BTreeMap<String, (usize, u64)> {
    let all = ids.get(stream).into_iter().flatten();
    all.filter(|(_, (_, time))| (from..to).contains(time)).map(|(id, (_, time))| (id.clone(), (1, *time))).collect()
}

fn store(world: &World) -> Store {
    Store::open(&world.state()).unwrap()
}

fn assert_balanced(world: &World) {
    for summary in store(world).summaries().unwrap() {
        assert_eq!(summary.ledger.counts.imbalances(), [""; 0], "{}", summary.key);
    }
}

async fn collect(world: &World) {
    let running = world.start().await;
    running.caught_up().await;
    assert!(running.stop().await);
}

/// Both generations, and each way of paging: files of a type, archives of all types, rows in windows.
#[tokio::test(start_paused = true)]
async fn what_a_sink_has_lost_comes_again_exactly_once() {
    for (tenant, streams) in [
        (sim::Tenant::v2("acme", 4_000), ["siem/receipt", "audit", "ttp/url", "threat_intel/grid"]),
        (sim::Tenant::v1("initech", 4_000), ["siem", "audit", "ttp/url", "threat_intel/grid"]),
    ] {
        let source = tenant.name.clone();
        let mut world = World::of(tenant.with_every_stream(), 24);
        world.source = format!("collect = {streams:?}");
        collect(&world).await;
        let before = ids(&world.delivered());
        let positions = |world: &World| {
            let of = |stream: &&str| store(world).stream(&StreamKey::new(&*source, *stream)).unwrap();
            streams.iter().map(of).map(|state| (state.position, state.ledger.counts)).collect::<Vec<_>>()
        };
        let positions_before = positions(&world);
        std::fs::remove_dir_all(world.events()).unwrap();
        for stream in streams {
            // At the edges stands an event each: the first counts, the last does not.
            let mut times: Vec<u64> = before[stream].values().map(|(_, time)| *time).collect();
            times.sort_unstable();
            let (from, to) = (times[times.len() / 4], times[times.len() * 3 / 4]);
            let running = world.stand_by().await;
            let progress = replayed(&running, &request(&world, &source, stream, from, to, true)).await;
            assert!(running.stop().await);
            let expected = within(&before, stream, from, to);
            assert!(expected.len() > 5 && expected.len() < before[stream].len(), "{stream}: {}", expected.len());
            assert!(expected.values().any(|(_, time)| *time == from));
            assert_eq!(ids(&world.delivered())[stream], expected, "{stream}");
            assert_eq!((progress.stored.accepted, progress.gaps.len()), (expected.len() as u64, 0), "{stream}");
            // Once more, to the letter: the operator says so.
            let running = world.stand_by().await;
            replayed(&running, &request(&world, &source, stream, from, to, true)).await;
            assert!(running.stop().await);
            assert!(ids(&world.delivered())[stream].values().all(|(times, _)| *times == 2), "{stream}");
        }
        assert_eq!(positions(&world), positions_before, "what the stream itself has counted and where it is");
        let row = store(&world).summary(StreamKey::new(&*source, "audit").replay(None)).unwrap();
        let counts = &row.ledger.counts;
        assert_eq!(counts.accepted, 2 * within(&ids(&world.delivered()), "audit", 0, u64::MAX).len() as u64);
        assert_eq!((row.seen, counts.sinks["files"].delivered), (0, counts.accepted), "it remembers nothing needless");
        assert_balanced(&world);
        // The streams go on as if nothing had been.
        let replayed = world.delivered().total();
        collect(&world).await;
        let after = world.delivered();
        assert!(after.total() - replayed < 40, "{} came anew", after.total() - replayed);
    }
}

/// What lies before `start_at` was never read. What of the span was delivered does not come again, and what a replay has
/// delivered is not delivered by the stream either.
#[tokio::test(start_paused = true)]
async fn without_all_comes_what_is_missing() {
    for (tenant, stream) in
        [(sim::Tenant::v2("acme", 4_000), "siem/receipt"), (sim::Tenant::v1("initech", 4_000), "siem")]
    {
        let source = tenant.name.clone();
        let mut world = World::of(tenant, 24);
        let full = {
            collect(&world).await;
            ids(&world.delivered())
        };
        // From here on in another folder, which knows the last six hours.
        std::fs::remove_dir_all(world.state()).unwrap();
        std::fs::remove_dir_all(world.events()).unwrap();
        world.source = format!("start_at = \"6h\"\ncollect = [\"{stream}\", \"audit\"]");
        collect(&world).await;
        let first = ids(&world.delivered())[stream].clone();
        let (from, to) = (world.now() - 12 * HOUR, world.now() - 3 * HOUR);
        let running = world.stand_by().await;
        let progress = replayed(&running, &request(&world, &source, stream, from, to, false)).await;
        let wanted = within(&full, stream, from, to);
        let missing = wanted.keys().filter(|id| !first.contains_key(*id)).count() as u64;
        let (read, stored) = (progress.read.events, progress.stored.accepted);
        assert!(missing > 20 && missing < wanted.len() as u64, "{missing} of {}", wanted.len());
        assert_eq!((read, stored, progress.read.repeated), (wanted.len() as u64, missing, read - missing));
        let expected: BTreeMap<_, _> = first.clone().into_iter().chain(wanted).collect();
        assert_eq!(ids(&world.delivered())[stream], expected, "{stream}");
        // Nothing is missing any more.
        let again = replayed(&running, &request(&world, &source, stream, from, to, false)).await;
        assert_eq!(again.stored.accepted, 0);
        assert!(running.stop().await);
        // A replay that is done is forgotten but for what it counted, also where all of it was known.
        let row = store(&world).summary(StreamKey::new(&*source, stream).replay(None)).unwrap();
        assert!(row.position.is_none() && row.seen == 0);
        assert_eq!(row.ledger.counts.repeated, progress.read.repeated + again.read.repeated);
        // The stream reads all of it, and knows it.
        store(&world).forget(&StreamKey::new(&*source, stream), tributary_host::state::Forget::Position).unwrap();
        world.source = format!("start_at = \"12h\"\ncollect = [\"{stream}\", \"audit\"]");
        collect(&world).await;
        assert_eq!(world.delivered().repeated_ids(), 0);
        assert_balanced(&world);
    }
}

/// A sink that is added later gets what it lacks; the others get nothing, and the stream knows nothing new.
#[tokio::test(start_paused = true)]
async fn a_sink_that_is_added_later_gets_the_span_alone_beside_a_running_host() {
    let mut world = World::of(sim::Tenant::v2("acme", 4_000), 24);
    world.source = "start_at = \"6h\"".into();
    collect(&world).await;
    let late = world.folder.path().join("late");
    world.sink = format!("[sinks.late]\ntype = \"file\"\ninputs = [\"*\"]\npath = \"{}\"", late.display());
    let running = world.start().await;
    running.caught_up().await;
    let before = world.delivered().total();
    let (from, to) = (world.now() - 12 * HOUR, world.now());
    let request = Request { sink: Some("late".into()), ..request(&world, "acme", "siem/receipt", from, to, true) };
    let progress = replayed(&running, &request).await;
    running.caught_up().await;
    assert!(world.delivered().total() - before < 20, "the other sink got {}", world.delivered().total() - before);
    let there = ids(&Delivered::read(&late, "acme"))["siem/receipt"].clone();
    assert!(there.len() > 100 && there.values().all(|(times, _)| *times < 3));
    assert_eq!(
        progress.stored.accepted,
        within(&ids(&Delivered::read(&late, "acme")), "siem/receipt", from, to).len() as u64
    );
    // What was older than the stream's start is still missing at the other.
    let request = Request { sink: None, span: request.span.map(|span| Span { all: false, ..span }), ..request };
    let progress = replayed(&running, &request).await;
    assert!(progress.stored.accepted > 20 && progress.read.repeated > 20, "{progress:?}");
    assert!(running.stop().await);
    assert_eq!(world.delivered().repeated_ids(), 0);
    assert_balanced(&world);
    let rows: Vec<String> = store(&world).streams().unwrap().into_iter().map(|key| key.stream).collect();
    assert!(rows.contains(&"siem/receipt@replay".to_owned()) && rows.contains(&"siem/receipt@replay:late".to_owned()));
}

/// Stopped or killed in its middle, it is resumed, and brings what is left.
#[tokio::test(start_paused = true)]
async fn what_was_interrupted_goes_on() {
    for killed in [false, true] {
        let mut world = World::of(sim::Tenant::v1("initech", 4_000), 24);
        world.source = "collect = [\"siem\"]".into();
        collect(&world).await;
        let before = ids(&world.delivered());
        std::fs::remove_dir_all(world.events()).unwrap();
        let (from, to) = (world.now() - 20 * HOUR, world.now() - HOUR);
        let asked = request(&world, "initech", "siem", from, to, true);
        let expected = within(&before, "siem", from, to);
        world.inject(sim::Fault::Slow { at: sim::Endpoint::SiemLogs, delay_ms: 3_000 }, sim::When::Always);
        let resume = Request { span: None, ..asked.clone() };
        let (mut parts, mut in_flight) = (0, 0);
        for _ in 0..200 {
            let running = world.stand_by().await;
            let wanted = if parts == 0 { &asked } else { &resume };
            let mut replaying = running.control().replay(wanted).await.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((replaying.resumed, replaying.span), (parts > 0, asked.span.unwrap()));
            parts += 1;
            let progress = loop {
                let progress = replaying.progress(Duration::from_millis(500)).await;
                if progress.ended.is_some() || progress.stored.accepted > 100 {
                    break progress;
                }
            };
            if progress.ended.is_some() {
                assert_eq!(progress.ended, Some(Ended::Done));
                running.stop().await;
                break;
            }
            if killed {
                in_flight += progress.read.accepted - progress.stored.accepted;
                running.kill().await;
            } else {
                replaying.stop();
                let end = replaying.end().await.ended;
                assert!(running.stop().await);
                if end == Some(Ended::Done) {
                    break;
                }
                assert_eq!(end, Some(Ended::Interrupted));
            }
        }
        let delivered = ids(&world.delivered())["siem"].clone();
        assert!(parts > 3, "it was not interrupted: {parts}");
        assert_eq!(delivered.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        let twice = delivered.values().map(|(times, _)| *times as u64 - 1).sum::<u64>();
        // What is read between the question and the kill is no more than a chunk or two.
        assert!(
            twice <= in_flight + if killed { expected.len() as u64 / 2 } else { 0 },
            "{twice} twice, {in_flight} in flight"
        );
        assert!(killed || twice == 0);
        assert_balanced(&world);
        let running = world.stand_by().await;
        let error = running.control().replay(&resume).await.err();
        assert!(matches!(error, Some(ReplayError::NothingToResume(_))), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_had_is_a_gap() {
    let mut world = World::of(sim::Tenant::v2("acme", 600), 24 * 9);
    world.source = "collect = [\"siem/receipt\", \"audit\"]".into();
    collect(&world).await;
    let before = ids(&world.delivered());
    let running = world.stand_by().await;
    let (from, to) = (world.now() - 8 * 24 * HOUR + MINUTE, world.now() - 6 * 24 * HOUR);
    let asked = request(&world, "acme", "siem/receipt", from, to, true);
    let progress = replayed(&running, &asked).await;
    let [gap] = progress.gaps.as_slice() else { panic!("{progress:?}") };
    assert_eq!((gap.begin, gap.reason.as_str()), (Some(from * 1_000_000), "Mimecast keeps 7 days"));
    assert!(gap.end.is_some_and(|end| end.abs_diff((world.now() - 7 * 24 * HOUR) * 1_000_000) < 3_600_000_000_000));
    assert_eq!(progress.stored.accepted, within(&before, "siem/receipt", from, to).len() as u64);
    // What is kept has none.
    let asked = request(&world, "acme", "audit", from, to, true);
    assert_eq!(replayed(&running, &asked).await.gaps, []);
    assert!(running.stop().await);
    let key = StreamKey::new("acme", "siem/receipt");
    let gaps = |key: &StreamKey| store(&world).gaps(key).unwrap().len();
    assert_eq!((gaps(&key.replay(None)), gaps(&key)), (1, 0));
    assert_balanced(&world);
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused_and_its_neighbour_is_not() {
    let mut world = World::of(sim::Tenant::v2("acme", 600), 24);
    world.source = "collect = [\"siem/receipt\", \"audit\"]".into();
    collect(&world).await;
    let running = world.stand_by().await;
    let now = world.now();
    let good = request(&world, "acme", "siem/receipt", now - HOUR, now, false);
    let span = |from: u64, to: u64, all| Some(Span { from: from * 1_000_000, to: to * 1_000_000, all });
    let audit = || Request { stream: "audit".into(), ..good.clone() };
    let day = 24 * HOUR + 30 * MINUTE;
    for (request, words) in [
        (Request { source: "other".into(), ..good.clone() }, "Choose from acme"),
        (Request { stream: "siem/spam".into(), ..good.clone() }, "It selects siem/receipt, audit"),
        (Request { sink: Some("lake".into()), ..good.clone() }, "Choose from files"),
        (Request { sink: Some("files".into()), ..good.clone() }, "Say --all"),
        (Request { span: span(now, now, true), ..good.clone() }, "Let --from be before --to"),
        (Request { span: span(now, now - 1, true), ..good.clone() }, "Let --from be before --to"),
        (Request { span: span(now - HOUR, now + MINUTE, true), ..good.clone() }, "Leave --to out"),
        (Request { span: span(now - day - MINUTE, now, false), ..audit() }, "kept for 24 hours 30 minutes"),
        (Request { span: None, ..good.clone() }, "Name a span"),
    ] {
        let error = running.control().replay(&request).await.err().unwrap_or_else(|| panic!("{request:?}"));
        assert!(error.is_usage() && error.to_string().contains(words), "{error}");
    }
    for request in [
        good.clone(),
        Request { sink: Some("files".into()), span: span(now - HOUR, now, true), ..good.clone() },
        Request { span: span(now - 1, now, true), ..good.clone() },
        Request { span: span(now - day + MINUTE, now, false), ..audit() },
        Request { span: span(now - 20 * day, now, true), ..audit() },
    ] {
        replayed(&running, &request).await;
    }
    // One at a time of a stream.
    world.inject(sim::Fault::Slow { at: sim::Endpoint::SiemBatch, delay_ms: 5_000 }, sim::When::Always);
    let mut first = running.control().replay(&good).await.unwrap_or_else(|error| panic!("{error}"));
    let second = running.control().replay(&good).await.err();
    assert!(matches!(second, Some(ReplayError::Running(_))), "{second:?}");
    replayed(&running, &audit()).await;
    assert_eq!(first.end().await.ended, Some(Ended::Done));
    assert!(running.stop().await);
}
