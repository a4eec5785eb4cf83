//! What an audit record says in words (section 6.2 of the API reference): the `eventInfo` text and the type's name.
//!
//! The text's own date and time are local and are not used.

/// The labelled parts of an `eventInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditText<'t> {
    pub ip: Option<&'t str>,
    pub application: Option<&'t str>,
    pub method: Option<&'t str>,
    pub two_factor: Option<&'t str>,
    pub reason: Option<&'t str>,
}

const LABELS: [&str; 7] = ["Date", "Time", "IP", "Application", "Method", "2FA", "Reason"];

/// What a message is told by. Its sender chose what follows them.
const MESSAGE_LABELS: [&str; 6] = ["Subject", "From", "To", "Sender", "Recipient", "Recipients"];

impl<'t> AuditText<'t> {
    /// Labels are separated by commas or by blanks alone; a value ends where the next label begins, so it may hold
    /// commas. The last of two equal labels counts: the session's own stand at the end, behind what people wrote.
    pub fn parse(text: &'t str) -> Self {
        let labels: Vec<_> = labels(text, &LABELS).collect();
        let mut parts = Self::default();
        for (index, found) in labels.iter().enumerate() {
            let end = labels.get(index + 1).map_or(text.len(), |next| next.start);
            let value = text[found.end..end].trim().trim_end_matches(',').trim_end();
            let line = value.lines().next().unwrap_or_default().trim();
            let (part, value) = match found.label {
                "IP" => (&mut parts.ip, first_word(line)),
                "Application" => (&mut parts.application, before_label(line)),
                "Method" => (&mut parts.method, before_label(line)),
                "2FA" => (&mut parts.two_factor, before_label(line)),
                "Reason" => (&mut parts.reason, line),
                _ => continue,
            };
            if !value.is_empty() {
                *part = Some(value);
            }
        }
        if parts.ip.is_none()
            && let Some((_, rest)) = text.split_once("Remote IP is ")
        {
            parts.ip = Some(first_word(rest)).filter(|ip| !ip.is_empty());
        }
        parts
    }
}

/// Where a label stands: from its first letter to behind its colon.
pub struct Label {
    pub label: &'static str,
    pub start: usize,
    pub end: usize,
}

/// Where any of these labels stands in a text, in any case. Of two that end alike, the one that is listed first.
pub fn labels(text: &str, known: &'static [&'static str]) -> impl Iterator<Item = Label> {
    text.match_indices(':').filter_map(move |(colon, _)| {
        known.iter().find_map(|label| {
            let named = text[..colon].trim_end();
            let start = named.len().checked_sub(label.len())?;
            let word = named.get(start..)?;
            let before = text[..start].chars().next_back();
            let alone = before.is_none_or(|before| before == ',' || before.is_whitespace());
            (alone && word.eq_ignore_ascii_case(label)).then_some(Label { label, start, end: colon + 1 })
        })
    })
}

/// What the text says was done: all before its first label.
pub fn statement(text: &str) -> &str {
    let first = labels(text, &LABELS).chain(labels(text, &MESSAGE_LABELS)).map(|found| found.start).min();
    &text[..first.unwrap_or(text.len())]
}

/// A short value ends where any other label follows a comma.
fn before_label(value: &str) -> &str {
    let comma = value.match_indices(',').find(|(comma, _)| {
        let next = &value[comma + 1..];
        next.find([',', ':']).is_some_and(|end| next[end..].starts_with(':'))
    });
    comma.map_or(value, |(comma, _)| value[..comma].trim_end())
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| c.is_whitespace() || c == ',').next().unwrap_or_default().trim_end_matches('.')
}

/// The address after the word `for`, as in `Password changed for ann@example.com`.
pub fn subject_address(text: &str) -> Option<&str> {
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case("for")
            && let Some(next) = words.clone().next()
        {
            let address = next.trim_matches(|c: char| matches!(c, '<' | '>' | ',' | ';' | '\'' | '"' | '(' | ')'));
            let address = address.trim_end_matches('.');
            if crate::record::value::is_email(address.as_bytes()) {
                return Some(address);
            }
        }
    }
    None
}

