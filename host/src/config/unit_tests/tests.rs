use serde_json::json;

use super::*;

fn suite(text: &str) -> Result<Suite, ConfigError> {
    let base = r#"
        [secret.vault]
        type = "exec"
        command = ["/no/such/program"]
        [sources.acme]
        type = "mimecast"
        client_secret = "SECRET[vault.secret]"
        tls.ca_file = "/no/such/file"
        rules = [{ type = "hash", field = "a", key = "${PEPPER}" }, { type = "exclude", pattern = "${WORD}$" }]
        [sinks.lake]
        type = "file"
        inputs = ["${WORD}*"]
        path = "SECRET[vault.path]"
        rules = [{ type = "hash", field = "b", key = "SECRET[vault.key]" }]
    "#;
    let environment = |name: &str| (name == "WORD").then(|| "acme".to_owned());
    read(&format!("{base}\n{text}"), Format::Toml, "t.toml", &environment)
}

#[test]
fn only_what_tests_need_is_read() {
    let suite = suite(
        r#"
        [[tests]]
        name = "one"
        input = { source = "acme", stream = "s", kind = "k", class = 4009, severity = "high", alert_key = "x", body = { b = 1, a = "$x" } }
        outputs = [{ sink = "lake" }, { sink = "lake", body = "text" }, { sink = "lake", body = { a = 1 } }]
        [[tests]]
        name = "two"
        input = { sink = "lake", body = '{"b": 1}' }
        no_outputs_from = "lake"
        "#,
    )
    .unwrap();
    assert!(suite.sinks["lake"].takes("acme-eu") && !suite.sinks["lake"].takes("other"));
    assert_eq!(suite.sources["acme"].as_slice()[1].conditions.pattern, crate::rules::Pattern::compile("acme$").ok());
    let [one, two] = suite.tests.as_slice() else { panic!("{suite:?}") };
    let body = json!({"a": "$x", "b": 1}).to_string();
    let expected = Input {
        from: From::Source("acme".into()),
        stream: "s".into(),
        kind: "k".into(),
        class: 4009,
        severity: 4,
        alert_key: Some("x".into()),
        body,
    };
    assert_eq!(one.input, expected);
    let bodies: Vec<&Expected> = one.outputs.iter().map(|output| &output.body).collect();
    assert_eq!(bodies, [&Expected::Anything, &Expected::Text("text".into()), &Expected::Json(json!({"a": 1}))]);
    assert_eq!((two.name.as_str(), &two.input.from), ("two", &From::Sink("lake".into())));
    assert_eq!((two.input.body.as_str(), two.no_outputs_from.as_slice()), (r#"{"b": 1}"#, &["lake".to_owned()][..]));
    assert!(two.outputs.is_empty());
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let good = "name = 'a'\ninput = { source = 'acme', body = {} }\nno_outputs_from = ['lake']";
    assert!(suite(&format!("[[tests]]\n{good}")).is_ok());
    for (from, to, expected) in [
        ("name = 'a'", "", "tests[0].name: is required"),
        ("input", "imput", "tests[0].imput: unknown key. Did you mean `input`?"),
        ("source = 'acme', ", "", "tests[0].input: must have either `source` or `sink`"),
        ("body = {}", "", "tests[0].input.body: is required"),
        ("body = {}", "body = \"a\\n\"", "tests[0].input.body: must be one line"),
        ("'acme'", "'amce'", "tests[0].input.source: there is no source of that id. Did you mean `acme`?"),
        ("source = 'acme'", "sink = 'lkae'", "tests[0].input.sink: there is no sink of that id. Did you mean `lake`?"),
        ("['lake']", "['x']", "tests[0].no_outputs_from[0]: there is no sink of that id"),
        ("no_outputs_from = ['lake']", "", "tests[0]: says nothing about what must come of the event"),
        ("no_outputs_from = ['lake']", "outputs = [{ sink = 'x' }]", "tests[0].outputs[0].sink: there is no sink"),
        ("no_outputs", "outputs = [{ sink = 'lake' }]\nno_outputs", "tests[0].no_outputs_from[0]: the sink is among"),
        ("body = {}", "body = {}, severity = 'hgih'", "tests[0].input.severity: must be one of `unknown`"),
    ] {
        let error = suite(&format!("[[tests]]\n{}", good.replacen(from, to, 1))).unwrap_err();
        assert!(error.problems.iter().any(|problem| problem.to_string().starts_with(expected)), "{expected}\n{error}");
    }
    let twice = suite(&format!("[[tests]]\n{good}\n[[tests]]\n{good}")).unwrap_err();
    assert!(twice.to_string().starts_with("tests[1].name: another test"), "{twice}");
    let rules = |pattern: &str| {
        let sink = format!("[sinks.other]\ninputs = '*'\nrules = [{{ type = 'exclude', pattern = '{pattern}' }}]");
        suite(&format!("{sink}\n[[tests]]\n{good}"))
    };
    let rule = rules("(").unwrap_err();
    assert!(rule.to_string().starts_with("sinks.other.rules[0].pattern: is no regular expression"), "{rule}");
    // As it is written it would be no regular expression, and is not meant so.
    let secret = rules("SECRET[vault.z-a]").unwrap_err();
    let expected = "sinks.other.rules[0].pattern: tests do not ask the secret backend `vault`. Write the text itself";
    assert!(secret.problems.len() == 1 && secret.to_string().starts_with(expected), "{secret}");
    let slip = rules("SECRET[valt.names]").unwrap_err().to_string();
    assert!(slip.contains("no secret backend `valt`. Did you mean `vault`?"), "{slip}");
    assert!(rules("SECRET[env.WORD]").is_ok());
}

#[test]
fn without_a_test_nothing_is_read() {
    let sink = "[sinks.other]\ninputs = '*'\nrules = [{ type = 'exclude', pattern = 'SECRET[vault.x] (' }]";
    assert!(suite(sink).unwrap().tests.is_empty());
}
