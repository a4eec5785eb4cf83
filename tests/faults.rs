//! What Mimecast does wrong, and what a disk does: each fault through the whole host, and nothing lost by any.

use std::collections::BTreeMap;
use std::time::Duration;

use mimecast_simulator as sim;
use mimecast_simulator::{Endpoint, Fault, Kind, Reset, When};
use tributary_host::Running;
use tributary_host::collect::StreamState;
use tributary_tests::delivered::dead_letters;
use tributary_tests::world::{World, stream};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE_MS: u64 = 60_000;

/// A little of everything, on small pages.
fn small(tenant: sim::Tenant) -> World {
    let mut world = World::of(tenant, 6);
    world.source = "page_sizes = { audit = 3 }".into();
    world
}

fn v2() -> World {
    small(sim::Tenant::v2("one", 600))
}

fn v1() -> World {
    small(sim::Tenant::v1("one", 600))
}

/// Waits until every stream is caught up with all that it had when this began, and is in no trouble.
async fn recovers(world: &World, running: &Running) -> bool {
    let begin: BTreeMap<_, _> = running.status().iter().map(|s| (s.stream.clone(), s.polls)).collect();
    let well = || {
        running.status().iter().all(|status| {
            let polled = status.polls > begin[&status.stream];
            polled && status.caught_up && status.in_flight == 0 && status.fault.is_none()
        })
    };
    world.until(3 * HOUR, well).await
}

fn fired(world: &World) -> u64 {
    world.simulator().fired("one").iter().map(|(_, count)| count).sum()
}

