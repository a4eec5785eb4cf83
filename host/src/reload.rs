//! Another configuration while the host runs: what of it takes effect at once, and what needs a restart.

use std::fmt;
use std::sync::Arc;

use crate::collect::StreamState;
use crate::config::{self, Config, Problem};
use crate::deliver::Disk;
use crate::host::{Wrong, retire};
use crate::{Control, Host, SourceError};

/// Gives a host that runs another configuration.
pub struct Reloader {
    host: Host,
    control: Control,
    /// As it runs: what was refused or needs a restart is as before.
    running: Config,
    /// What was outside of the sources the last time, and what of it needed a restart.
    seen: Config,
    told: Vec<String>,
    /// Where the state is of sources that go.
    disk: Option<Arc<Disk>>,
}

/// What became of a new configuration.
#[derive(Debug, Default)]
pub struct Reloaded {
    /// Sources that are new, and run.
    pub added: Vec<String>,
    /// Sources that are no longer configured. What was read of them is delivered, and their state is kept.
    pub removed: Vec<String>,
    /// Sources that go on with new settings.
    pub changed: Vec<String>,
    /// Sources whose new settings their component refuses; they go on with the old ones, if they ran.
    pub refused: Vec<SourceError>,
    /// Files of customers from which no source can be made; one that ran goes on with its old settings.
    pub refused_files: usize,
    /// Whether something is wrong with the configuration itself or with a template: not with the files of customers alone.
    pub is_wrong: bool,
    /// What takes effect at the next start of the process, with the reason; it goes on as before.
    pub restart: Vec<String>,
    /// Of these, what was not so before, or is another since then: a secret that is exchanged twice is worth a word twice.
    pub restart_news: Vec<String>,
    /// Of what is refused, by the component or as a file, what was not so before: the source, and why.
    pub news: Vec<(String, String)>,
}

impl Reloaded {
    /// How many sources are refused, by their component or as a file.
    pub fn refused(&self) -> usize {
        self.refused.len() + self.refused_files
    }
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, removed, changed, restart, .. } = self;
        write!(
            f,
            "sources added: {}, removed: {}, changed: {}, refused: {}; changes that need a restart: {}",
            added.len(),
            removed.len(),
            changed.len(),
            self.refused(),
            restart.len()
        )
    }
}

/// Whether what is wrong with a source stands in its own file, and not in a template or the configuration itself.
fn is_of_file(error: &SourceError, config: &Config) -> bool {
    let of_template = |problem: Problem| config.template_of(&error.id, &problem.path).is_some();
    config.files.contains_key(&error.id) && !error.problems().into_iter().any(of_template)
}

impl Reloader {
    /// For the host that `control` speaks to, which `host` has started with `running`.
    pub fn new(host: Host, control: Control, running: Config) -> Self {
        let (seen, told) = (without_sources(&running), Vec::new());
        Self { host, control, running, seen, told, disk: None }
    }

    /// With the state of sources that go looked after.
    #[must_use]
    pub fn with_state(self, disk: Option<Arc<Disk>>) -> Self {
        Self { disk, ..self }
    }

    /// Notes that the configuration was read again, and whether it could be taken over: for metrics.
    pub fn note(&self, well: bool) {
        self.control.vitals.reloaded(well, self.host.now_ms());
    }

    /// Takes over what of `new` can change while the host runs: its sources. Those that are not touched do not notice;
    /// the streams of one that changed begin anew behind the last chunk pulled. A source with a file that cannot be read
    /// goes on as it was.
    pub async fn apply(&mut self, new: &Config) -> Reloaded {
        let (restart, restart_news) = self.fixed(new);
        let mut result = Reloaded { restart, restart_news, ..Reloaded::default() };
        let gone: Vec<String> = self.running.sources.keys().filter(|id| !new.keeps(id)).cloned().collect();
        for id in gone {
            self.running.sources.remove(&id);
            if self.control.fleet.remove(&id).await {
                result.removed.push(id);
            }
        }
        let fleet = &self.control.fleet;
        let is_new = |id: &String| fleet.account(id).is_none() && fleet.is_wanted(id);
        let differs =
            |id: &String, source: &config::Source| self.running.sources.get(id).is_none_or(|old| old != source);
        let asked = new.sources.iter().filter(|(id, source)| differs(id, source) || is_new(id));
        let asked: Vec<_> = asked.filter(|(id, _)| fleet.is_wanted(id)).map(|(_, source)| source.clone()).collect();
        let mut begin = Vec::new();
        for planned in self.host.plan_all(asked).await {
            match planned {
                Ok(planned) => {
                    let (id, config) = (planned.config.id.clone(), planned.config.clone());
                    let ready = self.host.ready(planned);
                    if fleet.account(&id).is_some() {
                        fleet.change(ready).await;
                        result.changed.push(id.clone());
                    } else {
                        begin.push(ready);
                        result.added.push(id.clone());
                    }
                    self.running.sources.insert(id, config);
                }
                Err(error) => result.refused.push(error),
            }
        }
        fleet.put(begin);
        result.refused_files = new.refused.len();
        result.is_wrong = result.refused.iter().any(|error| !is_of_file(error, new));
        result.news = self.note_wrong(new, &result.refused);
        self.control.wanted.set(new);
        if !(result.added.is_empty() && result.removed.is_empty()) {
            self.retire().await;
        }
        result
    }

