//! `egress` and `egress_mode`.

use std::cell::RefCell;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Reader;
use crate::config::declaration::{Group, Table, texts};
use crate::config::section::Section;
use crate::sandbox::{EgressMode, EgressSettings, HostPattern, Layer, holds_metadata};

const MODES: [(&str, EgressMode); 2] = [("enforce", EgressMode::Enforce), ("report", EgressMode::Report)];

pub static EGRESS: Table = Table::new(
    "egress",
    "Which hosts a component may reach, beside or instead of those that it names itself. At the top for all sources, and \
     under a source for that one.",
    &[&Group::of(&[
        texts(
            "hosts",
            "Only these, as `scheme://host[:port]`, with a leading `*.` for the hosts below. Without the key, those that \
             the component names for its configuration.",
        ),
        texts("extra_hosts", "These too, written the same way."),
        texts(
            "allow_private",
            "Networks or addresses that are not public and may be reached, such as `10.0.0.0/8`. Otherwise none may.",
        ),
    ])],
);

/// What stands in one place: at the top, or in a source's table.
#[derive(Debug, Default)]
pub struct Egress {
    layer: Option<Layer>,
    allow_private: Vec<IpNet>,
    mode: Option<EgressMode>,
}

impl Egress {
    pub fn take(place: &mut Section<'_>, reader: &RefCell<Reader>) -> Self {
        let mode = match place.peek("egress_mode") {
            None => None,
            Some(_) => Some(place.choice("egress_mode", &MODES)),
        };
        if mode == Some(EgressMode::Report) {
            let message = "what a component may not reach is only counted and logged, and it reaches it";
            reader.borrow_mut().warn(place, "egress_mode", message, "Take it out when you have seen what is reached");
        }
        let Some(mut section) = place.table("egress") else {
            return Self { mode, ..Self::default() };
        };
        let hosts = section.texts("hosts").map(|texts| patterns(&mut section, "hosts", &texts));
        let extra_hosts = section.texts("extra_hosts").unwrap_or_default();
        let extra_hosts = patterns(&mut section, "extra_hosts", &extra_hosts);
        let texts = section.texts("allow_private").unwrap_or_default();
        let allow_private = networks(&mut section, &texts);
        if allow_private.iter().any(holds_metadata) {
            let message = "it holds an address under which a cloud gives credentials to this machine";
            reader.borrow_mut().warn(&section, "allow_private", message, "Name the networks that are needed");
        }
        section.close();
        Self { layer: Some(Layer { hosts, extra_hosts }), allow_private, mode }
    }

    /// A source's own, with what stands at the top.
    pub fn over(self, top: &Self) -> EgressSettings {
        EgressSettings {
            layers: self.layer.into_iter().chain(top.layer.clone()).collect(),
            allow_private: self.allow_private.into_iter().chain(top.allow_private.iter().copied()).collect(),
            mode: self.mode.or(top.mode).unwrap_or_default(),
        }
    }
}

fn patterns(section: &mut Section<'_>, key: &str, texts: &[String]) -> Vec<HostPattern> {
    let mut patterns = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(pattern) => patterns.push(pattern),
            Err(_) => section.fault(
                &format!("{key}[{i}]"),
                "is no host pattern",
                Some(
                    "Write it as scheme://host[:port], such as https://api.example.com or https://*.example.com".into(),
                ),
            ),
        }
    }
    patterns
}

fn networks(section: &mut Section<'_>, texts: &[String]) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        let network = text.parse().or_else(|_| text.parse().map(|address: IpAddr| IpNet::from(address)));
        match network {
            // Addresses are compared in the shorter form.
            Ok(IpNet::V6(network)) if network.addr().to_ipv4_mapped().is_some() => section.fault(
                &format!("allow_private[{i}]"),
                "is an IPv4 network in the form of IPv6",
                Some("Write it as 10.0.0.0/8".into()),
            ),
            Ok(network) => networks.push(network.trunc()),
            Err(_) => section.fault(
                &format!("allow_private[{i}]"),
                "is no network",
                Some("Write it as 10.0.0.0/8, fd00::/8, or as one address".into()),
            ),
        }
    }
    networks
}
