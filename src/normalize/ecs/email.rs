//! `email`: who wrote what to whom, with which files.

use super::{EventWriter, address};
use crate::{
    kind::Kind,
    normalize::{
        ocsf::values::direction,
        shared::{HASHES, attachment_names, hash_by_length},
    },
    record::{Field, Value, time, value::is_hex},
};

/// The names of [`HASHES`].
const HASH_NAMES: [&str; HASHES.len()] = ["md5", "sha1", "sha256"];

impl<'a> EventWriter<'_, 'a> {
    pub fn email(&mut self, kind: Kind) {
        let mark = self.json.open("email");
        self.attachments(kind);
        self.direction();
        self.people("from", self.roles.senders);
        if let Some(id) = self.scalar(Field::AggregateId) {
            self.json.scalar("local_id", id);
        }
        self.text("message_id", Field::MessageId);
        if kind == Kind::ArchiveView
            && let Some(time) = self.take(Field::MessageDate, time::parse)
        {
            self.time("origination_timestamp", time);
        }
        self.text("subject", Field::Subject);
        self.people("to", self.roles.recipients);
        self.json.close(mark);
    }

    /// The addresses that the fields name, each once. A field that says more than addresses also stays as it is.
    fn people(&mut self, key: &str, fields: &[Field]) {
        let mark = self.json.open(key);
        let list = self.json.open_array("address");
        let mut written: [&[u8]; 4] = [&[]; 4];
        let mut count = 0;
        for field in fields {
            let field = self.cast.role(*field);
            if !self.record.has(field) {
                continue;
            }
            let (json, related) = (&mut self.json, &mut self.related);
            let whole = address::each(self.record.peek(field), |found| {
                related.user.push(found);
                if fields.len() > 1 && written[..count.min(4)].contains(&found.bytes) {
                    return;
                }
                if let Some(place) = written.get_mut(count) {
                    *place = found.bytes;
                }
                count += 1;
                json.scalar_value(found);
                json.comma();
            });
            if whole {
                self.moved(field);
            }
        }
        self.json.close_array(list);
        self.json.close(mark);
    }

    /// From `direction`; where there is none, from a `route` that is a direction rather than a route's name.
    fn direction(&mut self) {
        let field = if self.record.has(Field::Direction) { Field::Direction } else { Field::Route };
        let known = self.take(field, |value| {
            let text = value.text()?;
            direction(text).map(|(_, caption)| caption)
        });
        if let Some(caption) = known {
            self.json.literal(
                "direction",
                match caption {
                    "Inbound" => "inbound",
                    "Outbound" => "outbound",
                    "Internal" => "internal",
                    _ => "unknown",
                },
            );
        }
    }

    /// The names in a list of names, each a file of the message, and the record's own file.
    fn attachments(&mut self, kind: Kind) {
        let (names, clean) = attachment_names(kind, self.record.peek(Field::Attachments));
        if clean {
            self.moved(Field::Attachments);
        }
        // The size of all is the size of this one only if there is no other; the list may be shorter than the count. Of
        // one whose name is not told, the size is all that is known.
        let count = self.record.peek(Field::NumberAttachments).integer();
        let unnamed = names.is_empty() && count == Some(1) && !self.record.has(Field::FileName);
        let single = (names.len() == 1 && count.unwrap_or(1) == 1) || unnamed;
        let size = if single { self.take(Field::TotalSizeAttachments, byte_count) } else { None };
        let mark = self.json.open_array("attachments");
        for name in names {
            let element = self.json.open_element();
            let file = self.json.open("file");
            self.json.scalar("name", name);
            if let Some(size) = size {
                self.json.integer("size", size);
            }
            self.json.close(file);
            self.json.close(element);
        }
        let element = self.json.open_element();
        let file = self.json.open("file");
        self.text("extension", Field::FileExtension);
        self.hashes();
        self.text("mime_type", if kind == Kind::TtpAttachment { Field::FileType } else { Field::FileMime });
        self.text("name", Field::FileName);
        let own = size.filter(|_| unnamed).or_else(|| self.take(Field::SizeAttachment, byte_count));
        if let Some(size) = own {
            self.json.integer("size", size);
        }
        self.json.close(file);
        self.json.close(element);
        self.json.close_array(mark);
    }

    fn hashes(&mut self) {
        let mark = self.json.open("hash");
        for ((field, digits), name) in HASHES.into_iter().zip(HASH_NAMES) {
            let hash = self.take(field, |value| value.text().filter(|hash| is_hex(hash, digits)).map(|_| value));
            if let Some(hash) = hash {
                self.json.scalar(name, hash);
                self.related.hash.push(hash);
            }
        }
        // TTP logs have one hash, and do not say which.
        let value = self.record.peek(Field::FileHash);
        if let Some(known) = hash_by_length(value).filter(|known| !self.record.has(HASHES[*known].0)) {
            self.moved(Field::FileHash);
            self.json.scalar(HASH_NAMES[known], value);
            self.related.hash.push(value);
        }
        self.json.close(mark);
    }
}

fn byte_count(value: Value<'_>) -> Option<i64> {
    value.integer().filter(|size| *size >= 0)
}
