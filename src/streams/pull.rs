//! One pull in progress: its budget, its clock, and the chunk that it fills.

use crate::api::{Answer, Call, Left, error::Failure, exchange};
use crate::auth::Access;
use crate::chunk::{Budget, Chunk, Digest, Event, Gap, Malformed, Next, Pieces, Timestamp};
use crate::config::Config;
use crate::effects::Effects;
use crate::normalize::{Normalizer, Occurrences, Origin};
use crate::streams::read::RECORD_LIMIT;

/// The clock is read once in so many records: reading it costs as much as a tenth of a record.
const CLOCK_EVERY: u32 = 16;

/// Room made ahead for bodies, at most; for one body; and a body's least size, as a guess.
const BODIES_RESERVED: usize = 4 << 20;
const BODY_RESERVED: usize = 16 << 10;
const BODY_LEAST: usize = 1 << 10;

pub struct Pull<'a> {
    pub effects: &'a mut dyn Effects,
    pub config: &'a Config,
    pub access: &'a Access,
    pub chunk: Chunk,
    /// The wall clock at the start.
    pub now: Timestamp,
    /// The vendor's clock, as the last answer said.
    pub vendor_now: Option<Timestamp>,
    /// Records outside of this span are left out: `[since, until)`.
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// The newest event's time, but never in the future: a record with a wrong clock must not move the mark past others.
    pub newest: Option<Timestamp>,
    /// When the last record happened, delivered or not; none if it gave no event.
    pub last_time: Option<Timestamp>,
    /// Something was finished that a new reader would have to do again: worth a chunk of its own before a fault.
    pub moved: bool,
    normalizer: &'a mut Normalizer,
    budget: Budget,
    started_ms: u64,
    unchecked: u32,
    late: bool,
    malformed_bytes: usize,
    verbatim_done: bool,
    /// The vendor said that the quota is used up until then (monotonic clock).
    paused_until_ms: &'a mut u64,
}

impl<'a> Pull<'a> {
    pub fn new(
        effects: &'a mut dyn Effects,
        config: &'a Config,
        access: &'a Access,
        normalizer: &'a mut Normalizer,
        paused_until_ms: &'a mut u64,
        budget: Budget,
    ) -> Self {
        let now = effects.now();
        let started_ms = effects.monotonic_ms();
        // With a budget of nothing the host would be told "more" for ever.
        let budget = Budget {
            events: budget.events.max(1),
            bytes: budget.bytes.max(1),
            time_ms: budget.time_ms.max(1),
            ..budget
        };
        Self {
            effects,
            config,
            access,
            chunk: Chunk::default(),
            now,
            vendor_now: None,
            since: None,
            until: None,
            newest: None,
            last_time: None,
            moved: false,
            normalizer,
            budget,
            started_ms,
            unchecked: 0,
            late: false,
            malformed_bytes: 0,
            verbatim_done: false,
            paused_until_ms,
        }
    }

    /// Nothing more fits into this chunk.
    pub fn full(&mut self) -> bool {
        let count = self.chunk.events.len() + self.chunk.malformed.len();
        count >= self.budget.events as usize
            || self.chunk.bodies.len() + self.malformed_bytes >= self.budget.bytes as usize
            || self.verbatim_done
            || self.late
    }

    /// Counts a record against the clock.
    pub fn tick(&mut self) {
        self.unchecked += 1;
        if self.unchecked >= CLOCK_EVERY {
            self.check_clock();
        }
    }

    /// Reads the clock: between pieces of a body and between requests, which take long.
    pub fn check_clock(&mut self) {
        self.unchecked = 0;
        let elapsed = self.effects.monotonic_ms().saturating_sub(self.started_ms);
        self.late = self.late || elapsed >= u64::from(self.budget.time_ms);
    }

    /// Hands a record to the normalizer, and leaves its event out if it lies outside of the span. The event's id, even
    /// then; none if the record gave no event.
    pub fn record(&mut self, bytes: &[u8], origin: &Origin<'_>, occurrences: &mut Occurrences) -> Option<Digest> {
        self.tick();
        self.last_time = None;
        if self.budget.verbatim {
            self.verbatim_done = true;
            self.malformed("handed over unparsed: reading it failed again and again", bytes, Some(bytes.len() as u64));
            return None;
        }
        if bytes.len() > RECORD_LIMIT {
            self.malformed("a record of more than 1 MiB", bytes, Some(bytes.len() as u64));
            return None;
        }
        if self.chunk.bodies.capacity() == 0 {
            self.reserve();
        }
        // A body may be twice as long as its record. Left to itself, the room would double for the last one.
        let long = 2 * bytes.len();
        if self.chunk.bodies.capacity() - self.chunk.bodies.len() < long {
            self.chunk.bodies.reserve_exact(long);
        }
        let (events, malformed) = (self.chunk.events.len(), self.chunk.malformed.len());
        self.normalizer.push(bytes, origin, occurrences, &mut self.chunk);
        self.malformed_bytes += self.chunk.malformed[malformed..].iter().map(|m| m.head.len()).sum::<usize>();
        let Event { id, time, .. } = *self.chunk.events.get(events)?;
        self.last_time = Some(time);
        if time == 0 {
            // No time of its own: nothing says that it lies outside, and it says nothing about how far the stream is.
        } else if self.since.is_some_and(|since| time < since) || self.until.is_some_and(|until| time >= until) {
            self.chunk.events.truncate(events);
            self.chunk.bodies.truncate(self.chunk.events.last().map_or(0, |last| last.end as usize));
            self.chunk.records -= 1;
        } else {
            self.newest = self.newest.max(Some(time.min(self.now)));
        }
        Some(id)
    }

