//! SIEM logs of API 2.0 as one stream of events of all types, of the last 24 hours (sections 5.2 and 9.4 of the API reference).
//!
//! The cursor is kept across polls and days; a date is sent only without one. Pages overlap: what comes twice has the same id, and
//! the host drops it.

use serde::{Deserialize, Serialize};

use super::Source;
use super::position::{self, Id, check_token};
use super::progress::Progress;
use super::pull::Pull;
use super::start::settle;
use crate::api::events::{Ask, EVENTS, Page, page, query};
use crate::api::{Call, Content};
use crate::catalog::{EVENTS_RETENTION, Stream};
use crate::chunk::{Fault, FaultClass, Next, Start, Timestamp};
use crate::code::Code;
use crate::config::{DAY, HOUR, MINUTE};
use crate::normalize::{Encoding, Occurrences, Origin, Source as Log};

const STREAM: Stream = Stream::SiemEvents;

/// A start at the very limit would be older than it when the request arrives.
const SLACK: u64 = 10 * MINUTE;

/// Empty pages in a row before the source waits for the next interval (Q13).
const EMPTY_PAGES: u32 = 100;

/// A refused cursor is mended so often until the stream has caught up again; then it is a fault, or a vendor that refuses every
/// cursor would be asked without end.
const REFUSALS: u32 = 1;

/// A cursor that has brought nothing for so long may have stalled (Q56): the stream begins anew by date, a little before its silence.
/// A cursor is never judged by its text, for offsets of zero are legal.
const SILENCE: u64 = HOUR;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct State {
    /// The page's cursor; none on the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Where a listing without a cursor begins, and where it ends, if it does.
    from: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Timestamp>,
    /// Events of the page that are done, and the id of the last one: if another one stands there, the page has changed.
    #[serde(skip_serializing_if = "is_zero")]
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Id>,
    /// Events of the page that were handed over unparsed: they must not be parsed for their ids either.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unparsed: Vec<usize>,
    /// When events last came, or when the stream was last begun by date.
    #[serde(skip_serializing_if = "Option::is_none")]
    heard: Option<Timestamp>,
    #[serde(flatten)]
    progress: Progress,
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

impl State {
    /// To the start of a page.
    fn turn(&mut self, token: Option<String>) {
        self.token = token;
        self.rewind();
    }

    fn rewind(&mut self) {
        (self.index, self.id) = (0, None);
        self.unparsed.clear();
    }
}

pub struct SiemEvents {
    state: State,
    start: Option<Start>,
    /// The page in hand, what occurred on it so far, its first event that is new, and its next one.
    page: Option<(Page, Occurrences, usize, usize)>,
    empty_pages: u32,
    /// Cursors in a row that were refused.
    refusals: u32,
    /// How far this machine's clock is behind the vendor's, as far as it has mattered.
    behind: u64,
    finished: bool,
}

/// The oldest start that is surely answered.
fn oldest(now: Timestamp) -> Timestamp {
    now.saturating_sub(EVENTS_RETENTION - SLACK)
}

impl SiemEvents {
    pub fn open(start: Start) -> Result<Self, Fault> {
        let state = match &start {
            Start::After(position) => position::read(STREAM.name(), position)?,
            _ => State::default(),
        };
        Ok(Self { state, start: Some(start), page: None, empty_pages: 0, refusals: 0, behind: 0, finished: false })
    }

    fn ask(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let now = pull.now + self.behind;
        let from = self.state.from.max(oldest(now)).min(now);
        let query = match &self.state.token {
            Some(token) => query(pull.config.page_size(STREAM), Ask::Token(token)),
            None => query(pull.config.page_size(STREAM), Ask::Dates { from, to: self.state.to }),
        };
        let (text, at) = match pull.call_json(&Call { endpoint: &EVENTS, content: Content::Query(&query) }) {
            Ok(answer) => answer,
            Err(failure) if self.state.token.is_some() && failure.may_be_the_page() && self.refusals < REFUSALS => {
                self.refusals += 1;
                return self.token_refused(pull);
            }
            // A start of more than 24 hours ago is refused (Q55), and by a clock that is behind it seems to be less.
            Err(failure) if self.state.token.is_none() && failure.fault.status == Some(400) => {
                let behind = pull.vendor_now.map_or(0, |theirs| theirs.saturating_sub(pull.now));
                if behind <= self.behind + MINUTE || behind > DAY {
                    return Err(failure.fault);
                }
                self.behind = behind;
                return Ok(());
            }
            Err(failure) => return Err(failure.fault),
        };
        let Some(page) = page(text) else {
            let message = format!("{at} answered something that is no page of events");
            return Err(Fault::new(FaultClass::Protocol, Code::BadPage, message)
                .status(200)
                .hint(crate::advice::REPORT));
        };
        check_token(page.next.as_deref(), &at)?;
        let by_time = self.state.token.is_none();
        let kept = if by_time { EVENTS_RETENTION - SLACK } else { EVENTS_RETENTION };
        self.state.progress.answered(pull, STREAM, kept, by_time);
        let mut occurrences = Occurrences::answer();
        let begin = self.resume_at(&page, &mut occurrences, pull);
        self.page = Some((page, occurrences, begin, begin));
        Ok(())
    }

    /// Where to go on in a page that was fetched anew: behind the events that are done, or at its start if it has changed.
    fn resume_at(&mut self, page: &Page, occurrences: &mut Occurrences, pull: &mut Pull<'_>) -> usize {
        let mut id = None;
        for (at, row) in page.rows.iter().enumerate().take(self.state.index) {
            let parsed = !self.state.unparsed.contains(&at);
            id = if parsed { pull.replay(row, &origin(), occurrences).map(Id) } else { None };
        }
        if self.state.index <= page.rows.len() && id == self.state.id {
            return self.state.index;
        }
        *occurrences = Occurrences::answer();
        self.state.rewind();
        0
    }

    /// The vendor no longer takes the cursor. Within its 24 hours the own time mark mends that.
    fn token_refused(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        self.state.progress.may_mend(STREAM, pull.now)?;
        self.list_again(pull, pull.now, "Mimecast refuses the cursor");
        Ok(())
    }

    /// Leaves the cursor: from where everything was surely read, or, in a backlog, from where that began. What comes again is dropped
    /// by the host. Nothing was heard since `heard`.
    fn list_again(&mut self, pull: &mut Pull<'_>, heard: Timestamp, why: &str) {
        self.state.progress.read(pull);
        let oldest = oldest(pull.now);
        match self.state.progress.surely_read(heard) {
            Some(read) if self.state.progress.mark.is_some() => {
                self.state.from = read.saturating_sub(pull.config.overlap(STREAM));
            }
            // No event was ever read: the page that said that there is none may have stalled (Q56). The beginning stands.
            Some(_) => {}
            None if self.state.from + HOUR < oldest => {
                let what = format!("{}: what was not yet read of the backlog", STREAM.name());
                let from = Some(self.state.from).filter(|from| *from > 0);
                pull.gap(what, from, Some(oldest), format!("{why}, and {}", STREAM.reach()));
                self.state.progress.told(oldest);
            }
            None => {}
        }
        self.state.turn(None);
    }

    /// Hands out events of the page in hand. `true` if all are done.
    fn rows(&mut self, pull: &mut Pull<'_>) -> bool {
        let Some((page, occurrences, _, at)) = &mut self.page else {
            return true;
        };
        while let Some(row) = page.rows.get(*at) {
            if pull.full() {
                return false;
            }
            if pull.verbatim() {
                self.state.unparsed.push(*at);
            }
            self.state.id = pull.record(row, &origin(), occurrences).map(Id);
            *at += 1;
            self.state.index = *at;
        }
        true
    }

    /// Takes the page's cursor. `true` if there is nothing more for now.
    fn turn_page(&mut self, pull: &mut Pull<'_>) -> bool {
        let Some((page, _, begin, _)) = self.page.take() else {
            return false;
        };
        pull.page_read();
        if page.caught_up {
            self.refusals = 0;
            // What a cursor says that brings nothing is no news: it may have stalled.
            if page.rows.len() > begin || self.state.token.is_none() {
                self.state.progress.catch_up(pull.now);
            }
        }
        // A page that was read before, because its cursor leads nowhere, is as silent as one without rows.
        if page.rows.len() <= begin {
            self.empty_pages += 1;
            let heard = *self.state.heard.get_or_insert(pull.now);
            if self.state.token.is_some() && pull.now > heard + SILENCE {
                self.list_again(pull, heard, "the cursor has stalled");
                self.state.heard = Some(pull.now);
                return false;
            }
        } else {
            self.state.heard = Some(pull.now);
            self.empty_pages = 0;
        }
        // A cursor that is missing or repeated: keep the last good one (Q14, Q63c).
        let Some(token) = page.next.filter(|token| self.state.token.as_ref() != Some(token)) else {
            return true;
        };
        self.state.turn(Some(token));
        pull.moved = true;
        if self.empty_pages >= EMPTY_PAGES {
            self.empty_pages = 0;
            return true;
        }
        page.caught_up
    }
}

fn origin() -> Origin<'static> {
    Origin { source: Log::Siem, stream: STREAM.name(), kind: None, encoding: Encoding::Json, fallback_time: None }
}

