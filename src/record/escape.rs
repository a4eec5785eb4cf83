//! The escapes of JSON strings.

/// Undoes the escapes of a string that the scanner has accepted, and appends it.
pub fn unescape(text: &[u8], out: &mut Vec<u8>) {
    // What is between two escapes is short, so nothing is searched or copied byte by byte: eight bytes are written, and
    // the next ones over those that did not belong there. An escape is never longer than what it is written as.
    let begin = out.len();
    out.resize(begin + text.len() + 8, 0);
    let room = &mut out[begin..];
    let (mut at, mut end) = (0, 0);
    while at < text.len() {
        let Some(word) = text[at..].first_chunk::<8>() else {
            if text[at] == b'\\' {
                escape(text, &mut at, room, &mut end);
            } else {
                room[end] = text[at];
                at += 1;
                end += 1;
            }
            continue;
        };
        room[end..end + 8].copy_from_slice(word);
        let before = backslash(u64::from_le_bytes(*word));
        at += before;
        end += before;
        if before == 8 {
            continue;
        }
        // JSON inside of a string is full of these.
        if text.get(at + 1) == Some(&b'"') {
            room[end] = b'"';
            at += 2;
            end += 1;
        } else {
            escape(text, &mut at, room, &mut end);
        }
    }
    out.truncate(begin + end);
}

/// How many bytes stand before the first backslash: eight, if there is none.
#[inline]
fn backslash(word: u64) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let word = word ^ (ONES * b'\\' as u64);
    // Beyond the first, borrows may show one where there is none.
    (word.wrapping_sub(ONES) & !word & (ONES << 7)).trailing_zeros() as usize / 8
}

/// The escape at `at`.
#[inline]
fn escape(text: &[u8], at: &mut usize, room: &mut [u8], end: &mut usize) {
    let plain = match text.get(*at + 1) {
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(b'u') => {
            let mut unit = hex(&text[*at + 2..]).unwrap_or(0xFFFD);
            let mut used = 6;
            if (0xD800..0xDC00).contains(&unit)
                && let Some(low) = text.get(*at + 8..).and_then(hex)
            {
                unit = 0x10000 + ((unit - 0xD800) << 10) + (low.wrapping_sub(0xDC00) & 0x3FF);
                used = 12;
            }
            let scalar = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
            // At most four bytes, of six or twelve.
            *end += scalar.encode_utf8(&mut room[*end..]).len();
            *at += used;
            return;
        }
        Some(byte) => *byte,
        None => b'\\',
    };
    room[*end] = plain;
    *end += 1;
    *at = (*at + 2).min(text.len());
}

/// Four hexadecimal digits.
pub(super) fn hex(text: &[u8]) -> Option<u32> {
    let mut value = 0;
    for byte in text.get(..4)? {
        value = value << 4 | (*byte as char).to_digit(16)?;
    }
    Some(value)
}
