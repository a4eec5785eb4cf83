//! Splunk's HTTP Event Collector.
//!
//! Facts: "Format events for HTTP Event Collector", "About HTTP Event Collector Indexer Acknowledgment" and "Possible error
//! codes" of Splunk's documentation. The collector knows no event again, so one whose answer was lost comes twice; its id
//! stands in `fields`, by which a search finds doubles.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use tokio::time::sleep;

use super::client::Reply;
use super::{Client, Payload, body, headers, overhead, places, terms};
use crate::config::{IndexerAcknowledgements, SplunkHecOptions};
use crate::deliver::{Batch, EventId, Head};
use crate::outside::{Outside, Random};
use crate::sinks::{Answer, DeliverFuture, Sink, SinkError, SinkFuture, Terms};
use crate::template::Template;

/// See the module.
pub struct SplunkHec {
    client: Client,
    /// Names and what stands in them, in each event.
    metadata: Vec<(&'static str, Template)>,
    acknowledgements: IndexerAcknowledgements,
    /// Whose acknowledgements these are: one of this process, so that nobody else asks them away.
    channel: HeaderValue,
    /// What was taken, and cannot be asked after.
    taken: Mutex<Vec<Taken>>,
}

/// A delivery that Splunk has taken, and has not said yet that it is indexed.
struct Taken {
    ids: Vec<EventId>,
    refused: BTreeMap<Place, String>,
    endpoint: usize,
    ack: u64,
}

/// Why nobody knows whether a delivery is indexed.
enum Doubt {
    /// Splunk was asked as often as it may be. The events go once more.
    Lost(SinkError),
    /// It cannot be asked before somebody has mended something: until then the events would go again and again.
    Unasked(SinkError),
}

/// Deliveries that are remembered for that. There are not as many at a time.
const MOST_TAKEN: usize = 1024;

const EVENT: &str = "/services/collector/event";
const ACK: &str = "/services/collector/ack";
const HEALTH: &str = "/services/collector/health";
const CHANNEL: HeaderName = HeaderName::from_static("x-splunk-request-channel");

/// Splunk's own numbers for what is wrong.
mod code {
    pub const SUCCESS: u32 = 0;
    pub const TOKEN_DISABLED: u32 = 1;
    pub const TOKEN_REQUIRED: u32 = 2;
    pub const INVALID_AUTHORIZATION: u32 = 3;
    pub const INVALID_TOKEN: u32 = 4;
    pub const INCORRECT_INDEX: u32 = 7;
    /// The channel is missing, or no GUID.
    pub const CHANNEL_MISSING: u32 = 10;
    pub const CHANNEL_INVALID: u32 = 11;
    pub const ACK_DISABLED: u32 = 14;
}

#[derive(Deserialize, Default)]
struct Said {
    code: Option<u32>,
    #[serde(rename = "ackId")]
    ack: Option<u64>,
    #[serde(rename = "invalid-event-number")]
    invalid: Option<usize>,
}

#[derive(Deserialize)]
struct Acks {
    acks: BTreeMap<String, bool>,
}

impl SplunkHec {
    /// # Errors
    /// As [`Client::new`].
    pub fn new(id: &str, options: &SplunkHecOptions, outside: &Outside) -> Result<Self, SinkError> {
        let of = |key, template: &Option<Template>| template.clone().map(|template| (key, template));
        let metadata = [
            of("host", &options.host),
            of("source", &options.source),
            of("sourcetype", &options.sourcetype),
            of("index", &options.index),
        ];
        Ok(Self {
            client: Client::new(id, &options.client, outside)?,
            metadata: metadata.into_iter().flatten().collect(),
            acknowledgements: options.acknowledgements,
            channel: guid(&outside.random),
            taken: Mutex::default(),
        })
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = headers([(CONTENT_TYPE, "application/json")]);
        headers.insert(CHANNEL, self.channel.clone());
        headers
    }

    /// Splunk names one bad event at a time, so the others are sent again at once, unless too many are bad: then somebody has
    /// to look. Of those before a bad one nobody says whether they are stored.
    async fn send(&self, batches: &[Arc<Batch>]) -> Result<Vec<Answer>, SinkError> {
        if let Some(taken) = self.taken_before(batches) {
            return self.indexed(taken).await;
        }
        let mut refused = BTreeMap::new();
        let most = 1 + places(batches).count() / 20;
        loop {
            let payload = encode(&self.metadata, batches, |place| !refused.contains_key(&place));
            let reply = self.client.post(EVENT, self.headers(), payload).await?;
            if reply.status.is_success() {
                // Without acknowledgements of the token's, it is indexed in its own time.
                let ack = self.success(&reply)?.ack.filter(|_| self.acknowledgements.enabled);
                let Some(ack) = ack else { return Ok(answers(refused)) };
                let ids = ids(batches).collect();
                return self.indexed(Taken { ids, refused, endpoint: reply.endpoint, ack }).await;
            }
            let said = said(&reply);
            let invalid = self.trouble(&reply, &said)?;
            let sent = places(batches).map(|(place, ..)| place).filter(|place| !refused.contains_key(place));
            let sent: Vec<Place> = sent.collect();
            let fault = self.client.fault(&reply);
            let Some(place) = sent.get(invalid) else { return Err(fault) };
            refused.insert(*place, fault.message);
            if sent.len() == 1 || refused.len() > most {
                let others = sent.iter().filter(|place| !refused.contains_key(place));
                let error = SinkError::new("it was sent together with events that are refused");
                let again: Vec<_> = others.map(|(batch, event)| Answer::again(*batch, *event, error.clone())).collect();
                return Ok(answers(refused).into_iter().chain(again).collect());
            }
        }
    }

