//! Events as NDJSON in files: `<path>/<tenant>/<stream>/<UTC>-<number>.ndjson[.gz|.zst]`, or in folders by a pattern.
//!
//! A file is `*.part` while it grows. Each delivery is synced before it counts as delivered, and with compression it ends
//! a gzip member or zstd frame, so that what is synced can be read. A file that is long or old enough is renamed.

pub(crate) mod blocked;
pub(super) mod name;
mod part;
mod recover;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::time::Instant;
use tracing::{info, warn};

use self::blocked::at;
use self::part::Part;
use super::{DeliverFuture, Sink, SinkError, SinkFuture, blocking, encode};
use crate::config::FileOptions;
use crate::deliver::{Batch, Head};
use crate::state::rights;
use crate::template::alike;

/// Files that are open at a time. Others stay unfinished, and are opened again when something comes for them.
const OPEN_FILES: usize = 256;
const LOCK_FILE: &str = ".tributary.lock";

/// See the module.
pub struct FileSink {
    folder: Arc<Mutex<Folder>>,
}

impl FileSink {
    /// Takes the folder for this process, and finishes what an earlier one left.
    pub fn open(options: FileOptions) -> Result<Self, SinkError> {
        let path = options.path.clone();
        let folder = Folder::open(options).map_err(|error| fault(&path, &error))?;
        Ok(FileSink { folder: Arc::new(Mutex::new(folder)) })
    }

    fn with_folder(
        &self,
        work: impl FnOnce(&mut Folder) -> io::Result<()> + Send + 'static,
    ) -> impl Future<Output = Result<(), SinkError>> + Send + 'static {
        let folder = self.folder.clone();
        blocking(move || {
            let mut folder = folder.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut folder).map_err(|error| fault(&folder.options.path, &error))
        })
    }
}

impl Sink for FileSink {
    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        let batches = batches.to_vec();
        let now = Instant::now();
        let written = self.with_folder(move |folder| folder.deliver(&batches, now));
        // It refuses nothing.
        Box::pin(async { written.await.map(|()| Vec::new()) })
    }

    fn idle(&self) -> SinkFuture<'_> {
        // Most of the time nothing is open, and a thread for that would be waste.
        if self.folder.try_lock().is_ok_and(|folder| folder.parts.is_empty()) {
            return Box::pin(std::future::ready(Ok(())));
        }
        let now = Instant::now();
        Box::pin(self.with_folder(move |folder| {
            folder.rotate(now);
            Ok(())
        }))
    }

    fn close(&self) -> SinkFuture<'_> {
        Box::pin(self.with_folder(Folder::close))
    }
}

/// The folder of a file, below the sink's own.
type Target = PathBuf;

struct Folder {
    options: FileOptions,
    parts: BTreeMap<Target, Part>,
    /// Counts deliveries to a file, to know which was not used for longest.
    clock: u64,
    open_files: usize,
    /// How many bytes may still be written before the disk is full.
    #[cfg(test)]
    room: Option<u64>,
    _lock: File,
}

impl Folder {
    fn open(options: FileOptions) -> io::Result<Self> {
        let path = &options.path;
        part::create_folder(path)?;
        let lock = path.join(LOCK_FILE);
        let lock = part::private().create(true).truncate(false).open(&lock).map_err(at(&lock))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let recovered = recover::recover(path)?;
        if recovered > 0 {
            info!(path = %path.display(), files = recovered, "finished the files that an earlier run left open");
        }
        Ok(Folder {
            options,
            parts: BTreeMap::new(),
            clock: 0,
            open_files: OPEN_FILES,
            #[cfg(test)]
            room: None,
            _lock: lock,
        })
    }

    fn deliver(&mut self, batches: &[Arc<Batch>], now: Instant) -> io::Result<()> {
        let mut targets: BTreeMap<Target, Vec<Arc<Batch>>> = BTreeMap::new();
        for batch in batches.iter().filter(|batch| !batch.is_empty()) {
            for (target, part) in self.sort(batch) {
                targets.entry(target).or_default().push(part);
            }
        }
        let mut touched = Vec::with_capacity(targets.len());
        let written = self.write(&targets, &mut touched, now);
        if let Err(error) = written {
            self.roll_back(touched);
            return Err(error);
        }
        // What is synced is delivered, whether or not its file can be renamed now.
        self.rotate(now);
        Ok(())
    }

    /// The events of `batch` by the folders that they belong in.
    fn sort(&self, batch: &Arc<Batch>) -> Vec<(Target, Arc<Batch>)> {
        let origin = &batch.origin;
        let Some(pattern) = &self.options.pattern else {
            return vec![(name::folder(&origin.tenant, &origin.stream), Arc::clone(batch))];
        };
        if pattern.is_fixed_in_batch() {
            return vec![(name::folders(pattern, origin, &batch.events[0]), Arc::clone(batch))];
        }
        let mut sorted: BTreeMap<Target, Vec<Head>> = BTreeMap::new();
        for run in batch.events.chunk_by(alike) {
            sorted.entry(name::folders(pattern, origin, &run[0])).or_default().extend_from_slice(run);
        }
        sorted.into_iter().map(|(target, events)| (target, Arc::new(batch.with(events)))).collect()
    }

