//! What is declared is what is read: no key more, none less, with the defaults that hold.

use std::collections::BTreeSet;
use std::ptr::from_ref;

use serde_json::{Map, Value, json};

use super::declaration::{Key, Shape, Table};
use super::judge::TOP;
use super::section::TAKEN;
use super::{ConfigError, Format, Loaded, parse, sinks, unit_tests};

/// All tables, each once, with the path of the first place where it stands.
fn tables() -> Vec<(&'static Table, String)> {
    let mut found: Vec<(&'static Table, String)> = vec![(&TOP, String::new())];
    let mut next = 0;
    while let Some((table, path)) = found.get(next).cloned() {
        next += 1;
        for key in table.keys() {
            let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
            let inner: Vec<(&'static Table, String)> = match key.shape {
                Shape::Table(table) | Shape::FlagOrTable(_, table) => vec![(table, path)],
                Shape::Tables(table) => vec![(table, format!("{path}[0]"))],
                Shape::Named(table) => vec![(table, format!("{path}.a"))],
                Shape::Typed(tables) => tables.iter().map(|(tag, table)| (*table, format!("{path}.{tag}"))).collect(),
                _ => Vec::new(),
            };
            for (table, path) in inner {
                if !found.iter().any(|(known, _)| std::ptr::eq(*known, table)) {
                    found.push((table, path));
                }
            }
        }
    }
    found
}

/// Reads configurations that have, among them, every key that there is; the folder is theirs.
fn read_everything(folder: &std::path::Path) {
    let customers = folder.join("customers.d");
    std::fs::create_dir_all(&customers).unwrap();
    let read = |text: String| {
        let environment = |_: &str| None;
        let name = folder.join("t.toml").display().to_string();
        // Whether it is good does not matter here: a key is read before it is judged.
        let _ = parse(&text, Format::Toml, &name, &environment);
        let _ = unit_tests::read(&text, Format::Toml, &name, &environment);
    };
    let source = "[sources.a]\ntype = 'mimecast'\n";
    read(format!(
        "[api]\ntls = {{}}\n[metrics]\n{source}limits = {{}}\nquotas.x = {{ requests = 1, window_secs = 1 }}\negress = {{}}\negress_mode = 'enforce'\n\
         tls = {{}}\nproxy = {{}}\ntimeouts = {{}}\nrules = [{{ type = 'mask', field = 'a' }}, {{ type = 'hash', key = 'x' }}]\n\
         [templates.t]\nfolder = 'customers.d'\n[components.c]\npath = '/x.wasm'\n\
         [secret]\na = {{ type = 'exec', command = ['/x'] }}\nb = {{ type = 'env' }}\nc = {{ type = 'file', path = '/x' }}\n\
         d = {{ type = 'directory', path = '/x' }}\n\
         [[tests]]\nname = 'x'\ninput = {{ source = 'a', body = {{}} }}\noutputs = [{{ sink = 'stdout' }}]\n\
         no_outputs_from = []\n"
    ));
    for (kind, _) in sinks::TABLES {
        let sink = format!("{source}[sinks.s]\ntype = '{kind}'\ninputs = ['*']\nwhere = {{ classes = [1] }}\n");
        read(format!(
            "{sink}request = {{ concurrency = 1 }}\nproxy = {{}}\ntimeouts = {{}}\nhealthcheck = {{}}\nbatch = {{}}\nacknowledgements = {{}}\nbulk = {{}}\nsasl = {{}}\ntls = {{}}\n"
        ));
        for strategy in ["basic", "bearer", "api_key", "custom", "user_password", "token", "nkey", "credentials_file"] {
            read(format!("{sink}auth = {{ strategy = '{strategy}' }}\nurl = 's3://bucket'\n"));
        }
        read(format!("{sink}url = 'gs://bucket'\n"));
        read(format!("{sink}url = 'az://bucket'\n"));
    }
}

/// What stands in backticks in the description of a sink's key, and has places.
#[test]
fn the_patterns_of_descriptions_can_be_written() {
    let sinks = tables().into_iter().filter(|(_, path)| path.starts_with("sinks."));
    let keys = sinks.flat_map(|(table, path)| table.keys().map(move |key| (path.clone(), key)));
    let (mut seen, mut wrong) = (0, Vec::new());
    for (path, key) in keys.filter(|(_, key)| matches!(key.shape, Shape::Text(_))) {
        let examples = key.description.split('`').skip(1).step_by(2).filter(|text| text.contains('{'));
        for example in examples.filter(|text| !text.contains("${")) {
            seen += 1;
            if let Err(error) = crate::template::Template::parse(example) {
                wrong.push(format!("{path}.{}: {example}: {error}", key.name));
            }
        }
    }
    assert!(wrong.is_empty() && seen >= 2, "{seen}: {wrong:#?}");
}

#[test]
fn what_is_declared_is_read_and_what_is_read_is_declared() {
    // The other way round, whoever takes a key that is not declared panics in every test.
    let folder = tempfile::tempdir().unwrap();
    TAKEN.with_borrow_mut(BTreeSet::clear);
    read_everything(folder.path());
    let taken = TAKEN.with_borrow(BTreeSet::clone);
    let mut unread = Vec::new();
    for (table, _) in tables() {
        let missing = table.keys().filter(|key| !taken.contains(&from_ref::<Key>(key)));
        unread.extend(missing.map(|key| format!("{}.{}", table.name, key.name)));
    }
    assert_eq!(unread, [""; 0], "declared, and read by nobody");
}

#[test]
#[should_panic(expected = "`no_such_key` is taken and not declared in the table `limits`")]
fn a_key_that_is_not_declared_cannot_be_taken() {
    let mut problems = Vec::new();
    let step = super::Step::Global;
    let limits = super::section::Section::new(&super::limits::LIMITS, "limits", step, json!({}), &mut problems);
    limits.unwrap().take("no_such_key");
}

#[test]
fn names_of_tables_and_keys_are_unique_and_everything_is_described() {
    let mut names = BTreeSet::new();
    for (table, path) in tables() {
        assert!(names.insert(table.name), "two tables are called {}", table.name);
        assert!(table.description.ends_with('.'), "{path}: {}", table.description);
        let mut keys = BTreeSet::new();
        for key in table.keys() {
            assert!(keys.insert(key.name), "{}.{} is declared twice", table.name, key.name);
            assert!(key.description.ends_with('.'), "{}.{}: {}", table.name, key.name, key.description);
            if let Shape::Choice { names, default: Some(default) } = key.shape {
                assert!(names.contains(&default), "{}.{}", table.name, key.name);
            }
        }
        for keys in table.either {
            assert!(keys.iter().all(|key| table.key(key).is_some()), "{}: {keys:?}", table.name);
        }
    }
    let (types, tables) = (sinks::TABLES.iter().map(|(name, _)| *name), sinks::ANY.key("type"));
    assert!(matches!(tables.unwrap().shape, Shape::Choice { names, .. } if types.eq(names.iter().copied())));
}

/// A table with each key that has a default, which is written out.
fn written_out(table: &'static Table, only: &[&str]) -> Map<String, Value> {
    let keys = table.keys().filter(|key| only.is_empty() || only.contains(&key.name));
    let values = keys.filter_map(|key| match key.shape {
        Shape::Table(inner) => {
            let inner = written_out(inner, &[]);
            (!inner.is_empty()).then(|| (key.name.to_owned(), Value::Object(inner)))
        }
        ref shape => shape.default().map(|default| (key.name.to_owned(), default)),
    });
    values.collect()
}

#[test]
fn a_default_that_is_written_out_changes_nothing() {
    let read =
        |tree: &Value| -> Result<Loaded, ConfigError> { parse(&tree.to_string(), Format::Json, "t.json", &|_| None) };
    let base = json!({
        "sources": { "a": { "type": "mimecast" } }, "sinks": { "s": { "type": "stdout", "inputs": ["*"] } },
    });
    let mut all = written_out(&TOP, &[]);
    all.extend(base.as_object().unwrap().clone());
    let mut source = written_out(&super::source::SOURCE, &[]);
    source.insert("type".into(), "mimecast".into());
    all["sources"] = json!({ "a": source });
    // Left out or written out, `collect` and the like are the component's: its keys are not in it.
    let (one, other) = (read(&base).unwrap().config, read(&Value::Object(all)).unwrap().config);
    assert_eq!(one, other);

    let needs = |kind: &str| match kind {
        "file" => json!({ "path": "/var/log/x" }),
        "kafka" => json!({ "bootstrap_servers": "host" }),
        "nats" => json!({ "url": "nats://host" }),
        "object_store" => json!({ "url": "s3://bucket" }),
        "syslog" => json!({ "endpoint": "tcp://host" }),
        "splunk_hec" => json!({ "endpoint": "https://host", "token": "x" }),
        "stdout" => json!({}),
        _ => json!({ "uri": "https://host" }),
    };
    for (kind, table) in sinks::TABLES {
        let mut sink = needs(kind).as_object().unwrap().clone();
        sink.extend([("type".to_owned(), kind.into()), ("inputs".to_owned(), json!(["*"]))]);
        let with = |sink: &Map<String, Value>| read(&json!({ "sources": base["sources"], "sinks": { "s": sink } }));
        let plain = with(&sink);
        // A table of credentials has none by default.
        let keys: Vec<&str> =
            table.keys().map(|key| key.name).filter(|key| !matches!(*key, "auth" | "sasl" | "tls")).collect();
        let mut full = written_out(table, &keys);
        assert!(full.len() > 1, "{kind}");
        full.extend(sink);
        match (plain, with(&full)) {
            (Ok(plain), Ok(full)) => assert_eq!(plain.config.sinks["s"], full.config.sinks["s"], "{kind}"),
            // Those whose clients are not built in.
            (Err(plain), Err(full)) => {
                assert_eq!(plain, full, "{kind}");
                assert!(plain.to_string().contains("is not in this build"), "{plain}");
            }
            (plain, full) => panic!("{kind}: {plain:?} {full:?}"),
        }
    }
}
