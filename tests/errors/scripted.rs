//! The real component in the real sandbox, against answers of a script.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tributary_host::collect::{ComponentSource, Source};
use tributary_host::config::Settings;
use tributary_host::observe::Cause;
use tributary_host::outside::{Clock, Random};
use tributary_host::sandbox::{
    Body, Budget, Component, Context, Egress, Fault, GuestError, Next, RequestOptions, Sent, Session, Start, Transport,
    TransportError,
};
use tributary_tests::guest::{API, LOOPBACK};
use tributary_tests::world::component;

use crate::row::{Row, SECRET};

/// 2026-03-08 12:00:00 UTC.
pub const NOW_S: u64 = 1_772_971_200;
pub const DAY_S: u64 = 86_400;

/// What is asked.
pub struct Asked {
    pub path: String,
    pub query: String,
}

/// What is answered.
pub enum Said {
    Answer(u16, Vec<(&'static str, String)>, String),
    /// 200, and a body that breaks off with this.
    Broken(Vec<(&'static str, String)>, Vec<u8>, wasmtime_wasi_http::Error),
    Fail(TransportError),
}

pub fn said(status: u16, body: impl Into<String>) -> Said {
    Said::Answer(status, Vec::new(), body.into())
}

pub type Script = Box<dyn FnMut(&Asked) -> Said + Send>;

struct Scripted(Mutex<Script>);

impl Transport for Scripted {
    fn send(&self, request: http::Request<Body>, _: RequestOptions) -> Sent {
        let answer = {
            let mut script = self.0.lock().unwrap();
            let uri = request.uri();
            let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
            let asked = Asked { path, query };
            script(&asked)
        };
        Box::pin(async move {
            request.into_body().collect().await.map_err(|_| TransportError::Closed)?;
            let (status, headers, body, end) = match answer {
                Said::Answer(status, headers, body) => (status, headers, body.into_bytes(), None),
                Said::Broken(headers, body, error) => (200, headers, body, Some(Err(error))),
                Said::Fail(error) => return Err(error),
            };
            let pieces: Vec<_> = std::iter::once(Ok(Frame::data(Bytes::from(body)))).chain(end).collect();
            let mut response = http::Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync()).unwrap())
        })
    }
}

/// One attempt to make the component complain.
pub struct Trial {
    pub settings: Value,
    /// Without one, authentication is what is tried.
    pub stream: Option<&'static str>,
    pub start: Start,
    /// Seconds since the Unix epoch.
    pub now_s: u64,
    pub session: Vec<u8>,
    pub events: u32,
    pub script: Script,
}

impl Trial {
    pub fn v2(script: impl FnMut(&Asked) -> Said + Send + 'static) -> Self {
        let settings = json!({
            "client_id": "made-up-id", "client_secret": SECRET, "base_url": API, "insecure_http": true, "start_at": "2h",
        });
        Self {
            settings,
            stream: None,
            start: Start::Configured,
            now_s: NOW_S,
            session: br#"{"token":"hunter22-made-up-secret"}"#.to_vec(),
            events: Budget::default().events,
            script: Box::new(script),
        }
    }

    pub fn v1(script: impl FnMut(&Asked) -> Said + Send + 'static) -> Self {
        let settings = json!({
            "api": "1.0", "app_id": "made-up-app", "app_key": SECRET, "access_key": SECRET, "secret_key": "bWFkZS11cA==",
            "base_url": API, "insecure_http": true, "start_at": "2h",
        });
        Self { settings, session: json!({ "base_url": API }).to_string().into_bytes(), ..Self::v2(script) }
    }

    pub fn reads(self, stream: &'static str) -> Self {
        Self { stream: Some(stream), ..self }
    }

    pub fn from(self, position: impl Into<Vec<u8>>) -> Self {
        Self { start: Start::After(position.into()), ..self }
    }

    /// With these keys; null takes one away.
    pub fn with(mut self, keys: Value) -> Self {
        for (key, value) in keys.as_object().unwrap() {
            self.settings[key] = value.clone();
        }
        self
    }

    pub fn later(self, days: u64) -> Self {
        Self { now_s: self.now_s + days * DAY_S, ..self }
    }

    async fn source(self, component: Component) -> ComponentSource {
        let egress = Egress::new([API, "https://api.mimecast.com"]).unwrap().allowing([LOOPBACK.parse().unwrap()]);
        let context = Context {
            source: "acme".into(),
            egress: Arc::new(egress),
            transport: Arc::new(Scripted(Mutex::new(self.script))),
            clock: Clock::simulated(Duration::from_secs(self.now_s)),
            random: Random::seeded(1),
            notes: Arc::default(),
        };
        ComponentSource { component, context, settings: Settings::of(&self.settings) }
    }

    /// How far it comes in one pull.
    pub async fn position(self) -> Vec<u8> {
        let budget = Budget { events: self.events, ..Budget::default() };
        let (stream, start) = (self.stream.unwrap(), self.start.clone());
        let session = Session { secret: self.session.clone(), expires_at: None };
        let source = self.source(component().await).await;
        let mut reader = source.open(stream, start).await.unwrap();
        reader.pull(&session, budget).await.unwrap().position
    }

    /// What goes wrong at last.
    ///
    /// # Panics
    /// When nothing does.
    pub async fn error(self) -> GuestError {
        self.error_of(component().await).await
    }

    /// The same of a component with limits of its own.
    pub async fn error_of(self, component: Component) -> GuestError {
        let budget = Budget { events: self.events, ..Budget::default() };
        let (stream, start) = (self.stream, self.start.clone());
        let session = Session { secret: self.session.clone(), expires_at: None };
        let source = self.source(component).await;
        let mut guest = match source.component.instantiate(&source.context).await {
            Ok(guest) => guest,
            Err(error) => return error,
        };
        if let Err(error) = guest.plan_for(source.settings.as_json()).await {
            return error;
        }
        drop(guest);
        let Some(stream) = stream else { return source.authenticate().await.unwrap_err() };
        let mut reader = match source.open(stream, start).await {
            Ok(reader) => reader,
            Err(error) => return error,
        };
        for _ in 0..200 {
            match reader.pull(&session, budget).await {
                Err(error) => return error,
                Ok(chunk) => match chunk.next {
                    Next::More => {}
                    Next::Pause(ms) => tokio::time::sleep(Duration::from_millis(ms.into())).await,
                    Next::CaughtUp => tokio::time::sleep(Duration::from_secs(300)).await,
                },
            }
        }
        panic!("{stream}: nothing goes wrong");
    }

    /// The same, as an operator reads it.
    pub async fn row(self, means: &'static str) -> (Row, Fault) {
        let place = match self.stream {
            None => "source acme".to_owned(),
            Some(stream) => format!("source acme, stream {stream}"),
        };
        let error = self.error().await;
        let cause = Cause::of(&error);
        let GuestError::Fault(fault) = error else { panic!("{error}") };
        let next = cause.hint.unwrap_or_default();
        (Row { code: cause.code, place, what: cause.message, next, means }, fault)
    }
}
