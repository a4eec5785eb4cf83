//! The audit log: Authentication (3002), Account Change (3001), User Access Management (3005), Group Management (3006)
//! and, for the rest, Entity Management (3004), by the type of the record.

use super::{
    Class, ENTITY, Head,
    audit_text::{self, AuditText},
    event::{EventWriter, observable},
    head,
};
use crate::{
    normalize::Assessment,
    record::{
        Field, Value,
        scan::Shape,
        value::{address, is_email},
    },
};

const AUTHENTICATION: Class = identity_class(3002, "Authentication");
const ACCOUNT: Class = identity_class(3001, "Account Change");
const ACCESS: Class = identity_class(3005, "User Access Management");
const GROUP: Class = identity_class(3006, "Group Management");

const fn identity_class(uid: u32, name: &'static str) -> Class {
    Class { uid, name, category_uid: 3, category: "Identity & Access Management" }
}

/// What is set up, rather than what happens under it: a `Logon Policy` is no logon.
const SETTINGS: [&str; 6] = ["policy", "policies", "setting", "settings", "page", "report"];

/// What a record is about, told by its type alone so that one type is always one class.
pub fn class(audit_type: &str) -> &'static Class {
    let has = |words: &[&str]| audit_text::has_word(audit_type, words);
    let lower = audit_type.to_ascii_lowercase();
    let logon = has(&["logon", "login", "logoff", "logout"])
        || ["logged on", "logged in", "log on", "log in", "logged off", "logged out"]
            .iter()
            .any(|words| lower.contains(words));
    if logon && !audit_text::has_verb(audit_type) && !has(&SETTINGS) {
        &AUTHENTICATION
    } else if has(&["password", "passwords"]) && !has(&SETTINGS) {
        &ACCOUNT
    } else if has(&["role", "roles", "privilege", "privileges"]) && !has(&SETTINGS) {
        &ACCESS
    } else if has(&["group", "groups"]) && !has(&SETTINGS) {
        &GROUP
    } else {
        &ENTITY
    }
}

/// The activity and its caption; `None` is 99, with the type as its name.
pub fn activity(class: &Class, audit_type: &str, text: &str) -> Option<(u32, &'static str)> {
    let of_type = audit_type.to_ascii_lowercase();
    let has = |list: &[&str]| {
        let is = |word: &str| list.iter().any(|known| word.eq_ignore_ascii_case(known));
        audit_text::words(audit_type).chain(audit_text::words(audit_text::statement(text))).any(is)
    };
    const DELETED: [&str; 2] = ["delete", "deleted"];
    const REMOVED: [&str; 2] = ["remove", "removed"];
    const ADDED: [&str; 3] = ["add", "added", "adding"];
    match class.uid {
        3002 if ["logged off", "logged out", "logoff", "logout"].iter().any(|word| of_type.contains(word)) => {
            Some((2, "Logoff"))
        }
        3002 => Some((1, "Logon")),
        3001 if of_type.contains("reset") => Some((4, "Password Reset")),
        3001 => Some((3, "Password Change")),
        3005 if has(&["revoke", "revoked", "unassign", "unassigned"]) || has(&REMOVED) || has(&DELETED) => {
            Some((2, "Revoke Privileges"))
        }
        3005 if has(&["assign", "assigned", "grant", "granted"]) || has(&ADDED) => Some((1, "Assign Privileges")),
        3006 if has(&["unlink", "unlinked"]) || has(&REMOVED) => Some((4, "Remove User")),
        3006 if has(&DELETED) => Some((5, "Delete")),
        3006 if has(&["link", "linked"]) || has(&ADDED) => Some((3, "Add User")),
        3006 if has(&["create", "created", "new"]) => Some((6, "Create")),
        3005 | 3006 => None,
        _ => audit_text::activity(audit_type, text),
    }
}

fn lossless(value: Value<'_>) -> String {
    value.text().map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}

