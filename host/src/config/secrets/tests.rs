use super::*;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn file_and_directory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.json");
    write(&file, r#"{"acme_secret": "s3", "n": 5}"#, 0o600);
    write(&folder.path().join("token"), "t0k\n", 0o600);
    write(&folder.path().join("group"), "g", 0o640);
    write(&folder.path().join("open"), "o\r\n", 0o644);
    let none = |_: &str| None;
    let mut secrets = Secrets::new(&none);
    let mut problems = Vec::new();
    let section = json!({"f": {"type": "file", "path": file}, "d": {"type": "directory", "path": folder.path()}});
    secrets.configure(section, &mut problems);
    assert_eq!(problems, []);
    assert_eq!(*secrets.value("f.acme_secret", "p").unwrap(), "s3");
    assert_eq!(*secrets.value("d.token", "p").unwrap(), "t0k");
    assert_eq!(*secrets.value("d.group", "p").unwrap(), "g");
    assert!(secrets.warnings.is_empty());
    assert_eq!(*secrets.value("d.open", "p").unwrap(), "o");
    assert_eq!(*secrets.value("d.open", "q").unwrap(), "o");
    assert_eq!(secrets.warnings.len(), 1, "once a file: {:?}", secrets.warnings);
    assert!(secrets.warnings[0].to_string().contains("chmod 640"));
    for (reference, word) in [
        ("f.nope", "no key `nope`"),
        ("f.n", "not a string"),
        ("d.nope", "cannot read"),
        ("d.../all.json", "without a folder"),
    ] {
        let problem = secrets.value(reference, "sources.a.b").unwrap_err().to_string();
        assert!(problem.starts_with("sources.a.b: ") && problem.contains(word), "{problem}");
    }
}

#[test]
fn a_wrong_section_is_named() {
    let none = |_: &str| None;
    let mut secrets = Secrets::new(&none);
    let mut problems = Vec::new();
    let section = json!({
        "a": {"type": "fil", "path": "/x"}, "b": {"type": "file"}, "c": {"type": "env", "pth": "/x"}, "d": "text",
        "e": {"type": "exec", "command": "/bin/x -a"}, "f": {"type": "exec", "command": ["x"], "timeout": 0},
        "g": {"type": "exec", "command": [], "path": "/x"}
    });
    secrets.configure(section, &mut problems);
    let text: Vec<String> = problems.iter().map(Problem::to_string).collect();
    assert_eq!(text.len(), 8, "{text:#?}");
    assert!(text[0].starts_with("secret.a.type: must be one of `directory`, `env`, `exec`, `file`"));
    assert!(text[1].starts_with("secret.b.path: is required"));
    assert!(text[2].starts_with("secret.c.pth: unknown key. Remove it, or choose from `type`"));
    assert!(text[3].starts_with("secret.d: must be a table"));
    assert!(text[4].starts_with("secret.e.command: must be a list of texts"));
    assert!(text[5].starts_with("secret.f.timeout: must be a whole number from 1 to 3600"));
    assert!(text[6].starts_with("secret.g.command: must be a list of texts"));
    assert!(text[7].starts_with("secret.g.path: unknown key. Remove it, or choose from `type`, `command`, `timeout`"));
    let broken = secrets.value("f.key", "p").unwrap_err().to_string();
    assert!(broken.contains("Mend the section `secret.f`"), "{broken}");
}

#[test]
fn a_broken_file_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.json");
    write(&file, r#"{"k": hunter2}"#, 0o600);
    let none = |_: &str| None;
    let mut secrets = Secrets::new(&none);
    secrets.configure(json!({"f": {"type": "file", "path": file}}), &mut Vec::new());
    let problem = secrets.value("f.k", "sources.a.b").unwrap_err().to_string();
    assert!(problem.starts_with("sources.a.b: ") && problem.contains("one JSON object"), "{problem}");
    assert!(!problem.contains("hunter2"));
}

/// A program of the shell in `folder`, and the section that runs it.
fn program(folder: &Path, text: &str) -> Value {
    let file = folder.join("program");
    write(&file, &format!("#!/bin/sh\n{text}\n"), 0o700);
    json!({"type": "exec", "command": [file, "an argument"], "timeout": 10})
}

/// The values of `tree` after the whole way through the configuration.
fn filled(section: Value, tree: &mut Value) -> Vec<String> {
    let none = |_: &str| None;
    let (mut secrets, mut problems) = (Secrets::new(&none), Vec::new());
    secrets.configure(section, &mut problems);
    secrets.prepare([&*tree]);
    crate::config::interpolate::interpolate(tree, "", &none, &mut secrets, &mut problems);
    problems.iter().map(Problem::to_string).collect()
}

