//! Which streams, and how each is read: `collect`, `siem_mode`, `intervals`, `overlaps`, `page_sizes`.

use super::mistakes::Mistakes;
use super::span::{self, DAY, MINUTE, SECOND};
use super::value::{Values, path, shown};
use super::{Config, StartAt, fault};
use crate::catalog::{self, Stream};
use crate::chunk::Fault;
use crate::code::Code;
use crate::kind::Generation;

/// How API 2.0 gives its SIEM logs of the Cloud Gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SiemMode {
    /// Files of a type, kept for seven days: a stream for each type.
    #[default]
    Batch,
    /// Events of all types in one cursor, kept for a day.
    Stream,
}

/// What an operator has set for single streams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tuning {
    /// In nanoseconds.
    intervals: Vec<(Stream, u64)>,
    /// In nanoseconds.
    overlaps: Vec<(Stream, u64)>,
    page_sizes: Vec<(Stream, u32)>,
}

impl Config {
    /// From the start of one poll to the start of the next, in nanoseconds.
    pub fn interval(&self, stream: Stream) -> u64 {
        find(&self.tuning.intervals, stream).unwrap_or(stream.interval())
    }

    /// How far behind the present the stream is read again, because records appear late; in nanoseconds.
    pub fn overlap(&self, stream: Stream) -> u64 {
        find(&self.tuning.overlaps, stream).or(stream.overlap()).unwrap_or(0)
    }

    /// Files or rows of a page; zero where the vendor decides.
    pub fn page_size(&self, stream: Stream) -> u32 {
        find(&self.tuning.page_sizes, stream).or(stream.page_sizes().map(|(size, _)| size)).unwrap_or(0)
    }
}

fn find<T: Copy>(list: &[(Stream, T)], stream: Stream) -> Option<T> {
    list.iter().find(|(of, _)| *of == stream).map(|(_, value)| *value)
}

fn api(generation: Generation) -> &'static str {
    if generation == Generation::V1 { "1.0" } else { "2.0" }
}

pub(super) fn siem_mode(values: &Values, generation: Generation) -> Result<SiemMode, Fault> {
    let Some(text) = values.text("siem_mode")? else {
        return Ok(SiemMode::default());
    };
    if generation == Generation::V1 {
        return Err(fault(Code::WrongGeneration, "`siem_mode` belongs to API 2.0, but `api` is \"1.0\"")
            .hint("Remove `siem_mode`: API 1.0 has one way only, the stream `siem`"));
    }
    match text.trim() {
        "batch" => Ok(SiemMode::Batch),
        "stream" => Ok(SiemMode::Stream),
        _ => Err(fault(
            Code::BadValue,
            format!("`siem_mode` is \"{}\", which is no way to read SIEM logs", shown(&text)),
        )
        .hint("Set it to \"batch\", the default, or to \"stream\"")),
    }
}

/// Streams that this mode leaves out.
fn is_left_out(stream: Stream, mode: SiemMode) -> bool {
    match mode {
        SiemMode::Batch => stream == Stream::SiemEvents,
        SiemMode::Stream => matches!(stream, Stream::SiemBatch(kind) if !kind.is_cloud()),
    }
}

/// The streams that a key names, in this generation.
fn named(key: &str, name: &str, generation: Generation) -> Result<Vec<Stream>, Fault> {
    let found = catalog::named(name);
    let (ours, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|stream| stream.is_of(generation));
    if !ours.is_empty() {
        return Ok(ours);
    }
    let name = shown(name);
    let known: Vec<&str> = Stream::of(generation).into_iter().map(Stream::name).collect();
    let hint = format!(
        "Choose from: {}; or the groups siem, cloud, ttp, held, threat_intel, archive, as far as they are in this list",
        known.join(", ")
    );
    let api = api(generation);
    let Some(other) = others.first().and_then(|stream| stream.only()) else {
        return Err(
            fault(Code::UnknownStream, format!("`{key}` names \"{name}\", which is no stream of API {api}")).hint(hint)
        );
    };
    let other = self::api(other);
    Err(fault(
        Code::WrongGeneration,
        format!("`{key}` names \"{name}\", which only API {other} has, but `api` is \"{api}\""),
    )
    .hint(hint))
}

