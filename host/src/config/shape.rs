//! What a configuration is, once it has been read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use super::api::ApiOptions;
use super::components::ComponentOptions;
use super::interpolate::join;
use super::metrics::MetricsOptions;
use super::network::NetworkSettings;
use super::problem::{Problem, is_within};
use super::sinks::Sink;
use crate::rules::Rules;
use crate::sandbox::Limits;

/// The `type` of a source that the embedded component runs.
pub const EMBEDDED_SOURCE: &str = "mimecast";

/// The source of what the host says about itself: an id that no configured source may have.
pub const HEALTH: &str = "health";

/// A whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where positions, ledgers, seen ids and dead letters are kept.
    pub data_dir: PathBuf,
    /// What may be between pull and acknowledgement in the whole host, in bytes.
    pub max_in_flight_bytes: usize,
    /// What the dead letters of all sources may take on disk, in bytes. When they have reached it, positions stand still.
    pub max_dead_letter_bytes: u64,
    /// Streams of all sources that are read at the same time.
    pub max_concurrent_pulls: usize,
    /// The same of one tenant.
    pub max_concurrent_pulls_per_tenant: usize,
    /// Components that are not built in, by name: the `type` of the sources that they run.
    pub components: BTreeMap<String, ComponentOptions>,
    /// Those that the file names, and those that templates make.
    pub sources: BTreeMap<String, Source>,
    /// The files of the sources that were made by a template.
    pub files: BTreeMap<String, PathBuf>,
    /// What these sources have of their templates alone.
    pub inherited: BTreeMap<String, Inherited>,
    /// Files in the folders of templates from which no source could be made. The others are not touched by that.
    pub refused: Vec<RefusedFile>,
    pub sinks: BTreeMap<String, Sink>,
    pub metrics: MetricsOptions,
    /// Where it answers while it runs.
    pub api: ApiOptions,
}

impl Config {
    /// Whether the operator wants `source`, though something may be wrong with it.
    pub fn keeps(&self, source: &str) -> bool {
        self.sources.contains_key(source) || self.refused.iter().any(|file| file.id == source)
    }

    /// What was found in the table of `source`, with the place where it is to be mended.
    pub fn placed(&self, source: &str, problem: Problem) -> Problem {
        match (self.inherited.get(source), self.files.get(source)) {
            (Some(inherited), Some(file)) => inherited.placed(problem, file),
            (None, Some(file)) => problem.in_file(file),
            (_, None) => problem.within(&join("sources", source)),
        }
    }

    /// The template, as `templates.<name>`, that gives what is at `path` in the table of `source`. `None` where the source's
    /// own table or file has it, or nobody.
    pub fn template_of(&self, source: &str, path: &str) -> Option<&str> {
        self.inherited.get(source).filter(|inherited| inherited.gives(path)).map(|inherited| &*inherited.template)
    }
}

/// What a source has of a template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inherited {
    /// `templates.<name>`.
    pub template: String,
    /// The paths of what its file has not: a key, or one of a table that both have.
    pub keys: BTreeSet<String>,
}

impl Inherited {
    /// Whether what is at `path` is the template's.
    pub(super) fn gives(&self, path: &str) -> bool {
        self.keys.iter().any(|key| is_within(path, key))
    }

    /// What was found in the source's table, with the place where it is to be mended: the template, or `file`.
    pub(super) fn placed(&self, problem: Problem, file: &Path) -> Problem {
        match self.gives(&problem.path) {
            true => problem.within(&self.template),
            false => problem.in_file(file),
        }
    }
}

/// A file that was to be a source, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedFile {
    /// Of the source that it would be.
    pub id: String,
    pub file: PathBuf,
    pub problems: Vec<Problem>,
}

impl RefusedFile {
    /// `problems` say where in the file they are.
    pub(super) fn new(id: String, file: PathBuf, problems: Vec<Problem>) -> Self {
        let problems = problems.into_iter().map(|problem| problem.in_file(&file)).collect();
        Self { id, file, problems }
    }
}

/// Streams that may be read at the same time where there are so many places for instances: some are left for what is not
/// a pull.
pub const fn most_pulls(slots: u32) -> usize {
    (slots - slots / 8) as usize
}

/// Streams of one tenant that are read at the same time, unless the operator says otherwise.
pub const PULLS_PER_TENANT: usize = 4;

/// One source: one tenant's account with one vendor.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub id: String,
    /// Which component runs it.
    pub kind: String,
    /// Whose events these are: part of every event's identity, and of where files go.
    pub tenant: String,
    /// What the component is given.
    pub settings: Settings,
    /// How much of each of the vendor's quotas may be spent, more than 0 and at most 1.
    pub quota_share: f64,
    /// The vendor's limits where this account's are not those that the component knows, by name.
    pub quotas: BTreeMap<String, QuotaLimit>,
    /// For how long a passing fault is retried before the stream is in error.
    pub retry_for: Duration,
    /// Where to go on when the vendor no longer knows the position.
    pub on_position_lost: OnPositionLost,
    /// What may be between pull and acknowledgement in one stream, in bytes.
    pub max_in_flight_bytes: usize,
    /// What each of its instances may use.
    pub limits: Limits,
    /// Which hosts it may reach, and how.
    pub network: NetworkSettings,
    /// In which each alert passes once to the sinks that take alerts alone.
    pub alert_window: Duration,
    /// What is done with its events before any sink gets them.
    pub rules: Rules,
}

