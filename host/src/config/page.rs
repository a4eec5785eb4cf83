//! The page of all keys, `docs/configuration.md`: made from the same declarations as the schema.

use std::fmt::Write;

use serde_json::Value;

use super::declaration::{Group, Key, Others, Shape, Table};
use super::judge::TOP;
use super::shape::EMBEDDED_SOURCE;

const INTRODUCTION: &str = "\
# Configuration: all keys

<!-- Made by `tributary schema --format markdown > docs/configuration.md`. Edit the declarations beside the code that reads the keys. -->

One file, in TOML, YAML or JSON. `tributary generate` prints one to begin with, `tributary validate` judges it, and
`tributary schema` prints a JSON Schema of it, with which an editor completes keys and shows what stands here.

In every text, `${NAME}` and `${NAME:-default}` stand for a variable of the environment, `SECRET[backend.key]` for a secret,
and `$$` for a plain `$`. Whatever is no text can be written as one, so that it can be filled in too. In texts with places,
`{tenant}`, `{source}`, `{stream}`, `{date}` and others are filled in for each event.
";

/// The page. `component` is the JSON Schema of the embedded component's own keys.
pub fn page(component: &Value) -> String {
    let mut page = Page { text: INTRODUCTION.to_owned(), component, tables: Vec::new(), groups: Vec::new() };
    page.heading(2, "Top level");
    page.keys(&TOP, 2);
    while let Some((level, tag, table)) = page.tables.iter().position(|(.., done)| !done).map(|at| {
        page.tables[at].3 = true;
        let (level, tag, table, _) = page.tables[at];
        (level, tag, table)
    }) {
        page.table(level, tag, table);
    }
    page.text
}

struct Page<'a> {
    text: String,
    component: &'a Value,
    /// Those that are to be shown, each once, and whether it has been: with the level of its heading, and the type that has it.
    tables: Vec<(usize, Option<&'static str>, &'static Table, bool)>,
    /// Shared groups that have been shown.
    groups: Vec<&'static str>,
}

