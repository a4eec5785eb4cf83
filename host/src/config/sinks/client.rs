//! What all sinks have that speak HTTP: where the far side is, who we are there, and how much at a time.
//!
//! ```toml
//! uri = "https://logs.example.com/ingest"
//! auth = { strategy = "bearer", token = "SECRET[vault.ingest]" }
//! request = { headers = { X-Team = "security" }, concurrency = 4 }
//! batch = { max_bytes = 1000000, max_events = 1000, timeout_secs = 1 }
//! compression = "gzip"
//! ```

use std::fmt;

use http::{HeaderName, HeaderValue, Uri};
use serde_json::{Map, Value};

use super::auth::{self, Auth};
use super::shared::{BatchOptions, Compression, Secret, batch, compression};
use crate::config::declaration::{Group, Shape, Table, flag, key, table, texts};
use crate::config::interpolate::{join, wipe};
use crate::config::network::{self, NetworkSettings, Networks};
use crate::config::section::Section;
use crate::sandbox::Egress;
use crate::sinks::Concurrency;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// At least one. The next is tried when one is in trouble.
    pub endpoints: Vec<Endpoint>,
    /// The key that names them: `uri`, `endpoint` or `endpoints`.
    pub address_key: &'static str,
    pub auth: Auth,
    /// Whether the address itself says who we are.
    pub secret_address: bool,
    /// The operator's own. Any of them may be a secret.
    pub headers: Vec<(HeaderName, Secret)>,
    pub compression: Compression,
    pub batch: BatchOptions,
    pub concurrency: Concurrency,
    /// Whether the far side is asked at start whether it is there.
    pub healthcheck: bool,
    pub network: NetworkSettings,
}

/// Where a far side is. Its path may be a secret, so it shows no more than its host.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `scheme://host[:port]`.
    pub origin: String,
    url: Secret,
}

impl Endpoint {
    /// # Errors
    /// What is wrong with it, without the text.
    pub fn parse(text: String) -> Result<Self, &'static str> {
        let text = Secret::new(text);
        if !text.expose().contains("://") {
            return Err("has no https:// before its host");
        }
        let uri: Uri = text.expose().parse().map_err(|_| "is no URL")?;
        let scheme = match uri.scheme_str() {
            Some(scheme @ ("https" | "http")) => scheme,
            _ => return Err("begins neither with https:// nor with http://"),
        };
        let authority = uri.authority().ok_or("has no host")?;
        if authority.as_str().contains('@') {
            return Err("has a user before its host, which belongs into `auth`");
        }
        let origin = format!("{scheme}://{authority}");
        // The transport's own judge of what is a host.
        let egress = Egress::new([origin.as_str()]).map_err(|_| "has a host that is neither a name nor an address")?;
        let judged = egress.allowing(everywhere()).judge(&uri);
        judged.map_err(|_| "has a host or a port that cannot be")?;
        Ok(Self { origin, url: text })
    }

    /// The URL of `path` there. Show it to nobody.
    pub fn url(&self, path: &str) -> String {
        let base = self.url.expose();
        match path {
            "" => base.to_owned(),
            path => format!("{}{path}", base.trim_end_matches('/')),
        }
    }

    /// Without the first of `paths` that it ends in: many give an address with the path that is added to it.
    fn without(self, paths: &[&str]) -> Self {
        let base = self.url.expose().trim_end_matches('/');
        match paths.iter().find_map(|path| base.strip_suffix(path)) {
            Some(rest) => Self { url: Secret::new(rest), ..self },
            None => self,
        }
    }

    /// Whether it is more than the address of a host, to which a path can be added.
    pub fn has_query(&self) -> bool {
        self.url.expose().contains('?')
    }

    fn is_open(&self) -> bool {
        let host = self.origin.strip_prefix("http://");
        host.is_some_and(|host| {
            !host.starts_with("localhost") && !host.starts_with("127.") && !host.starts_with("[::1]")
        })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.origin)
    }
}

/// Every network: an operator's own sink is where the operator says.
pub fn everywhere() -> impl Iterator<Item = ipnet::IpNet> {
    let all = |address: std::net::IpAddr| ipnet::IpNet::new_assert(address, 0);
    [all(std::net::Ipv4Addr::UNSPECIFIED.into()), all(std::net::Ipv6Addr::UNSPECIFIED.into())].into_iter()
}

/// What is said to whoever has named no address.
pub struct Defaults {
    /// The usual key for it.
    pub address_key: &'static str,
    /// Such an address.
    pub example: &'static str,
    /// Paths of the far side, which are cut off an address that ends in one. Of two that end alike, the longer first.
    pub paths: &'static [&'static str],
}

/// Deliveries at a time, at most, unless the operator says otherwise.
const MOST_AT_ONCE: u64 = 16;

/// The keys of every sink that has a client, beside `batch` and `compression`, whose bounds are the type's.
pub static CLIENT: Group = Group::shared(
    "Sinks that speak HTTP",
    &[
        texts(
            "uri",
            "Where the far side is: one address, or several, of which the next is tried when one is in trouble.",
        ),
        texts("endpoint", "The same, as some name it. One of the three is required."),
        texts("endpoints", "The same, as others name it."),
        table("auth", &auth::AUTH),
        table("request", &REQUEST),
        table("healthcheck", &HEALTHCHECK),
        network::TLS,
        network::PROXY,
        network::TIMEOUTS,
    ],
);

