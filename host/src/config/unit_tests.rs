//! `[[tests]]`: events as they are put in, and what sinks must get of them. Only what these tests need of the configuration is
//! read: no secret, no certificate, no program.
//!
//! ```toml
//! [[tests]]
//! name = "passwords are masked"
//! input = { source = "acme", stream = "audit/events", kind = "audit", severity = "low", body = { message = "password=1" } }
//! outputs = [{ sink = "lake", body = { message = "password=****" } }]
//! no_outputs_from = ["alerts"]
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::declaration::{Group, Shape, Table, choice, key, table, text, texts, whole};
use super::interpolate::{Environment, interpolate, join, wipe};
use super::problem::{self, Problem, Step, suggestion};
use super::secrets::Secrets;
use super::section::{Section, part};
use super::shape::{takes, takes_alerts_alone};
use super::sinks::{self, Where};
use super::{ConfigError, Format, judge, rules, source, tree};
use crate::rules::Rules;
use crate::template::SEVERITIES;

pub static TEST: Table = Table::new(
    "tests",
    "For `tributary test`: an event as it is put in, and what sinks must get of it. What stands here is not filled in.",
    &[&Group::of(&[
        text("name", "What the test is called.").required(),
        table("input", &INPUT_TABLE).required(),
        key("outputs", Shape::Tables(&OUTPUT), OUTPUT.description),
        texts("no_outputs_from", "Ids of sinks that must get nothing."),
    ])],
)
.either(&[&["outputs", "no_outputs_from"]]);

static INPUT_TABLE: Table = Table::new(
    "tests.input",
    "The event.",
    &[&Group::of(&[
        text("source", "The id of the source that gives it. Either this or `sink` is required."),
        text("sink", "The id of the sink in front of whose rules it is put."),
        text("stream", "The name of its stream."),
        text("kind", "The name of its kind."),
        whole("class", 0, u32::MAX as u64, 0, "The class of the body's schema."),
        choice("severity", &SEVERITIES, None, "Its severity."),
        text("alert_key", "Which alert it is of."),
        key("body", Shape::Anything, "Its body: a table, or a text of one line of JSON.").required(),
    ])],
)
.either(&[&["source", "sink"]]);

static OUTPUT: Table = Table::new(
    "tests.outputs",
    "What a sink must get.",
    &[&Group::of(&[
        text("sink", "The sink's id.").required(),
        key("body", Shape::Anything, "JSON of this meaning, or this line to the byte. Anything, if absent."),
    ])],
);

/// The tests of a configuration, and what of it they are about.
#[derive(Debug, Default)]
pub struct Suite {
    /// By id.
    pub sources: BTreeMap<String, Rules>,
    /// By id.
    pub sinks: BTreeMap<String, Taker>,
    pub tests: Vec<UnitTest>,
}

/// What a sink takes, and what is done with it before.
#[derive(Debug)]
pub struct Taker {
    pub inputs: Vec<String>,
    pub only: Where,
    pub rules: Rules,
}

impl Taker {
    pub fn takes(&self, source: &str) -> bool {
        takes(&self.inputs, source)
    }

    /// Whether it takes of `source` only the first event of each alert.
    pub fn takes_alerts_alone(&self, source: &str) -> bool {
        takes_alerts_alone(&self.inputs, source)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct UnitTest {
    pub name: String,
    pub input: Input,
    /// At least one of these and of `no_outputs_from`.
    pub outputs: Vec<Output>,
    /// Ids of sinks that must get nothing.
    pub no_outputs_from: Vec<String>,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub from: From,
    pub stream: String,
    pub kind: String,
    pub class: u32,
    pub severity: u8,
    /// Which alert it is of.
    pub alert_key: Option<String>,
    /// One line of JSON, if the operator wrote JSON.
    pub body: String,
}

/// Where an event is put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// As if the source of this id gave it.
    Source(String),
    /// In front of the rules of the sink of this id, whatever it takes.
    Sink(String),
}

/// What a sink must get.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its id.
    pub sink: String,
    pub body: Expected,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// Whatever it is.
    Anything,
    /// This line, to the byte.
    Text(String),
    /// JSON of this meaning.
    Json(Value),
}

