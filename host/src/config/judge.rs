//! From the filled-in tree to a [`Config`], with everything that is wrong with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::api;
use super::components;
use super::declaration::{Group, Shape, Table, key, table, text_or, whole};
use super::files::Files;
use super::interpolate::join;
use super::limits;
use super::made::Made;
use super::metrics;
use super::network::{self, Networks};
use super::problem::{Problem, Step};
use super::rules;
use super::secrets;
use super::section::Section;
use super::shape::{Config, EMBEDDED_SOURCE, HEALTH, PULLS_PER_TENANT, Source, most_pulls};
use super::sinks::{self, Sink, SinkKind};
use super::source::{SOURCE, Shared, source};
use super::templates;
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

/// `None` only if there is not even a table; otherwise the config is whole if no problem was added.
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
    // What they say so far is of no template.
    warnings.extend(shared.warnings());
    let others = |id: &str| match source_ids.binary_search_by(|known| known.as_str().cmp(id)) {
        Ok(_) => Some(join("sources", id)),
        Err(_) => sink_tables.as_ref()?.get(id).map(|_| join("sinks", id)),
    };
    let templated = made.templated;
    let made = made.judge(shared, others, warnings);
    sources.extend(made.sources);
    problems.extend(made.problems);
    warnings.extend(made.warnings);
    source_ids.extend(made.files.keys().cloned().chain(made.refused.iter().map(|file| file.id.clone())));
    let refused = made.refused;
    let mut sinks = BTreeMap::new();
    for (id, table) in tables_of("sinks", Step::Sinks, sink_tables, true, problems) {
        if sources.contains_key(&id) || (source_ids.contains(&id) && !refused.iter().any(|file| file.id == id)) {
            let message = format!("the id is also that of sources.{id}");
            problems.push(Problem::new(Step::Sinks, join("sinks", &id), message).hint("Give each an id of its own"));
        }
        if let Some(sink) = sinks::sink(&id, table, (&source_ids, templated), (&rules, &networks), problems, warnings) {
            sinks.insert(id, sink);
        }
    }
    networks.close(warnings, read);
    warnings.extend(rules.warnings());
    sinks::overlaps(&sinks, &source_ids, &data_dir, problems, warnings);
    relative_folders(&data_dir, &sinks, warnings);
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
        files: made.files,
        inherited: made.inherited,
        refused,
        sinks,
        metrics,
        api,
    })
}

/// Warns of folders that are others wherever tributary is started.
fn relative_folders(data_dir: &Path, sinks: &BTreeMap<String, Sink>, warnings: &mut Vec<Problem>) {
    let mut judge = |step, path: String, folder: &Path| {
        if folder.is_relative() {
            let message = "is taken from the folder in which tributary is started, which is `/` under systemd";
            warnings
                .push(Problem::new(step, path, message).hint("Write it from the root on, such as /var/lib/tributary"));
        }
    };
    judge(Step::Global, "data_dir".to_owned(), data_dir);
    for sink in sinks.values() {
        if let SinkKind::File(options) = &sink.kind {
            judge(Step::Sinks, format!("sinks.{}.path", sink.id), &options.path);
        }
    }
}

/// Takes the data folder.
pub fn data_dir(top: &mut Section<'_>) -> PathBuf {
    top.text("data_dir").unwrap_or_default().into()
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
pub(super) fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && !id.starts_with('-')
        && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
