//! The first page: sums, and all sources or streams, those in trouble first.

use std::time::Duration;

use http::StatusCode;

use super::figures::{Number, PerMinute, Size, Span, clock};
use super::frame::Page;
use super::html::{Html, part, put};
use super::query::{By, Query, Shown, Sort};
use super::rows::{Found, ROWS, Row, Totals};
use super::standing::{Standing, Tally};
use crate::deliver::SinkStatus;
use crate::observe::api::Api;
use crate::observe::server::{Answer, Asked};

pub fn answer(api: &Api, asked: &Asked) -> Answer {
    let query = Query::read(asked.query.as_deref());
    let found = Found::of(&api.control, api.clock.nanos(), &query);
    let mut main = Html::default();
    put!(main, "<h1 class=\"hidden\">Sources</h1>");
    totals(&mut main, &found.totals);
    sinks_in_trouble(&mut main, &found.totals.sinks);
    filters(&mut main, &query);
    table(&mut main, &found, &query);
    paging(&mut main, &found, &query);
    sinks(&mut main, &found.totals.sinks);
    put!(
        main,
        "<p class=\"note\" id=\"as-of\">As of ",
        (clock(api.clock.millis())),
        ". Numbers count from the start of the host.</p>"
    );
    let title = match found.totals.troubled {
        0 => "Sources".to_owned(),
        troubled => format!("({troubled}) Sources"),
    };
    let (status, caller) = (StatusCode::OK, asked.caller);
    Page { status, title: &title, caller, main, outcome: None, live: true }.answer()
}

/// A standing as a word with its sign and colour.
pub fn badge(page: &mut Html, standing: Standing, word: &str) {
    put!(page, "<span class=\"badge ", (standing.key()), "\"><span aria-hidden=\"true\">", (standing.sign()));
    put!(page, "</span> ", (word), "</span>");
}

fn totals(page: &mut Html, totals: &Totals) {
    let figure = |page: &mut Html, id: &str, name: &str, value: &str, note: &str, bad: bool| {
        put!(
            page,
            "<div class=\"figure",
            (if bad { " bad" } else { "" }),
            "\" id=\"figure-",
            (id),
            "\"><dt>",
            (name),
            "</dt><dd>"
        );
        put!(page, (value), "</dd>");
        if !note.is_empty() {
            put!(page, "<dd class=\"note\">", (note), "</dd>");
        }
        put!(page, "</div>");
    };
    let number = |number: u64| Number(number).to_string();
    put!(page, "<section id=\"totals\" aria-label=\"Totals\"><dl class=\"figures\">");
    let sources = format!("{} sources", Number(totals.sources as u64));
    figure(page, "tenants", "Tenants", &number(totals.tenants as u64), &sources, false);
    let ill = totals.sinks.iter().filter(|sink| sink.trouble.is_some()).count();
    // The streams of a sink that takes nothing collect.
    let well = if totals.troubled == 0 && ill == 0 { "all is well" } else { "sources" };
    figure(page, "trouble", "In trouble", &number(totals.troubled as u64), well, totals.troubled > 0);
    figure(page, "rate", "Events a minute", &PerMinute(totals.rate).to_string(), "last ten minutes", false);
    figure(page, "events", "Events", &number(totals.events), "new, and stored", false);
    figure(page, "gaps", "Gaps", &number(totals.gaps), "the vendor lost", totals.gaps > 0);
    let dead = totals.dead_letters;
    figure(page, "dead-letters", "Dead letters", &number(dead), "kept for a replay", dead > 0);
    let note = if ill == 0 { "all take events".to_owned() } else { format!("{ill} in trouble") };
    figure(page, "sinks", "Sinks", &number(totals.sinks.len() as u64), &note, ill > 0);
    put!(page, "</dl>");
    let all = totals.streams.total();
    put!(page, "<div class=\"streams\"><h2>", (Number(all)), " streams</h2>");
    bar(page, &totals.streams);
    put!(page, "<ul class=\"legend\">");
    for (standing, count) in totals.streams.some() {
        let query = Query { by: By::Streams, shown: Shown::Only(standing), page: 1, ..Query::default() };
        put!(page, "<li id=\"legend-", (standing.key()), "\"><a href=\"", (query.address()), "\">");
        badge(page, standing, standing.word());
        put!(page, " <b>", (Number(count)), "</b></a></li>");
    }
    put!(page, "</ul></div></section>");
}

/// How streams stand, as a bar. What it shows is told in words beside it.
fn bar(page: &mut Html, streams: &Tally) {
    let total = streams.total().max(1) as f64;
    put!(
        page,
        "<svg class=\"bar-of-states\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
    );
    let some: Vec<_> = streams.some().collect();
    // One of forty thousand is still to be seen.
    let widths = some.iter().map(|(_, count)| (1000.0 * *count as f64 / total).max(6.0));
    let scale = 1000.0 / widths.clone().sum::<f64>().max(1.0);
    let mut x = 0.0;
    for ((standing, _), width) in some.iter().zip(widths) {
        let width = width * scale;
        put!(page, "<rect class=\"", (standing.key()), "\" x=\"", (format_args!("{x:.1}")));
        put!(page, "\" width=\"", (format_args!("{:.1}", (width - 1.5).max(1.0))), "\" height=\"10\"/>");
        x += width;
    }
    put!(page, "</svg>");
}

