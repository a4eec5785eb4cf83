//! Prometheus' text format (0.0.4), written straight from what the host has counted.
//!
//! It is our own, and not of a library: `prometheus-client` writes OpenMetrics only, whose counters are families without
//! `_total` (`promtool check metrics` refuses that), and wants an object for each of a hundred thousand series, which are all
//! here already as numbers. What is needed of the format is this file.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What the answer calls itself.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Before each name.
const PREFIX: &str = "tributary_";

/// How the numbers of many tenants become one where they are not told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Grows only, from zero at the start of the process. Summed.
    Counter,
    /// Summed.
    Gauge,
    /// A gauge of which the greatest is shown.
    Greatest,
    /// A gauge of which the least is shown.
    Least,
}

/// What a metric is.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Without the prefix. Ends in `_total` if it is a counter; a unit, if there is one, is before that.
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
}

/// The labels of one source, stream or sink.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    /// Escaped, with commas between.
    all: String,
    /// Those of them that are there without tenants.
    shared: String,
}

impl Labels {
    /// A label that is always there. Names are plain.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        push(&mut self.all, name, value);
        push(&mut self.shared, name, value);
        self
    }

    /// A label that tells tenants, sources or streams apart.
    #[must_use]
    pub fn with_own(mut self, name: &str, value: &str) -> Self {
        push(&mut self.all, name, value);
        self
    }
}

fn push(labels: &mut String, name: &str, value: &str) {
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    for character in value.chars() {
        match character {
            '\\' => labels.push_str("\\\\"),
            '"' => labels.push_str("\\\""),
            '\n' => labels.push_str("\\n"),
            character => labels.push(character),
        }
    }
    labels.push('"');
}

/// Where numbers of many tenants are added up. It remembers what each counter was at the last scrape: the sum must not fall
/// when a source goes. A source that goes between two scrapes takes what it counted since the first with it.
#[derive(Debug, Default)]
pub struct Sums {
    families: HashMap<&'static str, Sum>,
}

#[derive(Debug, Default)]
struct Sum {
    /// By labels.
    totals: BTreeMap<String, f64>,
    /// What each series was, by the hash of all its labels: two of some million series are alike once in 10,000 hosts.
    last: HashMap<u64, f64>,
}

/// A page of metrics that is being written.
pub struct Page<'a> {
    text: String,
    /// If tenants are not told apart.
    sums: Option<&'a mut Sums>,
    /// Series so far.
    series: usize,
}

impl<'a> Page<'a> {
    /// With tenants told apart, unless there are `sums` to add them up in.
    pub fn new(sums: Option<&'a mut Sums>) -> Self {
        Self { text: String::new(), sums, series: 0 }
    }

