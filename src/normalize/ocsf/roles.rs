//! What the lists, Cloud Integrated and the feeds call what the SIEM logs have names for (section 6 of the API
//! reference, table 4.4 of the normalization reference). So one mapping serves them all.

use crate::{
    kind::Kind,
    record::{Field, Record, Value},
};

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

/// A record that is asked by the parts that its fields play.
#[derive(Debug, Clone, Copy)]
pub struct Cast<'r, 'a> {
    pub record: &'r Record<'a>,
    /// What this kind calls the fields that are asked for.
    pub roles: Roles,
}

impl<'r, 'a> Cast<'r, 'a> {
    pub fn new(record: &'r Record<'a>) -> Self {
        Self { record, roles: of(record.kind()) }
    }

    /// The field that plays a part in records of this kind: the one asked for, or the kind's own, if only that one has
    /// a value.
    #[inline(always)]
    pub fn role(&self, field: Field) -> Field {
        if self.roles.is_empty() || self.record.has(field) {
            return field;
        }
        let own = self.roles.iter().find(|(of, own)| *of == field && self.record.has(*own));
        own.map_or(field, |(_, own)| *own)
    }

    /// A field's value, for a decision only.
    pub fn peek(&self, field: Field) -> Value<'a> {
        self.record.peek(self.role(field))
    }

    pub fn has(&self, field: Field) -> bool {
        self.record.has(self.role(field))
    }
}
