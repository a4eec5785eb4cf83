//! Replays: a span of a stream is read again, beside the stream's own position.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::collect::Source as _;
use crate::collect::{
    Account, Board, Ended, Gaps, Mark, Reach, Replay, Schedule, Span, StreamStatus, Surroundings, Worker,
};
use crate::deliver::{Alerts, Ids, Memory, Nature, Pipeline, Storage, blocking};
use crate::fair::Fair;
use crate::observe::Health;
use crate::rules::Rules;
use crate::sandbox::LogStream;
use crate::state::{Commit, Counts, Gap, StateError, StreamKey};

/// What an operator wants to be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub source: String,
    pub stream: String,
    /// This sink alone: then all of the span is delivered, since what was delivered before is not known by sink.
    pub sink: Option<String>,
    /// `None` goes on with the one that was interrupted.
    pub span: Option<Span>,
}

/// Why a replay does not begin. Each text ends with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error("there is no source {0:?} that a sink takes. Choose from {1}")]
    Source(String, String),
    #[error("the configuration of {0} selects no stream {1:?}. It selects {2}")]
    Stream(String, String, String),
    #[error("no sink {0:?} takes {1}. Choose from {2}")]
    Sink(String, String, String),
    #[error("the span begins at {} and ends at {}: nothing lies in it. Let --from be before --to", time(.0.from), time(.0.to))]
    Empty(Span),
    #[error("the span ends in the future, at {}. Leave --to out for now", time(.0.to))]
    Future(Span),
    #[error("what one sink lacks is not known: ids are remembered by stream. Say --all to send the whole span to {0}")]
    BySink(String),
    #[error(
        "{0} remembers nothing of what it delivered, since it never reads a record twice. Say --all to deliver the whole span again"
    )]
    Forgets(StreamKey),
    #[error(
        "what was delivered of {key} before {} may be forgotten: its ids are kept for {days}. Begin there, or say --all to deliver the whole span again",
        time(*.since)
    )]
    Forgotten { key: StreamKey, since: u64, days: String },
    #[error("no replay of {0} was interrupted. Name a span with --from and --to")]
    NothingToResume(StreamKey),
    #[error("a replay of {0} is running already. Wait for its end")]
    Running(StreamKey),
    #[error("the host stops. Try again when it runs")]
    Stopping,
    #[error("{0}")]
    State(String),
}

impl ReplayError {
    /// Whether another request is what helps.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Running(_) | Self::Stopping | Self::State(_))
    }
}

impl From<StateError> for ReplayError {
    fn from(error: StateError) -> Self {
        ReplayError::State(error.to_string())
    }
}

fn time(nanos: u64) -> String {
    DateTime::<Utc>::from_timestamp_nanos(nanos as i64).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// How far a replay has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub span: Span,
    /// Whether it goes on where an earlier one was interrupted.
    pub resumed: bool,
    /// Since it began, or went on.
    pub read: Counts,
    /// Of it, what is delivered and stored.
    pub stored: Counts,
    /// When the newest event happened that was read: nanoseconds since the Unix epoch.
    pub newest: Option<u64>,
    pub fault: Option<String>,
    pub held: Option<String>,
    pub gaps: Vec<Gap>,
    pub ended: Option<Ended>,
}

/// A replay that runs. Dropped, it is told to stop.
pub struct Replaying {
    pub span: Span,
    pub resumed: bool,
    board: Board,
    gaps: Gaps,
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<Ended>,
    end: Option<Ended>,
}

