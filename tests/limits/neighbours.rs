//! Hostile tenants in one host with a good one: what it notices of them, and what each is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tributary_host::collect::{StreamState, StreamStatus};
use tributary_host::outside::{Clock, Outside, Random};
use tributary_host::sandbox::{Sandbox, Settings};
use tributary_host::state::Store;
use tributary_host::{Host, Options, Running, config};
use tributary_tests::delivered::{dead_letters, files};
use tributary_tests::guest::LOOPBACK;

use crate::hostile::{BYTES, Web, component};

const INTERVAL: Duration = Duration::from_millis(200);

/// Sources of the hostile component: id, and what the configuration says of each.
fn configuration(folder: &Path, top: &str, sources: &[(&str, &str)]) -> config::Config {
    let mut text = format!("data_dir = \"{}/state\"\negress.allow_private = [\"{LOOPBACK}\"]\n", folder.display());
    text += &format!("{top}\n");
    for (id, keys) in sources {
        text += &format!("[sources.{id}]\ntype = \"mimecast\"\n{keys}\n");
        if !keys.contains("url") {
            text += &format!("url = \"{}/bytes/1000\"\n", Web::URL);
        }
    }
    text += &format!("[sinks.files]\ntype = \"file\"\ninputs = [\"*\"]\npath = \"{}/events\"\n", folder.display());
    let file = folder.join("tributary.toml");
    std::fs::write(&file, text).unwrap();
    config::load(&file).unwrap_or_else(|error| panic!("{error}")).config
}

fn options(clock: Clock) -> Options {
    let outside = Outside { clock, random: Random::seeded(5), network: Arc::new(Web::default()) };
    Options { outside, ..Options::new(&**BYTES) }
}

fn status(running: &Running) -> BTreeMap<String, StreamStatus> {
    running.status().into_iter().map(|status| (status.source.to_string(), status)).collect()
}

/// What lies in the files of a tenant.
fn delivered(folder: &Path, tenant: &str) -> Vec<Value> {
    let mut files = files(&folder.join("events").join(tenant));
    files.sort();
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How late the good tenant is: from one event to the next beyond the interval, and from an event to its storage.
#[derive(Debug)]
struct Delays {
    events: u64,
    /// Median and worst.
    polls: (Duration, Duration),
    stored: (Duration, Duration),
    /// Of all threads: on a processor, and waiting for one that something else on this machine has.
    process: (Duration, Duration),
}

/// What the kernel has counted of the threads of this process until now.
fn process() -> (Duration, Duration) {
    let (mut ran, mut waited) = (0, 0);
    for thread in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        let figures: Vec<u64> = text.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
        if let [on, off, ..] = figures[..] {
            (ran, waited) = (ran + on, waited + off);
        }
    }
    (Duration::from_nanos(ran), Duration::from_nanos(waited))
}

