//! Where `SECRET[backend.key]` comes from: `[secret.<backend>]`, and the built-in backend `env`.
//!
//! Types and keys are Vector's. As there, a program is asked when the configuration is read, for all its keys at once, and
//! not by the clock: at the start, on SIGHUP, when a vendor refuses the credentials, and when a file with secrets has
//! changed.

mod backend;
mod exec;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use zeroize::Zeroizing;

pub use self::backend::BACKENDS;
use self::backend::{Backend, EXAMPLE, Members};
use super::files::Files;
use super::interpolate::{Environment, Piece, join, pieces};
use super::problem::{Problem, Step, suggestion};

/// A secret's value; its memory is wiped when it is dropped.
pub type Secret = Zeroizing<String>;

/// The backends that a configuration names.
pub struct Secrets<'a> {
    environment: &'a Environment<'a>,
    backends: BTreeMap<String, Backend>,
    /// What is suspicious about the files that were read.
    pub warnings: Vec<Problem>,
    /// What was read.
    pub files: Files,
}

impl<'a> Secrets<'a> {
    /// Only the built-in backend `env`.
    pub fn new(environment: &'a Environment<'a>) -> Self {
        let backends = BTreeMap::from([("env".to_owned(), Backend::Environment)]);
        Secrets { environment, backends, warnings: Vec::new(), files: Files::default() }
    }

    /// The environment, and for what else the section `secret` names the word that tests do not ask it.
    pub fn for_tests(section: Option<&Value>, environment: &'a Environment<'a>) -> Self {
        let mut secrets = Self::new(environment);
        for (name, entry) in section.and_then(Value::as_object).into_iter().flatten() {
            let backend = match entry.get("type").and_then(Value::as_str) {
                Some("env") => Backend::Environment,
                _ => Backend::Unasked,
            };
            secrets.backends.insert(name.clone(), backend);
        }
        secrets
    }

    /// Takes the section `secret` of the configuration.
    pub fn configure(&mut self, section: Value, problems: &mut Vec<Problem>) {
        let Value::Object(section) = section else {
            problems.push(Problem::new(Step::Interpolate, "secret", "must be a table").hint(EXAMPLE));
            return;
        };
        for (name, entry) in section {
            let backend = self.backend(&join("secret", &name), entry, problems).unwrap_or(Backend::Broken);
            self.backends.insert(name, backend);
        }
    }

