//! What this source is: its streams, kinds and quotas. The contract's `descriptor`, `plan` and `session` as plain values.

use crate::catalog::QUOTAS;
pub use crate::catalog::{AUDIT_RETENTION, SIEM_RETENTION, Stream};
use crate::chunk::{Fault, Timestamp};
use crate::config::{Config, config_schema};
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

const MS: u64 = 1_000_000;

impl LogStream {
    /// With an interval and an overlap in nanoseconds.
    fn of(stream: Stream, generation: Generation, interval: u64, overlap: u64) -> LogStream {
        let api = match stream.only() {
            Some(Generation::V1) => " (API 1.0)",
            Some(Generation::V2) => " (API 2.0)",
            None => "",
        };
        LogStream {
            name: stream.name().to_owned(),
            description: format!("{}{api}", stream.text()),
            interval_ms: u32::try_from(interval / MS).unwrap_or(u32::MAX),
            retention_ms: Some(stream.retention() / MS),
            repeats_within_ms: stream.repeats_within(overlap) / MS,
            quota: stream.quota(generation).map(|quota| quota.name),
        }
    }
}

/// What this source is, without any configuration: the streams of both generations.
pub fn describe() -> Descriptor {
    // Without a configuration there is one generation only where there is one stream only.
    let stream = |stream: Stream| {
        let generation = stream.only().unwrap_or(Generation::V2);
        LogStream::of(stream, generation, stream.interval(), stream.overlap().unwrap_or(0))
    };
    Descriptor {
        name: "mimecast",
        version: env!("CARGO_PKG_VERSION"),
        config_schema: config_schema(),
        streams: Stream::all().map(stream).collect(),
        kinds: Kind::ALL.into_iter().map(|kind| KindLabels { name: kind.name(), labels: labels(kind) }).collect(),
        quotas: QUOTAS.to_vec(),
    }
}

/// What a configuration selects, and the hosts that it needs.
///
/// # Errors
/// Those of [`Config::parse`].
pub fn plan_for(config: &str) -> Result<Plan, Fault> {
    let config = Config::parse(config)?;
    let generation = config.generation();
    let stream =
        |stream: &Stream| LogStream::of(*stream, generation, config.interval(*stream), config.overlap(*stream));
    let streams = config.collect.iter().map(stream).collect();
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

/// Under which names other products know a kind: a pair for each name, so a product may stand there twice.
///
/// - `elastic`: the data stream of Elastic's integration, and behind it `mimecast.log_type`, where that has a value (section 4.4 of the
///   API reference, section 3 of the normalization reference). The SIEM kinds share a data stream.
/// - `sumo`: Sumo Logic's `_siemEventID` (section 6.1).
/// - `stellar`: Stellar Cyber's `msg_class` (section 5 of the normalization reference); it collects SIEM logs only.
pub fn labels(kind: Kind) -> Vec<(&'static str, &'static str)> {
    const SIEM: &str = "mimecast.siem_logs";
    const CLOUD: &str = "mimecast.cloud_integrated_logs";
    const ARCHIVE: &str = "mimecast.archive_search_logs";
    let (stream, log_type, sumo, stellar) = match kind {
        Kind::Receipt => (SIEM, "receipt", "receipt", "mimecast_email"),
        Kind::Process => (SIEM, "process", "process", "mimecast_email"),
        Kind::Delivery => (SIEM, "delivery", "delivery", "mimecast_email"),
        Kind::Journal => (SIEM, "jrnl", "jrnl", "mimecast_email"),
        Kind::Spam => (SIEM, "spam", "", "mimecast_email"),
        Kind::Av => (SIEM, "avlog", "", "mimecast_email_av_log"),
        Kind::AttachmentProtect => (SIEM, "attachment-protect", "ttp", "mimecast_email_attachment_protect_log"),
        Kind::UrlProtect => (SIEM, "url-protect", "ttp", "mimecast_email_url_protect_log"),
        Kind::ImpersonationProtect => {
            (SIEM, "impersonation-protect", "ttp", "mimecast_email_impersonation_protect_log")
        }
        Kind::InternalEmailProtect => (SIEM, "internal-email-protect", "", "mimecast_email_internal_email_protect_log"),
        Kind::SiemOther => (SIEM, "", "", "mimecast_email"),
        Kind::Audit => ("mimecast.audit_events", "", "", ""),
        Kind::CloudEntities => (CLOUD, "entities", "", ""),
        Kind::CloudMailflow => (CLOUD, "mailflow", "", ""),
        Kind::CloudUrlClick => (CLOUD, "urlclick", "", ""),
        Kind::Dlp => ("mimecast.dlp_logs", "", "dlp", ""),
        Kind::HeldRelease => ("mimecast.message_release_logs", "", "", ""),
        Kind::TtpUrl => ("mimecast.ttp_url_logs", "", "", ""),
        Kind::TtpAttachment => ("mimecast.ttp_ap_logs", "", "", ""),
        Kind::TtpImpersonation => ("mimecast.ttp_ip_logs", "", "", ""),
        // Elastic has a data stream for each feed, `…_customer` and `…_grid`.
        Kind::ThreatIntel => ("mimecast.threat_intel_malware", "", "", ""),
        Kind::ArchiveSearch => (ARCHIVE, "", "", ""),
        // Nobody else collects these.
        Kind::Held | Kind::Rejection | Kind::ArchiveUserSearch | Kind::ArchiveView => ("", "", "", ""),
    };
    [("elastic", stream), ("elastic", log_type), ("sumo", sumo), ("stellar", stellar)]
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
        assert_eq!(names.len(), 28);
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
    fn labels_name_what_the_option_can_choose() {
        let all: Vec<_> = Kind::ALL.into_iter().flat_map(labels).collect();
        for product in crate::config::Label::ALL {
            assert!(all.iter().any(|(name, _)| *name == product.name()), "{product:?}");
        }
        assert!(all.iter().all(|(name, _)| crate::config::Label::ALL.iter().any(|product| product.name() == *name)));
        assert_eq!(
            labels(Kind::Journal),
            [("elastic", "mimecast.siem_logs"), ("elastic", "jrnl"), ("sumo", "jrnl"), ("stellar", "mimecast_email")]
        );
    }

    #[test]
    fn a_plan_names_its_hosts() {
        let keys = r#""client_id":"i","client_secret":"s""#;
        let plan = plan_for(&format!("{{{keys}}}")).unwrap();
        assert_eq!(plan.streams.len(), 26);
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
        assert_eq!((plan.streams.len(), plan.streams[0].name.as_str()), (12, "siem"));
        assert!(plan.streams.iter().all(|s| s.quota == Some("api")));
        assert_eq!(plan.hosts[0], "https://api.mimecast.com");
    }
}
