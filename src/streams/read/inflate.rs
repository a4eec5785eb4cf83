//! Gzip, told by its magic bytes and not by headers: files are stored as gzip, and a proxy may have unpacked them on the
//! way, or packed them again (quirk Q52).

use flate2::{Decompress, FlushDecompress, Status};

use super::{Pieces, ReadError};

/// How much is inflated at a time.
const PIECE: usize = 64 << 10;

/// Unwraps up to two layers of gzip; passes everything else on as it is.
pub fn decode(source: Box<dyn Pieces>) -> Box<dyn Pieces> {
    unwrap(unwrap(source).0).0
}

/// One layer, and whether there was one.
fn unwrap(mut source: Box<dyn Pieces>) -> (Box<dyn Pieces>, bool) {
    let mut head = Vec::new();
    let mut error = None;
    while head.len() < 2 {
        match source.fill(&mut head) {
            Ok(true) => {}
            Ok(false) => break,
            Err(trouble) => {
                error = Some(trouble);
                break;
            }
        }
    }
    let gzip = head.starts_with(&[0x1f, 0x8b]);
    let sniffed = Sniffed { head, error, source };
    if gzip { (Box::new(Gunzip::new(sniffed)), true) } else { (Box::new(sniffed), false) }
}

/// A source whose first bytes, and perhaps its first error, were already read.
struct Sniffed {
    head: Vec<u8>,
    error: Option<ReadError>,
    source: Box<dyn Pieces>,
}

impl Pieces for Sniffed {
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        if !self.head.is_empty() {
            out.append(&mut self.head);
            return Ok(true);
        }
        match &self.error {
            Some(error) => Err(error.clone()),
            None => self.source.fill(out),
        }
    }
}

/// Gzip of any number of members. Zero bytes or anything else behind the last one are ignored, as `gunzip` does.
struct Gunzip {
    source: Sniffed,
    input: Vec<u8>,
    at: usize,
    decoder: Decompress,
    /// Some of the current member was read.
    inside: bool,
    ended: bool,
}

impl Gunzip {
    fn new(source: Sniffed) -> Self {
        Self { source, input: Vec::new(), at: 0, decoder: Decompress::new_gzip(15), inside: true, ended: false }
    }

    /// At least one byte of input, or `false` at its end.
    fn refill(&mut self) -> Result<bool, ReadError> {
        while self.at == self.input.len() {
            self.input.clear();
            self.at = 0;
            if !self.source.fill(&mut self.input)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Pieces for Gunzip {
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        let before = out.len();
        out.reserve(PIECE);
        while !self.ended && out.len() == before {
            if !self.refill()? {
                if self.inside {
                    return Err(ReadError::Truncated);
                }
                self.ended = true;
                break;
            }
            if !self.inside {
                if self.input[self.at] != 0x1f {
                    self.ended = true;
                    break;
                }
                self.decoder = Decompress::new_gzip(15);
                self.inside = true;
            }
            let (consumed, produced) = (self.decoder.total_in(), self.decoder.total_out());
            let status = self
                .decoder
                .decompress_vec(&self.input[self.at..], out, FlushDecompress::None)
                .map_err(|_| ReadError::Corrupt("gzip"))?;
            let consumed = (self.decoder.total_in() - consumed) as usize;
            self.at += consumed;
            match status {
                Status::StreamEnd => self.inside = false,
                _ if consumed == 0 && self.decoder.total_out() == produced => return Err(ReadError::Corrupt("gzip")),
                _ => {}
            }
        }
        Ok(out.len() > before)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::testing::Scripted;
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn text() -> Vec<u8> {
        (0..400).flat_map(|n| format!("{{\"n\":{n},\"x\":\"{}\"}}\n", n * 7919 % 1013).into_bytes()).collect()
    }

    fn read(mut source: Box<dyn Pieces>) -> (Vec<u8>, Option<ReadError>) {
        let mut out = Vec::new();
        loop {
            match source.fill(&mut out) {
                Ok(true) => {}
                Ok(false) => return (out, None),
                Err(error) => return (out, Some(error)),
            }
        }
    }

    #[test]
    fn plain_single_double_and_many_members_at_every_piece_size() {
        let plain = text();
        let two = [gzip(&plain[..1_000]), gzip(&plain[1_000..])].concat();
        for body in [plain.clone(), gzip(&plain), gzip(&gzip(&plain)), two.clone(), [two, vec![0; 512]].concat()] {
            for piece in [1, 2, 3, 17, 1_000, 1 << 20] {
                let (out, error) = read(decode(Scripted::new(body.clone(), piece)));
                assert_eq!((out == plain, error), (true, None), "{piece}");
            }
        }
    }

    #[test]
    fn empty_bodies() {
        assert_eq!(read(decode(Scripted::new("", 10))), (Vec::new(), None));
        assert_eq!(read(decode(Scripted::new(gzip(b""), 3))), (Vec::new(), None));
        assert_eq!(read(decode(Scripted::new("{", 10))), (b"{".to_vec(), None));
    }

    #[test]
    fn a_cut_at_every_byte_is_told_and_keeps_a_prefix() {
        let plain = text();
        let whole = gzip(&plain);
        let mut longest = 0;
        for at in 3..whole.len() {
            let (out, error) = read(decode(Scripted::new(&whole[..at], 100)));
            assert!(plain.starts_with(&out), "{at}");
            assert_eq!(error, Some(ReadError::Truncated), "{at}");
            longest = longest.max(out.len());
        }
        assert!(longest > plain.len() * 9 / 10, "what came before the cut is kept");
    }

    #[test]
    fn damage_keeps_what_came_before() {
        let plain: Vec<u8> = (0..40_000_u64)
            .flat_map(|n| format!("{:016x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes())
            .collect();
        let mut body = gzip(&plain);
        let middle = body.len() / 2;
        body[middle..middle + 64].fill(0xff);
        let (out, error) = read(decode(Scripted::new(body, 4_096)));
        assert_eq!(error, Some(ReadError::Corrupt("gzip")));
        let same = out.iter().zip(&plain).take_while(|(a, b)| a == b).count();
        assert!(same > plain.len() / 3, "{same} of {}", plain.len());
        // A wrong checksum at the end is damage, too.
        let mut body = gzip(b"{}\n");
        let checksum = body.len() - 6;
        body[checksum] ^= 1;
        assert!(matches!(read(decode(Scripted::new(body, 10))).1, Some(ReadError::Corrupt(_))));
    }

    #[test]
    fn a_broken_connection_keeps_its_cause() {
        let error = ReadError::Transport(crate::effects::TransportError {
            code: crate::code::Code::Closed,
            message: "closed".into(),
        });
        let mut source = Scripted::new(&gzip(&text())[..200], 50);
        source.end = Some(error.clone());
        assert_eq!(read(decode(source)).1, Some(error));
    }
}
