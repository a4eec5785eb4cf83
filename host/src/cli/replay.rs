//! `tributary replay`: reads a span of a stream again, beside its position.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use http::Method;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::ask::{RunningHost, broken, other_release};
use super::moment::moment;
use super::place::{time, told};
use super::progress;
use super::run::{Signals, code, refused};
use super::{exit, run};
use crate::collect::{Ended, Span};
use crate::config::{self, Config};
use crate::observe::estimate::Reached;
use crate::outside::Clock;
use crate::replay::{Progress, Replaying, Request};
use crate::state::rights;
use crate::{Host, Options};

/// How often an object says how far it is, with `--json`.
const WRITTEN_EVERY: Duration = Duration::from_secs(10);

/// How long sinks may take, after a signal, to take what was read.
const DRAIN: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub struct Replay {
    /// Id of the source
    #[arg(long, value_name = "SOURCE")]
    pub source: String,

    /// Name of the stream
    #[arg(long, value_name = "STREAM")]
    pub stream: String,

    /// Records from this time on: 2025-06-01T00:00:00Z, or 7d, 36h, 30m ago
    #[arg(long, value_name = "TIME", value_parser = moment, required_unless_present = "resume")]
    pub from: Option<u64>,

    /// Records before this time; now, if it is not named
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "from")]
    pub to: Option<u64>,

    /// Deliver what was delivered before, too
    #[arg(long)]
    pub all: bool,

    /// Deliver to this sink alone, as after adding it; with --all
    #[arg(long, value_name = "SINK")]
    pub sink: Option<String>,

    /// Go on with the replay of this stream that was interrupted
    #[arg(long, conflicts_with_all = ["from", "all"])]
    pub resume: bool,

    /// Write how far it is, and how it ended, as JSON, an object a line
    #[arg(long)]
    pub json: bool,
}

/// Replays, in the running host or without one, and returns the exit code. Errors are those of `out`.
pub fn replay(path: &Path, arguments: &Replay, runtime: &Runtime, out: &mut impl Write) -> io::Result<u8> {
    let folder = match config::data_dir(path) {
        Ok(folder) => folder,
        Err(error) => return Ok(refused(exit::CONFIGURATION, &error)),
    };
    let now = Clock::System.millis();
    let nanos = |ms: u64| ms.saturating_mul(1_000_000);
    let span = arguments.from.map(|from| {
        let to = arguments.to.unwrap_or(now);
        Span { from: nanos(from), to: nanos(to), all: arguments.all }
    });
    let Replay { source, stream, sink, .. } = arguments;
    let request = Request { source: source.clone(), stream: stream.clone(), sink: sink.clone(), span };
    let mut said = Said::new(arguments, out);
    match RunningHost::find(&folder, runtime) {
        // It has its configuration, with the secrets.
        Ok(Some(host)) => in_host(&host, &request, &mut said),
        // What is made here is for whoever runs the host to use.
        Ok(None) if let Err(error) = rights::may_change(&folder) => Ok(told(&error)),
        Ok(None) => match config::load(path) {
            Ok(loaded) => runtime.block_on(alone(&loaded.config, &request, &mut said)),
            Err(error) => Ok(refused(exit::CONFIGURATION, &error)),
        },
        Err(code) => Ok(code),
    }
}

/// The running host does it; should this process end, it stops.
fn in_host(host: &RunningHost<'_>, request: &Request, said: &mut Said<'_, impl Write>) -> io::Result<u8> {
    let body = match serde_json::to_vec(request) {
        Ok(body) => body,
        Err(error) => return Ok(refused(exit::SOFTWARE, &error)),
    };
    let lines = match host.ask(Method::POST, "/v1/replays", body).and_then(|answer| answer.good()) {
        Ok(lines) => lines,
        Err(code) => return Ok(code),
    };
    for line in lines.lines() {
        let progress: Progress = match line.map(|line| serde_json::from_str(&line)) {
            Ok(Ok(progress)) => progress,
            Ok(Err(error)) => return Ok(other_release(&error)),
            Err(error) => return Ok(broken(&error)),
        };
        if let Some(code) = said.take(&progress)? {
            return Ok(code);
        }
    }
    Ok(broken(&io::ErrorKind::UnexpectedEof.into()))
}

/// A host that does nothing else.
async fn alone(config: &Config, request: &Request, said: &mut Said<'_, impl Write>) -> io::Result<u8> {
    let Some(source) = config.sources.get(&request.source) else {
        let known: Vec<&str> = config.sources.keys().map(String::as_str).collect();
        let text = format!("there is no source {:?}. Choose from {}", request.source, known.join(", "));
        return Ok(refused(exit::USAGE, &text));
    };
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return Ok(refused(exit::SOFTWARE, &error)),
    };
    let options = Options { drain: DRAIN, ..Options::new(crate::COMPONENT).with_room_for(config) };
    let host = match Host::load(options) {
        Ok(host) => host.with_components(config).await,
        Err(error) => return Ok(refused(exit::SOFTWARE, &error)),
    };
    let running = match host.stand_by(config, source).await {
        Ok(running) => running,
        Err(error) => return Ok(refused(code(&error), &error)),
    };
    let mut replaying = match running.control().replay(request).await {
        Ok(replaying) => replaying,
        Err(error) => return Ok(refused(if error.is_usage() { exit::USAGE } else { exit::TEMPORARY }, &error)),
    };
    let ended = loop {
        let progress = tokio::select! {
            biased;
            () = signals.next() => {
                tracing::info!("stopping: finishing what was read; a second signal stops at once");
                break finish(&mut replaying, &mut signals).await;
            }
            progress = replaying.progress(Duration::from_secs(1)) => progress,
        };
        if progress.ended.is_some() {
            break progress;
        }
        said.take(&progress)?;
    };
    drop(replaying);
    running.stop().await;
    Ok(said.take(&ended)?.unwrap_or(exit::TEMPORARY))
}

