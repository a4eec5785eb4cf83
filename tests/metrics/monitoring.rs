//! What lies in `examples/monitoring` fits what is exported, and does what it says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::host::page;
use super::promtool::promtool;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/monitoring")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

/// All metrics of ours that `text` names.
fn named(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    text.split(word).filter(|word| word.starts_with("tributary_")).map(str::to_owned).collect()
}

/// Each expression of a dashboard.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "expr" || key == "query" => found.push(text.clone()),
                    value => expressions(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

/// Whether `name` is read as a counter somewhere in `expression`: by how much it grew.
fn grows(expression: &str, name: &str) -> bool {
    ["rate(", "increase("].iter().any(|function| {
        let after = |at: usize| expression[at + function.len()..].strip_prefix(name);
        let is_whole = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        expression.match_indices(function).any(|(at, _)| after(at).is_some_and(is_whole))
    })
}

/// Expressions as a file of rules, which promtool reads; with what a dashboard puts into them.
fn as_rules(expressions: &[String]) -> String {
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, expression) in expressions.iter().enumerate() {
        let expression = expression.replace("$__rate_interval", "5m").replace("$tenant", ".*").replace("$source", ".*");
        rules += &format!("      - record: panel:{number}\n        expr: '{expression}'\n");
    }
    rules
}

#[tokio::test(start_paused = true)]
async fn dashboard_and_alerts_name_nothing_that_is_not_exported() {
    let (page, together) = (page(true).await, page(false).await);
    let exported = page.names();
    assert_eq!(exported, together.names());
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let mut all = Vec::new();
    expressions(&dashboard, &mut all);
    all.retain(|expression| expression.contains("tributary_") && !expression.starts_with("label_values("));
    assert!(all.len() > 20, "{all:?}");
    for (file, text) in [("dashboard.json", all.join("\n")), ("alerts.yml", read("alerts.yml"))] {
        let named = named(&text);
        assert!(named.len() > 10, "{file}: {named:?}");
        let missing: Vec<_> = named.iter().filter(|name| !exported.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "{file} names {missing:?}; exported are {exported:?}");
    }
    for expression in &all {
        for name in named(expression) {
            assert_eq!(grows(expression, &name), page.types[&name] == "counter", "{name} in {expression}");
        }
    }
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("panels.yml"), as_rules(&all)).unwrap();
    if let Some((good, said)) = promtool(other.path(), &["check", "rules", "panels.yml"], "") {
        assert!(good && said.contains(&format!("{} rules found", all.len())), "{said}");
    }
    // What its tests say of series is true of those that there are.
    let tested = read("alerts_test.yml");
    for line in tested.lines().filter_map(|line| line.trim().strip_prefix("- series: '")) {
        let Some((name, labels)) = line.trim_end_matches('\'').split_once('{').filter(|(name, _)| *name != "up") else {
            continue;
        };
        let own = ["instance", "job"];
        let labels = labels.trim_end_matches('}').split(',').map(|label| label.split_once('=').unwrap().0);
        let labels: BTreeSet<&str> = labels.filter(|label| !own.contains(label)).collect();
        let exported = page.series.keys().chain(together.series.keys()).filter(|(other, _)| other == name);
        let mut exported = exported.map(|(_, labels)| labels.keys().map(String::as_str).collect::<BTreeSet<_>>());
        assert!(exported.any(|exported| exported == labels), "{name} never has exactly {labels:?}");
    }
}

#[test]
fn each_alert_fires_and_its_neighbour_does_not() {
    let (rules, tests) = (read("alerts.yml"), read("alerts_test.yml"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 9, "{alerts:?}");
    for alert in &alerts {
        let both = ["", " without tenant labels"];
        let plain = ["TributaryDown", "TributaryDeadLettersFull", "TributarySinkHolds", "TributaryMisconfigured"];
        let settings = if plain.contains(alert) { &both[..1] } else { &both[..] };
        let cases = settings.iter().flat_map(|how| [format!("fires{how}"), format!("its neighbour{how}")]);
        for case in cases {
            assert!(tests.contains(&format!("- name: \"{alert}: {case}\"")), "{alert}: no test that shows {case}");
        }
    }
    assert_eq!(rules.matches("summary: ").count(), alerts.len());
    assert_eq!(rules.matches("description: ").count(), alerts.len());
    let judged = |folder: &Path, arguments: &[&str]| promtool(folder, arguments, "");
    for arguments in [
        &["check", "rules", "alerts.yml"][..],
        &["test", "rules", "alerts_test.yml"],
        &["check", "config", "--syntax-only", "prometheus.yml"],
    ] {
        let Some((good, said)) = judged(&folder(), arguments) else { return };
        assert!(good, "{arguments:?}: {said}");
    }
    // A rule that fires too early is found.
    let other = tempfile::tempdir().unwrap();
    let eager = rules.replace("sink_holding_positions == 1", "sink_in_trouble == 1");
    assert_ne!(eager, rules);
    std::fs::write(other.path().join("alerts.yml"), eager).unwrap();
    std::fs::write(other.path().join("alerts_test.yml"), tests).unwrap();
    let (good, said) = judged(other.path(), &["test", "rules", "alerts_test.yml"]).unwrap();
    assert!(!good && said.contains("TributarySinkHolds"), "{said}");
}
