//! The body of a request: pieces of chunks as they are, or what was written for this far side.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use flate2::write::GzEncoder;
use hyper::body::{Body, Frame, SizeHint};

use crate::config::Compression;
use crate::deliver::Batch;
use crate::sinks::{SinkError, copied};

/// What a request carries.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    pieces: VecDeque<Bytes>,
    len: u64,
}

/// Shorter pieces are copied together: each costs more on its way than its copy.
const WORTH_A_PIECE: usize = 8 << 10;

impl Payload {
    /// The lines of `batches`, as the source wrote them and where they are.
    pub fn lines(batches: &[Arc<Batch>]) -> Self {
        let (mut payload, mut short, mut joined) = (Self::default(), BytesMut::new(), 0);
        for batch in batches {
            for slice in batch.slices() {
                if slice.len() < WORTH_A_PIECE {
                    joined += slice.len();
                    short.extend_from_slice(slice);
                } else {
                    payload.push(short.split().freeze());
                    payload.push(batch.bodies.slice_ref(slice));
                }
            }
        }
        payload.push(short.freeze());
        copied::count(joined);
        payload
    }

    fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len() as u64;
            self.pieces.push_back(piece);
        }
    }

    /// Compressed, with the name that HTTP has for how.
    ///
    /// # Errors
    /// Never, but for a fault of the library.
    pub async fn compressed(self, how: Compression) -> Result<(Self, Option<&'static str>), SinkError> {
        let name = match how {
            Compression::None => return Ok((self, None)),
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        };
        // Megabytes take milliseconds, in which others wait for this thread.
        let work = tokio::task::spawn_blocking(move || match how {
            Compression::Zstd => self.write_to(zstd::Encoder::new(Vec::new(), 3)?, zstd::Encoder::finish),
            _ => self.write_to(GzEncoder::new(Vec::new(), flate2::Compression::new(6)), GzEncoder::finish),
        });
        let bytes = work.await.map_err(std::io::Error::other).flatten();
        let bytes = bytes.map_err(|error| SinkError::new(format!("it could not be compressed: {error}")))?;
        Ok((bytes.into(), Some(name)))
    }

    fn write_to<W: Write>(
        self,
        mut encoder: W,
        finish: impl FnOnce(W) -> std::io::Result<Vec<u8>>,
    ) -> std::io::Result<Vec<u8>> {
        for piece in &self.pieces {
            encoder.write_all(piece)?;
        }
        finish(encoder)
    }

    /// As hyper sends it, of a known length.
    pub fn into_body(self) -> Pieces {
        Pieces(self)
    }

    #[cfg(feature = "object_store")]
    pub fn into_pieces(self) -> impl Iterator<Item = Bytes> {
        self.pieces.into_iter()
    }

    #[cfg(test)]
    pub fn pieces(&self) -> &VecDeque<Bytes> {
        &self.pieces
    }

    #[cfg(test)]
    pub fn text(&self) -> String {
        String::from_utf8(self.pieces.iter().flatten().copied().collect()).unwrap()
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        copied::count(bytes.len());
        let mut payload = Self::default();
        payload.push(bytes.into());
        payload
    }
}

/// See [`Payload::into_body`].
pub struct Pieces(Payload);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.pieces.pop_front();
        self.0.len -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::sinks::tests::batch;

    #[tokio::test]
    async fn long_runs_of_lines_are_not_copied_and_all_of_them_arrive() {
        let long = format!("{{\"x\":\"{}\"}}", "y".repeat(WORTH_A_PIECE));
        let first = batch("t", "s", &["{\"a\":1}", "{\"a\":2}"]);
        let second = batch("t", "s", &[&long, "{\"a\":3}"]);
        let payload = Payload::lines(&[Arc::clone(&first), Arc::clone(&second), first]);
        assert_eq!(payload.pieces().len(), 3);
        assert_eq!(payload.pieces()[1].as_ptr(), second.bodies.as_ptr());
        let text = format!("{{\"a\":1}}\n{{\"a\":2}}\n{long}\n{{\"a\":3}}\n{{\"a\":1}}\n{{\"a\":2}}\n");
        assert_eq!(payload.text(), text);
        assert_eq!(payload.clone().into_body().size_hint().exact(), Some(text.len() as u64));
        let (gzip, name) = payload.clone().compressed(Compression::Gzip).await.unwrap();
        let mut back = String::new();
        flate2::read::GzDecoder::new(&*gzip.pieces()[0]).read_to_string(&mut back).unwrap();
        assert_eq!((back.as_str(), name), (text.as_str(), Some("gzip")));
        let (zstd, name) = payload.compressed(Compression::Zstd).await.unwrap();
        assert_eq!(zstd::decode_all(&*zstd.pieces()[0]).unwrap(), text.as_bytes());
        assert_eq!(name, Some("zstd"));
    }
}
