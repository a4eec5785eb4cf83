use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const PLAIN: Validate =
    Validate { file: None, no_environment: false, warn_on_files: false, deny_warnings: false, json: false };

fn run(text: &str, options: &Validate, folder: &Path) -> (u8, String) {
    let path = folder.join("t.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut out = Vec::new();
    let missing = || Problem::new(Step::Sources, "client_id", "is missing").hint("Set it");
    let mut plan_for = |_: &Config, source: &Source| match source.tenant.as_str() {
        "bad" => Err(vec![missing()]),
        "worse" => Err(vec![missing(), Problem::new(Step::Sources, "region", "is odd").hint("Mend it")]),
        _ => Ok("3 streams".to_owned()),
    };
    let unknown = |config: &Config| {
        let named = config.sinks.values().filter(|sink| sink.only.streams.iter().any(|name| name == "nowhere"));
        named.map(|sink| Problem::new(Step::Sinks, format!("sinks.{}.where", sink.id), "`nowhere`")).collect()
    };
    let code = validate(&path, options, &mut plan_for, &unknown, &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

fn text(folder: &Path, tenant: &str, inputs: &str) -> String {
    format!(
        "data_dir = '{0}/data'\n[sources.a]\ntype = \"{1}\"\ntenant = \"{tenant}\"\n[sources.b]\ntype = \"{1}\"\n\
         [sinks.out]\ntype = \"file\"\ninputs = [{inputs}]\npath = '{0}/out'\n",
        folder.display(),
        config::EMBEDDED_SOURCE,
    )
}

#[test]
fn a_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out) = run(&text(folder.path(), "good", "'*'"), &PLAIN, folder.path());
    assert_eq!(code, exit::OK, "{out}");
    let signs: String = out.lines().filter_map(|line| line.chars().next()).collect();
    assert_eq!(signs, "√√√√√√√√√T", "{out}");
    assert!(out.contains("√ Sources: a, b") && out.contains("√ Component accepts sources.a: 3 streams"), "{out}");
    assert!(!folder.path().join("data").exists(), "nothing is made");
}

#[test]
fn a_wrong_one() {
    let folder = tempfile::tempdir().unwrap();
    let good = text(folder.path(), "good", "'*'");
    let (code, out) = run(&good.replace("inputs", "input"), &PLAIN, folder.path());
    assert_eq!(code, exit::CONFIGURATION);
    assert!(out.contains("√ Sources") && out.contains("x Sinks\n  sinks.out.input"), "{out}");
    let (code, out) = run("data_dir = ", &PLAIN, folder.path());
    assert_eq!(code, exit::CONFIGURATION);
    assert!(out.starts_with("x Parse") && !out.contains("Sources"), "{out}");
    let (code, out) = run(&text(folder.path(), "bad", "'*'"), &PLAIN, folder.path());
    assert_eq!(code, exit::CONFIGURATION);
    assert!(out.contains("x Component accepts sources.a\n  sources.a.client_id: is missing. Set it\n√"), "{out}");
}

#[test]
fn one_mistake_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let bad = text(folder.path(), "bad", "'*'");
    let more = "[[tests]]\nname = 'one'\ninput = { source = 'a', event = 1 }\noutputs = [{ sink = 'out' }]\n";
    for (mistake, says) in [
        ("max_concurrent_pulls = 0\n", "x Top level\n  max_concurrent_pulls: "),
        ("tls.key_pass = '${SURELY_NOT_SET}'\n", "x Fill in variables and secrets\n  tls.key_pass: "),
    ] {
        let (code, out) = run(&format!("{mistake}{bad}{more}"), &PLAIN, folder.path());
        assert_eq!(code, exit::CONFIGURATION, "{out}");
        for words in [
            says,
            "x Component accepts sources.a\n  sources.a.client_id: is missing. Set it\n",
            "√ Component accepts sources.b: 3 streams\n",
            "  tests[0].input.event: unknown key",
            "√ data_dir is writable",
        ] {
            assert!(out.contains(words), "no {words:?} in {out}");
        }
    }
    // Where something is wrong with a source itself, its component is asked if its keys can be read.
    let (_, out) = run(&bad.replace("tenant", "quota_share = 3\ntenant"), &PLAIN, folder.path());
    assert!(out.contains("  sources.a.quota_share: ") && out.contains("  sources.a.client_id: is missing"), "{out}");
    let wrong = bad.replacen("type = \"mimecast\"", "type = \"mimcast\"", 1);
    let (_, out) = run(&wrong, &PLAIN, folder.path());
    assert!(out.contains("- Component accepts sources.a: not judged, because it is not known what"), "{out}");
    // What nothing was filled in to is not called wrong.
    let open = bad.replace("tenant", "client_id = '${SURELY_NOT_SET}'\ntenant");
    let (_, out) = run(&open, &PLAIN, folder.path());
    let step = "- Component accepts sources.a: not judged, because sources.a.client_id could not be filled in\n";
    assert!(out.contains(step) && !out.contains("is missing"), "{out}");
}

