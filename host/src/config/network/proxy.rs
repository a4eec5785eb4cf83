//! `proxy`, named as Vector names it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::config::declaration::{Group, Table, flag, secret, texts};
use crate::config::secrets::Secret;
use crate::config::section::Section;

/// Through which proxy a source's requests go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxySettings {
    /// Of requests by http.
    pub http: Option<ProxyAddress>,
    /// Of requests by https.
    pub https: Option<ProxyAddress>,
    /// Hosts that are reached directly.
    pub no_proxy: Vec<Direct>,
}

/// A proxy that is spoken to by HTTP CONNECT.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    /// The value of `proxy-authorization`: a secret, which is wiped after the last use.
    authorization: Option<Arc<Secret>>,
}

/// A host that is reached directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direct {
    host: DirectHost,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum DirectHost {
    All,
    /// The host of this name, and those below it.
    Name(String),
    Network(IpNet),
}

impl ProxySettings {
    /// The proxy for a request; `None` if it goes directly. `host` is in lower case and without brackets.
    pub fn proxy(&self, https: bool, host: &str, port: u16) -> Option<&ProxyAddress> {
        let proxy = if https { self.https.as_ref() } else { self.http.as_ref() }?;
        (!self.no_proxy.iter().any(|direct| direct.matches(host, port))).then_some(proxy)
    }
}

impl ProxyAddress {
    /// The value of `proxy-authorization`. Send it to the proxy and show it to nobody.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_ref().map(|value| value.as_str())
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        // The credentials stand apart before anything else is read: what reads URLs keeps copies.
        let begin = text.find("://").map_or(0, |at| at + 3);
        let end = text[begin..].find(['/', '?', '#']).map_or(text.len(), |at| begin + at);
        let (credentials, host) = match text[begin..end].rsplit_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, &text[begin..end]),
        };
        let uri = [&text[..begin], host, &text[end..]].concat();
        let uri: Uri = uri.parse().map_err(|_| "is no URL")?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err("is reached by TLS, which is not supported: TLS with the vendor goes through the proxy");
            }
            _ => return Err("is no proxy that speaks HTTP"),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err("has something after its host and port");
        }
        let authority = uri.authority().ok_or("has no host")?;
        let authorization = credentials.map(|credentials| Arc::new(basic(credentials)));
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        // Vector's, and curl's.
        Ok(Self { host, port: authority.port_u16().unwrap_or(1080), authorization })
    }
}

/// The value of `proxy-authorization` for what stands before the host: `user:password`, with percent signs.
fn basic(credentials: &str) -> Secret {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    // As long as they may be: what grows leaves copies behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(credentials.len() + 1));
    plain.extend(percent_decode_str(user));
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    const SCHEME: &str = "Basic ";
    let mut value = Zeroizing::new(String::with_capacity(SCHEME.len() + plain.len().div_ceil(3) * 4));
    value.push_str(SCHEME);
    STANDARD.encode_string(plain.as_slice(), &mut value);
    value
}

impl fmt::Debug for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authorization = self.authorization.as_ref().map(|_| "hidden");
        f.debug_struct("ProxyAddress")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("authorization", &authorization)
            .finish()
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Direct {
    /// `*`; an address or a network; or a name with or without a port, which stands for the hosts below it too, whether it
    /// begins with `*.`, with a dot, or with neither.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Some(Self { host: DirectHost::All, port: None });
        }
        let network = |text: &str| {
            let text = text.trim_start_matches('[').trim_end_matches(']');
            text.parse().or_else(|_| text.parse().map(|address: IpAddr| IpNet::from(address))).ok()
        };
        if let Some(network) = network(&text) {
            return Some(Self { host: DirectHost::Network(network), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text.as_str(), None),
        };
        if let Some(network) = network(host) {
            return Some(Self { host: DirectHost::Network(network), port });
        }
        let name = host.strip_prefix("*.").or_else(|| host.strip_prefix('.')).unwrap_or(host);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (!name.is_empty() && name.bytes().all(plain)).then(|| Self { host: DirectHost::Name(name.into()), port })
    }

    fn matches(&self, host: &str, port: u16) -> bool {
        let host_matches = match &self.host {
            DirectHost::All => true,
            DirectHost::Name(name) => {
                host.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            DirectHost::Network(network) => {
                host.parse().is_ok_and(|address: IpAddr| network.contains(&address.to_canonical()))
            }
        };
        host_matches && self.port.is_none_or(|own| own == port)
    }
}

pub static PROXY: Table = Table::new(
    "proxy",
    "Through which proxy requests go. At the top for all, and under a source or a sink for that one.",
    &[&Group::of(&[
        flag("enabled", true, "Whether there is one. `false` under a source or a sink leaves out that of the top."),
        secret("http", "The proxy of requests by http: `http://host:port`, or `http://user:password@host:port`."),
        secret("https", "The proxy of requests by https, written the same way. It is spoken to by CONNECT."),
        texts(
            "no_proxy",
            "Hosts that are reached directly: a name, which stands for those below it too, with or without a port; an \
             address; a network; or `*`.",
        ),
    ])],
);

pub fn read(mut section: Section<'_>) -> ProxySettings {
    let enabled = section.flag("enabled");
    let mut address = |key: &'static str| {
        let text = section.secret(key)?;
        match ProxyAddress::parse(&text) {
            Ok(address) => Some(address),
            Err(wrong) => {
                // Never the text itself: it may hold a password.
                let hint = "Write it as http://host:port, or http://user:password@host:port";
                section.fault(key, wrong, Some(hint.into()));
                None
            }
        }
    };
    let (http, https) = (address("http"), address("https"));
    let mut no_proxy = Vec::new();
    for (i, text) in section.texts("no_proxy").unwrap_or_default().iter().enumerate() {
        match Direct::parse(text) {
            Some(direct) => no_proxy.push(direct),
            None => section.fault(
                &format!("no_proxy[{i}]"),
                "is no host",
                Some(
                    "Write a name such as example.com (which stands for those below it too), an address or a network"
                        .into(),
                ),
            ),
        }
    }
    section.close();
    if enabled { ProxySettings { http, https, no_proxy } } else { ProxySettings::default() }
}
