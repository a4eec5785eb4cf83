//! One session for all streams of a source, renewed ahead of time and by one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;
use tracing::Level;

use super::judge::THROTTLED_FOR;
use super::source::Source;
use crate::backoff::Backoff;
use crate::observe::{Cause, Health, Place};
use crate::outside::{Clock, Random};
use crate::sandbox::{FaultClass, GuestError, Session};

/// How long refused credentials are left alone: an operator may have mended them at the vendor.
pub const REFUSED_FOR: Duration = Duration::from_secs(3600);

/// A session is renewed this long before it expires, or after nine tenths of its life, whichever is later.
const AHEAD: Duration = Duration::from_secs(60);

/// The sessions of one source.
pub struct Sessions {
    source: Arc<dyn Source>,
    clock: Clock,
    random: Random,
    /// Where trouble is told, and whose it is.
    health: Option<(Health, Arc<str>)>,
    /// Held during the call, so that all streams wait for the same one.
    state: Mutex<State>,
    /// Raised when everything is to be forgotten, also what a call that is under way will bring.
    generation: AtomicU64,
    counts: [AtomicU64; 2],
    /// Since when every try has failed, in milliseconds since the Unix epoch; zero after one that did not.
    failing_since_ms: AtomicU64,
}

#[derive(Default)]
struct State {
    newest: Option<Arc<Issued>>,
    issued: u64,
    backoff: Backoff,
    throttled_since: Option<Instant>,
    trouble: Option<Trouble>,
    generation: u64,
}

/// A session, and which one it is.
#[derive(Debug)]
pub struct Issued {
    pub session: Session,
    number: u64,
    renew_at: Option<u64>,
    /// When it was asked for.
    asked_at: Instant,
}

impl Issued {
    /// Whether it need not be renewed at `now`, in nanoseconds.
    fn is_fresh(&self, now: u64) -> bool {
        self.renew_at.is_none_or(|at| now < at)
    }

    /// Whether the vendor was asked for it at `moment` or later.
    pub fn is_since(&self, moment: Instant) -> bool {
        self.asked_at >= moment
    }
}

/// Why there is no session.
#[derive(Debug, Clone)]
pub struct Trouble {
    pub error: GuestError,
    /// When the next try is due; asking before gives the same answer without a call.
    pub retry_at: Instant,
}

impl Sessions {
    pub fn new(source: Arc<dyn Source>, clock: Clock, random: Random) -> Self {
        Self {
            source,
            clock,
            random,
            health: None,
            state: Mutex::default(),
            generation: AtomicU64::new(0),
            counts: Default::default(),
            failing_since_ms: AtomicU64::new(0),
        }
    }

    /// With trouble told as that of `id`.
    pub fn told_to(self, health: Health, id: Arc<str>) -> Self {
        Self { health: Some((health, id)), ..self }
    }

    /// The newest session, renewed if it is about to expire.
    ///
    /// # Errors
    /// What the last try gave, until the next one is due.
    pub async fn get(&self) -> Result<Arc<Issued>, Trouble> {
        let mut state = self.lock().await;
        let now = self.clock.nanos();
        match &state.newest {
            Some(newest) if newest.is_fresh(now) => Ok(Arc::clone(newest)),
            _ => self.authenticate(&mut state).await,
        }
    }

    /// A newer session than `refused`, which the vendor no longer takes.
    ///
    /// # Errors
    /// As [`Sessions::get`].
    pub async fn renew(&self, refused: &Issued) -> Result<Arc<Issued>, Trouble> {
        let mut state = self.lock().await;
        let now = self.clock.nanos();
        match &state.newest {
            // Another stream may have renewed it, but perhaps long ago.
            Some(newest) if newest.number > refused.number && newest.is_fresh(now) => Ok(Arc::clone(newest)),
            _ => self.authenticate(&mut state).await,
        }
    }

    /// Forgets `refused`, so that the next [`Sessions::get`] authenticates.
    pub async fn forget(&self, refused: &Issued) {
        let mut state = self.lock().await;
        state.newest.take_if(|newest| newest.number <= refused.number);
    }

    /// Forgets every session and every trouble, so that the next [`Sessions::get`] authenticates at once.
    pub fn forget_all(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the vendor was asked for a session since the host began: with success, and without.
    pub fn counts(&self) -> (u64, u64) {
        let [issued, refused] = &self.counts;
        (issued.load(Ordering::Relaxed), refused.load(Ordering::Relaxed))
    }

    /// For how long every try to get a session has failed; none after one that did not, and before the first.
    pub fn failing_for(&self) -> Option<Duration> {
        let since = Some(self.failing_since_ms.load(Ordering::Relaxed)).filter(|since| *since > 0)?;
        Some(Duration::from_millis(self.clock.millis().saturating_sub(since)))
    }

    async fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().await;
        let generation = self.generation.load(Ordering::Relaxed);
        if state.generation != generation {
            *state = State { generation, issued: state.issued, ..State::default() };
        }
        state
    }

