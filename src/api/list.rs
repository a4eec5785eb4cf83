//! The lists of `POST /api/…`: rows of a window of time, in pages; the same in both generations (sections 3 and 6 of the API
//! reference).

use serde::Deserialize;
use serde_json::{Value, json};

use super::Endpoint;
use super::rows::{Lists, ROWS_LIMIT, Rows, Values};
use crate::chunk::Timestamp;
use crate::kind::Kind;

/// How a list is asked for.
#[derive(Debug)]
pub struct List {
    pub endpoint: Endpoint,
    /// The names of a window's begin and end.
    begin: &'static str,
    end: &'static str,
    /// Rows come newest first unless it is asked otherwise, where it can be (section 6.1). Oldest first, a row that appears late
    /// moves fewer others (quirk Q15).
    oldest_first: bool,
    /// Rows have an id (section 6.1).
    own_id: bool,
    /// Of all users, not of the service user alone (section 6.7).
    admin: bool,
    /// Filters that say "all", which clients send though it is the default (sections 6.4 and 6.5).
    all: &'static [&'static str],
}

const fn list(path: &'static str, product: &'static str, permission: &'static str) -> List {
    List {
        endpoint: Endpoint { path, product, permission },
        begin: "start",
        end: "end",
        oldest_first: false,
        own_id: true,
        admin: false,
        all: &[],
    }
}

const fn logs(path: &'static str, permission: &'static str, all: &'static [&'static str]) -> List {
    List {
        begin: "from",
        end: "to",
        oldest_first: true,
        own_id: false,
        all,
        ..list(path, "Security Events", permission)
    }
}

const AUDIT_EVENTS: &str = "Audit Events";

static AUDIT: List = List {
    begin: "startDateTime",
    end: "endDateTime",
    ..list("/api/audit/get-audit-events", AUDIT_EVENTS, "Account | Logs | Read")
};
static DLP: List = logs("/api/dlp/get-logs", "Monitoring | Data Leak Prevention | Read", &[]);
static HELD: List =
    List { admin: true, ..list("/api/gateway/get-hold-message-list", "Cloud Gateway", "Account | Dashboard | Read") };
static RELEASES: List = list("/api/gateway/get-held-release-logs", AUDIT_EVENTS, "Monitoring | Held | Read");
static REJECTIONS: List =
    List { admin: true, ..list("/api/gateway/get-rejections", AUDIT_EVENTS, "Monitoring | Rejections | Read") };
static TTP_URL: List = logs("/api/ttp/url/get-logs", "Monitoring | URL Protection | Read", &["route", "scanResult"]);
static TTP_ATTACHMENT: List =
    logs("/api/ttp/attachment/get-logs", "Monitoring | Attachment Protection | Read", &["route", "result"]);
// Without `taggedMalicious`, which would hide rows (quirk Q71).
static TTP_IMPERSONATION: List = List {
    own_id: true,
    ..logs("/api/ttp/impersonation/get-logs", "Monitoring | Impersonation Protection | Read", &[])
};
static ARCHIVE_SEARCH: List = List {
    own_id: false,
    ..list("/api/archive/get-archive-search-logs", AUDIT_EVENTS, "Archive | Search Logs | Read")
};
static ARCHIVE_USER_SEARCH: List =
    List { own_id: false, ..list("/api/archive/get-search-logs", AUDIT_EVENTS, "Archive | Search Logs | Read") };
static ARCHIVE_VIEW: List =
    List { own_id: false, ..list("/api/archive/get-view-logs", AUDIT_EVENTS, "Archive | View Logs | Read") };

/// The list that rows of a kind are in; `None` for kinds that come another way.
pub fn of(kind: Kind) -> Option<&'static List> {
    Some(match kind {
        Kind::Audit => &AUDIT,
        Kind::Dlp => &DLP,
        Kind::Held => &HELD,
        Kind::HeldRelease => &RELEASES,
        Kind::Rejection => &REJECTIONS,
        Kind::TtpUrl => &TTP_URL,
        Kind::TtpAttachment => &TTP_ATTACHMENT,
        Kind::TtpImpersonation => &TTP_IMPERSONATION,
        Kind::ArchiveSearch => &ARCHIVE_SEARCH,
        Kind::ArchiveUserSearch => &ARCHIVE_USER_SEARCH,
        Kind::ArchiveView => &ARCHIVE_VIEW,
        _ => return None,
    })
}

impl List {
    /// Whether identical rows are told apart beyond the end of a page. They must have no id, or they were one row that has moved; and
    /// they must come oldest first, so that what has settled stays where it is.
    pub fn counts_across_pages(&self) -> bool {
        self.oldest_first && !self.own_id
    }

