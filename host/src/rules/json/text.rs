//! What stands between the quotes of a string: as it is spelled, and as it is meant.

use std::borrow::Cow;
use std::ops::Range;

/// The end of the string whose text begins at `begin`: where its closing quote stands, and whether something is escaped.
///
/// # Errors
/// Where it is no string, and why.
pub fn string_end(bytes: &[u8], begin: usize) -> Result<(usize, bool), (usize, &'static str)> {
    let (mut at, mut escaped) = (begin, false);
    loop {
        // Eight at once, until one of them needs a look.
        while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let special = special(u64::from_le_bytes(*eight));
            if special != 0 {
                at += special.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        match bytes.get(at) {
            None => return Err((at, "a string does not end")),
            Some(b'"') => return Ok((at, escaped)),
            Some(b'\\') => {
                at += escape(&bytes[at..]).ok_or((at, "an escape that there is not"))?;
                escaped = true;
            }
            Some(0..0x20) => return Err((at, "a control character in a string")),
            Some(_) => at += 1,
        }
    }
}

/// The high bit of the first byte that is a quote, a backslash or a control character; those above it may be wrong.
fn special(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let control = eight.wrapping_sub(ONES * 0x20) & !eight & HIGH;
    zero(eight ^ (ONES * u64::from(b'"'))) | zero(eight ^ (ONES * u64::from(b'\\'))) | control
}

/// How long the escape at the begin of `bytes` is; a surrogate pair is two.
fn escape(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' if bytes.get(2..6)?.iter().all(u8::is_ascii_hexdigit) => Some(6),
        _ => None,
    }
}

/// A string's text as it is meant, which still knows how it is spelled.
pub struct Text<'a> {
    meant: Cow<'a, str>,
    /// Around every escape: a place in the text, and the same place in the spelling. Between two of them both go alike.
    places: Vec<(usize, usize)>,
}

impl<'a> Text<'a> {
    /// Of what stands between the quotes of a valid string, or of a number's text. Half a surrogate pair is U+FFFD.
    pub fn of(spelled: &'a str) -> Self {
        let Some(mut next) = spelled.find('\\') else {
            return Self::plain(spelled);
        };
        let (mut meant, mut places, mut begin) = (String::with_capacity(spelled.len()), Vec::new(), 0);
        loop {
            meant.push_str(&spelled[begin..next]);
            places.push((meant.len(), next));
            let (character, length) = unescape(&spelled[next..]);
            meant.push(character);
            begin = next + length;
            places.push((meant.len(), begin));
            match spelled[begin..].find('\\') {
                Some(more) => next = begin + more,
                None => break,
            }
        }
        meant.push_str(&spelled[begin..]);
        Self { meant: Cow::Owned(meant), places }
    }

    /// The same where nothing is escaped.
    pub fn plain(spelled: &'a str) -> Self {
        Self { meant: Cow::Borrowed(spelled), places: Vec::new() }
    }

    pub fn as_str(&self) -> &str {
        &self.meant
    }

    /// Where a part of the text stands in its spelling. Begin and end lie between characters.
    pub fn spelled(&self, part: Range<usize>) -> Range<usize> {
        self.place(part.start)..self.place(part.end)
    }

    fn place(&self, meant: usize) -> usize {
        match self.places.partition_point(|(known, _)| *known <= meant) {
            0 => meant,
            after => {
                let (known, spelled) = self.places[after - 1];
                spelled + (meant - known)
            }
        }
    }
}

/// The character that the escape at the begin of `spelled` means, and how long the escape is.
fn unescape(spelled: &str) -> (char, usize) {
    let bytes = spelled.as_bytes();
    let simple = match bytes.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let unit = |at: usize| spelled.get(at..at + 4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
            let high = unit(2).unwrap_or(0xfffd);
            if let Some(character) = char::from_u32(u32::from(high)) {
                return (character, 6);
            }
            let low = if spelled[6..].starts_with("\\u") { unit(8) } else { None };
            return match char::decode_utf16([high, low.unwrap_or(0)]).next() {
                Some(Ok(character)) => (character, 12),
                _ => (char::REPLACEMENT_CHARACTER, 6),
            };
        }
        // A quote, a backslash or a slash, as the string is valid.
        Some(other) => char::from(*other),
        None => '\\',
    };
    (simple, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_what_serde_json_reads() {
        for spelled in [
            "",
            "plain",
            "é",
            r#"a\"b"#,
            r"\\",
            r"\/\b\f\n\r\t",
            r"\u0041\u00e9",
            r"x\ud83d\ude00y",
            r"\u0000",
            r"a\\u0041",
        ] {
            let expected: String = serde_json::from_str(&format!("\"{spelled}\"")).unwrap();
            assert_eq!(Text::of(spelled).as_str(), expected, "{spelled}");
        }
        for (spelled, meant) in [
            (r"\ud83d", "\u{fffd}"),
            (r"\ude00x", "\u{fffd}x"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
            (r"\ud83dé", "\u{fffd}é"),
            (r"\ud83d\n", "\u{fffd}\n"),
        ] {
            assert_eq!(Text::of(spelled).as_str(), meant, "{spelled}");
        }
    }

    #[test]
    fn a_part_is_found_in_its_spelling() {
        let spelled = r#"a\"b\u00e9\ud83d\ude00cé\\"#;
        let text = Text::of(spelled);
        assert_eq!(text.as_str(), "a\"bé\u{1f600}cé\\");
        for (part, expected) in [
            ("a", "a"),
            ("\"", r#"\""#),
            ("a\"b", r#"a\"b"#),
            ("é", r"\u00e9"),
            ("\u{1f600}c", r"\ud83d\ude00c"),
            ("cé", "cé"),
            ("\\", r"\\"),
        ] {
            let begin = text.as_str().find(part).unwrap();
            assert_eq!(&spelled[text.spelled(begin..begin + part.len())], expected);
        }
        let end = text.as_str().len();
        assert_eq!(text.spelled(end..end), spelled.len()..spelled.len());
    }

    #[test]
    fn ends_of_strings() {
        for length in 0..20 {
            for special in ["\"", "\u{1}", "\u{1f}", "é\"", "\u{80}\"", "\u{7f} !#[]\""] {
                let text = "x".repeat(length) + special + "\"";
                let plain = text.bytes().position(|byte| byte == b'"' || byte < 0x20).unwrap();
                let expected = if text.as_bytes()[plain] == b'"' { Ok(plain) } else { Err(plain) };
                assert_eq!(
                    string_end(text.as_bytes(), 0).map(|(end, _)| end).map_err(|(at, _)| at),
                    expected,
                    "{text:?}"
                );
            }
        }
    }
}