fn sinks_in_trouble(page: &mut Html, sinks: &[SinkStatus]) {
    for sink in sinks {
        let Some(why) = &sink.trouble else { continue };
        let (how, so) = match (sink.holds, sink.queued_bytes) {
            (true, 0) => ("is in trouble", "nothing is lost"),
            (true, _) => ("takes nothing", "positions stand still, and nothing is lost"),
            (false, _) => ("takes nothing", "what it does not take in time is lost to it"),
        };
        put!(
            page,
            "<section class=\"alert\" id=\"sink-alert-",
            (sink.id),
            "\"><h2>Sink ",
            (sink.id),
            " ",
            (how),
            "</h2><p>"
        );
        put!(
            page,
            (why),
            "</p><p class=\"note\">",
            (Size(sink.queued_bytes as u64)),
            " wait; ",
            (so),
            ".</p></section>"
        );
    }
}

fn filters(page: &mut Html, query: &Query) {
    put!(
        page,
        "<form id=\"filters\" class=\"filters\" method=\"get\" action=\"/\" role=\"search\">",
        "<label for=\"q\" class=\"hidden\">Find</label><input id=\"q\" name=\"q\" type=\"search\" ",
        "placeholder=\"Find a tenant, a source, a stream, a fault\" autocomplete=\"off\" maxlength=\"200\" value=\"",
        (query.text),
        "\"><label for=\"state\" class=\"hidden\">State</label><select id=\"state\" name=\"state\">"
    );
    for (shown, key, word) in Shown::choices() {
        put!(page, "<option value=\"", (key), "\"");
        if shown == query.shown {
            put!(page, " selected");
        }
        put!(page, ">", (word), "</option>");
    }
    put!(page, "</select><label for=\"by\" class=\"hidden\">Rows</label><select id=\"by\" name=\"by\">");
    for (by, key, word) in [(By::Sources, "", "By source"), (By::Streams, "streams", "By stream")] {
        put!(page, "<option value=\"", (key), "\"");
        if by == query.by {
            put!(page, " selected");
        }
        put!(page, ">", (word), "</option>");
    }
    put!(page, "</select><button>Show</button></form>");
}

fn table(page: &mut Html, found: &Found, query: &Query) {
    let streams = query.by == By::Streams;
    put!(page, "<div class=\"scroll\" role=\"region\" aria-label=\"", (if streams { "Streams" } else { "Sources" }));
    put!(page, "\" tabindex=\"0\"><table class=\"list\"><caption class=\"hidden\">");
    put!(page, (if streams { "Streams" } else { "Sources" }), ", ", (order(query.sort)), "</caption><thead><tr>");
    heading(page, query, Some(Sort::Tenant), "Tenant", "");
    heading(page, query, None, if streams { "Stream" } else { "Source" }, "");
    heading(page, query, Some(Sort::Trouble), "State", "");
    heading(page, query, Some(Sort::Lag), "Lag", "number");
    heading(page, query, Some(Sort::Rate), "Events/min", "number");
    heading(page, query, Some(Sort::Events), "Events", "number");
    heading(page, query, None, "Health", "");
    put!(page, "</tr></thead><tbody>");
    found.rows.iter().for_each(|one| row(page, one));
    put!(page, "</tbody></table>");
    if found.rows.is_empty() {
        put!(page, "<p class=\"empty\" id=\"empty\">");
        match query.is_filtered() {
            true => put!(page, "Nothing fits. <a href=\"/\">Show all</a>"),
            false => put!(page, "There is no source yet: add one to the configuration, and reload."),
        }
        put!(page, "</p>");
    }
    put!(page, "</div>");
}

fn order(sort: Sort) -> &'static str {
    match sort {
        Sort::Trouble => "trouble first",
        Sort::Tenant => "by tenant",
        Sort::Lag => "the furthest behind first",
        Sort::Rate => "the busiest first",
        Sort::Events => "the most events first",
    }
}

fn heading(page: &mut Html, query: &Query, sort: Option<Sort>, name: &str, class: &str) {
    put!(page, "<th scope=\"col\" class=\"", (class), "\"");
    let Some(sort) = sort else { return put!(page, ">", (name), "</th>") };
    if sort == query.sort {
        let up = matches!(sort, Sort::Tenant | Sort::Trouble);
        put!(page, " aria-sort=\"", (if up { "ascending" } else { "descending" }), "\"");
    }
    put!(page, "><a href=\"", (query.with(|query| query.sort = sort)), "\">", (name));
    if sort == query.sort {
        put!(page, " <span aria-hidden=\"true\">▾</span>");
    }
    put!(page, "</a></th>");
}

