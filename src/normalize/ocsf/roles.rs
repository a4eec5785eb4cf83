//! What the lists, Cloud Integrated and the feeds call what the SIEM logs have names for (section 6 of the API
//! reference, table 4.4 of the normalization reference). So one mapping serves them all.

use crate::{kind::Kind, record::Field};

/// The field that a mapping asks for, and what a kind calls it.
pub type Roles = &'static [(Field, Field)];

pub const fn of(kind: Kind) -> Roles {
    match kind {
        Kind::CloudEntities => &[(Field::Action, Field::ThreatState)],
        Kind::Dlp => &[
            (Field::SenderEnvelope, Field::SenderAddress),
            (Field::Recipients, Field::RecipientAddress),
            (Field::PolicyDefinition, Field::Policy),
        ],
        // `from` is the envelope's sender here.
        Kind::Held => &[
            (Field::SenderEnvelope, Field::From),
            (Field::SenderHeader, Field::FromHeader),
            (Field::Recipients, Field::To),
            (Field::EmailSize, Field::Size),
            (Field::PolicyDefinition, Field::PolicyInfo),
            (Field::RejectionCode, Field::ReasonCode),
        ],
        Kind::HeldRelease => &[
            (Field::Action, Field::Status),
            (Field::SenderEnvelope, Field::FromEnv),
            (Field::SenderHeader, Field::FromHdr),
            (Field::Recipients, Field::To),
            (Field::EmailSize, Field::Size),
            (Field::PolicyDefinition, Field::Policy),
        ],
        Kind::Rejection => &[
            (Field::SenderEnvelope, Field::FromAddress),
            (Field::Recipients, Field::ToAddress),
            (Field::SenderIp, Field::IpAddress),
            (Field::SpamInfo, Field::Info),
        ],
        // Only the address that the reader of the message saw is here.
        Kind::TtpUrl => &[
            (Field::SenderHeader, Field::FromUserEmailAddress),
            (Field::Recipients, Field::UserEmailAddress),
            (Field::PolicyDefinition, Field::TtpDefinition),
            (Field::SenderIp, Field::SendingIp),
            (Field::UrlCategory, Field::Category),
            (Field::Action, Field::Actions),
        ],
        Kind::TtpAttachment => &[
            (Field::SenderEnvelope, Field::SenderAddress),
            (Field::Recipients, Field::RecipientAddress),
            (Field::PolicyDefinition, Field::Definition),
            (Field::Action, Field::ActionTriggered),
            (Field::FileMime, Field::FileType),
            (Field::Sha256, Field::FileHash),
        ],
        Kind::TtpImpersonation => &[
            (Field::SenderEnvelope, Field::SenderAddress),
            (Field::Recipients, Field::RecipientAddress),
            (Field::PolicyDefinition, Field::Definition),
            (Field::SenderIp, Field::SenderIpAddress),
        ],
        _ => &[],
    }
}
