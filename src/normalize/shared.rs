//! What every form reads of a record in the same way.

use std::{borrow::Cow, net::IpAddr};

use crate::{
    kind::Kind,
    record::{Field, Value, nested, scan::Shape, value::is_hex},
};

/// The hashes of a file: field and number of hexadecimal digits.
pub const HASHES: [(Field, usize); 3] = [(Field::Md5, 32), (Field::Sha1, 40), (Field::Sha256, 64)];

/// The place in [`HASHES`] of a hash that does not say what it is: its length tells.
pub fn hash_by_length(hash: Value<'_>) -> Option<usize> {
    let text = hash.text()?;
    HASHES.iter().position(|(_, digits)| is_hex(text, *digits))
}

/// The names that the field `attachments` lists, and whether they are all that it says: what is not cleanly a list of names must stay
/// as it is, too.
pub fn attachment_names<'a>(kind: Kind, value: Value<'a>) -> (Vec<Value<'a>>, bool) {
    let mut names = Vec::new();
    let clean = match value.shape {
        // There it says whether the message has any.
        _ if kind == Kind::HeldRelease => false,
        Shape::Nested => {
            let mut clean = !nested::is_object(value.bytes);
            if clean {
                nested::each(value.bytes, |_, name| match name.text() {
                    Some(_) => names.push(name),
                    None => clean &= !name.populated(),
                });
            }
            // An empty list says nothing that could be lost.
            clean
        }
        // How many there are is not what they are called.
        Shape::True | Shape::False | Shape::Number => false,
        shape => {
            let all = value.text().map(|text| quoted_names(text, |name| names.push(Value { shape, bytes: name })));
            all.unwrap_or(true) && !names.is_empty()
        }
    };
    (names, clean)
}

/// An address as it was written, where that is nothing but the address.
pub fn written_ip<'a>(written: Value<'a>, ip: IpAddr, port: Option<u16>) -> Cow<'a, [u8]> {
    match written.text() {
        Some(text) if port.is_none() && text.first() != Some(&b'[') => Cow::Borrowed(text.trim_ascii()),
        _ => Cow::Owned(ip.to_string().into_bytes()),
    }
}

/// Takes `"a.pdf", "b.png"` apart; what is not quoted is one name. Says whether the names are all that there was.
///
/// A name may hold quotes: it ends at a quote that a comma or the end follows.
fn quoted_names<'t>(text: &'t [u8], mut each: impl FnMut(&'t [u8])) -> bool {
    let mut rest = text.trim_ascii();
    if rest == b"\"\"" {
        return true;
    }
    if rest.first() != Some(&b'"') {
        if !rest.is_empty() {
            each(text);
        }
        return true;
    }
    let mut clean = true;
    loop {
        let Some(inner) = rest.strip_prefix(b"\"") else {
            if !rest.is_empty() {
                each(rest);
                clean = false;
            }
            return clean;
        };
        let end = (0..inner.len()).find(|at| inner[*at] == b'"' && ends_name(&inner[at + 1..]));
        let Some(end) = end else {
            each(inner);
            return false;
        };
        if end > 0 {
            each(&inner[..end]);
        }
        rest = inner[end + 1..].trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
    }
}

fn ends_name(after: &[u8]) -> bool {
    match after.trim_ascii_start() {
        [] => true,
        [b',', next @ ..] => matches!(next.trim_ascii_start().first(), None | Some(b'"')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_attachments() {
        let split = |text: &'static str| {
            let mut names = Vec::new();
            let clean = quoted_names(text.as_bytes(), |name| names.push(String::from_utf8_lossy(name).into_owned()));
            (names.join("|"), clean)
        };
        for (text, names, clean) in [
            (r#""a.pdf""#, "a.pdf", true),
            (r#""a.jpg", "b.png""#, "a.jpg|b.png", true),
            (r#""a, b.jpg","c.png", "#, "a, b.jpg|c.png", true),
            (r#""say "hi".txt", "b.png""#, r#"say "hi".txt|b.png"#, true),
            ("a, b.pdf", "a, b.pdf", true),
            (r#""a.pdf"#, "a.pdf", false),
            (r#""a.pdf", b.pdf"#, r#"a.pdf", b.pdf"#, false),
            (r#""""#, "", true),
            ("", "", true),
        ] {
            assert_eq!(split(text), (names.to_owned(), clean), "{text}");
        }
    }

    #[test]
    fn what_is_no_list_of_names_stays_as_it_is() {
        let read = |shape: Shape, text: &'static str| {
            let (names, clean) = attachment_names(Kind::Receipt, Value { shape, bytes: text.as_bytes() });
            (names.iter().map(|name| String::from_utf8_lossy(name.bytes)).collect::<Vec<_>>().join("|"), clean)
        };
        for (shape, text, names, clean) in [
            (Shape::Number, "2", "", false),
            (Shape::True, "true", "", false),
            (Shape::False, "false", "", false),
            (Shape::Null, "null", "", false),
            (Shape::Text, "2", "2", true),
            (Shape::Text, "", "", false),
            (Shape::Nested, r#"["a.pdf","b.pdf"]"#, "a.pdf|b.pdf", true),
            (Shape::Nested, "[]", "", true),
            (Shape::Nested, r#"["a.pdf",{"b":1}]"#, "a.pdf", false),
            (Shape::Nested, r#"{"a":"b"}"#, "", false),
        ] {
            assert_eq!(read(shape, text), (names.to_owned(), clean), "{shape:?} {text}");
        }
        let text = Value { shape: Shape::Text, bytes: b"a.pdf" };
        let (names, clean) = attachment_names(Kind::HeldRelease, text);
        assert!(names.is_empty() && !clean);
    }
}
