//! Kafka, and what speaks its protocol.
//!
//! librdkafka has a TLS of its own, so `tls` is read here. With TLS, the files and checks under `tls` at the top are its own
//! too; `proxy` at the top never is.

use std::collections::BTreeMap;

use super::shared::Secret;
use super::templated::template;
use super::values::{host_and_port, sample};
use super::{COMMON, HOLDS};
use crate::config::declaration::{Group, Shape, Table, choice, flag, key, names, secret, table, text, text_or, texts};
use crate::config::interpolate::join;
use crate::config::network::Networks;
use crate::config::section::Section;
use crate::template::Template;

/// Brokers, and the topic and key of each event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaOptions {
    /// `host:port`, separated by commas.
    pub bootstrap_servers: String,
    pub topic: Template,
    /// The event's id, if there is none.
    pub key: Option<Template>,
    pub compression: KafkaCompression,
    pub tls: Option<KafkaTls>,
    pub sasl: Option<Sasl>,
    /// Passed on to librdkafka as they are. Any of them may be a secret.
    pub librdkafka_options: BTreeMap<String, Secret>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KafkaCompression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Files, as librdkafka reads them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KafkaTls {
    pub ca_file: Option<String>,
    pub crt_file: Option<String>,
    pub key_file: Option<String>,
    pub key_pass: Option<Secret>,
    pub verify_certificate: bool,
    pub verify_hostname: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: &'static str,
    pub username: String,
    pub password: Secret,
}

/// Of `tls` at the top, what librdkafka knows too.
const FROM_TOP: [&str; 5] = ["ca_file", "crt_file", "key_file", "verify_certificate", "verify_hostname"];

/// What the sink needs as it is, and what has keys of its own.
const OURS: [&str; 12] = [
    "acks",
    "bootstrap.servers",
    "compression.type",
    "delivery.timeout.ms",
    "enable.idempotence",
    "message.timeout.ms",
    "metadata.broker.list",
    "request.required.acks",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "transactional.id",
];

const COMPRESSIONS: [(&str, KafkaCompression); 5] = [
    ("none", KafkaCompression::None),
    ("gzip", KafkaCompression::Gzip),
    ("snappy", KafkaCompression::Snappy),
    ("lz4", KafkaCompression::Lz4),
    ("zstd", KafkaCompression::Zstd),
];
const COMPRESSION_NAMES: [&str; 5] = names(&COMPRESSIONS);

const MECHANISMS: [(&str, &str); 3] =
    [("PLAIN", "PLAIN"), ("SCRAM-SHA-256", "SCRAM-SHA-256"), ("SCRAM-SHA-512", "SCRAM-SHA-512")];
const MECHANISM_NAMES: [&str; 3] = names(&MECHANISMS);

pub static KAFKA: Table = Table::new(
    "sinks.kafka",
    "Kafka, and what speaks its protocol.",
    &[
        &COMMON,
        &HOLDS,
        &Group::of(&[
            texts("bootstrap_servers", "Brokers as `host:port`, one or several.").required(),
            text_or("topic", "tributary", "The topic, in which places are filled in."),
            text("key", "The message's key, in which places are filled in. The event's id, if absent."),
            choice("compression", &COMPRESSION_NAMES, Some("none"), "How what is sent is compressed."),
            table("tls", &TLS),
            table("sasl", &SASL),
            key(
                "librdkafka_options",
                Shape::NamedScalars,
                "Options of librdkafka, passed on as they are. Any of them may be a secret.",
            )
            .may_hold_secrets(),
        ]),
    ],
);

static TLS: Table = Table::new(
    "sinks.kafka.tls",
    "How TLS is spoken. Of `tls` at the top, the files and checks named here are this sink's too, if it has this table.",
    &[&Group::of(&[
        flag("enabled", true, "Whether it is spoken."),
        text("ca_file", "PEM file of the certificate authorities that are trusted. The system's, if absent."),
        text("crt_file", "PEM file of the certificate that is shown to servers that ask who we are."),
        text("key_file", "PEM file of that certificate's private key."),
        secret("key_pass", "Of an encrypted key."),
        flag("verify_certificate", true, "Whether the server's certificate is checked."),
        flag("verify_hostname", true, "Whether the server's certificate must be for its name."),
    ])],
);

