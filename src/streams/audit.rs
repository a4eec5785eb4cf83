//! Audit events, in closed windows of time that overlap at the present (sections 6.2 and 9.2 of the API reference).
//!
//! Pages of a window are offsets from its newest row, so a window must not grow while it is paged: it ends a little
//! before the present. Records appear late, so the next window begins a while before the last one's end; what comes
//! twice has the same id, and the host drops it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Source;
use super::position::{self, Id, check_token};
use super::pull::Pull;
use crate::api::audit::{EVENTS, Page, body, page};
use crate::api::{Call, Content};
use crate::chunk::{Fault, FaultClass, Next, Start, Timestamp};
use crate::config::{DAY, HOUR, SECOND};
use crate::describe::{AUDIT_RETENTION, Stream};
use crate::kind::Kind;
use crate::normalize::{Encoding, Occurrences, Origin, Source as Log};

const STREAM: Stream = Stream::List(Kind::Audit);

/// Windows are never longer, so that a refused page token costs no more than a day.
const WINDOW: u64 = DAY;

/// Empty pages in a row before the window is given up for now (Q13).
const EMPTY_PAGES: u32 = 100;

/// How often a window is read again from its start before its trouble is told: a token that is refused, or repeats.
const RESTARTS: u32 = 1;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct State {
    /// Where the next window begins.
    next: Timestamp,
    /// Only records of `[since, until)` are wanted: set for a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    /// The window that is being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    begin: Timestamp,
    end: Timestamp,
    /// Where the window after it begins.
    resume: Timestamp,
    /// It reaches the present, or the replay's end: behind it there is nothing for now.
    last: bool,
    /// The page that is being read. Bound to this window, and gone with it (Q16).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Rows of the page that are done, and the id of the last one: if another row stands there, the page has shifted.
    #[serde(default)]
    index: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<Id>,
    /// Rows of the page that were handed over unparsed: they must not be parsed for their ids either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unparsed: Vec<usize>,
}

impl Window {
    /// From the start of its first page.
    fn restart(&mut self) {
        self.turn(None);
    }

    /// To the start of a page.
    fn turn(&mut self, token: Option<String>) {
        self.token = token;
        self.rewind();
    }

    /// To the start of the same page.
    fn rewind(&mut self) {
        (self.index, self.id) = (0, None);
        self.unparsed.clear();
    }
}

pub struct Audit {
    state: State,
    start: Option<Start>,
    /// The page in hand, what occurred on it so far, and its next row.
    page: Option<(Page, Occurrences, usize)>,
    empty_pages: u32,
    restarts: u32,
    /// Nothing more until the next pull that begins with a new window.
    finished: bool,
}

impl Audit {
    pub fn open(start: Start) -> Result<Self, Fault> {
        let state = match &start {
            Start::After(position) => position::read(STREAM.name(), position)?,
            _ => State::default(),
        };
        Ok(Self { state, start: Some(start), page: None, empty_pages: 0, restarts: 0, finished: false })
    }

    /// What comes next is no longer served. An hour of slack: a backlog that is read from its oldest end must not trip
    /// over it.
    fn too_old(&self, oldest: Timestamp) -> bool {
        let next = self.state.next.max(self.state.window.as_ref().map_or(0, |window| window.begin));
        self.state.until.is_none() && next + HOUR < oldest
    }

    /// Opens the next window; `false` if the present is too near.
    fn next_window(&mut self, pull: &Pull<'_>) -> bool {
        let now = whole(pull.now);
        let present = now.saturating_sub(crate::catalog::LAG);
        let limit = self.state.until.map_or(present, |until| present.min(until.div_ceil(SECOND) * SECOND));
        let begin = self.state.next.max(now.saturating_sub(AUDIT_RETENTION));
        if begin >= limit {
            return false;
        }
        let end = limit.min(begin + WINDOW);
        // Within the overlap of the present, late records may still come.
        let resume = end.min(now.saturating_sub(pull.config.overlap(STREAM))).max(begin);
        self.state.window = Some(Window {
            begin,
            end,
            resume,
            last: end == limit,
            token: None,
            index: 0,
            id: None,
            unparsed: Vec::new(),
        });
        true
    }

    fn ask(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let Some(window) = &mut self.state.window else {
            return Ok(());
        };
        let content = body(window.begin, window.end, pull.config.page_size(STREAM), window.token.as_deref());
        let call = Call { endpoint: &EVENTS, content: Content::Json(content) };
        let (text, at) = match pull.call_json(&call) {
            Ok(answer) => answer,
            Err(failure) if window.token.is_some() && failure.may_be_the_token() && self.restarts < RESTARTS => {
                self.restarts += 1;
                window.restart();
                return Ok(());
            }
            Err(failure) => {
                // The same token would be refused for ever: the next pull begins the window anew.
                if window.token.is_some() && failure.may_be_the_token() {
                    window.restart();
                    self.restarts = 0;
                }
                return Err(failure.fault);
            }
        };
        let Some(page) = page(&text) else {
            return Err(Fault::new(
                FaultClass::Protocol,
                "bad-page",
                format!("{at} answered something that is no page of audit events"),
            )
            .status(200)
            .hint("It is tried again; if it stays, report it with this message"));
        };
        check_token(page.next.as_deref(), &at)?;
        let mut occurrences = Occurrences::Answer(BTreeMap::new());
        let begin = resume_at(&page, window, &mut occurrences, pull);
        self.page = Some((page, occurrences, begin));
        Ok(())
    }

