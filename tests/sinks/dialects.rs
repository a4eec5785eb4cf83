//! How each far side reads what it gets, and what it answers. Each is as hard as its documentation allows: what it does not
//! promise to drop, it keeps.

use serde_json::{Deserializer, Value, json};

use crate::far::{Received, Said, State};
use crate::wire;

pub trait Dialect: Send + Sync {
    /// Takes a delivery, or `half` of it.
    fn take(&self, received: &Received, state: &mut State, half: bool) -> Said;

    /// Answers what is no delivery.
    fn aside(&self, _: &Received, _: &mut State) -> Option<Said> {
        None
    }

    /// Answers who has no good credentials.
    fn stranger(&self) -> Said {
        Said::new(401, "who are you?")
    }

    /// Answers a question about whether it is there.
    fn asked(&self) -> Said {
        Said::new(200, "")
    }

    /// Turns a delivery away.
    fn not_now(&self, status: u16) -> Said {
        Said::new(status, "not now")
    }

    /// Turns away what is longer than it takes at once.
    fn too_long(&self) -> Said {
        Said::new(413, "too long")
    }
}

fn id(text: &str) -> u128 {
    assert_eq!(text.len(), 32, "{text}");
    u128::from_str_radix(text, 16).unwrap()
}

/// The id in an event's own JSON.
pub fn id_of(line: &str) -> u128 {
    own_id(&serde_json::from_str(line).unwrap())
}

fn own_id(event: &Value) -> u128 {
    id(event["id"].as_str().unwrap())
}

pub fn header<'a>(received: &'a Received, name: &str) -> &'a str {
    received.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Lines, or one array. It takes a request whole, or not at all.
pub struct Lines {
    pub content_type: &'static str,
    /// Headers that each delivery has.
    pub headers: &'static [(&'static str, &'static str)],
}

impl Dialect for Lines {
    fn take(&self, received: &Received, state: &mut State, half: bool) -> Said {
        let expected = std::iter::once(("content-type", self.content_type)).chain(self.headers.iter().copied());
        for (name, expected) in expected {
            if header(received, name) != expected {
                state.breach(format!("{name}: {}", header(received, name)));
            }
        }
        let read: Result<Vec<Value>, _> = match self.content_type {
            "application/json" => serde_json::from_slice(&received.body),
            _ => Deserializer::from_slice(&received.body).into_iter().collect(),
        };
        let Ok(events) = read else {
            state.breach("no JSON");
            return Said::new(400, "no JSON");
        };
        let ids: Vec<u128> = events.iter().map(own_id).collect();
        if ids.iter().any(|id| state.refuses.contains(id)) {
            return Said::new(400, "one of them is bad");
        }
        let taken = if half { ids.len() / 2 } else { ids.len() };
        ids[..taken].iter().for_each(|id| state.store(*id));
        if half { Said::new(500, "the disk is full") } else { Said::new(200, "") }
    }
}

/// What stands before one that is bad is stored.
pub struct Splunk;

