//! `tributary tap`: events of the running host, as they pass.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;

use super::place::Place;
use super::{ask, exit, status};

#[derive(Debug, Args)]
pub struct Tap {
    /// Sources, for what passes from them to sinks, or sinks, for what they are given; all sources if none is named
    ///
    /// `*` stands for any characters.
    #[arg(value_name = "SOURCE|SINK")]
    pub components: Vec<String>,

    /// Sources whose events to show, after the source's own rules
    #[arg(long, value_name = "SOURCE", value_delimiter = ',')]
    pub outputs_of: Vec<String>,

    /// Sinks whose events to show, after the sink's `where` and rules
    #[arg(long, value_name = "SINK", value_delimiter = ',')]
    pub inputs_of: Vec<String>,

    /// Only events of these tenants
    #[arg(long, value_name = "TENANT", value_delimiter = ',')]
    pub tenant: Vec<String>,

    /// Only events of these streams
    #[arg(long, value_name = "STREAM", value_delimiter = ',')]
    pub stream: Vec<String>,

    /// Only events of these kinds
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub kind: Vec<String>,

    /// End after so many events
    #[arg(short, long, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,

    /// Write with each event where it comes from
    #[arg(short, long)]
    pub meta: bool,

    /// Write each event in lines that are easy to read
    #[arg(short, long)]
    pub pretty: bool,

    /// Say nothing beside the events
    #[arg(short, long)]
    pub quiet: bool,

    #[command(flatten)]
    pub place: Place,
}

/// A line of the answer of `GET /v1/tap`.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    skipped: Option<u64>,
}

impl Tap {
    fn path(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, values) in [
            ("component", &self.components),
            ("outputs_of", &self.outputs_of),
            ("inputs_of", &self.inputs_of),
            ("tenant", &self.tenant),
            ("stream", &self.stream),
            ("kind", &self.kind),
        ] {
            query.extend_pairs(values.iter().map(|value| (key, value)));
        }
        query.extend_pairs(self.limit.map(|limit| ("limit", limit.to_string())));
        format!("/v1/tap?{}", query.finish())
    }

    fn write(&self, line: &str, event: &RawValue, out: &mut impl Write) -> io::Result<()> {
        let text = if self.meta { line.trim_end() } else { event.get() };
        if !self.pretty {
            return writeln!(out, "{text}");
        }
        // It was read once already; as a map of its own it keeps the order of its keys no more than that.
        let value: serde_json::Value = serde_json::from_str(text)?;
        serde_json::to_writer_pretty(&mut *out, &value)?;
        writeln!(out)
    }
}

/// Shows what passes until the limit, the end of the host, or Ctrl-C, and returns the exit code. Errors are those of `out`.
pub fn tap(config: &Path, arguments: &Tap, runtime: &Runtime, out: &mut impl Write) -> io::Result<u8> {
    let answer = status::running(&arguments.place, config, runtime).and_then(|host| host.lines(&arguments.path()));
    let mut lines = match answer {
        Ok(lines) => lines,
        Err(code) => return Ok(code),
    };
    let say = |text: &str| {
        if !arguments.quiet {
            eprintln!("tributary: {text}");
        }
    };
    if io::stderr().is_terminal() {
        say("events show when they pass; Ctrl-C ends this");
    }
    let (mut line, mut left) = (String::new(), arguments.limit);
    loop {
        line.clear();
        match lines.read_line(&mut line) {
            Ok(0) if left == Some(0) => return Ok(exit::OK),
            Ok(0) => {
                say("the host has stopped");
                return Ok(exit::UNAVAILABLE);
            }
            Ok(_) => {}
            Err(error) => return Ok(ask::broken(&error)),
        }
        // A sign of life.
        if line.trim().is_empty() {
            continue;
        }
        let Line { event, skipped } = match serde_json::from_str(&line) {
            Ok(read) => read,
            Err(error) => return Ok(ask::other_release(&error)),
        };
        if let Some(event) = event {
            arguments.write(&line, event, out)?;
            // Whoever watches sees it now.
            out.flush()?;
            left = left.map(|left| left.saturating_sub(1));
        }
        if let Some(skipped) = skipped {
            say(&format!("{skipped} events were skipped: more pass than are taken here"));
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Verb};

    fn tap(line: &str) -> Tap {
        match Cli::try_parse_from(format!("tributary tap {line}").split_whitespace()).unwrap().verb {
            Verb::Tap(tap) => tap,
            _ => unreachable!(),
        }
    }

    #[test]
    fn what_is_asked_stands_in_the_query() {
        assert_eq!(tap("").path(), "/v1/tap?");
        assert_eq!(
            tap("acme-* lake --tenant a&b,c --kind x --limit 3").path(),
            "/v1/tap?component=acme-*&component=lake&tenant=a%26b&tenant=c&kind=x&limit=3"
        );
        assert_eq!(tap("--outputs-of a --inputs-of b").path(), "/v1/tap?outputs_of=a&inputs_of=b");
    }

    #[test]
    fn events_are_written_as_they_are_or_with_where_they_come_from() {
        let line = "{\"source\":\"s\",\"event\":{\"b\":1,\"a\":[]}}\n";
        let event = serde_json::from_str::<Line<'_>>(line).unwrap().event.unwrap();
        let written = |arguments: &str| {
            let mut out = Vec::new();
            tap(arguments).write(line, event, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(""), "{\"b\":1,\"a\":[]}\n");
        assert_eq!(written("--meta"), line);
        assert!(written("--pretty").starts_with("{\n  \"") && written("--pretty").ends_with("\n}\n"));
        assert_eq!(serde_json::from_str::<Line<'_>>("{\"skipped\":3}").unwrap().skipped, Some(3));
    }
}
