//! Files of NDJSON.

use std::path::PathBuf;
use std::time::Duration;

use super::shared::{Compression, compression};
use crate::config::section::Section;

const MIB: u64 = 1 << 20;

/// Files of NDJSON in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOptions {
    /// The folder.
    pub path: PathBuf,
    pub compression: Compression,
    /// A file is finished when it is at least this long, in bytes on disk.
    pub max_bytes: u64,
    /// A file is finished when it is this old.
    pub max_age: Duration,
}

pub fn read(section: &mut Section<'_>) -> FileOptions {
    let path = section.text("path");
    if path.is_none() {
        section.fault("path", "is required", Some("Name the folder for the files".into()));
    }
    let compression = compression(section);
    let max_bytes = section.whole("max_bytes", 4096, 1 << 40, 128 * MIB);
    let max_age = Duration::from_secs(section.whole("max_age_secs", 1, 30 * 86_400, 3600));
    FileOptions { path: path.unwrap_or_default().into(), compression, max_bytes, max_age }
}