fn row(page: &mut Html, row: &Row) {
    put!(page, "<tr id=\"row-", (row.source));
    if let Some(stream) = &row.stream {
        put!(page, "/", (stream));
    }
    put!(page, "\" class=\"", (row.standing.key()), "\"><td class=\"tenant\">", (row.tenant), "</td>");
    put!(page, "<th scope=\"row\"><a href=\"/sources/", (part(&row.source)), "\">", (row.source), "</a>");
    if let Some(stream) = &row.stream {
        put!(page, " <span class=\"of\">/</span> ", (stream));
    }
    put!(page, "</th><td>");
    match &row.stream {
        Some(_) => badge(page, row.standing, &capital(&row.state, row.standing)),
        None => badge(page, row.standing, row.standing.word()),
    }
    put!(page, "</td><td class=\"number\">");
    lag(page, row.lag);
    put!(page, "</td><td class=\"number\">", (PerMinute(row.rate)), "</td>");
    put!(page, "<td class=\"number\">", (Number(row.events)), "</td><td class=\"health\">");
    if row.stream.is_none() {
        put!(page, "<span class=\"tally\">");
        for (at, (standing, count)) in row.streams.some().enumerate() {
            put!(page, (if at > 0 { ", " } else { "" }), (Number(count)), " ", (standing.phrase()));
        }
        put!(page, "</span>");
    }
    if let Some(trouble) = &row.trouble {
        put!(page, "<span class=\"fault\">", (trouble), "</span>");
    }
    put!(page, "</td></tr>");
}

/// The state of a stream as a badge tells it: trouble says more than the state that it is in.
pub fn capital(state: &str, standing: Standing) -> String {
    if matches!(standing, Standing::Blocked | Standing::Retrying) {
        return standing.word().to_owned();
    }
    let mut letters = state.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// How far behind, of nanoseconds.
pub fn lag(page: &mut Html, lag: Option<u64>) {
    match lag {
        None => put!(page, "<span class=\"none\" title=\"Nothing was read yet\">–</span>"),
        Some(0) => put!(page, "<span class=\"none\">caught up</span>"),
        Some(lag) => put!(page, (Span(Duration::from_nanos(lag)))),
    }
}

fn paging(page: &mut Html, found: &Found, query: &Query) {
    let first = (found.page - 1) * ROWS + 1;
    let of = |number: usize| Number(number as u64);
    put!(page, "<nav class=\"paging\" aria-label=\"Pages\"><p id=\"range\">");
    match found.rows.len() {
        0 => put!(page, "0"),
        shown => put!(page, (of(first)), "–", (of(first + shown - 1)), " of ", (of(found.matching))),
    }
    put!(page, (if query.by == By::Streams { " streams" } else { " sources" }), "</p>");
    let at = |page: usize| query.with(|query| query.page = page);
    if found.page > 1 {
        put!(page, "<a id=\"previous\" rel=\"prev\" href=\"", (at(found.page - 1)), "\">Previous</a>");
    }
    if found.pages > 1 {
        put!(page, "<span>Page ", (of(found.page)), " of ", (of(found.pages)), "</span>");
    }
    if found.page < found.pages {
        put!(page, "<a id=\"next\" rel=\"next\" href=\"", (at(found.page + 1)), "\">Next</a>");
    }
    put!(page, "</nav>");
}

fn sinks(page: &mut Html, sinks: &[SinkStatus]) {
    if sinks.is_empty() {
        return;
    }
    put!(
        page,
        "<section><h2>Sinks</h2><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Sink</th>",
        "<th scope=\"col\">State</th><th scope=\"col\" class=\"number\">Waiting</th><th scope=\"col\">Positions</th>",
        "</tr></thead><tbody>"
    );
    for sink in sinks {
        put!(page, "<tr id=\"sink-", (sink.id), "\"><th scope=\"row\">", (sink.id), "</th><td>");
        match sink.trouble {
            Some(_) => badge(page, Standing::Failed, "Takes nothing"),
            None => badge(page, Standing::Collecting, "Takes events"),
        }
        put!(page, "</td><td class=\"number\">", (Size(sink.queued_bytes as u64)), "</td><td>");
        put!(page, (if sink.holds { "wait for it" } else { "do not wait for it" }), "</td></tr>");
    }
    put!(page, "</tbody></table></div></section>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_well_only_if_sinks_are_too() {
        let sink = |trouble: Option<&str>| SinkStatus {
            id: "lake".into(),
            holds: true,
            queued_bytes: 0,
            queued_events: 0,
            deliveries: 0,
            failures: 0,
            events: 0,
            bytes: 0,
            succeeded_ms: None,
            trouble: trouble.map(Into::into),
        };
        let is_well = |troubled, sinks: Vec<SinkStatus>| {
            let mut page = Html::default();
            super::totals(&mut page, &Totals { troubled, sinks, ..Totals::default() });
            page.into_string().contains("all is well")
        };
        assert!(is_well(0, vec![sink(None)]) && is_well(0, Vec::new()));
        assert!(!is_well(0, vec![sink(None), sink(Some("401"))]) && !is_well(1, vec![sink(None)]));
    }
}