impl Dialect for Splunk {
    fn take(&self, received: &Received, state: &mut State, half: bool) -> Said {
        if received.path != "/services/collector/event" || header(received, "x-splunk-request-channel").len() != 36 {
            state.breach(format!("{} {:?}", received.path, received.headers));
        }
        if header(received, "authorization") != "Splunk hunter22" {
            return Said::new(403, r#"{"text":"Invalid token","code":4}"#);
        }
        let events: Result<Vec<Value>, _> = Deserializer::from_slice(&received.body).into_iter().collect();
        let Ok(events) = events else { return Said::new(400, r#"{"text":"Invalid data format","code":6}"#) };
        let taken = if half { events.len() / 2 } else { events.len() };
        for (number, event) in events.iter().enumerate().take(taken) {
            let id = id(event["fields"]["event_id"].as_str().unwrap());
            let time = event["time"].as_f64().unwrap_or_default();
            if own_id(&event["event"]) != id || event["host"] != "Acme" || time < 1_795_331_289.0 {
                state.breach(event.to_string());
            }
            if state.refuses.contains(&id) {
                let said = json!({"text": "Invalid data format", "code": 6, "invalid-event-number": number});
                return Said::new(400, said.to_string());
            }
            state.store(id);
        }
        if half {
            return Said::new(503, r#"{"text":"Server is busy","code":9}"#);
        }
        let ack = state.asked.len() as u64;
        state.asked.insert(ack, 0);
        Said::new(200, json!({"text": "Success", "code": 0, "ackId": ack}).to_string())
    }

    /// The second question about a delivery is answered with yes.
    fn aside(&self, received: &Received, state: &mut State) -> Option<Said> {
        let channel = received.path.strip_prefix("/services/collector/ack?channel=")?;
        if channel != header(received, "x-splunk-request-channel") {
            state.breach(format!("another channel: {channel}"));
        }
        let question: Value = serde_json::from_slice(&received.body).unwrap();
        let mut acks = serde_json::Map::new();
        for ack in question["acks"].as_array().unwrap() {
            let ack = ack.as_u64().unwrap();
            let asked = state.asked.entry(ack).or_default();
            *asked += 1;
            acks.insert(ack.to_string(), json!(*asked > 1));
        }
        Some(Said::new(200, json!({"acks": acks}).to_string()))
    }
}

/// Each event by itself. `create` refuses what is there; anything else would overwrite it, which counts as storing it again.
pub struct Elastic;

impl Dialect for Elastic {
    fn take(&self, received: &Received, state: &mut State, half: bool) -> Said {
        if !received.path.starts_with("/_bulk") || header(received, "content-type") != "application/x-ndjson" {
            state.breach(format!("{} {:?}", received.path, received.headers));
        }
        if received.body.last() != Some(&b'\n') {
            return Said::new(400, "The bulk request must be terminated by a newline [\\n]");
        }
        let lines: Vec<Value> = received.body[..]
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let (mut items, mut errors) = (Vec::new(), false);
        let middle = lines.len() / 4;
        for (number, pair) in lines.chunks(2).enumerate() {
            let [action, document] = pair else { panic!("an action without a document") };
            let (name, what) = action.as_object().unwrap().iter().next().unwrap();
            let id = id(what["_id"].as_str().unwrap());
            let time = document["@timestamp"].as_str().unwrap_or_default();
            if own_id(document) != id || !time.starts_with("2026-11-22T07:") || what["_index"] != "mail-acme" {
                state.breach(format!("{action} {document}"));
            }
            let (status, kind) = match () {
                () if half && number >= middle => (429, "es_rejected_execution_exception"),
                () if state.refuses.contains(&id) => (400, "document_parsing_exception"),
                () if name == "create" && state.stored.contains_key(&id) => {
                    state.known += 1;
                    (409, "version_conflict_engine_exception")
                }
                () => {
                    state.store(id);
                    (201, "")
                }
            };
            errors |= status >= 300;
            let error = (status >= 300).then(|| json!({"type": kind, "reason": "because"}));
            items.push(json!({ name.as_str(): {"status": status, "error": error} }));
        }
        Said::new(200, json!({"took": 3, "errors": errors, "items": items}).to_string())
    }
}

/// What is good of a request is stored, and how many are not is said.
pub struct Collector;

impl Dialect for Collector {
    fn take(&self, received: &Received, state: &mut State, half: bool) -> Said {
        if received.path != "/v1/logs" || header(received, "content-type") != "application/x-protobuf" {
            state.breach(format!("{} {:?}", received.path, received.headers));
        }
        let mut records = Vec::new();
        for resource_logs in wire::all(&received.body, 1) {
            let resource = wire::all(resource_logs, 1)[0];
            if attribute(resource, 1, "service.name") != Some("tributary")
                || attribute(resource, 1, "tributary.tenant") != Some("Acme")
            {
                state.breach("no service.name, or no tenant");
            }
            records.extend(wire::all(resource_logs, 2).into_iter().flat_map(|scope| wire::all(scope, 2)));
        }
        let taken = if half { records.len() / 2 } else { records.len() };
        let mut rejected = 0;
        for record in &records[..taken] {
            let body: Value = serde_json::from_slice(wire::all(wire::all(record, 5)[0], 1)[0]).unwrap();
            let id = id(attribute(record, 6, "log.record.uid").unwrap());
            let time = 1_795_331_289 + body["n"].as_u64().unwrap();
            let numbers = [wire::number(record, 1), wire::number(record, 2)];
            if own_id(&body) != id || numbers != [Some(time * 1_000_000_000), Some(13)] {
                state.breach(format!("{body} {numbers:?}"));
            }
            if state.refuses.contains(&id) {
                rejected += 1;
            } else {
                state.store(id);
            }
        }
        match (half, rejected) {
            (true, _) => Said::new(503, ""),
            (false, 0) => Said::new(200, ""),
            // ExportLogsPartialSuccess { rejected_log_records, error_message } in field 1; these are short.
            (false, _) => Said::new(200, [&[0x0a, 7, 0x08, rejected, 0x12, 3][..], b"bad"].concat()),
        }
    }
}

/// The text of an attribute in the list that is `field` of `message`.
fn attribute<'a>(message: &'a [u8], field: u64, key: &str) -> Option<&'a str> {
    let found = wire::all(message, field).into_iter().find(|pair| wire::all(pair, 1) == [key.as_bytes()])?;
    std::str::from_utf8(wire::all(wire::all(found, 2)[0], 1)[0]).ok()
}
