//! Another configuration while the host runs: what of it takes effect at once, and what needs a restart.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::collect::{Policy, StreamState};
use crate::config::{self, Config};
use crate::{Control, Host, SourceError};

/// Gives a host that runs another configuration.
pub struct Reloader {
    host: Host,
    control: Control,
    /// As it runs: what was refused or needs a restart is as before.
    running: Config,
}

/// What became of a new configuration.
#[derive(Debug, Default)]
pub struct Reloaded {
    /// Sources that go on with new settings.
    pub changed: Vec<String>,
    /// Sources whose new settings their component refuses; they go on with the old ones.
    pub refused: Vec<SourceError>,
    /// What takes effect at the next start of the process, with the reason; it goes on as before.
    pub restart: Vec<String>,
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { changed, refused, restart } = self;
        write!(
            f,
            "{} sources changed, {} refused, {} things need a restart",
            changed.len(),
            refused.len(),
            restart.len()
        )
    }
}

impl Reloader {
    /// For the host that `control` speaks to, which `host` has started with `running`.
    pub fn new(host: Host, control: Control, running: Config) -> Self {
        Self { host, control, running }
    }

    /// Takes over what of `new` can change while the host runs: the settings of its sources, among them their secrets, and
    /// what is done about trouble. The streams of a source that changed begin anew behind the last chunk pulled; others
    /// are not touched.
    pub async fn apply(&mut self, new: &Config) -> Reloaded {
        let mut result = Reloaded { restart: self.fixed(new), ..Reloaded::default() };
        for (id, source) in &new.sources {
            let Some(old) = self.running.sources.get(id).filter(|old| *old != source).cloned() else { continue };
            match self.source(&old, source, &mut result.restart).await {
                Ok(Some(applied)) if applied != old => {
                    result.changed.push(id.clone());
                    self.running.sources.insert(id.clone(), applied);
                }
                Ok(_) => {}
                Err(error) => result.refused.push(error),
            }
        }
        result
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

    /// Goes from `old` to `new` as far as that is possible, and gives what runs then; nothing, if it is not run at all.
    async fn source(
        &self,
        old: &config::Source,
        new: &config::Source,
        restart: &mut Vec<String>,
    ) -> Result<Option<config::Source>, SourceError> {
        let id = &old.id;
        let Some(account) = self.control.accounts.get(id.as_str()) else { return Ok(None) };
        // The tenant is part of each event's identity, and of where files go.
        let later: Vec<&str> = [
            ("type", old.kind == new.kind),
            ("tenant", old.tenant == new.tenant),
            ("quota_share", old.quota_share == new.quota_share),
            ("quotas", old.quotas == new.quotas),
            ("max_in_flight_bytes", old.max_in_flight_bytes == new.max_in_flight_bytes),
        ]
        .into_iter()
        .filter_map(|(key, same)| (!same).then_some(key))
        .collect();
        restart.extend(later.iter().map(|key| format!("sources.{id}.{key}")));
        if later.iter().any(|key| ["type", "tenant"].contains(key)) {
            return Ok(None);
        }
        let policy = Policy { retry_for: new.retry_for, on_position_lost: new.on_position_lost };
        let mut applied =
            config::Source { retry_for: new.retry_for, on_position_lost: new.on_position_lost, ..old.clone() };
        if old.settings == new.settings {
            if account.policy() != policy {
                account.reconfigure(None, policy);
            }
            return Ok(Some(applied));
        }
        let (before, after) = (self.host.plan(old).await?, self.host.plan(new).await?);
        let streams = |streams: &[crate::sandbox::LogStream]| -> BTreeMap<_, _> {
            streams.iter().map(|stream| (stream.name.clone(), stream.clone())).collect()
        };
        let (was, will) = (streams(&before.plan.streams), streams(&after.plan.streams));
        if let Some(gone) = was.keys().find(|name| !will.contains_key(*name)) {
            // Their workers would run against a configuration that does not know them.
            restart.push(format!("sources.{id}: it no longer collects {gone}, so all of it goes on as before"));
            return Ok(None);
        }
        for (name, stream) in &will {
            match was.get(name) {
                None => restart.push(format!("sources.{id}: it collects {name} too")),
                Some(before) if before != stream => restart.push(format!("sources.{id}: {name} at another pace")),
                Some(_) => {}
            }
        }
        applied.settings = new.settings.clone();
        account.reconfigure(Some(Arc::clone(&after.source) as _), policy);
        Ok(Some(applied))
    }

    /// What differs outside the settings of sources.
    fn fixed(&self, new: &Config) -> Vec<String> {
        let old = &self.running;
        let mut differs = Vec::new();
        let mut compare = |key: &str, same: bool| {
            if !same {
                differs.push(key.to_owned());
            }
        };
        compare("data_dir", old.data_dir == new.data_dir);
        compare("max_in_flight_bytes", old.max_in_flight_bytes == new.max_in_flight_bytes);
        compare("max_dead_letter_bytes", old.max_dead_letter_bytes == new.max_dead_letter_bytes);
        for name in old.components.keys().chain(new.components.keys()) {
            compare(&format!("components.{name}"), old.components.get(name) == new.components.get(name));
        }
        for id in old.sinks.keys().chain(new.sinks.keys().filter(|id| !old.sinks.contains_key(*id))) {
            compare(&format!("sinks.{id}"), old.sinks.get(id) == new.sinks.get(id));
        }
        for id in old.sources.keys().chain(new.sources.keys()) {
            compare(&format!("sources.{id}"), old.sources.contains_key(id) == new.sources.contains_key(id));
        }
        differs
    }
}
