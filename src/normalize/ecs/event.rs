//! `event`, `error`, `rule` and `user`: what happened, how it went, by which rule, and who did it.

use super::EventWriter;
use crate::{
    kind::Kind,
    normalize::ocsf::verdict::deciding,
    record::{Field, Value},
};

/// What of `event` is not a field of the record: read out of an audit record's type and text.
#[derive(Debug, Default)]
pub struct Told<'t> {
    /// Category and type, as members of JSON.
    pub classified: &'static str,
    pub action: Option<&'t str>,
    pub reason: Option<&'t str>,
}

impl EventWriter<'_, '_> {
    pub fn event(&mut self, told: &Told<'_>) {
        let kind = self.record.kind();
        let mark = self.json.open("event");
        self.json.raw(&self.constant.event);
        self.json.raw(told.classified);
        match told.action {
            Some(action) => self.json.text("action", action.as_bytes()),
            None => self.action(kind),
        }
        self.code(kind);
        // Table 3.2: Elastic's content for the SIEM logs looks for the record's time here, too.
        if self.input.original_time.is_some() && self.constant.created {
            self.time("created", self.input.time);
        }
        self.json.raw("\"dataset\":\"");
        self.json.raw(&self.constant.dataset);
        if kind == Kind::ThreatIntel {
            self.json.raw(self.feed_suffix());
        }
        self.json.raw("\",");
        // Milliseconds to nanoseconds.
        let duration = self.take(Field::DeliveryTime, |value| {
            value.integer()?.checked_mul(1_000_000).filter(|duration| *duration >= 0)
        });
        if let Some(duration) = duration {
            self.json.integer("duration", duration);
        }
        self.json.raw("\"hash\":");
        self.json.digest(self.input.id);
        self.json.comma();
        self.text("id", Field::Id);
        self.json.literal(
            "kind",
            match kind {
                Kind::ThreatIntel => "enrichment",
                // Elastic means spam to be an alert, and fails to notice it (3.5, 12).
                Kind::Spam => "alert",
                _ if self.input.assessment.alert_key.is_some() => "alert",
                _ => "event",
            },
        );
        if let Some(original) = self.input.original {
            self.json.text("original", original);
        }
        self.json.literal(
            "outcome",
            match self.input.assessment.succeeded {
                Some(true) => "success",
                Some(false) => "failure",
                None => "unknown",
            },
        );
        match told.reason {
            Some(reason) => self.json.text("reason", reason.as_bytes()),
            None => {
                if let Some(reason) = self.first(self.roles.reasons) {
                    self.json.scalar("reason", reason);
                }
            }
        }
        if let Some(score) = self.take(Field::SpamScore, |value| value.text().filter(|text| is_decimal(text))) {
            self.json.key("risk_score");
            self.json.out.extend_from_slice(score);
            self.json.comma();
        }
        self.json.integer("severity", i64::from(self.input.assessment.severity));
        self.json.close(mark);
        self.data_stream(kind);
    }

    /// By which Elastic's dashboards choose events.
    fn data_stream(&mut self, kind: Kind) {
        self.json.raw("\"data_stream\":{\"dataset\":\"");
        self.json.raw(&self.constant.dataset);
        if kind == Kind::ThreatIntel {
            self.json.raw(self.feed_suffix());
        }
        self.json.raw("\",\"namespace\":\"default\",\"type\":\"logs\"},");
    }

    fn action(&mut self, kind: Kind) {
        match kind {
            // `user release, none` as Elastic writes it: `user_release_none`.
            Kind::TtpAttachment => {
                let action = self.record.peek(Field::ActionTriggered).text().unwrap_or_default();
                let action = joined(action, b"_", |byte| matches!(byte, b' ' | b','), false);
                if !action.is_empty() {
                    self.json.text("action", &action);
                }
            }
            // What became of the message: both fields also stay under `mimecast`.
            Kind::TtpUrl => {
                let field = deciding(&self.cast, true);
                if let Some(action) = self.scalar(self.cast.role(field)) {
                    self.json.scalar("action", action);
                }
            }
            Kind::Held => self.json.literal("action", "hold"),
            Kind::Rejection => self.json.literal("action", "reject"),
            _ => {
                if let Some(action) = self.first(self.roles.actions) {
                    self.json.scalar("action", action);
                }
            }
        }
    }

