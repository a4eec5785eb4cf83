//! NATS JetStream.

use std::path::PathBuf;

use super::shared::Secret;
use super::templated::template;
use super::values::{host_and_port, no_proxy, sample};
use super::{COMMON, HOLDS};
use crate::config::declaration::{Group, Table, choice, names, secret, table, text, text_or, texts, whole};
use crate::config::network::{self, NetworkSettings, Networks};
use crate::config::section::Section;
use crate::template::Template;

/// Servers, and the subject of each event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsOptions {
    /// At least one, as `nats://host:port` or `tls://host:port`.
    pub servers: Vec<String>,
    pub subject: Template,
    pub credentials: NatsCredentials,
    /// How many events wait for the server's answer at the same time.
    pub max_in_flight: usize,
    pub network: NetworkSettings,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsCredentials {
    None,
    User {
        user: String,
        password: Secret,
    },
    Token(Secret),
    /// The seed of a key: `SU...`.
    NKey(Secret),
    /// A file that `nsc` writes, with a token and a key.
    File(PathBuf),
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Strategy {
    #[default]
    None,
    User,
    Token,
    NKey,
    File,
}

const STRATEGIES: [(&str, Strategy); 4] = [
    ("user_password", Strategy::User),
    ("token", Strategy::Token),
    ("nkey", Strategy::NKey),
    ("credentials_file", Strategy::File),
];

const STRATEGY_NAMES: [&str; 4] = names(&STRATEGIES);

pub static NATS: Table = Table::new(
    "sinks.nats",
    "NATS JetStream. The event's id is the message's, so that what comes again is known.",
    &[
        &COMMON,
        &HOLDS,
        &Group::of(&[
            texts("url", "`nats://host:4222` or `tls://host:4222`, one or several.").required(),
            text_or(
                "subject",
                "tributary.{tenant}.{stream}",
                "Where events are published, in which places are filled in.",
            ),
            table("auth", &AUTH),
            whole("max_in_flight", 1, 100_000, 1024, "Events that wait for the server's answer at the same time."),
            network::TLS,
            network::TIMEOUTS,
        ]),
    ],
);

static AUTH: Table = Table::new(
    "sinks.nats.auth",
    "Who we are at the server.",
    &[&Group::of(&[
        choice("strategy", &STRATEGY_NAMES, None, "Which of the other keys say it.").required(),
        text("user", "Of `user_password`."),
        secret("password", "Of `user_password`."),
        secret("token", "Of `token`."),
        secret("seed", "Of `nkey`: the seed of a key, `SU...`."),
        text("path", "Of `credentials_file`: a file that `nsc` writes."),
    ])],
);

pub fn read(section: &mut Section<'_>, networks: &Networks) -> NatsOptions {
    const HINT: &str = "Write nats://host:4222, or tls://host:4222";
    let texts = match section.texts("url") {
        Some(texts) if !texts.is_empty() => texts,
        _ => {
            section.fault("url", "is required", Some(HINT.into()));
            Vec::new()
        }
    };
    let servers: Vec<String> = texts.iter().filter_map(|text| server(text)).collect();
    if servers.len() < texts.len() {
        // It may hold a password, so it is not shown.
        let hint = format!("{HINT}; names and passwords belong into `auth`");
        section.fault("url", "is no address of a NATS server", Some(hint));
    }
    let subject = template(section, "subject").unwrap_or_default();
    let sample = sample(&subject);
    let wrong = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>');
    if sample.contains(wrong) || sample.split('.').any(str::is_empty) {
        let hint =
            "Name it plainly, such as tributary.{tenant}.{stream}: no spaces, `*`, `>`, and nothing empty between dots";
        section.fault("subject", "is no subject to publish on", Some(hint.into()));
    }
    let credentials = credentials(section);
    let max_in_flight = section.whole("max_in_flight") as usize;
    no_proxy(section);
    let network = networks.sink_without_proxy(section);
    NatsOptions { servers, subject, credentials, max_in_flight, network }
}

fn server(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("nats", text));
    let scheme = Some(scheme).filter(|scheme| matches!(*scheme, "nats" | "tls"))?;
    let (host, port) = host_and_port(rest.trim_end_matches('/'), 4222)?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Some(format!("{scheme}://{host}:{port}"))
}

/// `auth = { strategy = "user_password", user, password }` and so on, much as Vector names them.
fn credentials(section: &mut Section<'_>) -> NatsCredentials {
    let Some(mut table) = section.table("auth") else { return NatsCredentials::None };
    let strategy = table.choice("strategy", &STRATEGIES);
    let mut text = |key: &'static str| {
        let text = table.text(key);
        if text.is_none() {
            table.fault(
                key,
                "is required by this strategy",
                Some(format!("Set `auth.{key}`, or choose another strategy")),
            );
        }
        text.unwrap_or_default()
    };
    let credentials = match strategy {
        Strategy::User => NatsCredentials::User { user: text("user"), password: Secret::new(text("password")) },
        Strategy::Token => NatsCredentials::Token(Secret::new(text("token"))),
        Strategy::NKey => NatsCredentials::NKey(Secret::new(text("seed"))),
        Strategy::File => NatsCredentials::File(text("path").into()),
        Strategy::None => {
            let hint = "Such as strategy = \"user_password\" with user and password";
            table.fault("strategy", "is required", Some(hint.into()));
            NatsCredentials::None
        }
    };
    table.close();
    credentials
}
