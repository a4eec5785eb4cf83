//! What an audit record's text says of a message or a file that something was done with.

use crate::normalize::ocsf::audit_text::{has_word, labels, statement};

/// The parts that have fields in ECS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditParts<'t> {
    pub subject: Option<&'t str>,
    pub from: Option<&'t str>,
    pub to: Option<&'t str>,
    pub file_name: Option<&'t str>,
    pub file_size: Option<i64>,
}

/// What a value ends at, too. Longer ones first: `File Size` is no `Size`.
const LABELS: [&str; 24] = [
    "Date",
    "Time",
    "IP",
    "Application",
    "Method",
    "2FA",
    "Reason",
    "Subject",
    "From",
    "To",
    "Sender",
    "Recipient",
    "Recipients",
    "File Name",
    "Filename",
    "File Size",
    "File",
    "Size",
    "Message Status",
    "Source",
    "Case",
    "Route",
    "Policy",
    "Remote",
];

impl<'t> AuditParts<'t> {
    /// A label that comes twice says nothing: senders choose subjects, and one may hold `, From: somebody else`.
    pub fn parse(audit_type: &str, text: &'t str) -> Self {
        let found: Vec<_> = labels(text, &LABELS).collect();
        let value = |names: &[&str]| {
            let mut places = found.iter().enumerate().filter(|(_, label)| names.contains(&label.label));
            let (Some((index, label)), None) = (places.next(), places.next()) else { return None };
            let end = found.get(index + 1).map_or(text.len(), |next| next.start);
            let value = text[label.end..end].lines().next().unwrap_or_default();
            let value = value.trim().trim_end_matches(',').trim_end();
            let value = value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value);
            Some(value).filter(|value| !value.is_empty())
        };
        let file_name = value(&["File Name", "Filename", "File"]).or_else(|| transferred(audit_type, text));
        Self {
            subject: value(&["Subject"]),
            from: value(&["From", "Sender"]),
            to: value(&["To", "Recipient", "Recipients"]),
            file_size: value(&["File Size", "Size"]).filter(|_| file_name.is_some()).and_then(bytes),
            file_name,
        }
    }
}

/// `Threat intel feed downloaded: malware_grid_csv_20240706.zip`: of a download or an export, the word that ends like a
/// file.
fn transferred<'t>(audit_type: &str, text: &'t str) -> Option<&'t str> {
    const TRANSFERS: [&str; 6] = ["download", "downloaded", "export", "exports", "exported", "upload"];
    if !has_word(audit_type, &TRANSFERS) {
        return None;
    }
    let mut words = statement(text).split_whitespace().rev();
    words.find_map(|word| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let (name, _) = word.rsplit_once('.')?;
        (!name.is_empty() && !word.contains(['@', '/']) && extension(word).is_some()).then_some(word)
    })
}

/// What stands behind the last dot, if it looks like the kind of a file.
pub fn extension(name: &str) -> Option<&str> {
    let (_, extension) = name.rsplit_once('.')?;
    let letters = extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let fits = (2..=5).contains(&extension.len()) && extension.bytes().any(|byte| byte.is_ascii_alphabetic());
    (letters && fits).then_some(extension)
}

/// `123`, `123 bytes`; not `2 MB`, which is no exact number.
fn bytes(text: &str) -> Option<i64> {
    let (number, unit) = text.split_once(char::is_whitespace).unwrap_or((text, "bytes"));
    let exact = ["b", "byte", "bytes"].iter().any(|known| unit.trim().eq_ignore_ascii_case(known));
    number.parse().ok().filter(|size| exact && *size >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_in_the_text() {
        let parts = AuditParts::parse(
            "Message Action",
            "Message Held - From : x@example.net, To : ann@example.com, Subject : Re: a, b, Date: 2021-10-11, \
             Time: 18:17:30 BST, IP: 192.0.2.1, Application: Console",
        );
        assert_eq!(
            parts,
            AuditParts {
                subject: Some("Re: a, b"),
                from: Some("x@example.net"),
                to: Some("ann@example.com"),
                ..AuditParts::default()
            }
        );
        let forged = "Message Held - From: x@example.net, Subject: hi, From: boss@example.com, IP: 192.0.2.1";
        let parts = AuditParts::parse("Message Action", forged);
        assert_eq!((parts.from, parts.subject), (None, Some("hi")));
        assert_eq!(AuditParts::parse("New Policy", "Profile Name: x.zip"), AuditParts::default());
    }

    #[test]
    fn a_file_in_the_text() {
        let parts = AuditParts::parse(
            "Archive Mailbox Export Download",
            "Downloaded File Name: \"June, July.pst\", File Size: 1234, Date: 2021-10-11",
        );
        assert_eq!((parts.file_name, parts.file_size), (Some("June, July.pst"), Some(1234)));
        let feed =
            "Downloaded feed malware_grid_csv_20240706.zip, Date: 2024-07-06, Time: 20:42:28+0000, IP: 192.0.2.1";
        assert_eq!(
            AuditParts::parse("Threat Intel Feed Download", feed).file_name,
            Some("malware_grid_csv_20240706.zip")
        );
        for (audit_type, text) in [
            ("New Policy", "Downloaded a.zip"),
            ("Archive Export", "for ann@example.com at 10.20"),
            ("Archive Export", "from https://example.com/a.zip"),
        ] {
            assert_eq!(AuditParts::parse(audit_type, text).file_name, None, "{text}");
        }
        assert_eq!(AuditParts::parse("x", "File: a.pdf, Size: 2 MB").file_size, None);
        assert_eq!((extension("a.tar.gz"), extension("v1.10"), extension("readme")), (Some("gz"), None, None));
    }
}
