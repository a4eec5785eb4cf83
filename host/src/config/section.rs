//! Takes keys out of one table of the configuration, and says what is wrong with them.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::declaration::{Key, Shape, Table};
use super::interpolate::{join, wipe};
use super::problem::{Problem, Step, listed, suggestion};
use super::secrets::Secret;

/// One table. Keys are taken out one by one; what is left is unknown, and its memory is wiped in the end. Bounds, defaults and
/// known names come from the table's declaration.
pub struct Section<'a> {
    table: &'static Table,
    path: String,
    step: Step,
    map: Map<String, Value>,
    problems: &'a mut Vec<Problem>,
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        self.map.values_mut().for_each(wipe);
    }
}

impl<'a> Section<'a> {
    /// `None`, with the problem said, if `value` is no table.
    pub fn new(
        table: &'static Table,
        path: impl Into<String>,
        step: Step,
        value: Value,
        problems: &'a mut Vec<Problem>,
    ) -> Option<Self> {
        let path = path.into();
        match value {
            Value::Object(map) => Some(Section { table, path, step, map, problems }),
            _ => {
                let hint = "Write it as a table: { key = value, ... }";
                problems.push(Problem::new(step, path, "must be a table").hint(hint));
                None
            }
        }
    }

    /// Says that `key` is wrong; the empty key is the table itself.
    pub fn fault(&mut self, key: &str, message: impl Into<String>, hint: Option<String>) {
        let path = if key.is_empty() { self.path.clone() } else { join(&self.path, key) };
        self.problems.push(Problem { step: self.step, path, message: message.into(), hint });
    }

    /// What stands under `key`, which must be declared.
    pub fn take(&mut self, key: &'static str) -> Option<Value> {
        self.declared(key);
        self.map.remove(key).filter(|value| !value.is_null())
    }

