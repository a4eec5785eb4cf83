//! Lines or an array to one address, and to Vector's `http_server`, which wants just that.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::digest::{Context, SHA256};

use super::{Client, Payload, body, headers, places, terms};
use crate::config::{Encoding, HttpOptions};
use crate::deliver::Batch;
use crate::outside::Outside;
use crate::sinks::{DeliverFuture, Sink, SinkError, SinkFuture, Terms};

/// A success means that all events of the request are stored.
pub struct Http {
    /// The sink's.
    id: Box<str>,
    client: Client,
    encoding: Encoding,
}

impl Http {
    /// # Errors
    /// As [`Client::new`].
    pub fn new(id: &str, options: &HttpOptions, outside: &Outside) -> Result<Self, SinkError> {
        Ok(Self { id: id.into(), client: Client::new(id, &options.client, outside)?, encoding: options.encoding })
    }
}

impl Sink for Http {
    fn terms(&self) -> Terms {
        terms(self.client.options(), 0)
    }

    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async move {
            let (mut headers, payload) = encode(self.encoding, batches);
            headers.insert(IDEMPOTENCY_KEY, idempotency_key(&self.id, batches));
            self.client.deliver("", headers, payload).await?;
            Ok(Vec::new())
        })
    }

    fn check(&self) -> SinkFuture<'_> {
        Box::pin(async {
            match self.client.options().healthcheck {
                true => self.client.is_there().await,
                false => Ok(()),
            }
        })
    }

    fn idles(&self) -> bool {
        false
    }
}

fn encode(encoding: Encoding, batches: &[Arc<Batch>]) -> (HeaderMap, Payload) {
    match encoding {
        Encoding::Ndjson => (headers([(CONTENT_TYPE, "application/x-ndjson")]), Payload::lines(batches)),
        Encoding::Json => (headers([(CONTENT_TYPE, "application/json")]), array(batches)),
    }
}

/// A copy: a comma between each two events would make more pieces than are worth it.
fn array(batches: &[Arc<Batch>]) -> Payload {
    let mut bytes = Vec::with_capacity(2 + batches.iter().map(|batch| batch.len()).sum::<usize>());
    for (_, batch, head) in places(batches) {
        bytes.push(if bytes.is_empty() { b'[' } else { b',' });
        bytes.extend_from_slice(body(batch, head));
    }
    bytes.push(b']');
    bytes.into()
}

/// As the IETF's draft "The Idempotency-Key HTTP Header Field" has it: the same for the same events of the same sink, so that
/// whoever is there can tell what comes again. Two sinks may make other bodies of the same events, and have one address.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

fn idempotency_key(sink: &str, batches: &[Arc<Batch>]) -> HeaderValue {
    let mut hash = Context::new(&SHA256);
    hash.update(sink.as_bytes());
    hash.update(&[0]);
    places(batches).for_each(|(_, _, head)| hash.update(&head.id.to_be_bytes()));
    let hex: String = hash.finish().as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    // Hexadecimal digits are fit for a header.
    HeaderValue::from_str(&format!("\"{hex}\"")).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::tests::batch;

    #[test]
    fn an_array_is_json_and_lines_are_lines() {
        let batches = [batch("t", "s", &["{\"a\":1}", "{\"a\":2}"]), batch("t", "s", &["{\"a\":3}"])];
        let (headers, payload) = encode(Encoding::Json, &batches);
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        let read: serde_json::Value = serde_json::from_str(&payload.text()).unwrap();
        assert_eq!(read, serde_json::json!([{"a": 1}, {"a": 2}, {"a": 3}]));
        let (headers, payload) = encode(Encoding::Ndjson, &batches);
        assert_eq!(headers[CONTENT_TYPE], "application/x-ndjson");
        assert_eq!(payload.text(), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    }

    #[test]
    fn the_same_events_have_the_same_key_however_they_are_cut_into_chunks() {
        let whole = batch("t", "s", &["{1}", "{2}"]);
        let parts = [0, 1].map(|event| Arc::new(whole.with(vec![whole.events[event].clone()])));
        let of = |batches| idempotency_key("lake", batches);
        let key = of(std::slice::from_ref(&whole));
        assert_eq!(key, of(&parts));
        assert_ne!(key, of(&parts[..1]));
        assert_eq!(key.len(), 34);
    }

    #[test]
    fn another_sink_has_another_key_for_the_same_events() {
        let zero = [batch("t", "s", &["{1}"])];
        assert_eq!(zero[0].events[0].id, 0);
        // SHA-256 of the name, and of seventeen zero bytes.
        assert_eq!(idempotency_key("lake", &zero), "\"d93f832953a51046f320274011c50376\"");
        assert_ne!(idempotency_key("lake", &zero), idempotency_key("pond", &zero));
    }
}
