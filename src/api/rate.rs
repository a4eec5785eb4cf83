//! Rate-limit headers (section 8.4 of the API reference).

use super::Headers;
use crate::chunk::Timestamp;

/// A wait is never shorter: a header that says zero must not make a busy loop.
const FLOOR_MS: u64 = 1_000;
/// And never longer than the longest known window.
const CAP_MS: u64 = 15 * 60 * 1_000;
/// Without any header. The host doubles it if that does not help.
const DEFAULT_MS: u64 = 60_000;

/// How long to wait after a 429: `max(Retry-After s, X-RateLimit-Reset ms)`, between one second and 15 minutes.
pub fn wait_ms(headers: &Headers, now: Timestamp) -> u32 {
    let retry_after = headers.get("retry-after").and_then(|value| retry_after_ms(value, now));
    let wait = match (retry_after, reset_ms(headers, now)) {
        (None, None) => DEFAULT_MS as f64,
        (a, b) => a.unwrap_or(0.0).max(b.unwrap_or(0.0)),
    };
    (wait.ceil() as u64).clamp(FLOOR_MS, CAP_MS) as u32
}

/// What a success says is left of the quota, and for how long to wait where that is nothing.
pub fn left(headers: &Headers, now: Timestamp) -> (Option<u32>, Option<u32>) {
    let left = headers.get("x-ratelimit-remaining").and_then(number).map(|n| n as u32);
    let pause = (left == Some(0)).then(|| wait_ms(headers, now));
    (left, pause)
}

/// `Retry-After` in milliseconds from now: seconds, or a date of HTTP.
fn retry_after_ms(value: &str, now: Timestamp) -> Option<f64> {
    let date = || chrono::DateTime::parse_from_rfc2822(value.trim()).ok();
    number(value)
        .map(|seconds| seconds * 1_000.0)
        .or_else(|| Some((date()?.timestamp_millis() as f64 - now as f64 / 1e6).max(0.0)))
}

/// The reset header in milliseconds from now. Above 10^9 it is an epoch in seconds, above 10^12 in milliseconds: a
/// few clients have met those.
fn reset_ms(headers: &Headers, now: Timestamp) -> Option<f64> {
    let value =
        ["x-ratelimit-reset", "x-mimecast-ratelimit-reset"].iter().find_map(|name| number(headers.get(name)?))?;
    let now_ms = now as f64 / 1e6;
    Some(if value > 1e12 {
        (value - now_ms).max(0.0)
    } else if value > 1e9 {
        (value * 1e3 - now_ms).max(0.0)
    } else {
        value
    })
}

/// Numbers in headers come as text such as `1234.0` (quirk Q74).
fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = 1_772_323_200_000_000_000;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        Headers(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect())
    }

    #[test]
    fn waits() {
        for (pairs, expected) in [
            (vec![], 60_000),
            (vec![("x-ratelimit-reset", "412000")], 412_000),
            (vec![("x-ratelimit-reset", " 1234.0 ")], 1_234),
            (vec![("x-ratelimit-reset", "1234.2")], 1_235),
            (vec![("x-ratelimit-reset", "0")], 1_000),
            (vec![("x-ratelimit-reset", "5")], 1_000),
            (vec![("retry-after", "30")], 30_000),
            (vec![("retry-after", "30"), ("x-ratelimit-reset", "5000")], 30_000),
            (vec![("retry-after", "3"), ("x-ratelimit-reset", "5000")], 5_000),
            (vec![("retry-after", "Sun, 01 Mar 2026 00:00:30 GMT"), ("x-ratelimit-reset", "5000")], 30_000),
            (vec![("retry-after", "Sun, 01 Mar 2026 00:00:30 GMT")], 30_000),
            (vec![("retry-after", "Sat, 28 Feb 2026 00:00:00 GMT")], 1_000),
            (vec![("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], 900_000),
            (vec![("retry-after", "1e300")], 900_000),
            (vec![("retry-after", "soon"), ("x-ratelimit-reset", "5000")], 5_000),
            (vec![("retry-after", "-3"), ("x-ratelimit-reset", "NaN")], 60_000),
            (vec![("x-ratelimit-reset", "1772323230")], 30_000),
            (vec![("x-ratelimit-reset", "1772323230000")], 30_000),
            (vec![("x-ratelimit-reset", "1772323100")], 1_000),
            (vec![("x-ratelimit-reset", "99999999")], 900_000),
            (vec![("x-ratelimit-reset", "-5")], 60_000),
            (vec![("x-ratelimit-reset", "soon")], 60_000),
        ] {
            assert_eq!(wait_ms(&headers(&pairs), NOW), expected, "{pairs:?}");
        }
    }

    #[test]
    fn what_is_left() {
        assert_eq!(left(&headers(&[]), NOW), (None, None));
        assert_eq!(
            left(&headers(&[("x-ratelimit-remaining", "12"), ("x-ratelimit-reset", "4000")]), NOW),
            (Some(12), None)
        );
        assert_eq!(
            left(&headers(&[("x-ratelimit-remaining", "0.0"), ("x-ratelimit-reset", "4000")]), NOW),
            (Some(0), Some(4_000))
        );
    }
}