#[test]
fn warnings_fail_only_if_told() {
    let folder = tempfile::tempdir().unwrap();
    let text = text(folder.path(), "good", "'a'");
    let (code, out) = run(&text, &PLAIN, folder.path());
    assert_eq!(code, exit::OK, "{out}");
    assert!(out.contains("√ Sources: a, b\n  warning: sources.b: no sink takes"), "{out}");
    let strict = Validate { deny_warnings: true, ..PLAIN };
    let (code, out) = run(&text, &strict, folder.path());
    assert_eq!(code, exit::CONFIGURATION);
    assert!(out.ends_with("--deny-warnings is set.\n"), "{out}");
}

#[test]
fn names_of_nothing_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let text = text(folder.path(), "good", "'*'") + "where = { streams = ['nowhere'] }\n";
    let (code, out) = run(&text, &PLAIN, folder.path());
    assert_eq!(code, exit::OK, "{out}");
    assert!(out.contains("  warning: sinks.out.where: `nowhere`\n"), "{out}");
}

#[test]
fn tests_are_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let text = text(folder.path(), "good", "'*'");
    let test = |key: &str| {
        format!(
            "{text}[[tests]]\nname = 'one'\ninput = {{ source = 'a', {key} = '{{}}' }}\nno_outputs_from = ['out']\n"
        )
    };
    let (code, out) = run(&test("body"), &PLAIN, folder.path());
    assert_eq!(code, exit::OK, "{out}");
    assert!(out.contains("√ Tests, which `tributary test` runs: 1\n"), "{out}");
    let (code, out) = run(&test("event"), &PLAIN, folder.path());
    assert_eq!(code, exit::CONFIGURATION, "{out}");
    assert!(out.contains("x Tests\n  tests[0].input.body: is required"), "{out}");
    assert!(out.contains("\n  tests[0].input.event: unknown key"), "{out}");
}

/// What stands in a rule may be a secret, of which tests know nothing.
#[test]
fn rules_with_secrets_are_no_mistake() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("names"), "(miller|smith)").unwrap();
    fs::set_permissions(folder.path().join("names"), fs::Permissions::from_mode(0o600)).unwrap();
    let rule = "rules = [{ type = 'mask', pattern = 'SECRET[vault.names]' }]\n";
    let vault = format!("[secret.vault]\ntype = 'directory'\npath = '{}'\n", folder.path().display());
    let text = text(folder.path(), "good", "'*'") + rule + &vault;
    let (code, out) = run(&text, &PLAIN, folder.path());
    assert!(code == exit::OK && !out.contains("Tests"), "{out}");
    let test = |key: &str| {
        format!("[[tests]]\nname = 'one'\ninput = {{ source = 'a', {key} = '{{}}' }}\nno_outputs_from = ['out']\n")
    };
    let (code, out) = run(&(text.clone() + &test("body")), &PLAIN, folder.path());
    let step =
        "- Tests: not judged, because of sinks.out.rules[0].pattern: tests do not ask the secret backend `vault`";
    assert!(code == exit::OK && out.contains(step), "{out}");
    let (code, out) = run(&(text.clone() + &test("event")), &PLAIN, folder.path());
    assert!(code == exit::CONFIGURATION && out.contains("x Tests\n  tests[0].input.body: is required"), "{out}");
    assert!(!out.contains("vault"), "{out}");
    let (code, out) = run(&(text.replace("vault.names", "vault.none") + &test("body")), &PLAIN, folder.path());
    assert!(code == exit::CONFIGURATION && out.contains("cannot read the secret file"), "{out}");
    assert!(out.contains("- Tests: not judged, because the rules"), "{out}");
}

