//! SIEM logs of API 2.0 in batches: pages that name files, one type a stream (sections 5.1 and 9.4 of the API reference).
//!
//! The token of a page is kept across polls and days; dates are sent only without one. A page is done when every file of
//! it is, and its next token is taken then, not before.

use serde::{Deserialize, Serialize};

mod absent;
mod file;

use super::position::{self, FileMark, HASH_LIMIT, Hash, Id, check_token, last};
use super::progress::Progress;
use super::pull::Pull;
use super::start::settle;
use super::{Source, day};
use crate::api::siem::{Ask, endpoint, page, query};
use crate::api::{Call, Content};
use crate::chunk::{Fault, Next, Start, Timestamp};
use crate::config::DAY;
use crate::describe::{SIEM_RETENTION, Stream};
use crate::kind::Kind;
use crate::normalize::Occurrences;
use absent::{ASIDE_LIMIT, Listing, Missing, STRAYS_LIMIT};
use file::{Open, Outcome};

/// A refused token is mended so often until the stream has caught up again; then it is a fault, or a vendor that refuses
/// every token would be asked without end.
const REFUSALS: u32 = 1;

/// Empty pages in a row before the source waits for the next interval (Q13).
const EMPTY_PAGES: u32 = 100;

/// Hashes of a position in all, so that it stays within 64 KiB with the longest token and a hundred marks beside them.
const HASHES: usize = 1_650;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct State {
    /// The page's token; none on the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// First and last day of the listing, for a page without a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// Finished files of this page, and of the one before: a file may be listed again (Q50).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    done: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    before: Vec<Hash>,
    /// The file that is being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileMark>,
    /// Files that this page named and that are not done: if it names them no longer, that is told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    open: Vec<Hash>,
    /// Those of them that the store refused, or that were begun and are not listed: how far they were read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aside: Vec<FileMark>,
    /// Those that the page does not name any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Missing>,
    /// Files that were open when the token was refused: the pages that are listed instead should name them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    strays: Vec<Hash>,
    #[serde(flatten)]
    progress: Progress,
}

pub struct SiemBatch {
    stream: Stream,
    kind: Kind,
    state: State,
    /// Not settled yet.
    start: Option<Start>,
    page: Option<Listing>,
    open: Option<Open>,
    /// How often the page was listed again in vain for files that do not come.
    rounds: u32,
    refusals: u32,
    empty_pages: u32,
}

/// Files that were listed and not done by a position that was lost, as far as it can be read.
fn open_files(start: &Start, stream: Stream) -> Vec<Hash> {
    let (Start::Oldest(Some(position)) | Start::Now(Some(position))) = start else {
        return Vec::new();
    };
    let state: State = position::read(stream.name(), position).unwrap_or_default();
    state.open.into_iter().chain(state.strays).collect()
}

impl SiemBatch {
    pub fn open(stream: Stream, kind: Kind, start: Start) -> Result<Self, Fault> {
        let state = match &start {
            Start::After(position) => position::read(stream.name(), position)?,
            _ => State::default(),
        };
        Ok(Self {
            stream,
            kind,
            // A reader before this one has listed the page anew already.
            rounds: if state.aside.is_empty() && state.missing.is_none() { 0 } else { absent::RELISTS },
            state,
            start: Some(start),
            page: None,
            open: None,
            refusals: 0,
            empty_pages: 0,
        })
    }

    fn settle_start(&mut self, start: Start, pull: &mut Pull<'_>) {
        let oldest = pull.now.saturating_sub(SIEM_RETENTION);
        let (now, stream) = (pull.now, self.stream);
        let open = open_files(&start, stream);
        let unread = |position: &[u8]| Progress::unread_of(position, stream, now);
        let lists_the_old = !matches!(start, Start::Now(_));
        let Some(beginning) = settle(start, pull, stream, oldest, unread) else {
            return;
        };
        self.state.progress.begin(&beginning, oldest);
        self.state.from = Some(day(beginning.at));
        // Files are published after their events: a day of slack.
        let to = beginning.span.map(|(_, end)| end.saturating_add(DAY));
        self.state.to = to.filter(|to| *to < now).map(day);
        if lists_the_old {
            // They should be listed again; if not, that is told: they may be older than the gap, which begins behind what was
            // read last.
            self.state.strays = open;
        } else {
            self.tell_unread(pull, open.len());
        }
    }

    /// Where a listing by dates begins: not before what the vendor keeps.
    fn first_day(&self, now: Timestamp) -> String {
        let oldest = day(now.saturating_sub(SIEM_RETENTION));
        self.state.from.clone().filter(|from| *from > oldest).unwrap_or(oldest)
    }

    /// The vendor keeps nothing any more of the days that are wanted.
    fn is_over(&self, now: Timestamp) -> bool {
        self.state.token.is_none() && self.state.to.as_ref().is_some_and(|to| *to < self.first_day(now))
    }

