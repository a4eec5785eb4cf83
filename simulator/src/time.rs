//! The ways in which Mimecast writes times. All instants are milliseconds since the Unix epoch, UTC.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, Utc};

/// Milliseconds since the Unix epoch, UTC.
pub type Millis = u64;

pub const SECOND: Millis = 1_000;
pub const MINUTE: Millis = 60 * SECOND;
pub const HOUR: Millis = 60 * MINUTE;
pub const DAY: Millis = 24 * HOUR;

fn utc(time: Millis) -> DateTime<Utc> {
    // Beyond chrono's range (the year 262,000) there is nothing to simulate: the epoch stands in.
    DateTime::from_timestamp_millis(i64::try_from(time).unwrap_or(0)).unwrap_or(DateTime::UNIX_EPOCH)
}

fn millis(time: DateTime<Utc>) -> Option<Millis> {
    u64::try_from(time.timestamp_millis()).ok()
}

/// `2025-03-01T08:15:02+0000`, in an offset of so many minutes: times of `/api/...` and of API 1.0 SIEM records.
pub fn with_offset(time: Millis, offset_minutes: i32) -> String {
    let offset = FixedOffset::east_opt(offset_minutes * 60).unwrap_or_else(|| chrono::Offset::fix(&Utc));
    utc(time).with_timezone(&offset).format("%Y-%m-%dT%H:%M:%S%z").to_string()
}

/// `2025-06-05T11:50:06.389Z`: the `expiry` of a signed URL.
pub fn with_millis(time: Millis) -> String {
    utc(time).format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// `20250605T115006Z`: `X-Amz-Date` of a signed URL.
pub fn compact(time: Millis) -> String {
    utc(time).format("%Y%m%dT%H%M%SZ").to_string()
}

/// `20250301081600000`: the stamp in the names of API 1.0 files.
pub fn file_stamp(time: Millis) -> String {
    utc(time).format("%Y%m%d%H%M%S%3f").to_string()
}

/// `Tue, 24 Nov 2015 12:50:11 GMT`: the `Date` header of an answer.
pub fn http_date(time: Millis) -> String {
    utc(time).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Any chrono format, in UTC.
pub fn formatted(time: Millis, format: &str) -> String {
    utc(time).format(format).to_string()
}

/// Reads `x-mc-date`: `Tue, 24 Nov 2015 12:50:11 UTC`, with `GMT` too if `lenient`.
pub fn parse_signed_date(text: &str, lenient: bool) -> Option<Millis> {
    let text = text.trim();
    let body = text.strip_suffix(" UTC").or_else(|| if lenient { text.strip_suffix(" GMT") } else { None })?;
    millis(NaiveDateTime::parse_from_str(body, "%a, %d %b %Y %H:%M:%S").ok()?.and_utc())
}

/// Reads `2025-03-01`: its first instant.
pub fn parse_date(text: &str) -> Option<Millis> {
    millis(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?.and_utc())
}

/// Reads what the request bodies of `/api/...` may hold: offset `+0000`, `+00:00` or `Z`, with or without a fraction.
pub fn parse_request(text: &str) -> Option<Millis> {
    let text = text.strip_suffix('Z').map_or_else(|| text.to_owned(), |head| format!("{head}+0000"));
    let time = DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f%z").ok()?;
    millis(time.with_timezone(&Utc))
}

/// 0 is Monday, 6 is Sunday.
pub fn weekday(time: Millis) -> u64 {
    // The epoch was a Thursday.
    (time / DAY + 3) % 7
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Millis = 1_448_369_411_000;

    #[test]
    fn every_form_is_written_as_documented() {
        assert_eq!(with_offset(SAMPLE, 0), "2015-11-24T12:50:11+0000");
        assert_eq!(with_offset(SAMPLE, -240), "2015-11-24T08:50:11-0400");
        assert_eq!(with_millis(SAMPLE + 7), "2015-11-24T12:50:11.007Z");
        assert_eq!(compact(SAMPLE), "20151124T125011Z");
        assert_eq!(file_stamp(SAMPLE + 42), "20151124125011042");
        assert_eq!(http_date(SAMPLE), "Tue, 24 Nov 2015 12:50:11 GMT");
        assert_eq!(weekday(SAMPLE), 1);
    }

    #[test]
    fn requests_are_read_in_all_their_spellings_and_no_other() {
        for text in ["2015-11-24T12:50:11+0000", "2015-11-24T12:50:11+00:00", "2015-11-24T12:50:11Z"] {
            assert_eq!(parse_request(text), Some(SAMPLE), "{text}");
        }
        assert_eq!(parse_request("2015-11-24T12:50:11.250Z"), Some(SAMPLE + 250));
        assert_eq!(parse_request("2015-11-24T13:50:11+0100"), Some(SAMPLE));
        assert_eq!(parse_request("2015-11-24"), None);
        assert_eq!(parse_request("yesterday"), None);
        assert_eq!(parse_date("2015-11-24"), Some(SAMPLE / DAY * DAY));
        assert_eq!(parse_date("24.11.2015"), None);
    }

    #[test]
    fn the_signed_date_ends_in_utc_or_leniently_in_gmt() {
        assert_eq!(parse_signed_date("Tue, 24 Nov 2015 12:50:11 UTC", false), Some(SAMPLE));
        assert_eq!(parse_signed_date("Tue, 24 Nov 2015 12:50:11 GMT", false), None);
        assert_eq!(parse_signed_date("Tue, 24 Nov 2015 12:50:11 GMT", true), Some(SAMPLE));
        assert_eq!(parse_signed_date("2015-11-24T12:50:11Z", true), None);
    }
}