    /// A request's body. The same `data` goes with every token of a window: the token carries the query (section 3.2).
    pub fn body(&self, begin: Timestamp, end: Timestamp, page_size: u32, token: Option<&str>) -> String {
        let mut pagination = json!({ "pageSize": page_size });
        if let Some(token) = token {
            pagination["pageToken"] = token.into();
        }
        let mut data = json!({ self.begin: time(begin), self.end: time(end) });
        if self.oldest_first {
            data["oldestFirst"] = true.into();
        }
        if self.admin {
            data["admin"] = true.into();
        }
        for filter in self.all {
            data[*filter] = "all".into();
        }
        json!({ "meta": { "pagination": pagination }, "data": [data] }).to_string()
    }
}

/// `2025-03-01T00:00:00+0000`: the offset has no colon (section 3.3).
pub fn time(time: Timestamp) -> String {
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
    /// Rows of all pages, where the endpoint tells (section 3.2).
    pub total: Option<u64>,
}

/// Reads a page. `data` may be missing, empty, a list of rows, or a list of an object that holds the list under whatever name
/// (quirk Q25, section 6.8). `None` if it is none of these, or has too many rows.
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
        next: Option<Value>,
        #[serde(rename = "totalCount", default)]
        total: Option<Value>,
    }
    let answer: Answer<'_> = serde_json::from_slice(&text).ok()?;
    let pagination = answer.meta.and_then(|meta| meta.pagination);
    let (next, total) = pagination.map_or((None, None), |pagination| (pagination.next, pagination.total));
    let next = match next {
        None | Some(Value::Null) => None,
        Some(Value::String(token)) => Some(token),
        Some(Value::Number(token)) => Some(token.to_string()),
        // One client has met an object around it. Anything else must not pass for the end.
        Some(next) => Some(next.get("pageToken")?.as_str()?.to_owned()),
    };
    let mut rows = Values(Vec::new());
    for row in answer.data.map_or_else(Vec::new, |rows| rows.0) {
        let lists = serde_json::from_str::<Lists<'_>>(row.get()).ok();
        match lists.map(Lists::rows).transpose().ok()?.flatten() {
            Some(mut inner) => rows.0.append(&mut inner),
            None => rows.0.push(row),
        }
        if rows.0.len() > ROWS_LIMIT {
            return None;
        }
    }
    let places = rows.places(&text);
    let next = next.filter(|token| !token.is_empty());
    Some(Page { rows: Rows::new(text, places), next, total: total.and_then(|total| total.as_u64()) })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // A name that nobody knows, a count beside it, two lists, a list in a row of its own.
        let wrapped = r#""data":[{"resultCount":2,"x":[{"id":"1"}],"y":[{"id":"2"}]},{"x":[{"id":"3"}]}],"#;
        assert_eq!(rows(page(wrapped)).unwrap().len(), 3);
        for own in [
            r#"{"id":"1","to":[{"a":1}]}"#,
            r#"{"eventTime":"1","to":[{"a":1}]}"#,
            r#"{"to":{"a":1}}"#,
            "17",
            // Without an id and a time it is a row all the same, and not a wrapper around its own lists.
            r#"{"url":"https://example.net/","emailPartsDescription":["Body"]}"#,
            r#"{"definition":"d","identifiers":[]}"#,
            r#"{"subject":"s","to":[{"a":1}]}"#,
            r#"{"rows":[17]}"#,
        ] {
            assert_eq!(rows(page(&format!(r#""data":[{own}],"#))), Some(vec![own.into()]));
        }
        assert_eq!(rows(page(r#""data":5,"#)), None);
        assert_eq!(super::page(br#"{"meta":{"pagination":{"totalCount":7}}}"#.to_vec()).unwrap().total, Some(7));
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
            AUDIT.body(begin, begin + 60_000_000_000, 500, Some("t")),
            r#"{"data":[{"endDateTime":"2026-03-01T00:01:00+0000","startDateTime":"2026-03-01T00:00:00+0000"}],"meta":{"pagination":{"pageSize":500,"pageToken":"t"}}}"#
        );
        assert!(!AUDIT.body(begin, begin, 10, None).contains("pageToken"));
        let data = |kind: Kind| {
            let body: Value = serde_json::from_str(&of(kind).unwrap().body(begin, begin, 10, None)).unwrap();
            body["data"][0].to_string()
        };
        let at = "\"2026-03-01T00:00:00+0000\"";
        assert_eq!(data(Kind::Dlp), format!(r#"{{"from":{at},"oldestFirst":true,"to":{at}}}"#));
        assert_eq!(data(Kind::Held), format!(r#"{{"admin":true,"end":{at},"start":{at}}}"#));
        assert_eq!(data(Kind::Held), data(Kind::Rejection));
        assert_eq!(data(Kind::HeldRelease), format!(r#"{{"end":{at},"start":{at}}}"#));
        assert_eq!(
            data(Kind::TtpUrl),
            format!(r#"{{"from":{at},"oldestFirst":true,"route":"all","scanResult":"all","to":{at}}}"#)
        );
        assert_eq!(data(Kind::TtpImpersonation), data(Kind::Dlp));
        assert!(of(Kind::Receipt).is_none());
    }
}
