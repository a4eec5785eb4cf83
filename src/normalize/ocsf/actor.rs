//! Who did something: `actor.user`.

use super::{
    address::mailbox,
    event::{EventWriter, observable},
};
use crate::record::{Field, Value, scan::Shape, value::is_email};

impl EventWriter<'_, '_> {
    /// `actor` from the field that names a user: an address, a name, or an object of both. What names nobody (`<>`)
    /// stays unread. Says whether it stands.
    pub fn actor(&mut self, field: Field, administrator: Option<bool>) -> bool {
        let field = self.role(field);
        let value = self.record.peek(field);
        let person = mailbox(value);
        let (name, display_name, complete) = match &person {
            Some(person) => (person.address, person.name, person.complete),
            None => match value.text() {
                Some(text) if text.iter().any(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80) => {
                    (value, None, true)
                }
                _ => return false,
            },
        };
        if complete && (value.shape == Shape::Nested || name.bytes.len() == value.bytes.len()) {
            self.record.read(field);
        }
        self.json.raw("\"actor\":{\"user\":{");
        if let Some(display_name) = display_name {
            self.json.scalar("display_name", display_name);
        }
        self.address_of_user(name, "actor.user.email_addr");
        self.json.scalar("name", name);
        self.observe(observable::USER_NAME, "actor.user.name", name);
        match administrator {
            Some(true) => self.json.raw("\"type\":\"Admin\",\"type_id\":2,"),
            Some(false) => self.json.raw("\"type\":\"User\",\"type_id\":1,"),
            None => {}
        }
        self.json.out.pop();
        self.json.raw("}},");
        true
    }

    /// The members of a user that an address gives. Nothing, if it is none.
    pub fn address_of_user(&mut self, address: Value<'_>, path: &str) {
        if !is_email(address.bytes) {
            return;
        }
        if let Some(at) = address.bytes.iter().position(|byte| *byte == b'@') {
            self.json.scalar("domain", Value { shape: address.shape, bytes: &address.bytes[at + 1..] });
        }
        self.json.scalar("email_addr", address);
        self.observe(observable::EMAIL_ADDRESS, path, address);
    }
}
