//! Batches to the bytes of one delivery, copied only where they are compressed.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::write::GzEncoder;

use super::copied;
use crate::config::Compression;
use crate::deliver::Batch;

/// What follows `.ndjson`.
pub fn extension(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "",
        Compression::Gzip => ".gz",
        Compression::Zstd => ".zst",
    }
}

/// One delivery: plain lines as they lie in the chunks, a gzip member, or a zstd frame with its checksum.
///
/// # Errors
/// Never, but for a fault of the library that compresses.
pub fn encode(compression: Compression, batches: &[Arc<Batch>]) -> io::Result<Vec<Bytes>> {
    let size: usize = batches.iter().map(|batch| batch.len()).sum();
    let packed = match compression {
        Compression::None => return Ok(batches.iter().flat_map(|batch| batch.pieces()).collect()),
        Compression::Gzip => {
            write(GzEncoder::new(Vec::with_capacity(size / 4), flate2::Compression::default()), batches)?.finish()?
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(Vec::with_capacity(size / 4), zstd::DEFAULT_COMPRESSION_LEVEL)?;
            encoder.include_checksum(true)?;
            encoder.set_pledged_src_size(Some(size as u64))?;
            write(encoder, batches)?.finish()?
        }
    };
    copied::count(packed.len());
    Ok(vec![packed.into()])
}

fn write<W: Write>(mut writer: W, batches: &[Arc<Batch>]) -> io::Result<W> {
    for slice in batches.iter().flat_map(|batch| batch.slices()) {
        writer.write_all(slice)?;
    }
    Ok(writer)
}
