//! The tables of a configuration to begin with. Keys, defaults and comments come from the declarations, so that they are
//! those of this version.

use serde_json::{Value, json};

use super::{Block, Line};
use crate::config::{DeclaredKey, EMBEDDED_SOURCE, sink_keys, top_keys};

/// An id of a source, as the command line gives it.
pub fn id(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match (1..=64).contains(&text.len()) && !text.starts_with('-') && text.chars().all(good) && text != "health" {
        true => Ok(text.to_owned()),
        false => Err("an id has 1 to 64 letters, digits, `-` or `_`, begins with no `-`, and is not `health`".into()),
    }
}

/// A reference to the environment: where the secret `key` of the source `id` is to be.
pub fn variable(id: &str, key: &str) -> String {
    let name: String = format!("{id}_{key}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    let begin = if name.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
    format!("${{{begin}{name}}}")
}

/// The top level, below `comments`.
pub fn top(comments: Vec<String>) -> Block {
    let mut lines = vec![];
    for key in top_keys() {
        let Some(default) = key.default else { continue };
        lines.push(Line::Comment(key.description.into()));
        lines.push(if key.name == "data_dir" { Line::key(key.name, default) } else { Line::off(key.name, default) });
    }
    let mut all = comments;
    all.push(
        "`tributary validate` judges this file, `tributary check` tries its credentials, `tributary run` collects. All keys: \
         `tributary schema --format markdown`."
            .into(),
    );
    all.push(
        "${NAME} is a variable of the environment; SECRET[backend.key] comes from a section [secret.<backend>].".into(),
    );
    Block { comments: all, place: None, lines }
}

/// A source of the embedded component, with the keys that its schema requires for this generation of the API.
pub fn source(id: &str, api: &str, component: &Value) -> Block {
    let first =
        component["if"]["properties"]["api"]["enum"].as_array().is_some_and(|words| words.contains(&json!(api)));
    let required = component[if first { "then" } else { "else" }]["required"].as_array();
    let required: Vec<&str> = required.into_iter().flatten().filter_map(Value::as_str).collect();
    let other = component[if first { "else" } else { "then" }]["required"].as_array();
    let other: Vec<&str> = other.into_iter().flatten().filter_map(Value::as_str).collect();
    let mut lines = vec![Line::key("type", EMBEDDED_SOURCE), Line::key("api", api)];
    lines.extend(required.iter().map(|key| Line::key(key, variable(id, key))));
    for (key, schema) in component["properties"].as_object().into_iter().flatten() {
        let described = schema["description"].as_str().unwrap_or_default();
        // Those of the other generation say so.
        let foreign = described.starts_with(if first { "API 2.0:" } else { "API 1.0:" });
        let both = described.contains("API 2.0:") && described.contains("API 1.0:");
        if key == "api" || required.contains(&key.as_str()) || other.contains(&key.as_str()) || (foreign && !both) {
            continue;
        }
        lines.push(Line::Comment(described.to_owned()));
        let value = schema.get("default").cloned().unwrap_or_else(|| example(id, key, first));
        // Keys of the old API are known in one region only, and nothing in them says which.
        lines.push(if first && key == "region" { Line::key(key, value) } else { Line::off(key, value) });
    }
    Block {
        comments: vec![format!("One account. Its id, `{id}`, stands in paths, labels and messages.")],
        place: Some(("sources".into(), id.to_owned())),
        lines,
    }
}

/// What could stand under a key of the component that has no default.
fn example(id: &str, key: &str, first: bool) -> Value {
    match key {
        "base_url" => json!(if first { "https://eu-api.mimecast.com" } else { "https://api.services.mimecast.com" }),
        "region" => json!(if first { "eu" } else { "global" }),
        "collect" => json!(["siem", "audit"]),
        "intervals" => json!({ "audit": "15m" }),
        "overlaps" => json!({ "audit": "30m" }),
        "page_sizes" => json!({ "audit": 100 }),
        "fields" => json!({ "customer": id }),
        "category" => json!("email"),
        "administrator_email" => json!("tributary@example.com"),
        _ => json!(id),
    }
}

/// What a sink of this type needs to be written, beside `type` and `inputs`.
fn needs(kind: &str) -> Vec<Line> {
    match kind {
        "elasticsearch" => vec![
            Line::key("endpoints", json!(["https://elasticsearch.example:9200"])),
            Line::key("auth", json!({ "strategy": "api_key", "api_key": "${ELASTICSEARCH_API_KEY}" })),
        ],
        "file" => vec![Line::key("path", "/var/log/tributary")],
        "http" => vec![
            Line::key("uri", "https://logs.example.com/ingest"),
            Line::key("auth", json!({ "strategy": "bearer", "token": "${HTTP_TOKEN}" })),
        ],
        "kafka" => vec![Line::key("bootstrap_servers", "kafka.example:9092")],
        "nats" => vec![Line::key("url", "tls://nats.example:4222")],
        "object_store" => vec![Line::key("url", "s3://security-lake/mail"), Line::key("region", "eu-central-1")],
        "otlp" => vec![Line::key("endpoint", "https://collector.example:4318")],
        "splunk_hec" => {
            vec![Line::key("endpoint", "https://splunk.example:8088"), Line::key("default_token", "${SPLUNK_TOKEN}")]
        }
        "sumo" => vec![
            Line::Comment("The whole address is a secret: whoever has it may send.".into()),
            Line::key("endpoint", "${SUMO_ENDPOINT}"),
        ],
        "syslog" => vec![Line::key("endpoint", "tls://syslog.example:6514")],
        "vector" => vec![Line::key("uri", "http://vector.example:8080")],
        _ => Vec::new(),
    }
}

/// A sink that takes all sources, with the keys that its type has of its own.
pub fn sink(kind: &str) -> Block {
    let mut lines = vec![
        Line::key("type", kind),
        Line::Comment("Ids of sources; `*` stands for any characters.".into()),
        Line::key("inputs", json!(["*"])),
    ];
    let needs = needs(kind);
    let given = |name: &str| needs.iter().any(|line| matches!(line, Line::Key(key, _) if key == name));
    let own: Vec<DeclaredKey> = sink_keys(kind).filter(|key| !given(key.name)).collect();
    lines.extend(needs.iter().cloned());
    for DeclaredKey { name, description, default } in own {
        if let Some(default) = default {
            lines.push(Line::Comment(description.into()));
            lines.push(Line::off(name, default));
        }
    }
    let comments = vec![];
    Block { comments, place: Some(("sinks".into(), kind.replace('_', "-"))), lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_lawful_names() {
        for (id, expected) in [
            ("acme", "${ACME_KEY}"),
            ("acme-eu", "${ACME_EU_KEY}"),
            ("7-eleven", "${_7_ELEVEN_KEY}"),
            ("-", "${__KEY}"),
        ] {
            assert_eq!(variable(id, "key"), expected);
        }
    }
}
