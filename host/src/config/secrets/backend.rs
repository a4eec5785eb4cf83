//! One section `[secret.<backend>]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::exec::Program;
use super::{Secret, Secrets};
use crate::config::interpolate::join;
use crate::config::problem::{Problem, Step, listed, suggestion};

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
}

const TYPES: [&str; 4] = ["directory", "env", "exec", "file"];

/// Known keys of any type, for suggestions.
const KEYS: [&str; 4] = ["command", "path", "timeout", "type"];

/// As Vector's.
const TIMEOUT_SECS: u64 = 5;

pub const EXAMPLE: &str = "For example: [secret.vault] type = \"directory\", path = \"/run/secrets\"";

impl Secrets<'_> {
    /// The backend that `entry` describes. `None` if it is wrong, which has been said.
    pub(super) fn backend(&mut self, path: &str, entry: Value, problems: &mut Vec<Problem>) -> Option<Backend> {
        let Value::Object(mut entry) = entry else {
            problems.push(Problem::new(Step::Interpolate, path, "must be a table").hint(EXAMPLE));
            return None;
        };
        let kind = match entry.remove("type").as_ref().and_then(Value::as_str) {
            Some(kind) if TYPES.contains(&kind) => kind.to_owned(),
            _ => {
                let message = format!("must be one of {}", listed(&TYPES));
                problems.push(Problem::new(Step::Interpolate, join(path, "type"), message));
                return None;
            }
        };
        let before = problems.len();
        let backend = match kind.as_str() {
            "env" => Some(Backend::Environment),
            "exec" => exec(path, &mut entry, problems).map(Backend::Exec),
            _ => place(&kind, path, &mut entry, problems).map(|place| match kind.as_str() {
                "directory" => Backend::Directory(place),
                _ => Backend::File(self.members(Path::new(&place), &join(path, "path"))),
            }),
        };
        for key in entry.keys() {
            let mut problem = Problem::new(Step::Interpolate, join(path, key), "unknown key");
            problem.hint = match KEYS.contains(&key.as_str()) {
                true => Some(format!("It is of no use for type `{kind}`")),
                false => suggestion(key, &KEYS),
            };
            problems.push(problem);
        }
        // With a wrong key beside it, what it means is not sure.
        backend.filter(|_| problems.len() == before)
    }
}

fn place(kind: &str, path: &str, entry: &mut Map<String, Value>, problems: &mut Vec<Problem>) -> Option<PathBuf> {
    let place = entry.remove("path");
    let place = place.as_ref().and_then(Value::as_str).filter(|place| !place.is_empty()).map(PathBuf::from);
    if place.is_none() {
        let message = format!("is required for type `{kind}`");
        problems.push(Problem::new(Step::Interpolate, join(path, "path"), message));
    }
    place
}

fn exec(path: &str, entry: &mut Map<String, Value>, problems: &mut Vec<Problem>) -> Option<Program> {
    let (command, timeout) = (entry.remove("command"), entry.remove("timeout"));
    let words: Option<Vec<String>> = command
        .as_ref()
        .and_then(Value::as_array)
        .and_then(|words| words.iter().map(|word| word.as_str().map(str::to_owned)).collect::<Option<_>>());
    let words = words.filter(|words| words.first().is_some_and(|program| !program.is_empty()));
    if words.is_none() {
        let message = "must be a list of texts: a program and its arguments";
        let hint = "For example: command = [\"/usr/local/bin/secrets\", \"--from\", \"vault\"]";
        problems.push(Problem::new(Step::Interpolate, join(path, "command"), message).hint(hint));
    }
    let seconds = match timeout {
        None => Some(TIMEOUT_SECS),
        Some(timeout) => timeout.as_u64().filter(|seconds| (1..=3600).contains(seconds)),
    };
    if seconds.is_none() {
        let message = "must be a whole number of seconds from 1 to 3600";
        let hint = format!("The default is {TIMEOUT_SECS}");
        problems.push(Problem::new(Step::Interpolate, join(path, "timeout"), message).hint(hint));
    }
    Some(Program::new(words?, Duration::from_secs(seconds?)))
}
