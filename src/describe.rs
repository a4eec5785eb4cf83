//! What this source is: its streams, kinds and quotas. The contract's `descriptor`, `plan` and `session` as plain values.

use crate::chunk::{Fault, Timestamp};
use crate::config::{Config, DAY, config_schema};
use crate::kind::{Generation, Kind};

/// The contract's `descriptor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    pub name: &'static str,
    pub version: &'static str,
    /// JSON Schema (draft 2020-12) of the configuration.
    pub config_schema: String,
    pub streams: Vec<LogStream>,
    pub kinds: Vec<KindLabels>,
    pub quotas: Vec<Quota>,
}

/// The contract's `log-stream`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStream {
    pub name: String,
    pub description: String,
    pub interval_ms: u32,
    pub retention_ms: Option<u64>,
    pub repeats_within_ms: u64,
    pub quota: Option<&'static str>,
}

/// The contract's `kind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindLabels {
    pub name: &'static str,
    /// Under which names other products know it.
    pub labels: Vec<(&'static str, &'static str)>,
}

/// The contract's `quota`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub name: &'static str,
    pub requests: u32,
    pub window_ms: u32,
}

/// The contract's `plan`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub streams: Vec<LogStream>,
    /// `scheme://host[:port]`, a leading `*.` for subdomains. A host without a port means the scheme's own port, except
    /// on loopback, where it means any port: there lives the simulator, whose signed URLs name a port of its choice.
    pub hosts: Vec<String>,
}

/// The contract's `session`.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    pub secret: Vec<u8>,
    pub expires_at: Option<Timestamp>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A stream of this source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// API 2.0, `GET /siem/v1/batch/events/cg`: each type is a stream.
    SiemBatch(Kind),
    /// API 1.0, `POST /api/audit/get-siem-logs`: archives of files of all types.
    SiemArchive,
    /// Both generations, `POST /api/audit/get-audit-events`.
    Audit,
}

/// The types that the batch endpoint serves, in the order of [`Kind::ALL`].
const SIEM_BATCH: [(Kind, &str, &str); 10] = [
    (Kind::Receipt, "siem/receipt", "Messages accepted or refused at SMTP receipt"),
    (Kind::Process, "siem/process", "Policy processing of accepted messages"),
    (Kind::Delivery, "siem/delivery", "Delivery attempts"),
    (Kind::Journal, "siem/journal", "Journalled messages"),
    (Kind::Spam, "siem/spam", "Messages judged spam"),
    (Kind::Av, "siem/av", "Viruses found in messages"),
    (Kind::AttachmentProtect, "siem/attachment-protect", "Malicious attachments found by Attachment Protect"),
    (Kind::UrlProtect, "siem/url-protect", "Links judged by URL Protect"),
    (Kind::ImpersonationProtect, "siem/impersonation-protect", "Impersonations found by Impersonation Protect"),
    (Kind::InternalEmailProtect, "siem/internal-email-protect", "Threats in internal and outbound messages"),
];

/// How long Mimecast serves SIEM data, in both generations (sections 4.5 and 5.1).
pub const SIEM_RETENTION: u64 = 7 * DAY;
/// How long Mimecast serves audit events (section 6.2).
pub const AUDIT_RETENTION: u64 = 60 * DAY;

/// 50 requests in 15 minutes on the batch path, shared by all types (section 8.4).
const SIEM_BATCH_QUOTA: Quota = Quota { name: "siem-batch", requests: 50, window_ms: 15 * 60 * 1_000 };
/// 800 requests in 5 seconds, shared by all functions of a key: recorded on every API 1.0 answer (section 8.4).
const API_QUOTA: Quota = Quota { name: "api", requests: 800, window_ms: 5_000 };

const MS: u64 = 1_000_000;

