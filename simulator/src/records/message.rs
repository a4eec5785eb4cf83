//! Messages and the records that each leaves behind: what happened and when, not yet how it reads.
//!
//! A plan costs some nanoseconds, so counting what was published does not need the text of the records.

use super::Mark;
use crate::kind::Kind;
use crate::random::{Random, combine};
use crate::time::{HOUR, MINUTE, Millis, SECOND, weekday};

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Inbound,
    Outbound,
    Internal,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    Rejected,
    Spam,
    Virus,
    Sandboxed,
    UrlClick,
    Impersonation,
    InternalProtect,
}

/// Where in its record a mark stands. Each is a value that no normal form drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Subject,
    MessageId,
    Recipient,
    FileName,
    Url,
}

/// One record to be: everything that counting and placing it needs.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub kind: Kind,
    pub time_ms: Millis,
    pub mark: Mark,
    pub place: Place,
    /// From it the details of the message follow, the same for all its records.
    pub message: u64,
    /// When the message arrived.
    pub arrived_ms: Millis,
    pub direction: Direction,
    pub outcome: Outcome,
    /// Which recipient this record is about.
    pub recipient: u8,
    /// How many the message has.
    pub recipients: u8,
    /// Of delivery, from 1.
    pub attempt: u8,
    /// Delivery: whether it worked.
    pub succeeded: bool,
    /// The record is issued twice, the second right behind the first with the same bytes.
    pub repeated: bool,
}

impl Plan {
    /// Lines that it makes: one, or two for a repeated record.
    pub fn count(&self) -> u32 {
        1 + u32::from(self.repeated)
    }
}

/// Share of a working day's mail in each hour, in thousandths.
const HOURS: [u64; 24] = [8, 6, 5, 5, 6, 12, 24, 48, 82, 98, 96, 88, 64, 80, 92, 86, 72, 48, 24, 16, 13, 11, 9, 7];

/// When a tenant's people write and read mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Calendar {
    /// Most on a working day's forenoon, little at night, a fifth at the weekend.
    #[default]
    Working,
    /// At any time as much as at any other: for tests that run now, whatever the hour is.
    Even,
}

impl Calendar {
    /// The share of a working day that the hour of `time` has, in thousandths, and by what it is divided that day.
    fn weight(self, time: Millis) -> (u64, u64) {
        match self {
            Calendar::Working => (HOURS[(time / HOUR % 24) as usize], if weekday(time) >= 5 { 5 } else { 1 }),
            Calendar::Even => (1000 / 24, 1),
        }
    }
}

/// How many of so many a day fall into an hour since the epoch.
pub fn share(calendar: Calendar, per_day: u64, hour: u64, random: &mut Random) -> u64 {
    let (share, weekend) = calendar.weight(hour * HOUR);
    let wanted = per_day * share * random.between(80, 120);
    let unit = 1000 * 100 * weekend;
    wanted / unit + u64::from(random.below(unit) < wanted % unit)
}

/// Records that a message leaves on average, in tenths: follows from the odds in [`plan_message`], checked by a test.
const RECORDS_PER_TEN_MESSAGES: u64 = 37;

/// The messages of one tenant, as they arrive.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    pub seed: u64,
    pub calendar: Calendar,
    /// They are planned in pieces of this length.
    pub interval: Millis,
    pub events_per_day: u64,
}

impl Traffic {
    /// How many messages arrive in the interval that begins at `begin`.
    fn messages_in(&self, begin: Millis) -> u64 {
        let mut random = Random::new(combine(&[self.seed, 1, begin]));
        let (share, weekend) = self.calendar.weight(begin);
        let share = share * random.between(80, 120);
        let wanted = u128::from(self.events_per_day) * u128::from(share) * u128::from(self.interval) * 10;
        let unit = u128::from(HOUR * 1000 * 100 * RECORDS_PER_TEN_MESSAGES * weekend);
        let rest = (wanted % unit) as u64;
        (wanted / unit) as u64 + u64::from(random.below(unit as u64) < rest)
    }

    /// The records of the messages that arrive in the interval that begins at `begin`. Some are later than its end, but by
    /// less than one interval.
    pub fn plan(&self, begin: Millis, out: &mut Vec<Plan>) {
        for index in 0..self.messages_in(begin) {
            let message = combine(&[self.seed, 2, begin, index]);
            let arrived = begin + Random::new(message).below(self.interval);
            plan_message(message, arrived, self.interval, out);
        }
    }

