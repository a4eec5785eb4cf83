//! `metadata`: where an event is from and which record it tells of.

use super::event::EventWriter;
use crate::{
    kind::{Generation, Kind},
    normalize::{Encoding, Origin, Settings},
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

/// What `metadata` says of a kind's records from their own fields, apart from the account and the correlation.
#[derive(Debug, Clone, Copy)]
struct Identifiers {
    /// What Mimecast itself calls the event's kind.
    event_code: Option<Field>,
    /// Mimecast's own id.
    original_event_uid: Option<Field>,
}

const fn identifiers(kind: Kind) -> Identifiers {
    let (event_code, original_event_uid) = match kind {
        Kind::Audit => (Some(Field::AuditType), Some(Field::Id)),
        Kind::Dlp => (None, None),
        Kind::TtpUrl => (Some(Field::CreationMethod), None),
        Kind::TtpAttachment => (None, None),
        Kind::TtpImpersonation | Kind::HeldRelease => (None, Some(Field::Id)),
        Kind::Held => (Some(Field::ReasonId), Some(Field::Id)),
        Kind::Rejection => (Some(Field::Type), Some(Field::Id)),
        Kind::ThreatIntel => (Some(Field::Type), Some(Field::Id)),
        Kind::ArchiveSearch | Kind::ArchiveUserSearch => (Some(Field::Description), None),
        Kind::ArchiveView => (None, None),
        // `type` and `subtype` are put together.
        _ => (None, Some(Field::ProcessingId)),
    };
    Identifiers { event_code, original_event_uid }
}

/// The fields that `metadata` takes, which are not left over for `unmapped`.
pub const fn fields(kind: Kind) -> &'static [Field] {
    match kind {
        Kind::Audit => &[Field::AggregateId, Field::AccountId, Field::Id, Field::AuditType, Field::Category],
        Kind::Dlp | Kind::TtpAttachment | Kind::ArchiveView => &[Field::AggregateId, Field::AccountId],
        Kind::TtpUrl => &[Field::AggregateId, Field::AccountId, Field::CreationMethod],
        Kind::TtpImpersonation | Kind::HeldRelease => &[Field::AggregateId, Field::AccountId, Field::Id],
        Kind::Held => &[Field::AggregateId, Field::AccountId, Field::Id, Field::ReasonId],
        Kind::Rejection | Kind::ThreatIntel => &[Field::AggregateId, Field::AccountId, Field::Id, Field::Type],
        Kind::ArchiveSearch | Kind::ArchiveUserSearch => &[Field::AggregateId, Field::AccountId, Field::Description],
        Kind::CloudEntities | Kind::CloudMailflow | Kind::CloudUrlClick => {
            &[Field::AggregateId, Field::AccountId, Field::Type, Field::Subtype, Field::ProcessingId, Field::Source]
        }
        _ => &[Field::AggregateId, Field::AccountId, Field::Type, Field::Subtype, Field::ProcessingId],
    }
}

/// What is the same for all of a source.
#[derive(Debug)]
pub struct Constant {
    pub provider: &'static str,
    /// The elements of `tags`, each with a comma behind it: the operator's fields and category.
    tags: String,
    /// By kind: the elements of `labels`, each with a comma behind it.
    labels: Vec<String>,
}

impl Constant {
    pub fn new(settings: &Settings) -> Self {
        let category = settings.category.iter().map(|category| ("category", category));
        let fields = settings.fields.iter().map(|(name, value)| (name.as_str(), value));
        let tags = fields.chain(category).map(|(name, value)| tag(name, value)).collect();
        let labels = |kind: &Kind| {
            let of_kind = crate::describe::labels(*kind).into_iter();
            let chosen = of_kind.filter(|(product, _)| settings.labels.iter().any(|chosen| chosen == product));
            chosen.map(|(product, label)| format!("\"{product}:{label}\",")).collect()
        };
        Self {
            provider: match settings.generation {
                Generation::V1 => "Mimecast API 1.0",
                Generation::V2 => "Mimecast API 2.0",
            },
            tags,
            labels: Kind::ALL.iter().map(labels).collect(),
        }
    }
}

fn tag(name: &str, value: &str) -> String {
    format!("{},", serde_json::json!({ "name": name, "value": value }))
}

/// The members of `metadata` that all records of one kind, stream and encoding share.
#[derive(Debug, Default)]
pub struct Common {
    of: Option<(Kind, Encoding)>,
    stream: String,
    pub members: String,
}

impl Common {
    pub fn set(&mut self, kind: Kind, origin: &Origin<'_>, provider: &str) {
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
            "\"log_format\":\"{format}\",\"log_provider\":\"{provider}\",\"log_source\":{},\"product\":\
             {{\"feature\":{{\"name\":\"{}\"}},\"name\":\"Mimecast Email Security\",\"vendor_name\":\"Mimecast\"}},\
             \"version\":\"1.8.0\",",
            serde_json::Value::from(origin.stream),
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
        self.event_code(kind);
        self.labels(kind);
        if let Some(field) = identifiers(kind).original_event_uid {
            self.text("original_event_uid", field);
        }
        if let Some(time) = self.input.original_time {
            self.json.scalar("original_time", time);
        }
        match (self.host, self.security_control) {
            (true, true) => self.json.raw("\"profiles\":[\"host\",\"security_control\"],"),
            (true, false) => self.json.raw("\"profiles\":[\"host\"],"),
            (false, true) => self.json.raw("\"profiles\":[\"security_control\"],"),
            (false, false) => {}
        }
        if matches!(kind, Kind::CloudEntities | Kind::CloudMailflow | Kind::CloudUrlClick) {
            self.text("source", Field::Source);
        }
        self.tags();
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

    /// `log_name` and `event_code`, which of SIEM records is `type/subtype`.
    fn event_code(&mut self, kind: Kind) {
        if kind.api2_type().is_none() && kind != Kind::SiemOther {
            self.json.literal("log_name", kind.name());
            if let Some(field) = identifiers(kind).event_code {
                self.text("event_code", field);
            }
            return;
        }
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
    }

    /// The audit log's own category, and what other products call the kind.
    fn labels(&mut self, kind: Kind) {
        let mark = self.json.open_array("labels");
        if kind == Kind::Audit
            && let Some(category) = self.scalar(Field::Category)
        {
            self.json.scalar_value(category);
            self.json.comma();
        }
        self.json.raw(&self.mapper.constant.labels[kind as usize]);
        self.json.close_array(mark);
    }

    /// The operator's own, and whether the time is not the record's.
    fn tags(&mut self) {
        let mark = self.json.open_array("tags");
        self.json.raw(&self.mapper.constant.tags);
        if let Some(source) = self.input.time_source {
            self.json.raw(&tag("time_source", source));
        }
        self.json.close_array(mark);
    }
}
