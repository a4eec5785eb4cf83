//! From the filled-in tree to a [`Config`], with everything that is wrong with it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::api;
use super::components;
use super::declaration::{Group, Others, Shape, Table, choice, key, names, table, text, text_or, whole};
use super::files::Files;
use super::interpolate::{Environment, interpolate, join, wipe};
use super::limits;
use super::metrics;
use super::network::{self, Networks};
use super::problem::{Problem, Step, listed, suggestion};
use super::rules;
use super::secrets::{self, Secrets};
use super::section::Section;
use super::shape::{
    Config, EMBEDDED_SOURCE, HEALTH, OnPositionLost, PULLS_PER_TENANT, QuotaLimit, RefusedFile, Settings, Source,
    most_pulls,
};
use super::sinks;
use super::templates::{self, Customer};
use super::unit_tests;
use crate::sandbox::{self, Limits};

/// Vector keeps its state in /var/lib/vector; this is its neighbour.
const DEFAULT_DATA_DIR: &str = "/var/lib/tributary";
const MIB: u64 = 1024 * 1024;

const MOST_PULLS: u64 = most_pulls(sandbox::Settings::SLOTS) as u64;

/// The whole file.
pub static TOP: Table = Table::new(
    "",
    "Sources, sinks, and what holds for all of them.",
    &[
        &Group::of(&[
            text_or("data_dir", DEFAULT_DATA_DIR, "The folder for positions, ledgers, seen ids and dead letters."),
            whole(
                "max_in_flight_bytes",
                16 * MIB,
                1 << 40,
                256 * MIB,
                "What may be between pull and acknowledgement in the whole host, in bytes.",
            ),
            // At least what a few chunks of malformed records take.
            whole(
                "max_dead_letter_bytes",
                MIB,
                1 << 50,
                1024 * MIB,
                "What the dead letters of all sources may take on disk, in bytes. When they have reached it, positions stand \
                 still.",
            ),
            whole("max_concurrent_pulls", 1, MOST_PULLS, MOST_PULLS, "Streams that are read at the same time."),
            whole(
                "max_concurrent_pulls_per_tenant",
                1,
                MOST_PULLS,
                PULLS_PER_TENANT as u64,
                "Streams of one tenant that are read at the same time.",
            ),
        ]),
        &Group::of(&[
            key("sources", Shape::Named(&SOURCE), SOURCE.description),
            key("templates", Shape::Named(&templates::TEMPLATE), templates::TEMPLATE.description),
            key("sinks", Shape::Typed(&sinks::TABLES), "Where events go, each by an id of its own."),
            key("components", Shape::Named(&components::COMPONENT), components::COMPONENT.description),
            key(
                "secret",
                Shape::Typed(&secrets::BACKENDS),
                "Where `SECRET[backend.key]` comes from, by the backend's name. `env` is built in.",
            ),
            table("limits", &limits::LIMITS),
            table("api", &super::api::API),
            table("metrics", &metrics::METRICS),
        ]),
        &network::SOURCE_KEYS,
        &Group::of(&[key("tests", Shape::Tables(&unit_tests::TEST), unit_tests::TEST.description)]),
    ],
);

/// The host's keys of a source.
pub static SOURCE_KEYS: Group = Group::of(&[
    text("type", "Which component runs it: `mimecast`, or the name of one under `components`.").required(),
    text(
        "tenant",
        "Whose events these are: part of every event's identity, and of where files go. The source's id, if absent.",
    ),
    key(
        "quota_share",
        Shape::Share(0.8),
        "How much of each of the vendor's quotas may be spent, above 0 and at most 1.",
    ),
    key(
        "quotas",
        Shape::Named(&QUOTA),
        "The vendor's limits by their names, where this account's are not those that the component knows.",
    ),
    whole(
        "retry_for_secs",
        1,
        30 * 86_400,
        90 * 60,
        "For how long a passing fault is retried before the stream is in error, in seconds.",
    ),
    choice(
        "on_position_lost",
        &POSITION_LOST_NAMES,
        Some("oldest"),
        "Where to go on when the vendor no longer knows the position: at the oldest that it has, now, or nowhere.",
    ),
    whole(
        "max_in_flight_bytes",
        MIB,
        1 << 40,
        8 * MIB,
        "What may be between pull and acknowledgement in one stream, in bytes.",
    ),
    whole(
        "alert_window_secs",
        1,
        30 * 86_400,
        86_400,
        "In which each alert passes once to sinks that take alerts alone, in seconds.",
    ),
    table("limits", &limits::LIMITS),
    key("rules", Shape::Tables(&rules::RULE), rules::RULE.description),
]);

