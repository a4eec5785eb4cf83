//! `rules` of a source or of a sink.
//!
//! ```toml
//! [[sinks.lake.rules]]
//! type = "mask"
//! name = "passwords"
//! kinds = ["audit*"]
//! pattern = "password=(\\S+)"
//! ```

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use zeroize::Zeroizing;

use super::declaration::{Group, Table, choice, secret, text, text_or, texts};
use super::interpolate::join;
use super::problem::{Problem, listed, suggestion};
use super::section::Section;
use crate::rules::{Action, Conditions, Fault, Field, IDENTITY, Key, Pattern, Replacement, Rule, Rules};
use crate::template::SEVERITIES;

/// More are a program, and every event pays for each of them.
const MOST_RULES: usize = 100;

/// As in Sumo Logic's masks no length is told, and nobody takes it for a value.
const REPLACEMENT: &str = "****";
const LONGEST_REPLACEMENT: usize = 256;

/// With fewer bytes, a key is found by trying: RFC 2104 wants as many as the hash has.
const SHORTEST_KEY: usize = 16;

const TYPES: [&str; 4] = ["include", "exclude", "mask", "hash"];

pub static RULE: Table = Table::new(
    "rules",
    "What is done with events before they go on, one rule after the other. At least one condition must be set, and all \
     that are set must hold.",
    &[&Group::of(&[
        choice(
            "type",
            &TYPES,
            None,
            "`include` lets only fitting events pass, `exclude` keeps them back, `mask` replaces what `pattern` or `field` \
             finds in them, `hash` puts a keyed hash there.",
        )
        .required(),
        text("name", "What the rule is counted under: 1 to 64 letters, digits, `-`, `_` or `.`. Its place in the list if absent."),
        texts("streams", "Condition: names of streams, in which `*` stands for any characters."),
        texts("kinds", "Condition: names of kinds of events, written the same way."),
        choice("severity_at_least", &SEVERITIES, None, "Condition: the least severity."),
        text(
            "pattern",
            "Condition: a regular expression that fits somewhere in the event, or in `field`. `mask` and `hash` replace what \
             its groups hold, or all that fits if it has none.",
        ),
        text("field", "Condition: a field that the event has, such as `actor.user.email_addr` or `labels.\"a.b\"[0]`."),
        text_or("replacement", REPLACEMENT, "Of `mask`: what stands there instead. At most 256 bytes; it may be empty."),
        secret("key", "Of `hash`: the key, at least 16 bytes. Required there."),
    ])],
);

