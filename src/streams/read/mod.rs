//! Bytes to records: decompression and splitting, piece by piece, so that memory is bounded whatever the vendor sends.

pub mod inflate;
pub mod lines;
pub mod ndjson;
pub mod objects;
pub mod records;
pub mod stix;
pub mod zip;

use crate::effects::TransportError;

/// A record longer than this is not parsed: it becomes malformed, with its head and size.
pub const RECORD_LIMIT: usize = 1 << 20;

/// What a splitter cut off.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    Record(&'a [u8]),
    /// Longer than [`RECORD_LIMIT`]: its first bytes and its whole size.
    TooLong {
        head: &'a [u8],
        size: u64,
    },
}

/// Bytes that arrive in pieces.
pub trait Pieces {
    /// Appends the next bytes, about 64 KiB of them. `false` at the end, with nothing appended.
    ///
    /// # Errors
    /// What was good before the trouble may have been appended as well.
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, ReadError>;
}

/// Why a body could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// The connection broke off.
    Transport(TransportError),
    /// The data end before they should.
    Truncated,
    /// The data are damaged.
    Corrupt(&'static str),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Transport(error) => write!(f, "the connection broke off ({})", error.code),
            ReadError::Truncated => f.write_str("the data end too early"),
            ReadError::Corrupt(what) => write!(f, "the data are damaged ({what})"),
        }
    }
}

/// An HTTP body as pieces.
pub struct BodyPieces(pub Box<dyn crate::effects::Body>);

impl Pieces for BodyPieces {
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        match self.0.next().map_err(ReadError::Transport)? {
            Some(piece) => {
                if out.is_empty() {
                    *out = piece;
                } else {
                    out.extend_from_slice(&piece);
                }
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

/// A body whose first bytes were already read.
pub struct Begun {
    pub begin: Vec<u8>,
    pub rest: BodyPieces,
}

impl Pieces for Begun {
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        if self.begin.is_empty() {
            return self.rest.fill(out);
        }
        out.append(&mut self.begin);
        Ok(true)
    }
}

#[cfg(test)]
pub mod testing {
    use super::*;

    /// Pieces of a given size, and how they end.
    pub struct Scripted {
        pub bytes: Vec<u8>,
        pub at: usize,
        pub piece: usize,
        pub end: Option<ReadError>,
    }

    impl Scripted {
        pub fn new(bytes: impl Into<Vec<u8>>, piece: usize) -> Box<Self> {
            Box::new(Self { bytes: bytes.into(), at: 0, piece, end: None })
        }
    }

    impl Pieces for Scripted {
        fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, ReadError> {
            let end = self.bytes.len().min(self.at + self.piece);
            out.extend_from_slice(&self.bytes[self.at..end]);
            let more = end > self.at;
            self.at = end;
            match &self.end {
                Some(error) if !more => Err(error.clone()),
                _ => Ok(more),
            }
        }
    }
}
