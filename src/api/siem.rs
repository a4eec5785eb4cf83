//! `GET /siem/v1/batch/events/cg` and `…/ci`: pages that name files (sections 5.1 and 5.3 of the API reference).

use serde::Deserialize;

use super::Endpoint;
use super::url::{Url, form};
use crate::chunk::{Fault, FaultClass, Timestamp};
use crate::code::Code;
use crate::config::Config;
use crate::kind::Kind;

static CLOUD_GATEWAY: Endpoint = Endpoint {
    path: "/siem/v1/batch/events/cg",
    product: "Threats, Security Events and Data for CG",
    permission: "Security Events and Data Retrieval | Threat and Security Events (SIEM) | Read",
};

static CLOUD_INTEGRATED: Endpoint = Endpoint {
    path: "/siem/v1/batch/events/ci",
    product: "Threats, Security Events and Data for CI",
    // The catalogue names none for it (section 2.3); it is the other one's.
    permission: "Security Events and Data Retrieval | Threat and Security Events (SIEM) | Read",
};

/// Where files of a kind are listed.
pub fn endpoint(kind: Kind) -> &'static Endpoint {
    if kind.is_cloud() { &CLOUD_INTEGRATED } else { &CLOUD_GATEWAY }
}

/// What a page is asked with.
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a> {
    /// Dates only without a token (quirk Q45): `YYYY-MM-DD`, the end optional.
    Dates {
        from: &'a str,
        to: Option<&'a str>,
    },
    Token(&'a str),
}

pub fn query(api2_type: &str, page_size: u32, ask: Ask<'_>) -> String {
    let size = page_size.to_string();
    let mut pairs = vec![("type", api2_type), ("pageSize", size.as_str())];
    match ask {
        Ask::Token(token) => pairs.push(("nextPage", token)),
        Ask::Dates { from, to } => {
            pairs.push(("dateRangeStartsAt", from));
            if let Some(to) = to {
                pairs.push(("dateRangeEndsAt", to));
            }
        }
    }
    form(&pairs)
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the page's order, each path once.
    pub files: Vec<File>,
    /// `@nextPage`, where there is one.
    pub next: Option<String>,
    pub caught_up: bool,
}

/// A file that a page names.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Pre-signed: never shown, never stored.
    pub url: String,
    /// Of its path, without the signed query: the file's identity. Without the host, too, because an object is the same
    /// under each address of its bucket (`bucket.s3.amazonaws.com`, with or without a region), and a page that is listed
    /// anew may use another; taken for new, its files would count as gone and as come. A stream reads one type, and the
    /// names of its files do not repeat: two buckets with one path are known from no source (section 5.1).
    pub hash: u64,
    /// Host and path, for messages.
    pub at: String,
    pub expiry: Option<Timestamp>,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File({})", self.at)
    }
}