    async fn authenticate(&self, state: &mut State) -> Result<Arc<Issued>, Trouble> {
        if let Some(trouble) = state.trouble.take_if(|trouble| trouble.retry_at > Instant::now()) {
            state.trouble = Some(trouble.clone());
            return Err(trouble);
        }
        let (begun, asked_at) = (self.clock.nanos(), Instant::now());
        let answer = self.source.authenticate().await;
        self.counts[usize::from(answer.is_err())].fetch_add(1, Ordering::Relaxed);
        match answer {
            Ok(session) => {
                state.backoff.reset();
                self.failing_since_ms.store(0, Ordering::Relaxed);
                state.trouble = None;
                state.throttled_since = None;
                if let Some((health, id)) = &self.health {
                    health.clear(id, &Place::Session);
                }
                state.issued += 1;
                let renew_at = session.expires_at.map(|end| renewal(begun, end));
                let issued = Arc::new(Issued { session, number: state.issued, renew_at, asked_at });
                state.newest = Some(Arc::clone(&issued));
                Ok(issued)
            }
            Err(error) => {
                let wait = match &error {
                    GuestError::Fault(fault) => match fault.class {
                        FaultClass::Configuration
                        | FaultClass::Credentials
                        | FaultClass::NotEntitled
                        | FaultClass::SessionExpired => REFUSED_FOR,
                        FaultClass::Throttled(pause) => Duration::from_millis(pause.into()).max(Backoff::FIRST),
                        FaultClass::Unavailable | FaultClass::Protocol | FaultClass::PositionLost => {
                            state.backoff.next(&self.random)
                        }
                    },
                    GuestError::Trap { .. } | GuestError::Limit(_) | GuestError::Breach(_) => {
                        state.backoff.next(&self.random)
                    }
                };
                let (now, order) = (self.clock.millis(), Ordering::Relaxed);
                // If it fails already, since then.
                let _ = self.failing_since_ms.compare_exchange(0, now, order, order);
                self.log(&error, wait);
                self.tell(state, &error, wait);
                let trouble = Trouble { error, retry_at: Instant::now() + wait };
                state.trouble = Some(trouble.clone());
                Err(trouble)
            }
        }
    }
}

impl Sessions {
    /// One line for all streams of the source. A check of its own, which has no health to tell, prints what it found.
    fn log(&self, error: &GuestError, wait: Duration) {
        let Some((_, source)) = &self.health else { return };
        let code = Cause::of(error).code;
        let retry_in = (!is_final(error)).then(|| tracing::field::debug(wait));
        let mut line = format!("there is no session, so no stream of the source is read: {error}");
        if is_final(error) {
            line = format!("{line}. {}", until_changed("They stand", source));
        }
        match level(error) {
            Level::ERROR => tracing::error!(%source, code, retry_in, "{line}"),
            Level::INFO => tracing::info!(%source, code, retry_in, "{line}"),
            _ => tracing::warn!(%source, code, retry_in, "{line}"),
        }
    }

    /// Throttling is told only when it has lasted for long.
    fn tell(&self, state: &mut State, error: &GuestError, wait: Duration) {
        let now = Instant::now();
        if matches!(error, GuestError::Fault(fault) if matches!(fault.class, FaultClass::Throttled(_))) {
            if now - *state.throttled_since.get_or_insert(now) < THROTTLED_FOR {
                return;
            }
        } else {
            state.throttled_since = None;
        }
        if let Some((health, id)) = &self.health {
            health.trouble(id, &Place::Session, &Cause::of(error), (!is_final(error)).then_some(wait));
        }
    }
}

/// Of the line that says why there is no session. What may pass by itself is no error yet.
pub fn level(error: &GuestError) -> Level {
    match error {
        GuestError::Fault(fault) => match fault.class {
            FaultClass::Throttled(_) => Level::INFO,
            FaultClass::Unavailable | FaultClass::Protocol | FaultClass::PositionLost => Level::WARN,
            FaultClass::Configuration
            | FaultClass::Credentials
            | FaultClass::NotEntitled
            | FaultClass::SessionExpired => Level::ERROR,
        },
        _ => Level::WARN,
    }
}

/// What makes streams go on that nothing but the operator can help.
pub fn until_changed(stands: &str, source: &str) -> String {
    format!(
        "{stands} still until sources.{source} or one of its secrets is changed: a new secret is taken over by \
         itself, a new configuration on SIGHUP"
    )
}