impl Source for SiemEvents {
    fn begin(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        self.finished = false;
        if let Some(start) = self.start.take() {
            let (now, first) = (pull.now, oldest(pull.now));
            let unread = |position: &[u8]| Progress::unread_of(position, STREAM, now);
            if let Some(beginning) = settle(start, pull, STREAM, first, unread) {
                self.state.progress.begin(&beginning, first);
                self.state.from = beginning.at;
                // Events appear after they happened: a day of slack.
                let to = beginning.span.map(|(_, end)| end.saturating_add(DAY));
                self.state.to = to.filter(|to| *to < now);
            }
        }
        self.state.progress.leave_out(pull);
        Ok(())
    }

    fn pull(&mut self, pull: &mut Pull<'_>) -> Result<Next, Fault> {
        let result = self.run(pull);
        self.state.progress.read(pull);
        result
    }

    fn position(&self) -> Vec<u8> {
        position::write(STREAM.name(), &self.state)
    }
}

impl SiemEvents {
    fn run(&mut self, pull: &mut Pull<'_>) -> Result<Next, Fault> {
        while !self.finished {
            if self.page.is_some() {
                if !self.rows(pull) {
                    return Ok(Next::More);
                }
                self.finished = self.turn_page(pull);
            } else {
                if let Err(next) = pull.may_request() {
                    return Ok(next);
                }
                self.ask(pull)?;
            }
        }
        Ok(Next::CaughtUp)
    }
}

#[cfg(test)]
mod tests;
