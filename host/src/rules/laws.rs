//! What holds of any line of JSON under any rules that hide something: the result is JSON, hidden is what a plain reading of
//! the rules says, and everything else is byte for byte as it was. Lines and rules are random, by seed.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::value::RawValue;

use super::*;
use crate::deliver::{Batch, Head, Origin};

const LINES: u64 = 3_000;

/// Names, some of them spelled in several ways.
const NAMES: [&str; 8] = ["a", "b", "a.b", "", "é", "metadata", "uid", "x\\\"y"];

/// Paths, and the same as steps: a number is an index, `*` every element, anything else a key.
const FIELDS: [(&str, &[&str]); 9] = [
    ("a", &["a"]),
    ("a.b", &["a", "b"]),
    ("\"a.b\".a", &["a.b", "a"]),
    ("b[0]", &["b", "0"]),
    ("b[*].a", &["b", "*", "a"]),
    ("[1]", &["1"]),
    ("\"\"", &[""]),
    ("é", &["é"]),
    ("\"x\\\"y\"", &["x\"y"]),
];

const PATTERNS: [&str; 10] =
    ["a", "[a-c]+", "x*", "^.", ".$", r"\d+", "(a)|b(c)", "((.)b)", r"\bé|\n|/", r#"[\\"]+|true|<"#];

const TEXTS: [&str; 5] = ["****", "", "<\"\\\n>", "a", "é1"];

fn pick<T: Copy>(random: &mut StdRng, of: &[T]) -> T {
    of[random.random_range(0..of.len())]
}

fn space(random: &mut StdRng, out: &mut String) {
    if random.random_ratio(1, 8) {
        *out += pick(random, &[" ", "  ", "\t", "\r"]);
    }
}

/// A string, each character in one of its spellings.
fn string(random: &mut StdRng, text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        let plain = !matches!(character, '"' | '\\' | '\0'..='\u{1f}');
        match random.random_range(0..12) {
            0 => character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| *out += &format!("\\u{unit:04x}")),
            1 if character == '/' => *out += "\\/",
            _ if plain => out.push(character),
            _ => {
                let quoted = serde_json::to_string(&character).unwrap();
                *out += &quoted[1..quoted.len() - 1];
            }
        }
    }
    out.push('"');
}

fn value(random: &mut StdRng, depth: u32, out: &mut String) {
    space(random, out);
    match random.random_range(0..if depth > 4 { 6 } else { 10 }) {
        0 => *out += pick(random, &["0", "-0", "12", "1.50e+01", "-7E-2", "123456789012345678901234567890"]),
        1 => *out += pick(random, &["true", "false", "null"]),
        2..=5 => {
            let characters =
                ["a", "b", "c", "x", "1", "é", "\u{1f600}", "\"", "\\", "/", "\n", "\0", " ", "abc", "true"];
            let length = random.random_range(0..8);
            let text: String = (0..length).map(|_| pick(random, &characters)).collect();
            string(random, &text, out);
        }
        6 | 7 => {
            let count = random.random_range(0..4);
            out.push('[');
            for at in 0..count {
                *out += if at > 0 { "," } else { "" };
                value(random, depth + 1, out);
            }
            out.push(']');
        }
        _ => {
            let count = random.random_range(0..5);
            out.push('{');
            for at in 0..count {
                *out += if at > 0 { "," } else { "" };
                space(random, out);
                let name: String = serde_json::from_str(&format!("\"{}\"", pick(random, &NAMES))).unwrap();
                string(random, &name, out);
                space(random, out);
                out.push(':');
                value(random, depth + 1, out);
            }
            out.push('}');
        }
    }
    space(random, out);
}

/// A rule, and the steps of its field.
fn rule(random: &mut StdRng, index: usize) -> (Rule, &'static [&'static str]) {
    let (path, steps) = pick(random, &FIELDS);
    let field = random.random_ratio(1, 2);
    let conditions = Conditions {
        pattern: (!field || random.random_ratio(1, 2)).then(|| Pattern::compile(pick(random, &PATTERNS)).unwrap()),
        field: field.then(|| Field::parse(path).unwrap()),
        ..Conditions::default()
    };
    let action = match random.random_range(0..3) {
        0 => Action::Hash(Key::new(String::from("a key").into())),
        _ => Action::Mask(Replacement::new(pick(random, &TEXTS))),
    };
    (Rule { name: index.to_string(), action, conditions }, if field { steps } else { &[] })
}

