//! Elasticsearch and OpenSearch, by `_bulk`: each event is created under its id, and answered for by itself.
//!
//! Facts: the reference's "Bulk API". `create` is what data streams allow, and it refuses an id that is there (409), so that
//! an event which comes again is there once. An id is unique in one backing index: see the default of `bulk.index`.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use memchr::memmem;
use serde::Deserialize;

use super::{Client, Payload, body, headers, overhead, places, terms};
use crate::config::ElasticsearchOptions;
use crate::deliver::{Batch, Head};
use crate::outside::Outside;
use crate::sinks::{Answer, DeliverFuture, Sink, SinkError, SinkFuture, Terms};
use crate::template::Template;

mod top_level;

/// See the module.
pub struct Elasticsearch {
    client: Client,
    index: Template,
    path: String,
}

/// Of the answer only what is read here; who does not know the parameter sends all of it.
const PATH: &str = "/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason";

impl Elasticsearch {
    /// # Errors
    /// As [`Client::new`].
    pub fn new(id: &str, options: &ElasticsearchOptions, outside: &Outside) -> Result<Self, SinkError> {
        let pipeline = options.pipeline.iter().map(|pipeline| format!("&pipeline={pipeline}"));
        let path = std::iter::once(PATH.to_owned()).chain(pipeline).collect();
        Ok(Self { client: Client::new(id, &options.client, outside)?, index: options.index.clone(), path })
    }

    fn answers(&self, batches: &[Arc<Batch>], said: &[u8]) -> Result<Vec<Answer>, SinkError> {
        let wrong = |why: String| {
            let hint = format!(
                "Check whether Elasticsearch or OpenSearch answers at {}",
                self.client.key(self.client.options().address_key)
            );
            SinkError::new(format!("the answer to _bulk cannot be read: {why}")).hint(hint)
        };
        let Outcome { errors } = serde_json::from_slice(said).map_err(|error| wrong(error.to_string()))?;
        if !errors {
            return Ok(Vec::new());
        }
        let Items { items } = serde_json::from_slice(said).map_err(|error| wrong(error.to_string()))?;
        let events = batches.iter().map(|batch| batch.events.len()).sum::<usize>();
        if items.len() != events {
            return Err(wrong(format!("it is about {} events of {events}", items.len())));
        }
        let results = items.into_iter().map(|item| item.into_values().next().unwrap_or_default());
        Ok(places(batches).zip(results).filter_map(|((place, ..), result)| self.answer(place, &result)).collect())
    }

    fn answer(&self, (batch, event): (usize, usize), result: &ItemResult) -> Option<Answer> {
        let reason = || {
            let error = result.error.as_ref();
            let kind = error.and_then(|error| error.kind.as_deref()).unwrap_or("no reason");
            let reason = error.and_then(|error| error.reason.as_deref()).unwrap_or_default();
            self.client.excerpt_of(&format!("{kind} ({}) {reason}", result.status))
        };
        let again = |hint: Option<String>| {
            let error = SinkError::new(format!("an event is not taken: {}", reason()));
            Some(Answer::again(
                batch,
                event,
                match hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                },
            ))
        };
        match result.status {
            200..=299 => None,
            409 => Some(Answer::known(batch, event)),
            401 | 403 => again(Some(format!(
                "Check what {} may do with the index, and whether it is blocked (the disk's watermark does that)",
                self.client.credentials_key()
            ))),
            404 => again(Some(format!(
                "Create the index, let it be created, or correct {}",
                self.client.key("bulk.index")
            ))),
            // Without a status nobody knows.
            0 | 408 | 429 | 500.. => again(None),
            _ => Some(Answer::refused(batch, event, reason())),
        }
    }
}

impl Sink for Elasticsearch {
    fn terms(&self) -> Terms {
        // `{"create":{"_index":"","_id":"…"}}` with its line feed, and a time.
        terms(self.client.options(), 70 + 50 + overhead([&self.index]))
    }

    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async move {
            let headers = headers([(CONTENT_TYPE, "application/x-ndjson")]);
            let reply = self.client.deliver(&self.path, headers, encode(&self.index, batches)).await?;
            self.answers(batches, &reply.body?)
        })
    }

    fn check(&self) -> SinkFuture<'_> {
        Box::pin(async {
            if !self.client.options().healthcheck {
                return Ok(());
            }
            let reply = self.client.ask(Method::GET, "/").await?;
            match reply.status {
                // Who may write one index need not be allowed to look at the cluster.
                StatusCode::FORBIDDEN => Ok(()),
                _ => self.client.judge(&reply),
            }
        })
    }

    fn idles(&self) -> bool {
        false
    }
}

fn encode(index: &Template, batches: &[Arc<Batch>]) -> Payload {
    let events = batches.iter().map(|batch| batch.events.len()).sum::<usize>();
    let length = batches.iter().map(|batch| batch.len()).sum::<usize>() + events * 120;
    let mut bytes = Vec::with_capacity(length);
    for batch in batches {
        let fixed = index.is_fixed_in_batch().then(|| batch.events.first()).flatten();
        let fixed = fixed.map(|head| index.render(&batch.origin, head, index_name));
        for head in &batch.events {
            bytes.extend_from_slice(b"{\"create\":{\"_index\":\"");
            match &fixed {
                Some(index) => bytes.extend_from_slice(index.as_bytes()),
                None => bytes.extend_from_slice(index.render(&batch.origin, head, index_name).as_bytes()),
            }
            bytes.extend_from_slice(format!("\",\"_id\":\"{:032x}\"}}}}\n", head.id).as_bytes());
            document(&mut bytes, batch, head);
            bytes.push(b'\n');
        }
    }
    bytes.into()
}

/// The body, with the time under the name that data streams insist on if it has none there.
fn document(bytes: &mut Vec<u8>, batch: &Batch, head: &Head) {
    const KEY: &str = "@timestamp";
    let body = body(batch, head);
    // Seldom more than one look: a body has the name where it belongs, or not at all.
    let has_time = memmem::find(body, KEY.as_bytes()).is_some() && top_level::has_key(body, KEY);
    match body.strip_prefix(b"{") {
        Some(rest) if !has_time => {
            let time = DateTime::<Utc>::from_timestamp_nanos(i64::try_from(head.time).unwrap_or(i64::MAX));
            let time = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            let comma = if rest.trim_ascii_start().starts_with(b"}") { "" } else { "," };
            bytes.extend_from_slice(format!("{{\"{KEY}\":\"{time}\"{comma}").as_bytes());
            bytes.extend_from_slice(rest);
        }
        _ => bytes.extend_from_slice(body),
    }
}

/// What is filled in, as it may stand in an index's name: lower case, without what the server refuses.
fn index_name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(plain).collect()
}

#[derive(Deserialize)]
struct Outcome {
    errors: bool,
}

#[derive(Deserialize)]
struct Items {
    /// By the name of what was done, which is always `create`.
    items: Vec<BTreeMap<String, ItemResult>>,
}

#[derive(Deserialize, Default)]
struct ItemResult {
    #[serde(default)]
    status: u16,
    error: Option<ItemError>,
}

#[derive(Deserialize)]
struct ItemError {
    #[serde(rename = "type")]
    kind: Option<String>,
    reason: Option<String>,
}

#[cfg(test)]
mod tests;
