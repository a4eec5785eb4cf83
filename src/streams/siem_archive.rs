//! SIEM logs of API 1.0: a chain of archives, each with files of several types (sections 4 and 9.3 of the API reference).
//!
//! An answer's header names the token of the next one. The position keeps the token that fetched the archive in hand until
//! every member of it is done.

use serde::{Deserialize, Serialize};

mod archive;

use super::Source;
use super::position::{self, FileMark, Hash, bounded, check_token};
use super::progress::Progress;
use super::pull::Pull;
use super::read::records::Records;
use super::read::zip::Entry;
use super::read::{Cut, ReadError};
use super::start::settle;
use crate::api::logs::{Empty, LOGS, body, empty, is_file};
use crate::api::{Call, Content};
use crate::chunk::{Fault, FaultClass, Next, Start, Timestamp};
use crate::code::Code;
use crate::config::HOUR;
use crate::describe::{SIEM_RETENTION, Stream};
use crate::kind::Kind;
use crate::normalize::{Occurrences, Origin, Source as Log};
use archive::{Archive, Files, Member, current, shown, stamp};

/// An archive that breaks off at the same record so often is reported and passed.
const TRIES: u32 = 3;

/// If it was the connection that broke off, the archive itself may be good: it is a fault for so long before it is passed.
const BREAKS_FOR: u64 = 4 * HOUR;

/// A refused token is mended so often until the stream has caught up again; then it is a fault, or a vendor that refuses
/// every token would be asked without end.
const REFUSALS: u32 = 1;

/// Empty answers with a new token in a row before the source waits for the next interval.
const EMPTY_ANSWERS: u32 = 100;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct State {
    /// Fetches the archive in hand; none for the oldest that the vendor has.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Finished members of the archive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    done: Vec<Hash>,
    /// The member that is being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileMark>,
    /// How often the archive broke off, and how far it had been read then.
    tries: u32,
    broken: (u64, u64),
    #[serde(skip_serializing_if = "Option::is_none")]
    broken_since: Option<Timestamp>,
    #[serde(flatten)]
    progress: Progress,
}

pub struct SiemArchive {
    state: State,
    start: Option<Start>,
    archive: Option<Archive>,
    refusals: u32,
    empty_answers: u32,
}

enum Step {
    On,
    Stop(Next),
    Fail(Fault),
}

impl SiemArchive {
    pub fn open(start: Start) -> Result<Self, Fault> {
        let state = match &start {
            Start::After(position) => position::read(Stream::SiemArchive.name(), position)?,
            _ => State::default(),
        };
        Ok(Self { state, start: Some(start), archive: None, refusals: 0, empty_answers: 0 })
    }

    fn ask(&mut self, pull: &mut Pull<'_>) -> Result<Step, Fault> {
        let call = Call { endpoint: &LOGS, content: Content::Json(body(self.state.token.as_deref())) };
        let result = pull.call_with(&call, |pull, mut answer| {
            let begin = answer.begin(pull.config, 4)?;
            if is_file(&answer.headers, &begin) {
                return Ok((answer, Ok(begin)));
            }
            // No file: the end, or an error that says 200.
            let text = answer.json_after(begin, pull.config, &LOGS, pull.effects)?;
            Ok((answer, Err(text)))
        });
        let (mut answer, begin) = match result {
            Ok(result) => result,
            Err(failure) if self.state.token.is_some() && failure.may_be_the_token() && self.refusals < REFUSALS => {
                self.refusals += 1;
                return self.token_refused(pull).map(|()| Step::On);
            }
            Err(failure) => return Err(failure.fault),
        };
        let next =
            answer.headers.get("mc-siem-token").map(str::trim).filter(|token| !token.is_empty()).map(str::to_owned);
        check_token(next.as_deref(), &answer.at)?;
        self.state.progress.answered(pull, Stream::SiemArchive, SIEM_RETENTION, false);
        match begin {
            Ok(begin) => {
                self.archive = Some(Archive::new(&mut answer, begin, next));
                Ok(Step::On)
            }
            Err(text) => {
                let Empty { last, rows } = empty(&text);
                if rows {
                    // Never seen, but rows are rows: a file without a name.
                    self.archive = Some(Archive::of_text(&answer, text, next));
                    return Ok(Step::On);
                }
                // Save the token whenever there is one (Q29); keep the old one otherwise (Q30).
                if last {
                    self.state.progress.catch_up(pull.now);
                    self.refusals = 0;
                }
                let advanced = self.advance(pull, next);
                self.empty_answers += 1;
                if advanced && !last && self.empty_answers < EMPTY_ANSWERS {
                    return Ok(Step::On);
                }
                self.empty_answers = 0;
                Ok(Step::Stop(Next::CaughtUp))
            }
        }
    }

