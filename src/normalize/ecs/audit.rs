//! The audit log: what `eventInfo` says in words, and what the type makes of it.

use super::{
    EventWriter, address,
    audit_parts::{self, AuditParts},
    event::{Told, joined},
};
use crate::{
    normalize::ocsf::{
        audit::{activity, class},
        audit_text::{self, AuditText},
    },
    record::{Field, Value, scan::Shape, value},
};

impl EventWriter<'_, '_> {
    pub fn audit(&mut self) {
        let kind = self.record.kind();
        let audit_type = text_of(self.record.peek(Field::AuditType));
        let info = text_of(self.record.peek(Field::EventInfo));
        let text = AuditText::parse(&info);
        let class = class(&audit_type);
        let activity = activity(class, &audit_type, &info).map(|(activity, _)| activity);
        let action = joined(audit_type.as_bytes(), b"-", |byte| byte == b' ', true);
        let action = String::from_utf8_lossy(&action);
        let told = Told {
            classified: classified(class.uid, activity, &audit_type),
            action: Some(action.as_ref()).filter(|action| !action.is_empty()),
            reason: text.reason,
        };
        self.event(&told);
        if let Some((ip, port)) = text.ip.and_then(|ip| value::address(ip.as_bytes())) {
            let written = as_text(text.ip.unwrap_or_default());
            for side in ["client", "source"] {
                let mark = self.json.open(side);
                self.write_ip(written, ip, port);
                self.json.close(mark);
            }
        }
        self.audit_parts(&AuditParts::parse(&audit_type, &info));
        self.audit_user(class.uid, &info);
        if class.uid == 3006
            && let Some(group) = audit_text::quoted(&info)
        {
            let mark = self.json.open("group");
            self.json.text("name", group.as_bytes());
            self.json.close(mark);
        }
        // Elastic's content looks for it in `mimecast.eventInfo`, everybody else in `message`.
        if self.record.peek(Field::EventInfo).text().is_some() {
            self.json.scalar("message", self.record.peek(Field::EventInfo));
        }
        self.vendor(kind, |event| {
            for (key, value) in [("2FA", text.two_factor), ("application", text.application), ("method", text.method)] {
                if let Some(value) = value {
                    event.json.text(key, value.as_bytes());
                }
            }
        });
    }

    /// The message or the file that it was done with.
    fn audit_parts(&mut self, parts: &AuditParts<'_>) {
        let email = self.json.open("email");
        for (key, people) in [("from", parts.from), ("to", parts.to)] {
            let mark = self.json.open(key);
            let list = self.json.open_array("address");
            let (json, related) = (&mut self.json, &mut self.related);
            address::each(as_text(people.unwrap_or_default()), |found| {
                related.user.push(found);
                json.scalar_value(found);
                json.comma();
            });
            self.json.close_array(list);
            self.json.close(mark);
        }
        if let Some(subject) = parts.subject {
            self.json.text("subject", subject.as_bytes());
        }
        self.json.close(email);
        if let Some(name) = parts.file_name {
            let file = self.json.open("file");
            if let Some(extension) = audit_parts::extension(name) {
                self.json.text("extension", extension.as_bytes());
            }
            self.json.text("name", name.as_bytes());
            if let Some(size) = parts.file_size {
                self.json.integer("size", size);
            }
            self.json.close(file);
        }
    }

    /// Who did it; and whom it was done to, where the text names them.
    fn audit_user(&mut self, class: u32, info: &str) {
        let own = self.scalar(Field::User);
        let named = audit_text::subject_address(info);
        let mark = self.json.open("user");
        match (own, named) {
            (Some(user), _) => self.user_members(user),
            // The text names who it was where the field does not.
            (None, Some(user)) if class == 3002 => self.user_members(as_text(user)),
            _ => {}
        }
        if let Some(target) = named.filter(|_| class == 3001 || class == 3005) {
            let mark = self.json.open("target");
            self.user_members(as_text(target));
            self.json.close(mark);
        }
        self.json.close(mark);
    }
}

/// `event.category` and `event.type`, from the OCSF class and activity.
fn classified(class: u32, activity: Option<u32>, audit_type: &str) -> &'static str {
    match (class, activity) {
        (3002, _) if audit_type.to_ascii_lowercase().contains("challenge") => {
            "\"category\":[\"authentication\"],\"type\":[\"info\"],"
        }
        (3002, Some(2)) => "\"category\":[\"authentication\"],\"type\":[\"end\"],",
        (3002, _) => "\"category\":[\"authentication\"],\"type\":[\"start\"],",
        (3001, _) => "\"category\":[\"iam\"],\"type\":[\"user\",\"change\"],",
        (3005, _) => "\"category\":[\"iam\"],\"type\":[\"admin\",\"change\"],",
        (3006, Some(5)) => "\"category\":[\"iam\"],\"type\":[\"group\",\"deletion\"],",
        (3006, Some(6)) => "\"category\":[\"iam\"],\"type\":[\"group\",\"creation\"],",
        (3006, _) => "\"category\":[\"iam\"],\"type\":[\"group\",\"change\"],",
        // What was done with messages is no change of the configuration.
        _ if audit_type.to_ascii_lowercase().contains("message") => "\"category\":[\"email\"],\"type\":[\"info\"],",
        // The class has no accounts; ECS has.
        (_, activity) if audit_text::has_word(audit_type, &["user", "users"]) => match activity {
            Some(1) => "\"category\":[\"iam\"],\"type\":[\"user\",\"creation\"],",
            Some(4) => "\"category\":[\"iam\"],\"type\":[\"user\",\"deletion\"],",
            Some(2) | None => "\"category\":[\"iam\"],\"type\":[\"user\",\"info\"],",
            Some(_) => "\"category\":[\"iam\"],\"type\":[\"user\",\"change\"],",
        },
        (_, Some(1)) => "\"category\":[\"configuration\"],\"type\":[\"creation\"],",
        (_, Some(2)) => "\"category\":[\"configuration\"],\"type\":[\"access\"],",
        (_, Some(4)) => "\"category\":[\"configuration\"],\"type\":[\"deletion\"],",
        (_, Some(_)) => "\"category\":[\"configuration\"],\"type\":[\"change\"],",
        (_, None) => "\"category\":[\"configuration\"],\"type\":[\"info\"],",
    }
}

fn text_of(value: Value<'_>) -> String {
    value.text().map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}

fn as_text(text: &str) -> Value<'_> {
    Value { shape: Shape::Text, bytes: text.as_bytes() }
}
