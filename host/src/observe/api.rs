//! What a running host answers: its streams, what happens to them, and what it has stored.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use super::lines::Long;
use super::live;
use super::metrics;
use super::page;
use super::server::{Answer, Asked, DONE, READ, Service, json, not_allowed, refusal, streamed, text_of};
use super::view::{SinkView, SourceDetail, Sources, write_health, write_state};
use crate::Control;
use crate::deliver::Disk;
use crate::outside::Clock;
use crate::replay::Request;
use crate::state::{ImportError, StateError};

/// Answers that are watched at the same time: each holds a connection.
const WATCHED: usize = 32;

/// A running host, as it shows itself.
#[derive(Clone)]
pub struct Api {
    pub control: Control,
    pub clock: Clock,
    /// `None` where the state is not in a folder.
    pub disk: Option<Arc<Disk>>,
    watched: Arc<Semaphore>,
    long: Arc<Long>,
}

/// A host that starts, and then runs: what answers before there is anything to show.
#[derive(Default)]
pub struct Front {
    api: OnceLock<Api>,
}

impl Front {
    /// It runs.
    pub fn open(&self, api: Api) {
        // There is one host in a process, and it starts once.
        let _ = self.api.set(api);
    }
}

impl Service for Front {
    async fn answer(&self, asked: Asked) -> Answer {
        match (self.api.get(), asked.path.as_str()) {
            (Some(api), _) => api.answer(asked).await,
            (None, "/health") => probe(true),
            (None, "/ready") => probe(false),
            (None, _) => page::answer(None, &asked).await.unwrap_or_else(|| {
                refusal(StatusCode::SERVICE_UNAVAILABLE, "the host is starting", Some("Try again in a moment"))
            }),
        }
    }
}

/// Yes or no: whoever asks has proved nothing.
fn probe(ok: bool) -> Answer {
    json(if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &json!({ "ok": ok }))
}

impl Service for Api {
    async fn answer(&self, asked: Asked) -> Answer {
        let path: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        match (&asked.method, path.as_slice()) {
            (&Method::GET, ["health"]) => probe(true),
            (&Method::GET, ["ready"]) => probe(self.control.is_ready()),
            (&Method::GET, ["v1", "sources"]) => self.sources().await,
            (&Method::GET, ["metrics"]) => self.metrics().await,
            (&Method::GET, ["v1", "sources", source]) => self.source(source).await,
            (&Method::GET, ["v1", "sinks"]) => {
                let sinks: Vec<SinkView> = self.control.sinks().into_iter().map(SinkView::from).collect();
                json(StatusCode::OK, &json!({ "sinks": sinks }))
            }
            (&Method::GET, ["v1", "health", "events"]) => match Arc::clone(&self.watched).try_acquire_owned() {
                Ok(place) => live::health(&self.control, self.disk.as_ref(), &asked, place),
                Err(_) => too_many(),
            },
            (&Method::GET, ["v1", "tap"]) => match Arc::clone(&self.watched).try_acquire_owned() {
                Ok(place) => live::tap(&self.control, &asked, place),
                Err(_) => too_many(),
            },
            (&Method::GET, ["v1", "state"]) => self.stored(|disk, mut out| write_state(&disk.store, &mut out)).await,
            (&Method::GET, ["v1", "state", "health"]) => {
                self.stored(|disk, mut out| write_health(&disk.store, &mut out)).await
            }
            (&Method::GET, ["v1", "state", "export"]) => {
                let export = |disk: &Disk, mut out: &mut dyn Write| {
                    disk.store.export(&mut out).map_err(|error| match error {
                        ImportError::Read(error) => error,
                        error => io::Error::other(error.to_string()),
                    })
                };
                self.stored(export).await
            }
            (&Method::POST, ["v1", "sources", source, "check"]) => self.check(source).await,
            (&Method::POST, ["v1", "sources", source, "restart"]) => {
                if self.control.restart(source) {
                    json(StatusCode::OK, &json!({ "restarted": source }))
                } else {
                    self.no_source(source)
                }
            }
            (&Method::POST, ["v1", "replays"]) => match serde_json::from_slice::<Request>(&asked.body) {
                Ok(request) => self.replay(&request).await,
                Err(error) => refusal(StatusCode::BAD_REQUEST, format!("this is no replay: {error}"), None),
            },
            (_, ["v1", "replays"] | ["v1", "sources", _, "restart" | "check"]) => not_allowed(DONE),
            (
                _,
                ["health" | "ready" | "metrics"]
                | ["v1", "sources" | "sinks" | "state" | "tap"]
                | ["v1", "sources", _]
                | ["v1", "health", "events"]
                | ["v1", "state", "export" | "health"],
            ) => not_allowed(READ),
            _ => page::answer(Some(self), &asked).await.unwrap_or_else(|| {
                refusal(StatusCode::NOT_FOUND, "there is nothing of that name", Some("See GET /v1/sources"))
            }),
        }
    }
}