/// One source.
pub static SOURCE: Table = Table::new(
    "sources",
    "One tenant's account with one vendor, by an id of its own: 1 to 64 letters, digits, `-` or `_`.",
    &[&SOURCE_KEYS, &network::SOURCE_KEYS],
)
.others(Others::Component);

static QUOTA: Table = Table::new(
    "quotas",
    "So many requests in so many seconds.",
    &[&Group::of(&[
        key("requests", Shape::Positive, "A whole number.").required(),
        key("window_secs", Shape::Positive, "In how many seconds.").required(),
    ])],
);

const POSITION_LOST: [(&str, OnPositionLost); 3] =
    [("oldest", OnPositionLost::Oldest), ("now", OnPositionLost::Now), ("stop", OnPositionLost::Stop)];
const POSITION_LOST_NAMES: [&str; 3] = names(&POSITION_LOST);

/// What templates make sources of.
#[derive(Default)]
pub struct Made {
    /// Whether there is a template at all: then sources may come later.
    pub templated: bool,
    pub customers: Vec<Customer>,
    pub refused: Vec<RefusedFile>,
}

/// `None` only if there is not even a table; otherwise the config is whole if no problem was added.
impl Made {
    /// Fills in what the environment and the secrets hold. A file for which something is missing is refused.
    pub fn fill(&mut self, environment: &Environment<'_>, secrets: &mut Secrets<'_>) {
        for mut customer in std::mem::take(&mut self.customers) {
            let mut problems = Vec::new();
            interpolate(&mut customer.table, "", environment, secrets, &mut problems);
            if problems.is_empty() {
                self.customers.push(customer);
            } else {
                wipe(&mut customer.table);
                self.refused.push(RefusedFile::new(customer.id, customer.file, problems));
            }
        }
    }
}

pub fn judge(
    tree: Value,
    name: &str,
    made: Made,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
    read: &mut Files,
) -> Option<Config> {
    if !tree.is_object() {
        problems.push(Problem::new(Step::Global, name, "is not a table").hint("Start with [sources.<id>]"));
        return None;
    }
    let mut top = Section::new(&TOP, "", Step::Global, tree, problems)?;
    let data_dir = data_dir(&mut top);
    let max_in_flight_bytes = top.whole("max_in_flight_bytes") as usize;
    let max_dead_letter_bytes = top.whole("max_dead_letter_bytes");
    let max_concurrent_pulls = top.whole("max_concurrent_pulls") as usize;
    let pulls_per_tenant = top.whole("max_concurrent_pulls_per_tenant") as usize;
    let metrics = metrics::read(top.table("metrics"));
    let limit_table = top.take("limits");
    let networks = Networks::new(&mut top, read);
    let api = api::read(&mut top, &networks);
    let source_tables = top.take("sources");
    let sink_tables = top.take("sinks");
    let component_tables = top.take("components");
    top.close();
    let limits = limits::limits(limit_table, "", Step::Global, Limits::default(), problems);
    let named = named_components(&component_tables);
    let types: Vec<&str> = [EMBEDDED_SOURCE].into_iter().chain(named.iter().map(String::as_str)).collect();
    let installed = components::components(component_tables, problems);
    let rules = rules::Reader::default();
    let shared = Shared { limits, networks: &networks, rules: &rules, types: &types };

    let mut sources = BTreeMap::new();
    for (id, table) in tables_of("sources", Step::Sources, source_tables, !made.templated, problems) {
        if id == HEALTH {
            let message = "the id is reserved for what the host says about itself";
            let hint = "Rename the source; sinks get the host's health with `inputs = [\"health\"]`";
            problems.push(Problem::new(Step::Sources, join("sources", &id), message).hint(hint));
        }
        if let Some(source) = source(&join("sources", &id), &id, table, shared, problems) {
            sources.insert(id, source);
        }
    }
    let mut source_ids = known_ids(&sources, problems, "sources.");
    let (mut files, mut refused) = (BTreeMap::new(), made.refused);
    for Customer { id, file, table } in made.customers {
        let is_sink = sink_tables.as_ref().is_some_and(|sinks| sinks.get(&id).is_some());
        let mut found = Vec::new();
        match taken(&id, &files, source_ids.binary_search(&id).is_ok(), is_sink) {
            Some(message) => {
                found.push(Problem::new(Step::Sources, "", message).hint("Give the file another name"));
            }
            None => {
                if let Some(source) = source("", &id, table, shared, &mut found).filter(|_| found.is_empty()) {
                    files.insert(id.clone(), file.clone());
                    sources.insert(id.clone(), source);
                }
            }
        }
        if !found.is_empty() {
            refused.push(RefusedFile::new(id, file, found));
        }
    }
    source_ids.extend(files.keys().cloned().chain(refused.iter().map(|file| file.id.clone())));
    let mut sinks = BTreeMap::new();
    for (id, table) in tables_of("sinks", Step::Sinks, sink_tables, true, problems) {
        if sources.contains_key(&id) || (source_ids.contains(&id) && !refused.iter().any(|file| file.id == id)) {
            let message = format!("the id is also that of sources.{id}");
            problems.push(Problem::new(Step::Sinks, join("sinks", &id), message).hint("Give each an id of its own"));
        }
        if let Some(sink) =
            sinks::sink(&id, table, (&source_ids, made.templated), (&rules, &networks), problems, warnings)
        {
            sinks.insert(id, sink);
        }
    }
    networks.close(warnings, read);
    rules.close(warnings);
    sinks::shared_folders(&sinks, &data_dir, problems);
    if problems.is_empty() {
        for name in installed.keys().filter(|name| !sources.values().any(|source| source.kind == **name)) {
            let hint = format!("Set type = \"{name}\" in a source, or remove it");
            warnings.push(Problem::new(Step::Global, join("components", name), "no source runs it").hint(hint));
        }
        for id in sources.keys().filter(|id| !sinks.values().any(|sink| sink.takes(id))) {
            let message = "no sink takes what it reads, so it is not run";
            let hint = format!("Add \"{id}\" to the inputs of a sink");
            warnings.push(Problem::new(Step::Sources, join("sources", id), message).hint(hint));
        }
        for id in sources.keys() {
            let mut takers = sinks.values().filter(|sink| sink.takes(id)).peekable();
            if takers.peek().is_some() && takers.all(|sink| !sink.acknowledgements) {
                let message = "no sink holds its positions, so what no sink has yet is lost when the host ends";
                let hint = "Set acknowledgements = true for one of its sinks";
                warnings.push(Problem::new(Step::Sources, join("sources", id), message).hint(hint));
            }
        }
    }
    Some(Config {
        data_dir,
        max_in_flight_bytes,
        max_dead_letter_bytes,
        max_concurrent_pulls,
        max_concurrent_pulls_per_tenant: pulls_per_tenant,
        components: installed,
        sources,
        files,
        refused,
        sinks,
        metrics,
        api,
    })
}

