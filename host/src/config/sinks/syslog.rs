//! Syslog over TCP or TLS.

use super::templated::template;
use super::values::{host_and_port, no_proxy};
use super::{COMMON, HOLDS};
use crate::config::declaration::{Group, Table, choice, flag, names, text, text_or, whole};
use crate::config::network::{self, NetworkSettings, Networks};
use crate::config::section::Section;
use crate::template::Template;

/// What RFC 5612 sets aside for examples; whoever has a number of their own sets `structured_data_id`.
const STRUCTURED_DATA_ID: &str = "tributary@32473";

/// Where RFC 5424 messages go, and how each is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogOptions {
    pub host: String,
    pub port: u16,
    pub tls: bool,
    pub framing: Framing,
    /// 0 to 23, as RFC 5424 numbers them.
    pub facility: u8,
    pub hostname: Template,
    pub app_name: Template,
    pub proc_id: Template,
    pub msg_id: Template,
    /// Name and private enterprise number of the structured data.
    pub structured_data_id: String,
    /// Whether text that is not ASCII begins with a byte order mark, as RFC 5424 wants it.
    pub bom: bool,
    /// A longer message is refused: receivers cut it without a word.
    pub max_message_bytes: usize,
    pub network: NetworkSettings,
}

/// How messages are told apart on a connection (RFC 6587).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// Its length in bytes stands before each. All that RFC 5425 allows with TLS.
    #[default]
    OctetCounting,
    /// A line feed follows each.
    Newline,
}

/// `user` where nothing is said, as syslog has it.
#[derive(Clone, Copy)]
struct Facility(u8);

impl Default for Facility {
    fn default() -> Self {
        Self(1)
    }
}

/// RFC 5424, table 1, by the names that syslog.conf gives them.
const FACILITIES: [(&str, u8); 24] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("ntp", 12),
    ("security", 13),
    ("console", 14),
    ("clock", 15),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

const FACILITY_NAMES: [&str; 24] = names(&FACILITIES);

pub static SYSLOG: Table = Table::new(
    "sinks.syslog",
    "Syslog (RFC 5424) over TCP or TLS.",
    &[
        &COMMON,
        &HOLDS,
        &Group::of(&[
            text("endpoint", "`tcp://host:514` or `tls://host:6514`.").required(),
            choice(
                "framing",
                &["octet_counting", "newline"],
                Some("octet_counting"),
                "How messages are told apart: their length stands before each, or a line feed behind.",
            ),
            choice("facility", &FACILITY_NAMES, Some("user"), "The facility, by its name in syslog.conf."),
            text_or("hostname", "{source}", "`HOSTNAME`, in which places are filled in."),
            text_or("app_name", "tributary", "`APP-NAME`, in which places are filled in."),
            text_or("proc_id", "-", "`PROCID`, in which places are filled in."),
            text_or("msg_id", "{stream}", "`MSGID`, in which places are filled in."),
            text_or(
                "structured_data_id",
                STRUCTURED_DATA_ID,
                "Name and private enterprise number of the structured data.",
            ),
            flag("bom", true, "Whether text that is not ASCII begins with a byte order mark, as RFC 5424 wants it."),
            whole(
                "max_message_bytes",
                480,
                64 << 20,
                1 << 20,
                "A longer message is refused, in bytes: receivers cut it without a word.",
            ),
            network::TLS,
            network::TIMEOUTS,
        ]),
    ],
);

pub fn read(section: &mut Section<'_>, networks: &Networks) -> SyslogOptions {
    let endpoint = section.text("endpoint");
    let (tls, host, port) = match endpoint.as_deref().map(endpoint_of) {
        Some(Some(found)) => found,
        Some(None) => {
            let hint = "Write `tcp://host:514` or `tls://host:6514`";
            section.fault("endpoint", "is no endpoint for syslog", Some(hint.into()));
            Default::default()
        }
        None => {
            section.fault("endpoint", "is required", Some("Write `tcp://host:514` or `tls://host:6514`".into()));
            Default::default()
        }
    };
    let framing = [("octet_counting", Framing::OctetCounting), ("newline", Framing::Newline)];
    let framing = section.choice("framing", &framing);
    let facility = section.choice("facility", &FACILITIES.map(|(name, code)| (name, Facility(code)))).0;
    let hostname = template(section, "hostname").unwrap_or_default();
    let app_name = template(section, "app_name").unwrap_or_default();
    let proc_id = template(section, "proc_id").unwrap_or_default();
    let msg_id = template(section, "msg_id").unwrap_or_default();
    let id = section.text("structured_data_id").unwrap_or_default();
    if !is_private_id(&id) {
        let hint = format!("Write a name, `@` and your private enterprise number, as in `{STRUCTURED_DATA_ID}`");
        section.fault("structured_data_id", "is no id of private structured data (RFC 5424, 7.2.2)", Some(hint));
    }
    let bom = section.flag("bom");
    let max_message_bytes = section.whole("max_message_bytes") as usize;
    no_proxy(section);
    let network = networks.sink_without_proxy(section);
    SyslogOptions {
        host,
        port,
        tls,
        framing,
        facility,
        hostname,
        app_name,
        proc_id,
        msg_id,
        structured_data_id: id,
        bom,
        max_message_bytes,
        network,
    }
}

/// Whether it is TLS, the host and the port.
fn endpoint_of(text: &str) -> Option<(bool, String, u16)> {
    let (scheme, rest) = text.split_once("://")?;
    let (tls, default) = match scheme {
        "tcp" => (false, 514),
        "tls" => (true, 6514),
        _ => return None,
    };
    let (host, port) = host_and_port(rest, default)?;
    Some((tls, host, port))
}

/// `name@digits`, at most 32 characters of those that RFC 5424 allows.
fn is_private_id(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_graphic() && !matches!(c, '=' | ']' | '"' | '@');
    id.len() <= 32
        && id.split_once('@').is_some_and(|(name, number)| {
            !name.is_empty()
                && name.chars().all(allowed)
                && !number.is_empty()
                && number.chars().all(|c| c.is_ascii_digit())
        })
}
