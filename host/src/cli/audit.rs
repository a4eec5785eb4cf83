//! `tributary audit`: the ledger, and whether it balances.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::exit;
use super::place::{Place, table, time};
use super::view::View;
use crate::observe::view::Stored;
use crate::state::{SinkCounts, StreamKey, Summary};

#[derive(Debug, Args)]
pub struct Audit {
    /// Ids of the sources to audit; all of them if none is named
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,

    /// Show each gap too
    #[arg(long)]
    pub gaps: bool,

    /// Write JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub place: Place,
}

const LEGEND: &str = "\
RECORDS were read from the vendor and became EVENTS, or were MALFORMED (dead letters), or MERGED into another's event.
EVENTS were REPEATED (read before, so not delivered again) or ACCEPTED.
OFFERED are the accepted events that came while the sink took the source. Each was DELIVERED, FILTERED by a rule or route,
DEAD (refused by the sink for good; REPLAYED tells how many it took later), or LOST (only with acknowledgements = false:
given up, or not answered for when the host ended).
LISTED are the files that the vendor named, or the pages of its answers where it has no files: each is FETCHED (read to its end),
GONE (given up, and told as a gap), or still open. What is read again, as after a refused page token, counts again.
GAPS are what the vendor no longer serves, or never served whole; --gaps shows each.";

/// Shows the ledger of what `arguments` names; the exit code is 1 if it does not balance. Errors are those of `out`.
pub fn audit(config: &Path, arguments: &Audit, runtime: &Runtime, out: &mut impl Write) -> io::Result<u8> {
    let view = match View::open(&arguments.place, config, runtime) {
        Ok(view) => view,
        Err(code) => return Ok(code),
    };
    let named = |source: &str| arguments.sources.is_empty() || arguments.sources.iter().any(|name| name == source);
    let mut streams = match view.streams(named) {
        Ok(streams) => streams,
        Err(code) => return Ok(code),
    };
    streams.sort_by_cached_key(|Stored { summary, .. }| (tenant(summary).to_owned(), summary.key.clone()));
    let live = view.is_live();
    if let Some(unknown) =
        arguments.sources.iter().find(|name| !streams.iter().any(|stored| stored.summary.key.source == **name))
    {
        eprintln!("tributary: nothing was counted of a source {unknown:?}. Run `tributary audit` alone to see all");
        return Ok(exit::USAGE);
    }
    let wrong: Vec<String> = streams
        .iter()
        .flat_map(|Stored { summary: row, gaps }| {
            let mut wrong = row.ledger.counts.imbalances();
            if row.ledger.counts.gaps < gaps.len() as u64 {
                wrong.push(format!("gaps {} are fewer than the {} that are kept", row.ledger.counts.gaps, gaps.len()));
            }
            wrong.into_iter().map(|text| format!("{}: {text}", row.key))
        })
        .collect();
    if arguments.json {
        let rows: Vec<Value> = streams.iter().map(|stored| value(stored, live)).collect();
        let all = json!({ "balanced": wrong.is_empty(), "imbalances": wrong, "streams": rows });
        serde_json::to_writer_pretty(&mut *out, &all)?;
        writeln!(out)?;
    } else {
        text(&streams, arguments.gaps, live, out)?;
        for text in &wrong {
            writeln!(out, "x {text}")?;
        }
        match wrong.len() {
            0 => writeln!(out, "√ Everything balances.")?,
            _ => writeln!(out, "It does not balance. That is a fault of this program: report it, with these lines.")?,
        }
    }
    Ok(if wrong.is_empty() { exit::OK } else { exit::FAILED })
}

/// What an earlier release wrote does not name the tenant; its default is the source's id.
fn tenant(row: &Summary) -> &str {
    if row.ledger.tenant.is_empty() { &row.key.source } else { &row.ledger.tenant }
}

