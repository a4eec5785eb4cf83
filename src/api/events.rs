//! `GET /siem/v1/events/cg`: events of all types in one cursor (section 5.2 of the API reference).

use serde::Deserialize;

use super::Endpoint;
use super::rows::{Rows, Values};
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
    pub rows: Rows,
    /// `@nextPage`, where there is one.
    pub next: Option<String>,
    pub caught_up: bool,
}

/// Reads a page; `None` if it is none, or has too many rows.
pub fn page(text: Vec<u8>) -> Option<Page> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow, default)]
        value: Option<Values<'a>>,
        #[serde(rename = "@nextPage", default)]
        next: Option<String>,
        #[serde(rename = "isCaughtUp", default)]
        caught_up: Option<bool>,
    }
    let raw: Raw<'_> = serde_json::from_slice(&text).ok()?;
    if raw.value.is_none() && raw.next.is_none() && raw.caught_up.is_none() {
        return None;
    }
    let places = raw.value.map_or_else(Vec::new, |rows| rows.places(&text));
    let caught_up = raw.caught_up.unwrap_or(places.is_empty());
    let next = raw.next.filter(|token| !token.is_empty());
    Some(Page { rows: Rows::new(text, places), next, caught_up })
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
        let page = |text: &str| page(text.as_bytes().to_vec());
        let all =
            page(r#"{"value":[{"a":1},2],"@nextPage":"W3","@nextLink":"x","pageSize":2,"isCaughtUp":true}"#).unwrap();
        assert_eq!(all.rows.iter().collect::<Vec<_>>(), [&br#"{"a":1}"#[..], b"2"]);
        assert_eq!((all.next.as_deref(), all.caught_up), (Some("W3"), true));
        let none = page(r#"{"value":[]}"#).unwrap();
        assert_eq!((none.rows.len(), none.next, none.caught_up), (0, None, true));
        assert!(!page(r#"{"value":[{}],"@nextPage":""}"#).unwrap().caught_up);
        assert_eq!(page(r#"{"data":[]}"#), None);
        assert_eq!(page(r#"{"value":{}}"#), None);
    }
}
