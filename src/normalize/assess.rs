//! What an event means in whatever form it is written: how bad it is, whether it is an alert, how it went (tables 4.3
//! and 4.5 of the normalization reference).

use super::{
    alert,
    ocsf::values::{Verdict, verdict},
};
use crate::{
    chunk::Digest,
    kind::Kind,
    record::{Field, Record},
};

/// The same for every form of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assessment {
    /// OCSF's numbers: 1 informational, 2 low, 3 medium, 4 high.
    pub severity: u8,
    /// `None` where the kind is never an alert.
    pub alert: Option<bool>,
    /// The key by which the repeats of one alert collapse; `None` where it is none.
    pub alert_key: Option<Digest>,
    /// Whether what the event reports succeeded, where it says so.
    pub succeeded: Option<bool>,
}

/// Assesses a record. `scope` is what ids are unique within, `id` the record's own.
pub fn assess(record: &Record<'_>, scope: &str, id: Digest) -> Assessment {
    let (severity, alert, succeeded) = of_kind(record);
    let alert_key = (alert == Some(true)).then(|| alert::key(record, scope, id));
    Assessment { severity, alert, alert_key, succeeded }
}

fn of_kind(record: &Record<'_>) -> (u8, Option<bool>, Option<bool>) {
    let malicious = record.peek(Field::TaggedMalicious).boolean() == Some(true);
    let disposition = || {
        record.peek(Field::Action).text().and_then(|action| verdict(action, false)).map(|found| found.disposition_id)
    };
    match record.kind() {
        Kind::Receipt => {
            let disposition = disposition();
            let rejected = disposition == Some(Verdict::REJECTED) || record.has(Field::RejectionType);
            let accepted = disposition == Some(Verdict::ALLOWED);
            let succeeded = if rejected { Some(false) } else { accepted.then_some(true) };
            (if rejected { 2 } else { 1 }, Some(rejected), succeeded)
        }
        Kind::Process => {
            let disposition = disposition();
            let held = disposition == Some(Verdict::QUARANTINED) || record.has(Field::HoldReason);
            let sandboxed = disposition == Some(Verdict::ISOLATED);
            (if held || sandboxed { 2 } else { 1 }, Some(held), None)
        }
        Kind::Spam => (if malicious { 2 } else { 1 }, None, None),
        Kind::Delivery => (1, None, record.peek(Field::Delivered).boolean()),
        Kind::ImpersonationProtect => (if malicious { 4 } else { 2 }, Some(true), None),
        Kind::Av | Kind::AttachmentProtect | Kind::UrlProtect | Kind::InternalEmailProtect => (4, Some(true), None),
        Kind::Audit => audit(record),
        _ => (1, None, None),
    }
}

/// A logon that is not said to have failed has succeeded, unless more was asked for.
fn audit(record: &Record<'_>) -> (u8, Option<bool>, Option<bool>) {
    let text = |field: Field| record.peek(field).text().map(<[u8]>::to_ascii_lowercase).unwrap_or_default();
    let (audit_type, info) = (text(Field::AuditType), text(Field::EventInfo));
    let audit_type = String::from_utf8_lossy(&audit_type);
    let failed = ["fail", "denied", "unsuccessful", "invalid"].iter().any(|word| audit_type.contains(word))
        || info.starts_with(b"failed");
    let is_logon = super::ocsf::audit::class(&audit_type).uid == 3002;
    let succeeded = if failed { Some(false) } else { (is_logon && !audit_type.contains("challenge")).then_some(true) };
    (if failed { 2 } else { 1 }, None, succeeded)
}
