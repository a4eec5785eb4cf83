//! `tributary check`: tries the credentials and one call for each stream, and stores nothing.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::ask::RunningHost;
use super::{Check, exit};
use crate::collect::{self, Finding, StreamState, Verdict};
use crate::config::{self, Problem, Source};
use crate::observe::view::Sources;
use crate::outside::Outside;
use crate::sandbox::{Fault, FaultClass, GuestError};
use crate::sinks;
use crate::{Host, Options, SourceReason};

/// Sources that are checked at the same time.
const SOURCES: usize = 8;

/// What one try gave.
struct Line {
    source: String,
    /// Empty for what concerns the whole source.
    stream: String,
    code: u8,
    result: String,
    next: String,
}

/// What a check gave.
struct Checked {
    code: u8,
    data_dir: PathBuf,
    /// Sources with which all is well.
    good: Vec<String>,
}

/// Checks the sources that `arguments` names, and returns the exit code: the gravest of all. A host that runs with this
/// configuration tries at once what was wrong and is well now. Errors are those of writing to `out`.
pub fn check(path: &Path, arguments: &Check, runtime: &Runtime, out: &mut impl Write) -> io::Result<u8> {
    match runtime.block_on(try_all(path, arguments, out))? {
        Err(code) => Ok(code),
        Ok(checked) if arguments.json => resume(&checked, runtime, &mut io::stderr()).map(|()| checked.code),
        Ok(checked) => resume(&checked, runtime, out).map(|()| checked.code),
    }
}

/// Tells the host, if one runs, which sources are well. It is no fault of theirs if that cannot be done: why has been said.
fn resume(checked: &Checked, runtime: &Runtime, out: &mut impl Write) -> io::Result<()> {
    let Ok(Some(host)) = RunningHost::find(&checked.data_dir, runtime) else { return Ok(()) };
    let Ok(running) = host.get::<Sources>("/v1/sources") else { return Ok(()) };
    let wrong = [StreamState::Error, StreamState::NotLicensed, StreamState::Stopped].map(|state| state.to_string());
    for source in running.sources.iter().filter(|source| checked.good.contains(&source.id)) {
        let waits = source.streams.iter().any(|stream| wrong.contains(&stream.state));
        let path = format!("/v1/sources/{}/restart", source.id);
        if waits && host.ask(Method::POST, &path, Vec::new()).and_then(|answer| answer.good().map(drop)).is_ok() {
            writeln!(out, "\nThe running host had given up streams of {}, and tries them again now.", source.id)?;
        }
    }
    Ok(())
}

/// Otherwise the exit code; why has been said.
async fn try_all(path: &Path, arguments: &Check, out: &mut impl Write) -> io::Result<Result<Checked, u8>> {
    let config = match config::load(path) {
        Ok(loaded) => loaded.config,
        Err(error) => {
            eprintln!("tributary: {error}");
            return Ok(Err(exit::CONFIGURATION));
        }
    };
    let named = |id: &str| arguments.sources.is_empty() || arguments.sources.iter().any(|source| source == id);
    if let Some(unknown) = arguments.sources.iter().find(|id| !config.keeps(id)) {
        let known: Vec<&str> = config.sources.keys().map(String::as_str).collect();
        eprintln!("tributary: there is no source {unknown:?} in {}. Choose from {}", path.display(), known.join(", "));
        return Ok(Err(exit::USAGE));
    }
    let host = match Host::load(Options::new(crate::COMPONENT).with_room_for(&config)) {
        Ok(host) => Arc::new(host.with_components(&config).await),
        Err(error) => {
            eprintln!("tributary: {error}");
            return Ok(Err(exit::SOFTWARE));
        }
    };
    let (turns, mut checks) = (Arc::new(Semaphore::new(SOURCES)), JoinSet::new());
    for source in config.sources.into_values().filter(|source| named(&source.id)) {
        let (host, turns) = (Arc::clone(&host), Arc::clone(&turns));
        checks.spawn(async move {
            let _turn = turns.acquire().await;
            check_source(&host, &source).await
        });
    }
    let mut lines: Vec<Line> = checks.join_all().await.into_iter().flatten().collect();
    for file in config.refused.iter().filter(|file| named(&file.id)) {
        lines.push(Line {
            source: file.id.clone(),
            stream: String::new(),
            code: exit::CONFIGURATION,
            result: file.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            next: format!("Mend {}", file.file.display()),
        });
    }
    lines.sort_by(|a, b| (&a.source, &a.stream).cmp(&(&b.source, &b.stream)));
    if !arguments.json {
        table(&lines, out)?;
    }
    let taken = |sink: &&config::Sink| lines.iter().any(|line| sink.takes(&line.source));
    let sinks = check_sinks(config.sinks.values().filter(taken)).await;
    if arguments.json {
        serde_json::to_writer(&mut *out, &document(&lines, &sinks))?;
        writeln!(out)?;
    } else {
        for (index, sink) in sinks.iter().enumerate() {
            let begin = if index == 0 { "\n" } else { "" };
            match &sink.error {
                None => writeln!(out, "{begin}√ sinks.{}: it would take events", sink.id)?,
                Some(error) => writeln!(out, "{begin}x sinks.{}: {error}", sink.id)?,
            }
        }
    }
    let refused = |sink: &CheckedSink| if sink.error.is_none() { exit::OK } else { exit::TEMPORARY };
    let code = gravest(lines.iter().map(|line| line.code).chain(sinks.iter().map(refused)));
    let wrong: BTreeSet<&str> = lines.iter().filter(|line| line.code != exit::OK).map(|line| &*line.source).collect();
    let good: BTreeSet<&str> = lines.iter().map(|line| &*line.source).filter(|id| !wrong.contains(id)).collect();
    let good = good.into_iter().map(str::to_owned).collect();
    Ok(Ok(Checked { code, data_dir: config.data_dir, good }))
}

