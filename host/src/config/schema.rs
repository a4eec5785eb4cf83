//! The JSON Schema of the whole configuration, for editors and for whoever writes configurations by program.
//!
//! It is made from the tables' declarations, from which the reader takes its keys too, and from what the component says
//! of its own.

use serde_json::{Map, Value, json};

use super::declaration::{Key, Others, Shape, Table};
use super::judge::TOP;
use super::shape::EMBEDDED_SOURCE;

/// A text in which something is filled in: what it will be, nobody knows before.
const FILLED_IN: &str = r"\$\{|SECRET\[";

/// A whole number as text, or one that is filled in.
const NUMBER: &str = r"^[0-9]+$|\$\{|SECRET\[";

/// What stands for no bound: larger numbers are not exact everywhere, and nobody reaches them.
const UNBOUNDED: u64 = 1 << 53;

/// The schema. `component` is that of the embedded component's own keys.
pub fn schema(component: &Value) -> Value {
    let mut writer = Writer { component, definitions: Map::new() };
    let top = writer.table(&TOP, Part::Whole);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tributary",
    });
    if let (Value::Object(schema), Value::Object(top)) = (&mut schema, top) {
        schema.extend(top);
        schema.insert("$defs".into(), Value::Object(writer.definitions));
    }
    schema
}

/// Which of a source's keys stand in one table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All of them.
    Whole,
    /// Some; the rest stands elsewhere, so that nothing is required.
    Some,
}

struct Writer<'a> {
    component: &'a Value,
    definitions: Map<String, Value>,
}

impl Writer<'_> {
    /// A reference to the table's definition, which is made if there is none yet.
    fn reference(&mut self, table: &'static Table, tag: Option<&str>) -> Value {
        if !self.definitions.contains_key(table.name) {
            // There is one while it is being made: tables of tables end.
            self.definitions.insert(table.name.into(), Value::Null);
            let mut made = match (table.others, table.key("folder")) {
                (Others::Refused, _) => self.table(table, Part::Whole),
                (Others::Component, None) => self.source(table, Part::Whole),
                (Others::Component, Some(_)) => self.source(table, Part::Some),
            };
            if let Some(tag) = tag {
                made["properties"]["type"] =
                    json!({ "const": tag, "description": made["properties"]["type"]["description"] });
                made["title"] = tag.into();
            }
            self.definitions.insert(table.name.into(), made);
        }
        json!({ "$ref": format!("#/$defs/{}", table.name) })
    }

    fn table(&mut self, table: &'static Table, part: Part) -> Value {
        let properties: Map<String, Value> = table.keys().map(|key| (key.name.to_owned(), self.key(key))).collect();
        let mut schema = json!({
            "type": "object", "description": table.description, "properties": properties, "additionalProperties": false,
        });
        if !table.name.is_empty() {
            schema["title"] = table.name.into();
        }
        let required: Vec<&str> = table.keys().filter(|key| key.required).map(|key| key.name).collect();
        if part == Part::Whole && !required.is_empty() {
            schema["required"] = json!(required);
        }
        let either: Vec<Value> = table
            .either
            .iter()
            .map(|keys| json!({ "anyOf": keys.iter().map(|key| json!({ "required": [key] })).collect::<Vec<_>>() }))
            .collect();
        if !either.is_empty() {
            schema["allOf"] = Value::Array(either);
        }
        schema
    }

    /// A source: of the embedded component, whose keys are known, or of another.
    fn source(&mut self, table: &'static Table, part: Part) -> Value {
        let mut other = self.table(table, part);
        let mut embedded = other.clone();
        let about = other["properties"]["type"]["description"].clone();
        other["title"] = "another component".into();
        other["additionalProperties"] = true.into();
        other["properties"]["type"] =
            json!({ "type": "string", "not": { "const": EMBEDDED_SOURCE }, "description": about });
        embedded["title"] = self.component["title"].as_str().unwrap_or(EMBEDDED_SOURCE).into();
        embedded["properties"]["type"] = json!({ "const": EMBEDDED_SOURCE, "description": about });
        if let (Some(all), Some(own)) =
            (embedded["properties"].as_object_mut(), self.component["properties"].as_object())
        {
            for (name, schema) in own {
                // Where both have one, the host reads it and hands it on.
                all.entry(name.clone()).or_insert_with(|| filled_in(schema));
            }
        }
        if part == Part::Whole {
            for word in ["if", "then", "else", "allOf", "anyOf", "oneOf"] {
                if let Some(condition) = self.component.get(word) {
                    embedded[word] = condition.clone();
                }
            }
        } else {
            other["required"] = json!(["folder"]);
            embedded["required"] = json!(["folder"]);
        }
        // Without a type, which a template's files may say, the known keys are the likelier ones.
        json!({ "title": table.name, "description": table.description, "anyOf": [embedded, other] })
    }

    fn key(&mut self, key: &'static Key) -> Value {
        let mut schema = self.shape(&key.shape);
        schema["description"] = key.description.into();
        schema
    }

    fn shape(&mut self, shape: &'static Shape) -> Value {
        match shape {
            Shape::Text(None) => json!({ "type": "string" }),
            Shape::Text(Some(default)) => json!({ "type": "string", "default": default }),
            Shape::Secret => json!({ "type": "string", "writeOnly": true }),
            Shape::Flag(default) => json!({ "anyOf": flag(), "default": default }),
            Shape::Whole { least, most, default } => bounded(*least, *most, Some(*default)),
            Shape::WholeOr { least, most, word, .. } => {
                json!({ "anyOf": [{ "const": word }, bounded(*least, *most, None)], "default": word })
            }
            Shape::Positive => json!({ "type": "number", "exclusiveMinimum": 0 }),
            Shape::Share(default) => json!({
                "type": ["number", "string"], "exclusiveMinimum": 0, "maximum": 1, "default": default,
                "pattern": r"^[0-9.]+$|\$\{|SECRET\[",
            }),
            Shape::Choice { names, default } => {
                let mut schema = json!({ "anyOf": [{ "enum": names }, { "type": "string", "pattern": FILLED_IN }] });
                if let Some(default) = default {
                    schema["default"] = (*default).into();
                }
                schema
            }
            Shape::Texts => json!({ "type": ["array", "string"], "items": { "type": "string" } }),
            Shape::Numbers => {
                json!({ "type": "array", "minItems": 1, "items": { "type": "integer", "minimum": 0, "maximum": u32::MAX } })
            }
            Shape::Table(table) => self.reference(table, None),
            Shape::FlagOrTable(default, table) => {
                let mut either = flag();
                either.push(self.reference(table, None));
                json!({ "anyOf": either, "default": default })
            }
            Shape::Tables(table) => json!({ "type": "array", "items": self.reference(table, None) }),
            Shape::Named(table) => json!({ "type": "object", "additionalProperties": self.reference(table, None) }),
            Shape::Typed(tables) => {
                let each: Vec<Value> = tables.iter().map(|(name, table)| self.reference(table, Some(name))).collect();
                json!({ "type": "object", "additionalProperties": { "type": "object", "oneOf": each } })
            }
            Shape::NamedTexts => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
            Shape::NamedScalars => {
                json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })
            }
            Shape::Anything => json!({}),
        }
    }
}