    fn list(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let from = self.first_day(pull.now);
        let ask = match &self.state.token {
            Some(token) => Ask::Token(token),
            None => Ask::Dates { from: &from, to: self.state.to.as_deref() },
        };
        let api2_type = self.kind.api2_type().unwrap_or_default();
        let query = query(api2_type, pull.config.page_size(self.stream), ask);
        let call = Call { endpoint: endpoint(self.kind), content: Content::Query(&query) };
        let (text, at) = match pull.call_json(&call) {
            Ok(answer) => answer,
            Err(failure) if self.state.token.is_some() && failure.may_be_the_token() && self.refusals < REFUSALS => {
                self.refusals += 1;
                return self.token_refused(pull);
            }
            Err(failure) => return Err(failure.fault),
        };
        let page = page(&text, pull.config, &at)?;
        check_token(page.next.as_deref(), &at)?;
        if self.knows(&page) {
            self.state.progress.heard(pull);
        } else {
            self.state.progress.answered(pull, self.stream, SIEM_RETENTION, false);
        }
        self.listed(pull, page);
        Ok(())
    }

    /// The vendor no longer takes the token. Within the retention the own time marks mend that: what is listed again was
    /// seen before, and the host drops it.
    fn token_refused(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let oldest = pull.now.saturating_sub(SIEM_RETENTION);
        self.state.progress.may_mend(self.stream, pull.now)?;
        match self.state.progress.surely_read(pull.now) {
            // Files of different servers interleave, and late ones come: a day of slack.
            Some(read) => self.state.from = Some(day(read.saturating_sub(DAY).max(oldest))),
            // It is listed from where it began.
            None => {
                if let Some(from) = self.state.from.as_ref().filter(|from| **from < day(oldest)) {
                    let what = format!("{}: what was not yet read of the backlog from {from} on", self.stream.name());
                    pull.gap(what, None, Some(oldest), "Mimecast refuses the page token, and keeps 7 days");
                    self.state.progress.told(oldest);
                }
            }
        }
        self.state.token = None;
        self.stray(pull);
        let done = std::mem::take(&mut self.state.done);
        self.state.before.extend(done);
        Ok(())
    }

    /// Takes the page's next token. `true` if there is nothing more for now.
    fn turn_page(&mut self, pull: &mut Pull<'_>) -> bool {
        let Some(Listing { page, .. }) = self.page.take() else {
            return false;
        };
        if page.caught_up {
            self.state.progress.catch_up(pull.now);
            self.refusals = 0;
            self.tell_strays(pull);
        }
        // A token that is missing or repeated: keep the last good one (Q14, Q63c).
        let Some(token) = page.next.filter(|token| self.state.token.as_ref() != Some(token)) else {
            return true;
        };
        self.state.token = Some(token);
        pull.moved = true;
        if !self.state.done.is_empty() {
            self.state.before = std::mem::take(&mut self.state.done);
        }
        self.empty_pages = if page.files.is_empty() { self.empty_pages + 1 } else { 0 };
        if self.empty_pages >= EMPTY_PAGES {
            self.empty_pages = 0;
            return true;
        }
        page.caught_up
    }
}

impl Source for SiemBatch {
    fn begin(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        if let Some(start) = self.start.take() {
            self.settle_start(start, pull);
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
        let mut state = self.state.clone();
        // A page is asked for with a hundred files. Of more than a thousand the rest is not watched for.
        state.open.truncate(HASH_LIMIT);
        // What is done and let go is read again, at worst: what is open comes first.
        let room = HASHES - state.open.len();
        state.done = last(&self.state.done, room.min(HASH_LIMIT)).to_vec();
        let room = room - state.done.len();
        state.before = last(&self.state.before, room.min(HASH_LIMIT)).to_vec();
        state.strays.truncate(STRAYS_LIMIT);
        // There are no more, unless another hand wrote the position that was read.
        state.aside.truncate(ASIDE_LIMIT);
        if let (Some(mark), Some(open)) = (&mut state.file, &self.open)
            && let Occurrences::Adjacent { last, count } = &open.occurrences
            && open.index >= mark.index
        {
            (mark.last, mark.count) = (last.map(Id), *count);
        }
        position::write(self.stream.name(), &state)
    }
}

impl SiemBatch {
    fn run(&mut self, pull: &mut Pull<'_>) -> Result<Next, Fault> {
        loop {
            if self.open.is_some() {
                match self.read(pull) {
                    Outcome::Full => return Ok(Next::More),
                    Outcome::Again(next) => return Ok(next),
                    Outcome::Failed(fault) => return Err(fault),
                    Outcome::Done => {}
                }
            } else if let Some(file) = self.next_file() {
                self.fetch(pull, &file)?;
            } else if self.page.is_some() {
                if self.settle(pull)? && self.turn_page(pull) {
                    return Ok(Next::CaughtUp);
                }
            } else {
                if self.is_over(pull.now) {
                    return Ok(Next::CaughtUp);
                }
                if let Err(next) = pull.may_request() {
                    return Ok(next);
                }
                self.list(pull)?;
            }
            if pull.full() {
                return Ok(Next::More);
            }
        }
    }
}

#[cfg(test)]
mod tests;
