//! Takes keys out of one table of the configuration, and says what is wrong with them.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::interpolate::{join, wipe};
use super::problem::{Problem, Step, listed, suggestion};
use super::secrets::Secret;

/// One table. Keys are taken out one by one; what is left is unknown, and its memory is wiped in the end.
pub struct Section<'a> {
    path: String,
    step: Step,
    map: Map<String, Value>,
    known: Vec<&'static str>,
    problems: &'a mut Vec<Problem>,
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        self.map.values_mut().for_each(wipe);
    }
}

impl<'a> Section<'a> {
    /// `None`, with the problem said, if `value` is no table.
    pub fn new(path: impl Into<String>, step: Step, value: Value, problems: &'a mut Vec<Problem>) -> Option<Self> {
        let path = path.into();
        match value {
            Value::Object(map) => Some(Section { path, step, map, known: Vec::new(), problems }),
            _ => {
                problems.push(Problem::new(step, path, "must be a table"));
                None
            }
        }
    }

    /// Says that `key` is wrong; the empty key is the table itself.
    pub fn fault(&mut self, key: &str, message: impl Into<String>, hint: Option<String>) {
        let path = if key.is_empty() { self.path.clone() } else { join(&self.path, key) };
        self.problems.push(Problem { step: self.step, path, message: message.into(), hint });
    }

    pub fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.map.remove(key).filter(|value| !value.is_null())
    }

    /// What stands under `key`, which is still to be taken.
    pub fn peek(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// The table under `key`; `None`, with the problem said, if there is something else.
    pub fn table(&mut self, key: &'static str) -> Option<Section<'_>> {
        let value = self.take(key)?;
        Section::new(join(&self.path, key), self.step, value, self.problems)
    }

    /// Hands out the tables of the list under `key`, one after the other, with their index.
    pub fn tables(&mut self, key: &'static str, mut each: impl FnMut(usize, Section<'_>)) {
        match self.take(key) {
            None => {}
            Some(Value::Array(items)) => {
                for (index, item) in items.into_iter().enumerate() {
                    let path = join(&self.path, &format!("{key}[{index}]"));
                    if let Some(section) = Section::new(path, self.step, item, self.problems) {
                        each(index, section);
                    }
                }
            }
            Some(_) => self.fault(key, "must be a list of tables", Some("Write each as [[...]] or { ... }".into())),
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

    /// A text that is not empty.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) if !text.is_empty() => Some(text),
            Value::String(_) => {
                self.fault(key, "must not be empty", None);
                None
            }
            _ => {
                self.fault(key, "must be a text", None);
                None
            }
        }
    }

    /// The same, of a text in which there may be a secret.
    pub fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.text(key).map(Zeroizing::new)
    }

    /// A whole number from `least` to `most`, or `default`. A number as text is one too: interpolation gives texts.
    pub fn whole(&mut self, key: &'static str, least: u64, most: u64, default: u64) -> u64 {
        let Some(value) = self.take(key) else { return default };
        let number = match &value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if (least..=most).contains(&number) => number,
            _ => {
                let hint = format!("The default is {default}");
                self.fault(key, format!("must be a whole number from {least} to {most}"), Some(hint));
                default
            }
        }
    }

    /// True or false, or `default`.
    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        match self.take(key) {
            None => default,
            Some(Value::Bool(flag)) => flag,
            Some(Value::String(text)) if text == "true" || text == "false" => text == "true",
            Some(_) => {
                self.fault(key, "must be true or false", Some(format!("The default is {default}")));
                default
            }
        }
    }

    /// A number of more than 0 and at most 1, or `default`.
    pub fn share(&mut self, key: &'static str, default: f64) -> f64 {
        let Some(value) = self.take(key) else { return default };
        let number = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if number > 0.0 && number <= 1.0 => number,
            _ => {
                let hint = format!("The default is {default}");
                self.fault(key, "must be a number of more than 0 and at most 1", Some(hint));
                default
            }
        }
    }

    /// One of `choices`; `T::default()` if the key is not there.
    pub fn choice<T: Copy + Default>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> T {
        let Some(value) = self.take(key) else { return T::default() };
        let found = value.as_str().and_then(|text| choices.iter().find(|(name, _)| *name == text));
        if let Some((_, choice)) = found {
            return *choice;
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let hint = value.as_str().and_then(|text| suggestion(text, &names));
        self.fault(key, format!("must be one of {}", listed(&names)), hint);
        T::default()
    }

    /// Texts; one text alone is a list of one.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let items = match self.take(key)? {
            Value::String(text) => return Some(vec![text]),
            Value::Array(items) => items,
            _ => {
                self.fault(key, "must be a list of texts", None);
                return None;
            }
        };
        let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        if texts.is_none() {
            self.fault(key, "must be a list of texts", None);
        }
        texts
    }

    /// Takes out all that is left: names that the operator chooses.
    pub fn drain(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.map).into_iter().collect()
    }

    /// What is left, for somebody else to judge.
    pub fn rest(mut self) -> Map<String, Value> {
        std::mem::take(&mut self.map)
    }

    /// Says of what is left that it is unknown. `also` are known keys that were not asked for.
    pub fn close(mut self, also: &[&'static str]) {
        self.known.extend_from_slice(also);
        let known = self.known.clone();
        for key in self.map.keys().cloned().collect::<Vec<_>>() {
            let hint = suggestion(&key, &known).unwrap_or_else(|| format!("Known are {}", listed(&known)));
            self.fault(&key, "unknown key", Some(hint));
        }
    }
}
