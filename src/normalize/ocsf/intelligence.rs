//! OSINT Inventory Info (5021): an indicator of a threat feed (STIX 2.0), with the malware that it indicates.

use super::{
    Head, INTELLIGENCE,
    event::{EventWriter, observable},
};
use crate::normalize::writer::Writer;
use crate::record::{Field, Value, nested, scan, scan::Shape, time, value::is_hex};

/// What an indicator is about: `osint.type_id`, its caption, and the type of observable.
pub type Type = (i64, &'static str, Option<i64>);

pub const IP_ADDRESS: Type = (1, "IP Address", Some(observable::IP_ADDRESS));
const DOMAIN: Type = (2, "Domain", None);
pub const HASH: Type = (4, "Hash", Some(observable::HASH));
const URL: Type = (5, "URL", Some(observable::URL));
const EMAIL_ADDRESS: Type = (9, "Email Address", Some(observable::EMAIL_ADDRESS));
const FILE: Type = (11, "File", Some(observable::FILE_NAME));

pub fn write(event: &mut EventWriter<'_, '_>) -> Head {
    event.head(1);
    let pattern = plain(event.record.peek(Field::Pattern));
    let found = comparisons(&pattern);
    write_time(event, "start_time", Field::ValidFrom);
    let array = event.json.open_array("osint");
    if found.is_empty() {
        write_unknown(event);
    }
    for (index, (kind, value)) in found.iter().enumerate() {
        let element = event.json.open_element();
        write_element(event, *kind, value.as_bytes(), index == 0);
        event.json.close(element);
    }
    event.json.close_array(array);
    Head { class: INTELLIGENCE.uid, severity: 1, alert_key: None }
}

/// An object without a pattern that can be read: a malware or a relationship alone. Its value is its name, else its id.
fn write_unknown(event: &mut EventWriter<'_, '_>) {
    let named = [Field::Name, Field::Pattern, Field::Id];
    let value = named.into_iter().map(|field| event.record.peek(field)).find(|value| value.text().is_some());
    let value = plain(value.unwrap_or(Value { shape: Shape::Plain, bytes: b"Unknown" }));
    let is_hash = [32, 40, 64].iter().any(|digits| is_hex(value.as_bytes(), *digits));
    let kind = match event.record.peek(Field::Type).text() {
        _ if is_hash => HASH,
        Some(_) => (99, "Other", None),
        None => (0, "Unknown", None),
    };
    let element = event.json.open_element();
    write_element(event, kind, value.as_bytes(), true);
    event.json.close(element);
}

/// The members of one `osint`. What the record says of the indicator stands in the first.
fn write_element(event: &mut EventWriter<'_, '_>, (type_id, caption, kind): Type, value: &[u8], first: bool) {
    if first {
        for (key, field) in [("created_time", Field::Created), ("expiration_time", Field::ValidUntil)] {
            write_time(event, key, field);
        }
        event.text("desc", Field::Description);
    }
    if let Some(pattern) = event.scalar(Field::Pattern) {
        event.json.scalar("detection_pattern", pattern);
        event.json.literal("detection_pattern_type", "STIX");
        event.json.integer("detection_pattern_type_id", 1);
    }
    if first {
        write_labels(event);
        write_malware(event);
        write_time(event, "modified_time", Field::Modified);
        event.text("name", Field::Name);
    }
    event.json.text("type", caption.as_bytes());
    event.json.integer("type_id", type_id);
    if let Some(uid) = event.scalar(Field::Id) {
        event.json.scalar("uid", uid);
    }
    event.json.text("value", value);
    event.json.literal("vendor_name", "Mimecast");
    if let Some(kind) = kind {
        event.observe(kind, "osint.value", Value { shape: Shape::Text, bytes: value });
    }
}

fn write_time(event: &mut EventWriter<'_, '_>, key: &str, field: Field) {
    if let Some(time) = event.take(field, time::parse) {
        event.json.integer(key, (time / 1_000_000) as i64);
    }
}

fn write_labels(event: &mut EventWriter<'_, '_>) {
    let labels = event.record.peek(Field::Labels);
    let mark = event.json.open_array("labels");
    if texts(labels, |label| {
        event.json.scalar_value(label);
        event.json.comma();
    }) {
        event.record.read(Field::Labels);
    }
    event.json.close_array(mark);
}

/// The texts of a list, or the one text. Says whether that was all.
fn texts<'a>(value: Value<'a>, mut each: impl FnMut(Value<'a>)) -> bool {
    if value.text().is_some() {
        each(value);
        return true;
    }
    if value.shape != Shape::Nested || nested::is_object(value.bytes) {
        return false;
    }
    let mut all = true;
    nested::each(value.bytes, |_, element| match element.text() {
        Some(_) => each(element),
        None => all &= !element.populated(),
    });
    all
}

/// STIX's words for malware as OCSF's classifications.
fn classification(label: &[u8]) -> (i64, Option<&'static str>) {
    let known = [
        ("adware", 1, "Adware"),
        ("backdoor", 2, "Backdoor"),
        ("bot", 3, "Bot"),
        ("bootkit", 4, "Bootkit"),
        ("ddos", 5, "DDOS"),
        ("ransomware", 10, "Ransomware"),
        ("rootkit", 15, "Rootkit"),
        ("spyware", 17, "Spyware"),
        ("trojan", 18, "Trojan"),
        ("virus", 19, "Virus"),
        ("worm", 22, "Worm"),
    ];
    let found = known.iter().find(|(word, ..)| label.eq_ignore_ascii_case(word.as_bytes()));
    found.map_or((99, None), |(_, id, caption)| (*id, Some(*caption)))
}

/// The malware that the stream joined to its indicator. What OCSF has no place for is laid aside for `unmapped`.
fn write_malware(event: &mut EventWriter<'_, '_>) {
    let object = event.record.peek(Field::Malware);
    if object.shape != Shape::Nested || !nested::is_object(object.bytes) {
        return;
    }
    let (mut name, mut uid, mut labels) = (None, None, Value::default());
    nested::each(object.bytes, |key, value| match key {
        b"name" if value.text().is_some() => name = Some(value),
        b"id" if value.text().is_some() => uid = Some(value),
        b"labels" => labels = value,
        _ => {}
    });
    if name.is_none() && uid.is_none() {
        return;
    }
    event.json.raw("\"malware\":[{\"classification_ids\":[");
    let mut any = false;
    let all_labels = texts(labels, |label| {
        event.json.number(classification(label.bytes).0);
        event.json.comma();
        any = true;
    });
    event.json.raw(if any { "" } else { "0," });
    event.json.out.pop();
    event.json.raw("],\"classifications\":[");
    texts(labels, |label| {
        match classification(label.bytes).1 {
            Some(caption) => event.json.string(caption.as_bytes()),
            None => event.json.scalar_value(label),
        }
        event.json.comma();
    });
    event.json.raw(if any { "" } else { "\"Unknown\"," });
    event.json.out.pop();
    event.json.raw("],");
    for (key, value) in [("name", name), ("uid", uid)] {
        if let Some(value) = value {
            event.json.scalar(key, value);
        }
    }
    event.json.out.pop();
    event.json.raw("}],");
    event.record.read(Field::Malware);
    let mut rest = Writer { out: event.aside };
    let kept = rest.open(Field::Malware.name());
    nested::each(object.bytes, |key, value| {
        let arrived = match key {
            b"name" => name.is_some_and(|name| name.bytes == value.bytes),
            b"id" => uid.is_some_and(|uid| uid.bytes == value.bytes),
            b"labels" => all_labels,
            // It is one: the attribute's name says so.
            b"type" => value.bytes == b"malware",
            _ => false,
        };
        if !arrived && value.populated() {
            rest.raw_member(key, value);
        }
    });
    rest.close(kept);
}

/// The text of a scalar, without the escapes of JSON.
fn plain(value: Value<'_>) -> String {
    let Some(text) = value.text() else { return String::new() };
    if value.shape != Shape::Escaped {
        return String::from_utf8_lossy(text).into_owned();
    }
    let mut bytes = Vec::new();
    scan::unescape(text, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The comparisons of a STIX pattern (`[file:hashes.'SHA-256' = '…' OR url:value = '…']`) that name a value.
pub fn comparisons(pattern: &str) -> Vec<(Type, String)> {
    let mut found = Vec::new();
    let mut rest = pattern;
    while let Some(equals) = rest.find('=') {
        let (path, after) = (rest[..equals].trim_end(), rest[equals + 1..].trim_start());
        let Some((value, behind)) = quoted(after) else {
            rest = after;
            continue;
        };
        // `!=`, `>=` and `<=` name what the indicator is not.
        let equal = !path.ends_with(['!', '<', '>']) && !path.trim_end().ends_with("NOT");
        let path = &path[path.rfind(['[', '(', ' ']).map_or(0, |start| start + 1)..];
        if equal
            && !value.is_empty()
            && let Some(kind) = type_of(path, &value)
        {
            found.push((kind, value));
        }
        rest = behind;
    }
    found
}

/// A string of a pattern, and what follows it. `\'` and `\\` are escapes.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('\'')?;
    let mut value = String::new();
    let mut letters = inner.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' => return Some((value, &inner[at + 1..])),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    None
}

fn type_of(path: &str, value: &str) -> Option<Type> {
    let (object, property) = path.split_once(':')?;
    match object {
        "file" | "artifact" if property.starts_with("hashes") => Some(HASH),
        "file" if property == "name" => Some(FILE),
        "url" => Some(URL),
        "domain-name" => Some(DOMAIN),
        "email-addr" if crate::record::value::is_email(value.as_bytes()) => Some(EMAIL_ADDRESS),
        "ipv4-addr" | "ipv6-addr" if crate::record::value::address(value.as_bytes()).is_some() => Some(IP_ADDRESS),
        _ => Some((99, "Other", None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pattern_compares() {
        let read = |pattern: &str| -> Vec<(i64, String)> {
            comparisons(pattern).into_iter().map(|((id, ..), value)| (id, value)).collect()
        };
        let hash = "0000000000000000000000000000000000000000000000000000000000000005";
        assert_eq!(read(&format!("[file:hashes.'SHA-256' = '{hash}']")), [(4, hash.to_owned())]);
        assert_eq!(
            read(
                r"[file:hashes.MD5='a' OR (url:value = 'https://x.example/?a=\'b\'') AND domain-name:value='x.example']"
            ),
            [(4, "a".to_owned()), (5, "https://x.example/?a='b'".to_owned()), (2, "x.example".to_owned())]
        );
        assert_eq!(
            read("[ipv4-addr:value = '192.0.2.1' AND file:name != 'x' AND process:name = 'y']"),
            [(1, "192.0.2.1".to_owned()), (99, "y".to_owned())]
        );
        for nothing in ["", "[", "=", "[file:size = 5]", "[file:name = 'x", "[a = '']"] {
            assert_eq!(read(nothing), [], "{nothing}");
        }
    }
}
