//! What answers which path.

use crate::kind::{Generation, Kind};

/// What answers a request; the unit of counting, of quotas and of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// `POST /oauth/token`
    Token,
    /// `GET /siem/v1/batch/events/cg`
    SiemBatch,
    /// `GET /siem/v1/batch/events/ci`
    CloudBatch,
    /// `GET /siem/v1/events/cg`
    SiemStream,
    /// `GET /siem/v1/events/ci`
    CloudStream,
    /// A signed URL on the storage host.
    Storage,
    /// `POST /api/audit/get-siem-logs`
    SiemLogs,
    /// `POST /api/audit/get-audit-events`
    Audit,
    /// `POST /api/account/get-account`
    Account,
    /// `POST /api/login/discover-authentication`
    Discovery,
    /// `POST /api/dlp/get-logs`
    Dlp,
    /// `POST /api/gateway/get-hold-message-list`
    HeldMessages,
    /// `POST /api/gateway/get-held-release-logs`, API 2.0 only
    HeldReleases,
    /// `POST /api/gateway/get-rejections`, API 2.0 only
    Rejections,
    /// `POST /api/ttp/url/get-logs`
    TtpUrl,
    /// `POST /api/ttp/attachment/get-logs`
    TtpAttachment,
    /// `POST /api/ttp/impersonation/get-logs`
    TtpImpersonation,
    /// `POST /api/ttp/threat-intel/get-feed`, both feeds
    ThreatFeed,
    /// `POST /api/archive/get-archive-search-logs`
    ArchiveSearch,
    /// `POST /api/archive/get-search-logs`
    ArchiveUserSearch,
    /// `POST /api/archive/get-view-logs`
    ArchiveView,
}

impl Endpoint {
    /// From the path of a request to the API's host.
    pub(crate) fn of_path(path: &str) -> Option<Endpoint> {
        Some(match path {
            "/oauth/token" => Endpoint::Token,
            "/siem/v1/batch/events/cg" => Endpoint::SiemBatch,
            "/siem/v1/batch/events/ci" => Endpoint::CloudBatch,
            "/siem/v1/events/cg" => Endpoint::SiemStream,
            "/siem/v1/events/ci" => Endpoint::CloudStream,
            "/api/audit/get-siem-logs" => Endpoint::SiemLogs,
            "/api/audit/get-audit-events" => Endpoint::Audit,
            "/api/account/get-account" => Endpoint::Account,
            "/api/login/discover-authentication" => Endpoint::Discovery,
            "/api/dlp/get-logs" => Endpoint::Dlp,
            "/api/gateway/get-hold-message-list" => Endpoint::HeldMessages,
            "/api/gateway/get-held-release-logs" => Endpoint::HeldReleases,
            "/api/gateway/get-rejections" => Endpoint::Rejections,
            "/api/ttp/url/get-logs" => Endpoint::TtpUrl,
            "/api/ttp/attachment/get-logs" => Endpoint::TtpAttachment,
            "/api/ttp/impersonation/get-logs" => Endpoint::TtpImpersonation,
            "/api/ttp/threat-intel/get-feed" => Endpoint::ThreatFeed,
            "/api/archive/get-archive-search-logs" => Endpoint::ArchiveSearch,
            "/api/archive/get-search-logs" => Endpoint::ArchiveUserSearch,
            "/api/archive/get-view-logs" => Endpoint::ArchiveView,
            _ => return None,
        })
    }

    /// The only method that it takes.
    pub(crate) const fn method(self) -> &'static str {
        match self {
            Endpoint::SiemBatch
            | Endpoint::CloudBatch
            | Endpoint::SiemStream
            | Endpoint::CloudStream
            | Endpoint::Storage => "GET",
            _ => "POST",
        }
    }

    /// The kinds of files that a SIEM endpoint of API 2.0 gives out; none for the others.
    pub(crate) const fn file_kinds(self) -> &'static [Kind] {
        match self {
            Endpoint::SiemBatch | Endpoint::SiemStream => &Kind::SIEM,
            Endpoint::CloudBatch | Endpoint::CloudStream => &Kind::CLOUD,
            _ => &[],
        }
    }

    /// The kind of the rows of a list endpoint; `None` for the others. The threat feed is no list.
    pub(crate) const fn list_kind(self) -> Option<Kind> {
        Some(match self {
            Endpoint::Dlp => Kind::Dlp,
            Endpoint::HeldMessages => Kind::Held,
            Endpoint::HeldReleases => Kind::HeldRelease,
            Endpoint::Rejections => Kind::Rejection,
            Endpoint::TtpUrl => Kind::TtpUrl,
            Endpoint::TtpAttachment => Kind::TtpAttachment,
            Endpoint::TtpImpersonation => Kind::TtpImpersonation,
            Endpoint::ArchiveSearch => Kind::ArchiveSearch,
            Endpoint::ArchiveUserSearch => Kind::ArchiveUserSearch,
            Endpoint::ArchiveView => Kind::ArchiveView,
            _ => return None,
        })
    }

    /// Whether API 1.0 has it too, for those that have both ways to sign in.
    pub(crate) const fn serves(self, generation: Generation) -> bool {
        !(matches!(generation, Generation::V1) && matches!(self, Endpoint::HeldReleases | Endpoint::Rejections))
    }
}
