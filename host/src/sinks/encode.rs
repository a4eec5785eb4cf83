//! Batches to the bytes of one delivery.

use std::io::{self, Write};
use std::sync::Arc;

use flate2::write::GzEncoder;

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

/// One whole piece: plain lines, a gzip member or a zstd frame with its checksum.
pub fn encode(compression: Compression, batches: &[Arc<Batch>]) -> io::Result<Vec<u8>> {
    let size: usize = batches.iter().map(|batch| batch.len()).sum();
    match compression {
        Compression::None => write(Vec::with_capacity(size), batches),
        Compression::Gzip => {
            write(GzEncoder::new(Vec::with_capacity(size / 4), flate2::Compression::default()), batches)?.finish()
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(Vec::with_capacity(size / 4), zstd::DEFAULT_COMPRESSION_LEVEL)?;
            encoder.include_checksum(true)?;
            encoder.set_pledged_src_size(Some(size as u64))?;
            write(encoder, batches)?.finish()
        }
    }
}

fn write<W: Write>(mut writer: W, batches: &[Arc<Batch>]) -> io::Result<W> {
    for batch in batches {
        for slice in batch.slices() {
            writer.write_all(slice)?;
        }
    }
    Ok(writer)
}