    /// The Cloud Integrated records of the messages that arrive in the interval that begins at `begin`.
    pub fn plan_cloud(&self, begin: Millis, out: &mut Vec<Plan>) {
        let interval = self.interval;
        // Three records for a message, or two.
        let events_per_day = self.events_per_day * 37 / 24;
        let messages = Self { seed: combine(&[self.seed, 50]), events_per_day, ..*self };
        for index in 0..messages.messages_in(begin) {
            let message = combine(&[self.seed, 51, begin, index]);
            let arrived_ms = begin + Random::new(message).below(interval);
            let mut random = Random::new(combine(&[message, 52]));
            let direction = if random.chance(800) { Direction::Inbound } else { Direction::Internal };
            let outcome = match random.below(100) {
                0..8 => Outcome::Spam,
                8..12 => Outcome::Virus,
                12..18 => Outcome::UrlClick,
                _ => Outcome::Accepted,
            };
            let recipients = 1;
            let mut planner =
                Planner { message, arrived_ms, direction, outcome, recipients, interval, next: 0, random, out };
            let delay = planner.random.between(SECOND, 20 * SECOND);
            planner.add(Kind::CloudMailflow, 0, 0, 1, true);
            planner.add(Kind::CloudEntities, delay, 0, 1, true);
            if outcome == Outcome::UrlClick || planner.random.chance(200) {
                let delay = delay + planner.random.below(6 * MINUTE);
                planner.add(Kind::CloudUrlClick, delay, 0, 1, true);
            }
        }
    }
}

/// All records of one message.
fn plan_message(message: u64, arrived_ms: Millis, interval: Millis, out: &mut Vec<Plan>) {
    let mut random = Random::new(combine(&[message, 3]));
    let direction = match random.below(100) {
        0..60 => Direction::Inbound,
        60..85 => Direction::Outbound,
        _ => Direction::Internal,
    };
    let outcome = outcome(direction, &mut random);
    let recipients = match (random.below(100), outcome) {
        // A dictionary attack: refused rows of one second that differ only in the recipient.
        (0..30, Outcome::Rejected) => random.between(2, 4) as u8,
        (0..12, Outcome::Accepted) => 2,
        (12..20, Outcome::Accepted) => random.between(3, 5) as u8,
        _ => 1,
    };
    let mut planner = Planner { message, arrived_ms, direction, outcome, recipients, interval, next: 0, random, out };
    planner.records();
}

fn outcome(direction: Direction, random: &mut Random) -> Outcome {
    let inbound = direction == Direction::Inbound;
    match random.below(1000) {
        0..180 if inbound => Outcome::Rejected,
        180..260 if inbound => Outcome::Spam,
        260..285 if inbound => Outcome::Virus,
        285..330 if inbound => Outcome::Sandboxed,
        330..360 if inbound => Outcome::UrlClick,
        360..385 if inbound => Outcome::Impersonation,
        0..20 => Outcome::Rejected,
        20..60 if direction == Direction::Internal => Outcome::InternalProtect,
        _ => Outcome::Accepted,
    }
}

struct Planner<'a> {
    message: u64,
    arrived_ms: Millis,
    direction: Direction,
    outcome: Outcome,
    recipients: u8,
    interval: Millis,
    next: u64,
    random: Random,
    out: &'a mut Vec<Plan>,
}

