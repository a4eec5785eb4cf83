//! How far a stream of SIEM logs was read, and what of the rest Mimecast keeps no longer.
//!
//! What is unread is known by what was read: everything up to the newest event, or up to the last answer that said that there is no
//! more. Mimecast keeps its files for a while from when it published them. What expires unread is told as a gap with the first answer
//! after it, whether nobody asked for so long or a backlog was too old when it was left: an answer does not tell it itself.

use serde::{Deserialize, Serialize};

use super::pull::Pull;
use super::start::Beginning;
use super::{hourly, position};
use crate::catalog::Stream;
use crate::chunk::{Fault, FaultClass, Timestamp};
use crate::code::Code;
use crate::config::HOUR;

/// A record is published within this time after it happened: every 30 minutes, every 15 in API 2.0 (sections 4.5 and 5.1 of the API
/// reference), and some come late.
pub(super) const PUBLISHED_WITHIN: u64 = 2 * HOUR;

/// A first collection begins where Mimecast lets go, and its newest event is older than what is kept from the start. So much is
/// no gap while it is read there. Once it has come twice as far, what is older than what is kept has expired.
const OLDEST_END: u64 = HOUR;

/// After a longer silence the stream has stood still: twice what [`hourly`] may leave out.
const STOOD_STILL: u64 = 2 * HOUR;

/// Clocks that differ by more tell nothing.
const CLOCKS: u64 = HOUR;

/// Part of a position.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Only records of `[since, until)` are wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What happened before this was told as a gap, or was not asked for. Positions of earlier releases lack it.
    #[serde(skip_serializing_if = "Option::is_none")]
    begun: Option<Timestamp>,
    /// The newest event's time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<Timestamp>,
    /// When the vendor last answered, within an hour: tells how much it has let go since.
    #[serde(skip_serializing_if = "Option::is_none")]
    polled: Option<Timestamp>,
    /// When everything that the vendor had was read, within an hour: a quiet stream has old events and misses none.
    #[serde(skip_serializing_if = "Option::is_none")]
    caught_up: Option<Timestamp>,
}

impl Progress {
    pub fn begin(&mut self, beginning: &Beginning, oldest: Timestamp) {
        self.begun = Some(beginning.at);
        (self.since, self.until) = match beginning.span {
            Some((begin, end)) => (Some(begin), Some(end)),
            // At the oldest end nothing is left out: whatever comes is wanted.
            None => ((beginning.at > oldest).then_some(beginning.at), None),
        };
    }

    /// Notes what this pull has read.
    pub fn read(&mut self, pull: &Pull<'_>) {
        self.mark = self.mark.max(pull.newest);
    }

    pub fn leave_out(&self, pull: &mut Pull<'_>) {
        (pull.since, pull.until) = (self.since, self.until);
    }

    /// Everything that the vendor had is read.
    pub fn catch_up(&mut self, now: Timestamp) {
        hourly(&mut self.caught_up, now);
    }

    /// The vendor has answered, and serves what it published within the last `kept`, or, asked by time, what happened within it. Tells
    /// what was unread and older: once, since what is told counts as read.
    pub fn answered(&mut self, pull: &mut Pull<'_>, stream: Stream, kept: u64, by_time: bool) {
        self.read(pull);
        let theirs = pull.vendor_now.filter(|theirs| theirs.abs_diff(pull.now) <= CLOCKS);
        let now = theirs.map_or(pull.now, |theirs| theirs.max(pull.now));
        let oldest = now.saturating_sub(kept);
        if self.polled.is_none() && self.since.is_none() {
            // Asked for at the oldest end, which is where it is now that there is an answer.
            self.begun = self.begun.max(Some(oldest));
        }
        if let Some(begin) = self.expired(now, kept, by_time) {
            let end = self.until.map_or(oldest, |until| until.min(oldest));
            pull.gap(stream.name(), Some(begin), Some(end), format!("it was not read in time: {}", stream.reach()));
            pull.moved = true;
            self.told(oldest);
        }
        self.heard(pull);
    }

    /// The vendor has answered what is known to go on where the stream stands.
    pub fn heard(&mut self, pull: &Pull<'_>) {
        hourly(&mut self.polled, pull.now);
    }

