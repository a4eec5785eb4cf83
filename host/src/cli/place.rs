//! Where the state is, for verbs that look after it; and how they show it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;

use super::exit;
use super::run::{refused, state_code};
use crate::config;
use crate::state::{StateError, rights};

/// Which state.
#[derive(Debug, Args)]
pub struct Place {
    /// The data folder; if it is not named, that of the configuration
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
}

impl Place {
    /// The data folder. Nothing else of the configuration is needed, so no secret is asked for. Otherwise the exit code; why has been said.
    pub fn folder(&self, config: &Path) -> Result<PathBuf, u8> {
        match &self.data_dir {
            Some(folder) => Ok(folder.clone()),
            None => config::data_dir(config).map_err(|error| {
                refused(exit::CONFIGURATION, &format!("{error}\nOr name the folder of the state with --data-dir"))
            }),
        }
    }

    /// The data folder, to change what lies there. Otherwise the exit code; why has been said.
    pub fn own_folder(&self, config: &Path) -> Result<PathBuf, u8> {
        let folder = self.folder(config)?;
        rights::may_change(&folder).map_err(|error| told(&error))?;
        Ok(folder)
    }
}

/// Says what is wrong with the state, and gives the exit code.
pub fn told(error: &StateError) -> u8 {
    refused(state_code(error), error)
}

/// A time as text; empty for none.
pub fn time(ms: u64) -> String {
    let time = i64::try_from(ms).ok().filter(|ms| *ms > 0).and_then(DateTime::<Utc>::from_timestamp_millis);
    time.map_or_else(String::new, |time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Writes rows in columns; those that `right` names are numbers.
pub fn table<const N: usize>(
    out: &mut impl Write,
    titles: [&str; N],
    right: std::ops::Range<usize>,
    rows: &[[String; N]],
) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([titles[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut line = |cells: [&str; N]| {
        let mut text = String::new();
        for (column, cell) in cells.into_iter().enumerate() {
            let width = widths[column];
            text += &if right.contains(&column) { format!("{cell:>width$}  ") } else { format!("{cell:width$}  ") };
        }
        writeln!(out, "{}", text.trim_end())
    };
    line(titles)?;
    rows.iter().try_for_each(|row| line(std::array::from_fn(|column| row[column].as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let mut out = Vec::new();
        let rows = [["a".into(), "1".into(), "x".into()], ["längst".into(), "1000".into(), String::new()]];
        table(&mut out, ["NAME", "N", "REST"], 1..2, &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME       N  REST\na          1  x\nlängst  1000\n");
        assert_eq!((time(1_795_000_000_123).as_str(), time(0).as_str()), ("2026-11-18T11:06:40.123Z", ""));
    }
}
