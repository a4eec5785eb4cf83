//! Files that a page named and that do not come: the store refuses them, or the page names them no longer.
//!
//! The others of the page are read first. The page is not turned before every file is read or told: it is listed anew for
//! an hour, and then a file is told as a gap. One that is refused must be alone in that, too: a proxy that refuses
//! everything must not declare a backlog lost.

use serde::{Deserialize, Serialize};

use super::SiemBatch;
use super::file::{ask, is_web_page};
use crate::api::siem::{File, Page};
use crate::chunk::{Fault, FaultClass, Timestamp};
use crate::code::Code;
use crate::config::HOUR;
use crate::describe::SIEM_RETENTION;
use crate::effects::Effects;
use crate::streams::position::{FileMark, Hash};
use crate::streams::pull::Pull;

/// So often the page is listed again at once (Q48); then it is a fault, and each further try costs one listing of the
/// quota, until every file has come.
pub(super) const RELISTS: u32 = 3;

/// For so long a file must not have come, at every listing in between, before it counts as gone.
pub(super) const GONE_FOR: u64 = HOUR;

/// After so many refusals in a row the store is left alone until the page is listed again.
const REFUSALS_IN_A_ROW: usize = 10;

/// Marks of files that do not come: as many as a page is asked for. Beyond them how far a file was read, and since when
/// it is refused, is not kept, so it is waited for.
pub(super) const ASIDE_LIMIT: usize = 100;

/// Files that are looked for after a refused token, at most: as many as a page is asked for.
pub(super) const STRAYS_LIMIT: usize = 100;

/// Finished files that are asked for to see whether the store answers at all, at most.
const PROBES: usize = 3;

/// A listing younger than this is trusted even if its addresses seem to have expired: the clocks differ.
const FRESH_MS: u64 = 60_000;

/// Files that were listed once and are no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Missing {
    since: Timestamp,
    /// How many: with more of them the wait begins anew.
    files: usize,
}

/// A page, and when it was listed.
pub(super) struct Listing {
    pub(super) page: Page,
    at: Timestamp,
    at_ms: u64,
    /// Files that were refused since, and the status.
    refused: Vec<(Hash, u16)>,
    in_a_row: usize,
}

impl Listing {
    pub(super) fn is_fresh(&self, effects: &mut dyn Effects) -> bool {
        effects.monotonic_ms().saturating_sub(self.at_ms) <= FRESH_MS
    }

    fn names(&self, hash: Hash) -> Option<&File> {
        self.page.files.iter().find(|file| file.hash == hash.0)
    }

    fn refused(&self, hash: Hash) -> Option<u16> {
        self.refused.iter().find(|(refused, _)| *refused == hash).map(|(_, status)| *status)
    }
}

impl SiemBatch {
    fn is_done(&self, hash: Hash) -> bool {
        self.state.done.contains(&hash) || self.state.before.contains(&hash)
    }

    /// Whether a page names a file that was listed before. Then nothing behind it has expired: the oldest goes first.
    pub(super) fn knows(&self, page: &Page) -> bool {
        page.files.iter().any(|file| self.is_done(Hash(file.hash)) || self.state.open.contains(&Hash(file.hash)))
    }

    /// The page was listed. What it names from here on is told if it never comes.
    pub(super) fn listed(&mut self, pull: &mut Pull<'_>, page: Page) {
        let listing =
            Listing { page, at: pull.now, at_ms: pull.effects.monotonic_ms(), refused: Vec::new(), in_a_row: 0 };
        if let Some(mark) = self.state.file.take_if(|mark| listing.names(mark.hash).is_none()) {
            // A position of an earlier release has no list of open files.
            if !self.state.open.contains(&mark.hash) {
                pull.listed(1);
                self.state.open.push(mark.hash);
            }
            self.set_aside(mark);
        }
        // Known are those that this page named before, and those that the pages of a refused token did.
        let known =
            |hash: Hash| self.is_done(hash) || self.state.open.contains(&hash) || self.state.strays.contains(&hash);
        let mut new: Vec<u64> =
            listing.page.files.iter().map(|file| file.hash).filter(|hash| !known(Hash(*hash))).collect();
        new.sort_unstable();
        new.dedup();
        pull.listed(new.len());
        self.state.strays.retain(|hash| listing.names(*hash).is_none());
        let mut missing = std::mem::take(&mut self.state.open);
        missing.retain(|hash| listing.names(*hash).is_none());
        self.state.missing = match self.state.missing.take() {
            _ if missing.is_empty() => None,
            Some(Missing { since, files }) if files >= missing.len() && since <= pull.now => {
                Some(Missing { since, files: missing.len() })
            }
            _ => {
                pull.moved = true;
                Some(Missing { since: pull.now, files: missing.len() })
            }
        };
        let named = listing.page.files.iter().map(|file| Hash(file.hash)).filter(|hash| !self.is_done(*hash));
        self.state.open = missing.into_iter().chain(named).collect();
        self.page = Some(listing);
    }

