//! A request and its answer as plain values.

use bytes::Bytes;

/// An HTTP request.
#[derive(Clone, Default)]
pub struct Request {
    /// `GET`, `POST`.
    pub method: String,
    /// Host and port, as in the `Host` header. It tells the storage host from the API's.
    pub host: String,
    /// With its leading slash, without a query.
    pub path: String,
    /// Without the question mark; empty when there is none.
    pub query: String,
    /// Names in any case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Without query, headers and body: they hold secrets.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}{}", self.method, self.host, self.path)
    }
}

impl Request {
    /// A `GET` of an absolute URL or of a path.
    pub fn get(url: &str) -> Self {
        Self::to("GET", url)
    }

    /// A `POST` to an absolute URL or a path.
    pub fn post(url: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::to("POST", url) }
    }

    fn to(method: &str, url: &str) -> Self {
        let (host, target) = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or((rest, "/"), |at| rest.split_at(at)),
            None => ("", url),
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: method.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            ..Self::default()
        }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The first header of that name, in any case.
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first query parameter of that name, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        form_value(&self.query, name)
    }
}

/// The first value of that name in a query or a form, with `+` and `%xx` decoded.
pub fn form_value(form: &str, name: &str) -> Option<String> {
    form.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key) == name).then(|| decode(value))
    })
}

/// Undoes form encoding; what is not encoded right stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (escaped, bytes[at]) {
            (Some(byte), _) => {
                out.push(byte);
                at += 3;
                continue;
            }
            (None, b'+') => out.push(b' '),
            (None, byte) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An HTTP answer, and how the connection misbehaves while it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names as sent. A `content-length` among them stands, right or wrong.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// The connection breaks after so many bytes of the body.
    pub cut_after: Option<usize>,
    /// The answer is held back so long.
    pub delay_ms: u64,
}

/// Without headers and body: they hold tokens and signed URLs.
impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} with {} bytes", self.status, self.body.len())
    }
}

impl Response {
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut_after: None, delay_ms: 0 }
    }

    /// An answer of JSON.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, body.to_string()).with("Content-Type", "application/json")
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The first header of that name, in any case.
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is none.
    pub fn body_json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_and_queries_decoded() {
        let request = Request::get("https://api.test:81/siem/v1?type=url+protect%2Cav&pageSize=100&bad=%zz");
        assert_eq!((request.host.as_str(), request.path.as_str()), ("api.test:81", "/siem/v1"));
        assert_eq!(request.parameter("type").as_deref(), Some("url protect,av"));
        assert_eq!(request.parameter("bad").as_deref(), Some("%zz"));
        assert_eq!(request.parameter("none"), None);
        assert_eq!(Request::get("/a").path, "/a");
        assert_eq!(Request::get("http://h").path, "/");
    }
}
