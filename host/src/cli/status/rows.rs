//! The rows of `tributary status`: sources in trouble first, and what several streams of one share once.

use std::collections::BTreeMap;

use super::super::place::time;
use crate::observe::view::{SinkView, SourceView, StreamView};

/// What a row has.
pub const TITLES: [&str; 8] = ["TENANT", "SOURCE", "STREAM", "STATE", "LAG", "EVENTS", "NEWEST", ""];

pub type Row = [String; TITLES.len()];

/// Whether somebody has to look at it.
pub fn in_trouble(source: &SourceView) -> bool {
    source.misconfigured.is_some() || source.streams.iter().any(|stream| stream.in_trouble)
}

/// Puts what is in trouble first, and leaves the order as it is beside that.
pub fn trouble_first(sources: &mut [SourceView]) {
    sources.sort_by_key(|source| !in_trouble(source));
}

/// The rows of one source, or only those in trouble. Streams that have the same trouble are one.
pub fn rows(source: &SourceView, trouble_alone: bool) -> Vec<Row> {
    let mut groups: Vec<(Option<String>, Vec<&StreamView>)> = Vec::new();
    for stream in source.streams.iter().filter(|stream| !trouble_alone || stream.in_trouble) {
        let why = trouble(stream);
        match groups.iter_mut().find(|(other, _)| why.is_some() && *other == why) {
            Some((_, streams)) => streams.push(stream),
            None => groups.push((why, vec![stream])),
        }
    }
    let all = source.streams.len();
    let rows = groups.into_iter().map(|(why, streams)| row(source, &streams, all, why));
    rows.chain(misconfigured(source)).collect()
}

/// One row of `streams`, which have the same trouble, or of one alone.
fn row(source: &SourceView, streams: &[&StreamView], all: usize, why: Option<String>) -> Row {
    let names = || streams.iter().map(|stream| &*stream.stream);
    let name = match streams.len() {
        1 => names().collect(),
        count if count == all => format!("all {all} streams"),
        count => format!("{count} of {all} streams"),
    };
    let mut states: Vec<&str> = streams.iter().map(|stream| &*stream.state).collect();
    states.sort_unstable();
    states.dedup();
    let next = streams.iter().filter(|stream| stream.fault.is_some()).filter_map(|stream| stream.next_ms).min();
    let next = next.map(|next| format!("next try {}", time(next)));
    let which = (1 < streams.len() && streams.len() < all).then(|| names().collect::<Vec<_>>().join(", "));
    [
        source.tenant.clone(),
        source.id.clone(),
        name,
        states.join(", "),
        streams.iter().filter_map(|stream| stream.lag_ms).max().map_or_else(String::new, duration),
        streams.iter().map(|stream| stream.stored.accepted).sum::<u64>().to_string(),
        streams.iter().filter_map(|stream| stream.newest_ms).max().map_or_else(String::new, time),
        why.into_iter().chain(next).chain(which).collect::<Vec<_>>().join("; "),
    ]
}

/// What is wrong with a stream, in words that are the same for another with the same trouble.
fn trouble(stream: &StreamView) -> Option<String> {
    let held = stream.held.iter().map(|why| format!("positions stand still: {why}"));
    let why: Vec<String> = held.chain(stream.fault.clone()).collect();
    (!why.is_empty()).then(|| why.join("; "))
}

/// The row of a source whose configuration is wrong.
fn misconfigured(source: &SourceView) -> Option<Row> {
    let why = source.misconfigured.as_ref()?;
    let (state, so) = match source.streams.is_empty() {
        true => ("not run", "its configuration is wrong"),
        false => ("", "it runs with the configuration that it had, for the new one is wrong"),
    };
    let [stream, lag, events, newest] = [const { String::new() }; 4];
    Some([source.tenant.clone(), source.id.clone(), stream, state.into(), lag, events, newest, format!("{so}: {why}")])
}

