//! What a crash left: unfinished files, whose end may be torn. What is whole is kept, also what was synced and whose position
//! was not stored any more: that comes again, and stands there twice. Nobody tells a sink how far positions are.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use flate2::bufread::GzDecoder;
use tracing::warn;

use super::blocked::at;
use super::part::{self, SUFFIX};

/// Finishes every unfinished file under `folder`. Returns how many there were.
pub fn recover(folder: &Path) -> io::Result<usize> {
    let mut found = 0;
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        // Links are not followed: they could lead out of the folder.
        let kind = entry.file_type()?;
        let path = entry.path();
        if kind.is_dir() {
            found += recover(&path)?;
        } else if kind.is_file() && path.to_string_lossy().ends_with(SUFFIX) {
            finish(&path).map_err(at(&path))?;
            found += 1;
        }
    }
    Ok(found)
}

fn finish(path: &Path) -> io::Result<()> {
    let end = whole(path)?;
    let file = fs::OpenOptions::new().write(true).open(path)?;
    let len = file.metadata()?.len();
    if end < len {
        let bytes = len - end;
        warn!(path = %path.display(), bytes, "cut off the torn end of a file; it was not acknowledged");
        file.set_len(end)?;
    }
    file.sync_all()?;
    part::finish(path, end).map(drop)
}

/// How much of the file is whole, in bytes.
fn whole(path: &Path) -> io::Result<u64> {
    let name = path.to_string_lossy();
    let name = name.trim_end_matches(SUFFIX);
    let file = BufReader::with_capacity(256 * 1024, File::open(path)?);
    if name.ends_with(".gz") {
        whole_pieces(file, |reader| io::copy(&mut GzDecoder::new(reader), &mut io::sink()))
    } else if name.ends_with(".zst") {
        whole_pieces(file, |reader| {
            let mut decoder = zstd::Decoder::with_buffer(reader)?.single_frame();
            io::copy(&mut decoder, &mut io::sink())
        })
    } else {
        whole_lines(file)
    }
}

/// Up to the last line feed before anything that was never written: a crash may leave zeros, and JSON has none.
fn whole_lines(mut reader: impl BufRead) -> io::Result<u64> {
    let mut at = 0;
    let mut end = 0;
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(end);
        }
        let written = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        if let Some(feed) = bytes[..written].iter().rposition(|byte| *byte == b'\n') {
            end = at + feed as u64 + 1;
        }
        if written < bytes.len() {
            return Ok(end);
        }
        at += written as u64;
        reader.consume(written);
    }
}

/// Up to the last gzip member or zstd frame that can be read to its end.
fn whole_pieces<R: Read + Seek>(
    mut reader: BufReader<R>,
    mut read_one: impl FnMut(&mut BufReader<R>) -> io::Result<u64>,
) -> io::Result<u64> {
    let mut end = 0;
    while !reader.fill_buf()?.is_empty() {
        if read_one(&mut reader).is_err() {
            break;
        }
        let at = reader.stream_position()?;
        if at == end {
            break;
        }
        end = at;
    }
    Ok(end)
}
