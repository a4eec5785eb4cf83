//! Rows of the lists of `POST /api/…`, page by page, in closed windows of time (sections 3, 6 and 9.2 of the API reference).

use super::Source;
use super::position::{Id, check_token};
use super::pull::Pull;
use super::window::{EMPTY_PAGES, Window, Windows};
use crate::api::rows::ROWS_LIMIT;
use crate::api::{Call, Content, list};
use crate::catalog::Stream;
use crate::chunk::{Digest, Fault, FaultClass, Next, Start, Timestamp};
use crate::code::Code;
use crate::config::DAY;
use crate::kind::Kind;
use crate::normalize::{Encoding, Occurrences, Origin, Source as Log};

/// Windows are never longer, so that a refused page token costs no more than a day.
const WINDOW: u64 = DAY;

/// How far back Mimecast serves these lists is not public (U25, U26), but every client asks for this much.
const OLD: u64 = 8 * DAY;

/// Ids that a position keeps of a page's last second: a page of the largest size. With more of them, none.
const IDS_BEFORE: usize = 500;

/// How often a window is read again from its start before its trouble is told: a token that is refused, or repeats.
const RESTARTS: u32 = 1;

pub struct List {
    stream: Stream,
    kind: Kind,
    list: &'static list::List,
    windows: Windows,
    page: Option<InHand>,
    empty_pages: u32,
    restarts: u32,
}

/// The page that is being read.
struct InHand {
    page: list::Page,
    /// The next row.
    at: usize,
    occurrences: Occurrences,
    /// The rows of the last row's second, by id without number, each once.
    second: Option<Timestamp>,
    ids: Vec<Digest>,
}

impl InHand {
    /// `before` is what the pages before it have left.
    fn new(page: list::Page, before: &[(Id, u32)]) -> Self {
        let counts = before.iter().map(|(id, count)| (id.0, *count)).collect();
        let occurrences = Occurrences::Answer { counts, last: None };
        Self { page, at: 0, occurrences, second: None, ids: Vec::new() }
    }

    /// Another row was read, which happened then.
    fn note(&mut self, time: Option<Timestamp>) {
        if self.second != time {
            self.second = time;
            self.ids.clear();
        }
        if let Occurrences::Answer { last: Some(id), .. } = &self.occurrences
            && time.is_some()
            && self.ids.len() <= IDS_BEFORE
            && !self.ids.contains(id)
        {
            self.ids.push(*id);
        }
    }

    /// What the next page must know, if the rows here are not read again from another window's start.
    ///
    /// Identical rows have one time, so they stand together; those that come to stand on two pages would have one id. Where the next
    /// poll reads them again, they stand on pages of other beginnings, and a late row may have moved them: what looks like a second
    /// row there may be the first one.
    fn left(&self, settled: Timestamp) -> Vec<(Id, u32)> {
        let Occurrences::Answer { counts, .. } = &self.occurrences else {
            return Vec::new();
        };
        if self.second.is_none_or(|second| second >= settled) || self.ids.len() > IDS_BEFORE {
            return Vec::new();
        }
        self.ids.iter().filter_map(|id| Some((Id(*id), *counts.get(id)?))).collect()
    }
}

