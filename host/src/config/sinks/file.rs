//! Files of NDJSON.

use std::path::PathBuf;
use std::time::Duration;

use super::shared::{Compression, compression, compression_key};
use super::{COMMON, HOLDS};
use crate::config::declaration::{Group, Table, text, whole};
use crate::config::section::Section;
use crate::template::Template;

const MIB: u64 = 1 << 20;

pub static FILE: Table = Table::new(
    "sinks.file",
    "Files of NDJSON. Each is finished and then renamed, so whoever reads finished files reads whole ones.",
    &[&COMMON, &HOLDS, &Group::of(&[
        text(
            "path",
            "The folder, which is this sink's own. Below it `{tenant}/{stream}`, or what stands here from the first place on, \
             as in `/var/log/tributary/{tenant}/{stream}/{date}`.",
        )
        .required(),
        compression_key(&["none", "gzip", "zstd"]),
        whole("max_bytes", 4096, 1 << 40, 128 * MIB, "A file is finished when it is this long, in bytes on disk."),
        whole("max_age_secs", 1, 30 * 86_400, 3600, "A file is finished when it is this old, in seconds."),
    ])],
);

/// Files of NDJSON in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOptions {
    /// The folder, which is this sink's own.
    pub path: PathBuf,
    /// The folders below it; `{tenant}/{stream}` if `None`.
    pub pattern: Option<Template>,
    pub compression: Compression,
    /// A file is finished when it is at least this long, in bytes on disk.
    pub max_bytes: u64,
    /// A file is finished when it is this old.
    pub max_age: Duration,
}

pub fn read(section: &mut Section<'_>) -> FileOptions {
    let (path, pattern) = match section.text("path") {
        Some(text) => path(&text, section),
        None => {
            section.fault("path", "is required", Some("Name the folder for the files".into()));
            Default::default()
        }
    };
    let compression = compression(section);
    let max_bytes = section.whole("max_bytes");
    let max_age = Duration::from_secs(section.whole("max_age_secs"));
    FileOptions { path, pattern, compression, max_bytes, max_age }
}

/// The folder, and the pattern below it. What is filled in is cleaned later, so only the fixed text can lead out.
fn path(text: &str, section: &mut Section<'_>) -> (PathBuf, Option<Template>) {
    let whole = match Template::parse(text) {
        Ok(whole) => whole,
        Err(error) => {
            section.fault("path", error.to_string(), Some(crate::template::HINT.into()));
            return Default::default();
        }
    };
    if whole.is_fixed() {
        return (whole.prefix().into(), None);
    }
    let Some((folder, pattern)) = whole.split_folder().filter(|(folder, _)| !folder.is_empty()) else {
        let message = "no folder stands before the first place, so nothing says where the files are to stay";
        section.fault("path", message, Some(format!("Write one before it, as in /var/log/tributary/{text}")));
        return Default::default();
    };
    let folder = PathBuf::from(folder);
    let wrong = pattern.pieces().into_iter().find(|(fixed, filled)| {
        // With something filled in, none is empty or only dots.
        fixed.contains('\0') || (!filled && matches!(fixed.as_str(), "" | "." | ".."))
    });
    if let Some((fixed, _)) = wrong {
        let message = if fixed == ".." {
            format!("it leads out of {} with `..`", folder.display())
        } else {
            format!("`{}` between its slashes is no name of a folder", fixed.escape_debug())
        };
        section.fault(
            "path",
            message,
            Some("Name folders below the first place plainly, one slash between them".into()),
        );
        return Default::default();
    }
    (folder, Some(pattern))
}
