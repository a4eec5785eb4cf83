//! What a running host shows of itself, as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::page::Standing;
use crate::collect::{Checked, StreamStatus};
use crate::deliver::SinkStatus;
use crate::outside::Clock;
use crate::sandbox::NetworkCounts;
use crate::state::{Counts, Gap, StateError, Store, StreamKey, Summary, position};

/// The answer of `GET /v1/sources`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    pub sources: Vec<SourceView>,
    #[serde(default)]
    pub sinks: Vec<SinkView>,
}

/// One sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkView {
    pub id: String,
    /// Whether positions wait for it.
    pub holds: bool,
    /// Bytes in memory that it has not answered for.
    pub queued_bytes: u64,
    /// Why it takes nothing now, with what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl From<SinkStatus> for SinkView {
    fn from(SinkStatus { id, holds, queued_bytes, trouble, .. }: SinkStatus) -> Self {
        Self { id: id.to_string(), holds, queued_bytes: queued_bytes as u64, trouble }
    }
}

/// One source, with its streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceView {
    pub id: String,
    pub tenant: String,
    /// Where it is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkCounts>,
    pub streams: Vec<StreamView>,
    /// What is wrong with its configuration. If it has streams, they run with the one that it had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misconfigured: Option<String>,
    /// What the last check gave, since the source is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_check: Option<Checked>,
}

/// What a source that is run has beside its streams.
pub struct Facts {
    pub network: Option<NetworkCounts>,
    pub last_check: Option<Checked>,
}

/// The answer of `GET /v1/sources/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceDetail {
    #[serde(flatten)]
    pub source: SourceView,
    /// What is stored of its streams: positions, the ledger of all time, gaps.
    pub stored: Vec<Stored>,
}

impl SourceDetail {
    /// With what `store` has of the streams that run.
    pub fn read(source: SourceView, store: &Store) -> Result<Self, StateError> {
        let keys = source.streams.iter().map(|stream| StreamKey::new(&*source.id, &*stream.stream));
        let stored = keys.map(|key| Ok(Stored { gaps: store.gaps(&key)?, summary: store.summary(key)? }));
        let stored = stored.collect::<Result<_, StateError>>()?;
        Ok(Self { source, stored })
    }
}

/// One stream. Numbers count from the start of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamView {
    pub stream: String,
    /// As [`crate::collect::StreamState`] is written.
    pub state: String,
    /// Whether somebody on call wants to see it: it failed, what it read cannot be stored, or it is refused a log that is
    /// asked for by name. Always there: where a release does not say it, nobody may take that for no.
    pub in_trouble: bool,
    /// Whether the last poll reached the end of what the vendor has.
    pub caught_up: bool,
    /// Where it goes on after a restart, if anything is stored: the source's own words. The page's list is without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// How far behind the present it reads; none before the first event.
    pub lag_ms: Option<u64>,
    /// When the newest event happened, in milliseconds since the Unix epoch.
    pub newest_ms: Option<u64>,
    pub read: Counts,
    pub stored: Counts,
    /// Chunks between pull and store.
    pub in_flight: u64,
    pub polls: u64,
    pub faults: u64,
    /// The last fault, with what to do about it, until a success.
    pub fault: Option<String>,
    /// Its code: stable and short.
    #[serde(default)]
    pub fault_code: Option<String>,
    /// What to do about it.
    #[serde(default)]
    pub fault_hint: Option<String>,
    /// Why what was read cannot be stored for now.
    pub held: Option<String>,
    /// When it is read next, in milliseconds since the Unix epoch; none while it is read, and where it stands still.
    #[serde(default)]
    pub next_ms: Option<u64>,
}

impl Sources {
    /// `statuses` are those of all streams, by source; `wrong` is what is wrong with the configuration of sources; `facts`
    /// are those of a source that is run; `is_named` says whether the operator has asked for a stream by name.
    pub fn of(
        statuses: &[StreamStatus],
        mut wrong: BTreeMap<String, String>,
        facts: impl Fn(&str) -> Option<Facts>,
        is_named: impl Fn(&str, &str) -> bool,
        sinks: Vec<SinkStatus>,
        clock: Clock,
    ) -> Self {
        let now = clock.nanos();
        let sources = statuses.chunk_by(|a, b| Arc::ptr_eq(&a.source, &b.source) || a.source == b.source);
        let mut source = |streams: &[StreamStatus]| {
            let facts = facts(&streams[0].source);
            let (network, last_check) = facts.map(|facts| (facts.network, facts.last_check)).unwrap_or_default();
            SourceView {
                misconfigured: wrong.remove(&*streams[0].source),
                id: streams[0].source.to_string(),
                tenant: streams[0].tenant.to_string(),
                network,
                streams: streams.iter().map(|status| StreamView::of(status, now, &is_named)).collect(),
                last_check,
            }
        };
        let mut sources: Vec<SourceView> = sources.map(&mut source).collect();
        sources.extend(wrong.into_iter().map(|(id, why)| SourceView {
            tenant: id.clone(),
            id,
            streams: Vec::new(),
            network: None,
            misconfigured: Some(why),
            last_check: None,
        }));
        Self { sources, sinks: sinks.into_iter().map(SinkView::from).collect() }
    }

