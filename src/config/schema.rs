//! The configuration's JSON Schema (draft 2020-12): what a form or an editor needs to know.

use serde_json::{Value, json};

/// Every key that the source accepts. A test keeps it equal to the schema's properties.
pub const KEYS: [&str; 24] = [
    "api",
    "client_id",
    "client_secret",
    "administrator_email",
    "app_id",
    "app_key",
    "access_key",
    "secret_key",
    "base_url",
    "region",
    "insecure_http",
    "collect",
    "start_at",
    "output",
    "tenant",
    "id_scope",
    "fields",
    "siem_mode",
    "labels",
    "category",
    "include_original",
    "intervals",
    "overlaps",
    "page_sizes",
];

/// The schema as text, the same in every build.
pub fn config_schema() -> String {
    schema().to_string()
}

fn schema() -> Value {
    let text = |description: &str| json!({ "type": "string", "minLength": 1, "description": description });
    let secret = |description: &str| json!({ "type": "string", "minLength": 1, "writeOnly": true, "format": "password", "description": description });
    let duration = json!({ "type": "string", "pattern": "^ *[0-9]+ *[smhdw] *$" });
    let map = |values: &Value, description: &str| json!({ "type": "object", "additionalProperties": values, "description": description });
    let mut properties = json!({
        "api": { "enum": ["2.0", "1.0", "2", "1", 2, 1], "default": "2.0", "description": "Generation of Mimecast's API. 1.0 is for old accounts: Mimecast no longer makes keys for it." },
        "client_id": secret("API 2.0: the application's client id."),
        "client_secret": secret("API 2.0: the application's client secret."),
        "administrator_email": text("API 1.0: address of the service user, to find the account's region when neither base_url nor region is set."),
        "app_id": text("API 1.0: the application's id."),
        "app_key": secret("API 1.0: the application's key."),
        "access_key": secret("API 1.0: the service user's access key."),
        "secret_key": secret("API 1.0: the service user's secret key, base64."),
        "base_url": { "type": "string", "format": "uri", "description": "Root of the API, such as https://api.services.mimecast.com. Instead of region." },
        "region": { "type": "string", "description": "API 2.0: global, us, uk. API 1.0: eu, de, us, usb, uspcom, ca, za, au, je, sandbox." },
        "insecure_http": { "enum": [true, false, "true", "false"], "default": false, "description": "Allow http:// in base_url, on loopback only, for a simulator." },
        "collect": { "type": ["array", "string"], "items": { "type": "string" }, "minItems": 1, "description": "Streams or groups (siem, cloud, ttp, audit, dlp, held, rejections, threat_intel, archive) to collect. All if absent." },
        "start_at": { "type": "string", "default": "7d", "description": "Where a stream without a position begins: a duration before now (7d, 36h) or a time (RFC 3339). Never before what Mimecast keeps." },
        "siem_mode": { "enum": ["batch", "stream"], "default": "batch", "description": "API 2.0: SIEM logs as files of a type, kept for 7 days, or as one stream of events, kept for 24 hours." },
        "output": { "enum": ["ocsf", "ecs", "raw"], "default": "ocsf", "description": "Form of the events: OCSF 1.8.0, Elastic Common Schema, or the record in an envelope." },
        "labels": { "type": ["array", "string"], "items": { "enum": ["elastic", "sumo", "stellar"] }, "default": [], "description": "Products whose names of a kind are written into each event." },
        "category": text("Category that is written into each event."),
        "include_original": { "enum": ["none", "body"], "default": "none", "description": "Whether each event holds the record as it came." },
        "tenant": text("Name of the tenant, carried in every event."),
        "id_scope": text("What event ids are scoped to. The tenant if absent; never change it later."),
        "fields": { "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] }, "description": "Constant fields added to every event." }
    });
    let size = json!({ "type": ["integer", "string"], "pattern": "^ *[0-9]+ *$", "minimum": 1, "maximum": 500 });
    properties["intervals"] = map(&duration, "From stream or group to the time from one poll to the next, 10s to 24h.");
    properties["overlaps"] = map(
        &duration,
        "From stream or group to how far back its windows are read again, because records appear late. 30m, and 24h for held/messages.",
    );
    properties["page_sizes"] = map(
        &size,
        "From stream or group to the rows or files of a page: at most 100 for siem and cloud, 500 elsewhere.",
    );
    let has = |key: &str, value: Value| json!({ "properties": { key: value }, "required": [key] });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Mimecast",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "if": has("api", json!({ "enum": ["1.0", "1", 1] })),
        "then": { "required": ["app_id", "app_key", "access_key", "secret_key"] },
        "else": { "required": ["client_id", "client_secret"] }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_properties_are_the_same() {
        let schema: Value = serde_json::from_str(&config_schema()).unwrap();
        let mut properties: Vec<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut keys = KEYS.to_vec();
        properties.sort_unstable();
        keys.sort_unstable();
        assert_eq!(properties, keys);
    }
}