/// Names and groups of streams, to streams. Without a mode, which is wrong then, none of them is left out.
pub(super) fn collect(
    values: &Values,
    generation: Generation,
    mode: Option<SiemMode>,
    found: &mut Mistakes,
) -> Vec<Stream> {
    let left_out = |stream: &Stream| mode.is_some_and(|mode| is_left_out(*stream, mode));
    let all = Stream::of(generation).into_iter().filter(|stream| !left_out(stream));
    let wanted = match found.keep(values.list("collect")) {
        Some(Some(wanted)) => wanted,
        Some(None) => return all.collect(),
        None => return Vec::new(),
    };
    if wanted.is_empty() {
        found.note(
            fault(Code::BadValue, "`collect` is empty, so nothing would be collected")
                .hint("Name at least one stream, or remove `collect` to get all"),
        );
    }
    let mut selected = Vec::new();
    for name in &wanted {
        let Some(named) = found.keep(named("collect", name, generation)) else { continue };
        if named.iter().all(left_out) {
            let (is, other) = match mode {
                Some(SiemMode::Stream) => ("stream", "batch"),
                _ => ("batch", "stream"),
            };
            let message = format!("`collect` names \"{}\", but `siem_mode` is \"{is}\"", shown(name));
            let hint = format!("Set `siem_mode` to \"{other}\", or name \"siem\" to get what the mode gives");
            found.note(fault(Code::BadValue, message).hint(hint));
        }
        selected.extend(named);
    }
    all.filter(|stream| selected.contains(stream)).collect()
}

/// Shorter, a poll would not be over before the next one.
const INTERVAL_LEAST: u64 = 10 * SECOND;
const INTERVAL_MOST: u64 = DAY;
const OVERLAP_LEAST: u64 = MINUTE;
const OVERLAP_MOST: u64 = 7 * DAY;

pub(super) fn tuning(values: &Values, generation: Generation, found: &mut Mistakes) -> Tuning {
    let intervals = map(values, "intervals", generation, found, |key, _, value| {
        duration(key, value, INTERVAL_LEAST, INTERVAL_MOST)
    });
    let overlaps = map(values, "overlaps", generation, found, |key, stream, value| {
        let overlap = duration(key, value, OVERLAP_LEAST, OVERLAP_MOST)?;
        match stream.overlap() {
            Some(_) if overlap < stream.retention() => Ok(overlap),
            Some(_) => {
                Err(fault(Code::BadValue, format!("`{key}` is no shorter than Mimecast keeps {}", stream.name()))
                    .hint(format!("Set less than {} h", stream.retention() / span::HOUR)))
            }
            None => Err(fault(Code::BadValue, format!("`{key}` is set, but {} goes on by a token", stream.name()))
                .hint(format!("Remove `{key}`: nothing is read twice there"))),
        }
    });
    let page_sizes = map(values, "page_sizes", generation, found, |key, stream, value| match stream.page_sizes() {
        Some((_, most)) => super::value::integer(key, value, 1, most),
        None => Err(fault(
            Code::BadValue,
            format!("`{key}` is set, but Mimecast decides how much {} answers", stream.name()),
        )
        .hint(format!("Remove `{key}`"))),
    });
    Tuning { intervals, overlaps, page_sizes }
}

/// A map from names and groups to values; a stream's own name goes before its group's.
fn map<T: Copy>(
    values: &Values,
    key: &str,
    generation: Generation,
    found: &mut Mistakes,
    read: impl Fn(&str, Stream, &serde_json::Value) -> Result<T, Fault>,
) -> Vec<(Stream, T)> {
    let (mut exact, mut by_group) = (Vec::new(), Vec::new());
    let entry = |name: &str, value| {
        let full = path(key, name);
        let streams = named(&full, name, generation)?.into_iter();
        streams.map(|stream| Ok((stream, read(&full, stream, value)?))).collect::<Result<Vec<_>, Fault>>()
    };
    for (name, value) in found.keep(values.map(key)).into_iter().flatten() {
        let mut streams = found.keep(entry(name, value)).unwrap_or_default();
        let list = if let [_] = streams.as_slice() { &mut exact } else { &mut by_group };
        list.append(&mut streams);
    }
    exact.append(&mut by_group);
    exact
}

fn duration(key: &str, value: &serde_json::Value, least: u64, most: u64) -> Result<u64, Fault> {
    let known = value.as_str().and_then(span::duration).filter(|span| (least..=most).contains(span));
    known.ok_or_else(|| {
        fault(Code::BadValue, format!("`{key}` is not a duration within its limits")).hint(format!(
            "Use seconds, minutes or hours such as \"30m\", from {}s to {}h",
            least / SECOND,
            most / span::HOUR
        ))
    })
}

pub(super) fn start_at(values: &Values) -> Result<StartAt, Fault> {
    let Some(text) = values.text("start_at")? else {
        return Ok(StartAt::Ago(7 * DAY));
    };
    span::duration(&text).map(StartAt::Ago).or_else(|| span::instant(&text).map(StartAt::At)).ok_or_else(|| {
        let message = format!("`start_at` is \"{}\", which is neither a duration nor a time", shown(&text));
        fault(Code::BadStart, message)
            .hint("Use a duration such as \"7d\" or \"36h\", or a time such as \"2026-03-01T00:00:00Z\"")
    })
}
