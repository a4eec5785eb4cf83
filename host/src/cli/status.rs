//! `tributary status`: the streams of the running host.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use tokio::runtime::Runtime;

use super::ask::RunningHost;
use super::exit;
use super::place::{Place, table, time};
use super::run::refused;
use crate::collect::{Checked, Finding, Verdict};
use crate::observe::view::{SinkView, SourceView, Sources, StreamView};
use crate::sandbox::NetworkCounts;

#[derive(Debug, Args)]
pub struct Status {
    /// Ids of the sources to show; all of them if none is named
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,

    /// Write JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub place: Place,
}

/// Shows what the running host says, and returns the exit code. Errors are those of `out`.
pub fn status(config: &Path, arguments: &Status, runtime: &Runtime, out: &mut impl Write) -> io::Result<u8> {
    let host = match running(&arguments.place, config, runtime) {
        Ok(host) => host,
        Err(code) => return Ok(code),
    };
    let mut shown: Sources = match host.get("/v1/sources") {
        Ok(sources) => sources,
        Err(code) => return Ok(code),
    };
    let named = &arguments.sources;
    if let Some(unknown) = named.iter().find(|name| !shown.sources.iter().any(|source| source.id == **name)) {
        let text = format!("the running host has no source {unknown:?}. Run `tributary status` to see all");
        return Ok(refused(exit::USAGE, &text));
    }
    shown.sources.retain(|source| named.is_empty() || named.contains(&source.id));
    if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &shown)?;
        writeln!(out)?;
        return Ok(exit::OK);
    }
    let rows: Vec<_> = shown
        .sources
        .iter()
        .flat_map(|source| source.streams.iter().map(move |stream| (source, stream)))
        .map(|(source, stream)| {
            [
                source.tenant.clone(),
                source.id.clone(),
                stream.stream.clone(),
                stream.state.clone(),
                stream.lag_ms.map_or_else(String::new, duration),
                stream.stored.accepted.to_string(),
                stream.newest_ms.map_or_else(String::new, time),
                trouble(stream),
            ]
        })
        .chain(shown.sources.iter().filter_map(misconfigured))
        .collect();
    table(out, ["TENANT", "SOURCE", "STREAM", "STATE", "LAG", "EVENTS", "NEWEST", ""], 4..6, &rows)?;
    for source in &shown.sources {
        let found = source.last_check.iter().flat_map(checked);
        for line in source.network.iter().flat_map(refusals).chain(found) {
            writeln!(out, "\n{}: {line}", source.id)?;
        }
    }
    for sink in &shown.sinks {
        if let Some(line) = sink_trouble(sink) {
            writeln!(out, "\n{line}")?;
        }
    }
    Ok(exit::OK)
}

/// What is wrong with a sink.
fn sink_trouble(SinkView { id, holds, queued_bytes, trouble }: &SinkView) -> Option<String> {
    let so = match holds {
        true => format!("positions stand still, {} KiB wait", queued_bytes / 1024),
        false => "what it does not take in time is lost to it".to_owned(),
    };
    trouble.as_ref().map(|why| format!("sink {id} takes nothing; {so}: {why}"))
}

/// The row of a source whose configuration is wrong.
fn misconfigured(source: &SourceView) -> Option<[String; 8]> {
    let why = source.misconfigured.as_ref()?;
    let (state, so) = match source.streams.is_empty() {
        true => ("not run", "its configuration is wrong"),
        false => ("", "it runs with the configuration that it had, for the new one is wrong"),
    };
    let [stream, lag, events, newest] = [const { String::new() }; 4];
    Some([source.tenant.clone(), source.id.clone(), stream, state.into(), lag, events, newest, format!("{so}: {why}")])
}

/// The host that runs with the state of `place`. Otherwise the exit code; why has been said.
pub fn running<'a>(place: &Place, config: &Path, runtime: &'a Runtime) -> Result<RunningHost<'a>, u8> {
    let folder = place.folder(config)?;
    RunningHost::find(&folder, runtime)?.ok_or_else(|| {
        let text = format!("no host runs with the state in {}. Start one with `tributary run`", folder.display());
        refused(exit::UNAVAILABLE, &text)
    })
}

fn trouble(stream: &StreamView) -> String {
    let held = stream.held.iter().map(|why| format!("positions stand still: {why}"));
    let next = stream.next_ms.filter(|_| stream.fault.is_some()).map(|next| format!("next try {}", time(next)));
    held.chain(stream.fault.clone()).chain(next).collect::<Vec<_>>().join("; ")
}

/// What the last check found wrong, where it found anything.
fn checked(checked: &Checked) -> impl Iterator<Item = String> {
    let at = time(checked.at_ms);
    let wrong =
        checked.findings.iter().filter(|finding| !matches!(finding.verdict, Verdict::Good | Verdict::NotLicensed));
    wrong.map(move |Finding { stream, result, next, .. }| {
        let stream = if stream.is_empty() { "the source" } else { stream };
        format!("the check of {at} found {stream} wrong: {result}. {next}")
    })
}

/// What its egress policy was about.
fn refusals(network: &NetworkCounts) -> Vec<String> {
    let last = network.last_refusal.as_deref().unwrap_or_default();
    let counted = |count: u64, what: &str| (count > 0).then(|| format!("{count} requests {what}. The last: {last}"));
    let denied = counted(network.denied, "were denied");
    let reported = counted(network.reported, "passed only because egress_mode is \"report\"");
    denied.into_iter().chain(reported).collect()
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
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_with_their_number_and_the_last() {
        let counts = NetworkCounts {
            denied: 3,
            last_refusal: Some("https://a.example is not named. Add it".into()),
            ..NetworkCounts::default()
        };
        assert_eq!(refusals(&counts), ["3 requests were denied. The last: https://a.example is not named. Add it"]);
        let reported = NetworkCounts { denied: 0, reported: 2, ..counts };
        assert!(refusals(&reported)[0].starts_with("2 requests passed only because egress_mode"));
        assert!(refusals(&NetworkCounts { requests: 9, ..NetworkCounts::default() }).is_empty());
    }

    #[test]
    fn a_check_tells_what_is_wrong() {
        let findings = vec![Finding::good("", "accepted"), Finding::passing("audit", "it failed (c)", "Try again")];
        let lines: Vec<String> = checked(&Checked::new(1_795_000_000_123, findings)).collect();
        let text = "the check of 2026-11-18T11:06:40.123Z found audit wrong: it failed (c). Try again";
        assert_eq!(lines, [text]);
    }

    #[test]
    fn a_sink_in_trouble_is_told() {
        let well = SinkView { id: "lake".into(), holds: true, queued_bytes: 4096, trouble: None };
        assert_eq!(sink_trouble(&well), None);
        let ill = SinkView { trouble: Some("it answers 401. Mend `token`".into()), ..well };
        let text = "sink lake takes nothing; positions stand still, 4 KiB wait: it answers 401. Mend `token`";
        assert_eq!(sink_trouble(&ill).unwrap(), text);
        assert!(sink_trouble(&SinkView { holds: false, ..ill }).unwrap().contains("is lost to it"));
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
