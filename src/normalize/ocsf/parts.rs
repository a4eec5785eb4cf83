//! Objects that several classes have: the e-mail, its endpoints, files and links.

use super::{
    address::Recipients,
    event::{EventWriter, observable},
    verdict::deciding,
};
use crate::{
    kind::Kind,
    normalize::{
        shared::{HASHES, attachment_names, hash_by_length, written_ip},
        writer::Writer,
    },
    record::{
        Field, Value,
        nested::{self, Branch},
        scan::Shape,
        value::{address, is_hex},
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
    /// The hashes of the record's own file; `None` where that file is not one of the e-mail's.
    pub file_hash: Option<&'static str>,
    pub url: &'static str,
}

/// The algorithms of [`HASHES`], and their numbers.
const ALGORITHMS: [(i64, &str); HASHES.len()] = [(1, "MD5"), (2, "SHA-1"), (3, "SHA-256")];

/// What describes a file besides its name; without a name OCSF has no file.
pub const FILE_FIELDS: [Field; 6] =
    [Field::FileExtension, Field::FileMime, Field::SizeAttachment, Field::Md5, Field::Sha1, Field::Sha256];

impl<'a> EventWriter<'_, 'a> {
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
        let mailboxes = self.json.open_array("to_mailboxes");
        for mailbox in &recipients.mailboxes {
            self.mailbox(mailbox);
        }
        self.json.close_array(mailboxes);
        for recipient in &recipients.addresses {
            self.observe(observable::EMAIL_ADDRESS, paths.to, *recipient);
        }
        self.files(paths);
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

    /// The files of the e-mail: the names in `attachments`, and the record's own file where it has its place here.
    fn files(&mut self, paths: &EmailPaths) {
        let (names, clean) = attachment_names(self.record.kind(), self.record.peek(Field::Attachments));
        if clean {
            self.record.read(Field::Attachments);
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
        if let Some(hash_path) = paths.file_hash {
            let file = self.json.open_element();
            self.file(paths.file_name, hash_path);
            self.json.close(file);
        }
        self.json.close_array(mark);
    }

    /// The members of a `file` object: the file that the record is about, if it has a name.
    pub fn file(&mut self, name_path: &str, hash_path: &str) {
        let Some(name) = self.scalar(Field::FileName) else { return };
        self.json.scalar("name", name);
        self.observe(observable::FILE_NAME, name_path, name);
        self.text("ext", Field::FileExtension);
        self.text("mime_type", Field::FileMime);
        self.number("size", Field::SizeAttachment);
        let hashes = self.json.open_array("hashes");
        for ((field, digits), (algorithm_id, algorithm)) in HASHES.into_iter().zip(ALGORITHMS) {
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
        self.file_hash(hash_path);
        self.json.close_array(hashes);
        self.json.raw("\"type\":\"Regular File\",\"type_id\":1,");
    }

    /// The hash of a kind that does not name the algorithm, if it is not the usual SHA-256: its length tells.
    fn file_hash(&mut self, hash_path: &str) {
        let own = self.record.peek(Field::FileHash);
        let Some(known) = hash_by_length(own).filter(|known| HASHES[*known].0 != Field::Sha256) else { return };
        let (algorithm_id, algorithm) = ALGORITHMS[known];
        self.record.read(Field::FileHash);
        let element = self.json.open_element();
        self.json.literal("algorithm", algorithm);
        self.json.integer("algorithm_id", algorithm_id);
        self.json.scalar("value", own);
        self.json.close(element);
        self.observe(observable::HASH, hash_path, own);
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
            let written = written_ip(self.peek(*field), ip, port);
            let ip = Value { shape: Shape::Text, bytes: &written };
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
        let Some(detail) = self.record.spam_detail() else { return };
        let (json, mut rest) = (&mut self.json, Writer { out: self.spam_detail });
        let auth = json.open("email_auth");
        let mut written = [false; CHECKS.len()];
        for Branch { key, value, inside, .. } in detail.branches() {
            let check = CHECKS.iter().position(|check| check.as_bytes() == key);
            let Some(check) = check.filter(|check| !written[*check] && inside.is_object()) else {
                rest.raw_member(key, value);
                continue;
            };
            let mark = rest.open(CHECKS[check]);
            for Branch { key, value, .. } in inside.branches() {
                if key == b"info" && value.text().is_some() && !written[check] {
                    json.scalar(CHECKS[check], value);
                    written[check] = true;
                } else {
                    rest.raw_member(key, value);
                }
            }
            rest.close(mark);
        }
        if json.close(auth) {
            self.record.read(Field::SpamProcessingDetail);
        } else {
            self.spam_detail.clear();
        }
    }

    /// `email_auth`, from Cloud Integrated's list of results. What an element says besides its result is laid aside for
    /// `unmapped`, with its type.
    pub fn auth_results(&mut self) {
        let results = self.record.peek(Field::AuthResults);
        if results.shape != Shape::Nested || nested::is_object(results.bytes) {
            return;
        }
        let (json, mut rest) = (&mut self.json, Writer { out: self.aside });
        let mark = json.open("email_auth");
        let kept = rest.open_array(Field::AuthResults.name());
        let mut written = [false; CHECKS.len()];
        nested::each(results.bytes, |_, element| {
            let (mut check, mut result, mut more) = (None, None, false);
            if element.shape == Shape::Nested && nested::is_object(element.bytes) {
                nested::each(element.bytes, |key, value| match key {
                    b"type" => {
                        let text = value.text().unwrap_or_default();
                        let found = CHECKS.iter().position(|check| text.eq_ignore_ascii_case(check.as_bytes()));
                        check = found.filter(|check| !written[*check]);
                    }
                    b"result" if value.text().is_some() => result = Some(value),
                    _ => more |= value.populated(),
                });
            }
            let (Some(check), Some(result)) = (check, result) else {
                rest.value(element);
                rest.comma();
                return;
            };
            json.scalar(CHECKS[check], result);
            written[check] = true;
            if more {
                let object = rest.open_element();
                nested::each(element.bytes, |key, value| {
                    if key != b"result" && value.populated() {
                        rest.raw_member(key, value);
                    }
                });
                rest.close(object);
            }
        });
        rest.close_array(kept);
        json.close(mark);
        self.record.read(Field::AuthResults);
    }

    /// `malware`, from the name of a virus.
    pub fn malware(&mut self) {
        if let Some(virus) = self.scalar(Field::VirusFound) {
            self.json.raw("\"malware\":[{\"classification_ids\":[0],\"classifications\":[\"Unknown\"],\"name\":");
            self.json.scalar_value(virus);
            self.json.raw("}],");
        }
    }

    /// `policy`: what the record says was applied, and how.
    pub fn policy(&mut self) {
        let mark = self.json.open("policy");
        if self.record.kind() == Kind::CloudEntities {
            self.applied_policies();
        }
        self.text("name", Field::PolicyDefinition);
        // What rejected it: a receipt calls it `rejectionType`.
        let rejection = self.record.kind() == Kind::Rejection && !self.has(Field::RejectionType);
        self.text("type", if rejection { Field::Description } else { Field::RejectionType });
        // OCSF asks for a name or a type.
        if self.json.has_members() {
            let group = self.json.open("group");
            self.text("name", Field::HeldGroup);
            self.json.close(group);
            let data = self.json.open("data");
            // What the definition says of a link, where something else became of the message.
            if deciding(&self.cast(), true) != Field::Action {
                self.member(Field::Action);
            }
            for field in policy_data(self.record.kind()) {
                self.member(*field);
            }
            self.json.close(data);
        }
        self.security_control |= self.json.close(mark);
    }

    /// `policiesApplied` of Cloud Integrated: all of them as they are, under the name of the first.
    fn applied_policies(&mut self) {
        let policies = self.record.peek(Field::PoliciesApplied);
        let mut name = None;
        if policies.shape == Shape::Nested {
            nested::each(policies.bytes, |_, policy| {
                if policy.shape == Shape::Nested && nested::is_object(policy.bytes) {
                    nested::each(policy.bytes, |key, value| {
                        if key == b"name" && name.is_none() && value.text().is_some() {
                            name = Some(value);
                        }
                    });
                }
            });
        }
        let Some(name) = name.filter(|_| !self.has(Field::PolicyDefinition)) else { return };
        self.json.key("data");
        self.json.value(self.record.read(Field::PoliciesApplied));
        self.json.comma();
        self.json.scalar("name", name);
    }

    /// A field as a member of an object of its own, if it has a value.
    pub fn member(&mut self, field: Field) {
        if self.record.has(field) {
            self.json.key(field.name());
            self.json.value(self.record.read(field));
            self.json.comma();
        }
    }
}

/// What a kind says of how its policy was applied.
const fn policy_data(kind: Kind) -> &'static [Field] {
    match kind {
        Kind::TtpUrl => &[Field::Actions, Field::AdminOverride, Field::UserOverride, Field::UserAwarenessAction],
        Kind::HeldRelease | Kind::Rejection => &[Field::DetectionLevel],
        _ => &[],
    }
}

pub fn without_brackets(value: Value<'_>) -> Value<'_> {
    match value.bytes {
        [b'<', inner @ .., b'>'] if !inner.is_empty() => Value { bytes: inner, ..value },
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_of_a_message_id() {
        let text = |bytes: &'static str| Value { shape: Shape::Text, bytes: bytes.as_bytes() };
        assert_eq!(without_brackets(text("<a@b>")).bytes, b"a@b");
        for same in ["a@b", "<>", "<a", "a>"] {
            assert_eq!(without_brackets(text(same)).bytes, same.as_bytes());
        }
    }
}
