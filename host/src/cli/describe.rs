//! `tributary describe`: what a source is.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::run::refused;
use super::{Describe, DescribeFormat, exit};
use crate::components::{self, ComponentError, Found};
use crate::config::ComponentOptions;
use crate::sandbox::{Component, LogStream, Provenance, Sandbox, Settings, sha256};

/// One component, and what its file says.
struct Described {
    component: Component,
    sha256: String,
    provenance: Provenance,
}

/// Writes what a component says of itself, and returns the exit code. Errors are those of writing to `out`.
pub fn describe(arguments: &Describe, runtime: &Runtime, out: &mut impl Write) -> io::Result<u8> {
    let described = match runtime.block_on(load(arguments.component.as_deref())) {
        Ok(described) => described,
        Err(error) => return Ok(refused(code(&error), &error)),
    };
    match arguments.format {
        _ if arguments.json => json_document(&described, out)?,
        DescribeFormat::Text => text(&described, out)?,
        DescribeFormat::Json => json_document(&described, out)?,
    }
    out.flush().map(|()| exit::OK)
}

fn json_document(described: &Described, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &value(described))?;
    writeln!(out)
}

async fn load(path: Option<&Path>) -> Result<Described, ComponentError> {
    let embedded = |error| ComponentError::Load { path: "the built-in component".into(), error };
    let sandbox = Sandbox::new(Settings::default()).map_err(embedded)?;
    let (component, bytes) = match path {
        None => (sandbox.load(crate::COMPONENT).await.map_err(embedded)?, Cow::Borrowed(crate::COMPONENT)),
        Some(path) => {
            let options = ComponentOptions { path: path.to_owned(), version: None, sha256: None };
            let Found { component, bytes, .. } = components::load(&sandbox, &options).await?;
            (component, Cow::Owned(bytes))
        }
    };
    Ok(Described { component, sha256: sha256(&bytes), provenance: Provenance::of(&bytes) })
}

fn code(error: &ComponentError) -> u8 {
    match error {
        ComponentError::Read { .. } | ComponentError::NoVersion { .. } | ComponentError::NoRelease { .. } => {
            exit::NO_INPUT
        }
        ComponentError::Load { error: crate::sandbox::LoadError::Engine(_), .. } => exit::SOFTWARE,
        _ => exit::DATA,
    }
}

fn text(described: &Described, out: &mut impl Write) -> io::Result<()> {
    let Described { component, sha256, provenance } = described;
    let descriptor = component.descriptor();
    writeln!(out, "{} {}", descriptor.name, descriptor.version)?;
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    writeln!(out, "commit: {}", known(&provenance.revision))?;
    writeln!(out, "cargo-lock-sha256: {}", known(&provenance.lock))?;
    writeln!(out, "sha256: {sha256}")?;
    writeln!(out, "\nStreams")?;
    let width = descriptor.streams.iter().map(|stream| stream.name.len()).max().unwrap_or(0);
    for stream in &descriptor.streams {
        writeln!(
            out,
            "  {:width$}  {}; every {}{}",
            stream.name,
            stream.description,
            span(stream.interval_ms.into()),
            extras(stream)
        )?;
    }
    writeln!(out, "\nQuotas")?;
    for quota in &descriptor.quotas {
        writeln!(out, "  {:width$}  {} requests in {}", quota.name, quota.requests, span(quota.window_ms.into()))?;
    }
    writeln!(out, "\nKinds of events")?;
    for kind in &descriptor.kinds {
        let labels: Vec<String> = kind.labels.iter().map(|(product, label)| format!("{product}={label}")).collect();
        writeln!(out, "{}", format!("  {:width$}  {}", kind.name, labels.join(" ")).trim_end())?;
    }
    writeln!(out, "\nConfiguration")?;
    let schema: Value = serde_json::from_str(&descriptor.config_schema).unwrap_or_default();
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        writeln!(out, "  {key:width$}  {}", property["description"].as_str().unwrap_or_default())?;
    }
    writeln!(out, "\nImports")?;
    component.imports().iter().try_for_each(|import| writeln!(out, "  {import}"))
}

fn extras(stream: &LogStream) -> String {
    let mut text = String::new();
    if let Some(quota) = &stream.quota {
        text += &format!(", quota {quota}");
    }
    if let Some(retention) = stream.retention_ms {
        text += &format!(", kept for {}", span(retention));
    }
    text
}

/// A span in the largest unit that is whole.
fn span(ms: u64) -> String {
    let units = [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second")];
    match units.into_iter().find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit)) {
        Some((unit, name)) if ms == unit => format!("1 {name}"),
        Some((unit, name)) => format!("{} {name}s", ms / unit),
        None => format!("{:?}", Duration::from_millis(ms)),
    }
}

fn value(described: &Described) -> Value {
    let Described { component, sha256, provenance } = described;
    let descriptor = component.descriptor();
    let streams = descriptor.streams.iter().map(|stream| {
        json!({
            "name": stream.name, "description": stream.description, "interval_ms": stream.interval_ms,
            "retention_ms": stream.retention_ms, "repeats_within_ms": stream.repeats_within_ms, "quota": stream.quota,
        })
    });
    let quotas = descriptor
        .quotas
        .iter()
        .map(|quota| json!({"name": quota.name, "requests": quota.requests, "window_ms": quota.window_ms}));
    let kinds = descriptor.kinds.iter().map(|kind| {
        // A product may know a kind under several names.
        let mut labels: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
        for (product, label) in &kind.labels {
            labels.entry(product.as_str()).or_default().push(label.as_str());
        }
        json!({"name": kind.name, "labels": labels})
    });
    // What is no JSON is shown as it is.
    let schema = serde_json::from_str(&descriptor.config_schema)
        .unwrap_or_else(|_| Value::String(descriptor.config_schema.clone()));
    json!({
        "name": descriptor.name, "version": descriptor.version, "commit": provenance.revision,
        "cargo_lock_sha256": provenance.lock, "sha256": sha256, "imports": component.imports(),
        "streams": streams.collect::<Vec<_>>(), "quotas": quotas.collect::<Vec<_>>(),
        "kinds": kinds.collect::<Vec<_>>(), "config_schema": schema,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_whole() {
        for (ms, text) in
            [(900_000, "15 minutes"), (5_000, "5 seconds"), (86_400_000, "1 day"), (90_061_001, "90061.001s")]
        {
            assert_eq!(span(ms), text);
        }
    }
}