/// Reads the rules of all sources and sinks.
#[derive(Default)]
pub struct Reader {
    /// Those of templates are the same in every source.
    patterns: RefCell<BTreeMap<String, Result<Pattern, Fault>>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Reader {
    /// Takes `rules` of a source's or sink's table. A rule that is wrong is left out, with the problem said.
    pub fn take(&self, section: &mut Section<'_>) -> Rules {
        let (mut rules, mut names) = (Vec::new(), BTreeSet::new());
        section.tables("rules", |index, mut section| {
            if index == MOST_RULES {
                let hint = "Put several patterns into one with `|`, or leave the work to what comes behind the sink";
                section.fault("", format!("there are more than {MOST_RULES} rules"), Some(hint.into()));
            }
            if index >= MOST_RULES {
                return;
            }
            let name = name(&mut section, index);
            if !names.insert(name.clone()) {
                let message = format!("another rule of the list is called `{name}` too");
                section.fault("name", message, Some("Rules are counted by their names: give each its own".into()));
            }
            rules.extend(self.rule(name, section));
        });
        Rules::new(rules)
    }

    /// Gives what is suspicious, and has not been given yet.
    pub fn warnings(&self) -> Vec<Problem> {
        self.warnings.take()
    }

    fn rule(&self, name: String, mut section: Section<'_>) -> Option<Rule> {
        let kind = kind(&mut section);
        let hides = matches!(kind, Some("mask" | "hash"));
        let before = section.problems();
        let given =
            ["streams", "kinds", "severity_at_least", "pattern", "field"].map(|key| section.peek(key).is_some());
        let conditions = Conditions {
            streams: globs("streams", &mut section),
            kinds: globs("kinds", &mut section),
            severity_at_least: severity("severity_at_least", &mut section),
            pattern: self.pattern(&mut section),
            field: field(&mut section, hides),
        };
        let [.., pattern, field] = given;
        if !given.contains(&true) {
            let hint = "Set `pattern`, `field`, `kinds`, `streams` or `severity_at_least`";
            section.fault("", "says nothing about which events it looks at", Some(hint.into()));
        } else if hides && !pattern && !field {
            let hint = "Set `pattern` or `field`";
            section.fault("", "says nothing about what it replaces", Some(hint.into()));
        }
        let action = match kind {
            Some("include") => Some(Action::Include),
            Some("exclude") => Some(Action::Exclude),
            Some("mask") => Some(Action::Mask(replacement(&mut section))),
            Some("hash") => self.key(&mut section).map(Action::Hash),
            _ => {
                // Without a type nobody can say whether they are wrong.
                section.take("replacement");
                section.take("key");
                None
            }
        };
        let wrong = section.problems() > before;
        section.close();
        (!wrong).then_some(())?;
        Some(Rule { name, action: action?, conditions })
    }

    fn pattern(&self, section: &mut Section<'_>) -> Option<Pattern> {
        let text = match section.take("pattern")? {
            Value::String(text) => text,
            _ => {
                section.fault(
                    "pattern",
                    "must be a text",
                    Some("Write it in single quotation marks: pattern = '...'".into()),
                );
                return None;
            }
        };
        let mut patterns = self.patterns.borrow_mut();
        let compiled = patterns.entry(text).or_insert_with_key(|text| Pattern::compile(text)).clone();
        compiled.map_err(|fault| section.fault("pattern", fault.message, Some(fault.hint.into()))).ok()
    }

    fn key(&self, section: &mut Section<'_>) -> Option<Key> {
        if section.peek("key").is_none() {
            let hint = "Make one with `openssl rand -hex 32`, and write key = \"SECRET[backend.key]\" or \"${NAME}\"";
            section.fault("key", "is required", Some(hint.into()));
            section.take("key");
            return None;
        }
        let secret = Zeroizing::new(section.text("key")?);
        if secret.len() < SHORTEST_KEY {
            let message =
                format!("has fewer than {SHORTEST_KEY} bytes, so what was hashed can be found by trying keys");
            let problem = Problem::new(section.step(), join(section.path(), "key"), message);
            self.warnings.borrow_mut().push(problem.hint("Make a longer one with `openssl rand -hex 32`"));
        }
        Some(Key::new(secret))
    }
}

fn name(section: &mut Section<'_>, index: usize) -> String {
    let default = format!("rules[{index}]");
    if section.peek("name").is_none() {
        section.take("name");
        return default;
    }
    let Some(name) = section.text("name") else { return default };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.len() > 64 || !name.chars().all(good) {
        let hint = "Rename it, or remove `name`: then the rule is called by its number";
        section.fault("name", "must be 1 to 64 letters, digits, `-`, `_` or `.`", Some(hint.into()));
        return default;
    }
    name
}

fn kind(section: &mut Section<'_>) -> Option<&'static str> {
    let given = section.take("type");
    let found = TYPES.into_iter().find(|known| given.as_ref().and_then(Value::as_str) == Some(known));
    if found.is_none() {
        match given.as_ref().map(Value::as_str) {
            None => section.fault("type", "is required", Some(format!("Set it to one of {}", listed(&TYPES)))),
            Some(text) => {
                let hint =
                    text.and_then(|text| suggestion(text, &TYPES)).unwrap_or_else(|| "Choose one of these".into());
                section.fault("type", format!("must be one of {}", listed(&TYPES)), Some(hint));
            }
        }
    }
    found
}

fn globs(key: &'static str, section: &mut Section<'_>) -> Vec<String> {
    let globs = section.texts(key);
    if globs.as_ref().is_some_and(|globs| globs.is_empty() || globs.iter().any(String::is_empty)) {
        section.fault(key, "must not be empty", Some("Leave it out to mean all; `*` stands for any characters".into()));
    }
    globs.unwrap_or_default()
}

/// From 0 (unknown, and the default) to 6 (fatal).
pub(super) fn severity(key: &'static str, section: &mut Section<'_>) -> u8 {
    let known: Vec<(&'static str, u8)> = SEVERITIES.into_iter().zip(0..).collect();
    section.choice(key, &known)
}

fn field(section: &mut Section<'_>, hides: bool) -> Option<Field> {
    let text = section.text("field")?;
    match Field::parse(&text) {
        Err(fault) => {
            section.fault("field", fault.message, Some(fault.hint.into()));
            None
        }
        Ok(field) => {
            if hides
                && let Some((object, member)) = IDENTITY.iter().find(|(object, member)| field.names(object, member))
            {
                let message = format!("`{object}.{member}` is the event's identity, by which repeats are known");
                let hint = "Hide the fields that it is made of instead: it is a keyless hash of the record";
                section.fault("field", message, Some(hint.into()));
            }
            Some(field)
        }
    }
}

/// It may be empty.
fn replacement(section: &mut Section<'_>) -> Replacement {
    let text = match section.take("replacement") {
        None => REPLACEMENT.to_owned(),
        Some(Value::String(text)) => text,
        Some(_) => {
            section.fault(
                "replacement",
                "must be a text",
                Some(format!("Write it in quotation marks, or remove it: the default is {REPLACEMENT}")),
            );
            REPLACEMENT.to_owned()
        }
    };
    if text.len() > LONGEST_REPLACEMENT {
        let hint = format!("Shorten it, or remove it: the default is {REPLACEMENT}");
        section.fault("replacement", format!("must be at most {LONGEST_REPLACEMENT} bytes"), Some(hint));
    }
    Replacement::new(&text)
}

/// Where a rule's key is written out in a configuration that is not filled in yet.
pub(super) fn key_written_out(tree: &Value) -> Option<String> {
    let tables = ["sources", "templates", "sinks"].into_iter();
    let mut tables = tables.filter_map(|kind| Some((kind, tree.get(kind)?.as_object()?)));
    tables.find_map(|(kind, tables)| {
        tables.iter().find_map(|(id, table)| {
            let mut rules = table.get("rules")?.as_array()?.iter().enumerate();
            let plain = |text: &str| !text.contains("${") && !text.contains("SECRET[");
            let (index, _) = rules.find(|(_, rule)| rule.get("key").and_then(Value::as_str).is_some_and(plain))?;
            Some(join(kind, &join(id, &format!("rules[{index}].key"))))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigError, Format, Loaded, parse};
    use super::*;

    fn read(source: &str, sink: &str) -> Result<Loaded, ConfigError> {
        let text = format!(
            "[sources.a]\ntype = \"mimecast\"\n{source}\n[sinks.lake]\ntype = \"stdout\"\ninputs = [\"*\"]\n{sink}\n"
        );
        parse(&text, Format::Toml, "t.toml", &|name| (name == "PEPPER").then(|| "hunter2-hunter2-".to_owned()))
    }

    /// What is wrong with one rule, without the place of the rule.
    fn problems(rule: &str) -> Vec<String> {
        let error = read("", &format!("rules = [{{ type = 'include', streams = 's' }}, {{ {rule} }}]")).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        let texts = error.problems.iter().map(ToString::to_string);
        texts.map(|text| text.strip_prefix("sinks.lake.rules[1]").unwrap_or(&text).to_owned()).collect()
    }

    #[test]
    fn rules_of_sources_and_sinks() {
        let sink = r#"
            [[sinks.lake.rules]]
            type = "mask"
            name = "pass-words_1.a"
            kinds = ["audit*"]
            streams = "*"
            severity_at_least = "critical"
            pattern = "password=(.*)"
            field = 'labels."a.b"[0]'
            [[sinks.lake.rules]]
            type = "hash"
            field = "user"
            key = "${PEPPER}"
        "#;
        let Loaded { config, warnings, .. } = read("rules = [{ type = 'exclude', pattern = 'x' }]", sink).unwrap();
        let source = &config.sources["a"];
        assert_eq!(source.rules.names().collect::<Vec<_>>(), ["rules[0]"]);
        assert_eq!(source.rules.as_slice()[0].action, Action::Exclude);
        assert!(!source.settings.as_json().contains("rules"), "they are the host's, not the component's");
        let rules = &config.sinks["lake"].rules;
        assert_eq!(rules.names().collect::<Vec<_>>(), ["pass-words_1.a", "rules[1]"]);
        assert_eq!(rules.as_slice()[0].action, Action::Mask(Replacement::new("****")));
        let conditions = Conditions {
            streams: vec!["*".into()],
            kinds: vec!["audit*".into()],
            severity_at_least: 5,
            pattern: Some(Pattern::compile("password=(.*)").unwrap()),
            field: Some(Field::parse("labels.\"a.b\"[0]").unwrap()),
        };
        assert_eq!(rules.as_slice()[0].conditions, conditions);
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(warnings.is_empty(), "{warnings:?}");
        assert!(read("", "").unwrap().config.sinks["lake"].rules.is_empty());
        assert!(read("rules = []", "").unwrap().config.sources["a"].rules.is_empty());
    }

    #[test]
    fn lists_are_equal_if_the_same_is_written() {
        let rules =
            |text: &str| read("", &format!("rules = [{{ {text} }}]")).unwrap().config.sinks["lake"].rules.clone();
        let hash = "type = 'hash', field = 'a', key = '0123456789abcdef'";
        assert_eq!(rules(hash), rules(hash));
        for other in [
            "type = 'hash', field = 'a', key = '0123456789abcdeg'",
            "type = 'hash', field = 'b', key = '0123456789abcdef'",
            "type = 'hash', field = 'a', key = '0123456789abcdef', pattern = 'x'",
            "type = 'hash', field = 'a', key = '0123456789abcdef', name = 'x'",
            "type = 'mask', field = 'a'",
        ] {
            assert_ne!(rules(hash), rules(other));
            assert_eq!(rules(other), rules(other));
        }
        let pattern = |text: &str| rules(&format!("type = 'exclude', pattern = '{text}'"));
        assert_ne!(pattern("a"), pattern("b"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (rule, expected) in [
            ("pattern = 'x'", ".type: is required. Set it to one of `include`, `exclude`, `mask`, `hash`"),
            (
                "type = 'maks', pattern = 'x', key = 'y'",
                ".type: must be one of `include`, `exclude`, `mask`, `hash`. Did you mean `mask`?",
            ),
            ("type = 'exclude'", ": says nothing about which events it looks at. Set `pattern`"),
            ("type = 'mask', kinds = ['a']", ": says nothing about what it replaces. Set `pattern` or `field`"),
            (
                "type = 'exclude', pattern = 'hunter2('",
                ".pattern: is no regular expression: unclosed group, at byte 7. Write it in the syntax",
            ),
            (
                "type = 'exclude', pattern = '\\w{1,200}'",
                ".pattern: takes more than 2 MiB when it is compiled. Use smaller",
            ),
            ("type = 'exclude', pattern = ''", ".pattern: must not be empty"),
            ("type = 'exclude', pattern = 5", ".pattern: must be a text"),
            ("type = 'exclude', patern = 'x', field = 'a'", ".patern: unknown key. Did you mean `pattern`?"),
            ("type = 'exclude', field = 'a..b'", ".field: a name is missing. Write it like actor"),
            ("type = 'exclude', kinds = []", ".kinds: must not be empty"),
            ("type = 'exclude', streams = ['']", ".streams: must not be empty"),
            ("type = 'exclude', streams = 7", ".streams: must be a list of texts"),
            (
                "type = 'exclude', severity_at_least = 'hihg'",
                ".severity_at_least: must be one of `unknown`, `informational`, `low`, `medium`, `high`, `critical`, `fatal`. Did you mean `high`?",
            ),
            ("type = 'exclude', field = 'a', replacement = 'x'", ".replacement: is of no use beside"),
            ("type = 'mask', field = 'a', replacement = 5", ".replacement: must be a text"),
            ("type = 'mask', field = 'a', key = 'x'", ".key: is of no use beside"),
            ("type = 'hash', field = 'a'", ".key: is required. Make one with `openssl rand -hex 32`"),
            ("type = 'hash', field = 'a', key = ''", ".key: must not be empty"),
            ("type = 'hash', field = 'a', key = '${NONE}'", ".key: the environment variable NONE is not set"),
            (
                "type = 'hash', field = 'metadata.uid', key = '${PEPPER}'",
                ".field: `metadata.uid` is the event's identity, by which repeats are known. ",
            ),
            ("type = 'mask', field = 'event.\"hash\"'", ".field: `event.hash` is the event's identity"),
            ("type = 'exclude', field = 'a', name = 'rules[1]'", ".name: must be 1 to 64 letters"),
            ("type = 'exclude', field = 'a', name = ''", ".name: must not be empty"),
        ] {
            let rule = rule.replace("'event.\"hash\"'", "\"event.\\\"hash\\\"\"");
            let found = problems(&rule);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{rule}\n{found:#?}");
        }
        // Their lawful neighbours.
        for rule in [
            "type = 'include', field = 'metadata.uid'",
            "type = 'mask', field = 'metadata.uids'",
            "type = 'mask', field = 'event'",
            "type = 'mask', field = 'a', replacement = ''",
            "type = 'exclude', severity_at_least = 'unknown'",
        ] {
            assert!(read("", &format!("rules = [{{ {rule} }}]")).is_ok(), "{rule}");
        }
    }

    #[test]
    fn lists_have_a_shape() {
        let found = |sink: &str| read("", sink).unwrap_err().to_string();
        assert!(
            found("rules = 5").starts_with("sinks.lake.rules: must be a list of tables. Write"),
            "{}",
            found("rules = 5")
        );
        assert!(found("rules = [5]").starts_with("sinks.lake.rules[0]: must be a table. Write"));
        let twice =
            "rules = [{ type = 'exclude', field = 'a', name = 'x' }, { type = 'exclude', field = 'b', name = 'x' }]";
        assert!(found(twice).starts_with("sinks.lake.rules[1].name: another rule of the list is called `x` too"));
        let many = |count: usize| format!("rules = [{}]", "{ type = 'exclude', field = 'a' },".repeat(count));
        assert!(read("", &many(MOST_RULES)).is_ok());
        assert!(found(&many(MOST_RULES + 9)).starts_with("sinks.lake.rules[100]: there are more than 100 rules"));
    }

    #[test]
    fn short_and_written_keys_are_warned_of() {
        let rule = |key: &str| format!("rules = [{{ type = 'hash', field = 'a', key = '{key}' }}]");
        let warnings = read(&rule("hunter2"), "").unwrap().warnings;
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].to_string().starts_with("sources.a.rules[0].key: has fewer than 16 bytes"), "{warnings:?}");
        for (key, expected) in [("plain", Some("sources.a.rules[0].key")), ("${A}", None), ("SECRET[a.b]", None)] {
            let tree = serde_json::json!({"sources": {"a": {"rules": [{"type": "hash", "key": key}]}}});
            assert_eq!(key_written_out(&tree).as_deref(), expected);
        }
    }
}
