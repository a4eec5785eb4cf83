//! `[metrics]`: what a scrape shows.

use super::declaration::{Group, Table, flag};
use super::section::Section;

pub static METRICS: Table = Table::new(
    "metrics",
    "What a scrape of `GET /metrics` shows.",
    &[&Group::of(&[flag(
        "tenant_labels",
        true,
        "Whether series are told apart by tenant, source and stream. If not, there is one for all sources of a type: counters and counts are summed, of lag, pauses and the time without a session the greatest is shown, and of the last poll, the last success, the newest event and the quota (limit, what is left, its share) the least.",
    )])],
);

/// What a scrape of `GET /metrics` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricsOptions {
    /// Whether series are told apart by tenant, source and stream. If not, a thousand tenants make no more series than one:
    /// each is the sum over all sources of one type, or the greatest or least of them.
    pub tenant_labels: bool,
}

impl Default for MetricsOptions {
    /// With them: what is in trouble is to be found.
    fn default() -> Self {
        Self { tenant_labels: true }
    }
}

pub fn read(section: Option<Section<'_>>) -> MetricsOptions {
    let default = MetricsOptions::default();
    let Some(mut section) = section else { return default };
    let tenant_labels = section.flag("tenant_labels");
    section.close();
    MetricsOptions { tenant_labels }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::problem::Step;

    fn of(value: Value) -> (MetricsOptions, Vec<String>) {
        let mut problems = Vec::new();
        let options = read(Section::new(&METRICS, "metrics", Step::Global, value, &mut problems));
        (options, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn labels_are_on_until_they_are_turned_off() {
        assert_eq!(of(json!({})), (MetricsOptions { tenant_labels: true }, Vec::new()));
        assert_eq!(of(json!({ "tenant_labels": false })), (MetricsOptions { tenant_labels: false }, Vec::new()));
        let (_, problems) = of(json!({ "tenant_labels": "no" }));
        assert!(problems.len() == 1 && problems[0].contains("metrics.tenant_labels"), "{problems:?}");
        let (_, problems) = of(json!({ "tenant_label": false }));
        assert!(problems.len() == 1 && problems[0].contains("tenant_labels"), "{problems:?}");
    }
}
