//! `POST /api/audit/get-audit-events`, the same in both generations (sections 3 and 6.2 of the API reference).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Endpoint;
use super::rows::{Only, Rows, Values};
use crate::chunk::Timestamp;

pub static EVENTS: Endpoint =
    Endpoint { path: "/api/audit/get-audit-events", product: "Audit Events", permission: "Account | Logs | Read" };

/// A request's body. The same `data` goes with every token of a window: the token carries the query (section 3.2).
pub fn body(begin: Timestamp, end: Timestamp, page_size: u32, token: Option<&str>) -> String {
    let mut pagination = serde_json::json!({ "pageSize": page_size });
    if let Some(token) = token {
        pagination["pageToken"] = token.into();
    }
    serde_json::json!({
        "meta": { "pagination": pagination },
        "data": [{ "startDateTime": time(begin), "endDateTime": time(end) }],
    })
    .to_string()
}

/// `2025-03-01T00:00:00+0000`: the offset has no colon (section 3.3).
fn time(time: Timestamp) -> String {
    chrono::DateTime::from_timestamp((time / 1_000_000_000) as i64, 0)
        .unwrap_or_default()
        .format("%Y-%m-%dT%H:%M:%S+0000")
        .to_string()
}

/// A page of rows.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The rows as JSON, in the page's order.
    pub rows: Rows,
    pub next: Option<String>,
}

/// Reads a page. `data` may be missing, empty, a list of rows, or a list of one object that holds the list: all of them
/// occur, and the first three mean nothing (quirk Q25). `None` if it is none of these, or has too many rows.
pub fn page(text: Vec<u8>) -> Option<Page> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow, default)]
        data: Option<Values<'a>>,
        #[serde(default)]
        meta: Option<Meta>,
    }
    #[derive(Deserialize)]
    struct Meta {
        #[serde(default)]
        pagination: Option<Pagination>,
    }
    #[derive(Deserialize)]
    struct Pagination {
        #[serde(default)]
        next: Option<serde_json::Value>,
    }
    let answer: Answer<'_> = serde_json::from_slice(&text).ok()?;
    let next = match answer.meta.and_then(|meta| meta.pagination?.next) {
        None | Some(serde_json::Value::Null) => None,
        Some(serde_json::Value::String(token)) => Some(token),
        Some(serde_json::Value::Number(token)) => Some(token.to_string()),
        // One client has met an object around it. Anything else must not pass for the end.
        Some(next) => Some(next.get("pageToken")?.as_str()?.to_owned()),
    };
    let rows = answer.data.map_or_else(Vec::new, |rows| rows.0);
    let rows = match rows.as_slice() {
        [only] => nested(only)?.unwrap_or(Values(rows)),
        _ => Values(rows),
    };
    let places = rows.places(&text);
    Some(Page { rows: Rows::new(text, places), next: next.filter(|token| !token.is_empty()) })
}

/// The list inside of `{"name":[…]}`, if it is that; `None` if it has too many rows.
fn nested(row: &RawValue) -> Option<Option<Values<'_>>> {
    match serde_json::from_str::<Only<'_>>(row.get()) {
        Ok(Only(value)) if value.get().starts_with('[') => serde_json::from_str(value.get()).ok().map(Some),
        _ => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rows::ROWS_LIMIT;

    #[test]
    fn every_shape_of_data() {
        let page = |data: &str| {
            super::page(
                format!(r#"{{"meta":{{"status":200,"pagination":{{"pageSize":1,"next":"t"}}}},{data}"fail":[]}}"#)
                    .into_bytes(),
            )
        };
        let rows = |page: Option<Page>| {
            let text = |row: &[u8]| String::from_utf8(row.to_vec()).unwrap();
            page.map(|page| page.rows.iter().map(text).collect::<Vec<_>>())
        };
        for nothing in ["", r#""data":null,"#, r#""data":[],"#, r#""data":[{"auditEvents":[]}],"#] {
            assert_eq!(rows(page(nothing)), Some(vec![]), "{nothing}");
        }
        assert_eq!(
            rows(page(r#""data":[{"id":"1"},{"id":"2"}],"#)),
            Some(vec![r#"{"id":"1"}"#.into(), r#"{"id":"2"}"#.into()])
        );
        assert_eq!(rows(page(r#""data":[{"id":"1"}],"#)), Some(vec![r#"{"id":"1"}"#.into()]));
        assert_eq!(rows(page(r#""data":[{"auditEvents":[{"id":"1"}]}],"#)), Some(vec![r#"{"id":"1"}"#.into()]));
        assert_eq!(rows(page(r#""data":5,"#)), None);
        assert_eq!(page("").unwrap().next.as_deref(), Some("t"));
        assert_eq!(
            super::page(br#"{"meta":{"pagination":{"next":{"pageToken":"u"}}}}"#.to_vec()).unwrap().next.as_deref(),
            Some("u")
        );
        assert_eq!(super::page(br#"{"meta":{"pagination":{"next":""}}}"#.to_vec()).unwrap().next, None);
        assert_eq!(super::page(br#"{"meta":{"pagination":{"next":null}}}"#.to_vec()).unwrap().next, None);
        assert_eq!(
            super::page(br#"{"meta":{"pagination":{"next":17}}}"#.to_vec()).unwrap().next.as_deref(),
            Some("17")
        );
        assert_eq!(super::page(br#"{"meta":{"pagination":{"next":["t"]}}}"#.to_vec()), None);
    }

    #[test]
    fn millions_of_rows_are_refused_and_as_many_as_there_may_be_are_not() {
        for wrapped in [false, true] {
            let text = |rows: usize| {
                let rows = vec!["{}"; rows].join(",");
                let data = if wrapped { format!(r#"{{"auditEvents":[{rows}]}}"#) } else { rows };
                format!(r#"{{"data":[{data}]}}"#).into_bytes()
            };
            assert_eq!(super::page(text(ROWS_LIMIT)).map(|page| page.rows.len()), Some(ROWS_LIMIT));
            assert_eq!(super::page(text(ROWS_LIMIT + 1)), None);
        }
        // One row of many members is one row.
        let members = vec![r#""a":[]"#; 1_000].join(",");
        assert_eq!(super::page(format!(r#"{{"data":[{{{members}}}]}}"#).into_bytes()).unwrap().rows.len(), 1);
    }

    #[test]
    fn requests() {
        let begin = 1_772_323_200_000_000_000;
        assert_eq!(
            body(begin, begin + 60_000_000_000, 500, Some("t")),
            r#"{"data":[{"endDateTime":"2026-03-01T00:01:00+0000","startDateTime":"2026-03-01T00:00:00+0000"}],"meta":{"pagination":{"pageSize":500,"pageToken":"t"}}}"#
        );
        assert!(!body(begin, begin, 10, None).contains("pageToken"));
    }
}
