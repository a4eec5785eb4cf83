//! A scanner for one JSON object whose members are mostly plain: it finds where each key and value stands and leaves
//! the values as they are.
//!
//! It accepts exactly what `serde_json` accepts as a `Value` (a test compares them), except that it also takes bytes
//! that are no UTF-8 inside strings: [`super::Fields`] deals with those. Measured: half the time of `serde_json`.

use super::escape::hex;
pub use super::escape::unescape;

/// As `serde_json`: an object inside this many others is refused.
const DEPTH_LIMIT: usize = 128;

/// What stands where a value is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    #[default]
    Null,
    True,
    False,
    Number,
    /// A string of JSON without its quotes and without escapes: it can be copied into another document as it is.
    Plain,
    /// A string of JSON without its quotes, with escapes in it.
    Escaped,
    /// Text as it is meant: from a file of `key=value`, or with its escapes undone.
    Text,
    /// An array or an object, brackets included.
    Nested,
}

/// A piece of the scanned text. Indexes are `u32`: a record is far below 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..self.end as usize]
    }
}

/// One member of an object, or one element of an array (then the key is empty).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Member {
    pub key: Span,
    pub key_escaped: bool,
    pub value: Span,
    pub shape: Shape,
}

/// One value at any depth of an array or object; what lies in it follows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Node {
    pub member: Member,
    /// How many of the nodes that follow lie in this one.
    pub inside: u32,
}

/// Why the bytes are no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanError {
    /// It is JSON, as far as can be seen, but not an object.
    NotAnObject,
    /// What is wrong, and at which byte.
    Syntax(&'static str, usize),
}

impl std::fmt::Display for ScanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ScanError::NotAnObject => write!(f, "the record is not a JSON object"),
            ScanError::Syntax(what, at) => write!(f, "the record is not valid JSON: {what} at byte {at}"),
        }
    }
}

/// Reads one object that fills `text` except for blanks, and hands over each of its members in order.
pub fn object(text: &[u8], each: impl FnMut(Member)) -> Result<(), ScanError> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.blanks();
    match scanner.peek() {
        Some(b'{') => {}
        Some(b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => return Err(ScanError::NotAnObject),
        _ => return scanner.fail("expected an object"),
    }
    if u32::try_from(text.len()).is_err() {
        return scanner.fail("more than 4 GiB");
    }
    scanner.members(DEPTH_LIMIT, &mut Each(each, Nothing))?;
    scanner.end()
}

/// Reads one array or object that fills `text` except for blanks, and hands over each of its elements or members.
pub fn nested(text: &[u8], each: impl FnMut(Member)) -> Result<(), ScanError> {
    container(text, &mut Each(each, Nothing))
}

/// Reads one array or object that fills `text` except for blanks, and appends all that lies in it, at every depth, in
/// the order of the text.
pub fn nodes(text: &[u8], nodes: &mut Vec<Node>) -> Result<(), ScanError> {
    container(text, &mut Deep(nodes))
}

fn container(text: &[u8], found: &mut impl Found) -> Result<(), ScanError> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.blanks();
    match scanner.peek() {
        Some(b'{') => scanner.members(DEPTH_LIMIT, found)?,
        Some(b'[') => scanner.elements(DEPTH_LIMIT, found)?,
        _ => return scanner.fail("expected an array or an object"),
    }
    scanner.end()
}

/// Reads any one value that fills `text` except for blanks.
pub fn value(text: &[u8]) -> Result<(Shape, Span), ScanError> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.blanks();
    let found = scanner.value(DEPTH_LIMIT, &mut Nothing)?;
    scanner.end()?;
    Ok(found)
}

/// Takes what a scan finds.
trait Found {
    /// Takes what lies in what is found.
    type Inside: Found;

    /// Before the value of a member is read. Gives what is to come back with it.
    fn enter(&mut self) -> usize;
    fn leave(&mut self, entered: usize, member: Member);
    fn inside(&mut self) -> &mut Self::Inside;
}

/// Takes nothing.
struct Nothing;

impl Found for Nothing {
    type Inside = Nothing;

    fn enter(&mut self) -> usize {
        0
    }

    fn leave(&mut self, _: usize, _: Member) {}

    fn inside(&mut self) -> &mut Nothing {
        self
    }
}

/// Takes the members, but not what lies in them.
struct Each<F>(F, Nothing);

impl<F: FnMut(Member)> Found for Each<F> {
    type Inside = Nothing;

    #[inline(always)]
    fn enter(&mut self) -> usize {
        0
    }

    #[inline(always)]
    fn leave(&mut self, _: usize, member: Member) {
        self.0(member);
    }

    fn inside(&mut self) -> &mut Nothing {
        &mut self.1
    }
}

/// Takes all, at every depth.
struct Deep<'n>(&'n mut Vec<Node>);

