//! Values that sinks for brokers, objects and syslog have in common.

use crate::config::section::Section;
use crate::deliver::{Head, Origin};
use crate::template::Template;

/// What a template gives where every place is filled with `x` or a digit: its fixed text is as it will be.
pub fn sample(template: &Template) -> String {
    let origin = Origin { source: "x".into(), tenant: "x".into(), stream: "x".into() };
    let event = Head { id: 0, time: 0, kind: 0, class: 0, severity: 0, alert_key: None, begin: 0, end: 0 };
    template.render(&origin, &event, str::to_owned)
}

/// Of `host`, `host:port` or `[address]:port`; the host without brackets.
pub fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(good) {
        return None;
    }
    let port = port.map_or(Some(default), |port| port.parse().ok().filter(|port| *port > 0))?;
    Some((host.to_owned(), port))
}

/// Says of a proxy for a sink that speaks no HTTP that it is not used. One at the top is for others.
pub fn no_proxy(section: &mut Section<'_>) {
    let hint = "Remove it; this sink connects by itself";
    section.refuse("proxy", "is for HTTP, which this type of sink does not speak", hint);
}
