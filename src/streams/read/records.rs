//! Records of a file whose form only its first byte tells: JSON in any of its forms, or key_value lines.

use super::Cut;
use super::lines::{Ending, Lines};
use super::objects::Objects;
use crate::normalize::Encoding;

pub enum Records {
    /// Nothing but blanks so far.
    Unknown {
        seen: Vec<u8>,
        finished: bool,
    },
    Lines(Lines),
    Objects(Objects),
}

impl Default for Records {
    fn default() -> Self {
        Records::Unknown { seen: Vec::new(), finished: false }
    }
}

impl Records {
    pub fn encoding(&self) -> Encoding {
        match self {
            Records::Lines(_) => Encoding::KeyValue,
            Records::Objects(_) | Records::Unknown { .. } => Encoding::Json,
        }
    }

    /// Where to append the next bytes.
    pub fn room(&mut self) -> &mut Vec<u8> {
        match self {
            Records::Unknown { seen, .. } => seen,
            Records::Lines(lines) => lines.room(),
            Records::Objects(objects) => objects.room(),
        }
    }

    pub fn finish(&mut self) {
        match self {
            Records::Unknown { finished, .. } => *finished = true,
            Records::Lines(lines) => lines.finish(),
            Records::Objects(objects) => objects.finish(),
        }
    }

    /// If these are all the bytes, they end too early, as far as that can be seen: in a text of lines it cannot. Only
    /// after [`Records::cut`] has given all that it has.
    pub fn is_cut_off(&self) -> bool {
        matches!(self, Records::Objects(objects) if objects.is_cut_off())
    }

    /// Decides as soon as there is a byte to decide by.
    pub fn settle(&mut self) {
        let Records::Unknown { seen, finished } = self else {
            return;
        };
        let mark = b"\xef\xbb\xbf";
        if mark.starts_with(seen) && !*finished {
            return;
        }
        let text = seen.strip_prefix(mark).unwrap_or(seen).trim_ascii_start().to_vec();
        let finished = *finished;
        match text.first() {
            None => {
                seen.clear();
                return;
            }
            Some(b'{' | b'[') => *self = Records::Objects(Objects::new(text)),
            Some(_) => {
                let mut lines = Lines::new(Ending::Any);
                *lines.room() = text;
                *self = Records::Lines(lines);
            }
        }
        if finished {
            self.finish();
        }
    }

    pub fn cut(&mut self) -> Option<Cut<'_>> {
        match self {
            Records::Unknown { .. } => None,
            Records::Lines(lines) => lines.cut(),
            Records::Objects(objects) => objects.cut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, at: usize) -> (bool, Vec<String>) {
        let mut records = Records::default();
        let mut seen = Vec::new();
        for piece in [&text.as_bytes()[..at], &text.as_bytes()[at..]] {
            records.room().extend_from_slice(piece);
            records.settle();
            while let Some(Cut::Record(bytes)) = records.cut() {
                seen.push(String::from_utf8(bytes.to_vec()).unwrap());
            }
        }
        records.finish();
        records.settle();
        while let Some(Cut::Record(bytes)) = records.cut() {
            seen.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
        (matches!(records.encoding(), Encoding::KeyValue), seen)
    }

    #[test]
    fn the_first_byte_decides_at_every_split() {
        for (text, lines, expected) in [
            ("\u{feff}{\"data\":[{\"a\":1}]}", false, vec!["{\"a\":1}"]),
            (" \r\n[{\"a\":1}]", false, vec!["{\"a\":1}"]),
            ("datetime=1|a=2\r\ndatetime=2|a=3", true, vec!["datetime=1|a=2", "datetime=2|a=3"]),
            ("\u{feff}a=1\rb=2", true, vec!["a=1", "b=2"]),
            ("x", true, vec!["x"]),
            (" \r\n ", false, vec![]),
            ("", false, vec![]),
        ] {
            for at in 0..=text.len() {
                assert_eq!(cut(text, at), (lines, expected.iter().map(|s| (*s).to_owned()).collect()), "{text:?} {at}");
            }
        }
    }
}