/// Reads the tests, and the rules and inputs that they are about; nothing, if there is no test. Variables are filled in; keys of
/// rules stand as they are written, so that a hash is the same on every machine.
///
/// # Errors
/// All problems at once.
pub fn read(text: &str, format: Format, name: &str, environment: &Environment<'_>) -> Result<Suite, ConfigError> {
    let failed = ConfigError::new;
    let mut tree = tree::parse(text, format, name).map_err(|problem| failed(vec![problem]))?;
    let Some(tests) = part(&mut tree, "tests").filter(|tests| !tests.is_null()) else {
        wipe(&mut tree);
        return Ok(Suite::default());
    };
    let mut problems = Vec::new();
    let mut secrets = Secrets::for_tests(tree.get("secret"), environment);
    let reader = rules::Reader::default();
    let mut suite = Suite::default();
    for (id, table) in tables(&mut tree, "sources") {
        let path = join("sources", &id);
        let table = filled(table, &["rules"], &path, environment, &mut secrets, &mut problems);
        if let Some(mut section) = Section::new(&source::SOURCE, path, Step::Sources, table, &mut problems) {
            suite.sources.insert(id, reader.take(&mut section));
        }
    }
    for (id, table) in tables(&mut tree, "sinks") {
        let path = join("sinks", &id);
        let table = filled(table, &["rules", "inputs", "where"], &path, environment, &mut secrets, &mut problems);
        if let Some(mut section) = Section::new(sinks::ANY, path, Step::Sinks, table, &mut problems) {
            let inputs = section.texts("inputs").unwrap_or_default();
            let only = sinks::read_where(&mut section);
            suite.sinks.insert(id, Taker { inputs, only, rules: reader.take(&mut section) });
        }
    }
    let templated = tree.get("templates").is_some();
    // Secrets may be written out in the rest.
    wipe(&mut tree);
    let top = Map::from_iter([("tests".to_owned(), tests)]);
    if let Some(mut top) = Section::new(&judge::TOP, "", Step::Global, Value::Object(top), &mut problems) {
        top.tables("tests", |_, section| suite.tests.extend(test(section)));
    }
    let mut names = BTreeSet::new();
    for (index, test) in suite.tests.iter().enumerate() {
        let mut fault = |key: &str, message: String, hint: String| {
            problems.push(Problem::new(Step::Global, format!("tests[{index}]{key}"), message).hint(hint));
        };
        if !names.insert(&test.name) {
            fault(".name", "another test is called so too".into(), "Give each a name of its own".into());
        }
        let sinks: Vec<&str> = suite.sinks.keys().map(String::as_str).collect();
        let unknown_sink = |sink: &str| {
            let hint = suggestion(sink, &sinks).unwrap_or_else(|| "Name the id of a sink".into());
            (!suite.sinks.contains_key(sink)).then_some(("there is no sink of that id".to_owned(), hint))
        };
        match &test.input.from {
            From::Source(id) if !suite.sources.contains_key(id) => {
                let sources: Vec<&str> = suite.sources.keys().map(String::as_str).collect();
                let hint = match suggestion(id, &sources) {
                    Some(hint) => hint,
                    None if templated => "Sources of templates are not known here: test with `sink`".into(),
                    None => "Name the id of a source, or of a `sink`".into(),
                };
                fault(".input.source", "there is no source of that id".into(), hint);
            }
            From::Sink(id) => unknown_sink(id).into_iter().for_each(|(what, hint)| fault(".input.sink", what, hint)),
            From::Source(_) => {}
        }
        for (at, output) in test.outputs.iter().enumerate() {
            let unknown = unknown_sink(&output.sink).into_iter();
            unknown.for_each(|(what, hint)| fault(&format!(".outputs[{at}].sink"), what, hint));
        }
        for (at, sink) in test.no_outputs_from.iter().enumerate() {
            let unknown = unknown_sink(sink).into_iter();
            unknown.for_each(|(what, hint)| fault(&format!(".no_outputs_from[{at}]"), what, hint));
            if test.outputs.iter().any(|output| output.sink == *sink) {
                let hint = "Leave it out of one of them".into();
                fault(&format!(".no_outputs_from[{at}]"), "the sink is among the outputs too".into(), hint);
            }
        }
    }
    if problems.is_empty() {
        return Ok(suite);
    }
    let open = problem::open(&problems);
    problem::leave_out_open(&mut problems, &open);
    Err(failed(problems))
}