impl Planner<'_> {
    fn records(&mut self) {
        for recipient in 0..self.recipients {
            self.add(Kind::Receipt, 0, recipient, 1, true);
        }
        if self.outcome == Outcome::Rejected {
            return;
        }
        let processed = self.random.between(SECOND, 4 * SECOND);
        self.add(Kind::Process, processed, 0, 1, true);
        let (detection, lag) = match self.outcome {
            Outcome::Accepted | Outcome::Rejected => (None, 0),
            Outcome::Spam => (Some(Kind::Spam), SECOND),
            Outcome::Virus => (Some(Kind::Av), SECOND),
            Outcome::Sandboxed => (Some(Kind::AttachmentProtect), 45 * SECOND),
            Outcome::UrlClick => (Some(Kind::UrlProtect), 8 * MINUTE),
            Outcome::Impersonation => (Some(Kind::ImpersonationProtect), 2 * SECOND),
            Outcome::InternalProtect => (Some(Kind::InternalEmailProtect), 3 * SECOND),
        };
        if let Some(kind) = detection {
            let delay = processed + self.random.below(lag + 1);
            self.add(kind, delay, 0, 1, true);
        }
        if matches!(self.outcome, Outcome::Spam | Outcome::Virus | Outcome::Impersonation) {
            return;
        }
        for recipient in 0..self.recipients {
            self.deliver(recipient, processed);
        }
        if self.direction != Direction::Inbound && self.random.chance(250) {
            self.add(Kind::Journal, processed, 0, 1, true);
        }
    }

    /// One attempt, or several when the first ones fail.
    fn deliver(&mut self, recipient: u8, processed: Millis) {
        let mut delay = processed + self.random.between(200, 5 * SECOND);
        let failures = if self.random.chance(50) { self.random.between(1, 3) as u8 } else { 0 };
        for attempt in 1..=failures {
            self.add(Kind::Delivery, delay, recipient, attempt, false);
            delay += self.random.between(MINUTE, 4 * MINUTE);
        }
        self.add(Kind::Delivery, delay, recipient, failures + 1, true);
    }

    fn add(&mut self, kind: Kind, delay: Millis, recipient: u8, attempt: u8, succeeded: bool) {
        let mark = Mark(combine(&[self.message, 4, self.next]));
        self.next += 1;
        let place = match kind {
            Kind::Journal => Place::Recipient,
            Kind::Receipt | Kind::Delivery if self.recipients > 1 || self.outcome == Outcome::Rejected => {
                Place::Recipient
            }
            Kind::Spam | Kind::CloudMailflow => Place::MessageId,
            Kind::Av | Kind::AttachmentProtect => Place::FileName,
            Kind::UrlProtect | Kind::CloudUrlClick => Place::Url,
            Kind::ImpersonationProtect | Kind::InternalEmailProtect => Place::Subject,
            _ if mark.0 % 5 < 2 => Place::MessageId,
            _ => Place::Subject,
        };
        self.out.push(Plan {
            kind,
            time_ms: self.arrived_ms + delay.min(self.interval - 1),
            mark,
            place,
            message: self.message,
            arrived_ms: self.arrived_ms,
            direction: self.direction,
            outcome: self.outcome,
            recipient,
            recipients: self.recipients,
            attempt,
            succeeded,
            repeated: mark.0.is_multiple_of(331),
        });
    }
}

/// A record of a kind of its own, for rows that a test inserts.
pub fn single(seed: u64, kind: Kind, time_ms: Millis) -> Plan {
    let (direction, outcome) = match kind {
        Kind::Spam => (Direction::Inbound, Outcome::Spam),
        Kind::Av => (Direction::Inbound, Outcome::Virus),
        Kind::AttachmentProtect => (Direction::Inbound, Outcome::Sandboxed),
        Kind::UrlProtect => (Direction::Inbound, Outcome::UrlClick),
        Kind::ImpersonationProtect => (Direction::Inbound, Outcome::Impersonation),
        Kind::InternalEmailProtect => (Direction::Internal, Outcome::InternalProtect),
        Kind::Journal => (Direction::Internal, Outcome::Accepted),
        _ => (Direction::Inbound, Outcome::Accepted),
    };
    let mut out = Vec::new();
    let mut planner = Planner {
        message: seed,
        arrived_ms: time_ms,
        direction,
        outcome,
        recipients: 1,
        interval: HOUR,
        next: 0,
        random: Random::new(seed),
        out: &mut out,
    };
    planner.add(kind, 0, 0, 1, true);
    Plan { repeated: false, ..out[0] }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::time::DAY;

    const TRAFFIC: Traffic =
        Traffic { seed: 9, calendar: Calendar::Working, interval: 15 * MINUTE, events_per_day: 40_000 };

    #[test]
    fn the_rate_is_the_rate_asked_for_and_every_kind_occurs() {
        let monday = 1_748_822_400_000;
        assert_eq!(weekday(monday), 0);
        let mut plans = Vec::new();
        for slot in 0..96 {
            TRAFFIC.plan(monday + slot * 15 * MINUTE, &mut plans);
        }
        assert!((36_000..44_000).contains(&plans.len()), "{}", plans.len());
        let kinds: BTreeSet<Kind> = plans.iter().map(|plan| plan.kind).collect();
        assert_eq!(kinds.len(), Kind::SIEM.len());
        let marks: BTreeSet<Mark> = plans.iter().map(|plan| plan.mark).collect();
        assert_eq!(marks.len(), plans.len());
        assert!(plans.iter().any(|plan| plan.repeated));
        assert!(plans.iter().any(|plan| plan.attempt > 1));
        assert!(plans.iter().all(|plan| plan.time_ms < plan.arrived_ms + 15 * MINUTE));

        let sunday: u64 = (0..96).map(|slot| TRAFFIC.messages_in(monday - DAY + slot * 15 * MINUTE)).sum();
        let working: u64 = (0..96).map(|slot| TRAFFIC.messages_in(monday + slot * 15 * MINUTE)).sum();
        assert!(sunday * 4 < working, "{sunday} {working}");
    }
}