/// The scalars below `value` that `steps` lead to, by where they stand in `line`.
fn reached(line: &str, value: &RawValue, steps: &[&str], found: &mut Vec<usize>) {
    let text = value.get();
    match (text.as_bytes()[0], steps) {
        (b'{', _) => {
            for (name, value) in members(text) {
                match steps.split_first() {
                    None => reached(line, value, &[], found),
                    Some((step, rest)) if *step == name => reached(line, value, rest, found),
                    Some(_) => {}
                }
            }
        }
        (b'[', _) => {
            for (at, value) in serde_json::from_str::<Vec<&RawValue>>(text).unwrap().into_iter().enumerate() {
                match steps.split_first() {
                    None => reached(line, value, &[], found),
                    Some((&"*", rest)) => reached(line, value, rest, found),
                    Some((step, rest)) if step.parse() == Ok(at) => reached(line, value, rest, found),
                    Some((step, _)) if step.parse::<usize>().is_ok() => {}
                    Some(_) => reached(line, value, steps, found),
                }
            }
        }
        (_, []) => found.push(text.as_ptr() as usize - line.as_ptr() as usize),
        _ => {}
    }
}

/// Members in their order, none left out.
fn members(text: &str) -> Vec<(String, &RawValue)> {
    struct Members<'a>(Vec<(String, &'a RawValue)>);
    impl<'de> serde::de::Visitor<'de> for Members<'de> {
        type Value = Vec<(String, &'de RawValue)>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
            while let Some(member) = map.next_entry()? {
                self.0.push(member);
            }
            Ok(self.0)
        }
    }
    serde::Deserializer::deserialize_map(&mut serde_json::Deserializer::from_str(text), Members(Vec::new())).unwrap()
}

/// A value's text after one rule; `None` if it stays.
fn replaced(rule: &Rule, text: &str) -> Option<String> {
    let new = |part: &str| match &rule.action {
        Action::Mask(replacement) => serde_json::from_str(&format!("\"{}\"", replacement.spelled)).unwrap(),
        Action::Hash(key) => {
            let mut hash = String::new();
            key.hash(part, &mut hash);
            hash
        }
        Action::Include | Action::Exclude => unreachable!("the rules hide"),
    };
    let Some(pattern) = &rule.conditions.pattern else { return Some(new(text)) };
    let regex = pattern.regex();
    let mut hidden: Vec<std::ops::Range<usize>> = Vec::new();
    for captures in regex.captures_iter(text) {
        let groups = if regex.captures_len() > 1 { 1.. } else { 0.. };
        for group in groups.map_while(|group| (group < captures.len()).then(|| captures.get(group))).flatten() {
            let inside = hidden.iter().any(|known| known.start <= group.start() && group.end() <= known.end);
            if !group.is_empty() && !inside {
                hidden.push(group.range());
            }
        }
    }
    let mut out = text.to_owned();
    hidden.sort_by_key(|part| std::cmp::Reverse(part.start));
    for part in &hidden {
        out.replace_range(part.clone(), &new(&text[part.clone()]));
    }
    (!hidden.is_empty()).then_some(out)
}

/// Every scalar of `line`, and what stands around them.
fn taken_apart(line: &str) -> (Vec<usize>, Vec<&str>, Vec<&str>) {
    let (mut places, mut around, mut scalars, mut end) = (Vec::new(), Vec::new(), Vec::new(), 0);
    reached(line, serde_json::from_str(line).unwrap(), &[], &mut places);
    for &begin in &places {
        around.push(&line[end..begin]);
        let mut values = serde_json::Deserializer::from_str(&line[begin..]).into_iter::<&RawValue>();
        let scalar = values.next().unwrap().unwrap().get();
        scalars.push(scalar);
        end = begin + scalar.len();
    }
    around.push(&line[end..]);
    (places, around, scalars)
}

