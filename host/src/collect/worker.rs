//! The worker of one stream: it reads, hands on what it read, and comes back.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::care::Care;
use super::judge::{Judge, Verdict};
use super::quota::{Grant, Quota};
use super::schedule::Schedule;
use super::session::{Issued, Sessions, Trouble};
use super::source::{Reader, Source};
use super::status::{Entry, StreamState};
use crate::backoff::Backoff;
use crate::config::OnPositionLost;
use crate::deliver::{Batch, EventId, Flight, Head, Ids, Memory, Origin, Parcel, Room, Route, Storage, blocking};
use crate::outside::{Clock, Random};
use crate::sandbox::{Budget, Chunk, FaultClass, GuestError, LogStream, Next, Start};
use crate::state::{Commit, Counts, DeadLetter, StreamKey};

/// A worker that cannot go on for this long gives its instance back.
const INSTANCE_PATIENCE: Duration = Duration::from_secs(5);

/// The least time between two pulls that bring nothing: a source that answers at once with nothing does not spin.
const IDLE_PULL: Duration = Duration::from_millis(100);

/// What all streams of one source share.
pub struct Account {
    pub id: Arc<str>,
    pub tenant: Arc<str>,
    pub source: Arc<dyn Source>,
    pub sessions: Sessions,
    /// By name.
    pub quotas: BTreeMap<String, Arc<Quota>>,
    pub retry_for: Duration,
    pub on_position_lost: OnPositionLost,
}

/// What all workers of the host share.
#[derive(Clone)]
pub struct Surroundings {
    pub clock: Clock,
    pub random: Random,
    pub storage: Arc<dyn Storage>,
    /// Turns true once.
    pub stop: watch::Receiver<bool>,
}

/// Reads one stream until it is told to stop.
pub struct Worker {
    account: Arc<Account>,
    around: Surroundings,
    stream: LogStream,
    origin: Origin,
    key: StreamKey,
    schedule: Schedule,
    quota: Option<Arc<Quota>>,
    memory: Memory,
    route: Route,
    entry: Entry,
    ids: Ids,
    /// Behind the last chunk that was pulled; what is stored may lie before it.
    position: Option<Vec<u8>>,
    /// How to go on after the vendor has lost the position.
    lost: Option<OnPositionLost>,
    care: Care,
    judge: Judge,
}

/// How a poll ended.
enum Outcome {
    /// At the end of what the vendor has.
    CaughtUp,
    /// In the middle; go on after this time.
    Again(Duration),
    /// For good, or until the operator changes something.
    Stopped,
    /// The host stops.
    Stopping,
}

/// Room and requests for one pull.
struct Allowance {
    room: Room,
    grant: Grant,
}

impl Worker {
    #[allow(clippy::too_many_arguments)] // Each is another part of the host, and they come together only here.
    pub fn new(
        account: Arc<Account>,
        around: Surroundings,
        stream: LogStream,
        schedule: Schedule,
        memory: Memory,
        route: Route,
        entry: Entry,
    ) -> Self {
        let name: Arc<str> = stream.name.as_str().into();
        let origin = Origin { source: Arc::clone(&account.id), tenant: Arc::clone(&account.tenant), stream: name };
        let key = StreamKey::new(&*account.id, &*stream.name);
        let quota = stream.quota.as_ref().and_then(|name| account.quotas.get(name)).cloned();
        let (ids, care, judge) = (Ids::default(), Care::default(), Judge::default());
        let (position, lost) = (None, None);
        Self {
            account,
            around,
            stream,
            origin,
            key,
            schedule,
            quota,
            memory,
            route,
            entry,
            ids,
            position,
            lost,
            care,
            judge,
        }
    }

