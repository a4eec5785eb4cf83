//! Secrets that stand in a configuration as they are.

use serde_json::Value;

use super::{ANY, TABLES};
use crate::config::declaration::{Key, Shape, Table};
use crate::config::interpolate::join;

/// Where a sink's secret is written out in a configuration that is not filled in yet.
pub fn secret_written_out(tree: &Value) -> Option<String> {
    let sinks = tree.get("sinks")?.as_object()?;
    sinks.iter().find_map(|(id, sink)| {
        let kind = sink.get("type").and_then(Value::as_str);
        let declared = TABLES.iter().find(|(name, _)| Some(*name) == kind).map_or(ANY, |(_, table)| *table);
        Some(below(&join("sinks", id), &in_table(declared, sink)?))
    })
}

/// The path of one in a table.
fn in_table(table: &Table, value: &Value) -> Option<String> {
    let value = value.as_object()?;
    table.keys().find_map(|key| {
        let there = value.get(key.name)?;
        let found = if table.secrets.contains(&key.name) { text(there) } else { in_value(key, there) }?;
        Some(below(key.name, &found))
    })
}

/// The path of one in what stands under a key.
fn in_value(key: &Key, value: &Value) -> Option<String> {
    match &key.shape {
        // Of an address only its password is one, which is looked for everywhere at once.
        _ if key.name == "proxy" => None,
        Shape::Secret => text(value),
        Shape::Table(table) | Shape::FlagOrTable(_, table) => in_table(table, value),
        Shape::Tables(table) => {
            let mut tables = value.as_array()?.iter().enumerate();
            tables.find_map(|(i, value)| Some(below(&format!("[{i}]"), &in_table(table, value)?)))
        }
        _ if key.may_hold_secrets => {
            let mut named = value.as_object()?.iter();
            named.find_map(|(name, value)| Some(below(name, &text(value).filter(|_| names_a_secret(name))?)))
        }
        _ => None,
    }
}

/// An empty path, if this is a text that is not filled in from elsewhere; or that of one in a list.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (!text.contains("${") && !text.contains("SECRET[")).then(String::new),
        Value::Array(values) => values.iter().enumerate().find_map(|(i, value)| text(value).map(|_| format!("[{i}]"))),
        _ => None,
    }
}

/// The path of what stands at `rest` under `key`.
fn below(key: &str, rest: &str) -> String {
    if rest.is_empty() || rest.starts_with('[') { format!("{key}{rest}") } else { join(key, rest) }
}

/// What headers and options that hold one are called, at least in part.
const NAMES: [&str; 8] = ["auth", "cookie", "credential", "key", "pass", "secret", "signature", "token"];

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(kind: &str, sink: &Value) -> Option<String> {
        let mut sink = sink.clone();
        sink["type"] = kind.into();
        secret_written_out(&json!({ "sinks": { "far": sink } }))
    }

    /// The paths of all keys that are declared secret.
    fn declared(table: &'static Table, path: &str) -> Vec<String> {
        let keys = table.keys().filter(|key| key.name != "proxy");
        let of = |key: &Key| {
            let path = format!("{path}/{}", key.name);
            match key.shape {
                Shape::Secret => vec![path],
                Shape::Table(table) | Shape::FlagOrTable(_, table) => declared(table, &path),
                Shape::Tables(table) => declared(table, &format!("{path}/0")),
                _ if table.secrets.contains(&key.name) => vec![path],
                _ => Vec::new(),
            }
        };
        keys.flat_map(of).collect()
    }

    /// What stands at `path`, in the tables and lists around it.
    fn at(path: &str, value: &str) -> Value {
        path.rsplit('/').filter(|part| !part.is_empty()).fold(json!(value), |inner, part| match part {
            "0" => json!([inner]),
            name => json!({ name: inner }),
        })
    }

    #[test]
    fn every_declared_secret_is_found() {
        for (kind, table) in TABLES {
            for path in declared(table, "") {
                let shown = format!("sinks.far{}", path.replace("/0", "[0]").replace('/', "."));
                assert_eq!(found(kind, &at(&path, "x")), Some(shown), "{kind}{path}");
                for filled_in in ["${X}", "SECRET[a.b]"] {
                    assert_eq!(found(kind, &at(&path, filled_in)), None, "{kind}{path}");
                }
            }
        }
    }

    #[test]
    fn what_is_one_and_what_is_none() {
        for (kind, path, one) in [
            ("object_store", "/auth/secret_access_key", true),
            ("object_store", "/auth/session_token", true),
            ("object_store", "/access_key", true),
            ("object_store", "/endpoint", false),
            ("nats", "/auth/seed", true),
            ("nats", "/auth/user", false),
            ("kafka", "/sasl/password", true),
            ("kafka", "/tls/key_pass", true),
            ("kafka", "/librdkafka_options/ssl.key.password", true),
            ("kafka", "/librdkafka_options/client.id", false),
            ("http", "/auth/password", true),
            ("http", "/request/headers/X-Api-Key", true),
            ("http", "/request/headers/Authorization", true),
            ("http", "/request/headers/X-Team", false),
            ("http", "/endpoint", false),
            ("http", "/rules/0/key", true),
            ("http", "/proxy/https", false),
            ("sumo", "/endpoint", true),
            ("sumo", "/uri", true),
            ("sumo", "/fields/token", false),
            ("splunk_hec", "/default_token", true),
            ("splunk_hec", "/token", true),
            ("elasticsearch", "/auth/api_key", true),
        ] {
            assert_eq!(found(kind, &at(path, "x")).is_some(), one, "{kind}{path}");
        }
        let several = json!({ "endpoints": ["${A}", "https://x"] });
        assert_eq!(found("sumo", &several).as_deref(), Some("sinks.far.endpoints[1]"));
        assert_eq!(found("http", &several), None);
    }
}
