//! What has happened to a source: the health events that are kept, and the states that follow from them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::figures::{Span, ago, clock, millis};
use super::html::{Html, put};
use super::standing::Standing;
use crate::observe::Told;

/// What a strip shows at most, and at least.
const LONGEST: u64 = 24 * 3_600_000;
const SHORTEST: u64 = 60_000;

/// Events that are shown unless more are asked for.
const RECENT: usize = 30;

/// A health event, as it is kept.
#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    time: String,
    event: String,
    severity: String,
    pub stream: Option<String>,
    sink: Option<String>,
    previous_state: Option<String>,
    state: Option<String>,
    code: Option<String>,
    message: String,
    hint: Option<String>,
    begin: Option<String>,
    end: Option<String>,
    #[serde(skip)]
    at_ms: u64,
}

/// Those of the store and those of this run that it may not have yet, oldest first.
pub fn events(stored: Vec<Vec<u8>>, latest: &[Arc<Told>]) -> Vec<Event> {
    let stored: Vec<Bytes> = stored.into_iter().map(Bytes::from).collect();
    let known: HashSet<&Bytes> = stored.iter().collect();
    let fresh: Vec<&Bytes> = latest.iter().map(|told| &told.json).filter(|json| !known.contains(json)).collect();
    let mut events: Vec<Event> = stored.iter().chain(fresh).filter_map(|json| read(json)).collect();
    events.sort_by_key(|event| event.at_ms);
    events
}

fn read(json: &[u8]) -> Option<Event> {
    // Another release may have written what this one does not know.
    let mut event: Event = serde_json::from_slice(json).ok()?;
    event.at_ms = millis(&event.time)?;
    Some(event)
}

/// How a stream stood from one moment to another, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    pub begin: u64,
    pub end: u64,
    /// None while no host ran.
    pub standing: Option<Standing>,
}

/// How the streams stood, by name, from the first event of the last day until now.
pub fn stretches(events: &[Event], streams: &[&str], now: u64) -> (u64, BTreeMap<String, Vec<Stretch>>) {
    let begin = events.iter().map(|event| event.at_ms).find(|at| now.saturating_sub(*at) <= LONGEST);
    let begin = begin.unwrap_or(now).min(now.saturating_sub(SHORTEST));
    let of = |stream: &&str| ((*stream).to_owned(), of_stream(events, stream, begin, now));
    (begin, streams.iter().map(of).collect())
}

fn of_stream(events: &[Event], stream: &str, begin: u64, now: u64) -> Vec<Stretch> {
    let mut state = None;
    let mut stretches: Vec<Stretch> = vec![Stretch { begin, end: now, standing: None }];
    for event in events.iter().filter(|event| event.stream.as_deref().is_none_or(|of| of == stream)) {
        let trouble = match &*event.event {
            "StateChange" => {
                state = event.state.as_deref().and_then(|state| standing(state, &event.severity));
                false
            }
            "ThirdPartyConfigError" | "ThirdPartyGenericError" | "FirstPartyGenericError" => true,
            "Cleared" => false,
            _ => continue,
        };
        let standing = match state {
            Some(Standing::Collecting | Standing::Starting) if trouble => Some(Standing::Retrying),
            state => state,
        };
        let at = event.at_ms.clamp(begin, now);
        if let Some(last) = stretches.last_mut() {
            if last.standing == standing {
                continue;
            }
            last.end = at;
        }
        stretches.push(Stretch { begin: at, end: now, standing });
    }
    stretches.retain(|stretch| stretch.end > stretch.begin);
    stretches
}

/// Of a state's name in health events. That there is no right to a stream weighs more if somebody asked for it by name.
fn standing(state: &str, severity: &str) -> Option<Standing> {
    match state {
        "error" | "stopped" => Some(Standing::Failed),
        "not_licensed" if severity == "high" => Some(Standing::Failed),
        "not_licensed" => Some(Standing::Unlicensed),
        "collecting" => Some(Standing::Collecting),
        // What ends is not read any more until it begins again.
        "stopping" => None,
        _ => Some(Standing::Starting),
    }
}