/// Stops it, and gives how far it came; a sink that takes nothing is not waited for too long.
async fn finish(replaying: &mut Replaying, signals: &mut Signals) -> Progress {
    replaying.stop();
    let ended = tokio::select! {
        biased;
        () = signals.next() => None,
        ended = timeout(DRAIN, replaying.end()) => ended.ok(),
    };
    match ended {
        Some(ended) => ended,
        None => Progress { ended: Some(Ended::Interrupted), ..replaying.progress(Duration::ZERO).await },
    }
}

/// Says how far it is.
struct Said<'a, W> {
    arguments: &'a Replay,
    out: &'a mut W,
    shown: Option<progress::Progress>,
    reached: Reached,
    /// When an object was written last, if they are wanted.
    last: Instant,
}

impl<'a, W: Write> Said<'a, W> {
    fn new(arguments: &'a Replay, out: &'a mut W) -> Self {
        let shown = (!arguments.json).then(progress::Progress::new);
        Self { arguments, out, shown, reached: Reached::default(), last: Instant::now() }
    }

    /// The exit code, if it has ended.
    fn take(&mut self, progress: &Progress) -> io::Result<Option<u8>> {
        let Some(ended) = &progress.ended else {
            let reached = self.reached.see(progress.newest);
            match &mut self.shown {
                Some(shown) => shown.tell(reached.map(|reached| share(&progress.span, reached)), || line(progress)),
                None if self.last.elapsed() >= WRITTEN_EVERY => {
                    self.last = Instant::now();
                    self.json(progress)?;
                }
                None => {}
            }
            return Ok(None);
        };
        // It makes room for what comes now.
        self.shown = None;
        let code = match ended {
            Ended::Done => exit::OK,
            Ended::Interrupted | Ended::Failed(_) => exit::TEMPORARY,
        };
        if self.arguments.json {
            self.json(progress)?
        } else {
            self.text(progress)?
        }
        if let Ended::Failed(reason) = ended {
            run::refused(code, &format!("{reason}. Go on with {}", self.again()));
        } else if *ended == Ended::Interrupted {
            run::refused(code, &format!("it was interrupted; what was read is kept. Go on with {}", self.again()));
        }
        Ok(Some(code))
    }

    fn json(&mut self, progress: &Progress) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, progress)?;
        writeln!(self.out)
    }

    fn again(&self) -> String {
        let Replay { source, stream, sink, .. } = self.arguments;
        let sink = sink.as_ref().map_or_else(String::new, |sink| format!(" --sink {sink}"));
        format!("`tributary replay --source {source} --stream {stream}{sink} --resume`")
    }

    fn text(&mut self, progress: &Progress) -> io::Result<()> {
        let Progress { span, read, stored, gaps, resumed, .. } = progress;
        let Replay { source, stream, .. } = self.arguments;
        let (from, to) = (time(span.from / 1_000_000), time(span.to / 1_000_000));
        let out = &mut *self.out;
        writeln!(
            out,
            "{stream} of {source}, from {from} until before {to}{}",
            if *resumed { ", resumed" } else { "" }
        )?;
        writeln!(out, "{} events were read, and {} of them delivered", read.events, stored.accepted)?;
        if read.repeated > 0 {
            let before = if span.all { "came twice" } else { "had been delivered before" };
            writeln!(out, "{} {before}", read.repeated)?;
        }
        if read.malformed > 0 {
            writeln!(
                out,
                "{} records could not be read, and are kept. See `tributary dead-letters list`",
                read.malformed
            )?;
        }
        for gap in gaps {
            let nanos = |nanos: Option<u64>| nanos.map_or_else(|| "?".to_owned(), |nanos| time(nanos / 1_000_000));
            writeln!(out, "gap: {}, {} to {}: {}", gap.what, nanos(gap.begin), nanos(gap.end), gap.reason)?;
        }
        Ok(())
    }
}

/// Which share of the span's time lies before `reached`. How much there is in the rest is not known.
fn share(span: &Span, reached: u64) -> f64 {
    let read = reached.saturating_sub(span.from) as f64 / span.to.saturating_sub(span.from).max(1) as f64;
    read.min(1.0)
}

fn line(progress: &Progress) -> String {
    let at = progress.newest.map_or_else(String::new, |newest| format!(", up to {}", time(newest / 1_000_000)));
    let trouble = progress.held.as_ref().or(progress.fault.as_ref()).map(|why| format!("; {why}"));
    let (read, stored) = (progress.read.events, progress.stored.accepted);
    format!("{read} events read{at}; {stored} delivered{}", trouble.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_that_of_the_time_that_was_read() {
        let span = Span { from: 1_000, to: 3_000, all: false };
        // A source may read what lies a little beside the span.
        for (reached, read) in [(500, 0.0), (1_000, 0.0), (1_500, 0.25), (3_000, 1.0), (4_000, 1.0)] {
            assert_eq!(share(&span, reached), read);
        }
    }
}
