//! What the benchmarks share: a network of canned answers, CPU time, medians.

// Each benchmark uses its own part.
#![allow(dead_code)]

pub mod brokers;
pub mod records;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Frame;
use tributary_host::outside::{Clock, Random};
use tributary_host::sandbox::{
    Body, Budget, Chunk, Component, Context, Egress, Guest, Next, RequestOptions, Sandbox, Sent, Settings, Start,
    Transport,
};

pub const API: &str = "http://127.0.0.1:1";
pub const STORAGE: &str = "http://127.0.0.1:2";
pub const STREAM: &str = "siem/receipt";
pub const SESSION: &[u8] = br#"{"token":"made-up"}"#;

/// The configuration of the source that is measured. It begins where the vendor's retention does: no record is left out.
pub const CONFIGURATION: &str = r#"{"client_id":"made-up","client_secret":"made-up","tenant":"acme","start_at":"2w",
    "base_url":"http://127.0.0.1:1","insecure_http":true}"#;

/// The same in another form.
pub fn configuration(output: &str) -> String {
    CONFIGURATION.replacen('{', &format!("{{\"output\":\"{output}\","), 1)
}

/// A listing without files.
pub const EMPTY_LISTING: &[u8] = br#"{"value":[],"@nextPage":"bmV4dA==","isCaughtUp":true}"#;
/// A listing of one file, the last for now.
pub const LISTING: &[u8] =
    br#"{"value":[{"url":"http://127.0.0.1:2/file.json.gz"}],"@nextPage":"bmV4dA==","isCaughtUp":true}"#;

/// A body comes in pieces of this size, as a socket brings it.
pub const PIECE: usize = 16 << 10;

/// As much as there is: the benchmarks say where a pull ends.
pub const NO_LIMIT: Budget =
    Budget { events: u32::MAX, bytes: 4 << 20, time_ms: u32::MAX, requests: 50, verbatim: false };

/// The budget of the host.
pub fn budget() -> Budget {
    Budget::default()
}

/// CPU time of this process, all threads.
pub fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// CPU time of this thread.
pub fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// What a run costs in CPU time.
pub fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let begin = cpu();
    let value = run();
    (cpu() - begin, value)
}

/// `cargo bench` says so; anything else that runs a benchmark (`cargo test --benches`) wants to know only that it runs.
pub fn in_earnest() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The middle, and the least.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
}

pub fn spread(samples: &[f64]) -> Spread {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    Spread {
        median: sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN),
        least: sorted.first().copied().unwrap_or(f64::NAN),
    }
}

/// Everything on this one thread.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime of one thread starts")
}

/// Answers any request: by a listing at the API, by a file at the storage host.
pub struct Canned {
    pub listing: &'static [u8],
    /// The pieces of the file, from its beginning.
    pub file: Arc<dyn Fn() -> Box<dyn Iterator<Item = Bytes> + Send> + Send + Sync>,
}

impl Canned {
    pub fn empty() -> Self {
        Self { listing: EMPTY_LISTING, file: Arc::new(|| Box::new(std::iter::empty())) }
    }

    pub fn file(bytes: Bytes) -> Self {
        Self {
            listing: LISTING,
            file: Arc::new(move || {
                let bytes = bytes.clone();
                let starts = (0..bytes.len()).step_by(PIECE);
                Box::new(starts.map(move |start| bytes.slice(start..bytes.len().min(start + PIECE))))
            }),
        }
    }
}

impl Transport for Canned {
    fn send(&self, request: http::Request<Body>, _: RequestOptions) -> Sent {
        let body = if request.uri().port_u16() == Some(1) {
            Full::new(Bytes::from_static(self.listing)).map_err(|never: Infallible| match never {}).boxed_unsync()
        } else {
            Pieces((self.file)()).boxed_unsync()
        };
        Box::pin(async move { Ok(http::Response::new(body)) })
    }
}

struct Pieces(Box<dyn Iterator<Item = Bytes> + Send>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, wasmtime_wasi_http::Error>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }
}

/// The real component in the real sandbox, as the host sets it up.
pub async fn component() -> Component {
    let sandbox = Sandbox::new(Settings::default()).expect("the engine starts");
    sandbox.load(tributary_host::COMPONENT).await.expect("the built-in component loads")
}

/// What an instance is given of the outside.
pub fn context(network: Canned, clock: Clock) -> Context {
    Context {
        source: "bench".into(),
        egress: Arc::new(
            Egress::new([API, STORAGE])
                .expect("two loopback addresses")
                .allowing(["127.0.0.0/8".parse().expect("a network")]),
        ),
        transport: Arc::new(network),
        clock,
        random: Random::seeded(1),
        notes: Arc::default(),
    }
}

/// Pulls until the stream is caught up, and hands each chunk to a sink.
pub async fn drain(guest: &mut Guest, configuration: &str, start: Start, budget: Budget, mut sink: impl FnMut(Chunk)) {
    guest.open(configuration, STREAM, start).await.expect("the stream opens");
    loop {
        let chunk = guest.pull(SESSION, budget).await.expect("the canned answers are good");
        let next = chunk.next;
        sink(chunk);
        if next != Next::More {
            return;
        }
    }
}
