//! Which hosts and which addresses a guest may reach.
//!
//! A request passes if its scheme, host and port are named by the plan, if the operator has not narrowed that, and if the
//! address is a public one or in a network that the operator allows. What is not named is denied.

pub mod address;
mod pattern;
mod refusal;

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;

use address::Host;
use pattern::Scheme;
pub use pattern::{HostPattern, PatternError};
pub use refusal::Refusal;

/// What an operator changes in the hosts that a plan names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layer {
    /// Of the hosts that were named so far, only those that one of these fits too; all, if there is no list.
    pub hosts: Option<Vec<HostPattern>>,
    /// These as well.
    pub extra_hosts: Vec<HostPattern>,
}

/// What is done about a request that does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EgressMode {
    /// It is denied.
    #[default]
    Enforce,
    /// It is counted and logged, and goes on.
    Report,
}

/// What an operator says about egress.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EgressSettings {
    /// In this order, each on what the one before has left: the source's own, then the one for all sources, which has the
    /// last word.
    pub layers: Vec<Layer>,
    /// Networks that may be reached though they are not of the public internet.
    pub allow_private: Vec<IpNet>,
    pub mode: EgressMode,
}

/// The policy for one source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Egress {
    plan: Vec<HostPattern>,
    settings: EgressSettings,
}

