//! The page of one source: what is wrong and what to do, its streams, what happened, and what is kept of it.

use http::StatusCode;

use super::figures::{Number, PerMinute, Size, ago};
use super::frame::Page;
use super::history::{self, Event};
use super::html::{Html, part, put};
use super::ledger;
use super::list::{badge, capital, lag};
use super::rows::trouble;
use super::standing::{Standing, Tally};
use crate::collect::{Checked, StreamStatus, Verdict};
use crate::observe::api::Api;
use crate::observe::server::{Answer, Asked};
use crate::observe::view::{Facts, Stored};
use crate::sandbox::NetworkCounts;
use crate::state::{StateError, StreamKey};

/// Health events of this run that may not be stored yet.
const LATEST: usize = 1_000;

/// A check that ended so long ago is not what was just asked for.
const JUST: u64 = 60_000;

/// All that is known of a source.
struct Known {
    id: String,
    now_ms: u64,
    streams: Vec<(StreamStatus, Standing)>,
    misconfigured: Option<String>,
    facts: Option<Facts>,
    stored: Vec<Stored>,
    events: Vec<Event>,
    /// Why what is stored cannot be read.
    unread: Option<String>,
}

pub async fn answer(api: &Api, asked: &Asked, id: &str) -> Answer {
    let Some(known) = known(api, id).await else {
        return super::nothing(asked.caller, &format!("The running host has no source {id:?}."));
    };
    let has = |key: &str, value: &str| {
        let query = asked.query.as_deref().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).any(|pair| (&*pair.0, &*pair.1) == (key, value))
    };
    let outcome = match () {
        () if has("did", "check") => Some(known.outcome_of_check()),
        () if has("did", "restart") && known.facts.is_some() => {
            Some("All streams begin anew, behind what was read. Nothing is read twice.".to_owned())
        }
        () if has("did", "restart") => {
            Some("It is not run, so nothing begins anew. Mend its configuration.".to_owned())
        }
        () => None,
    };
    let main = known.main(has("events", "all"));
    let (status, caller) = (StatusCode::OK, asked.caller);
    Page { status, title: id, caller, main, outcome, live: true }.answer()
}

async fn known(api: &Api, id: &str) -> Option<Known> {
    let standing = |status: &StreamStatus| Standing::of(status, |source, stream| api.control.is_named(source, stream));
    let streams = api.control.status_of(id).into_iter().map(|status| (standing(&status), status));
    let streams: Vec<_> = streams.map(|(standing, status)| (status, standing)).collect();
    let misconfigured = api.control.misconfigured().remove(id);
    let facts = api.control.facts(id);
    if streams.is_empty() && misconfigured.is_none() && facts.is_none() {
        return None;
    }
    let keys: Vec<StreamKey> = streams.iter().map(|(status, _)| StreamKey::new(id, &*status.stream)).collect();
    let (source, disk) = (id.to_owned(), api.disk.clone());
    let read = tokio::task::spawn_blocking(move || {
        let Some(disk) = disk else { return Ok(Default::default()) };
        let stored = |key: StreamKey| Ok(Stored { gaps: disk.store.gaps(&key)?, summary: disk.store.summary(key)? });
        let stored = keys.into_iter().map(stored).collect::<Result<Vec<_>, StateError>>()?;
        Ok((stored, disk.store.health(&source)?))
    });
    let ((stored, kept), unread) = match read.await {
        Ok(Ok(read)) => (read, None),
        Ok(Err(error)) => (Default::default(), Some(StateError::to_string(&error))),
        Err(_) => (Default::default(), Some("what is stored could not be read; see the host's log".to_owned())),
    };
    let (_, latest) = api.control.listen(Some(id), LATEST);
    let events = history::events(kept, &latest);
    let (id, now_ms) = (id.to_owned(), api.clock.millis());
    Some(Known { id, now_ms, streams, misconfigured, facts, stored, events, unread })
}

impl Known {
    fn main(&self, all_events: bool) -> Html {
        let mut main = Html::default();
        let page = &mut main;
        self.head(page);
        self.troubles(page);
        if !self.streams.is_empty() {
            self.table(page);
        }
        put!(page, "<section><h2>History</h2>");
        let names: Vec<&str> = self.streams.iter().map(|(status, _)| &*status.stream).collect();
        if !names.is_empty() {
            history::strips(page, &self.events, &names, self.now_ms);
        }
        put!(page, "<h3>Health events</h3>");
        let more = format!("/sources/{}?events=all", part(&self.id));
        history::table(page, &self.events, self.now_ms, all_events, &more);
        put!(page, "</section>");
        put!(page, "<section id=\"last-check\"><h2>Last check</h2>");
        match self.last_check() {
            Some(checked) => self.checked(page, checked),
            None => put!(page, "<p class=\"empty\">None since the host began.</p>"),
        }
        put!(page, "</section>");
        if let Some(why) = &self.unread {
            put!(page, "<section class=\"alert\"><h2>What is stored cannot be read</h2><p>", (why), "</p></section>");
        }
        ledger::tables(page, &self.stored, self.now_ms);
        if let Some(network) = self.facts.as_ref().and_then(|facts| facts.network.as_ref()) {
            network_counts(page, network);
        }
        main
    }

