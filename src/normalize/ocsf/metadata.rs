//! `metadata`: where an event is from and which record it tells of.

use super::EventWriter;
use crate::{
    kind::Kind,
    normalize::{Encoding, Origin},
    record::{Field, Value, scan::Shape},
};

/// The part of Mimecast's product that a kind is from: `metadata.product.feature.name`.
pub const fn feature(kind: Kind) -> &'static str {
    match kind {
        Kind::Receipt => "Message Receipt",
        Kind::Process => "Message Processing",
        Kind::Delivery => "Message Delivery",
        Kind::Journal => "Journaling",
        Kind::Spam => "Spam Detection",
        Kind::Av => "Anti-Virus",
        Kind::AttachmentProtect => "Attachment Protect",
        Kind::UrlProtect => "URL Protect",
        Kind::ImpersonationProtect => "Impersonation Protect",
        Kind::InternalEmailProtect => "Internal Email Protect",
        Kind::SiemOther => "Email Security",
        Kind::Audit => "Audit",
        Kind::CloudEntities | Kind::CloudMailflow | Kind::CloudUrlClick => "Cloud Integrated",
        Kind::Dlp => "Data Leak Prevention",
        Kind::Held | Kind::HeldRelease => "Held Messages",
        Kind::Rejection => "Rejections",
        Kind::TtpUrl => "URL Protect",
        Kind::TtpAttachment => "Attachment Protect",
        Kind::TtpImpersonation => "Impersonation Protect",
        Kind::ThreatIntel => "Threat Intelligence",
        Kind::ArchiveSearch | Kind::ArchiveUserSearch | Kind::ArchiveView => "Archive",
    }
}

/// The members of `metadata` that all records of one kind, stream and encoding share.
#[derive(Debug, Default)]
pub struct Common {
    of: Option<(Kind, Encoding)>,
    stream: String,
    pub members: String,
}

impl Common {
    pub fn set(&mut self, kind: Kind, origin: &Origin<'_>, provider: &str, tags: Option<&str>) {
        if self.of == Some((kind, origin.encoding)) && self.stream == origin.stream {
            return;
        }
        self.of = Some((kind, origin.encoding));
        self.stream = origin.stream.to_owned();
        let format = match origin.encoding {
            Encoding::Json => "JSON",
            Encoding::KeyValue => "key_value",
        };
        self.members = format!(
            "\"log_format\":\"{format}\",\"log_provider\":\"{provider}\",\"log_source\":{},{}\"product\":\
             {{\"feature\":{{\"name\":\"{}\"}},\"name\":\"Mimecast Email Security\",\"vendor_name\":\"Mimecast\"}},\
             \"version\":\"1.8.0\",",
            serde_json::Value::from(origin.stream),
            tags.unwrap_or_default(),
            feature(kind),
        );
    }
}

impl EventWriter<'_, '_> {
    /// `metadata`; the last to be written, since it names the profiles that were used.
    pub fn metadata(&mut self) {
        let kind = self.record.kind();
        let mark = self.json.open("metadata");
        if let Some(uid) = self.scalar(Field::AggregateId) {
            self.json.scalar("correlation_uid", uid);
        }
        if kind == Kind::Audit {
            self.audit_metadata();
        } else {
            self.siem_metadata(kind);
        }
        if let Some(time) = self.input.original_time {
            self.json.scalar("original_time", time);
        }
        if self.security_control {
            self.json.raw("\"profiles\":[\"security_control\"],");
        }
        match self.scalar(Field::AccountId) {
            Some(account) => self.json.scalar("tenant_uid", account),
            None => self.json.text("tenant_uid", self.mapper.tenant.as_bytes()),
        }
        self.json.raw(&self.mapper.common.members);
        self.json.raw("\"uid\":");
        self.json.digest(self.input.id);
        self.json.comma();
        self.json.close(mark);
    }

    /// `event_code` is `type/subtype`.
    fn siem_metadata(&mut self, kind: Kind) {
        let unnamed = Value { shape: Shape::Plain, bytes: kind.api2_type().unwrap_or("unknown").as_bytes() };
        let own = self.scalar(Field::Type);
        self.json.scalar("log_name", own.unwrap_or(unnamed));
        let subtype = self.scalar(Field::Subtype);
        if own.is_some() || subtype.is_some() || kind != Kind::SiemOther {
            self.json.scalar("event_code", own.unwrap_or(unnamed));
        }
        if let Some(subtype) = subtype {
            self.join("/", subtype);
        }
        self.text("original_event_uid", Field::ProcessingId);
    }
}
