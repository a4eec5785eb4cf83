//! Why a request does not pass, and which setting would let it.

use std::net::IpAddr;

use super::address::{Host, Special};
use super::pattern::Scheme;

/// Why a request does not pass. What it says of the request is its host alone: paths and queries may be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the request is not one that can be judged: {0}")]
    Malformed(&'static str),
    #[error("{host} is {}", if *.narrowed { "left out by `egress.hosts`" } else { "not among the hosts that the component's plan names" })]
    Host {
        /// `scheme://host:port`.
        host: String,
        /// The plan names it, but the operator's list does not.
        narrowed: bool,
    },
    #[error("{host} leads to {address}, which is no public address ({})", .special.0)]
    Address { host: String, address: IpAddr, special: Special },
}

impl Refusal {
    /// What the operator changes, if the request is meant to pass.
    pub fn hint(&self) -> String {
        match self {
            Refusal::Malformed(_) => "Report it to who made the component".into(),
            Refusal::Host { host, narrowed: true } => {
                format!("If that is meant to be reached, add {host:?} to `egress.hosts`, of the source or at the top")
            }
            Refusal::Host { host, narrowed: false } => {
                format!("If that is meant to be reached, add {host:?} to the source's `egress.extra_hosts`")
            }
            Refusal::Address { address, .. } => {
                let address = address.to_canonical();
                let length = if address.is_ipv4() { 32 } else { 128 };
                format!(
                    "If that is meant to be reached, add \"{address}/{length}\", or the network that it is in, to the \
                     source's `egress.allow_private`. If not, look at what answers for the name"
                )
            }
        }
    }
}

/// A host as an operator would write it.
pub(super) fn shown(scheme: Scheme, host: &Host, port: u16) -> String {
    let name = match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let port = if port == scheme.default_port() { String::new() } else { format!(":{port}") };
    format!("{name}://{}{port}", short(&host.to_string()))
}

/// A guest chooses what stands here, so it is kept short. It is ASCII without spaces already.
pub(super) fn short(host: &str) -> String {
    const SHOWN: usize = 100;
    if host.len() <= SHOWN { host.to_owned() } else { format!("{}…", host.chars().take(SHOWN).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_which_setting_to_change() {
        let host = |narrowed| Refusal::Host { host: "https://a.example".into(), narrowed };
        let address = Refusal::Address {
            host: "a.example".into(),
            address: "::ffff:10.0.0.1".parse().unwrap(),
            special: Special("a private network"),
        };
        for (refusal, setting) in [
            (host(false), "\"https://a.example\" to the source's `egress.extra_hosts`"),
            (host(true), "\"https://a.example\" to `egress.hosts`"),
            (address.clone(), "\"10.0.0.1/32\""),
            (address, "`egress.allow_private`"),
        ] {
            assert!(refusal.hint().contains(setting), "{refusal:?}: {}", refusal.hint());
            assert!(refusal.to_string().contains("a.example"), "{refusal}");
        }
        assert!(short(&"x".repeat(1_000)).len() < 110);
    }
}
