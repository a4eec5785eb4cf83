//! A host at work.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::Control;
use crate::collect::{
    Account, Board, Entry, Policy, Quota, Schedule, Source, StreamState, StreamStatus, Surroundings, Worker,
};
use crate::config::{self, QuotaLimit};
use crate::deliver::{Attached, Disk, Memory, Pipeline, Storage, committer, host_memory};
use crate::observe::api::Api;
use crate::observe::{Cause, Health, Keeper};
use crate::outside::{Clock, Outside};
use crate::replay::{Ground, Owned, Replayable, Replays};
use crate::sandbox;
use crate::state::StreamKey;

/// One source, ready to be read.
pub struct Ready {
    pub config: config::Source,
    pub streams: Vec<sandbox::LogStream>,
    pub quotas: Vec<sandbox::Quota>,
    pub source: Arc<dyn Source>,
}

/// A host at work. Dropped, it ends at once, as by [`Running::kill`].
pub struct Running {
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
    pipeline: Option<Pipeline>,
    delivery: JoinSet<()>,
    keeper: JoinSet<()>,
    health: Health,
    pub(super) control: Control,
    clock: Clock,
    /// Where the state is, if it is in a folder.
    pub(super) disk: Option<Arc<Disk>>,
    /// Ended with it.
    pub(super) _replays: Owned,
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
    pub(super) fn assemble(
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

    /// With its state in this folder.
    pub(super) fn stored_in(self, disk: Arc<Disk>) -> Self {
        Self { disk: Some(disk), ..self }
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
