//! `POST /api/audit/get-siem-logs` of API 1.0: an archive, a file, or JSON that says that there is nothing (section 4 of
//! the API reference).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Endpoint, Headers};

pub static LOGS: Endpoint = Endpoint {
    path: "/api/audit/get-siem-logs",
    product: "Threats, Security Events and Data for CG",
    permission: "Gateway | Tracking | Read",
};

/// A request's body. `compress` goes with every one: left out, later answers come one plain file at a time (Q33, Q34).
pub fn body(token: Option<&str>) -> String {
    let mut data = serde_json::json!({ "type": "MTA", "compress": true, "fileFormat": "json" });
    if let Some(token) = token {
        data["token"] = token.into();
    }
    serde_json::json!({ "data": [data] }).to_string()
}

/// Whether an answer is a file, by its headers and first bytes. Its status does not tell (section 4.3).
pub fn is_file(headers: &Headers, begin: &[u8]) -> bool {
    let starts = |name: &str, with: &str| {
        headers.get(name).is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with(with))
    };
    begin.starts_with(b"PK\x03\x04")
        || begin.starts_with(b"PK\x05\x06")
        || starts("content-disposition", "attachment")
        || starts("content-type", "application/octet-stream")
        || starts("content-type", "application/zip")
}

/// The name in `Content-Disposition`: it tells the type of a plain file.
pub fn file_name(headers: &Headers) -> Option<String> {
    let value = headers.get("content-disposition")?;
    let name = value.split(';').map(str::trim).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case("filename").then_some(value)
    })?;
    Some(name.trim().trim_matches('"').to_owned())
}

/// What an answer without a file says.
#[derive(Debug, PartialEq, Eq)]
pub struct Empty {
    /// There is no newer file. Also if it says nothing about that.
    pub last: bool,
    /// It holds rows all the same.
    pub rows: bool,
}

pub fn empty(text: &[u8]) -> Empty {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(default)]
        meta: Option<Meta>,
        /// Not a list of them: an answer may have millions.
        #[serde(borrow, default)]
        data: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Meta {
        #[serde(rename = "isLastToken", default)]
        last: Option<bool>,
    }
    let raw: Option<Raw<'_>> = serde_json::from_slice(text).ok();
    let (meta, data) = raw.map_or((None, None), |raw| (raw.meta, raw.data));
    Empty { last: meta.and_then(|meta| meta.last).unwrap_or(true), rows: data.is_some_and(has_rows) }
}

/// Whether an array has anything in it.
pub fn has_rows(data: &RawValue) -> bool {
    data.get().strip_prefix('[').is_some_and(|rows| !rows.trim_start().starts_with(']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        Headers(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect())
    }

    #[test]
    fn files_are_told_from_answers() {
        let json = headers(&[("content-type", "application/json")]);
        assert!(is_file(&json, b"PK\x03\x04"));
        assert!(is_file(&json, b"PK\x05\x06"));
        assert!(!is_file(&json, b"{\"me"));
        assert!(is_file(&headers(&[("Content-Type", "application/octet-stream")]), b"date"));
        let named = headers(&[("content-disposition", "attachment; filename=\"process_20211018093329655.json\"")]);
        assert!(is_file(&named, b"{\"ty"));
        assert_eq!(file_name(&named).as_deref(), Some("process_20211018093329655.json"));
        assert_eq!(
            file_name(&headers(&[("content-disposition", "attachment; FileName=a.siem")])).as_deref(),
            Some("a.siem")
        );
        assert_eq!(file_name(&json), None);
    }

    #[test]
    fn requests_and_empty_answers() {
        assert_eq!(body(None), r#"{"data":[{"compress":true,"fileFormat":"json","type":"MTA"}]}"#);
        assert!(body(Some("t")).contains(r#""token":"t""#));
        assert_eq!(
            empty(br#"{"meta":{"isLastToken":true,"status":200},"data":[],"fail":[]}"#),
            Empty { last: true, rows: false }
        );
        assert_eq!(empty(br#"{"meta":{"isLastToken":false},"data":[]}"#), Empty { last: false, rows: false });
        assert_eq!(empty(br#"{"data":[{"a":1}]}"#), Empty { last: true, rows: true });
        for nothing in ["[ ]", "null", "{}"] {
            let text = format!(r#"{{"meta":{{"isLastToken":false}},"data":{nothing}}}"#);
            assert_eq!(empty(text.as_bytes()), Empty { last: false, rows: false }, "{nothing}");
        }
    }
}
