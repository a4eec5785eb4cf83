//! The configurations under `examples/` are good: read, filled in, and accepted by the component.

use std::path::Path;

use tributary_host::cli::exit;
use tributary_host::cli::test::{Test, test};
use tributary_host::config::{self, Format};
use tributary_host::{COMPONENT, Host, Options};

/// What Tributary needs to stand in front of Vector and Fluent Bit.
#[test]
fn the_examples_of_pipelines_are_accepted() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/pipelines"));
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let read = config::parse(&text, Format::of(&path).unwrap(), "", &|_| Some("made-up".into()));
        let warnings = read.unwrap_or_else(|error| panic!("{}: {error}", path.display())).warnings;
        assert!(warnings.is_empty(), "{}: {warnings:?}", path.display());
    }
    assert_eq!(files, 2);
}

/// Each sink has an example, which is read with what it asks the environment for, and refused without.
#[test]
fn the_example_of_each_sink_is_accepted() {
    // Without their features they are refused, with the one to add.
    const HEAVY: [&str; 3] = ["kafka", "nats", "object_store"];
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/sinks"));
    let environment = |name: &str| match name {
        "SUMO_URL" => Some("https://collectors.example.com/receiver/v1/http/made-up".to_owned()),
        _ => Some("made-up".to_owned()),
    };
    let mut types = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let format = Format::of(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(text.contains(&format!("type = \"{name}\"")), "{name}");
        let read = config::parse(&text, format, &path.display().to_string(), &environment);
        if HEAVY.contains(&&*name) && !cfg!(feature = "all-sinks") {
            let error = read.unwrap_err();
            assert_eq!(error.problems.len(), 1, "{}: {error}", path.display());
            assert!(error.to_string().contains(&format!("--features {name}")), "{error}");
        } else {
            let loaded = read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(loaded.warnings.is_empty(), "{}: {:?}", path.display(), loaded.warnings);
            assert!(!format!("{:?}", loaded.config.sinks).contains("made-up"), "{}", path.display());
        }
        config::parse(&text, format, "", &|_| None).expect_err("nothing is guessed");
        types.push(name);
    }
    types.sort();
    let expected = [
        "elasticsearch",
        "file",
        "http",
        "kafka",
        "nats",
        "object_store",
        "otlp",
        "splunk_hec",
        "sumo",
        "syslog",
        "vector",
    ];
    for expected in expected {
        assert!(types.iter().any(|found| found == expected), "{expected}: {types:?}");
    }
}

#[tokio::test]
async fn every_example_is_accepted() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/configurations"));
    let secrets = tempfile::tempdir().unwrap();
    for key in [
        "globex_client_id",
        "globex_client_secret",
        "hooli_client_id",
        "hooli_client_secret",
        "initech_app_id",
        "initech_app_key",
        "initech_access_key",
        "umbrella_client_id",
        "umbrella_client_secret",
    ] {
        std::fs::write(secrets.path().join(key), "made-up\n").unwrap();
    }
    std::fs::write(secrets.path().join("initech_secret_key"), "bWFkZS11cA==\n").unwrap();
    let authority = secrets.path().join("company.pem");
    std::fs::write(&authority, rcgen::generate_simple_self_signed(Vec::new()).unwrap().cert.pem()).unwrap();
    let environment = |name: &str| match name {
        "ACME_CLIENT_ID" | "ACME_CLIENT_SECRET" | "UMBRELLA_CLIENT_ID" | "UMBRELLA_CLIENT_SECRET" => {
            Some("made-up".to_owned())
        }
        "PROXY_USER" | "PROXY_PASSWORD" | "PSEUDONYM_KEY" => Some("made-up".to_owned()),
        "COMPANY_CA" => Some(authority.display().to_string()),
        "SECRETS_DIRECTORY" => Some(secrets.path().display().to_string()),
        _ => None,
    };
    let host = Host::load(Options::new(COMPONENT)).unwrap();
    let mut sources = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The files of a template.
        if path.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let format = Format::of(&path).unwrap();
        let loaded = config::parse(&text, format, &path.display().to_string(), &environment)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(loaded.config.refused, [], "{}", path.display());
        for source in loaded.config.sources.values() {
            let planned = host.plan(source).await.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(!planned.plan.streams.is_empty());
            sources += 1;
        }
        // Without the environment nothing is guessed.
        match config::parse(&text, format, &path.display().to_string(), &|_| None) {
            Ok(loaded) => {
                assert_eq!(loaded.config.refused.len(), loaded.config.sources.len() + 2, "{}", path.display())
            }
            Err(error) => assert!(error.to_string().contains("sources."), "{error}"),
        }
    }
    assert_eq!(sources, 7);
}

#[test]
fn the_tests_in_examples_pass() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/configurations/rules.toml"));
    let all = Test { names: Vec::new(), junit: None, json: false };
    let mut out = Vec::new();
    let code = test(path, &all, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert_eq!(code, exit::OK, "{out}");
    assert!(out.ends_with("All 3 passed.\n"), "{out}");

    // Each of them holds a rule that would be missed.
    let text = std::fs::read_to_string(path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("rules.toml");
    for name in ["probe", "people", "subjects", "severe"] {
        let rule = text.split("\n[").find(|section| section.contains(&format!("name = \"{name}\""))).unwrap();
        std::fs::write(&broken, text.replacen(&format!("\n[{rule}"), "\n", 1)).unwrap();
        let mut out = Vec::new();
        assert_eq!(test(&broken, &all, &mut out).unwrap(), exit::FAILED, "{name}: {}", String::from_utf8_lossy(&out));
    }
}
