//! The largest answers that the component takes, in the real sandbox with its 32 MiB: none stops the guest.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tributary_host::outside::{Clock, Random};
use tributary_host::sandbox::{
    Body, Budget, Context, Guest, GuestError, Limits, Next, RequestOptions, Sent, Start, Transport, TransportError,
};
use tributary_tests::guest::{API, egress};
use tributary_tests::world::component;

const NOW_S: u64 = 1_772_971_200;

/// Answers everything with this text.
struct Canned(Bytes);

impl Transport for Canned {
    fn send(&self, request: http::Request<Body>, _: RequestOptions) -> Sent {
        let body = self.0.clone();
        // In pieces, as a socket would bring it.
        let starts = (0..body.len()).step_by(16 << 10);
        let pieces = starts.map(move |start| Ok(Frame::data(body.slice(start..body.len().min(start + (16 << 10))))));
        let body = StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync();
        Box::pin(async move {
            request.into_body().collect().await.map_err(|_| TransportError::Closed)?;
            Ok(http::Response::new(body))
        })
    }
}

/// How many events, malformed records and bytes of memory it took to read the stream until it was caught up, or the code of the
/// fault that ended it.
async fn read(stream: &str, extra: &str, answer: String) -> Result<(usize, usize, usize), String> {
    let mut guest = open(stream, extra, answer).await;
    let (mut events, mut malformed) = (0, 0);
    loop {
        match guest.pull(SESSION, Budget::default()).await {
            Ok(chunk) => {
                events += chunk.events.len();
                malformed += chunk.malformed.len();
                if chunk.next == Next::CaughtUp {
                    return Ok((events, malformed, guest.peak_memory()));
                }
            }
            Err(GuestError::Fault(fault)) => return Err(fault.code),
            Err(error) => panic!("{stream}: {error}"),
        }
    }
}

const SESSION: &[u8] = br#"{"token":"made-up"}"#;

/// An instance with the stream open, whose requests are all answered by this.
async fn open(stream: &str, extra: &str, answer: String) -> Guest {
    let context = Context {
        source: "test".into(),
        egress: Arc::new(egress()),
        transport: Arc::new(Canned(answer.into())),
        clock: Clock::simulated(Duration::from_secs(NOW_S)),
        random: Random::seeded(1),
        notes: Arc::default(),
    };
    let configuration = format!(
        r#"{{"client_id":"made-up","client_secret":"made-up","start_at":"2h","base_url":"{API}","insecure_http":true{extra}}}"#
    );
    let mut guest = component().await.instantiate(&context).await.unwrap();
    guest.open(&configuration, stream, Start::Configured).await.unwrap();
    guest
}

/// An instance lives as long as its stream has more, so nothing may stay of a request: handles are limited.
#[tokio::test(start_paused = true)]
async fn an_instance_makes_any_number_of_requests() {
    let answer = r#"{"meta":{"status":200},"data":[],"fail":[]}"#;
    let mut guest = open("dlp", "", answer.into()).await;
    let mut requests = 0;
    while requests < 3 * Limits::default().handles {
        let chunk = guest.pull(SESSION, Budget::default()).await.unwrap();
        assert!(chunk.requests > 0);
        requests += chunk.requests as usize;
    }
}

/// As many rows as there may be, and 16 MiB of them.
fn rows(count: usize) -> String {
    let fill = "x".repeat((16 << 20) / count - 90);
    let row = |n: usize| format!(r#"{{"eventTime":"2026-03-08T11:00:00+0000","policy":"{n:06}{fill}"}}"#);
    (0..count).map(row).collect::<Vec<_>>().join(",")
}

#[tokio::test(start_paused = true)]
async fn the_largest_pages_fit() {
    for count in [99_000, 1_000, 16] {
        let rows = rows(count);
        let data = [format!("[{rows}]"), format!(r#"[{{"dlpLogs":[{rows}]}}]"#)];
        for data in data {
            let answer = format!(r#"{{"meta":{{"status":200}},"data":{data},"fail":[]}}"#);
            assert!(answer.len() < 16 << 20);
            let (events, malformed, memory) = read("dlp", "", answer).await.unwrap();
            assert_eq!((events + malformed, memory < 28 << 20), (count, true));
        }
        let answer = format!(r#"{{"value":[{rows}],"isCaughtUp":true}}"#);
        let (events, malformed, memory) = read("siem/events", r#","siem_mode":"stream""#, answer).await.unwrap();
        assert_eq!((events + malformed, memory < 28 << 20), (count, true));
    }
    // More than that is refused, in words.
    let answer = format!(r#"{{"data":[{}]}}"#, "{},".repeat(100_000) + "{}");
    assert_eq!(read("dlp", "", answer).await, Err("bad-page".to_owned()));
    let answer = format!(r#"{{"data":["{}"]}}"#, "x".repeat(16 << 20));
    assert_eq!(read("dlp", "", answer).await, Err("answer-too-large".to_owned()));
}

/// A feed is read as it streams, however long it is and in whatever order.
#[tokio::test(start_paused = true)]
async fn a_long_feed_sorted_by_type_fits() {
    let count = 30_000;
    let fill = "x".repeat(150);
    let mut objects: Vec<String> = Vec::new();
    objects.extend((0..count).map(|n| format!(r#"{{"type":"malware","id":"malware--{n}","name":"{fill}"}}"#)));
    objects.extend((0..count).map(|n| format!(r#"{{"type":"indicator","id":"indicator--{n}","pattern":"{fill}"}}"#)));
    objects.extend((0..count).map(|n| {
        format!(
            r#"{{"type":"relationship","id":"relationship--{n}","relationship_type":"indicates","source_ref":"indicator--{n}","target_ref":"malware--{n}"}}"#
        )
    }));
    let answer = format!(r#"{{"type":"bundle","id":"bundle--1","objects":[{}]}}"#, objects.join(","));
    let (events, malformed, memory) = read("threat_intel/grid", "", answer).await.unwrap();
    assert!((count..=3 * count).contains(&events) && malformed == 0 && memory < 24 << 20);
}
