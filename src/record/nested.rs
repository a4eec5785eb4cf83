//! Arrays and objects inside a record: their canonical form, and JSON that comes wrapped in strings.

use super::{
    bytes::append,
    scan::{self, Member, Shape},
    value::Value,
};

/// Appends the canonical form of a value; [`super::identity`] describes it. `stack` is working space.
///
/// A value that the scanner has not accepted is taken as text.
pub fn canonical(value: Value<'_>, stack: &mut Vec<Member>, out: &mut Vec<u8>) {
    match value.shape {
        Shape::Null => out.push(b'n'),
        Shape::Escaped => {
            let mut text = Vec::with_capacity(value.bytes.len());
            scan::unescape(value.bytes, &mut text);
            framed(b's', &text, out);
        }
        Shape::Nested => container(value.bytes, stack, out),
        Shape::True | Shape::False | Shape::Number | Shape::Plain | Shape::Text => framed(b's', value.bytes, out),
    }
}

/// A mark, the length as LEB128, the bytes.
#[inline]
pub fn framed(mark: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(mark);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    append(out, bytes);
}

fn container(text: &[u8], stack: &mut Vec<Member>, out: &mut Vec<u8>) {
    let base = stack.len();
    if scan::nested(text, |member| stack.push(member)).is_err() {
        stack.truncate(base);
        return framed(b's', text, out);
    }
    let object = text.trim_ascii_start().first() == Some(&b'{');
    out.push(if object { b'o' } else { b'a' });
    if object {
        stack[base..]
            .sort_by(|left, right| with_key(text, left, |left| with_key(text, right, |right| left.cmp(right))));
    }
    for index in base..stack.len() {
        let member = stack[index];
        let value = Value { shape: member.shape, bytes: member.value.of(text) };
        if object {
            // Of two equal keys the last stands.
            let repeated = stack
                .get(index + 1)
                .is_some_and(|next| with_key(text, &member, |key| with_key(text, next, |next| key == next)));
            if repeated || !value.populated() {
                continue;
            }
            with_key(text, &member, |key| framed(b'k', key, out));
        }
        canonical(value, stack, out);
    }
    stack.truncate(base);
    out.push(b'e');
}

fn with_key<T>(text: &[u8], member: &Member, use_key: impl FnOnce(&[u8]) -> T) -> T {
    let raw = member.key.of(text);
    if !member.key_escaped {
        return use_key(raw);
    }
    let mut key = Vec::with_capacity(raw.len());
    scan::unescape(raw, &mut key);
    use_key(&key)
}

/// The array or object that a value is, or that its text is the JSON of, through at most two strings: as an object, as
/// a string of JSON, as a string of a string of JSON. `buffer` holds it if the strings had escapes.
///
/// Text that begins like an object or array is not looked at further: [`each`] and [`canonical`] say whether it is one.
pub fn unwrap<'a>(value: Value<'a>, buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    match value.shape {
        Shape::Nested => Some(value.bytes),
        Shape::Plain | Shape::Text if matches!(value.bytes.first(), Some(b'{' | b'[')) => Some(value.bytes),
        Shape::Plain | Shape::Text => match scan::value(value.bytes).ok()? {
            (Shape::Nested, span) => Some(span.of(value.bytes)),
            (shape @ (Shape::Plain | Shape::Escaped), span) => {
                let mut inner = span.of(value.bytes);
                if shape == Shape::Escaped {
                    buffer.clear();
                    scan::unescape(inner, buffer);
                    inner = buffer;
                }
                match scan::value(inner).ok()? {
                    (Shape::Nested, span) => Some(span.of(inner)),
                    _ => None,
                }
            }
            _ => None,
        },
        _ => None,
    }
}

/// Hands over the members of an object (keys as written) or the elements of an array. Says whether it was one to its
/// end: of bytes that the scanner has not accepted before, some may have been handed over when that shows.
pub fn each<'a>(text: &'a [u8], mut take: impl FnMut(&'a [u8], Value<'a>)) -> bool {
    let end = scan::nested(text, |member| {
        take(member.key.of(text), Value { shape: member.shape, bytes: member.value.of(text) });
    });
    end.is_ok()
}

/// Appends an array or object without the blanks between its parts, so that it has no line feed.
pub fn compact(text: &[u8], out: &mut Vec<u8>) {
    if !text.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return out.extend_from_slice(text);
    }
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b' ' | b'\n' | b'\r' | b'\t' => at += 1,
            b'"' => {
                let end = string_end(text, at + 1);
                out.extend_from_slice(&text[at..end]);
                at = end;
            }
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
}

fn string_end(text: &[u8], mut at: usize) -> usize {
    while at < text.len() {
        match text[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Whether the bytes begin an object.
pub fn is_object(text: &[u8]) -> bool {
    text.first() == Some(&b'{')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(json: &str) -> Vec<u8> {
        let mut out = Vec::new();
        canonical(Value { shape: Shape::Nested, bytes: json.as_bytes() }, &mut Vec::new(), &mut out);
        out
    }

    #[test]
    fn order_blanks_escapes_and_absent_members_do_not_matter() {
        let expected = form(r#"{"a":{"c":"x","d":[1,null,""]},"b":true}"#);
        for same in [
            r#"{"b":true,"a":{"d":[1,null,""],"c":"x"}}"#,
            r#" { "b" : "true" , "a" : { "c":"\u0078", "z":null, "y":"", "d":["1",null,""] } } "#,
            r#"{"b":false,"\u0061":{"d":[1,null,""],"c":"x"},"b":true}"#,
        ] {
            assert_eq!(form(same), expected, "{same}");
        }
    }

    #[test]
    fn content_and_structure_matter() {
        let forms = [
            "{}",
            "[]",
            "[{}]",
            "[[]]",
            r#"{"a":"b"}"#,
            r#"["a","b"]"#,
            r#"["ab"]"#,
            r#"["a",["b"]]"#,
            "[1,2]",
            "[2,1]",
            "[null]",
        ];
        for (index, one) in forms.iter().enumerate() {
            for other in &forms[index + 1..] {
                assert_ne!(form(one), form(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn json_is_unwrapped_from_up_to_two_strings() {
        let text = |bytes| Value { shape: Shape::Text, bytes };
        let mut buffer = Vec::new();
        assert_eq!(unwrap(text(br#" {"a":1} "#), &mut buffer), Some(&br#"{"a":1}"#[..]));
        assert_eq!(unwrap(text(br#""{\"a\":1}""#), &mut buffer), Some(&br#"{"a":1}"#[..]));
        assert_eq!(unwrap(text(br#""\"{}\"""#), &mut buffer), None);
        for other in [&b"null"[..], b"1", b"\"{\"", b"text"] {
            assert_eq!(unwrap(text(other), &mut buffer), None);
        }
    }

    #[test]
    fn compact_keeps_strings() {
        let mut out = Vec::new();
        compact(b"{ \"a b\\\"\" :\n [ 1,\t2 ] }", &mut out);
        assert_eq!(out, b"{\"a b\\\"\":[1,2]}");
    }
}
