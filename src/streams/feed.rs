//! Threat-intelligence feeds: STIX bundles of closed windows of time, page by page (section 6.10 of the API reference).
//!
//! A bundle is read as it streams, and its objects are joined in a bounded window. What was read of it is counted, so a reader that
//! is opened in its middle fetches it again and passes over that many records.

use super::Source;
use super::position::{self, FileMark, Id, check_token};
use super::pull::Pull;
use super::read::objects::Objects;
use super::read::stix::{Joiner, Record};
use super::read::zip::{Entry, Zip};
use super::read::{Begun, BodyPieces, Cut, Pieces, ReadError, inflate};
use super::window::{EMPTY_PAGES, Windows};
use crate::api::feed::{FEED, Json, NEXT_TOKEN, body, is_bundle, means_nothing};
use crate::api::{Answer, Call, Content};
use crate::catalog::{Feed as Name, Stream};
use crate::chunk::{Fault, FaultClass, Next, Start};
use crate::code::Code;
use crate::config::DAY;
use crate::kind::Kind;
use crate::normalize::{Encoding, Occurrences, Origin, Source as Log};

/// Each download writes an audit record (quirk Q67), so a backlog is asked for in few.
const WINDOW: u64 = 7 * DAY;

/// How often a window is read again from its start before a refused token is told.
const RESTARTS: u32 = 1;

/// So many bytes tell a bundle from an error, if no header does.
const SNIFFED: usize = 512;

/// A bundle that breaks off at the same record so often is a fault, or, if it is damaged, reported and passed.
const TRIES: u32 = 3;

pub struct Feed {
    stream: Stream,
    feed: Name,
    windows: Windows,
    open: Option<Open>,
    restarts: u32,
    empty_pages: u32,
}

/// The answer that is being read. It stays open between pulls.
struct Open {
    at: String,
    /// The token of the page after it.
    next: Option<String>,
    content: Files,
    objects: Objects,
    joiner: Joiner,
    /// Records so far, those that are skipped included.
    index: u64,
    occurrences: Occurrences,
    error: Option<ReadError>,
    /// The bundle in hand is at its end.
    ended: bool,
    /// Why the rest of the bundle is passed, and the first of it.
    passed: Option<(String, Vec<u8>)>,
}

enum Files {
    Plain(Box<dyn Pieces>),
    /// Nobody asked for it, but the vendor may compress all the same. And whether a member is being read.
    Zip(Box<Zip>, bool),
    /// Nothing is left.
    Done,
}

enum Step {
    On,
    Stop(Next),
    Fail(Fault),
}

fn objects() -> Objects {
    Objects::of_list(b"objects")
}

impl Feed {
    pub fn open(stream: Stream, feed: Name, start: Start) -> Result<Self, Fault> {
        Ok(Self {
            stream,
            feed,
            windows: Windows::open(stream, WINDOW, start)?,
            open: None,
            restarts: 0,
            empty_pages: 0,
        })
    }

    fn ask(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let Some(window) = self.windows.window() else {
            return Ok(());
        };
        let call = Call {
            endpoint: &FEED,
            content: Content::Json(body(self.feed, window.begin, window.end, window.token.as_deref())),
        };
        let result = pull.call_with(&call, |pull, mut answer| {
            let begin = answer.begin(pull.config, SNIFFED)?;
            if is_bundle(&answer.headers, &begin) {
                return Ok((answer, Some(begin)));
            }
            // No file by its looks: JSON that says that something failed, or nothing, or a bundle in an order of its own.
            let text = answer.json_after(begin, pull.config, &FEED, pull.effects)?;
            drop(answer.take_body());
            match Json::of(&text) {
                Json::Nothing => Ok((answer, None)),
                Json::Bundle => Ok((answer, Some(text))),
                Json::Other => {
                    let message = format!("{} answered something that is neither a feed nor an error", answer.at);
                    Err(Fault::new(FaultClass::Protocol, Code::BadPage, message)
                        .status(200)
                        .hint(crate::advice::REPORT)
                        .into())
                }
            }
        });
        let (mut answer, begin) = match result {
            Ok(result) => result,
            Err(failure) if !means_nothing(&failure) => {
                if window.token.is_some() && failure.may_be_the_page() {
                    // The same token would be refused for ever: from here on, or at the next pull, the window begins anew.
                    window.restart();
                    self.restarts += 1;
                    if self.restarts <= RESTARTS {
                        return Ok(());
                    }
                    self.restarts = 0;
                }
                return Err(failure.fault);
            }
            Err(_) => {
                pull.moved = true;
                pull.page_read();
                self.restarts = 0;
                self.windows.close();
                return Ok(());
            }
        };
        let next = answer.headers.get(NEXT_TOKEN).map(str::trim).filter(|token| !token.is_empty()).map(str::to_owned);
        check_token(next.as_deref(), &answer.at)?;
        let hash = position::hash(window.token.as_deref().unwrap_or_default().as_bytes());
        let mark = window.file.get_or_insert_with(|| FileMark::new(hash));
        let occurrences = Occurrences::Adjacent { last: mark.last.map(|id| id.0), count: mark.count };
        window.heard(pull.vendor_now, pull.now, pull.config.overlap(self.stream));
        self.open = Some(Open {
            at: answer.at.clone(),
            next,
            content: begin.map_or(Files::Done, |begin| content(&mut answer, begin)),
            objects: objects(),
            joiner: Joiner::default(),
            index: 0,
            occurrences,
            error: None,
            ended: false,
            passed: None,
        });
        Ok(())
    }

