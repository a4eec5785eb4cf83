//! URLs as far as this source meets them: absolute, `http` or `https`.

/// A URL's parts. The query may hold a signature: it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// In lower case.
    pub scheme: String,
    /// Without the port; an IPv6 address in its brackets.
    pub host: String,
    pub port: Option<u16>,
    /// As written, `/` if absent and a query follows.
    pub path: String,
    pub query: Option<String>,
}

impl Url {
    /// `None` for anything that is no absolute URL of a host: no user information, no blanks, no control characters.
    pub fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://")?;
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        if rest.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return None;
        }
        let rest = rest.split('#').next().unwrap_or(rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (host, port) = match authority.rfind(':') {
            Some(colon) if !authority.ends_with(']') => {
                (&authority[..colon], Some(authority[colon + 1..].parse::<u16>().ok()?))
            }
            _ => (authority, None),
        };
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let literal = literal.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if host.is_empty() || !(literal || host.bytes().all(allowed)) {
            return None;
        }
        let (path, query) = match tail.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (tail, None),
        };
        Some(Url { scheme: scheme.to_ascii_lowercase(), host: host.to_owned(), port, path: path.to_owned(), query })
    }

    /// `scheme://host[:port]`.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority())
    }

    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }
}

/// Host and path: what a message may say of a URL.
impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.authority(), self.path)
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Percent-encodes a value of a query or a form: everything but RFC 3986's unreserved characters.
pub fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Names and values, joined as a query or a form.
pub fn form(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let url = Url::parse("HTTPS://b.s3.amazonaws.com:8443/receipt/1.json.gz?X-Amz-Signature=s#f").unwrap();
        assert_eq!((url.scheme.as_str(), url.host.as_str(), url.port), ("https", "b.s3.amazonaws.com", Some(8443)));
        assert_eq!((url.path.as_str(), url.query.as_deref()), ("/receipt/1.json.gz", Some("X-Amz-Signature=s")));
        assert_eq!(url.origin(), "https://b.s3.amazonaws.com:8443");
        assert_eq!(format!("{url:?}"), "b.s3.amazonaws.com:8443/receipt/1.json.gz");
        assert_eq!(Url::parse("http://[::1]:80/").unwrap().host, "[::1]");
        assert_eq!(Url::parse("https://h?q=1").unwrap().query.as_deref(), Some("q=1"));
    }

    #[test]
    fn no_urls() {
        for text in
            ["", "host", "/path", "https://", "https://a b/", "https://h:x/", "https://u:p@h/", "https://h\r\nX: 1/"]
        {
            assert!(Url::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn forms_are_encoded() {
        assert_eq!(form(&[("a", "url protect"), ("b", "x+/=&é")]), "a=url%20protect&b=x%2B%2F%3D%26%C3%A9");
    }
}
