//! An HTTP source of Sumo Logic.

use http::HeaderValue;

use super::client::{ADDRESS_KEYS, CLIENT, ClientOptions, Defaults, client};
use super::shared::{self, BatchBounds, batch_keys, compression_key};
use super::templated::template;
use super::{COMMON, HOLDS};
use crate::config::declaration::{Group, Shape, Table, flag, key, table, text, text_or};
use crate::config::interpolate::join;
use crate::config::network::Networks;
use crate::config::section::Section;
use crate::template::Template;

pub static SUMO: Table = Table::new(
    "sinks.sumo",
    "An HTTP source of Sumo Logic. Its address is a secret as a whole.",
    &[
        &COMMON,
        &HOLDS,
        &Group::of(&[
            text_or("source_name", "{source}/{stream}", "`X-Sumo-Name`, in which places are filled in."),
            text_or("source_host", "{tenant}", "`X-Sumo-Host`, in which places are filled in."),
            text("source_category", "`X-Sumo-Category`, in which places are filled in. The source's own, if absent."),
            flag("siem_forward", false, "Whether Cloud SIEM gets the events: the field `_siemForward`."),
            text("siem_vendor", "The field `_siemVendor` of Cloud SIEM."),
            text("siem_product", "The field `_siemProduct` of Cloud SIEM."),
            text("siem_format", "The field `_siemFormat` of Cloud SIEM."),
            text("parser", "The field `_parser` of Cloud SIEM."),
            key("fields", Shape::NamedTexts, "Fields by their names, in which places are filled in."),
            compression_key(&["gzip", "none"]),
            table("batch", &BATCH),
        ]),
        &CLIENT,
    ],
)
.either(&[&ADDRESS_KEYS])
// Whoever has the address may send.
.secrets(&ADDRESS_KEYS);

/// 100 KB to 1 MB before compression is what Sumo Logic advises.
static BATCH: Table = Table::new(
    "sinks.sumo.batch",
    shared::BATCH,
    &[&Group::of(&batch_keys(BatchBounds {
        max_bytes: (1_000_000, 10 << 20),
        max_events: (10_000, 1_000_000),
        timeout_secs: (1, 3600),
    }))],
);

/// See the module.
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
    let source_name = template(section, "source_name");
    let source_host = template(section, "source_host");
    let source_category = template(section, "source_category");
    let mut fields = Vec::new();
    if section.flag("siem_forward") {
        fields.extend(Template::parse("true").ok().map(|yes| ("_siemForward".to_owned(), yes)));
    }
    for (key, field) in SIEM {
        fields.extend(template(section, key).map(|template| (field.to_owned(), template)));
    }
    if let Some(own) = section.names("fields") {
        for (name, value) in own {
            let at = join("fields", &name);
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
            match value.as_str().map(Template::parse) {
                Some(Ok(template)) if plain && !name.is_empty() => fields.push((name, template)),
                Some(Err(error)) => section.fault(&at, error.to_string(), Some(crate::template::HINT.into())),
                Some(Ok(_)) => {
                    section.fault(&at, "is no name of a field", Some("Letters, digits and _ make one".into()))
                }
                None => section.fault(&at, "must be a text", Some("Write it in quotation marks".into())),
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

const DEFAULTS: Defaults =
    Defaults { address_key: "endpoint", example: "https://collectors.sumologic.com/receiver/v1/http/...", paths: &[] };