#[test]
fn a_program_is_asked_once_for_all_keys() {
    let folder = tempfile::tempdir().unwrap();
    let calls = folder.path().join("calls");
    let text = format!(
        "[ \"$1\" = 'an argument' ] || exit 1\ncat >> {0}; echo >> {0}\necho 'a s3cret warning' >&2\n\
         echo '{{\"b.c\":{{\"value\":\"two\",\"error\":null}},\"a\":{{\"value\":\"one\"}},\"more\":{{\"value\":\"x\"}}}}'\nexit 3",
        calls.display()
    );
    let section = json!({"p": program(folder.path(), &text)});
    let mut tree = json!({"x": ["SECRET[p.a]", "-SECRET[p.b.c]-SECRET[p.a]"], "y": "$$ SECRET[env.HOME_OF_NOBODY]"});
    let problems = filled(section, &mut tree);
    assert_eq!(
        problems,
        ["y: the environment variable HOME_OF_NOBODY is not set. Set HOME_OF_NOBODY where tributary is started"]
    );
    assert_eq!(tree["x"], json!(["one", "-two-one"]));
    // Byte for byte what Vector writes.
    assert_eq!(fs::read_to_string(&calls).unwrap(), "{\"secrets\":[\"a\",\"b.c\"],\"version\":\"1.0\"}\n");
}

#[test]
fn what_a_program_does_not_give_is_told_without_values() {
    let answers: [(&str, &[&str]); 9] = [
        (r#"echo '{"a":{"value":null,"error":"no such entry"}}'"#, &["`a` was not given: no such entry"]),
        (
            r#"echo '{"a":{"value":"hunter2","error":"hunter2 is weak"}}'"#,
            &["`a` was not given", "a secret stands in it"],
        ),
        (r#"echo '{"a":{"value":"","error":null}}'"#, &["the value of `a` is empty"]),
        (r#"echo '{"b":{"value":"hunter2","error":null}}'"#, &["there is no answer for `a`"]),
        (r#"echo '{"a":"hunter2"}'"#, &["did not answer in the protocol's JSON (16 bytes)", "ended with"]),
        ("echo hunter2 >&2; exit 7", &["exit status: 7", "(0 bytes)", "standard error is not shown"]),
        ("exec head -c 3000000 /dev/zero", &["cannot be read", "longer than 1048576 bytes"]),
        ("printf '{\"a\":{\"error\":\"%01000d\"}}' 7", &["was not given: 0000"]),
        ("kill -9 $$", &["signal: 9"]),
    ];
    for (text, words) in answers {
        let folder = tempfile::tempdir().unwrap();
        let problems = filled(json!({"p": program(folder.path(), text)}), &mut json!({"x": "SECRET[p.a]"}));
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].starts_with("x: the secret backend `p`: "), "{problems:?}");
        assert!(words.iter().all(|word| problems[0].contains(word)), "{text}: {problems:?}");
        assert!(!problems[0].contains("hunter2") && problems[0].len() < 600, "{text}: {problems:?}");
    }
    let nowhere = json!({"p": {"type": "exec", "command": ["/nowhere/program"]}});
    let problems = filled(nowhere, &mut json!({"x": "SECRET[p.a]", "y": "SECRET[p.b]"}));
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("cannot run /nowhere/program") && problems[0].contains("executable"), "{problems:?}");
}

/// A program that hangs is ended with what it has started, and the answer of one that lingers behind it counts.
#[test]
fn a_program_that_takes_too_long_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("left");
    let mut section = program(folder.path(), &format!("sh -c 'sleep 3; touch {}' &\nsleep 600", left.display()));
    section["timeout"] = json!(1);
    let begun = std::time::Instant::now();
    let problems = filled(json!({"p": section}), &mut json!({"x": "SECRET[p.a]"}));
    assert!(problems[0].contains("has not answered within 1 s"), "{problems:?}");
    assert!(begun.elapsed() < std::time::Duration::from_millis(2_500), "{:?}", begun.elapsed());

    let mut section = program(folder.path(), "echo '{\"a\":{\"value\":\"one\"}}'; exec >&-; sleep 600");
    section["timeout"] = json!(1);
    let mut tree = json!({"x": "SECRET[p.a]"});
    assert_eq!(filled(json!({"p": section}), &mut tree), Vec::<String>::new());
    assert_eq!(tree["x"], "one");
    std::thread::sleep(std::time::Duration::from_millis(3_500).saturating_sub(begun.elapsed()));
    assert!(!left.exists(), "what it had started went on");
}
