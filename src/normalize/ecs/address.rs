//! Addresses as ECS takes them: any text that somebody can be written to by. Wider than OCSF's pattern (a domain may
//! hold an underscore, or no dot), but `<>` is nobody's.

use crate::record::{Value, nested, scan::Shape, value::is_email};

/// Hands over each address that a value names: one text, a list in a text, a list, an object with `emailAddress`.
/// Says whether the addresses are all that it says.
pub fn each<'a>(value: Value<'a>, mut take: impl FnMut(Value<'a>)) -> bool {
    match value.shape {
        Shape::Null => false,
        Shape::Nested if nested::is_object(value.bytes) => {
            object(value, &mut take);
            false
        }
        Shape::Nested => {
            let mut whole = true;
            nested::each(value.bytes, |_, element| match element.shape {
                Shape::Nested => {
                    whole = false;
                    if nested::is_object(element.bytes) {
                        object(element, &mut take);
                    }
                }
                _ => whole &= one(element, &mut take),
            });
            whole
        }
        _ if value.bytes.is_empty() => false,
        _ if is_email(value.bytes) => {
            take(value);
            true
        }
        _ => list(value, &mut take),
    }
}

/// A text is a list where commas or semicolons stand outside the quotes of a display name.
fn list<'a>(value: Value<'a>, take: &mut impl FnMut(Value<'a>)) -> bool {
    let mut quoted = false;
    let parts = value.bytes.split(|byte| {
        quoted ^= *byte == b'"';
        !quoted && matches!(byte, b',' | b';')
    });
    let mut whole = true;
    parts.for_each(|part| whole &= one(Value { bytes: part.trim_ascii(), ..value }, take));
    whole
}

fn one<'a>(value: Value<'a>, take: &mut impl FnMut(Value<'a>)) -> bool {
    if !value.populated() {
        return true;
    }
    let Some(text) = value.text() else { return false };
    if is_address(text) {
        take(value);
        return true;
    }
    let Some(open) = text.iter().rposition(|byte| *byte == b'<') else { return false };
    let Some(inner) = text[open + 1..].trim_ascii_end().strip_suffix(b">") else { return false };
    if !is_address(inner) {
        return false;
    }
    take(Value { bytes: inner, ..value });
    // A display name says more than the address.
    text[..open].trim_ascii().is_empty()
}

/// The address of `{"emailAddress":"…","displayableName":"…"}`. The object also stays where it is.
fn object<'a>(value: Value<'a>, take: &mut impl FnMut(Value<'a>)) {
    nested::each(value.bytes, |name, member| {
        if name == b"emailAddress" {
            one(member, take);
        }
    });
}

/// Something before and after the last `@`, and nothing in it that ends an address.
pub fn is_address(text: &[u8]) -> bool {
    let Some(at) = text.iter().rposition(|byte| *byte == b'@') else { return false };
    let ends = |byte: &u8| *byte <= b' ' || matches!(byte, b'<' | b'>' | b'"' | b'\\' | b',' | b';' | 0x7f);
    at > 0 && at + 1 < text.len() && !text.iter().any(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(shape: Shape, text: &'static str) -> (String, bool) {
        let mut found = Vec::new();
        let whole = each(Value { shape, bytes: text.as_bytes() }, |value| {
            found.push(String::from_utf8_lossy(value.bytes).into_owned());
        });
        (found.join(" "), whole)
    }

    #[test]
    fn whom_a_text_names() {
        for (text, found, whole) in [
            ("ann@example.com", "ann@example.com", true),
            ("a@under_score.example", "a@under_score.example", true),
            ("recipient@domain", "recipient@domain", true),
            ("a@b.example, c@d.example;e@f.example", "a@b.example c@d.example e@f.example", true),
            ("<ann@example.com>", "ann@example.com", true),
            ("Ann <ann@example.com>", "ann@example.com", false),
            ("\"Ann, B.\" <ann@example.com>; b@c.example", "ann@example.com b@c.example", false),
            ("<>", "", false),
            ("a@b.example, <>", "a@b.example", false),
            ("nobody", "", false),
            ("@", "", false),
            ("", "", false),
        ] {
            assert_eq!(addresses(Shape::Text, text), (found.to_owned(), whole), "{text}");
        }
    }

    #[test]
    fn whom_lists_and_objects_name() {
        for (text, found, whole) in [
            (r#"["a@b.example","c@d.example"]"#, "a@b.example c@d.example", true),
            (r#"["a@b.example",null,"",1]"#, "a@b.example", false),
            (r#"["a@b.example",null,""]"#, "a@b.example", true),
            (r#"{"displayableName":"Ann","emailAddress":"a@b.example"}"#, "a@b.example", false),
            (r#"[{"emailAddress":"a@b.example"},{"emailAddress":"<>"}]"#, "a@b.example", false),
            ("[]", "", true),
            ("[[]]", "", false),
        ] {
            assert_eq!(addresses(Shape::Nested, text), (found.to_owned(), whole), "{text}");
        }
    }
}
