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
    Audit,
}

impl Kind {
    /// The ten SIEM kinds, in the order in which one publication lists their files.
    pub const SIEM: [Kind; 10] = [
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
    ];

    /// Its name in [`crate::Issued`] and, for API 2.0, behind `siem/` in the name of its stream.
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
            Kind::Audit => "audit",
        }
    }

    /// The stream that carries it in API 2.0.
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
            Kind::Audit => "audit",
        }
    }

    /// The value of `type` in API 2.0, with blanks.
    pub const fn api2_type(self) -> &'static str {
        match self {
            Kind::AttachmentProtect => "attachment protect",
            Kind::UrlProtect => "url protect",
            Kind::ImpersonationProtect => "impersonation protect",
            Kind::InternalEmailProtect => "internal email protect",
            other => other.name(),
        }
    }

    /// From the value of `type` in API 2.0.
    pub fn from_api2_type(value: &str) -> Option<Kind> {
        Kind::SIEM.into_iter().find(|kind| kind.api2_type() == value)
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
            Kind::Audit => "audit",
        }
    }

    /// From its place in [`Kind::SIEM`].
    pub(crate) fn from_index(index: usize) -> Option<Kind> {
        Kind::SIEM.get(index).copied()
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
