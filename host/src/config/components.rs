//! `[components.<name>]`: components that are not built in. A source runs one by `type = "<name>"`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::declaration::{Group, Table, text};
use super::problem::{Problem, Step};
use super::section::Section;

/// Where a component lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentOptions {
    /// A file; or a folder of versions, with files such as `1.2.0.wasm` or `acme-1.2.0.wasm`.
    pub path: PathBuf,
    /// The one version that may run. If it is not named, a folder's newest release does.
    pub version: Option<String>,
    /// SHA-256 of the file, in lower hexadecimal: another one is not run.
    pub sha256: Option<String>,
}

pub static COMPONENT: Table = Table::new(
    "components",
    "A component that is not built in. A source runs it by `type`, followed by the name that it is given here.",
    &[&Group::of(&[
        text(
            "path",
            "The component's file; or a folder of its versions, with files such as `1.2.0.wasm` or `acme-1.2.0.wasm`.",
        )
        .required(),
        text("version", "The one version that may run. If it is not named, a folder's newest release does."),
        text("sha256", "SHA-256 of the file, in hexadecimal: another file is not run."),
    ])],
);

/// Takes the tables of all components.
pub fn components(tables: Option<Value>, problems: &mut Vec<Problem>) -> BTreeMap<String, ComponentOptions> {
    let tables = match tables {
        None => return BTreeMap::new(),
        Some(Value::Object(tables)) => tables,
        Some(_) => {
            problems.push(Problem::new(Step::Global, "components", "must be a table of tables").hint(EXAMPLE));
            return BTreeMap::new();
        }
    };
    let one = |(name, table): (String, Value)| component(&name, table, problems).map(|options| (name, options));
    tables.into_iter().filter_map(one).collect()
}

fn component(name: &str, table: Value, problems: &mut Vec<Problem>) -> Option<ComponentOptions> {
    let path = format!("components.{}", name.escape_default());
    if name.is_empty() || name.len() > 64 || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        let message = "the name must be 1 to 64 letters, digits, `-` or `_`";
        problems.push(Problem::new(Step::Global, path, message).hint("Rename it"));
        return None;
    }
    let mut section = Section::new(&COMPONENT, path, Step::Global, table, problems)?;
    let place = section.text("path");
    if place.is_none() {
        section.fault("path", "is required", Some("Name a component's file, or a folder of its versions".into()));
    }
    let version = section.text("version");
    if let Some(version) = &version
        && let Err(error) = semver::Version::parse(version)
    {
        section.fault("version", format!("is no version: {error}"), Some("For example: version = \"1.2.0\"".into()));
    }
    let sha256 = section.text("sha256").map(|digest| digest.to_ascii_lowercase());
    if sha256.as_ref().is_some_and(|digest| digest.len() != 64 || !digest.chars().all(|c| c.is_ascii_hexdigit())) {
        let hint = "Run `tributary describe --component PATH` or `sha256sum`: both print it";
        section.fault("sha256", "must be 64 hexadecimal digits", Some(hint.into()));
    }
    section.close();
    Some(ComponentOptions { path: place?.into(), version, sha256 })
}

const EXAMPLE: &str = "For example: [components.acme] path = \"/usr/lib/tributary/acme.wasm\"";