fn apply(rules: &[Rule], line: &str) -> Applied {
    let origin = Origin { source: "a".into(), tenant: "t".into(), stream: "s".into() };
    let head =
        Head { id: 1, time: 0, kind: 0, class: 0, severity: 0, alert_key: None, begin: 0, end: line.len() as u32 + 1 };
    let batch = Arc::new(Batch { origin, bodies: format!("{line}\n").into(), events: vec![head] });
    let applied = Rules::new(rules.to_vec()).bind("s", &["k"]).apply(&batch);
    assert_eq!(applied.changed.is_empty(), Arc::ptr_eq(&batch, &applied.batch) || applied.batch.is_empty());
    applied
}

fn body(applied: &Applied) -> &str {
    let [head] = applied.batch.events.as_slice() else { panic!("{applied:?}") };
    let body = std::str::from_utf8(&applied.batch.bodies[head.begin as usize..head.end as usize]).unwrap();
    body.strip_suffix('\n').filter(|line| !line.contains('\n')).unwrap()
}

#[test]
fn what_no_rule_hides_is_as_it_was() {
    let mut changes = 0;
    for seed in 0..LINES {
        let random = &mut StdRng::seed_from_u64(seed);
        let mut line = String::new();
        value(random, 0, &mut line);
        let rules: Vec<_> = (0..random.random_range(1..4)).map(|index| rule(random, index)).collect();
        let (places, around, scalars) = taken_apart(&line);
        let applied = apply(&rules.iter().map(|(rule, _)| rule.clone()).collect::<Vec<_>>(), &line);
        let new = body(&applied);
        let (_, new_around, new_scalars) = taken_apart(new);
        let case = || format!("seed {seed}\n{rules:?}\n{line}\n{new}");
        assert_eq!(around, new_around, "{}", case());
        for ((place, old), new) in places.iter().zip(&scalars).zip(&new_scalars) {
            let mut text = serde_json::from_str::<String>(old).unwrap_or_else(|_| (*old).to_owned());
            let mut changed = false;
            for (rule, steps) in &rules {
                let mut found = Vec::new();
                reached(&line, serde_json::from_str(&line).unwrap(), steps, &mut found);
                if *old != "null"
                    && found.contains(place)
                    && let Some(replaced) = replaced(rule, &text)
                {
                    (text, changed) = (replaced, true);
                }
            }
            changes += u32::from(changed);
            if changed {
                assert_eq!(serde_json::from_str::<String>(new).unwrap(), text, "{}", case());
            } else {
                assert_eq!(old, new, "{}", case());
            }
        }
    }
    assert!(changes > LINES as u32 / 2, "the lines and rules have something to do with each other: {changes}");
}

#[test]
fn what_is_no_json_does_not_go_on_changed() {
    let (mut refused, mut changed) = (0, 0);
    for seed in 0..LINES {
        let random = &mut StdRng::seed_from_u64(seed);
        let mut line = String::new();
        value(random, 0, &mut line);
        let mut characters: Vec<char> = line.chars().collect();
        for _ in 0..random.random_range(1..3) {
            let at = random.random_range(0..characters.len().max(1));
            let odd = pick(random, &['"', '\\', '{', '}', '[', ']', ',', ':', 'a', '1', 'u', '\u{1}', 'é', ' ']);
            match random.random_range(0..3) {
                0 if at < characters.len() => drop(characters.remove(at)),
                1 if at < characters.len() => characters[at] = odd,
                _ => characters.insert(at.min(characters.len()), odd),
            }
        }
        let line: String = characters.into_iter().collect();
        let rules: Vec<Rule> = (0..random.random_range(1..4)).map(|index| rule(random, index).0).collect();
        let applied = apply(&rules, &line);
        let good = serde_json::from_str::<serde::de::IgnoredAny>(&line).is_ok();
        assert!(applied.filtered.is_empty());
        match applied.refused.as_slice() {
            [] if !applied.changed.is_empty() => {
                assert!(good, "seed {seed}: {line}");
                serde_json::from_str::<serde::de::IgnoredAny>(body(&applied)).unwrap();
                changed += 1;
            }
            [] => assert_eq!(body(&applied), line),
            [one] => {
                assert!(!good && one.hidden && applied.batch.is_empty() && applied.changed.is_empty(), "{line}");
                refused += 1;
            }
            _ => panic!("one event is refused twice: {line}"),
        }
    }
    assert!(refused > 100 && changed > 100, "{refused} {changed}");
}