/// The first text in quotes.
pub fn quoted(text: &str) -> Option<&str> {
    let open = text.find(['"', '\''])?;
    // An apostrophe inside a word opens nothing.
    if text[..open].ends_with(char::is_alphanumeric) {
        return None;
    }
    let quote = &text[open..=open];
    let (inner, _) = text[open + 1..].split_once(quote)?;
    Some(inner.trim()).filter(|inner| !inner.is_empty())
}

/// What was done to an entity, as the activity of Entity Management (3004): from the type, else from the text.
///
/// A type says it in its first word (`New Policy`) or in its last (`Export Deleted`, which is no export). What a task
/// that ran by itself reports (`Completed Directory Sync`: `5 added, 3 deleted`) is not what was done to it.
pub fn activity(audit_type: &str, text: &str) -> Option<(u32, &'static str)> {
    let begins = |word: &&str| ["new", "create", "add"].iter().any(|known| word.eq_ignore_ascii_case(known));
    let first = words(audit_type).next().filter(begins).and_then(verb);
    let of_type = first.or_else(|| words(audit_type).filter_map(verb).last());
    let is_report = || words(audit_type).any(|word| word.eq_ignore_ascii_case("sync"));
    of_type.or_else(|| if is_report() { None } else { words(statement(text)).find_map(verb) })
}

