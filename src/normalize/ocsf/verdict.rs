//! What a record's verdict is, and what becomes of it: class, action and disposition.

use super::{
    event::EventWriter,
    roles::Cast,
    values::{Verdict, action_caption, disposition_caption, verdict},
};
use crate::{
    kind::Kind,
    record::{Field, Value, nested, scan::Shape},
};

/// Whether a record of a kind that also tells of clean messages reports a detection (table 4.3).
pub fn is_detection(cast: &Cast<'_, '_>) -> bool {
    match cast.record.kind() {
        Kind::CloudEntities => has_tags(cast.record.peek(Field::Tags)),
        Kind::TtpUrl => !is_one_of(cast.record.peek(Field::ScanResult), &["clean", "safe"]),
        Kind::TtpAttachment => !is_one_of(cast.record.peek(Field::Result), &["safe", "clean"]),
        _ => false,
    }
}

/// Severity of a detection: what is known to be malicious is high, what was found dangerous or stopped without that is
/// medium, and what could not be judged is low.
pub fn severity(cast: &Cast<'_, '_>) -> u8 {
    let malicious = || cast.record.peek(Field::TaggedMalicious).boolean() == Some(true);
    match cast.record.kind() {
        Kind::ImpersonationProtect | Kind::TtpImpersonation => {
            if malicious() {
                4
            } else {
                2
            }
        }
        kind @ (Kind::TtpUrl | Kind::TtpAttachment) => {
            let judged = cast.record.peek(if kind == Kind::TtpUrl { Field::ScanResult } else { Field::Result });
            let stopped = decision(cast, true).0.is_some_and(|verdict| verdict.action_id == 2);
            match () {
                () if is_one_of(judged, &["malicious"]) => 4,
                () if stopped || is_one_of(judged, &["unsafe", "suspicious"]) => 3,
                () => 2,
            }
        }
        _ => 4,
    }
}

fn has_tags(tags: Value<'_>) -> bool {
    let mut any = false;
    match tags.shape {
        Shape::Nested if !nested::is_object(tags.bytes) => {
            nested::each(tags.bytes, |_, tag| any |= tag.text().is_some());
        }
        _ => any = tags.text().is_some_and(|text| !text.trim_ascii().is_empty()),
    }
    any
}

fn is_one_of(value: Value<'_>, words: &[&str]) -> bool {
    let Some(text) = value.text() else { return false };
    words.iter().any(|word| text.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// The verdict, and the word that says it. What waits in the hold queue or was rejected says it by being in that list.
pub fn decision<'a>(cast: &Cast<'_, 'a>, finding: bool) -> (Option<Verdict>, Option<Value<'a>>) {
    let action = cast.peek(deciding(cast, finding));
    let word = action.text().map(|_| action);
    let told = match cast.record.kind() {
        Kind::Held => verdict(b"hold", finding),
        Kind::Rejection => verdict(b"rej", finding),
        _ => action.text().and_then(|action| one_or_several(action, finding)),
    };
    (told, word)
}

/// The field that tells what became of the message. Of a click that is the definition's `action`, unless `actions` says
/// that the message was stopped: `warn` is what a reader would see of a link whose message was blocked.
pub fn deciding(cast: &Cast<'_, '_>, finding: bool) -> Field {
    let stops = |field: Field| {
        let told = cast.record.peek(field).text().and_then(|action| one_or_several(action, finding));
        told.is_some_and(|verdict| verdict.action_id == 2)
    };
    if cast.record.kind() == Kind::TtpUrl && !stops(Field::Action) && stops(Field::Actions) {
        Field::Actions
    } else {
        Field::Action
    }
}

fn one_or_several(action: &[u8], finding: bool) -> Option<Verdict> {
    verdict(action, finding).or_else(|| several(action, finding))
}

impl EventWriter<'_, '_> {
    /// `action` and `disposition`, by the table; Mimecast's own word where the table has none.
    pub fn action(&mut self, finding: bool) {
        let (told, word) = decision(&self.cast(), finding);
        let field = deciding(&self.cast(), finding);
        match (told, word) {
            (Some(Verdict { action_id, disposition_id }), word) => {
                // The code says all that one word says, once or again; of several it says only what they come to.
                let of_part = |part: &[u8]| verdict(part, finding) == told;
                if word.is_some_and(|word| word.bytes.split(|byte| *byte == b',').all(of_part)) {
                    self.scalar(field);
                }
                self.json.integer("action_id", action_id);
                self.json.literal("action", action_caption(action_id));
                self.json.integer("disposition_id", disposition_id);
                self.json.literal("disposition", disposition_caption(disposition_id));
            }
            (None, Some(word)) => {
                self.scalar(field);
                self.json.integer("action_id", 99);
                self.json.scalar("action", word);
                self.json.integer("disposition_id", 99);
                self.json.scalar("disposition", word);
            }
            (None, None) => return,
        }
        self.security_control = true;
    }
}

/// `Hold, None`: what was done, if only one thing was; `none, none` is nothing.
fn several(actions: &[u8], finding: bool) -> Option<Verdict> {
    if !actions.contains(&b',') {
        return None;
    }
    let mut done = None;
    let mut nothing = None;
    for action in actions.split(|byte| *byte == b',') {
        let known = verdict(action, finding)?;
        if known.disposition_id == Verdict::NO_ACTION {
            nothing = Some(known);
        } else if done.is_some_and(|done| done != known) {
            return None;
        } else {
            done = Some(known);
        }
    }
    done.or(nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_actions_the_one_that_did_something() {
        for (actions, disposition) in [
            ("Hold, None", Some(Verdict::QUARANTINED)),
            ("none, none", Some(Verdict::NO_ACTION)),
            ("Block, block", Some(2)),
            ("Block, Hold", None),
            ("user release, none", None),
            ("None", None),
        ] {
            assert_eq!(several(actions.as_bytes(), true).map(|v| v.disposition_id), disposition, "{actions}");
        }
    }
}
