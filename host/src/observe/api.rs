//! What a running host answers: its streams, and what it has stored.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::json;

use super::server::{Answer, Asked, Service, json, lines, refusal};
use super::view::{Sources, write_state};
use crate::Control;
use crate::deliver::Disk;
use crate::outside::Clock;
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
            (Method::GET, ["v1", "sources"]) => json(StatusCode::OK, &Sources::of(&self.control.status(), self.clock)),
            (Method::GET, ["v1", "state"]) => {
                self.stored(|disk| lines(move |mut out| write_state(&disk.store, &mut out)))
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
            (_, ["v1", "sources", _, "restart"]) => {
                refusal(StatusCode::METHOD_NOT_ALLOWED, "this is done by POST", None)
            }
            (_, ["v1", "sources"] | ["v1", "state"] | ["v1", "state", "export"]) => {
                refusal(StatusCode::METHOD_NOT_ALLOWED, "this can only be read: GET", None)
            }
            _ => refusal(StatusCode::NOT_FOUND, "there is nothing of that name", Some("See GET /v1/sources")),
        }
    }
}

impl Api {
    fn stored(&self, answer: impl FnOnce(Arc<Disk>) -> Answer) -> Answer {
        match &self.disk {
            Some(disk) => answer(Arc::clone(disk)),
            None => refusal(StatusCode::SERVICE_UNAVAILABLE, "this host keeps no state in a folder", None),
        }
    }
}
