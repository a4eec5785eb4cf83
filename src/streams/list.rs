//! Rows of the lists of `POST /api/…`, page by page, in closed windows of time (sections 3, 6 and 9.2 of the API reference).

use std::collections::BTreeMap;

use super::Source;
use super::position::{Id, check_token};
use super::pull::Pull;
use super::window::Windows;
use crate::api::rows::ROWS_LIMIT;
use crate::api::{Call, Content, list};
use crate::catalog::Stream;
use crate::chunk::{Fault, FaultClass, Next, Start};
use crate::config::DAY;
use crate::kind::Kind;
use crate::normalize::{Encoding, Occurrences, Origin, Source as Log};

/// Windows are never longer, so that a refused page token costs no more than a day.
const WINDOW: u64 = DAY;

/// Empty pages in a row before the window is given up for now (Q13).
const EMPTY_PAGES: u32 = 100;

/// How often a window is read again from its start before its trouble is told: a token that is refused, or repeats.
const RESTARTS: u32 = 1;

pub struct List {
    stream: Stream,
    kind: Kind,
    list: &'static list::List,
    windows: Windows,
    /// The page in hand, what occurred on it so far, and its next row.
    page: Option<(list::Page, Occurrences, usize)>,
    empty_pages: u32,
    restarts: u32,
}

impl List {
    pub fn open(stream: Stream, kind: Kind, start: Start) -> Result<Self, Fault> {
        let Some(list) = list::of(kind) else {
            let message = format!("{} is no list", stream.name());
            return Err(Fault::new(FaultClass::Configuration, "unknown-stream", message).hint("Report this message"));
        };
        let windows = Windows::open(stream, WINDOW, start)?;
        Ok(Self { stream, kind, list, windows, page: None, empty_pages: 0, restarts: 0 })
    }

    fn ask(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let origin = self.origin();
        let Some(window) = self.windows.window() else {
            return Ok(());
        };
        let size = pull.config.page_size(self.stream);
        let content = self.list.body(window.begin, window.end, size, window.token.as_deref());
        let call = Call { endpoint: &self.list.endpoint, content: Content::Json(content) };
        let (text, at) = match pull.call_json(&call) {
            Ok(answer) => answer,
            Err(failure) if window.token.is_some() && failure.may_be_the_token() => {
                // The same token would be refused for ever: from here on, or at the next pull, the window begins anew.
                window.restart();
                self.restarts += 1;
                if self.restarts <= RESTARTS {
                    return Ok(());
                }
                self.restarts = 0;
                return Err(failure.fault);
            }
            Err(failure) => return Err(failure.fault),
        };
        let Some(page) = list::page(text) else {
            let name = self.stream.name();
            let message =
                format!("{at} answered something that is no page of {name}, or one of more than {ROWS_LIMIT} rows");
            return Err(Fault::new(FaultClass::Protocol, "bad-page", message)
                .status(200)
                .hint("It is tried again; if it stays, report it with this message"));
        };
        check_token(page.next.as_deref(), &at)?;
        let shrunk = page.total.zip(window.total).is_some_and(|(now, before)| now < before);
        if self.kind == Kind::Held && shrunk && self.restarts < RESTARTS {
            // Messages have left the queue, so the rows behind them have moved to pages that were read already.
            self.restarts += 1;
            window.restart();
            return Ok(());
        }
        window.total = page.total;
        let mut occurrences = Occurrences::Answer(BTreeMap::new());
        let begin = resume_at(&page, window, &mut occurrences, &origin, pull);
        self.page = Some((page, occurrences, begin));
        Ok(())
    }

    /// Hands out rows of the page in hand. `true` if all are done.
    fn rows(&mut self, pull: &mut Pull<'_>) -> bool {
        let origin = self.origin();
        let (Some((page, occurrences, at)), Some(window)) = (&mut self.page, self.windows.window()) else {
            return true;
        };
        while let Some(row) = page.rows.get(*at) {
            if pull.full() {
                return false;
            }
            if pull.verbatim() {
                window.unparsed.push(*at);
            }
            window.id = pull.record(row, &origin, occurrences).map(Id);
            *at += 1;
            window.index = *at;
        }
        true
    }

    /// The page is done: on to the next one, or the window is done.
    fn turn_page(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let (Some((page, ..)), Some(window)) = (self.page.take(), self.windows.window()) else {
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
            let message =
                format!("Mimecast's pages of {} lead nowhere: the token of the next page repeats", self.stream.name());
            return Err(Fault::new(FaultClass::Unavailable, "page-token-repeats", message)
                .status(200)
                .hint("The window is read again later and nothing is passed; if it stays, report it to Mimecast"));
        }
        pull.moved = true;
        match page.next {
            Some(token) => window.turn(Some(token)),
            None => {
                self.restarts = 0;
                self.windows.close();
            }
        }
        Ok(())
    }

    fn origin(&self) -> Origin<'static> {
        Origin {
            source: Log::List,
            stream: self.stream.name(),
            kind: Some(self.kind),
            encoding: Encoding::Json,
            fallback_time: self.windows.fallback_time(),
        }
    }
}

/// Where to go on in a page that was fetched anew: behind the rows that are done, or at its start if it has shifted.
/// The rows that are done count as occurrences.
fn resume_at(
    page: &list::Page,
    window: &mut super::window::Window,
    occurrences: &mut Occurrences,
    origin: &Origin<'_>,
    pull: &mut Pull<'_>,
) -> usize {
    let mut id = None;
    for (at, row) in page.rows.iter().enumerate().take(window.index) {
        id = if window.unparsed.contains(&at) { None } else { pull.replay(row, origin, occurrences).map(Id) };
    }
    if window.index <= page.rows.len() && id == window.id {
        return window.index;
    }
    *occurrences = Occurrences::Answer(BTreeMap::new());
    window.rewind();
    0
}

impl Source for List {
    fn begin(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        self.windows.begin(pull)
    }

    fn pull(&mut self, pull: &mut Pull<'_>) -> Result<Next, Fault> {
        loop {
            if !self.windows.ready(pull) {
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
        self.windows.position()
    }
}

#[cfg(test)]
mod tests;