fn as_text(text: &str) -> Value<'_> {
    Value { shape: Shape::Text, bytes: text.as_bytes() }
}

pub(super) fn write(event: &mut EventWriter<'_, '_>) -> Head {
    let audit_type = lossless(event.record.peek(Field::AuditType));
    let info = lossless(event.record.peek(Field::EventInfo));
    let text = AuditText::parse(&info);
    let class = class(&audit_type);
    let Assessment { severity, succeeded, .. } = event.input.assessment;

    match activity(class, &audit_type, &info) {
        Some((id, caption)) => event.json.raw(&head((class, id, caption))),
        None => {
            let Class { uid, name, category_uid, category } = class;
            event.json.integer("activity_id", 99);
            event.json.text("activity_name", if audit_type.is_empty() { b"Other" } else { audit_type.as_bytes() });
            event.json.text("category_name", category.as_bytes());
            event.json.integer("category_uid", i64::from(*category_uid));
            event.json.text("class_name", name.as_bytes());
            event.json.integer("class_uid", i64::from(*uid));
            event.json.text("type_name", format!("{name}: Other").as_bytes());
            event.json.integer("type_uid", i64::from(uid * 100 + 99));
        }
    }
    event.severity_and_time(severity);

    match class.uid {
        3002 => {
            // The text names who it was where the field does not.
            let named = event.record.peek(Field::User).text().is_some();
            user(event, "user", if named { None } else { audit_text::subject_address(&info) });
            let service = event.json.open("service");
            event.json.text("name", text.application.unwrap_or("Mimecast").as_bytes());
            event.json.close(service);
            if let Some(method) = text.method {
                event.json.integer("auth_protocol_id", 99);
                event.json.text("auth_protocol", method.as_bytes());
            }
            if let Some(factor) = text.two_factor {
                let none = ["none", "false", "no", "disabled", "off"].iter().any(|no| factor.eq_ignore_ascii_case(no));
                event.json.boolean("is_mfa", !none);
            }
        }
        3001 => {
            user(event, "user", audit_text::subject_address(&info));
            actor(event, &text);
        }
        3005 => {
            user(event, "user", audit_text::subject_address(&info));
            let privileges = event.json.open_array("privileges");
            if let Some(role) = audit_text::quoted(&info) {
                event.json.string(role.as_bytes());
                event.json.comma();
            }
            if !event.json.close_array(privileges) {
                event.json.raw("\"privileges\":[],");
            }
            actor(event, &text);
        }
        3006 => {
            let name = audit_text::quoted(&info).map_or_else(|| audit_text::entity(&audit_type), str::to_owned);
            let group = event.json.open("group");
            event.json.text("name", name.as_bytes());
            event.json.close(group);
            actor(event, &text);
        }
        _ => {
            let entity = event.json.open("entity");
            // OCSF asks for a name where Mimecast may give none.
            let name = if audit_type.is_empty() { "Unknown".to_owned() } else { audit_text::entity(&audit_type) };
            event.json.text("name", name.as_bytes());
            event.json.close(entity);
            actor(event, &text);
        }
    }
    if let Some((ip, port)) = text.ip.and_then(|ip| address(ip.as_bytes())) {
        let ip = ip.to_string();
        let endpoint = event.json.open("src_endpoint");
        event.json.text("ip", ip.as_bytes());
        if let Some(port) = port {
            event.json.integer("port", i64::from(port));
        }
        event.json.close(endpoint);
        event.observe(observable::IP_ADDRESS, "src_endpoint.ip", as_text(&ip));
    }
    if let Some(reason) = text.reason {
        event.json.text("status_detail", reason.as_bytes());
    }
    if let Some(succeeded) = succeeded {
        event.json.integer("status_id", if succeeded { 1 } else { 2 });
        event.json.literal("status", if succeeded { "Success" } else { "Failure" });
    }
    event.text("message", Field::EventInfo);
    Head { class: class.uid, severity, alert_key: None }
}

