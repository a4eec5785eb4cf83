//! Closed windows of time, one after another, up to a little before the present.
//!
//! Pages of a window are offsets, so a window must not grow while it is paged: it ends a little before the present. Records appear
//! late, so the next poll begins a while before the last one's end; what comes twice has the same id, and the host drops it.

use serde::{Deserialize, Serialize};

use super::position::{self, FileMark, Hash, Id};
use super::pull::Pull;
use super::start::settle;
use super::whole;
use crate::catalog::{LAG, Stream};
use crate::chunk::{Fault, FaultClass, Start, Timestamp};
use crate::code::Code;
use crate::config::{DAY, HOUR, MINUTE, SECOND};

/// Empty pages in a row before a window is given up for now (Q13).
pub const EMPTY_PAGES: u32 = 100;

/// A list is not asked for what is older than Mimecast serves by less than this: when the request arrives it would be.
const SLACK: u64 = 10 * MINUTE;

/// How far this machine's clock may be ahead of the vendor's before it matters: a `Date` is seconds old when it is read.
const AHEAD: u64 = MINUTE;

/// The position of a stream that is read in windows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Where the next window begins.
    next: Timestamp,
    /// Where the next poll begins, if late records may still come before `next`.
    #[serde(skip_serializing_if = "Option::is_none")]
    resume: Option<Timestamp>,
    /// Only records of `[since, until)` are wanted: set for a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    /// The window that is being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub begin: Timestamp,
    pub end: Timestamp,
    /// Where the poll after this one begins.
    resume: Timestamp,
    /// It reaches the present, or the replay's end: behind it there is nothing for now.
    last: bool,
    /// The page that is being read. Bound to this window, and gone with it (Q16).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Rows of the page that are done, and the id of the last one: if another row stands there, the page has shifted.
    #[serde(default)]
    pub index: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// Rows of the page that were handed over unparsed: they must not be parsed for their ids either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unparsed: Vec<usize>,
    /// How many rows all pages have, as the page before said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// How far the page's file was read, where pages are files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileMark>,
    /// Pages that are done, and one of their tokens: the one behind as many pages as the last power of two.
    #[serde(default, skip_serializing_if = "is_zero")]
    pages: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    milestone: Option<Hash>,
    /// How often each record of the last second came on the page before this one, as [`Occurrences`] counts.
    ///
    /// [`Occurrences`]: crate::normalize::Occurrences
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<(Id, u32)>,
}

impl State {
    /// What happened before this was read, late records included.
    fn unread(&self) -> Timestamp {
        let late = self.window.as_ref().map(|window| window.resume).into_iter().chain(self.resume);
        late.fold(self.next, Timestamp::min)
    }
}

impl Window {
    /// From the start of its first page.
    pub fn restart(&mut self) {
        self.turn(None);
        self.total = None;
        (self.pages, self.milestone) = (0, None);
        self.before.clear();
    }

    /// Whether a page's token leads back to a page that was read (Q14). It is noticed after at most three rounds.
    pub fn leads_back(&self, token: &str) -> bool {
        self.milestone == Some(Hash(position::hash(token.as_bytes())))
    }

    /// The vendor has answered. By a clock that is ahead, the window ends in the vendor's future: what happens there until then is
    /// only to come, so the next poll begins where the vendor's own clock says.
    pub fn heard(&mut self, vendor_now: Option<Timestamp>, now: Timestamp, overlap: u64) {
        // A difference of days is no clock's of this connection: certificates would be refused.
        if let Some(theirs) = vendor_now.filter(|theirs| theirs + AHEAD < now && now < theirs + DAY) {
            self.resume = self.resume.min(whole(theirs.saturating_sub(overlap)));
        }
    }

    /// The next poll reads all of it again.
    pub fn read_again(&mut self) {
        self.resume = self.resume.min(self.begin);
    }

    /// What happened before this is not read again by the next poll.
    pub fn resume(&self) -> Timestamp {
        self.resume
    }

    /// Nothing of it was read yet.
    fn is_untouched(&self) -> bool {
        self.token.is_none() && self.index == 0 && self.file.is_none()
    }

    /// To the start of a page.
    pub fn turn(&mut self, token: Option<String>) {
        if let Some(token) = &token {
            self.pages = self.pages.saturating_add(1);
            if self.pages.is_power_of_two() {
                self.milestone = Some(Hash(position::hash(token.as_bytes())));
            }
        }
        self.token = token;
        self.file = None;
        self.rewind();
    }