    fn last_check(&self) -> Option<&Checked> {
        self.facts.as_ref()?.last_check.as_ref()
    }

    fn outcome_of_check(&self) -> String {
        let Some(checked) = self.last_check().filter(|last| self.now_ms.saturating_sub(last.at_ms) < JUST) else {
            return "The check came to no end: the source is not run, or the host stops.".to_owned();
        };
        let bad = checked.findings.iter().filter(|finding| !is_well(finding.verdict)).count();
        match (bad, checked.resumed) {
            (0, false) => "The check found all well.".to_owned(),
            (0, true) => "The check found all well; what was given up is tried again.".to_owned(),
            (bad, _) => format!("The check found trouble: {bad} of {}. See below.", checked.findings.len()),
        }
    }

    fn head(&self, page: &mut Html) {
        let mut tally = Tally::default();
        self.streams.iter().for_each(|(_, standing)| tally.add(*standing));
        let standing = if self.misconfigured.is_some() { Some(Standing::Failed) } else { tally.worst() };
        let tenant = self.streams.first().map_or(&*self.id, |(status, _)| &*status.tenant);
        put!(
            page,
            "<nav class=\"crumbs\" aria-label=\"Where\"><a href=\"/\">Sources</a></nav><div class=\"head\"><h1>"
        );
        put!(page, (self.id), "</h1><p class=\"tenant\">Tenant <b>", (tenant), "</b></p>");
        if let Some(standing) = standing {
            badge(page, standing, standing.word());
        }
        put!(page, "<span class=\"space\"></span>");
        for (action, word, busy, help) in [
            ("check", "Check", "Checking…", "Tries the credentials, and one call for each stream. Nothing is stored"),
            ("restart", "Restart", "Restarting…", "All streams begin anew behind what was read. Nothing is lost"),
        ] {
            put!(page, "<form method=\"post\" action=\"/sources/", (part(&self.id)), "/", (action), "\" data-action>");
            put!(page, "<button id=\"", (action), "\" data-busy=\"", (busy), "\" title=\"", (help), "\"");
            if self.facts.is_none() {
                put!(page, " disabled");
            }
            put!(page, ">", (word), "</button></form>");
        }
        put!(page, "</div>");
    }

    /// Each trouble once, with the streams that have it.
    fn troubles(&self, page: &mut Html) {
        if let Some(why) = &self.misconfigured {
            let so = match self.streams.is_empty() {
                true => "It is not collected, for its configuration is wrong",
                false => "It runs with the configuration that it had, for the new one is wrong",
            };
            put!(page, "<section class=\"alert\"><h2>", (so), "</h2><p>", (why), "</p>");
            put!(page, "<p class=\"next\"><b>Next step:</b> Mend it, and reload (SIGHUP).</p></section>");
        }
        let mut all: Vec<(String, Standing, Vec<&str>)> = Vec::new();
        for (status, standing) in &self.streams {
            let standing = *standing;
            let Some(text) = trouble(status, standing).filter(|_| standing != Standing::Unlicensed) else { continue };
            match all.iter_mut().find(|(known, ..)| *known == text) {
                Some((_, worst, streams)) => {
                    *worst = standing.min(*worst);
                    streams.push(&status.stream);
                }
                None => all.push((text, standing, vec![&status.stream])),
            }
        }
        all.sort_by_key(|(_, standing, _)| *standing);
        for (text, standing, streams) in &all {
            let (what, next) = next_step(text);
            put!(page, "<section class=\"alert ", (standing.key()), "\"><h2>");
            badge(page, *standing, standing.word());
            put!(page, " ", (streams.join(", ")), "</h2><p class=\"fault\">", (what), "</p>");
            if let Some(next) = next {
                put!(page, "<p class=\"next\"><b>Next step:</b> ", (next), "</p>");
            }
            put!(page, "</section>");
        }
    }

    fn table(&self, page: &mut Html) {
        put!(
            page,
            "<section><h2>Streams</h2><div class=\"scroll\"><table class=\"streams\"><thead><tr>",
            "<th scope=\"col\">Stream</th><th scope=\"col\">State</th><th scope=\"col\" class=\"number\">Lag</th>",
            "<th scope=\"col\">Newest event</th><th scope=\"col\" class=\"number\">Events/min</th>",
            "<th scope=\"col\" class=\"number\">Events</th><th scope=\"col\" class=\"number\">On the way</th>",
            "<th scope=\"col\" class=\"number\">Polls</th><th scope=\"col\" class=\"number\">Faults</th>",
            "<th scope=\"col\">Next poll</th></tr></thead><tbody>"
        );
        let now = self.now_ms.saturating_mul(1_000_000);
        for (status, standing) in &self.streams {
            let standing = *standing;
            put!(page, "<tr id=\"stream-", (status.stream), "\" class=\"", (standing.key()), "\"><th scope=\"row\">");
            put!(page, (status.stream), "</th><td>");
            badge(page, standing, &capital(&status.state.to_string(), standing));
            put!(page, "</td><td class=\"number\">");
            lag(page, status.lag(now));
            put!(page, "</td><td>");
            self.moment(page, status.newest);
            put!(page, "</td><td class=\"number\">", (PerMinute(status.rate.per_minute(self.now_ms))));
            for number in [status.stored.accepted, status.read.accepted.saturating_sub(status.stored.accepted)] {
                put!(page, "</td><td class=\"number\">", (Number(number)));
            }
            for number in [status.polls, status.faults] {
                put!(page, "</td><td class=\"number\">", (Number(number)));
            }
            put!(page, "</td><td>");
            self.moment(page, status.next);
            put!(page, "</td></tr>");
        }
        put!(page, "</tbody></table></div></section>");
    }

