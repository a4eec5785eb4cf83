//! Every stream of both generations, end to end: all records once.

use std::time::Duration;

use mimecast_simulator as sim;
use mimecast_simulator::{Endpoint, Fault, When};
use tributary_tests::world::{World, assert_sound, stream};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

fn both() -> [sim::Tenant; 2] {
    [sim::Tenant::v2("acme", 800).with_every_stream(), sim::Tenant::v1("initech", 800).with_every_stream()]
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_every_stream_is_delivered_exactly() {
    for tenant in both() {
        let world = World::of(tenant.clone(), 4 * 24);
        let begin = world.now();
        let running = world.start().await;
        running.caught_up().await;
        assert_sound(&running);
        assert!(running.status().iter().all(|status| (status.stored.malformed, status.stored.gaps) == (0, 0)));
        let streams = running.status().len();
        assert!(running.stop().await);
        let found = world.compare(begin);
        assert!(found.is_exact(), "{}: {found}", tenant.name);
        assert_eq!(streams, if tenant.generation() == sim::Generation::V2 { 26 } else { 12 });
        assert_eq!(found.streams.values().filter(|count| **count > 0).count(), streams, "{found}");
        assert_eq!(world.delivered().repeated_ids(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_stream_endpoint_gives_the_same_siem_records() {
    let mut world = World::of(sim::Tenant { audit_events_per_day: 0, ..sim::Tenant::v2("acme", 3_000) }, 20);
    world.source = "siem_mode = \"stream\"\nstart_at = \"20h\"\ncollect = [\"siem\"]".into();
    // A cursor that stalls, one that is refused, pages without rows, without a cursor, and 429 without a figure.
    world.inject(Fault::StreamStalls { at: Endpoint::SiemStream }, When::After { skip: 30, count: 1 });
    world.inject(Fault::CursorRefused { at: Endpoint::SiemStream }, When::After { skip: 3, count: 1 });
    world.inject(Fault::EmptyPageWithNext { at: Endpoint::SiemStream }, When::After { skip: 5, count: 2 });
    world.inject(Fault::NextPageMissing, When::After { skip: 9, count: 1 });
    let mut running = world.start().await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(3 * HOUR)).await;
        assert!(running.stop().await);
        running = world.start().await;
    }
    running.caught_up().await;
    let status = stream(&running, "siem/events");
    assert_eq!((running.status().len(), status.stored.malformed, status.stored.gaps), (1, 0, 0));
    assert!(running.stop().await);
    let found = world.compare(world.now() - 2 * HOUR);
    let siem = found.total();
    // All lie in the one stream's folder, wherever the batch endpoint would have put them.
    assert_eq!((found.missing, found.doubled, found.untimely, found.strangers, found.elsewhere), (0, 0, 0, 0, siem));
    assert!(siem > 3_000, "{found}");
    assert_eq!(world.delivered().repeated_ids(), 0);
}

#[tokio::test(start_paused = true)]
async fn days_of_polls_with_odd_answers_are_delivered_exactly() {
    use Endpoint::{Dlp, HeldMessages, ThreatFeed, TtpAttachment, TtpImpersonation, TtpUrl};
    for tenant in both() {
        let mut world = World::of(tenant.clone(), 12);
        world.source = "page_sizes = { ttp = 5, dlp = 5, held = 7, archive = 2, audit = 9 }".into();
        world.sink = "max_age_secs = 30".into();
        let sometimes = |skip| When::After { skip, count: 3 };
        for (number, at) in [Dlp, HeldMessages, TtpUrl, TtpAttachment, TtpImpersonation].into_iter().enumerate() {
            let skip = 3 * number as u64;
            world.inject(Fault::EmptyPageWithNext { at }, sometimes(skip));
            world.inject(Fault::RepeatedToken { at }, When::After { skip, count: 1 });
            world.inject(Fault::CursorRefused { at }, When::After { skip: skip + 2, count: 1 });
            world.inject(Fault::OtherShape { at }, sometimes(skip + 1));
            world.inject(Fault::NextOnLastPage { at }, sometimes(skip + 2));
            world.inject(Fault::NextAsObject { at }, sometimes(skip));
            world.inject(Fault::MetaMissing { at }, sometimes(skip + 4));
            world.inject(Fault::RowsInsertedDuringListing { at, count: 4 }, sometimes(skip + 5));
            world.inject(Fault::ConnectionCut { at, after: 300 }, sometimes(skip + 20));
        }
        world.inject(Fault::FeedCut, sometimes(1));
        world.inject(Fault::FeedEmptyBundle, sometimes(5));
        world.inject(Fault::FeedCannotCompress, sometimes(2));
        world.inject(Fault::CursorRefused { at: ThreatFeed }, When::After { skip: 0, count: 1 });
        let mut running = world.start().await;
        for round in 1..=3 {
            tokio::time::sleep(Duration::from_millis(DAY / 3)).await;
            for status in running.status() {
                let counts = &status.stored;
                assert_eq!((counts.malformed, counts.gaps), (0, 0), "{}: {counts:?}", status.stream);
            }
            let found = world.compare(world.now() - 2 * HOUR);
            assert!(found.is_exact(), "{}, round {round}: {found}", tenant.name);
            assert!(running.stop().await);
            running = world.start().await;
        }
        assert!(running.stop().await);
        assert_eq!(world.delivered().repeated_ids(), 0);
        let fired: u64 = world.simulator().fired(&tenant.name).iter().map(|(_, count)| count).sum();
        assert!(fired > 60, "{fired}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_account_has_no_right_to_leaves_the_rest_running() {
    use tributary_host::collect::StreamState::NotLicensed;
    for mut tenant in both() {
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        tenant.denied = named(&["dlp", "ttp/url", "archive/view"]);
        tenant.unlicensed = named(&["cloud", "threat_intel", "held/messages"]);
        let world = World::of(tenant.clone(), 24);
        let begin = world.now();
        let running = world.start().await;
        let mut refused =
            vec!["archive/view", "dlp", "held/messages", "threat_intel/customer", "threat_intel/grid", "ttp/url"];
        if tenant.generation() == sim::Generation::V2 {
            refused.extend(["cloud/entities", "cloud/mailflow", "cloud/urlclick"]);
        }
        refused.sort_unstable();
        let settled = || {
            let of =
                |status: &tributary_host::collect::StreamStatus| status.was_caught_up || status.state == NotLicensed;
            running.status().iter().all(of)
        };
        assert!(world.until(Duration::from_secs(600), settled).await, "{:?}", running.status());
        let mut found: Vec<String> = Vec::new();
        for status in running.status().into_iter().filter(|status| status.state == NotLicensed) {
            let fault = status.fault.unwrap();
            assert!(fault.contains("403") && fault.contains("permission"), "{}: {fault}", status.stream);
            found.push(status.stream.to_string());
        }
        found.sort_unstable();
        assert_eq!(found, refused, "{}", tenant.name);
        assert!(running.stop().await);
        let compared = world.compare(begin);
        assert_eq!(compared.doubled + compared.strangers + compared.elsewhere + compared.untimely, 0, "{compared}");
        let silent = |name: &&&str| compared.streams.get(**name).copied().unwrap_or(0) == 0;
        assert_eq!(refused.iter().filter(silent).count(), refused.len(), "{compared}");
        assert!(compared.streams["audit"] > 10 && compared.streams["ttp/attachment"] > 5, "{compared}");
    }
}
