//! What Elastic's own pipeline makes of the samples, compared leaf by leaf. Each difference is tolerated by exactly one
//! rule of the policy, with its reason, and each rule matches as often as it says: so the policy cannot rot.

use std::collections::{BTreeMap, BTreeSet};

use mimecast_source::kind::Generation;
use serde_json::Value;

use crate::{ecs, samples};

/// A line of the policy.
#[derive(Debug)]
struct Rule {
    stream: String,
    /// `missing`: Elastic has it and we do not; `extra`: the reverse; `different`: both have it.
    difference: String,
    /// A path, or the beginning of one before a `*`.
    path: String,
    reason: String,
    count: usize,
}

impl Rule {
    fn matches(&self, stream: &str, difference: &str, path: &str) -> bool {
        self.stream == stream
            && self.difference == difference
            && match self.path.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => self.path == path,
            }
    }
}

fn policy() -> Vec<Rule> {
    let rules: Vec<Value> = serde_json::from_str(include_str!("elastic-policy.json")).expect("the policy is JSON");
    let text = |rule: &Value, key: &str| rule[key].as_str().unwrap_or_else(|| panic!("{key} of {rule}")).to_owned();
    rules
        .iter()
        .map(|rule| Rule {
            stream: text(rule, "stream"),
            difference: text(rule, "difference"),
            path: text(rule, "path"),
            reason: text(rule, "reason"),
            count: rule["count"].as_u64().expect("a count") as usize,
        })
        .collect()
}

/// The leaves by path. Elements of arrays have no order and no number; nulls say nothing.
fn leaves(path: &str, value: &Value, found: &mut BTreeMap<String, BTreeSet<String>>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(&path, value, found);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| leaves(path, element, found)),
        Value::Null => {}
        scalar => {
            found.entry(path.to_owned()).or_default().insert(scalar.to_string());
        }
    }
}

fn differences(expected: &Value, own: &Value) -> Vec<(&'static str, String)> {
    let (mut theirs, mut ours) = (BTreeMap::new(), BTreeMap::new());
    leaves("", expected, &mut theirs);
    leaves("", own, &mut ours);
    let mut found = Vec::new();
    for (path, values) in &theirs {
        match ours.get(path) {
            None => found.push(("missing", path.clone())),
            Some(own) if own != values => found.push(("different", path.clone())),
            Some(_) => {}
        }
    }
    found.extend(ours.keys().filter(|path| !theirs.contains_key(*path)).map(|path| ("extra", path.clone())));
    found
}

#[test]
fn differences_from_elastic_are_those_of_the_policy() {
    let rules = policy();
    let mut counts = vec![0; rules.len()];
    let mut unexplained = BTreeMap::<_, usize>::new();
    let mut compared = 0;
    for sample in samples::folders() {
        let expected = sample.expected();
        if expected.is_empty() {
            continue;
        }
        let records = sample.records();
        assert_eq!(records.len(), expected.len(), "{}", sample.folder);
        for (record, expected) in records.iter().zip(&expected) {
            let own = ecs(Generation::V2, &sample.origin, record);
            compared += 1;
            for (difference, path) in differences(expected, &own) {
                match rules.iter().position(|rule| rule.matches(sample.folder, difference, &path)) {
                    Some(rule) => counts[rule] += 1,
                    None => *unexplained.entry((sample.folder, difference, path)).or_default() += 1,
                }
            }
        }
    }
    if compared == 0 {
        assert!(std::env::var_os("CI").is_none(), "no documents of Elastic's to compare with; set TRIBUTARY_SHARED");
        return println!("skipped: no documents of Elastic's to compare with");
    }
    println!("{compared} documents, {} tolerated differences", counts.iter().sum::<usize>());
    let unexplained: Vec<String> = unexplained
        .into_iter()
        .map(|((stream, what, path), count)| format!("{stream} {what} {path} {count}"))
        .collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    for (rule, count) in rules.iter().zip(counts) {
        assert_eq!(rule.count, count, "{} {} {}", rule.stream, rule.difference, rule.path);
        assert!(rule.reason.len() > 10, "{rule:?}");
    }
}

#[test]
fn a_difference_is_noticed() {
    let own = serde_json::json!({"a": {"b": [1, 2]}, "c": "d", "e": null});
    assert_eq!(differences(&own, &own), []);
    let other = serde_json::json!({"a": {"b": [2, 1]}, "c": "e", "f": 0});
    assert_eq!(differences(&own, &other), [("different", "c".to_owned()), ("extra", "f".to_owned())]);
    assert_eq!(differences(&other, &own), [("different", "c".to_owned()), ("missing", "f".to_owned())]);
}
