//! When a record says that it happened. All spellings of section 3.3 of the API reference.

use super::{Value, scan::Shape, value::integer};
use crate::chunk::Timestamp;

/// A number below this is seconds, not milliseconds: as seconds it is the year 3000, as milliseconds January 1971. A
/// thousand times that is where microseconds begin, and again nanoseconds.
const SECONDS_BELOW: u64 = 32_503_680_000;
const NANOSECONDS: u64 = 1_000_000_000;

/// Milliseconds (or what else the size of the number says), as a number or as text, whole or decimal, or a date with its
/// time and offset. `None` if it is neither, or before 1970.
pub fn parse(value: Value<'_>) -> Option<Timestamp> {
    let text = value.text()?.trim_ascii();
    if text.iter().all(u8::is_ascii_digit) {
        let number: u64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        return number.checked_mul(unit(number));
    }
    decimal(text).or_else(|| if value.shape == Shape::Number { None } else { date_time(text) })
}

/// How many nanoseconds a number of this size counts.
fn unit(number: u64) -> u64 {
    match number {
        0..SECONDS_BELOW => NANOSECONDS,
        SECONDS_BELOW..32_503_680_000_000 => 1_000_000,
        32_503_680_000_000..32_503_680_000_000_000 => 1_000,
        _ => 1,
    }
}

/// `1740816902.123`
fn decimal(text: &[u8]) -> Option<Timestamp> {
    let point = text.iter().position(|byte| *byte == b'.')?;
    let whole = u64::try_from(integer(&text[..point])?).ok()?;
    let mut rest = Reader(&text[point + 1..]);
    let billionths = rest.fraction().filter(|_| rest.0.is_empty())?;
    let unit = unit(whole);
    whole.checked_mul(unit)?.checked_add(billionths * unit / NANOSECONDS)
}

/// `2025-03-01T08:15:02+0000`, with `+00:00` or `Z`, with fractions, with `T9:05:31`, with a blank after `T09:`.
/// Without an offset it is UTC.
pub fn date_time(text: &[u8]) -> Option<Timestamp> {
    let mut reader = Reader(text.trim_ascii());
    let year = reader.digits(4, 4)?;
    reader.expect(b'-')?;
    let month = reader.digits(1, 2)?;
    reader.expect(b'-')?;
    let day = reader.digits(1, 2)?;
    if !matches!(reader.next()?, b'T' | b't' | b' ') {
        return None;
    }
    let hour = reader.spaced_digits()?;
    reader.expect(b':')?;
    let minute = reader.spaced_digits()?;
    reader.expect(b':')?;
    let second = reader.spaced_digits()?;
    let fraction = if reader.take(b'.') || reader.take(b',') { reader.fraction()? } else { 0 };
    let offset = reader.offset()?;
    if !reader.0.is_empty() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days(year, month, day)?;
    let local = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let seconds = u64::try_from(local - offset).ok()?;
    seconds.checked_mul(NANOSECONDS)?.checked_add(fraction)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March, so that the leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    Some(year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 719_469)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    fn digits(&mut self, least: usize, most: usize) -> Option<i64> {
        let count = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        Some(digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    }

    fn spaced_digits(&mut self) -> Option<i64> {
        self.0 = self.0.trim_ascii_start();
        self.digits(1, 2)
    }

    /// Nanoseconds.
    fn fraction(&mut self) -> Option<u64> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        Some((0..9).fold(0, |value, place| value * 10 + digits.get(place).map_or(0, |digit| u64::from(digit - b'0'))))
    }

    /// Seconds east of UTC.
    fn offset(&mut self) -> Option<i64> {
        self.0 = self.0.trim_ascii_start();
        let sign = match self.next() {
            None => return Some(0),
            Some(b'Z' | b'z') => return Some(0),
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        let hours = self.digits(2, 2)?;
        self.take(b':');
        let minutes = if self.0.is_empty() { 0 } else { self.digits(2, 2)? };
        (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = NANOSECONDS;

    fn text(bytes: &str) -> Option<Timestamp> {
        parse(Value { shape: Shape::Text, bytes: bytes.as_bytes() })
    }

    #[test]
    fn every_spelling_of_a_time() {
        // 2025-03-01T08:15:02Z
        let moment = 1_740_816_902 * SECOND;
        for same in [
            "2025-03-01T08:15:02+0000",
            "2025-03-01T08:15:02+00:00",
            "2025-03-01T08:15:02Z",
            "2025-03-01T8:15:02Z",
            "2025-03-01T08: 15:02+0000",
            "2025-03-01T09:15:02+0100",
            "2025-03-01T04:15:02-0400",
            "2025-03-01T13:45:02+05:30",
            "2025-03-01 08:15:02",
            "2025-03-01T08:15:02.000Z",
            " 2025-03-01T08:15:02 +0000 ",
            "1740816902000",
            "1740816902",
            " 1740816902000 ",
        ] {
            assert_eq!(text(same), Some(moment), "{same}");
        }
        assert_eq!(text("2025-03-01T08:15:02.123Z"), Some(moment + 123_000_000));
        assert_eq!(text("2025-03-01T08:15:02.1234567891Z"), Some(moment + 123_456_789));
        assert_eq!(text("2024-02-29T00:00:00Z"), Some(1_709_164_800 * SECOND));
        assert_eq!(text("1970-01-01T00:00:00Z"), Some(0));
        let number = |bytes| parse(Value { shape: Shape::Number, bytes });
        assert_eq!(number(&b"1740816902123"[..]), Some(moment + 123_000_000));
        assert_eq!(number(&b"1740816902"[..]), Some(moment));
        for (written, nanoseconds) in [
            ("1740816902.5", 500_000_000),
            ("1740816902.123456789", 123_456_789),
            ("1740816902123.0", 123_000_000),
            ("1740816902123.25", 123_250_000),
            ("1740816902123456", 123_456_000),
            ("1740816902123456.5", 123_456_500),
            ("1740816902123456789", 123_456_789),
        ] {
            assert_eq!(text(written), Some(moment + nanoseconds), "{written}");
            assert_eq!(number(written.as_bytes()), Some(moment + nanoseconds), "{written}");
        }
        assert_eq!(number(&b"1.7e12"[..]), None);
    }

    #[test]
    fn what_is_no_time() {
        for bad in [
            "",
            "yesterday",
            "2025-13-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2025-03-01",
            "2025-03-01T24:00:00Z",
            "2025-03-01T08:15:02+2500",
            "2025-03-01T08:15:02 BST",
            "1969-12-31T23:59:59Z",
            "-5",
            "-5.5",
            "1740816902.",
            ".5",
            "1740816902.5.5",
            "1740816902.-5",
            "2025-03-01T08:15:02.Z",
            "2025-03-01T08:15:02Zx",
        ] {
            assert_eq!(text(bad), None, "{bad}");
        }
    }
}
