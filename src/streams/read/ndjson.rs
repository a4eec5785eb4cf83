//! NDJSON: one object a line, and the lines on which two have been glued together (quirk Q44).

use super::Cut;
use super::lines::{Ending, Lines};
use super::objects::Objects;

/// Cuts lines, and a line of several objects into these. What is cut does not depend on how often a line is cut, so
/// records can be counted without being parsed.
pub struct NdJson {
    lines: Lines,
    /// The rest of a line of several objects.
    glued: Option<Objects>,
}

impl Default for NdJson {
    fn default() -> Self {
        Self { lines: Lines::new(Ending::LineFeed), glued: None }
    }
}

impl NdJson {
    /// Where to append the next bytes. What was cut off before is gone.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.lines.room()
    }

    pub fn finish(&mut self) {
        self.lines.finish();
    }

    /// The next record; `None` if there is none without more bytes.
    pub fn cut(&mut self) -> Option<Cut<'_>> {
        if self.glued.as_ref().is_some_and(|objects| !objects.is_done()) {
            return self.glued.as_mut().and_then(Objects::cut);
        }
        self.glued = None;
        match self.lines.cut()? {
            // A seam may also stand inside of a text: then the whole line is the one object.
            Cut::Record(line) if has_seam(line) => {
                let mut objects = Objects::new(line.to_vec());
                objects.finish();
                self.glued.insert(objects).cut()
            }
            cut => Some(cut),
        }
    }
}

/// Whether `}{` stands in the line. A search for the one byte, which is rare, is faster than for the two.
fn has_seam(line: &[u8]) -> bool {
    memchr::memchr_iter(b'}', line).any(|at| line.get(at + 1) == Some(&b'{'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, at: usize) -> Vec<String> {
        let mut records = NdJson::default();
        let mut seen = Vec::new();
        for piece in [&text.as_bytes()[..at], &text.as_bytes()[at..]] {
            records.room().extend_from_slice(piece);
            while let Some(Cut::Record(bytes)) = records.cut() {
                seen.push(String::from_utf8(bytes.to_vec()).unwrap());
            }
        }
        records.finish();
        while let Some(Cut::Record(bytes)) = records.cut() {
            seen.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
        seen
    }

    #[test]
    fn glued_objects_come_apart_at_every_split() {
        for (text, expected) in [
            ("{\"a\":1}\n{\"b\":{}}{\"c\":2}\n{\"d\":3}", vec!["{\"a\":1}", "{\"b\":{}}", "{\"c\":2}", "{\"d\":3}"]),
            (
                "{\"a\":\"}{\"}\n{\"b\":1}{\"c\":\"}{\"}{\"d\":1}\r\n",
                vec!["{\"a\":\"}{\"}", "{\"b\":1}", "{\"c\":\"}{\"}", "{\"d\":1}"],
            ),
            // Not one that is broken: each piece is told as such.
            ("{\"a\":1}{\"b\n{\"c\":1}", vec!["{\"a\":1}", "{\"b", "{\"c\":1}"]),
            ("}{\n{\"c\":1}", vec!["}", "{", "{\"c\":1}"]),
            ("{\"a\":1}{\"b\":2} ] , \n{\"c\":1}", vec!["{\"a\":1}", "{\"b\":2}", "{\"c\":1}"]),
            ("not json\n", vec!["not json"]),
        ] {
            for at in 0..=text.len() {
                assert_eq!(cut(text, at), expected, "{text:?} {at}");
            }
        }
    }
}
