//! Judges events by the dictionary: every field is known, of its type and with a value that it may have.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::dictionary::{ALLOWED, CATEGORIES, Field, fields};

/// What is wrong with an event: nothing, if it is right. `None` where there is no dictionary.
pub fn complaints(event: &Value) -> Option<Vec<String>> {
    let fields = fields()?;
    let mut found = Vec::new();
    let look = |path: &str| fields.get(path);
    members("", event, &look, &mut found);
    for required in [
        "/@timestamp",
        "/ecs/version",
        "/event/kind",
        "/event/category",
        "/event/type",
        "/event/outcome",
        "/event/hash",
        "/event/dataset",
        "/event/module",
        "/observer/vendor",
        "/organization/id",
        "/mimecast/log_type",
    ] {
        if event.pointer(required).is_none_or(|value| value == "" || *value == json!([])) {
            found.push(format!("{required} is missing"));
        }
    }
    if event["ecs"]["version"] != "9.5.0" {
        found.push(format!("ecs.version is {}", event["ecs"]["version"]));
    }
    classification(event, &mut found);
    Some(found)
}

/// Each type is one that a category expects, and each category has one of its own.
fn classification(event: &Value, found: &mut Vec<String>) {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (categories, types) = (texts(&event["event"]["category"]), texts(&event["event"]["type"]));
    let mut expected = Vec::new();
    for category in &categories {
        match CATEGORIES.iter().find(|(known, _)| known == category) {
            Some((_, of_category)) => {
                if !types.iter().any(|own| of_category.contains(&own.as_str())) {
                    found.push(format!("event.type {types:?} has nothing for {category}"));
                }
                expected.extend(of_category.iter());
            }
            None => found.push(format!("event.category {category}")),
        }
    }
    let odd = types.iter().filter(|own| !expected.contains(&&own.as_str()));
    found.extend(odd.map(|own| format!("event.type {own} is none of {categories:?}")));
}

fn members<'f>(path: &str, value: &Value, look: &impl Fn(&str) -> Option<&'f Field>, found: &mut Vec<String>) {
    let Value::Object(members_here) = value else { return found.push(format!("{path} is no object: {value}")) };
    if members_here.is_empty() {
        found.push(format!("{path} is empty"));
    }
    for (key, value) in members_here {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (path.as_str(), look(&path)) {
            ("mimecast", _) => refused_names(&path, value, found),
            ("labels", _) => {
                let labels = value.as_object().into_iter().flatten();
                let odd = labels.filter(|(name, value)| !value.is_string() || name.contains('.') || name.is_empty());
                found.extend(odd.map(|(name, value)| format!("labels.{name} is {value}")));
            }
            (_, Some(field)) if field.kind == "nested" => match value {
                Value::Array(elements) => {
                    elements.iter().for_each(|element| members(&path, element, look, found));
                }
                other => found.push(format!("{path} is no array: {other}")),
            },
            (_, Some(field)) if field.kind != "object" => leaf(&path, value, field, found),
            _ => members(&path, value, look, found),
        }
    }
}

/// What Elasticsearch refuses a document for: a name that is empty, or whose dots stand alone.
fn refused_names(path: &str, value: &Value, found: &mut Vec<String>) {
    let odd =
        value.as_object().into_iter().flatten().filter(|(name, _)| name.split('.').any(|part| part.trim().is_empty()));
    found.extend(odd.map(|(name, _)| format!("{path} holds the name {name:?}")));
}

fn leaf(path: &str, value: &Value, field: &Field, found: &mut Vec<String>) {
    let values = match (value, field.array) {
        (Value::Array(elements), true) => elements.as_slice(),
        (_, true) => return found.push(format!("{path} is no array: {value}")),
        (_, false) => std::slice::from_ref(value),
    };
    if values.is_empty() {
        found.push(format!("{path} is empty"));
    }
    let allowed = ALLOWED.iter().find(|(known, _)| *known == path).map(|(_, values)| *values);
    for (index, value) in values.iter().enumerate() {
        let text = value.as_str().unwrap_or_default();
        let right = match field.kind.as_str() {
            "keyword" | "constant_keyword" | "wildcard" | "match_only_text" => !text.is_empty(),
            "ip" => text.parse::<IpAddr>().is_ok(),
            "date" => mimecast_source::record::time::date_time(text.as_bytes()).is_some() && text.ends_with('Z'),
            "long" => value.is_i64(),
            "float" => value.is_number(),
            "boolean" => value.is_boolean(),
            other => panic!("{path}: the judge does not know the type {other}"),
        };
        if !right || allowed.is_some_and(|allowed| !allowed.contains(&text)) {
            found.push(format!("{path} is {value}, which is no {}", field.kind));
        }
        if path.starts_with("related.") && values[..index].contains(value) {
            found.push(format!("{path} holds {value} twice"));
        }
    }
}

/// A judge that accepts everything would be noticed here.
#[test]
fn mutations_of_a_good_event_fail() {
    let record = json!({"type": "receipt", "senderIp": "192.0.2.1", "action": "Rej", "rejectionCode": "550",
        "recipients": "ann@example.com", "timestamp": 1_740_816_902_123_i64, "attachments": "\"a.pdf\""});
    let good = crate::ecs(mimecast_source::kind::Generation::V2, &crate::siem(None), &record);
    let Some(none) = complaints(&good) else { return };
    assert_eq!(none, Vec::<String>::new());
    let set = |pointer: &str, value: Value| {
        let mut event = good.clone();
        *event.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} of {good:#}")) = value;
        event
    };
    let mut unknown = good.clone();
    unknown["event"]["colour"] = json!("red");
    for (number, bad) in [
        unknown,
        set("/event/kind", json!("incident")),
        set("/event/category", json!(["threat"])),
        set("/event/category", json!("email")),
        set("/event/type", json!(["denied"])),
        set("/event/outcome", json!("delivered")),
        set("/source/ip", json!("Internal IP")),
        set("/email/to/address", json!("ann@example.com")),
        set("/email/attachments", json!({"file": {"name": "a.pdf"}})),
        set("/@timestamp", json!("yesterday")),
        set("/@timestamp", json!(1_740_816_902_123_i64)),
        set("/event/severity", json!("2")),
        set("/error/code", json!(550)),
        set("/labels", json!({"a.b": "c"})),
        set("/mimecast", json!({"log_type": "receipt", "": 1})),
    ]
    .into_iter()
    .enumerate()
    {
        assert_ne!(complaints(&bad), Some(Vec::new()), "{number} {bad:#}");
    }
}