/// A strip for each stream. What it shows is told in words too.
pub fn strips(page: &mut Html, events: &[Event], streams: &[&str], now: u64) {
    let (begin, all) = stretches(events, streams, now);
    let width = (now - begin).max(1) as f64;
    put!(page, "<table class=\"strips\"><caption>The last ", (Span(Duration::from_millis(now - begin))));
    put!(page, ". Low and green: it collects; the taller, the worse.</caption><tbody>");
    for (stream, stretches) in all {
        put!(page, "<tr id=\"strip-", (stream), "\"><th scope=\"row\">", (stream), "</th><td>");
        put!(page, "<svg viewBox=\"0 0 1000 20\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"");
        let changes = stretches.len().saturating_sub(6);
        if changes > 0 {
            put!(page, "earlier ", (changes), " changes; ");
        }
        for stretch in stretches.iter().skip(changes) {
            put!(page, (word(stretch)), " from ", (clock(stretch.begin)), "; ");
        }
        put!(page, "\">");
        for stretch in &stretches {
            let x = 1000.0 * (stretch.begin - begin) as f64 / width;
            let long = (1000.0 * (stretch.end - stretch.begin) as f64 / width).max(2.0);
            let height = match stretch.standing {
                None => 2,
                Some(Standing::Collecting | Standing::Unlicensed) => 6,
                Some(Standing::Starting) => 9,
                Some(Standing::Retrying) => 14,
                Some(Standing::Blocked | Standing::Failed) => 20,
            };
            put!(
                page,
                "<rect class=\"",
                (stretch.standing.map_or("away", Standing::key)),
                "\" x=\"",
                (format_args!("{x:.1}"))
            );
            put!(
                page,
                "\" width=\"",
                (format_args!("{long:.1}")),
                "\" y=\"",
                (20 - height),
                "\" height=\"",
                (height),
                "\"><title>"
            );
            put!(page, (word(stretch)), ", ", (clock(stretch.begin)), " for ");
            put!(page, (Span(Duration::from_millis(stretch.end - stretch.begin))), "</title></rect>");
        }
        put!(page, "</svg></td></tr>");
    }
    put!(page, "</tbody></table>");
}

fn word(stretch: &Stretch) -> &'static str {
    stretch.standing.map_or("Not known", Standing::word)
}

