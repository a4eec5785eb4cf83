//! What a running host answers: its streams, and what it has stored.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::sync::mpsc;

use super::metrics;
use super::server::{Answer, Asked, Service, json, lines, refusal, streamed, text_of};
use super::view::{Sources, write_health, write_state};
use crate::Control;
use crate::deliver::Disk;
use crate::outside::Clock;
use crate::replay::Request;
use crate::state::ImportError;

/// A running host, as its local socket shows it.
#[derive(Clone)]
pub struct Api {
    pub control: Control,
    pub clock: Clock,
    /// `None` where the state is not in a folder.
    pub disk: Option<Arc<Disk>>,
}

impl Service for Api {
    async fn answer(&self, asked: Asked) -> Answer {
        let path: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        match (asked.method, path.as_slice()) {
            (Method::GET, ["v1", "sources"]) => {
                let (status, wrong) = (self.control.status(), self.control.misconfigured());
                let network = |source: &str| self.control.network(source);
                json(StatusCode::OK, &Sources::of(&status, wrong, network, self.control.sinks(), self.clock))
            }
            (Method::GET, ["metrics"]) => self.metrics().await,
            (Method::GET, ["v1", "state"]) => {
                self.stored(|disk| lines(move |mut out| write_state(&disk.store, &mut out)))
            }
            (Method::GET, ["v1", "state", "health"]) => {
                self.stored(|disk| lines(move |mut out| write_health(&disk.store, &mut out)))
            }
            (Method::GET, ["v1", "state", "export"]) => self.stored(|disk| {
                lines(move |mut out| {
                    disk.store.export(&mut out).map_err(|error| match error {
                        ImportError::Read(error) => error,
                        error => std::io::Error::other(error.to_string()),
                    })
                })
            }),
            (Method::POST, ["v1", "sources", source, "restart"]) => {
                if self.control.restart(source) {
                    json(StatusCode::OK, &json!({ "restarted": source }))
                } else {
                    let message = format!("the running host has no source {source:?} that a sink takes");
                    refusal(StatusCode::NOT_FOUND, message, Some("`tributary status` shows all"))
                }
            }
            (Method::POST, ["v1", "replays"]) => match serde_json::from_slice::<Request>(&asked.body) {
                Ok(request) => self.replay(&request).await,
                Err(error) => refusal(StatusCode::BAD_REQUEST, format!("this is no replay: {error}"), None),
            },
            (_, ["v1", "replays"] | ["v1", "sources", _, "restart"]) => {
                refusal(StatusCode::METHOD_NOT_ALLOWED, "this is done by POST", None)
            }
            (_, ["metrics"] | ["v1", "sources"] | ["v1", "state"] | ["v1", "state", "export" | "health"]) => {
                refusal(StatusCode::METHOD_NOT_ALLOWED, "this can only be read: GET", None)
            }
            _ => refusal(StatusCode::NOT_FOUND, "there is nothing of that name", Some("See GET /v1/sources")),
        }
    }
}

/// How often whoever asked for a replay is told how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(1);

impl Api {
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
                let line = serde_json::to_vec(&progress).map_err(std::io::Error::other);
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

    fn stored(&self, answer: impl FnOnce(Arc<Disk>) -> Answer) -> Answer {
        match &self.disk {
            Some(disk) => answer(Arc::clone(disk)),
            None => refusal(StatusCode::SERVICE_UNAVAILABLE, "this host keeps no state in a folder", None),
        }
    }
}