/// Reads a page.
///
/// # Errors
/// `protocol` if it is no page, or names a file where no file may be fetched.
pub fn page(body: &[u8], config: &Config, at: &str) -> Result<Page, Fault> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default)]
        value: Option<Vec<Entry>>,
        #[serde(rename = "@nextPage", default)]
        next: Option<String>,
        #[serde(rename = "isCaughtUp", default)]
        caught_up: Option<bool>,
    }
    #[derive(Deserialize)]
    struct Entry {
        url: String,
        /// Only a hint: whatever it is, the file is fetched.
        #[serde(default)]
        expiry: Option<serde_json::Value>,
    }
    let protocol = |code, what: String| {
        Fault::new(FaultClass::Protocol, code, format!("{at} answered a page {what}"))
            .status(200)
            .hint(crate::advice::REPORT)
    };
    // The parser's message could quote a signed URL, so only the place is told.
    let raw: Raw = serde_json::from_slice(body).map_err(|error| {
        protocol(Code::BadPage, format!("that cannot be read (line {}, column {})", error.line(), error.column()))
    })?;
    if raw.value.is_none() && raw.next.is_none() && raw.caught_up.is_none() {
        return Err(protocol(Code::BadPage, "without files, token or end".into()));
    }
    let next = raw.next.filter(|token| !token.is_empty());
    let entries = raw.value.unwrap_or_default();
    let caught_up = raw.caught_up.unwrap_or(entries.is_empty());
    let mut files: Vec<File> = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(url) = Url::parse(&entry.url) else {
            // Never the address itself: it may hold a signature, or a password.
            let host = entry.url.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#', '\\']).next());
            let host = host.and_then(|authority| authority.rsplit('@').next()).unwrap_or_default();
            let shown: String = host.chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
            let what = match host {
                "" => "with a file address that is no URL".to_owned(),
                _ if entry.url.contains('@') => format!("with a file address on {shown} that names a user"),
                _ => format!("with a file address on {shown} that is no URL"),
            };
            return Err(protocol(Code::BadFileUrl, what));
        };
        let simulated = url.scheme == "http" && config.insecure_http && crate::config::is_loopback(&url.host);
        if url.scheme != "https" && !simulated {
            return Err(protocol(Code::BadFileUrl, format!("with a file on {}, which is not behind TLS", url.host)));
        }
        let hash = crate::streams::position::hash(url.path.as_bytes());
        if !files.iter().any(|file| file.hash == hash) {
            let expiry = entry.expiry.as_ref().and_then(|expiry| crate::config::instant(expiry.as_str()?));
            files.push(File { at: url.to_string(), url: entry.url, hash, expiry });
        }
    }
    Ok(Page { files, next, caught_up })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Result<Page, Fault> {
        let config = Config::parse(r#"{"client_id":"i","client_secret":"s"}"#).unwrap();
        super::page(text.as_bytes(), &config, "host/path")
    }

    #[test]
    fn pages() {
        let text = r#"{"value":[
            {"url":"https://b.s3.amazonaws.com/r/1.json.gz?X=signed","expiry":"2026-03-08T12:00:00.389Z","size":489},
            {"url":"https://b.s3.amazonaws.com/r/2.json.gz?X=signed"},
            {"url":"https://b.s3.amazonaws.com/r/1.json.gz?X=other"}],"@nextPage":"NDU1NA==","isCaughtUp":false}"#;
        let found = page(text).unwrap();
        assert_eq!((found.files.len(), found.next.as_deref(), found.caught_up), (2, Some("NDU1NA=="), false));
        assert_eq!(found.files[0].at, "b.s3.amazonaws.com/r/1.json.gz");
        assert_eq!((found.files[0].expiry, found.files[1].expiry), (Some(1_772_971_200_389_000_000), None));
        assert!(!format!("{found:?}").contains("signed"));
        for (text, next, caught_up) in [
            (r#"{"value":[],"isCaughtUp":true}"#, None, true),
            (r#"{"value":null,"@nextPage":"","isCaughtUp":false}"#, None, false),
            (r#"{"value":[]}"#, None, true),
            (r#"{"isCaughtUp":true,"@nextPage":"t"}"#, Some("t"), true),
        ] {
            let found = page(text).unwrap();
            assert_eq!((found.next.as_deref(), found.caught_up, found.files.len()), (next, caught_up, 0), "{text}");
        }
    }

    #[test]
    fn what_is_no_page() {
        for (text, code) in [
            ("{}", "bad-page"),
            (r#"{"value":5}"#, "bad-page"),
            (r#"{"value":[{"url":"nothing?signed"}]}"#, "bad-file-url"),
            (r#"{"value":[{"url":"http://127.0.0.1/f?signed"}]}"#, "bad-file-url"),
            (r#"{"value":[{"url":"ftp://b.example.com/f?signed"}]}"#, "bad-file-url"),
            (r#"{"value":[{"url":"https://signed:signed@b.example.com/f?signed"}]}"#, "bad-file-url"),
            (r#"{"value":[{"url":"https://[signed@b.example.com]:443/f?signed"}]}"#, "bad-file-url"),
            (r#"{"value":[{"url":"https://b.example.com\\@c.example.com/f?signed"}]}"#, "bad-file-url"),
            (r#"{"value":[{"url":17}],"x":"signed"}"#, "bad-page"),
        ] {
            let fault = page(text).unwrap_err();
            assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Protocol, code), "{text}");
            assert!(!fault.to_string().contains("signed"));
            if text.contains("b.example.com") {
                assert!(fault.message.contains("b.example.com"), "{}", fault.message);
            }
        }
        assert_eq!(
            page(r#"{"value":[{"url":"https://b.example.com/f","expiry":1772971200389}]}"#).unwrap().files.len(),
            1
        );
        assert_eq!(page(r#"{"value":[{"url":"https://b.example.com/f@2?signed"}]}"#).unwrap().files.len(), 1);
        let loopback = r#"{"client_id":"i","client_secret":"s","base_url":"http://localhost:1","insecure_http":true}"#;
        let config = Config::parse(loopback).unwrap();
        let text = r#"{"value":[{"url":"http://127.0.0.1:9000/f"}],"isCaughtUp":true}"#;
        assert_eq!(super::page(text.as_bytes(), &config, "").unwrap().files.len(), 1);
        assert!(super::page(text.replace("127.0.0.1", "192.0.2.1").as_bytes(), &config, "").is_err());
    }

    #[test]
    fn queries() {
        let dates = Ask::Dates { from: "2026-03-01", to: None };
        assert_eq!(query("url protect", 100, dates), "type=url%20protect&pageSize=100&dateRangeStartsAt=2026-03-01");
        let dates = Ask::Dates { from: "2026-03-01", to: Some("2026-03-02") };
        assert!(query("av", 5, dates).ends_with("&dateRangeStartsAt=2026-03-01&dateRangeEndsAt=2026-03-02"));
        assert_eq!(query("av", 5, Ask::Token("46:null==")), "type=av&pageSize=5&nextPage=46%3Anull%3D%3D");
    }
}
