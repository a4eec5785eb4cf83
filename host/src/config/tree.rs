//! TOML, YAML and JSON to one tree. A key given twice is refused, in all three.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::problem::{Problem, Step};

/// How a configuration file is written; told by its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Toml,
    Yaml,
    Json,
}

impl Format {
    pub fn of(path: &Path) -> Result<Format, Problem> {
        let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        match extension.as_deref() {
            Some("toml") => Ok(Format::Toml),
            Some("yaml" | "yml") => Ok(Format::Yaml),
            Some("json") => Ok(Format::Json),
            Some(other) => Err(Problem::new(
                Step::Parse,
                path.display().to_string(),
                format!("the extension `.{other}` says nothing about how the file is written"),
            )
            .hint("Name it .toml, .yaml, .yml or .json")),
            None => Err(Problem::new(Step::Parse, path.display().to_string(), "the file's name has no extension")
                .hint("Name it .toml, .yaml, .yml or .json")),
        }
    }
}

/// Parses `text`. `name` is the file's, for the error, which gives line and column but never the text itself: it may
/// hold a secret.
pub fn parse(text: &str, format: Format, name: &str) -> Result<Value, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let fault = |place: Option<(usize, usize)>, message: &str| {
        let path = place.map(|(line, column)| format!("{name}:{line}:{column}")).unwrap_or_else(|| name.to_owned());
        let hint = match format {
            Format::Toml => "Correct it there; it must be TOML, as its name says",
            Format::Yaml => "Correct it there; it must be YAML, as its name says",
            Format::Json => "Correct it there; it must be JSON, as its name says",
        };
        Problem::new(Step::Parse, path, message.trim_end_matches('.').to_owned()).hint(hint)
    };
    let tree = match format {
        Format::Toml => toml::from_str::<Tree>(text)
            .map_err(|error| fault(error.span().map(|span| line_column(text, span.start)), error.message())),
        Format::Yaml => serde_saphyr::from_str::<Tree>(text).map_err(|error| {
            let place = error.location().map(|place| (place.line() as usize, place.column() as usize));
            match error.without_snippet() {
                serde_saphyr::Error::DuplicateMappingKey { .. } => fault(place, "a key is given twice"),
                _ => fault(place, "this is not valid YAML"),
            }
        }),
        Format::Json => serde_json::from_str::<Tree>(text).map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            fault(Some((error.line(), error.column())), message)
        }),
    }?;
    Ok(tree.0)
}

fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line, column)
}

/// A [`Value`] whose maps hold each key once.
struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Tree)
    }
}

struct TreeVisitor;

/// The key under which `toml` hands over a date or time.
const TOML_DATETIME: &str = "$__toml_private_datetime";

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a configuration")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Tree(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let Tree(value) = access.next_value()?;
            if key == TOML_DATETIME {
                return Ok(value);
            }
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` is given twice")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn three_ways_to_write_the_same() {
        let expected =
            json!({"data_dir": "/d", "sources": {"a": {"n": 3, "since": "2026-11-01T00:00:00Z", "on": true}}});
        let toml = "data_dir = '/d'\n[sources.a]\nn = 3\nsince = 2026-11-01T00:00:00Z\non = true\n";
        let yaml = "data_dir: /d\nsources:\n  a:\n    n: 3\n    since: 2026-11-01T00:00:00Z\n    on: true\n";
        let json = r#"{"data_dir":"/d","sources":{"a":{"n":3,"since":"2026-11-01T00:00:00Z","on":true}}}"#;
        for (text, format) in [(toml, Format::Toml), (yaml, Format::Yaml), (json, Format::Json)] {
            assert_eq!(parse(text, format, "t").unwrap(), expected, "{format:?}");
        }
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        for (text, format) in [
            ("[sources.a]\nx = 1\n[sources.a]\ny = 2\n", Format::Toml),
            ("a: 1\nb: 2\na: 3\n", Format::Yaml),
            (r#"{"a":1,"b":2,"a":3}"#, Format::Json),
        ] {
            let problem = parse(text, format, "t").unwrap_err();
            assert!(problem.message.contains("twice") || problem.message.contains("duplicate"), "{problem}");
            assert!(problem.path.starts_with("t:"), "{problem}");
        }
    }

    #[test]
    fn a_syntax_error_says_where_but_not_what() {
        let secret = "hunter2";
        for (text, format, place) in [
            ("a = 1\nclient_secret = \"hunter2\nb = 2\n", Format::Toml, "t:2:"),
            ("a = 1\nclient_secret = hunter2\n", Format::Toml, "t:2:"),
            ("a: 1\nclient_secret: \"hunter2\nb: 2\n", Format::Yaml, "t:"),
            ("a: 1\nclient_secret: *hunter2\n", Format::Yaml, "t:2:"),
            ("a: 1\nclient_secret: !!int hunter2\n", Format::Yaml, "t:2:"),
            ("{\"a\": 1,\n\"client_secret\": \"hunter2}", Format::Json, "t:2:"),
            ("{\"a\": 1,\n\"client_secret\": hunter2}", Format::Json, "t:2:"),
        ] {
            let problem = parse(text, format, "t").unwrap_err();
            assert!(problem.path.starts_with(place), "{problem}");
            assert!(!problem.to_string().contains(secret), "{problem}");
        }
    }

    #[test]
    fn format_by_extension() {
        assert_eq!(Format::of(Path::new("/etc/tributary.TOML")), Ok(Format::Toml));
        assert_eq!(Format::of(Path::new("a.yml")), Ok(Format::Yaml));
        assert_eq!(Format::of(Path::new("a.json")), Ok(Format::Json));
        for unknown in ["a.conf", "tributary"] {
            let problem = Format::of(Path::new(unknown)).unwrap_err();
            assert!(problem.to_string().contains(".toml, .yaml, .yml or .json"), "{problem}");
        }
    }
}