    /// Hands out rows of the page in hand. `true` if all are done.
    fn rows(&mut self, pull: &mut Pull<'_>) -> bool {
        let (Some((page, occurrences, at)), Some(window)) = (&mut self.page, &mut self.state.window) else {
            return true;
        };
        while let Some(row) = page.rows.get(*at) {
            if pull.full() {
                return false;
            }
            if pull.verbatim() {
                window.unparsed.push(*at);
            }
            window.id = pull.record(row.as_bytes(), &origin(), occurrences).map(Id);
            *at += 1;
            window.index = *at;
        }
        true
    }

    /// The page is done: on to the next one, or the window is done.
    fn turn_page(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let (Some((page, ..)), Some(window)) = (self.page.take(), &mut self.state.window) else {
            return Ok(());
        };
        self.empty_pages = if page.rows.is_empty() { self.empty_pages + 1 } else { 0 };
        let stuck = page.next.is_some() && (page.next == window.token || self.empty_pages >= EMPTY_PAGES);
        if stuck {
            // Following it would never end (Q14). Nothing is passed: the window is read again, now and later.
            window.restart();
            self.empty_pages = 0;
            self.restarts += 1;
            if self.restarts <= RESTARTS {
                return Ok(());
            }
            self.restarts = 0;
            return Err(Fault::new(
                FaultClass::Unavailable,
                "page-token-repeats",
                "Mimecast's pages of audit events lead nowhere: the token of the next page repeats",
            )
            .status(200)
            .hint("The window is read again later and nothing is passed; if it stays, report it to Mimecast"));
        }
        pull.moved = true;
        match page.next {
            Some(token) => window.turn(Some(token)),
            None => {
                self.restarts = 0;
                self.finished = window.last;
                self.state.next = window.resume;
                self.state.window = None;
            }
        }
        Ok(())
    }
}

/// Where to go on in a page that was fetched anew: behind the rows that are done, or at its start if it has shifted.
/// The rows that are done count as occurrences.
fn resume_at(page: &Page, window: &mut Window, occurrences: &mut Occurrences, pull: &mut Pull<'_>) -> usize {
    let mut id = None;
    for (at, row) in page.rows.iter().enumerate().take(window.index) {
        id = if window.unparsed.contains(&at) {
            None
        } else {
            pull.replay(row.as_bytes(), &origin(), occurrences).map(Id)
        };
    }
    if window.index <= page.rows.len() && id == window.id {
        return window.index;
    }
    *occurrences = Occurrences::Answer(BTreeMap::new());
    window.rewind();
    0
}

fn origin() -> Origin<'static> {
    Origin {
        source: Log::List,
        stream: STREAM.name(),
        kind: Some(Kind::Audit),
        encoding: Encoding::Json,
        fallback_time: None,
    }
}

/// Requests have a resolution of one second.
fn whole(time: Timestamp) -> Timestamp {
    time - time % SECOND
}

impl Source for Audit {
    fn begin(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let oldest = pull.now.saturating_sub(AUDIT_RETENTION);
        let name = STREAM.name();
        self.finished = false;
        let lost_next = |position: &[u8]| position::read::<State>(name, position).ok().map(|state| state.next);
        match self.start.take() {
            None => {}
            Some(Start::Configured) => self.state.next = whole(pull.config.start_at.resolve(pull.now).max(oldest)),
            Some(start @ Start::After(_)) if self.too_old(oldest) => {
                self.start = Some(start);
                return Err(Fault::new(
                    FaultClass::PositionLost,
                    "too-old",
                    "the audit log was read last more than 60 days ago, longer than Mimecast keeps it",
                )
                .hint("The stream goes on as `on_position_lost` says"));
            }
            Some(Start::After(_)) => {}
            Some(Start::Oldest(lost)) => {
                self.state.next = whole(oldest);
                if let Some(position) = lost {
                    let mark = lost_next(&position);
                    if mark.is_none_or(|mark| mark < oldest) {
                        pull.gap(name, mark, Some(oldest), "the position was lost, and Mimecast keeps 60 days");
                    }
                }
            }
            Some(Start::Now(lost)) => {
                self.state.next = whole(pull.now);
                if let Some(position) = lost {
                    pull.gap(
                        name,
                        lost_next(&position),
                        Some(pull.now),
                        "the position was lost, and the stream goes on at the present",
                    );
                }
            }
            Some(Start::Span(begin, end)) => {
                self.state.next = whole(begin.max(oldest));
                (self.state.since, self.state.until) = (Some(begin), Some(end));
                if begin < oldest {
                    pull.gap(name, Some(begin), Some(oldest.min(end)), "Mimecast keeps 60 days");
                }
            }
        }
        (pull.since, pull.until) = (self.state.since, self.state.until);
        Ok(())
    }

    fn pull(&mut self, pull: &mut Pull<'_>) -> Result<Next, Fault> {
        loop {
            if self.finished || (self.state.window.is_none() && !self.next_window(pull)) {
                return Ok(Next::CaughtUp);
            }
            if self.page.is_some() {
                if !self.rows(pull) {
                    return Ok(Next::More);
                }
                self.turn_page(pull)?;
            } else {
                if let Err(next) = pull.may_request() {
                    return Ok(next);
                }
                self.ask(pull)?;
            }
        }
    }

    fn position(&self) -> Vec<u8> {
        position::write(STREAM.name(), &self.state)
    }
}

#[cfg(test)]
mod tests;
