//! The worker of one stream: it reads, hands on what it read, and comes back.

mod accept;
mod replay;
mod standstill;
mod trouble;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

pub use self::replay::{Ended, Gaps, Mark, Replay, Span};
use self::standstill::Standstill;
use super::account::Account;
use super::care::Care;
use super::judge::Judge;
use super::quota::{Grant, Quota};
use super::reach::Reach;
use super::schedule::Schedule;
use super::session::{Issued, Trouble};
use super::source::{Reader, Source as _};
use super::status::{Entry, StreamState};
use crate::backoff::Backoff;
use crate::config::OnPositionLost;
use crate::deliver::{Memory, Origin, Room, Route, Storage, blocking};
use crate::fair::Fair;
use crate::observe::{Cause, HostCode, Place, Repeats};
use crate::outside::{Clock, Random};
use crate::sandbox::{Budget, Chunk, FaultClass, GuestError, LogStream, Next, Start};
use crate::state::StreamKey;

/// A worker that cannot go on for this long gives its instance back.
const INSTANCE_PATIENCE: Duration = Duration::from_secs(5);

/// The state may be damaged, or its disk away.
const UNREADABLE: &str = "Check the disk under data_dir. If it is well, stop tributary and run `tributary state check`";

/// How often the log has one line of a fault that several streams of a source have.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// How often the log has the line of a stream in error when others have the same trouble.
const STATE_SAID_EVERY: Duration = Duration::from_secs(600);

/// The least time between two pulls that bring nothing: a source that answers at once with nothing does not spin.
const IDLE_PULL: Duration = Duration::from_millis(100);

/// What all workers of the host share.
#[derive(Clone)]
pub struct Surroundings {
    pub clock: Clock,
    pub random: Random,
    pub storage: Arc<dyn Storage>,
    /// Who may have an instance, by tenant.
    pub turns: Fair,
    /// Turns true once.
    pub stop: watch::Receiver<bool>,
    /// What was logged a moment ago: many streams have the same trouble at the same time.
    pub repeats: Arc<Repeats>,
}

