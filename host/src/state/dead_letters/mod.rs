//! Records that could not be read, and events that a sink refused for good: lines of JSON, each with a checksum, in
//! `<data_dir>/dead-letters/<source>.ndjson`.
//!
//! What is appended is on disk before the position moves past it. The files have a cap together; when it is reached,
//! nothing more is taken, and the positions that wait for it stand still. A lock of the folder's own lets another process
//! take letters away while a host appends.

mod file;
mod line;

use sha2::{Digest as _, Sha256};

pub use file::{DeadLetters, Found, ReadError, Taken};

/// Bytes that are kept whole: what a source hands over of a malformed record at the most.
pub const WHOLE: usize = 1 << 20;
/// Of what is longer, so much is kept, beside its size and hash.
pub const HEAD: usize = 64 << 10;

/// One record, or a larger piece, that could not be read; or an event that a sink refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Names it: 16 hexadecimal digits.
    pub id: String,
    /// When it became one, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub source: String,
    pub stream: String,
    pub reason: String,
    /// `None` if it is a record that could not be read.
    pub refused: Option<Refused>,
    /// Whether the sink may have taken the event all the same: it refused some of a delivery, and did not say which. What an
    /// earlier release kept does not say so.
    pub unsure: bool,
    /// Its whole size in bytes, where that is known.
    pub size: Option<u64>,
    /// Of all its bytes, in hexadecimal, where only the head is kept and the rest was there.
    pub sha256: Option<String>,
    /// Its first bytes.
    pub head: Vec<u8>,
}

/// An event that a sink refused: what it takes to deliver it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub sink: String,
    pub tenant: String,
    pub event: u128,
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    pub kind: u32,
    pub class: u32,
    pub severity: u8,
    pub alert_key: Option<u128>,
}

impl DeadLetter {
    /// A record that could not be read, with its first bytes and its whole size, where that is known.
    pub fn malformed(
        at_ms: u64,
        source: impl Into<String>,
        stream: impl Into<String>,
        reason: impl Into<String>,
        head: Vec<u8>,
        size: Option<u64>,
    ) -> Self {
        let (source, stream, reason) = (source.into(), stream.into(), reason.into());
        let (id, refused, unsure, sha256) = (String::new(), None, false, None);
        Self { id, at_ms, source, stream, reason, refused, unsure, size, sha256, head }
    }

    /// An event of which `body` is the whole line, that a sink refused.
    pub fn refused(
        at_ms: u64,
        source: impl Into<String>,
        stream: impl Into<String>,
        reason: impl Into<String>,
        refused: Refused,
        body: &[u8],
    ) -> Self {
        let mut letter = Self::malformed(at_ms, source, stream, reason, Vec::new(), Some(body.len() as u64));
        letter.refused = Some(refused);
        if body.len() <= WHOLE {
            letter.head = body.to_vec();
        } else {
            letter.head = body[..HEAD].to_vec();
            letter.sha256 = Some(hex(&Sha256::digest(body)));
        }
        letter
    }

    /// The same, where nobody knows whether the sink has the event.
    #[must_use]
    pub fn unsure(self) -> Self {
        Self { unsure: true, ..self }
    }

    /// The same of another sink.
    #[must_use]
    pub fn of_sink(mut self, sink: &str) -> Self {
        if let Some(refused) = &mut self.refused {
            sink.clone_into(&mut refused.sink);
        }
        self
    }

    /// Keeps nothing of its body but the size, as if it were too long.
    #[must_use]
    pub fn without_body(self) -> Self {
        Self { head: Vec::new(), ..self }
    }

    /// Whether only a part of its bytes is here.
    pub fn is_cut(&self) -> bool {
        self.size.is_some_and(|size| size > self.head.len() as u64)
    }

    /// Gives it an id that no other has: letters of one append differ by `number`, others by time or content.
    fn named(mut self, number: usize) -> Self {
        if self.id.is_empty() {
            let mut hash = Sha256::new();
            for part in [self.source.as_bytes(), self.stream.as_bytes(), self.reason.as_bytes(), &self.head] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
            hash.update(self.at_ms.to_be_bytes());
            hash.update((number as u64).to_be_bytes());
            self.id = hex(&hash.finalize()[..8]);
        }
        self
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
