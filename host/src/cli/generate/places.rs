//! Where a configuration to begin with has its files: its state, what it writes, and its secrets.

use std::path::Path;

use serde_json::Value;

use super::{Block, Line};

/// State and events in `folder`, not in the system's.
pub fn in_folder(blocks: &mut [Block], folder: &Path) {
    let inside = |name: &str| Value::from(folder.join(name).display().to_string());
    for block in blocks {
        let is_sink = block.place.as_ref().is_some_and(|(kind, _)| kind == "sinks");
        for line in &mut block.lines {
            match line {
                Line::Key(key, value) if key == "data_dir" && block.place.is_none() => *value = inside("state"),
                Line::Key(key, value) if key == "path" && is_sink => *value = inside("events"),
                _ => {}
            }
        }
    }
}

/// Each secret in a file of its own in `folder`, named as the variable would be, in small letters.
pub fn secrets_in(blocks: &mut Vec<Block>, folder: &Path) {
    for block in blocks.iter_mut() {
        for line in &mut block.lines {
            if let Line::Key(_, value) | Line::Off(_, value) = line {
                refer(value);
            }
        }
    }
    let lines = vec![Line::key("type", "directory"), Line::key("path", folder.display().to_string())];
    let comments =
        vec!["Secrets: a file for each, named by the key. Another content is taken over within ten seconds.".into()];
    blocks.insert(1, Block { comments, place: Some(("secret".into(), "files".into())), lines });
}

/// What is a variable of the environment becomes a secret of a file.
fn refer(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
                *text = format!("SECRET[files.{}]", name.trim_start_matches('_').to_lowercase());
            }
        }
        Value::Array(all) => all.iter_mut().for_each(refer),
        Value::Object(all) => all.values_mut().for_each(refer),
        _ => {}
    }
}
