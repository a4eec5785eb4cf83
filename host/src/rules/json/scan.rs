//! Reads one line of JSON from its begin to its end, and shows every value with its path.

use std::ops::{ControlFlow, Range};

use super::text::{Text, string_end};

/// Nothing is nested deeper than a few levels in a real event; each level takes memory.
const MOST_LEVELS: usize = 512;

/// The body is no JSON, or none that can be read: where, in bytes, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no JSON at byte {at}: {what}")]
pub struct NotJson {
    pub at: usize,
    what: &'static str,
}

/// One step from the root to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// In an object.
    Member(Key),
    /// In an array: the element's number, from 0.
    Element(usize),
}

/// A member's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where it stands, without its quotes.
    at: Range<usize>,
    escaped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    String,
    /// As it is spelled.
    Number,
    /// `true` or `false`.
    Bool,
    Null,
    /// An object or array, of which only the first byte was read.
    Container,
}

/// A value, where it stands in the line; a string's quotes belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub kind: ValueKind,
    pub at: Range<usize>,
    /// Of a string: whether something in it is escaped.
    pub escaped: bool,
}

/// How one comes from the root to a value.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    line: &'a str,
    frames: &'a [Frame],
}

impl<'a> Place<'a> {
    pub fn frames(&self) -> &'a [Frame] {
        self.frames
    }

    /// Whether `key` is `name`, however it is spelled.
    pub fn is(&self, key: &Key, name: &str) -> bool {
        let spelled = &self.line[key.at.clone()];
        if !key.escaped {
            return spelled == name;
        }
        // Six bytes (\u0041) mean one at least. A longer key is not read again for every value below it.
        spelled.len() <= 6 * name.len() && Text::of(spelled).as_str() == name
    }
}

/// Reads lines, one after the other. What it holds is only there to be used again.
#[derive(Debug, Default)]
pub struct Scan {
    frames: Vec<Frame>,
}