/// Faults that pass, each early in the backlog and again later: in the end everything is there once, nothing is told as
/// a gap, and what cannot be read lies in the dead letters.
async fn survives(make: fn() -> World, faults: Vec<Fault>) {
    for fault in faults {
        let world = make();
        // A cursor that is refused again at once is told; refused once, it is not even that.
        let first = if matches!(fault, Fault::CursorRefused { .. }) { 1 } else { 2 };
        world.inject(fault.clone(), When::First(first));
        world.inject(fault.clone(), When::After { skip: 5, count: 1 });
        let begin = world.now();
        let running = world.start().await;
        running.caught_up().await;
        let mut well = recovers(&world, &running).await;
        // Some answers look like the end of what there is: then the next poll goes on.
        for _ in 0..3 {
            if world.compare(begin).missing > 0 {
                well = recovers(&world, &running).await;
            }
        }
        let status = running.status();
        assert!(well, "{fault:?}: {status:?}");
        assert!(running.stop().await);
        let found = world.compare(begin);
        assert!(found.is_exact() && found.total() > 60, "{fault:?}: {found}");
        assert!(fired(&world) > 0, "{fault:?} never showed");
        let planted = world.simulator().malformed("one");
        let letters = dead_letters(&world.state(), "one");
        assert_eq!(letters.len(), planted, "{fault:?}: {letters:?}");
        assert!(letters.iter().all(|letter| letter["reason"].as_str().is_some_and(|reason| !reason.is_empty())));
        let counted: u64 = status.iter().map(|status| status.stored.malformed).sum();
        assert_eq!(counted, planted as u64, "{fault:?}");
        assert_eq!(status.iter().map(|status| status.stored.gaps).sum::<u64>(), 0, "{fault:?}");
        if matches!(fault, Fault::CursorRefused { .. } | Fault::BadLine { .. }) {
            assert_eq!(status.iter().map(|status| status.faults).sum::<u64>(), 0, "{fault:?} is no fault");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn passing_faults_of_api_2_lose_nothing() {
    use Endpoint::{Audit, SiemBatch, Storage, Token};
    let mut faults = vec![
        Fault::ShortToken { seconds: 2 },
        Fault::UrlExpired,
        Fault::UrlGone,
        Fault::TruncatedGzip,
        Fault::WrongContentLength,
        Fault::FileOnTwoPages,
        Fault::BadLine { at: Storage },
        Fault::Status { at: Token, status: 503 },
        Fault::Unauthorized { at: Audit },
        Fault::InvalidClientIdentifier { at: SiemBatch },
        Fault::FailWith200 { at: SiemBatch },
        Fault::EmptyPageWithNext { at: SiemBatch },
    ];
    for at in [SiemBatch, Audit, Storage] {
        faults.extend([Fault::Status { at, status: 500 }, Fault::HtmlError { at }]);
        faults.push(Fault::ConnectionCut { at, after: 100 });
    }
    for at in [SiemBatch, Audit] {
        faults.extend([Fault::TokenExpiresNow { at }, Fault::CursorRefused { at }]);
    }
    survives(v2, faults).await;
}

#[tokio::test(start_paused = true)]
async fn passing_faults_of_api_1_lose_nothing() {
    use Endpoint::{Audit, SiemLogs};
    let mut faults = vec![
        Fault::BrokenMember,
        Fault::BadLine { at: SiemLogs },
        Fault::SiemTokenHeaderMissing,
        Fault::EmptyPageWithNext { at: SiemLogs },
    ];
    for at in [SiemLogs, Audit] {
        faults.extend([Fault::Status { at, status: 500 }, Fault::HtmlError { at }, Fault::FailWith200 { at }]);
        faults.extend([Fault::ConnectionCut { at, after: 300 }, Fault::CursorRefused { at }]);
    }
    survives(v1, faults).await;
}

/// A fault that stays until somebody mends it.
struct Lasting {
    world: fn() -> World,
    fault: Fault,
    /// Where it shows, and as what.
    stream: &'static str,
    state: StreamState,
    /// What the operator reads.
    words: &'static [&'static str],
    /// A stream that goes on.
    neighbour: Option<&'static str>,
}

fn lasting() -> Vec<Lasting> {
    use Endpoint::{Audit, SiemBatch, SiemLogs, Storage, Token};
    use StreamState::{Error, NotLicensed, Stopped};
    let two = |fault, stream, state, words, neighbour| Lasting { world: v2, fault, stream, state, words, neighbour };
    let one = |fault, stream, state, words, neighbour| Lasting { world: v1, fault, stream, state, words, neighbour };
    let forbidden = |at, kind| Fault::Forbidden { at, kind };
    let (siem, audit) = (Some("siem/receipt"), Some("audit"));
    vec![
        two(forbidden(SiemBatch, Some(Kind::Av)), "siem/av", NotLicensed, &["403", "product", "permission"], siem),
        two(forbidden(Audit, None), "audit", NotLicensed, &["403", "permission"], siem),
        two(Fault::Status { at: SiemBatch, status: 500 }, "siem/receipt", Error, &["500", "tried again"], audit),
        two(Fault::HtmlError { at: Storage }, "siem/receipt", Error, &["502"], audit),
        two(Fault::ConnectionCut { at: Storage, after: 10 }, "siem/receipt", Error, &[], audit),
        two(Fault::TokenExpiresNow { at: Audit }, "audit", Error, &["401"], None),
        two(Fault::Unauthorized { at: SiemBatch }, "siem/receipt", Error, &["401"], audit),
        two(Fault::InvalidClientIdentifier { at: Token }, "siem/receipt", Error, &["client_secret"], None),
        two(
            Fault::TooManyRequests { at: SiemBatch, reset: Reset::Milliseconds(90_000) },
            "siem/receipt",
            Error,
            &["429", "credentials of its own"],
            audit,
        ),
        one(Fault::BindingExpired { at: SiemLogs }, "siem", Stopped, &["418", "Never Expires"], audit),
        one(Fault::DeveloperKey { at: SiemLogs }, "siem", Stopped, &["app_id"], audit),
        one(Fault::WrongRegion { at: Audit }, "audit", Stopped, &["region"], Some("siem")),
        one(forbidden(SiemLogs, None), "siem", NotLicensed, &["403", "permission"], audit),
        one(Fault::Status { at: SiemLogs, status: 503 }, "siem", Error, &["503"], audit),
        one(Fault::FailWith200 { at: SiemLogs }, "siem", Error, &["200"], audit),
    ]
}

#[tokio::test(start_paused = true)]
async fn lasting_faults_are_told_and_go_when_they_are_mended() {
    for Lasting { world, fault, stream: name, state, words, neighbour } in lasting() {
        let mut world = world();
        world.source += "\nretry_for_secs = 600";
        world.inject(fault.clone(), When::Always);
        let begin = world.now();
        let mut running = world.start().await;
        let told = world.until(2 * HOUR, || stream(&running, name).state == state).await;
        let status = stream(&running, name);
        assert!(told, "{fault:?}: {status:?}");
        let text = status.fault.unwrap_or_default();
        assert!(words.iter().all(|word| text.contains(word)), "{fault:?}: {text}");
        assert!(!text.is_empty(), "{fault:?}");
        if let Some(neighbour) = neighbour {
            let neighbour = stream(&running, neighbour);
            assert!(neighbour.was_caught_up && neighbour.fault.is_none(), "{fault:?}: {neighbour:?}");
            assert_eq!(neighbour.state, StreamState::Collecting, "{fault:?}");
        }
        world.clear_faults();
        if state == StreamState::Stopped {
            // It waits for the operator: time alone does not start it again.
            tokio::time::sleep(HOUR).await;
            assert_eq!(stream(&running, name).state, state, "{fault:?}");
            assert!(running.stop().await);
            running = world.start().await;
        }
        assert!(recovers(&world, &running).await, "{fault:?}: {:?}", running.status());
        assert_eq!(stream(&running, name).state, StreamState::Collecting, "{fault:?}");
        assert!(running.stop().await);
        let found = world.compare(begin);
        assert!(found.is_exact() && found.total() > 60, "{fault:?}: {found}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_asked_for_holds_for_all_streams_of_the_quota() {
    for (reset, least_ms) in [
        (Reset::Milliseconds(120_000), 120_000),
        (Reset::Decimal(120_000), 120_000),
        (Reset::RetryAfter(120), 120_000),
        (Reset::EpochSeconds(120), 119_000),
        (Reset::Bare, 1_000),
    ] {
        for (world, at) in [(v2(), Endpoint::SiemBatch), (v1(), Endpoint::SiemLogs)] {
            world.inject(Fault::TooManyRequests { at, reset }, When::First(1));
            let begin = world.now();
            let running = world.start().await;
            assert!(recovers(&world, &running).await, "{reset:?}: {:?}", running.status());
            assert!(running.stop().await);
            let found = world.compare(begin);
            assert!(found.is_exact(), "{reset:?}: {found}");
            let simulator = world.simulator();
            let asked = || simulator.log().filter(|entry| entry.endpoint == Some(at));
            let refused = asked().find(|entry| entry.status == 429).unwrap().time_ms;
            let next = asked().find(|entry| entry.time_ms > refused).unwrap().time_ms;
            assert!(next - refused >= least_ms, "{reset:?}: asked again after {} ms", next - refused);
            assert!(next - refused <= least_ms.max(MINUTE_MS) + MINUTE_MS, "{reset:?}: only {} ms", next - refused);
            assert_eq!(asked().filter(|entry| entry.status == 429).count(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_quota_is_never_exceeded_and_nothing_is_lost_for_it() {
    // As documented; and a vendor that grants less than the host was told.
    for (limit, refused) in [(50, false), (15, true)] {
        let settings = sim::Settings {
            tenants: vec![sim::Tenant::v2("one", 1_000)],
            backlog_ms: 3 * 24 * 60 * MINUTE_MS,
            quota_siem_v2: sim::Quota { limit, window_ms: 15 * MINUTE_MS },
            ..sim::Settings::default()
        };
        let mut world = World::new(settings);
        // Small pages: many more requests than a window has.
        world.source = "page_sizes = { siem = 20 }".into();
        let begin = world.now();
        let running = world.start().await;
        running.caught_up().await;
        assert!(world.until(6 * HOUR, || running.status().iter().all(|status| status.caught_up)).await);
        assert!(running.stop().await);
        let found = world.compare(begin);
        assert!(found.is_exact() && found.total() > 1_000, "{limit}: {found}");
        let simulator = world.simulator();
        let times: Vec<u64> = simulator
            .log()
            .filter(|entry| entry.endpoint == Some(Endpoint::SiemBatch) && entry.status != 429)
            .map(|entry| entry.time_ms)
            .collect();
        assert!(times.len() > 60, "too few requests to prove anything: {}", times.len());
        let busiest = (0..times.len())
            .map(|at| times[at..].iter().take_while(|time| **time < times[at] + 15 * MINUTE_MS).count())
            .max();
        assert!(refused || busiest <= Some(50), "{busiest:?} in one window");
        let count = simulator.counts().get(&(Endpoint::SiemBatch, 429)).copied().unwrap_or(0);
        assert_eq!(count > 0, refused, "{limit}: {count} refused");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_end_in_the_middle_and_nobody_notices() {
    let mut world = World::of(sim::Tenant::v2("one", 2_000), 48);
    world.source = "page_sizes = { siem = 20 }".into();
    world.inject(Fault::ShortToken { seconds: 90 }, When::Always);
    world.inject(Fault::TokenExpiresNow { at: Endpoint::SiemBatch }, When::After { skip: 5, count: 1 });
    let begin = world.now();
    let running = world.start().await;
    running.caught_up().await;
    let status = running.status();
    assert!(status.iter().all(|status| status.faults == 0), "{status:#?}");
    assert!(running.stop().await);
    let found = world.compare(begin);
    assert!(found.is_exact(), "{found}");
    assert!(world.simulator().count(Endpoint::Token) >= 3);
    let siem = |status| world.simulator().counts().get(&(Endpoint::SiemBatch, status)).copied().unwrap_or(0);
    assert_eq!(siem(401), 1, "the one that was revoked; others are renewed ahead of their end");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_cannot_write_holds_everything_back_until_it_can() {
    let world = v2();
    // A file stands where the tenant's folder must be; a user who may do all is stopped by it too.
    std::fs::create_dir_all(world.events()).unwrap();
    let obstacle = world.events().join("one");
    std::fs::write(&obstacle, "").unwrap();
    let begin = world.now();
    let running = world.start().await;
    tokio::time::sleep(HOUR).await;
    for status in running.status() {
        assert_eq!((status.stored.records, status.stored.accepted), (0, 0), "{status:?}");
    }
    assert!(running.status().iter().any(|status| status.in_flight > 0));
    std::fs::remove_file(&obstacle).unwrap();
    running.caught_up().await;
    assert!(recovers(&world, &running).await);
    assert!(running.stop().await);
    let found = world.compare(begin);
    assert!(found.is_exact() && found.total() > 60, "{found}");

    // Killed while it cannot write: nothing was stored, so all is read again.
    let world = v1();
    std::fs::create_dir_all(world.events()).unwrap();
    let obstacle = world.events().join("one");
    std::fs::write(&obstacle, "").unwrap();
    let running = world.start().await;
    tokio::time::sleep(HOUR).await;
    running.kill().await;
    std::fs::remove_file(&obstacle).unwrap();
    let running = world.start().await;
    running.caught_up().await;
    assert!(running.stop().await);
    assert!(world.compare(begin).is_exact());
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_vanishes_is_made_again() {
    let world = v2();
    let running = world.start().await;
    running.caught_up().await;
    let before = world.delivered();
    assert!(before.total() > 60);
    std::fs::remove_dir_all(world.events()).unwrap();
    let gone = world.now();
    tokio::time::sleep(2 * HOUR).await;
    assert!(running.stop().await);
    // What was delivered before is whoever's who took it; what came after is all there.
    let simulator = world.simulator();
    let after = world.delivered();
    let due = |record: &sim::Issued| record.visible_from_ms > gone && record.visible_from_ms + 3_600_000 < world.now();
    let issued: Vec<_> = simulator.truth("one", world.now()).filter(due).collect();
    assert!(issued.len() > 10);
    assert!(issued.iter().all(|record| after.events.contains_key(&record.mark)));
    assert!(after.events.keys().all(|mark| !before.events.contains_key(mark)));
}
