//! One file that is being written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::time::Instant;

use super::name;

/// What marks an unfinished file.
pub const SUFFIX: &str = ".part";

/// An unfinished file. It may be closed for a while.
pub struct Part {
    path: PathBuf,
    /// `None` while it is closed; then everything in it is synced.
    file: Option<File>,
    /// Bytes in it.
    len: u64,
    dirty: bool,
    pub begun: Instant,
    /// When it was used last, in deliveries.
    pub used: u64,
    /// How much the disk still takes.
    #[cfg(test)]
    room: Option<u64>,
}

impl Part {
    /// Begins a file in `folder`, which is `root` or lies in it. Its entry is on disk when this returns.
    pub fn create(root: &Path, folder: &Path, time: SystemTime, extension: &str, now: Instant) -> io::Result<Self> {
        create_folder(folder)?;
        let mut number = 0;
        let (path, file) = loop {
            let finished = folder.join(name::file(time, number, extension));
            let path = with_suffix(&finished);
            number += 1;
            if finished.exists() {
                continue;
            }
            match private().append(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.exists() => {}
                Err(error) => return Err(error),
            }
        };
        for folder in folder.ancestors() {
            sync_folder(folder)?;
            if folder == root {
                break;
            }
        }
        Ok(Part {
            path,
            file: Some(file),
            len: 0,
            dirty: false,
            begun: now,
            used: 0,
            #[cfg(test)]
            room: None,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Whether somebody removed it.
    pub fn is_gone(&self) -> bool {
        match &self.file {
            Some(file) => file.metadata().is_ok_and(|metadata| metadata.nlink() == 0),
            None => !self.path.exists(),
        }
    }

    fn open(&mut self) -> io::Result<&mut File> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(OpenOptions::new().append(true).open(&self.path)?)),
        }
    }

    #[cfg(test)]
    pub fn limit(&mut self, room: &mut Option<u64>) {
        self.room = *room;
    }

    /// Adds `pieces`, one behind the other. After an error there may be a part of them; [`Part::truncate`] takes it away.
    pub fn append(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        self.dirty = true;
        let len: usize = pieces.iter().map(Bytes::len).sum();
        #[cfg(test)]
        if let Some(room) = self.room.filter(|room| *room < len as u64) {
            let all = pieces.concat();
            self.open()?.write_all(&all[..room as usize])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        write_all(self.open()?, pieces)?;
        self.len += len as u64;
        Ok(())
    }

    pub fn sync(&mut self) -> io::Result<()> {
        if self.dirty {
            self.open()?.sync_data()?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Cuts the file to `len` bytes.
    pub fn truncate(&mut self, len: u64) -> io::Result<()> {
        let file = self.open()?;
        file.set_len(len)?;
        file.sync_data()?;
        self.len = len;
        self.dirty = false;
        Ok(())
    }

    /// Closes the file for a while.
    pub fn shut(&mut self) -> io::Result<()> {
        self.sync()?;
        self.file = None;
        Ok(())
    }

    /// Gives the file its name; an empty one is removed. Returns where it is.
    pub fn finish(&mut self) -> io::Result<Option<PathBuf>> {
        self.shut()?;
        finish(&self.path, self.len)
    }
}

/// Writes all pieces from where they are, in as few calls as the system takes.
fn write_all(writer: &mut impl Write, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> =
        pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match writer.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            // It may have taken fewer than all, and a part of one.
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives the unfinished file at `path` its name; an empty one is removed.
pub fn finish(path: &Path, len: u64) -> io::Result<Option<PathBuf>> {
    if len == 0 {
        fs::remove_file(path)?;
        return Ok(None);
    }
    let finished = path.with_extension("");
    // A rename would silently replace another file. The folder is ours alone, so nobody makes one in between.
    if finished.exists() {
        return Err(io::Error::other(format!("{} is already there", finished.display())));
    }
    fs::rename(path, &finished)?;
    if let Some(folder) = finished.parent() {
        sync_folder(folder)?;
    }
    Ok(Some(finished))
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// Options for a file that only its user may read.
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Makes a folder that only its user may read, and what is missing above it.
pub fn create_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes at a time, is interrupted in between, and is full in the end.
    struct Slow {
        taken: Vec<u8>,
        room: usize,
        interrupted: bool,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let few: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(5.min(self.room)).collect();
            self.room -= few.len();
            self.taken.extend(&few);
            Ok(few.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn short_writes_go_on_where_they_ended() {
        let pieces = ["{1}\n", "", "{\"long\":22222}\n", "{3}\n"].map(|text| Bytes::from_static(text.as_bytes()));
        let slow = |room| Slow { taken: Vec::new(), room, interrupted: false };
        let mut whole = slow(100);
        write_all(&mut whole, &pieces).unwrap();
        assert_eq!(whole.taken, pieces.concat());
        let mut full = slow(7);
        assert_eq!(write_all(&mut full, &pieces).unwrap_err().kind(), io::ErrorKind::WriteZero);
        assert_eq!(full.taken, pieces.concat()[..7]);
    }
}
