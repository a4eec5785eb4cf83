//! One section `[secret.<backend>]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::exec::Program;
use super::{Secret, Secrets};
use crate::config::declaration::{Group, Table, choice, text, texts, whole};
use crate::config::interpolate::join;
use crate::config::problem::{Problem, Step, listed};
use crate::config::section::Section;

/// What a file of secrets holds; none for what is not a text.
pub type Members = BTreeMap<String, Option<Secret>>;

/// One kind of place for secrets.
pub enum Backend {
    /// The key is the name of an environment variable.
    Environment,
    /// One JSON object: its members are the secrets.
    File(Result<Members, Problem>),
    /// Each secret is a file of its own in this folder.
    Directory(PathBuf),
    /// A program says them.
    Exec(Program),
    /// Its section is wrong, which has been said.
    Broken,
    /// It is there, and not asked for tests.
    Unasked,
}

/// As Vector's.
const TIMEOUT_SECS: u64 = 5;

/// What each type has.
pub static BACKENDS: [(&str, &Table); 4] =
    [("directory", &DIRECTORY), ("env", &ENVIRONMENT), ("exec", &EXEC), ("file", &FILE)];

const TYPES: [&str; 4] = ["directory", "env", "exec", "file"];

static TYPE: Group =
    Group::shared("Every backend", &[choice("type", &TYPES, None, "What kind of place it is.").required()]);

static ENVIRONMENT: Table =
    Table::new("secret.env", "The environment: `SECRET[backend.NAME]` is the variable of that name.", &[&TYPE]);

static DIRECTORY: Table = Table::new(
    "secret.directory",
    "Each secret is a file of its own, whose name is the key.",
    &[&TYPE, &Group::of(&[text("path", "The folder.").required()])],
);

static FILE: Table = Table::new(
    "secret.file",
    "One JSON object, whose members are the secrets.",
    &[&TYPE, &Group::of(&[text("path", "The file.").required()])],
);

static EXEC: Table = Table::new(
    "secret.exec",
    "A program that says secrets, by the protocol of Vector's backend of this name.",
    &[
        &TYPE,
        &Group::of(&[
            texts("command", "The program, by its whole path, and its arguments.").required(),
            whole("timeout", 1, 3600, TIMEOUT_SECS, "How long it may take, in seconds."),
        ]),
    ],
);

pub const EXAMPLE: &str = "For example: [secret.vault] type = \"directory\", path = \"/run/secrets\"";

impl Secrets<'_> {
    /// The backend that `entry` describes. `None` if it is wrong, which has been said.
    pub(super) fn backend(&mut self, path: &str, entry: Value, problems: &mut Vec<Problem>) -> Option<Backend> {
        if !entry.is_object() {
            problems.push(Problem::new(Step::Interpolate, path, "must be a table").hint(EXAMPLE));
            return None;
        }
        let before = problems.len();
        let given = entry.get("type").and_then(Value::as_str);
        let declared = BACKENDS.iter().find(|(name, _)| Some(*name) == given).copied();
        let (kind, table) = declared.unwrap_or(("", &ENVIRONMENT));
        let mut section = Section::new(table, path, Step::Interpolate, entry, problems)?;
        section.take("type");
        let backend = match kind {
            "env" => Some(Backend::Environment),
            "exec" => exec(&mut section).map(Backend::Exec),
            "directory" => place(kind, &mut section).map(Backend::Directory),
            "file" => place(kind, &mut section).map(|place| Backend::File(self.members(&place, &join(path, "path")))),
            _ => {
                section.fault("type", format!("must be one of {}", listed(&TYPES)), Some(EXAMPLE.into()));
                return None;
            }
        };
        section.close();
        // With a wrong key beside it, what it means is not sure.
        backend.filter(|_| problems.len() == before)
    }
}

fn place(kind: &str, section: &mut Section<'_>) -> Option<PathBuf> {
    let before = section.problems();
    let place = section.text("path").map(PathBuf::from);
    if place.is_none() && section.problems() == before {
        let hint = "Set it to where the secrets are, from the root: path = \"/...\"";
        section.fault("path", format!("is required for type `{kind}`"), Some(hint.into()));
    }
    place
}

fn exec(section: &mut Section<'_>) -> Option<Program> {
    let words = match section.peek("command") {
        // One text would be a program without arguments, and is more often a whole command line.
        Some(Value::Array(_)) => section.texts("command"),
        _ => {
            section.take("command");
            None
        }
    };
    let words = words.filter(|words| words.first().is_some_and(|program| !program.is_empty()));
    if words.is_none() {
        let message = "must be a list of texts: a program and its arguments";
        let hint = "For example: command = [\"/usr/local/bin/secrets\", \"--from\", \"vault\"]";
        section.fault("command", message, Some(hint.into()));
    }
    let timeout = Duration::from_secs(section.whole("timeout"));
    Some(Program::new(words?, timeout))
}
