//! Sources that are made from a template and a folder of files, one a customer.
//!
//! ```toml
//! [templates.customers]
//! folder = "customers.d"
//! type = "mimecast"
//! client_id = "SECRET[vault.{id}_client_id]"
//! client_secret = "SECRET[vault.{id}_client_secret]"
//! ```
//!
//! Each `*.toml`, `*.yaml`, `*.yml` or `*.json` in the folder is one source: its id is the file's name, and it has the
//! template's keys, in which `{id}` stands for the id, and its own, which come first. What is wrong with a file is wrong
//! with its source alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::declaration::{Group, Others, Table, text};
use super::interpolate::{Environment, interpolate, join};
use super::made::Customer;
use super::problem::{Problem, Step};
use super::secrets::Secrets;
use super::section::Section;
use super::shape::{Inherited, RefusedFile};
use super::tree::{self, Format};
use super::{is_open_to_all, network, source, written_out};

/// What stands for the source's id in a template.
pub const ID: &str = "{id}";

/// A source's file has a few lines. What is longer is something else.
const LONGEST: u64 = 1 << 20;

pub static TEMPLATE: Table = Table::new(
    "templates",
    "Sources that are made from a folder of files, one a customer. Each `*.toml`, `*.yaml`, `*.yml` or `*.json` in it is one \
     source: its id is the file's name, and it has the keys that stand here, in which `{id}` stands for the id, and its \
     own, which come first.",
    &[
        &Group::of(&[text("folder", "The folder, from that of the configuration file.").required()]),
        &source::SOURCE_KEYS,
        &network::SOURCE_KEYS,
    ],
)
.others(Others::Component);

/// One section `templates.<name>`.
pub struct Template {
    /// `templates.<name>`.
    pub path: String,
    folder: PathBuf,
    /// The keys of a source.
    pub table: Map<String, Value>,
}

