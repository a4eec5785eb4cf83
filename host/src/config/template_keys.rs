//! The keys that a template gives to all its sources, judged once: what is wrong with them is no customer's mistake.

use serde_json::{Map, Value};

use super::interpolate::{Environment, Piece, interpolate, join, pieces};
use super::problem::{Problem, is_within};
use super::secrets::Secrets;
use super::templates::ID;

/// A template's keys, filled in as far as they are the same for all its sources.
pub struct TemplateKeys {
    /// `templates.<name>`.
    pub path: String,
    pub table: Value,
    /// Where a text depends on the source, or could not be filled in.
    open: Vec<String>,
}

impl TemplateKeys {
    /// What is the same for all sources, in which nothing is filled in: programs are asked for its secrets.
    pub fn shared(table: &Map<String, Value>) -> Value {
        fn blank(value: &mut Value) {
            match value {
                Value::String(text) if text.contains(ID) => *value = Value::Null,
                Value::Array(items) => items.iter_mut().for_each(blank),
                Value::Object(map) => map.values_mut().for_each(blank),
                _ => {}
            }
        }
        let mut shared = Value::Object(table.clone());
        blank(&mut shared);
        shared
    }

    pub fn fill(
        path: &str,
        table: &Map<String, Value>,
        environment: &Environment<'_>,
        secrets: &mut Secrets<'_>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut keys = Self { path: path.to_owned(), table: Value::Null, open: Vec::new() };
        let mut table = Value::Object(table.clone());
        keys.fill_in(&mut table, path, environment, secrets, problems);
        keys.table = table;
        keys
    }

    fn fill_in(
        &mut self,
        value: &mut Value,
        path: &str,
        environment: &Environment<'_>,
        secrets: &mut Secrets<'_>,
        problems: &mut Vec<Problem>,
    ) {
        match value {
            Value::String(text) if text.contains(ID) => {
                self.open.push(path.to_owned());
                // The variables in it are the same for all, unless the id is part of their names.
                let whole = |piece| match piece {
                    Piece::Variable(inner) if !inner.contains("{id") => Some(format!("${{{inner}}}")),
                    _ => None,
                };
                let mut variables = Value::String(pieces(text).filter_map(whole).collect());
                interpolate(&mut variables, path, environment, secrets, problems);
                *text = text.replace(ID, "id");
            }
            Value::String(_) => {
                let before = problems.len();
                interpolate(value, path, environment, secrets, problems);
                if problems.len() > before {
                    self.open.push(path.to_owned());
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.fill_in(item, &format!("{path}[{index}]"), environment, secrets, problems);
                }
            }
            Value::Object(map) => {
                for (key, item) in map {
                    self.fill_in(item, &join(path, key), environment, secrets, problems);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Whether what is said of `path` is about a text that is not the one that any source has.
    pub fn is_open(&self, path: &str) -> bool {
        self.open.iter().any(|open| is_within(path, open))
    }

    /// Whether what is said of `path` is about what the template gives. A file may add keys to its tables, and a list is
    /// whole.
    pub fn gives(&self, path: &str) -> bool {
        let Some(inside) = path.strip_prefix(&self.path).and_then(|rest| rest.strip_prefix('.')) else { return false };
        if self.is_open(path) {
            return false;
        }
        let (mut at, mut in_list) = (&self.table, false);
        for part in inside.split(['.', '[']) {
            let found = match part.strip_suffix(']').map(str::parse::<usize>) {
                Some(Ok(index)) => {
                    in_list = true;
                    at.get(index)
                }
                _ => at.get(part),
            };
            match found {
                Some(found) => at = found,
                None => return in_list,
            }
        }
        in_list || !at.is_object()
    }
}
