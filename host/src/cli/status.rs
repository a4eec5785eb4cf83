//! `tributary status`: the streams of the running host.

mod rows;

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use tokio::runtime::Runtime;

use super::ask::RunningHost;
use super::exit;
use super::place::{Place, table, time, told};
use super::run::refused;
use crate::collect::{Checked, Finding, Verdict};
use crate::config::glob;
use crate::observe::view::{SinkView, SourceView, Sources};
use crate::sandbox::NetworkCounts;
use crate::state::{self, StateError};

#[derive(Debug, Args)]
pub struct Status {
    /// Ids of the sources to show, in which `*` stands for any characters; all of them if none is named
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,

    /// Only the sources of this tenant; `*` stands for any characters. May be given several times
    #[arg(long = "tenant", value_name = "TENANT")]
    pub tenants: Vec<String>,

    /// Only what is in trouble
    #[arg(long)]
    pub trouble: bool,

    /// Write JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub place: Place,
}

impl Status {
    /// Leaves out what is not asked for. The error names what is asked for in vain.
    fn select(&self, shown: &mut Sources) -> Result<(), String> {
        let fits =
            |patterns: &[String], name: &str| patterns.is_empty() || patterns.iter().any(|pattern| glob(pattern, name));
        let vain = |patterns: &[String], what, name: fn(&SourceView) -> &str| {
            let vain = patterns.iter().find(|pattern| !shown.sources.iter().any(|source| glob(pattern, name(source))));
            vain.map(|vain| format!("the running host has no {what} {vain:?}. Run `tributary status` to see all"))
        };
        let unknown = vain(&self.sources, "source", |source| &source.id);
        if let Some(text) = unknown.or_else(|| vain(&self.tenants, "source of a tenant", |source| &source.tenant)) {
            return Err(text);
        }
        shown.sources.retain(|source| fits(&self.sources, &source.id) && fits(&self.tenants, &source.tenant));
        Ok(())
    }
}

/// Leaves only what is in trouble.
fn keep_trouble(shown: &mut Sources) {
    shown.sources.retain(rows::in_trouble);
    for source in &mut shown.sources {
        // A source with a wrong configuration and no streams is not run at all.
        let all = source.misconfigured.is_some();
        source.streams.retain(|stream| all || stream.in_trouble);
    }
    shown.sinks.retain(|sink| sink.trouble.is_some());
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
    if let Err(text) = arguments.select(&mut shown) {
        return Ok(refused(exit::USAGE, &text));
    }
    let summary = rows::summary(&shown.sources, &shown.sinks);
    if arguments.json {
        if arguments.trouble {
            keep_trouble(&mut shown);
        }
        serde_json::to_writer_pretty(&mut *out, &shown)?;
        writeln!(out)?;
        return Ok(exit::OK);
    }
    rows::trouble_first(&mut shown.sources);
    show(&shown, arguments.trouble, out)?;
    writeln!(out, "\n{summary}")?;
    Ok(exit::OK)
}

/// Writes the rows, and what belongs to no row under them.
fn show(shown: &Sources, trouble: bool, out: &mut impl Write) -> io::Result<()> {
    let sources = || shown.sources.iter().filter(|source| !trouble || rows::in_trouble(source));
    let rows: Vec<rows::Row> = sources().flat_map(|source| rows::rows(source, trouble)).collect();
    if !rows.is_empty() || !trouble {
        table(out, rows::TITLES, 4..6, &rows)?;
    }
    for source in sources() {
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
    Ok(())
}

/// What is wrong with a sink.
fn sink_trouble(SinkView { id, holds, queued_bytes, trouble }: &SinkView) -> Option<String> {
    let so = match (holds, queued_bytes) {
        (true, 0) => "is in trouble; nothing waits for it now".to_owned(),
        (true, bytes) => format!("takes nothing; positions stand still, {} KiB wait", bytes.div_ceil(1024)),
        (false, _) => "takes nothing; what it does not take in time is lost to it".to_owned(),
    };
    trouble.as_ref().map(|why| format!("sink {id} {so}: {why}"))
}

/// The host that runs with the state of `place`. Otherwise the exit code; why has been said.
pub fn running<'a>(place: &Place, config: &Path, runtime: &'a Runtime) -> Result<RunningHost<'a>, u8> {
    let folder = place.folder(config)?;
    RunningHost::find(&folder, runtime)?.ok_or_else(|| match state::is_free(&folder) {
        Err(held @ StateError::InUse { .. }) => refused(exit::UNAVAILABLE, &unanswered(&held)),
        Err(error) => told(&error),
        Ok(()) => {
            let text = format!("no host runs with the state in {}. Start one with `tributary run`", folder.display());
            refused(exit::UNAVAILABLE, &text)
        }
    })
}