/// Who did it, and with what.
fn actor(event: &mut EventWriter<'_, '_>, text: &AuditText<'_>) {
    let actor = event.json.open("actor");
    if let Some(application) = text.application {
        event.json.text("app_name", application.as_bytes());
    }
    if event.record.peek(Field::User).text().is_some() {
        user(event, "actor.user", None);
    }
    event.json.close(actor);
}

/// A user object: of `other`, or of the record's own user. The path's last part is the key.
fn user(event: &mut EventWriter<'_, '_>, path: &'static str, other: Option<&str>) {
    let own = if other.is_none() { lossless(event.record.read(Field::User)) } else { String::new() };
    if event.record.peek(Field::User).text().is_none() {
        event.record.put_back(Field::User);
    }
    // OCSF asks for a name where Mimecast may give none.
    let name = other.unwrap_or(if own.is_empty() { "Unknown" } else { &own });
    let user = event.json.open(path.rsplit('.').next().unwrap_or(path));
    event.json.text("name", name.as_bytes());
    if is_email(name.as_bytes()) {
        event.json.text("email_addr", name.as_bytes());
        if let Some((_, domain)) = name.split_once('@') {
            event.json.text("domain", domain.as_bytes());
        }
        let (name_path, address_path) = if path == "user" {
            ("user.name", "user.email_addr")
        } else {
            ("actor.user.name", "actor.user.email_addr")
        };
        event.observe(observable::USER_NAME, name_path, as_text(name));
        event.observe(observable::EMAIL_ADDRESS, address_path, as_text(name));
    } else if name != "Unknown" {
        let name_path = if path == "user" { "user.name" } else { "actor.user.name" };
        event.observe(observable::USER_NAME, name_path, as_text(name));
    }
    event.json.close(user);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_decides_the_class_and_the_words_the_activity() {
        for (audit_type, text, uid, activity_id) in [
            ("User Logged On", "", 3002, Some(1)),
            ("Logon Authentication Failed", "", 3002, Some(1)),
            ("Mimecast Support Login", "", 3002, Some(1)),
            ("User Logged Off", "", 3002, Some(2)),
            ("User Password Changed", "", 3001, Some(3)),
            ("User Password Reset", "", 3001, Some(4)),
            ("Password Policy Changed", "", 3004, Some(3)),
            ("User Logged On", "after a logout", 3002, Some(1)),
            ("User Logged Out", "", 3002, Some(2)),
            ("Logon Policy Changed", "", 3004, Some(3)),
            ("Custom Logon Page Created", "", 3004, Some(1)),
            ("Login Settings Updated", "", 3004, Some(3)),
            ("Blogon Viewed", "", 3004, Some(2)),
            ("Parole Officer Report", "", 3004, None),
            ("Subgroup Viewed", "", 3004, Some(2)),
            ("Profile Group (unlink) Log Entry", "", 3006, Some(4)),
            ("Profile Group Log Entry", "Address a@b.c added to x", 3006, Some(3)),
            ("Administrator Role Changed", "Role 'x' assigned to y", 3005, Some(1)),
            ("Administrator Role Changed", "", 3005, None),
            ("Administrator Role Changed", "Address changed", 3005, None),
            ("Administrator Role Changed", "Role 'x' removed, Subject: added", 3005, Some(2)),
            ("Profile Group Log Entry", "Renamed, From: new, To: deleted", 3006, None),
            ("New Policy", "", 3004, Some(1)),
            ("Group Policy Deleted", "", 3004, Some(4)),
            ("A Type Nobody Knows", "", 3004, None),
            ("", "", 3004, None),
        ] {
            let class = class(audit_type);
            assert_eq!(class.uid, uid, "{audit_type}");
            assert_eq!(activity(class, audit_type, text).map(|found| found.0), activity_id, "{audit_type}");
        }
    }
}
