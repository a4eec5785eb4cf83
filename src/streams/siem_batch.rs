//! SIEM logs of API 2.0 in batches: pages that name files, one type a stream (sections 5.1 and 9.4 of the API reference).
//!
//! The token of a page is kept across polls and days; dates are sent only without one. A page is done when every file of
//! it is, and its next token is taken then, not before.

use serde::{Deserialize, Serialize};

use super::position::{self, FileMark, Hash, Id, TOKEN_LIMIT, bounded};
use super::pull::Pull;
use super::read::ndjson::NdJson;
use super::read::{BodyPieces, Cut, Pieces, ReadError, inflate};
use super::{Source, day};
use crate::api::siem::{Ask, BATCH, File, Page, page, query};
use crate::api::{Call, Content, unreachable};
use crate::chunk::{Fault, FaultClass, Next, Start, Timestamp};
use crate::config::{DAY, HOUR};
use crate::describe::{SIEM_RETENTION, Stream};
use crate::effects::{Method, Request};
use crate::kind::Kind;
use crate::normalize::{Encoding, Occurrences, Origin, Source as Log};

/// A file whose address has expired or leads nowhere: so often the page is listed again before it is a fault (Q48).
const RELISTS: u32 = 3;

/// A file that breaks off at the same record so often is reported and passed (Q51).
const TRIES: u32 = 3;

/// If it was the connection that broke off, the file itself may be good: it is a fault so often before the file is passed.
/// The host waits longer from fault to fault, so this is hours.
const BREAKS: u32 = 50;

/// Empty pages in a row before the source waits for the next interval (Q13).
const EMPTY_PAGES: u32 = 100;

/// A listing younger than this is trusted even if its addresses seem to have expired: the clocks differ.
const FRESH_MS: u64 = 60_000;

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
    /// Only records of `[since, until)` are wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    /// Finished files of this page, and of the one before: a file may be listed again (Q50).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    done: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    before: Vec<Hash>,
    /// The file that is being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileMark>,
    /// The newest event's time: where to go on if the token is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<Timestamp>,
    /// When the vendor last answered a page, within an hour: tells how much it has let go since.
    #[serde(skip_serializing_if = "Option::is_none")]
    polled: Option<Timestamp>,
    /// When everything that the vendor had was read, within an hour: a quiet stream has old events and misses none.
    #[serde(skip_serializing_if = "Option::is_none")]
    caught_up: Option<Timestamp>,
}

pub struct SiemBatch {
    stream: Stream,
    kind: Kind,
    state: State,
    /// Not settled yet.
    start: Option<Start>,
    page: Option<(Page, u64)>,
    open: Option<Open>,
    relists: u32,
    empty_pages: u32,
}

/// The file that is being read. It stays open between pulls.
struct Open {
    at: String,
    pieces: Box<dyn Pieces>,
    records: NdJson,
    /// Records cut so far, those that are skipped included.
    index: u64,
    occurrences: Occurrences,
    error: Option<ReadError>,
    ended: bool,
}

enum Read {
    Full,
    Done,
    /// It broke off: fetch it again, at once or after a pause.
    Again(Next),
    /// It breaks off again and again.
    Failed(Fault),
}

impl SiemBatch {
    pub fn open(stream: Stream, kind: Kind, start: Start) -> Result<Self, Fault> {
        let state = match &start {
            Start::After(position) => position::read(stream.name(), position)?,
            _ => State::default(),
        };
        Ok(Self { stream, kind, state, start: Some(start), page: None, open: None, relists: 0, empty_pages: 0 })
    }

    /// The mark of a lost position, as far as it can still be read.
    fn lost_mark(&self, position: &[u8]) -> Option<Timestamp> {
        let state: State = position::read(self.stream.name(), position).ok()?;
        state.mark.or(state.since)
    }

