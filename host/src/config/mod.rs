//! The configuration: one file in the shape that Vector made common, read, filled in and judged.
//!
//! ```toml
//! data_dir = "/var/lib/tributary"
//!
//! [sources.acme]
//! type = "mimecast"
//! client_secret = "${ACME_SECRET}"
//!
//! [sinks.files]
//! type = "file"
//! inputs = ["*"]
//! path = "/var/log/tributary"
//! ```

mod components;
mod files;
mod interpolate;
mod judge;
mod problem;
mod secrets;
mod section;
mod shape;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use zeroize::Zeroizing;

pub use components::ComponentOptions;
pub use files::Files;
pub use interpolate::Environment;
pub use problem::{ConfigError, Problem, Step};
pub use shape::{
    Compression, Config, EMBEDDED_SOURCE, FileOptions, HEALTH, OnPositionLost, QuotaLimit, Settings, Sink, SinkKind,
    Source,
};
pub(crate) use shape::{glob, takes_health};
pub use tree::Format;

/// A configuration that can be run, and what is suspicious about it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Problem>,
    /// The files that its secrets came from.
    pub files: Files,
}

/// The text of a configuration, in which secrets are not filled in yet. Some may be written out, so it has no `Debug`.
#[derive(Clone)]
pub struct Document {
    path: PathBuf,
    format: Format,
    text: Zeroizing<String>,
}

impl Document {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or its name does not say how it is written.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let one = |problem| ConfigError { problems: vec![problem], warnings: Vec::new() };
        let format = Format::of(path).map_err(one)?;
        let text = fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::NotFound => "Name the file with --config, or write it there",
                std::io::ErrorKind::PermissionDenied => "Let the user that runs tributary read it",
                _ => "The file must be UTF-8 text that this user may read",
            };
            one(Problem::new(Step::Parse, path.display().to_string(), format!("cannot read it: {error}")).hint(hint))
        })?;
        Ok(Self { path: path.to_owned(), format, text })
    }

    /// Fills in what the process's environment and the files with secrets hold now.
    ///
    /// # Errors
    /// All problems at once.
    pub fn fill(&self) -> Result<Loaded, ConfigError> {
        let environment = |name: &str| std::env::var(name).ok();
        let mut loaded = parse(&self.text, self.format, &self.path.display().to_string(), &environment)?;
        if let Some(warning) = readable_secrets(&self.path, &self.text, self.format) {
            loaded.warnings.insert(0, warning);
        }
        Ok(loaded)
    }
}

/// Reads the file at `path`, with the process's environment. Returns all problems at once.
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    Document::read(path)?.fill()
}

/// Reads a configuration from `text`. `name` is for messages.
pub fn parse(text: &str, format: Format, name: &str, environment: &Environment<'_>) -> Result<Loaded, ConfigError> {
    let mut tree = tree::parse(text, format, name)
        .map_err(|problem| ConfigError { problems: vec![problem], warnings: Vec::new() })?;
    let mut problems = Vec::new();
    let mut secrets = secrets::Secrets::new(environment);
    if let Value::Object(top) = &mut tree
        && let Some(mut section) = top.remove("secret")
    {
        // Secrets cannot stand in the description of where secrets are.
        let mut only_environment = secrets::Secrets::new(environment);
        interpolate::interpolate(&mut section, "secret", environment, &mut only_environment, &mut problems);
        secrets.configure(section, &mut problems);
    }
    secrets.prepare([&tree]);
    interpolate::interpolate(&mut tree, "", environment, &mut secrets, &mut problems);
    let (mut warnings, files) = (secrets.warnings, secrets.files);
    let config = judge::judge(tree, name, &mut problems, &mut warnings);
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded { config, warnings, files }),
        _ => {
            problems.sort_by_key(|problem| problem.step);
            Err(ConfigError { problems, warnings })
        }
    }
}

/// Warns where a file that others may read holds something that looks like a secret written out.
#[cfg(unix)]
fn readable_secrets(path: &Path, text: &str, format: Format) -> Option<Problem> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    if mode & 0o007 == 0 {
        return None;
    }
    let mut tree = tree::parse(text, format, "").ok()?;
    let found = written_out(&tree);
    interpolate::wipe(&mut tree);
    let found = found?;
    let message = format!("a secret is written out in a file that everybody may read (mode {mode:04o})");
    let hint = format!("Run: chmod 640 {}; or use SECRET[backend.key] or ${{NAME}}", path.display());
    Some(Problem::new(Step::Parse, found, message).hint(hint))
}

/// Where in a source something stands that looks like a secret.
#[cfg(unix)]
fn written_out(tree: &Value) -> Option<String> {
    let sources = tree.get("sources")?.as_object()?;
    sources.iter().find_map(|(id, source)| {
        let key = source.as_object()?.iter().find(|(key, value)| {
            let named = ["secret", "password", "key", "token"].iter().any(|word| key.ends_with(word));
            named && value.as_str().is_some_and(|text| !text.contains("${") && !text.contains("SECRET["))
        })?;
        Some(format!("sources.{id}.{}", key.0))
    })
}

#[cfg(not(unix))]
fn readable_secrets(_: &Path, _: &str, _: Format) -> Option<Problem> {
    None
}

#[cfg(test)]
mod tests;
