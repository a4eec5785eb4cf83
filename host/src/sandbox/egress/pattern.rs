//! How a plan and an operator name hosts.

use std::fmt;
use std::str::FromStr;

use super::address::Host;

/// `scheme://host[:port]`, a leading `*.` for subdomains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    scheme: Scheme,
    host: Host,
    subdomains: bool,
    port: Port,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    One(u16),
    /// Of a loopback host that is named without one: a test server listens where it finds room.
    Any,
}

/// A host that cannot be named like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host pattern; write it as scheme://host[:port], such as https://*.example.com")]
pub struct PatternError(String);

impl Scheme {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "http" => Some(Scheme::Http),
            "https" => Some(Scheme::Https),
            _ => None,
        }
    }

    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

impl HostPattern {
    pub(super) fn matches(&self, scheme: Scheme, host: &Host, port: u16) -> bool {
        let host_matches = match (&self.host, host) {
            (Host::Name(parent), Host::Name(name)) if self.subdomains => {
                name.strip_suffix(parent.as_str()).is_some_and(|sub| sub.len() > 1 && sub.ends_with('.'))
            }
            (own, other) => !self.subdomains && own == other,
        };
        let port_matches = match self.port {
            Port::One(own) => own == port,
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
        if authority.as_str().contains('@') {
            return Err(error());
        }
        let host = Host::parse(authority.host()).ok_or_else(error)?;
        if subdomains && !matches!(host, Host::Name(_)) {
            return Err(error());
        }
        let port = match authority.port_u16() {
            Some(port) => Port::One(port),
            // `host:` and `host:99999`.
            None if authority.as_str() != authority.host() => return Err(error()),
            None if host.is_loopback() => Port::Any,
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
        let sub = if self.subdomains { "*." } else { "" };
        write!(f, "{scheme}://{sub}{}", self.host)?;
        match self.port {
            Port::One(port) if port != self.scheme.default_port() || self.host.is_loopback() => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "https://a:99999",
            "https://*",
            "https://*.10.0.0.1",
            "https://256.0.0.1",
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(PatternError(text.into())), "{text}");
        }
    }
}
