//! What keeps this process's user from writing below a sink's folder: where an error was, and what `validate` finds before
//! there is one. A folder or file that another user made is private to that one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::LOCK_FILE;
use super::part::SUFFIX;
use crate::state::rights;

/// Files and folders that are looked at, at the most: a sink of years may have millions.
const LOOKED_AT: usize = 100_000;

/// An error, and the path that it is about.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub struct Located {
    pub path: PathBuf,
    pub error: io::Error,
}

impl Located {
    /// For the operator, with the next step.
    pub fn told(&self) -> String {
        let Self { path, error } = self;
        let text = format!("cannot use {}: {error}; {}", path.display(), rights::ownership(path));
        format!("{text}. Give it to the user that runs tributary, with all that lies below (chown -R)")
    }
}

/// Says that an error is about `path`, unless it is known to be about something nearer.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| match of(&error) {
        Some(_) => error,
        None => io::Error::new(error.kind(), Located { path: path.to_path_buf(), error }),
    }
}

/// Where an error was, if that was said.
pub fn of(error: &io::Error) -> Option<&Located> {
    error.get_ref()?.downcast_ref()
}

/// The first thing below `folder` that this process's user cannot use as a sink there must.
pub fn find(folder: &Path) -> Option<Located> {
    // What is not there is in nobody's way; whether it can be made is another question.
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Some(Located { path: folder.to_path_buf(), error });
        }
        entries => entries.ok()?,
    };
    let mut left = LOOKED_AT;
    below(entries, &mut left).blocked
}

#[derive(Default)]
struct Below {
    blocked: Option<Located>,
    /// Whether files of a sink lie there.
    has_events: bool,
}

fn below(entries: fs::ReadDir, left: &mut usize) -> Below {
    let mut found = Below::default();
    for entry in entries.flatten() {
        if *left == 0 || found.blocked.is_some() {
            break;
        }
        *left -= 1;
        // As at a start: links are not followed.
        let Ok(kind) = entry.file_type() else { continue };
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if kind.is_dir() {
            let inner = match fs::read_dir(&path) {
                Ok(entries) => below(entries, left),
                // A start reads every folder.
                Err(error) => Below { blocked: Some(Located { path: path.clone(), error }), has_events: false },
            };
            found.has_events |= inner.has_events;
            // Where no events lie, somebody else's folder may be beside: nothing will be written there.
            let writable = || rights::may(&path, Access::WRITE_OK | Access::EXEC_OK);
            found.blocked = inner.blocked.or_else(|| {
                let error = writable().err().filter(|_| inner.has_events)?;
                Some(Located { path: path.clone(), error })
            });
        } else if kind.is_file() {
            found.has_events |= name.contains(".ndjson");
            // What an earlier run left open is finished at a start.
            if name.ends_with(SUFFIX) || name == LOCK_FILE {
                let usable = rights::may(&path, Access::READ_OK | Access::WRITE_OK);
                found.blocked = usable.err().map(|error| Located { path, error });
            }
        }
    }
    found
}
