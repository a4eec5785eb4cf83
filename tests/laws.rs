//! The five laws of the contract, on the real component in the real sandbox.

use mimecast_simulator as sim;
use tributary_host::sandbox::{Budget, Chunk, Next, Start};
use tributary_tests::guest::{Source, ids, settings};

/// A little of everything: both generations, and every way of paging.
fn streams() -> Vec<(sim::Settings, &'static str)> {
    let small = |tenant: sim::Tenant| {
        let tenant = sim::Tenant { audit_events_per_day: 800, ..tenant };
        sim::Settings { backlog_ms: 6 * 3_600_000, ..settings(vec![tenant]) }
    };
    vec![
        (small(sim::Tenant::v2("two", 1_000)), "siem/receipt"),
        (small(sim::Tenant::v2("two", 1_000)), "siem/delivery"),
        (small(sim::Tenant::v2("two", 1_000)), "audit"),
        (small(sim::Tenant::v1("one", 400)), "siem"),
        (small(sim::Tenant::v1("one", 400)), "audit"),
    ]
}

fn of_events(events: u32) -> Budget {
    Budget { events, ..Budget::default() }
}

/// Law 1: a chunk is covered by its own position, never by an earlier one.
#[tokio::test(start_paused = true)]
async fn reading_on_from_a_position_yields_what_follows() {
    for (settings, stream) in streams() {
        let source = Source::new(settings).await;
        let chunks = source.read(stream, Start::Configured, of_events(7)).await;
        let all = ids(&chunks);
        assert!(all.len() > 40, "{stream}: only {} events", all.len());
        let mut before = 0;
        // Every position would be dear: each opens the stream again. Some of every kind are enough.
        for (index, chunk) in chunks.iter().enumerate() {
            before += chunk.events.len();
            if index % 9 != 0 && index + 3 < chunks.len() {
                continue;
            }
            let rest = ids(&source.read(stream, Start::After(chunk.position.clone()), of_events(500)).await);
            assert!(
                follows(&rest, &all, before),
                "{stream}: behind chunk {index} ({before} events) there are not just the {} that follow",
                all.len() - before
            );
        }
    }
}

/// What follows comes, and nothing is left out. What came before may come again where a stream overlaps.
fn follows(rest: &[u128], all: &[u128], before: usize) -> bool {
    let known: std::collections::HashSet<u128> = all[..before].iter().copied().collect();
    let fresh: Vec<u128> = rest.iter().copied().filter(|id| !known.contains(id)).collect();
    let expected: Vec<u128> = all[before..].iter().copied().filter(|id| !known.contains(id)).collect();
    fresh == expected
}

/// Law 2: the same configuration, session, position, budgets, clock, randomness and answers give the same bytes.
#[tokio::test(start_paused = true)]
async fn the_same_world_gives_the_same_bytes() {
    for (settings, stream) in streams() {
        let one = Source::new(settings.clone()).await.read(stream, Start::Configured, of_events(100)).await;
        let two = Source::new(settings.clone()).await.read(stream, Start::Configured, of_events(100)).await;
        assert_eq!(one, two, "{stream}");
        let other = sim::Settings { seed: 2, ..settings };
        let other = Source::new(other).await.read(stream, Start::Configured, of_events(100)).await;
        assert_ne!(one, other, "{stream}: another world, and yet the same bytes");
    }
}

/// Law 3: a chunk without events may move the position, or leave it and ask for more. Budgets of nothing are no fault.
#[tokio::test(start_paused = true)]
async fn budgets_of_nothing_are_no_fault() {
    for (settings, stream) in streams() {
        let source = Source::new(settings).await;
        let all = ids(&source.read(stream, Start::Configured, of_events(1_000)).await);
        let mut reader = source.open(stream, Start::Configured).await;
        let mut before = 0;
        for budget in [
            Budget { requests: 0, ..Budget::default() },
            Budget { events: 0, ..Budget::default() },
            Budget { bytes: 0, ..Budget::default() },
        ] {
            let chunk = reader.pull(budget).await.unwrap();
            assert!(chunk.events.len() <= 1, "{stream}: a budget of nothing is exceeded by one record at most");
            assert!(budget.requests > 0 || chunk.requests == 0, "{stream}: {} requests", chunk.requests);
            assert_ne!(chunk.next, Next::CaughtUp, "{stream}: nothing was read, so nothing can be said of the end");
            before += chunk.events.len();
            let rest = ids(&source.read(stream, Start::After(chunk.position.clone()), of_events(1_000)).await);
            assert!(follows(&rest, &all, before), "{stream}: {} of {}", rest.len(), all.len());
        }
    }
}

