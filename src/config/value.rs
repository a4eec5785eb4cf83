//! The configuration's JSON object: known keys only, and each of the right type.

use serde_json::{Map, Value};

use super::fault;
use super::mistakes::Mistakes;
use super::schema::KEYS;
use crate::chunk::Fault;
use crate::code::Code;

pub struct Values {
    map: Map<String, Value>,
    /// Keys that were most likely meant by ones that are not known.
    misspelt: Vec<&'static str>,
}

impl Values {
    /// Keys that are not known are noted, and left out.
    ///
    /// # Errors
    /// When it is no object.
    pub fn parse(json: &str, found: &mut Mistakes) -> Result<Values, Fault> {
        // serde_json's message holds a line and a column, never a value of the document.
        let value: Value = serde_json::from_str(json).map_err(|error| {
            fault(
                Code::BadJson,
                format!("the configuration is not JSON (line {}, column {})", error.line(), error.column()),
            )
            .hint("Give one JSON object")
        })?;
        let Value::Object(mut map) = value else {
            return Err(fault(Code::BadJson, "the configuration is not a JSON object").hint("Give one JSON object"));
        };
        let mut misspelt = Vec::new();
        map.retain(|key, value| {
            let known = KEYS.contains(&key.as_str());
            if !known && !value.is_null() {
                let meant = nearest(key);
                let hint = match meant {
                    Some(known) => format!("Did you mean `{known}`?"),
                    None => format!("The keys are: {}", KEYS.join(", ")),
                };
                misspelt.extend(meant);
                let message = format!("`{}` is not a key of this source", shown(key));
                found.note(fault(Code::UnknownKey, message).hint(hint));
            }
            known && !value.is_null()
        });
        Ok(Values { map, misspelt })
    }

    /// Whether `key` was meant, most likely, by one that is not known.
    pub fn is_misspelt(&self, key: &str) -> bool {
        self.misspelt.contains(&key)
    }

    pub fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    pub fn text(&self, key: &str) -> Result<Option<String>, Fault> {
        match self.map.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong_type(key, "a text")),
        }
    }

    /// A text that looks like a number: TOML and YAML make one of it without quotation marks.
    pub fn version(&self, key: &str) -> Result<Option<String>, Fault> {
        match self.map.get(key) {
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            _ => Ok(self.text(key)?.map(|text| text.trim().to_owned())),
        }
    }

    pub fn boolean(&self, key: &str) -> Result<Option<bool>, Fault> {
        match self.map.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            // What stands in for a variable is a text.
            Some(Value::String(text)) if text.trim().eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.trim().eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(wrong_type(key, "true or false")),
        }
    }

    /// A list of texts; one text counts as a list of one.
    pub fn list(&self, key: &str) -> Result<Option<Vec<String>>, Fault> {
        match self.map.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(vec![text.clone()])),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong_type(key, "a list of texts")))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(wrong_type(key, "a list of texts")),
        }
    }

    /// An object, in the order of its keys.
    pub fn map(&self, key: &str) -> Result<impl Iterator<Item = (&str, &Value)>, Fault> {
        let map = match self.map.get(key) {
            None => None,
            Some(Value::Object(map)) => Some(map),
            Some(_) => return Err(wrong_type(key, "an object from names of streams or groups to values")),
        };
        Ok(map.into_iter().flatten().map(|(name, value)| (name.as_str(), value)))
    }

    /// An object of texts, numbers and booleans; the values as text.
    pub fn fields(&self, key: &str) -> Result<Vec<(String, String)>, Fault> {
        let expected = "an object whose values are texts, numbers or booleans";
        match self.map.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Object(map)) => map
                .iter()
                .map(|(name, value)| match value {
                    Value::String(text) => Ok((name.clone(), text.clone())),
                    Value::Number(_) | Value::Bool(_) => Ok((name.clone(), value.to_string())),
                    _ => Err(wrong_type(&path(key, name), "a text, a number or a boolean")),
                })
                .collect(),
            Some(_) => Err(wrong_type(key, expected)),
        }
    }
}

/// A whole number: as a number, as one with a zero behind the point, or either as text, for what stands in for a variable is a
/// text.
pub fn integer(key: &str, value: &Value, min: u32, max: u32) -> Result<u32, Fault> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    };
    let whole = number.filter(|n: &f64| n.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(n));
    match whole.map(|n| n as u32) {
        Some(n) if (min..=max).contains(&n) => Ok(n),
        _ => Err(fault(Code::BadValue, format!("`{key}` is not a whole number from {min} to {max}"))
            .hint(format!("Set `{key}` to a number from {min} to {max}, or remove it"))),
    }
}

fn wrong_type(key: &str, expected: &str) -> Fault {
    fault(Code::WrongType, format!("`{key}` is not {expected}")).hint(format!("Give {expected}"))
}

/// Beyond the longest key of this source and of its host: a key that is meant for the other is told whole, for whoever reads the
/// answer finds it by that.
const LONGEST: usize = 32;

/// A key or a text as it may be printed, on one line: somebody may have pasted a secret in its place.
pub fn shown(key: &str) -> String {
    let mut shown: String = key.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    if key.chars().count() > LONGEST {
        shown.push('…');
    }
    shown
}

/// Of what is called `name` in the table `key`; of the table, where the name is odd.
pub fn path(key: &str, name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    match !name.is_empty() && name.len() <= LONGEST && name.chars().all(is_plain) {
        true => format!("{key}.{name}"),
        false => key.to_owned(),
    }
}

/// The known key that a slip of the finger most likely meant.
fn nearest(key: &str) -> Option<&'static str> {
    let fold = |text: &str| text.to_ascii_lowercase().replace(['-', ' ', '.'], "_");
    let key = fold(key);
    let squeezed = key.replace('_', "");
    KEYS.iter()
        .map(|known| {
            let distance = if known.replace('_', "") == squeezed { 0 } else { distance(&key, known) };
            (distance, *known)
        })
        .filter(|(distance, known)| *distance <= 2.max(known.len() / 4))
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's distance over bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substitute = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