    /// With the positions that `store` has.
    pub fn with_positions(mut self, store: &Store) -> Result<Self, StateError> {
        let streams = |source: &SourceView| -> Vec<StreamKey> {
            source.streams.iter().map(|stream| StreamKey::new(&*source.id, &*stream.stream)).collect()
        };
        let keys: Vec<StreamKey> = self.sources.iter().flat_map(streams).collect();
        let shown = self.sources.iter_mut().flat_map(|source| &mut source.streams);
        for (stream, position) in shown.zip(store.positions(&keys)?) {
            stream.position = position.as_deref().map(position::text);
        }
        Ok(self)
    }
}

impl StreamView {
    fn of(status: &StreamStatus, now: u64, is_named: impl Fn(&str, &str) -> bool) -> Self {
        let millis = |nanos: u64| Duration::from_nanos(nanos).as_millis() as u64;
        let cause = status.cause.as_deref();
        Self {
            stream: status.stream.to_string(),
            state: status.state.to_string(),
            in_trouble: Standing::of(status, is_named).is_trouble(),
            caught_up: status.caught_up,
            position: None,
            lag_ms: status.lag(now).map(millis),
            newest_ms: status.newest.map(millis),
            read: status.read.clone(),
            stored: status.stored.clone(),
            in_flight: status.in_flight,
            polls: status.polls,
            faults: status.faults,
            fault: status.fault.clone(),
            fault_code: cause.map(|cause| cause.code.clone()),
            fault_hint: cause.and_then(|cause| cause.hint.clone()),
            held: status.held.clone(),
            next_ms: status.next.map(millis),
        }
    }
}

/// A line of the answers of `GET /v1/state` and `GET /v1/state/health`. Without its end it is not whole.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateLine {
    /// What is stored of one stream.
    Stream(Box<Stored>),
    /// A health event of this source.
    Health(String, Box<RawValue>),
    /// So many were before it.
    End(u64),
    /// Why there is no more.
    Failed(String),
}

/// What is stored of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    pub summary: Summary,
    pub gaps: Vec<Gap>,
}

impl Stored {
    /// Everything in `store`, a stream at a time.
    pub fn read(store: &Store) -> Result<impl Iterator<Item = Result<Self, StateError>>, StateError> {
        let streams = store.streams()?;
        Ok(streams.into_iter().map(|key| Ok(Self { gaps: store.gaps(&key)?, summary: store.summary(key)? })))
    }
}

/// Writes all that is stored of streams as lines. Errors are those of `out`.
pub fn write_state(store: &Store, out: &mut impl Write) -> io::Result<()> {
    write_lines(out, |put| {
        for stored in Stored::read(store)? {
            put(StateLine::Stream(Box::new(stored?)))?;
        }
        Ok(())
    })
}

/// Writes the health events that are kept as lines, oldest first of each source. Errors are those of `out`.
pub fn write_health(store: &Store, out: &mut impl Write) -> io::Result<()> {
    write_lines(out, |put| {
        for source in store.health_sources()? {
            for event in store.health(&source)? {
                // What was kept is JSON.
                let Ok(event) = String::from_utf8(event)
                    .map_err(|_| ())
                    .and_then(|text| RawValue::from_string(text).map_err(|_| ()))
                else {
                    continue;
                };
                put(StateLine::Health(source.clone(), event))?;
            }
        }
        Ok(())
    })
}

/// Why lines end early.
enum Broken {
    State(StateError),
    Out(io::Error),
}

impl From<StateError> for Broken {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// What puts a line.
type Put<'a> = &'a mut dyn FnMut(StateLine) -> Result<(), Broken>;

/// Writes the lines that `all` puts, and how they end.
fn write_lines(out: &mut impl Write, all: impl FnOnce(Put<'_>) -> Result<(), Broken>) -> io::Result<()> {
    let mut write = |line: &StateLine| {
        serde_json::to_writer(&mut *out, line)?;
        out.write_all(b"\n")
    };
    let mut lines = 0;
    let ended = all(&mut |line| {
        lines += 1;
        write(&line).map_err(Broken::Out)
    });
    match ended {
        Ok(()) => write(&StateLine::End(lines)),
        Err(Broken::State(error)) => write(&StateLine::Failed(error.to_string())),
        Err(Broken::Out(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_does_not_say_what_is_in_trouble_is_not_taken_for_good_news() {
        let stream = |in_trouble: &str| {
            let counts = serde_json::to_string(&Counts::default()).unwrap();
            let text = format!(
                r#"{{"stream":"audit","state":"error",{in_trouble}"caught_up":false,"lag_ms":null,"newest_ms":null,
                "read":{counts},"stored":{counts},"in_flight":0,"polls":1,"faults":1,"fault":"no","held":null}}"#
            );
            serde_json::from_str::<StreamView>(&text)
        };
        assert!(stream(r#""in_trouble":true,"#).unwrap().in_trouble);
        assert!(stream("").unwrap_err().to_string().contains("in_trouble"));
    }
}
