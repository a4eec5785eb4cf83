//! The kinds of events, in the order in which the descriptor lists them.

/// A class of Mimecast's events. The discriminant is the index in the descriptor, so new kinds go to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Kind {
    Receipt,
    Process,
    Delivery,
    Journal,
    Spam,
    Av,
    AttachmentProtect,
    UrlProtect,
    ImpersonationProtect,
    InternalEmailProtect,
    /// A SIEM record of a type that this release does not know: kept whole, never dropped.
    SiemOther,
    Audit,
    /// Cloud Integrated: messages with their verdict.
    CloudEntities,
    /// Cloud Integrated: results of authentication.
    CloudMailflow,
    /// Cloud Integrated: clicks on links.
    CloudUrlClick,
    Dlp,
    /// A message that waits in the hold queue.
    Held,
    /// A held message that was released or rejected.
    HeldRelease,
    Rejection,
    TtpUrl,
    TtpAttachment,
    TtpImpersonation,
    /// An indicator of a threat feed, with the malware that it indicates.
    ThreatIntel,
    /// Searches of administrators in the archive.
    ArchiveSearch,
    /// Searches of users in their archive.
    ArchiveUserSearch,
    /// Messages that were viewed in the archive.
    ArchiveView,
}

impl Kind {
    pub const ALL: [Kind; 26] = [
        Kind::Receipt,
        Kind::Process,
        Kind::Delivery,
        Kind::Journal,
        Kind::Spam,
        Kind::Av,
        Kind::AttachmentProtect,
        Kind::UrlProtect,
        Kind::ImpersonationProtect,
        Kind::InternalEmailProtect,
        Kind::SiemOther,
        Kind::Audit,
        Kind::CloudEntities,
        Kind::CloudMailflow,
        Kind::CloudUrlClick,
        Kind::Dlp,
        Kind::Held,
        Kind::HeldRelease,
        Kind::Rejection,
        Kind::TtpUrl,
        Kind::TtpAttachment,
        Kind::TtpImpersonation,
        Kind::ThreatIntel,
        Kind::ArchiveSearch,
        Kind::ArchiveUserSearch,
        Kind::ArchiveView,
    ];

