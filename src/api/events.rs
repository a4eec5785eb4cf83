//! `GET /siem/v1/events/cg`: events of all types in one cursor (section 5.2 of the API reference).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Endpoint;
use super::url::form;
use crate::chunk::Timestamp;

pub static EVENTS: Endpoint = Endpoint {
    path: "/siem/v1/events/cg",
    product: "Threats, Security Events and Data for CG",
    permission: "Security Events and Data Retrieval | Threat and Security Events (SIEM) | Read",
};

/// What a page is asked with.
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a> {
    /// Only without a cursor. The start must lie within the last 24 hours.
    Dates {
        from: Timestamp,
        to: Option<Timestamp>,
    },
    Token(&'a str),
}

/// Without `types`: all of them, those that come in future included (Cortex XSIAM does so, D2).
pub fn query(page_size: u32, ask: Ask<'_>) -> String {
    let size = page_size.to_string();
    match ask {
        Ask::Token(token) => form(&[("pageSize", &size), ("nextPage", token)]),
        Ask::Dates { from, to } => {
            let (from, to) = (time(from), to.map(time));
            let mut pairs = vec![("pageSize", size.as_str()), ("dateRangeStartsAt", from.as_str())];
            if let Some(to) = &to {
                pairs.push(("dateRangeEndsAt", to));
            }
            form(&pairs)
        }
    }
}

/// `2024-01-25T10:30:45.642Z` (section 3.3).
fn time(time: Timestamp) -> String {
    chrono::DateTime::from_timestamp_nanos(time as i64).format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A page of events.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The events as JSON, in the page's order.
    pub rows: Vec<String>,
    /// `@nextPage`, where there is one.
    pub next: Option<String>,
    pub caught_up: bool,
}

/// Reads a page; `None` if it is none.
pub fn page(text: &[u8]) -> Option<Page> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow, default)]
        value: Option<Vec<&'a RawValue>>,
        #[serde(rename = "@nextPage", default)]
        next: Option<String>,
        #[serde(rename = "isCaughtUp", default)]
        caught_up: Option<bool>,
    }
    let raw: Raw<'_> = serde_json::from_slice(text).ok()?;
    if raw.value.is_none() && raw.next.is_none() && raw.caught_up.is_none() {
        return None;
    }
    let rows: Vec<String> = raw.value.unwrap_or_default().into_iter().map(|row| row.get().to_owned()).collect();
    let caught_up = raw.caught_up.unwrap_or(rows.is_empty());
    Some(Page { rows, next: raw.next.filter(|token| !token.is_empty()), caught_up })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_pages() {
        let from = 1_772_323_200_642_000_000;
        assert_eq!(
            query(100, Ask::Dates { from, to: None }),
            "pageSize=100&dateRangeStartsAt=2026-03-01T00%3A00%3A00.642Z"
        );
        assert!(
            query(1, Ask::Dates { from, to: Some(from) }).ends_with("&dateRangeEndsAt=2026-03-01T00%3A00%3A00.642Z")
        );
        assert_eq!(query(1, Ask::Token("W3=")), "pageSize=1&nextPage=W3%3D");
        let all = page(br#"{"value":[{"a":1},2],"@nextPage":"W3","@nextLink":"x","pageSize":2,"isCaughtUp":true}"#);
        assert_eq!(
            all,
            Some(Page { rows: vec![r#"{"a":1}"#.into(), "2".into()], next: Some("W3".into()), caught_up: true })
        );
        assert_eq!(page(br#"{"value":[]}"#), Some(Page { rows: vec![], next: None, caught_up: true }));
        assert!(!page(br#"{"value":[{}],"@nextPage":""}"#).unwrap().caught_up);
        assert_eq!(page(br#"{"data":[]}"#), None);
        assert_eq!(page(br#"{"value":{}}"#), None);
    }
}
