//! Arrays and objects inside a record: their canonical form, and JSON that comes wrapped in strings.

use std::cmp::Ordering;

use super::{
    bytes::append,
    scan::{self, Node, Shape},
    value::Value,
};

/// An array or object that was read once, to all its depth.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    text: &'a [u8],
    nodes: &'a [Node],
    object: bool,
}

/// What stands in an array or object.
#[derive(Debug, Clone, Copy)]
pub struct Branch<'a> {
    /// As it is written; empty in an array.
    pub key: &'a [u8],
    key_escaped: bool,
    pub value: Value<'a>,
    /// What lies in the value; nothing unless that is an array or object.
    pub inside: Tree<'a>,
}

impl<'a> Tree<'a> {
    /// Reads an array or object that fills `text` except for blanks; `None` if there is none. `nodes` is working space.
    pub fn read(text: &'a [u8], nodes: &'a mut Vec<Node>) -> Option<Self> {
        nodes.clear();
        scan::nodes(text, nodes).ok()?;
        Some(Self { text, nodes, object: is_object(text.trim_ascii_start()) })
    }

    /// As it was written.
    pub fn text(self) -> &'a [u8] {
        self.text
    }

    pub fn is_object(self) -> bool {
        self.object
    }

    /// The members or elements, in order.
    pub fn branches(self) -> impl Iterator<Item = Branch<'a>> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let branch = self.branch(next)?;
            next += 1 + branch.inside.nodes.len();
            Some(branch)
        })
    }

    fn branch(self, index: usize) -> Option<Branch<'a>> {
        let (Node { member, inside }, rest) = self.nodes.get(index..)?.split_first()?;
        let value = Value { shape: member.shape, bytes: member.value.of(self.text) };
        Some(Branch {
            key: member.key.of(self.text),
            key_escaped: member.key_escaped,
            value,
            inside: Tree {
                text: self.text,
                nodes: &rest[..*inside as usize],
                object: value.shape == Shape::Nested && is_object(value.bytes),
            },
        })
    }

    /// Appends the canonical form; [`super::identity`] describes it. `order` is working space.
    pub fn canonical(self, order: &mut Order, out: &mut Vec<u8>) {
        if !self.object {
            out.push(b'a');
            for Branch { value, inside, .. } in self.branches() {
                value_in_tree(value, inside, order, out);
            }
            return out.push(b'e');
        }
        out.push(b'o');
        let base = order.len();
        let mut next = 0;
        while let Some(branch) = self.branch(next) {
            order.push((branch.with_key(beginning), next as u32));
            next += 1 + branch.inside.nodes.len();
        }
        // Most keys differ in what they begin with. The sort is stable: of two equal keys the last stands.
        let key = |(_, index): (u64, u32)| self.branch(index as usize);
        order[base..].sort_by(|left, right| left.0.cmp(&right.0).then_with(|| compare_keys(key(*left), key(*right))));
        for at in base..order.len() {
            let Some(branch) = key(order[at]) else { continue };
            let repeated = order
                .get(at + 1)
                .is_some_and(|next| next.0 == order[at].0 && compare_keys(Some(branch), key(*next)).is_eq());
            if !repeated && branch.value.populated() {
                branch.with_key(|key| framed(b'k', key, out));
                value_in_tree(branch.value, branch.inside, order, out);
            }
        }
        order.truncate(base);
        out.push(b'e');
    }
}

/// Working space: what keys begin with, and where their nodes are.
pub type Order = Vec<(u64, u32)>;

/// The first eight bytes, so that they compare as the whole does.
fn beginning(key: &[u8]) -> u64 {
    match key.first_chunk::<8>() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => (0..8).fold(0, |sum, at| sum << 8 | u64::from(key.get(at).copied().unwrap_or(0))),
    }
}

fn compare_keys(left: Option<Branch<'_>>, right: Option<Branch<'_>>) -> Ordering {
    let (Some(left), Some(right)) = (left, right) else { return Ordering::Equal };
    left.with_key(|left| right.with_key(|right| left.cmp(right)))
}

impl Branch<'_> {
    fn with_key<T>(&self, use_key: impl FnOnce(&[u8]) -> T) -> T {
        if !self.key_escaped {
            return use_key(self.key);
        }
        let mut key = Vec::with_capacity(self.key.len());
        scan::unescape(self.key, &mut key);
        use_key(&key)
    }
}

fn value_in_tree(value: Value<'_>, inside: Tree<'_>, order: &mut Order, out: &mut Vec<u8>) {
    match value.shape {
        Shape::Nested => inside.canonical(order, out),
        _ => scalar(value, out),
    }
}

fn scalar(value: Value<'_>, out: &mut Vec<u8>) {
    match value.shape {
        Shape::Null => out.push(b'n'),
        Shape::Escaped => {
            let mut text = Vec::with_capacity(value.bytes.len());
            scan::unescape(value.bytes, &mut text);
            framed(b's', &text, out);
        }
        _ => framed(b's', value.bytes, out),
    }
}

