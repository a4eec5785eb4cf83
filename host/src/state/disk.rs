//! The database's way to its file, with a rehearsal: a database may be opened on a copy in memory, to see whether it is
//! sound without changing a byte of it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
#[cfg(test)]
use std::sync::Arc;
use std::sync::Mutex;
#[cfg(test)]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use redb::StorageBackend;

use super::error::StateError;
use super::folder::{self, DataDir, STATE_FILE};

/// Where a store's file lies: a folder, or what a simulation brings instead.
pub trait Place: fmt::Debug + Send + Sync {
    /// Opens the file; `None` if it is not there.
    fn open(&self) -> io::Result<Option<Box<dyn StorageBackend>>>;

    /// Makes an empty draft of it, in place of one that a crash left.
    fn draft(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Gives the draft the file's name; durable when it returns.
    fn publish(&self) -> io::Result<()>;
}

/// What a place opened: redb wants a type of its own.
#[derive(Debug)]
pub struct Opened(pub Box<dyn StorageBackend>);

impl StorageBackend for Opened {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

/// A file in a folder of its own, which this process holds.
#[derive(Debug)]
pub struct InFolder {
    path: PathBuf,
    #[cfg(test)]
    faults: Arc<Faults>,
    _folder: DataDir,
}

impl InFolder {
    /// In `data_dir`, which is made and taken for this process.
    pub fn new(data_dir: &Path, #[cfg(test)] faults: Arc<Faults>) -> Result<Self, StateError> {
        let _folder = DataDir::open(data_dir)?;
        Ok(InFolder {
            path: data_dir.join(STATE_FILE),
            #[cfg(test)]
            faults,
            _folder,
        })
    }

    fn draft_path(&self) -> PathBuf {
        self.path.with_extension("redb.new")
    }

    fn boxed(&self, file: File) -> Box<dyn StorageBackend> {
        #[cfg(not(test))]
        let disk = Disk::of(file);
        #[cfg(test)]
        let disk = Disk::failing(file, Arc::clone(&self.faults));
        Box::new(disk)
    }
}

impl Place for InFolder {
    fn open(&self) -> io::Result<Option<Box<dyn StorageBackend>>> {
        match OpenOptions::new().read(true).write(true).open(&self.path) {
            Ok(file) => Ok(Some(self.boxed(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn draft(&self) -> io::Result<Box<dyn StorageBackend>> {
        let draft = self.draft_path();
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(self.boxed(folder::private().read(true).create_new(true).open(draft)?))
    }

    fn publish(&self) -> io::Result<()> {
        fs::rename(self.draft_path(), &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// The file itself. It takes no lock: the data folder has one.
#[derive(Debug)]
pub struct Disk {
    file: File,
    #[cfg(test)]
    faults: Arc<Faults>,
}

/// What a test lets go wrong.
#[cfg(test)]
#[derive(Debug, Default)]
pub struct Faults {
    /// Every write fails.
    pub full: AtomicBool,
    /// So many syncs fail, though everything is there.
    pub syncs: AtomicU64,
}

impl Disk {
    #[cfg(not(test))]
    pub fn of(file: File) -> Self {
        Disk { file }
    }

    #[cfg(test)]
    pub fn of(file: File) -> Self {
        Disk { file, faults: Arc::default() }
    }

    #[cfg(test)]
    pub fn failing(file: File, faults: Arc<Faults>) -> Self {
        Disk { file, faults }
    }

    #[cfg(not(test))]
    fn room(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn room(&self) -> io::Result<()> {
        if self.faults.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.room()?;
        #[cfg(test)]
        if self.faults.syncs.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(io::Error::other("a sync was lost"));
        }
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        self.file.write_all_at(data, offset)
    }
}

/// The file as it would be: what is written stays in memory and is forgotten.
#[derive(Debug)]
pub struct Rehearsal {
    file: Box<dyn StorageBackend>,
    file_len: u64,
    changed: Mutex<Changed>,
}

#[derive(Debug)]
struct Changed {
    len: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
}

const PAGE: usize = 4096;

impl Rehearsal {
    pub fn new(file: Box<dyn StorageBackend>) -> io::Result<Self> {
        let file_len = file.len()?;
        Ok(Rehearsal { file, file_len, changed: Mutex::new(Changed { len: file_len, pages: BTreeMap::new() }) })
    }

    fn changed(&self) -> io::Result<std::sync::MutexGuard<'_, Changed>> {
        self.changed.lock().map_err(|_| io::Error::other("the rehearsal broke off"))
    }

    /// What the file itself holds at `offset`; zeros behind its end.
    fn original(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = self.file_len.saturating_sub(offset).min(out.len() as u64) as usize;
        self.file.read(offset, &mut out[..there])?;
        out[there..].fill(0);
        Ok(())
    }
}

/// The pages that `len` bytes at `offset` touch: page, offset in it, range of the bytes.
fn pages(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let inside = (at % PAGE as u64) as usize;
        let piece = (PAGE - inside).min(len - done);
        let range = done..done + piece;
        done += piece;
        Some((at / PAGE as u64, inside, range))
    })
}

impl StorageBackend for Rehearsal {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changed()?.len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changed = self.changed()?;
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > changed.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.original(offset, out)?;
        for (page, inside, range) in pages(offset, out.len()) {
            if let Some(bytes) = changed.pages.get(&page) {
                let piece = range.len();
                out[range].copy_from_slice(&bytes[inside..inside + piece]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.changed()?.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changed = self.changed()?;
        for (page, inside, range) in pages(offset, data.len()) {
            let bytes = match changed.pages.entry(page) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    let mut bytes = vec![0; PAGE].into_boxed_slice();
                    self.original(page * PAGE as u64, &mut bytes)?;
                    entry.insert(bytes)
                }
            };
            bytes[inside..inside + range.len()].copy_from_slice(&data[range]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rehearsal_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let original: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &original).unwrap();
        let rehearsal = Rehearsal::new(Box::new(Disk::of(File::open(&path).unwrap()))).unwrap();
        rehearsal.write(4090, &[7; 20]).unwrap();
        rehearsal.set_len(20_000).unwrap();
        rehearsal.write(15_000, &[9; 5000]).unwrap();
        let mut expected = original.clone();
        expected[4090..4110].fill(7);
        expected.resize(15_000, 0);
        expected.resize(20_000, 9);
        let mut read = vec![0; 20_000];
        rehearsal.read(0, &mut read).unwrap();
        assert_eq!(read, expected);
        let mut part = vec![0; 30];
        rehearsal.read(4085, &mut part).unwrap();
        assert_eq!(part, expected[4085..4115]);
        assert!(rehearsal.read(19_999, &mut [0; 2]).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), original);
    }
}
