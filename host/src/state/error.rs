//! Why the state cannot be used, each with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// A fault of the state. The text ends with the operator's next step.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("cannot write to {}: {reason}; {owner}. Give the folder to the user that runs tributary, or set data_dir to another one", path.display())]
    NotWritable { path: PathBuf, reason: String, owner: String },

    #[error("there is no {}. Name another data_dir, or run `tributary run` first", path.display())]
    Missing { path: PathBuf },

    #[error("{} is in use by {}. Stop it, or set data_dir to another folder", path.display(), holder(*pid))]
    InUse { path: PathBuf, pid: Option<u32> },

    #[error(
        "{} is damaged: {reason}. It has not been touched. Put back a copy, or move the file away (`tributary state reset --damaged` does) and start again: then the sources begin where their configuration says, and may deliver again what they delivered before",
        path.display()
    )]
    Damaged { path: PathBuf, reason: String },

    #[error("{} was written by a newer release (format {found}; this release knows {known}). Run that release, or set data_dir to another folder", path.display())]
    Newer { path: PathBuf, found: u64, known: u64 },

    #[error("no space is left for {}. Make room on its disk; the positions stand still until then", path.display())]
    Full { path: PathBuf },

    #[error("the dead letters in {} have reached their limit ({bytes} of {limit} bytes); the positions of streams that have more stand still. See `tributary dead-letters list`, then make room with `tributary dead-letters drop` or move a file away; or raise max_dead_letter_bytes", path.display())]
    DeadLettersFull { path: PathBuf, bytes: u64, limit: u64 },

    #[error("{}: {reason}. Check the disk and the folder; the positions stand still until the store can be used", path.display())]
    Io { path: PathBuf, reason: String },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("another tributary, process {pid}"))
}

impl StateError {
    /// What an error of the file system at `path` means.
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        let path = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                let owner = super::folder::ownership(&path);
                StateError::NotWritable { path, reason: error.to_string(), owner }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StateError::Full { path },
            _ => StateError::Io { path, reason: error.to_string() },
        }
    }

    /// What an error of the database at `path` means.
    pub(super) fn database(path: &Path, error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => match error.kind() {
                // A file that ends too early, or that is no database.
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                    StateError::Damaged { path: path.to_path_buf(), reason: error.to_string() }
                }
                _ => StateError::io(path, &error),
            },
            redb::Error::DatabaseAlreadyOpen => StateError::InUse { path: path.to_path_buf(), pid: None },
            redb::Error::Corrupted(reason) => StateError::Damaged { path: path.to_path_buf(), reason },
            redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::RepairAborted
            | redb::Error::UpgradeRequired(_) => {
                StateError::Damaged { path: path.to_path_buf(), reason: error.to_string() }
            }
            other => StateError::Io { path: path.to_path_buf(), reason: other.to_string() },
        }
    }
}