/// Whether there is no next try until the operator has acted.
fn is_final(error: &GuestError) -> bool {
    matches!(error, GuestError::Fault(fault) if fault.keys_expired() || fault.class == FaultClass::Configuration)
}

/// When to renew a session that lives from `begin` to `end`, in nanoseconds.
fn renewal(begin: u64, end: u64) -> u64 {
    let life = end.saturating_sub(begin);
    end - (life / 10).min(AHEAD.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::source::{Call, Reader};
    use crate::sandbox::{Fault, Start};

    /// Gives numbered sessions, one second after it was asked; refuses while `refuse` is set.
    #[derive(Default)]
    struct Vendor {
        calls: AtomicU64,
        refuse: std::sync::Mutex<Option<FaultClass>>,
    }

    const EPOCH: Duration = Duration::from_secs(1_000_000);
    const LIFE: Duration = Duration::from_secs(1_000_000);

    impl Source for Vendor {
        fn authenticate(&self) -> Call<'_, Session> {
            let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if let Some(class) = *self.refuse.lock().unwrap() {
                    let (code, message) = ("no".into(), "no".into());
                    return Err(Fault { class, code, message, hint: None, status: None }.into());
                }
                let expires_at = Some((EPOCH + LIFE).as_nanos() as u64);
                Ok(Session { secret: number.to_be_bytes().to_vec(), expires_at })
            })
        }

        fn open<'a>(&'a self, _: &'a str, _: Start) -> Call<'a, Box<dyn Reader>> {
            unreachable!("sessions open nothing")
        }
    }

    fn sessions() -> (Arc<Vendor>, Arc<Sessions>) {
        let vendor = Arc::new(Vendor::default());
        let sessions = Sessions::new(Arc::clone(&vendor) as _, Clock::simulated(EPOCH), Random::seeded(1));
        (vendor, Arc::new(sessions))
    }

    #[tokio::test(start_paused = true)]
    async fn many_streams_make_one_call() {
        let (vendor, sessions) = sessions();
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let sessions = Arc::clone(&sessions);
                tokio::spawn(async move { sessions.get().await.unwrap().number })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 1);
        }
        let first = sessions.get().await.unwrap();
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (sessions, first) = (Arc::clone(&sessions), Arc::clone(&first));
                tokio::spawn(async move { sessions.renew(&first).await.unwrap().number })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 2);
        }
        assert_eq!(vendor.calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_renewed_ahead_of_its_end() {
        let minute = Duration::from_secs(60).as_nanos() as u64;
        assert_eq!(renewal(0, 10 * minute), 9 * minute);
        assert_eq!(renewal(0, 100 * minute), 99 * minute);
        assert_eq!(renewal(0, minute), minute - minute / 10);
        assert_eq!(renewal(minute, 0), 0);
        let (vendor, sessions) = sessions();
        sessions.get().await.unwrap();
        tokio::time::advance(LIFE - AHEAD - Duration::from_secs(2)).await;
        assert_eq!(sessions.get().await.unwrap().number, 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(sessions.get().await.unwrap().number, 2);
        assert_eq!(vendor.calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_others_renewed_long_ago_is_not_taken_for_fresh() {
        let (vendor, sessions) = sessions();
        let first = sessions.get().await.unwrap();
        assert_eq!(sessions.renew(&first).await.unwrap().number, 2);
        assert_eq!(sessions.renew(&first).await.unwrap().number, 2);
        tokio::time::advance(LIFE).await;
        assert_eq!(sessions.renew(&first).await.unwrap().number, 3);
        assert_eq!(vendor.calls.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_credentials_are_left_alone_for_an_hour() {
        let (vendor, sessions) = sessions();
        *vendor.refuse.lock().unwrap() = Some(FaultClass::Credentials);
        for _ in 0..10 {
            assert!(sessions.get().await.is_err());
        }
        assert_eq!(vendor.calls.load(Ordering::SeqCst), 1);
        *vendor.refuse.lock().unwrap() = None;
        tokio::time::advance(REFUSED_FOR).await;
        assert_eq!(sessions.get().await.unwrap().number, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn passing_trouble_is_tried_again_soon() {
        let (vendor, sessions) = sessions();
        *vendor.refuse.lock().unwrap() = Some(FaultClass::Unavailable);
        let trouble = sessions.get().await.unwrap_err();
        assert!(trouble.retry_at <= Instant::now() + Backoff::FIRST);
        *vendor.refuse.lock().unwrap() = None;
        tokio::time::sleep_until(trouble.retry_at).await;
        assert!(sessions.get().await.is_ok());
    }
}
