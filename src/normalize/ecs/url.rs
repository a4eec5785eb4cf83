//! The parts of a link, where it has them. A link that somebody sent need not be one by any standard, so nothing is
//! decoded or corrected.

use crate::record::{Value, value::integer};

/// The members of `url` besides the link itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parts<'a> {
    pub scheme: &'a [u8],
    pub domain: &'a [u8],
    pub port: Option<i64>,
    pub path: &'a [u8],
    pub query: &'a [u8],
    pub fragment: &'a [u8],
    pub extension: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Nothing but a `scheme://authority` has parts.
    pub fn of(url: Value<'a>) -> Self {
        let text = url.bytes;
        let Some(colon) = text.iter().position(|byte| *byte == b':') else { return Self::default() };
        let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let Some(rest) = text[colon + 1..].strip_prefix(b"//") else { return Self::default() };
        if colon == 0 || !text[..colon].iter().all(is_scheme) {
            return Self::default();
        }
        let (rest, fragment) = cut(rest, |byte| byte == b'#');
        let (rest, query) = cut(rest, |byte| byte == b'?');
        let slash = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        let host = match authority.iter().rposition(|byte| *byte == b'@') {
            Some(at) => &authority[at + 1..],
            None => authority,
        };
        let (domain, port) = host_and_port(host);
        let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let extension = match file.iter().rposition(|byte| *byte == b'.') {
            Some(dot) if dot > 0 && file[dot + 1..].iter().all(u8::is_ascii_alphanumeric) => &file[dot + 1..],
            _ => &[],
        };
        Self { scheme: &text[..colon], domain, port, path, query, fragment, extension }
    }
}

/// What stands before the first such byte, and what behind it.
fn cut(text: &[u8], at: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| at(*byte)) {
        Some(found) => (&text[..found], &text[found + 1..]),
        None => (text, &[]),
    }
}

fn host_and_port(host: &[u8]) -> (&[u8], Option<i64>) {
    let bracket = host.iter().rposition(|byte| *byte == b']').unwrap_or(0);
    let Some(colon) = host[bracket..].iter().rposition(|byte| *byte == b':') else { return (host, None) };
    let (name, port) = (&host[..bracket + colon], &host[bracket + colon + 1..]);
    match integer(port).filter(|port| (0..=65535).contains(port)) {
        Some(port) => (name, Some(port)),
        None if port.is_empty() => (name, None),
        None => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::scan::Shape;

    fn parts(url: &str) -> Parts<'_> {
        Parts::of(Value { shape: Shape::Text, bytes: url.as_bytes() })
    }

    #[test]
    fn a_link_in_its_parts() {
        assert_eq!(
            parts("https://user:pass@www.example.com:8443/a/b.tar.gz?x=1?&y=/#top"),
            Parts {
                scheme: b"https",
                domain: b"www.example.com",
                port: Some(8443),
                path: b"/a/b.tar.gz",
                query: b"x=1?&y=/",
                fragment: b"top",
                extension: b"gz",
            }
        );
        let bare = parts("http://7.T");
        assert_eq!((bare.domain, bare.port, bare.path, bare.extension), (&b"7.T"[..], None, &b""[..], &b""[..]));
        let six = parts("http://[2001:db8::1]:80/.hidden");
        assert_eq!((six.domain, six.port, six.extension), (&b"[2001:db8::1]"[..], Some(80), &b""[..]));
        assert_eq!(parts("http://[2001:db8::1]/").domain, b"[2001:db8::1]");
        assert_eq!(parts("http://a:99999/").domain, b"a:99999");
    }

    #[test]
    fn what_has_no_parts() {
        for other in ["", "www.example.com/a", "mailto:a@b.example", "://x", "a b://c", "javascript:alert('//')"] {
            assert_eq!(parts(other), Parts::default(), "{other}");
        }
    }
}
