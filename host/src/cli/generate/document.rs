//! A configuration as text with comments, in TOML or YAML.

use clap::ValueEnum;
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GenerateFormat {
    Toml,
    Yaml,
}

/// One key, or a comment alone.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    Comment(String),
    /// It holds.
    Key(String, Value),
    /// It stands there to be switched on.
    Off(String, Value),
}

impl Line {
    pub fn key(name: &str, value: impl Into<Value>) -> Self {
        Line::Key(name.to_owned(), value.into())
    }

    pub fn off(name: &str, value: impl Into<Value>) -> Self {
        Line::Off(name.to_owned(), value.into())
    }
}

/// One table of tables, such as `sources.acme`; without a kind, the top level.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Block {
    /// Before the table.
    pub comments: Vec<String>,
    /// `sources` and `acme`. Those of one kind follow one another.
    pub place: Option<(String, String)>,
    pub lines: Vec<Line>,
}

/// Widest line of a comment.
const WIDTH: usize = 110;

/// The whole text.
pub fn write(blocks: &[Block], format: GenerateFormat) -> String {
    let mut text = String::new();
    let mut kind = None;
    for (index, block) in blocks.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let indent = match (&block.place, format) {
            (None, _) | (_, GenerateFormat::Toml) => "",
            (Some(_), GenerateFormat::Yaml) => "    ",
        };
        comments(&mut text, &block.comments, "");
        match (&block.place, format) {
            (None, _) => {}
            (Some((kind, id)), GenerateFormat::Toml) => text += &format!("[{kind}.{id}]\n"),
            (Some((own, id)), GenerateFormat::Yaml) => {
                if kind != Some(own) {
                    text += &format!("{own}:\n");
                    kind = Some(own);
                }
                text += &format!("  {id}:\n");
            }
        }
        for line in &block.lines {
            let (off, key, value) = match line {
                Line::Comment(comment) => {
                    comments(&mut text, std::slice::from_ref(comment), indent);
                    continue;
                }
                Line::Key(key, value) => ("", key, value),
                Line::Off(key, value) => ("# ", key, value),
            };
            text += &match format {
                GenerateFormat::Toml => format!("{off}{key} = {}\n", toml(value)),
                // JSON is YAML.
                GenerateFormat::Yaml => format!("{indent}{off}{key}: {}\n", json(value)),
            };
        }
    }
    text
}

fn comments(text: &mut String, comments: &[String], indent: &str) {
    for comment in comments {
        // A control character could end the comment, or hide something from whoever reads it.
        let clean: String = comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut line = String::new();
        for word in clean.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                *text += &format!("{indent}# {line}\n");
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        *text += format!("{indent}# {line}").trim_end();
        text.push('\n');
    }
}

/// A value in JSON, without what the others do not take as it is. It stands in strings alone.
fn json(value: &Value) -> String {
    let odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    let text = value.to_string();
    text.chars().map(|c| if odd(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

/// A value in TOML. Its strings are written as JSON's are.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let pairs: Vec<String> =
                map.iter().map(|(key, value)| format!("{} = {}", toml_key(key), toml(value))).collect();
            if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
        }
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        other => json(other),
    }
}

fn toml_key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if bare { key.to_owned() } else { toml(&Value::from(key)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Format;

    #[test]
    fn both_forms_say_the_same_whatever_stands_in_it() {
        let odd =
            json!({"a\"b": ["\u{7f}\u{9f}\u{2028}\u{feff}", "x\ny", "\u{1f600}\\", {"é": 1.5}], "c": {}, "d": true});
        let blocks = [
            Block {
                comments: vec!["one\ntwo\u{85}x = 1".into()],
                lines: vec![Line::key("odd", odd.clone())],
                place: None,
            },
            Block {
                place: Some(("sources".into(), "a".into())),
                lines: vec![Line::Comment("why".into()), Line::key("b", 1), Line::off("c", 2)],
                ..Block::default()
            },
            Block { place: Some(("sources".into(), "e".into())), lines: vec![Line::key("f", "g")], ..Block::default() },
        ];
        let expected = json!({"odd": odd, "sources": {"a": {"b": 1}, "e": {"f": "g"}}});
        for (format, read) in [(GenerateFormat::Toml, Format::Toml), (GenerateFormat::Yaml, Format::Yaml)] {
            let text = write(&blocks, format);
            assert_eq!(crate::config::tree_of(&text, read).unwrap(), expected, "{text}");
        }
    }
}
