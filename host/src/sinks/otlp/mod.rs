//! Logs to an OpenTelemetry collector, by OTLP/HTTP with protobuf.
//!
//! A record's body is the event's JSON as a string, byte for byte: collectors that want fields parse it (`parse_json`), and no
//! number loses digits on the way, as it would in a map of values. Its id is `log.record.uid`, the convention's name for what
//! tells two records apart.
//!
//! A partial success says how many records were rejected, not which, and by the specification the request must not be sent
//! again. If all of it were rejected, all are refused. Otherwise all of it goes to the dead letters too: there is no other way
//! to lose none and to repeat none, and a replay sends them one by one.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use serde::Deserialize;

use super::http::{Client, Reply, body, headers, places, terms};
use super::{Answer, DeliverFuture, Sink, SinkError, SinkFuture, Terms};
use crate::config::OtlpOptions;
use crate::deliver::{Batch, Head};
use crate::outside::{Clock, Outside};
use crate::template;

mod wire;

use wire::{Message, Value, fields, is_whole};

/// See the module.
pub struct Otlp {
    client: Client,
    service_name: String,
    clock: Clock,
}

const PATH: &str = "/v1/logs";

impl Otlp {
    /// # Errors
    /// As [`Client::new`].
    pub fn new(id: &str, options: &OtlpOptions, outside: &Outside) -> Result<Self, SinkError> {
        let client = Client::new(id, &options.client, outside)?;
        Ok(Self { client, service_name: options.service_name.clone(), clock: outside.clock })
    }

    async fn send(&self, batches: &[Arc<Batch>]) -> Result<Vec<Answer>, SinkError> {
        let said = self.post(encode(&self.service_name, batches, self.clock.nanos())).await?;
        Ok(self.answers(batches, &said))
    }

    async fn post(&self, request: Vec<u8>) -> Result<Partial, SinkError> {
        let headers = headers([(CONTENT_TYPE, "application/x-protobuf")]);
        let reply = self.client.deliver(PATH, headers, request.into()).await?;
        self.success(&reply)
    }

    /// What the collector says of a request that it has taken. A status alone says nothing: a proxy's page for signing in has
    /// the same. Some answer without a body, or with JSON.
    ///
    /// # Errors
    /// If it is not the collector that speaks, or its answer broke off: nobody knows what is stored.
    fn success(&self, reply: &Reply) -> Result<Partial, SinkError> {
        let body = reply.body.as_ref().map_err(Clone::clone)?;
        let content_type = reply.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Partial::read(content_type, body).ok_or_else(|| self.client.no_answer_of(reply, "an OpenTelemetry collector"))
    }

    fn answers(&self, batches: &[Arc<Batch>], said: &Partial) -> Vec<Answer> {
        let events = batches.iter().map(|batch| batch.events.len()).sum();
        let message = self.client.excerpt_of(&said.message);
        match said.rejected {
            0 => {
                if !message.is_empty() {
                    tracing::warn!("the collector warns: {message}");
                }
                Vec::new()
            }
            rejected if rejected >= events => {
                places(batches).map(|((batch, event), ..)| Answer::refused(batch, event, message.clone())).collect()
            }
            rejected => {
                let message = format!(
                    "the collector has rejected {rejected} of the {events} records that this was sent with, and does not say which: {message}"
                );
                places(batches)
                    .map(|((batch, event), ..)| Answer::unsure(batch, event, rejected, message.clone()))
                    .collect()
            }
        }
    }
}

impl Sink for Otlp {
    fn terms(&self) -> Terms {
        terms(self.client.options(), OVERHEAD)
    }

    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(self.send(batches))
    }

    /// A request without records is a good one.
    fn check(&self) -> SinkFuture<'_> {
        Box::pin(async {
            match self.client.options().healthcheck {
                true => self.post(Vec::new()).await.map(drop),
                false => Ok(()),
            }
        })
    }

    fn idles(&self) -> bool {
        false
    }
}

/// `ExportLogsServiceResponse.partial_success`.
#[derive(Debug, Default, PartialEq)]
struct Partial {
    rejected: usize,
    message: String,
}

/// `ExportLogsServiceResponse` by protobuf's mapping to JSON, in which numbers of 64 bits are texts.
#[derive(Deserialize)]
struct Json {
    #[serde(rename = "partialSuccess", alias = "partial_success")]
    partial: Option<JsonPartial>,
}

