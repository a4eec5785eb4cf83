//! Rules on events, as a configuration has them.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::budget::{Budget, Limits};
use super::*;
use crate::config::{self, Format};
use crate::deliver::{Batch, Head, Origin};

const KINDS: [&str; 3] = ["siem.receipt", "siem.delivery", "audit"];

/// The rules of a sink, of which `text` is what stands between the brackets.
fn rules(text: &str) -> Rules {
    let text =
        format!("[sources.a]\ntype = \"mimecast\"\n[sinks.s]\ntype = \"stdout\"\ninputs = [\"*\"]\nrules = [{text}]\n");
    let loaded = config::parse(&text, Format::Toml, "t.toml", &|_| None).unwrap_or_else(|error| panic!("{error}"));
    loaded.config.sinks["s"].rules.clone()
}

/// Events of the kinds and severities 0, 1, 2, 0, ... with the ids 1, 2, 3, ...
fn batch(bodies: &[&str]) -> Arc<Batch> {
    let origin = Origin { source: "a".into(), tenant: "t".into(), stream: "siem/all".into() };
    let (mut text, mut events) = (String::new(), Vec::new());
    for (index, body) in bodies.iter().enumerate() {
        let begin = text.len() as u32;
        text += body;
        text += "\n";
        let (kind, end) = ((index % 3) as u32, text.len() as u32);
        let id = index as u128 + 1;
        events.push(Head { id, time: 7, kind, class: 1, severity: kind as u8, alert_key: None, begin, end });
    }
    Arc::new(Batch { origin, bodies: Bytes::from(text), events })
}

fn apply(text: &str, batch: &Arc<Batch>) -> Applied {
    rules(text).bind("siem/all", &KINDS).apply(batch)
}

fn bodies(batch: &Batch) -> Vec<&str> {
    let line = |head: &Head| std::str::from_utf8(&batch.bodies[head.begin as usize..head.end as usize - 1]).unwrap();
    batch.events.iter().map(line).collect()
}

fn ids(applied: &Applied) -> Vec<u128> {
    applied.batch.events.iter().map(|event| event.id).collect()
}

/// What becomes of one body of the first kind.
fn body(rule: &str, given: &str) -> String {
    let applied = apply(rule, &batch(&[given]));
    assert!(applied.refused.is_empty() && applied.filtered.is_empty(), "{applied:?}");
    let changed = bodies(&applied.batch)[0] != given;
    assert_eq!(applied.changed, if changed { vec![(0, 1)] } else { vec![] });
    serde_json::from_str::<serde::de::IgnoredAny>(bodies(&applied.batch)[0]).unwrap();
    bodies(&applied.batch)[0].to_owned()
}