/// A folder of customers: one mistake in all files is one line, and with `warn_on_files` no failure.
#[test]
fn files_with_the_same_mistake_are_told_together() {
    let folder = tempfile::tempdir().unwrap();
    let customers = folder.path().join("customers.d");
    fs::create_dir(&customers).unwrap();
    let write = |id: &str, text: &str| fs::write(customers.join(format!("{id}.toml")), text).unwrap();
    (0..5).for_each(|number| write(&format!("c{number}"), "quota_share = 7\n"));
    (0..5).for_each(|number| write(&format!("d{number}"), "tenant = \"bad\"\n"));
    write("one", "on_position_lost = 5\n");
    let main = |template: &str| {
        let template = format!("[templates.t]\nfolder = \"customers.d\"\ntype = \"mimecast\"\n{template}");
        text(folder.path(), "good", "'*'") + &template
    };
    let (code, out) = run(&main(""), &PLAIN, folder.path());
    assert_eq!(code, exit::CONFIGURATION);
    let name = |id: &str| customers.join(format!("{id}.toml")).display().to_string();
    for words in [
        format!(
            "x Source of 5 files: {}, {}, {} and 2 more\n  quota_share: must be",
            name("c0"),
            name("c1"),
            name("c2")
        ),
        format!("x Source of {0}\n  {0}: on_position_lost: must be", name("one")),
        format!("x Component accepts 5 files: {}, ", name("d0")),
        "more\n  client_id: is missing. Set it\n".to_owned(),
        "√ Component accepts sources.a: 3 streams\n".to_owned(),
    ] {
        assert!(out.contains(&words), "no {words:?} in {out}");
    }
    assert_eq!(out.matches("quota_share: must").count() + out.matches("client_id").count(), 2, "{out}");
    let passing = Validate { warn_on_files: true, ..PLAIN };
    let (code, out) = run(&main(""), &passing, folder.path());
    assert_eq!(code, exit::OK, "{out}");
    assert!(out.contains("! Source of 5 files: ") && out.contains("\n  warning: quota_share: must be"), "{out}");
    assert!(out.contains("! Component accepts 5 files: "), "{out}");
    let (code, _) = run(&main(""), &Validate { deny_warnings: true, warn_on_files: true, ..PLAIN }, folder.path());
    assert_eq!(code, exit::CONFIGURATION);
    // The main file, and the template in it.
    for (main, says) in [
        (main("quota_share = 8\n"), "  templates.t.quota_share: must be"),
        (main("client_id = 'x'\n"), "x Component accepts templates.t for 5 files: "),
        (main("").replace("\"good\"", "\"bad\""), "x Component accepts sources.a\n"),
    ] {
        let (code, out) = run(&main, &passing, folder.path());
        assert!(code == exit::CONFIGURATION && out.contains(says), "no {says:?} in {out}");
    }
}

/// Writes a file of the folder of templates, and gives its name.
fn site(folder: &Path) -> impl Fn(&str, &str) -> String {
    let customers = folder.join("templates.d");
    fs::create_dir(&customers).unwrap();
    move |id: &str, text: &str| {
        let file = customers.join(format!("{id}.toml"));
        fs::write(&file, text).unwrap();
        file.display().to_string()
    }
}

