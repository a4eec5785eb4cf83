//! What it costs to find out that a stream has nothing new: an instance is made from a warm engine, a stream opened in
//! it, an empty chunk pulled, the instance dropped. CPU time of the whole process; the network answers from memory.
//!
//! ```text
//! cargo bench --bench empty_pull [-- PULLS ROUNDS]
//! ```

mod support;

use std::time::Duration;

use support::{Canned, cpu, spread};
use tributary_host::outside::Clock;
use tributary_host::sandbox::{Budget, Component, Context, Next, Start};

/// What the issue asks for, without the network.
const GOAL_MICROSECONDS: f64 = 100.0;

#[derive(Clone, Copy)]
enum Until {
    Instance,
    Open,
    /// Pulled with so many requests allowed.
    Pull(u32),
}

const RUNS: [(&str, Until); 4] = [
    ("instance made and dropped", Until::Instance),
    ("and a stream opened in it", Until::Open),
    ("and a chunk pulled, no request", Until::Pull(0)),
    ("and a chunk pulled, empty listing", Until::Pull(50)),
];

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (default_pulls, default_rounds) = if support::in_earnest() { (1_000, 15) } else { (10, 1) };
    let pulls = numbers.first().copied().unwrap_or(default_pulls);
    let rounds = numbers.get(1).copied().unwrap_or(default_rounds);

    let runtime = support::runtime();
    let mut samples = vec![Vec::new(); RUNS.len()];
    runtime.block_on(async {
        let component = support::component().await;
        // In the middle of a simulated day; the listing is the same at any time.
        let context = support::context(Canned::empty(), Clock::simulated(Duration::from_secs(1_748_866_020)));
        let position = position(&component, &context).await;
        for _ in 0..=rounds {
            for ((_, until), samples) in RUNS.iter().zip(&mut samples) {
                let begin = cpu();
                for _ in 0..pulls {
                    poll(&component, &context, &position, *until).await;
                }
                samples.push((cpu() - begin).as_nanos() as f64 / 1e3 / pulls as f64);
            }
        }
    });
    println!("{pulls} instances one after the other, {rounds} rounds in turns; CPU time of one");
    println!("{:<38} {:>10} {:>10}", "", "median", "least");
    let mut met = true;
    for ((name, until), samples) in RUNS.iter().zip(&samples) {
        // The first round warms up.
        let spread = spread(&samples[1..]);
        println!("{name:<38} {:>7.1} us {:>7.1} us", spread.median, spread.least);
        met &= !matches!(until, Until::Pull(0)) || spread.median <= GOAL_MICROSECONDS;
    }
    let word = if met { "met" } else { "MISSED" };
    println!("goal at most {GOAL_MICROSECONDS} us without the network, so with no request: {word}");
}

/// Where a stream stands that is caught up.
async fn position(component: &Component, context: &Context) -> Vec<u8> {
    let mut guest = component.instantiate(context).await.expect("an instance is made");
    let mut position = Vec::new();
    support::drain(&mut guest, support::CONFIGURATION, Start::Configured, support::budget(), |chunk| {
        position = chunk.position
    })
    .await;
    position
}

async fn poll(component: &Component, context: &Context, position: &[u8], until: Until) {
    let mut guest = component.instantiate(context).await.expect("an instance is made");
    if matches!(until, Until::Instance) {
        return;
    }
    let start = Start::After(position.to_vec());
    guest.open(support::CONFIGURATION, support::STREAM, start).await.expect("the stream opens");
    let Until::Pull(requests) = until else { return };
    let budget = Budget { requests, ..support::budget() };
    let chunk = guest.pull(support::SESSION, budget).await.expect("the canned answers are good");
    assert!(chunk.events.is_empty() && chunk.requests == requests.min(1));
    assert_eq!(chunk.next == Next::CaughtUp, requests > 0);
}
