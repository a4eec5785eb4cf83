//! The sources that a host runs. They come, change and go while it runs, and none is disturbed by another's change.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Ready;
use crate::collect::{
    Account, Board, Checks, Entry, Policy, Quota, Reach, Schedule, Source, StreamState, Subject, Surroundings, Worker,
};
use crate::config::{self, QuotaLimit};
use crate::deliver::{Alerts, Ids, Memory, Nature, Pipeline};
use crate::fair::Fair;
use crate::observe::metrics::SourceFacts;
use crate::observe::{Cause, Health, HostCode};
use crate::replay::{Replayable, Replays};
use crate::sandbox::{self, LogStream};
use crate::state::StreamKey;

/// See the module. Its clones are one.
#[derive(Clone)]
pub(crate) struct Fleet(Arc<Mutex<State>>);

struct State {
    /// `None` once the host stops.
    ground: Option<Ground>,
    sources: BTreeMap<Arc<str>, AtWork>,
    /// Streams whose worker is gone, while what it has read may be on its way.
    left: BTreeMap<StreamKey, Post>,
}

/// What all workers share.
pub(super) struct Ground {
    pub around: Surroundings,
    pub pipeline: Pipeline,
    pub memory: Fair,
    pub memory_bytes: usize,
    pub board: Board,
    pub health: Health,
    pub refused: Arc<Notify>,
    pub replays: Replays,
    /// Whether streams are read; else they can only be replayed.
    pub collects: bool,
}

/// One source.
struct AtWork {
    config: config::Source,
    account: Arc<Account>,
    streams: Vec<Arc<LogStream>>,
    workers: BTreeMap<String, Working>,
}

/// One stream.
struct Working {
    task: Task,
    post: Post,
}

/// What outlives a stream's worker.
#[derive(Clone)]
struct Post {
    entry: Entry,
    reach: Reach,
    /// Those of the source: what sinks are about to be given is stored nowhere yet.
    alerts: Alerts,
}

/// Ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Task {
    /// Waits for its end.
    async fn end(mut self) {
        // Aborted or not, it is gone.
        let _ = (&mut self.0).await;
    }
}

