//! The sinks of a configuration: what all have in common here, and one file for what each type has of its own.

mod auth;
#[cfg(test)]
mod broker_tests;
mod client;
mod elasticsearch;
mod file;
mod http;
mod kafka;
mod nats;
mod object_store;
mod otlp;
mod overlap;
mod route;
mod shared;
mod splunk_hec;
mod sumo;
mod syslog;
mod templated;
#[cfg(test)]
mod tests;
mod values;
mod written_out;

use serde_json::Value;

pub use auth::{Auth, Credentials};
pub use client::{ClientOptions, Endpoint};
pub use elasticsearch::ElasticsearchOptions;
pub use file::FileOptions;
pub use http::{Encoding, HttpOptions};
pub use kafka::{KafkaCompression, KafkaOptions, KafkaTls, Sasl, is_topic_character};
pub use nats::{NatsCredentials, NatsOptions};
pub use object_store::{AwsCredentials, ObjectStoreOptions, Store};
pub use otlp::OtlpOptions;
pub use route::{Route, Where, read as read_where};
pub use shared::{BatchOptions, Compression, Secret};
pub use splunk_hec::{IndexerAcknowledgements, SplunkHecOptions};
pub use sumo::SumoOptions;
pub use syslog::{Framing, SyslogOptions};

pub(crate) use client::everywhere;
pub(super) use overlap::overlaps;
pub(super) use written_out::secret_written_out;

use super::declaration::{Group, Shape, Table, choice, flag, key, table, texts};
use super::interpolate::join;
use super::network::Networks;
use super::problem::{Problem, Step, suggestion};
use super::rules;
use super::section::Section;
use super::shape::{ALERTS, HEALTH, glob, split, takes, takes_health};
use super::source::component_type;
use crate::rules::Rules;

/// What each type has.
pub static TABLES: [(&str, &Table); 12] = [
    ("elasticsearch", &elasticsearch::ELASTICSEARCH),
    ("file", &file::FILE),
    ("http", &http::HTTP),
    ("kafka", &kafka::KAFKA),
    ("nats", &nats::NATS),
    ("object_store", &object_store::OBJECT_STORE),
    ("otlp", &otlp::OTLP),
    ("splunk_hec", &splunk_hec::SPLUNK_HEC),
    ("stdout", &STDOUT),
    ("sumo", &sumo::SUMO),
    ("syslog", &syslog::SYSLOG),
    ("vector", &http::VECTOR),
];

/// What sinks of all types have.
pub static ANY: &Table = &STDOUT;

const TYPES: [&str; 12] = [
    "elasticsearch",
    "file",
    "http",
    "kafka",
    "nats",
    "object_store",
    "otlp",
    "splunk_hec",
    "stdout",
    "sumo",
    "syslog",
    "vector",
];

static STDOUT: Table =
    Table::new("sinks.stdout", "Standard output, one event a line, for pipes and containers.", &[&COMMON, &HOLDS]);

static COMMON: Group = Group::shared(
    "Every sink",
    &[
        choice("type", &TYPES, None, "What kind of sink it is.").required(),
        texts(
            "inputs",
            "Ids of sources, in which `*` stands for any characters; with `.alerts` behind, only the first event of each of \
             their alerts; `health` for what the host says about itself.",
        )
        .required(),
        key(
            "max_refused_share",
            Shape::Share(MAX_REFUSED_SHARE),
            "If it refuses a greater share of its events for good, they are held instead of given up: that looks like a \
             mistake of configuration. 1 holds nothing.",
        ),
        table("where", &route::WHERE),
        key("rules", Shape::Tables(&rules::RULE), rules::RULE.description),
    ],
);

static HOLDS: Group = Group::shared(
    "Every sink but splunk_hec",
    &[flag(
        "acknowledgements",
        true,
        "Whether positions wait for this sink. If they do not, it may lose events, which are counted.",
    )],
);

/// Those whose clients are heavy, and whether this program has them: each by the cargo feature of its name.
const FEATURES: [(&str, bool); 3] = [
    ("kafka", cfg!(feature = "kafka")),
    ("nats", cfg!(feature = "nats")),
    ("object_store", cfg!(feature = "object_store")),
];

/// One sink, and what it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Sink {
    pub id: String,
    /// Ids of sources, in which `*` stands for any characters; with `.alerts` behind, only the first event of each of their
    /// alerts.
    pub inputs: Vec<String>,
    /// Whether positions wait for this sink. If they do not, it may lose events, which are counted.
    pub acknowledgements: bool,
    /// If it refuses a greater share of its events for good, they are held instead of given up: that looks like a mistake
    /// of configuration. 1 holds nothing.
    pub max_refused_share: f64,
    /// Which events of its inputs it takes.
    pub only: Where,
    /// What is done with those before it gets them.
    pub rules: Rules,
    pub kind: SinkKind,
}

