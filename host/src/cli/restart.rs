//! `tributary restart`: wakes the streams of a source of the running host.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use http::Method;
use tokio::runtime::Runtime;

use super::place::Place;
use super::run::refused;
use super::{exit, status};

#[derive(Debug, Args)]
pub struct Restart {
    /// Id of the source
    #[arg(value_name = "SOURCE")]
    pub source: String,

    #[command(flatten)]
    pub place: Place,
}

/// Asks the running host, and returns the exit code. Errors are those of `out`.
pub fn restart(config: &Path, arguments: &Restart, runtime: &Runtime, out: &mut impl Write) -> io::Result<u8> {
    let source = &arguments.source;
    if !is_id(source) {
        return Ok(refused(exit::USAGE, &format!("{source:?} is no id of a source. Use letters, digits, `-` and `_`")));
    }
    let answer = status::running(&arguments.place, config, runtime).and_then(|host| {
        let answer = host.ask(Method::POST, &format!("/v1/sources/{source}/restart"), Vec::new())?;
        answer.good().map(drop)
    });
    match answer {
        Ok(()) => {
            writeln!(
                out,
                "the streams of {source} begin anew, where they were. `tributary status {source}` shows them"
            )?;
            Ok(exit::OK)
        }
        Err(code) => Ok(code),
    }
}

/// Whether a source may have this id: it stands in a path as it is.
pub fn is_id(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
