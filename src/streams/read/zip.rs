//! ZIP archives as a stream: members in their order, without seeking, one piece at a time.
//!
//! Java writes them with sizes and checksum behind each member (data descriptors), so the central directory at the end
//! only serves to notice members that were missed behind a damaged one. Member names are names, never paths.

use std::collections::VecDeque;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Pieces, ReadError};

const LOCAL: &[u8; 4] = b"PK\x03\x04";
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const END: &[u8; 4] = b"PK\x05\x06";
const END_64: &[u8; 4] = b"PK\x06\x06";
const DESCRIPTOR: &[u8; 4] = b"PK\x07\x08";

const PIECE: usize = 64 << 10;

/// What stands next in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A member that can be read with [`Zip::fill`].
    Member(String),
    /// One that cannot: its name, if it has one, and why.
    Unreadable(String, &'static str),
}

pub struct Zip {
    source: Box<dyn Pieces>,
    input: Vec<u8>,
    at: usize,
    /// Offset of `input[0]` in the archive.
    offset: u64,
    member: Option<Member>,
    /// The member before was damaged: look for the next header.
    lost: bool,
    /// Offsets of the local headers that were met.
    met: Vec<u64>,
    /// Members that only the central directory knows.
    missed: VecDeque<String>,
    ended: bool,
}

struct Member {
    /// Offset of its data in the archive.
    start: u64,
    decoder: Option<Decompress>,
    /// Compressed bytes that are left, where the header tells.
    left: Option<u64>,
    checksum: Option<u32>,
    crc: Crc,
    /// Compressed bytes read, for the descriptor.
    read: u64,
    written: u64,
    done: bool,
}

impl Zip {
    pub fn new(source: Box<dyn Pieces>) -> Self {
        Self {
            source,
            input: Vec::new(),
            at: 0,
            offset: 0,
            member: None,
            lost: false,
            met: Vec::new(),
            missed: VecDeque::new(),
            ended: false,
        }
    }