static SASL: Table = Table::new(
    "sinks.kafka.sasl",
    "Who we are at the brokers.",
    &[&Group::of(&[
        flag("enabled", true, "Whether it is said."),
        choice("mechanism", &MECHANISM_NAMES, None, "How it is said. Required."),
        text("username", "Required."),
        secret("password", "Required."),
    ])],
);

pub fn read(section: &mut Section<'_>, networks: &Networks) -> KafkaOptions {
    let servers = match section.texts("bootstrap_servers") {
        Some(servers) => servers.join(","),
        None => {
            section.fault("bootstrap_servers", "is required", Some("Write host:9092".into()));
            "none".into()
        }
    };
    if servers.split(',').any(|server| host_and_port(server.trim(), 9092).is_none()) {
        let hint = "Write host:port, several with commas between them";
        section.fault("bootstrap_servers", "is no list of brokers", Some(hint.into()));
    }
    let topic = template(section, "topic").unwrap_or_default();
    let sample = sample(&topic);
    if !sample.chars().all(is_topic_character) || matches!(sample.as_str(), "" | "." | "..") {
        let hint = "Kafka takes letters, digits, `.`, `_` and `-`; places such as {tenant} are cleaned by themselves";
        section.fault("topic", "is no name of a topic", Some(hint.into()));
    }
    let key = template(section, "key");
    let compression = section.choice("compression", &COMPRESSIONS);
    networks.inherit_tls(section, &FROM_TOP);
    let tls = section.table("tls").and_then(tls);
    if tls.is_some() && networks.has_tls("min_tls_version") {
        let hint = "Ask for it at the brokers (ssl.enabled.protocols), or by `librdkafka_options` (ssl.cipher.suites)";
        networks.warn(section, "tls", "`tls.min_tls_version` at the top is not heeded here", hint);
    }
    let sasl = section.table("sasl").and_then(sasl);
    let mut librdkafka_options = BTreeMap::new();
    if let Some(table) = section.names("librdkafka_options") {
        for (name, value) in table {
            let at = join("librdkafka_options", &name);
            match value {
                _ if OURS.contains(&name.as_str()) => {
                    section.fault(&at, "is set by the sink itself", Some("Leave it out".into()));
                }
                serde_json::Value::String(text) => {
                    librdkafka_options.insert(name, Secret::new(text));
                }
                serde_json::Value::Number(_) | serde_json::Value::Bool(_) => {
                    librdkafka_options.insert(name, Secret::new(value.to_string()));
                }
                _ => section.fault(
                    &at,
                    "must be a text, a number, true or false",
                    Some("Write one of these, or leave it out".into()),
                ),
            }
        }
    }
    KafkaOptions { bootstrap_servers: servers, topic, key, compression, tls, sasl, librdkafka_options }
}

/// Whether a topic's name may have it.
pub fn is_topic_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn tls(mut table: Section<'_>) -> Option<KafkaTls> {
    let enabled = table.flag("enabled");
    let tls = KafkaTls {
        ca_file: table.text("ca_file"),
        crt_file: table.text("crt_file"),
        key_file: table.text("key_file"),
        key_pass: table.text("key_pass").map(Secret::new),
        verify_certificate: table.flag("verify_certificate"),
        verify_hostname: table.flag("verify_hostname"),
    };
    let files = [("ca_file", &tls.ca_file), ("crt_file", &tls.crt_file), ("key_file", &tls.key_file)];
    for (key, path) in files {
        if let Some(Err(error)) = path.as_ref().map(std::fs::File::open) {
            table.fault(key, format!("cannot be read: {error}"), Some("Name a file that this user may read".into()));
        }
    }
    table.close();
    enabled.then_some(tls)
}

fn sasl(mut table: Section<'_>) -> Option<Sasl> {
    let enabled = table.flag("enabled");
    let (mechanism, username, password) = match enabled {
        true => (table.choice("mechanism", &MECHANISMS), table.text("username"), table.text("password")),
        false => return None,
    };
    for (key, missing) in
        [("mechanism", mechanism.is_empty()), ("username", username.is_none()), ("password", password.is_none())]
    {
        if missing {
            table.fault(key, "is required", Some(format!("Set `sasl.{key}`, or remove `sasl`")));
        }
    }
    table.close();
    Some(Sasl { mechanism, username: username?, password: Secret::new(password?) })
}
