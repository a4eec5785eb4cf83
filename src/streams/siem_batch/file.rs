//! One file of a page: fetched by its signed address, read as it streams, and fetched again if it breaks off.

use super::{FRESH_MS, SiemBatch};
use crate::api::siem::File;
use crate::api::unreachable;
use crate::chunk::{Fault, FaultClass, Next};
use crate::config::{DAY, HOUR};
use crate::effects::{Method, Request};
use crate::normalize::{Encoding, Occurrences, Origin, Source as Log};
use crate::streams::position::FileMark;
use crate::streams::pull::Pull;
use crate::streams::read::ndjson::NdJson;
use crate::streams::read::{BodyPieces, Cut, Pieces, ReadError, inflate};

/// A file whose address has expired or leads nowhere: so often the page is listed again before it is a fault (Q48).
pub(super) const RELISTS: u32 = 3;

/// For so long a file that the store does not know is a fault before it is reported and passed: it must not hold up a
/// stream until the rest is gone, too.
pub(super) const GONE_FOR: u64 = HOUR;

/// The same for an address that is refused: that may be a proxy's doing, which passes.
pub(super) const REFUSED_FOR: u64 = DAY;

/// A file that breaks off at the same record so often is reported and passed (Q51).
pub(super) const TRIES: u32 = 3;

/// If it was the connection that broke off, the file itself may be good: it is a fault so often before the file is passed.
/// The host waits longer from fault to fault, so this is hours.
pub(super) const BREAKS: u32 = 50;

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
    pub(super) fn fetch(&mut self, pull: &mut Pull<'_>, file: File) -> Result<(), Fault> {
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
            status @ (400 | 401 | 403 | 404 | 410) => return self.refused(pull, status, &file.at),
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
        if let Some(mark) = &mut self.state.file {
            mark.refused = None;
        }
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

    /// The address has expired, or leads nowhere: the page lists it anew. A file that stays away is passed in the end, as
    /// a gap.
    fn refused(&mut self, pull: &mut Pull<'_>, status: u16, at: &str) -> Result<(), Fault> {
        self.page = None;
        let Some(mark) = &mut self.state.file else {
            return Ok(());
        };
        if self.relists == 0 && mark.refused.is_some() {
            // A reader before this one has listed it anew already: each further try costs one listing of the quota.
            self.relists = RELISTS;
        }
        let since = match mark.refused.filter(|since| *since <= pull.now) {
            Some(since) => since,
            None => {
                pull.moved = true;
                *mark.refused.insert(pull.now)
            }
        };
        self.relists += 1;
        if self.relists <= RELISTS {
            return Ok(());
        }
        self.relists = RELISTS;
        let name = self.stream.name();
        let (patience, span) = match status {
            404 | 410 => (GONE_FOR, "an hour"),
            _ => (REFUSED_FOR, "a day"),
        };
        if pull.now - since >= patience {
            pull.gap(
                format!("{name}: {at} after {} records", mark.index),
                None,
                None,
                format!("the file store has answered {status} for more than {span}, though the file was listed anew"),
            );
            pull.moved = true;
            self.state.done.push(mark.hash);
            self.state.file = None;
            self.relists = 0;
            return Ok(());
        }
        Err(Fault::new(
            FaultClass::Unavailable,
            "file-gone",
            format!("{at} answered {status} for a file of {name}, though it was listed anew"),
        )
        .status(status)
        .hint(format!(
            "Check whether a proxy keeps the collector from the file store. The stream waits for {span} from the first \
             refusal; then the file is reported as a gap and passed"
        )))
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
                self.state.done.push(mark.hash);
                self.state.file = None;
                self.open = None;
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
        if mark.index > mark.broken {
            mark.tries = 0;
        }
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
        if matches!(error, ReadError::Transport(_)) && mark.tries <= BREAKS {
            let message = format!("{}: {error} after {} records, {} times", open.at, mark.index, mark.tries);
            return Outcome::Failed(
                Fault::new(FaultClass::Unavailable, "file-breaks-off", message).hint(
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
        self.state.done.push(mark.hash);
        self.state.file = None;
        Outcome::Done
    }
}