/// The tables of the table `kind`, taken out of `tree`.
fn tables(tree: &mut Value, kind: &str) -> Vec<(String, Map<String, Value>)> {
    let tables = tree.as_object_mut().and_then(|top| top.remove(kind));
    let Some(Value::Object(tables)) = tables else { return Vec::new() };
    let tables = tables.into_iter().filter_map(|(id, table)| match table {
        Value::Object(table) => Some((id, table)),
        _ => None,
    });
    tables.collect()
}

/// Some keys of a table, filled in; the rest is wiped.
fn filled(
    mut table: Map<String, Value>,
    keys: &[&str],
    path: &str,
    environment: &Environment<'_>,
    secrets: &mut Secrets<'_>,
    problems: &mut Vec<Problem>,
) -> Value {
    let mut kept = Value::Object(keys.iter().filter_map(|key| table.remove_entry(*key)).collect());
    wipe(&mut Value::Object(table));
    let mut keys_of_rules: Vec<Option<Value>> = Vec::new();
    for rule in kept.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
        keys_of_rules.push(rule.as_object_mut().and_then(|rule| rule.remove("key")));
    }
    interpolate(&mut kept, path, environment, secrets, problems);
    let rules = kept.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten();
    for (rule, key) in rules.zip(keys_of_rules) {
        if let (Some(rule), Some(key)) = (rule.as_object_mut(), key) {
            rule.insert("key".to_owned(), key);
        }
    }
    kept
}

fn test(mut section: Section<'_>) -> Option<UnitTest> {
    let name = required(&mut section, "name");
    let input = match section.peek("input") {
        Some(_) => section.table("input").and_then(input),
        None => {
            section.take("input");
            section.fault("input", "is required", Some(INPUT.into()));
            None
        }
    };
    let mut outputs = Vec::new();
    let given = section.peek("outputs").is_some() || section.peek("no_outputs_from").is_some();
    section.tables("outputs", |_, section| outputs.extend(output(section)));
    let no_outputs_from = section.texts("no_outputs_from").unwrap_or_default();
    if !given {
        let hint = "Set `outputs` or `no_outputs_from`";
        section.fault("", "says nothing about what must come of the event", Some(hint.into()));
    }
    section.close();
    Some(UnitTest { name: name?, input: input?, outputs, no_outputs_from })
}

const INPUT: &str =
    "For example: input = { source = \"acme\", stream = \"audit/events\", body = { message = \"...\" } }";

fn required(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    if section.peek(key).is_none() {
        section.take(key);
        section.fault(key, "is required", Some(format!("Set `{key}`")));
        return None;
    }
    section.text(key)
}

fn input(mut section: Section<'_>) -> Option<Input> {
    let from = match (section.text("source"), section.text("sink")) {
        (Some(source), None) => Some(From::Source(source)),
        (None, Some(sink)) => Some(From::Sink(sink)),
        _ => {
            section.fault("", "must have either `source` or `sink`", Some(INPUT.into()));
            None
        }
    };
    let stream = section.text("stream").unwrap_or_default();
    let kind = section.text("kind").unwrap_or_default();
    let class = section.whole("class") as u32;
    let severity = rules::severity("severity", &mut section);
    let alert_key = section.text("alert_key");
    let body = match section.take("body") {
        Some(Value::String(text)) if !text.contains('\n') => Some(text),
        Some(Value::String(_)) => {
            section.fault("body", "must be one line", Some("Write it as a table, or as JSON on one line".into()));
            None
        }
        Some(value) => Some(value.to_string()),
        None => {
            section.fault("body", "is required", Some("Write it as a table, or as a text of one line of JSON".into()));
            None
        }
    };
    section.close();
    Some(Input { from: from?, stream, kind, class, severity, alert_key, body: body? })
}

fn output(mut section: Section<'_>) -> Option<Output> {
    let sink = required(&mut section, "sink");
    let body = match section.take("body") {
        None => Expected::Anything,
        Some(Value::String(text)) => Expected::Text(text),
        Some(value) => Expected::Json(value),
    };
    section.close();
    Some(Output { sink: sink?, body })
}

#[cfg(test)]
mod tests;