impl Scan {
    /// Shows every value of `line` to `visit`, an object or array before what is in it, until it breaks. What breaks has
    /// read no further; what does not has read JSON as RFC 8259 defines it.
    ///
    /// # Errors
    /// If the line is no JSON, or nested too deeply. Values before that have been shown.
    pub fn read(
        &mut self,
        line: &str,
        mut visit: impl FnMut(Value, Place<'_>) -> ControlFlow<()>,
    ) -> Result<(), NotJson> {
        self.frames.clear();
        let frames = &mut self.frames;
        let mut cursor = Cursor { bytes: line.as_bytes(), at: 0 };
        loop {
            // A value stands here.
            cursor.space();
            let begin = cursor.at;
            let (kind, escaped) = cursor.value()?;
            let value = Value { kind, at: begin..cursor.at, escaped };
            if visit(value, Place { line, frames }).is_break() {
                return Ok(());
            }
            if kind == ValueKind::Container {
                if frames.len() == MOST_LEVELS {
                    return Err(NotJson { at: begin, what: "it is nested deeper than 512 levels" });
                }
                cursor.space();
                match (cursor.bytes[begin], cursor.peek()) {
                    (b'{', Some(b'}')) | (b'[', Some(b']')) => cursor.at += 1,
                    (b'{', _) => {
                        frames.push(Frame::Member(cursor.key()?));
                        continue;
                    }
                    _ => {
                        frames.push(Frame::Element(0));
                        continue;
                    }
                }
            }
            // A value has ended here.
            loop {
                cursor.space();
                match (frames.last_mut(), cursor.peek()) {
                    (None, None) => return Ok(()),
                    (None, Some(_)) => return Err(cursor.error("something stands behind it")),
                    (Some(Frame::Member(key)), Some(b',')) => {
                        cursor.at += 1;
                        cursor.space();
                        *key = cursor.key()?;
                        break;
                    }
                    (Some(Frame::Element(number)), Some(b',')) => {
                        cursor.at += 1;
                        *number += 1;
                        break;
                    }
                    (Some(Frame::Member(_)), Some(b'}')) | (Some(Frame::Element(_)), Some(b']')) => {
                        cursor.at += 1;
                        frames.pop();
                    }
                    (Some(_), Some(_)) => return Err(cursor.error("a comma or an end is missing")),
                    (Some(_), None) => return Err(cursor.error("it ends too early")),
                }
            }
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn error(&self, what: &'static str) -> NotJson {
        NotJson { at: self.at, what }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// Goes behind a scalar, or behind the first byte of an object or array.
    fn value(&mut self) -> Result<(ValueKind, bool), NotJson> {
        let kind = match self.peek() {
            Some(b'"') => return self.string().map(|text| (ValueKind::String, text.escaped)),
            Some(b'{' | b'[') => {
                self.at += 1;
                ValueKind::Container
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                ValueKind::Number
            }
            Some(b't') => self.word(b"true", ValueKind::Bool)?,
            Some(b'f') => self.word(b"false", ValueKind::Bool)?,
            Some(b'n') => self.word(b"null", ValueKind::Null)?,
            Some(_) => return Err(self.error("a value is missing")),
            None => return Err(self.error("it ends too early")),
        };
        Ok((kind, false))
    }

    fn word(&mut self, word: &[u8], kind: ValueKind) -> Result<ValueKind, NotJson> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.error("a value is missing"));
        }
        self.at += word.len();
        Ok(kind)
    }

    /// A key, with its colon.
    fn key(&mut self) -> Result<Key, NotJson> {
        if self.peek() != Some(b'"') {
            return Err(self.error("a key is missing"));
        }
        let key = self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.error("a colon is missing"));
        }
        self.at += 1;
        Ok(key)
    }

    fn string(&mut self) -> Result<Key, NotJson> {
        let begin = self.at + 1;
        let (end, escaped) = string_end(self.bytes, begin).map_err(|(at, what)| NotJson { at, what })?;
        self.at = end + 1;
        Ok(Key { at: begin..end, escaped })
    }

    fn number(&mut self) -> Result<(), NotJson> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// At least one.
    fn digits(&mut self) -> Result<(), NotJson> {
        let begin = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == begin { Err(self.error("a digit is missing")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each value as `path=raw`.
    fn values(line: &str) -> Result<Vec<String>, NotJson> {
        let mut found = Vec::new();
        Scan::default().read(line, |value, place| {
            let mut path = String::new();
            for frame in place.frames() {
                match frame {
                    Frame::Member(key) => path += &format!(".{}", &line[key.at.clone()]),
                    Frame::Element(number) => path += &format!("[{number}]"),
                }
            }
            found.push(format!("{path}={}", &line[value.at]));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    #[test]
    fn values_with_their_paths() {
        let line = r#" { "a" : {"b": [1, -2.5e+3 ,{"c":"x\"y"}], "d":{}}, "e":[[],[true,null]] ,"":false} "#;
        let expected = [
            "={",
            ".a={",
            ".a.b=[",
            ".a.b[0]=1",
            ".a.b[1]=-2.5e+3",
            ".a.b[2]={",
            r#".a.b[2].c="x\"y""#,
            ".a.d={",
            ".e=[",
            ".e[0]=[",
            ".e[1]=[",
            ".e[1][0]=true",
            ".e[1][1]=null",
            ".=false",
        ];
        assert_eq!(values(line).unwrap(), expected);
        assert_eq!(values("0").unwrap(), ["=0"]);
        assert_eq!(values(r#""a""#).unwrap(), [r#"="a""#]);
    }

    #[test]
    fn reads_what_serde_json_reads_and_nothing_else() {
        let lines = [
            "",
            " ",
            "{",
            "[",
            "{]",
            "[}",
            "[1,]",
            "[,1]",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{a:1}"#,
            "1 2",
            "{} {}",
            "01",
            "-",
            "-0",
            "-01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1E-2",
            "1.5e3",
            "+1",
            "truex",
            "tru",
            "nul",
            "nullx",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12G4\"",
            "\"\\u12e4\"",
            "\"\t\"",
            "\"\u{7f}é\"",
            "\"a\\/\\b\\f\\n\\r\\t\\\\\\\"\"",
            "[[[[1]]]]",
            r#"{"a":[{"b":null}],"a":2}"#,
            "'a'",
            "NaN",
            "\u{feff}1",
            "[1 2]",
            r#"{"a":1 "b":2}"#,
            r#"{"a" 1}"#,
            "[true,false]",
            "]",
            "\"a\u{1}bcdefghijklmnop\"",
            "\"abcdefgh\u{1f}\"",
            "\"abcdefghijklmnopqrst\\",
            "\"abcdefghijk",
        ];
        for line in lines {
            // A tree would refuse lone surrogates, which are JSON.
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok();
            assert_eq!(values(line).is_ok(), theirs, "{line:?} {:?}", values(line));
        }
        assert!(values(r#""\ud83d""#).is_ok(), "half a character is JSON");
    }

    #[test]
    fn depth_is_limited() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert_eq!(values(&nested(MOST_LEVELS)).unwrap().len(), MOST_LEVELS);
        assert!(values(&nested(MOST_LEVELS + 1)).unwrap_err().to_string().contains("nested deeper"));
    }

    #[test]
    fn a_key_is_known_in_any_spelling() {
        let line = r#"{"us\u0065r":1}"#;
        let mut found = Vec::new();
        let mut scan = Scan::default();
        let seen = scan.read(line, |_, place| {
            if let [Frame::Member(key)] = place.frames() {
                found.push((place.is(key, "user"), place.is(key, "us"), place.is(key, r"us\u0065r")));
            }
            ControlFlow::Continue(())
        });
        assert_eq!((seen, found), (Ok(()), vec![(true, false, false)]));
        for (line, name) in [
            (r#"{"\u0075\u0073":1}"#, "us"),
            (r#"{"\ud83d\ude00":1}"#, "\u{1f600}"),
            (r#"{"\u00e9\n":1}"#, "é\n"),
            (r#"{"\u0000":1}"#, "\0"),
        ] {
            let mut known = false;
            let seen = scan.read(line, |_, place| {
                known |= matches!(place.frames(), [Frame::Member(key)] if place.is(key, name));
                ControlFlow::Continue(())
            });
            assert_eq!((seen, known), (Ok(()), true), "{line}");
        }
    }
}
