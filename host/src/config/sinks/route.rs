//! `where` of a sink: which events of its inputs it takes.
//!
//! ```toml
//! [sinks.pager]
//! inputs = ["*.alerts"]
//! where = { severity_at_least = "high", streams = ["ttp/*"] }
//! ```

use serde_json::Value;

use crate::config::rules::severity;
use crate::config::section::Section;

/// All conditions must hold. They look at what the source says of an event, not into its body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Where {
    /// Names of kinds, in which `*` stands for any characters. Empty: all.
    pub kinds: Vec<String>,
    /// The same of streams.
    pub streams: Vec<String>,
    /// Classes of the body's schema, such as 4009. Empty: all.
    pub classes: Vec<u32>,
    /// The least severity, from 0 (unknown) to 6 (fatal).
    pub severity_at_least: u8,
    /// Only events that belong to an alert.
    pub alerts: bool,
}

impl Where {
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

pub fn read(section: &mut Section<'_>) -> Where {
    let Some(mut table) = section.table("where") else { return Where::default() };
    let only = Where {
        kinds: names(&mut table, "kinds"),
        streams: names(&mut table, "streams"),
        classes: classes(&mut table),
        severity_at_least: severity("severity_at_least", &mut table),
        alerts: table.flag("alerts", false),
    };
    table.close(&[]);
    only
}

fn names(table: &mut Section<'_>, key: &'static str) -> Vec<String> {
    match table.texts(key) {
        Some(names) if names.is_empty() => {
            table.fault(key, "must not be empty", Some("Without the key, all are taken".into()));
            names
        }
        names => names.unwrap_or_default(),
    }
}

fn classes(table: &mut Section<'_>) -> Vec<u32> {
    let Some(value) = table.take("classes") else { return Vec::new() };
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let classes = value.as_array().and_then(|classes| classes.iter().map(number).collect::<Option<Vec<_>>>());
    classes.filter(|classes| !classes.is_empty()).unwrap_or_else(|| {
        let hint = "For example: classes = [4009, 2004], email activity and detection findings of OCSF";
        table.fault("classes", "must be a list of numbers", Some(hint.into()));
        Vec::new()
    })
}