    /// The file to read next: those that were refused come last.
    pub(super) fn next_file(&self) -> Option<File> {
        let listing = self.page.as_ref()?;
        let current = self.state.file.as_ref().and_then(|mark| listing.names(mark.hash));
        let untried = |hash: Hash| listing.in_a_row < REFUSALS_IN_A_ROW && listing.refused(hash).is_none();
        let is_aside = |hash: Hash| self.state.aside.iter().any(|mark| mark.hash == hash);
        let first = || {
            listing.page.files.iter().find(|file| {
                let hash = Hash(file.hash);
                !self.is_done(hash) && untried(hash) && !is_aside(hash)
            })
        };
        let again = || self.state.aside.iter().find_map(|mark| listing.names(mark.hash).filter(|_| untried(mark.hash)));
        current.or_else(first).or_else(again).cloned()
    }

    /// Its mark, now that it is asked for.
    pub(super) fn take_up(&mut self, hash: u64) -> FileMark {
        let aside = self.state.aside.iter().position(|mark| mark.hash.0 == hash);
        let aside = aside.map(|at| self.state.aside.remove(at));
        self.state.file.get_or_insert_with(|| aside.unwrap_or_else(|| FileMark::new(hash))).clone()
    }

    /// The store has the file in hand.
    pub(super) fn found(&mut self) {
        self.rounds = 0;
        if let Some(listing) = &mut self.page {
            listing.in_a_row = 0;
        }
        if let Some(mark) = &mut self.state.file {
            (mark.refused, mark.alone) = (None, false);
        }
    }

    /// The address has expired, or leads nowhere.
    pub(super) fn refused(&mut self, pull: &mut Pull<'_>, status: u16, file: &File, fresh: bool) {
        if !fresh {
            self.page = None;
            return;
        }
        let (Some(mut mark), Some(listing)) = (self.state.file.take(), &mut self.page) else {
            return;
        };
        listing.refused.push((Hash(file.hash), status));
        listing.in_a_row += 1;
        if mark.refused.is_none_or(|since| since > pull.now) {
            (mark.refused, mark.alone) = (Some(pull.now), false);
            pull.moved = true;
        }
        self.set_aside(mark);
    }

    fn set_aside(&mut self, mark: FileMark) {
        if self.state.aside.len() < ASIDE_LIMIT {
            self.state.aside.push(mark);
        }
    }

    /// Everything that came of the page is read. `true` if nothing of it is waited for: it may be turned.
    pub(super) fn settle(&mut self, pull: &mut Pull<'_>) -> Result<bool, Fault> {
        let Some(listing) = self.page.take() else {
            return Ok(false);
        };
        self.tell_missing(pull, &listing);
        self.tell_refused(pull, &listing);
        let waits = listing.page.files.iter().any(|file| !self.is_done(Hash(file.hash)));
        if !waits && self.state.missing.is_none() {
            self.rounds = 0;
            self.state.aside.clear();
            self.page = Some(listing);
            return Ok(true);
        }
        if self.rounds < RELISTS {
            self.rounds += 1;
            return Ok(false);
        }
        let name = self.stream.name();
        let refused = listing.refused.first().and_then(|(hash, status)| Some((listing.names(*hash)?, *status)));
        Err(match refused {
            Some((file, status)) => Fault::new(
                FaultClass::Unavailable,
                Code::FileGone,
                format!("{} answered {status} for a file of {name}, though it was listed anew", file.at),
            )
            .status(status)
            .hint(
                "Check whether a proxy keeps the collector from the file store. If other files of its listing can be read, \
                 it is reported as a gap after an hour and passed; otherwise the stream waits",
            ),
            None => Fault::new(
                FaultClass::Unavailable,
                Code::FileNotListed,
                format!(
                    "Mimecast does not list {} any more, though not all of it was read",
                    self.state.missing.as_ref().map_or_else(|| "a file".to_owned(), |missing| files(missing.files))
                ),
            )
            .hint("Wait: it is listed again. After an hour it is reported as a gap and passed"),
        })
    }

