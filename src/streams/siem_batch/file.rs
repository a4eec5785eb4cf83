//! One file of a page: fetched by its signed address, read as it streams, and fetched again if it breaks off.

use super::SiemBatch;
use crate::api::siem::File;
use crate::api::unreachable;
use crate::chunk::{Fault, FaultClass, Next};
use crate::code::Code;
use crate::config::{Config, HOUR};
use crate::effects::{Effects, Method, Request, Response};
use crate::normalize::{Encoding, Occurrences, Origin, Source as Log};
use crate::streams::position::{Hash, Id};
use crate::streams::pull::Pull;
use crate::streams::read::ndjson::NdJson;
use crate::streams::read::{BodyPieces, Cut, Pieces, ReadError, inflate};

/// A file that breaks off at the same record so often is reported and passed (Q51).
pub(super) const TRIES: u32 = 3;

/// If it was the connection that broke off, the file itself may be good: it is a fault for so long before the file is passed.
/// A time, because the host opens a new reader after a fault, which knows of no further tries.
pub(super) const BREAKS_FOR: u64 = 4 * HOUR;

/// The file that is being read. It stays open between pulls.
pub(super) struct Open {
    at: String,
    pieces: Box<dyn Pieces>,
    records: NdJson,
    /// Records cut so far, those that are skipped included.
    pub(super) index: u64,
    pub(super) occurrences: Occurrences,
    error: Option<ReadError>,
    ended: bool,
}

pub(super) enum Outcome {
    Full,
    Done,
    /// It broke off: fetch it again, at once or after a pause.
    Again(Next),
    /// It breaks off again and again.
    Failed(Fault),
}

impl SiemBatch {
    pub(super) fn fetch(&mut self, pull: &mut Pull<'_>, file: &File) -> Result<(), Fault> {
        let fresh = self.page.as_ref().is_some_and(|listing| listing.is_fresh(pull.effects));
        if !fresh && file.expiry.is_some_and(|expiry| expiry <= pull.effects.now()) {
            self.page = None;
            return Ok(());
        }
        let mark = self.take_up(file.hash);
        let response = ask(pull.effects, pull.config, file)?;
        pull.check_clock();
        match response.status {
            200 if is_web_page(&response) => {
                return Err(Fault::new(
                    FaultClass::Unavailable,
                    Code::NotAFile,
                    format!("{} answered a web page instead of a file", file.at),
                )
                .status(200)
                .hint("Check whether a proxy answers instead of the file store; nothing is passed"));
            }
            200 => {}
            // Expired, or gone: the page lists it anew.
            status @ (400 | 401 | 403 | 404 | 410) => {
                self.refused(pull, status, file, fresh);
                return Ok(());
            }
            status => {
                let class = if status == 429 || status >= 500 { FaultClass::Unavailable } else { FaultClass::Protocol };
                return Err(Fault::new(class, Code::Http(status), format!("{} answered {status} for a file", file.at))
                    .status(status)
                    .hint(crate::advice::RETRY));
            }
        }
        self.found();
        self.open = Some(Open {
            at: file.at.clone(),
            pieces: inflate::decode(Box::new(BodyPieces(response.body))),
            records: NdJson::default(),
            index: 0,
            occurrences: Occurrences::Adjacent { last: mark.last.map(|id| id.0), count: mark.count },
            error: None,
            ended: false,
        });
        Ok(())
    }

    pub(super) fn read(&mut self, pull: &mut Pull<'_>) -> Outcome {
        let (Some(open), Some(mark)) = (&mut self.open, &mut self.state.file) else {
            return Outcome::Done;
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
                    return Outcome::Full;
                }
            }
            if open.ended {
                pull.moved = true;
                self.state.aside.iter_mut().for_each(|mark| mark.alone = true);
                let hash = mark.hash;
                self.done(pull, hash);
                return Outcome::Done;
            }
            if let Some(error) = open.error.take() {
                return self.broken(pull, &error);
            }
            pull.check_clock();
            if pull.full() {
                return Outcome::Full;
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
    fn broken(&mut self, pull: &mut Pull<'_>, error: &ReadError) -> Outcome {
        let (Some(mut open), Some(mark)) = (self.open.take(), &mut self.state.file) else {
            return Outcome::Done;
        };
        if let Occurrences::Adjacent { last, count } = &open.occurrences {
            // Records that were read are not looked at again, but a run of equal ones may go on behind them.
            (mark.last, mark.count) = (last.map(Id), *count);
        }
        if mark.index > mark.broken {
            (mark.tries, mark.broken_since) = (0, None);
        }
        let since = *mark.broken_since.get_or_insert(pull.now);
        mark.broken = mark.index;
        mark.tries += 1;
        if mark.tries <= TRIES {
            if matches!(error, ReadError::Corrupt(_)) {
                // Only the end of damaged data tells that they are: what came before may be wrong. The whole file is read
                // again, and what was right comes again under the same ids.
                mark.rewind();
            }
            let wait = 500 << mark.tries;
            return Outcome::Again(if matches!(error, ReadError::Transport(_)) {
                Next::Pause(wait)
            } else {
                Next::More
            });
        }
        if matches!(error, ReadError::Transport(_)) && pull.now.saturating_sub(since) < BREAKS_FOR {
            let message = format!("{}: {error} after {} records, {} times", open.at, mark.index, mark.tries);
            return Outcome::Failed(
                Fault::new(FaultClass::Unavailable, Code::FileBreaksOff, message).hint(
                    "The file is fetched again and nothing is passed; check the proxy and the network if it stays",
                ),
            );
        }
        let reason = format!(
            "{}: {error} after {} records, {} times; the rest of the file is passed{}",
            open.at,
            mark.index,
            mark.tries,
            if matches!(error, ReadError::Corrupt(_)) { ", and what was read of it may be wrong" } else { "" }
        );
        pull.malformed(reason, open.records.room(), None);
        let hash = mark.hash;
        self.done(pull, hash);
        Outcome::Done
    }

    /// The file in hand was read to its end, or as far as it goes.
    fn done(&mut self, pull: &mut Pull<'_>, hash: Hash) {
        pull.fetched();
        self.state.open.retain(|open| *open != hash);
        self.state.done.push(hash);
        self.state.file = None;
        self.open = None;
    }
}

/// Asks the store for a file.
pub(super) fn ask(effects: &mut dyn Effects, config: &Config, file: &File) -> Result<Response, Fault> {
    let request = Request {
        method: Method::Get,
        url: file.url.clone(),
        // Stored as gzip, not encoded for transport. No header of the API goes to another host (Q53).
        headers: vec![("accept-encoding", "identity".to_owned())],
        body: Vec::new(),
    };
    effects.send(request).map_err(|error| unreachable(&error, &file.at, config))
}

/// S3 says what was stored: no log file is a web page, but a proxy's log-in page is.
pub(super) fn is_web_page(response: &Response) -> bool {
    response.header("content-type").is_some_and(|value| value.trim().starts_with("text/html"))
}
