//! Why the state cannot be used, each with what to do about it.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A fault of the state. Its text is [`StateError::what`] and [`StateError::hint`].
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    NotWritable {
        path: PathBuf,
        reason: String,
        owner: String,
    },
    Missing {
        path: PathBuf,
    },
    /// It is for another user to do; `user` is named as `sudo -u` takes it.
    OtherUser {
        what: String,
        user: String,
    },
    InUse {
        path: PathBuf,
        pid: Option<u32>,
    },
    Damaged {
        path: PathBuf,
        reason: String,
    },
    Newer {
        path: PathBuf,
        found: u64,
        known: u64,
    },
    Full {
        path: PathBuf,
    },
    DeadLettersFull {
        path: PathBuf,
        bytes: u64,
        limit: u64,
    },
    Io {
        path: PathBuf,
        reason: String,
    },
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.what(), self.hint())
    }
}

impl StateError {
    /// What has happened, and where.
    pub fn what(&self) -> String {
        match self {
            Self::NotWritable { path, reason, owner } => {
                format!("cannot write to {}: {reason}; {owner}", path.display())
            }
            Self::Missing { path } => format!("there is no {}", path.display()),
            Self::OtherUser { what, .. } => what.clone(),
            Self::InUse { path, pid } => format!("{} is in use by {}", path.display(), holder(*pid)),
            Self::Damaged { path, reason } => {
                format!("{} is damaged: {reason}. It has not been touched", path.display())
            }
            Self::Newer { path, found, known } => {
                let path = path.display();
                format!("{path} was written by a newer release (format {found}; this release knows {known})")
            }
            Self::Full { path } => format!("no space is left for {}", path.display()),
            Self::DeadLettersFull { path, bytes, limit } => format!(
                "the dead letters in {} have reached their limit ({bytes} of {limit} bytes); the positions of streams that \
                 have more stand still",
                path.display()
            ),
            Self::Io { path, reason } => format!("{}: {reason}", path.display()),
        }
    }

    /// What the operator should do next.
    pub fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::OtherUser { user, .. } => return Cow::Owned(other_user(user)),
            Self::NotWritable { .. } => {
                "Give the folder to the user that runs tributary, or set data_dir to another one"
            }
            Self::Missing { .. } => "Name another data_dir, or run `tributary run` first",
            Self::InUse { .. } => "Stop it, or set data_dir to another folder",
            Self::Damaged { .. } => {
                "Put back a copy, or move the file away (`tributary state reset --damaged` does) and start again: then the \
                 sources begin where their configuration says, and may deliver again what they delivered before"
            }
            Self::Newer { .. } => "Run that release, or set data_dir to another folder",
            Self::Full { .. } => "Make room on its disk; the positions stand still until then",
            Self::DeadLettersFull { .. } => {
                "See `tributary dead-letters list`, then make room with `tributary dead-letters drop` or move a file away; or \
                 raise max_dead_letter_bytes"
            }
            Self::Io { .. } => "Check the disk and the folder; the positions stand still until the store can be used",
        })
    }
}

/// What whoever is not `user` does: another user's state is for that one alone.
pub fn other_user(user: &str) -> String {
    format!("Run this as the user that runs tributary: `sudo -u {user} tributary …`")
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
                let owner = super::rights::ownership(&path);
                StateError::NotWritable { path, reason: error.to_string(), owner }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StateError::Full { path },
            _ => StateError::Io { path, reason: error.to_string() },
        }
    }

    /// What an error of looking at `path` means, where nothing has to be written.
    pub(super) fn reading(path: &Path, error: &io::Error) -> Self {
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Self::io(path, error);
        }
        let what = format!("cannot read {}: {error}; {}", path.display(), super::rights::ownership(path));
        StateError::OtherUser { what, user: super::rights::owner(path) }
    }

    /// The same of opening something there, for a verb that looks after it: its user is to be another, not the folder's.
    pub(super) fn of_verb(self) -> Self {
        match self {
            Self::NotWritable { path, reason, owner } if super::rights::is_anothers(&path) => {
                let what = format!("cannot use {}: {reason}; {owner}", path.display());
                StateError::OtherUser { what, user: super::rights::owner(&path) }
            }
            other => other,
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
