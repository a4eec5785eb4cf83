//! What the ledger says of files and pages, against what the simulator published: each listed file is fetched or gone,
//! whatever happened in between.

use std::time::Duration;

use mimecast_simulator as sim;
use mimecast_simulator::{Endpoint, Fault, When};
use tributary_host::state::{Counts, Store, StreamKey};
use tributary_tests::world::World;

const HOUR: Duration = Duration::from_secs(3600);

fn counts(world: &World, stream: &str) -> Counts {
    let store = Store::open(&world.state()).unwrap();
    store.stream(&StreamKey::new("one", stream)).unwrap().ledger.counts
}

#[tokio::test(start_paused = true)]
async fn every_file_that_was_published_is_fetched_or_gone() {
    let mut world = World::of(sim::Tenant::v2("one", 600), 12);
    world.source = "collect = [\"siem\", \"audit\"]\npage_sizes = { siem = 3 }".into();
    let begin = world.now();
    // One file is gone for ever, others for a while, and hosts are killed in the middle of the backlog.
    world.inject(Fault::UrlGoneForever, When::After { skip: 4, count: 1 });
    world.inject(Fault::UrlGone, When::After { skip: 9, count: 2 });
    world.inject(Fault::FileOnTwoPages, When::First(2));
    world.inject(Fault::DuplicateUrl, When::First(2));
    for ms in [700, 1_500, 4_000] {
        let running = world.start().await;
        tokio::time::sleep(Duration::from_millis(ms)).await;
        running.kill().await;
    }
    let running = world.start().await;
    tokio::time::sleep(2 * HOUR).await;
    world.inject(Fault::Status { at: Endpoint::Storage, status: 503 }, When::First(5));
    tokio::time::sleep(HOUR).await;
    world.settled(&running).await;
    assert!(running.stop().await);
    let found = world.compare(begin);
    assert!(found.is_exact() && found.total() > 60, "{found}");

    let (mut published, mut lost) = (0, 0);
    let streams: Vec<_> = world.simulator().files("one", world.now()).into_keys().collect();
    for stream in streams {
        let counts = counts(&world, stream);
        let pieces = counts.pieces;
        let files = |until_ms| world.simulator().files("one", until_ms).get(stream).copied().unwrap_or_default();
        // What came since the last poll is not listed yet.
        let (least, most) = (files(world.now() - 600_000), files(world.now()));
        assert!(
            (least.0..=most.0).contains(&(pieces.listed as usize)),
            "{stream}: {pieces:?} of {least:?} to {most:?}"
        );
        assert_eq!((pieces.gone as usize, pieces.open()), (most.1, 0), "{stream}: {pieces:?}");
        assert_eq!(pieces.listed, pieces.fetched + pieces.gone, "{stream}: {pieces:?}");
        assert_eq!(counts.gaps, pieces.gone, "{stream}");
        (published, lost) = (published + pieces.listed, lost + pieces.gone);
    }
    assert!(published > 40, "{published}");
    assert_eq!(lost, 1);
    let pages = counts(&world, "audit").pieces;
    assert!(pages.listed > 3 && pages.listed == pages.fetched && pages.gone == 0, "{pages:?}");
}

#[tokio::test(start_paused = true)]
async fn members_of_archives_are_files_too() {
    let mut world = World::of(sim::Tenant::v1("one", 600), 12);
    world.source = "collect = [\"siem\"]".into();
    for ms in [300, 900] {
        let running = world.start().await;
        tokio::time::sleep(Duration::from_millis(ms)).await;
        running.kill().await;
    }
    let running = world.start().await;
    world.settled(&running).await;
    assert!(running.stop().await);
    let (files, lost) = world.simulator().files("one", world.now())["siem"];
    let pieces = counts(&world, "siem").pieces;
    assert_eq!((pieces.listed as usize, pieces.fetched as usize, pieces.gone, lost), (files, files, 0, 0));
}