    fn next_file(&self) -> Option<File> {
        let (page, _) = self.page.as_ref()?;
        let finished =
            |file: &&File| self.state.done.contains(&Hash(file.hash)) || self.state.before.contains(&Hash(file.hash));
        let current = self.state.file.as_ref().and_then(|mark| page.files.iter().find(|file| file.hash == mark.hash.0));
        current.or_else(|| page.files.iter().find(|file| !finished(file))).cloned()
    }

    fn list(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let oldest = day(pull.now.saturating_sub(SIEM_RETENTION));
        let from = self.state.from.clone().filter(|from| *from > oldest).unwrap_or(oldest);
        let ask = match &self.state.token {
            Some(token) => Ask::Token(token),
            None => Ask::Dates { from: &from, to: self.state.to.as_deref() },
        };
        let api2_type = self.kind.api2_type().unwrap_or_default();
        let query = query(api2_type, pull.config.page_size(self.stream), ask);
        let call = Call { endpoint: &BATCH, content: Content::Query(&query) };
        let (text, at) = match pull.call_json(&call) {
            Ok(answer) => answer,
            Err(failure) if self.state.token.is_some() && failure.may_be_the_token() => {
                return self.token_refused(pull);
            }
            Err(failure) => return Err(failure.fault),
        };
        let page = page(&text, pull.config, &at)?;
        if page.next.as_ref().is_some_and(|token| token.len() > TOKEN_LIMIT) {
            return Err(Fault::new(
                FaultClass::Protocol,
                "token-too-long",
                format!("{at} answered a page token of more than 8 KiB"),
            ));
        }
        // Told with the answer that ends it: once, and whether or not the reader was opened anew.
        let oldest = pull.now.saturating_sub(SIEM_RETENTION);
        if let Some(polled) = self.state.polled.filter(|polled| *polled < oldest) {
            pull.gap(
                self.stream.name(),
                Some(polled),
                Some(oldest),
                "the stream was not read for longer than the 7 days that Mimecast keeps it",
            );
        }
        if self.state.polled.is_none_or(|polled| pull.now > polled + HOUR) {
            self.state.polled = Some(pull.now);
        }
        if let Some(mark) = self.state.file.take_if(|mark| !page.files.iter().any(|file| file.hash == mark.hash.0)) {
            pull.gap(
                format!("{}: the rest of a file after {} records", self.stream.name(), mark.index),
                None,
                None,
                "Mimecast no longer lists the file",
            );
        }
        let listed_ms = pull.effects.monotonic_ms();
        self.page = Some((page, listed_ms));
        Ok(())
    }

    /// The vendor no longer takes the token. Within the retention the own time mark mends that: what is listed again
    /// was seen before, and the host drops it.
    fn token_refused(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let oldest = pull.now.saturating_sub(SIEM_RETENTION);
        // A clock that was set back must not make a listing of the future.
        let mark = self.state.mark.or(self.state.since).map(|mark| mark.min(pull.now));
        if mark.max(self.state.caught_up).is_some_and(|read| read < oldest) {
            return Err(Fault::new(
                FaultClass::PositionLost,
                "token-refused",
                format!("Mimecast refuses the page token of {}, and what was read last is older than the 7 days that it keeps", self.stream.name()),
            )
            .status(400)
            .hint("The stream goes on as `on_position_lost` says"));
        }
        // Files of different servers interleave, and late ones come: a day of slack.
        self.state.from = Some(day(mark.map_or(oldest, |mark| mark.saturating_sub(DAY)).max(oldest)));
        self.state.token = None;
        self.state.file = None;
        let done = std::mem::take(&mut self.state.done);
        self.state.before.extend(done);
        Ok(())
    }

