//! The letters' files: appending within the cap, reading, taking away.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::warn;

use super::super::error::StateError;
use super::super::folder;
use super::super::rights;
use super::{DeadLetter, line};

const LOCK_FILE: &str = ".lock";
const SUFFIX: &str = ".ndjson";

/// The dead letters of all sources. Calls block.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    folder: PathBuf,
    /// What all files together may take, in bytes.
    max_bytes: u64,
    /// Bytes that a test's disk still takes.
    #[cfg(test)]
    room: Arc<AtomicU64>,
}

/// What is found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // One at a time, and nearly always the large one.
pub enum Found {
    Letter(DeadLetter),
    /// So many bytes at this place are no letter: they were changed after they had been written, or a crash tore them.
    Damaged {
        file: PathBuf,
        offset: u64,
        bytes: u64,
    },
}

/// Why letters cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    State(#[from] StateError),
    /// Whoever looks at them has failed.
    #[error(transparent)]
    Visit(io::Error),
}

/// What was taken away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    pub letters: u64,
    /// Bytes of disk that are free now.
    pub bytes: u64,
}

impl DeadLetters {
    /// Those in `data_dir`, up to `max_bytes` together. Nothing is made before there is something to keep.
    pub fn new(data_dir: &Path, max_bytes: u64) -> Self {
        DeadLetters {
            folder: data_dir.join(folder::DEAD_LETTERS),
            max_bytes,
            #[cfg(test)]
            room: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }

    /// Whether `data_dir` holds any, or a store beside which there are none.
    ///
    /// # Errors
    /// When this user may not see it, or it holds neither.
    pub fn must_exist(&self) -> Result<(), StateError> {
        if rights::exists(&self.folder)? {
            return Ok(());
        }
        let store = self.folder.with_file_name(folder::STATE_FILE);
        if rights::exists(&store)? { Ok(()) } else { Err(StateError::Missing { path: store }) }
    }

    /// The file of `source`, whose id is a plain name.
    pub fn path(&self, source: &str) -> PathBuf {
        self.folder.join(format!("{source}{SUFFIX}"))
    }

    /// Adds letters of `source`. They are on disk when this returns; after an error none of them is there.
    ///
    /// # Errors
    /// Those of the disk; and when the cap is reached, except for the first letters of all.
    pub fn append(&self, source: &str, letters: &[DeadLetter]) -> Result<(), StateError> {
        if letters.is_empty() {
            return Ok(());
        }
        let path = self.path(source);
        let mut lines = Vec::new();
        for (number, letter) in letters.iter().enumerate() {
            let named = letter.clone().named(number);
            lines.extend(line::encode(&named).map_err(|error| StateError::io(&path, &error))?);
        }
        self.append_lines(&path, &lines).map_err(|error| match error {
            Refusal::Disk(error) => StateError::io(&path, &error),
            Refusal::Cap(bytes) => {
                StateError::DeadLettersFull { path: self.folder.clone(), bytes, limit: self.max_bytes }
            }
        })
    }

    fn append_lines(&self, path: &Path, lines: &[u8]) -> Result<(), Refusal> {
        let _lock = self.lock()?;
        let total = self.bytes()?;
        if total > 0 && total + lines.len() as u64 > self.max_bytes {
            return Err(Refusal::Cap(total));
        }
        let made = !path.exists();
        let mut file = folder::private().read(true).append(true).create(true).open(path)?;
        if made {
            File::open(&self.folder)?.sync_all()?;
        } else {
            folder::tighten_file(path);
        }
        let cut = cut_torn_line(&mut file)?;
        if cut > 0 {
            warn!(path = %path.display(), bytes = cut, "the last dead letter was torn by a crash and is cut off; its record comes again");
        }
        let before = file.metadata()?.len();
        if let Err(error) = self.write(&mut file, lines).and_then(|()| file.sync_data()) {
            // A piece of a line would spoil the next one. If this fails too, the next append does it.
            let _ = file.set_len(before).and_then(|()| file.sync_data());
            return Err(error.into());
        }
        Ok(())
    }

    #[cfg(not(test))]
    fn write(&self, file: &mut File, lines: &[u8]) -> io::Result<()> {
        file.write_all(lines)
    }

    #[cfg(test)]
    fn write(&self, file: &mut File, lines: &[u8]) -> io::Result<()> {
        let room = self.room.load(Ordering::SeqCst);
        if room < lines.len() as u64 {
            file.write_all(&lines[..room as usize])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write_all(lines)
    }

    /// Shows each letter of `source`, or of all sources, in the order in which they were kept, and each damaged place.
    ///
    /// # Errors
    /// Those of reading, and of `visit`.
    pub fn read(&self, source: Option<&str>, mut visit: impl FnMut(Found) -> io::Result<()>) -> Result<(), ReadError> {
        let wrong = |path: &Path, error: &io::Error| ReadError::State(StateError::reading(path, error));
        for path in self.files(source).map_err(|error| wrong(&self.folder, &error))? {
            let mut refused = None;
            let mut show = |found, _: &[u8]| visit(found).map_err(|error| refused.insert(error).kind().into());
            let read = read_file(&path, 0, &mut show).and_then(|torn| match torn {
                // A host may have been in the middle of it; under the lock nobody is.
                Some(Found::Damaged { offset, .. }) if let Ok(_lock) = self.existing_lock() => {
                    read_file(&path, offset, &mut show)
                }
                torn => Ok(torn),
            });
            match (refused, read) {
                (Some(error), _) => return Err(ReadError::Visit(error)),
                (None, Err(error)) => return Err(wrong(&path, &error)),
                (None, Ok(torn)) => torn.map_or(Ok(()), &mut visit).map_err(ReadError::Visit)?,
            }
        }
        Ok(())
    }

    /// Takes away what `goes` says, of `source` or of all. The others stay, and so does what is damaged.
    ///
    /// # Errors
    /// Those of the disk; then each file is as it was, or as it should be.
    pub fn take(&self, source: Option<&str>, mut goes: impl FnMut(&DeadLetter) -> bool) -> Result<Taken, StateError> {
        self.rewrite(source, |letter| if goes(&letter) { None } else { Some(letter) })
    }

    /// Gives all letters of the source `old` to `new`.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn rename(&self, old: &str, new: &str) -> Result<(), StateError> {
        let (from, to) = (self.path(old), self.path(new));
        if !from.exists() {
            return Ok(());
        }
        let renamed = |letter: DeadLetter| Some(DeadLetter { source: new.to_owned(), ..letter });
        self.rewrite(Some(old), renamed)?;
        fs::rename(&from, &to).map_err(|error| StateError::io(&to, &error))
    }

    fn rewrite(
        &self,
        source: Option<&str>,
        mut change: impl FnMut(DeadLetter) -> Option<DeadLetter>,
    ) -> Result<Taken, StateError> {
        let mut taken = Taken::default();
        for path in self.files(source).map_err(|error| StateError::io(&self.folder, &error))? {
            self.rewrite_file(&path, &mut change, &mut taken).map_err(|error| StateError::io(&path, &error))?;
        }
        Ok(taken)
    }

    fn rewrite_file(
        &self,
        path: &Path,
        change: &mut impl FnMut(DeadLetter) -> Option<DeadLetter>,
        taken: &mut Taken,
    ) -> io::Result<()> {
        let _lock = self.lock()?;
        let before = fs::metadata(path)?.len();
        let draft = path.with_extension("ndjson.new");
        let mut file = io::BufWriter::new(folder::private().truncate(true).create(true).open(&draft)?);
        let (mut letters, mut left) = (0, false);
        let torn = read_file(path, 0, &mut |found, bytes| {
            match found {
                Found::Letter(letter) => match change(letter) {
                    Some(letter) => {
                        left = true;
                        file.write_all(&line::encode(&letter)?)?;
                    }
                    None => letters += 1,
                },
                // What nobody can read is nobody's to throw away.
                Found::Damaged { .. } => {
                    left = true;
                    file.write_all(bytes)?;
                    file.write_all(b"\n")?;
                }
            }
            Ok(())
        })?;
        drop(torn);
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        let after = file.metadata()?.len();
        if left {
            fs::rename(&draft, path)?;
        } else {
            fs::remove_file(path)?;
            fs::remove_file(&draft)?;
        }
        File::open(&self.folder)?.sync_all()?;
        taken.letters += letters;
        taken.bytes += before.saturating_sub(after);
        Ok(())
    }

    /// What all files may take, in bytes.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// What all files take now.
    ///
    /// # Errors
    /// Those of reading the folder.
    pub fn bytes(&self) -> io::Result<u64> {
        self.files(None)?.iter().map(|path| Ok(fs::metadata(path)?.len())).sum()
    }

    fn files(&self, source: Option<&str>) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let wanted = source.map(|source| self.path(source));
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let named = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(SUFFIX));
            if named && wanted.as_ref().is_none_or(|wanted| *wanted == path) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Held while a file is looked at: nothing is made for that.
    fn existing_lock(&self) -> io::Result<File> {
        let lock = File::open(self.folder.join(LOCK_FILE))?;
        lock.lock_shared()?;
        Ok(lock)
    }

