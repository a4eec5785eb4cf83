//! Where the API is: `base_url` or `region`, judged against the generation (sections 1.6 and 2.2 of the API reference).

use super::fault;
use super::value::{Values, shown};
use crate::api::url::Url;
use crate::chunk::Fault;
use crate::code::Code;
use crate::kind::Generation;

/// The root of the API: `scheme://host[:port]`, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub url: String,
    /// Only a loopback address may be reached in the clear.
    pub loopback: bool,
}

const REGIONS_V1: [(&str, &str); 10] = [
    ("eu", "eu-api.mimecast.com"),
    ("de", "de-api.mimecast.com"),
    ("us", "us-api.mimecast.com"),
    ("usb", "usb-api.mimecast.com"),
    ("uspcom", "uspcom-api.mimecast-pscom-us.com"),
    ("ca", "ca-api.mimecast.com"),
    ("za", "za-api.mimecast.com"),
    ("au", "au-api.mimecast.com"),
    ("je", "je-api.mimecast.com"),
    ("sandbox", "sandbox-api.mimecast.com"),
];

/// API 2.0 has one global host that fails over between regions, and regional ones that do not.
const REGIONS_V2: [(&str, &str); 3] = [
    ("global", "api.services.mimecast.com"),
    ("us", "us-api.services.mimecast.com"),
    ("uk", "uk-api.services.mimecast.com"),
];

/// Where API 1.0 is asked for an account's region.
pub const DISCOVERY: &str = "https://api.mimecast.com";

pub(super) fn base(values: &Values, generation: Generation, insecure: bool) -> Result<Option<Base>, Fault> {
    let region = values.text("region")?;
    let Some(text) = values.text("base_url")? else {
        // Under a name that was meant to be this one it is not missing.
        if insecure && !values.is_misspelt("base_url") {
            return Err(fault(Code::BadBaseUrl, "`insecure_http` is set without a `base_url` on loopback")
                .hint("Remove `insecure_http`; it serves a simulator on this machine only"));
        }
        return by_region(region.as_deref(), generation);
    };
    if region.is_some() {
        return Err(fault(Code::BadValue, "`base_url` is set beside `region`").hint("Keep one of the two"));
    }
    parse(text.trim(), generation, insecure).map(Some)
}

fn by_region(region: Option<&str>, generation: Generation) -> Result<Option<Base>, Fault> {
    let (regions, api): (&[(&str, &str)], &str) = match generation {
        Generation::V1 => (&REGIONS_V1, "1.0"),
        Generation::V2 => (&REGIONS_V2, "2.0"),
    };
    let wanted = match (region.map(|r| r.trim().to_ascii_lowercase()), generation) {
        (Some(region), _) => region,
        (None, Generation::V1) => return Ok(None),
        (None, Generation::V2) => "global".to_owned(),
    };
    match regions.iter().find(|(name, _)| *name == wanted) {
        Some((_, host)) => Ok(Some(Base { url: format!("https://{host}"), loopback: false })),
        None => {
            let known: Vec<&str> = regions.iter().map(|(name, _)| *name).collect();
            let message = format!("`region` is \"{}\", which is no region of API {api}", shown(&wanted));
            Err(fault(Code::UnknownRegion, message)
                .hint(format!("Choose from: {}; or set `base_url`", known.join(", "))))
        }
    }
}

fn parse(text: &str, generation: Generation, insecure: bool) -> Result<Base, Fault> {
    let wrong =
        |what: &str, hint: &str| Err(fault(Code::BadBaseUrl, format!("`base_url` {what}")).hint(hint.to_owned()));
    if text.contains('@') {
        return wrong("contains user information", "Give the host only; credentials have keys of their own");
    }
    let Some(url) = Url::parse(text) else {
        return wrong("is not a URL", "Give it as https://host, such as https://api.services.mimecast.com");
    };
    if !matches!(url.path.as_str(), "" | "/") {
        return wrong("has a path", "Remove everything after the host; the source knows the paths");
    }
    if url.query.is_some() || text.contains('#') {
        return wrong("has a query or a fragment", "Remove everything after the host");
    }
    let loopback = is_loopback(&url.host);
    match url.scheme.as_str() {
        "https" if insecure && !loopback => {
            return wrong(
                "is not on loopback, but `insecure_http` is set",
                "Remove `insecure_http`; it serves a simulator on this machine only",
            );
        }
        "https" => {}
        "http" if insecure && loopback => {}
        "http" if loopback => {
            return wrong("has no TLS", "Use https://, or set `insecure_http` to true for a simulator on this machine");
        }
        "http" => return wrong("has no TLS", "Use https://; credentials are never sent in the clear"),
        _ => return wrong("is neither https nor http", "Give it as https://host"),
    }
    let host = url.host.to_ascii_lowercase();
    let of_v2 = REGIONS_V2.iter().any(|(_, known)| host == *known) || host.ends_with(".services.mimecast.com");
    let of_v1 = REGIONS_V1.iter().any(|(_, known)| host == *known) || host == "api.mimecast.com";
    match generation {
        Generation::V1 if of_v2 => {
            Err(fault(Code::WrongGeneration, format!("`base_url` {host} serves API 2.0, but `api` is \"1.0\""))
                .hint("Use a regional host such as https://eu-api.mimecast.com, or set `api` to \"2.0\" with its keys"))
        }
        Generation::V2 if of_v1 => {
            Err(fault(Code::WrongGeneration, format!("`base_url` {host} serves API 1.0, but `api` is \"2.0\""))
                .hint("Use https://api.services.mimecast.com, or set `api` to \"1.0\" with its keys"))
        }
        _ => Ok(Base { url: url.origin(), loopback }),
    }
}

pub fn is_loopback(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == "localhost"
        || host == "[::1]"
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

impl Base {
    /// From an answer to `discover-authentication`, which clients split at `//` and trust. It must be one of
    /// Mimecast's own, or requests signed with the customer's keys would go elsewhere.
    pub fn discovered(text: &str) -> Option<Base> {
        let url = Url::parse(text.trim())?;
        let host = url.host.to_ascii_lowercase();
        let own = host.ends_with(".mimecast.com") || host.ends_with(".mimecast-pscom-us.com");
        (url.scheme == "https" && own).then(|| Base { url: url.origin(), loopback: false })
    }

    /// From a session's own bytes, which this source wrote.
    pub fn trusted(url: &str) -> Option<Base> {
        let parsed = Url::parse(url)?;
        Some(Base { url: parsed.origin(), loopback: is_loopback(&parsed.host) })
    }
}