impl Found for Deep<'_> {
    type Inside = Self;

    #[inline(always)]
    fn enter(&mut self) -> usize {
        self.0.push(Node::default());
        self.0.len()
    }

    #[inline(always)]
    fn leave(&mut self, entered: usize, member: Member) {
        let inside = (self.0.len() - entered) as u32;
        self.0[entered - 1] = Node { member, inside };
    }

    fn inside(&mut self) -> &mut Self {
        self
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn fail<T>(&self, what: &'static str) -> Result<T, ScanError> {
        Err(ScanError::Syntax(what, self.at))
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline]
    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn end(&mut self) -> Result<(), ScanError> {
        self.blanks();
        if self.at == self.text.len() { Ok(()) } else { self.fail("something follows the value") }
    }

    #[inline]
    fn span(&self, start: usize) -> Span {
        Span { start: start as u32, end: self.at as u32 }
    }

    /// At `{`. `depth` counts down.
    fn members(&mut self, depth: usize, found: &mut impl Found) -> Result<(), ScanError> {
        if depth == 1 {
            return self.fail("nested too deeply");
        }
        self.at += 1;
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.fail("expected a key");
            }
            let (key, key_escaped) = self.string()?;
            self.blanks();
            if self.peek() != Some(b':') {
                return self.fail("expected a colon");
            }
            self.at += 1;
            self.blanks();
            let entered = found.enter();
            let (shape, value) = self.value(depth - 1, found.inside())?;
            found.leave(entered, Member { key, key_escaped, value, shape });
            self.blanks();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.blanks();
                }
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.fail("expected a comma or a closing brace"),
            }
        }
    }

    /// At `[`.
    fn elements(&mut self, depth: usize, found: &mut impl Found) -> Result<(), ScanError> {
        if depth == 1 {
            return self.fail("nested too deeply");
        }
        self.at += 1;
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let entered = found.enter();
            let (shape, value) = self.value(depth - 1, found.inside())?;
            found.leave(entered, Member { key: Span::default(), key_escaped: false, value, shape });
            self.blanks();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.blanks();
                }
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.fail("expected a comma or a closing bracket"),
            }
        }
    }

    #[inline]
    fn value(&mut self, depth: usize, inside: &mut impl Found) -> Result<(Shape, Span), ScanError> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                let (span, escaped) = self.string()?;
                Ok((if escaped { Shape::Escaped } else { Shape::Plain }, span))
            }
            Some(b'n') => self.literal(b"null", Shape::Null),
            Some(b't') => self.literal(b"true", Shape::True),
            Some(b'f') => self.literal(b"false", Shape::False),
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Ok((Shape::Number, self.span(start)))
            }
            Some(b'{') => {
                self.members(depth, inside)?;
                Ok((Shape::Nested, self.span(start)))
            }
            Some(b'[') => {
                self.elements(depth, inside)?;
                Ok((Shape::Nested, self.span(start)))
            }
            _ => self.fail("expected a value"),
        }
    }

    #[inline]
    fn literal(&mut self, word: &[u8], shape: Shape) -> Result<(Shape, Span), ScanError> {
        let start = self.at;
        if !self.text[start..].starts_with(word) {
            return self.fail("expected a value");
        }
        self.at += word.len();
        Ok((shape, self.span(start)))
    }

    /// At the opening quote. Gives what is between the quotes, and whether it holds escapes.
    #[inline]
    fn string(&mut self) -> Result<(Span, bool), ScanError> {
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            at += ordinary(self.text.get(at..).unwrap_or_default());
            match self.text.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok((Span { start: start as u32, end: at as u32 }, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    // JSON inside of a string is full of these.
                    if self.text.get(at + 1) == Some(&b'"') {
                        at += 2;
                        continue;
                    }
                    self.at = at;
                    self.escape()?;
                    at = self.at;
                }
                other => {
                    self.at = at;
                    let cut = other.is_none();
                    return self.fail(if cut { "a string without an end" } else { "a control character in a string" });
                }
            }
        }
    }

    fn escape(&mut self) -> Result<(), ScanError> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match hex(&self.text[self.at + 2..]) {
                Some(0xD800..0xDC00) => {
                    let low = self.text.get(self.at + 6..).filter(|rest| rest.starts_with(b"\\u"));
                    match low.and_then(|rest| hex(&rest[2..])) {
                        Some(0xDC00..0xE000) => {
                            self.at += 12;
                            Ok(())
                        }
                        _ => self.fail("half of a surrogate pair"),
                    }
                }
                Some(0xDC00..0xE000) => self.fail("half of a surrogate pair"),
                Some(_) => {
                    self.at += 6;
                    Ok(())
                }
                None => self.fail("an unknown escape"),
            },
            _ => self.fail("an unknown escape"),
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<(), ScanError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        let digits = self.digits();
        if digits == 0 || (zero && digits > 1) {
            return self.fail("not a number");
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return self.fail("not a number");
            }
        }
        let exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if exponent {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if self.digits() == 0 {
                return self.fail("not a number");
            }
        }
        // Whoever reads the body must be able to: nothing that a 64-bit float cannot hold.
        if exponent || digits > 300 {
            let text = std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default();
            if !text.parse::<f64>().is_ok_and(f64::is_finite) {
                return self.fail("a number out of range");
            }
        }
        Ok(())
    }
}

/// How many bytes at the front are neither a quote, nor a backslash, nor a control character. Sixteen at a time.
#[cfg(target_feature = "simd128")]
#[inline]
pub(crate) fn ordinary(text: &[u8]) -> usize {
    use std::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_lt, u8x16_splat, u64x2, v128_or};
    let (blocks, rest) = text.as_chunks::<16>();
    for (index, block) in blocks.iter().enumerate() {
        let (words, _) = block.as_chunks::<8>();
        let block = u64x2(u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]));
        let quote = u8x16_eq(block, u8x16_splat(b'"'));
        let backslash = u8x16_eq(block, u8x16_splat(b'\\'));
        let found = u8x16_bitmask(v128_or(v128_or(quote, backslash), u8x16_lt(block, u8x16_splat(0x20))));
        if found != 0 {
            return index * 16 + found.trailing_zeros() as usize;
        }
    }
    text.len() - rest.len() + ordinary_words(rest)
}

#[cfg(not(target_feature = "simd128"))]
pub(crate) use ordinary_words as ordinary;

/// The same, eight at a time.
#[inline]
pub(crate) fn ordinary_words(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        // A byte of a term is high where the byte was zero (or below 0x20); what borrows make of later ones is beyond
        // the first and does not matter.
        let found = ((quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word))
            & HIGH;
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let tail = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len());
    text.len() - rest.len() + tail
}