async fn watch(running: &Running, span: Duration) -> Delays {
    let (mut polls, mut stored) = (Vec::new(), Vec::new());
    let (begun, before) = (Instant::now(), process());
    let first = status(running)["good"].stored.events;
    let mut last = (first, 0);
    while begun.elapsed() < span {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let good = status(running).remove("good").unwrap();
        assert_eq!(good.fault, None);
        let newest = good.newest.unwrap_or(0);
        if good.stored.events > last.0 {
            if last.1 > 0 {
                polls.push(Duration::from_nanos(newest.saturating_sub(last.1)).saturating_sub(INTERVAL));
            }
            stored.push(Duration::from_nanos(Clock::System.nanos().saturating_sub(newest)));
            last = (good.stored.events, newest);
        }
    }
    let figures = |mut delays: Vec<Duration>| {
        assert!(!delays.is_empty(), "nothing came");
        delays.sort();
        (delays[delays.len() / 2], delays[delays.len() - 1])
    };
    let after = process();
    // A thread that has ended takes its figures along.
    let process = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    Delays { events: last.0 - first, polls: figures(polls), stored: figures(stored), process }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_neighbours_events_arrive_on_time() {
    let good = ("good", "behaviour = \"good\"\ninterval_ms = 200");
    let evil = [
        ("loop", "behaviour = \"loop\"", "limit", "CPU time of a call"),
        ("loop-2", "behaviour = \"loop\"", "limit", "CPU time of a call"),
        ("recursion", "behaviour = \"recursion\"\nfigure = 1000000", "limit", "stack"),
        ("memory", "behaviour = \"memory\"\nfigure = 100000000", "limit", "memory (16 MiB"),
        ("bytes", "behaviour = \"bytes\"\nfigure = 3000000", "limit", "bytes handed over"),
        ("events", "behaviour = \"events\"\nfigure = 20000", "limit", "events of a chunk (10000, 20000"),
        ("position", "behaviour = \"position\"\nfigure = 70000", "limit", "bytes of a position"),
        ("handles", "behaviour = \"handles\"\nfigure = 5000", "limit", "handles (256"),
        ("flood", "behaviour = \"flood\"\nfigure = 100000\nlimits.requests = 50", "limit", "requests of a call (50)"),
        (
            "answers",
            "behaviour = \"answers\"\nfigure = 9\nurl = \"http://127.0.0.1:1/bytes/300000\"",
            "limit",
            "bytes of answers",
        ),
        ("stderr", "behaviour = \"stderr\"\nfigure = 3000000", "limit", "bytes to standard error"),
        ("ends", "behaviour = \"damage\"\ndamage = \"descends\"", "contract", "line"),
        ("panic", "behaviour = \"panic\"", "broke down", "on purpose"),
        ("half", "behaviour = \"half\"", "broke down", "unreachable"),
        (
            "silent",
            "behaviour = \"answers\"\nfigure = 1\nurl = \"http://127.0.0.1:1/never\"\nlimits.wall_secs = 10",
            "limit",
            "time of a call",
        ),
    ];
    let top = "[limits]\nmemory_bytes = 16777216\ncpu_secs = 1\nchunk_bytes = 2097152\nresponse_bytes = 1048576";
    let alone = {
        let folder = tempfile::tempdir().unwrap();
        let running = Host::start(&configuration(folder.path(), top, &[good]), options(Clock::System)).await.unwrap();
        let delays = watch(&running, Duration::from_secs(3)).await;
        assert!(running.stop().await);
        delays
    };
    let folder = tempfile::tempdir().unwrap();
    let mut sources = vec![good];
    sources.extend(evil.iter().map(|(id, keys, ..)| (*id, *keys)));
    let config = configuration(folder.path(), top, &sources);
    let running = Host::start(&config, options(Clock::System)).await.unwrap();
    let delays = watch(&running, Duration::from_secs(12)).await;
    println!("alone: {alone:?}\nbeside {} hostile tenants: {delays:?}", evil.len());
    for (id, status) in status(&running) {
        println!("{id}: {} faults: {}", status.faults, status.fault.as_deref().unwrap_or("none"));
    }
    let told = status(&running);
    for (id, _, kind, what) in evil {
        let status = &told[id];
        let fault = status.fault.as_deref().unwrap_or_default();
        assert!(fault.contains(kind) && fault.contains(what), "{id}: {fault}");
        assert_eq!((status.read.events, status.stored.events), (0, 0), "{id}");
    }
    assert_eq!(told["good"].faults, 0);
    // Sixty are due. On a machine that is short of time fewer come; if the guests did not let others run, none would.
    assert!(delays.events >= 10, "{delays:?}");
    let short = 1.0 + delays.process.1.as_secs_f64() / delays.process.0.as_secs_f64();
    for (median, worst) in [delays.polls, delays.stored] {
        assert!(median < Duration::from_millis(150).mul_f64(short), "{delays:?}");
        // One poll may meet the disk, or another program. What a guest that is not stopped takes is more.
        assert!(worst < Duration::from_secs(5).mul_f64(short), "{delays:?}");
    }
    assert!(running.stop().await);
    assert!(delivered(folder.path(), "good").len() as u64 >= delays.events);
    // What each is told of its health. The good one only went through its states.
    let store = Store::open(&folder.path().join("state")).unwrap();
    let told = |id: &str| -> Vec<(String, String)> {
        let events = store.health(id).unwrap();
        let events = events.iter().map(|event| serde_json::from_slice::<Value>(event).unwrap());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        events.map(|event| (text(&event["event"]), text(&event["code"]))).collect()
    };
    assert!(told("good").iter().all(|(event, _)| event == "StateChange"), "{:?}", told("good"));
    for (id, _, kind, what) in evil {
        assert_eq!(delivered(folder.path(), id), [] as [Value; 0], "{id}");
        let name = what.split(" (").next().unwrap().replace(' ', "-");
        let code = match kind {
            "limit" => format!("limit-{name}"),
            "contract" => "contract".to_owned(),
            _ => "trap".to_owned(),
        };
        let trouble = |(event, told): &(String, String)| event == "ThirdPartyGenericError" && told.starts_with(&code);
        assert!(told(id).iter().any(trouble), "{id}: {:?}", told(id));
    }
}

/// A host in simulated time; the component in a sandbox without a ticker.
async fn simulated(folder: &Path, sources: &[(&str, &str)]) -> Running {
    let sandbox = Sandbox::new(Settings { slots: 8, ticker: false, ..Settings::default() }).unwrap();
    let component = sandbox.load(&BYTES).await.unwrap();
    let options = options(Clock::simulated(Duration::from_secs(1_795_000_000)));
    Host::around(component, options).collect(&configuration(folder, "", sources)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_breakdown_in_the_middle_of_a_chunk_loses_its_record_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let running = simulated(folder.path(), &[("a", "behaviour = \"stumble\"\nfigure = 100")]).await;
    running.caught_up().await;
    assert_eq!(status(&running)["a"].state, StreamState::Collecting);
    assert!(running.stop().await);
    let numbers: Vec<u64> =
        delivered(folder.path(), "a").iter().map(|event| event["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..100).filter(|number| *number != 25).collect::<Vec<_>>(), "each once, in order");
    assert_eq!(dead_letters(&folder.path().join("state"), "a").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_repeats_is_delivered_once() {
    let folder = tempfile::tempdir().unwrap();
    let sources = [("a", "behaviour = \"damage\"\ndamage = \"ids\""), ("b", "behaviour = \"damage\"\ndamage = \"\"")];
    let running = simulated(folder.path(), &sources).await;
    running.caught_up().await;
    let told = status(&running);
    assert_eq!((told["a"].stored.accepted, told["a"].stored.repeated), (1, 2));
    assert_eq!((told["b"].stored.accepted, told["b"].stored.repeated), (3, 0));
    assert!(running.stop().await);
    assert_eq!((delivered(folder.path(), "a").len(), delivered(folder.path(), "b").len()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_one_source_is_not_that_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let keys = "behaviour = \"events\"\nfigure = 500";
    let small = format!("{keys}\nlimits.chunk_events = 400");
    let running = simulated(folder.path(), &[("small", &small), ("usual", keys)]).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let told = status(&running);
    let fault = told["small"].fault.as_deref().unwrap();
    assert!(fault.contains("events of a chunk (400, 500 given)") && fault.contains("limits.chunk_events"), "{fault}");
    assert_eq!((told["small"].stored.events, told["usual"].stored.events), (0, 500));
    assert_eq!(told["usual"].fault, None);
    assert!(running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_too_small_to_start_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let sources = [("a", "limits = { memory_bytes = 1048576 }"), ("b", "")];
    let config = configuration(folder.path(), "", &sources);
    let error = Host::around(component().await, options(Clock::System)).collect(&config).await.unwrap_err();
    let text = error.to_string();
    assert!(
        error.is_configuration() && text.contains("sources.a: ") && text.contains("raise limits.memory_bytes"),
        "{text}"
    );
    assert!(!text.contains("source b"), "{text}");
    let config = configuration(folder.path(), "", &[("a", "limits = { memory_bytes = 4194304 }")]);
    assert!(Host::around(component().await, options(Clock::System)).collect(&config).await.unwrap().stop().await);
}
