//! What a host that collects from the simulated Mimecast exports.

use std::collections::BTreeSet;
use std::time::Duration;

use mimecast_simulator as sim;
use tributary_host::Running;
use tributary_host::state::{Counts, Store};
use tributary_tests::world::World;

use super::page::{Page, scrape};
use super::promtool::promtool;

const HOUR: u64 = 3_600_000;

/// What nobody would call a customer, and what a customer may be called all the same.
const PLANTED: &str = "Acme \"East\\West\"\n} 1\nforged_total{x=\"";

/// A world of these tenants, with some trouble in the first one's.
fn world(names: &[&str]) -> World {
    let tenants = names.iter().map(|name| sim::Tenant::v2(name, 400)).collect();
    // The vendor says what is left of a quota on some of its paths only, and not always.
    let settings =
        sim::Settings { tenants, backlog_ms: 6 * HOUR, rate_headers_always: true, ..sim::Settings::default() };
    let world = World::new(settings);
    let at = sim::Endpoint::Storage;
    world.inject(sim::Fault::Status { at, status: 503 }, sim::When::First(2));
    world.inject(sim::Fault::UrlGoneForever, sim::When::First(1));
    world
}

async fn start(world: &World, edit: impl FnOnce(String) -> String) -> Running {
    let mut config = world.config(edit);
    // The configuration's own text may not hold it; an embedding program may.
    config.sources.get_mut("acme").unwrap().tenant = PLANTED.to_owned();
    world.host().await.collect(&config).await.unwrap_or_else(|error| panic!("{error}"))
}

/// What is stored of all streams of a source, once the host has stopped: counts of what brought nothing new are stored with
/// the next that does, or at the end.
fn ledger(world: &World, source: &str) -> Counts {
    let store = Store::open(&world.state()).unwrap();
    let mut all = Counts::default();
    for key in store.streams().unwrap().into_iter().filter(|key| key.source == source) {
        all.add(&store.stream(&key).unwrap().ledger.counts);
    }
    all
}

/// A scrape while nothing is read: time goes on while one waits, and with it the polls.
async fn settled(world: &World, running: &Running) -> Page {
    loop {
        world.settled(running).await;
        let read = |running: &Running| running.status().iter().map(|status| status.stored.clone()).collect::<Vec<_>>();
        let before = read(running);
        let page = scrape(running, world.folder.path()).await;
        if before == read(running) && page.sum("tributary_stream_in_flight_chunks", &[]) == 0.0 {
            return page;
        }
    }
}

/// What a configuration says that does not tell tenants apart.
const TOGETHER: &str = "\n[metrics]\ntenant_labels = false\n";

/// A page of a host with all that there is, with labels of tenants or without.
pub async fn page(tenant_labels: bool) -> Page {
    let world = world(&["acme", "initech"]);
    let running = start(&world, |text| if tenant_labels { text } else { text + TOGETHER }).await;
    let page = settled(&world, &running).await;
    assert!(running.stop().await);
    page
}

#[tokio::test(start_paused = true)]
async fn what_is_exported_is_what_the_ledger_says() {
    let world = world(&["acme", "initech"]);
    let running = start(&world, |text| text).await;
    let first = settled(&world, &running).await;
    let streams = running.status().len();
    assert_eq!(first.sum("tributary_stream_state", &[("state", "collecting")]) as usize, streams);
    assert_eq!(first.sum("tributary_source_lag_time_seconds", &[]), 0.0, "all are caught up");
    let errors = [("component_id", "acme"), ("error_code", "http-503")];
    assert!(first.sum("tributary_component_errors_total", &errors) >= 1.0);
    for source in ["acme", "initech"] {
        let of = |name: &str| first.sum(name, &[("component_id", source), ("quota", "siem-batch")]);
        let share = of("tributary_quota_remaining_requests") / of("tributary_quota_limit_requests");
        assert_eq!(of("tributary_quota_remaining_ratio"), share);
    }
    assert_eq!(first.sum("tributary_source_without_session_seconds", &[]), 0.0);
    assert_eq!(first.sum("tributary_stream_silent", &[]), 0.0);
    let unavailable = [("component_id", "acme"), ("status", "503")];
    assert_eq!(first.sum("tributary_http_client_responses_total", &unavailable), 2.0);
    let files = [("component_id", "files")];
    assert_eq!(
        first.sum("tributary_sink_taken_events_total", &files),
        first.sum("tributary_sink_delivered_events_total", &files)
    );
    assert_eq!(first.sum("tributary_buffer_size_events", &files), 0.0);
    assert!(first.sum("tributary_in_flight_bytes", &[]) < first.sum("tributary_in_flight_max_bytes", &[]));
    assert_eq!(first.sum("tributary_sources", &[]), 2.0);

    // More is published, and read.
    tokio::time::sleep(Duration::from_millis(2 * HOUR)).await;
    let second = settled(&world, &running).await;
    grew(&first, &second);
    let sent = |page: &Page| page.sum("tributary_component_sent_events_total", &[]);
    assert!(sent(&second) > sent(&first));
    assert!(running.stop().await);

    for (source, tenant) in [("acme", PLANTED), ("initech", "initech")] {
        let counts = ledger(&world, source);
        assert!(counts.accepted > 100, "{counts:?}");
        let of = |name: &str| second.sum(name, &[("component_id", source), ("tenant", tenant)]) as u64;
        assert_eq!(of("tributary_component_received_events_total"), counts.events);
        assert_eq!(of("tributary_component_sent_events_total"), counts.accepted);
        assert_eq!(of("tributary_stream_records_total"), counts.records);
        assert_eq!(of("tributary_stream_malformed_records_total"), counts.malformed);
        assert_eq!(of("tributary_stream_repeated_events_total"), counts.repeated);
        assert_eq!(of("tributary_stream_gaps_total"), counts.gaps);
        assert_eq!(of("tributary_stream_files_expired_total"), counts.pieces.gone);
        assert_eq!(counts.gaps > 0, source == "acme", "{counts:?}");
        assert_eq!(of("tributary_stream_files_listed_total"), counts.pieces.listed);
        assert_eq!(of("tributary_stream_files_fetched_total"), counts.pieces.fetched);
        let at_sink = [("component_id", "files"), ("component_type", "file"), ("source", source), ("tenant", tenant)];
        let delivered = second.sum("tributary_sink_delivered_events_total", &at_sink) as u64;
        assert_eq!(delivered, counts.sinks["files"].delivered);
        let letters = [("source", source), ("reason", "malformed")];
        assert_eq!(second.sum("tributary_dead_letters_total", &letters) as u64, counts.malformed);
        // The fault of the network is an answer too.
        assert!(of("tributary_http_client_requests_sent_total") > 10);
        assert_eq!(
            of("tributary_http_client_responses_total") + of("tributary_http_client_errors_total"),
            of("tributary_http_client_requests_sent_total")
        );
        assert!(of("tributary_guest_memory_peak_bytes") > 1 << 16);
        assert!(second.sum("tributary_guest_cpu_seconds_total", &[("component_id", source)]) > 0.0);
        let refreshes = [("component_id", source), ("result", "success")];
        assert!(second.sum("tributary_token_refreshes_total", &refreshes) >= 1.0);
    }
}