/// Reads the section `templates`. Folders are relative to `base`.
pub fn templates(
    section: Option<Value>,
    base: &Path,
    environment: &Environment<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Template> {
    let fault = |path: &str, message: &str| Problem::new(Step::Sources, path, message).hint(EXAMPLE);
    let section = match section {
        None => return Vec::new(),
        Some(Value::Object(section)) => section,
        Some(_) => {
            problems.push(fault("templates", "must be a table of tables"));
            return Vec::new();
        }
    };
    let mut found: Vec<Template> = Vec::new();
    for (name, table) in section {
        let path = join("templates", &name.escape_default().to_string());
        let Value::Object(mut table) = table else {
            problems.push(fault(&path, "must be a table"));
            continue;
        };
        let at = join(&path, "folder");
        let folder = table.remove_entry("folder");
        let folder =
            Section::new(&TEMPLATE, path.clone(), Step::Sources, Value::Object(folder.into_iter().collect()), problems);
        let mut folder = folder.and_then(|mut folder| folder.take("folder")).unwrap_or_default();
        let before = problems.len();
        interpolate(&mut folder, &at, environment, &mut Secrets::new(environment), problems);
        match folder.as_str().filter(|folder| !folder.is_empty()) {
            _ if problems.len() > before => {}
            None => problems.push(fault(&at, "is required: the folder with a file for each source")),
            Some(folder) => {
                let folder = base.join(folder);
                if found.iter().any(|other| other.folder == folder) {
                    problems.push(fault(&at, "is the folder of another template"));
                }
                found.push(Template { path, folder, table });
            }
        }
    }
    found
}

const EXAMPLE: &str = "For example: [templates.customers] folder = \"customers.d\", type = \"mimecast\"";

impl Template {
    /// Reads the folder: the files that can be read, and those that cannot. Nothing is filled in yet.
    pub fn read(&self, secrets: &mut Secrets<'_>, problems: &mut Vec<Problem>) -> (Vec<Customer>, Vec<RefusedFile>) {
        // A file that comes or goes changes its folder.
        secrets.files.note(&self.folder);
        let entries = fs::read_dir(&self.folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut files: Vec<PathBuf> = match entries {
            Ok(entries) => entries.iter().map(fs::DirEntry::path).filter(|path| is_for_us(path)).collect(),
            Err(error) => {
                // Not a problem of each file: a folder that is not mounted must not look like one without customers.
                let message = format!("cannot read the folder: {error}");
                let problem = Problem::new(Step::Sources, self.folder.display().to_string(), message);
                problems.push(problem.hint("Make it, or let this user read it"));
                return Default::default();
            }
        };
        files.sort();
        let (mut customers, mut refused) = (Vec::new(), Vec::new());
        for file in files {
            let id = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match own_keys(&file, secrets) {
                Ok(own) => customers.push(self.customer(id, file, own)),
                Err(found) => refused.push(RefusedFile::new(id, file, found)),
            }
        }
        (customers, refused)
    }

    /// One source, of a file with these keys.
    fn customer(&self, id: String, file: PathBuf, own: Map<String, Value>) -> Customer {
        let mut inherited = Inherited { template: self.path.clone(), keys: BTreeSet::new() };
        lacking(&self.table, &own, "", &mut inherited.keys);
        let (mut table, own, mut leaves) = (Value::Object(self.table.clone()), Value::Object(own), Vec::new());
        paths(&own, "", &mut leaves);
        put_id(&mut table, &id);
        merge(&mut table, own);
        Customer { id, file, table, own: leaves, inherited }
    }
}

/// The keys that stand in a file.
fn own_keys(file: &Path, secrets: &mut Secrets<'_>) -> Result<Map<String, Value>, Vec<Problem>> {
    let one = |message: String, hint: &str| vec![Problem::new(Step::Parse, "", message).hint(hint)];
    secrets.files.note(file);
    let cannot = |error: std::io::Error| {
        one(format!("cannot read it: {error}"), "It must be UTF-8 text that this user may read")
    };
    if fs::metadata(file).map_err(cannot)?.len() > LONGEST {
        return Err(one("it is longer than a source's file can be".into(), "Move it to another folder"));
    }
    let text = Zeroizing::new(fs::read_to_string(file).map_err(cannot)?);
    let format = Format::of(file).map_err(|problem| vec![problem])?;
    let tree = tree::parse(&text, format, "").map_err(|problem| vec![problem])?;
    let own = match tree {
        Value::Object(own) => own,
        // An empty file: all is in the template.
        Value::Null => Map::new(),
        _ => return Err(one("is not a table".into(), "Write the keys of one source, without a section")),
    };
    if let Some(key) = written_out(&own)
        && let Some(mode) = is_open_to_all(file)
    {
        let path = format!("{}: {key}", file.display());
        let message = format!("a secret is written out in a file that everybody may read (mode {mode:04o})");
        let hint = format!("Run: chmod 640 {}; or use SECRET[backend.key]", file.display());
        secrets.warnings.push(Problem::new(Step::Sources, path, message).hint(hint));
    }
    Ok(own)
}

/// The paths of what `under` has and `over` has not, as [`merge`] sees it.
fn lacking(under: &Map<String, Value>, over: &Map<String, Value>, path: &str, keys: &mut BTreeSet<String>) {
    for (key, value) in under {
        match (value, over.get(key)) {
            (_, None) => {
                keys.insert(join(path, key));
            }
            (Value::Object(under), Some(Value::Object(over))) => lacking(under, over, &join(path, key), keys),
            (_, Some(_)) => {}
        }
    }
}

/// The paths of all that is in tables, and is none.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, item)| paths(item, &join(path, key), found)),
        _ => found.push(path.to_owned()),
    }
}

/// Whether a file of the folder is a source's. Editors and deployments leave others there.
fn is_for_us(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !hidden && Format::of(path).is_ok() && !path.is_dir()
}

/// Puts the id where a text says `{id}`.
fn put_id(value: &mut Value, id: &str) {
    match value {
        Value::String(text) if text.contains(ID) => *text = text.replace(ID, id),
        Value::Array(items) => items.iter_mut().for_each(|item| put_id(item, id)),
        Value::Object(map) => map.values_mut().for_each(|item| put_id(item, id)),
        _ => {}
    }
}

/// What `over` says comes first, key by key.
fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_file_comes_first_key_by_key() {
        let mut table = json!({"type": "m", "collect": ["a", "b"], "intervals": {"a": 1, "b": 2}, "region": "eu"});
        merge(&mut table, json!({"collect": ["c"], "intervals": {"b": 3}, "region": null, "own": true}));
        let merged = json!({"type": "m", "collect": ["c"], "intervals": {"a": 1, "b": 3}, "region": null, "own": true});
        assert_eq!(table, merged);
    }

    #[test]
    fn the_id_stands_wherever_the_template_says_so() {
        let mut table =
            json!({"secret": "SECRET[v.{id}_x]", "fields": {"customer": "{id}"}, "list": ["{id}-{id}"], "n": 1});
        put_id(&mut table, "acme");
        assert_eq!(
            table,
            json!({"secret": "SECRET[v.acme_x]", "fields": {"customer": "acme"}, "list": ["acme-acme"], "n": 1})
        );
    }
}