/// One of them must be there.
pub const ADDRESS_KEYS: [&str; 3] = ["uri", "endpoint", "endpoints"];

static REQUEST: Table = Table::new(
    "request",
    "How requests are made.",
    &[&Group::of(&[
        key(
            "concurrency",
            Shape::WholeOr { least: 1, most: 1024, default: MOST_AT_ONCE, word: "adaptive" },
            "Deliveries at the same time. `adaptive` is as many as the far side answers quickly, at most 16.",
        ),
        key("headers", Shape::NamedTexts, "Headers that every request has. Any of them may be a secret.")
            .may_hold_secrets(),
    ])],
);

static HEALTHCHECK: Table = Table::new(
    "healthcheck",
    "Whether the far side is asked at the start.",
    &[&Group::of(&[flag("enabled", true, "Whether it is asked whether it is there.")])],
);

/// Takes them out of a sink's table.
pub fn client(section: &mut Section<'_>, networks: &Networks, defaults: &Defaults) -> ClientOptions {
    let network = networks.sink(section);
    let (address_key, endpoints) = endpoints(section, defaults);
    let auth = auth::read(section);
    let compression = compression(section);
    let batch = batch(section);
    let (headers, concurrency) = request(section);
    let healthcheck = section.table("healthcheck").is_none_or(|mut table| {
        let enabled = table.flag("enabled");
        table.close();
        enabled
    });
    let open = endpoints.iter().find(|endpoint| endpoint.is_open());
    if let Some(endpoint) = open.filter(|_| auth.is_some()) {
        let message = format!("secrets go to {} in the clear", endpoint.origin);
        networks.warn(section, address_key, message, "Use https");
    }
    ClientOptions {
        endpoints,
        address_key,
        auth,
        secret_address: false,
        headers,
        compression,
        batch,
        concurrency,
        healthcheck,
        network,
    }
}

fn endpoints(section: &mut Section<'_>, defaults: &Defaults) -> (&'static str, Vec<Endpoint>) {
    let given: Vec<&'static str> = ADDRESS_KEYS.into_iter().filter(|key| section.peek(key).is_some()).collect();
    let hint = format!("Write {} = \"{}\"", defaults.address_key, defaults.example);
    let texts: Vec<Vec<String>> = ADDRESS_KEYS.into_iter().filter_map(|key| section.texts(key)).collect();
    let key = given.first().copied().unwrap_or(defaults.address_key);
    if given.len() > 1 {
        section.fault(given[1], format!("says the same as `{key}`"), Some("Leave one of them out".into()));
    }
    let texts = texts.into_iter().next().unwrap_or_default();
    if given.is_empty() || texts.is_empty() {
        section.fault(key, "is required", Some(hint));
        return (key, Vec::new());
    }
    let mut endpoints = Vec::new();
    let alone = texts.len() == 1;
    for (i, text) in texts.into_iter().enumerate() {
        match Endpoint::parse(text) {
            Ok(endpoint) => endpoints.push(endpoint.without(defaults.paths)),
            Err(wrong) => {
                let at = if alone { key.to_owned() } else { format!("{key}[{i}]") };
                section.fault(&at, wrong, Some(hint.clone()));
            }
        }
    }
    (key, endpoints)
}

/// `request.headers`, and `request.concurrency`.
fn request(section: &mut Section<'_>) -> (Vec<(HeaderName, Secret)>, Concurrency) {
    let adaptive = Concurrency::Adaptive(MOST_AT_ONCE as usize);
    let Some(mut table) = section.table("request") else { return (Vec::new(), adaptive) };
    let concurrency = match table.peek("concurrency").and_then(Value::as_str) {
        Some("adaptive") => {
            table.take("concurrency");
            adaptive
        }
        _ if table.peek("concurrency").is_some() => Concurrency::Fixed(table.whole("concurrency") as usize),
        _ => adaptive,
    };
    let mut headers = Vec::new();
    if let Some(own) = table.names("headers") {
        headers = read_headers(own, &mut table);
    }
    table.close();
    (headers, concurrency)
}

/// Those that say how long a body is and how it is packed are the client's.
const OURS: [&str; 5] = ["host", "content-length", "content-encoding", "transfer-encoding", "connection"];

fn read_headers(own: Map<String, Value>, section: &mut Section<'_>) -> Vec<(HeaderName, Secret)> {
    let mut headers = Vec::new();
    for (name, mut value) in own {
        let parsed: Option<HeaderName> = name.parse().ok();
        let text = value.as_str().map(Secret::new);
        wipe(&mut value);
        let at = join("headers", &name);
        match (parsed, text) {
            (Some(parsed), _) if OURS.contains(&parsed.as_str()) => {
                section.fault(&at, "is not yours to say", Some("Leave it out: the client knows it".into()));
            }
            (Some(parsed), Some(value)) if HeaderValue::from_str(value.expose()).is_ok() => {
                headers.push((parsed, value));
            }
            (None, _) => section.fault(&at, "is no name of a header", Some("Write a name such as \"X-Team\"".into())),
            (Some(_), _) => section.fault(
                &at,
                "must be a text that a header can hold",
                Some("Write it without control characters".into()),
            ),
        }
    }
    headers
}
