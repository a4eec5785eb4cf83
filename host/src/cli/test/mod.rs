//! `tributary test`: runs the tests that stand in a configuration, and prints a line for each.

mod junit;
mod trial;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::exit;
use super::run::refused;
use crate::config;

#[derive(Debug, Args)]
pub struct Test {
    /// Names of the tests to run; all of them if none is named
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    /// Write the results as JUnit's XML too
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub junit: Option<PathBuf>,

    /// Write one JSON document instead of lines
    #[arg(long)]
    pub json: bool,
}

/// What came of one test.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    name: String,
    /// One for each expectation that was not met, of one line or several.
    failures: Vec<String>,
}

/// Runs the tests of the configuration at `path`; returns the exit code. Errors are those of writing to `out`.
pub fn test(path: &Path, arguments: &Test, out: &mut impl Write) -> io::Result<u8> {
    let suite = match config::load_tests(path) {
        Ok(suite) => suite,
        Err(error) => return Ok(refused(exit::CONFIGURATION, &error)),
    };
    let named = |name: &str| arguments.names.is_empty() || arguments.names.iter().any(|wanted| wanted == name);
    if let Some(unknown) = arguments.names.iter().find(|name| !suite.tests.iter().any(|test| test.name == **name)) {
        return Ok(refused(
            exit::NO_INPUT,
            &format!("there is no test {unknown:?} in {}. Name one of its [[tests]]", path.display()),
        ));
    }
    if suite.tests.is_empty() {
        return Ok(refused(exit::NO_INPUT, &format!("there is no test in {}. Add [[tests]]", path.display())));
    }
    let verdicts: Vec<Verdict> = suite
        .tests
        .iter()
        .filter(|test| named(&test.name))
        .map(|test| Verdict { name: test.name.clone(), failures: trial::failures(&suite, test) })
        .collect();
    for Verdict { name, failures } in verdicts.iter().filter(|_| !arguments.json) {
        writeln!(out, "{} {name}", if failures.is_empty() { '√' } else { 'x' })?;
        for line in failures.iter().flat_map(|failure| failure.lines()) {
            writeln!(out, "  {line}")?;
        }
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.failures.is_empty()).count();
    match failed {
        _ if arguments.json => {
            let tests = verdicts.iter().map(
                |Verdict { name, failures }| json!({ "name": name, "ok": failures.is_empty(), "failures": failures }),
            );
            serde_json::to_writer(&mut *out, &json!({ "ok": failed == 0, "tests": tests.collect::<Vec<_>>() }))?;
            writeln!(out)?;
        }
        0 => writeln!(out, "All {} passed.", verdicts.len())?,
        _ => writeln!(out, "{failed} of {} failed.", verdicts.len())?,
    }
    if let Some(file) = &arguments.junit
        && let Err(error) = fs::write(file, junit::document(&verdicts))
    {
        return Ok(refused(
            exit::CANNOT_CREATE,
            &format!("cannot write {}: {error}. Name a file that this user may write", file.display()),
        ));
    }
    Ok(if failed == 0 { exit::OK } else { exit::FAILED })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURATION: &str = r#"
[sources.acme]
type = "mimecast"
client_secret = "SECRET[vault.never_asked]"
[[sources.acme.rules]]
type = "exclude"
name = "no-tests"
field = "user"
pattern = "@test\\.example$"
[sinks.lake]
type = "file"
inputs = ["acme"]
path = "/var/log/tributary"
[[sinks.lake.rules]]
type = "mask"
name = "passwords"
streams = ["audit/*"]
pattern = "password=(\\S+)"
[sinks.alerts]
type = "stdout"
inputs = ["acm*"]
[[sinks.alerts.rules]]
type = "include"
name = "severe"
kinds = ["siem.*"]
severity_at_least = "high"
[sinks.other]
type = "stdout"
inputs = ["health"]
[sinks.pager]
type = "stdout"
inputs = ["acme.alerts"]
where = { severity_at_least = "high", kinds = ["siem.*"], classes = [2004] }
[[tests]]
name = "passwords"
input = { source = "acme", stream = "audit/events", kind = "audit", body = { m = "password=1", n = 1.50 } }
outputs = [{ sink = "lake", body = { m = "password=****", n = 1.5 } }]
no_outputs_from = ["alerts", "other"]
[[tests]]
name = "elsewhere <&>"
input = { source = "acme", stream = "dlp", kind = "siem.dlp", severity = "critical", body = '{"m":"password=1"}' }
outputs = [{ sink = "lake", body = '{"m":"password=1"}' }, { sink = "alerts" }]
[[tests]]
name = "left out"
input = { source = "acme", kind = "siem.dlp", severity = "fatal", body = { user = "a@test.example" } }
no_outputs_from = ["lake", "alerts"]
[[tests]]
name = "alerts"
input = { source = "acme", kind = "siem.av", severity = "high", class = 2004, alert_key = "a", body = { m = "x" } }
outputs = [{ sink = "pager" }]
[[tests]]
name = "in front of a sink"
input = { sink = "lake", stream = "audit/x", body = { user = "a@test.example", m = "password=" } }
outputs = [{ sink = "lake", body = { user = "a@test.example", m = "password=" } }]
"#;

    fn run(text: &str, names: &[&str], junit: Option<&str>) -> (u8, String, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        fs::write(&path, text).unwrap();
        let junit = junit.map(|name| folder.path().join(name));
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let mut out = Vec::new();
        let code = test(&path, &Test { names, junit: junit.clone(), json: false }, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap(), junit.and_then(|file| fs::read_to_string(file).ok()))
    }

    #[test]
    fn good_ones_pass() {
        let (code, out, xml) = run(CONFIGURATION, &[], Some("r.xml"));
        assert_eq!(code, exit::OK, "{out}");
        assert_eq!(out, "√ passwords\n√ elsewhere <&>\n√ left out\n√ alerts\n√ in front of a sink\nAll 5 passed.\n");
        let xml = xml.unwrap();
        assert!(
            xml.contains("tests=\"5\" failures=\"0\"") && xml.contains("name=\"elsewhere &lt;&amp;&gt;\""),
            "{xml}"
        );
        let (code, out, _) = run(CONFIGURATION, &["left out"], None);
        assert_eq!((code, out.as_str()), (exit::OK, "√ left out\nAll 1 passed.\n"));
    }

    #[test]
    fn a_pattern_that_takes_too_long_is_told() {
        // Behind each of 80,000 matches, all that is left is read again.
        let body = "user=".repeat(80_000);
        let configuration = |pattern: &str| {
            format!(
                r#"
                [sources.acme]
                type = "mimecast"
                [sinks.lake]
                type = "stdout"
                inputs = ["acme"]
                rules = [{{ type = "mask", name = "users", pattern = '{pattern}' }}]
                [[tests]]
                name = "users"
                input = {{ source = "acme", body = '["{body}"]' }}
                outputs = [{{ sink = "lake" }}]
                "#
            )
        };
        let (code, out, _) = run(&configuration(r"user=(?:.*domain=\w+)?"), &[], None);
        assert_eq!(code, exit::FAILED, "{out}");
        let expected = "x users\n  sinks.lake\n    expected the event\n    actual   nothing: rule `users` of sinks.lake could not be applied, and it goes to the dead letters: its pattern takes too long";
        assert!(out.starts_with(expected), "{out}");
        let (code, out, _) = run(&configuration(r"user=(?:\w+ domain=\w+)?"), &[], None);
        assert_eq!((code, out.as_str()), (exit::OK, "√ users\nAll 1 passed.\n"));
    }

    #[test]
    fn bad_ones_say_what_came() {
        for (from, to, expected) in [
            (
                "outputs = [{ sink = \"lake\", body = { m = \"password=****\"",
                "outputs = [{ sink = \"lake\", body = { m = \"password=1\"",
                "x passwords\n  sinks.lake\n    expected {\"m\":\"password=1\",\"n\":1.5}\n    actual   {\"m\":\"password=****\",\"n\":1.5}\n",
            ),
            ("\"alerts\", \"other\"]", "\"alerts\", \"lake\"]", ""),
            (
                "severity = \"critical\"",
                "severity = \"medium\"",
                "x elsewhere <&>\n  sinks.alerts\n    expected the event\n    actual   nothing: rule `severe` of sinks.alerts left it out\n",
            ),
            (
                "a@test.example\" } }\nno_outputs",
                "a@example\" } }\nno_outputs",
                "x left out\n  sinks.lake\n    expected nothing\n    actual   {\"user\":\"a@example\"}\n  sinks.alerts\n    expected nothing\n",
            ),
            (
                "no_outputs_from = [\"lake\", \"alerts\"]",
                "outputs = [{ sink = \"lake\" }, { sink = \"other\" }]",
                "x left out\n  sinks.lake\n    expected the event\n    actual   nothing: rule `no-tests` of sources.acme left it out\n  sinks.other\n    expected the event\n    actual   nothing: the sink does not take the source\n",
            ),
            (
                "body = '{\"m\":\"password=1\"}' }\noutputs = [{ sink = \"lake\", body = '",
                "body = '{\"m\":\"password=1\"}' }\noutputs = [{ sink = \"lake\", body = ' ",
                "x elsewhere <&>\n  sinks.lake\n    expected  {\"m\":\"password=1\"}\n    actual   {\"m\":\"password=1\"}\n",
            ),
            (
                "class = 2004, ",
                "",
                "x alerts\n  sinks.pager\n    expected the event\n    actual   nothing: `where` of sinks.pager leaves it out\n",
            ),
            ("alert_key = \"a\", ", "", "actual   nothing: the sink takes alerts alone, and it is of none\n"),
            ("body = { user = \"a@test.example\" } }", "body = '{\"user\":\"\\u' }", "√ left out\n"),
        ] {
            let text = CONFIGURATION.replacen(from, to, 1);
            assert_ne!(text, CONFIGURATION, "{from}");
            let (code, out, xml) = run(&text, &[], Some("r.xml"));
            if expected.is_empty() {
                assert_eq!(code, exit::CONFIGURATION);
            } else {
                assert!(out.contains(expected), "{expected}\n{out}");
                let fails = !expected.starts_with('√');
                assert_eq!(code, if fails { exit::FAILED } else { exit::OK }, "{out}");
                assert_eq!(xml.unwrap().contains("<failure"), fails);
            }
        }
    }

    #[test]
    fn no_test_is_no_success() {
        let none = CONFIGURATION.split("[[tests]]").next().unwrap();
        assert_eq!(run(none, &[], None).0, exit::NO_INPUT);
        assert_eq!(run(CONFIGURATION, &["letf out"], None).0, exit::NO_INPUT);
        assert_eq!(run("[[tests]]\nname = 5", &[], None).0, exit::CONFIGURATION);
        assert_eq!(run(CONFIGURATION, &[], Some("no/such/folder.xml")).0, exit::CANNOT_CREATE);
    }
}
