//! The data folder: private to its user, and of one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{self as unix, DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::Access;
use rustix::process::geteuid;
use tracing::warn;

use super::error::StateError;
use super::rights;

pub const STATE_FILE: &str = "state.redb";
/// Where a running host listens.
pub const SOCKET_FILE: &str = "socket";
/// The folder of the dead letters.
pub const DEAD_LETTERS: &str = "dead-letters";
const LOCK_FILE: &str = "lock";

/// [`is_free`] takes the lock for a moment, in which it must not keep a host from its start: it is tried so often, with so
/// much time between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

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
        match take(&lock, || thread::sleep(PAUSE)) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::InUse { path: path.to_path_buf(), pid: process(&mut lock) });
            }
            Err(TryLockError::Error(error)) => return Err(StateError::io(&lock_path, &error)),
        }
        leave_to_owner(&lock, path);
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

/// Takes the lock, unless somebody does not give it back, with `pause` before each new try.
fn take(lock: &File, mut pause: impl FnMut()) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => pause(),
            done => return done,
        }
    }
    lock.try_lock()
}

/// Whether nobody holds the folder at `path`. Nothing is made or taken.
///
/// # Errors
/// Who holds it, as [`DataDir::open`] would say; or that this user may not see it.
pub fn is_free(path: &Path) -> Result<(), StateError> {
    let lock_path = path.join(LOCK_FILE);
    let mut lock = match File::open(&lock_path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(StateError::reading(&lock_path, &error));
        }
        // There is no such folder yet, or none can be.
        Err(_) => return Ok(()),
    };
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Err(StateError::InUse { path: path.to_path_buf(), pid: process(&mut lock) }),
        _ => Ok(()),
    }
}

/// The process that a lock's file names.
fn process(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// What the superuser makes in the folder of another user, who only looks there, must not shut that user out.
fn leave_to_owner(lock: &File, folder: &Path) {
    let (Ok(folder), Ok(file)) = (fs::metadata(folder), lock.metadata()) else { return };
    if geteuid().is_root() && folder.uid() != file.uid() {
        // Where it is refused, there is no other user.
        let _ = unix::fchown(lock, Some(folder.uid()), Some(folder.gid()));
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

/// What a host finds in the folder at `path` that this process's user cannot use, though the folder is writable: another
/// user made it.
pub fn blocked(path: &Path) -> Option<StateError> {
    let letters = path.join(DEAD_LETTERS);
    let own = [path.join(LOCK_FILE), path.join(STATE_FILE)];
    let kept = fs::read_dir(&letters).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = own.into_iter().chain(kept).map(|file| (file, Access::READ_OK | Access::WRITE_OK));
    let folder = (letters.clone(), Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK);
    [folder].into_iter().chain(files).find_map(|(path, access)| match rights::may(&path, access) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(StateError::io(&path, &error)),
        // What is not there is made.
        _ => None,
    })
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
    let is_ours = |name: &str| name.starts_with(STATE_FILE) || [LOCK_FILE, SOCKET_FILE, DEAD_LETTERS].contains(&name);
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
        assert_eq!(is_free(folder.path()).unwrap_err().to_string(), error.to_string());
        drop(held);
        assert!(is_free(folder.path()).is_ok() && is_free(&folder.path().join("none")).is_ok());
        DataDir::open(folder.path()).unwrap();
    }

    #[test]
    fn who_only_looks_keeps_nobody_from_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = || private().read(true).create(true).truncate(false).open(folder.path().join(LOCK_FILE)).unwrap();
        let (host, mut glance) = (file(), Some(file()));
        glance.as_ref().unwrap().try_lock_shared().unwrap();
        take(&host, || glance = None).unwrap();
        // Who has it for good keeps it.
        let mut pauses = 0;
        assert!(matches!(take(&file(), || pauses += 1), Err(TryLockError::WouldBlock)));
        assert_eq!(pauses + 1, TRIES);
    }

    #[test]
    fn not_writable_says_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let error = StateError::io(&folder.path().join("a/b"), &io::ErrorKind::PermissionDenied.into()).to_string();
        let mode = format!("with mode {:04o}, and this process runs as", mode(folder.path()));
        assert!(error.contains(&mode) && error.contains(". Give the folder"), "{error}");
    }

    #[test]
    fn the_lock_is_the_folders_owners() {
        let folder = tempfile::tempdir().unwrap();
        let owner = || fs::metadata(folder.path().join(LOCK_FILE)).unwrap().uid();
        drop(DataDir::open(folder.path()).unwrap());
        assert_eq!(owner(), geteuid().as_raw());
        if geteuid().is_root() {
            unix::chown(folder.path(), Some(65_534), None).unwrap();
            drop(DataDir::open(folder.path()).unwrap());
            assert_eq!(owner(), 65_534);
        }
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
