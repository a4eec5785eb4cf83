//! What is watched while it happens: health events, and events that pass. In lines of JSON, or as server-sent events for
//! whoever accepts those.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::server::{Answer, Asked, refusal, watched};
use crate::Control;
use crate::config::glob;
use crate::deliver::{Disk, Seen, Selection};

/// Pieces that are made ahead. What comes then waits where it is counted.
const AHEAD: usize = 4;

/// Something is sent at least so often: proxies and readers take silence for the end.
const SILENCE: Duration = Duration::from_secs(15);

/// Health events from before that a new reader is told, unless it says otherwise; and the most.
const RECENT: usize = 100;
const MOST_RECENT: usize = 1_000;

/// How what is watched is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Lines of JSON. An empty one says nothing but that somebody is there.
    Lines,
    /// As a browser's `EventSource` reads them.
    Events,
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accepted| accepted.to_str().ok());
        match accepted.flat_map(|accepted| accepted.split(',')).any(|form| form.trim().starts_with("text/event-stream"))
        {
            true => Self::Events,
            false => Self::Lines,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }

    /// Writes one that is JSON without a line feed.
    fn write(self, out: &mut Vec<u8>, json: &[u8]) {
        match self {
            Self::Lines => out.extend_from_slice(json),
            Self::Events => out.extend([b"data: ", json, b"\n"].concat()),
        }
        out.push(b'\n');
    }

    /// Says that so many are missing.
    fn write_missing(self, out: &mut Vec<u8>, what: &str, count: u64) {
        if self == Self::Events {
            out.extend_from_slice(format!("event: {what}\n").as_bytes());
        }
        self.write(out, json!({ what: count }).to_string().as_bytes());
    }

    fn nothing(self) -> Bytes {
        match self {
            Self::Lines => Bytes::from_static(b"\n"),
            Self::Events => Bytes::from_static(b":\n\n"),
        }
    }
}

/// Where pieces are sent for as long as somebody takes them.
struct Reader {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    form: Form,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    fn new(asked: &Asked, place: OwnedSemaphorePermit) -> (Self, Answer) {
        let (pieces, receiver) = mpsc::channel(AHEAD);
        let form = Form::of(&asked.headers);
        (Self { pieces, form, _place: place }, watched(receiver, form.name()))
    }

    /// False, if nobody takes it.
    async fn send(&self, piece: Bytes) -> bool {
        piece.is_empty() || self.pieces.send(Ok(piece)).await.is_ok()
    }

    /// What `next` gives, while it sends signs of life; `None` when it is over or the reader has gone.
    async fn wait<T>(&self, next: impl Future<Output = Option<T>>) -> Option<T> {
        let mut next = std::pin::pin!(next);
        loop {
            tokio::select! {
                biased;
                () = self.pieces.closed() => return None,
                ended = timeout(SILENCE, next.as_mut()) => match ended {
                    Ok(next) => return next,
                    Err(_) => if !self.send(self.form.nothing()).await { return None },
                },
            }
        }
    }
}

/// `GET /v1/health/events`: of all sources or of `?source=`; the latest come first, as many as `?recent=` says.
pub fn health(control: &Control, disk: Option<&Arc<Disk>>, asked: &Asked, place: OwnedSemaphorePermit) -> Answer {
    let (mut source, mut recent) = (None, RECENT);
    for (key, value) in pairs(asked) {
        match (&*key, value.parse()) {
            ("source", _) => source = Some(value),
            ("recent", Ok(number)) => recent = MOST_RECENT.min(number),
            ("recent", Err(_)) => return wrong(format!("recent={value:?} is no number")),
            _ => return unknown(&key, "source, recent"),
        }
    }
    let (reader, answer) = Reader::new(asked, place);
    let (listener, latest) = control.listen(source.as_deref(), recent);
    let disk = disk.cloned();
    tokio::spawn(async move {
        // Of all sources those of this run; of one also those that are stored.
        let stored = match (source.clone(), disk) {
            (Some(source), Some(disk)) if recent > 0 => {
                tokio::task::spawn_blocking(move || disk.store.health(&source)).await
            }
            _ => Ok(Ok(Vec::new())),
        };
        let stored = stored.ok().and_then(Result::ok).unwrap_or_default();
        let mut told: HashSet<Bytes> = stored.iter().map(|json| Bytes::copy_from_slice(json)).collect();
        let fresh = latest.iter().filter(|event| told.insert(event.json.clone())).map(|event| event.json.to_vec());
        let all: Vec<Vec<u8>> = stored.into_iter().chain(fresh.collect::<Vec<_>>()).collect();
        let mut out = Vec::new();
        all.iter().skip(all.len().saturating_sub(recent)).for_each(|json| reader.form.write(&mut out, json));
        if !reader.send(out.into()).await {
            return;
        }
        while let Some(heard) = reader.wait(listener.next()).await {
            let mut out = Vec::new();
            if heard.dropped > 0 {
                reader.form.write_missing(&mut out, "dropped", heard.dropped);
            }
            let wanted = heard.events.iter().filter(|event| source.as_ref().is_none_or(|id| **id == *event.source));
            // One that was told while the store was read may have been found there.
            wanted
                .filter(|event| !told.contains(&event.json))
                .for_each(|event| reader.form.write(&mut out, &event.json));
            if !reader.send(out.into()).await {
                return;
            }
        }
    });
    answer
}