    /// Of nanoseconds since the Unix epoch.
    fn moment(&self, page: &mut Html, nanos: Option<u64>) {
        match nanos {
            Some(nanos) => ago(page, nanos / 1_000_000, self.now_ms),
            None => put!(page, "<span class=\"none\">–</span>"),
        }
    }

    fn checked(&self, page: &mut Html, checked: &Checked) {
        put!(page, "<p>");
        ago(page, checked.at_ms, self.now_ms);
        put!(page, (if checked.good { ": all is well." } else { ": there is trouble." }));
        put!(page, (if checked.resumed { " What was given up is tried again." } else { "" }), "</p>");
        put!(
            page,
            "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Of</th><th scope=\"col\">Result</th>",
            "<th scope=\"col\">What was found</th></tr></thead><tbody>"
        );
        for finding in &checked.findings {
            let (standing, word) = match finding.verdict {
                Verdict::Good => (Standing::Collecting, "Good"),
                Verdict::NotLicensed => (Standing::Unlicensed, "Not licensed"),
                Verdict::Passing => (Standing::Retrying, "Failed for now"),
                Verdict::Refused => (Standing::Failed, "Refused"),
                Verdict::Misconfigured => (Standing::Failed, "Misconfigured"),
                Verdict::Broken => (Standing::Failed, "Broken"),
            };
            put!(page, "<tr><th scope=\"row\">");
            match finding.stream.is_empty() {
                true => put!(page, "Credentials"),
                false => put!(page, (finding.stream)),
            }
            put!(page, "</th><td>");
            badge(page, standing, word);
            put!(page, "</td><td>", (finding.result));
            if !finding.next.is_empty() {
                put!(page, "<span class=\"next\"><b>Next step:</b> ", (finding.next), "</span>");
            }
            put!(page, "</td></tr>");
        }
        put!(page, "</tbody></table></div>");
    }
}

fn is_well(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Good | Verdict::NotLicensed)
}

/// A fault is `what (code). next step`: two parts for whoever reads.
fn next_step(fault: &str) -> (&str, Option<&str>) {
    let is_code = |before: &str| {
        let code = before.rsplit_once('(').map(|(_, code)| code);
        code.is_some_and(|code| !code.is_empty() && !code.contains([' ', ')']))
    };
    let end = fault.match_indices("). ").find(|(at, _)| is_code(&fault[..*at]));
    match end {
        Some((at, _)) => (&fault[..at + 1], Some(&fault[at + 3..])),
        None => (fault, None),
    }
}

fn network_counts(page: &mut Html, network: &NetworkCounts) {
    put!(page, "<section><h2>Network</h2><p class=\"note\">Since the host began.</p><dl class=\"figures small\">");
    for (name, value) in [
        ("Requests", Number(network.requests).to_string()),
        ("Connections", Number(network.connections).to_string()),
        ("Sent", Size(network.sent_bytes).to_string()),
        ("Received", Size(network.received_bytes).to_string()),
        ("Denied", Number(network.denied).to_string()),
        ("Reported", Number(network.reported).to_string()),
    ] {
        put!(page, "<div class=\"figure\"><dt>", (name), "</dt><dd>", (value), "</dd></div>");
    }
    put!(page, "</dl>");
    if let Some(last) = &network.last_refusal {
        put!(page, "<p>The last request that the egress policy was about: ", (last), "</p>");
    }
    put!(page, "</section>");
}

#[cfg(test)]
mod tests {
    use super::next_step;

    #[test]
    fn a_fault_says_what_and_then_what_to_do() {
        let fault = "The vendor (Mimecast). refuses the keys (app_forbidden). Give the role (Logs). Then wait";
        let (what, next) = next_step(fault);
        assert_eq!(what, "The vendor (Mimecast)");
        assert!(next.is_some());
        let (what, next) = next_step("Access is forbidden (app_forbidden). Give it the right (Logs | Read). Wait");
        assert_eq!(
            (what, next),
            ("Access is forbidden (app_forbidden)", Some("Give it the right (Logs | Read). Wait"))
        );
        for whole in ["", "It stands still", "It is (so to say). broken", "It failed (code)"] {
            assert_eq!(next_step(whole), (whole, None));
        }
    }
}