/// Takes the data folder.
pub fn data_dir(top: &mut Section<'_>) -> PathBuf {
    top.text("data_dir").unwrap_or_default().into()
}

/// Why the file of a source cannot have this id.
fn taken(id: &str, files: &BTreeMap<String, PathBuf>, is_source: bool, is_sink: bool) -> Option<String> {
    if !is_id(id) {
        return Some("the file's name is the source's id, and that has 1 to 64 letters, digits, `-` or `_`".into());
    }
    match files.get(id) {
        _ if id == HEALTH => Some("the id is reserved for what the host says about itself".into()),
        Some(other) => Some(format!("{} has the same id", other.display())),
        None if is_source => Some(format!("sources.{id} has the same id")),
        None if is_sink => Some(format!("sinks.{id} has the same id")),
        None => None,
    }
}

/// The names of all components, also of those that are wrong: a source that names one is not wrong too.
fn named_components(tables: &Option<Value>) -> Vec<String> {
    let tables = tables.as_ref().and_then(Value::as_object);
    let names = tables.into_iter().flat_map(Map::keys).filter(|name| *name != EMBEDDED_SOURCE);
    names.cloned().collect()
}

/// The ids of all sources, also of those that are wrong: a sink that names one is not wrong too.
fn known_ids(sources: &BTreeMap<String, Source>, problems: &[Problem], prefix: &str) -> Vec<String> {
    let mut ids: Vec<String> = sources.keys().cloned().collect();
    for problem in problems.iter().filter(|problem| problem.step == Step::Sources) {
        if let Some(rest) = problem.path.strip_prefix(prefix) {
            ids.push(rest.split('.').next().unwrap_or(rest).to_owned());
        }
    }
    ids.sort();
    ids.dedup();
    ids
}

/// The tables of one kind of component, with what is wrong with their number and their ids.
fn tables_of(
    kind: &'static str,
    step: Step,
    tables: Option<Value>,
    required: bool,
    problems: &mut Vec<Problem>,
) -> Map<String, Value> {
    let tables = match tables {
        Some(Value::Object(tables)) => tables,
        Some(_) => {
            problems.push(
                Problem::new(step, kind, "must be a table of tables").hint(format!("Write each as [{kind}.<id>]")),
            );
            return Map::new();
        }
        None => Map::new(),
    };
    if tables.is_empty() && required {
        let one = kind.trim_end_matches('s');
        problems.push(Problem::new(step, kind, format!("there is no {one}")).hint(format!("Add [{kind}.<id>]")));
    }
    let (good, bad): (Map<_, _>, Map<_, _>) = tables.into_iter().partition(|(id, _)| is_id(id));
    for id in bad.keys() {
        let message = "the id must be 1 to 64 letters, digits, `-` or `_`, and not start with `-`";
        problems.push(Problem::new(step, join(kind, &id.escape_default().to_string()), message).hint("Rename it"));
    }
    good
}