/// What is to be said of a state that is held by a process that has no socket.
pub fn unanswered(held: &StateError) -> String {
    format!(
        "{}, which has no socket to be asked at: it runs with `api.enabled = false`, has only begun, has a data_dir too long for one, or is another verb. \
         Look at its page or log, or set api.enabled = true and restart it",
        held.what()
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Sources with these streams, of which those with a mark are in trouble.
    fn shown() -> Sources {
        let source = |id: &str, streams: &[&str]| {
            let streams =
                streams.iter().map(|name| rows::tests::stream(name, name.contains('!').then_some("It is away")));
            rows::tests::source(id, streams.collect())
        };
        let sources =
            vec![source("acme-eu", &["a"]), source("acme-us", &["a!", "b"]), source("globex", &["a", "b", "c!", "d!"])];
        Sources { sources, sinks: Vec::new() }
    }

    fn asked(sources: &[&str], tenants: &[&str], trouble: bool) -> Status {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let place = Place { data_dir: None };
        Status { sources: owned(sources), tenants: owned(tenants), trouble, json: false, place }
    }

    #[test]
    fn sources_and_tenants_are_chosen_by_patterns() {
        let chosen = |sources: &[&str], tenants: &[&str]| {
            let mut shown = shown();
            asked(sources, tenants, false).select(&mut shown)?;
            Ok(shown.sources.into_iter().map(|source| source.id).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(chosen(&[], &[]), Ok("acme-eu acme-us globex".into()));
        assert_eq!(chosen(&["acme-*"], &[]), Ok("acme-eu acme-us".into()));
        assert_eq!(chosen(&["acme-us", "glo*"], &[]), Ok("acme-us globex".into()));
        assert_eq!(chosen(&["acme-*"], &["Tenant *-us", "Tenant globex"]), Ok("acme-us".into()));
        let error: Result<String, String> = chosen(&["globex", "acme"], &[]);
        assert!(error.unwrap_err().contains("no source \"acme\""));
        assert!(chosen(&[], &["tenant *"]).unwrap_err().contains("tenant *"));
    }

    #[test]
    fn trouble_alone_is_shown_where_it_is_asked_for() {
        let text = |shown: &Sources, trouble| {
            let mut out = Vec::new();
            show(shown, trouble, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            let cells = |line: &str| line.split_whitespace().skip(2).take(3).collect::<Vec<_>>().join(" ");
            text.lines().map(cells).collect::<Vec<_>>()
        };
        assert_eq!(text(&shown(), true), ["STREAM STATE LAG", "acme-us a! error", "globex 2 of"]);
        assert_eq!(text(&shown(), false).len(), 1 + 1 + 2 + 3);
        let mut json = shown();
        keep_trouble(&mut json);
        let streams: Vec<_> = json.sources.iter().map(|source| (&*source.id, source.streams.len())).collect();
        assert_eq!(streams, [("acme-us", 1), ("globex", 2)]);
        let well = Sources { sources: vec![shown().sources.remove(0)], sinks: Vec::new() };
        assert!(text(&well, true).is_empty());
    }

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
        assert!(sink_trouble(&SinkView { holds: false, ..ill.clone() }).unwrap().contains("is lost to it"));
        let idle = sink_trouble(&SinkView { queued_bytes: 0, ..ill }).unwrap();
        assert_eq!(idle, "sink lake is in trouble; nothing waits for it now: it answers 401. Mend `token`");
    }
}
