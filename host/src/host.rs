//! The whole host as a value: start it with a configuration, watch it, stop it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::collect::{
    Account, Board, ComponentSource, Entry, Policy, Quota, Schedule, Source, StreamState, StreamStatus, Surroundings,
    Worker,
};
use crate::config::{self, Config, QuotaLimit};
use crate::deliver::{Attached, Disk, Memory, Pipeline, Storage, committer, host_memory};
use crate::observe::api::Api;
use crate::observe::{Cause, Health, Keeper};
use crate::outside::{Clock, Outside};
use crate::replay::{Ground, Owned, ReplayError, Replayable, Replaying, Replays, Request};
use crate::sandbox::{
    self, Component, Context, Egress, Fault, FaultClass, GuestError, LoadError, NetworkCounts, NetworkError, Notebook,
    PatternError, Plan, Sandbox, Way,
};
use crate::sinks::{self, SinkError};
use crate::state::{KEPT, Retired, StateError, StreamKey};

/// How the host is run, beside its configuration.
#[derive(Clone)]
pub struct Options {
    pub outside: Outside,
    pub sandbox: sandbox::Settings,
    /// The component of all sources.
    pub component: Cow<'static, [u8]>,
    /// How long [`Running::stop`] waits for sinks to take what was pulled. What they have not taken then is pulled again.
    pub drain: Duration,
}

impl Options {
    /// The system's clock and network, and 30 s to drain: most supervisors kill after 90 s or less.
    pub fn new(component: impl Into<Cow<'static, [u8]>>) -> Self {
        Self {
            outside: Outside::system(),
            sandbox: sandbox::Settings::default(),
            component: component.into(),
            drain: Duration::from_secs(30),
        }
    }
}

/// Why the host does not start. Nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Component(#[from] LoadError),
    /// What sources say of their configuration, by source.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Sources(Vec<SourceError>),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("sink {id}: {error}")]
    Sink { id: String, error: SinkError },
}

/// What is wrong with one source.
#[derive(Debug, thiserror::Error)]
#[error("source {id}: {reason}")]
pub struct SourceError {
    pub id: String,
    pub reason: SourceReason,
}