impl List {
    pub fn open(stream: Stream, kind: Kind, start: Start) -> Result<Self, Fault> {
        let Some(list) = list::of(kind) else {
            let message = format!("{} is no list", stream.name());
            return Err(Fault::new(FaultClass::Configuration, Code::UnknownStream, message).hint("Report this message"));
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
            Err(failure) if window.token.is_some() && failure.may_be_the_page() => {
                // The same token would be refused for ever: from here on, or at the next pull, the window begins anew.
                window.restart();
                self.restarts += 1;
                if self.restarts <= RESTARTS {
                    return Ok(());
                }
                self.restarts = 0;
                return Err(failure.fault);
            }
            Err(mut failure) => {
                if window.token.is_none() && failure.may_be_the_page() && window.begin + OLD < pull.now {
                    let name = self.stream.name();
                    failure.fault = failure.fault.hint(format!(
                        "Mimecast may not serve {name} so far back: set a later `start_at`, or let the stream begin again"
                    ));
                }
                return Err(failure.fault);
            }
        };
        let Some(page) = list::page(text) else {
            let name = self.stream.name();
            let message =
                format!("{at} answered something that is no page of {name}, or one of more than {ROWS_LIMIT} rows");
            return Err(Fault::new(FaultClass::Protocol, Code::BadPage, message)
                .status(200)
                .hint(crate::advice::REPORT));
        };
        check_token(page.next.as_deref(), &at)?;
        let shrunk = page.total.zip(window.total).is_some_and(|(now, before)| now < before);
        if self.kind == Kind::Held && shrunk {
            // Messages have left the queue, so the rows behind them have moved to pages that were read already.
            if self.restarts < RESTARTS {
                self.restarts += 1;
                window.restart();
                return Ok(());
            }
            // It may never hold still: it is read to its end, and again by the next poll.
            window.read_again();
        }
        if page.total.zip(window.total).is_some_and(|(now, before)| now > before) {
            // Rows have come in between, and the page begins with some that were read.
            window.before.clear();
        }
        window.total = page.total;
        window.heard(pull.vendor_now, pull.now, pull.config.overlap(self.stream));
        self.page = Some(resume_at(page, window, &origin, pull));
        Ok(())
    }

    /// Hands out rows of the page in hand. `true` if all are done.
    fn rows(&mut self, pull: &mut Pull<'_>) -> bool {
        let origin = self.origin();
        let (Some(hand), Some(window)) = (&mut self.page, self.windows.window()) else {
            return true;
        };
        while let Some(row) = hand.page.rows.get(hand.at) {
            if pull.full() {
                return false;
            }
            if pull.verbatim() {
                window.unparsed.push(hand.at);
            }
            window.id = pull.record(row, &origin, &mut hand.occurrences).map(Id);
            hand.note(pull.last_time);
            hand.at += 1;
            window.index = hand.at;
        }
        true
    }

    /// The page is done: on to the next one, or the window is done.
    fn turn_page(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let (Some(hand), Some(window)) = (self.page.take(), self.windows.window()) else {
            return Ok(());
        };
        let page = &hand.page;
        self.empty_pages = if page.rows.is_empty() { self.empty_pages + 1 } else { 0 };
        let back = |token: &String| window.token.as_ref() == Some(token) || window.leads_back(token);
        let stuck = page.next.as_ref().is_some_and(|token| back(token) || self.empty_pages >= EMPTY_PAGES);
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
            return Err(Fault::new(FaultClass::Unavailable, Code::PageTokenRepeats, message)
                .status(200)
                .hint("The window is read again later and nothing is passed; if it stays, report it to Mimecast"));
        }
        pull.moved = true;
        pull.page_read();
        if !page.rows.is_empty() {
            let counts = self.list.counts_across_pages();
            window.before = if counts { hand.left(window.resume()) } else { Vec::new() };
        }
        match hand.page.next {
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

/// Goes on in a page that was fetched anew: behind the rows that are done, or at its start if it has shifted.
/// The rows that are done count as occurrences.
fn resume_at(page: list::Page, window: &mut Window, origin: &Origin<'_>, pull: &mut Pull<'_>) -> InHand {
    let mut hand = InHand::new(page, &window.before);
    let mut id = None;
    while let Some(row) = hand.page.rows.get(hand.at).filter(|_| hand.at < window.index) {
        let parsed = !window.unparsed.contains(&hand.at);
        id = if parsed { pull.replay(row, origin, &mut hand.occurrences).map(Id) } else { None };
        hand.note(pull.last_time.filter(|_| parsed));
        hand.at += 1;
    }
    if hand.at == window.index && id == window.id {
        return hand;
    }
    window.rewind();
    InHand::new(hand.page, &window.before)
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
