//! The hostile component, built and loaded once, and the network that it gets.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tributary_host::outside::{Clock, Random};
use tributary_host::sandbox::{
    Body, Budget, Chunk, Component, Context, Egress, GuestError, Limits, Network, NetworkError, RequestOptions,
    Sandbox, Sent, Settings, Start, Transport, TransportError, Way,
};
use tributary_tests::component::build;
use tributary_tests::guest::LOOPBACK;

/// The component, in bytes.
pub static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let built = build("hostile-source");
    std::fs::read(&built).unwrap_or_else(|error| panic!("{}: {error}", built.display()))
});

/// In a sandbox whose clock ticks.
pub async fn component() -> Component {
    static COMPILED: OnceCell<Component> = OnceCell::const_new();
    let compile = || async { Sandbox::new(Settings { slots: 64, ..Settings::default() }).unwrap().load(&BYTES).await };
    COMPILED.get_or_try_init(compile).await.unwrap().clone()
}

/// A configuration that asks for this.
pub fn asks(behaviour: &str, figure: u64) -> Value {
    json!({ "behaviour": behaviour, "figure": figure })
}

/// A policy that lets this address of the machine pass.
pub fn egress(url: Option<&str>) -> Egress {
    Egress::new(url).unwrap().allowing([LOOPBACK.parse().unwrap()])
}

pub fn context(url: Option<&str>, transport: Arc<dyn Transport>) -> Context {
    Context { egress: Arc::new(egress(url)), transport, ..Context::sealed("test", Clock::System, Random::seeded(1)) }
}

/// One pull in an instance of its own, which may use this.
pub async fn pull_with(context: &Context, limits: Limits, configuration: &Value) -> Result<Chunk, GuestError> {
    let mut guest = component().await.with_limits(limits).instantiate(context).await?;
    guest.open(&configuration.to_string(), "log", Start::Configured).await?;
    guest.pull(b"session", Budget::default()).await
}

/// The same, with [`Web`] as its network.
pub async fn pull(limits: Limits, mut configuration: Value) -> Result<Chunk, GuestError> {
    if configuration["url"].is_null() {
        configuration["url"] = json!(format!("{}/bytes/10", Web::URL));
    }
    pull_with(&context(Some(Web::URL), Arc::new(Web::default())), limits, &configuration).await
}

/// The body of a chunk's only event.
pub fn body(chunk: &Chunk) -> Value {
    assert_eq!(chunk.events.len(), 1);
    serde_json::from_slice(&chunk.bodies).unwrap()
}

/// A network of its own: `/bytes/N` is answered with so many, `/slow/N/MS` with N bytes, each after so many milliseconds,
/// and `/never` not at all.
#[derive(Clone, Default)]
pub struct Web(pub Arc<Mutex<Vec<http::request::Parts>>>);

impl Web {
    pub const URL: &str = "http://127.0.0.1:1";
}

impl Network for Web {
    fn transport(&self, _: &Way<'_>) -> Result<Arc<dyn Transport>, NetworkError> {
        Ok(Arc::new(self.clone()))
    }
}

impl Transport for Web {
    fn send(&self, request: http::Request<Body>, _: RequestOptions) -> Sent {
        let (head, _) = request.into_parts();
        let path = head.uri.path().to_owned();
        self.0.lock().unwrap().push(head);
        Box::pin(async move {
            let parts: Vec<&str> = path.split('/').skip(1).collect();
            let number = |index: usize| parts[index].parse::<u64>().unwrap();
            let body = match parts[0] {
                "bytes" => pieces(number(1)),
                "slow" => slow(number(1), Duration::from_millis(number(2))),
                _ => std::future::pending().await,
            };
            http::Response::builder().body(body).map_err(|error| TransportError::Other(error.to_string()))
        })
    }
}

/// In pieces as a socket would bring them.
fn pieces(length: u64) -> Body {
    const PIECE: u64 = 16 << 10;
    let starts = (0..length).step_by(PIECE as usize);
    let frames =
        starts.map(move |start| Ok(Frame::data(Bytes::from(vec![b'x'; (length - start).min(PIECE) as usize]))));
    BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>())))
}

fn slow(length: u64, pause: Duration) -> Body {
    let frames = futures_util::stream::unfold(length, move |left| async move {
        tokio::time::sleep(pause).await;
        (left > 0).then(|| (Ok(Frame::data(Bytes::from_static(b"x"))), left - 1))
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}