#[derive(Debug, thiserror::Error)]
pub enum SourceReason {
    #[error(transparent)]
    Guest(#[from] GuestError),
    #[error("quotas.{name}: there is no quota of that name. Known are {known}")]
    Quota { name: String, known: String },
    #[error("the component's plan names a host that cannot be allowed: {0}")]
    Host(#[from] PatternError),
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// A component that is ready to run sources, without anything that runs.
#[derive(Clone)]
pub struct Host {
    component: Component,
    options: Options,
    notes: Notebook,
}

/// A source whose configuration its component has accepted.
pub struct Planned {
    pub config: config::Source,
    pub plan: Plan,
    /// With the network that the plan names.
    pub source: Arc<ComponentSource>,
}

impl Host {
    /// Compiles the component.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn load(options: Options) -> Result<Self, LoadError> {
        let component = Sandbox::new(options.sandbox)?.load(&options.component).await?;
        Ok(Self::around(component, options))
    }

    /// Around a component that is compiled already; of `options`, `sandbox` and `component` have done their work. Several
    /// hosts in one process need compile only once.
    pub fn around(component: Component, options: Options) -> Self {
        Self { component, options, notes: Notebook::default() }
    }

    pub fn component(&self) -> &Component {
        &self.component
    }

    /// Asks the component what a source's configuration selects.
    ///
    /// # Errors
    /// Its judgement.
    pub async fn plan(&self, source: &config::Source) -> Result<Planned, SourceError> {
        self.try_plan(source).await.map_err(|reason| SourceError { id: source.id.clone(), reason })
    }

    async fn try_plan(&self, source: &config::Source) -> Result<Planned, SourceReason> {
        let Outside { clock, random, network } = &self.options.outside;
        let sealed = Context::sealed(&source.id, *clock, random.fork());
        let mut guest = self.component.instantiate(&sealed).await?;
        let plan = guest.plan_for(source.settings.as_json()).await?;
        let known = || self.component.descriptor().quotas.iter().map(|quota| quota.name.as_str());
        if let Some(name) = source.quotas.keys().find(|name| !known().any(|known| known == **name)) {
            return Err(SourceReason::Quota { name: name.clone(), known: known().collect::<Vec<_>>().join(", ") });
        }
        let egress = Egress::new(plan.hosts.iter().map(String::as_str))?.with(source.network.egress.clone());
        let (egress, notes) = (Arc::new(egress), self.notes.of(&source.id));
        let transport = network.transport(&Way {
            source: Arc::clone(&sealed.source),
            egress: Arc::clone(&egress),
            settings: &source.network,
            notes: Arc::clone(&notes),
        })?;
        let context = Context { egress, transport, notes, ..sealed };
        let (component, settings) = (self.component.clone(), source.settings.clone());
        let running = Arc::new(ComponentSource { component, context, settings });
        Ok(Planned { config: source.clone(), plan, source: running })
    }

    /// Starts collecting everything that `config` selects.
    ///
    /// # Errors
    /// When anything is wrong that the operator has to mend first; nothing was fetched then.
    pub async fn start(config: &Config, options: Options) -> Result<Running, StartError> {
        Self::load(options).await?.collect(config).await
    }

    /// The same, with this component.
    ///
    /// # Errors
    /// As [`Host::start`].
    pub async fn collect(self, config: &Config) -> Result<Running, StartError> {
        let planned = self.plan_all(config).await?;
        let disk = Disk::open(&config.data_dir, config.max_dead_letter_bytes)?;
        let now = self.options.outside.clock.millis();
        tell_retired(&disk.store.retire(|source| config.sources.contains_key(source), now)?, now);
        self.assemble(config, planned, disk, true)
    }

    /// Starts nothing but the sinks that take `source`: spans of it can be replayed.
    ///
    /// # Errors
    /// As [`Host::start`].
    pub async fn stand_by(self, config: &Config, source: &config::Source) -> Result<Running, StartError> {
        let planned = self.plan(source).await.map_err(|error| StartError::Sources(vec![error]))?;
        let disk = Disk::open(&config.data_dir, config.max_dead_letter_bytes)?;
        self.assemble(config, vec![planned], disk, false)
    }

    fn assemble(
        self,
        config: &Config,
        planned: Vec<Planned>,
        disk: Disk,
        collects: bool,
    ) -> Result<Running, StartError> {
        let host = self;
        let needed = |sink: &&config::Sink| collects || planned.iter().any(|source| sink.takes(&source.config.id));
        let mut attached = Vec::new();
        for sink in config.sinks.values().filter(needed) {
            let built = sinks::build(sink).map_err(|error| StartError::Sink { id: sink.id.clone(), error })?;
            attached.push(Attached {
                id: sink.id.clone(),
                inputs: sink.inputs.clone(),
                acknowledgements: sink.acknowledgements,
                sink: built,
            });
        }
        let sources = planned
            .into_iter()
            .map(|planned| Ready {
                config: planned.config,
                streams: planned.plan.streams,
                quotas: host.component.descriptor().quotas.clone(),
                source: planned.source,
            })
            .collect();
        let Options { outside, drain, .. } = host.options;
        let disk = Arc::new(disk);
        let storage = Arc::clone(&disk) as Arc<dyn Storage>;
        let bytes = config.max_in_flight_bytes;
        let running = Running::assemble(sources, attached, storage, bytes, outside, drain, collects);
        running.control.replays.keep_in(&disk);
        Ok(Running { disk: Some(disk), ..running })
    }

    /// All sources that some sink takes. All faults at once, so that the operator mends them in one go.
    async fn plan_all(&self, config: &Config) -> Result<Vec<Planned>, StartError> {
        let (mut planned, mut errors) = (Vec::new(), Vec::new());
        let taken = |id: &str| config.sinks.values().any(|sink| sink.takes(id));
        for source in config.sources.values().filter(|source| taken(&source.id)) {
            match self.plan(source).await {
                Ok(plan) => planned.push(plan),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(planned) } else { Err(StartError::Sources(errors)) }
    }
}

/// Says what becomes of the state of sources that are no longer configured.
fn tell_retired(retired: &[Retired], now_ms: u64) {
    for Retired { source, since_ms, dropped } in retired {
        if *dropped {
            tracing::warn!(%source, "no longer configured for 30 days: its positions and seen ids are dropped, its ledger stays");
            continue;
        }
        let left = KEPT.saturating_sub(Duration::from_millis(now_ms.saturating_sub(*since_ms)));
        let days = left.as_secs().div_ceil(86_400);
        if days > 0 {
            tracing::info!(%source, days_left = days, "no longer configured: its state is kept, and goes on if it is added again; `tributary state move` gives it another name");
        }
    }
}

impl StartError {
    /// Whether the operator's configuration is what has to change.
    pub fn is_configuration(&self) -> bool {
        match self {
            StartError::Sources(errors) => errors.iter().any(|error| match &error.reason {
                SourceReason::Guest(GuestError::Fault(fault)) => is_configuration(fault),
                SourceReason::Guest(_) => false,
                SourceReason::Host(_) | SourceReason::Network(_) | SourceReason::Quota { .. } => true,
            }),
            StartError::Component(_) | StartError::State(_) | StartError::Sink { .. } => false,
        }
    }
}

fn is_configuration(fault: &Fault) -> bool {
    fault.class == FaultClass::Configuration
}

/// One source, ready to be read.
pub struct Ready {
    pub config: config::Source,
    pub streams: Vec<sandbox::LogStream>,
    pub quotas: Vec<sandbox::Quota>,
    pub source: Arc<dyn Source>,
}

/// What may be asked and told while the host runs, from any task. It holds nothing that the end of the host waits for.
#[derive(Clone)]
pub struct Control {
    /// By id.
    pub(crate) accounts: Arc<BTreeMap<Arc<str>, Arc<Account>>>,
    board: Board,
    replays: Replays,
    refused: Arc<Notify>,
}

impl Control {
    /// Every stream, by source and name.
    pub fn status(&self) -> Vec<StreamStatus> {
        self.board.all()
    }

    /// What `source` did on the network, if it is run.
    pub fn network(&self, source: &str) -> Option<NetworkCounts> {
        self.accounts.get(source)?.source.network()
    }

    /// Wakes all streams of `source`, whatever they wait for: they forget session, backoff and trouble, and open anew
    /// behind the last chunk pulled, so a healthy stream loses nothing. A pull that is under way ends first. False if there
    /// is no such source, or no sink takes it.
    pub fn restart(&self, source: &str) -> bool {
        let account = self.accounts.get(source);
        if let Some(account) = account {
            tracing::info!(%source, "its streams begin anew");
            account.restart();
        }
        account.is_some()
    }

    /// Begins to read a span of a stream again, beside the stream's own position.
    ///
    /// # Errors
    /// Why it does not begin, with what to do.
    pub async fn replay(&self, request: &Request) -> Result<Replaying, ReplayError> {
        self.replays.start(request).await
    }

    /// Waits until a vendor refuses the credentials of any source: it is time to look for newer ones.
    pub async fn credentials_refused(&self) {
        self.refused.notified().await;
    }
}

/// A host at work. Dropped, it ends at once, as by [`Running::kill`].
pub struct Running {
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
    pipeline: Option<Pipeline>,
    delivery: JoinSet<()>,
    keeper: JoinSet<()>,
    health: Health,
    control: Control,
    clock: Clock,
    /// Where the state is, if it is in a folder.
    disk: Option<Arc<Disk>>,
    /// Ended with it.
    _replays: Owned,
    drain: Duration,
}

impl Running {
    /// Starts a worker for each stream, a task for each sink, and the committer.
    pub fn new(
        sources: Vec<Ready>,
        sinks: Vec<Attached>,
        storage: Arc<dyn Storage>,
        in_flight_bytes: usize,
        outside: Outside,
        drain: Duration,
    ) -> Self {
        Self::assemble(sources, sinks, storage, in_flight_bytes, outside, drain, true)
    }

    /// Without workers, unless it `collects`.
    fn assemble(
        sources: Vec<Ready>,
        sinks: Vec<Attached>,
        storage: Arc<dyn Storage>,
        in_flight_bytes: usize,
        outside: Outside,
        drain: Duration,
        collects: bool,
    ) -> Self {
        let Outside { clock, random, .. } = outside;
        let health = Health::new(clock);
        sources.iter().for_each(|source| health.watch(&source.config));
        let (lines, committer) = committer(Arc::clone(&storage), random.fork(), health.clone());
        let (pipeline, tasks) = Pipeline::new(lines, sinks, &health, clock, &random);
        let mut delivery = JoinSet::new();
        delivery.spawn(committer.run());
        for task in tasks {
            delivery.spawn(task.run());
        }
        let (stop, stopped) = watch::channel(false);
        let (board, mut workers) = (Board::new(health.clone()), JoinSet::new());
        let (mut accounts, mut replayable) = (BTreeMap::new(), BTreeMap::new());
        let refused = Arc::new(Notify::new());
        let host = host_memory(in_flight_bytes);
        let (now, total) = (Instant::now(), sources.iter().map(|source| source.streams.len()).sum());
        for Ready { config, streams, quotas, source } in sources {
            let quotas = quotas.iter().map(|quota| {
                let known =
                    QuotaLimit { requests: quota.requests, window: Duration::from_millis(quota.window_ms.into()) };
                let limit = config.quotas.get(&quota.name).copied().unwrap_or(known);
                (quota.name.clone(), Arc::new(Quota::new(limit.requests, limit.window, config.quota_share)))
            });
            let account = Arc::new(Account::new(
                (&config.id, &config.tenant),
                source,
                quotas.collect::<BTreeMap<_, _>>(),
                Policy { retry_for: config.retry_for, on_position_lost: config.on_position_lost },
                Arc::clone(&refused),
                (clock, random.fork()),
                &health,
            ));
            accounts.insert(Arc::clone(&account.id), Arc::clone(&account));
            let mut ids = BTreeMap::new();
            for stream in streams.iter().filter(|_| collects) {
                let name: Arc<str> = stream.name.as_str().into();
                let entry = board.entry(&account.id, &account.tenant, &name);
                let interval = Duration::from_millis(stream.interval_ms.into());
                let worker = Worker::new(
                    Arc::clone(&account),
                    Surroundings { clock, random: random.fork(), storage: Arc::clone(&storage), stop: stopped.clone() },
                    stream.clone(),
                    Schedule::new(&account.id, &stream.name, interval, total, now),
                    Memory::new(config.max_in_flight_bytes, Arc::clone(&host), in_flight_bytes),
                    pipeline.route(StreamKey::new(&*account.id, &*stream.name)),
                    entry.clone(),
                );
                ids.insert(stream.name.clone(), worker.ids());
                workers.spawn(guarded(worker.run(), entry));
            }
            let max_in_flight_bytes = config.max_in_flight_bytes;
            replayable.insert(config.id.clone(), Replayable { account, streams, max_in_flight_bytes, ids });
        }
        let replays = Replays::new(Ground {
            sources: replayable,
            pipeline: pipeline.clone(),
            memory: host,
            memory_bytes: in_flight_bytes,
            clock,
            random: random.fork(),
            disk: None,
        });
        let owned = Owned(replays.clone());
        let control = Control { accounts: Arc::new(accounts), board, replays, refused };
        let mut keeper = JoinSet::new();
        keeper.spawn(Keeper::new(health.clone(), storage, random.fork()).run());
        let pipeline = Some(pipeline);
        Self { stop, workers, pipeline, delivery, keeper, health, control, clock, disk: None, _replays: owned, drain }
    }

    /// Every stream, by source and name.
    pub fn status(&self) -> Vec<StreamStatus> {
        self.control.status()
    }

    /// Wakes all streams of `source`, whatever they wait for; false if it is not run. See [`Control::restart`].
    pub fn restart(&self, source: &str) -> bool {
        self.control.restart(source)
    }

    /// What may be asked and told while the host runs, from any task.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// What the local socket answers from. It keeps the store open.
    pub fn api(&self) -> Api {
        Api { control: self.control(), clock: self.clock, disk: self.disk.clone() }
    }

    /// Waits until each stream has been caught up once with everything stored, or is in error.
    pub async fn caught_up(&self) {
        self.control.board.settled().await;
    }

    /// Finishes the pulls that are under way, lets the sinks take what was pulled, stores the positions.
    /// False, if that took longer than the time to drain; then some events are pulled again after the next start.
    pub async fn stop(mut self) -> bool {
        self.stop.send_replace(true);
        self.control.replays.stop();
        let deadline = Instant::now() + self.drain;
        let drained = async {
            while self.workers.join_next().await.is_some() {}
            // The workers' routes are gone; without this one the sinks see the end of their queues, and then the
            // committer that of its own.
            self.pipeline = None;
            while self.delivery.join_next().await.is_some() {}
            self.health.close();
            while self.keeper.join_next().await.is_some() {}
        };
        timeout_at(deadline, drained).await.is_ok()
    }

    /// Ends at once. Positions stay where they were stored.
    pub async fn kill(mut self) {
        self.control.replays.kill().await;
        self.workers.shutdown().await;
        self.delivery.shutdown().await;
        self.keeper.shutdown().await;
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}

/// Runs a worker; should it panic, its stream says so, and the others go on.
async fn guarded(worker: impl Future<Output = ()>, entry: Entry) {
    let mut worker = Box::pin(worker);
    let ended = std::future::poll_fn(|context| {
        match std::panic::catch_unwind(AssertUnwindSafe(|| worker.as_mut().poll(context))) {
            Ok(poll) => poll.map(|()| true),
            Err(_) => Poll::Ready(false),
        }
    });
    if !ended.await {
        let why = "the host's worker of this stream broke down";
        entry.update(|status| status.fault = Some(format!("{why}; restart the host, and report it")));
        let cause = Cause::host("worker", why.into(), Some("Restart the host, and report it".into()));
        entry.tell(&cause);
        entry.enter_for(StreamState::Stopped, Some(&cause));
    }
}
