//! `tributary generate`: a configuration to begin with.

mod document;
mod places;
mod starter;
mod sumo;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use tokio::runtime::Runtime;

pub use document::GenerateFormat;

use self::document::{Block, Line};
use super::exit;
use super::run::refused;
use super::schema::component_schema;
use crate::config::sink_types;

#[derive(Debug, Args)]
pub struct Generate {
    /// Id of the source, and part of the names of the variables that hold its secrets
    #[arg(long, value_name = "ID", value_parser = starter::id)]
    pub id: Option<String>,

    /// Generation of Mimecast's API
    #[arg(long, value_name = "VERSION", value_parser = ["2.0", "1.0"], default_value = "2.0", conflicts_with = "from_sumo")]
    pub api: String,

    /// Type of a sink; may be given several times
    #[arg(long, value_name = "TYPE", value_parser = sink_types(), default_value = "file")]
    pub sink: Vec<String>,

    /// Folder for state and events; unless it is named, those of a service, below /var
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub folder: Option<PathBuf>,

    /// Folder with a file for each secret; unless it is named, they are variables of the environment
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub secrets: Option<PathBuf>,

    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "toml")]
    pub format: GenerateFormat,

    /// JSON of a Mimecast source of Sumo Logic, of either generation, to take over
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub from_sumo: Option<PathBuf>,
}

/// The largest JSON of a source that is read: exports of whole collectors have a few kilobytes a source.
const LONGEST: u64 = 16 << 20;

/// Writes a configuration; returns the exit code. Errors are those of writing to `out`.
pub fn generate(arguments: &Generate, runtime: &Runtime, out: &mut impl Write) -> io::Result<u8> {
    let component = match component_schema(runtime) {
        Ok(component) => component,
        Err(error) => return Ok(refused(exit::SOFTWARE, &error)),
    };
    let (sources, comments) = match &arguments.from_sumo {
        None => {
            let id = arguments.id.as_deref().unwrap_or("acme");
            (vec![starter::source(id, &arguments.api, &component)], Vec::new())
        }
        Some(path) => {
            let read = fs::metadata(path).and_then(|file| match file.len() {
                0..=LONGEST => fs::read_to_string(path),
                _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long for the JSON of a source")),
            });
            let text = match read {
                Ok(text) => text,
                Err(error) => return Ok(refused(exit::NO_INPUT, &format!("cannot read {}: {error}", path.display()))),
            };
            match sumo::sources(&text, arguments.id.as_deref()) {
                Ok(imported) => {
                    for note in imported.iter().flat_map(|source| &source.notes) {
                        eprintln!("{note}");
                    }
                    let comments =
                        vec!["Taken over from Sumo Logic. What has no counterpart stands at each source.".into()];
                    (imported.into_iter().map(|source| source.block).collect(), comments)
                }
                Err(error) => return Ok(refused(exit::DATA, &format!("{}: {error}", path.display()))),
            }
        }
    };
    let mut blocks = vec![starter::top(comments)];
    blocks.extend(sources);
    // Each type once, and each by its name.
    let mut types: Vec<&String> = Vec::new();
    for kind in &arguments.sink {
        if !types.contains(&kind) {
            types.push(kind);
        }
    }
    blocks.extend(types.into_iter().map(|kind| starter::sink(kind)));
    // A service has another working directory than who writes its configuration.
    if let Some(folder) = &arguments.folder {
        places::in_folder(&mut blocks, &std::path::absolute(folder)?);
    }
    if let Some(folder) = &arguments.secrets {
        places::secrets_in(&mut blocks, &std::path::absolute(folder)?);
    }
    out.write_all(document::write(&blocks, arguments.format).as_bytes())?;
    out.flush().map(|()| exit::OK)
}
