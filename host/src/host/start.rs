//! From a configuration to a host at work.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::running::Caps;
use super::unknown::{Known, unknown_names};
use super::{Host, Options, Planned, Ready, Running, SourceError, StartError, Wrong, retire};
use crate::config::{self, Config};
use crate::deliver::{Attached, Disk, Storage};
use crate::sinks;

impl Host {
    /// Starts collecting everything that `config` selects.
    ///
    /// # Errors
    /// When anything is wrong that the operator has to mend first; nothing was fetched then.
    pub async fn start(config: &Config, options: Options) -> Result<Running, StartError> {
        Self::load(options.with_room_for(config))?.with_components(config).await.collect(config).await
    }

    /// The same, with this component.
    ///
    /// # Errors
    /// As [`Host::start`].
    pub async fn collect(self, config: &Config) -> Result<Running, StartError> {
        let (mut planned, mut errors, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        let taken = |id: &str| config.sinks.values().any(|sink| sink.takes(id));
        for plan in self.plan_all(config.sources.values().filter(|source| taken(&source.id)).cloned().collect()).await {
            match plan {
                Ok(plan) => planned.push(plan),
                // A customer's file harms its customer only.
                Err(error) if config.files.contains_key(&error.id) => wrong.push(Wrong::source(&error, config)),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(StartError::Sources(errors));
        }
        let known: Vec<Known> = planned.iter().map(Known::of).collect();
        unknown_names(config, &known).iter().for_each(|problem| tracing::warn!("{problem}"));
        let disk = Disk::open(&config.data_dir, config.max_dead_letter_bytes)?;
        let now = self.now_ms();
        retire::tell(&disk.store.retire(|source| config.keeps(source), now)?, now);
        let mut running = self.assemble(config, planned, disk, true)?;
        running.retire_daily(config);
        wrong.extend(config.refused.iter().map(Wrong::file));
        Wrong::log(&running.control.note_misconfigured(wrong), |_| false);
        Ok(running)
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
            let built = sinks::build(sink, &host.options.outside)
                .map_err(|error| StartError::Sink { id: sink.id.clone(), error })?;
            attached.push(Attached {
                id: sink.id.clone(),
                inputs: sink.inputs.clone(),
                acknowledgements: sink.acknowledgements,
                max_refused_share: sink.max_refused_share,
                only: sink.only.clone(),
                rules: sink.rules.clone(),
                sink: built,
            });
        }
        let sources = planned.into_iter().map(|planned| host.ready(planned)).collect();
        let most = config::most_pulls(host.options.sandbox.slots);
        let caps = Caps {
            in_flight_bytes: config.max_in_flight_bytes,
            pulls: config.max_concurrent_pulls.min(most),
            pulls_per_tenant: config.max_concurrent_pulls_per_tenant,
        };
        let Options { outside, drain, .. } = host.options;
        let disk = Arc::new(disk);
        let storage = Arc::clone(&disk) as Arc<dyn Storage>;
        let running = Running::assemble(sources, attached, storage, caps, outside, drain, collects);
        let types = config.sinks.values().map(|sink| (sink.id.clone(), sink.kind.name()));
        running.control.vitals.know_sinks(types.collect());
        running.control.vitals.tell_tenants_apart(config.metrics.tenant_labels);
        Ok(running.stored_in(disk))
    }

    /// What is put to work of a source whose configuration is accepted.
    pub(crate) fn ready(&self, planned: Planned) -> Ready {
        Ready {
            config: planned.config,
            streams: planned.plan.streams,
            quotas: planned.source.component.descriptor().quotas.clone(),
            source: planned.source,
        }
    }

    /// Asks the component about each of `sources`, and gives its answers in their order.
    pub(crate) async fn plan_all(&self, sources: Vec<config::Source>) -> Vec<Result<Planned, SourceError>> {
        let mut answers = Vec::with_capacity(sources.len());
        let mut sources = sources.into_iter().enumerate().peekable();
        while sources.peek().is_some() {
            let mut asked = JoinSet::new();
            for (number, source) in sources.by_ref().take(PLANNED_AT_ONCE) {
                let host = self.clone();
                asked.spawn(async move { (number, host.plan(&source).await) });
            }
            let mut some = asked.join_all().await;
            some.sort_unstable_by_key(|(number, _)| *number);
            answers.extend(some.into_iter().map(|(_, answer)| answer));
        }
        answers
    }
}

/// Sources that are planned at the same time: each takes an instance for a fraction of a millisecond.
const PLANNED_AT_ONCE: usize = 16;
