//! Who an e-mail is from and for: addresses alone, in brackets, with display names, in lists.

use super::EventWriter;
use crate::record::{Field, Value, nested, scan::Shape, value::is_email};

/// Whom an e-mail is for.
#[derive(Debug)]
pub struct Recipients<'a> {
    pub addresses: Vec<Value<'a>>,
    /// Those with a display name, as a whole.
    pub mailboxes: Vec<Value<'a>>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_display_names() {
        let text = |bytes: &'static str| Value { shape: Shape::Text, bytes: bytes.as_bytes() };
        for (written, named) in [("Ann <ann@example.com>", true), (" <ann@example.com> ", false)] {
            let found = mailbox(text(written)).expect("a mailbox");
            assert_eq!((found.address.bytes, found.named), (&b"ann@example.com"[..], named));
        }
        assert!(mailbox(text("Ann <ann>")).is_none());
    }
}
