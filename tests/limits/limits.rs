//! Each limit: what goes over it is stopped with its name, its figure and its setting, and what stays below passes.

use std::time::{Duration, Instant};

use serde_json::json;
use tributary_host::outside::{Clock, Random};
use tributary_host::sandbox::{Chunk, Context, GuestError, Limit, Limits};

use crate::hostile::{self, Web, asks, body, pull};

/// What a call was stopped for.
fn limit(answer: Result<Chunk, GuestError>) -> Limit {
    match answer {
        Err(GuestError::Limit(limit)) => limit,
        other => panic!("it was not stopped at a limit: {other:?}"),
    }
}

/// A limit, how to go over it, how to stay below.
struct Case {
    behaviour: &'static str,
    limits: Limits,
    over: u64,
    below: u64,
    name: &'static str,
    figure: &'static str,
    setting: &'static str,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_enforced_and_says_so() {
    let all = Limits::default();
    let case = |behaviour, limits, (over, below), name, figure, setting| Case {
        behaviour,
        limits,
        over,
        below,
        name,
        figure,
        setting,
    };
    let small = Limits { memory: 4 << 20, ..all };
    let cpu = Limits { cpu: Duration::from_millis(300), ..all };
    let chunk = Limits { chunk_bytes: 1 << 20, ..all };
    let events = Limits { chunk_events: 1_000, ..all };
    let position = Limits { position_bytes: 1_000, ..all };
    let handles = Limits { handles: 100, ..all };
    let stderr = Limits { stderr_bytes: 10_000, ..all };
    let bytes = Limits { response_bytes: 35, ..all };
    let requests = Limits { requests: 10, ..all };
    let (cpu_time, handed) = ("CPU time of a call", "bytes handed over in a call");
    let mut wrong = Vec::new();
    for case in [
        case("memory", small, (8 << 20, 1 << 20), "memory", "4 MiB, ", "limits.memory_bytes"),
        // Without an end, and a million turns.
        case("loop", cpu, (0, 1), cpu_time, "300ms", "limits.cpu_secs"),
        case("recursion", all, (1_000_000, 100), "stack", "512 KiB", ""),
        case("bytes", chunk, (1 << 20, 1_040_000), handed, "1 MiB", "limits.chunk_bytes"),
        // A few bytes each, but the host holds a head of each.
        case("events", chunk, (100_000, 1_000), handed, "1 MiB", "limits.chunk_bytes"),
        case("events", events, (1_001, 1_000), "events of a chunk", "1000, 1001", "limits.chunk_events"),
        case("position", position, (1_001, 1_000), "bytes of a position", "1000 bytes, 1001", "limits.position_bytes"),
        case("position", all, (65_537, 65_536), "bytes of a position", "65536 bytes, 65537", ""),
        case("handles", handles, (101, 80), "handles", "100", "limits.handles"),
        case("handles", all, (5_000, 200), "handles", "256", "limits.handles"),
        case("own-handles", handles, (101, 80), "handles", "100", "limits.handles"),
        case("stderr", stderr, (10_000, 9_000), "bytes to standard error in a call", "9.8 KiB", "limits.stderr_bytes"),
        // Ten bytes each.
        case("answers", bytes, (4, 3), "bytes of answers in a call", "35 bytes", "limits.response_bytes"),
        case("answers", requests, (11, 10), "requests of a call", "10", "limits.requests"),
        case("flood", requests, (11, 10), "requests of a call", "10", "limits.requests"),
        case("flood", handles, (200, 20), "handles", "100", "limits.handles"),
    ] {
        let Case { behaviour, limits, over, below, name, figure, setting } = case;
        let begun = Instant::now();
        match pull(limits, asks(behaviour, over)).await {
            Err(GuestError::Limit(limit)) => {
                println!("{behaviour} {over}: {limit} (after {:?})", begun.elapsed());
                if (limit.name, limit.setting) != (name, setting) || !limit.figure.starts_with(figure) {
                    wrong.push(format!("{behaviour} {over}: {limit}"));
                }
            }
            Err(error) => wrong.push(format!("{behaviour} {over}: {error}")),
            Ok(_) => wrong.push(format!("{behaviour} {over} passed")),
        }
        if let Err(error) = pull(limits, asks(behaviour, below)).await {
            wrong.push(format!("{behaviour} {below}, which is lawful: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_was_not_sent() {
    let requests = Limits { requests: 10, ..Limits::default() };
    for (target, sent) in [(None, 10), (Some("http://elsewhere.example/"), 0)] {
        let web = Web::default();
        let context = hostile::context(Some(Web::URL), std::sync::Arc::new(web.clone()));
        let mut configuration = asks("answers", 10_000);
        configuration["url"] = json!(format!("{}/bytes/1", Web::URL));
        configuration["target"] = json!(target);
        let stopped = limit(hostile::pull_with(&context, requests, &configuration).await);
        assert_eq!(stopped.name, "requests of a call", "what the policy denies counts too");
        assert_eq!(web.0.lock().unwrap().len(), sent);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_answer_is_waited_for_and_silence_is_not() {
    let patient = Limits { wall: Duration::from_millis(400), ..Limits::default() };
    let ask = async |path: &str| {
        let mut configuration = asks("answers", 1);
        configuration["url"] = json!(format!("{}/{path}", Web::URL));
        let begun = Instant::now();
        (pull(patient, configuration).await, begun.elapsed())
    };
    let (silent, took) = ask("never").await;
    let limit = limit(silent);
    println!("silence: {limit} (after {took:?})");
    assert_eq!((limit.name, limit.setting), ("time of a call", "limits.wall_secs"));
    assert!(took >= patient.wall && took < 10 * patient.wall, "{took:?}");
    // Five times as long as a silence may be.
    let (slow, took) = ask("slow/20/100").await;
    assert_eq!(body(&slow.unwrap())["bytes"], 20);
    assert!(took >= 5 * patient.wall, "{took:?}");
}

/// Neither waiting nor a machine that is busy with others is the guest's doing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_in_many_pieces_costs_no_cpu_time_while_it_is_waited_for() {
    let limits = Limits { cpu: Duration::from_millis(300), ..Limits::default() };
    let mut configuration = asks("answers", 1);
    // Each piece comes after more than a tick.
    configuration["url"] = json!(format!("{}/slow/100/15", Web::URL));
    assert_eq!(body(&pull(limits, configuration).await.unwrap())["bytes"], 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_has_limits_too() {
    let limits = Limits { cpu: Duration::from_millis(200), ..Limits::default() };
    let sealed = Context::sealed("test", Clock::System, Random::seeded(1));
    let plan = async |behaviour: &str| {
        let mut guest = hostile::component().await.with_limits(limits).instantiate(&sealed).await.unwrap();
        guest.plan_for(&asks(behaviour, 0).to_string()).await
    };
    let Err(GuestError::Limit(limit)) = plan("plan").await else { panic!("it was not stopped") };
    assert_eq!(limit.name, "CPU time of a call");
    assert_eq!(plan("good").await.unwrap().streams.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_stays_within_the_limits() {
    let limits = Limits { chunk_events: 100, chunk_bytes: 4 << 20, requests: 20, ..Limits::default() };
    let given = pull(limits, asks("budget", 0)).await.unwrap();
    assert_eq!(body(&given), json!({ "events": 99, "bytes": 1 << 20, "requests": 20 }));
    let given = pull(Limits::default(), asks("budget", 0)).await.unwrap();
    assert_eq!(body(&given), json!({ "events": 5_000, "bytes": 4 << 20, "requests": 50 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_of_the_host_for_a_guest_ends_too() {
    let limits = Limits { cpu: Duration::from_millis(300), wall: Duration::from_secs(3), ..Limits::default() };
    for times in [1, 1_000, 500_000] {
        let begun = Instant::now();
        let limit = limit(pull(limits, asks("polls", times)).await);
        println!("{times} pollables at once: {limit} (after {:?})", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