impl Egress {
    /// Denies all.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// The hosts of a plan, at public addresses.
    ///
    /// # Errors
    /// At the first pattern that cannot be read.
    pub fn new<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Result<Self, PatternError> {
        let plan = hosts.into_iter().map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { plan, settings: EgressSettings::default() })
    }

    /// As the operator wants it.
    pub fn with(self, settings: EgressSettings) -> Self {
        Self { settings, ..self }
    }

    /// Also at addresses in these networks, such as loopback in a test.
    pub fn allowing(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.settings.allow_private.extend(networks);
        self
    }

    pub fn mode(&self) -> EgressMode {
        self.settings.mode
    }

    /// Judges where a request goes by how it is written: scheme, host and port, and the address if the host is one. To
    /// which addresses a name leads is judged when it is resolved.
    ///
    /// # Errors
    /// Why it does not pass.
    pub fn judge(&self, uri: &Uri) -> Result<(), Refusal> {
        let Some(authority) = uri.authority() else { return Err(Refusal::Malformed("it names no host")) };
        // Credentials in an authority would let `https://vendor.com@elsewhere` pass for something else to a reader.
        if authority.as_str().contains('@') {
            return Err(Refusal::Malformed("it has user information before its host"));
        }
        let Some(scheme) = uri.scheme_str().and_then(Scheme::parse) else {
            return Err(Refusal::Malformed("its scheme is neither https nor http"));
        };
        let Some(host) = Host::parse(authority.host()) else {
            return Err(Refusal::Malformed("its host is neither a name nor an address"));
        };
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str() == authority.host() => scheme.default_port(),
            None => return Err(Refusal::Malformed("its port is no port")),
        };
        self.judge_name(scheme, &host, port)?;
        match host {
            Host::Address(address) => self.judge_address(&host.to_string(), address),
            Host::Name(_) => Ok(()),
        }
    }

    fn judge_name(&self, scheme: Scheme, host: &Host, port: u16) -> Result<(), Refusal> {
        let fits = |patterns: &[HostPattern]| patterns.iter().any(|pattern| pattern.matches(scheme, host, port));
        let mut named = fits(&self.plan);
        let mut narrowed = false;
        for layer in &self.settings.layers {
            let left = layer.hosts.as_deref().is_none_or(fits);
            narrowed |= named && !left;
            named = (named && left) || fits(&layer.extra_hosts);
        }
        match named {
            true => Ok(()),
            false => Err(Refusal::Host { host: refusal::shown(scheme, host, port), narrowed }),
        }
    }

    /// Judges an address to which the host of a request leads.
    ///
    /// # Errors
    /// If it is not public, and in no network that the operator allows.
    pub fn judge_address(&self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        match address::special(address) {
            Some(special) if !address::is_within(&self.settings.allow_private, address) => {
                Err(Refusal::Address { host: refusal::short(host), address, special })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, uri: &str) -> bool {
        let loopback = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
        Egress::new([pattern]).unwrap().allowing(loopback).judge(&uri.parse().unwrap()).is_ok()
    }

    #[test]
    fn a_named_host_passes_and_its_neighbours_do_not() {
        for (pattern, uri, expected) in [
            ("https://api.example.com", "https://api.example.com/x?y", true),
            ("https://api.example.com", "https://API.Example.com./", true),
            ("https://API.example.com.", "https://api.example.com/", true),
            ("https://api.example.com", "https://api.example.com../", false),
            ("https://api.example.com", "https://api.example.com:443/", true),
            ("https://api.example.com", "https://api.example.com:8443/", false),
            ("https://api.example.com", "https://api.example.com:99999/", false),
            ("https://api.example.com", "http://api.example.com/", false),
            ("https://api.example.com", "http://api.example.com:443/", false),
            ("https://api.example.com", "https://xapi.example.com/", false),
            ("https://api.example.com", "https://api.example.com.evil.org/", false),
            ("https://api.example.com", "https://api.example.com@evil.org/", false),
            ("https://api.example.com", "https://user@api.example.com/", false),
            ("https://api.example.com", "https://user:secret@api.example.com/", false),
            ("https://*.example.com", "https://a.b.example.com/", true),
            ("https://*.example.com", "https://example.com/", false),
            ("https://*.example.com", "https://evilexample.com/", false),
            ("https://files.example.com:8443", "https://files.example.com:8443/", true),
            ("https://files.example.com:8443", "https://files.example.com/", false),
            ("http://127.0.0.1", "http://127.0.0.1:40123/", true),
            ("http://127.0.0.1", "http://0x7f.1:40123/", true),
            ("http://localhost", "http://localhost:1/", true),
            ("http://[::1]", "http://[::1]:9000/", true),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8081/", false),
            ("http://127.0.0.1", "http://127.0.0.2:8081/", false),
            ("http://127.0.0.1", "https://127.0.0.1:8081/", false),
        ] {
            assert_eq!(allows(pattern, uri), expected, "{pattern} {uri}");
        }
        assert!(Egress::nothing().judge(&"https://example.com/".parse().unwrap()).is_err());
    }

    #[test]
    fn a_named_literal_is_judged_in_every_form() {
        for (uri, passes) in [
            ("http://8.8.8.8/", true),
            ("http://134744072/", true),
            ("http://0x8.8.2056/", true),
            ("http://010.010.010.010/", true),
            ("http://[::ffff:8.8.8.8]/", true),
            ("http://[64:ff9b::808:808]/", true),
            ("http://[2600:1f18::1]/", true),
            ("http://127.0.0.1/", false),
            ("http://2130706433/", false),
            ("http://0177.0.0.1/", false),
            ("http://0x7f.1/", false),
            ("http://127.0.0.1./", false),
            ("http://[::1]/", false),
            ("http://[::ffff:127.0.0.1]/", false),
            ("http://[::7f00:1]/", false),
            ("http://[64:ff9b::7f00:1]/", false),
            ("http://[2002:7f00:1::]/", false),
            ("http://169.254.169.254/latest/meta-data/", false),
            ("http://2852039166/", false),
            ("http://[fd00:ec2::254]/", false),
            ("http://100.64.0.1/", false),
            ("http://0.0.0.0/", false),
            ("http://10.1.2.3/", false),
        ] {
            // The plan names it, so that only its address can be the reason.
            let named = uri.split('/').take(3).collect::<Vec<_>>().join("/");
            let judged = Egress::new([named.as_str()]).unwrap().judge(&uri.parse().unwrap());
            assert_eq!(judged.is_ok(), passes, "{uri}: {judged:?}");
            assert!(passes || matches!(judged, Err(Refusal::Address { .. })), "{uri}: {judged:?}");
        }
    }

    #[test]
    fn an_operator_narrows_and_widens() {
        let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<HostPattern>>();
        let egress = |layers: &[(Option<&[&str]>, &[&str])]| {
            let layers = layers
                .iter()
                .map(|(hosts, extra)| Layer { hosts: hosts.map(patterns), extra_hosts: patterns(extra) })
                .collect();
            let plan = Egress::new(["https://api.vendor.com", "https://*.storage.com"]).unwrap();
            plan.with(EgressSettings { layers, ..EgressSettings::default() })
        };
        let passes = |egress: &Egress, host: &str| egress.judge(&format!("https://{host}/").parse().unwrap()).is_ok();
        let own = egress(&[(Some(&["https://api.vendor.com", "https://eu.storage.com"]), &["https://mirror.org"])]);
        for (host, expected) in [
            ("api.vendor.com", true),
            ("eu.storage.com", true),
            ("us.storage.com", false),
            ("mirror.org", true),
            ("other.org", false),
        ] {
            assert_eq!(passes(&own, host), expected, "{host}");
        }
        // A list cannot add what the plan does not name.
        assert!(!passes(&egress(&[(Some(&["https://other.org"]), &[])]), "other.org"));
        // An empty list leaves nothing.
        assert!(!passes(&egress(&[(Some(&[]), &[])]), "api.vendor.com"));
        // The one for all has the last word, against what a source adds too.
        let all = egress(&[(None, &["https://mirror.org"]), (Some(&["https://*.vendor.com"]), &["https://proxy.org"])]);
        for (host, expected) in
            [("api.vendor.com", true), ("mirror.org", false), ("eu.storage.com", false), ("proxy.org", true)]
        {
            assert_eq!(passes(&all, host), expected, "{host}");
        }
        let Err(Refusal::Host { narrowed, .. }) = all.judge(&"https://eu.storage.com/".parse().unwrap()) else {
            panic!("it passed")
        };
        assert!(narrowed);
    }
}