    /// The declaration of `key`. A key without one is a mistake of the caller's, which every test of it finds.
    fn declared(&self, key: &str) -> &'static Shape {
        let found = self.table.key(key);
        debug_assert!(found.is_some(), "`{key}` is taken and not declared in the table `{}`", self.table.name);
        found.map_or(&Shape::Anything, |key| {
            taken(key);
            &key.shape
        })
    }

    /// Says of a key that is not declared, but that some would look for, why it is not there.
    pub fn refuse(&mut self, key: &str, message: &str, hint: &str) {
        if let Some(mut value) = self.map.remove(key).filter(|value| !value.is_null()) {
            wipe(&mut value);
            self.fault(key, message, Some(hint.into()));
        }
    }

    /// What stands under `key`, which is still to be taken.
    pub fn peek(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// The table under `key`; `None`, with the problem said, if there is something else.
    pub fn table(&mut self, key: &'static str) -> Option<Section<'_>> {
        let table = self.table_of(key);
        let value = self.take(key)?;
        Section::new(table, join(&self.path, key), self.step, value, self.problems)
    }

    /// The same; an empty one, if there is none: it has the defaults.
    pub fn table_or_empty(&mut self, key: &'static str) -> Option<Section<'_>> {
        let table = self.table_of(key);
        let value = self.take(key).unwrap_or_else(|| Value::Object(Map::new()));
        Section::new(table, join(&self.path, key), self.step, value, self.problems)
    }

    /// Hands out the tables of the list under `key`, one after the other, with their index.
    pub fn tables(&mut self, key: &'static str, mut each: impl FnMut(usize, Section<'_>)) {
        let table = self.table_of(key);
        match self.take(key) {
            None => {}
            Some(Value::Array(items)) => {
                for (index, item) in items.into_iter().enumerate() {
                    let path = join(&self.path, &format!("{key}[{index}]"));
                    if let Some(section) = Section::new(table, path, self.step, item, self.problems) {
                        each(index, section);
                    }
                }
            }
            Some(_) => self.fault(key, "must be a list of tables", Some("Write each as [[...]] or { ... }".into())),
        }
    }

    /// The declaration of the table or tables under `key`.
    fn table_of(&self, key: &str) -> &'static Table {
        static NONE: Table = Table::new("", "", &[]);
        match self.declared(key) {
            Shape::Table(table) | Shape::FlagOrTable(_, table) | Shape::Tables(table) | Shape::Named(table) => table,
            other => {
                debug_assert!(false, "`{key}` is read as a table and declared as {other:?}");
                &NONE
            }
        }
    }

    /// Adds to the table under `key` what of `from` it has no key for.
    pub fn inherit(&mut self, key: &str, from: &Map<String, Value>) {
        if let Some(Value::Object(table)) = self.map.get_mut(key) {
            for (key, value) in from {
                table.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }

    /// Where the table stands.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn step(&self) -> Step {
        self.step
    }

    /// How many problems were found so far, here and elsewhere.
    pub fn problems(&self) -> usize {
        self.problems.len()
    }

    /// A text that is not empty, or the declared default.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        let default = match self.declared(key) {
            Shape::Text(default) => default.map(str::to_owned),
            other => {
                debug_assert!(matches!(other, Shape::Secret), "`{key}` is read as a text and declared as {other:?}");
                None
            }
        };
        match self.take(key) {
            Some(Value::String(text)) if !text.is_empty() => return Some(text),
            Some(Value::String(_)) => {
                self.fault(key, "must not be empty", Some(format!("Set `{key}`, or remove it")));
            }
            Some(_) => {
                self.fault(key, "must be a text", Some(format!("Write it in quotation marks: {key} = \"...\"")));
            }
            None => {}
        }
        default
    }

    /// The same, of a text in which there may be a secret.
    pub fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.text(key).map(Zeroizing::new)
    }

    /// A whole number within the declared bounds, or the declared default. A number as text is one too: interpolation gives
    /// texts.
    pub fn whole(&mut self, key: &'static str) -> u64 {
        let (_, _, default) = self.bounds(key);
        self.whole_or(key, default)
    }

    /// The same with another default.
    pub fn whole_or(&mut self, key: &'static str, default: u64) -> u64 {
        let (least, most, _) = self.bounds(key);
        let Some(value) = self.take(key) else { return default };
        let number = match &value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if (least..=most).contains(&number) => number,
            _ => {
                let hint = format!("Set such a number, or remove `{key}`: the default is {default}");
                self.fault(key, format!("must be a whole number from {least} to {most}"), Some(hint));
                default
            }
        }
    }

    /// Least, most and default.
    fn bounds(&self, key: &str) -> (u64, u64, u64) {
        match *self.declared(key) {
            Shape::Whole { least, most, default } | Shape::WholeOr { least, most, default, .. } => {
                (least, most, default)
            }
            ref other => {
                debug_assert!(false, "`{key}` is read as a number and declared as {other:?}");
                (0, u64::MAX, 0)
            }
        }
    }

    /// True or false, or the declared default.
    pub fn flag(&mut self, key: &'static str) -> bool {
        let default = match *self.declared(key) {
            Shape::Flag(default) | Shape::FlagOrTable(default, _) => default,
            ref other => {
                debug_assert!(false, "`{key}` is read as a flag and declared as {other:?}");
                false
            }
        };
        match self.take(key) {
            None => default,
            Some(Value::Bool(flag)) => flag,
            Some(Value::String(text)) if text == "true" || text == "false" => text == "true",
            Some(_) => {
                self.fault(
                    key,
                    "must be true or false",
                    Some(format!("Set one of the two, or remove `{key}`: the default is {default}")),
                );
                default
            }
        }
    }

    /// A number of more than 0 and at most 1, or the declared default.
    pub fn share(&mut self, key: &'static str) -> f64 {
        let default = match *self.declared(key) {
            Shape::Share(default) => default,
            ref other => {
                debug_assert!(false, "`{key}` is read as a share and declared as {other:?}");
                1.0
            }
        };
        let Some(value) = self.take(key) else { return default };
        let number = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if number > 0.0 && number <= 1.0 => number,
            _ => {
                let hint = format!("Set such a number, or remove `{key}`: the default is {default}");
                self.fault(key, "must be a number of more than 0 and at most 1", Some(hint));
                default
            }
        }
    }

    /// One of the declared words, as `choices` says what each means; of the default, or `T::default()` if there is none.
    pub fn choice<T: Copy + Default>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> T {
        let (names, default) = match *self.declared(key) {
            Shape::Choice { names, default } => (names, default),
            ref other => {
                debug_assert!(false, "`{key}` is read as a choice and declared as {other:?}");
                (&[] as &[&str], None)
            }
        };
        let meaning = |word: &str| choices.iter().find(|(name, _)| *name == word).map(|(_, meaning)| *meaning);
        debug_assert!(names.iter().all(|name| meaning(name).is_some()), "a word of `{key}` means nothing: {names:?}");
        let otherwise = default.and_then(meaning).unwrap_or_default();
        let Some(value) = self.take(key) else { return otherwise };
        let known = value.as_str().filter(|text| names.contains(text));
        if let Some(choice) = known.and_then(meaning) {
            return choice;
        }
        let hint = value.as_str().and_then(|text| suggestion(text, names));
        let hint = hint.unwrap_or_else(|| "Choose one of these".into());
        self.fault(key, format!("must be one of {}", listed(names)), Some(hint));
        otherwise
    }

    /// Texts; one text alone is a list of one.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let items = match self.take(key)? {
            Value::String(text) => return Some(vec![text]),
            Value::Array(items) => items,
            _ => {
                self.fault(key, "must be a list of texts", Some(format!("Write {key} = [\"...\", \"...\"]")));
                return None;
            }
        };
        let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        if texts.is_none() {
            self.fault(key, "must be a list of texts", Some(format!("Write {key} = [\"...\", \"...\"]")));
        }
        texts
    }

    /// What stands under `key`, by names that the operator chooses; `None`, with the problem said, if it is no table.
    pub fn names(&mut self, key: &'static str) -> Option<Map<String, Value>> {
        match self.take(key)? {
            Value::Object(map) => Some(map),
            mut other => {
                wipe(&mut other);
                self.fault(key, "must be a table", Some("Write it as a table: { key = value, ... }".into()));
                None
            }
        }
    }

    /// What is left, for somebody else to judge.
    pub fn rest(mut self) -> Map<String, Value> {
        std::mem::take(&mut self.map)
    }

    /// Says of what is left that it is unknown, or of no use beside the other keys.
    pub fn close(mut self) {
        let known: Vec<&str> = self.table.keys().map(|key| key.name).collect();
        for key in self.map.keys().cloned().collect::<Vec<_>>() {
            if known.contains(&key.as_str()) {
                let hint = "Remove it, or look at the keys that choose what the table is";
                self.fault(&key, "is of no use beside the other keys of its table", Some(hint.into()));
            } else {
                let hint =
                    suggestion(&key, &known).unwrap_or_else(|| format!("Remove it, or choose from {}", listed(&known)));
                self.fault(&key, "unknown key", Some(hint));
            }
        }
    }
}

/// The part `name` of the whole configuration, taken out of it before there is a [`Section`] of it.
pub fn part(tree: &mut Value, name: &str) -> Option<Value> {
    let key = super::judge::TOP.key(name);
    debug_assert!(key.is_some(), "`{name}` is taken and not declared at the top");
    key.inspect(|key| taken(key));
    tree.as_object_mut().and_then(|top| top.remove(name))
}

/// Notes that a declared key is read.
#[cfg(not(test))]
fn taken(_: &'static Key) {}

#[cfg(test)]
fn taken(key: &'static Key) {
    TAKEN.with_borrow_mut(|taken| taken.insert(std::ptr::from_ref(key)));
}

#[cfg(test)]
thread_local! {
    /// What this thread has read so far. A test compares it to what is declared.
    pub static TAKEN: std::cell::RefCell<std::collections::BTreeSet<*const Key>> = const { std::cell::RefCell::new(std::collections::BTreeSet::new()) };
}