    /// What the collector says of a delivery that it has taken. A status alone says nothing: a proxy's page for signing in
    /// has the same.
    ///
    /// # Errors
    /// If it is not the collector that speaks, or its answer broke off: nobody knows what is stored.
    fn success(&self, reply: &Reply) -> Result<Said, SinkError> {
        let body = reply.body.as_ref().map_err(Clone::clone)?;
        match serde_json::from_slice::<Said>(body) {
            Ok(said) if said.code == Some(code::SUCCESS) => Ok(said),
            Ok(said) if said.code.is_some() => {
                Err(self.trouble(reply, &said).err().unwrap_or_else(|| self.client.fault(reply)))
            }
            _ => Err(self.client.no_answer_of(reply, "an HTTP Event Collector")),
        }
    }

    /// The delivery of the same events that waits for somebody who mends what it can be asked by.
    fn taken_before(&self, batches: &[Arc<Batch>]) -> Option<Taken> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let found = taken.iter().position(|taken| taken.ids.iter().copied().eq(ids(batches)))?;
        Some(taken.swap_remove(found))
    }

    /// Waits until what Splunk has taken is indexed.
    async fn indexed(&self, delivery: Taken) -> Result<Vec<Answer>, SinkError> {
        match self.acknowledged(delivery.endpoint, delivery.ack).await {
            Ok(()) => Ok(answers(delivery.refused)),
            Err(Doubt::Lost(error)) => Err(error),
            Err(Doubt::Unasked(error)) => {
                let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
                if taken.len() >= MOST_TAKEN {
                    taken.remove(0);
                }
                taken.push(delivery);
                Err(error)
            }
        }
    }

    /// The number of the event that Splunk does not take.
    ///
    /// # Errors
    /// What else is wrong, by Splunk's own number where it says one.
    fn trouble(&self, reply: &Reply, said: &Said) -> Result<usize, SinkError> {
        let fault = self.client.fault(reply);
        let token = self.client.credentials_key();
        let hint = match said.code {
            Some(code::TOKEN_DISABLED) => format!("Enable the token of {token} in Splunk"),
            Some(code::TOKEN_REQUIRED | code::INVALID_AUTHORIZATION | code::INVALID_TOKEN) => format!("Check {token}"),
            Some(code::INCORRECT_INDEX) => {
                format!("Let the token write to the index, or correct {}", self.client.key("index"))
            }
            Some(code::CHANNEL_MISSING | code::CHANNEL_INVALID) => {
                "Something on the way takes the header X-Splunk-Request-Channel out".into()
            }
            _ => {
                let invalid = said.invalid.filter(|_| reply.status == StatusCode::BAD_REQUEST);
                return match invalid {
                    Some(invalid) => Ok(invalid),
                    None => self.client.judge(reply).and(Err(fault)),
                };
            }
        };
        Err(fault.hint(hint))
    }

    /// Asks until Splunk has written it. The first questions come soon, since it seldom takes long.
    async fn acknowledged(&self, endpoint: usize, ack: u64) -> Result<(), Doubt> {
        let IndexerAcknowledgements { query_interval, retry_limit, .. } = self.acknowledgements;
        let mut wait = FIRST_QUESTION;
        let mut trouble = None;
        for _ in 0..retry_limit {
            sleep(wait.min(query_interval)).await;
            wait = wait.saturating_mul(2);
            let question = serde_json::json!({ "acks": [ack] }).to_string().into_bytes();
            let channel = self.channel.to_str().unwrap_or_default();
            let path = format!("{ACK}?channel={channel}");
            let reply = match self.client.post_to(endpoint, &path, self.headers(), question.into()).await {
                Ok(reply) => reply,
                Err(error) => {
                    trouble = Some(error);
                    continue;
                }
            };
            if said(&reply).code == Some(code::ACK_DISABLED) {
                return Ok(());
            }
            match reply.status.as_u16() {
                200..=299 => {}
                408 | 425 | 429 | 500.. => {
                    trouble = Some(self.client.fault(&reply));
                    continue;
                }
                _ => return Err(Doubt::Unasked(self.unasked(&reply))),
            }
            let body = match &reply.body {
                Ok(body) => body,
                Err(error) => {
                    trouble = Some(error.clone());
                    continue;
                }
            };
            let Ok(Acks { acks }) = serde_json::from_slice(body) else {
                return Err(Doubt::Unasked(self.unasked(&reply)));
            };
            if acks.get(&ack.to_string()) == Some(&true) {
                return Ok(());
            }
            trouble = None;
        }
        Err(Doubt::Lost(trouble.unwrap_or_else(|| {
            let hint = "Look at Splunk's indexing queues; if they are lawfully slow, raise";
            let hint = format!("{hint} {}", self.client.key("acknowledgements.retry_limit"));
            SinkError::new(format!(
                "Splunk has taken events and does not say after {retry_limit} questions that they are indexed"
            ))
            .hint(hint)
        })))
    }

