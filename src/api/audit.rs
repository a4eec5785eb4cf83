//! `POST /api/audit/get-audit-events`, the same in both generations (sections 3 and 6.2 of the API reference).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Endpoint;
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
    pub rows: Vec<String>,
    pub next: Option<String>,
}

/// Reads a page. `data` may be missing, empty, a list of rows, or a list of one object that holds the list: all of them
/// occur, and the first three mean nothing (quirk Q25). `None` if it is none of these.
pub fn page(text: &[u8]) -> Option<Page> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow, default)]
        data: Option<Vec<&'a RawValue>>,
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
    let answer: Answer<'_> = serde_json::from_slice(text).ok()?;
    let next = match answer.meta.and_then(|meta| meta.pagination?.next) {
        None | Some(serde_json::Value::Null) => None,
        Some(serde_json::Value::String(token)) => Some(token),
        Some(serde_json::Value::Number(token)) => Some(token.to_string()),
        // One client has met an object around it. Anything else must not pass for the end.
        Some(next) => Some(next.get("pageToken")?.as_str()?.to_owned()),
    };
    let rows = answer.data.unwrap_or_default();
    let rows = match rows.as_slice() {
        [only] => nested(only).unwrap_or(rows),
        _ => rows,
    };
    Some(Page {
        rows: rows.into_iter().map(|row| row.get().to_owned()).collect(),
        next: next.filter(|token| !token.is_empty()),
    })
}

/// The list inside of `{"name":[…]}`.
fn nested<'a>(row: &'a RawValue) -> Option<Vec<&'a RawValue>> {
    let mut map: std::collections::BTreeMap<String, &'a RawValue> = serde_json::from_str(row.get()).ok()?;
    let (_, value) = map.pop_first().filter(|_| map.is_empty())?;
    serde_json::from_str(value.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_data() {
        let page = |data: &str| {
            super::page(
                format!(r#"{{"meta":{{"status":200,"pagination":{{"pageSize":1,"next":"t"}}}},{data}"fail":[]}}"#)
                    .as_bytes(),
            )
        };
        let rows = |page: Option<Page>| page.map(|page| page.rows);
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
            super::page(br#"{"meta":{"pagination":{"next":{"pageToken":"u"}}}}"#).unwrap().next.as_deref(),
            Some("u")
        );
        assert_eq!(super::page(br#"{"meta":{"pagination":{"next":""}}}"#).unwrap().next, None);
        assert_eq!(super::page(br#"{"meta":{"pagination":{"next":null}}}"#).unwrap().next, None);
        assert_eq!(super::page(br#"{"meta":{"pagination":{"next":17}}}"#).unwrap().next.as_deref(), Some("17"));
        assert_eq!(super::page(br#"{"meta":{"pagination":{"next":["t"]}}}"#), None);
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
