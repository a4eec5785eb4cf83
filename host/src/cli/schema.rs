//! `tributary schema`: what a configuration may have, for editors and as a page.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::exit;
use super::run::refused;
use crate::config::{page, schema};
use crate::sandbox::{LoadError, Sandbox, Settings};

#[derive(Debug, Args)]
pub struct Schema {
    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub format: SchemaFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaFormat {
    /// JSON Schema, draft 2020-12
    Json,
    /// The page of all keys
    Markdown,
}

/// Writes the schema; returns the exit code. Errors are those of writing to `out`.
pub fn schema(arguments: &Schema, runtime: &Runtime, out: &mut impl Write) -> io::Result<u8> {
    let component = match component_schema(runtime) {
        Ok(component) => component,
        Err(error) => return Ok(refused(exit::SOFTWARE, &error)),
    };
    match arguments.format {
        SchemaFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &schema::schema(&component))?;
            writeln!(out)?;
        }
        SchemaFormat::Markdown => out.write_all(page::page(&component).as_bytes())?,
    }
    out.flush().map(|()| exit::OK)
}

/// What the embedded component says of its keys.
pub(super) fn component_schema(runtime: &Runtime) -> Result<Value, LoadError> {
    let component = runtime.block_on(async { Sandbox::new(Settings::default())?.load(crate::COMPONENT).await })?;
    // One without keys is whatever the host's are; the component's own tests see to it that it is JSON.
    Ok(serde_json::from_str(&component.descriptor().config_schema).unwrap_or_default())
}
