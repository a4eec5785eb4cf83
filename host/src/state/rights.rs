//! Whose the state is, and whether this process's user may use it. What one user makes there is private to it, and shuts
//! the other one out.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::geteuid;

use super::error::StateError;
use super::folder::STATE_FILE;

/// The user of the superuser's processes.
const ROOT: u32 = 0;

/// Whether there is something at `path`. One that this user may not look for is no proof that there is nothing.
///
/// # Errors
/// When this user may not see it, or asking fails.
pub fn exists(path: &Path) -> Result<bool, StateError> {
    match fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StateError::reading(path, &error)),
    }
}

/// Whether this process may change what lies in `data_dir`, or make something in a sink: whoever runs the host there must
/// be able to use it afterwards. What is not there yet is anybody's.
///
/// # Errors
/// When the state belongs to another user, or cannot be seen.
pub fn may_change(data_dir: &Path) -> Result<(), StateError> {
    let (we, file) = (geteuid().as_raw(), data_dir.join(STATE_FILE));
    let owner = |path: &Path| match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.uid())),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(StateError::reading(path, &error)),
        // Whoever opens it says what is wrong.
        Err(_) => Ok(None),
    };
    let (folder_owner, file_owner) = (owner(data_dir)?, owner(&file)?);
    if !is_foreign(we, folder_owner, file_owner) {
        return Ok(());
    }
    let path = if file_owner.is_some() { &file } else { data_dir };
    let user = file_owner.or(folder_owner).unwrap_or(ROOT);
    let what = format!("{}: it could not use what is made here", ownership(path));
    Err(StateError::OtherUser { what, user: name(user) })
}

/// Whether the state is another user's than `we`. The file of the store was made by whoever runs the host. A folder alone
/// may be shared by its group, as a volume is; then only the superuser, for whom nothing is shut, asks whose it is.
fn is_foreign(we: u32, folder: Option<u32>, file: Option<u32>) -> bool {
    match (file, folder) {
        (Some(owner), _) => owner != we,
        (None, Some(owner)) => owner != we && we == ROOT,
        (None, None) => false,
    }
}

/// Whether this process may do what `access` says, with its effective user.
///
/// # Errors
/// Why it may not.
pub fn may(path: &Path, access: Access) -> io::Result<()> {
    Ok(accessat(CWD, path, access, AtFlags::EACCESS)?)
}

/// Whose the nearest existing part of `path` is, and who we are.
pub fn ownership(path: &Path) -> String {
    let we = user(geteuid().as_raw());
    match nearest(path) {
        Some((place, metadata)) => {
            let (place, mode) = (place.display(), metadata.mode() & 0o7777);
            format!("{place} belongs to {} with mode {mode:04o}, and this process runs as {we}", user(metadata.uid()))
        }
        None => format!("nothing of the path can be seen, and this process runs as {we}"),
    }
}

/// The name of the user whose the nearest existing part of `path` is, as `sudo -u` takes it.
pub fn owner(path: &Path) -> String {
    name(nearest(path).map_or(ROOT, |(_, metadata)| metadata.uid()))
}

/// Whether the nearest existing part of `path` is another user's.
pub fn is_anothers(path: &Path) -> bool {
    nearest(path).is_some_and(|(_, metadata)| metadata.uid() != geteuid().as_raw())
}

fn nearest(path: &Path) -> Option<(PathBuf, fs::Metadata)> {
    let seen = |place: &Path| Some((place.to_path_buf(), fs::symlink_metadata(place).ok()?));
    path.ancestors().filter(|place| !place.as_os_str().is_empty()).find_map(seen)
}

fn name(uid: u32) -> String {
    known(uid).unwrap_or_else(|| format!("'#{uid}'"))
}

fn user(uid: u32) -> String {
    known(uid).map_or_else(|| format!("user {uid}"), |name| format!("{name} (user {uid})"))
}

fn known(uid: u32) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::chown;

    #[test]
    fn the_owner_of_the_store_may_change_it_and_nobody_else() {
        let (root, service, other) = (0, 998, 1_000);
        for (we, folder, file, foreign) in [
            (service, Some(service), Some(service), false),
            (root, Some(root), Some(root), false),
            (root, None, None, false),
            (root, Some(service), None, true),
            (root, Some(service), Some(service), true),
            (other, Some(service), Some(service), true),
            // A volume of its group's.
            (service, Some(root), Some(service), false),
            (service, Some(root), None, false),
        ] {
            assert_eq!(is_foreign(we, folder, file), foreign, "{we} {folder:?} {file:?}");
        }
    }

    #[test]
    fn the_superuser_is_told_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        assert!(may_change(folder.path()).is_ok() && may_change(&folder.path().join("none")).is_ok());
        if !geteuid().is_root() {
            return;
        }
        chown(folder.path(), Some(65_534), None).unwrap();
        let error = may_change(folder.path()).unwrap_err().to_string();
        let begin = format!("{} belongs to nobody (user 65534)", folder.path().display());
        assert!(error.starts_with(&begin) && error.ends_with("`sudo -u nobody tributary …`"), "{error}");
    }

    #[test]
    fn a_user_without_a_name_is_a_number() {
        assert_eq!((name(0).as_str(), name(4_000_000_000).as_str()), ("root", "'#4000000000'"));
        assert_eq!(user(4_000_000_000), "user 4000000000");
    }
}
