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

mod api;
mod components;
mod declaration;
mod files;
mod interpolate;
mod judge;
mod limits;
mod made;
mod metrics;
pub mod network;
pub mod page;
pub(crate) mod problem;
mod rules;
pub mod schema;
mod secrets;
mod section;
mod shape;
mod sinks;
mod source;
mod template_keys;
mod templates;
mod tree;
pub mod unit_tests;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

pub(crate) use api::canonical_host;
pub use api::{ApiOptions, TcpOptions};
pub use components::ComponentOptions;
pub use files::Files;
pub use interpolate::Environment;
pub(crate) use interpolate::join;
pub use metrics::MetricsOptions;
pub use problem::{ConfigError, Problem, Step};
pub(crate) use problem::{listed, suggestion};
pub use shape::{
    Config, EMBEDDED_SOURCE, HEALTH, Inherited, OnPositionLost, PULLS_PER_TENANT, QuotaLimit, RefusedFile, Settings,
    Source, most_pulls,
};
pub(crate) use shape::{glob, takes, takes_alerts_alone, takes_health};
pub(crate) use sinks::everywhere;
use template_keys::TemplateKeys;

/// One key as it is declared.
pub struct DeclaredKey {
    pub name: &'static str,
    pub description: &'static str,
    pub default: Option<Value>,
}

impl From<&'static declaration::Key> for DeclaredKey {
    fn from(key: &'static declaration::Key) -> Self {
        Self { name: key.name, description: key.description, default: key.shape.default() }
    }
}

/// The names of the keys that the host takes of every source.
pub fn source_keys() -> impl Iterator<Item = &'static str> {
    source::SOURCE.keys().map(|key| key.name)
}

/// The keys of the top level.
pub fn top_keys() -> impl Iterator<Item = DeclaredKey> {
    judge::TOP.groups.iter().filter(|group| group.title.is_empty()).flat_map(|group| group.keys).map(DeclaredKey::from)
}

/// The types of sinks.
pub fn sink_types() -> Vec<&'static str> {
    sinks::TABLES.iter().map(|(name, _)| *name).collect()
}

/// The keys that a type of sink has of its own.
pub fn sink_keys(kind: &str) -> impl Iterator<Item = DeclaredKey> {
    let table = sinks::TABLES.iter().find(|(name, _)| *name == kind).map(|(_, table)| *table);
    let groups = table.into_iter().flat_map(|table| table.groups).filter(|group| group.title.is_empty());
    groups.flat_map(|group| group.keys).map(DeclaredKey::from)
}

/// What stands in a text, in which nothing is filled in.
#[cfg(test)]
pub(crate) fn tree_of(text: &str, format: Format) -> Result<Value, Problem> {
    tree::parse(text, format, "test")
}

pub use sinks::{
    Auth, AwsCredentials, BatchOptions, ClientOptions, Compression, Credentials, ElasticsearchOptions, Encoding,
    Endpoint, FileOptions, Framing, HttpOptions, IndexerAcknowledgements, KafkaCompression, KafkaOptions, KafkaTls,
    NatsCredentials, NatsOptions, ObjectStoreOptions, OtlpOptions, Route, Sasl, Secret, Sink, SinkKind,
    SplunkHecOptions, Store, SumoOptions, SyslogOptions, Where, is_topic_character,
};
pub use tree::Format;

/// A configuration that can be run, and what is suspicious about it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Problem>,
    /// The files that its secrets and certificates came from.
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
        let one = |problem| ConfigError::new(vec![problem]);
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

/// The data folder that the file at `path` names. Nothing else of it is judged or filled in: no program that says secrets
/// is run, unless the folder's own text asks for one.
///
/// # Errors
/// When the text cannot be read, or that of the folder cannot be filled in.
pub fn data_dir(path: &Path) -> Result<PathBuf, ConfigError> {
    let Document { path, format, text } = Document::read(path)?;
    named_data_dir(&text, format, &path.display().to_string(), &|name: &str| std::env::var(name).ok())
}

fn named_data_dir(
    text: &str,
    format: Format,
    name: &str,
    environment: &Environment<'_>,
) -> Result<PathBuf, ConfigError> {
    let failed = ConfigError::new;
    let mut tree = tree::parse(text, format, name).map_err(|problem| failed(vec![problem]))?;
    let mut problems = Vec::new();
    let mut folder = tree.as_object_mut().and_then(|top| top.remove("data_dir"));
    if let Some(folder) = &mut folder {
        let mut secrets = match interpolate::asks_for_secrets(folder) {
            true => backends(&mut tree, environment, &mut problems),
            false => secrets::Secrets::new(environment),
        };
        secrets.prepare([&*folder]);
        interpolate::interpolate(folder, "data_dir", environment, &mut secrets, &mut problems);
    }
    // Secrets may be written out in the rest.
    interpolate::wipe(&mut tree);
    let top = Map::from_iter(folder.map(|folder| ("data_dir".to_owned(), folder)));
    let mut found = Vec::new();
    let folder = section::Section::new(&judge::TOP, "", Step::Global, Value::Object(top), &mut found)
        .map(|mut top| judge::data_dir(&mut top));
    problems.append(&mut found);
    folder.filter(|_| problems.is_empty()).ok_or_else(|| failed(problems))
}