/// Law 3, of time: a slow vendor uses it up, and the pull returns what there is.
#[tokio::test(start_paused = true)]
async fn a_pull_returns_when_its_time_is_over() {
    for (settings, stream) in streams() {
        let name = settings.tenants[0].name.clone();
        let source = Source::new(settings).await;
        let all = ids(&source.read(stream, Start::Configured, of_events(1_000)).await);
        for at in [sim::Endpoint::SiemBatch, sim::Endpoint::Storage, sim::Endpoint::SiemLogs, sim::Endpoint::Audit] {
            let slow = sim::Fault::Slow { at, delay_ms: 700 };
            source.memory.simulator().inject(&name, slow, sim::When::Always).unwrap();
        }
        let mut reader = source.open(stream, Start::Configured).await;
        let budget = Budget { time_ms: 1_000, ..Budget::default() };
        let mut read = Vec::new();
        loop {
            let begun = tokio::time::Instant::now();
            let chunk = reader.pull(budget).await.unwrap();
            assert!(begun.elapsed().as_millis() <= 1_400, "{stream}: a pull of {:?}", begun.elapsed());
            read.extend(ids([&chunk]));
            if chunk.next == Next::CaughtUp {
                break;
            }
        }
        assert_eq!(read, all, "{stream}");
    }
}

/// Law 4: dropping a reader at any moment loses nothing.
#[tokio::test(start_paused = true)]
async fn a_dropped_reader_loses_nothing() {
    for (settings, stream) in streams() {
        let source = Source::new(settings).await;
        let all = ids(&source.read(stream, Start::Configured, of_events(1_000)).await);
        let mut start = Start::Configured;
        let mut stored: Vec<u128> = Vec::new();
        'instances: loop {
            let mut reader = source.open(stream, start.clone()).await;
            // Two pulls are stored, the third is lost with its instance.
            for pull in 0..3 {
                let chunk: Chunk = reader.pull(of_events(40)).await.unwrap();
                if pull == 2 {
                    break;
                }
                stored.extend(chunk.events.iter().map(|event| event.id));
                start = Start::After(chunk.position.clone());
                if chunk.next == Next::CaughtUp {
                    break 'instances;
                }
            }
        }
        stored.dedup();
        let mut seen = std::collections::HashSet::new();
        stored.retain(|id| seen.insert(*id));
        assert_eq!(stored, all, "{stream}");
    }
}

/// Law 5: a position written by one release is understood by the next. `tests/positions` keeps one of each form; this
/// release must go on from them, and a form of its own time must be refused with a clear word.
#[tokio::test(start_paused = true)]
async fn positions_of_earlier_releases_are_understood() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/positions");
    let mut read = 0;
    for (settings, stream) in streams() {
        let generation = if settings.tenants[0].generation() == sim::Generation::V2 { "2.0" } else { "1.0" };
        let file = format!("{folder}/v1-{generation}-{}.json", stream.replace('/', "-"));
        let source = Source::new(settings).await;
        let position = match std::fs::read(&file) {
            Ok(position) => position,
            Err(_) if std::env::var_os("BLESS").is_some() => {
                // The middle of a file, an archive or a page: the form with the most in it.
                let chunks = source.read(stream, Start::Configured, of_events(30)).await;
                let position = chunks[chunks.len() / 2].position.clone();
                std::fs::create_dir_all(folder).unwrap();
                std::fs::write(&file, &position).unwrap();
                position
            }
            Err(error) => panic!("{file}: {error}. With BLESS=1 it is written"),
        };
        let chunks = source.read(stream, Start::After(position), of_events(1_000)).await;
        assert!(!ids(&chunks).is_empty(), "{stream}: nothing behind the stored position");
        assert!(chunks.iter().all(|chunk| chunk.gaps.is_empty()), "{stream}: {:?}", chunks[0].gaps);
        let newer = br#"{"v":999}"#.to_vec();
        let mut reader = source.open_or_fault(stream, Start::After(newer)).await;
        assert!(reader.take().is_none(), "{stream}: a position of a newer release was taken for one of ours");
        read += 1;
    }
    assert_eq!(read, 5);
}