    /// Writes one metric, of which `samples` gives each series: labels, labels of this one alone, value. A metric without
    /// series is not there at all.
    pub fn family(&mut self, family: Family, samples: impl FnOnce(&mut dyn FnMut(&Labels, &[(&str, &str)], f64))) {
        let Family { name, kind, help } = family;
        debug_assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
        let (begin, before) = (self.text.len(), self.series);
        let word = if kind == Kind::Counter { "counter" } else { "gauge" };
        // Writing to a string does not fail.
        let _ = write!(self.text, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {word}\n");
        let (text, series) = (&mut self.text, &mut self.series);
        let mut line = |labels: &str, extra: &str, value: f64| {
            text.push_str(PREFIX);
            text.push_str(name);
            if !labels.is_empty() || !extra.is_empty() {
                text.push('{');
                text.push_str(labels);
                if !labels.is_empty() && !extra.is_empty() {
                    text.push(',');
                }
                text.push_str(extra);
                text.push('}');
            }
            text.push(' ');
            number(text, value);
            text.push('\n');
            *series += 1;
        };
        let mut extra = String::new();
        let mut join = move |more: &[(&str, &str)]| {
            extra.clear();
            more.iter().for_each(|(name, value)| push(&mut extra, name, value));
            extra.clone()
        };
        match self.sums.as_deref_mut() {
            None => samples(&mut |labels, more, value| match more {
                [] => line(&labels.all, "", value),
                more => line(&labels.all, &join(more), value),
            }),
            Some(sums) => {
                let sum = sums.families.entry(name).or_default();
                if kind != Kind::Counter {
                    sum.totals.clear();
                }
                samples(&mut |labels, more, value| {
                    let extra = join(more);
                    let key = hash(&labels.all, &extra);
                    let comma = if labels.shared.is_empty() || extra.is_empty() { "" } else { "," };
                    sum.add(kind, format!("{}{comma}{extra}", labels.shared), key, value);
                });
                sum.totals.iter().for_each(|(labels, value)| line(labels, "", *value));
            }
        }
        if self.series == before {
            self.text.truncate(begin);
        }
    }

    pub fn finish(self) -> String {
        self.text
    }
}

impl Sum {
    fn add(&mut self, kind: Kind, labels: String, key: u64, value: f64) {
        if kind == Kind::Counter {
            let last = self.last.insert(key, value).unwrap_or(0.0);
            // What is less than it was has begun anew.
            let more = if value >= last { value - last } else { value };
            *self.totals.entry(labels).or_default() += more;
            return;
        }
        let total = self.totals.entry(labels);
        match kind {
            Kind::Greatest => total.and_modify(|total| *total = total.max(value)).or_insert(value),
            Kind::Least => total.and_modify(|total| *total = total.min(value)).or_insert(value),
            Kind::Counter | Kind::Gauge => total.and_modify(|total| *total += value).or_insert(value),
        };
    }
}

fn hash(labels: &str, extra: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (labels, extra).hash(&mut hasher);
    hasher.finish()
}

/// Whole numbers without a point, as they are up to 2^53.
fn number(text: &mut String, value: f64) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    // Writing to a string does not fail.
    let _ = match value {
        value if value.abs() < EXACT && value.fract() == 0.0 => write!(text, "{}", value as i64),
        value if value.is_nan() => write!(text, "NaN"),
        value if value.is_infinite() => write!(text, "{}", if value > 0.0 { "+Inf" } else { "-Inf" }),
        value => write!(text, "{value}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: Family = Family { name: "events_total", kind: Kind::Counter, help: "Events." };
    const LAG: Family = Family { name: "lag_seconds", kind: Kind::Greatest, help: "Lag." };

    fn stream(tenant: &str) -> Labels {
        Labels::default().with("type", "mimecast").with_own("tenant", tenant)
    }

    fn page(sums: Option<&mut Sums>, of: &[(&str, f64)]) -> String {
        let mut page = Page::new(sums);
        for family in [EVENTS, LAG] {
            page.family(family, |put| of.iter().for_each(|(tenant, value)| put(&stream(tenant), &[], *value)));
        }
        page.finish()
    }

    #[test]
    fn a_page_is_written_as_prometheus_reads_it() {
        assert_eq!(
            page(None, &[("acme", 3.0), ("initech", 0.5)]),
            "# HELP tributary_events_total Events.\n# TYPE tributary_events_total counter\n\
             tributary_events_total{type=\"mimecast\",tenant=\"acme\"} 3\n\
             tributary_events_total{type=\"mimecast\",tenant=\"initech\"} 0.5\n\
             # HELP tributary_lag_seconds Lag.\n# TYPE tributary_lag_seconds gauge\n\
             tributary_lag_seconds{type=\"mimecast\",tenant=\"acme\"} 3\n\
             tributary_lag_seconds{type=\"mimecast\",tenant=\"initech\"} 0.5\n"
        );
        assert_eq!(page(None, &[]), "", "what has no series is not told");
        let mut page = Page::new(None);
        page.family(LAG, |put| put(&Labels::default(), &[], 1.0));
        page.family(LAG, |put| put(&Labels::default(), &[("a", "b")], 1.0));
        let text = page.finish();
        assert!(text.contains("\ntributary_lag_seconds 1\n") && text.contains("\ntributary_lag_seconds{a=\"b\"} 1\n"));
    }

    #[test]
    fn a_value_cannot_leave_its_label() {
        let planted = "a\"} 1\nforged_total{x=\"\\";
        let text = page(None, &[(planted, 1.0)]);
        assert!(text.contains(r#"tenant="a\"} 1\nforged_total{x=\"\\"} 1"#), "{text}");
        assert_eq!(text.lines().filter(|line| !line.starts_with("# ")).count(), 2, "{text}");
        let mut page = Page::new(None);
        page.family(EVENTS, |put| put(&stream("a"), &[("code", "x\n\"")], 1.0));
        assert!(page.finish().contains(r#"tenant="a",code="x\n\""} 1"#));
    }

    #[test]
    fn numbers_are_exact() {
        let written = |value| {
            let mut text = String::new();
            number(&mut text, value);
            text
        };
        assert_eq!(written(0.0), "0");
        assert_eq!(written(9_007_199_254_740_991.0), "9007199254740991");
        assert_eq!(written(0.25), "0.25");
        assert_eq!(written(-3.0), "-3");
        assert_eq!(written(f64::INFINITY), "+Inf");
        assert_eq!(written(f64::NAN), "NaN");
    }

    #[test]
    fn sums_do_not_fall_when_a_tenant_goes_or_begins_anew() {
        let mut sums = Sums::default();
        let mut scrape = |of: &[(&str, f64)]| {
            let text = page(Some(&mut sums), of);
            let value = |name: &str| {
                let line = text.lines().find(|line| line.starts_with(name));
                line.map(|line| line.split_once("} ").unwrap().1.parse::<f64>().unwrap())
            };
            assert!(text.lines().count() <= 6 && !text.contains("tenant"), "{text}");
            (value("tributary_events_total").unwrap(), value("tributary_lag_seconds"))
        };
        assert_eq!(scrape(&[("acme", 3.0), ("initech", 5.0)]), (8.0, Some(5.0)));
        assert_eq!(scrape(&[("acme", 4.0), ("initech", 5.0)]), (9.0, Some(5.0)));
        assert_eq!(scrape(&[("acme", 4.0)]), (9.0, Some(4.0)), "initech went");
        assert_eq!(scrape(&[("acme", 4.0), ("initech", 6.0)]), (10.0, Some(6.0)), "it came back, and went on");
        assert_eq!(scrape(&[("acme", 4.0), ("initech", 2.0)]), (12.0, Some(4.0)), "it began anew");
        assert_eq!(scrape(&[]), (12.0, None));
    }
}
