//! Logs to an OpenTelemetry collector, by OTLP/HTTP with protobuf.
//!
//! A record's body is the event's JSON as a string, byte for byte: collectors that want fields parse it (`parse_json`), and no
//! number loses digits on the way, as it would in a map of values. Its id is `log.record.uid`, the convention's name for what
//! tells two records apart.
//!
//! Of a partial success the specification says how many records were rejected, not which, and that the request is not to be
//! sent again. If all of it were rejected, all are refused. Otherwise its halves are sent, and theirs, until the rejected ones
//! are alone and known: a receiver that looks at `log.record.uid` sees the others once, and none is given up unseen.

use std::sync::Arc;

use http::header::CONTENT_TYPE;

use super::http::{Client, body, headers, places, terms};
use super::{Answer, DeliverFuture, Retry, Sink, SinkError, SinkFuture, Terms};
use crate::config::OtlpOptions;
use crate::deliver::{Batch, Head};
use crate::outside::{Clock, Outside};
use crate::template;

mod wire;

use wire::{Message, Value, fields};

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
        self.answers(batches, &said)
    }

    async fn post(&self, request: Vec<u8>) -> Result<Partial, SinkError> {
        let headers = headers([(CONTENT_TYPE, "application/x-protobuf")]);
        let reply = self.client.deliver(PATH, headers, request.into()).await?;
        // Some answer with no more than a status, or with JSON: that is as much as success.
        Ok(reply.body.map(|body| Partial::read(&body)).unwrap_or_default())
    }

    fn answers(&self, batches: &[Arc<Batch>], said: &Partial) -> Result<Vec<Answer>, SinkError> {
        let events = batches.iter().map(|batch| batch.events.len()).sum();
        let message = self.client.excerpt_of(&said.message);
        match said.rejected {
            0 => {
                if !message.is_empty() {
                    tracing::warn!("the collector warns: {message}");
                }
                Ok(Vec::new())
            }
            rejected if rejected >= events => {
                Ok(places(batches).map(|((batch, event), ..)| Answer::refused(batch, event, message.clone())).collect())
            }
            rejected => {
                let message = format!("the collector rejects {rejected} of {events} records: {message}");
                Err(SinkError::new(message).retry(Retry::Smaller))
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

impl Partial {
    fn read(answer: &[u8]) -> Self {
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