#[derive(Deserialize)]
struct JsonPartial {
    #[serde(rename = "rejectedLogRecords", alias = "rejected_log_records")]
    rejected: Option<JsonNumber>,
    #[serde(rename = "errorMessage", alias = "error_message")]
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum JsonNumber {
    Number(usize),
    Text(String),
}

impl Partial {
    /// None, if it is no such answer. Who names no type, or a wrong one, may still mean JSON: an object is nothing else.
    fn read(content_type: &str, answer: &[u8]) -> Option<Self> {
        let content_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match answer {
            [] => Some(Self::default()),
            [b'{', ..] => Self::read_json(answer),
            _ if content_type.starts_with("text/") || content_type == "application/json" => None,
            _ if !is_whole(answer) => None,
            _ => Some(Self::read_protobuf(answer)),
        }
    }

    fn read_json(answer: &[u8]) -> Option<Self> {
        let Json { partial } = serde_json::from_slice(answer).ok()?;
        let Some(partial) = partial else { return Some(Self::default()) };
        let rejected = match partial.rejected {
            None => 0,
            Some(JsonNumber::Number(number)) => number,
            Some(JsonNumber::Text(text)) => text.parse().ok()?,
        };
        Some(Self { rejected, message: partial.message.unwrap_or_default() })
    }

    fn read_protobuf(answer: &[u8]) -> Self {
        let mut partial = Self::default();
        for (field, value) in fields(answer) {
            let (1, Value::Bytes(inner)) = (field, value) else { continue };
            for field in fields(inner) {
                match field {
                    (1, Value::Number(rejected)) => partial.rejected = usize::try_from(rejected).unwrap_or_default(),
                    (2, Value::Bytes(message)) => partial.message = String::from_utf8_lossy(message).into_owned(),
                    _ => {}
                }
            }
        }
        partial
    }
}

/// `ExportLogsServiceRequest`, with the numbers of opentelemetry-proto 1: `collector/logs/v1/logs_service.proto`,
/// `logs/v1/logs.proto`, `resource/v1/resource.proto`, `common/v1/common.proto`.
fn encode(service_name: &str, batches: &[Arc<Batch>], observed: u64) -> Vec<u8> {
    let length: usize = batches.iter().map(|batch| batch.len() + batch.events.len() * OVERHEAD + 256).sum();
    let mut request = Message(Vec::with_capacity(length));
    let of_one_source = |one: &Arc<Batch>, other: &Arc<Batch>| {
        (&one.origin.tenant, &one.origin.source) == (&other.origin.tenant, &other.origin.source)
    };
    for batches in batches.chunk_by(of_one_source) {
        let Some(first) = batches.first() else { continue };
        request.message(1, |resource_logs| {
            resource_logs.message(1, |resource| {
                text(resource, 1, "service.name", service_name);
                text(resource, 1, "tributary.tenant", &first.origin.tenant);
                text(resource, 1, "tributary.source", &first.origin.source);
            });
            resource_logs.message(2, |scope_logs| {
                scope_logs.message(1, |scope| {
                    scope.bytes(1, b"tributary");
                    scope.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
                });
                for (_, batch, head) in places(batches) {
                    scope_logs.message(2, |record| write_record(record, batch, head, observed));
                }
            });
        });
    }
    request.0
}

/// Time, severity, and three attributes with their names.
const OVERHEAD: usize = 180;

fn write_record(record: &mut Message, batch: &Batch, head: &Head, observed: u64) {
    record.fixed64(1, head.time);
    if head.severity != 0 {
        record.number(2, severity_number(head.severity));
        record.bytes(3, template::severity(head.severity).as_bytes());
    }
    record.message(5, |any| any.bytes(1, body(batch, head)));
    text(record, 6, "log.record.uid", &format!("{:032x}", head.id));
    text(record, 6, "tributary.stream", &batch.origin.stream);
    if head.class != 0 {
        record.message(6, |attribute| {
            attribute.bytes(1, b"class_uid");
            attribute.message(2, |any| any.number(3, head.class.into()));
        });
    }
    record.fixed64(11, observed);
}

/// `KeyValue`, with a `string_value`.
fn text(message: &mut Message, field: u64, key: &str, value: &str) {
    message.message(field, |attribute| {
        attribute.bytes(1, key.as_bytes());
        attribute.message(2, |any| any.bytes(1, value.as_bytes()));
    });
}

/// INFO, INFO2, WARN, ERROR, FATAL and FATAL4: the order is kept, and nothing below medium is a warning.
fn severity_number(severity: u8) -> u64 {
    match severity {
        1 => 9,
        2 => 10,
        3 => 13,
        4 => 17,
        5 => 21,
        6 => 24,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
