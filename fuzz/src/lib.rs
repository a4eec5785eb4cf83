//! What the fuzz targets share: an outside that answers what it is told to, a judge of chunks, and a reading of JSON that keeps
//! names that come twice.
#![forbid(unsafe_code)]

pub mod chunks;
pub mod drain;
pub mod forms;
pub mod json;
pub mod outside;
pub mod positions;

use mimecast_source::streams::read::lines::Lines;
use mimecast_source::streams::read::ndjson::NdJson;
use mimecast_source::streams::read::{Cut, Pieces, ReadError};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Runs something and tells how many bytes it had allocated at most, beyond those before it.
pub fn peak<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let result = run();
    (result, ALLOCATOR.peak_usage().saturating_sub(before))
}

/// Bytes in pieces of one size.
pub struct Sliced {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
}

impl Sliced {
    pub fn new(bytes: &[u8], piece: usize) -> Box<Self> {
        Box::new(Self { bytes: bytes.to_vec(), at: 0, piece: piece.max(1) })
    }
}

impl Pieces for Sliced {
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        let end = self.bytes.len().min(self.at + self.piece);
        out.extend_from_slice(&self.bytes[self.at..end]);
        let more = end > self.at;
        self.at = end;
        Ok(more)
    }
}

/// The sizes of pieces in which the same bytes must be read to the same end.
pub fn piece_sizes(length: usize) -> [usize; 4] {
    [length.max(1), 1, 7, length / 2 + 1]
}

/// What cuts a text that comes in pieces into records.
pub trait Cutter {
    fn room(&mut self) -> &mut Vec<u8>;
    fn cut(&mut self) -> Option<Cut<'_>>;
    fn finish(&mut self);
}

impl Cutter for Lines {
    fn room(&mut self) -> &mut Vec<u8> {
        self.room()
    }

    fn cut(&mut self) -> Option<Cut<'_>> {
        self.cut()
    }

    fn finish(&mut self) {
        self.finish();
    }
}

impl Cutter for NdJson {
    fn room(&mut self) -> &mut Vec<u8> {
        self.room()
    }

    fn cut(&mut self) -> Option<Cut<'_>> {
        self.cut()
    }

    fn finish(&mut self) {
        self.finish();
    }
}

/// The records of a text that comes in pieces of one size.
pub fn cut(mut cutter: impl Cutter, text: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    let mut take = |cutter: &mut dyn Cutter| {
        while let Some(cut) = cutter.cut() {
            match cut {
                Cut::Record(bytes) => seen.push(bytes.to_vec()),
                Cut::TooLong { .. } => panic!("a line of {} bytes is too long", text.len()),
            }
        }
    };
    for piece in text.chunks(piece) {
        cutter.room().extend_from_slice(piece);
        take(&mut cutter);
    }
    cutter.finish();
    take(&mut cutter);
    seen
}