    /// Held while a file is changed.
    fn lock(&self) -> io::Result<File> {
        folder::create(&self.folder)?;
        let lock = folder::private().create(true).truncate(false).open(self.folder.join(LOCK_FILE))?;
        lock.lock()?;
        Ok(lock)
    }
}

enum Refusal {
    Disk(io::Error),
    Cap(u64),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Refusal::Disk(error)
    }
}

/// Shows what is in a file from `offset` on, with the bytes that are no letter. What follows the last line feed is given back: a host may be writing it.
fn read_file(
    path: &Path,
    mut offset: u64,
    visit: &mut dyn FnMut(Found, &[u8]) -> io::Result<()>,
) -> io::Result<Option<Found>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let (mut reader, mut bytes) = (BufReader::new(file), Vec::new());
    loop {
        bytes.clear();
        let read = reader.read_until(b'\n', &mut bytes)? as u64;
        if read == 0 {
            return Ok(None);
        }
        let damaged = Found::Damaged { file: path.to_path_buf(), offset, bytes: read };
        if bytes.pop_if(|byte| *byte == b'\n').is_none() {
            return Ok(Some(damaged));
        }
        offset += read;
        if let Some(letter) = line::decode(&bytes) {
            visit(Found::Letter(letter), &[])?;
            continue;
        }
        let (saved, rest) = line::rescue(&bytes);
        for letter in saved {
            visit(Found::Letter(letter), &[])?;
        }
        visit(damaged, &rest)?;
    }
}

/// Cuts off what follows the last line feed; returns its length.
fn cut_torn_line(file: &mut File) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let mut end = len;
    let mut piece = vec![0; 64 * 1024];
    while end > 0 {
        let begin = end.saturating_sub(piece.len() as u64);
        let bytes = &mut piece[..(end - begin) as usize];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(bytes)?;
        if let Some(at) = bytes.iter().rposition(|byte| *byte == b'\n') {
            end = begin + at as u64 + 1;
            break;
        }
        end = begin;
    }
    if end < len {
        file.set_len(end)?;
        file.sync_all()?;
    }
    Ok(len - end)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
