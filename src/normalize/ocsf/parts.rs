//! Objects that several classes have: the e-mail, its endpoints, files and links.

use super::{EventWriter, observable};
use crate::{
    normalize::writer::Writer,
    record::{
        Field, Value, nested,
        scan::Shape,
        value::{address, is_email, is_hex},
    },
};

/// The members of `spamProcessingDetail` whose `info` is an attribute of `email_auth`.
pub const CHECKS: [&str; 3] = ["spf", "dkim", "dmarc"];

/// Where an e-mail stands in the class, for the names of observables.
#[derive(Debug, Clone, Copy)]
pub struct EmailPaths {
    pub from: &'static str,
    pub to: &'static str,
    pub subject: &'static str,
    pub message_uid: &'static str,
    pub file_name: &'static str,
    pub url: &'static str,
}

const HASHES: [(Field, usize, i64, &str); 3] =
    [(Field::Md5, 32, 1, "MD5"), (Field::Sha1, 40, 2, "SHA-1"), (Field::Sha256, 64, 3, "SHA-256")];

/// What describes a file besides its name; without a name OCSF has no file.
pub const FILE_FIELDS: [Field; 6] =
    [Field::FileExtension, Field::FileMime, Field::SizeAttachment, Field::Md5, Field::Sha1, Field::Sha256];

/// Whom an e-mail is for.
#[derive(Debug)]
pub struct Recipients<'a> {
    pub addresses: Vec<Value<'a>>,
    /// Those with a display name, as a whole.
    mailboxes: Vec<Value<'a>>,
    /// Whether these are all that the field names.
    complete: bool,
}

impl<'a> Recipients<'a> {
    fn add(&mut self, value: Value<'a>) {
        if !value.populated() {
            return;
        }
        if is_email(value.bytes) {
            self.addresses.push(value);
            return;
        }
        match mailbox(value) {
            Some(found) => {
                self.addresses.push(found.address);
                if found.named {
                    self.mailboxes.push(value);
                }
            }
            None => self.complete = false,
        }
    }
}

