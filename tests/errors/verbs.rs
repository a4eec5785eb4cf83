//! What the verbs of the command line refuse.

use std::fs;
use std::path::PathBuf;

use tributary_tests::process::{Output, command, output};

use crate::row::{Row, SECRET, show};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");

struct Site(tempfile::TempDir);

impl Site {
    /// A configuration that is good, and a state in which nothing is stored.
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        let folder = site.0.path().display();
        let text = format!(
            "data_dir = \"{folder}/state\"\n[sources.acme]\ntype = \"mimecast\"\nclient_id = \"i\"\nclient_secret = \"{SECRET}\"\n\
             [sinks.lake]\ntype = \"file\"\ninputs = [\"*\"]\npath = \"{folder}/events\"\n"
        );
        fs::write(site.file(), text).unwrap();
        drop(tributary_host::state::Store::open(&site.0.path().join("state")).unwrap());
        site
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("tributary.toml")
    }

    fn call(&self, arguments: &[&str]) -> Output {
        let folder = self.0.path().display().to_string();
        let arguments: Vec<String> = arguments.iter().map(|argument| argument.replace("<folder>", &folder)).collect();
        let file = self.file().display().to_string();
        let mut all = vec!["--config", &file];
        // The last one counts.
        all.extend(arguments.iter().map(String::as_str));
        output(&mut command(BINARY, &all))
    }
}

/// Each refusal: the exit code, and what is typed.
const REFUSALS: [(i32, &[&str]); 26] = [
    (64, &["--config", "<folder>/tributary.toml", "runn"]),
    (64, &["check", "umbrella"]),
    (66, &["test"]),
    (69, &["status"]),
    (69, &["restart", "acme"]),
    (64, &["restart", "a/b"]),
    (69, &["tap"]),
    (64, &["audit", "umbrella"]),
    (64, &["state", "show", "umbrella"]),
    (64, &["state", "reset", "umbrella"]),
    (64, &["state", "reset", "--damaged"]),
    (64, &["state", "move", "umbrella", "a b"]),
    (64, &["state", "move", "umbrella", "hooli"]),
    (66, &["state", "import", "<folder>/nothing"]),
    (65, &["state", "import", "<folder>/tributary.toml"]),
    (73, &["state", "export", "--output", "<folder>/tributary.toml"]),
    (64, &["dead-letters", "drop"]),
    (64, &["dead-letters", "drop", "--all"]),
    (64, &["dead-letters", "show", "0123"]),
    (64, &["dead-letters", "replay"]),
    (66, &["state", "show", "--data-dir", "<folder>/none"]),
    (66, &["audit", "--data-dir", "<folder>/none"]),
    (66, &["dead-letters", "list", "--data-dir", "<folder>/none"]),
    (66, &["dead-letters", "drop", "--all", "--data-dir", "<folder>/none"]),
    (65, &["describe", "--component", "/etc/passwd"]),
    (66, &["describe", "--component", "<folder>/none.wasm"]),
];

#[test]
fn every_refusal_of_a_verb_says_where_and_what_to_do() {
    let site = Site::new();
    let (mut rows, mut others) = (Vec::new(), Vec::new());
    for (code, arguments) in REFUSALS {
        let said = site.call(arguments);
        if said.code != Some(code) {
            others.push(format!("{arguments:?}: {said:?}"));
        }
        // All but the first sentence, which says what happened.
        let text = said.stderr.trim().to_owned();
        let text = text.strip_prefix("tributary: ").unwrap_or(&text).replace(&site.0.path().display().to_string(), "…");
        let at = text.find(". ").or_else(|| text.find('\n')).map_or(text.len(), |at| at + 1);
        let (what, next) = text.split_at(at);
        rows.push(Row {
            code: format!("exit {code}"),
            place: format!("tributary {}", arguments.join(" ")),
            what: what.to_owned(),
            next: next.trim().replace('\n', " "),
            means: "",
        });
    }
    assert!(others.is_empty(), "another exit code: {others:#?}");
    show("Verbs: exit code | typed | what | next step", &rows);
}