impl Stream {
    /// Every stream of a generation.
    pub fn of(generation: Generation) -> Vec<Stream> {
        match generation {
            Generation::V1 => vec![Stream::SiemArchive, Stream::Audit],
            Generation::V2 => {
                SIEM_BATCH.iter().map(|(kind, ..)| Stream::SiemBatch(*kind)).chain([Stream::Audit]).collect()
            }
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Stream::SiemBatch(kind) => {
                SIEM_BATCH.iter().find(|(of, ..)| *of == kind).map_or("siem", |(_, name, _)| name)
            }
            Stream::SiemArchive => "siem",
            Stream::Audit => "audit",
        }
    }

    /// The part of the name before the slash.
    pub fn group(self) -> &'static str {
        match self {
            Stream::SiemBatch(_) | Stream::SiemArchive => "siem",
            Stream::Audit => "audit",
        }
    }

    /// How far back Mimecast serves it, in nanoseconds.
    pub const fn retention(self) -> u64 {
        match self {
            Stream::SiemBatch(_) | Stream::SiemArchive => SIEM_RETENTION,
            Stream::Audit => AUDIT_RETENTION,
        }
    }

    fn describe(self, generation: Option<Generation>, audit_overlap: u64) -> LogStream {
        let (description, interval_ms, repeats, quota) = match self {
            Stream::SiemBatch(kind) => {
                let text = SIEM_BATCH.iter().find(|(of, ..)| *of == kind).map_or("", |(.., text)| text);
                // A refused token makes the source list again by date, a day before its own time mark.
                (format!("{text} (API 2.0, Cloud Gateway)"), 300_000, SIEM_RETENTION + DAY, Some(SIEM_BATCH_QUOTA.name))
            }
            Stream::SiemArchive => {
                // Mimecast publishes every 30 minutes (section 4.5); a refused token starts the retention again.
                ("E-mail logs of all types (API 1.0)".to_owned(), 1_800_000, SIEM_RETENTION + DAY, Some(API_QUOTA.name))
            }
            Stream::Audit => {
                let quota = (generation == Some(Generation::V1)).then_some(API_QUOTA.name);
                (
                    "What administrators and users did, logons included".to_owned(),
                    300_000,
                    audit_overlap.max(DAY),
                    quota,
                )
            }
        };
        LogStream {
            name: self.name().to_owned(),
            description,
            interval_ms,
            retention_ms: Some(self.retention() / MS),
            repeats_within_ms: repeats / MS,
            quota,
        }
    }
}

/// What this source is, without any configuration: the streams of both generations.
pub fn describe() -> Descriptor {
    let mut streams: Vec<Stream> = Stream::of(Generation::V2);
    streams.insert(streams.len() - 1, Stream::SiemArchive);
    Descriptor {
        name: "mimecast",
        version: env!("CARGO_PKG_VERSION"),
        config_schema: config_schema(),
        streams: streams.into_iter().map(|stream| stream.describe(None, 0)).collect(),
        kinds: Kind::ALL.into_iter().map(|kind| KindLabels { name: kind.name(), labels: labels(kind) }).collect(),
        quotas: vec![SIEM_BATCH_QUOTA, API_QUOTA],
    }
}

/// What a configuration selects, and the hosts that it needs.
///
/// # Errors
/// Those of [`Config::parse`].
pub fn plan_for(config: &str) -> Result<Plan, Fault> {
    let config = Config::parse(config)?;
    let generation = config.generation();
    let streams = config.collect.iter().map(|s| s.describe(Some(generation), 2 * config.audit_overlap)).collect();
    Ok(Plan { streams, hosts: hosts(&config) })
}