fn text(streams: &[Stored], gaps: bool, live: bool, out: &mut impl Write) -> io::Result<()> {
    let titles = [
        "TENANT",
        "SOURCE",
        "STREAM",
        "RECORDS",
        "EVENTS",
        "MALFORMED",
        "MERGED",
        "REPEATED",
        "ACCEPTED",
        "LISTED",
        "FETCHED",
        "GONE",
        "GAPS",
        "SINCE",
    ];
    let rows: Vec<_> = streams
        .iter()
        .map(|Stored { summary: row, .. }| {
            let counts = &row.ledger.counts;
            let number = |number: u64| number.to_string();
            [
                tenant(row).to_owned(),
                row.key.source.clone(),
                row.key.stream.clone(),
                number(counts.records),
                number(counts.events),
                number(counts.malformed),
                number(counts.merged),
                number(counts.repeated),
                number(counts.accepted),
                number(counts.pieces.listed),
                number(counts.pieces.fetched),
                number(counts.pieces.gone),
                number(counts.gaps),
                time(row.ledger.since_ms),
            ]
        })
        .collect();
    table(out, titles, 3..13, &rows)?;
    let titles = ["TENANT", "SOURCE", "STREAM", "SINK", "OFFERED", "DELIVERED", "FILTERED", "DEAD", "LOST", "REPLAYED"];
    let rows: Vec<_> = streams
        .iter()
        .flat_map(|Stored { summary: row, .. }| {
            row.ledger.counts.sinks.iter().map(move |(sink, counts)| (row, sink, counts))
        })
        .map(|(row, sink, counts)| {
            let SinkCounts { accepted, delivered, filtered, dead_lettered, replayed, .. } = counts;
            let numbers = [*accepted, *delivered, *filtered, *dead_lettered, lost(counts, live), *replayed];
            let [a, b, c, d, e, f] = numbers.map(|number| number.to_string());
            [tenant(row).to_owned(), row.key.source.clone(), row.key.stream.clone(), sink.clone(), a, b, c, d, e, f]
        })
        .collect();
    writeln!(out)?;
    table(out, titles, 4..10, &rows)?;
    let rows: Vec<_> = streams
        .iter()
        .flat_map(|Stored { summary: row, .. }| row.ledger.counts.rules.iter().map(move |counted| (row, counted)))
        .map(|(row, (rule, events))| {
            [tenant(row).to_owned(), row.key.source.clone(), row.key.stream.clone(), rule.clone(), events.to_string()]
        })
        .collect();
    if !rows.is_empty() {
        writeln!(out)?;
        table(out, ["TENANT", "SOURCE", "STREAM", "RULE OR ROUTE", "EVENTS"], 4..5, &rows)?;
    }
    if gaps {
        let rows: Vec<_> = streams
            .iter()
            .flat_map(|Stored { summary: row, gaps }| gaps.iter().map(move |gap| (&row.key, gap)))
            .map(|(StreamKey { source, stream }, gap)| {
                let nanos = |time_ns: Option<u64>| time_ns.map_or_else(String::new, |ns| time(ns / 1_000_000));
                let (begin, end) = (nanos(gap.begin), nanos(gap.end));
                [source.clone(), stream.clone(), time(gap.at_ms), begin, end, gap.what.clone(), gap.reason.clone()]
            })
            .collect();
        writeln!(out)?;
        table(out, ["SOURCE", "STREAM", "FOUND", "FROM", "TO", "GAP", "REASON"], 0..0, &rows)?;
    }
    writeln!(out, "\n{LEGEND}")?;
    let pending: u64 = all_sinks(streams).map(SinkCounts::pending).sum();
    if live && pending > 0 {
        writeln!(out, "Sinks with acknowledgements = false have not answered yet for {pending} of the offered.")?;
    }
    writeln!(out)
}

fn all_sinks(streams: &[Stored]) -> impl Iterator<Item = &SinkCounts> {
    streams.iter().flat_map(|stored| stored.summary.ledger.counts.sinks.values())
}

fn lost(counts: &SinkCounts, live: bool) -> u64 {
    // Where no host runs, nobody will answer for what is pending.
    counts.lost.saturating_add(if live { 0 } else { counts.pending() })
}

fn value(Stored { summary: row, gaps }: &Stored, live: bool) -> Value {
    let counts = &row.ledger.counts;
    let sinks: serde_json::Map<String, Value> = counts
        .sinks
        .iter()
        .map(|(sink, counts)| {
            let value = json!({
                "accepted": counts.accepted, "delivered": counts.delivered, "filtered": counts.filtered,
                "dead_lettered": counts.dead_lettered, "lost": lost(counts, live), "pending": counts.pending() * u64::from(live), "replayed": counts.replayed,
            });
            (sink.clone(), value)
        })
        .collect();
    json!({
        "tenant": tenant(row), "source": row.key.source, "stream": row.key.stream,
        "since": time(row.ledger.since_ms), "updated": time(row.ledger.updated_ms),
        "records": counts.records, "events": counts.events, "malformed": counts.malformed, "merged": counts.merged,
        "repeated": counts.repeated, "accepted": counts.accepted, "gaps": counts.gaps, "gap_list": gaps,
        "pieces": {
            "listed": counts.pieces.listed, "fetched": counts.pieces.fetched, "gone": counts.pieces.gone,
            "open": counts.pieces.open(),
        },
        "rules": counts.rules, "sinks": sinks, "imbalances": counts.imbalances(),
    })
}