    /// The next member; `None` at the end of the archive. The one before must have been read to its end or given up.
    ///
    /// # Errors
    /// The archive breaks off.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ReadError> {
        if let Some(name) = self.missed.pop_front() {
            return Ok(Some(Entry::Unreadable(name, "it could not be found behind a damaged member")));
        }
        if self.ended {
            return Ok(None);
        }
        // A member that was given up in the middle.
        if let Some(member) = self.member.take() {
            match member.left {
                Some(left) => self.skip(left)?,
                None => self.lost = true,
            }
        }
        loop {
            if self.lost {
                self.find_header()?;
                self.lost = false;
            }
            if !self.need(4)? {
                return Err(ReadError::Truncated);
            }
            match self.signature() {
                signature if signature == *LOCAL => {
                    if let Some(entry) = self.open()? {
                        return Ok(Some(entry));
                    }
                }
                signature if [*CENTRAL, *END, *END_64].contains(&signature) => {
                    self.directory()?;
                    // Damaged data may look like a directory. Behind one there is another part of the archive, or nothing.
                    if !self.need(4)? || self.signature().starts_with(b"PK") {
                        self.ended = true;
                        return self.next_entry();
                    }
                }
                _ => {
                    self.lost = true;
                    return Ok(Some(Entry::Unreadable(String::new(), "there are bytes that belong to no member")));
                }
            }
        }
    }

    /// The next bytes of the member, decompressed; `false` at its end.
    ///
    /// # Errors
    /// `Corrupt` if the member is damaged: the archive goes on with [`Zip::next_entry`]. Anything else ends the archive.
    pub fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        let before = out.len();
        let result = self.decode(out);
        if let Some(member) = &mut self.member {
            member.crc.update(&out[before..]);
            member.written += (out.len() - before) as u64;
        }
        result?;
        if out.len() > before {
            return Ok(true);
        }
        self.close()?;
        Ok(false)
    }

    fn decode(&mut self, out: &mut Vec<u8>) -> Result<(), ReadError> {
        let before = out.len();
        while out.len() == before {
            if self
                .member
                .as_ref()
                .is_none_or(|member| member.done || (member.left == Some(0) && member.decoder.is_none()))
            {
                return Ok(());
            }
            if !self.need(1)? {
                return Err(ReadError::Truncated);
            }
            let Some(member) = &mut self.member else {
                return Ok(());
            };
            let available = &self.input[self.at..];
            let limit = member
                .left
                .map_or(available.len(), |left| available.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            let available = &available[..limit.min(PIECE)];
            let consumed = match &mut member.decoder {
                None => {
                    out.extend_from_slice(available);
                    available.len()
                }
                Some(decoder) => {
                    out.reserve(PIECE);
                    let (read, written) = (decoder.total_in(), decoder.total_out());
                    let status = decoder.decompress_vec(available, out, FlushDecompress::None);
                    let consumed = (decoder.total_in() - read) as usize;
                    match status {
                        Err(_) => return Err(self.give_up("deflate")),
                        Ok(Status::StreamEnd) => member.done = true,
                        Ok(_) if consumed == 0 && decoder.total_out() == written => return Err(self.give_up("deflate")),
                        Ok(_) => {}
                    }
                    consumed
                }
            };
            self.at += consumed;
            member.read += consumed as u64;
            if let Some(left) = &mut member.left {
                *left -= consumed as u64;
            }
        }
        Ok(())
    }

    /// The member is damaged: what follows is found by its size, or by its header.
    fn give_up(&mut self, what: &'static str) -> ReadError {
        if let Some(member) = self.member.take_if(|member| member.left.is_none()) {
            self.rewind(member.start);
        }
        ReadError::Corrupt(what)
    }

    /// Damaged data may have been read past their member's end: the next header is looked for from its begin on, as far
    /// as that is still in hand.
    fn rewind(&mut self, start: u64) {
        self.at = usize::try_from(start.saturating_sub(self.offset)).unwrap_or(self.at).min(self.at);
        self.lost = true;
    }

    /// The member's data are done: checks them against the header, or against the descriptor behind them.
    fn close(&mut self) -> Result<(), ReadError> {
        let Some(member) = self.member.take() else {
            return Ok(());
        };
        let expected = match (member.left, member.checksum) {
            (Some(0), Some(checksum)) => checksum,
            (Some(left), _) => {
                self.skip(left)?;
                return Err(ReadError::Corrupt("its size"));
            }
            (None, _) => match self.descriptor(member.read, member.written)? {
                Some(checksum) => checksum,
                None => {
                    self.rewind(member.start);
                    return Err(ReadError::Corrupt("its size"));
                }
            },
        };
        if expected == member.crc.sum() { Ok(()) } else { Err(ReadError::Corrupt("its checksum")) }
    }

    /// The descriptor behind a member: with or without a signature, with sizes of four or eight bytes. The one whose
    /// sizes are right, and behind which a signature stands, is it.
    fn descriptor(&mut self, read: u64, written: u64) -> Result<Option<u32>, ReadError> {
        self.need(28)?;
        let rest = &self.input[self.at..];
        let mut fallback = None;
        for (head, width) in [(4, 4), (4, 8), (0, 4), (0, 8)] {
            let length = head + 4 + 2 * width;
            if rest.len() < length || (head == 4 && !rest.starts_with(DESCRIPTOR)) {
                continue;
            }
            let number = |at: usize| rest[at..at + width].iter().rev().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
            let mask = if width == 4 { u64::from(u32::MAX) } else { u64::MAX };
            if number(head + 4) != read & mask || number(head + 4 + width) != written & mask {
                continue;
            }
            let found = (length, u32_at(rest, head));
            if rest[length..].starts_with(b"PK") {
                self.at += length;
                return Ok(Some(found.1));
            }
            fallback = fallback.or(Some(found));
        }
        Ok(fallback.map(|(length, checksum)| {
            self.at += length;
            checksum
        }))
    }

    /// Reads a local header. `None` for a folder.
    fn open(&mut self) -> Result<Option<Entry>, ReadError> {
        if !self.need(30)? {
            return Err(ReadError::Truncated);
        }
        self.met.push(self.offset + self.at as u64);
        let head = &self.input[self.at..self.at + 30];
        let (flags, method, checksum) = (u16_at(head, 6), u16_at(head, 8), u32_at(head, 14));
        let (mut packed, plain) = (u64::from(u32_at(head, 18)), u64::from(u32_at(head, 22)));
        let (name_length, extra_length) = (usize::from(u16_at(head, 26)), usize::from(u16_at(head, 28)));
        let length = 30 + name_length + extra_length;
        if !self.need(length)? {
            return Err(ReadError::Truncated);
        }
        let name = String::from_utf8_lossy(&self.input[self.at + 30..self.at + 30 + name_length]).into_owned();
        let extra = &self.input[self.at + 30 + name_length..self.at + length];
        if packed == u64::from(u32::MAX) {
            packed = zip64_packed(extra, plain == u64::from(u32::MAX)).unwrap_or(packed);
        }
        self.at += length;
        let streamed = flags & 8 != 0;
        // Some writers set the flag and tell the size all the same.
        let left = (!streamed || packed > 0 && checksum > 0).then_some(packed);
        let reason = if flags & 1 != 0 {
            Some("it is encrypted")
        } else if !matches!(method, 0 | 8) {
            Some("its compression is not supported")
        } else if method == 0 && left.is_none() {
            Some("it is stored without its size")
        } else {
            None
        };
        if let Some(reason) = reason {
            match left {
                Some(left) => self.skip(left)?,
                None => self.lost = true,
            }
            return Ok(Some(Entry::Unreadable(name, reason)));
        }
        self.member = Some(Member {
            start: self.offset + self.at as u64,
            decoder: (method == 8).then(|| Decompress::new(false)),
            left,
            checksum: Some(checksum),
            crc: Crc::new(),
            read: 0,
            written: 0,
            done: false,
        });
        // With a size in the header and the flag set, a descriptor still follows: it is met as bytes of no member.
        if name.ends_with('/') && left == Some(0) {
            self.member = None;
            return Ok(None);
        }
        Ok(Some(Entry::Member(name)))
    }

    /// Reads the central directory, and remembers members that were not met.
    fn directory(&mut self) -> Result<(), ReadError> {
        while self.need(46)? && self.signature() == *CENTRAL {
            let head = &self.input[self.at..self.at + 46];
            let name_length = usize::from(u16_at(head, 28));
            let length = 46 + name_length + usize::from(u16_at(head, 30)) + usize::from(u16_at(head, 32));
            let offset = u64::from(u32_at(head, 42));
            if !self.need(length)? {
                break;
            }
            // Offsets were met in ascending order.
            if offset < u64::from(u32::MAX) && self.met.binary_search(&offset).is_err() {
                let name = &self.input[self.at + 46..self.at + 46 + name_length];
                self.missed.push_back(String::from_utf8_lossy(name).into_owned());
            }
            self.at += length;
        }
        Ok(())
    }

    /// Goes to the next header that looks like one.
    fn find_header(&mut self) -> Result<(), ReadError> {
        loop {
            if !self.need(30)? && !self.need(4)? {
                return Err(ReadError::Truncated);
            }
            let rest = &self.input[self.at..];
            match memchr::memmem::find(rest, b"PK") {
                Some(found) => {
                    self.at += found;
                    self.need(30)?;
                    if self.looks_like_header() {
                        return Ok(());
                    }
                    self.at += 2;
                }
                // The last byte may be the first of a signature.
                None => {
                    self.at = self.input.len() - 1;
                    if !self.need(2)? {
                        return Err(ReadError::Truncated);
                    }
                }
            }
        }
    }

    fn looks_like_header(&self) -> bool {
        let rest = &self.input[self.at..];
        if rest.len() < 4 {
            return false;
        }
        match &rest[..4] {
            signature if signature == LOCAL => {
                rest.len() >= 30
                    && u16_at(rest, 4) <= 63
                    && matches!(u16_at(rest, 8), 0 | 8 | 9 | 12 | 14 | 93 | 95 | 99)
                    && (1..=1_024).contains(&u16_at(rest, 26))
            }
            signature => [CENTRAL, END, END_64].iter().any(|known| signature == *known),
        }
    }

    fn skip(&mut self, mut bytes: u64) -> Result<(), ReadError> {
        while bytes > 0 {
            if !self.need(1)? {
                return Err(ReadError::Truncated);
            }
            let step = bytes.min((self.input.len() - self.at) as u64);
            self.at += step as usize;
            bytes -= step;
        }
        Ok(())
    }

    /// So many bytes in hand, or `false` if the archive ends before.
    fn need(&mut self, bytes: usize) -> Result<bool, ReadError> {
        while self.input.len() - self.at < bytes {
            self.input.drain(..self.at);
            self.offset += self.at as u64;
            self.at = 0;
            if !self.source.fill(&mut self.input)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The four bytes at hand. Called when there are four.
    fn signature(&self) -> [u8; 4] {
        let rest = &self.input[self.at..];
        [rest[0], rest[1], rest[2], rest[3]]
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The compressed size of a zip64 extra field: it stands behind the plain size, if that is there too.
fn zip64_packed(mut extra: &[u8], with_plain: bool) -> Option<u64> {
    while extra.len() >= 4 {
        let (id, size) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let body = extra.get(4..4 + size)?;
        if id == 1 {
            let at = if with_plain { 8 } else { 0 };
            return body.get(at..at + 8).map(|number| number.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte)));
        }
        extra = &extra[4 + size..];
    }
    None
}

#[cfg(test)]
pub mod tests;