    /// The name under which operators meet it. Part of every event's identity: it never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Receipt => "receipt",
            Kind::Process => "process",
            Kind::Delivery => "delivery",
            Kind::Journal => "journal",
            Kind::Spam => "spam",
            Kind::Av => "av",
            Kind::AttachmentProtect => "attachment-protect",
            Kind::UrlProtect => "url-protect",
            Kind::ImpersonationProtect => "impersonation-protect",
            Kind::InternalEmailProtect => "internal-email-protect",
            Kind::SiemOther => "siem-other",
            Kind::Audit => "audit",
            Kind::CloudEntities => "cloud-entities",
            Kind::CloudMailflow => "cloud-mailflow",
            Kind::CloudUrlClick => "cloud-urlclick",
            Kind::Dlp => "dlp",
            Kind::Held => "held-message",
            Kind::HeldRelease => "held-message-release",
            Kind::Rejection => "rejection",
            Kind::TtpUrl => "ttp-url",
            Kind::TtpAttachment => "ttp-attachment",
            Kind::TtpImpersonation => "ttp-impersonation",
            Kind::ThreatIntel => "threat-intel",
            Kind::ArchiveSearch => "archive-search",
            Kind::ArchiveUserSearch => "archive-user-search",
            Kind::ArchiveView => "archive-view",
        }
    }

    /// From `type` (or `eventType`) of an API 2.0 record. `None` for a type that is not known.
    pub fn from_api2_type(value: &str) -> Option<Kind> {
        Some(match value {
            "receipt" => Kind::Receipt,
            "process" => Kind::Process,
            "delivery" => Kind::Delivery,
            "journal" => Kind::Journal,
            "spam" => Kind::Spam,
            "av" => Kind::Av,
            "attachment protect" => Kind::AttachmentProtect,
            "url protect" => Kind::UrlProtect,
            "impersonation protect" => Kind::ImpersonationProtect,
            "internal email protect" => Kind::InternalEmailProtect,
            "entities" => Kind::CloudEntities,
            "mailflow" => Kind::CloudMailflow,
            "urlclick" => Kind::CloudUrlClick,
            _ => return None,
        })
    }

    /// The `type` query of `GET /siem/v1/batch/events/cg` and, for Cloud Integrated, `…/ci`; `None` for what these
    /// endpoints do not serve.
    pub const fn api2_type(self) -> Option<&'static str> {
        Some(match self {
            Kind::Receipt => "receipt",
            Kind::Process => "process",
            Kind::Delivery => "delivery",
            Kind::Journal => "journal",
            Kind::Spam => "spam",
            Kind::Av => "av",
            Kind::AttachmentProtect => "attachment protect",
            Kind::UrlProtect => "url protect",
            Kind::ImpersonationProtect => "impersonation protect",
            Kind::InternalEmailProtect => "internal email protect",
            Kind::CloudEntities => "entities",
            Kind::CloudMailflow => "mailflow",
            Kind::CloudUrlClick => "urlclick",
            Kind::SiemOther
            | Kind::Audit
            | Kind::Dlp
            | Kind::Held
            | Kind::HeldRelease
            | Kind::Rejection
            | Kind::TtpUrl
            | Kind::TtpAttachment
            | Kind::TtpImpersonation
            | Kind::ThreatIntel
            | Kind::ArchiveSearch
            | Kind::ArchiveUserSearch
            | Kind::ArchiveView => return None,
        })
    }

    /// A log of Cloud Integrated, which has a path and a product of its own.
    pub const fn is_cloud(self) -> bool {
        matches!(self, Kind::CloudEntities | Kind::CloudMailflow | Kind::CloudUrlClick)
    }

    /// From the name of an API 1.0 SIEM file or archive member, such as `ttp_url_20250301081600000.json` (section 4.4
    /// of the API reference). `None` where the name says nothing or something unknown.
    pub fn from_file_name(name: &str) -> Option<Kind> {
        let file = name.rsplit(['/', '\\']).next().unwrap_or(name).to_ascii_lowercase();
        let mut parts = file.split(['_', '.']);
        Some(match (parts.next()?, parts.next()) {
            ("receipt", _) => Kind::Receipt,
            ("process", _) => Kind::Process,
            ("delivery", _) => Kind::Delivery,
            ("jrnl" | "journal", _) => Kind::Journal,
            ("av", _) => Kind::Av,
            ("spameventthread" | "spam", _) => Kind::Spam,
            ("ttp", Some("url")) => Kind::UrlProtect,
            ("ttp", Some("ap")) => Kind::AttachmentProtect,
            ("ttp", Some("impersonation")) | ("impersonation", _) => Kind::ImpersonationProtect,
            ("ttp", Some("iep")) | ("iep", _) => Kind::InternalEmailProtect,
            _ => return None,
        })
    }
}

/// The generation of Mimecast's API that a record came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// Signed requests to a regional host.
    V1,
    /// OAuth 2 client credentials.
    V2,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_discriminant_is_the_index() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            if let Some(name) = kind.api2_type() {
                assert_eq!(Kind::from_api2_type(name), Some(kind));
            }
        }
    }

    #[test]
    fn file_names_tell_the_kind() {
        for (name, kind) in [
            ("receipt_20250301081600000.json", Some(Kind::Receipt)),
            ("process_20211018093329655.siem", Some(Kind::Process)),
            ("av_tse_20250301081600000.json", Some(Kind::Av)),
            ("ttp_url_20250301081600000.json", Some(Kind::UrlProtect)),
            ("ttp_ap_20250301081600000.json", Some(Kind::AttachmentProtect)),
            ("logs/jrnl_20250301081600000.json", Some(Kind::Journal)),
            ("../impersonation_20250301081600000.json", Some(Kind::ImpersonationProtect)),
            ("iep_20250301081600000.json", Some(Kind::InternalEmailProtect)),
            ("ttp_new_20250301081600000.json", None),
            ("5f0c1a9e-0000-4000-8000-000000000000.zip", None),
            ("", None),
        ] {
            assert_eq!(Kind::from_file_name(name), kind, "{name}");
        }
    }
}
