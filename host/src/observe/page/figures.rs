//! Numbers and times, as people read them.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::html::{Html, put};

/// With a blank between thousands that does not break.
pub struct Number(pub u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str("\u{202f}")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// Events a minute.
pub struct PerMinute(pub f64);

impl fmt::Display for PerMinute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            rate if rate <= 0.0 => f.write_str("0"),
            rate if rate < 10.0 => write!(f, "{rate:.1}"),
            rate => write!(f, "{}", Number(rate.round() as u64)),
        }
    }
}

/// Bytes.
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut size, mut units) = (self.0 as f64, ["KiB", "MiB", "GiB", "TiB"].iter());
        let mut unit = None;
        while size >= 1024.0
            && let Some(next) = units.next()
        {
            (size, unit) = (size / 1024.0, Some(next));
        }
        match unit {
            None => write!(f, "{} B", self.0),
            Some(unit) => write!(f, "{size:.1} {unit}"),
        }
    }
}

/// The largest unit that has a whole number of them, and the next one.
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
            (0, 0, 0, s) => write!(f, "{s} s"),
            // Of a long time, seconds say nothing.
            (0, 0, m @ 10.., _) | (0, 0, m, 0) => write!(f, "{m} min"),
            (0, 0, m, s) => write!(f, "{m} min {s} s"),
            (0, h, 0, _) => write!(f, "{h} h"),
            (0, h, m, _) => write!(f, "{h} h {m} min"),
            (d, 0, ..) => write!(f, "{d} d"),
            (d, h, ..) => write!(f, "{d} d {h} h"),
        }
    }
}

/// A time in milliseconds since the Unix epoch, and how long ago that is.
pub fn ago(page: &mut Html, ms: u64, now_ms: u64) {
    let passed = now_ms.abs_diff(ms);
    let span = Span(Duration::from_millis(passed));
    put!(page, "<time datetime=\"", (instant(ms)), "\" title=\"", (clock(ms)), "\">");
    match (passed < 1_000, ms > now_ms) {
        (true, _) => put!(page, "now"),
        (_, true) => put!(page, "in ", (span)),
        (_, false) => put!(page, (span), " ago"),
    }
    put!(page, "</time>");
}

/// Milliseconds since the Unix epoch by the clock, in UTC.
pub fn clock(ms: u64) -> impl fmt::Display {
    utc(ms).format("%Y-%m-%d %H:%M:%S UTC")
}

/// The same, as machines read it.
pub fn instant(ms: u64) -> String {
    utc(ms).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The reverse of [`instant`], for times that this host wrote.
pub fn millis(text: &str) -> Option<u64> {
    u64::try_from(DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis()).ok()
}

fn utc(ms: u64) -> DateTime<Utc> {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1_000, "1\u{202f}000"), (12_345_678, "12\u{202f}345\u{202f}678")]
        {
            assert_eq!(Number(number).to_string(), text);
        }
        for (rate, text) in [(0.0, "0"), (0.25, "0.2"), (9.96, "10.0"), (1_234.4, "1\u{202f}234")] {
            assert_eq!(PerMinute(rate).to_string(), text);
        }
        for (size, text) in
            [(0, "0 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (5 << 30, "5.0 GiB"), (1 << 60, "1048576.0 TiB")]
        {
            assert_eq!(Size(size).to_string(), text);
        }
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (599, "9 min 59 s"),
            (601, "10 min"),
            (3_600, "1 h"),
            (3_661, "1 h 1 min"),
            (86_400, "1 d"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(Span(Duration::from_secs(seconds)).to_string(), text);
        }
    }

    #[test]
    fn times_say_how_long_ago_they_are() {
        let told = |ms| {
            let mut page = Html::default();
            ago(&mut page, ms, 1_795_000_000_000);
            page.into_string()
        };
        let text = told(1_795_000_000_000 - 90_000);
        assert!(text.contains("2026-11-18T11:05:10.000Z") && text.ends_with(">1 min 30 s ago</time>"), "{text}");
        assert!(told(1_795_000_060_000).ends_with(">in 1 min</time>"));
        assert!(told(1_795_000_000_000).ends_with(">now</time>"));
        assert_eq!(millis(&instant(1_795_000_000_123)), Some(1_795_000_000_123));
        assert_eq!(millis("yesterday"), None);
    }
}