/// An id names files and labels, and a dot in it would be taken for an output.
fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && !id.starts_with('-')
        && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// What the keys at the top give to all sources.
#[derive(Clone, Copy)]
struct Shared<'a> {
    limits: Limits,
    networks: &'a Networks,
    rules: &'a rules::Reader,
    /// What runs sources.
    types: &'a [&'a str],
}

fn source(path: &str, id: &str, table: Value, shared: Shared<'_>, problems: &mut Vec<Problem>) -> Option<Source> {
    let mut section = Section::new(&SOURCE, path, Step::Sources, table, problems)?;
    let kind = component_type(&mut section, shared.types);
    let tenant = section.text("tenant").unwrap_or_else(|| id.to_owned());
    if tenant.len() > 256 || tenant.chars().any(char::is_control) {
        let hint = "Shorten it, or remove it: then the source's id is its name";
        section.fault("tenant", "must be at most 256 bytes without control characters", Some(hint.into()));
    }
    let quota_share = section.share("quota_share");
    let retry_for = Duration::from_secs(section.whole("retry_for_secs"));
    let on_position_lost = section.choice("on_position_lost", &POSITION_LOST);
    let max_in_flight_bytes = section.whole("max_in_flight_bytes") as usize;
    let alert_window = Duration::from_secs(section.whole("alert_window_secs"));
    let quotas = match section.take("quotas") {
        Some(table) => quotas(table, &mut section),
        None => BTreeMap::new(),
    };
    let limit_table = section.take("limits");
    let network = shared.networks.source(&mut section);
    let rules = shared.rules.take(&mut section);
    // Everything else is the component's, which judges it.
    let mut settings = section.rest();
    let limits = limits::limits(limit_table, path, Step::Sources, shared.limits, problems);
    shared.networks.judge_wall(path, &network.timeouts, limits.wall);
    settings.insert("tenant".into(), tenant.clone().into());
    let mut tree = Value::Object(settings);
    let settings = Settings::of(&tree);
    wipe(&mut tree);
    Some(Source {
        id: id.to_owned(),
        kind: kind?,
        tenant,
        settings,
        quota_share,
        quotas,
        retry_for,
        on_position_lost,
        max_in_flight_bytes,
        limits,
        network,
        alert_window,
        rules,
    })
}

/// `quotas.<name> = { requests = 50, window_secs = 900 }`. Whether there is a quota of that name, the component knows.
fn quotas(table: Value, section: &mut Section<'_>) -> BTreeMap<String, QuotaLimit> {
    let Value::Object(table) = table else {
        section.fault("quotas", "must be a table of tables", Some(QUOTA_HINT.into()));
        return BTreeMap::new();
    };
    let mut quotas = BTreeMap::new();
    for (name, limit) in table {
        let mut found = Vec::new();
        let limit = Section::new(&QUOTA, "", section.step(), limit, &mut found).and_then(|mut limit| {
            let mut number =
                |key| limit.take(key)?.as_f64().filter(|number| (f64::MIN_POSITIVE..=1e9).contains(number));
            let (requests, window) = (number("requests"), number("window_secs"));
            limit.close();
            let requests = requests.filter(|requests| requests.fract() == 0.0)? as u32;
            Some(QuotaLimit { requests, window: Duration::from_secs_f64(window?).max(Duration::from_millis(1)) })
        });
        match limit.filter(|_| found.is_empty()) {
            Some(limit) => {
                quotas.insert(name, limit);
            }
            None => {
                let message = "must say how many requests, a whole number, in how many seconds";
                section.fault(&format!("quotas.{name}"), message, Some(QUOTA_HINT.into()));
            }
        }
    }
    quotas
}

const QUOTA_HINT: &str = "For example: quotas.siem-batch = { requests = 50, window_secs = 900 }";

pub(super) fn component_type(section: &mut Section<'_>, known: &[&str]) -> Option<String> {
    match section.take("type") {
        Some(Value::String(kind)) if known.contains(&kind.as_str()) => Some(kind),
        Some(Value::String(kind)) => {
            let hint = suggestion(&kind, known)
                .unwrap_or_else(|| "Choose one of these, or name the component in [components]".into());
            section.fault("type", format!("must be one of {}", listed(known)), Some(hint));
            None
        }
        Some(_) => {
            section.fault("type", format!("must be one of {}", listed(known)), Some("Choose one of these".into()));
            None
        }
        None => {
            section.fault("type", "is required", Some(format!("Set it to one of {}", listed(known))));
            None
        }
    }
}
