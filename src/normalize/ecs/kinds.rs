//! What is the same for all events of a kind: Elastic's data set, what ECS calls such events, and which fields play
//! which part in them (tables 3.1 to 3.4 of the normalization reference).

use crate::{kind::Kind, record::Field};

/// The part that a kind's fields play. An empty list: nothing in this kind does.
#[derive(Debug)]
pub struct Roles {
    /// `email.from.address`, in this order.
    pub senders: &'static [Field],
    /// `email.to.address`.
    pub recipients: &'static [Field],
    /// `event.reason`: the first that says something.
    pub reasons: &'static [Field],
    /// `error.message`, likewise.
    pub errors: &'static [Field],
    /// `source.ip`, likewise.
    pub sources: &'static [Field],
    /// `source.domain`.
    pub source_domain: &'static [Field],
    /// `rule.name`.
    pub rules: &'static [Field],
    /// `event.action`.
    pub actions: &'static [Field],
    /// `user`.
    pub users: &'static [Field],
    /// What also stays under `mimecast.`, because Elastic's content looks for it there.
    pub kept: &'static [Field],
}

const NOTHING: Roles = Roles {
    senders: &[],
    recipients: &[],
    reasons: &[],
    errors: &[],
    sources: &[],
    source_domain: &[],
    rules: &[],
    actions: &[],
    users: &[],
    kept: &[],
};

/// What all that tells of messages has, by the names of the SIEM logs: [`crate::normalize::ocsf::roles`] knows what the
/// other kinds call it.
const MAIL: Roles = Roles {
    senders: &[Field::SenderHeader, Field::SenderEnvelope],
    recipients: &[Field::Recipients],
    sources: &[Field::SenderIp, Field::SourceIp],
    source_domain: &[Field::SenderDomain],
    rules: &[Field::PolicyDefinition],
    ..NOTHING
};

/// The SIEM logs of both generations, and Cloud Integrated.
const SIEM: Roles = Roles {
    reasons: &[Field::RejectionInfo, Field::HoldReason, Field::BlockReason],
    errors: &[Field::ReceiptErrors, Field::DeliveryErrors],
    actions: &[Field::Action],
    users: &[],
    kept: &[
        Field::SenderHeader,
        Field::AccountId,
        Field::AggregateId,
        Field::Hostname,
        Field::Delivered,
        Field::DeliveryTime,
        Field::TlsVersion,
        Field::SpamScore,
    ],
    ..MAIL
};

const DLP: Roles = Roles { actions: &[Field::Action], ..MAIL };

const TTP_URL: Roles = Roles { users: &[Field::UserEmailAddress], kept: &[Field::Action, Field::Actions], ..MAIL };

const TTP_ATTACHMENT: Roles = MAIL;

const TTP_IMPERSONATION: Roles = Roles { actions: &[Field::Action], ..MAIL };

const HELD: Roles = Roles {
    // `reason`, as the dictionary has it.
    reasons: &[Field::BlockReason],
    ..MAIL
};

const HELD_RELEASE: Roles = Roles {
    reasons: &[Field::RejectReason, Field::HeldReason],
    actions: &[Field::Status],
    users: &[Field::Operator],
    kept: &[
        Field::Id,
        Field::Status,
        Field::Operator,
        Field::RejectReason,
        Field::HeldReason,
        Field::Policy,
        Field::SpamScore,
        Field::Subject,
        Field::Route,
    ],
    ..MAIL
};

const REJECTION: Roles =
    Roles { reasons: &[Field::Description], source_domain: &[Field::RemoteName], kept: &[Field::SpamScore], ..MAIL };

const ARCHIVE_SEARCH: Roles = Roles { users: &[Field::EmailAddr], ..NOTHING };

const ARCHIVE_VIEW: Roles =
    Roles { senders: &[Field::From], recipients: &[Field::To], users: &[Field::Viewer], ..NOTHING };

const THREAT: Roles = Roles { kept: &[Field::Id], ..NOTHING };