    /// On to the next token, if it is another one.
    fn advance(&mut self, pull: &mut Pull<'_>, next: Option<String>) -> bool {
        let Some(token) = next.filter(|token| self.state.token.as_ref() != Some(token)) else {
            return false;
        };
        pull.moved = true;
        self.state.token = Some(token);
        self.state.done.clear();
        self.state.file = None;
        (self.state.tries, self.state.broken) = (0, (0, 0));
        true
    }

    /// The vendor no longer takes the token: from its oldest file on, and what comes again is dropped by the host. Nothing
    /// is lost as long as the own time mark lies within the retention.
    fn token_refused(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        self.state.progress.may_mend(Stream::SiemArchive, pull.now)?;
        self.state.token = None;
        self.state.done.clear();
        self.state.file = None;
        (self.state.tries, self.state.broken) = (0, (0, 0));
        Ok(())
    }

    /// Opens the next member, or turns to the next archive behind the last one.
    fn next_member(&mut self, pull: &mut Pull<'_>) -> Step {
        let Some(archive) = &mut self.archive else {
            return Step::On;
        };
        let name = match &mut archive.content {
            Files::Plain(name, _) => match name.take() {
                Some(name) => Some(name),
                None => return self.turn(pull),
            },
            Files::Zip(zip) => match zip.next_entry() {
                Ok(Some(Entry::Member(name))) => Some(name),
                Ok(Some(Entry::Unreadable(name, reason))) => {
                    let hash = archive.hash(&name);
                    if !self.state.done.contains(&Hash(hash)) {
                        pull.malformed(format!("member \"{}\" of an archive: {reason}", shown(&name)), &[], None);
                        self.state.done.push(Hash(hash));
                        pull.page_read();
                    }
                    return Step::On;
                }
                Ok(None) => return self.turn(pull),
                Err(error) => return self.broken(pull, &error, None),
            },
        };
        let name = name.unwrap_or_default();
        let hash = archive.hash(&name);
        let passed = self.state.done.contains(&Hash(hash));
        let current = self.state.file.as_ref().filter(|mark| mark.hash.0 == hash);
        archive.met_current |= current.is_some();
        let (last, count) = current.map_or((None, 0), |mark| (mark.last.map(|id| id.0), mark.count));
        archive.member = Some(Member {
            hash,
            passed,
            kind: Kind::from_file_name(&name),
            fallback_time: stamp(&name),
            name,
            records: Records::default(),
            index: 0,
            occurrences: Occurrences::Adjacent { last, count },
            error: None,
            ended: false,
        });
        Step::On
    }

    /// The archive is done.
    fn turn(&mut self, pull: &mut Pull<'_>) -> Step {
        let Some(archive) = self.archive.take() else {
            return Step::On;
        };
        if let Some(mark) = self.state.file.take().filter(|mark| mark.index > 0 && !archive.met_current) {
            pull.gap(
                format!("siem: the rest of a file after {} records", mark.index),
                None,
                None,
                "Mimecast no longer serves the file in the archive where it was",
            );
            pull.listed(1);
            pull.gone(1);
        }
        self.empty_answers = if archive.names.is_empty() { self.empty_answers + 1 } else { 0 };
        if self.advance(pull, archive.next) && self.empty_answers < EMPTY_ANSWERS {
            return Step::On;
        }
        self.empty_answers = 0;
        Step::Stop(Next::CaughtUp)
    }

    fn read(&mut self, pull: &mut Pull<'_>) -> Step {
        let Some(archive) = &mut self.archive else {
            return Step::On;
        };
        let Some(member) = &mut archive.member else {
            return Step::On;
        };
        loop {
            member.records.settle();
            let encoding = member.records.encoding();
            let origin = Origin {
                source: Log::Siem,
                stream: Stream::SiemArchive.name(),
                kind: member.kind,
                encoding,
                fallback_time: member.fallback_time,
            };
            if member.passed {
                member.records = Records::default();
            }
            while let Some(cut) = member.records.cut() {
                let mark = current(&mut self.state.file, member.hash);
                member.index += 1;
                if member.index <= mark.index {
                    pull.tick();
                } else {
                    match cut {
                        Cut::Record(bytes) => {
                            pull.record(bytes, &origin, &mut member.occurrences);
                        }
                        Cut::TooLong { head, size } => pull.malformed("a record of more than 1 MiB", head, Some(size)),
                    }
                    mark.index = member.index;
                }
                if pull.full() {
                    return Step::Stop(Next::More);
                }
            }
            if member.ended {
                return self.member_done(pull, None);
            }
            if let Some(error) = member.error.take() {
                return match error {
                    ReadError::Corrupt(what) if matches!(archive.content, Files::Zip(_)) => {
                        self.member_done(pull, Some(what))
                    }
                    error => {
                        let rest = std::mem::take(member.records.room());
                        self.broken(pull, &error, Some(rest))
                    }
                };
            }
            pull.check_clock();
            if pull.full() {
                return Step::Stop(Next::More);
            }
            let room = member.records.room();
            let filled = match &mut archive.content {
                Files::Zip(zip) => zip.fill(room),
                Files::Plain(_, pieces) => pieces.fill(room),
            };
            match filled {
                Ok(true) => {}
                Ok(false) if member.records.is_cut_off() => member.error = Some(archive.content.cut_off()),
                Ok(false) => {
                    member.records.finish();
                    member.ended = true;
                }
                Err(error) => member.error = Some(error),
            }
        }
    }

