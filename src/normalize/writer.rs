//! Writes JSON straight into the chunk: no tree, no copies of values that can stand as they are.

use crate::{
    chunk::Digest,
    record::{Value, bytes::append, nested, scan, scan::Shape},
};

/// Appends members to an open JSON object. Every member ends in a comma; closing an object or array takes the last one
/// away. So nothing has to look back, and a literal key is one copy of a known length.
#[derive(Debug)]
pub struct Writer<'w> {
    pub out: &'w mut Vec<u8>,
}

/// Where an object or array was opened, to take it back if nothing came into it.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Mark {
    /// Before the key.
    start: usize,
    /// Behind the bracket.
    inside: usize,
}

impl Writer<'_> {
    /// Text of JSON as it is.
    #[inline(always)]
    pub fn raw(&mut self, json: &str) {
        self.out.extend_from_slice(json.as_bytes());
    }

    #[inline(always)]
    pub fn key(&mut self, key: &str) {
        self.out.push(b'"');
        self.raw(key);
        self.raw("\":");
    }

    /// A key that may need escapes.
    pub fn any_key(&mut self, key: &[u8]) {
        self.string(key);
        self.out.push(b':');
    }

    /// Ends a member or an element.
    #[inline(always)]
    pub fn comma(&mut self) {
        self.out.push(b',');
    }

    #[inline(always)]
    pub fn integer(&mut self, key: &str, value: i64) {
        self.key(key);
        self.number(value);
        self.comma();
    }

    #[inline(always)]
    pub fn boolean(&mut self, key: &str, value: bool) {
        self.key(key);
        self.raw(if value { "true," } else { "false," });
    }

    /// A string from plain text.
    #[inline(always)]
    pub fn text(&mut self, key: &str, text: &[u8]) {
        self.key(key);
        self.string(text);
        self.comma();
    }

    /// A string that is known to need no escapes.
    #[inline(always)]
    pub fn literal(&mut self, key: &str, text: &str) {
        self.key(key);
        self.out.push(b'"');
        self.raw(text);
        self.raw("\",");
    }

    /// A string from a scalar value of the record.
    #[inline(always)]
    pub fn scalar(&mut self, key: &str, value: Value<'_>) {
        self.key(key);
        self.scalar_value(value);
        self.comma();
    }

    /// A string from a scalar value of the record, without a key or a comma.
    pub fn scalar_value(&mut self, value: Value<'_>) {
        match value.shape {
            Shape::Text | Shape::Nested => self.string(value.bytes),
            _ => {
                self.out.push(b'"');
                append(self.out, value.bytes);
                self.out.push(b'"');
            }
        }
    }

    /// A value of the record as it is: numbers as numbers, objects as objects. Without a comma.
    pub fn value(&mut self, value: Value<'_>) {
        match value.shape {
            Shape::Plain | Shape::Escaped => {
                self.out.push(b'"');
                append(self.out, value.bytes);
                self.out.push(b'"');
            }
            Shape::Text => self.string(value.bytes),
            Shape::Nested => nested::compact(value.bytes, self.out),
            Shape::Null => self.raw("null"),
            Shape::True | Shape::False | Shape::Number => append(self.out, value.bytes),
        }
    }

    /// A member of an object inside the record: its key stands as it was written, escapes and all.
    pub fn raw_member(&mut self, name: &[u8], value: Value<'_>) {
        self.out.push(b'"');
        append(self.out, name);
        self.raw("\":");
        self.value(value);
        self.comma();
    }

    /// As a string, without a comma.
    pub fn digest(&mut self, digest: Digest) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'"'; 34];
        let bytes = (u128::from(digest.0) << 64 | u128::from(digest.1)).to_be_bytes();
        for (pair, byte) in text[1..33].as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
            *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        }
        self.out.extend_from_slice(&text);
    }

    /// Without a comma.
    pub fn number(&mut self, value: i64) {
        // Most are ids of an enumeration.
        if let 0..=9 = value {
            return self.out.push(b'0' + value as u8);
        }
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut rest = value.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            self.out.push(b'-');
        }
        append(self.out, &digits[at..]);
    }

    /// A string from plain text, quotes included. Without a comma.
    pub fn string(&mut self, mut text: &[u8]) {
        self.out.push(b'"');
        loop {
            let ordinary = scan::ordinary(text);
            append(self.out, &text[..ordinary]);
            let Some(byte) = text.get(ordinary) else { break };
            match byte {
                b'"' => self.raw("\\\""),
                b'\\' => self.raw("\\\\"),
                b'\n' => self.raw("\\n"),
                b'\r' => self.raw("\\r"),
                b'\t' => self.raw("\\t"),
                other => self.raw(&format!("\\u{other:04x}")),
            }
            text = &text[ordinary + 1..];
        }
        self.out.push(b'"');
    }

    #[inline(always)]
    pub fn open(&mut self, key: &str) -> Mark {
        let start = self.out.len();
        self.key(key);
        self.out.push(b'{');
        Mark { start, inside: self.out.len() }
    }

    /// An object as an element of an array.
    #[inline(always)]
    pub fn open_element(&mut self) -> Mark {
        let start = self.out.len();
        self.out.push(b'{');
        Mark { start, inside: self.out.len() }
    }

    #[inline(always)]
    pub fn open_array(&mut self, key: &str) -> Mark {
        let start = self.out.len();
        self.key(key);
        self.out.push(b'[');
        Mark { start, inside: self.out.len() }
    }

    /// Whether something stands in the object or array that was opened last.
    pub fn has_members(&self) -> bool {
        self.out.last() == Some(&b',')
    }

    /// Takes back what stands in an object or array.
    pub fn empty(&mut self, mark: Mark) {
        self.out.truncate(mark.inside);
    }

    /// Closes an object; if it is empty, it never was. Says whether it stands.
    pub fn close(&mut self, mark: Mark) -> bool {
        self.finish(mark, b"},")
    }

    /// Closes an array; if it is empty, it never was. Says whether it stands.
    pub fn close_array(&mut self, mark: Mark) -> bool {
        self.finish(mark, b"],")
    }

    fn finish(&mut self, mark: Mark, closing: &[u8; 2]) -> bool {
        if self.has_members() {
            self.out.pop();
            self.out.extend_from_slice(closing);
            true
        } else {
            self.out.truncate(mark.start);
            false
        }
    }

    /// Closes the outermost object, which has a member.
    pub fn end(&mut self) {
        if self.has_members() {
            self.out.pop();
        }
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_json_reads() {
        let mut out = vec![b'{'];
        let mut json = Writer { out: &mut out };
        json.text("text", "a\"b\\c\n\r\t\u{1}é\u{1F600}\u{2028}/".as_bytes());
        json.integer("least", i64::MIN);
        json.integer("zero", 0);
        let empty = json.open("empty");
        let inner = json.open_array("inner");
        assert!(!json.close_array(inner));
        assert!(!json.close(empty));
        let full = json.open_array("full");
        let element = json.open_element();
        json.boolean("yes", true);
        assert!(json.close(element));
        assert!(json.close_array(full));
        json.key("id");
        json.digest(Digest(1, u64::MAX));
        json.comma();
        json.any_key(b"a\"b");
        json.value(Value { shape: Shape::Nested, bytes: b"[1,\n2]" });
        json.comma();
        json.end();
        let value: serde_json::Value = serde_json::from_slice(&out).expect("valid");
        assert_eq!(
            value,
            serde_json::json!({
                "text": "a\"b\\c\n\r\t\u{1}é\u{1F600}\u{2028}/", "least": i64::MIN, "zero": 0,
                "full": [{"yes": true}], "id": "0000000000000001ffffffffffffffff", "a\"b": [1, 2],
            })
        );
    }
}