impl Replaying {
    /// Tells it to stop; what was read is delivered first.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for its end, but no longer than this, and gives how far it is.
    pub async fn progress(&mut self, wait: Duration) -> Progress {
        if self.end.is_none() {
            let deadline = Instant::now() + wait;
            tokio::select! {
                biased;
                end = &mut self.ended => self.end = Some(end.unwrap_or_else(|_| broke_down())),
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
        let status: Option<StreamStatus> = self.board.all().pop();
        let (read, stored, newest, fault, held) = match status {
            Some(status) => (status.read, status.stored, status.newest, status.fault, status.held),
            None => (Counts::default(), Counts::default(), None, None, None),
        };
        let (span, resumed, gaps, ended) = (self.span, self.resumed, self.gaps.all(), self.end.clone());
        Progress { span, resumed, read, stored, newest, fault, held, gaps, ended }
    }

    /// Waits for its end.
    pub async fn end(&mut self) -> Progress {
        loop {
            let progress = self.progress(Duration::from_secs(60)).await;
            if progress.ended.is_some() {
                return progress;
            }
        }
    }
}

fn broke_down() -> Ended {
    Ended::Failed("it ended before it was done; if the host was not stopped, report it".into())
}

impl Drop for Replaying {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A source of which spans can be read again.
pub(crate) struct Replayable {
    pub account: Arc<Account>,
    pub streams: Vec<Arc<LogStream>>,
    pub max_in_flight_bytes: usize,
    pub rules: Rules,
    pub alert_window: Duration,
    /// What the streams' own workers have on their way.
    pub ids: BTreeMap<String, Ids>,
}

/// What replays share with the host in which they run.
pub(crate) struct Ground {
    pub sources: BTreeMap<String, Replayable>,
    pub pipeline: Pipeline,
    pub memory: Fair,
    pub memory_bytes: usize,
    pub around: Surroundings,
}

/// The replays of a host.
#[derive(Clone)]
pub(crate) struct Replays(Arc<Mutex<State>>);

struct State {
    /// `None` once the host stops.
    ground: Option<Ground>,
    /// By the key under which each stores.
    running: BTreeMap<StreamKey, watch::Sender<bool>>,
    tasks: JoinSet<()>,
}

impl Replays {
    pub fn new(ground: Ground) -> Self {
        Self(Arc::new(Mutex::new(State { ground: Some(ground), running: BTreeMap::new(), tasks: JoinSet::new() })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the streams of a source be replayed.
    pub fn put(&self, source: Replayable) {
        if let Some(ground) = &mut self.lock().ground {
            ground.sources.insert(source.account.id.to_string(), source);
        }
    }

    /// Lets no replay of a source begin, and tells those that run to stop.
    pub fn remove(&self, source: &str) {
        let mut state = self.lock();
        if let Some(ground) = &mut state.ground {
            ground.sources.remove(source);
        }
        for (_, stop) in state.running.iter().filter(|(key, _)| key.source == source) {
            stop.send_replace(true);
        }
    }

    /// Lets none begin, and tells those that run to stop.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.ground = None;
        for stop in state.running.values() {
            stop.send_replace(true);
        }
    }

    /// Ends them at once.
    pub async fn kill(&self) {
        let mut tasks = self.cut();
        tasks.shutdown().await;
    }

    fn cut(&self) -> JoinSet<()> {
        let mut state = self.lock();
        state.ground = None;
        std::mem::take(&mut state.tasks)
    }

    /// Begins a replay.
    pub async fn start(&self, request: &Request) -> Result<Replaying, ReplayError> {
        let booked = self.book(request)?;
        let at = booked.key.clone();
        let kept = blocking(&booked.storage, move |storage| storage.stream(&at)).await?;
        let mark = Mark::read(kept.position.as_deref()).filter(|mark| !mark.done);
        let resumes = mark.as_ref().filter(|mark| request.span.is_none_or(|span| span == mark.span));
        let span = request
            .span
            .or(resumes.map(|mark| mark.span))
            .ok_or_else(|| ReplayError::NothingToResume(booked.of.clone()))?;
        self.with_ground(|ground| ground.judge_span(request, span))?;
        let goes_on = resumes.is_some();
        let (position, partly) = match (goes_on, mark) {
            (true, Some(mark)) => (mark.position, kept.partly),
            (_, given_up) => {
                if let Some(Mark { span, .. }) = given_up {
                    let (from, to) = (time(span.from), time(span.to));
                    tracing::warn!(stream = %booked.key, %from, %to, "the replay of another span was interrupted, and is given up");
                }
                booked.note(span).await?;
                (None, Default::default())
            }
        };
        self.spawn(request, booked, span, goes_on, |worker, replay, key| {
            worker.replaying(replay, key, position, partly)
        })
    }

    fn with_ground<T>(&self, ask: impl FnOnce(&Ground) -> Result<T, ReplayError>) -> Result<T, ReplayError> {
        ask(self.lock().ground.as_ref().ok_or(ReplayError::Stopping)?)
    }

    /// Takes the key of a replay, so that no other begins under it.
    fn book(&self, request: &Request) -> Result<Booked, ReplayError> {
        let mut state = self.lock();
        let State { ground, running, .. } = &mut *state;
        let ground = ground.as_ref().ok_or(ReplayError::Stopping)?;
        let (source, _) = ground.find(request)?;
        let of = StreamKey::new(&*request.source, &*request.stream);
        let key = of.replay(request.sink.as_deref());
        if running.contains_key(&key) {
            return Err(ReplayError::Running(of));
        }
        let (stop, stopped) = watch::channel(false);
        running.insert(key.clone(), stop.clone());
        let running = Running(self.clone(), key.clone());
        let (tenant, storage) = (source.account.tenant.to_string(), Arc::clone(&ground.around.storage));
        Ok(Booked { of, key, tenant, at_ms: ground.around.clock.millis(), storage, stop, stopped, running })
    }

    fn spawn(
        &self,
        request: &Request,
        booked: Booked,
        span: Span,
        resumed: bool,
        make: impl FnOnce(Worker, Replay, StreamKey) -> Worker,
    ) -> Result<Replaying, ReplayError> {
        let Booked { of, key, storage, stop, stopped, running, .. } = booked;
        let mut state = self.lock();
        while state.tasks.try_join_next().is_some() {}
        let State { ground, tasks, .. } = &mut *state;
        let ground = ground.as_ref().ok_or(ReplayError::Stopping)?;
        // Whoever asked is told how it goes; it is no health event of the stream's.
        let (board, gaps) = (Board::new(Health::new(ground.around.clock)), Gaps::default());
        let (source, stream) = ground.find(request)?;
        let worker = ground.worker(source, stream, request, &key, &board, stopped);
        let others = source.ids.get(&request.stream).cloned().unwrap_or_default();
        let worker = make(worker, Replay { span, of, others, gaps: gaps.clone() }, key.clone());
        let (sender, ended) = oneshot::channel();
        let told = board.clone();
        tracing::info!(stream = %key, from = time(span.from), to = time(span.to), all = span.all, resumed, "replay");
        tasks.spawn(async move {
            let mut end = worker.replay().await;
            told.emptied().await;
            if end == Ended::Done {
                let done = key.clone();
                if let Err(error) = blocking(&storage, move |storage| storage.forget(&done)).await {
                    end = Ended::Failed(format!("everything is delivered, but {error}"));
                }
            }
            drop(running);
            tracing::info!(stream = %key, end = ?end, "the replay has ended");
            // Whoever asked may have gone.
            let _ = sender.send(end);
        });
        Ok(Replaying { span, resumed, board, gaps, stop, ended, end: None })
    }
}

/// A replay that may begin: nobody else has its key.
struct Booked {
    /// The stream that is read again.
    of: StreamKey,
    /// Under which the replay is stored.
    key: StreamKey,
    tenant: String,
    at_ms: u64,
    storage: Arc<dyn Storage>,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    running: Running,
}

impl Booked {
    /// Forgets the replay before it, and notes this one, so that it can be resumed whenever it is interrupted.
    async fn note(&self, span: Span) -> Result<(), ReplayError> {
        let commit = Commit {
            key: self.key.clone(),
            tenant: self.tenant.clone(),
            position: Some(Mark { span, done: false, position: None }.bytes()),
            counts: Counts::default(),
            seen: Vec::new(),
            seen_for: Duration::ZERO,
            gaps: Vec::new(),
            partly: None,
            alerts: Default::default(),
            at_ms: self.at_ms,
        };
        let begun = blocking(&self.storage, move |storage| {
            storage.forget(&commit.key)?;
            storage.commit(vec![commit])
        });
        Ok(begun.await?)
    }
}

/// Ends the replays of a host that is dropped.
pub(crate) struct Owned(pub Replays);

impl Drop for Owned {
    fn drop(&mut self) {
        drop(self.0.cut());
    }
}

/// Notes that a replay has ended, however it did.
struct Running(Replays, StreamKey);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running.remove(&self.1);
    }
}

impl Ground {
    /// The source and the stream that a request means.
    fn find(&self, request: &Request) -> Result<(&Replayable, &Arc<LogStream>), ReplayError> {
        let Request { source, stream, sink, .. } = request;
        let Some(known) = self.sources.get(source) else {
            let ids: Vec<&str> = self.sources.keys().map(String::as_str).collect();
            return Err(ReplayError::Source(source.clone(), ids.join(", ")));
        };
        let Some(found) = known.streams.iter().find(|known| known.name == *stream) else {
            let names: Vec<&str> = known.streams.iter().map(|stream| stream.name.as_str()).collect();
            return Err(ReplayError::Stream(source.clone(), stream.clone(), names.join(", ")));
        };
        let sinks = self.pipeline.sinks(source);
        if let Some(sink) = sink.as_ref().filter(|sink| !sinks.iter().any(|known| **known == ***sink)) {
            return Err(ReplayError::Sink(sink.clone(), source.clone(), sinks.join(", ")));
        }
        Ok((known, found))
    }

    fn judge_span(&self, request: &Request, span: Span) -> Result<(), ReplayError> {
        let (_, found) = self.find(request)?;
        let now = self.around.clock.nanos();
        if span.from >= span.to {
            return Err(ReplayError::Empty(span));
        }
        if span.to > now {
            return Err(ReplayError::Future(span));
        }
        if span.all {
            return Ok(());
        }
        if let Some(sink) = &request.sink {
            return Err(ReplayError::BySink(sink.clone()));
        }
        let key = || StreamKey::new(&*request.source, &*request.stream);
        let kept = Duration::from_millis(found.repeats_within_ms);
        if kept.is_zero() {
            return Err(ReplayError::Forgets(key()));
        }
        // What happened since then was read since then, and its id is kept for so long after that.
        let since = now.saturating_sub(kept.as_nanos() as u64);
        if span.from < since {
            let minutes = kept.as_secs() / 60;
            let days = match (minutes % 1440, minutes % 60) {
                (0, _) => format!("{} days", minutes / 1440),
                (_, 0) => format!("{} hours", minutes / 60),
                _ => format!("{} hours {} minutes", minutes / 60, minutes % 60),
            };
            return Err(ReplayError::Forgotten { key: key(), since, days });
        }
        Ok(())
    }

    fn worker(
        &self,
        source: &Replayable,
        stream: &Arc<LogStream>,
        request: &Request,
        key: &StreamKey,
        board: &Board,
        stop: watch::Receiver<bool>,
    ) -> Worker {
        let account = &source.account;
        let entry = board.entry(&account.id, &account.tenant, &key.stream.as_str().into());
        let interval = Duration::from_millis(stream.interval_ms.into());
        let nature = Nature { kinds: account.source.kinds(), rules: source.rules.clone() };
        // Each alert of the span comes once, whatever was seen before: the operator wants it again.
        let alerts = Alerts::of_replay(source.alert_window);
        Worker::new(
            Arc::clone(account),
            Surroundings { random: self.around.random.fork(), stop, ..self.around.clone() },
            Arc::clone(stream),
            Schedule::new(&account.id, &stream.name, interval, 1, Instant::now()),
            Memory::new(&account.tenant, source.max_in_flight_bytes, self.memory.clone(), self.memory_bytes),
            self.pipeline.route_to(key.clone(), &stream.name, &nature, alerts, request.sink.as_deref()),
            entry,
            Reach::default(),
        )
    }
}
