//! How a source reaches its vendor: which hosts it may reach, TLS, proxies, time-outs. Each key stands in the source's own table or at the
//! top, for all sources.
//!
//! ```toml
//! [sources.acme]
//! egress.allow_private = ["10.0.0.0/8"]
//! tls.ca_file = "/etc/tributary/ca.pem"
//! proxy.https = "http://user:password@proxy.example:3128"
//! timeouts.first_byte_secs = 120
//! ```

mod egress;
mod proxy;
#[cfg(test)]
mod tests;
mod timeouts;
mod tls;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::declaration::{Group, Key, choice, table};
use super::files::Files;
use super::interpolate::{join, wipe};
use super::problem::{Problem, Step};
use super::section::Section;
use crate::sandbox::EgressSettings;
use egress::Egress;
pub use proxy::{ProxyAddress, ProxySettings};
pub use timeouts::TimeoutSettings;
pub use tls::SERVER_TLS;
pub use tls::{Authorities, Identity, Protocol, TlsSettings, TlsVersion};

/// Those of the top and of sources.
pub static SOURCE_KEYS: Group = Group::shared(
    "How vendors are reached",
    &[
        table("egress", &egress::EGRESS),
        choice(
            "egress_mode",
            &["enforce", "report"],
            Some("enforce"),
            "Whether what a component may not reach is refused, or only counted and logged.",
        ),
        TLS,
        PROXY,
        TIMEOUTS,
    ],
);

/// Those of sinks that connect to something.
pub const TLS: Key = table("tls", &tls::TLS);
pub const PROXY: Key = table("proxy", &proxy::PROXY);
pub const TIMEOUTS: Key = table("timeouts", &timeouts::TIMEOUTS);

/// How one source reaches its vendor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkSettings {
    pub egress: EgressSettings,
    pub tls: TlsSettings,
    pub proxy: ProxySettings,
    pub timeouts: TimeoutSettings,
}

/// What stands at the top, for all sources, and what reading their settings gives beside them.
#[derive(Default)]
pub struct Networks {
    egress: Egress,
    tls: Inherited<TlsSettings>,
    proxy: Inherited<ProxySettings>,
    timeouts: Inherited<TimeoutSettings>,
    reader: RefCell<Reader>,
}

/// A table at the top. A source's table of the same name adds to it, key by key. What stands in it may be secret.
#[derive(Default)]
struct Inherited<T> {
    table: Map<String, Value>,
    read: T,
}

/// What the settings of sources have in common, so that ten thousand of them hold it once.
#[derive(Default)]
struct Reader {
    authorities: BTreeMap<PathBuf, Arc<Authorities>>,
    files: Files,
    warnings: Vec<Problem>,
}

impl Networks {
    /// Takes the keys that stand at the top.
    pub fn new(top: &mut Section<'_>, files: &mut Files) -> Self {
        let reader = RefCell::new(Reader { files: std::mem::take(files), ..Reader::default() });
        let egress = Egress::take(top, &reader);
        let tls = Inherited::take("tls", top, |section| tls::read(section, &reader));
        let proxy = Inherited::take("proxy", top, proxy::read);
        let timeouts = Inherited::take("timeouts", top, timeouts::read);
        Self { egress, tls, proxy, timeouts, reader }
    }

    /// Takes the keys that stand in a source's table.
    pub fn source(&self, source: &mut Section<'_>) -> NetworkSettings {
        NetworkSettings {
            egress: Egress::take(source, &self.reader).over(&self.egress),
            tls: self.tls.source("tls", source, |section| tls::read(section, &self.reader)),
            proxy: self.proxy.source("proxy", source, proxy::read),
            timeouts: self.timeouts.source("timeouts", source, timeouts::read),
        }
    }

    /// Takes those that stand in the table of a sink that has a client. It reaches whatever the operator names.
    pub fn sink(&self, sink: &mut Section<'_>) -> NetworkSettings {
        NetworkSettings {
            egress: EgressSettings::default(),
            tls: self.tls.source("tls", sink, |section| tls::read(section, &self.reader)),
            proxy: self.proxy.source("proxy", sink, proxy::read),
            timeouts: self.timeouts.source("timeouts", sink, timeouts::read),
        }
    }

    /// The same of a sink that speaks no HTTP.
    pub fn sink_without_proxy(&self, sink: &mut Section<'_>) -> NetworkSettings {
        NetworkSettings {
            tls: self.tls.source("tls", sink, |section| tls::read(section, &self.reader)),
            timeouts: self.timeouts.source("timeouts", sink, timeouts::read),
            ..NetworkSettings::default()
        }
    }