fn flag() -> Vec<Value> {
    vec![json!({ "type": "boolean" }), json!({ "type": "string", "pattern": format!("^(true|false)$|{FILLED_IN}") })]
}

fn bounded(least: u64, most: u64, default: Option<u64>) -> Value {
    let mut schema = json!({ "type": ["integer", "string"], "pattern": NUMBER, "minimum": least });
    let numbers = [("maximum", Some(most)), ("default", default)];
    for (word, number) in numbers.into_iter().filter_map(|(word, number)| Some((word, number?))) {
        if number < UNBOUNDED {
            schema[word] = number.into();
        }
    }
    schema
}

/// A component's schema of one key, of what stands in the file before something is filled in.
fn filled_in(schema: &Value) -> Value {
    let Some(given) = schema.as_object() else { return schema.clone() };
    let mut schema = given.clone();
    for word in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(word).filter(|inner| inner.is_object()) {
            *inner = filled_in(inner);
        }
    }
    let texts = match &given.get("type") {
        Some(Value::String(kind)) => kind == "string",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "string"),
        _ => false,
    };
    if (texts && !given.contains_key("pattern") && !given.contains_key("enum"))
        || given.get("type") == Some(&json!("object"))
    {
        return Value::Object(schema);
    }
    // What is said of the key as a whole stays with it.
    let mut whole = Map::new();
    for word in ["description", "title", "default", "writeOnly"] {
        whole.extend(schema.remove_entry(word));
    }
    whole.insert("anyOf".into(), json!([schema, { "type": "string", "pattern": FILLED_IN }]));
    Value::Object(whole)
}
