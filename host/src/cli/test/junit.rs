//! Results as JUnit's XML, which CI systems read.

use super::Verdict;

/// One suite, of one case for each test.
pub fn document(verdicts: &[Verdict]) -> String {
    let failed = verdicts.iter().filter(|verdict| !verdict.failures.is_empty()).count();
    let counts = format!("name=\"tributary\" tests=\"{}\" failures=\"{failed}\"", verdicts.len());
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite {counts} errors=\"0\">\n"
    );
    for Verdict { name, failures } in verdicts {
        out += &format!("    <testcase classname=\"tributary\" name=\"{}\"", escaped(name));
        if failures.is_empty() {
            out += "/>\n";
            continue;
        }
        let first = failures.first().and_then(|failure| failure.lines().next()).unwrap_or_default();
        let (message, text) = (escaped(first), escaped(&failures.join("\n")));
        out += &format!(">\n      <failure message=\"{message}\">{text}</failure>\n    </testcase>\n");
    }
    out + "  </testsuite>\n</testsuites>\n"
}

/// For text and for attributes. What XML 1.0 cannot hold is U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => out.push(character),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document() {
        let verdicts = [
            Verdict { name: "a \"b\"".into(), failures: vec![] },
            Verdict { name: "c\u{1}".into(), failures: vec!["sinks.x\n  <1>".into(), "sinks.y & z".into()] },
        ];
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="tributary" tests="2" failures="1">
  <testsuite name="tributary" tests="2" failures="1" errors="0">
    <testcase classname="tributary" name="a &quot;b&quot;"/>
    <testcase classname="tributary" name="c�">
      <failure message="sinks.x">sinks.x
  &lt;1&gt;
sinks.y &amp; z</failure>
    </testcase>
  </testsuite>
</testsuites>
"#;
        assert_eq!(document(&verdicts), expected);
    }
}