    /// Adds to a sink's own `tls` table those of `keys` that stand at the top. It needs a table for that: whoever writes
    /// none wants no TLS.
    pub fn inherit_tls(&self, sink: &mut Section<'_>, keys: &[&str]) {
        let mut table = self.tls.table.clone();
        table.retain(|key, _| keys.contains(&key.as_str()));
        sink.inherit("tls", &table);
        table.values_mut().for_each(wipe);
    }

    /// Whether `key` stands in the `tls` table at the top.
    pub fn has_tls(&self, key: &str) -> bool {
        self.tls.table.contains_key(key)
    }

    /// What the table `tls` of a server says that it is. What is wrong is said.
    pub fn identity(&self, tls: Section<'_>) -> Option<Arc<Identity>> {
        tls::server(tls, &self.reader)
    }

    /// Warns of what stands under `key` of a table.
    pub fn warn(&self, table: &Section<'_>, key: &str, message: impl Into<String>, hint: &str) {
        self.reader.borrow_mut().warn(table, key, message, hint);
    }

    /// Warns of a time-out that the call's own time without anything new, `wall`, comes before. `path` is the source's.
    pub fn judge_wall(&self, path: &str, timeouts: &TimeoutSettings, wall: Duration) {
        let TimeoutSettings { connect, first_byte, idle } = *timeouts;
        for (key, time) in [("connect_secs", connect), ("first_byte_secs", first_byte), ("idle_secs", idle)] {
            if time > wall {
                let message = format!(
                    "a call that waits is ended after {} s, so {} s are never reached",
                    wall.as_secs(),
                    time.as_secs()
                );
                let problem = Problem::new(Step::Sources, join(&join(path, "timeouts"), key), message);
                self.reader.borrow_mut().warnings.push(problem.hint("Raise limits.wall_secs above it, or shorten it"));
            }
        }
    }

    /// Gives what is suspicious, and has not been given yet.
    pub fn warnings(&self) -> Vec<Problem> {
        std::mem::take(&mut self.reader.borrow_mut().warnings)
    }

    /// The same in the end, and all files that were looked at.
    pub fn close(self, warnings: &mut Vec<Problem>, files: &mut Files) {
        let mut reader = self.reader.into_inner();
        warnings.append(&mut reader.warnings);
        *files = reader.files;
    }
}

impl<T> Drop for Inherited<T> {
    fn drop(&mut self) {
        self.table.values_mut().for_each(wipe);
    }
}

impl<T: Clone + Default> Inherited<T> {
    fn take(key: &'static str, top: &mut Section<'_>, read: impl Fn(Section<'_>) -> T) -> Self {
        let table = top.peek(key).and_then(Value::as_object).cloned().unwrap_or_default();
        let mut inherited = Self { table, read: T::default() };
        let before = top.problems();
        let read = top.table(key).map(read);
        match read {
            // What is wrong is said once, not again for each source.
            Some(read) if top.problems() == before => inherited.read = read,
            _ => inherited = Self::default(),
        }
        inherited
    }

    fn source(&self, key: &'static str, source: &mut Section<'_>, read: impl Fn(Section<'_>) -> T) -> T {
        if source.peek(key).is_none() {
            return self.read.clone();
        }
        source.inherit(key, &self.table);
        source.table(key).map(read).unwrap_or_default()
    }
}

/// Where a proxy's password is written out in a configuration that is not filled in yet.
pub(super) fn password_written_out(tree: &Value) -> Option<String> {
    let tables = ["sources", "sinks"].into_iter().filter_map(|kind| Some((kind, tree.get(kind)?.as_object()?)));
    let own = tables.flat_map(|(kind, tables)| tables.iter().map(move |(id, table)| (join(kind, id), table)));
    std::iter::once((String::new(), tree)).chain(own).find_map(|(path, place)| {
        let proxies = place.get("proxy")?.as_object()?.iter();
        let mut proxies = proxies.filter_map(|(key, address)| Some((key, address.as_str()?)));
        let (key, _) = proxies.find(|(_, address)| {
            let credentials = address.rsplit_once('@').map_or("", |(credentials, _)| credentials);
            !credentials.is_empty() && !credentials.contains("${") && !credentials.contains("SECRET[")
        })?;
        Some(join(&join(&path, "proxy"), key))
    })
}

impl Reader {
    fn warn(&mut self, section: &Section<'_>, key: &str, message: impl Into<String>, hint: &str) {
        self.warnings.push(Problem::new(section.step(), join(section.path(), key), message).hint(hint));
    }
}