impl Source {
    /// Whether the operator has named the streams to collect, by the key that the contract reserves for that. Otherwise all
    /// are collected that the account has a right to, and one without it is no error.
    pub fn names_streams(&self) -> bool {
        self.settings.collect().is_some()
    }

    /// What the operator has named there: names of streams, and words of the source's for several.
    pub fn named_streams(&self) -> BTreeSet<String> {
        let names = match self.settings.collect() {
            Some(serde_json::Value::Array(names)) => names,
            Some(name) => vec![name],
            None => Vec::new(),
        };
        names.iter().filter_map(serde_json::Value::as_str).map(|name| name.trim().to_owned()).collect()
    }
}

/// The vendor answers so many requests in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLimit {
    pub requests: u32,
    pub window: Duration,
}

/// Where a stream goes on after its position was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnPositionLost {
    /// At the oldest that the vendor still has.
    #[default]
    Oldest,
    /// At the present: what lies between is a gap.
    Now,
    /// Nowhere, until the operator decides.
    Stop,
}

/// A source's own configuration, as JSON text. Any of it may be a secret, so it shows itself to nobody who does not ask,
/// and its memory is wiped after the last use.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings(Arc<Zeroizing<String>>);

impl Settings {
    pub fn new(json: impl Into<String>) -> Self {
        Settings(Arc::new(Zeroizing::new(json.into())))
    }

    /// The text of `tree`.
    pub fn of(tree: &serde_json::Value) -> Self {
        // As long as it will be: what grows leaves copies behind.
        let mut length = Length(0);
        // Neither a count nor a vector fails, and a tree's keys are texts.
        let _ = serde_json::to_writer(&mut length, tree);
        let mut text = Vec::with_capacity(length.0);
        let _ = serde_json::to_writer(&mut text, tree);
        Self::new(String::from_utf8(text).unwrap_or_default())
    }

    /// Which streams the operator wants. Nothing else of the text is copied.
    fn collect(&self) -> Option<serde_json::Value> {
        #[derive(Deserialize)]
        struct Streams {
            collect: Option<serde_json::Value>,
        }
        serde_json::from_str(&self.0).ok().and_then(|streams: Streams| streams.collect)
    }

    /// The JSON text. Hand it to the component and to nothing else.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

/// Counts what is written.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settings(hidden)")
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("hidden")
    }
}

/// The output of a source that has the first event of each of its alerts, and no others.
pub(crate) const ALERTS: &str = "alerts";

/// An input's source, and the output that it names.
pub(crate) fn split(input: &str) -> (&str, Option<&str>) {
    match input.rsplit_once('.') {
        Some((source, output)) => (source, Some(output)),
        None => (input, None),
    }
}

/// Whether a sink with these inputs takes anything of the source `id`.
pub(crate) fn takes(inputs: &[String], id: &str) -> bool {
    inputs.iter().any(|input| glob(split(input).0, id))
}

/// Whether a sink with these inputs takes of the source `id` only the first event of each alert.
pub(crate) fn takes_alerts_alone(inputs: &[String], id: &str) -> bool {
    inputs.iter().map(|input| split(input)).filter(|(source, _)| glob(source, id)).all(|(_, output)| output.is_some())
}

/// Whether a sink with these inputs takes the host's health events: one of them fits the word, and is more than `*`, which
/// stands for all sources that are configured.
pub(crate) fn takes_health(inputs: &[String]) -> bool {
    inputs.iter().any(|input| input.contains(|c| c != '*') && glob(input, HEALTH))
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters, also none.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "acme"),
            ("acme", "acme"),
            ("acme-*", "acme-eu"),
            ("*-eu", "acme-eu"),
            ("a*e*u", "acme-eu"),
            ("a**", "a"),
        ] {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("acme", "acme2"), ("acme-*", "acme"), ("*-eu", "acme-us"), ("a*b*c", "acb"), ("ab*ba", "aba"), ("", "a")]
        {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn health_must_be_asked_for() {
        let takes = |inputs: &[&str]| takes_health(&inputs.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(takes(&["health"]) && takes(&["acme", "h*"]) && takes(&["*", "health"]) && takes(&["*th"]));
        assert!(
            !takes(&["*"]) && !takes(&["**"]) && !takes(&["acme"]) && !takes(&[""]) && !takes(&["health2", "healt"])
        );
    }

    #[test]
    fn streams_are_named_one_by_one() {
        let named = |settings: &str| {
            let settings = Settings::new(settings);
            let (id, kind, tenant) = ("a".to_owned(), "k".to_owned(), "t".to_owned());
            let source = Source {
                id,
                kind,
                tenant,
                settings,
                quota_share: 1.0,
                quotas: BTreeMap::new(),
                retry_for: Duration::ZERO,
                on_position_lost: OnPositionLost::Oldest,
                max_in_flight_bytes: 1,
                limits: Limits::default(),
                network: NetworkSettings::default(),
                alert_window: Duration::from_secs(1),
                rules: Rules::default(),
            };
            source.named_streams().into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(named(r#"{"collect":["dlp"," siem/av"]}"#), "dlp siem/av");
        assert_eq!(named(r#"{"collect":"siem/av"}"#), "siem/av");
        assert_eq!(named(r#"{"collect":null}"#) + &named("{}"), "");
    }

    #[test]
    fn settings_show_nothing() {
        let settings = Settings::new(r#"{"client_secret":"hunter2"}"#);
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(!serde_json::to_string(&settings).unwrap().contains("hunter2"));
        assert!(settings.as_json().contains("hunter2"));
    }
}
