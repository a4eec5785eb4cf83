//! Writes JSON straight into the chunk: no tree, no copies of values that can stand as they are.

use crate::{
    chunk::Digest,
    record::{Value, nested, scan, scan::Shape},
};

/// Appends members to an open JSON object. Commas are put where they belong.
#[derive(Debug)]
pub struct Writer<'w> {
    pub out: &'w mut Vec<u8>,
}

/// Where an object or array was opened, to take it back if nothing came into it.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Mark(usize);

impl Writer<'_> {
    /// Text of JSON as it is.
    #[inline]
    pub fn raw(&mut self, json: &str) {
        self.out.extend_from_slice(json.as_bytes());
    }

    /// A comma, unless an object or array was just opened. (A string ends in a quote, so the last byte tells.)
    #[inline]
    pub fn separate(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[') | None) {
            self.out.push(b',');
        }
    }

    #[inline]
    pub fn key(&mut self, key: &str) {
        self.separate();
        self.out.push(b'"');
        self.raw(key);
        self.raw("\":");
    }

    /// A key that may need escapes.
    pub fn any_key(&mut self, key: &[u8]) {
        self.separate();
        self.string(key);
        self.out.push(b':');
    }

    /// Members written elsewhere.
    #[inline]
    pub fn members(&mut self, json: &str) {
        self.separate();
        self.raw(json);
    }

    #[inline]
    pub fn integer(&mut self, key: &str, value: i64) {
        self.key(key);
        self.number(value);
    }

    pub fn boolean(&mut self, key: &str, value: bool) {
        self.key(key);
        self.raw(if value { "true" } else { "false" });
    }

    /// A string from plain text.
    pub fn text(&mut self, key: &str, text: &[u8]) {
        self.key(key);
        self.string(text);
    }

    /// A string from a scalar value of the record.
    #[inline]
    pub fn scalar(&mut self, key: &str, value: Value<'_>) {
        self.key(key);
        self.scalar_value(value);
    }

    #[inline]
    pub fn scalar_value(&mut self, value: Value<'_>) {
        match value.shape {
            Shape::Text | Shape::Nested => self.string(value.bytes),
            _ => {
                self.out.push(b'"');
                self.out.extend_from_slice(value.bytes);
                self.out.push(b'"');
            }
        }
    }

    /// A value of the record as it is: numbers as numbers, objects as objects.
    pub fn value(&mut self, value: Value<'_>) {
        match value.shape {
            Shape::Plain | Shape::Escaped => {
                self.out.push(b'"');
                self.out.extend_from_slice(value.bytes);
                self.out.push(b'"');
            }
            Shape::Text => self.string(value.bytes),
            Shape::Nested => nested::compact(value.bytes, self.out),
            Shape::Null => self.raw("null"),
            Shape::True | Shape::False | Shape::Number => self.out.extend_from_slice(value.bytes),
        }
    }

    pub fn digest(&mut self, digest: Digest) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.out.push(b'"');
        for half in [digest.0, digest.1] {
            let bytes = half.to_be_bytes();
            for byte in bytes {
                self.out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
        }
        self.out.push(b'"');
    }

    pub fn number(&mut self, value: i64) {
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
        self.out.extend_from_slice(&digits[at..]);
    }

    /// A string from plain text, quotes included.
    pub fn string(&mut self, mut text: &[u8]) {
        self.out.push(b'"');
        loop {
            let ordinary = scan::ordinary(text);
            self.out.extend_from_slice(&text[..ordinary]);
            let Some(byte) = text.get(ordinary) else { break };
            match byte {
                b'"' => self.raw("\\\""),
                b'\\' => self.raw("\\\\"),
                b'\n' => self.raw("\\n"),
                b'\r' => self.raw("\\r"),
                b'\t' => self.raw("\\t"),
                other => {
                    let code = format!("\\u{:04x}", other);
                    self.raw(&code);
                }
            }
            text = &text[ordinary + 1..];
        }
        self.out.push(b'"');
    }

    pub fn open(&mut self, key: &str) -> Mark {
        let mark = Mark(self.out.len());
        self.key(key);
        self.out.push(b'{');
        mark
    }

    /// An object as an element of an array.
    pub fn open_element(&mut self) -> Mark {
        let mark = Mark(self.out.len());
        self.separate();
        self.out.push(b'{');
        mark
    }

    pub fn open_array(&mut self, key: &str) -> Mark {
        let mark = Mark(self.out.len());
        self.key(key);
        self.out.push(b'[');
        mark
    }

    /// Closes an object; if it is empty, it never was. Says whether it stands.
    pub fn close(&mut self, mark: Mark) -> bool {
        self.finish(mark, b'{', b'}')
    }

    /// Closes an array; if it is empty, it never was. Says whether it stands.
    pub fn close_array(&mut self, mark: Mark) -> bool {
        self.finish(mark, b'[', b']')
    }

    fn finish(&mut self, mark: Mark, opening: u8, closing: u8) -> bool {
        let empty = self.out.last() == Some(&opening);
        if empty {
            self.out.truncate(mark.0);
        } else {
            self.out.push(closing);
        }
        !empty
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
        json.any_key(b"a\"b");
        json.value(Value { shape: Shape::Nested, bytes: b"[1,\n2]" });
        out.push(b'}');
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