    /// What the operator has to do so that Splunk can be asked.
    fn unasked(&self, reply: &Reply) -> SinkError {
        let known = said(reply).code.and_then(|_| self.trouble(reply, &said(reply)).err()?.hint);
        let hint = known.unwrap_or_else(|| {
            let (address, indexer) = (self.client.options().address_key, "acknowledgements.indexer");
            format!(
                "Let {ACK} through to Splunk at {}, or set {} to false: then what Splunk has taken counts as stored",
                self.client.key(address),
                self.client.key(indexer)
            )
        });
        let fault = self.client.fault(reply).message;
        SinkError::new(format!("Splunk has taken events, and whether they are indexed cannot be asked: {fault}"))
            .hint(hint)
    }
}

const FIRST_QUESTION: Duration = Duration::from_millis(500);

impl Sink for SplunkHec {
    fn terms(&self) -> Terms {
        // `{"time":…,"event":…,"fields":{"event_id":"…"}}`
        terms(self.client.options(), 100 + overhead(self.metadata.iter().map(|(_, template)| template)))
    }

    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(self.send(batches))
    }

    fn check(&self) -> SinkFuture<'_> {
        Box::pin(async {
            if !self.client.options().healthcheck {
                return Ok(());
            }
            let reply = self.client.ask(Method::GET, HEALTH).await?;
            match reply.status {
                // Those who only speak like Splunk do not all have it.
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Ok(()),
                _ if reply.is_page() => Err(self.client.no_answer_of(&reply, "an HTTP Event Collector")),
                _ if reply.status.is_success() => Ok(()),
                _ => self.trouble(&reply, &said(&reply)).map(drop),
            }
        })
    }

    fn idles(&self) -> bool {
        false
    }
}

fn said(reply: &Reply) -> Said {
    reply.body.as_ref().ok().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default()
}

fn ids(batches: &[Arc<Batch>]) -> impl Iterator<Item = EventId> {
    places(batches).map(|(_, _, head)| head.id)
}

/// Of an event: the index of its batch, and its own in it.
type Place = (usize, usize);

fn answers(refused: BTreeMap<Place, String>) -> Vec<Answer> {
    refused.into_iter().map(|((batch, event), reason)| Answer::refused(batch, event, reason)).collect()
}

/// Objects one after another, as Splunk wants them, of the events that are `wanted`. What is the same for all of a batch is
/// rendered once.
fn encode(metadata: &[(&'static str, Template)], batches: &[Arc<Batch>], wanted: impl Fn(Place) -> bool) -> Payload {
    let events = batches.iter().map(|batch| batch.events.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(batches.iter().map(|batch| batch.len()).sum::<usize>() + events * 256);
    let fixed = metadata.iter().all(|(_, template)| template.is_fixed_in_batch());
    for (number, batch) in batches.iter().enumerate() {
        let mut prefix = None;
        for (event, head) in batch.events.iter().enumerate() {
            if !wanted((number, event)) {
                continue;
            }
            let prefix: &String = match (&mut prefix, fixed) {
                (Some(prefix), true) => prefix,
                (prefix, _) => prefix.insert(filled(metadata, batch, head)),
            };
            let (seconds, millis) = (head.time / 1_000_000_000, head.time / 1_000_000 % 1_000);
            bytes.extend_from_slice(format!("{{\"time\":{seconds}.{millis:03},{prefix}\"event\":").as_bytes());
            bytes.extend_from_slice(body(batch, head));
            bytes.extend_from_slice(format!(",\"fields\":{{\"event_id\":\"{:032x}\"}}}}\n", head.id).as_bytes());
        }
    }
    bytes.into()
}

fn filled(metadata: &[(&'static str, Template)], batch: &Batch, head: &Head) -> String {
    let mut text = String::new();
    for (key, template) in metadata {
        let value = template.render(&batch.origin, head, str::to_owned);
        if !value.is_empty() {
            text += &format!("\"{key}\":{},", serde_json::Value::from(value));
        }
    }
    text
}

/// A random UUID (RFC 9562, version 4).
fn guid(random: &Random) -> HeaderValue {
    let bits = (u128::from(random.u64()) << 64) | u128::from(random.u64());
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let text = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    // Hexadecimal digits are fit for a header.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
