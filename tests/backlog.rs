//! The main job: a backlog of both generations, the days after it, and nothing twice.

use std::collections::BTreeSet;
use std::time::Duration;

use mimecast_simulator as sim;
use mimecast_simulator::{Endpoint, Fault, Kind, When};
use tributary_host::{Host, Options, config};
use tributary_tests::delivered::Delivered;
use tributary_tests::world::{World, assert_sound, component, configuration, quota, serve, stream};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

fn both() -> [sim::Tenant; 2] {
    [sim::Tenant::v2("acme", 2_500), sim::Tenant { utc_offset_minutes: -300, ..sim::Tenant::v1("initech", 1_500) }]
}

#[tokio::test(start_paused = true)]
async fn a_week_of_backlog_is_delivered_exactly() {
    for tenant in both() {
        let world = World::of(tenant.clone(), 7 * 24);
        let begin = world.now();
        let running = world.start().await;
        running.caught_up().await;
        assert_sound(&running);
        assert!(running.stop().await);
        let found = world.compare(begin);
        assert!(found.is_exact(), "{}: {found}", tenant.name);
        let streams = if tenant.generation() == sim::Generation::V2 { 11 } else { 2 };
        assert_eq!(found.streams.values().filter(|count| **count > 0).count(), streams, "{found}");
        assert!(found.total() > 7_000, "{found}");
        assert_eq!(world.delivered().repeated_ids(), 0);
    }
}

#[tokio::test]
async fn over_sockets_it_is_the_same() {
    for tenant in both() {
        let folder = tempfile::tempdir().unwrap();
        let clock = sim::Clock::real();
        let begin = clock.now();
        let settings = sim::Settings { backlog_ms: DAY, tenants: vec![tenant.clone()], ..sim::Settings::default() };
        let server = serve(clock, settings);
        let file = folder.path().join("tributary.toml");
        let tenants = [tenant.clone()];
        std::fs::write(&file, configuration(folder.path(), &server.api_url, &tenants, quota(&tenant), "")).unwrap();
        let config = config::load(&file).unwrap().config;
        let host = Host::around(component().await, Options::new(tributary_host::COMPONENT));
        let running = host.collect(&config).await.unwrap();
        running.caught_up().await;
        assert_sound(&running);
        assert!(running.stop().await);
        let delivered = Delivered::read(&folder.path().join("events"), &tenant.name);
        let found = delivered.compare(&server.simulator(), &tenant.name, begin, server.now());
        assert!(found.is_exact() && found.total() > 300, "{}: {found}", tenant.name);
    }
}

#[tokio::test(start_paused = true)]
async fn compressed_files_hold_the_same() {
    for (compression, extension) in [("gzip", "ndjson.gz"), ("zstd", "ndjson.zst")] {
        let mut world = World::of(sim::Tenant::v2("acme", 2_000), 24);
        // Small enough that files are finished in the middle.
        world.sink = format!("compression = \"{compression}\"\nmax_bytes = 4096");
        let begin = world.now();
        let running = world.start().await;
        running.caught_up().await;
        // A file is judged when something was written to it: some more publications.
        tokio::time::sleep(Duration::from_millis(2 * HOUR)).await;
        assert!(running.stop().await);
        let found = world.compare(begin);
        assert!(found.is_exact() && found.total() > 1_000, "{compression}: {found}");
        let files = tributary_tests::delivered::files(&world.events());
        assert!(files.iter().all(|file| file.to_str().unwrap().ends_with(extension)), "{files:?}");
        assert!(files.len() > 12, "nothing was rotated: {files:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_tenant_brings_nothing_all_day() {
    for tenant in [sim::Tenant::v2("quiet", 0), sim::Tenant::v1("quiet", 0)] {
        let world = World::of(sim::Tenant { audit_events_per_day: 0, ..tenant }, 24);
        let running = world.start().await;
        tokio::time::sleep(Duration::from_millis(DAY)).await;
        assert_sound(&running);
        for status in running.status() {
            assert!(status.polls > 20 && status.was_caught_up, "{status:?}");
            assert_eq!((status.stored.records, status.stored.gaps), (0, 0), "{status:?}");
        }
        assert!(running.stop().await);
        assert_eq!(world.delivered().total(), 0);
        // The neighbour: one record after all.
        let (name, now) = (world.simulator().settings().tenants[0].name.clone(), world.now());
        world.simulator().insert_rows(&name, Kind::Receipt, 1, now - HOUR, now, now).unwrap();
        let running = world.start().await;
        tokio::time::sleep(Duration::from_millis(HOUR)).await;
        assert!(running.stop().await);
        assert_eq!(world.delivered().total(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn days_go_by_and_everything_arrives_once() {
    for tenant in both() {
        let name = tenant.name.clone();
        let v2 = tenant.generation() == sim::Generation::V2;
        let mut world = World::of(tenant, 12);
        // Files that are finished soon need no look after them, which makes a day short.
        world.sink = "max_age_secs = 30".into();
        // Long silence at the beginning of each audit window, short ones of SIEM: rows that come late.
        let late = if v2 { Endpoint::SiemBatch } else { Endpoint::SiemLogs };
        world.inject(Fault::LateRows { at: late, count: 7, late_ms: 3 * HOUR }, When::After { skip: 15, count: 3 });
        let mut running = world.start().await;
        for day in 1..=2 {
            tokio::time::sleep(Duration::from_millis(DAY / 4)).await;
            // Audit rows that appear a quarter of an hour after they happened.
            let now = world.now();
            for minutes in [1, 8, 15] {
                let (happened, visible) = (now - minutes * 60_000, now + 5 * 60_000);
                world.simulator().insert_rows(&name, Kind::Audit, 3, happened, visible, now).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(DAY / 4)).await;
            assert_sound(&running);
            let found = world.compare(world.now() - 2 * HOUR);
            assert!(found.is_exact(), "{name}, day {day}: {found}");
            // A restart in between keeps the page tokens too.
            assert!(running.stop().await);
            running = world.start().await;
        }
        running.caught_up().await;
        assert_sound(&running);
        let siem = if v2 { "siem/receipt" } else { "siem" };
        assert_eq!(stream(&running, siem).stored.repeated, 0, "{name}");
        assert!(running.stop().await);
        assert_eq!(world.delivered().repeated_ids(), 0);
        let simulator = world.simulator();
        let fired: u64 = simulator.fired(&name).iter().map(|(_, count)| count).sum();
        assert_eq!(fired, 3, "{name}: the late rows");
        if v2 {
            let fetched: Vec<&str> = simulator
                .log()
                .filter(|entry| entry.endpoint == Some(Endpoint::Storage))
                .map(|entry| entry.path.as_str())
                .collect();
            let files: BTreeSet<&&str> = fetched.iter().collect();
            assert!(files.len() > 150);
            assert_eq!(files.len(), fetched.len(), "each file is fetched once");
        }
    }
}
