//! `where` of a sink: which events of its inputs it takes.
//!
//! ```toml
//! [sinks.pager]
//! inputs = ["*.alerts"]
//! where = { severity_at_least = "high", streams = ["ttp/*"] }
//! ```

use serde_json::Value;

use crate::config::declaration::{Group, Shape, Table, choice, flag, key, texts};
use crate::config::rules::severity;
use crate::config::section::Section;
use crate::config::shape::glob;
use crate::deliver::Head;
use crate::template::SEVERITIES;

pub static WHERE: Table = Table::new(
    "where",
    "Which events of its inputs the sink takes. All conditions must hold.",
    &[&Group::of(&[
        texts("kinds", "Names of kinds of events, in which `*` stands for any characters. All, if absent."),
        texts("streams", "Names of streams, written the same way. All, if absent."),
        key("classes", Shape::Numbers, "Classes of the body's schema, such as 4009 of OCSF. All, if absent."),
        choice("severity_at_least", &SEVERITIES, None, "The least severity."),
        flag("alerts", false, "Only events that belong to an alert."),
    ])],
);

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

    /// Which events of one stream go this way. [Kinds](Head::kind) are indices into `kinds`.
    pub fn bind<K: AsRef<str>>(&self, stream: &str, kinds: &[K]) -> Route {
        let Where { kinds: wanted, streams, classes, severity_at_least, alerts } = self;
        let any =
            |patterns: &[String], name: &str| patterns.is_empty() || patterns.iter().any(|pattern| glob(pattern, name));
        if self.is_everything() {
            return Route::All;
        }
        let fit: Box<[bool]> = kinds.iter().map(|kind| any(wanted, kind.as_ref())).collect();
        if !any(streams, stream) || (!wanted.is_empty() && !fit.contains(&true)) {
            return Route::None;
        }
        Route::Some {
            kinds: if wanted.is_empty() { Box::default() } else { fit },
            classes: classes.as_slice().into(),
            severity_at_least: *severity_at_least,
            alerts: *alerts,
        }
    }
}

/// Which events of one stream go this way, by what their heads say.
#[derive(Debug, Clone)]
pub enum Route {
    All,
    None,
    Some {
        /// By their index; empty for all.
        kinds: Box<[bool]>,
        /// Empty for all.
        classes: Box<[u32]>,
        severity_at_least: u8,
        /// Only those with an alert key.
        alerts: bool,
    },
}

impl Route {
    pub fn is_all(&self) -> bool {
        matches!(self, Route::All)
    }

    pub fn is_none(&self) -> bool {
        matches!(self, Route::None)
    }

    pub fn takes(&self, head: &Head) -> bool {
        match self {
            Route::All => true,
            Route::None => false,
            Route::Some { kinds, classes, severity_at_least, alerts } => {
                (kinds.is_empty() || kinds.get(head.kind as usize).copied().unwrap_or(false))
                    && (classes.is_empty() || classes.contains(&head.class))
                    && head.severity >= *severity_at_least
                    && (!alerts || head.alert_key.is_some())
            }
        }
    }
}

pub fn read(section: &mut Section<'_>) -> Where {
    let Some(mut table) = section.table("where") else { return Where::default() };
    let only = Where {
        kinds: names(&mut table, "kinds"),
        streams: names(&mut table, "streams"),
        classes: classes(&mut table),
        severity_at_least: severity("severity_at_least", &mut table),
        alerts: table.flag("alerts"),
    };
    table.close();
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
