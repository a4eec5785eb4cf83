//! Moments as an operator names them.

use chrono::{DateTime, Utc};

use crate::outside::Clock;

/// Milliseconds since the Unix epoch, from a time or from so long ago.
///
/// # Errors
/// What to write instead.
pub fn moment(text: &str) -> Result<u64, String> {
    let wrong = || "write 2025-06-01T00:00:00Z, or 7d, 36h, 30m for so long ago".to_owned();
    let time = match text.char_indices().next_back() {
        Some((at, unit @ ('d' | 'h' | 'm'))) => {
            let number: i64 = text[..at].parse().map_err(|_| wrong())?;
            let seconds = match unit {
                'd' => 86_400,
                'h' => 3_600,
                _ => 60,
            };
            let ago = number.checked_mul(seconds).and_then(chrono::TimeDelta::try_seconds).ok_or_else(wrong)?;
            let now = DateTime::<Utc>::from_timestamp_millis(Clock::System.millis() as i64).ok_or_else(wrong)?;
            now.checked_sub_signed(ago).ok_or_else(wrong)?
        }
        _ => DateTime::parse_from_rfc3339(text).map_err(|_| wrong())?.to_utc(),
    };
    u64::try_from(time.timestamp_millis()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(moment("2026-11-18T11:06:40Z"), Ok(1_795_000_000_000));
        let (day, hours) = (moment("1d").unwrap(), moment("24h").unwrap());
        assert!(hours.abs_diff(day) < 10_000 && moment("30m").unwrap() > day);
        for wrong in ["", "d", "7", "yesterday", "7w", "é", "99999999999999999d"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