/// No counter is less, and none is gone.
fn grew(first: &Page, second: &Page) {
    for ((name, labels), before) in &first.series {
        if first.types[name] != "counter" {
            continue;
        }
        let after = second.series.get(&(name.clone(), labels.clone()));
        assert!(after.is_some_and(|after| after >= before), "{name} {labels:?}: {before}, then {after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_tenants_there_are_no_more_series_than_with_one() {
    let mut pages = Vec::new();
    for names in [&["acme"][..], &["acme", "initech", "hooli"]] {
        let world = world(names);
        let running = start(&world, |text| text + TOGETHER).await;
        let page = settled(&world, &running).await;
        let accepted: u64 = running.status().iter().map(|status| status.stored.accepted).sum();
        assert!(accepted > 100);
        assert_eq!(page.sum("tributary_component_sent_events_total", &[]) as u64, accepted);
        assert_eq!(page.sum("tributary_sink_delivered_events_total", &[]) as u64, accepted);
        assert_eq!(page.sum("tributary_stream_state", &[("state", "collecting")]) as usize, running.status().len());
        for name in names.iter().copied().chain(["tenant=", "stream=", "source="]) {
            let named = page.series.keys().any(|(_, labels)| labels.values().any(|value| value == name));
            assert!(!named && !page.text.contains(name), "{name} in {}", page.text);
        }
        tokio::time::sleep(Duration::from_millis(HOUR)).await;
        world.settled(&running).await;
        grew(&page, &scrape(&running, world.folder.path()).await);
        pages.push(page);
        assert!(running.stop().await);
    }
    let keys = |page: &Page| page.series.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&pages[0]), keys(&pages[1]));
    assert!(pages[0].series.len() < 120, "{}", pages[0].text);
}

#[tokio::test(start_paused = true)]
async fn promtool_has_nothing_to_say_of_a_scrape() {
    let page = page(true).await;
    let folder = std::env::temp_dir();
    let Some((good, said)) = promtool(&folder, &["check", "metrics"], &page.text) else { return };
    assert!(good && said.trim().is_empty(), "{said}");
    let wrong = page.text.replace("tributary_stream_gaps_total", "tributary_stream_gaps");
    let (good, said) = promtool(&folder, &["check", "metrics"], &wrong).unwrap();
    assert!(!good && said.contains("tributary_stream_gaps"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_source_without_a_session_shows_among_others_that_have_one() {
    for tenant_labels in [true, false] {
        let world = world(&["acme", "initech"]);
        world.inject(sim::Fault::InvalidClientIdentifier { at: sim::Endpoint::Token }, sim::When::Always);
        let running = start(&world, |text| if tenant_labels { text } else { text + TOGETHER }).await;
        tokio::time::sleep(Duration::from_millis(2 * HOUR)).await;
        let name = "tributary_source_without_session_seconds";
        let page = scrape(&running, world.folder.path()).await;
        let seconds = page.sum(name, &[]);
        assert!((7_000.0..7_300.0).contains(&seconds), "{seconds}");
        if tenant_labels {
            assert_eq!(page.sum(name, &[("component_id", "acme")]), seconds);
        }
        world.clear_faults();
        tokio::time::sleep(Duration::from_millis(2 * HOUR)).await;
        assert_eq!(scrape(&running, world.folder.path()).await.sum(name, &[]), 0.0);
        assert!(running.stop().await);
    }
}
