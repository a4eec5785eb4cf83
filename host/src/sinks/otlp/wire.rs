//! Protocol buffers, as much as OTLP's logs need: a writer of fields, and a reader of one small answer.
//!
//! A generated encoder would copy each body twice, and its derive macro compiles half of the host's dependencies with other
//! features; these are the few rules of the wire format (protobuf.dev, "Encoding").

/// Writes the fields of one message.
#[derive(Debug, Default)]
pub struct Message(pub Vec<u8>);

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    pub fn number(&mut self, field: u64, value: u64) {
        self.key(field, VARINT);
        self.varint(value);
    }

    pub fn fixed64(&mut self, field: u64, value: u64) {
        self.key(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A text, or bytes: the same on the wire.
    pub fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message in a message. Its length stands before it and is known only behind it, so what was written moves by the few
    /// bytes that the length takes.
    pub fn message(&mut self, field: u64, write: impl FnOnce(&mut Message)) {
        self.key(field, LENGTH);
        let begin = self.0.len();
        write(self);
        let length = self.0.len() - begin;
        self.varint(length as u64);
        let prefix = self.0.len() - begin - length;
        self.0[begin..].rotate_right(prefix);
    }
}

/// One field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Whether all of it is fields, of whatever meaning.
pub fn is_whole(mut message: &[u8]) -> bool {
    while !message.is_empty() {
        if skip(&mut message).is_none() {
            return false;
        }
    }
    true
}

/// Takes a field off.
fn skip(message: &mut &[u8]) -> Option<()> {
    let key = varint(message)?;
    let length = match key & 7 {
        VARINT => varint(message).map(|_| 0)?,
        FIXED64 => 8,
        LENGTH => usize::try_from(varint(message)?).ok()?,
        FIXED32 => 4,
        _ => return None,
    };
    take(message, length)?;
    (key >> 3 > 0).then_some(())
}

/// The fields of a message by number, as far as it can be read.
pub fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        let key = varint(&mut message)?;
        let value = match key & 7 {
            VARINT => Value::Number(varint(&mut message)?),
            FIXED64 => Value::Number(u64::from_le_bytes(take(&mut message, 8)?.try_into().ok()?)),
            LENGTH => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                Value::Bytes(take(&mut message, length)?)
            }
            _ => return None,
        };
        Some((key >> 3, value))
    })
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(taken)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(message, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification() {
        // protobuf.dev, "Encoding": `a: 150`, `b: "testing"`, and the first in a message of field 3.
        let mut message = Message::default();
        message.number(1, 150);
        assert_eq!(message.0, [0x08, 0x96, 0x01]);
        let mut message = Message::default();
        message.bytes(2, b"testing");
        assert_eq!(message.0, [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
        let mut message = Message::default();
        message.message(3, |inner| inner.number(1, 150));
        assert_eq!(message.0, [0x1a, 0x03, 0x08, 0x96, 0x01]);
    }

    #[test]
    fn what_is_written_is_read_and_nonsense_ends_it() {
        let long = [b'x'; 20_000];
        let mut message = Message::default();
        message.message(1, |inner| inner.bytes(2, &long));
        message.fixed64(11, u64::MAX);
        message.number(3, 1 << 63);
        let read: Vec<_> = fields(&message.0).collect();
        let Value::Bytes(inner) = read[0].1 else { panic!() };
        assert_eq!(fields(inner).collect::<Vec<_>>(), [(2, Value::Bytes(&long))]);
        assert_eq!(read[1..], [(11, Value::Number(u64::MAX)), (3, Value::Number(1 << 63))]);
        for cut in 1..20 {
            let whole = fields(&message.0[..message.0.len() - cut]).count();
            assert_eq!(whole, if cut <= 11 { 2 } else { 1 }, "{cut}");
        }
        assert!(is_whole(&message.0) && is_whole(&[]) && is_whole(&[0x0d, 0, 0, 0, 0]));
        assert!(!is_whole(&message.0[..message.0.len() - 1]));
        for text in ["<html>Sign in</html>", "OK", "ok", "Accepted", "\n", "null", "[]"] {
            assert!(!is_whole(text.as_bytes()), "{text}");
        }
        assert_eq!(fields(b"{\"partialSuccess\":{}}").count(), 0, "JSON");
        assert_eq!(fields(&[0xff; 30]).count(), 0);
    }
}