    fn read(&mut self, pull: &mut Pull<'_>) -> Step {
        let origin = Origin {
            source: Log::List,
            stream: self.stream.name(),
            kind: Some(Kind::ThreatIntel),
            encoding: Encoding::Json,
            fallback_time: self.windows.fallback_time(),
        };
        let (Some(open), Some(mark)) = (&mut self.open, self.windows.window().and_then(|window| window.file.as_mut()))
        else {
            return Step::On;
        };
        loop {
            while let Some(record) = open.joiner.next_record() {
                open.index += 1;
                let Record { text: record, objects } = record;
                if open.index > mark.index {
                    pull.joined(objects, |pull| pull.record(&record, &origin, &mut open.occurrences));
                    if pull.verbatim() {
                        // It must not be parsed for its id either.
                        open.occurrences = Occurrences::Adjacent { last: None, count: 0 };
                    }
                    mark.index = open.index;
                } else if open.index == mark.index && has_changed(&record, mark, &origin, pull) {
                    // What comes twice is dropped by the host.
                    mark.rewind();
                    self.open = None;
                    return Step::On;
                } else {
                    pull.tick();
                }
                if pull.full() {
                    return Step::Stop(Next::More);
                }
            }
            match open.objects.cut() {
                Some(Cut::Record(bytes)) => {
                    open.joiner.push(bytes);
                    continue;
                }
                Some(Cut::TooLong { head, size }) => {
                    open.index += 1;
                    if open.index > mark.index {
                        pull.malformed("an object of more than 1 MiB", head, Some(size));
                        mark.index = open.index;
                    }
                    continue;
                }
                None => {}
            }
            if open.ended {
                open.ended = false;
                open.joiner.finish();
                open.objects = objects();
                if let Files::Plain(_) = open.content {
                    open.content = Files::Done;
                }
                continue;
            }
            if let Some(error) = open.error.take() {
                return self.broken(&error);
            }
            pull.check_clock();
            if pull.full() {
                return Step::Stop(Next::More);
            }
            match open.fill() {
                Ok(Filled::More) => {}
                Ok(Filled::End) if open.objects.is_cut_off() => open.error = Some(ReadError::Truncated),
                Ok(Filled::End) => {
                    open.objects.finish();
                    open.ended = true;
                }
                Ok(Filled::Unreadable(reason)) => {
                    open.index += 1;
                    if open.index > mark.index {
                        pull.malformed(reason, &[], None);
                        mark.index = open.index;
                    }
                }
                Ok(Filled::Done) => {
                    // In one step with the turn, or a reader that is opened between the two would tell it again.
                    if let Some((reason, rest)) = open.passed.take() {
                        pull.malformed(reason, &rest, None);
                    }
                    return match self.turn(pull) {
                        Ok(()) => Step::On,
                        Err(fault) => Step::Fail(fault),
                    };
                }
                Err(error) => open.error = Some(error),
            }
        }
    }

    /// The page is done: on to the next one, or the window is done.
    fn turn(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let (Some(open), Some(window)) = (self.open.take(), self.windows.window()) else {
            return Ok(());
        };
        self.empty_pages = if open.index == 0 { self.empty_pages + 1 } else { 0 };
        // A token that is absent or the one that was sent is the end (quirk Q68); so is one that was sent before that.
        let next = open.next.filter(|token| window.token.as_ref() != Some(token) && !window.leads_back(token));
        if next.is_some() && self.empty_pages >= EMPTY_PAGES {
            window.restart();
            self.empty_pages = 0;
            let message =
                format!("Mimecast's pages of {} lead nowhere: one after another is empty", self.stream.name());
            return Err(Fault::new(FaultClass::Unavailable, Code::PageTokenRepeats, message)
                .status(200)
                .hint("The window is read again later and nothing is passed; if it stays, report it to Mimecast"));
        }
        pull.moved = true;
        pull.page_read();
        match next {
            Some(token) => window.turn(Some(token)),
            None => {
                self.restarts = 0;
                self.windows.close();
            }
        }
        Ok(())
    }

