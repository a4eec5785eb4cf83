//! The dictionary of ECS: which fields there are, of which type, and which values some of them may have.

use std::{collections::BTreeMap, path::PathBuf, sync::LazyLock};

/// The folder of dictionaries, samples and references. `None` (with a notice) where there is none, but never in CI.
pub fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("TRIBUTARY_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
    if folder.join("ecs").is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "no ECS dictionary under {}; set TRIBUTARY_SHARED", folder.display());
    println!("skipped: no ECS dictionary under {}; set TRIBUTARY_SHARED", folder.display());
    None
}

/// What the dictionary says of one field.
#[derive(Debug)]
pub struct Field {
    pub kind: String,
    pub array: bool,
}

static FIELDS: LazyLock<Option<BTreeMap<String, Field>>> = LazyLock::new(|| {
    let text = std::fs::read_to_string(shared()?.join("ecs/fields-9.5.csv")).expect("the dictionary");
    // Descriptions run over several lines; the columns before them hold neither quotes nor commas.
    let rows = text.lines().filter(|line| line.starts_with("9.5.0"));
    Some(
        rows.map(|row| {
            let columns: Vec<&str> = row.splitn(8, ',').collect();
            let field = Field { kind: columns[4].to_owned(), array: columns[6] == "array" };
            (columns[3].to_owned(), field)
        })
        .collect(),
    )
});

/// By path. `None` where there is no dictionary.
pub fn fields() -> Option<&'static BTreeMap<String, Field>> {
    FIELDS.as_ref()
}

/// The types that a category expects (ECS 9.5, "Categorization fields").
pub const CATEGORIES: &[(&str, &[&str])] = &[
    (
        "api",
        &["access", "admin", "allowed", "change", "creation", "deletion", "denied", "end", "info", "start", "user"],
    ),
    ("authentication", &["start", "end", "info"]),
    ("configuration", &["access", "change", "creation", "deletion", "info"]),
    ("email", &["info"]),
    ("iam", &["admin", "change", "creation", "deletion", "group", "info", "user"]),
    ("threat", &["indicator"]),
];

/// The values that a field may have.
pub const ALLOWED: &[(&str, &[&str])] = &[
    ("event.kind", &["alert", "asset", "enrichment", "event", "metric", "state", "pipeline_error", "signal"]),
    ("event.outcome", &["failure", "success", "unknown"]),
    ("email.direction", &["inbound", "outbound", "internal", "external", "unknown"]),
    ("tls.version_protocol", &["tls", "ssl"]),
    ("data_stream.type", &["logs"]),
    (
        "threat.indicator.type",
        &[
            "domain-name",
            "email-addr",
            "file",
            "ipv4-addr",
            "ipv6-addr",
            "url",
            "artifact",
            "directory",
            "user-account",
        ],
    ),
];