#[test]
fn no_rule_is_no_work() {
    let batch = batch(&[r#"{"a":1}"#, "no JSON"]);
    let applied = Rules::default().bind("siem/all", &KINDS).apply(&batch);
    assert!(Arc::ptr_eq(&batch, &applied.batch));
    assert!(Rules::default().is_empty() && Rules::default().bind("s", &KINDS).is_empty());
    assert_eq!((applied.parsed, applied.filtered, applied.changed, applied.refused), (0, vec![], vec![], vec![]));
}

#[test]
fn heads_are_enough_without_a_pattern() {
    let batch = batch(&["no", "JSON", "at", "all"]);
    for (rule, expected) in [
        (r#"{ type = "include", severity_at_least = "informational" }"#, vec![2, 3]),
        (r#"{ type = "exclude", severity_at_least = "low" }"#, vec![1, 2, 4]),
        (r#"{ type = "include", severity_at_least = "unknown" }"#, vec![1, 2, 3, 4]),
        (r#"{ type = "include", kinds = ["audit", "*.receipt"] }"#, vec![1, 3, 4]),
        (r#"{ type = "exclude", kinds = "siem.*" }"#, vec![3]),
        (r#"{ type = "include", kinds = ["dlp"] }"#, vec![]),
        (r#"{ type = "exclude", kinds = ["dlp"] }"#, vec![1, 2, 3, 4]),
        (r#"{ type = "include", streams = ["siem/*"] }"#, vec![1, 2, 3, 4]),
        (r#"{ type = "include", streams = ["audit"] }"#, vec![]),
        (r#"{ type = "exclude", streams = ["siem/*"] }"#, vec![]),
        (r#"{ type = "exclude", streams = ["audit"] }"#, vec![1, 2, 3, 4]),
        (r#"{ type = "include", kinds = ["siem.*"], severity_at_least = "informational" }"#, vec![2]),
        (r#"{ type = "exclude", kinds = ["siem.*"], severity_at_least = "informational" }"#, vec![1, 3, 4]),
    ] {
        let applied = apply(rule, &batch);
        assert_eq!(ids(&applied), expected, "{rule}");
        assert_eq!(applied.parsed, 0);
        assert_eq!(applied.batch.bodies.as_ptr(), batch.bodies.as_ptr(), "the bodies are shared");
        assert_eq!(Arc::ptr_eq(&applied.batch, &batch), expected.len() == 4);
        let left_out = 4 - expected.len() as u64;
        assert_eq!(applied.filtered, if left_out > 0 { vec![(0, left_out)] } else { vec![] });
    }
}

#[test]
fn rules_that_match_nothing_of_a_stream_are_none() {
    for (rule, empty) in [
        (r#"{ type = "include", streams = ["siem/*"] }"#, true),
        (r#"{ type = "include", severity_at_least = "unknown" }"#, true),
        (r#"{ type = "include", streams = ["siem/*"], pattern = "x" }"#, false),
        (r#"{ type = "include", streams = ["audit"] }"#, false),
        (r#"{ type = "exclude", streams = ["audit"] }"#, true),
        (r#"{ type = "mask", pattern = "x", kinds = ["dlp"] }"#, true),
        (r#"{ type = "mask", pattern = "x", kinds = ["aud*"] }"#, false),
    ] {
        assert_eq!(rules(rule).bind("siem/all", &KINDS).is_empty(), empty, "{rule}");
    }
    let named =
        rules(r#"{ type = "exclude", kinds = ["aud*", "dlp"] }, { type = "exclude", streams = ["siem/*", "x"] }"#);
    assert_eq!(named.unknown_kinds(&KINDS), [(0, "dlp")]);
    assert_eq!(named.unknown_streams(&["siem/all"]), [(1, "x")]);
}

#[test]
fn a_pattern_without_a_field_sees_the_raw_text() {
    let batch = batch(&[r#"{"a":"x\n1"}"#, r#"{"x1":2}"#, "x1, no JSON", r#"{"a":"y"}"#]);
    let applied = apply(r#"{ type = "include", pattern = 'x1|\\n1' }"#, &batch);
    assert_eq!((ids(&applied), applied.parsed), (vec![1, 2, 3], 0));
    let applied = apply(r#"{ type = "exclude", pattern = '^\{"a".*"}$' }"#, &batch);
    assert_eq!((ids(&applied), applied.parsed), (vec![2, 3], 0));
}

#[test]
fn a_field_is_looked_at_alone() {
    let batch = batch(&[
        r#"{"a":{"b":"x"},"c":[{"d":1},{"d":"20"}]}"#,
        r#"{"a":{"b":null},"c":[]}"#,
        r#"{"b":"x"}"#,
        r#"{"a":{"b":"\u0078y","e":[true]}}"#,
    ]);
    for (rule, expected) in [
        ("field = 'a.b'", vec![1, 4]),
        ("field = 'a'", vec![1, 2, 4]),
        ("field = 'c'", vec![1, 2]),
        ("field = 'c[0]'", vec![1]),
        ("field = 'a.b', pattern = '^x'", vec![1, 4]),
        ("field = 'a', pattern = '^true$'", vec![4]),
        ("field = 'c.d', pattern = '^20$'", vec![1]),
        ("field = 'c.d', pattern = '^1$'", vec![1]),
        ("field = 'c[0].d', pattern = '20'", vec![]),
        ("field = 'c', pattern = 'd'", vec![]),
        ("field = 'b', severity_at_least = 'low'", vec![3]),
    ] {
        let include = apply(&format!("{{ type = 'include', {rule} }}"), &batch);
        assert_eq!(ids(&include), expected, "{rule}");
        let exclude = apply(&format!("{{ type = 'exclude', {rule} }}"), &batch);
        assert_eq!(ids(&exclude).len(), 4 - expected.len(), "{rule}");
        assert!(ids(&exclude).iter().all(|id| !expected.contains(id)));
        assert!(include.changed.is_empty() && include.refused.is_empty());
    }
    // What the body does not hold anywhere is found without reading it.
    assert_eq!(apply("{ type = 'exclude', field = 'c.d' }", &batch).parsed, 2);
}

#[test]
fn masks_replace_values_and_leave_the_rest_as_it_was() {
    let given = r#"{ "n" :1.50e+01,"user":"Ann <ann@x.example>", "user" : "\/\u00e9\ud83d\ude00ann@x.example\t",  "ann@x.example":null,"l":[ "bob@y.example,ann@x.example" , true ] }"#;
    let expected = r#"{ "n" :1.50e+01,"user":"Ann <****>", "user" : "\/\u00e9\ud83d\ude00****\t",  "ann@x.example":null,"l":[ "****,****" , true ] }"#;
    assert_eq!(body(r#"{ type = "mask", pattern = '[a-z]+@[a-z.]+' }"#, given), expected);
    for (rule, expected) in [
        ("pattern = '^1'", r#"{"a":"<\"\\>2","b":[true,null,"x"],"c":{"d":"<\"\\>"}}"#),
        ("pattern = 'rue|x'", r#"{"a":12,"b":["t<\"\\>",null,"<\"\\>"],"c":{"d":"1"}}"#),
        ("pattern = 'y'", r#"{"a":12,"b":[true,null,"x"],"c":{"d":"1"}}"#),
        ("pattern = 'null|a|b'", r#"{"a":12,"b":[true,null,"x"],"c":{"d":"1"}}"#),
        ("field = 'a'", r#"{"a":"<\"\\>","b":[true,null,"x"],"c":{"d":"1"}}"#),
        ("field = 'b'", r#"{"a":12,"b":["<\"\\>",null,"<\"\\>"],"c":{"d":"1"}}"#),
        ("field = 'c'", r#"{"a":12,"b":[true,null,"x"],"c":{"d":"<\"\\>"}}"#),
        ("field = 'c.e'", r#"{"a":12,"b":[true,null,"x"],"c":{"d":"1"}}"#),
        ("field = 'b[2]', pattern = 'x*'", r#"{"a":12,"b":[true,null,"<\"\\>"],"c":{"d":"1"}}"#),
        ("field = 'a', pattern = 'x*'", r#"{"a":12,"b":[true,null,"x"],"c":{"d":"1"}}"#),
    ] {
        let rule = format!(r#"{{ type = "mask", replacement = '<"\>', {rule} }}"#);
        assert_eq!(body(&rule, r#"{"a":12,"b":[true,null,"x"],"c":{"d":"1"}}"#), expected, "{rule}");
    }
    assert_eq!(body(r#"{ type = "mask", pattern = "b", replacement = "" }"#, r#"["abc"]"#), r#"["ac"]"#);
}

#[test]
fn of_groups_only_they_are_replaced() {
    for (pattern, given, expected) in [
        (r"password=(\S+)", "password=a password= password=b", "password=**** password= password=****"),
        (r"(\d+)-(\d+)", "1-2,3-4", "****-****,****-****"),
        ("((a)b)c", "abc", "****c"),
        ("(?:(a)|(b))+", "xabay", "xa********y"),
        ("a(x)?", "ab", "ab"),
        ("a(x*)b", "ab", "ab"),
        (r"(?P<user>\w+)@", "é@x", "****@x"),
    ] {
        let rule = format!("{{ type = 'mask', pattern = '{pattern}' }}");
        assert_eq!(body(&rule, &format!("[\"{given}\"]")), format!("[\"{expected}\"]"), "{pattern}");
    }
}

#[test]
fn hashes_are_keyed_and_of_what_is_meant() {
    let rule = r#"{ type = "hash", pattern = '\w+@x', key = "0123456789abcdef" }"#;
    let hash = "8f5e4260374876d7417abfff826f2df7d3685b5cf42d51ad634631e79d11f6f3";
    let expected = format!(r#"["<{hash}>","{hash}",12]"#);
    assert_eq!(body(rule, r#"["<ann@x>","\u0061nn@x",12]"#), expected);
    let other = body(&rule.replace("f\"", "g\""), r#"["ann@x"]"#);
    assert!(other.len() == 68 && !other.contains(hash), "{other}");
    let number = r#"{ type = "hash", field = "n", key = "0123456789abcdef" }"#;
    assert_eq!(
        body(number, r#"{"n":12}"#),
        r#"{"n":"b89b0f489c11f6c8448450cea2594c6c3bc93b8b3c79d1d0f957e3277053eedf"}"#
    );
    assert_eq!(
        body(number, r#"{"n":"12"}"#),
        r#"{"n":"b89b0f489c11f6c8448450cea2594c6c3bc93b8b3c79d1d0f957e3277053eedf"}"#
    );
}

#[test]
fn the_identity_stays() {
    let id = "00000000000000000000000000000001";
    let given = format!(r#"{{"metadata":{{"uid":"{id}","x":"{id}"}},"event":{{"hash":"1"}}}}"#);
    for rule in [r#"pattern = "[01]+""#, r#"field = "metadata""#] {
        let rule = format!(r#"{{ type = "mask", {rule} }}"#);
        let expected = given.replace(&format!(r#""x":"{id}""#), r#""x":"****""#);
        let expected =
            if rule.contains("field") { expected } else { expected.replace(r#""hash":"1""#, r#""hash":"****""#) };
        assert_eq!(body(&rule, &given), expected, "{rule}");
    }
}

#[test]
fn rules_are_applied_in_their_order() {
    let batch = batch(&[r#"{"a":"one","n":1}"#, r#"{"a":"two","n":2}"#, r#"{"a":"three","n":3}"#, r#"{"a":"four"}"#]);
    let text = r#"
        { type = "mask", name = "first", field = "a", pattern = "^t", replacement = "T" },
        { type = "mask", field = "a", pattern = "^Tw", replacement = "dva" },
        { type = "exclude", name = "no-three", field = "a", pattern = "^Th" },
        { type = "mask", field = "n", kinds = ["*.delivery"] },
        { type = "include", pattern = 'dvao|"n"' },
    "#;
    let applied = apply(text, &batch);
    assert_eq!(bodies(&applied.batch), [r#"{"a":"one","n":1}"#, r#"{"a":"dvao","n":"****"}"#]);
    let expected: Vec<Head> = batch.events[..2].to_vec();
    assert_eq!(applied.batch.events[0], expected[0]);
    let second = Head { end: expected[1].begin + 24, ..expected[1].clone() };
    assert_eq!(applied.batch.events[1], second, "of a head only the place of the body changes");
    assert_eq!(applied.batch.origin, batch.origin);
    assert_eq!((applied.filtered, applied.changed), (vec![(2, 1), (4, 1)], vec![(0, 2), (1, 1), (3, 1)]));
    assert_eq!(rules(text).names().collect::<Vec<_>>(), ["first", "rules[1]", "no-three", "rules[3]", "rules[4]"]);
    assert_eq!(bodies(&batch)[1], r#"{"a":"two","n":2}"#, "what was given stays, for the other sinks");
}

#[test]
fn a_body_that_is_no_json_is_neither_lost_nor_shown() {
    let batch = batch(&[r#"{"a":"secret"}"#, r#"{"a":"secret"#, r#"{"a":"plain"#, r#"{"a":"secret"}"#]);
    let applied = apply(r#"{ type = "mask", name = "m", pattern = "secret" }"#, &batch);
    assert_eq!(bodies(&applied.batch), [r#"{"a":"****"}"#, r#"{"a":"plain"#, r#"{"a":"****"}"#]);
    let [refused] = applied.refused.as_slice() else { panic!("{applied:?}") };
    assert_eq!((refused.event, refused.rule, refused.hidden), (1, 0, true));
    assert_eq!(refused.reason, "the body is no JSON at byte 12: a string does not end");
    assert_eq!((applied.changed, applied.filtered), (vec![(0, 2)], vec![]));

    let applied = apply(r#"{ type = "exclude", field = "a", pattern = "plain" }"#, &batch);
    assert_eq!(ids(&applied), [1, 2, 4]);
    let [Refused { event: 2, rule: 0, hidden: false, .. }] = applied.refused.as_slice() else { panic!("{applied:?}") };

    let bytes = Bytes::from_static(b"\"\xff\"\n\"ok\"\n");
    let head = Head { begin: 0, end: 4, ..batch.events[0].clone() };
    let events = vec![head.clone(), Head { begin: 4, end: 9, ..head }];
    let odd = Arc::new(Batch { bodies: bytes, events, ..Batch::clone(&batch) });
    let applied = apply(r#"{ type = "mask", pattern = "^" }, { type = "include", pattern = "ok" }"#, &odd);
    assert_eq!(applied.refused[0].reason, "the body is not UTF-8 at byte 1");
    assert_eq!(bodies(&applied.batch), [r#""ok""#]);
}

#[test]
fn bodies_do_not_grow_without_end() {
    let long = format!("[\"{}\"]", "x".repeat(300_000));
    let batch = batch(&["[\"xx\"]", &long, "[\"x\"]"]);
    let rule = format!("{{ type = 'mask', pattern = 'x', replacement = '{}' }}", "y".repeat(256));
    let applied = apply(&rule, &batch);
    assert_eq!(bodies(&applied.batch).iter().map(|body| body.len()).collect::<Vec<_>>(), [516, 260]);
    assert_eq!(applied.refused.len(), 1);
    assert!(applied.refused[0].reason.contains("64 MiB longer"), "{:?}", applied.refused);
}

thread_local!(static LOOKS: Cell<u32> = const { Cell::new(0) });

/// Another millisecond has gone by at each look.
fn clock() -> Duration {
    LOOKS.set(LOOKS.get() + 1);
    Duration::from_millis(LOOKS.get().into())
}

/// The rules, with that many milliseconds for a batch and so many for each event behind them; and how often the clock was
/// looked at.
fn apply_within(text: &str, batch: &Arc<Batch>, all: u64, event: u64) -> (Applied, u32) {
    LOOKS.set(0);
    let limits =
        Limits { batch: Duration::from_millis(all), event: Duration::from_millis(event), byte: Duration::ZERO };
    let applied = rules(text).bind("siem/all", &KINDS).apply_within(batch, Budget::new(limits, clock));
    (applied, LOOKS.get())
}

#[test]
fn a_search_that_takes_too_long_condemns_its_event_alone() {
    // Behind each of a thousand matches, all that is left is read again: 2.5 MB.
    let long = format!("{{\"a\":\"one\",\"b\":\"{}\"}}", "user=".repeat(1_000));
    let lawful = r#"{"a":"one","b":"user=ann domain=x"}"#;
    let batch = batch(&[lawful, &long, lawful, &long, lawful]);
    for pattern in [r"user=(?:.*domain=\w+)?", r"(?:.*domain=\w+)?", r"(us)er=(?:.*domain=(\w+))?", ".*[^a-z=]|[a-z=]"]
    {
        let text = format!(
            "{{ type = 'mask', pattern = 'one' }}, {{ type = 'mask', pattern = '{pattern}' }}, {{ type = 'mask', pattern = 'never' }}"
        );
        let (applied, looks) = apply_within(&text, &batch, 4, 2);
        assert_eq!(ids(&applied), [1, 3, 5], "{pattern}");
        assert!(bodies(&applied.batch).iter().all(|body| body.starts_with(r#"{"a":"****","b":"***"#)), "{applied:?}");
        assert_eq!(applied.refused.iter().map(|refused| refused.event).collect::<Vec<_>>(), [1, 3], "{pattern}");
        for refused in &applied.refused {
            assert_eq!((refused.rule, refused.hidden), (1, true), "{pattern}");
            assert!(refused.reason.contains("takes too long") && !refused.reason.contains("user"), "{refused:?}");
        }
        assert_eq!(applied.changed, [(0, 3), (1, 3)]);
        // The first takes what the batch has and what it has itself, the other what it has itself; each begins with a look.
        assert_eq!(looks, 15, "{pattern}");
        // With enough time the same events pass, and nothing of them is left.
        let (applied, _) = apply_within(&text, &batch, 1_000, 0);
        assert_eq!((ids(&applied).len(), applied.refused.len()), (5, 0), "{pattern}");
        let hidden = !bodies(&applied.batch)[1].contains("user=u");
        assert_eq!(hidden, !pattern.starts_with("(?"), "{pattern}");
    }
}

#[test]
fn each_event_has_time_of_its_own() {
    let long = format!("[\"{}\"]", "user=".repeat(1_000));
    let batch = batch(&[long.as_str(); 4]);
    let rule = r"{ type = 'mask', pattern = 'user=(?:.*domain=\w+)?' }";
    // Each takes nine or ten looks.
    let (applied, _) = apply_within(rule, &batch, 0, 15);
    assert_eq!((ids(&applied).len(), applied.refused.len()), (4, 0));
    let (applied, _) = apply_within(rule, &batch, 0, 5);
    assert_eq!((ids(&applied).len(), applied.refused.len()), (0, 4));
    let (applied, _) = apply_within(rule, &batch, 11, 4);
    assert_eq!((ids(&applied), applied.refused.len()), (vec![1], 3));
}
