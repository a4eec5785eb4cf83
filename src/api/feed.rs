//! `POST /api/ttp/threat-intel/get-feed`: a STIX bundle as a file, the same in both generations (section 6.10 of the API reference).

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use serde_json::value::RawValue;

use super::error::Failure;
use super::list::time;
use super::logs::{has_rows, is_file};
use super::{Endpoint, Headers};
use crate::catalog::Feed;
use crate::chunk::Timestamp;

pub static FEED: Endpoint = Endpoint {
    path: "/api/ttp/threat-intel/get-feed",
    product: "Threat Management",
    permission: "Services | Gateway | Tracking | Read",
};

/// Names the token of the next page.
pub const NEXT_TOKEN: &str = "x-mc-threat-feed-next-token";

/// A request's body. With a token the window is left out, as clients do: the token carries it.
pub fn body(feed: Feed, begin: Timestamp, end: Timestamp, token: Option<&str>) -> String {
    let name = match feed {
        Feed::Customer => "malware_customer",
        Feed::Grid => "malware_grid",
    };
    let mut data = json!({ "feedType": name, "fileType": "stix", "compress": false });
    match token {
        Some(token) => data["token"] = token.into(),
        None => (data["start"], data["end"]) = (time(begin).into(), time(end).into()),
    }
    json!({ "data": [data] }).to_string()
}

/// Whether an answer is a bundle, and not JSON that says what failed.
pub fn is_bundle(headers: &Headers, begin: &[u8]) -> bool {
    is_file(headers, begin) || begin.starts_with(&[0x1f, 0x8b]) || begin.windows(7).any(|part| part == b"\"bundle")
}

/// What an answer is that looked like no file and held no error.
#[derive(Debug, PartialEq, Eq)]
pub enum Json {
    /// An envelope without anything in it.
    Nothing,
    /// Its members may stand in any order, and what leads them may be long.
    Bundle,
    Other,
}

impl Json {
    pub fn of(text: &[u8]) -> Json {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(rename = "type", default)]
            kind: Option<IgnoredAny>,
            #[serde(default)]
            objects: Option<IgnoredAny>,
            #[serde(borrow, default)]
            data: Option<&'a RawValue>,
        }
        let Ok(raw) = serde_json::from_slice::<Raw<'_>>(text) else {
            return Json::Other;
        };
        if raw.objects.is_some() || raw.kind.is_some() {
            Json::Bundle
        } else if raw.data.is_some_and(has_rows) {
            Json::Other
        } else {
            Json::Nothing
        }
    }
}

/// A refusal that says that there is nothing (quirk Q69).
pub fn means_nothing(failure: &Failure) -> bool {
    let message = failure.fault.message.to_ascii_lowercase();
    failure.fault.status == Some(200)
        && (message.contains("no results found for threat intel feed") || message.contains("unable to compress feeds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers() {
        let begin = 1_772_323_200_000_000_000;
        assert_eq!(
            body(Feed::Customer, begin, begin + 60_000_000_000, None),
            r#"{"data":[{"compress":false,"end":"2026-03-01T00:01:00+0000","feedType":"malware_customer","fileType":"stix","start":"2026-03-01T00:00:00+0000"}]}"#
        );
        let next = body(Feed::Grid, begin, begin, Some("t"));
        assert!(next.contains("malware_grid") && next.contains(r#""token":"t""#) && !next.contains("start"), "{next}");
        let none = Headers::default();
        assert!(is_bundle(&none, br#"{"type":"bundle","id":"bundle--1""#) && is_bundle(&none, b"PK\x03\x04"));
        assert!(!is_bundle(&none, br#"{"meta":{"status":200},"data":[],"fail":[]}"#));
        let named = Headers(vec![("content-disposition".into(), b"attachment; filename=\"a.stix\"".to_vec())]);
        assert!(is_bundle(&named, b"{}"));
    }
}