    /// A member was read to its end, or as far as it was good: the rest of it is told, and the archive goes on (Q32).
    fn member_done(&mut self, pull: &mut Pull<'_>, damage: Option<&'static str>) -> Step {
        let Some(mut member) = self.archive.as_mut().and_then(|archive| archive.member.take()) else {
            return Step::On;
        };
        if member.passed {
            return Step::On;
        }
        if let Some(what) = damage {
            let reason = format!(
                "member \"{}\" of an archive is damaged ({what}) after {} records",
                shown(&member.name),
                member.index
            );
            pull.malformed(reason, member.records.room(), None);
        }
        pull.moved = true;
        pull.page_read();
        self.state.done.push(Hash(member.hash));
        self.state.file = self.state.file.take().filter(|mark| mark.hash.0 != member.hash);
        Step::On
    }

    /// The answer broke off: fetch it again, and at last, if its data are damaged, report and pass it.
    fn broken(&mut self, pull: &mut Pull<'_>, error: &ReadError, rest: Option<Vec<u8>>) -> Step {
        let Some(archive) = self.archive.take() else {
            return Step::On;
        };
        // Records that were read are not looked at again, but a run of equal ones may go on behind them.
        if let (Some(mark), Some(member)) = (&mut self.state.file, &archive.member) {
            member.note_run(mark);
        }
        let index = self.state.file.as_ref().map_or(0, |mark| mark.index);
        let progress = (self.state.done.len() as u64, index);
        if progress > self.state.broken || self.state.tries == 0 {
            (self.state.tries, self.state.broken_since) = (0, None);
        }
        let since = *self.state.broken_since.get_or_insert(pull.now);
        self.state.broken = progress;
        self.state.tries += 1;
        if self.state.tries <= TRIES {
            let wait = 500 << self.state.tries;
            return Step::Stop(if matches!(error, ReadError::Transport(_)) { Next::Pause(wait) } else { Next::More });
        }
        if matches!(error, ReadError::Transport(_)) && pull.now.saturating_sub(since) < BREAKS_FOR {
            let message = format!(
                "an archive of {}: {error} after {} members and {index} records of the next, {} times",
                archive.at, progress.0, self.state.tries
            );
            return Step::Fail(Fault::new(FaultClass::Unavailable, Code::ArchiveBreaksOff, message).hint(
                "The archive is fetched again and nothing is passed; check the proxy and the network if it stays",
            ));
        }
        let reason = format!(
            "an archive of {}: {error} after {} members and {index} records of the next, {} times; the rest of it is passed",
            archive.at, progress.0, self.state.tries
        );
        pull.malformed(reason, &rest.unwrap_or_default(), None);
        if archive.member.as_ref().is_some_and(|member| !member.passed) {
            // As far as it can be read. What stands behind it has no name yet.
            pull.page_read();
        }
        self.state.file = None;
        if self.advance(pull, archive.next) {
            return Step::On;
        }
        // Without another token the same answer comes again at the next interval.
        (self.state.tries, self.state.broken) = (0, (0, 0));
        Step::Stop(Next::CaughtUp)
    }
}

impl Source for SiemArchive {
    fn begin(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        if let Some(start) = self.start.take() {
            // There is no way to ask for a time: the oldest archive comes first, and what is too old is left out.
            let (now, oldest) = (pull.now, pull.now.saturating_sub(SIEM_RETENTION));
            let unread = |position: &[u8]| Progress::unread_of(position, Stream::SiemArchive, now);
            if let Some(beginning) = settle(start, pull, Stream::SiemArchive, oldest, unread) {
                self.state.progress.begin(&beginning, oldest);
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
        let mut state = self.state.clone();
        state.done = bounded(&self.state.done).to_vec();
        let member = self.archive.as_ref().and_then(|archive| archive.member.as_ref());
        if let (Some(mark), Some(member)) = (&mut state.file, member) {
            member.note_run(mark);
        }
        position::write(Stream::SiemArchive.name(), &state)
    }
}

impl SiemArchive {
    fn run(&mut self, pull: &mut Pull<'_>) -> Result<Next, Fault> {
        loop {
            let step = match &self.archive {
                Some(archive) if archive.member.is_some() => self.read(pull),
                Some(_) => self.next_member(pull),
                None => {
                    if let Err(next) = pull.may_request() {
                        return Ok(next);
                    }
                    self.ask(pull)?
                }
            };
            match step {
                Step::Stop(next) => return Ok(next),
                Step::Fail(fault) => return Err(fault),
                Step::On if pull.full() => return Ok(Next::More),
                Step::On => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