    /// Writes and syncs everything; `touched` says how long each file was before.
    fn write(
        &mut self,
        targets: &BTreeMap<Target, Vec<Arc<Batch>>>,
        touched: &mut Vec<(Target, u64)>,
        now: Instant,
    ) -> io::Result<()> {
        for (target, batches) in targets {
            let pieces = encode::encode(self.options.compression, batches)?;
            self.clock += 1;
            let mut part = match self.parts.remove(target) {
                Some(part) if part.is_gone() => {
                    warn!(path = %part.path().display(), "somebody removed the file that was being written; starting another");
                    self.new_part(target, now)?
                }
                Some(part) => part,
                None => self.new_part(target, now)?,
            };
            part.used = self.clock;
            touched.push((target.clone(), part.len()));
            #[cfg(test)]
            part.limit(&mut self.room);
            let appended = part.append(&pieces);
            #[cfg(test)]
            if let (Ok(()), Some(room)) = (&appended, &mut self.room) {
                *room -= pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
            }
            self.parts.insert(target.clone(), part);
            if let (Err(error), Some(part)) = (appended, self.parts.get(target)) {
                return Err(at(part.path())(error));
            }
            self.shut_some()?;
        }
        for (target, _) in touched.iter() {
            if let Some(part) = self.parts.get_mut(target) {
                part.sync().map_err(at(part.path()))?;
            }
        }
        Ok(())
    }

    fn new_part(&self, target: &Target, now: Instant) -> io::Result<Part> {
        let folder = self.options.path.join(target);
        Part::create(&self.options.path, &folder, SystemTime::now(), encode::extension(self.options.compression), now)
            .map_err(at(&folder))
    }

    /// Cuts off what a failed delivery wrote: its batches come again.
    fn roll_back(&mut self, touched: Vec<(Target, u64)>) {
        for (target, len) in touched {
            let Some(mut part) = self.parts.remove(&target) else { continue };
            match part.truncate(len) {
                Ok(()) => {
                    self.parts.insert(target, part);
                }
                Err(error) => {
                    // It is cut at the next start; until then another file is used.
                    warn!(path = %part.path().display(), %error, "cannot undo a failed write; starting another file");
                }
            }
        }
    }

    /// Keeps the number of open files within its bound.
    fn shut_some(&mut self) -> io::Result<()> {
        let mut open: Vec<(u64, &mut Part)> =
            self.parts.values_mut().filter(|part| part.is_open()).map(|part| (part.used, part)).collect();
        if open.len() <= self.open_files {
            return Ok(());
        }
        open.sort_unstable_by_key(|(used, _)| *used);
        let surplus = open.len() - self.open_files;
        open.into_iter().take(surplus).try_for_each(|(_, part)| part.shut())
    }

    /// Finishes what is long or old enough. What cannot be finished now is tried again later.
    fn rotate(&mut self, now: Instant) {
        let due: Vec<Target> = self
            .parts
            .iter()
            .filter(|(_, part)| {
                part.len() >= self.options.max_bytes || now.duration_since(part.begun) >= self.options.max_age
            })
            .map(|(target, _)| target.clone())
            .collect();
        for target in due {
            if let Some(part) = self.parts.get_mut(&target) {
                match part.finish() {
                    Ok(_) => {
                        self.parts.remove(&target);
                    }
                    Err(error) => warn!(path = %part.path().display(), %error, "cannot finish the file yet"),
                }
            }
        }
    }

    fn close(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for (_, mut part) in std::mem::take(&mut self.parts) {
            if let Err(error) = part.finish() {
                result = Err(at(part.path())(error));
            }
        }
        result
    }
}

/// What an error under the folder `path` means for the operator.
fn fault(path: &Path, error: &io::Error) -> SinkError {
    let (place, error) = blocked::of(error).map_or((path, error), |located| (&*located.path, &located.error));
    let below = if place == path { "under" } else { "to" };
    let text = format!("cannot write {below} {}: {error}", place.display());
    let fault = SinkError::new(match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{text}; {}", rights::ownership(place)),
        _ => text,
    });
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            fault.hint("Make room on that disk; nothing is lost, delivery goes on by itself then")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            fault.hint("Let the user that runs tributary write there, or set the sink's `path` to another folder")
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            fault.hint("A file stands where a folder must be; remove it, or set the sink's `path` to another folder")
        }
        io::ErrorKind::ResourceBusy => SinkError::new(format!("{} is in use by another process", path.display()))
            .hint("Stop it, or set the sink's `path` to another folder"),
        // EMFILE and ENFILE have no kind of their own.
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => {
            fault.hint("Too many files are open; raise LimitNOFILE (ulimit -n)")
        }
        _ => fault,
    }
}

#[cfg(test)]
mod tests;