/// What there is, in one line: how many streams are in which state, most first, and what is in trouble.
/// That a sink takes nothing is no trouble of a stream: it collects, and its positions wait.
pub fn summary(sources: &[SourceView], sinks: &[SinkView]) -> String {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    let streams = || sources.iter().flat_map(|source| &source.streams);
    streams().for_each(|stream| *states.entry(&stream.state).or_default() += 1);
    let mut states: Vec<(&str, usize)> = states.into_iter().collect();
    states.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let states: Vec<String> = states.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
    let colon = if states.is_empty() { "" } else { ": " };
    let counted = format!(
        "{}, {}{colon}{}",
        counted(sources.len(), "source"),
        counted(streams().count(), "stream"),
        states.join(", ")
    );
    let mut ill = Vec::new();
    let ill_sources = sources.iter().filter(|source| in_trouble(source)).count();
    if ill_sources > 0 {
        let streams = streams().filter(|stream| stream.in_trouble).count();
        ill.extend([self::counted(ill_sources, "source"), self::counted(streams, "stream")]);
    }
    let ill_sinks = sinks.iter().filter(|sink| sink.trouble.is_some()).count();
    if ill_sinks > 0 {
        ill.push(self::counted(ill_sinks, "sink"));
    }
    match ill.is_empty() {
        true => format!("{counted}. Nothing is in trouble"),
        false => format!("{counted}. In trouble: {}", ill.join(", ")),
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The largest unit that has a whole number of them, and the next one.
fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m{s:02}s"),
        (0, h, m, _) => format!("{h}h{m:02}m"),
        (d, h, ..) => format!("{d}d{h:02}h"),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A stream that collects, or has this fault.
    pub fn stream(name: &str, fault: Option<&str>) -> StreamView {
        StreamView {
            stream: name.into(),
            state: if fault.is_some() { "error" } else { "collecting" }.into(),
            in_trouble: fault.is_some(),
            caught_up: fault.is_none(),
            position: None,
            lag_ms: Some(if fault.is_some() { 61_000 } else { 0 }),
            newest_ms: Some(1_795_000_000_123),
            read: Default::default(),
            stored: crate::state::Counts { accepted: 5, ..Default::default() },
            in_flight: 0,
            polls: 1,
            faults: 1,
            fault: fault.map(Into::into),
            fault_code: None,
            fault_hint: None,
            held: None,
            next_ms: fault.map(|_| 1_795_000_060_000 + name.len() as u64),
        }
    }

    pub fn source(id: &str, streams: Vec<StreamView>) -> SourceView {
        let (network, misconfigured, last_check) = Default::default();
        SourceView { id: id.into(), tenant: format!("Tenant {id}"), network, streams, misconfigured, last_check }
    }

    const WHY: &str = "It is refused (no). Ask Ann";

    #[test]
    fn what_streams_share_is_told_once() {
        let of = |streams: Vec<StreamView>| -> Vec<Vec<String>> {
            rows(&source("acme", streams), false).into_iter().map(|row| row[2..].to_vec()).collect()
        };
        let (newest, next) = ("2026-11-18T11:06:40.123Z", "next try 2026-11-18T11:07:40");
        let all = of(vec![stream("audit", Some(WHY)), stream("dlp", Some(WHY))]);
        assert_eq!(all, [["all 2 streams", "error", "1m01s", "10", newest, &format!("{WHY}; {next}.003Z")]]);
        let some = of(vec![
            stream("audit", Some(WHY)),
            stream("siem", None),
            stream("mail", Some("It is away")),
            StreamView { state: "started".into(), ..stream("dlp", Some(WHY)) },
            stream("url", None),
        ]);
        assert_eq!(
            some,
            [
                ["2 of 5 streams", "error, started", "1m01s", "10", newest, &format!("{WHY}; {next}.003Z; audit, dlp")],
                ["siem", "collecting", "0s", "5", newest, ""],
                ["mail", "error", "1m01s", "5", newest, &format!("It is away; {next}.004Z")],
                ["url", "collecting", "0s", "5", newest, ""],
            ]
        );
        let held = of(vec![StreamView { held: Some("no room".into()), ..stream("siem", None) }]);
        assert_eq!(held[0][5], "positions stand still: no room");
    }

    #[test]
    fn trouble_comes_first_and_the_end_sums_it_up() {
        let wrong = SourceView { misconfigured: Some("no key".into()), ..source("zeta", Vec::new()) };
        let well = || source("acme", vec![stream("audit", None), stream("siem", None)]);
        let ill = source("initech", vec![stream("audit", None), stream("siem", Some(WHY))]);
        let mut sources = vec![well(), source("beta", Vec::new()), ill, wrong];
        trouble_first(&mut sources);
        let order: Vec<&str> = sources.iter().map(|source| &*source.id).collect();
        assert_eq!(order, ["initech", "zeta", "acme", "beta"]);
        let text = "4 sources, 4 streams: 3 collecting, 1 error. In trouble: 2 sources, 1 stream";
        assert_eq!(summary(&sources, &[]), text);
        assert_eq!(summary(&[well()], &[]), "1 source, 2 streams: 2 collecting. Nothing is in trouble");
        assert_eq!(summary(&[], &[]), "0 sources, 0 streams. Nothing is in trouble");
        // A sink that takes nothing leaves its streams collecting.
        let lake = SinkView { id: "lake".into(), holds: true, queued_bytes: 0, trouble: None };
        let sinks = [SinkView { trouble: Some("401".into()), ..lake.clone() }, lake];
        assert_eq!(summary(&sources, &sinks), format!("{text}, 1 sink"));
        assert_eq!(summary(&[well()], &sinks), "1 source, 2 streams: 2 collecting. In trouble: 1 sink");
        assert!(summary(&[well()], &sinks[1..]).ends_with("Nothing is in trouble"));
        let row = &rows(&sources[1], true)[0];
        assert_eq!((&*row[3], &*row[7]), ("not run", "its configuration is wrong: no key"));
    }

    #[test]
    fn durations_are_short() {
        for (ms, text) in [
            (0, "0s"),
            (59_999, "59s"),
            (60_000, "1m00s"),
            (3_600_000 + 61_000, "1h01m"),
            (7 * 86_400_000 + 3_600_000, "7d01h"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }
}