    /// With a note in every field.
    #[cfg(test)]
    pub fn full(at: Timestamp) -> Self {
        let at = Some(at);
        Self { since: at, until: at, begun: at, mark: at, polled: at, caught_up: at }
    }

    /// Where the unread begins, if its oldest end is no longer kept.
    fn expired(&self, now: Timestamp, kept: u64, by_time: bool) -> Option<Timestamp> {
        let oldest = now.saturating_sub(kept);
        let stood_still = self.polled.is_some_and(|polled| polled + STOOD_STILL < now);
        let mark = self.mark.map(|mark| mark.min(now));
        let begun = self.begun(now, kept);
        let is_at_the_oldest_end = mark.is_none_or(|mark| begun.is_some_and(|begun| mark < begun + 2 * OLDEST_END));
        let slack = if stood_still || !is_at_the_oldest_end { 0 } else { OLDEST_END };
        let early = if by_time { PUBLISHED_WITHIN } else { 0 };
        let caught_up = self.caught_up.map(|at| at.min(now).saturating_sub(early));
        // The unread was published, or happened, after this.
        let after = mark.max(begun).map(|at| at + slack).max(caught_up)?;
        let begin = self.unread(now, kept)?;
        (after < oldest && self.until.is_none_or(|until| begin < until)).then_some(begin)
    }

    /// The time at which the unread begins, as far as it is known.
    pub fn unread(&self, now: Timestamp, kept: u64) -> Option<Timestamp> {
        let happened = |at: Timestamp| at.min(now).saturating_sub(PUBLISHED_WITHIN);
        self.mark.max(self.caught_up).map(happened).max(self.begun(now, kept))
    }

    fn begun(&self, now: Timestamp, kept: u64) -> Option<Timestamp> {
        // One from the future was written by a clock that was ahead by days.
        let begun = self.begun.filter(|begun| *begun <= now).or(self.since.map(|since| since.min(now)));
        if begun.is_some() || self.mark.is_some() || self.caught_up.is_some() {
            return begun;
        }
        // Nothing was read when the vendor answered last: all that it had is unread.
        self.polled.map(|polled| polled.min(now).saturating_sub(kept))
    }

    /// Where the unread began by a position that was lost: there, too, the older of mark and end counts.
    pub fn unread_of(position: &[u8], stream: Stream, now: Timestamp) -> Option<Timestamp> {
        let progress: Progress = position::read(stream.name(), position).ok()?;
        let read = progress.surely_read(now).or(progress.mark.map(|mark| mark.min(now)));
        let read = read.map(|read| read.saturating_sub(PUBLISHED_WITHIN));
        read.max(progress.begun(now, stream.retention()))
    }

    /// Where everything was surely read: one event with a wrong time, or one page that says too early that it is the last, must not
    /// hide a backlog, so the older of the two counts. `None` in a backlog, where nothing tells how far it was read.
    pub fn surely_read(&self, now: Timestamp) -> Option<Timestamp> {
        // A clock that was set back must not make a listing of the future.
        let caught_up = self.caught_up?.min(now);
        Some(self.mark.or(self.since).map_or(caught_up, |mark| mark.min(caught_up)))
    }

    /// Judges a refusal of the vendor's token. As long as what was read last lies within the retention, listing anew mends it.
    ///
    /// # Errors
    /// `position-lost` for what cannot be mended without loss.
    pub fn may_mend(&self, stream: Stream, now: Timestamp) -> Result<(), Fault> {
        let read =
            self.mark.or(self.since).max(self.caught_up).map(|read| read.min(now).max(self.begun.unwrap_or_default()));
        if read.is_none_or(|read| read >= now.saturating_sub(stream.retention())) {
            return Ok(());
        }
        let name = stream.name();
        let message =
            format!("Mimecast refuses the page token of {name}, and what was read last is too old: {}", stream.reach());
        Err(Fault::new(FaultClass::PositionLost, Code::TokenRefused, message).status(400).hint(crate::advice::LOST))
    }