/// Whether one of the words of a text is one of these.
pub fn has_word(text: &str, known: &[&str]) -> bool {
    words(text).any(|word| known.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

/// Whether a text says that what it tells of did not succeed.
pub fn tells_of_failure(text: &str) -> bool {
    has_word(text, &["failed", "fails", "failure", "denied", "unsuccessful", "unsuccessfully", "invalid"])
}

/// Whether a type names what was done to something: `Logon Policy Changed` is no logon.
pub fn has_verb(audit_type: &str) -> bool {
    words(audit_type).any(|word| verb(word).is_some())
}

fn verb(word: &str) -> Option<(u32, &'static str)> {
    let is = |list: &[&str]| list.iter().any(|known| word.eq_ignore_ascii_case(known));
    Some(if is(&["new", "create", "created", "creation", "add", "added", "insert", "inserted"]) {
        (1, "Create")
    } else if is(&[
        "search",
        "searched",
        "view",
        "viewed",
        "read",
        "export",
        "exports",
        "exported",
        "download",
        "downloaded",
        "accessed",
        "inspected",
        "opened",
        "previewed",
        "retrieved",
    ]) {
        (2, "Read")
    } else if is(&[
        "change",
        "changed",
        "changes",
        "update",
        "updated",
        "edit",
        "edited",
        "modified",
        "adjustment",
        "adjustments",
        "adjusted",
        "amended",
        "renamed",
    ]) {
        (3, "Update")
    } else if is(&["delete", "deleted", "remove", "removed", "purged"]) {
        (4, "Delete")
    } else if is(&["move", "moved"]) {
        (5, "Move")
    } else if is(&["enable", "enabled"]) {
        (8, "Enable")
    } else if is(&["disable", "disabled"]) {
        (9, "Disable")
    } else if is(&["activate", "activated"]) {
        (10, "Activate")
    } else if is(&["deactivate", "deactivated"]) {
        (11, "Deactivate")
    } else if is(&["suspend", "suspended"]) {
        (12, "Suspend")
    } else if is(&["resume", "resumed"]) {
        (13, "Resume")
    } else {
        return None;
    })
}

/// The words of a text.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// What the type is about: `Existing Policy Changed` is about a `Policy`.
pub fn entity(audit_type: &str) -> String {
    const NOISE: [&str; 6] = ["Existing", "Completed", "Action", "Management", "Log", "Entry"];
    let kept: Vec<&str> = audit_type
        .split_whitespace()
        .filter(|word| verb(word).is_none() && !NOISE.iter().any(|noise| word.eq_ignore_ascii_case(noise)))
        .collect();
    if kept.is_empty() { audit_type.to_owned() } else { kept.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_with_commas() {
        let text = AuditText::parse(
            "Failed authentication for a@example.com <A>, Date: 2021-10-11, Time: 18:17:30 BST, IP: 192.0.2.1, \
             Application: Administration Console, Method: Cloud, 2FA: TOTP, Reason: Wrong password, try 2",
        );
        assert_eq!(text.ip, Some("192.0.2.1"));
        assert_eq!(text.application, Some("Administration Console"));
        assert_eq!(text.method, Some("Cloud"));
        assert_eq!(text.two_factor, Some("TOTP"));
        assert_eq!(text.reason, Some("Wrong password, try 2"));
    }

    #[test]
    fn labels_with_blanks_line_feeds_and_none() {
        let text = AuditText::parse(
            "Changed by x<x> Date: 2021-10-11 Time: 16:39:17 +0100 IP: 192.0.2.1 Application: Console\nmore: here",
        );
        assert_eq!((text.ip, text.application), (Some("192.0.2.1"), Some("Console")));
        let text = AuditText::parse("Sync done. Remote IP is 192.0.2.9. {\"a\": 1}");
        assert_eq!(text.ip, Some("192.0.2.9"));
        assert_eq!(AuditText::parse("VIP: no, Relocation: x"), AuditText::default());
        assert_eq!(AuditText::parse("x, Time: 20:42:28+0000, IP: , Application: "), AuditText::default());
        let text = AuditText::parse("x, Application: Console, File Name: a.zip, Method: Cloud, or other, Size: 5");
        assert_eq!((text.application, text.method), (Some("Console"), Some("Cloud, or other")));
    }

    #[test]
    fn what_a_sender_wrote_is_not_what_happened() {
        let text = "Message Released - From: x@example.net, Subject: Deleted, IP: 203.0.113.66, Application: fake, \
                    Date: 2021-10-11, Time: 18:17:30 BST, IP: 192.0.2.1, Application: Console";
        let parts = AuditText::parse(text);
        assert_eq!((parts.ip, parts.application), (Some("192.0.2.1"), Some("Console")));
        assert_eq!(activity("Message Action", text), None);
        assert_eq!(activity("Message Action", "Message Viewed Subject: New").map(|found| found.0), Some(2));
        assert_eq!(statement("Connector Added: To: x"), "Connector Added: ");
    }

    #[test]
    fn what_was_done_to_what() {
        for (audit_type, text, id, entity_name) in [
            ("New Policy", "", Some(1), "Policy"),
            ("Policy Deleted", "", Some(4), "Policy"),
            ("Existing Archive Task Changed", "", Some(3), "Archive Task"),
            ("Case Action", "Inspected Messages - Source: Deleted, Message Status: New", Some(2), "Case"),
            ("Message Action", "Message Held - From : new@example.net, Subject : Deleted", None, "Message"),
            ("Threat Intel Feed Download", "", Some(2), "Threat Intel Feed"),
            ("Connectors Management", "Connector removed by x", Some(4), "Connectors"),
            ("Completed Directory Sync", "All done, Date: 2021, Time: new", None, "Directory Sync"),
            ("Completed Directory Sync", "5 added, 3 deleted", None, "Directory Sync"),
            ("Export Deleted", "", Some(4), "Export Deleted"),
            ("New Search", "", Some(1), "New Search"),
            ("Archive Export Download", "", Some(2), "Archive"),
            ("Action", "", None, "Action"),
        ] {
            assert_eq!(activity(audit_type, text).map(|found| found.0), id, "{audit_type}");
            assert_eq!(entity(audit_type), entity_name);
        }
    }

    #[test]
    fn names_in_the_text() {
        assert_eq!(subject_address("Password changed for <b@example.com>, by a@example.com"), Some("b@example.com"));
        assert_eq!(subject_address("Searched for invoices"), None);
        assert_eq!(quoted("Role \"Basic Administrator\" assigned"), Some("Basic Administrator"));
        assert_eq!(quoted("Ann's role"), None);
    }
}
