//! A disk in memory, for the store: what was synced is apart from what was only written.
//!
//! A crash keeps any of the unsynced sectors, each for itself, so a write can be torn at every sector's boundary; and the
//! old or the new length. A sync can fail, and then what it should have made durable is either still to be written or was
//! taken back in part; what a reader sees stays true to the platter afterwards. (Not modelled: a kernel that reports a
//! failed sync once and then shows pages as clean that never reached the disk. No store survives that.) While the disk is
//! full, every write fails.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tributary_host::state::{Place, StorageBackend};

use crate::dice::Dice;
use crate::life::Life;
use crate::trace::Trace;

const SECTOR: usize = 512;

/// The disk. It outlives every process.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<Platter>>);

#[derive(Default)]
struct Platter {
    file: Option<Image>,
    draft: Option<Image>,
}

#[derive(Default)]
struct Image {
    durable: Vec<u8>,
    current: Vec<u8>,
    /// Sectors that were written since the last sync.
    dirty: BTreeSet<usize>,
}

/// What goes wrong with the disk in one life.
#[derive(Debug, Clone, Default)]
pub struct DiskFaults {
    /// The disk is full between these moments after the start of the life.
    pub full: Option<(std::time::Duration, std::time::Duration)>,
    /// Of a thousand syncs, so many fail.
    pub failing_syncs: u64,
}

/// The disk as one process sees it.
pub struct Mounted {
    disk: Disk,
    life: Life,
    dice: Dice,
    faults: DiskFaults,
    since: Instant,
    trace: Arc<Trace>,
    /// No more faults.
    quiet: Arc<AtomicBool>,
    /// Whether a commit is under way; otherwise the store is being opened.
    pub committing: AtomicBool,
}

impl Disk {
    pub fn new() -> Self {
        Self(Arc::default())
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a crash leaves.
    pub fn crash(&self, dice: &Dice) {
        let mut platter = self.platter();
        let Platter { file, draft } = &mut *platter;
        for image in [file, draft].into_iter().flatten() {
            image.lose(dice);
        }
    }
}

impl Image {
    fn sync(&mut self) {
        self.durable.resize(self.current.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.keep(sector);
        }
    }

    fn keep(&mut self, sector: usize) {
        let begin = sector * SECTOR;
        let end = (begin + SECTOR).min(self.current.len()).min(self.durable.len());
        if begin < end {
            self.durable[begin..end].copy_from_slice(&self.current[begin..end]);
        }
    }

    /// Any of the unsynced sectors stay, and the old or the new length.
    fn lose(&mut self, dice: &Dice) {
        if dice.chance(500) {
            self.durable.resize(self.current.len(), 0);
        }
        let kept = *dice.pick(&[0, 100, 500, 900, 1000]);
        for sector in std::mem::take(&mut self.dirty) {
            if dice.chance(kept) {
                self.keep(sector);
            }
        }
        self.current.clone_from(&self.durable);
    }
}

impl Mounted {
    pub fn new(
        disk: Disk,
        life: Life,
        dice: Dice,
        faults: DiskFaults,
        trace: Arc<Trace>,
        quiet: Arc<AtomicBool>,
    ) -> Arc<Self> {
        let committing = AtomicBool::new(false);
        Arc::new(Self { disk, life, dice, faults, since: Instant::now(), trace, quiet, committing })
    }

    /// Whether nothing can be written now.
    pub fn is_full(&self) -> bool {
        !self.is_quiet() && self.faults.full.is_some_and(|(begin, end)| (begin..end).contains(&self.since.elapsed()))
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// Fails as a process does whose end has come: nobody sees the error.
    pub fn alive(&self) -> io::Result<()> {
        if self.life.is_over() { Err(dead()) } else { Ok(()) }
    }

    fn room(&self) -> io::Result<()> {
        self.alive()?;
        if self.is_full() {
            self.trace.fault("disk: full");
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn points(&self) -> (&'static str, &'static str) {
        if self.committing.load(Ordering::Relaxed) {
            ("commit.sync", "commit.synced")
        } else {
            ("open-store.sync", "open-store.synced")
        }
    }
}

pub fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

/// How the store reaches the disk.
#[derive(Clone)]
pub struct Mount(pub Arc<Mounted>);

impl std::fmt::Debug for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mount")
    }
}

impl Place for Mount {
    fn open(&self) -> io::Result<Option<Box<dyn StorageBackend>>> {
        self.0.alive()?;
        let there = self.0.disk.platter().file.is_some();
        Ok(there.then(|| Box::new(Handle { mount: self.clone(), draft: false }) as Box<dyn StorageBackend>))
    }

    fn draft(&self) -> io::Result<Box<dyn StorageBackend>> {
        self.0.room()?;
        self.0.disk.platter().draft = Some(Image::default());
        Ok(Box::new(Handle { mount: self.clone(), draft: true }))
    }

    fn publish(&self) -> io::Result<()> {
        self.0.room()?;
        let mut platter = self.0.disk.platter();
        platter.file = platter.draft.take();
        Ok(())
    }
}

#[derive(Debug)]
struct Handle {
    mount: Mount,
    draft: bool,
}

impl Handle {
    fn with<T>(&self, act: impl FnOnce(&mut Image) -> io::Result<T>) -> io::Result<T> {
        self.mount.0.alive()?;
        let mut platter = self.mount.0.disk.platter();
        let image = if self.draft { &mut platter.draft } else { &mut platter.file };
        act(image.as_mut().ok_or(io::ErrorKind::NotFound)?)
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        self.with(|image| Ok(image.current.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|image| {
            let begin = offset as usize;
            let there = image.current.get(begin..begin + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(there);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.mount.0.room()?;
        self.with(|image| {
            image.current.resize(len as usize, 0);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mounted = &self.mount.0;
        let (before, after) = mounted.points();
        if mounted.life.strikes(before) {
            return Err(dead());
        }
        if !mounted.is_quiet() && mounted.dice.chance(mounted.faults.failing_syncs) {
            mounted.trace.fault("disk: sync failed");
            return self.with(|image| {
                if mounted.dice.chance(500) {
                    image.lose(&mounted.dice);
                }
                Err(io::Error::other("a sync failed"))
            });
        }
        self.with(|image| {
            image.sync();
            Ok(())
        })?;
        if mounted.life.strikes(after) { Err(dead()) } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.mount.0.room()?;
        self.with(|image| {
            let (begin, end) = (offset as usize, offset as usize + data.len());
            let target = image.current.get_mut(begin..end).ok_or(io::ErrorKind::UnexpectedEof)?;
            target.copy_from_slice(data);
            image.dirty.extend(begin / SECTOR..end.div_ceil(SECTOR));
            Ok(())
        })
    }
}
