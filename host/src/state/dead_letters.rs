//! Records that could not be read, kept as lines of JSON in `<data_dir>/dead-letters/<source>.ndjson`.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use tracing::warn;

use super::folder;

/// One record, or a larger piece, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// When it was read, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub source: String,
    pub stream: String,
    pub reason: String,
    /// Its whole size in bytes, where that is known.
    pub size: Option<u64>,
    /// Its first bytes.
    pub head: Vec<u8>,
}

impl Serialize for DeadLetter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = i64::try_from(self.at_ms).ok().and_then(DateTime::<Utc>::from_timestamp_millis).unwrap_or_default();
        let (encoding, head) = match str::from_utf8(&self.head) {
            Ok(text) => ("utf-8", text.to_owned()),
            Err(_) => ("base64", base64::engine::general_purpose::STANDARD.encode(&self.head)),
        };
        let line = Line {
            time: time.to_rfc3339_opts(SecondsFormat::Millis, true),
            source: &self.source,
            stream: &self.stream,
            reason: &self.reason,
            size: self.size,
            encoding,
            head,
            truncated: self.size.is_some_and(|size| size > self.head.len() as u64),
        };
        line.serialize(serializer)
    }
}

/// How a letter is written.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    source: &'a str,
    stream: &'a str,
    reason: &'a str,
    size: Option<u64>,
    encoding: &'static str,
    head: String,
    truncated: bool,
}

/// The dead letters of one source. Calls block.
#[derive(Debug)]
pub struct DeadLetters {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

impl DeadLetters {
    /// Those of `source`, whose id is a plain name. A last line that a crash tore is cut off. The file is made when
    /// there is something to keep.
    pub fn open(data_dir: &Path, source: &str) -> io::Result<DeadLetters> {
        let path = data_dir.join("dead-letters").join(format!("{source}.ndjson"));
        let there = match fs::metadata(&path) {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        let letters = DeadLetters { path, file: Mutex::new(None) };
        if there {
            folder::tighten_file(&letters.path);
            letters.open_file()?;
        }
        Ok(letters)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds `letters`. They are on disk when this returns; after an error none of them is there.
    pub fn append(&self, letters: &[DeadLetter]) -> io::Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for letter in letters {
            serde_json::to_writer(&mut lines, letter)?;
            lines.push(b'\n');
        }
        let mut held = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match held.take() {
            // Somebody may have taken the file away, to look at what is in it.
            Some(file) if file.metadata()?.nlink() > 0 => file,
            _ => self.open_file()?,
        };
        let before = file.metadata()?.len();
        if let Err(error) = file.write_all(&lines).and_then(|()| file.sync_data()) {
            // A piece of a line would spoil the next one. If this fails too, opening it again does it.
            if file.set_len(before).is_ok() {
                *held = Some(file);
            }
            return Err(error);
        }
        *held = Some(file);
        Ok(())
    }

    /// Opens the file, or makes it, and cuts a torn line off.
    fn open_file(&self) -> io::Result<File> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        folder::create(folder)?;
        let mut file = folder::private().read(true).append(true).create(true).open(&self.path)?;
        File::open(folder)?.sync_all()?;
        let cut = cut_torn_line(&mut file)?;
        if cut > 0 {
            warn!(path = %self.path.display(), bytes = cut, "the last dead letter was torn by a crash and is cut off");
        }
        Ok(file)
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
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::os::unix::fs::PermissionsExt;

    fn letter(head: &[u8], size: Option<u64>) -> DeadLetter {
        DeadLetter {
            at_ms: 1_795_000_000_123,
            source: "acme".into(),
            stream: "siem/receipt".into(),
            reason: "not JSON".into(),
            size,
            head: head.to_vec(),
        }
    }

    fn lines(path: &Path) -> Vec<Value> {
        fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn one_line_each() {
        let folder = tempfile::tempdir().unwrap();
        let letters = DeadLetters::open(folder.path(), "acme").unwrap();
        letters.append(&[]).unwrap();
        assert!(!letters.path().exists());
        letters.append(&[letter(b"{\"a\":\n\"\xc3\xa9", Some(9)), letter(b"\xff\xfe", Some(500))]).unwrap();
        letters.append(&[letter(b"x", None)]).unwrap();
        let lines = lines(letters.path());
        assert_eq!(
            lines[0],
            json!({
                "time": "2026-11-18T11:06:40.123Z", "source": "acme", "stream": "siem/receipt", "reason": "not JSON",
                "size": 9, "encoding": "utf-8", "head": "{\"a\":\n\"é", "truncated": false
            })
        );
        assert_eq!((&lines[1]["encoding"], &lines[1]["head"]), (&json!("base64"), &json!("//4=")));
        assert_eq!(lines[1]["truncated"], json!(true));
        assert_eq!((&lines[2]["size"], lines.len()), (&Value::Null, 3));
        assert_eq!(fs::metadata(letters.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_was_taken_away_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let letters = DeadLetters::open(folder.path(), "acme").unwrap();
        letters.append(&[letter(b"first", None)]).unwrap();
        fs::remove_file(letters.path()).unwrap();
        letters.append(&[letter(b"second", None)]).unwrap();
        letters.append(&[letter(b"third", None)]).unwrap();
        let heads: Vec<Value> = lines(letters.path()).into_iter().map(|mut line| line["head"].take()).collect();
        assert_eq!(heads, [json!("second"), json!("third")]);
    }

    #[test]
    fn a_torn_line_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let letters = DeadLetters::open(folder.path(), "acme").unwrap();
        letters.append(&[letter(b"first", None), letter(&[b'x'; 200_000], None)]).unwrap();
        let whole = fs::read(letters.path()).unwrap();
        fs::write(letters.path(), &whole[..whole.len() - 1]).unwrap();
        let letters = DeadLetters::open(folder.path(), "acme").unwrap();
        letters.append(&[letter(b"third", None)]).unwrap();
        let heads: Vec<Value> = lines(letters.path()).into_iter().map(|mut line| line["head"].take()).collect();
        assert_eq!(heads, [json!("first"), json!("third")]);
        // What is whole stays.
        let before = fs::read(letters.path()).unwrap();
        DeadLetters::open(folder.path(), "acme").unwrap();
        assert_eq!(fs::read(letters.path()).unwrap(), before);
    }
}