    /// To the start of the same page.
    pub fn rewind(&mut self) {
        (self.index, self.id) = (0, None);
        self.unparsed.clear();
    }
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

pub struct Windows {
    stream: Stream,
    /// A window is no longer than this, or than what a poll reads again.
    longest: u64,
    state: State,
    start: Option<Start>,
    /// Nothing more until the next pull that begins with a new window.
    finished: bool,
}

impl Windows {
    /// # Errors
    /// Those of [`position::read`].
    pub fn open(stream: Stream, longest: u64, start: Start) -> Result<Self, Fault> {
        let state = match &start {
            Start::After(position) => position::read(stream.name(), position)?,
            _ => State::default(),
        };
        Ok(Self { stream, longest, state, start: Some(start), finished: false })
    }

    /// Settles where to begin. Called before every pull.
    pub fn begin(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault> {
        let (stream, name) = (self.stream, self.stream.name());
        let kept = pull.now.saturating_sub(stream.retention());
        // A feed's figure is what it gives unless it is told; nobody has been refused more (section 6.10).
        let oldest = if matches!(stream, Stream::Feed(_)) { kept } else { kept + SLACK };
        self.finished = false;
        match self.start.take() {
            None => {}
            Some(start @ Start::After(_)) if self.too_old(kept) => {
                self.start = Some(start);
                let message = format!("{name} was read last too long ago: {}", stream.reach());
                return Err(Fault::new(FaultClass::PositionLost, Code::TooOld, message).hint(crate::advice::LOST));
            }
            Some(start) => {
                let unread = |position: &[u8]| position::read::<State>(name, position).ok().map(|state| state.unread());
                if let Some(beginning) = settle(start, pull, stream, oldest, unread) {
                    self.state.next = whole(beginning.at);
                    (self.state.since, self.state.until) = beginning.span.unzip();
                }
            }
        }
        if oldest > kept && self.state.next < kept && self.state.window.as_ref().is_none_or(Window::is_untouched) {
            // Within the slack of `too_old`, or while the vendor could not be reached: it is told, and not asked for.
            pull.gap(name, Some(self.state.next), Some(whole(oldest)), stream.reach());
            (self.state.next, self.state.resume, self.state.window) = (whole(oldest), None, None);
        }
        (pull.since, pull.until) = (self.state.since, self.state.until);
        Ok(())
    }

    /// What comes next is no longer served. An hour of slack: a backlog that is read from its oldest end must not trip
    /// over it.
    fn too_old(&self, kept: Timestamp) -> bool {
        let next = self.state.next.max(self.state.window.as_ref().map_or(0, |window| window.begin));
        self.state.until.is_none() && next + HOUR < kept
    }

    pub fn window(&mut self) -> Option<&mut Window> {
        self.state.window.as_mut()
    }

    /// There is a window to read: the one in hand, or the next one. `false` if the present is too near.
    pub fn ready(&mut self, pull: &Pull<'_>) -> bool {
        !self.finished && (self.state.window.is_some() || self.next(pull))
    }

    fn next(&mut self, pull: &Pull<'_>) -> bool {
        let now = whole(pull.now);
        let overlap = pull.config.overlap(self.stream);
        let state = &mut self.state;
        if state.next > now {
            // The clock was ahead and has been set back: what it seemed to have read has not yet happened.
            state.next = now.saturating_sub(overlap);
            state.resume = None;
        }
        let present = now.saturating_sub(LAG);
        let limit = state.until.map_or(present, |until| present.min(until.div_ceil(SECOND) * SECOND));
        let begin = state.next;
        if begin >= limit {
            return false;
        }
        let end = limit.min(begin + self.longest.max(overlap + HOUR));
        // Within the overlap of the present, late records may still come: there the next poll begins.
        let settled = end.min(now.saturating_sub(overlap).max(begin));
        state.window = Some(Window {
            begin,
            end,
            resume: state.resume.unwrap_or(settled),
            last: end == limit,
            token: None,
            index: 0,
            id: None,
            unparsed: Vec::new(),
            total: None,
            file: None,
            pages: 0,
            milestone: None,
            before: Vec::new(),
        });
        true
    }

    /// The window in hand is done.
    pub fn close(&mut self) {
        let Some(window) = self.state.window.take() else {
            return;
        };
        self.finished = window.last;
        if window.last {
            (self.state.next, self.state.resume) = (window.resume, None);
        } else {
            self.state.next = window.end;
            self.state.resume = Some(window.resume).filter(|resume| *resume < window.end);
        }
    }

    /// The time of a record without one: the window's end (quirk Q65), but never outside of what is wanted.
    pub fn fallback_time(&self) -> Option<Timestamp> {
        let end = self.state.window.as_ref()?.end;
        let end = self.state.until.map_or(end, |until| end.min(until.saturating_sub(1)));
        Some(self.state.since.map_or(end, |since| end.max(since)))
    }

    pub fn position(&self) -> Vec<u8> {
        position::write(self.stream.name(), &self.state)
    }
}