impl Fleet {
    pub(super) fn new(ground: Ground) -> Self {
        let (sources, left) = (BTreeMap::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(State { ground: Some(ground), sources, left })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn account(&self, source: &str) -> Option<Arc<Account>> {
        self.lock().sources.get(source).map(|source| Arc::clone(&source.account))
    }

    /// How many sources there are.
    pub fn len(&self) -> usize {
        self.lock().sources.len()
    }

    /// What is known of each source beside its streams.
    pub fn sources(&self) -> Vec<SourceFacts> {
        let sources: Vec<(String, Arc<Account>)> = {
            let state = self.lock();
            state.sources.values().map(|source| (source.config.kind.clone(), Arc::clone(&source.account))).collect()
        };
        let facts = |(kind, account): (String, Arc<Account>)| SourceFacts {
            id: Arc::clone(&account.id),
            tenant: Arc::clone(&account.tenant),
            kind,
            network: account.source.network(),
            usage: account.source.usage(),
            sessions: account.sessions.counts(),
            no_session_for: account.sessions.failing_for(),
            quotas: account.quotas.iter().map(|(name, quota)| (name.clone(), quota.status())).collect(),
        };
        sources.into_iter().map(facts).collect()
    }

    /// What a check of `source` tries, if it is run.
    pub fn subject(&self, source: &str) -> Option<(Arc<Account>, Subject)> {
        let state = self.lock();
        let AtWork { config, account, streams, .. } = state.sources.get(source)?;
        let quota = |stream: &LogStream| stream.quota.as_ref().and_then(|name| account.quotas.get(name)).cloned();
        let subject = Subject {
            id: config.id.clone(),
            source: Arc::clone(&account.source) as Arc<dyn Source>,
            names_streams: config.names_streams(),
            streams: streams.iter().map(|stream| (stream.name.clone(), quota(stream))).collect(),
        };
        Some((Arc::clone(account), subject))
    }

    /// Whether a sink takes `source`, so that it is run.
    pub fn is_wanted(&self, source: &str) -> bool {
        self.lock().ground.as_ref().is_some_and(|ground| !ground.pipeline.sinks(source).is_empty())
    }

    /// Puts sources to work. Their first polls are spread over the time that so many streams deserve.
    pub fn put(&self, sources: Vec<Ready>) {
        self.put_in_place(sources, None);
    }

    /// The same; `checks` are those of the source that one of them takes the place of.
    fn put_in_place(&self, sources: Vec<Ready>, checks: Option<Arc<Checks>>) {
        let mut state = self.lock();
        let State { ground, sources: at_work, left } = &mut *state;
        let Some(ground) = ground else { return };
        let ids: BTreeSet<&str> = sources.iter().map(|ready| ready.config.id.as_str()).collect();
        left.retain(|key, post| post.entry.in_flight() > 0 || ids.contains(key.source.as_str()));
        let begin = Begin::of(sources.iter().map(|source| source.streams.len()).sum());
        for ready in sources {
            let source = ground.begin(ready, checks.clone(), left, begin);
            at_work.insert(Arc::clone(&source.account.id), source);
        }
    }

    /// Lets a source go: nothing more is read of it, and what was read is delivered and stored. False, if there is none.
    pub async fn remove(&self, id: &str) -> bool {
        let Some(source) = self.take_out(id) else { return false };
        self.leave(&source.account.id, source.workers).await;
        if let Some(ground) = &self.lock().ground {
            ground.replays.remove(id);
            ground.health.unwatch(id);
        }
        true
    }

    /// Lets a source go on as `ready` says, each stream from where it is. Streams come and go, and those that stay are
    /// merely told, unless what all of them share is another.
    pub async fn change(&self, ready: Ready) {
        let streams = shared(ready.streams.clone());
        // It stays in its place, so that what is asked of it meanwhile has an answer.
        let (account, leave, whole, same) = {
            let mut state = self.lock();
            let Some(old) = state.sources.get_mut(ready.config.id.as_str()) else {
                drop(state);
                return self.put(vec![ready]);
            };
            let whole = !old.is_shared_alike(&ready.config);
            let known = &old.streams;
            let stays =
                |name: &String| !whole && known.iter().any(|stream| stream.name == *name && streams.contains(stream));
            let (stay, leave): (BTreeMap<_, _>, BTreeMap<_, _>) =
                std::mem::take(&mut old.workers).into_iter().partition(|(name, _)| stays(name));
            old.workers = stay;
            let of = |config: &config::Source| (config.settings.clone(), config.limits, config.network.clone());
            (Arc::clone(&old.account), leave, whole, of(&old.config) == of(&ready.config))
        };
        self.leave(&account.id, leave).await;
        if whole {
            return self.put_in_place(vec![ready], Some(Arc::clone(&account.checks)));
        }
        let Ready { config, source, .. } = ready;
        let policy = Policy { retry_for: config.retry_for, on_position_lost: config.on_position_lost };
        account.reconfigure((!same).then_some(source), policy);
        let mut state = self.lock();
        let State { ground, sources, left } = &mut *state;
        // Else the host stops.
        let (Some(ground), Some(old)) = (ground, sources.remove(&account.id)) else { return };
        ground.health.watch(&config);
        let stay = old.workers;
        let begin = Begin::of(streams.len().saturating_sub(stay.len()));
        let workers = ground.workers(&account, &config, &streams, stay, left, begin);
        let source = ground.replayable(AtWork { config, account, streams, workers });
        sources.insert(Arc::clone(&source.account.id), source);
    }

    fn take_out(&self, id: &str) -> Option<AtWork> {
        self.lock().sources.remove(id)
    }

    /// Ends workers. A pull that is under way is given up: the next one, if there is one, begins where it began.
    async fn leave(&self, source: &Arc<str>, workers: BTreeMap<String, Working>) {
        workers.values().for_each(|worker| worker.task.0.abort());
        for (name, Working { task, post }) in workers {
            task.end().await;
            post.entry.enter(StreamState::Stopping);
            let mut state = self.lock();
            if let Some(ground) = &state.ground {
                ground.board.remove(source, &name.as_str().into());
            }
            state.left.insert(StreamKey::new(&**source, name), post);
        }
    }

    /// Waits for the workers, which were told to stop. None begins any more.
    pub async fn end(&self) {
        for (_, source) in self.cut() {
            for (_, worker) in source.workers {
                worker.task.end().await;
            }
        }
    }

    /// Ends all at once.
    pub async fn kill(&self) {
        let sources = self.cut();
        let tasks: Vec<Task> =
            sources.into_values().flat_map(|source| source.workers.into_values().map(|worker| worker.task)).collect();
        tasks.iter().for_each(|task| task.0.abort());
        for task in tasks {
            task.end().await;
        }
    }

    /// Takes out all that work, and what keeps the sinks from seeing their end.
    fn cut(&self) -> BTreeMap<Arc<str>, AtWork> {
        let mut state = self.lock();
        state.ground = None;
        std::mem::take(&mut state.sources)
    }
}

/// Ends the workers of a host that is dropped.
pub(super) struct Owned(pub Fleet);

impl Drop for Owned {
    fn drop(&mut self) {
        drop(self.0.cut());
    }
}

impl AtWork {
    /// Whether what the streams share, and were begun with, is as `new` wants it.
    fn is_shared_alike(&self, new: &config::Source) -> bool {
        let old = &self.config;
        // The tenant is part of each event's identity, and of where files go.
        (&old.kind, &old.tenant, &old.quotas) == (&new.kind, &new.tenant, &new.quotas)
            && (old.quota_share, old.max_in_flight_bytes) == (new.quota_share, new.max_in_flight_bytes)
            && (&old.rules, old.alert_window) == (&new.rules, new.alert_window)
    }
}

/// When streams begin that begin together.
#[derive(Clone, Copy)]
struct Begin {
    now: Instant,
    streams: usize,
}

impl Begin {
    fn of(streams: usize) -> Self {
        Self { now: Instant::now(), streams }
    }
}

impl Ground {
    fn begin(
        &self,
        ready: Ready,
        checks: Option<Arc<Checks>>,
        left: &mut BTreeMap<StreamKey, Post>,
        begin: Begin,
    ) -> AtWork {
        let Ready { config, streams, quotas, source } = ready;
        let streams = shared(streams);
        self.health.watch(&config);
        let mut posts = left.range(StreamKey::new(&*config.id, "")..);
        let post = posts.next().filter(|(key, _)| *key.source == *config.id);
        let alerts = match post {
            Some((_, post)) => post.alerts.clone().within(config.alert_window),
            None => Alerts::new(config.alert_window),
        };
        let mut account = self.account(&config, &quotas, source, alerts);
        if let Some(checks) = checks {
            account.checks = checks;
        }
        let account = Arc::new(account);
        let workers = self.workers(&account, &config, &streams, BTreeMap::new(), left, begin);
        self.replayable(AtWork { config, account, streams, workers })
    }

    fn account(
        &self,
        config: &config::Source,
        quotas: &[sandbox::Quota],
        source: Arc<dyn Source>,
        alerts: Alerts,
    ) -> Account {
        let quotas = quotas.iter().map(|quota| {
            let known = QuotaLimit { requests: quota.requests, window: Duration::from_millis(quota.window_ms.into()) };
            let limit = config.quotas.get(&quota.name).copied().unwrap_or(known);
            (quota.name.clone(), Arc::new(Quota::new(limit.requests, limit.window, config.quota_share)))
        });
        Account::new(
            (&config.id, &config.tenant),
            source,
            quotas.collect::<BTreeMap<_, _>>(),
            Policy { retry_for: config.retry_for, on_position_lost: config.on_position_lost },
            Arc::clone(&self.refused),
            (self.around.clock, self.around.random.fork()),
            (&self.health, alerts),
        )
    }

    /// A worker for each of `streams` beside those that `stay`.
    fn workers(
        &self,
        account: &Arc<Account>,
        config: &config::Source,
        streams: &[Arc<LogStream>],
        stay: BTreeMap<String, Working>,
        left: &mut BTreeMap<StreamKey, Post>,
        begin: Begin,
    ) -> BTreeMap<String, Working> {
        let mut workers = stay;
        let nature = Nature { kinds: account.source.kinds(), rules: config.rules.clone() };
        for stream in streams.iter().filter(|_| self.collects) {
            if workers.contains_key(&stream.name) {
                continue;
            }
            let key = StreamKey::new(&*account.id, &*stream.name);
            let post = left.remove(&key).inspect(|post| self.board.put_back(&post.entry, &account.tenant));
            let post = post.unwrap_or_else(|| Post {
                entry: self.board.entry(&account.id, &account.tenant, &stream.name.as_str().into()),
                reach: Reach::default(),
                alerts: account.alerts.clone(),
            });
            let interval = Duration::from_millis(stream.interval_ms.into());
            let worker = Worker::new(
                Arc::clone(account),
                Surroundings { random: self.around.random.fork(), ..self.around.clone() },
                Arc::clone(stream),
                Schedule::new(&account.id, &stream.name, interval, begin.streams, begin.now),
                Memory::new(&account.tenant, config.max_in_flight_bytes, self.memory.clone(), self.memory_bytes),
                self.pipeline.route(key, &nature, account.alerts.clone()),
                post.entry.clone(),
                post.reach.clone(),
            );
            let task = Task(tokio::spawn(guarded(Box::new(worker), post.entry.clone())));
            workers.insert(stream.name.clone(), Working { task, post });
        }
        workers
    }

    /// Lets its streams be replayed.
    fn replayable(&self, source: AtWork) -> AtWork {
        let ids = source.workers.iter().map(|(name, worker)| (name.clone(), worker.post.reach.ids.clone()));
        self.replays.put(Replayable {
            account: Arc::clone(&source.account),
            streams: source.streams.clone(),
            max_in_flight_bytes: source.config.max_in_flight_bytes,
            rules: source.config.rules.clone(),
            alert_window: source.config.alert_window,
            ids: ids.collect::<BTreeMap<String, Ids>>(),
        });
        source
    }
}

/// What a source's streams are, for all that has to know it.
fn shared(streams: Vec<LogStream>) -> Vec<Arc<LogStream>> {
    streams.into_iter().map(Arc::new).collect()
}

/// Runs a worker; should it panic, its stream says so, and the others go on. The worker comes in a box: a future holds what
/// it is handed twice, as it came and as it is used, and there is one for each stream of each tenant.
async fn guarded(mut worker: Box<Worker>, entry: Entry) {
    let mut run = std::pin::pin!(worker.run());
    let ended = std::future::poll_fn(|context| {
        match std::panic::catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context))) {
            Ok(poll) => poll.map(|()| true),
            Err(_) => Poll::Ready(false),
        }
    });
    if !ended.await {
        let why = "the host's worker of this stream broke down";
        let cause = Cause::host(HostCode::Worker, why.into(), "Restart the host, and report it");
        let text = format!("{why}; restart the host, and report it");
        entry.update(|status| status.fails(&cause, text.clone()));
        entry.tell(&cause);
        if let Some(before) = entry.enter_for(StreamState::Stopped, &cause) {
            let (source, stream) = entry.name();
            tracing::error!(%source, %stream, code = cause.code, %before, "stopped: {text}");
        }
    }
}