    fn tell_missing(&mut self, pull: &mut Pull<'_>, listing: &Listing) {
        // By the time of the listing: one that is old says nothing about the time since.
        let Some(Missing { files: count, .. }) =
            self.state.missing.take_if(|missing| listing.at.saturating_sub(missing.since) >= GONE_FOR)
        else {
            return;
        };
        let (begun, aside) = std::mem::take(&mut self.state.aside)
            .into_iter()
            .partition::<Vec<_>, _>(|mark| listing.names(mark.hash).is_none());
        self.state.aside = aside;
        self.state.open.retain(|hash| listing.names(*hash).is_some());
        let mut what = format!("{}: {}", self.stream.name(), files(count));
        for mark in begun.iter().filter(|mark| mark.index > 0) {
            what.push_str(&format!(", the rest of one after {} records", mark.index));
        }
        pull.gap(what, None, None, "Mimecast has not listed it for an hour, though it did before");
        pull.gone(count);
        pull.moved = true;
    }

    fn tell_refused(&mut self, pull: &mut Pull<'_>, listing: &Listing) {
        let age = |mark: &FileMark| {
            let since = mark.refused.filter(|_| listing.refused(mark.hash).is_some());
            since.map_or(0, |since| listing.at.saturating_sub(since))
        };
        if self.state.aside.iter().any(|mark| age(mark) >= GONE_FOR && !mark.alone) && self.store_answers(pull, listing)
        {
            self.state.aside.iter_mut().for_each(|mark| mark.alone = true);
        }
        let name = self.stream.name();
        // What is refused for longer than anything is kept does not come back, whoever refuses it.
        let gone = |mark: &FileMark| age(mark) >= if mark.alone { GONE_FOR } else { SIEM_RETENTION };
        let (gone, aside): (Vec<_>, Vec<_>) = std::mem::take(&mut self.state.aside).into_iter().partition(gone);
        self.state.aside = aside;
        for mark in gone {
            let at = listing.names(mark.hash).map_or("a file", |file| &file.at);
            let status = listing.refused(mark.hash).unwrap_or_default();
            pull.gap(
                format!("{name}: {at} after {} records", mark.index),
                None,
                None,
                format!("the file store has answered {status} for more than an hour, though the file was listed anew"),
            );
            pull.gone(1);
            self.state.open.retain(|open| *open != mark.hash);
            self.state.done.push(mark.hash);
            pull.moved = true;
        }
    }

    /// Whether a file of this listing that was read before can still be fetched. Costs nothing of the quota.
    fn store_answers(&self, pull: &mut Pull<'_>, listing: &Listing) -> bool {
        let known = listing.page.files.iter().filter(|file| self.is_done(Hash(file.hash)));
        for file in known.take(PROBES) {
            let answer = ask(pull.effects, pull.config, file);
            pull.check_clock();
            if let Ok(mut response) = answer
                && response.status == 200
                && !is_web_page(&response)
                && response.body.next().is_ok()
            {
                return true;
            }
        }
        false
    }

    /// The token is refused: other pages name the files of this one.
    pub(super) fn stray(&mut self, pull: &mut Pull<'_>) {
        let mut open = std::mem::take(&mut self.state.open);
        // A position of an earlier release has no list of open files.
        if let Some(mark) = self.state.file.take().filter(|mark| !open.contains(&mark.hash)) {
            pull.listed(1);
            open.push(mark.hash);
        }
        self.state.strays.append(&mut open);
        self.state.aside.clear();
        self.state.missing = None;
    }

    /// All pages were listed: what none of them named is gone.
    pub(super) fn tell_strays(&mut self, pull: &mut Pull<'_>) {
        let strays = std::mem::take(&mut self.state.strays).len();
        self.tell_lost(
            pull,
            strays,
            "Mimecast refused the page token, or the position was lost, and no page lists it any more",
        );
    }

    /// The position was lost, and nothing that was listed before is read any more.
    pub(super) fn tell_unread(&self, pull: &mut Pull<'_>, files: usize) {
        self.tell_lost(pull, files, "the position was lost before it was read, and the stream goes on at the present");
    }

    fn tell_lost(&self, pull: &mut Pull<'_>, count: usize, reason: &str) {
        if count > 0 {
            pull.gap(format!("{}: {}", self.stream.name(), files(count)), None, None, reason);
            pull.gone(count);
            pull.moved = true;
        }
    }
}

fn files(count: usize) -> String {
    if count == 1 { "a file".to_owned() } else { format!("{count} files") }
}
