//! Judges events by the published schemas, and by the two rules that a JSON Schema cannot say.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use serde_json::Value;

/// The folder of schemas, samples and references. `None` (with a notice) where there is none, but never in CI.
pub fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("TRIBUTARY_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
    if folder.join("ocsf/1.8.0").is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "no OCSF schemas under {}; set TRIBUTARY_SHARED", folder.display());
    println!("skipped: no OCSF schemas under {}; set TRIBUTARY_SHARED", folder.display());
    None
}

static SCHEMAS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// What is wrong with an event: nothing, if it is right.
pub fn complaints(shared: &std::path::Path, event: &Value) -> Vec<String> {
    let mut name = event["class_uid"].to_string();
    let profiles = event["metadata"]["profiles"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut profiles: Vec<&str> = profiles.iter().filter_map(Value::as_str).collect();
    profiles.sort_unstable();
    for profile in profiles {
        name = format!("{name}+{profile}");
    }
    let validator = {
        let mut schemas = SCHEMAS.lock().expect("no panic while locked");
        if !schemas.contains_key(&name) {
            let path = shared.join(format!("ocsf/1.8.0/{name}.schema.json"));
            let Ok(text) = std::fs::read_to_string(&path) else { return vec![format!("no schema {name}")] };
            let schema = serde_json::from_str(&text).expect("a schema is JSON");
            schemas.insert(name.clone(), Arc::new(jsonschema::validator_for(&schema).expect("a schema")));
        }
        schemas[&name].clone()
    };
    let mut complaints: Vec<String> =
        validator.iter_errors(event).map(|error| format!("{}: {error}", error.instance_path())).collect();
    let number = |key: &str| event[key].as_i64().unwrap_or(-1);
    if number("type_uid") != number("class_uid") * 100 + number("activity_id") {
        complaints.push("type_uid is not class_uid * 100 + activity_id".to_owned());
    }
    for (sibling, id, captions) in CAPTIONS {
        let (Some(text), Some(id)) = (event[*sibling].as_str(), event[*id].as_i64()) else { continue };
        // 99 stands for a word of the source's own.
        let caption = captions.iter().find(|(known, _)| *known == id).map(|(_, caption)| *caption);
        if id != 99 && caption != Some(text) {
            complaints.push(format!("{sibling} is {text:?}, but {id} means {caption:?}"));
        }
    }
    let class = (number("class_uid"), number("category_uid"));
    let known = CLASSES.iter().find(|known| (known.0, known.2) == class);
    match known {
        Some((_, name, _, category, activities)) => {
            let activity = activities.iter().find(|known| known.0 == number("activity_id")).map(|known| known.1);
            let type_name = format!("{name}: {}", activity.unwrap_or("Other"));
            for (key, expected) in [("class_name", *name), ("category_name", *category), ("type_name", &type_name)] {
                if event[key] != expected {
                    complaints.push(format!("{key} is {}, not {expected}", event[key]));
                }
            }
            if number("activity_id") != 99 && event["activity_name"].as_str() != activity {
                complaints.push(format!("activity_name is {}, not {activity:?}", event["activity_name"]));
            }
        }
        None => complaints.push(format!("an unknown class: {class:?}")),
    }
    for observable in event["observables"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let path = observable["name"].as_str().unwrap_or_default();
        let mut found = Vec::new();
        at(event, path, &mut found);
        if !found.contains(&&observable["value"]) {
            complaints.push(format!("observable {observable} repeats nothing at {path}"));
        }
    }
    complaints
}

/// The values at a path; lists on the way are entered.
fn at<'v>(value: &'v Value, path: &str, found: &mut Vec<&'v Value>) {
    if let Value::Array(elements) = value {
        elements.iter().for_each(|element| at(element, path, found));
    } else if path.is_empty() {
        found.push(value);
    } else {
        let (key, rest) = path.split_once('.').unwrap_or((path, ""));
        at(&value[key], rest, found);
    }
}

type Captions = &'static [(i64, &'static str)];

/// The captions of OCSF 1.8.0 for what this source writes; the JSON Schemas do not hold them.
const CAPTIONS: &[(&str, &str, Captions)] = &[
    ("severity", "severity_id", &[(0, "Unknown"), (1, "Informational"), (2, "Low"), (3, "Medium"), (4, "High")]),
    ("status", "status_id", &[(0, "Unknown"), (1, "Success"), (2, "Failure")]),
    ("direction", "direction_id", &[(0, "Unknown"), (1, "Inbound"), (2, "Outbound"), (3, "Internal")]),
    ("action", "action_id", &[(1, "Allowed"), (2, "Denied"), (3, "Observed"), (4, "Modified")]),
    (
        "disposition",
        "disposition_id",
        &[
            (1, "Allowed"),
            (2, "Blocked"),
            (3, "Quarantined"),
            (4, "Isolated"),
            (5, "Deleted"),
            (9, "Restored"),
            (16, "No Action"),
            (18, "Tagged"),
            (19, "Alert"),
            (25, "Rejected"),
        ],
    ),
];

type Class = (i64, &'static str, i64, &'static str, Captions);

const IAM: &str = "Identity & Access Management";
const CLASSES: &[Class] = &[
    (0, "Base Event", 0, "Uncategorized", &[(0, "Unknown")]),
    (
        4009,
        "Email Activity",
        4,
        "Network Activity",
        &[(1, "Send"), (2, "Receive"), (3, "Scan"), (4, "Trace"), (5, "MTA Relay")],
    ),
    (2006, "Data Security Finding", 2, "Findings", &[(1, "Create"), (2, "Update"), (3, "Close")]),
    (5021, "OSINT Inventory Info", 5, "Discovery", &[(1, "Log"), (2, "Collect")]),
    (2004, "Detection Finding", 2, "Findings", &[(1, "Create"), (2, "Update"), (3, "Close")]),
    (3002, "Authentication", 3, IAM, &[(1, "Logon"), (2, "Logoff")]),
    (3001, "Account Change", 3, IAM, &[(3, "Password Change"), (4, "Password Reset")]),
    (3005, "User Access Management", 3, IAM, &[(1, "Assign Privileges"), (2, "Revoke Privileges")]),
    (
        3006,
        "Group Management",
        3,
        IAM,
        &[
            (1, "Assign Privileges"),
            (2, "Revoke Privileges"),
            (3, "Add User"),
            (4, "Remove User"),
            (5, "Delete"),
            (6, "Create"),
        ],
    ),
    (
        3004,
        "Entity Management",
        3,
        IAM,
        &[
            (1, "Create"),
            (2, "Read"),
            (3, "Update"),
            (4, "Delete"),
            (5, "Move"),
            (8, "Enable"),
            (9, "Disable"),
            (10, "Activate"),
            (11, "Deactivate"),
            (12, "Suspend"),
            (13, "Resume"),
        ],
    ),
];