/// What [`canonical`] works with.
#[derive(Debug, Default)]
pub struct Room {
    nodes: Vec<Node>,
    pub order: Order,
}

/// Appends the canonical form of a value; [`super::identity`] describes it.
///
/// A value that the scanner has not accepted is taken as text.
pub fn canonical(value: Value<'_>, room: &mut Room, out: &mut Vec<u8>) {
    match value.shape {
        Shape::Nested => match Tree::read(value.bytes, &mut room.nodes) {
            Some(tree) => tree.canonical(&mut room.order, out),
            None => framed(b's', value.bytes, out),
        },
        _ => scalar(value, out),
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

/// JSON that may come wrapped in strings, read once: as an array or object, as a string of JSON, as a string of a string
/// of JSON. Made once and used for one record after the other.
#[derive(Debug, Default)]
pub struct Wrapped {
    text: Vec<u8>,
    nodes: Vec<Node>,
    object: bool,
    is_whole: bool,
}

impl Wrapped {
    pub fn read(&mut self, value: Value<'_>) {
        self.text.clear();
        self.is_whole = unwrap_into(value, &mut self.text).is_some();
        if self.is_whole {
            match Tree::read(&self.text, &mut self.nodes) {
                Some(tree) => self.object = tree.object,
                None => self.is_whole = false,
            }
        }
    }

    /// `None` if the value was no JSON of an array or object.
    pub fn tree(&self) -> Option<Tree<'_>> {
        self.is_whole.then_some(Tree { text: &self.text, nodes: &self.nodes, object: self.object })
    }
}

/// Appends what is an array or object, if anything is.
fn unwrap_into(value: Value<'_>, out: &mut Vec<u8>) -> Option<()> {
    match value.shape {
        Shape::Nested => out.extend_from_slice(value.bytes),
        Shape::Plain | Shape::Text if value.bytes.trim_ascii_start().first() == Some(&b'"') => {
            let (shape, span) = scan::value(value.bytes).ok()?;
            let inner = span.of(value.bytes);
            if shape == Shape::Escaped { scan::unescape(inner, out) } else { out.extend_from_slice(inner) }
        }
        Shape::Plain | Shape::Text => out.extend_from_slice(value.bytes),
        _ => return None,
    }
    Some(())
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
        canonical(Value { shape: Shape::Nested, bytes: json.as_bytes() }, &mut Room::default(), &mut out);
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
    fn wrapped_json_is_read_once_to_all_its_depth() {
        let mut wrapped = Wrapped::default();
        let mut read = |shape, bytes: &[u8]| {
            wrapped.read(Value { shape, bytes });
            wrapped.tree().map(|tree| {
                let mut out = Vec::new();
                tree.canonical(&mut Vec::new(), &mut out);
                (out, tree.branches().map(|branch| branch.inside.branches().count()).collect::<Vec<_>>())
            })
        };
        let bare = read(Shape::Nested, br#"{"b":{"x":[1,2],"y":{}},"a":[{}],"c":"{}"}"#).expect("an object");
        assert_eq!(bare.1, [2, 1, 0]);
        assert_eq!(bare.0, form(r#"{"a":[{}],"b":{"x":[1,2],"y":{}},"c":"{}"}"#));
        let once = br#" {"b":{"x":[1,2],"y":{}},"a":[{}],"c":"{}"} "#;
        let twice = br#" "{\"b\":{\"x\":[1,2],\"y\":{}},\"a\":[{}],\"c\":\"{}\"}""#;
        assert_eq!(read(Shape::Text, once).as_ref(), Some(&bare));
        assert_eq!(read(Shape::Text, twice).as_ref(), Some(&bare));
        for other in [&b"{"[..], b"\"{\"", b"\"{}", b"null", b"", br#""\"{}\"""#] {
            assert_eq!(read(Shape::Text, other), None, "{}", String::from_utf8_lossy(other));
        }
        assert_eq!(read(Shape::Number, b"1"), None);
    }

    #[test]
    fn keys_that_begin_alike_are_in_order() {
        let expected = form(r#"{"a":"1","abcdefgh":"2","abcdefgha":"3","abcdefghb":"4"}"#);
        let mixed = r#"{"abcdefghb":"4","abcdefgha":"0","a":"1","abcdefgh\u0061":"3","abcdefgh":"2"}"#;
        assert_eq!(form(mixed), expected);
    }

    #[test]
    fn compact_keeps_strings() {
        let mut out = Vec::new();
        compact(b"{ \"a b\\\"\" :\n [ 1,\t2 ] }", &mut out);
        assert_eq!(out, b"{\"a b\\\"\":[1,2]}");
    }
}
