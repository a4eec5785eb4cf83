//! A host at work.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::fleet::{self, Fleet, Ground};
use super::{Control, retire};
use crate::collect::{Board, Source, StreamStatus, Surroundings};
use crate::config::{self, Config};
use crate::deliver::{Attached, Disk, Pipeline, Storage, committer, host_memory};
use crate::fair::{Fair, Rule};
use crate::observe::api::Api;
use crate::observe::metrics::Vitals;
use crate::observe::{Health, Keeper};
use crate::outside::{Clock, Outside};
use crate::replay::{self, Replays};
use crate::sandbox;

/// One source, ready to be read.
pub struct Ready {
    pub config: config::Source,
    pub streams: Vec<sandbox::LogStream>,
    pub quotas: Vec<sandbox::Quota>,
    pub source: Arc<dyn Source>,
}

/// How much of what all sources share there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caps {
    pub in_flight_bytes: usize,
    /// Instances that read at the same time.
    pub pulls: usize,
    pub pulls_per_tenant: usize,
}

impl Default for Caps {
    fn default() -> Self {
        let pulls = config::most_pulls(sandbox::Settings::default().slots);
        Self { in_flight_bytes: 256 << 20, pulls, pulls_per_tenant: config::PULLS_PER_TENANT }
    }
}

/// A host at work. Dropped, it ends at once, as by [`Running::kill`].
pub struct Running {
    stop: watch::Sender<bool>,
    pipeline: Option<Pipeline>,
    delivery: JoinSet<()>,
    keeper: JoinSet<()>,
    /// What looks after the state of sources that are gone.
    retiring: JoinSet<()>,
    health: Health,
    pub(super) control: Control,
    clock: Clock,
    /// Where the state is, if it is in a folder.
    pub(super) disk: Option<Arc<Disk>>,
    /// Ended with it.
    _owned: (fleet::Owned, replay::Owned),
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
        let caps = Caps { in_flight_bytes, ..Caps::default() };
        Self::assemble(sources, sinks, storage, caps, outside, drain, true)
    }

    /// Without workers, unless it `collects`.
    pub(crate) fn assemble(
        sources: Vec<Ready>,
        sinks: Vec<Attached>,
        storage: Arc<dyn Storage>,
        caps: Caps,
        outside: Outside,
        drain: Duration,
        collects: bool,
    ) -> Self {
        let Outside { clock, random, .. } = outside;
        let health = Health::new(clock);
        let (lines, committer) = committer(Arc::clone(&storage), random.fork(), health.clone());
        let (pipeline, tasks) = Pipeline::new(lines, sinks, &health, clock, &random);
        let mut delivery = JoinSet::new();
        delivery.spawn(committer.run());
        for task in tasks {
            delivery.spawn(task.run());
        }
        let (stop, stopped) = watch::channel(false);
        let taps = pipeline.taps();
        let (board, refused) = (Board::new(health.clone()), Arc::new(Notify::new()));
        let (memory, memory_bytes) = (host_memory(caps.in_flight_bytes), caps.in_flight_bytes);
        let turns = Fair::new(caps.pulls, Rule::Each(caps.pulls_per_tenant));
        let around = Surroundings {
            clock,
            random: random.fork(),
            storage: Arc::clone(&storage),
            turns,
            stop: stopped.clone(),
            repeats: Arc::default(),
        };
        let replays = Replays::new(replay::Ground {
            sources: Default::default(),
            pipeline: pipeline.clone(),
            memory: memory.clone(),
            memory_bytes,
            around: around.clone(),
        });
        let vitals = Arc::new(Vitals::new(memory.clone(), memory_bytes));
        let fleet = Fleet::new(Ground {
            around,
            pipeline: pipeline.clone(),
            memory,
            memory_bytes,
            board: board.clone(),
            health: health.clone(),
            refused: Arc::clone(&refused),
            replays: replays.clone(),
            collects,
        });
        fleet.put(sources);
        let owned = (fleet::Owned(fleet.clone()), replay::Owned(replays.clone()));
        let told = health.clone();
        let (misconfigured, wanted) = Default::default();
        let control = Control {
            fleet,
            board,
            sinks: pipeline.board(),
            replays,
            refused,
            health: told,
            misconfigured,
            taps,
            clock,
            stop: stopped,
            wanted,
            vitals,
        };
        let mut keeper = JoinSet::new();
        keeper.spawn(Keeper::new(health.clone(), storage, random.fork()).run());
        let pipeline = Some(pipeline);
        let retiring = JoinSet::new();
        Self { stop, pipeline, delivery, keeper, retiring, health, control, clock, disk: None, _owned: owned, drain }
    }

    /// With its state in this folder.
    pub(super) fn stored_in(self, disk: Arc<Disk>) -> Self {
        Self { disk: Some(disk), ..self }
    }

    /// Drops the state of sources that `config` has not, and no later one has, when it was kept long enough.
    pub(super) fn retire_daily(&mut self, config: &Config) {
        self.control.wanted.set(config);
        if let Some(disk) = self.disk.clone() {
            self.retiring.spawn(retire::daily(self.control.wanted.clone(), disk, self.clock));
        }
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

    /// Where the state is, if it is in a folder.
    pub fn disk(&self) -> Option<Arc<Disk>> {
        self.disk.clone()
    }

    /// What the local socket answers from. It keeps the store open.
    pub fn api(&self) -> Api {
        Api::new(self.control(), self.clock, self.disk.clone())
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
            self.control.fleet.end().await;
            // The workers' routes are gone; without this one the sinks see the end of their queues, and then the
            // committer that of its own.
            self.pipeline = None;
            while self.delivery.join_next().await.is_some() {}
            self.control.taps.close();
            self.health.close();
            while self.keeper.join_next().await.is_some() {}
        };
        let drained = timeout_at(deadline, drained).await.is_ok();
        // It holds the store.
        self.retiring.shutdown().await;
        drained
    }

    /// Ends at once. Positions stay where they were stored.
    pub async fn kill(mut self) {
        self.control.replays.kill().await;
        self.control.fleet.kill().await;
        self.delivery.shutdown().await;
        self.control.taps.close();
        self.health.close();
        self.keeper.shutdown().await;
        self.retiring.shutdown().await;
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("streams", &self.control.board.len()).finish_non_exhaustive()
    }
}