/// The events, newest first: `all` of them, or the latest. `more` is where all are.
pub fn table(page: &mut Html, events: &[Event], now: u64, all: bool, more: &str) {
    if events.is_empty() {
        return put!(page, "<p class=\"empty\">Nothing has happened yet.</p>");
    }
    put!(
        page,
        "<div class=\"scroll\"><table class=\"events\"><thead><tr><th scope=\"col\">When</th><th scope=\"col\">Severity</th>",
        "<th scope=\"col\">Of</th><th scope=\"col\">What</th></tr></thead><tbody>"
    );
    let shown = if all { events.len() } else { RECENT };
    let mut hint_before = None;
    for event in events.iter().rev().take(shown) {
        put!(page, "<tr><td class=\"when\">");
        ago(page, event.at_ms, now);
        let sign = match &*event.severity {
            "high" => "✕",
            "medium" => "▲",
            "low" => "■",
            _ => "",
        };
        put!(
            page,
            "</td><td><span class=\"severity ",
            (event.severity),
            "\"><span aria-hidden=\"true\">",
            (sign),
            "</span> "
        );
        put!(page, (if event.severity == "informational" { "info" } else { &event.severity }), "</span></td><td>");
        match (&event.stream, &event.sink) {
            (Some(stream), _) => put!(page, (stream)),
            (None, Some(sink)) => put!(page, "sink ", (sink)),
            (None, None) => put!(page, "<span class=\"none\">the source</span>"),
        }
        put!(page, "</td><td>");
        // One that goes to another state for a fault tells the fault.
        if let (Some(before), Some(state), Some(_)) = (&event.previous_state, &event.state, &event.code) {
            put!(page, (before.replace('_', " ")), " → ", (state.replace('_', " ")), ": ");
        }
        put!(page, (event.message));
        if let Some(code) = &event.code {
            put!(page, " <code>", (code), "</code>");
        }
        if let (Some(begin), Some(end)) = (&event.begin, &event.end) {
            put!(page, " <span class=\"note\">", (begin), " to ", (end), "</span>");
        }
        // The same trouble in a row asks for the same.
        if let Some(hint) = event.hint.as_ref().filter(|hint| hint_before != Some(*hint)) {
            put!(page, "<span class=\"next\"><b>Next step:</b> ", (hint), "</span>");
        }
        hint_before = event.hint.as_ref();
        put!(page, "</td></tr>");
    }
    put!(page, "</tbody></table></div>");
    if events.len() > shown {
        put!(
            page,
            "<p><a id=\"all-events\" href=\"",
            (more),
            "\">All ",
            (events.len()),
            " events that are kept</a></p>"
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_795_000_000_000;
    const MINUTE: u64 = 60_000;

    fn event(minutes_ago: u64, what: &str, stream: Option<&str>, state: Option<&str>) -> Vec<u8> {
        let time = super::super::figures::instant(NOW - minutes_ago * MINUTE);
        let event = json!({
            "time": time, "event": what, "severity": "high", "stream": stream, "state": state,
            "message": "<script>alert(1)</script>", "hint": "Call <b>them</b>",
        });
        event.to_string().into_bytes()
    }

    fn told() -> Vec<Event> {
        let (audit, dlp) = (Some("audit"), Some("dlp"));
        let stored = vec![
            event(3_000, "StateChange", audit, Some("collecting")),
            event(60, "ThirdPartyGenericError", audit, None),
            event(50, "Cleared", audit, None),
            event(40, "StateChange", audit, Some("error")),
            event(30, "StateChange", audit, Some("collecting")),
            event(20, "ThirdPartyConfigError", None, None),
            event(20, "StateChange", dlp, Some("stopped")),
            b"{\"from\":\"another release\"}".to_vec(),
        ];
        events(stored, &[])
    }

    #[test]
    fn states_follow_from_events() {
        let (begin, all) = stretches(&told(), &["audit", "dlp", "siem"], NOW);
        assert_eq!(begin, NOW - 60 * MINUTE);
        let of = |stream: &str| {
            let stretch = |stretch: &Stretch| ((NOW - stretch.begin) / MINUTE, stretch.standing);
            all[stream].iter().map(stretch).collect::<Vec<_>>()
        };
        use Standing::{Collecting, Failed, Retrying};
        let audit = [(60, Retrying), (50, Collecting), (40, Failed), (30, Collecting), (20, Retrying)];
        assert_eq!(of("audit"), audit.map(|(minutes, standing)| (minutes, Some(standing))));
        assert_eq!(of("dlp"), [(60, None), (20, Some(Failed))]);
        assert_eq!(of("siem"), [(60, None)]);
        assert!(all.values().all(|stretches| stretches.last().unwrap().end == NOW));
    }

    #[test]
    fn no_right_is_an_error_where_somebody_asked_for_it() {
        assert_eq!(standing("not_licensed", "high"), Some(Standing::Failed));
        assert_eq!(standing("not_licensed", "low"), Some(Standing::Unlicensed));
    }

    #[test]
    fn what_an_event_says_is_text() {
        let mut page = Html::default();
        table(&mut page, &told(), NOW, false, "/all");
        strips(&mut page, &told(), &["<i>", "audit"], NOW);
        let text = page.into_string();
        assert!(
            text.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && text.contains("Call &lt;b&gt;them&lt;/b&gt;")
        );
        assert!(!text.contains("<script") && !text.contains("<i>") && !text.contains("<b>them"), "{text}");
        assert!(text.contains("20 min ago") && text.contains("strip-audit"));
        assert!(!text.contains("/all"));
    }

    #[test]
    fn the_latest_are_shown_unless_all_are_asked_for() {
        let many: Vec<Vec<u8>> = (0..50).map(|at| event(50 - at, "Cleared", Some("audit"), None)).collect();
        let rows = |all| {
            let mut page = Html::default();
            table(&mut page, &events(many.clone(), &[]), NOW, all, "/all");
            let text = page.into_string();
            (text.matches("<tr>").count() - 1, text.contains("href=\"/all\""))
        };
        assert_eq!((rows(false), rows(true)), ((RECENT, true), (50, false)));
    }
}
