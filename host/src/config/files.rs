//! The files that secrets come from, and whether they have changed since they were read.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files, each as it was when it was last looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<PathBuf, Option<Stamp>>);

/// What changes when a file is written, or when another takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Stamp {
    /// `None` if there is no such file, or it cannot be looked at.
    fn of(path: &Path) -> Option<Self> {
        // A mounted secret is a link whose goal is exchanged: it is the goal that counts.
        let file = fs::metadata(path).ok()?;
        let modified = (file.mtime(), file.mtime_nsec());
        Some(Self { device: file.dev(), inode: file.ino(), bytes: file.size(), modified })
    }
}

impl Files {
    /// Looks at `path`, before it is read for the first time: what is written after that is a change.
    pub(super) fn note(&mut self, path: &Path) {
        self.0.entry(path.to_owned()).or_insert_with(|| Stamp::of(path));
    }

    /// Whether any differs from when it was last looked at.
    pub fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, stamp)| Stamp::of(path) != *stamp)
    }

    /// Looks at them all.
    pub fn look_again(&mut self) {
        for (path, stamp) in &mut self.0 {
            *stamp = Stamp::of(path);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_exchanging_and_removing_are_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("one"), "first").unwrap();
        std::os::unix::fs::symlink(path("one"), path("link")).unwrap();
        let mut files = Files::default();
        for name in ["one", "link", "none"] {
            files.note(&path(name));
        }
        type Step<'a> = (&'a str, &'a dyn Fn());
        let steps: [Step<'_>; 6] = [
            ("written", &|| fs::write(path("one"), "longer than before").unwrap()),
            ("exchanged", &|| {
                fs::write(path("two"), "longer than before").unwrap();
                fs::rename(path("two"), path("one")).unwrap();
            }),
            ("linked elsewhere", &|| {
                fs::write(path("three"), "longer than before").unwrap();
                std::os::unix::fs::symlink(path("three"), path("new")).unwrap();
                fs::rename(path("new"), path("link")).unwrap();
            }),
            ("written where the link leads", &|| fs::write(path("three"), "short").unwrap()),
            ("removed", &|| fs::remove_file(path("one")).unwrap()),
            ("made", &|| fs::write(path("none"), "").unwrap()),
        ];
        for (what, step) in steps {
            assert!(!files.have_changed(), "before it was {what}");
            step();
            assert!(files.have_changed(), "{what}");
            files.look_again();
        }
        fs::write(path("other"), "nobody reads it").unwrap();
        assert!(!files.have_changed());
    }
}