    /// The vendor's own number or name for what happened.
    fn code(&mut self, kind: Kind) {
        match kind {
            Kind::Audit => self.text("code", Field::AuditType),
            Kind::Held => self.text("code", Field::ReasonCode),
            Kind::Rejection => self.text("code", Field::Type),
            _ => {}
        }
    }

    /// `error`: why a message was refused or not delivered.
    pub fn error(&mut self) {
        let mark = self.json.open("error");
        self.text("code", Field::RejectionCode);
        if let Some(message) = self.first(self.roles.errors) {
            self.json.scalar("message", message);
        }
        self.text("type", Field::RejectionType);
        self.json.close(mark);
    }

    pub fn rule(&mut self) {
        if let Some(name) = self.roles.rules.iter().find_map(|field| self.scalar(self.cast.role(*field))) {
            let mark = self.json.open("rule");
            self.json.scalar("name", name);
            self.json.close(mark);
        }
    }

    /// `user`: who did it, or whom it happened to.
    pub fn user(&mut self) {
        let users = self.roles.users;
        let known = users.iter().find_map(|field| {
            let value = self.record.peek(*field);
            value.text().filter(|text| *text != b"<>").map(|_| (*field, value))
        });
        if let Some((field, user)) = known {
            self.moved(field);
            let mark = self.json.open("user");
            self.user_members(user);
            self.json.close(mark);
        } else if let Some(field) = users.first() {
            // One sample of held messages that were released has an object here.
            let mut found = None;
            super::address::each(self.record.peek(*field), |address| found = found.or(Some(address)));
            if let Some(user) = found {
                let mark = self.json.open("user");
                self.user_members(user);
                self.json.close(mark);
            }
        }
    }

    /// Name and domain of an address, or a name alone.
    pub fn user_members(&mut self, user: Value<'_>) {
        self.related.user.push(user);
        match user.bytes.iter().rposition(|byte| *byte == b'@') {
            Some(at) if super::address::is_address(user.bytes) => {
                let name = Value { bytes: &user.bytes[..at], ..user };
                self.json.scalar("domain", Value { bytes: &user.bytes[at + 1..], ..user });
                self.json.scalar("email", user);
                self.json.scalar("name", name);
                self.related.user.push(name);
            }
            _ => self.json.scalar("name", user),
        }
    }
}

/// The words of a text with something else between them, in lower case or as they are.
pub fn joined(text: &[u8], with: &[u8], between: impl Fn(u8) -> bool, lower: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for word in text.split(|byte| between(*byte)).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.extend_from_slice(with);
        }
        out.extend(word.iter().map(|byte| if lower { byte.to_ascii_lowercase() } else { *byte }));
    }
    out
}

/// A number as JSON has it, without an exponent.
fn is_decimal(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let mut halves = digits.splitn(2, |byte| *byte == b'.');
    let whole = halves.next().unwrap_or_default();
    let all_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    all_digits(whole)
        && (whole.len() == 1 || whole[0] != b'0')
        && text.len() <= 18
        && halves.next().is_none_or(all_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_json_has_them() {
        for good in ["0", "-1", "17", "1.5", "-0.25"] {
            assert!(is_decimal(good.as_bytes()), "{good}");
        }
        for bad in ["", "-", "01", "1.", ".5", "1e3", "+1", "high", "1.2.3", "9999999999999999999"] {
            assert!(!is_decimal(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn words_joined() {
        let blank = |byte: u8| matches!(byte, b' ' | b',');
        assert_eq!(joined(b"user release, none", b"_", blank, false), b"user_release_none");
        assert_eq!(joined(b" User Logged  On ", b"-", blank, true), b"user-logged-on");
    }
}
