//! The data folder: private to its user, and of one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::error::StateError;

pub const STATE_FILE: &str = "state.redb";
/// Where a running host listens.
pub const SOCKET_FILE: &str = "socket";
const LOCK_FILE: &str = "lock";

/// The data folder, held by this process until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl DataDir {
    /// Makes the folder if it is not there, and takes it for this process.
    pub fn open(path: &Path) -> Result<DataDir, StateError> {
        create(path).map_err(|error| StateError::io(path, &error))?;
        let lock_path = path.join(LOCK_FILE);
        let mut lock = private().read(true).create(true).truncate(false).open(&lock_path).map_err(|error| {
            // The folder is what has to be mended.
            StateError::io(path, &error)
        })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = lock.read_to_string(&mut text);
                let pid = read.ok().and_then(|_| text.trim().parse().ok());
                return Err(StateError::InUse { path: path.to_path_buf(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(StateError::io(&lock_path, &error)),
        }
        let pid = std::process::id();
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{pid}"))
            .map_err(|error| StateError::io(&lock_path, &error))?;
        tighten_folder(path);
        for file in [lock_path, path.join(STATE_FILE)] {
            tighten_file(&file);
        }
        Ok(DataDir { path: path.to_path_buf(), _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Says whether this process could use the folder, without taking or changing it: the nearest folder above that is
/// there must be writable.
pub fn is_writable(path: &Path) -> Result<(), StateError> {
    let mut folder = path;
    loop {
        match fs::metadata(folder) {
            Ok(metadata) if metadata.is_dir() => break,
            Ok(_) => return Err(StateError::io(folder, &io::ErrorKind::NotADirectory.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match folder.parent() {
                Some(parent) if parent.as_os_str().is_empty() => folder = Path::new("."),
                Some(parent) => folder = parent,
                None => return Err(StateError::io(path, &error)),
            },
            Err(error) => return Err(StateError::io(folder, &error)),
        }
    }
    let probe = folder.join(format!(".tributary-probe-{}", std::process::id()));
    private().create_new(true).open(&probe).map_err(|error| StateError::io(folder, &error))?;
    fs::remove_file(&probe).map_err(|error| StateError::io(folder, &error))
}

/// Options for a file that only its user may read.
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Makes `path` and what is missing above it, readable by this user only.
pub fn create(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Takes a folder's rights from others; but only if it is ours and of no other use. Somebody's home or /tmp is left alone.
fn tighten_folder(path: &Path) {
    let Ok(metadata) = fs::metadata(path) else { return };
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return;
    }
    // Drafts of the state file, and damaged ones that were set aside, begin as it does.
    let is_ours = |name: &str| name.starts_with(STATE_FILE) || [LOCK_FILE, SOCKET_FILE, "dead-letters"].contains(&name);
    let only_ours = fs::read_dir(path)
        .is_ok_and(|entries| entries.flatten().all(|entry| entry.file_name().to_str().is_some_and(is_ours)));
    if only_ours && mode & 0o1000 == 0 && fs::set_permissions(path, fs::Permissions::from_mode(0o700)).is_ok() {
        warn!(path = %path.display(), mode = format!("{mode:04o}"), "data_dir was open to others; it is 0700 now");
    } else {
        warn!(
            path = %path.display(), mode = format!("{mode:04o}"),
            "data_dir is open to others and holds other things as well; use a folder of its own with mode 0700"
        );
    }
}

/// Takes a file's rights from others.
pub fn tighten_file(path: &Path) {
    let Ok(metadata) = fs::metadata(path) else { return };
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 == 0 {
        return;
    }
    let mode = format!("{mode:04o}");
    match fs::set_permissions(path, fs::Permissions::from_mode(0o600)) {
        Ok(()) => warn!(path = %path.display(), mode, "the file was open to others; it is 0600 now"),
        Err(error) => warn!(path = %path.display(), mode, %error, "the file is open to others; run chmod 600"),
    }
}

/// Whose the nearest existing part of `path` is, and who we are.
pub fn ownership(path: &Path) -> String {
    let mut place = path;
    let metadata = loop {
        match fs::symlink_metadata(place) {
            Ok(metadata) => break Some(metadata),
            Err(_) => match place.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => place = parent,
                _ => break None,
            },
        }
    };
    let own = fs::metadata("/proc/self").map(|metadata| metadata.uid()).ok();
    let we = own.map(|uid| format!(", and this process runs as {}", user(uid))).unwrap_or_default();
    match metadata {
        Some(metadata) => {
            let mode = metadata.mode() & 0o7777;
            format!("{} belongs to {} with mode {mode:04o}{we}", place.display(), user(metadata.uid()))
        }
        None => format!("nothing of the path can be seen{we}"),
    }
}

fn user(uid: u32) -> String {
    let name = fs::read_to_string("/etc/passwd").ok().and_then(|users| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
        })
    });
    name.map_or_else(|| format!("user {uid}"), |name| format!("{name} (user {uid})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn made_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let _held = DataDir::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join(LOCK_FILE)), 0o600);
    }

    #[test]
    fn tightened_if_it_is_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        for (name, other, expected) in [("ours", None, 0o700), ("shared", Some("homework.txt"), 0o755)] {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join(STATE_FILE), "").unwrap();
            fs::set_permissions(path.join(STATE_FILE), fs::Permissions::from_mode(0o644)).unwrap();
            if let Some(other) = other {
                fs::write(path.join(other), "").unwrap();
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            drop(DataDir::open(&path).unwrap());
            assert_eq!(mode(&path), expected, "{name}");
            assert_eq!(mode(&path.join(STATE_FILE)), 0o600);
        }
    }

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataDir::open(folder.path()).unwrap();
        let error = DataDir::open(folder.path()).unwrap_err();
        assert!(matches!(error, StateError::InUse { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
        assert!(error.to_string().contains("is in use by another tributary, process"), "{error}");
        drop(held);
        DataDir::open(folder.path()).unwrap();
    }

    #[test]
    fn not_writable_says_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let error = StateError::io(&folder.path().join("a/b"), &io::ErrorKind::PermissionDenied.into()).to_string();
        let own = user(fs::metadata("/proc/self").unwrap().uid());
        let mode = mode(folder.path());
        let expected =
            format!("belongs to {own} with mode {mode:04o}, and this process runs as {own}. Give the folder");
        assert!(error.contains(&expected), "{error}");
    }

    #[test]
    fn a_file_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        is_writable(&path).unwrap();
        is_writable(&path.join("deeper/still")).unwrap();
        fs::write(&path, "text").unwrap();
        for error in [is_writable(&path).unwrap_err(), DataDir::open(&path).unwrap_err()] {
            assert!(error.to_string().contains("data"), "{error}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }
}