impl Page<'_> {
    fn heading(&mut self, level: usize, text: &str) {
        // Writing to a text does not fail.
        let _ = write!(self.text, "\n{} {text}\n", "#".repeat(level));
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn table(&mut self, level: usize, tag: Option<&'static str>, table: &'static Table) {
        self.heading(level, &format!("`{}`", table.name));
        self.line("");
        self.line(table.description);
        if let Some(tag) = tag {
            self.line(&format!("\n`type = \"{tag}\"`"));
        }
        self.keys(table, level);
        if table.others == Others::Component && table.key("folder").is_none() {
            self.component(level + 1);
        } else if table.others == Others::Component {
            self.line("\nAll keys of a source, those of its component too, can stand here.");
        }
    }

    /// The table's keys: its own here, shared ones under a heading of their own, once.
    fn keys(&mut self, table: &'static Table, level: usize) {
        let own: Vec<&'static Key> =
            table.groups.iter().filter(|group| group.title.is_empty()).flat_map(|group| group.keys).collect();
        let own: Vec<&'static Key> = match table.key("folder") {
            // Those of a source stand there.
            Some(folder) if table.others == Others::Component => vec![folder],
            _ => own,
        };
        self.rows(&own, level);
        let shared: Vec<&'static Group> =
            table.groups.iter().copied().filter(|group| !group.title.is_empty()).collect();
        if !shared.is_empty() && !table.name.is_empty() {
            let links: Vec<String> =
                shared.iter().map(|group| format!("[{}](#{})", group.title, anchor(group.title))).collect();
            self.line(&format!("\nAnd the keys of: {}.", links.join(", ")));
        }
        for group in shared {
            if !self.groups.contains(&group.title) {
                self.groups.push(group.title);
                self.heading(level.max(3), group.title);
                let keys: Vec<&'static Key> = group.keys.iter().collect();
                self.rows(&keys, level);
            }
        }
    }

    fn rows(&mut self, keys: &[&'static Key], level: usize) {
        if keys.is_empty() {
            return;
        }
        self.line("\n| Key | What stands there | Default | |\n|---|---|---|---|");
        for key in keys {
            let (what, default) = self.shape(&key.shape, level);
            let default = if key.required { "required".to_owned() } else { default };
            self.line(&format!("| `{}` | {what} | {default} | {} |", key.name, cell(key.description)));
        }
    }

    /// What may stand there, and the default. Tables are put where they will be shown.
    fn shape(&mut self, shape: &'static Shape, level: usize) -> (String, String) {
        let none = String::new;
        match shape {
            Shape::Text(None) => ("text".into(), none()),
            Shape::Text(Some(default)) => ("text".into(), format!("`{}`", cell(default))),
            Shape::Secret => ("text, secret".into(), none()),
            Shape::Flag(default) => ("true or false".into(), format!("`{default}`")),
            Shape::Whole { least, most, default } => (between(*least, *most), shown(*default)),
            Shape::WholeOr { least, most, word, .. } => {
                (format!("`{word}`, or {}", between(*least, *most)), format!("`{word}`"))
            }
            Shape::Positive => ("number above 0".into(), none()),
            Shape::Share(default) => ("number above 0, at most 1".into(), format!("`{default}`")),
            Shape::Choice { names, default } => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                (names.join(", "), default.map_or_else(none, |default| format!("`{default}`")))
            }
            Shape::Texts => ("list of texts, or one".into(), none()),
            Shape::Numbers => ("list of whole numbers".into(), none()),
            Shape::Table(table) => (self.link("table", table, None, level), none()),
            Shape::FlagOrTable(default, table) => {
                (format!("true or false, or a {}", self.link("table", table, None, level)), format!("`{default}`"))
            }
            Shape::Tables(table) => (self.link("list of tables", table, None, level), none()),
            Shape::Named(table) => (self.link("tables by name", table, None, level), none()),
            Shape::Typed(tables) => {
                let links: Vec<String> =
                    tables.iter().map(|(tag, table)| self.link(tag, table, Some(tag), level)).collect();
                (format!("tables by name, each of a type: {}", links.join(", ")), none())
            }
            Shape::NamedTexts => ("texts by name".into(), none()),
            Shape::NamedScalars => ("texts, numbers or flags by name".into(), none()),
            Shape::Anything => ("anything".into(), none()),
        }
    }

    fn link(&mut self, word: &str, table: &'static Table, tag: Option<&'static str>, level: usize) -> String {
        if !self.tables.iter().any(|(_, _, known, _)| known.name == table.name) {
            self.tables.push((level.clamp(2, 3), tag, table, false));
        }
        format!("[{word}](#{})", anchor(table.name))
    }

    /// The keys of the embedded component, as it says them itself.
    fn component(&mut self, level: usize) {
        let title = self.component["title"].as_str().unwrap_or(EMBEDDED_SOURCE).to_owned();
        self.heading(level, &format!("Keys of `type = \"{EMBEDDED_SOURCE}\"` ({title})"));
        self.line("\n| Key | What stands there | Default | |\n|---|---|---|---|");
        let component = self.component;
        for (name, schema) in component["properties"].as_object().into_iter().flatten() {
            // The host says what it is.
            if super::source::SOURCE.key(name).is_some() {
                continue;
            }
            let default = schema.get("default").map_or_else(String::new, |default| format!("`{}`", plain(default)));
            let about = schema["description"].as_str().unwrap_or_default();
            self.line(&format!("| `{name}` | {} | {default} | {} |", kind(schema), cell(about)));
        }
    }
}

/// What a JSON Schema says of the kind of value.
fn kind(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        // A number and the same as text are one.
        let mut shown: Vec<String> = Vec::new();
        for word in words.iter().map(|word| format!("`{}`", plain(word))) {
            if !shown.contains(&word) {
                shown.push(word);
            }
        }
        return shown.join(", ");
    }
    let name = |kind: &Value| match kind.as_str() {
        Some("string") => "text",
        Some("array") => "list of texts",
        Some("object") => "table",
        Some("boolean") => "true or false",
        Some("integer" | "number") => "number",
        _ => "anything",
    };
    let mut text = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(name).collect::<Vec<_>>().join(", or "),
        kind => name(kind).to_owned(),
    };
    if schema["writeOnly"] == true {
        text += ", secret";
    }
    text
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// As GitHub makes them.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// A text as a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn between(least: u64, most: u64) -> String {
    match most {
        most if most >= 1 << 53 => format!("whole number, at least {}", shown(least)),
        most => format!("{} to {}", shown(least), shown(most)),
    }
}

/// A number as people read it: bytes are mostly powers of two.
fn shown(number: u64) -> String {
    let unit = [(40, "TiB"), (30, "GiB"), (20, "MiB")]
        .into_iter()
        .find(|(bits, _)| number >= 1 << bits && number.is_multiple_of(1 << bits));
    match unit {
        _ if number >= 1 << 53 => "none".into(),
        Some((bits, unit)) => format!("{number} ({} {unit})", number >> bits),
        None => number.to_string(),
    }
}
