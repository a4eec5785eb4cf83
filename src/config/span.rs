//! Durations and instants as an operator writes them.

pub const MILLISECOND: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MILLISECOND;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;

/// `45s`, `90m`, `36h`, `7d`, `2w` in nanoseconds.
pub fn duration(text: &str) -> Option<u64> {
    let text = text.trim();
    let unit = match text.chars().last()? {
        's' => SECOND,
        'm' => MINUTE,
        'h' => HOUR,
        'd' => DAY,
        'w' => 7 * DAY,
        _ => return None,
    };
    let digits = text[..text.len() - 1].trim_end();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// An RFC 3339 time in nanoseconds since the epoch.
pub fn instant(text: &str) -> Option<u64> {
    let time = chrono::DateTime::parse_from_rfc3339(text.trim()).ok()?;
    u64::try_from(time.timestamp_nanos_opt()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("7d", Some(7 * DAY)),
            ("36h", Some(36 * HOUR)),
            (" 90 m ", Some(90 * MINUTE)),
            ("2w", Some(14 * DAY)),
            ("0s", Some(0)),
            ("7", None),
            ("d", None),
            ("-7d", None),
            ("7 days", None),
            ("99999999999999999999d", None),
            ("", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn instants() {
        assert_eq!(instant("2026-03-01T00:00:00Z"), Some(1_772_323_200 * SECOND));
        assert_eq!(instant("2026-03-01T01:00:00.5+01:00"), Some(1_772_323_200 * SECOND + SECOND / 2));
        assert_eq!(instant("2026-03-01"), None);
        assert_eq!(instant("1900-01-01T00:00:00Z"), None);
    }
}