const AUDIT: Roles = Roles { users: &[Field::User], ..NOTHING };

/// What `event` and `mimecast.log_type` say of a kind.
#[derive(Debug)]
pub struct Spec {
    /// Elastic's name of the data stream, behind `mimecast.`.
    pub dataset: &'static str,
    pub log_type: &'static str,
    /// `event.category` and `event.type`, as members of JSON; `None` where the record decides.
    pub event: Option<&'static str>,
    pub roles: &'static Roles,
}

const EMAIL: Option<&str> = Some("\"category\":[\"email\"],\"type\":[\"info\"],");

/// By kind.
pub const fn spec(kind: Kind) -> Spec {
    let (dataset, log_type, event, roles) = match kind {
        Kind::Receipt => ("siem_logs", "receipt", EMAIL, &SIEM),
        Kind::Process => ("siem_logs", "process", EMAIL, &SIEM),
        Kind::Delivery => ("siem_logs", "delivery", EMAIL, &SIEM),
        Kind::Journal => ("siem_logs", "jrnl", EMAIL, &SIEM),
        Kind::Spam => ("siem_logs", "spam", EMAIL, &SIEM),
        Kind::Av => ("siem_logs", "avlog", EMAIL, &SIEM),
        Kind::AttachmentProtect => ("siem_logs", "attachment-protect", EMAIL, &SIEM),
        Kind::UrlProtect => ("siem_logs", "url-protect", EMAIL, &SIEM),
        Kind::ImpersonationProtect => ("siem_logs", "impersonation-protect", EMAIL, &SIEM),
        Kind::InternalEmailProtect => ("siem_logs", "internal-email-protect", EMAIL, &SIEM),
        Kind::SiemOther => ("siem_logs", "unknown", EMAIL, &SIEM),
        Kind::Audit => ("audit_events", "audit", None, &AUDIT),
        Kind::CloudEntities => ("cloud_integrated_logs", "entities", EMAIL, &SIEM),
        Kind::CloudMailflow => ("cloud_integrated_logs", "mailflow", EMAIL, &SIEM),
        Kind::CloudUrlClick => ("cloud_integrated_logs", "urlclick", EMAIL, &SIEM),
        Kind::Dlp => ("dlp_logs", "dlp", EMAIL, &DLP),
        Kind::Held => ("held_message_logs", "held-message", EMAIL, &HELD),
        Kind::HeldRelease => ("message_release_logs", "message-release", EMAIL, &HELD_RELEASE),
        Kind::Rejection => ("rejection_logs", "rejection", EMAIL, &REJECTION),
        Kind::TtpUrl => ("ttp_url_logs", "ttp-url", EMAIL, &TTP_URL),
        Kind::TtpAttachment => ("ttp_ap_logs", "ttp-ap", EMAIL, &TTP_ATTACHMENT),
        Kind::TtpImpersonation => ("ttp_ip_logs", "ttp-ip", EMAIL, &TTP_IMPERSONATION),
        // `_customer` or `_grid` follows, from the stream.
        Kind::ThreatIntel => (
            "threat_intel_malware",
            "threat-intel",
            Some("\"category\":[\"threat\"],\"type\":[\"indicator\"],"),
            &THREAT,
        ),
        Kind::ArchiveSearch => (
            "archive_search_logs",
            "archive-search",
            Some("\"category\":[\"api\"],\"type\":[\"admin\"],"),
            &ARCHIVE_SEARCH,
        ),
        Kind::ArchiveUserSearch => (
            "archive_user_search_logs",
            "archive-user-search",
            Some("\"category\":[\"api\"],\"type\":[\"access\"],"),
            &ARCHIVE_SEARCH,
        ),
        Kind::ArchiveView => {
            ("archive_view_logs", "archive-view", Some("\"category\":[\"api\"],\"type\":[\"access\"],"), &ARCHIVE_VIEW)
        }
    };
    Spec { dataset, log_type, event, roles }
}
