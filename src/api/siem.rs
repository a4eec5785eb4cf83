//! `GET /siem/v1/batch/events/cg`: pages that name files (section 5.1 of the API reference).

use serde::Deserialize;

use super::Endpoint;
use super::url::{Url, form};
use crate::chunk::{Fault, FaultClass, Timestamp};
use crate::config::Config;

pub static BATCH: Endpoint = Endpoint {
    path: "/siem/v1/batch/events/cg",
    product: "Threats, Security Events and Data for CG",
    permission: "Security Events and Data Retrieval | Threat and Security Events (SIEM) | Read",
};

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
    /// Of its path, without the signed query: the file's identity.
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
        #[serde(default)]
        expiry: Option<String>,
    }
    let protocol = |code: &str, what: String| {
        Fault::new(FaultClass::Protocol, code, format!("{at} answered a page {what}"))
            .status(200)
            .hint("It is tried again; if it stays, report it with this message")
    };
    // The parser's message could quote a signed URL, so only the place is told.
    let raw: Raw = serde_json::from_slice(body).map_err(|error| {
        protocol("bad-page", format!("that cannot be read (line {}, column {})", error.line(), error.column()))
    })?;
    let next = raw.next.filter(|token| !token.is_empty());
    let entries = raw.value.unwrap_or_default();
    let caught_up = raw.caught_up.unwrap_or(entries.is_empty());
    let mut files: Vec<File> = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(url) = Url::parse(&entry.url) else {
            return Err(protocol("bad-file-url", "with a file address that is no URL".into()));
        };
        let simulated = url.scheme == "http" && config.insecure_http && crate::config::is_loopback(&url.host);
        if url.scheme != "https" && !simulated {
            return Err(protocol("bad-file-url", format!("with a file on {}, which is not behind TLS", url.host)));
        }
        let hash = crate::streams::position::hash(url.path.as_bytes());
        if !files.iter().any(|file| file.hash == hash) {
            let expiry = entry.expiry.as_deref().and_then(crate::config::instant);
            files.push(File { at: url.to_string(), url: entry.url, hash, expiry });
        }
    }
    Ok(Page { files, next, caught_up })
}