/// How often whoever asked for a replay is told how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(1);

fn too_many() -> Answer {
    let message = format!("{WATCHED} are watching already");
    refusal(StatusCode::SERVICE_UNAVAILABLE, message, Some("End one of them, or try again later"))
}

impl Api {
    pub fn new(control: Control, clock: Clock, disk: Option<Arc<Disk>>) -> Self {
        Self { control, clock, disk, watched: Arc::new(Semaphore::new(WATCHED)), long: Arc::default() }
    }

    /// One source, with what is stored of it.
    async fn source(&self, id: &str) -> Answer {
        let status = self.control.status_of(id);
        let mut wrong = self.control.misconfigured();
        wrong.retain(|source, _| source == id);
        let facts = |source: &str| self.control.facts(source);
        let is_named = |source: &str, stream: &str| self.control.is_named(source, stream);
        let found = Sources::of(&status, wrong, facts, is_named, Vec::new(), self.clock);
        if found.sources.is_empty() {
            return self.no_source(id);
        }
        self.read(move |disk| {
            let mut found = match disk {
                Some(disk) => found.with_positions(&disk.store)?,
                None => found,
            };
            let source = found.sources.remove(0);
            match disk {
                Some(disk) => SourceDetail::read(source, &disk.store),
                None => Ok(SourceDetail { source, stored: Vec::new() }),
            }
        })
        .await
    }

    /// All of them, with their positions.
    async fn sources(&self) -> Answer {
        let (status, wrong) = (self.control.status(), self.control.misconfigured());
        let facts = |source: &str| self.control.facts(source);
        let is_named = |source: &str, stream: &str| self.control.is_named(source, stream);
        let sources = Sources::of(&status, wrong, facts, is_named, self.control.sinks(), self.clock);
        self.read(move |disk| match disk {
            Some(disk) => sources.with_positions(&disk.store),
            None => Ok(sources),
        })
        .await
    }

    /// Answers what `read` makes of what is stored, as JSON.
    async fn read<T: Serialize + Send + 'static>(
        &self,
        read: impl FnOnce(Option<&Disk>) -> Result<T, StateError> + Send + 'static,
    ) -> Answer {
        let disk = self.disk.clone();
        // For ten thousand sources that is work for a tenth of a second.
        let answer = move || read(disk.as_deref()).map(|shown| json(StatusCode::OK, &shown));
        match tokio::task::spawn_blocking(answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => refusal(StatusCode::SERVICE_UNAVAILABLE, error.to_string(), None),
            Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "the answer broke down", Some("See the host's log")),
        }
    }

    async fn check(&self, source: &str) -> Answer {
        match self.control.check(source).await {
            Some(checked) => json(StatusCode::OK, &*checked),
            None if self.control.facts(source).is_some() => {
                refusal(StatusCode::SERVICE_UNAVAILABLE, "the check came to no end: the host stops", None)
            }
            None => self.no_source(source),
        }
    }

    fn no_source(&self, source: &str) -> Answer {
        match self.control.misconfigured().get(source) {
            Some(why) => {
                let message = format!("the configuration of {source} is wrong, so it is not run: {why}");
                refusal(StatusCode::CONFLICT, message, Some("Mend it; it is collected then"))
            }
            None => {
                let message = format!("the running host has no source {source:?} that a sink takes");
                refusal(StatusCode::NOT_FOUND, message, Some("`tributary status` shows all"))
            }
        }
    }

    /// Replays, and tells how far it is until it ends. It stops when nobody listens any more.
    async fn replay(&self, request: &Request) -> Answer {
        let mut replaying = match self.control.replay(request).await {
            Ok(replaying) => replaying,
            Err(error) if error.is_usage() => return refusal(StatusCode::BAD_REQUEST, error.to_string(), None),
            Err(error) => return refusal(StatusCode::SERVICE_UNAVAILABLE, error.to_string(), None),
        };
        let (sender, lines) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let progress = replaying.progress(TOLD_EVERY).await;
                let line = serde_json::to_vec(&progress).map_err(io::Error::other);
                let line = line.map(|line| Bytes::from([&line[..], b"\n"].concat()));
                if sender.send(line).await.is_err() || progress.ended.is_some() {
                    return;
                }
            }
        });
        streamed(lines)
    }

    async fn metrics(&self) -> Answer {
        let api = self.clone();
        match tokio::task::spawn_blocking(move || metrics::render(&api)).await {
            Ok(text) => text_of(metrics::CONTENT_TYPE, text),
            Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), None),
        }
    }

    /// Answers what `write` makes of what is stored, in lines.
    async fn stored(&self, write: impl FnOnce(&Disk, &mut dyn Write) -> io::Result<()> + Send + 'static) -> Answer {
        match self.disk.clone() {
            Some(disk) => self.long.lines(move |out| write(&disk, out)).await,
            None => refusal(StatusCode::SERVICE_UNAVAILABLE, "this host keeps no state in a folder", None),
        }
    }
}
