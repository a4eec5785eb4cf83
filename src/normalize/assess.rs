//! What an event means in whatever form it is written: how bad it is, whether it is an alert, how it went (tables 4.3
//! and 4.5 of the normalization reference).

use super::ocsf::{
    alert, audit, audit_text,
    roles::Cast,
    values::Verdict,
    verdict::{decision, is_detection, severity},
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
    /// Of a kind that also tells of clean messages: whether this record reports a detection.
    pub detection: bool,
    /// `None` where the kind is never an alert.
    pub alert: Option<bool>,
    /// The key by which the repeats of one alert collapse; `None` where it is none.
    pub alert_key: Option<Digest>,
    /// Whether what the event reports succeeded, where it says so.
    pub succeeded: Option<bool>,
}

/// Assesses a record. `scope` is what ids are unique within, `id` the record's own.
pub fn assess(record: &Record<'_>, scope: &str, id: Digest) -> Assessment {
    let cast = Cast::new(record);
    let detection = is_detection(&cast);
    let (severity, alert, succeeded) = if detection { (severity(&cast), Some(true), None) } else { of_kind(&cast) };
    let alert_key = (alert == Some(true)).then(|| alert::key(&cast, scope, id));
    Assessment { severity, detection, alert, alert_key, succeeded }
}

/// Severity, alert, success.
fn of_kind(cast: &Cast<'_, '_>) -> (u8, Option<bool>, Option<bool>) {
    let record = cast.record;
    let disposition = || decision(cast, false).0.map(|verdict| verdict.disposition_id);
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
        Kind::Spam => {
            let malicious = record.peek(Field::TaggedMalicious).boolean() == Some(true);
            (if malicious { 2 } else { 1 }, None, None)
        }
        Kind::Delivery => (1, None, record.peek(Field::Delivered).boolean()),
        Kind::Av
        | Kind::AttachmentProtect
        | Kind::UrlProtect
        | Kind::ImpersonationProtect
        | Kind::InternalEmailProtect
        | Kind::TtpImpersonation => (severity(cast), Some(true), None),
        Kind::Dlp => (3, Some(true), None),
        Kind::Held => (2, Some(true), None),
        Kind::Rejection => (2, Some(true), Some(false)),
        // Let go, unless the record says otherwise.
        Kind::HeldRelease => (1, None, (disposition() != Some(Verdict::REJECTED)).then_some(true)),
        // Of a kind that can be a detection, this one is none.
        Kind::CloudEntities | Kind::TtpUrl | Kind::TtpAttachment => (1, Some(false), None),
        Kind::Audit => of_audit(record),
        _ => (1, None, None),
    }
}

/// A logon that is not said to have failed has succeeded, unless more was asked for.
fn of_audit(record: &Record<'_>) -> (u8, Option<bool>, Option<bool>) {
    let text = |field: Field| String::from_utf8_lossy(record.peek(field).text().unwrap_or_default());
    let (audit_type, info) = (text(Field::AuditType), text(Field::EventInfo));
    let is_logon = audit::class(&audit_type).uid == 3002;
    let statement = audit_text::statement(&info);
    // Elsewhere the text may tell of what somebody else's failure was about, unless it begins with the word.
    let told = if is_logon { statement } else { statement.split_whitespace().next().unwrap_or_default() };
    let failed = audit_text::tells_of_failure(&audit_type) || audit_text::tells_of_failure(told);
    let challenged = || audit_text::has_word(&audit_type, &["challenge", "challenged"]);
    let succeeded = if failed { Some(false) } else { (is_logon && !challenged()).then_some(true) };
    (if failed { 2 } else { 1 }, None, succeeded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Fields;

    #[test]
    fn how_an_audit_record_went() {
        for (audit_type, info, expected) in [
            ("User Logged On", "Successful authentication for a@b.example", (1, Some(true))),
            ("User Logged On", "Unsuccessful authentication for a@b.example", (2, Some(false))),
            ("User Logged On", "Authentication failed for a@b.example, Reason: x", (2, Some(false))),
            ("User Logged On", "Authentication of a@b.example, Method: failed", (1, Some(true))),
            ("Logon Authentication Failed", "", (2, Some(false))),
            ("Logon Requires Challenge", "", (1, None)),
            ("Failover Settings Changed", "", (1, None)),
            ("Message Action", "Viewed: Delivery failed", (1, None)),
            ("Page Data Exports", "Failed to export", (2, Some(false))),
        ] {
            let record = serde_json::json!({"auditType": audit_type, "eventInfo": info}).to_string();
            let mut fields = Fields::default();
            fields.read_json(record.as_bytes()).expect("a record");
            let (severity, _, succeeded) = of_audit(&fields.record(record.as_bytes(), Kind::Audit));
            assert_eq!((severity, succeeded), expected, "{audit_type}: {info}");
        }
    }
}