/// Reads one stream until it is told to stop.
pub struct Worker {
    account: Arc<Account>,
    around: Surroundings,
    stream: Arc<LogStream>,
    origin: Origin,
    key: StreamKey,
    schedule: Schedule,
    quota: Option<Arc<Quota>>,
    memory: Memory,
    route: Route,
    entry: Entry,
    reach: Reach,
    /// How to go on after the vendor has lost the position.
    lost: Option<OnPositionLost>,
    care: Care,
    judge: Judge,
    /// Tells when the streams of the source begin anew.
    restarts: watch::Receiver<u64>,
    /// Set if it reads a span again.
    replay: Option<Box<Replay>>,
    standstill: Standstill,
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
        stream: Arc<LogStream>,
        schedule: Schedule,
        memory: Memory,
        route: Route,
        entry: Entry,
        reach: Reach,
    ) -> Self {
        let name: Arc<str> = stream.name.as_str().into();
        let origin = Origin { source: Arc::clone(&account.id), tenant: Arc::clone(&account.tenant), stream: name };
        let key = StreamKey::new(&*account.id, &*stream.name);
        let quota = stream.quota.as_ref().and_then(|name| account.quotas.get(name)).cloned();
        let (care, judge, restarts) = (Care::default(), Judge::default(), account.restarts());
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
            reach,
            lost: None,
            care,
            judge,
            restarts,
            replay: None,
            standstill: Standstill::default(),
        }
    }

    /// Reads until the host stops. Dropped at any moment, it loses nothing, and another can go on from its reach.
    pub async fn run(&mut self) {
        self.entry.enter(StreamState::Started);
        let mut stop = self.around.stop.clone();
        let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
        tokio::pin!(stopped);
        let mut next = Some(self.schedule.first());
        let mut restored = false;
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => break,
                // The account holds the sender, so this cannot fail.
                _ = self.restarts.changed() => self.begin_anew(),
                () = at(next) => {}
            }
            // Not before its first turn: ten thousand sources that begin do not all read what is stored at once.
            if !std::mem::replace(&mut restored, true) {
                tokio::select! {
                    biased;
                    () = &mut stopped => break,
                    () = Box::pin(self.restore()) => {}
                }
                self.entry.enter(StreamState::Initialized);
            }
            let started = Instant::now();
            let now_ms = self.around.clock.millis();
            self.entry.update(|status| {
                status.polls += 1;
                status.interval = self.schedule.interval();
                status.polled_ms = Some(now_ms);
                status.next = None;
            });
            // On the heap, and only while it lasts: a stream that waits for its next poll takes a tenth of the memory.
            next = match Box::pin(self.poll()).await {
                Outcome::CaughtUp => Some(self.schedule.after(started, Instant::now())),
                Outcome::Again(wait) => Some(Instant::now() + wait),
                Outcome::Stopping => break,
                Outcome::Stopped => None,
            };
            let wait = next.map(|next| next.saturating_duration_since(Instant::now()));
            self.entry.is_due(wait.map(|wait| self.around.clock.nanos() + wait.as_nanos() as u64));
        }
        self.entry.enter(StreamState::Stopping);
    }

    /// Forgets the trouble that it had. It goes on behind the last chunk pulled, so nothing is lost or read again.
    fn begin_anew(&mut self) {
        self.judge = Judge::default();
        self.lost = None;
        if matches!(self.entry.state(), StreamState::Error | StreamState::NotLicensed | StreamState::Stopped) {
            self.entry.enter(StreamState::Started);
        }
    }

    /// Takes up the stored position.
    async fn restore(&mut self) {
        self.restore_alerts().await;
        let key = self.key.clone();
        let state = self.stored("the stored position cannot be read", move |storage| storage.stream(&key)).await;
        if self.reach.is_known() {
            // It takes another's place, and what that one read is on its way.
            self.route.take_over(state.partly);
        } else {
            self.reach.set(state.position);
            self.route.restore(state.partly);
        }
    }

    /// Takes up which alerts an earlier run has seen.
    async fn restore_alerts(&self) {
        let Some(alerts) = self.route.alerts().cloned() else { return };
        let Some(since_ms) = alerts.wants(self.around.clock.millis()) else { return };
        let source = self.key.source.clone();
        let what = "the alerts that were seen cannot be read";
        alerts.load(self.stored(what, move |storage| storage.alerts(&source, since_ms)).await);
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
                Ok(value) => {
                    self.entry.health().clear(&self.account.id, &self.stored_place());
                    return value;
                }
                Err(error) => {
                    let retry_in = backoff.next(&self.around.random);
                    let cause = Cause::host(HostCode::StateRead, format!("{what}: {error}"), UNREADABLE);
                    self.entry.health().trouble(&self.account.id, &self.stored_place(), &cause, Some(retry_in));
                    if let Some(more) = self.around.repeats.admit(&format!("{what}: {error}")) {
                        let (StreamKey { source, stream }, suppressed) = (&self.key, said(more));
                        tracing::error!(%source, %stream, ?retry_in, suppressed, "{what}: {error}. {UNREADABLE}");
                    }
                    tokio::time::sleep(retry_in).await;
                }
            }
        }
    }

    fn stored_place(&self) -> Place {
        Place::Stored(Arc::clone(&self.origin.stream))
    }

    /// Reads until the source is caught up.
    async fn poll(&mut self) -> Outcome {
        let Some(mut turn) = self.turn().await else { return Outcome::Stopping };
        let session = self.account.sessions.get().await;
        turn.called(false);
        if let Err(trouble) = session {
            return self.no_session(&trouble);
        }
        // What was in trouble stays so until it is read.
        if matches!(self.entry.state(), StreamState::Started | StreamState::Initialized) {
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
                            drop((reader, turn));
                            allowance = self.patient_allowance().await;
                            turn = match self.turn().await {
                                Some(turn) if allowance.is_some() => turn,
                                _ => return Outcome::Stopping,
                            };
                            break;
                        }
                    },
                };
                // What is open has the configuration of before.
                if self.restarts.has_changed().unwrap_or(false) {
                    return Outcome::Again(Duration::ZERO);
                }
                // A wait for a quota may have been longer than a session lives.
                let mut session = match self.account.sessions.get().await {
                    Ok(session) => session,
                    Err(trouble) => return self.no_session(&trouble),
                };
                let begun = Instant::now();
                let Allowance { room, mut grant } = allowed;
                grant.begin();
                turn.begin();
                let answer = self.pull(&mut *reader, &mut session, &grant).await;
                turn.called(true);
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
                    // It goes to the end of the queue.
                    Next::More if turn.is_over() => return Outcome::Again(Duration::ZERO),
                    // It may have stopped for want of a request.
                    Next::More if idle && spent && self.quota.is_some() && !thirsty => thirsty = true,
                    Next::More if idle => tokio::time::sleep_until(begun + IDLE_PULL).await,
                    Next::More => thirsty = false,
                }
            }
        }
    }

    fn start(&self) -> Start {
        let position = self.reach.position();
        if let Some(replay) = &self.replay {
            return replay.start(position);
        }
        match (position, self.lost) {
            (position, Some(OnPositionLost::Oldest)) => Start::Oldest(position),
            (position, Some(OnPositionLost::Now)) => Start::Now(position),
            (None, _) => Start::Configured,
            (Some(position), _) => Start::After(position),
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
            let mut reserving = std::pin::pin!(self.memory.reserve(Budget::default().bytes));
            let room = tokio::select! {
                biased;
                room = &mut reserving => room?,
                () = std::future::ready(()) => {
                    self.route.flush();
                    reserving.await?
                }
            };
            Some(Allowance { room, grant })
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => None,
            allowance = wait => allowance,
        }
    }

    /// One pull; with a newer session if the vendor no longer takes this one, until one that was issued since is refused
    /// too.
    async fn pull(
        &mut self,
        reader: &mut dyn Reader,
        session: &mut Arc<Issued>,
        grant: &Grant,
    ) -> Result<Chunk, Refusal> {
        let budget = Budget { requests: grant.requests(), ..self.care.budget() };
        let (first, begun) = (Arc::clone(session), Instant::now());
        loop {
            let fault = match reader.pull(&session.session, budget).await {
                Err(GuestError::Fault(fault)) if fault.class == FaultClass::SessionExpired => fault,
                answer => return answer.map_err(Refusal::Guest),
            };
            if !Arc::ptr_eq(session, &first) && session.is_since(begun) {
                self.account.sessions.forget(session).await;
                return Err(Refusal::Guest(fault.into()));
            }
            tracing::debug!(source = %self.key.source, stream = %self.key.stream, "the session is no longer good: {fault}");
            *session = self.account.sessions.renew(session).await.map_err(Refusal::Session)?;
        }
    }

    fn moves(&self, position: &[u8]) -> bool {
        !self.reach.is_at(position)
    }
}

/// How many lines were left out before one, if any were.
fn said(suppressed: u64) -> Option<u64> {
    (suppressed > 0).then_some(suppressed)
}

/// Waits until `moment`; for ever, if there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Why a pull gave no chunk.
enum Refusal {
    Guest(GuestError),
    Session(Trouble),
}