fn hosts(config: &Config) -> Vec<String> {
    let mut hosts = Vec::new();
    match &config.base {
        // Discovery, and whatever region it names.
        None => hosts.extend(
            ["https://api.mimecast.com", "https://*.mimecast.com", "https://*.mimecast-pscom-us.com"]
                .map(str::to_owned),
        ),
        Some(base) if base.loopback && config.insecure_http => {
            hosts.extend(["http://127.0.0.1", "http://localhost"].map(str::to_owned));
            if !hosts.iter().any(|host| base.url == *host || base.url.starts_with(&format!("{host}:"))) {
                hosts.push(base.url.clone());
            }
            return hosts;
        }
        Some(base) => hosts.push(base.url.clone()),
    }
    if config.collect.iter().any(|stream| matches!(stream, Stream::SiemBatch(_))) {
        // Listings name pre-signed URLs of files in Amazon's S3 (section 5.1).
        hosts.extend(["https://*.amazonaws.com", "https://*.mimecast.com"].map(str::to_owned));
    }
    hosts
}

/// Elastic's `log_type`, Sumo Logic's `_siemEventID`, Stellar Cyber's `msg_class` (section 4.4 of the API reference and
/// section 5 of the normalization reference), where they have one.
pub fn labels(kind: Kind) -> Vec<(&'static str, &'static str)> {
    let (elastic, sumo, stellar) = match kind {
        Kind::Receipt => ("receipt", "receipt", "mimecast_email"),
        Kind::Process => ("process", "process", "mimecast_email"),
        Kind::Delivery => ("delivery", "delivery", "mimecast_email"),
        Kind::Journal => ("jrnl", "jrnl", "mimecast_email"),
        Kind::Spam => ("spam", "", "mimecast_email"),
        Kind::Av => ("avlog", "", "mimecast_email_av_log"),
        Kind::AttachmentProtect => ("attachment-protect", "ttp", "mimecast_email_attachment_protect_log"),
        Kind::UrlProtect => ("url-protect", "ttp", "mimecast_email_url_protect_log"),
        Kind::ImpersonationProtect => ("impersonation-protect", "ttp", "mimecast_email_impersonation_protect_log"),
        Kind::InternalEmailProtect => ("internal-email-protect", "", "mimecast_email_internal_email_protect_log"),
        _ => ("", "", ""),
    };
    [("elastic", elastic), ("sumo", sumo), ("stellar", stellar)]
        .into_iter()
        .filter(|(_, label)| !label.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_is_described_once() {
        let descriptor = describe();
        let names: Vec<&str> = descriptor.streams.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names.len(), 12);
        for generation in [Generation::V1, Generation::V2] {
            for stream in Stream::of(generation) {
                assert_eq!(names.iter().filter(|name| **name == stream.name()).count(), 1, "{}", stream.name());
            }
        }
        for stream in &descriptor.streams {
            assert!(stream.quota.is_none_or(|quota| descriptor.quotas.iter().any(|q| q.name == quota)));
            assert!(!stream.description.is_empty());
        }
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(descriptor.kinds[index].name, kind.name());
        }
    }

    #[test]
    fn a_plan_names_its_hosts() {
        let keys = r#""client_id":"i","client_secret":"s""#;
        let plan = plan_for(&format!("{{{keys}}}")).unwrap();
        assert_eq!(plan.streams.len(), 11);
        assert_eq!(
            plan.hosts,
            ["https://api.services.mimecast.com", "https://*.amazonaws.com", "https://*.mimecast.com"]
        );

        let plan = plan_for(&format!(r#"{{{keys},"collect":["audit"],"region":"uk"}}"#)).unwrap();
        assert_eq!(plan.hosts, ["https://uk-api.services.mimecast.com"]);

        let plan =
            plan_for(&format!(r#"{{{keys},"base_url":"http://127.0.0.1:8080/","insecure_http":true}}"#)).unwrap();
        assert_eq!(plan.hosts, ["http://127.0.0.1", "http://localhost"]);

        let v1 = r#"{"api":"1.0","app_id":"a","app_key":"k","access_key":"k","secret_key":"cw==","administrator_email":"a@example.com"}"#;
        let plan = plan_for(v1).unwrap();
        assert_eq!(plan.streams.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["siem", "audit"]);
        assert!(plan.streams.iter().all(|s| s.quota == Some("api")));
        assert_eq!(plan.hosts[0], "https://api.mimecast.com");
    }
}