    /// The bundle broke off. What was good of it is read; the rest is fetched again, and at last, if its data are damaged,
    /// reported and passed.
    fn broken(&mut self, error: &ReadError) -> Step {
        let (Some(mut open), Some(mark)) =
            (self.open.take(), self.windows.window().and_then(|window| window.file.as_mut()))
        else {
            return Step::On;
        };
        if mark.index > mark.broken {
            mark.tries = 0;
        }
        mark.broken = mark.index;
        mark.tries = mark.tries.saturating_add(1);
        let transport = matches!(error, ReadError::Transport(_));
        if mark.tries <= TRIES {
            let wait = 500 << mark.tries;
            return Step::Stop(if transport { Next::Pause(wait) } else { Next::More });
        }
        if transport {
            let message = format!("{}: {error} after {} records, {} times", open.at, mark.index, mark.tries);
            return Step::Fail(Fault::new(FaultClass::Unavailable, Code::FileBreaksOff, message).hint(
                "The bundle is fetched again and nothing is passed; check the proxy and the network if it stays",
            ));
        }
        let reason = format!(
            "{}: {error} after {} records, {} times; the rest of the bundle is passed",
            open.at, mark.index, mark.tries
        );
        open.passed = Some((reason, std::mem::take(open.objects.room())));
        // What waits for its partners was good.
        open.joiner.finish();
        open.objects = objects();
        open.content = Files::Done;
        self.open = Some(open);
        Step::On
    }
}

enum Filled {
    More,
    /// The bundle in hand is at its end.
    End,
    /// A member that cannot be read, and why.
    Unreadable(String),
    /// The answer is at its end.
    Done,
}

impl Open {
    fn fill(&mut self) -> Result<Filled, ReadError> {
        let more = match &mut self.content {
            Files::Plain(pieces) => pieces.fill(self.objects.room())?,
            Files::Done => return Ok(Filled::Done),
            Files::Zip(zip, reading) if *reading => {
                *reading = zip.fill(self.objects.room())?;
                *reading
            }
            Files::Zip(zip, reading) => match zip.next_entry()? {
                None => return Ok(Filled::Done),
                Some(Entry::Member(_)) => {
                    *reading = true;
                    true
                }
                Some(Entry::Unreadable(_, reason)) => {
                    return Ok(Filled::Unreadable(format!("a member of an archive of a feed: {reason}")));
                }
            },
        };
        Ok(if more { Filled::More } else { Filled::End })
    }
}

fn content(answer: &mut Answer, begin: Vec<u8>) -> Files {
    let zip = begin.starts_with(b"PK");
    let source = Box::new(Begun { begin, rest: BodyPieces(answer.take_body()) });
    if zip { Files::Zip(Box::new(Zip::new(source)), false) } else { Files::Plain(inflate::decode(source)) }
}

/// Another record stands where the last one stood that was read: the bundle is not the same any more.
fn has_changed(record: &[u8], mark: &FileMark, origin: &Origin<'_>, pull: &mut Pull<'_>) -> bool {
    let Some(last) = mark.last else {
        return false;
    };
    let mut occurrences = Occurrences::Adjacent { last: None, count: 0 };
    pull.replay(record, origin, &mut occurrences).is_some_and(|id| id != last.0)
}

impl Source for Feed {
    fn begin(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        self.windows.begin(pull)
    }

    fn pull(&mut self, pull: &mut Pull<'_>) -> Result<Next, Fault> {
        loop {
            if !self.windows.ready(pull) {
                return Ok(Next::CaughtUp);
            }
            if pull.full() {
                return Ok(Next::More);
            }
            if self.open.is_some() {
                let step = self.read(pull);
                self.note();
                match step {
                    Step::On => {}
                    Step::Stop(next) => return Ok(next),
                    Step::Fail(fault) => return Err(fault),
                }
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

impl Feed {
    /// Writes into the position what the next record's number depends on.
    fn note(&mut self) {
        let mark = self.windows.window().and_then(|window| window.file.as_mut());
        if let (Some(open), Some(mark)) = (&self.open, mark)
            && let Occurrences::Adjacent { last, count } = &open.occurrences
            && open.index >= mark.index
        {
            (mark.last, mark.count) = (last.map(Id), *count);
        }
    }
}

#[cfg(test)]
mod tests;
