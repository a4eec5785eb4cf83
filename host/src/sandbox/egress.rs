//! Which hosts a guest may reach: those that its plan names.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// The hosts that a source's plan names. What is not named is denied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Egress(Vec<HostPattern>);

impl Egress {
    /// Denies all.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// # Errors
    /// At the first pattern that cannot be read.
    pub fn new<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Result<Self, PatternError> {
        hosts.into_iter().map(str::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a request for `uri` passes.
    pub fn allows(&self, uri: &Uri) -> bool {
        // Credentials in an authority would let `https://vendor.com@elsewhere` pass for something else to a reader.
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        plain && self.0.iter().any(|pattern| pattern.matches(uri))
    }
}

/// `scheme://host[:port]`, a leading `*.` for subdomains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    scheme: Scheme,
    /// In lower case, without brackets and without `*.`.
    host: String,
    subdomains: bool,
    port: Port,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    One(u16),
    /// Of a loopback host that is named without one: a test server listens where it finds room.
    Any,
}

/// A host that a plan may not name like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host pattern; write it as scheme://host[:port], such as https://*.example.com")]
pub struct PatternError(String);

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "http" => Some(Scheme::Http),
            "https" => Some(Scheme::Https),
            _ => None,
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Names and addresses of this machine itself.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// Lower case, without the brackets of an IPv6 address and without the root's dot.
fn normal(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

impl HostPattern {
    fn matches(&self, uri: &Uri) -> bool {
        let (Some(scheme), Some(host)) = (uri.scheme_str().and_then(Scheme::parse), uri.host()) else { return false };
        let host = normal(host);
        let host_matches = if self.subdomains {
            host.strip_suffix(&self.host).is_some_and(|sub| sub.len() > 1 && sub.ends_with('.'))
        } else {
            host == self.host
        };
        let port_matches = match self.port {
            Port::One(port) => uri.port_u16().unwrap_or(scheme.default_port()) == port,
            Port::Any => true,
        };
        scheme == self.scheme && host_matches && port_matches
    }
}

impl FromStr for HostPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let error = || PatternError(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(error)?;
        let scheme = Scheme::parse(scheme).ok_or_else(error)?;
        let (subdomains, rest) = rest.strip_prefix("*.").map_or((false, rest), |rest| (true, rest));
        let authority: http::uri::Authority = rest.parse().map_err(|_| error())?;
        if authority.as_str().contains(['@', '*']) || authority.host().is_empty() {
            return Err(error());
        }
        let host = normal(authority.host());
        let port = match authority.port_u16() {
            Some(port) => Port::One(port),
            // `host:` and `host:99999`.
            None if authority.as_str() != authority.host() => return Err(error()),
            None if is_loopback(&host) => Port::Any,
            None => Port::One(scheme.default_port()),
        };
        Ok(Self { scheme, host, subdomains, port })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let brackets = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        let sub = if self.subdomains { "*." } else { "" };
        write!(f, "{scheme}://{sub}{}{}{}", brackets.0, self.host, brackets.1)?;
        match self.port {
            Port::One(port) if port != self.scheme.default_port() || is_loopback(&self.host) => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, uri: &str) -> bool {
        Egress::new([pattern]).unwrap().allows(&uri.parse().unwrap())
    }

    #[test]
    fn a_named_host_passes_and_its_neighbours_do_not() {
        for (pattern, uri, expected) in [
            ("https://api.example.com", "https://api.example.com/x?y", true),
            ("https://api.example.com", "https://API.Example.com./", true),
            ("https://api.example.com", "https://api.example.com:443/", true),
            ("https://api.example.com", "https://api.example.com:8443/", false),
            ("https://api.example.com", "http://api.example.com/", false),
            ("https://api.example.com", "http://api.example.com:443/", false),
            ("https://api.example.com", "https://xapi.example.com/", false),
            ("https://api.example.com", "https://api.example.com.evil.org/", false),
            ("https://api.example.com", "https://api.example.com@evil.org/", false),
            ("https://api.example.com", "https://user@api.example.com/", false),
            ("https://*.example.com", "https://a.b.example.com/", true),
            ("https://*.example.com", "https://example.com/", false),
            ("https://*.example.com", "https://evilexample.com/", false),
            ("https://files.example.com:8443", "https://files.example.com:8443/", true),
            ("https://files.example.com:8443", "https://files.example.com/", false),
            ("http://127.0.0.1", "http://127.0.0.1:40123/", true),
            ("http://localhost", "http://localhost:1/", true),
            ("http://[::1]", "http://[::1]:9000/", true),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8081/", false),
            ("http://127.0.0.1", "http://127.0.0.2:8081/", false),
            ("http://127.0.0.1", "https://127.0.0.1:8081/", false),
        ] {
            assert_eq!(allows(pattern, uri), expected, "{pattern} {uri}");
        }
        assert!(!Egress::nothing().allows(&"https://example.com/".parse().unwrap()));
    }

    #[test]
    fn a_pattern_reads_back_as_it_was_written() {
        for text in [
            "https://*.example.com",
            "https://a.example:8443",
            "http://127.0.0.1",
            "http://127.0.0.1:80",
            "http://[::1]",
        ] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), text);
        }
        for text in [
            "example.com",
            "ftp://example.com",
            "https://",
            "https://a@b",
            "https://a.*.b",
            "https://a/b",
            "https://a:",
            "https://*",
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(PatternError(text.into())), "{text}");
        }
    }
}
