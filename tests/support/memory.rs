//! The simulator as the network of a sandbox: no socket, and time that is tokio's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use mimecast_simulator as sim;
use tributary_host::config::network::TimeoutSettings;
use tributary_host::outside::Clock;
use tributary_host::sandbox::{Body, Network, NetworkError, RequestOptions, Sent, Transport, TransportError, Way};

/// A simulator that answers in memory.
#[derive(Clone)]
pub struct Memory {
    simulator: Arc<Mutex<sim::Simulator>>,
    clock: Clock,
}

impl Memory {
    pub fn new(simulator: sim::Simulator, clock: Clock) -> Self {
        Self { simulator: Arc::new(Mutex::new(simulator)), clock }
    }

    /// The simulator, to control and to ask.
    pub fn simulator(&self) -> MutexGuard<'_, sim::Simulator> {
        self.simulator.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Network for Memory {
    fn transport(&self, _: &Way<'_>) -> Result<Arc<dyn Transport>, NetworkError> {
        Ok(Arc::new(self.clone()))
    }
}

impl Transport for Memory {
    fn send(&self, request: http::Request<Body>, options: RequestOptions) -> Sent {
        // What an operator has who sets nothing.
        let (memory, options) = (self.clone(), options.within(&TimeoutSettings::default()));
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| TransportError::Closed)?.to_bytes();
            let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let request = sim::Request {
                method: head.method.to_string(),
                host: head.uri.authority().map(ToString::to_string).unwrap_or_default(),
                path: head.uri.path().to_owned(),
                query: head.uri.query().unwrap_or_default().to_owned(),
                headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
                body: body.to_vec(),
            };
            let answer = memory.simulator().handle(&request, memory.clock.millis());
            let delay = Duration::from_millis(answer.delay_ms);
            if delay > options.first_byte {
                tokio::time::sleep(options.first_byte).await;
                return Err(TransportError::ResponseTimeout(options.first_byte));
            }
            tokio::time::sleep(delay).await;
            let mut response = http::Response::builder().status(answer.status);
            for (name, value) in &answer.headers {
                response = response.header(name, value);
            }
            let promised = answer.header_value("content-length").and_then(|length| length.parse::<usize>().ok());
            let cut = answer.cut_after.filter(|after| *after < answer.body.len());
            let broken = cut.is_some() || promised.is_some_and(|length| length > answer.body.len());
            let body = pieces(answer.body.slice(..cut.unwrap_or(answer.body.len())), broken);
            response.body(body).map_err(|error| TransportError::Other(error.to_string()))
        })
    }
}

/// The body in pieces of 16 KiB, as a socket would bring it; in the end it breaks off, if `broken`.
fn pieces(body: Bytes, broken: bool) -> Body {
    let starts = (0..body.len()).step_by(16 << 10);
    let frames = starts.map(move |start| Ok(Frame::data(body.slice(start..body.len().min(start + (16 << 10))))));
    let end = broken.then_some(Err(wasmtime_wasi_http::Error::HttpResponseIncomplete));
    BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(frames.chain(end).collect::<Vec<_>>())))
}