/// A sink whose far side was asked.
struct CheckedSink {
    id: String,
    /// Why it would take nothing.
    error: Option<String>,
}

/// Asks the far side of each sink that has one whether it would take events.
async fn check_sinks(sinks: impl Iterator<Item = &config::Sink>) -> Vec<CheckedSink> {
    let (outside, mut checked) = (Outside::system(), Vec::new());
    for sink in sinks.filter(|sink| sink.kind.is_remote()) {
        let result = match sinks::build(sink, &outside) {
            Ok(built) => built.check().await,
            Err(error) => Err(error),
        };
        checked.push(CheckedSink { id: sink.id.clone(), error: result.err().map(|error| error.to_string()) });
    }
    checked
}

fn document(lines: &[Line], sinks: &[CheckedSink]) -> Value {
    let streams = lines.iter().map(|Line { source, stream, code, result, next }| {
        let of = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        json!({
            "source": source, "stream": of(stream), "ok": *code == exit::OK, "code": code, "result": result,
            "next": of(next),
        })
    });
    let sinks =
        sinks.iter().map(|CheckedSink { id, error }| json!({ "sink": id, "ok": error.is_none(), "error": error }));
    json!({ "streams": streams.collect::<Vec<_>>(), "sinks": sinks.collect::<Vec<_>>() })
}

async fn check_source(host: &Host, source: &Source) -> Vec<Line> {
    let id = &source.id;
    let planned = match host.plan(source).await {
        Ok(planned) => planned,
        Err(error) => {
            if let SourceReason::Guest(GuestError::Fault(Fault { class: FaultClass::Configuration, .. }))
            | SourceReason::Quotas { .. } = &error.reason
            {
                // One line for each mistake.
                return error.problems().into_iter().map(|problem| Line::mistake(id, problem)).collect();
            }
            return vec![match error.reason {
                SourceReason::Guest(error) => Line::of(id, Finding::failed(id, "", &error, None)),
                SourceReason::Host(error) => Line {
                    source: id.clone(),
                    stream: String::new(),
                    code: exit::CONFIGURATION,
                    result: format!("the plan names a host that cannot be allowed: {error}"),
                    next: format!("Correct the address in sources.{id}"),
                },
                reason @ (SourceReason::Network(_) | SourceReason::Quotas { .. }) => Line {
                    source: id.clone(),
                    stream: String::new(),
                    code: exit::CONFIGURATION,
                    result: reason.to_string(),
                    next: format!("Correct it in sources.{id}"),
                },
                reason @ SourceReason::BuiltIn(_) => Line {
                    source: id.clone(),
                    stream: String::new(),
                    code: exit::SOFTWARE,
                    result: reason.to_string(),
                    next: "Report it".into(),
                },
                reason @ (SourceReason::Component(_) | SourceReason::NotLoaded { .. }) => Line {
                    source: id.clone(),
                    stream: String::new(),
                    code: exit::CONFIGURATION,
                    result: reason.to_string(),
                    next: format!("Correct components.{}", source.kind),
                },
            }];
        }
    };
    let streams = planned.plan.streams.iter().map(|stream| (stream.name.clone(), None)).collect();
    let source = Arc::clone(&planned.source) as Arc<dyn collect::Source>;
    let subject = collect::Subject { id: id.clone(), source, names_streams: planned.config.names_streams(), streams };
    let mut lines: Vec<Line> = collect::check(subject).await.into_iter().map(|finding| Line::of(id, finding)).collect();
    if let Some(skew) = planned.source.context.notes.skew().filter(|skew| skew.abs() > SKEW_SECONDS) {
        let behind = if skew > 0 { "ahead of" } else { "behind" };
        lines.push(Line {
            source: id.clone(),
            stream: String::new(),
            code: exit::TEMPORARY,
            result: format!("this machine's clock is {} s {behind} the vendor's", skew.abs()),
            next: "Set it by NTP: signatures and windows of time depend on it".into(),
        });
    }
    lines
}