    /// Reads a record that is made of so many. If it counts, the others count as merged into it.
    pub fn joined<T>(&mut self, parts: u32, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.chunk.records;
        let result = read(self);
        if self.chunk.records > before {
            self.chunk.records += parts.saturating_sub(1);
            self.chunk.merged += parts.saturating_sub(1);
        }
        result
    }

    /// Room for all that the budget lets in and one record more, at once: what grows by doubling is copied again and
    /// again, and in wasm the memory that it leaves behind is never given back.
    fn reserve(&mut self) {
        let bytes = (self.budget.bytes as usize).min(BODIES_RESERVED) + BODY_RESERVED;
        let events = (self.budget.events as usize).min(bytes / BODY_LEAST);
        self.chunk.bodies.reserve_exact(bytes.min((self.budget.events as usize).saturating_mul(BODY_RESERVED)));
        self.chunk.events.reserve_exact(events);
    }

    /// The budget says to hand the next record over unparsed.
    pub fn verbatim(&self) -> bool {
        self.budget.verbatim
    }

    /// Runs a record through the normalizer for its id only: it was delivered before.
    pub fn replay(&mut self, bytes: &[u8], origin: &Origin<'_>, occurrences: &mut Occurrences) -> Option<Digest> {
        self.tick();
        self.last_time = None;
        if bytes.len() > RECORD_LIMIT {
            return None;
        }
        let mut aside = Chunk::default();
        self.normalizer.push(bytes, origin, occurrences, &mut aside);
        self.last_time = aside.events.last().map(|event| event.time);
        aside.events.last().map(|event| event.id)
    }

    /// A record, or a larger piece, that cannot be read.
    pub fn malformed(&mut self, reason: impl Into<String>, head: &[u8], size: Option<u64>) {
        let mut malformed = Malformed::new(reason, head);
        malformed.size = size;
        self.malformed_bytes += malformed.head.len();
        self.chunk.malformed.push(malformed);
        self.chunk.records += 1;
    }

    pub fn gap(
        &mut self,
        what: impl Into<String>,
        begin: Option<Timestamp>,
        end: Option<Timestamp>,
        reason: impl Into<String>,
    ) {
        self.chunk.gaps.push(Gap { what: what.into(), begin, end, reason: reason.into() });
    }

    /// The vendor has named files that were not known before.
    pub fn listed(&mut self, count: usize) {
        self.chunk.pieces.add(Pieces { listed: saturated(count), ..Pieces::default() });
    }

    /// Files that were listed are given up. The gap that says so is in this chunk.
    pub fn gone(&mut self, count: usize) {
        self.chunk.pieces.add(Pieces { gone: saturated(count), ..Pieces::default() });
    }

    /// A file that was listed is done.
    pub fn fetched(&mut self) {
        self.chunk.pieces.add(Pieces { fetched: 1, ..Pieces::default() });
    }

    /// A page is read to its end, or an archive's member: nothing has named it before.
    pub fn page_read(&mut self) {
        self.listed(1);
        self.fetched();
    }

    /// Whether another request of the API may be made; if not, what the chunk should say.
    pub fn may_request(&mut self) -> Result<(), Next> {
        let now = self.effects.monotonic_ms();
        if *self.paused_until_ms > now {
            let wait = (*self.paused_until_ms - now).min(u64::from(u32::MAX));
            return Err(Next::Pause(wait as u32));
        }
        self.check_clock();
        if self.chunk.requests >= self.budget.requests || self.full() { Err(Next::More) } else { Ok(()) }
    }

    /// Makes a request against the quota.
    pub fn call(&mut self, call: &Call<'_>) -> Result<Answer, Failure> {
        self.chunk.requests += 1;
        let mut left = Left::default();
        let result = exchange(self.effects, self.config, self.access, call, &mut left);
        self.chunk.quota_left = left.quota.or(self.chunk.quota_left);
        self.vendor_now = left.date.or(self.vendor_now);
        if let Some(pause) = left.pause_ms {
            *self.paused_until_ms = self.effects.monotonic_ms() + u64::from(pause);
        }
        result
    }

    /// Makes a request whose answer is JSON without an error in it.
    pub fn call_json(&mut self, call: &Call<'_>) -> Result<(Vec<u8>, String), Failure> {
        self.call_with(call, |pull, answer| {
            let at = answer.at.clone();
            Ok((answer.json(pull.config, call.endpoint, pull.effects)?, at))
        })
    }

    /// Makes a request, and reads what its answer is.
    ///
    /// `err_developer_key` is answered now and then though the application id is right, so once it is asked again.
    pub fn call_with<T>(
        &mut self,
        call: &Call<'_>,
        read: impl Fn(&mut Self, Answer) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match self.call(call).and_then(|answer| read(self, answer)) {
            Err(failure) if failure.has("err_developer_key") => self.call(call).and_then(|answer| read(self, answer)),
            result => result,
        }
    }
}

fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