    /// Asks each program once for all keys that `trees` name. Without that, it would be asked for each of them.
    pub fn prepare<'t>(&mut self, trees: impl IntoIterator<Item = &'t Value>) {
        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for tree in trees {
            references(tree, &mut |reference| {
                if let Some((name, key)) = split(reference) {
                    wanted.entry(name.to_owned()).or_default().insert(key.to_owned());
                }
            });
        }
        for (name, keys) in wanted {
            if let Some(Backend::Exec(program)) = self.backends.get_mut(&name) {
                program.ask(&keys);
            }
        }
    }

    /// The value of `SECRET[reference]`, which stands at `path`.
    pub fn value(&mut self, reference: &str, path: &str) -> Result<Secret, Problem> {
        let fault = |message: String| Problem::new(Step::Interpolate, path, message);
        let Some((name, key)) = split(reference) else {
            return Err(fault("a secret is written `SECRET[backend.key]`".into())
                .hint("The built-in backend `env` takes the name of an environment variable: `SECRET[env.NAME]`"));
        };
        match self.backends.get_mut(name) {
            Some(Backend::Environment) => (self.environment)(key).map(Zeroizing::new).ok_or_else(|| {
                fault(format!("the environment variable {key} is not set"))
                    .hint(format!("Set {key} where tributary is started"))
            }),
            Some(Backend::File(Ok(members))) => match members.get(key) {
                Some(Some(value)) => Ok(value.clone()),
                Some(None) => Err(fault(format!("`{key}` in the file of the secret backend `{name}` is not a string"))
                    .hint("Write its value in quotation marks")),
                None => Err(fault(format!("the file of the secret backend `{name}` has no key `{key}`"))
                    .hint("Add it to the file")),
            },
            Some(Backend::File(Err(problem))) => Err(Problem { path: path.to_owned(), ..problem.clone() }),
            Some(Backend::Directory(folder)) => {
                // The key is one file's name: it must not lead out of the folder.
                if key.contains(['/', '\\', '\0']) || key == "." || key == ".." || key.starts_with("..") {
                    return Err(fault(format!(
                        "a key of the secret backend `{name}` must be a file's name, without a folder"
                    ))
                    .hint("Write SECRET[backend.NAME] with the name of a file in the backend's folder"));
                }
                let file = folder.join(key);
                let text = self.read(&file, path)?;
                let line = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text)).unwrap_or(&text);
                Ok(Zeroizing::new(line.to_owned()))
            }
            Some(Backend::Exec(program)) => program.value(name, key).map_err(|mut problem| {
                problem.path = path.to_owned();
                problem
            }),
            Some(Backend::Broken) => Err(fault(format!("the secret backend `{name}` is not configured correctly"))
                .hint(format!("Mend the section `secret.{name}`"))),
            Some(Backend::Unasked) => Err(fault(format!("tests do not ask the secret backend `{name}`")).hint(
                "Write the text itself, or a variable as `${NAME}`; only the `key` of a rule may be such a secret",
            )),
            None => {
                let known: Vec<&str> = self.backends.keys().map(String::as_str).collect();
                let hint = suggestion(name, &known).unwrap_or_else(|| format!("Add the section `secret.{name}`"));
                Err(fault(format!("there is no secret backend `{name}`")).hint(hint))
            }
        }
    }

    /// Reads a file with secrets; others than its owner and its group ought not to be able to.
    fn read(&mut self, file: &Path, path: &str) -> Result<Secret, Problem> {
        self.files.note(file);
        let text = fs::read_to_string(file).map(Zeroizing::new).map_err(|error| {
            // An error of UTF-8 does not quote the bytes.
            Problem::new(Step::Interpolate, path, format!("cannot read the secret file {}: {error}", file.display()))
                .hint("Check that it exists and that this user may read it")
        })?;
        #[cfg(unix)]
        if let Ok(metadata) = fs::metadata(file) {
            use std::os::unix::fs::PermissionsExt;
            let mode = metadata.permissions().mode() & 0o777;
            let warned = self.warnings.iter().any(|warning| warning.message.contains(&*file.to_string_lossy()));
            if mode & 0o027 != 0 && !warned {
                let message = format!("others may read or change the secret file {} (mode {mode:04o})", file.display());
                let warning = Problem::new(Step::Interpolate, path, message);
                self.warnings.push(warning.hint(format!("Run: chmod 640 {}", file.display())));
            }
        }
        Ok(text)
    }

    /// Reads a file of secrets: one JSON object.
    fn members(&mut self, file: &Path, path: &str) -> Result<Members, Problem> {
        let text = self.read(file, path)?;
        match serde_json::from_str(&text) {
            Ok(Value::Object(members)) => Ok(members.into_iter().map(|(key, value)| (key, secret(value))).collect()),
            // The parser's message could quote what stands there.
            _ => Err(Problem::new(
                Step::Interpolate,
                path,
                format!("the secret file {} does not hold one JSON object", file.display()),
            )
            .hint("Write {\"key\": \"value\", ...}")),
        }
    }
}

/// Backend and key of a reference; neither is empty.
fn split(reference: &str) -> Option<(&str, &str)> {
    reference.split_once('.').filter(|(name, key)| !name.is_empty() && !key.is_empty())
}

/// The text, if it is one.
fn secret(value: Value) -> Option<Secret> {
    match value {
        Value::String(text) => Some(Zeroizing::new(text)),
        _ => None,
    }
}

/// Tells each reference to a secret in `tree`.
fn references(tree: &Value, tell: &mut impl FnMut(&str)) {
    match tree {
        Value::String(text) => pieces(text).for_each(|piece| {
            if let Piece::Secret(reference) = piece {
                tell(reference);
            }
        }),
        Value::Array(items) => items.iter().for_each(|item| references(item, tell)),
        Value::Object(map) => map.values().for_each(|item| references(item, tell)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests;
