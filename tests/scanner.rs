//! The scanner accepts and refuses what `serde_json` does, and reads the same.

use mimecast_source::record::scan::{self, Shape};
use serde_json::Value;

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    fn pick<'t>(&mut self, list: &[&'t str]) -> &'t str {
        list[self.below(list.len())]
    }
}

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-17",
    "1.5",
    "0.0",
    "1e5",
    "1E-5",
    "1e400",
    "-1e400",
    "0e999",
    "01",
    "1.",
    ".5",
    "-",
    "+1",
    "1e",
    "18446744073709551616",
    "1740816902123",
    "--1",
    "1e+2",
    "NaN",
];
const PIECES: &[&str] = &[
    "a",
    "ä",
    "\u{1F600}",
    " ",
    "<m1@example.org>",
    "\\n",
    "\\u0041",
    "\\u00e4",
    "\\ud83d\\ude00",
    "\\\"",
    "\\\\",
    "\\/",
    "12345678901234567890",
    "\\b\\f\\r\\t",
    "|=",
    "\\u0000",
    "\u{7f}",
    "\u{2028}",
];
const BAD_PIECES: &[&str] =
    &["\\x", "\\ud83d", "\\ude00", "\\ud83dx", "\\ud83d\\n", "\\u12", "\n", "\u{1}", "\\", "\\u00g0", "\\ud83d\\ud83d"];

fn string(random: &mut Random, out: &mut String) {
    out.push('"');
    for _ in 0..random.below(6) {
        let bad = random.below(60) == 0;
        out.push_str(random.pick(if bad { BAD_PIECES } else { PIECES }));
    }
    out.push('"');
}

fn blanks(random: &mut Random, out: &mut String) {
    if random.below(4) == 0 {
        out.push_str(random.pick(&[" ", "\n", "\t", "\r\n", "  "]));
    }
}

fn value(random: &mut Random, depth: usize, out: &mut String) {
    match random.below(if depth == 0 { 6 } else { 8 }) {
        0 => out.push_str("null"),
        1 => out.push_str(random.pick(&["true", "false"])),
        2 => {
            let choice = if random.below(8) == 0 { NUMBERS } else { &NUMBERS[..8] };
            out.push_str(random.pick(choice));
        }
        3..=5 => string(random, out),
        6 => object(random, depth - 1, out),
        _ => {
            out.push('[');
            for index in 0..random.below(4) {
                if index > 0 {
                    out.push(',');
                }
                blanks(random, out);
                value(random, depth - 1, out);
                blanks(random, out);
            }
            out.push(']');
        }
    }
}

fn object(random: &mut Random, depth: usize, out: &mut String) {
    out.push('{');
    for index in 0..random.below(5) {
        if index > 0 {
            out.push(',');
        }
        blanks(random, out);
        string(random, out);
        blanks(random, out);
        out.push(':');
        blanks(random, out);
        value(random, depth, out);
        blanks(random, out);
    }
    out.push('}');
}

/// The object as the scanner sees it, built by `serde_json` from the pieces that it found.
fn scanned(text: &[u8]) -> Result<Value, String> {
    let mut members = serde_json::Map::new();
    scan::object(text, |member| {
        let string = |escaped: bool, raw: &[u8]| {
            let mut plain = Vec::new();
            if escaped {
                assert!(raw.contains(&b'\\'));
                scan::unescape(raw, &mut plain);
            } else {
                assert!(!raw.contains(&b'\\') && !raw.contains(&b'"'));
                plain.extend_from_slice(raw);
            }
            String::from_utf8(plain).expect("UTF-8 in, UTF-8 out")
        };
        let raw = member.value.of(text);
        let value = match member.shape {
            Shape::Plain => Value::String(string(false, raw)),
            Shape::Escaped => Value::String(string(true, raw)),
            _ => serde_json::from_slice(raw).expect("a value that the scanner has accepted"),
        };
        members.insert(string(member.key_escaped, member.key.of(text)), value);
    })
    .map_err(|error| error.to_string())?;
    Ok(Value::Object(members))
}

fn compare(text: &[u8]) -> bool {
    let expected = serde_json::from_slice::<Value>(text).ok().filter(Value::is_object);
    let got = scanned(text);
    assert_eq!(got.as_ref().ok(), expected.as_ref(), "{}: {got:?}", String::from_utf8_lossy(text));
    expected.is_some()
}

#[test]
fn generated_and_mutated_records() {
    let mut random = Random(0x5EED_1234_5678_9ABC);
    let mut accepted = 0;
    for round in 0..30_000 {
        let mut text = String::new();
        blanks(&mut random, &mut text);
        object(&mut random, 3, &mut text);
        blanks(&mut random, &mut text);
        accepted += usize::from(compare(text.as_bytes()));
        // The same with a byte changed, cut out or put in; what is then no UTF-8 is for another test.
        let mut bytes = text.into_bytes();
        let at = random.below(bytes.len());
        let new = b"\"\\{}[]:,0eE-.nu \x1f"[random.below(17)];
        match round % 3 {
            0 => bytes[at] = new,
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, new),
        }
        if std::str::from_utf8(&bytes).is_ok() {
            accepted += usize::from(compare(&bytes));
        }
        bytes.truncate(at);
        if std::str::from_utf8(&bytes).is_ok() {
            compare(&bytes);
        }
    }
    // Neither side of the comparison may be empty.
    assert!((10_000..50_000).contains(&accepted), "{accepted}");
}

#[test]
fn the_edges() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "{}",
        "{} ",
        "{}x",
        "{}{}",
        "[]",
        "1",
        "\"x\"",
        "null",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{\"a\" 1}",
        "\u{feff}{}",
    ] {
        compare(text.as_bytes());
    }
    for depth in 120..135 {
        let nested = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        compare(nested.as_bytes());
        let nested = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        compare(nested.as_bytes());
    }
    for number in NUMBERS {
        compare(format!("{{\"a\":{number}}}").as_bytes());
    }
    compare(format!("{{\"a\":1{}}}", "0".repeat(400)).as_bytes());
    compare(format!("{{\"a\":0.{}1}}", "0".repeat(400)).as_bytes());
    for piece in BAD_PIECES.iter().chain(PIECES) {
        for padding in 0..17 {
            compare(format!("{{\"{0}{piece}{0}\":\"{0}{piece}{0}\"}}", "x".repeat(padding)).as_bytes());
        }
    }
    // What only the scanner takes: bytes that are no UTF-8, but only in a string.
    assert!(scan::object(b"{\"a\":\"\xff\"}", |_| {}).is_ok());
    assert!(scan::object(b"{\"a\":\xff}", |_| {}).is_err());
}

#[test]
fn the_error_says_where_and_not_what() {
    let error = scan::object(br#"{"secret":"value" x}"#, |_| {}).expect_err("not JSON").to_string();
    assert_eq!(error, "the record is not valid JSON: expected a comma or a closing brace at byte 18");
    assert_eq!(scan::object(b"[1]", |_| {}).expect_err("no object").to_string(), "the record is not a JSON object");
}
