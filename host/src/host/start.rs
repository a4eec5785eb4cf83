//! From a configuration to a host at work.

use std::sync::Arc;
use std::time::Duration;

use super::{Host, Options, Planned, Ready, Running, StartError};
use crate::config::{self, Config};
use crate::deliver::{Attached, Disk, Storage};
use crate::sinks;
use crate::state::{KEPT, Retired};

impl Host {
    /// Starts collecting everything that `config` selects.
    ///
    /// # Errors
    /// When anything is wrong that the operator has to mend first; nothing was fetched then.
    pub async fn start(config: &Config, options: Options) -> Result<Running, StartError> {
        Self::load(options).await?.with_components(config).await.collect(config).await
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
                quotas: planned.source.component.descriptor().quotas.clone(),
                source: planned.source,
            })
            .collect();
        let Options { outside, drain, .. } = host.options;
        let disk = Arc::new(disk);
        let storage = Arc::clone(&disk) as Arc<dyn Storage>;
        let bytes = config.max_in_flight_bytes;
        let running = Running::assemble(sources, attached, storage, bytes, outside, drain, collects);
        running.control.replays.keep_in(&disk);
        Ok(running.stored_in(disk))
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