/// Reads the tests of the file at `path`, and no more of it than they need: no secret is asked for.
///
/// # Errors
/// All problems at once.
pub fn load_tests(path: &Path) -> Result<unit_tests::Suite, ConfigError> {
    let Document { path, format, text } = Document::read(path)?;
    unit_tests::read(&text, format, &path.display().to_string(), &|name: &str| std::env::var(name).ok())
}

/// Reads the file at `path`, with the process's environment. Returns all problems at once.
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    Document::read(path)?.fill()
}

/// Reads a configuration from `text`. `name` is for messages.
pub fn parse(text: &str, format: Format, name: &str, environment: &Environment<'_>) -> Result<Loaded, ConfigError> {
    let mut tree = tree::parse(text, format, name).map_err(|problem| ConfigError::new(vec![problem]))?;
    let mut problems = Vec::new();
    let mut secrets = backends(&mut tree, environment, &mut problems);
    // Those are for `tributary test`, and what stands in them is not filled in.
    section::part(&mut tree, "tests");
    let templates = section::part(&mut tree, "templates");
    let base = Path::new(name).parent().unwrap_or(Path::new(""));
    let templates = templates::templates(templates, base, environment, &mut problems);
    let mut made = made::Made { templated: !templates.is_empty(), ..made::Made::default() };
    for template in &templates {
        let (customers, refused) = template.read(&mut secrets, &mut problems);
        made.customers.extend(customers);
        made.refused.extend(refused);
    }
    // A program is asked once for all its secrets.
    let shared: Vec<Value> = templates.iter().map(|template| TemplateKeys::shared(&template.table)).collect();
    let customers = made.customers.iter().map(|customer| &customer.table);
    secrets.prepare([&tree].into_iter().chain(&shared).chain(customers));
    interpolate::interpolate(&mut tree, "", environment, &mut secrets, &mut problems);
    for templates::Template { path, table, .. } in &templates {
        made.templates.push(TemplateKeys::fill(path, table, environment, &mut secrets, &mut problems));
    }
    made.fill(environment, &mut secrets, &problems);
    let (mut warnings, mut files) = (secrets.warnings, secrets.files);
    let open = problem::open(&problems);
    let config = judge::judge(tree, name, made, &mut problems, &mut warnings, &mut files);
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded { config, warnings, files }),
        config => {
            problem::leave_out_open(&mut problems, &open);
            problem::leave_out_open(&mut warnings, &open);
            problems.sort_by_key(|problem| problem.step);
            debug_assert!(problems.iter().all(|problem| problem.hint.is_some()), "without a next step: {problems:?}");
            Err(ConfigError { problems, warnings, readable: config.map(Box::new) })
        }
    }
}

/// The backends that the section `secret` names, which is taken out of `tree`.
fn backends<'a>(
    tree: &mut Value,
    environment: &'a Environment<'a>,
    problems: &mut Vec<Problem>,
) -> secrets::Secrets<'a> {
    let mut secrets = secrets::Secrets::new(environment);
    if let Some(mut section) = section::part(tree, "secret") {
        // Secrets cannot stand in the description of where secrets are.
        let mut only_environment = secrets::Secrets::new(environment);
        interpolate::interpolate(&mut section, "secret", environment, &mut only_environment, problems);
        secrets.configure(section, problems);
    }
    secrets
}

/// Warns where a file that others may read holds something that looks like a secret written out.
fn readable_secrets(path: &Path, text: &str, format: Format) -> Option<Problem> {
    let mode = is_open_to_all(path)?;
    let mut tree = tree::parse(text, format, "").ok()?;
    let tables = ["sources", "templates"].into_iter().filter_map(|kind| Some((kind, tree.get(kind)?.as_object()?)));
    let mut tables = tables.flat_map(|(kind, tables)| tables.iter().map(move |(id, table)| (kind, id, table)));
    let found = tables.find_map(|(kind, id, table)| Some(format!("{kind}.{id}.{}", written_out(table.as_object()?)?)));
    let found = found.or_else(|| network::password_written_out(&tree)).or_else(|| rules::key_written_out(&tree));
    let found = found.or_else(|| sinks::secret_written_out(&tree));
    let of_api = || Some(format!("api.{}", written_out(tree.get("api")?.as_object()?)?));
    let found = found.or_else(of_api);
    interpolate::wipe(&mut tree);
    let found = found?;
    let message = format!("a secret is written out in a file that everybody may read (mode {mode:04o})");
    let hint = format!("Run: chmod 640 {}; or use SECRET[backend.key] or ${{NAME}}", path.display());
    Some(Problem::new(Step::Parse, found, message).hint(hint))
}

/// The key of a source under which a secret seems to be written out.
fn written_out(source: &Map<String, Value>) -> Option<&str> {
    let found = source.iter().find(|(key, value)| {
        interpolate::is_secret(key)
            && value.as_str().is_some_and(|text| !text.contains("${") && !text.contains("SECRET["))
    });
    found.map(|(key, _)| key.as_str())
}

/// The file's mode, if everybody may do something with it.
fn is_open_to_all(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then_some(mode)
}

#[cfg(test)]
mod declaration_tests;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod tests;