impl<'a> EventWriter<'_, 'a> {
    /// An address of the field, if it is one by OCSF's pattern.
    pub fn email_address(&self, field: Field) -> Option<Value<'a>> {
        self.take(field, |value| value.text().filter(|text| is_email(text)).map(|_| value))
    }

    /// The sender of the envelope, in brackets or not. A display name, which has no attribute there, keeps the field
    /// in `unmapped` as well.
    pub fn envelope_sender(&self) -> Option<Value<'a>> {
        if let Some(address) = self.email_address(Field::SenderEnvelope) {
            return Some(address);
        }
        let sender = mailbox(self.record.peek(Field::SenderEnvelope))?;
        if !sender.named {
            self.record.read(Field::SenderEnvelope);
        }
        Some(sender.address)
    }

    /// The sender of the header, if there is an address in it. A mailbox (`Ann <ann@example.com>`) is written as such.
    pub fn header_sender(&mut self) -> Option<Value<'a>> {
        if let Some(address) = self.email_address(Field::SenderHeader) {
            return Some(address);
        }
        let value = self.record.peek(Field::SenderHeader);
        let sender = self.take(Field::SenderHeader, mailbox)?;
        if sender.named {
            self.json.scalar("from_mailbox", value);
        }
        Some(sender.address)
    }

    /// The recipients: one string, or a list. What is no address keeps the whole field in `unmapped`, too.
    pub fn recipients(&self) -> Recipients<'a> {
        let mut found = Recipients { addresses: Vec::new(), mailboxes: Vec::new(), complete: true };
        let value = self.record.peek(Field::Recipients);
        match value.shape {
            Shape::Null => return found,
            Shape::Nested => {
                found.complete = !nested::is_object(value.bytes);
                if found.complete {
                    nested::each(value.bytes, |_, recipient| found.add(recipient));
                }
            }
            _ if is_email(value.bytes) => found.addresses.push(value),
            _ => {
                // In local parts a comma is allowed, so a text is a list only if the whole is no address. In the quotes
                // of a display name it does not separate.
                let mut quoted = false;
                let parts = value.bytes.split(|byte| {
                    quoted ^= *byte == b'"';
                    !quoted && matches!(byte, b',' | b';')
                });
                parts.for_each(|part| found.add(Value { shape: value.shape, bytes: part.trim_ascii() }));
                found.complete &= !found.addresses.is_empty();
            }
        }
        if found.complete {
            self.record.read(Field::Recipients);
        }
        found
    }

    /// The members of the `email` object. Writes `from` or `to` in any case.
    pub fn email(&mut self, sender: Option<Value<'a>>, recipients: &Recipients<'a>, paths: &EmailPaths) {
        if let Some(sender) = sender {
            self.json.scalar("from", sender);
            self.observe(observable::EMAIL_ADDRESS, paths.from, sender);
        }
        // Nobody is named: said by an empty list, since OCSF asks for one of the two.
        if !self.texts("to", &recipients.addresses) && sender.is_none() {
            self.json.raw("\"to\":[],");
        }
        self.texts("to_mailboxes", &recipients.mailboxes);
        for recipient in &recipients.addresses {
            self.observe(observable::EMAIL_ADDRESS, paths.to, *recipient);
        }
        self.attachments(paths);
        self.number("size", Field::EmailSize);
        if let Some(subject) = self.scalar(Field::Subject) {
            self.json.scalar("subject", subject);
            self.observe(observable::SUBJECT, paths.subject, subject);
        }
        if let Some(uid) = self.scalar(Field::MessageId) {
            let uid = without_brackets(uid);
            self.json.scalar("message_uid", uid);
            self.observe(observable::MESSAGE_UID, paths.message_uid, uid);
        }
    }

    /// A list of texts, if there are any. Says whether it stands.
    pub fn texts(&mut self, key: &str, texts: &[Value<'a>]) -> bool {
        let mark = self.json.open_array(key);
        for text in texts {
            self.json.scalar_value(*text);
            self.json.comma();
        }
        self.json.close_array(mark)
    }

    /// The names in `attachments`, as files of the e-mail.
    fn attachments(&mut self, paths: &EmailPaths) {
        let value = self.record.peek(Field::Attachments);
        let mut names = Vec::new();
        let understood = match value.shape {
            Shape::Null => return,
            Shape::Nested => {
                !nested::is_object(value.bytes) && {
                    let mut texts = true;
                    nested::each(value.bytes, |_, name| {
                        texts &= name.populated() && name.text().is_some();
                        names.push(name);
                    });
                    texts && !names.is_empty()
                }
            }
            _ => value
                .text()
                .is_some_and(|text| quoted_names(text, |name| names.push(Value { shape: value.shape, bytes: name }))),
        };
        if names.is_empty() {
            return;
        }
        // A text that is not cleanly a list of quoted names is kept as it was, too.
        if understood {
            self.record.read(Field::Attachments);
        } else if value.shape == Shape::Nested {
            return;
        }
        // The size of all is the size of this one only if there is no other; the list may be shorter than the count.
        let count = self.record.peek(Field::NumberAttachments).integer().unwrap_or(1);
        let size = if names.len() == 1 && count == 1 { self.integer(Field::TotalSizeAttachments) } else { None };
        let mark = self.json.open_array("files");
        for name in names {
            let file = self.json.open_element();
            self.json.scalar("name", name);
            if let Some(size) = size {
                self.json.integer("size", size);
            }
            self.json.raw("\"type\":\"Regular File\",\"type_id\":1,");
            self.json.close(file);
            self.observe(observable::FILE_NAME, paths.file_name, name);
        }
        self.json.close_array(mark);
    }

    /// The file that the record is about, if it has a name.
    pub fn file(&mut self, key: &str, name_path: &str, hash_path: &str) {
        let Some(name) = self.scalar(Field::FileName) else { return };
        let file = self.json.open(key);
        self.json.scalar("name", name);
        self.observe(observable::FILE_NAME, name_path, name);
        self.text("ext", Field::FileExtension);
        self.text("mime_type", Field::FileMime);
        self.number("size", Field::SizeAttachment);
        let hashes = self.json.open_array("hashes");
        for (field, digits, algorithm_id, algorithm) in HASHES {
            let Some(hash) = self.take(field, |value| value.text().filter(|hash| is_hex(hash, digits)).map(|_| value))
            else {
                continue;
            };
            let element = self.json.open_element();
            self.json.text("algorithm", algorithm.as_bytes());
            self.json.integer("algorithm_id", algorithm_id);
            self.json.scalar("value", hash);
            self.json.close(element);
            self.observe(observable::HASH, hash_path, hash);
        }
        self.json.close_array(hashes);
        self.json.raw("\"type\":\"Regular File\",\"type_id\":1,");
        self.json.close(file);
    }

    /// The members of a `url` object, if the record has a link.
    pub fn url(&mut self, path: &str) {
        let Some(url) = self.scalar(Field::Url) else { return };
        if let Some(category) = self.scalar(Field::UrlCategory) {
            self.json.raw("\"categories\":[");
            self.json.scalar_value(category);
            self.json.raw("],");
        }
        self.json.scalar("url_string", url);
        self.observe(observable::URL, path, url);
    }

    /// The members of a network endpoint: an address with its port, a domain, a host's name.
    pub fn endpoint(&mut self, ip: &[Field], ip_path: &str, domain: Option<Field>, hostname: Option<Field>) {
        for field in ip {
            let Some((ip, port)) = self.take(*field, |value| address(value.text()?)) else { continue };
            let mut buffer = [0u8; 64];
            let mut text = std::io::Cursor::new(&mut buffer[..]);
            // 64 bytes hold any address.
            let _ = std::io::Write::write_fmt(&mut text, format_args!("{ip}"));
            let length = text.position() as usize;
            let raw = self.record.peek(*field);
            // As it was written, where it is nothing but the address.
            let ip = match raw.text() {
                Some(written) if port.is_none() && written.first() != Some(&b'[') => {
                    Value { shape: Shape::Text, bytes: written.trim_ascii() }
                }
                _ => Value { shape: Shape::Text, bytes: &buffer[..length] },
            };
            self.json.scalar("ip", ip);
            if let Some(port) = port {
                self.json.integer("port", i64::from(port));
            }
            self.observe(observable::IP_ADDRESS, ip_path, ip);
            break;
        }
        if let Some(domain) = domain {
            self.text("domain", domain);
        }
        if let Some(hostname) = hostname {
            self.text("hostname", hostname);
        }
    }

    /// `email_auth`, from what the spam scan says of SPF, DKIM and DMARC. The rest of the detail is laid aside for
    /// `unmapped`.
    pub fn email_auth(&mut self) {
        let value = self.record.peek(Field::SpamProcessingDetail);
        let Some(detail) = nested::unwrap(value, self.buffer) else { return };
        let (json, mut rest) = (&mut self.json, Writer { out: self.spam_detail });
        let auth = json.open("email_auth");
        let mut written = [false; CHECKS.len()];
        let whole = nested::each(detail, |name, value| {
            let check = CHECKS.iter().position(|check| check.as_bytes() == name);
            match check.filter(|check| !written[*check] && nested::is_object(value.bytes)) {
                Some(check) => {
                    let mark = rest.open(CHECKS[check]);
                    nested::each(value.bytes, |name, value| {
                        if name == b"info" && value.text().is_some() && !written[check] {
                            json.scalar(CHECKS[check], value);
                            written[check] = true;
                        } else {
                            rest.raw_member(name, value);
                        }
                    });
                    rest.close(mark);
                }
                None => rest.raw_member(name, value),
            }
        });
        if !whole {
            json.empty(auth);
        }
        if json.close(auth) {
            self.record.read(Field::SpamProcessingDetail);
        } else {
            self.spam_detail.clear();
        }
    }

    /// `malware`, from the name of a virus.
    pub fn malware(&mut self) {
        if let Some(virus) = self.scalar(Field::VirusFound) {
            self.json.raw("\"malware\":[{\"classification_ids\":[0],\"classifications\":[\"Unknown\"],\"name\":");
            self.json.scalar_value(virus);
            self.json.raw("}],");
        }
    }

    /// `policy`: what the record says was applied.
    pub fn policy(&mut self) {
        let mark = self.json.open("policy");
        self.text("name", Field::PolicyDefinition);
        self.text("type", Field::RejectionType);
        self.security_control |= self.json.close(mark);
    }
}

