//! What is stored of a source's streams: positions, the ledger of all time, gaps.

use super::figures::{Number, ago, clock};
use super::html::{Html, put};
use crate::observe::view::Stored;
use crate::state::{Counts, SinkCounts, position};

/// Gaps of one stream that are shown. The newest are.
const GAPS: usize = 20;

/// A number of the ledger, with its name.
type Column<T> = (&'static str, fn(&T) -> u64);

const STREAM: [Column<Counts>; 7] = [
    ("Records", |counts| counts.records),
    ("Malformed", |counts| counts.malformed),
    ("Merged", |counts| counts.merged),
    ("Repeated", |counts| counts.repeated),
    ("Accepted", |counts| counts.accepted),
    ("Gaps", |counts| counts.gaps),
    ("Files open", |counts| counts.pieces.open()),
];

const SINK: [Column<SinkCounts>; 6] = [
    ("Accepted", |counts| counts.accepted),
    ("Delivered", |counts| counts.delivered),
    ("Filtered", |counts| counts.filtered),
    ("Dead letters", |counts| counts.dead_lettered),
    ("Lost", |counts| counts.lost),
    ("Unconfirmed", SinkCounts::pending),
];

pub fn tables(page: &mut Html, stored: &[Stored], now_ms: u64) {
    if stored.is_empty() {
        return;
    }
    put!(
        page,
        "<section><h2>Ledger</h2><p class=\"note\">What is stored, since each stream was first read: records = "
    );
    put!(page, "malformed + merged + repeated + accepted.</p><div class=\"scroll\"><table><thead><tr>");
    put!(page, "<th scope=\"col\">Stream</th>");
    headings(page, STREAM.map(|(name, _)| name));
    put!(page, "<th scope=\"col\">Position</th><th scope=\"col\">Last stored</th></tr></thead><tbody>");
    for Stored { summary, .. } in stored {
        put!(page, "<tr><th scope=\"row\">", (summary.key.stream), "</th>");
        numbers(page, &STREAM, &summary.ledger.counts);
        put!(page, "<td>");
        match &summary.position {
            Some(bytes) => {
                let text = position::text(bytes);
                put!(page, "<details class=\"position\"><summary>kept</summary><code>", (text), "</code></details>");
            }
            None => put!(page, "<span class=\"none\">none yet</span>"),
        }
        put!(page, "</td><td>");
        match summary.ledger.updated_ms {
            0 => put!(page, "<span class=\"none\">–</span>"),
            at => ago(page, at, now_ms),
        }
        put!(page, "</td></tr>");
    }
    put!(page, "</tbody></table></div>");
    by_sink(page, stored);
    balance(page, stored);
    put!(page, "</section>");
    gaps(page, stored, now_ms);
}

fn headings<const N: usize>(page: &mut Html, names: [&'static str; N]) {
    for name in names {
        put!(page, "<th scope=\"col\" class=\"number\">", (name), "</th>");
    }
}

fn numbers<T>(page: &mut Html, columns: &[Column<T>], counts: &T) {
    for (_, number) in columns {
        put!(page, "<td class=\"number\">", (Number(number(counts))), "</td>");
    }
}

fn by_sink(page: &mut Html, stored: &[Stored]) {
    let rows = stored.iter().flat_map(|stored| {
        let summary = &stored.summary;
        summary.ledger.counts.sinks.iter().map(|(sink, counts)| (&summary.key.stream, sink, counts))
    });
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    put!(
        page,
        "<h3>By sink</h3><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Stream</th><th scope=\"col\">Sink</th>"
    );
    headings(page, SINK.map(|(name, _)| name));
    put!(page, "</tr></thead><tbody>");
    for (stream, sink, counts) in rows {
        put!(page, "<tr><th scope=\"row\">", (stream), "</th><td>", (sink), "</td>");
        numbers(page, &SINK, counts);
        put!(page, "</tr>");
    }
    put!(page, "</tbody></table></div>");
}

fn balance(page: &mut Html, stored: &[Stored]) {
    let mut balanced = true;
    for Stored { summary, .. } in stored {
        for wrong in summary.ledger.counts.imbalances() {
            balanced = false;
            put!(page, "<p class=\"alert\"><b>", (summary.key.stream), " does not balance:</b> ", (wrong));
            put!(page, ". Run <code>tributary audit</code>, and report it.</p>");
        }
    }
    if balanced {
        put!(page, "<p class=\"note\">All of it balances.</p>");
    }
}

fn gaps(page: &mut Html, stored: &[Stored], now_ms: u64) {
    if stored.iter().all(|stored| stored.gaps.is_empty()) {
        return;
    }
    put!(
        page,
        "<section><h2>Gaps</h2><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Stream</th>",
        "<th scope=\"col\">Found</th><th scope=\"col\">What</th><th scope=\"col\">From</th><th scope=\"col\">To</th>",
        "</tr></thead><tbody>"
    );
    for Stored { summary, gaps } in stored {
        for gap in gaps.iter().rev().take(GAPS) {
            put!(page, "<tr><th scope=\"row\">", (summary.key.stream), "</th><td>");
            ago(page, gap.at_ms, now_ms);
            put!(page, "</td><td>", (gap.what), ": ", (gap.reason), "</td>");
            for end in [gap.begin, gap.end] {
                put!(page, "<td>");
                match end {
                    Some(nanos) => put!(page, (clock(nanos / 1_000_000))),
                    None => put!(page, "<span class=\"none\">not known</span>"),
                }
                put!(page, "</td>");
            }
            put!(page, "</tr>");
        }
    }
    put!(page, "</tbody></table></div></section>");
}