#[test]
fn a_mistake_of_a_template_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = site(folder.path());
    let [one, two, three] = ["one", "two", "three"].map(|id| write(id, "tenant = 'bad'\n"));
    let main = text(folder.path(), "good", "'*'")
        + "[templates.t]\nfolder = 'templates.d'\ntype = 'mimecast'\nclient_id = 'x'\n";
    let told = "  templates.t.client_id: is missing. Set it\n";
    let (code, out) = run(&main, &PLAIN, folder.path());
    let step = format!("x Component accepts templates.t for {one}, {three}, {two}\n{told}");
    assert!(code == exit::CONFIGURATION && out.contains(&step) && out.matches(told).count() == 1, "{out}");
    // Also beside what is wrong with a file itself, which does not count then.
    write("two", "tenant = 'worse'\n");
    let options = Validate { warn_on_files: true, ..PLAIN };
    let (code, out) = run(&main, &options, folder.path());
    let own = format!("! Component accepts {two}\n  warning: {two}: region: is odd. Mend it\n");
    assert!(code == exit::CONFIGURATION && out.contains(&own) && out.matches(told).count() == 1, "{out}");
    assert!(out.contains(&format!("x Component accepts templates.t for {one}, {three}, {two}\n")), "{out}");
    for id in ["one", "two", "three"] {
        write(id, "tenant = 'good'\n");
    }
    let (code, out) = run(&main, &options, folder.path());
    assert!(code == exit::OK && out.contains("√ Component accepts the sources of templates: 3\n"), "{out}");
}

/// As they are named to whoever stands beside their folder.
#[test]
fn a_folder_may_be_called_as_templates_are() {
    let file = Path::new("templates.d/acme.toml");
    let problem = Problem::new(Step::Sources, "quota_share", "is odd").hint("Mend it").in_file(file);
    for (warnings, out) in [
        (true, "! Source of templates.d/acme.toml\n  warning: templates.d/acme.toml: quota_share: is odd. Mend it\n"),
        (false, "x Source of templates.d/acme.toml\n  templates.d/acme.toml: quota_share: is odd. Mend it\n"),
    ] {
        let (mut files, mut told) = (Files::default(), Vec::new());
        files.add(file, vec![problem.clone()]);
        let mut report = Report::new(&mut told, false);
        files.tell("Source of", warnings, &mut report).unwrap();
        assert_eq!((report.failed, String::from_utf8(told).unwrap().as_str()), (!warnings, out));
    }
}

#[test]
fn a_component_that_is_wrong_is_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let good = text(folder.path(), "bad", "'*'").replacen("type = \"mimecast\"", "type = 'acme'", 1);
    for (table, mistake) in [
        ("version = '1.0.0'", "  components.acme.path: is required"),
        ("path = '${SURELY_NOT_SET}'", "  components.acme.path: the environment variable SURELY_NOT_SET"),
        ("path = '/x.wasm'\nsha256 = 'x'", "  components.acme.sha256: must be"),
    ] {
        let (code, out) = run(&format!("{good}[components.acme]\n{table}\n"), &PLAIN, folder.path());
        let step = "- Component accepts sources.a: not judged, because components.acme is wrong\n";
        assert!(code == exit::CONFIGURATION && out.contains(mistake) && out.contains(step), "{out}");
        assert!(!out.contains("is missing") && out.contains("√ Component accepts sources.b"), "{out}");
    }
    // Another's mistake is none of this one's.
    let other = "[components.acme]\npath = '/x.wasm'\n[components.acme-eu]\nversion = '1.0.0'\n";
    let (_, out) = run(&format!("{good}{other}"), &PLAIN, folder.path());
    assert!(out.contains("  sources.a.client_id: is missing. Set it\n"), "{out}");
    site(folder.path())("one", "");
    let template = "[templates.t]\nfolder = 'templates.d'\ntype = 'acme'\n[components.acme]\n";
    let (_, out) = run(&format!("{good}{template}"), &PLAIN, folder.path());
    let step = "- Component accepts the sources of templates: not judged, because components.acme is wrong\n";
    assert!(out.contains(step), "{out}");
}

#[test]
fn folders_count_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    let text = text(folder.path(), "good", "'*'");
    fs::write(folder.path().join("data"), "a file").unwrap();
    let (code, out) = run(&text, &PLAIN, folder.path());
    assert_eq!(code, exit::CONFIGURATION);
    assert!(out.contains("x data_dir is writable"), "{out}");
    let (code, out) = run(&text, &Validate { no_environment: true, ..PLAIN }, folder.path());
    assert_eq!(code, exit::OK, "{out}");
}
