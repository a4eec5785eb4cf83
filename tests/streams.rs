//! Every stream of both generations, end to end: all records once.

use std::time::Duration;

use mimecast_simulator as sim;
use mimecast_simulator::{Endpoint, Fault, When};
use tributary_host::Running;
use tributary_tests::world::{World, stream};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn both() -> [sim::Tenant; 2] {
    [sim::Tenant::v2("acme", 1_500).with_every_stream(), sim::Tenant::v1("initech", 1_000).with_every_stream()]
}

/// No stream is in trouble, and the books balance.
fn assert_sound(running: &Running) {
    for status in running.status() {
        let (name, counts) = (&status.stream, &status.stored);
        assert_eq!(status.fault, None, "{name}");
        assert_eq!(counts.records, counts.events + counts.malformed + counts.merged, "{name}: {counts:?}");
        assert_eq!(counts.events, counts.repeated + counts.accepted, "{name}: {counts:?}");
        assert_eq!((counts.malformed, counts.gaps), (0, 0), "{name}: {counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_every_stream_is_delivered_exactly() {
    for tenant in both() {
        let world = World::of(tenant.clone(), 4 * 24);
        let begin = world.now();
        let running = world.start().await;
        running.caught_up().await;
        assert_sound(&running);
        let streams = running.status().len();
        assert!(running.stop().await);
        let found = world.compare(begin);
        assert!(found.is_exact(), "{}: {found}", tenant.name);
        assert_eq!(streams, if tenant.generation() == sim::Generation::V2 { 26 } else { 12 });
        assert_eq!(found.streams.values().filter(|count| **count > 0).count(), streams, "{found}");
        assert_eq!(world.delivered().repeated_ids(), 0);
    }
}
