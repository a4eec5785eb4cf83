//! Lines, cut from bytes that arrive in any pieces.

use super::{Cut, RECORD_LIMIT};

/// Which bytes end a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// `\n` or `\r\n`: NDJSON.
    LineFeed,
    /// `\n`, `\r\n` or `\r`: key_value files have been seen with each (section 7.2).
    Any,
}

/// Cuts lines. Empty ones, and those of blanks only, are dropped and not counted.
pub struct Lines {
    ending: Ending,
    buffer: Vec<u8>,
    /// Where the current line begins.
    start: usize,
    /// Up to here there is no line end.
    scanned: usize,
    finished: bool,
    /// Bytes of an overlong line that were already let go.
    dropped: u64,
    /// The head of an overlong line.
    head: Vec<u8>,
    /// Nothing was cut yet, so a byte-order mark may stand in front.
    first: bool,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Lines {
    pub fn new(ending: Ending) -> Self {
        Self {
            ending,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            finished: false,
            dropped: 0,
            head: Vec::new(),
            first: true,
        }
    }

    /// Where to append the next bytes. What was cut off before is gone.
    pub fn room(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        &mut self.buffer
    }

    /// There is no more: what stands behind the last line end is a line, too.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// The next line; `None` if there is none without more bytes.
    pub fn next(&mut self) -> Option<Cut<'_>> {
        loop {
            let rest = &self.buffer[self.scanned..];
            let found = match self.ending {
                Ending::LineFeed => memchr::memchr(b'\n', rest),
                Ending::Any => memchr::memchr2(b'\n', b'\r', rest),
            };
            let end = match found {
                Some(at) => self.scanned + at,
                None if self.finished && (self.start < self.buffer.len() || self.dropped > 0) => self.buffer.len(),
                None => {
                    self.scanned = self.buffer.len();
                    self.let_go();
                    return None;
                }
            };
            let begin = std::mem::replace(&mut self.start, (end + 1).min(self.buffer.len()));
            self.scanned = self.start;
            if self.dropped > 0 {
                let size = std::mem::take(&mut self.dropped) + (end - begin) as u64;
                return Some(Cut::TooLong { head: &self.head, size });
            }
            let (begin, end) = self.trim(begin, end);
            if self.buffer[begin..end].iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if end - begin > RECORD_LIMIT {
                let head = &self.buffer[begin..begin + RECORD_LIMIT];
                return Some(Cut::TooLong { head, size: (end - begin) as u64 });
            }
            return Some(Cut::Record(&self.buffer[begin..end]));
        }
    }

    fn trim(&mut self, mut begin: usize, mut end: usize) -> (usize, usize) {
        if std::mem::take(&mut self.first) && self.buffer[begin..end].starts_with(BYTE_ORDER_MARK) {
            begin += BYTE_ORDER_MARK.len();
        }
        if self.buffer[begin..end].ends_with(b"\r") {
            end -= 1;
        }
        (begin, end)
    }

    /// Keeps memory bounded: an unfinished line over the limit loses all but its head.
    fn let_go(&mut self) {
        let open = self.buffer.len() - self.start;
        if self.dropped == 0 {
            if open <= RECORD_LIMIT {
                return;
            }
            self.head.clear();
            self.head.extend_from_slice(&self.buffer[self.start..self.start + RECORD_LIMIT]);
        }
        self.dropped += open as u64;
        self.buffer.clear();
        self.start = 0;
        self.scanned = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(ending: Ending, pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::new(ending);
        let mut seen = Vec::new();
        let mut take = |lines: &mut Lines| {
            while let Some(cut) = lines.next() {
                seen.push(match cut {
                    Cut::Record(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                    Cut::TooLong { head, size } => format!("long {} {size}", head.len()),
                });
            }
        };
        for piece in pieces {
            lines.room().extend_from_slice(piece);
            take(&mut lines);
        }
        lines.finish();
        take(&mut lines);
        assert!(lines.next().is_none());
        seen
    }

    #[test]
    fn the_same_lines_at_every_split() {
        let text = b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\"b\":\"\r x\"}\nlast";
        for at in 0..=text.len() {
            for ending in [Ending::LineFeed, Ending::Any] {
                let seen = cut(ending, &[&text[..at], &text[at..]]);
                match ending {
                    Ending::LineFeed => assert_eq!(seen, ["{\"a\":1}", "{\"b\":\"\r x\"}", "last"], "{at}"),
                    Ending::Any => assert_eq!(seen, ["{\"a\":1}", "{\"b\":\"", " x\"}", "last"], "{at}"),
                }
            }
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(cut(Ending::LineFeed, &bytes).len(), 3);
    }

    #[test]
    fn every_ending_of_key_value_files() {
        for text in ["a=1\r\nb=2\r\n", "a=1\nb=2", "a=1\rb=2\r", "\r\n\r\na=1\r\r\rb=2"] {
            for at in 0..=text.len() {
                assert_eq!(
                    cut(Ending::Any, &[&text.as_bytes()[..at], &text.as_bytes()[at..]]),
                    ["a=1", "b=2"],
                    "{text:?} {at}"
                );
            }
        }
    }

    #[test]
    fn nothing_in_nothing_out() {
        assert!(cut(Ending::LineFeed, &[]).is_empty());
        assert!(cut(Ending::Any, &[b"\r\n", b"\n"]).is_empty());
    }

    #[test]
    fn an_overlong_line_keeps_its_head_and_size() {
        let long = vec![b'x'; RECORD_LIMIT + 70_000];
        let mut text = b"a\n".to_vec();
        text.extend_from_slice(&long);
        text.extend_from_slice(b"\nb\n");
        let expected = ["a".to_owned(), format!("long {RECORD_LIMIT} {}", long.len()), "b".to_owned()];
        assert_eq!(cut(Ending::LineFeed, &[&text]), expected);
        let pieces: Vec<&[u8]> = text.chunks(65_536).collect();
        assert_eq!(cut(Ending::LineFeed, &pieces), expected);
        // Just at the limit it is a line like any other.
        let exact = vec![b'x'; RECORD_LIMIT];
        assert_eq!(cut(Ending::LineFeed, &[&exact, b"\n"])[0].len(), RECORD_LIMIT);
        // And one that is never finished is told all the same.
        assert_eq!(cut(Ending::LineFeed, &[&long]), [format!("long {RECORD_LIMIT} {}", long.len())]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut lines = Lines::new(Ending::LineFeed);
        for _ in 0..1_000 {
            lines.room().extend_from_slice(&[b'x'; 65_536]);
            assert!(lines.next().is_none());
            assert!(lines.buffer.capacity() < 4 << 20);
        }
    }
}