/// The address in `<ann@example.com>` or `Ann <ann@example.com>`.
#[derive(Debug)]
struct Mailbox<'a> {
    address: Value<'a>,
    /// Whether a display name stands before it.
    named: bool,
}

fn mailbox(value: Value<'_>) -> Option<Mailbox<'_>> {
    let text = value.text()?;
    let open = text.iter().rposition(|byte| *byte == b'<')?;
    let address = text[open + 1..].trim_ascii_end().strip_suffix(b">")?;
    let named = !text[..open].trim_ascii().is_empty();
    is_email(address).then_some(Mailbox { address: Value { shape: Shape::Text, bytes: address }, named })
}

fn without_brackets(value: Value<'_>) -> Value<'_> {
    match value.bytes {
        [b'<', inner @ .., b'>'] if !inner.is_empty() => Value { bytes: inner, ..value },
        _ => value,
    }
}

/// Takes `"a.pdf", "b.png"` apart; what is not quoted is one name. Says whether the names are all that there was.
///
/// A name may hold quotes: it ends at a quote that a comma or the end follows.
fn quoted_names<'t>(text: &'t [u8], mut each: impl FnMut(&'t [u8])) -> bool {
    let mut rest = text.trim_ascii();
    if rest == b"\"\"" {
        return true;
    }
    if rest.first() != Some(&b'"') {
        if !rest.is_empty() {
            each(text);
        }
        return true;
    }
    let mut clean = true;
    loop {
        let Some(inner) = rest.strip_prefix(b"\"") else {
            if !rest.is_empty() {
                each(rest);
                clean = false;
            }
            return clean;
        };
        let end = (0..inner.len()).find(|at| inner[*at] == b'"' && ends_name(&inner[at + 1..]));
        let Some(end) = end else {
            each(inner);
            return false;
        };
        if end > 0 {
            each(&inner[..end]);
        }
        rest = inner[end + 1..].trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
    }
}

fn ends_name(after: &[u8]) -> bool {
    match after.trim_ascii_start() {
        [] => true,
        [b',', next @ ..] => matches!(next.trim_ascii_start().first(), None | Some(b'"')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_attachments() {
        let split = |text: &'static str| {
            let mut names = Vec::new();
            let clean = quoted_names(text.as_bytes(), |name| names.push(String::from_utf8_lossy(name).into_owned()));
            (names.join("|"), clean)
        };
        for (text, names, clean) in [
            (r#""a.pdf""#, "a.pdf", true),
            (r#""a.jpg", "b.png""#, "a.jpg|b.png", true),
            (r#""a, b.jpg","c.png", "#, "a, b.jpg|c.png", true),
            (r#""say "hi".txt", "b.png""#, r#"say "hi".txt|b.png"#, true),
            ("a, b.pdf", "a, b.pdf", true),
            (r#""a.pdf"#, "a.pdf", false),
            (r#""a.pdf", b.pdf"#, r#"a.pdf", b.pdf"#, false),
            (r#""""#, "", true),
            ("", "", true),
        ] {
            assert_eq!(split(text), (names.to_owned(), clean), "{text}");
        }
    }

    #[test]
    fn brackets_and_mailboxes() {
        let text = |bytes: &'static str| Value { shape: Shape::Text, bytes: bytes.as_bytes() };
        assert_eq!(without_brackets(text("<a@b>")).bytes, b"a@b");
        for same in ["a@b", "<>", "<a", "a>"] {
            assert_eq!(without_brackets(text(same)).bytes, same.as_bytes());
        }
        for (written, named) in [("Ann <ann@example.com>", true), (" <ann@example.com> ", false)] {
            let found = mailbox(text(written)).expect("a mailbox");
            assert_eq!((found.address.bytes, found.named), (&b"ann@example.com"[..], named));
        }
        assert!(mailbox(text("Ann <ann>")).is_none());
    }
}
