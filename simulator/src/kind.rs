//! The kinds of records and what each is called where.

/// A kind of record that Mimecast issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
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
    /// Cloud Integrated: messages with their verdict. API 2.0 only, as the next two.
    CloudEntities,
    /// Cloud Integrated: results of authentication.
    CloudMailflow,
    /// Cloud Integrated: clicks on links.
    CloudUrlClick,
    Audit,
    Dlp,
    /// A message in the hold queue: a state, which ends.
    Held,
    /// A held message that was released or rejected. API 2.0 only.
    HeldRelease,
    /// API 2.0 only.
    Rejection,
    TtpUrl,
    TtpAttachment,
    TtpImpersonation,
    /// An indicator of the customer's own feed, or an object of it that stands alone.
    ThreatCustomer,
    /// The same of the grid's feed.
    ThreatGrid,
    ArchiveSearch,
    ArchiveUserSearch,
    ArchiveView,
}

impl Kind {
    /// The ten SIEM kinds, in the order in which one publication lists their files.
    pub const SIEM: [Kind; 10] = match Self::FILES.first_chunk() {
        Some(kinds) => *kinds,
        None => panic!("there are more kinds of files"),
    };

    /// The kinds of Cloud Integrated.
    pub const CLOUD: [Kind; 3] = match Self::FILES.last_chunk() {
        Some(kinds) => *kinds,
        None => panic!("there are more kinds of files"),
    };

    /// All kinds that are published as files, those of Cloud Integrated last; the place here is the discriminant.
    pub(crate) const FILES: [Kind; 13] = [
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
        Kind::CloudEntities,
        Kind::CloudMailflow,
        Kind::CloudUrlClick,
    ];

    /// The kinds that are given out row by row, without audit.
    pub const LISTS: [Kind; 12] = [
        Kind::Dlp,
        Kind::Held,
        Kind::HeldRelease,
        Kind::Rejection,
        Kind::TtpUrl,
        Kind::TtpAttachment,
        Kind::TtpImpersonation,
        Kind::ThreatCustomer,
        Kind::ThreatGrid,
        Kind::ArchiveSearch,
        Kind::ArchiveUserSearch,
        Kind::ArchiveView,
    ];

    /// Its name in [`crate::Issued`] and, for API 2.0, behind `siem/` in the name of a SIEM stream.
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
            Kind::CloudEntities => "cloud-entities",
            Kind::CloudMailflow => "cloud-mailflow",
            Kind::CloudUrlClick => "cloud-urlclick",
            Kind::Audit => "audit",
            Kind::Dlp => "dlp",
            Kind::Held => "held-message",
            Kind::HeldRelease => "held-message-release",
            Kind::Rejection => "rejection",
            Kind::TtpUrl => "ttp-url",
            Kind::TtpAttachment => "ttp-attachment",
            Kind::TtpImpersonation => "ttp-impersonation",
            Kind::ThreatCustomer | Kind::ThreatGrid => "threat-intel",
            Kind::ArchiveSearch => "archive-search",
            Kind::ArchiveUserSearch => "archive-user-search",
            Kind::ArchiveView => "archive-view",
        }
    }

    /// The stream that carries it; for the ten SIEM kinds that of API 2.0.
    pub const fn stream(self) -> &'static str {
        match self {
            Kind::Receipt => "siem/receipt",
            Kind::Process => "siem/process",
            Kind::Delivery => "siem/delivery",
            Kind::Journal => "siem/journal",
            Kind::Spam => "siem/spam",
            Kind::Av => "siem/av",
            Kind::AttachmentProtect => "siem/attachment-protect",
            Kind::UrlProtect => "siem/url-protect",
            Kind::ImpersonationProtect => "siem/impersonation-protect",
            Kind::InternalEmailProtect => "siem/internal-email-protect",
            Kind::CloudEntities => "cloud/entities",
            Kind::CloudMailflow => "cloud/mailflow",
            Kind::CloudUrlClick => "cloud/urlclick",
            Kind::Audit => "audit",
            Kind::Dlp => "dlp",
            Kind::Held => "held/messages",
            Kind::HeldRelease => "held/releases",
            Kind::Rejection => "rejections",
            Kind::TtpUrl => "ttp/url",
            Kind::TtpAttachment => "ttp/attachment",
            Kind::TtpImpersonation => "ttp/impersonation",
            Kind::ThreatCustomer => "threat_intel/customer",
            Kind::ThreatGrid => "threat_intel/grid",
            Kind::ArchiveSearch => "archive/search",
            Kind::ArchiveUserSearch => "archive/user-search",
            Kind::ArchiveView => "archive/view",
        }
    }

    /// The value of `type` in API 2.0, with blanks.
    pub const fn api2_type(self) -> &'static str {
        match self {
            Kind::AttachmentProtect => "attachment protect",
            Kind::UrlProtect => "url protect",
            Kind::ImpersonationProtect => "impersonation protect",
            Kind::InternalEmailProtect => "internal email protect",
            Kind::CloudEntities => "entities",
            Kind::CloudMailflow => "mailflow",
            Kind::CloudUrlClick => "urlclick",
            other => other.name(),
        }
    }

    /// From the value of `type` in API 2.0.
    pub fn from_api2_type(value: &str) -> Option<Kind> {
        Kind::FILES.into_iter().find(|kind| kind.api2_type() == value)
    }

    /// How the names of its files begin in API 1.0 (section 4.4 of the API reference).
    pub const fn file_prefix(self) -> &'static str {
        match self {
            Kind::Receipt => "receipt",
            Kind::Process => "process",
            Kind::Delivery => "delivery",
            Kind::Journal => "jrnl",
            Kind::Spam => "spameventthread",
            Kind::Av => "av_tse",
            Kind::AttachmentProtect => "ttp_ap",
            Kind::UrlProtect => "ttp_url",
            Kind::ImpersonationProtect => "impersonation",
            Kind::InternalEmailProtect => "iep",
            other => other.name(),
        }
    }

    /// From its place in [`Kind::FILES`].
    pub(crate) fn from_index(index: usize) -> Option<Kind> {
        Kind::FILES.get(index).copied()
    }

    /// Whether a generation has it.
    pub const fn exists_in(self, generation: Generation) -> bool {
        match generation {
            Generation::V2 => true,
            Generation::V1 => !matches!(
                self,
                Kind::CloudEntities | Kind::CloudMailflow | Kind::CloudUrlClick | Kind::HeldRelease | Kind::Rejection
            ),
        }
    }
}

/// The generation of Mimecast's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// Signed requests.
    V1,
    /// OAuth 2 client credentials.
    V2,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn kinds_of_files_stand_at_their_discriminant_and_streams_have_one_name_each() {
        for (index, kind) in Kind::FILES.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert_eq!(Kind::from_api2_type(kind.api2_type()), Some(kind));
            assert_eq!(Kind::SIEM.contains(&kind), !Kind::CLOUD.contains(&kind));
        }
        let all = Kind::FILES.into_iter().chain(Kind::LISTS).chain([Kind::Audit]);
        let streams: BTreeSet<&str> = all.clone().map(Kind::stream).collect();
        assert_eq!(streams.len(), all.count());
        assert!(Kind::LISTS.iter().filter(|kind| !kind.exists_in(Generation::V1)).count() == 2);
    }
}