    fn note_wrong(&self, new: &Config, refused: &[SourceError]) -> Vec<(String, String)> {
        let files = new.refused.iter().map(Wrong::file);
        let wrong = files.chain(refused.iter().map(|error| Wrong::source(error, new)));
        let news = self.control.note_misconfigured(wrong.collect());
        Wrong::log(&news, |id| self.control.fleet.account(id).is_some());
        news.into_iter().map(|wrong| (wrong.id, wrong.why)).collect()
    }

    /// Notes in the state which sources are gone, and which are back.
    async fn retire(&self) {
        let (Some(disk), now) = (&self.disk, self.host.now_ms()) else { return };
        match self.control.wanted.retire(disk, now).await {
            Ok(retired) => retire::tell(&retired, now),
            // It is noted at the next change, or tomorrow.
            Err(error) => tracing::warn!("which sources are no longer configured cannot be noted: {error}"),
        }
    }

    /// Wakes the sources of which a stream stands still or is in error, and gives their ids.
    pub fn retry(&self) -> Vec<String> {
        let troubled = |state| matches!(state, StreamState::Error | StreamState::NotLicensed | StreamState::Stopped);
        let status = self.control.status();
        let mut ids: Vec<_> =
            status.iter().filter(|stream| troubled(stream.state)).map(|stream| &stream.source).collect();
        ids.dedup();
        ids.into_iter().filter(|id| self.control.restart(id)).map(ToString::to_string).collect()
    }

    /// What needs a restart, and what of it is news.
    fn fixed(&mut self, new: &Config) -> (Vec<String>, Vec<String>) {
        let mut restart = differences(&self.running, new);
        for (id, source) in &new.sources {
            // The pool of instances was made for the largest at the start.
            if !self.host.has_room_for(&source.limits) {
                restart.push(format!("sources.{id}.limits (memory_bytes, table_elements)"));
            }
        }
        let since = differences(&self.seen, new);
        let is_news = |what: &&String| since.contains(what) || !self.told.contains(what);
        let news = restart.iter().filter(is_news).cloned().collect();
        self.seen = without_sources(new);
        self.told.clone_from(&restart);
        (restart, news)
    }
}

/// What differs outside of the sources, and cannot change while the host runs.
fn differences(old: &Config, new: &Config) -> Vec<String> {
    let mut differs = Vec::new();
    let mut compare = |key: &str, same: bool| {
        if !same {
            differs.push(key.to_owned());
        }
    };
    compare("data_dir", old.data_dir == new.data_dir);
    compare("max_in_flight_bytes", old.max_in_flight_bytes == new.max_in_flight_bytes);
    compare("max_dead_letter_bytes", old.max_dead_letter_bytes == new.max_dead_letter_bytes);
    compare("metrics", old.metrics == new.metrics);
    compare("max_concurrent_pulls", old.max_concurrent_pulls == new.max_concurrent_pulls);
    compare(
        "max_concurrent_pulls_per_tenant",
        old.max_concurrent_pulls_per_tenant == new.max_concurrent_pulls_per_tenant,
    );
    compare("api (all but token and the files of tls)", old.api.answers_alike(&new.api));
    for name in old.components.keys().chain(new.components.keys().filter(|name| !old.components.contains_key(*name))) {
        compare(&format!("components.{name}"), old.components.get(name) == new.components.get(name));
    }
    for id in old.sinks.keys().chain(new.sinks.keys().filter(|id| !old.sinks.contains_key(*id))) {
        compare(&format!("sinks.{id}"), old.sinks.get(id) == new.sinks.get(id));
    }
    differs
}

fn without_sources(config: &Config) -> Config {
    let (sources, files, inherited, refused) = Default::default();
    Config {
        data_dir: config.data_dir.clone(),
        components: config.components.clone(),
        sinks: config.sinks.clone(),
        metrics: config.metrics,
        api: config.api.clone(),
        sources,
        files,
        inherited,
        refused,
        ..*config
    }
}