    /// Takes the page's next token. `true` if there is nothing more for now.
    fn turn_page(&mut self, pull: &mut Pull<'_>) -> bool {
        let Some((page, _)) = self.page.take() else {
            return false;
        };
        if page.caught_up && self.state.caught_up.is_none_or(|at| pull.now > at + HOUR) {
            self.state.caught_up = Some(pull.now);
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

    fn fetch(&mut self, pull: &mut Pull<'_>, file: File) -> Result<(), Fault> {
        let age_ms = self.page.as_ref().map_or(0, |(_, listed)| pull.effects.monotonic_ms().saturating_sub(*listed));
        if age_ms > FRESH_MS && file.expiry.is_some_and(|expiry| expiry <= pull.effects.now()) {
            self.page = None;
            return Ok(());
        }
        // Before it is asked for: if it is no longer listed then, that is told.
        let mark = self.state.file.get_or_insert_with(|| FileMark::new(file.hash)).clone();
        let request = Request {
            method: Method::Get,
            url: file.url,
            // Stored as gzip, not encoded for transport. No header of the API goes to another host (Q53).
            headers: vec![("accept-encoding", "identity".to_owned())],
            body: Vec::new(),
        };
        let response = pull.effects.send(request).map_err(|error| unreachable(&error, &file.at, pull.config))?;
        pull.check_clock();
        match response.status {
            // S3 says what was stored: no log file is a web page, but a proxy's log-in page is.
            200 if response.header("content-type").is_some_and(|value| value.trim().starts_with("text/html")) => {
                return Err(Fault::new(
                    FaultClass::Unavailable,
                    "not-a-file",
                    format!("{} answered a web page instead of a file", file.at),
                )
                .status(200)
                .hint("Check whether a proxy answers instead of the file store; nothing is passed"));
            }
            200 => {}
            // Expired, or gone: the page lists it anew.
            status @ (400 | 401 | 403 | 404 | 410) => {
                self.page = None;
                self.relists += 1;
                if self.relists <= RELISTS {
                    return Ok(());
                }
                // From here on each further try costs one listing of the quota, until a file is there again.
                self.relists = RELISTS;
                return Err(Fault::new(
                    FaultClass::Unavailable,
                    "file-gone",
                    format!(
                        "{} answered {status} for a file of {}, though it was listed anew",
                        file.at,
                        self.stream.name()
                    ),
                )
                .status(status)
                .hint(
                    "The stream waits for this file and loses nothing; if it stays, ask Mimecast's support about it",
                ));
            }
            status => {
                let class = if status == 429 || status >= 500 { FaultClass::Unavailable } else { FaultClass::Protocol };
                return Err(Fault::new(
                    class,
                    format!("http-{status}"),
                    format!("{} answered {status} for a file", file.at),
                )
                .status(status)
                .hint("Nothing to do: it is tried again"));
            }
        }
        self.relists = 0;
        self.open = Some(Open {
            at: file.at,
            pieces: inflate::decode(Box::new(BodyPieces(response.body))),
            records: NdJson::default(),
            index: 0,
            occurrences: Occurrences::Adjacent { last: mark.last.map(|id| id.0), count: mark.count },
            error: None,
            ended: false,
        });
        Ok(())
    }

    fn read(&mut self, pull: &mut Pull<'_>) -> Read {
        let (Some(open), Some(mark)) = (&mut self.open, &mut self.state.file) else {
            return Read::Done;
        };
        let origin = Origin {
            source: Log::Siem,
            stream: self.stream.name(),
            kind: Some(self.kind),
            encoding: Encoding::Json,
            fallback_time: None,
        };
        loop {
            while let Some(cut) = open.records.cut() {
                open.index += 1;
                if open.index <= mark.index {
                    pull.tick();
                } else {
                    match cut {
                        Cut::Record(bytes) => {
                            pull.record(bytes, &origin, &mut open.occurrences);
                        }
                        Cut::TooLong { head, size } => pull.malformed("a line of more than 1 MiB", head, Some(size)),
                    }
                    mark.index = open.index;
                }
                if pull.full() {
                    return Read::Full;
                }
            }
            if open.ended {
                pull.moved = true;
                self.state.done.push(mark.hash);
                self.state.file = None;
                self.open = None;
                return Read::Done;
            }
            if let Some(error) = open.error.take() {
                return self.broken(pull, &error);
            }
            pull.check_clock();
            if pull.full() {
                return Read::Full;
            }
            match open.pieces.fill(open.records.room()) {
                Ok(true) => {}
                Ok(false) => {
                    open.records.finish();
                    open.ended = true;
                }
                Err(error) => open.error = Some(error),
            }
        }
    }

    /// The file broke off. What was good of it is read; the rest is fetched again, and at last, if its data are damaged,
    /// reported and passed.
    fn broken(&mut self, pull: &mut Pull<'_>, error: &ReadError) -> Read {
        let (Some(mut open), Some(mark)) = (self.open.take(), &mut self.state.file) else {
            return Read::Done;
        };
        if mark.index > mark.broken {
            mark.tries = 0;
        }
        mark.broken = mark.index;
        mark.tries += 1;
        if mark.tries <= TRIES {
            let wait = 500 << mark.tries;
            return Read::Again(if matches!(error, ReadError::Transport(_)) { Next::Pause(wait) } else { Next::More });
        }
        if matches!(error, ReadError::Transport(_)) && mark.tries <= BREAKS {
            let message = format!("{}: {error} after {} records, {} times", open.at, mark.index, mark.tries);
            return Read::Failed(
                Fault::new(FaultClass::Unavailable, "file-breaks-off", message).hint(
                    "The file is fetched again and nothing is passed; check the proxy and the network if it stays",
                ),
            );
        }
        let reason = format!(
            "{}: {error} after {} records, {} times; the rest of the file is passed",
            open.at, mark.index, mark.tries
        );
        pull.malformed(reason, open.records.room(), None);
        self.state.done.push(mark.hash);
        self.state.file = None;
        Read::Done
    }
}

impl Source for SiemBatch {
    fn begin(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let oldest = pull.now.saturating_sub(SIEM_RETENTION);
        let name = self.stream.name();
        let state = &mut self.state;
        match self.start.take() {
            None => {}
            Some(Start::Configured) => {
                let start = pull.config.start_at.resolve(pull.now);
                state.from = Some(day(start.max(oldest)));
                state.since = (start > oldest).then_some(start);
            }
            Some(Start::After(_)) => {}
            Some(Start::Oldest(lost)) => {
                state.from = Some(day(oldest));
                if let Some(position) = lost {
                    let mark = self.lost_mark(&position);
                    if mark.is_none_or(|mark| mark < oldest) {
                        pull.gap(name, mark, Some(oldest), "the position was lost, and Mimecast keeps 7 days");
                    }
                }
            }
            Some(Start::Now(lost)) => {
                state.from = Some(day(pull.now));
                state.since = Some(pull.now);
                if let Some(position) = lost {
                    let mark = self.lost_mark(&position);
                    pull.gap(
                        name,
                        mark,
                        Some(pull.now),
                        "the position was lost, and the stream goes on at the present",
                    );
                }
            }
            Some(Start::Span(begin, end)) => {
                state.from = Some(day(begin.max(oldest)));
                // Files are published after their events: a day of slack.
                state.to = Some(end.saturating_add(DAY)).filter(|to| *to < pull.now).map(day);
                (state.since, state.until) = (Some(begin), Some(end));
                if begin < oldest {
                    pull.gap(name, Some(begin), Some(oldest.min(end)), "Mimecast keeps 7 days");
                }
            }
        }
        (pull.since, pull.until) = (self.state.since, self.state.until);
        Ok(())
    }

    fn pull(&mut self, pull: &mut Pull<'_>) -> Result<Next, Fault> {
        let result = self.run(pull);
        self.state.mark = self.state.mark.max(pull.newest);
        result
    }

    fn position(&self) -> Vec<u8> {
        let mut state = self.state.clone();
        state.done = bounded(&self.state.done).to_vec();
        state.before = bounded(&self.state.before).to_vec();
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
                    Read::Full => return Ok(Next::More),
                    Read::Again(next) => return Ok(next),
                    Read::Failed(fault) => return Err(fault),
                    Read::Done => {}
                }
            } else if let Some(file) = self.next_file() {
                self.fetch(pull, file)?;
            } else if self.page.is_some() {
                if self.turn_page(pull) {
                    return Ok(Next::CaughtUp);
                }
            } else {
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