/// A signature is refused at minutes; a minute is worth a word before.
const SKEW_SECONDS: i64 = 60;

impl Line {
    /// A mistake in the source's table.
    fn mistake(source: &str, problem: Problem) -> Self {
        let Problem { path, message, hint, .. } = problem;
        let result = if path.is_empty() { message } else { format!("{path}: {message}") };
        let (source, stream) = (source.to_owned(), String::new());
        Self { source, stream, code: exit::CONFIGURATION, result, next: hint.unwrap_or_default() }
    }

    fn of(source: &str, finding: Finding) -> Self {
        let code = match finding.verdict {
            Verdict::Good | Verdict::NotLicensed => exit::OK,
            Verdict::Passing => exit::TEMPORARY,
            Verdict::Refused => exit::NO_PERMISSION,
            Verdict::Misconfigured => exit::CONFIGURATION,
            Verdict::Broken => exit::SOFTWARE,
        };
        let Finding { stream, result, next, .. } = finding;
        Self { source: source.to_owned(), stream, code, result, next }
    }
}

fn table(lines: &[Line], out: &mut impl Write) -> io::Result<()> {
    let width = |text: fn(&Line) -> &str, title: &str| {
        lines.iter().map(|line| text(line).len()).chain([title.len()]).max().unwrap_or(0)
    };
    let (source, stream) = (width(|line| &line.source, "SOURCE"), width(|line| &line.stream, "STREAM"));
    writeln!(out, "{:source$}  {:stream$}  RESULT", "SOURCE", "STREAM")?;
    for line in lines {
        let sign = match (line.code, line.next.is_empty()) {
            (exit::OK, true) => "√",
            (exit::OK, false) => "-",
            _ => "x",
        };
        writeln!(out, "{:source$}  {:stream$}  {sign} {}", line.source, line.stream, line.result)?;
        if !line.next.is_empty() {
            writeln!(out, "{:source$}  {:stream$}    {}", "", "", line.next)?;
        }
    }
    Ok(())
}

/// What most needs the operator comes first.
fn gravest(codes: impl Iterator<Item = u8>) -> u8 {
    const ORDER: [u8; 5] = [exit::OK, exit::TEMPORARY, exit::SOFTWARE, exit::NO_PERMISSION, exit::CONFIGURATION];
    codes.max_by_key(|code| ORDER.iter().position(|known| known == code)).unwrap_or(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_have_codes() {
        for (verdict, code) in [
            (Verdict::Good, 0),
            (Verdict::NotLicensed, 0),
            (Verdict::Passing, 75),
            (Verdict::Refused, 77),
            (Verdict::Misconfigured, 78),
            (Verdict::Broken, 70),
        ] {
            let (stream, result, next) = Default::default();
            assert_eq!(Line::of("acme", Finding { stream, verdict, result, next }).code, code, "{verdict:?}");
        }
    }

    #[test]
    fn the_gravest_code_wins() {
        assert_eq!(gravest([0, 75, 77, 0].into_iter()), 77);
        assert_eq!(gravest([78, 77, 70].into_iter()), 78);
        assert_eq!(gravest([0, 0].into_iter()), 0);
        assert_eq!(gravest([].into_iter()), 0);
    }
}