    /// Reads until the host stops. Dropped at any moment, it loses nothing.
    pub async fn run(mut self) {
        self.entry.enter(StreamState::Started);
        let mut stop = self.around.stop.clone();
        let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
        tokio::pin!(stopped);
        tokio::select! {
            biased;
            () = &mut stopped => return,
            () = self.restore() => {}
        }
        self.entry.enter(StreamState::Initialized);
        let mut next = self.schedule.first();
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => break,
                () = sleep_until(next) => {}
            }
            let started = Instant::now();
            self.entry.update(|status| status.polls += 1);
            next = match self.poll().await {
                Outcome::CaughtUp => self.schedule.after(started, Instant::now()),
                Outcome::Again(wait) => Instant::now() + wait,
                Outcome::Stopping => break,
                Outcome::Stopped => {
                    stopped.await;
                    return;
                }
            };
        }
        self.entry.enter(StreamState::Stopping);
    }

    /// Takes up the stored position.
    async fn restore(&mut self) {
        let key = self.key.clone();
        let state = self.stored("the stored position cannot be read", move |storage| storage.stream(&key)).await;
        self.position = state.position;
    }

    /// Reads from the state, as often as it takes.
    async fn stored<T, E>(&self, what: &str, read: impl Fn(&dyn Storage) -> Result<T, E> + Clone + Send + 'static) -> T
    where
        T: Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        let mut backoff = Backoff::default();
        loop {
            let read = read.clone();
            match blocking(&self.around.storage, move |storage| read(storage)).await {
                Ok(value) => return value,
                Err(error) => {
                    let retry_in = backoff.next(&self.around.random);
                    tracing::error!(source = %self.key.source, stream = %self.key.stream, ?retry_in, "{what}: {error}");
                    tokio::time::sleep(retry_in).await;
                }
            }
        }
    }

    /// Reads until the source is caught up.
    async fn poll(&mut self) -> Outcome {
        let mut session = match self.account.sessions.get().await {
            Ok(session) => session,
            Err(trouble) => return self.no_session(&trouble),
        };
        if !matches!(self.entry.state(), StreamState::Collecting) {
            self.entry.enter(StreamState::Authenticated);
        }
        let mut allowance: Option<Allowance> = None;
        loop {
            // The first pull lists; later ones may read on in what was listed, which costs no request.
            let mut thirsty = true;
            let account = Arc::clone(&self.account);
            let mut reader = match account.source.open(&self.stream.name, self.start()).await {
                Ok(reader) => reader,
                Err(error) => return self.failed(&error),
            };
            loop {
                if *self.around.stop.borrow() {
                    return Outcome::Stopping;
                }
                let allowed = match allowance.take() {
                    Some(allowed) => allowed,
                    None => match timeout(INSTANCE_PATIENCE, self.allowance(thirsty)).await {
                        Ok(Some(allowed)) => allowed,
                        Ok(None) => return Outcome::Stopping,
                        Err(_) => {
                            drop(reader);
                            allowance = self.allowance(true).await;
                            if allowance.is_none() {
                                return Outcome::Stopping;
                            }
                            break;
                        }
                    },
                };
                let begun = Instant::now();
                let Allowance { room, mut grant } = allowed;
                grant.begin();
                let answer = self.pull(&mut *reader, &mut session, &grant).await;
                let chunk = match answer {
                    Ok(chunk) => chunk,
                    Err(Refusal::Guest(error)) => return self.failed(&error),
                    Err(Refusal::Session(trouble)) => return self.no_session(&trouble),
                };
                let spent = chunk.requests >= grant.requests();
                grant.settle(chunk.requests, chunk.quota_left);
                let (next, idle) = (chunk.next, chunk.records == 0 && !self.moves(&chunk.position));
                self.accept(chunk, room).await;
                match next {
                    Next::CaughtUp => return Outcome::CaughtUp,
                    Next::Pause(pause) => return Outcome::Again(Duration::from_millis(pause.into())),
                    // It may have stopped for want of a request.
                    Next::More if idle && spent && self.quota.is_some() && !thirsty => thirsty = true,
                    Next::More if idle => tokio::time::sleep_until(begun + IDLE_PULL).await,
                    Next::More => thirsty = false,
                }
            }
        }
    }

    fn start(&self) -> Start {
        match (&self.position, self.lost) {
            (position, Some(OnPositionLost::Oldest)) => Start::Oldest(position.clone()),
            (position, Some(OnPositionLost::Now)) => Start::Now(position.clone()),
            (None, _) => Start::Configured,
            (Some(position), _) => Start::After(position.clone()),
        }
    }

    /// Waits for room, and for requests if the next pull needs one; `None` when the host stops.
    async fn allowance(&self, thirsty: bool) -> Option<Allowance> {
        let mut stop = self.around.stop.clone();
        let wait = async {
            // Room comes last: a quota may mean minutes, in which others have a use for it.
            let grant = match &self.quota {
                Some(quota) if thirsty => quota.take().await,
                Some(quota) => quota.take_now(),
                None => Grant::unlimited(),
            };
            let room = self.memory.reserve(Budget::default().bytes).await?;
            Some(Allowance { room, grant })
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => None,
            allowance = wait => allowance,
        }
    }

    /// One pull; with a fresh session, if the vendor no longer takes this one.
    async fn pull(
        &mut self,
        reader: &mut dyn Reader,
        session: &mut Arc<Issued>,
        grant: &Grant,
    ) -> Result<Chunk, Refusal> {
        let budget = Budget { requests: grant.requests(), ..self.care.budget() };
        let answer = reader.pull(&session.session, budget).await;
        let Err(GuestError::Fault(fault)) = &answer else { return answer.map_err(Refusal::Guest) };
        if fault.class != FaultClass::SessionExpired {
            return answer.map_err(Refusal::Guest);
        }
        tracing::debug!(source = %self.key.source, stream = %self.key.stream, "the session is no longer good: {fault}");
        *session = self.account.sessions.renew(session).await.map_err(Refusal::Session)?;
        let answer = reader.pull(&session.session, budget).await;
        if let Err(GuestError::Fault(fault)) = &answer
            && fault.class == FaultClass::SessionExpired
        {
            self.account.sessions.forget(session).await;
        }
        answer.map_err(Refusal::Guest)
    }

    fn moves(&self, position: &[u8]) -> bool {
        self.position.as_deref() != Some(position)
    }

    /// Hands a chunk on, without what was seen before.
    async fn accept(&mut self, chunk: Chunk, mut room: Room) {
        let moved = self.moves(&chunk.position);
        self.judge.succeeded();
        self.care.succeeded(moved);
        self.lost = None;
        self.entry.enter(StreamState::Collecting);
        let caught_up = chunk.next == Next::CaughtUp;
        let newest = chunk.events.iter().map(|event| event.time).max();
        let at_ms = self.around.clock.millis();
        for gap in &chunk.gaps {
            tracing::warn!(source = %self.key.source, stream = %self.key.stream, begin = gap.begin, end = gap.end, "gap: {}: {}", gap.what, gap.reason);
        }
        let counts = Counts {
            records: chunk.records.into(),
            events: chunk.events.len() as u64,
            malformed: chunk.malformed.len() as u64,
            merged: chunk.merged.into(),
            gaps: chunk.gaps.len() as u64,
            ..Counts::default()
        };
        if !moved && counts == Counts::default() {
            self.entry.update(|status| status.progress(&counts, newest, caught_up));
            return;
        }
        let heads = chunk.events.len() * size_of::<Head>();
        let malformed: usize = chunk.malformed.iter().map(|malformed| malformed.head.len()).sum();
        room.shrink_to(chunk.bodies.len() + heads + malformed + chunk.position.len());
        let (events, flight) = self.unseen(chunk.events).await;
        let accepted = events.len() as u64;
        let counts = Counts { repeated: counts.events - accepted, accepted, ..counts };
        let dead_letters = chunk
            .malformed
            .into_iter()
            .map(|malformed| DeadLetter {
                at_ms,
                source: self.key.source.clone(),
                stream: self.key.stream.clone(),
                reason: malformed.reason,
                size: malformed.size,
                head: malformed.head,
            })
            .collect();
        let seen_for = Duration::from_millis(self.stream.repeats_within_ms);
        let commit = Commit {
            key: self.key.clone(),
            position: moved.then(|| chunk.position.clone()),
            counts: counts.clone(),
            seen: if seen_for.is_zero() { Vec::new() } else { events.iter().map(|event| event.id).collect() },
            seen_for,
            at_ms,
        };
        self.position = Some(chunk.position);
        self.entry.update(|status| {
            status.in_flight += 1;
            status.progress(&counts, newest, caught_up);
        });
        let entry = self.entry.clone();
        let stored = Box::new(move |counts: &Counts| {
            entry.update(|status| {
                status.stored.add(counts);
                status.in_flight = status.in_flight.saturating_sub(1);
            });
        });
        let batch = Batch { origin: self.origin.clone(), bodies: chunk.bodies, events };
        self.route.send(Parcel { commit, dead_letters, room, flight, stored }, batch);
    }

    /// The events that were not seen before: not in this chunk, not on their way, not stored.
    async fn unseen(&self, mut events: Vec<Head>) -> (Vec<Head>, Flight) {
        let mut chunk = HashSet::with_capacity(events.len());
        events.retain(|event| chunk.insert(event.id));
        if self.stream.repeats_within_ms == 0 || events.is_empty() {
            return (events, self.ids.depart(Vec::new()));
        }
        // What is on its way is asked first: an id that is stored meanwhile is found by the second question.
        events.retain(|event| !self.ids.contains(event.id));
        let ids: Arc<[EventId]> = events.iter().map(|event| event.id).collect();
        let key = self.key.clone();
        let known = self.stored("the seen ids cannot be read", move |storage| storage.known(&key, &ids)).await;
        let mut known = known.into_iter();
        events.retain(|_| !known.next().unwrap_or(false));
        let flight = self.ids.depart(events.iter().map(|event| event.id).collect());
        (events, flight)
    }

    /// What to do about a source that gave an error.
    fn failed(&mut self, error: &GuestError) -> Outcome {
        let broke_down = !matches!(error, GuestError::Fault(_));
        if broke_down {
            self.care.broke_down();
        }
        let account = Arc::clone(&self.account);
        let random = self.around.random.clone();
        let (verdict, state) = self.judge.judge(error, account.retry_for, self.schedule.interval(), &random);
        let outcome = match verdict {
            Verdict::Stop => Outcome::Stopped,
            Verdict::Pause(pause) => {
                if let Some(quota) = &self.quota {
                    quota.pause(pause);
                }
                Outcome::Again(pause)
            }
            Verdict::PositionLost => self.position_lost(&random),
            // A step of the search is no failure to wait for, but a broken source must not spin either.
            Verdict::Retry(_) if broke_down && self.care.is_searching() => Outcome::Again(IDLE_PULL),
            Verdict::Retry(wait) => Outcome::Again(wait),
        };
        self.report(error, state, &outcome);
        outcome
    }

    fn position_lost(&mut self, random: &Random) -> Outcome {
        match self.account.on_position_lost {
            OnPositionLost::Stop => Outcome::Stopped,
            policy => {
                // Lost again at once: the policy's own start does not help either.
                let again = self.lost.replace(policy).is_some();
                Outcome::Again(if again { random.up_to(Backoff::LIMIT) } else { Duration::ZERO })
            }
        }
    }

    fn no_session(&mut self, trouble: &Trouble) -> Outcome {
        let interval = self.schedule.interval();
        let random = self.around.random.clone();
        let (verdict, state) = self.judge.judge(&trouble.error, self.account.retry_for, interval, &random);
        let outcome = match verdict {
            Verdict::Stop => Outcome::Stopped,
            // All streams of the source wait for the same moment, and one of them makes the call.
            _ => Outcome::Again(trouble.retry_at.saturating_duration_since(Instant::now())),
        };
        self.report(&trouble.error, state, &outcome);
        outcome
    }

    fn report(&self, error: &GuestError, state: Option<StreamState>, outcome: &Outcome) {
        let text = error.to_string();
        let throttled = matches!(error, GuestError::Fault(fault) if matches!(fault.class, FaultClass::Throttled(_)));
        match outcome {
            Outcome::Again(retry_in) if throttled => {
                tracing::info!(source = %self.key.source, stream = %self.key.stream, ?retry_in, "{text}")
            }
            Outcome::Again(retry_in) => {
                tracing::warn!(source = %self.key.source, stream = %self.key.stream, ?retry_in, "{text}")
            }
            _ => tracing::error!(source = %self.key.source, stream = %self.key.stream, "{text}"),
        }
        self.entry.update(|status| {
            status.faults += 1;
            status.fault = Some(text);
            status.caught_up = false;
        });
        let state = if matches!(outcome, Outcome::Stopped) { Some(StreamState::Stopped) } else { state };
        if let Some(state) = state {
            self.entry.enter(state);
        }
    }
}

/// Why a pull gave no chunk.
enum Refusal {
    Guest(GuestError),
    Session(Trouble),
}
