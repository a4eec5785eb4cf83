//! An HTTP source of Sumo Logic.

use std::time::Duration;

use http::HeaderValue;

use super::client::{ClientOptions, Defaults, client};
use super::shared::{BatchOptions, Compression};
use super::templated::template;
use crate::config::network::Networks;
use crate::config::section::Section;
use crate::template::Template;

/// See the module. The endpoint is a secret as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SumoOptions {
    pub client: ClientOptions,
    pub source_name: Option<Template>,
    pub source_host: Option<Template>,
    pub source_category: Option<Template>,
    /// Names and what stands in them, in the order in which they are sent.
    pub fields: Vec<(String, Template)>,
}

/// Cloud SIEM reads these fields: whether it gets the events, and how it is to read them.
const SIEM: [(&str, &str); 4] = [
    ("siem_vendor", "_siemVendor"),
    ("siem_product", "_siemProduct"),
    ("siem_format", "_siemFormat"),
    ("parser", "_parser"),
];

/// `endpoint`, `source_name`, `source_host`, `source_category`, `siem_forward`, `siem_vendor`, `siem_product`,
/// `siem_format`, `parser`, `fields`; the rest as [`client`].
pub fn read(section: &mut Section<'_>, networks: &Networks) -> SumoOptions {
    let client = ClientOptions { secret_address: true, ..client(section, networks, &DEFAULTS) };
    let source_name = template(section, "source_name", Some("{source}/{stream}"));
    let source_host = template(section, "source_host", Some("{tenant}"));
    let source_category = template(section, "source_category", None);
    let mut fields = Vec::new();
    if section.flag("siem_forward", false) {
        fields.extend(Template::parse("true").ok().map(|yes| ("_siemForward".to_owned(), yes)));
    }
    for (key, field) in SIEM {
        fields.extend(template(section, key, None).map(|template| (field.to_owned(), template)));
    }
    if let Some(mut own) = section.table("fields") {
        for (name, value) in own.drain() {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
            match value.as_str().map(Template::parse) {
                Some(Ok(template)) if plain && !name.is_empty() => fields.push((name, template)),
                Some(Err(error)) => own.fault(&name, error.to_string(), None),
                Some(Ok(_)) => own.fault(&name, "is no name of a field", Some("Letters, digits and _ make one".into())),
                None => own.fault(&name, "must be a text", None),
            }
        }
    }
    let templates = [&source_name, &source_host, &source_category].into_iter().flatten();
    if templates.chain(fields.iter().map(|(_, template)| template)).any(|template| !can_be_sent(template)) {
        section.fault("", "has a text that a header cannot hold", Some("Leave out control characters".into()));
    }
    SumoOptions { client, source_name, source_host, source_category, fields }
}

fn can_be_sent(template: &Template) -> bool {
    template.texts().all(|text| HeaderValue::from_bytes(text.as_bytes()).is_ok())
}

/// 100 KB to 1 MB before compression is what Sumo Logic advises.
const DEFAULTS: Defaults = Defaults {
    address_key: "endpoint",
    example: "https://collectors.sumologic.com/receiver/v1/http/...",
    compressions: &[Compression::Gzip, Compression::None],
    batch: BatchOptions { max_bytes: 1_000_000, max_events: 10_000, max_age: Duration::from_secs(1) },
    most_bytes: 10 << 20,
};
