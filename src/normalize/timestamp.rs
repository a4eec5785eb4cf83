//! Times as text: RFC 3339 in UTC, which is ISO 8601.

use crate::chunk::Timestamp;

/// Appends `2025-03-01T08:15:02.123Z`, without quotes. Three digits of a second, or nine where three do not suffice.
pub fn append(time: Timestamp, out: &mut Vec<u8>) {
    let (seconds, nanoseconds) = (time / 1_000_000_000, time % 1_000_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day);
    digits(&mut text[11..13], second / 3600);
    digits(&mut text[14..16], second / 60 % 60);
    digits(&mut text[17..19], second % 60);
    if nanoseconds % 1_000_000 == 0 {
        digits(&mut text[20..23], nanoseconds / 1_000_000);
        text[23] = b'Z';
        out.extend_from_slice(&text[..24]);
    } else {
        digits(&mut text[20..29], nanoseconds);
        out.extend_from_slice(&text);
    }
}

fn digits(text: &mut [u8], mut value: u64) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// The date of a day since 1970-01-01, in years that begin in March, so that the leap day is the last one.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year_of_era, if month < 10 { month + 3 } else { month - 9 });
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::time::date_time;

    fn text(time: Timestamp) -> String {
        let mut out = Vec::new();
        append(time, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn times_are_written_as_they_are_read() {
        for same in [
            "1970-01-01T00:00:00.000Z",
            "2024-02-29T23:59:59.999Z",
            "2024-03-01T00:00:00.000Z",
            "2100-02-28T12:00:00.001Z",
            "2100-03-01T12:00:00.001Z",
            "2025-12-31T01:02:03.123456789Z",
        ] {
            assert_eq!(text(date_time(same.as_bytes()).expect("a time")), same);
        }
        // Every day of four centuries.
        for day in 0..146_097 {
            let time = day * 86_400_000_000_000;
            assert_eq!(date_time(text(time).as_bytes()), Some(time));
        }
        assert_eq!(text(u64::MAX).len(), 30);
    }
}