impl Sink {
    /// Whether this sink takes what the source `id` gives.
    pub fn takes(&self, id: &str) -> bool {
        takes(&self.inputs, id)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkKind {
    Stdout,
    File(FileOptions),
    Http(HttpOptions),
    /// The same, to Vector.
    Vector(HttpOptions),
    SplunkHec(SplunkHecOptions),
    Elasticsearch(ElasticsearchOptions),
    Sumo(SumoOptions),
    Otlp(OtlpOptions),
    Kafka(Box<KafkaOptions>),
    Nats(Box<NatsOptions>),
    ObjectStore(Box<ObjectStoreOptions>),
    Syslog(Box<SyslogOptions>),
}

impl SinkKind {
    /// The `type` that it has in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            SinkKind::Stdout => "stdout",
            SinkKind::File(_) => "file",
            SinkKind::Http(_) => "http",
            SinkKind::Vector(_) => "vector",
            SinkKind::SplunkHec(_) => "splunk_hec",
            SinkKind::Elasticsearch(_) => "elasticsearch",
            SinkKind::Sumo(_) => "sumo",
            SinkKind::Otlp(_) => "otlp",
            SinkKind::Kafka(_) => "kafka",
            SinkKind::Nats(_) => "nats",
            SinkKind::ObjectStore(_) => "object_store",
            SinkKind::Syslog(_) => "syslog",
        }
    }

    /// Whether it has a far side that can be asked.
    pub fn is_remote(&self) -> bool {
        !matches!(self, SinkKind::Stdout | SinkKind::File(_))
    }
}

/// One in twenty: real events that a sink cannot take are rarer.
const MAX_REFUSED_SHARE: f64 = 0.05;

/// `sources` are their ids, and whether others may come later.
pub fn sink(
    id: &str,
    table: Value,
    (source_ids, more): (&[String], bool),
    (rules, networks): (&rules::Reader, &Networks),
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Sink> {
    let kind = table.get("type").and_then(Value::as_str);
    let declared = TABLES.iter().find(|(name, _)| Some(*name) == kind).map_or(ANY, |(_, table)| *table);
    let mut section = Section::new(declared, join("sinks", id), Step::Sinks, table, problems)?;
    let kind = component_type(&mut section, &TYPES, "Choose one of these");
    if let Some((name, false)) = kind.as_ref().and_then(|kind| FEATURES.iter().find(|(name, _)| name == kind)) {
        let hint = format!("Build it in: cargo build --release --features {name}");
        section.fault("type", format!("`{name}` is not in this build"), Some(hint));
    }
    let inputs = match section.texts("inputs") {
        Some(inputs) if !inputs.is_empty() => inputs,
        Some(_) => {
            section.fault("inputs", "must not be empty", Some("Write inputs = [\"*\"] to take all sources".into()));
            Vec::new()
        }
        None => {
            section.fault("inputs", "is required", Some("Write inputs = [\"*\"] to take all sources".into()));
            Vec::new()
        }
    };
    for (i, input) in inputs.iter().enumerate() {
        // Without any source each input would be wrong; that there is none has been said.
        let (input, output) = split(input);
        if let Some(output) = output.filter(|output| *output != ALERTS) {
            let message = format!("there is no output `{}`", output.escape_debug());
            section.fault(
                &format!("inputs[{i}]"),
                message,
                Some(format!("Known is `{ALERTS}`: the first event of each alert")),
            );
            continue;
        }
        let health = output.is_none() && takes_health(std::slice::from_ref(&input.to_owned()));
        if (more || !source_ids.is_empty()) && !health && !source_ids.iter().any(|id| glob(input, id)) {
            let known: Vec<&str> = source_ids.iter().map(String::as_str).chain([HEALTH]).collect();
            let otherwise = match more {
                true => "It takes a source whose file comes into the folder of a template; or name a source's id",
                false => "Name a source's id, or `*`",
            };
            let hint = suggestion(input, &known).unwrap_or_else(|| otherwise.into());
            let (at, message) = (format!("inputs[{i}]"), format!("`{}` fits no source", input.escape_debug()));
            if more {
                let path = join(&join("sinks", id), &at);
                warnings.push(Problem::new(Step::Sinks, path, format!("{message} yet")).hint(hint));
            } else {
                section.fault(&at, message, Some(hint));
            }
        }
    }
    let (acknowledgements, indexer) = match kind.as_deref() {
        Some("splunk_hec") => {
            let (holds, indexer) = splunk_hec::acknowledgements(&mut section);
            (holds, Some(indexer))
        }
        _ => (section.flag("acknowledgements"), None),
    };
    let max_refused_share = section.share("max_refused_share");
    let only = route::read(&mut section);
    let rules = rules.take(&mut section);
    let kind = match (kind?.as_str(), indexer) {
        ("stdout", _) => SinkKind::Stdout,
        ("http", _) => SinkKind::Http(http::read(&mut section, networks)),
        ("vector", _) => SinkKind::Vector(http::vector(&mut section, networks)),
        ("elasticsearch", _) => SinkKind::Elasticsearch(elasticsearch::read(&mut section, networks)),
        ("sumo", _) => SinkKind::Sumo(sumo::read(&mut section, networks)),
        ("otlp", _) => SinkKind::Otlp(otlp::read(&mut section, networks)),
        (_, Some(indexer)) => SinkKind::SplunkHec(splunk_hec::read(&mut section, networks, indexer)),
        ("kafka", _) => SinkKind::Kafka(Box::new(kafka::read(&mut section, networks))),
        ("nats", _) => SinkKind::Nats(Box::new(nats::read(&mut section, networks))),
        ("object_store", _) => SinkKind::ObjectStore(Box::new(object_store::read(&mut section, networks))),
        ("syslog", _) => SinkKind::Syslog(Box::new(syslog::read(&mut section, networks))),
        _ => SinkKind::File(file::read(&mut section)),
    };
    section.close();
    Some(Sink { id: id.to_owned(), inputs, acknowledgements, max_refused_share, only, rules, kind })
}
