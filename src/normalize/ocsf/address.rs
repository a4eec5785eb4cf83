//! Who an e-mail is from and for: addresses alone, in brackets, with display names, in lists, and the lists' objects of
//! an address and a name.

use super::event::EventWriter;
use crate::record::{Field, Value, nested, scan::Shape, value::is_email};

/// Whom an e-mail is for.
#[derive(Debug)]
pub struct Recipients<'a> {
    pub addresses: Vec<Value<'a>>,
    /// Those with a display name.
    pub mailboxes: Vec<Mailbox<'a>>,
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
                self.complete &= found.complete;
                if found.is_named() {
                    self.mailboxes.push(found);
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
    /// in `unmapped` as well, unless the header has it too.
    pub fn envelope_sender(&self) -> Option<Value<'a>> {
        if let Some(address) = self.email_address(Field::SenderEnvelope) {
            return Some(address);
        }
        let sender = mailbox(self.peek(Field::SenderEnvelope))?;
        let name_stands = || {
            let header = mailbox(self.peek(Field::SenderHeader));
            let names = (sender.name, header.and_then(|header| header.name));
            matches!(names, (Some(name), Some(other)) if name.bytes == other.bytes && name.shape == other.shape)
        };
        if sender.complete && (!sender.is_named() || name_stands()) {
            self.record.read(self.role(Field::SenderEnvelope));
        }
        Some(sender.address)
    }

    /// The sender of the header, if there is an address in it. A mailbox (`Ann <ann@example.com>`) is written as such.
    ///
    /// The lists give an address together with the name that a reader of the message saw; without a header's, the
    /// envelope's is that.
    pub fn header_sender(&mut self) -> Option<Value<'a>> {
        if let Some(address) = self.email_address(Field::SenderHeader) {
            return Some(address);
        }
        let envelope = self.peek(Field::SenderEnvelope).shape == Shape::Nested;
        let field =
            if envelope && !self.has(Field::SenderHeader) { Field::SenderEnvelope } else { Field::SenderHeader };
        let sender = mailbox(self.peek(field))?;
        if sender.is_named() {
            self.json.key("from_mailbox");
            self.mailbox(&sender);
        }
        if sender.complete {
            self.record.read(self.role(field));
        }
        Some(sender.address)
    }

    /// Where there is one place for a sender: the envelope's has arrived with the header's, if they are the same.
    pub fn same_sender(&self, written: Option<Value<'a>>) {
        let envelope = self.peek(Field::SenderEnvelope);
        if written.is_some_and(|written| envelope.text() == Some(written.bytes)) {
            self.record.read(self.role(Field::SenderEnvelope));
        }
    }

    /// A mailbox as a string, with a comma.
    pub fn mailbox(&mut self, mailbox: &Mailbox<'_>) {
        match mailbox.name {
            Some(name) => {
                self.json.scalar_value(name);
                self.json.out.pop();
                self.json.raw(" <");
                // An address needs no escapes.
                self.json.out.extend_from_slice(mailbox.address.bytes);
                self.json.raw(">\"");
            }
            None => self.json.scalar_value(mailbox.whole),
        }
        self.json.comma();
    }

    /// The recipients: one string, one object, or a list. What is no address keeps the whole field in `unmapped`, too.
    pub fn recipients(&self) -> Recipients<'a> {
        let mut found = Recipients { addresses: Vec::new(), mailboxes: Vec::new(), complete: true };
        let value = self.peek(Field::Recipients);
        match value.shape {
            Shape::Null => return found,
            Shape::Nested if nested::is_object(value.bytes) => found.add(value),
            Shape::Nested => {
                nested::each(value.bytes, |_, recipient| found.add(recipient));
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
            self.record.read(self.role(Field::Recipients));
        }
        self.header_recipient(&mut found);
        found
    }

    /// A held message's `toHeader`: it adds the name by which the header knows a recipient.
    fn header_recipient(&self, found: &mut Recipients<'a>) {
        let Some(header) = mailbox(self.record.peek(Field::ToHeader)) else { return };
        if !header.complete || !found.addresses.iter().any(|address| address.bytes == header.address.bytes) {
            return;
        }
        self.record.read(Field::ToHeader);
        let known = |mailbox: &Mailbox<'_>| mailbox.name.map(|name| name.bytes) == header.name.map(|name| name.bytes);
        if header.is_named() && !found.mailboxes.iter().any(known) {
            found.mailboxes.push(header);
        }
    }
}

/// The address in `<ann@example.com>`, in `Ann <ann@example.com>`, in `{"emailAddress":…,"displayableName":…}`.
#[derive(Debug)]
pub struct Mailbox<'a> {
    pub address: Value<'a>,
    /// Of an object: its name.
    pub name: Option<Value<'a>>,
    /// Of a text: all of it, if a name stands before the address.
    whole: Value<'a>,
    /// Whether that is all that was said.
    pub complete: bool,
}

impl Mailbox<'_> {
    fn is_named(&self) -> bool {
        self.name.is_some() || self.whole.populated()
    }
}

pub fn mailbox(value: Value<'_>) -> Option<Mailbox<'_>> {
    if value.shape == Shape::Nested {
        return person(value.bytes);
    }
    let text = value.text()?;
    let open = text.iter().rposition(|byte| *byte == b'<')?;
    let address = text[open + 1..].trim_ascii_end().strip_suffix(b">")?;
    let named = !text[..open].trim_ascii().is_empty();
    is_email(address).then_some(Mailbox {
        address: Value { shape: Shape::Text, bytes: address },
        name: None,
        whole: if named { value } else { Value::default() },
        complete: true,
    })
}

/// The lists' object of an address and a name (section 6.7 of the API reference).
fn person(object: &[u8]) -> Option<Mailbox<'_>> {
    if !nested::is_object(object) {
        return None;
    }
    let (mut address, mut name, mut complete) = (None, None, true);
    nested::each(object, |key, value| match key {
        b"emailAddress" if value.text().is_some_and(is_email) => address = Some(value),
        b"displayableName" if value.text().is_some() => name = Some(value),
        _ => complete &= !value.populated(),
    });
    Some(Mailbox { address: address?, name, whole: Value::default(), complete })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_display_names() {
        let text = |bytes: &'static str| Value { shape: Shape::Text, bytes: bytes.as_bytes() };
        for (written, named) in [("Ann <ann@example.com>", true), (" <ann@example.com> ", false)] {
            let found = mailbox(text(written)).expect("a mailbox");
            assert_eq!((found.address.bytes, found.is_named()), (&b"ann@example.com"[..], named));
        }
        assert!(mailbox(text("Ann <ann>")).is_none());
        let object = |bytes: &'static str| mailbox(Value { shape: Shape::Nested, bytes: bytes.as_bytes() });
        let found = object(r#"{"emailAddress":"ann@example.com","displayableName":"Ann"}"#).expect("a mailbox");
        assert!(found.is_named() && found.complete);
        let found = object(r#"{"emailAddress":"ann@example.com","displayableName":"","new":1}"#).expect("a mailbox");
        assert!(!found.is_named() && !found.complete);
        assert!(object(r#"{"emailAddress":"<>"}"#).is_none() && object(r#"["ann@example.com"]"#).is_none());
    }
}