/// `GET /v1/tap`: events as they pass. Names are ids in which `*` stands for any characters; each key may come often.
/// `?component=` is a source, for what passes from it to sinks, or a sink, for what it is given; `?outputs_of=` and
/// `?inputs_of=` say which. Without any it is all sources. `?tenant=`, `?stream=` and `?kind=` narrow that; after
/// `?limit=` events it ends.
pub fn tap(control: &Control, asked: &Asked, place: OwnedSemaphorePermit) -> Answer {
    let (mut selection, mut components, mut limit) = (Selection::default(), Vec::new(), u64::MAX);
    for (key, value) in pairs(asked) {
        match &*key {
            "component" => components.push(value),
            "outputs_of" => selection.outputs_of.push(value),
            "inputs_of" => selection.inputs_of.push(value),
            "tenant" => selection.tenants.push(value),
            "stream" => selection.streams.push(value),
            "kind" => selection.kinds.push(value),
            "limit" => match value.parse() {
                Ok(number) if number > 0 => limit = number,
                _ => return wrong(format!("limit={value:?} is no number of events")),
            },
            _ => return unknown(&key, "component, outputs_of, inputs_of, tenant, stream, kind, limit"),
        }
    }
    let sources: HashSet<Arc<str>> = control.status().into_iter().map(|status| status.source).collect();
    let sinks: Vec<Arc<str>> = control.sinks().into_iter().map(|sink| sink.id).collect();
    let is_source = |pattern: &String| sources.iter().any(|id| glob(pattern, id));
    let is_sink = |pattern: &String| sinks.iter().any(|id| glob(pattern, id));
    for component in components {
        match is_sink(&component) && !is_source(&component) {
            true => selection.inputs_of.push(component),
            false => selection.outputs_of.push(component),
        }
    }
    if selection.outputs_of.is_empty() && selection.inputs_of.is_empty() {
        selection.outputs_of.push("*".into());
    }
    // One with a `*` may come to fit something; a name alone is a slip.
    let mut names = selection
        .outputs_of
        .iter()
        .filter(|name| !is_source(name))
        .chain(selection.inputs_of.iter().filter(|name| !is_sink(name)));
    if let Some(name) = names.find(|name| !name.contains('*')) {
        let message = format!("the running host has no source or sink {name:?} to look at");
        return refusal(
            StatusCode::NOT_FOUND,
            message,
            Some("`tributary status` shows all sources, GET /v1/sinks all sinks"),
        );
    }
    let (reader, answer) = Reader::new(asked, place);
    let tap = control.tap(selection);
    tokio::spawn(async move {
        while let Some(sight) = reader.wait(tap.next()).await {
            let mut out = Vec::new();
            let events = sight.events.len() as u64;
            for seen in sight.events.iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
                reader.form.write(&mut out, &line(seen));
            }
            if sight.skipped > 0 && events < limit {
                reader.form.write_missing(&mut out, "skipped", sight.skipped);
            }
            limit = limit.saturating_sub(events);
            if !reader.send(out.into()).await || limit == 0 {
                return;
            }
        }
    });
    answer
}

/// What a tap says of an event.
#[derive(Serialize)]
struct Line<'a> {
    source: &'a str,
    tenant: &'a str,
    stream: &'a str,
    kind: &'a str,
    /// Which is given it.
    #[serde(skip_serializing_if = "Option::is_none")]
    sink: Option<&'a str>,
    event: &'a RawValue,
}

fn line(seen: &Seen) -> Vec<u8> {
    // Nothing looks into what passes, so nothing knows that a component wrote JSON.
    let text = || RawValue::from_string(json!(String::from_utf8_lossy(&seen.body)).to_string()).ok();
    let parsed = serde_json::from_slice::<&RawValue>(&seen.body).ok().map(ToOwned::to_owned);
    let Some(event) = parsed.or_else(text) else { return Vec::new() };
    let Seen { source, tenant, stream, kind, sink, .. } = seen;
    let line = Line { source, tenant, stream, kind, sink: sink.as_deref(), event: &event };
    // Texts and JSON are always written.
    serde_json::to_vec(&line).unwrap_or_default()
}

fn pairs(asked: &Asked) -> impl Iterator<Item = (String, String)> {
    let query = asked.query.as_deref().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).map(|(key, value)| (key.into_owned(), value.into_owned()))
}

fn wrong(message: String) -> Answer {
    refusal(StatusCode::BAD_REQUEST, message, None)
}

fn unknown(key: &str, known: &str) -> Answer {
    refusal(
        StatusCode::BAD_REQUEST,
        format!("{key:?} is nothing that can be asked here"),
        Some(&format!("Known are {known}")),
    )
}