    /// What is unread and older than this was told as a gap.
    pub fn told(&mut self, oldest: Timestamp) {
        self.begun = Some(oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DAY, MINUTE};

    const NOW: Timestamp = 1_772_971_200 * 1_000_000_000;
    const WEEK: u64 = 7 * DAY;

    fn progress(json: &str) -> Progress {
        serde_json::from_str(json).unwrap()
    }

    fn first_start() -> Progress {
        Progress { begun: Some(NOW - WEEK), polled: Some(NOW), ..Progress::default() }
    }

    #[test]
    fn the_usual_is_no_gap() {
        // A first collection of a week, whose first file happened before it was published; read at twice the speed of time, and
        // polled all the while.
        for minutes in 0..7 * 24 * 60 {
            let elapsed = minutes * MINUTE;
            let mark = Some(NOW - WEEK - 30 * MINUTE + 2 * elapsed);
            let polled = Some(NOW + elapsed / HOUR * HOUR);
            let slow = Progress { mark, polled, ..first_start() };
            assert_eq!(slow.expired(NOW + elapsed, WEEK, false), None, "{minutes}");
        }
        // Caught up, and polled every few minutes; the notes are an hour old. Then an hour's stop, and one of a week but an hour.
        let quiet = Progress { mark: Some(NOW - 40 * DAY), caught_up: Some(NOW - HOUR), ..first_start() };
        for stop in [0, 5 * MINUTE, HOUR, 3 * DAY, WEEK - HOUR] {
            assert_eq!(quiet.expired(NOW + stop, WEEK, false), None, "{stop}");
        }
        // In the middle of a backlog: an hour, and as long as the unread is kept.
        let backlog = Progress { mark: Some(NOW - 4 * DAY), ..first_start() };
        for stop in [HOUR, DAY, 3 * DAY] {
            assert_eq!(backlog.expired(NOW + stop, WEEK, false), None, "{stop}");
        }
        // A clock that was minutes ahead when it was noted.
        let ahead = Progress { caught_up: Some(NOW + 10 * MINUTE), polled: Some(NOW + 10 * MINUTE), ..quiet };
        assert_eq!(ahead.expired(NOW, WEEK, false), None);
    }

    #[test]
    fn what_expires_unread_is_a_gap_from_where_it_was_read_to() {
        let expired = |progress: &Progress, after: u64| progress.expired(NOW + after, WEEK, false);
        let oldest_end = Progress { mark: Some(NOW - WEEK + HOUR), ..first_start() };
        assert_eq!(expired(&oldest_end, 3 * DAY), Some(NOW - WEEK), "a record may be published late");
        assert_eq!(expired(&first_start(), 3 * DAY), Some(NOW - WEEK), "nothing was read");
        assert_eq!(expired(&oldest_end, 2 * HOUR), None, "not that long");
        assert_eq!(expired(&oldest_end, 3 * HOUR), Some(NOW - WEEK));
        // Polled all the while: a vendor that moves an old cursor, or files that cannot be fetched.
        let stuck = Progress { polled: Some(NOW + 3 * DAY), ..oldest_end.clone() };
        assert_eq!(expired(&stuck, 3 * DAY), Some(NOW - WEEK));
        // Beyond the oldest end nothing expires unnoticed, not even within an hour: an answer that leaves its token where it is.
        let in_between = Progress { mark: Some(NOW - 6 * DAY), polled: Some(NOW + DAY), ..first_start() };
        assert_eq!(expired(&in_between, DAY), None);
        assert_eq!(expired(&in_between, DAY + MINUTE), Some(NOW - 6 * DAY - PUBLISHED_WITHIN));
        let caught_up = Progress { caught_up: Some(NOW), ..oldest_end.clone() };
        assert_eq!(expired(&caught_up, WEEK), None);
        assert_eq!(expired(&caught_up, WEEK + MINUTE), Some(NOW - PUBLISHED_WITHIN));
        // What is not wanted is not lost.
        let since =
            Progress { begun: Some(NOW - HOUR), since: Some(NOW - HOUR), polled: Some(NOW), ..Progress::default() };
        assert_eq!(expired(&since, 8 * DAY), Some(NOW - HOUR));
        for (until, lost) in [(NOW - 2 * DAY, Some(NOW - WEEK)), (NOW - WEEK, None)] {
            assert_eq!(expired(&Progress { until: Some(until), ..oldest_end.clone() }, 3 * DAY), lost);
        }
        // Asked by time, what happened too early is not given, whenever it was published.
        let early = NOW + WEEK - PUBLISHED_WITHIN;
        assert_eq!(caught_up.expired(early + 30 * MINUTE, WEEK, true), Some(NOW - PUBLISHED_WITHIN));
        assert_eq!(caught_up.expired(early, WEEK, true), None);
    }

    #[test]
    fn it_is_told_once() {
        let mut progress = Progress { mark: Some(NOW - WEEK + HOUR), ..first_start() };
        let now = NOW + 3 * DAY;
        assert!(progress.expired(now, WEEK, false).is_some());
        progress.told(now - WEEK);
        progress.polled = Some(now);
        for after in [0, 5 * MINUTE, HOUR] {
            assert_eq!(progress.expired(now + after, WEEK, false), None, "{after}");
        }
        assert_eq!(progress.expired(now + DAY, WEEK, false), Some(now - WEEK), "the next one begins where it ended");
    }

    #[test]
    fn positions_of_earlier_releases_are_understood() {
        let expired = |json: String, after: u64| progress(&json).expired(NOW + after, WEEK, false);
        let polled = format!(r#""polled":{NOW}"#);
        let nothing = || format!("{{{polled}}}");
        assert_eq!((expired(nothing(), HOUR), expired(nothing(), 3 * DAY)), (None, Some(NOW - WEEK)));
        let read = || format!(r#"{{{polled},"mark":{}}}"#, NOW - 6 * DAY);
        assert_eq!((expired(read(), HOUR), expired(read(), 3 * DAY)), (None, Some(NOW - 6 * DAY - PUBLISHED_WITHIN)));
        let since = || format!(r#"{{{polled},"since":{}}}"#, NOW - 6 * DAY);
        assert_eq!((expired(since(), HOUR), expired(since(), 3 * DAY)), (None, Some(NOW - 6 * DAY)));
        let caught_up = || format!(r#"{{{polled},"mark":{},"caught_up":{NOW}}}"#, NOW - 30 * DAY);
        assert_eq!(
            (expired(caught_up(), 3 * DAY), expired(caught_up(), 8 * DAY)),
            (None, Some(NOW - PUBLISHED_WITHIN))
        );
        assert_eq!(expired("{}".into(), 8 * DAY), None, "nobody has answered yet");
    }

    #[test]
    fn a_lost_position_counts_for_no_more_than_it_surely_says() {
        let stream = Stream::SiemArchive;
        let unread = |fields: String| {
            let position = format!(r#"{{"v":1,"stream":"siem"{fields}}}"#);
            Progress::unread_of(position.as_bytes(), stream, NOW)
        };
        let (mark, end) = (NOW - 9 * DAY, NOW - 8 * DAY);
        assert_eq!(unread(format!(r#","mark":{mark}"#)), Some(mark - PUBLISHED_WITHIN));
        // The vendor said that there is no more, which may have been too early; or the event was one of the future.
        assert_eq!(unread(format!(r#","mark":{mark},"caught_up":{end}"#)), Some(mark - PUBLISHED_WITHIN));
        assert_eq!(unread(format!(r#","mark":{end},"caught_up":{mark}"#)), Some(mark - PUBLISHED_WITHIN));
        assert_eq!(unread(format!(r#","mark":{mark},"caught_up":{end},"begun":{end}"#)), Some(end));
        assert_eq!(unread(format!(r#","since":{mark}"#)), Some(mark));
        assert_eq!(unread(format!(r#","polled":{mark}"#)), Some(mark - WEEK));
        assert_eq!(unread(String::new()), None);
        assert_eq!(Progress::unread_of(b"{", stream, NOW), None);
    }

    #[test]
    fn a_beginning_of_the_future_hides_nothing() {
        let progress =
            Progress { begun: Some(NOW + 300 * DAY), caught_up: Some(NOW), polled: Some(NOW), ..Progress::default() };
        assert_eq!(progress.expired(NOW + 10 * DAY, WEEK, false), Some(NOW - PUBLISHED_WITHIN));
    }
}
