//! Sources that templates make.

use std::fs;
use std::path::Path;

use super::*;

const MAIN: &str = r#"
data_dir = "/var/lib/t"
[templates.customers]
folder = "customers.d"
type = "mimecast"
client_id = "${PREFIX}-{id}"
client_secret = "SECRET[vault.{id}]"
intervals = { audit = 600 }
[sinks.files]
type = "file"
inputs = ["*"]
path = "/out"
"#;

struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        fs::create_dir(site.path("customers.d")).unwrap();
        fs::create_dir(site.path("secrets")).unwrap();
        for id in ["acme", "globex", "initech"] {
            site.write(&format!("secrets/{id}"), &format!("secret-of-{id}"));
        }
        site
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn text(&self, more: &str) -> String {
        format!("{MAIN}{more}\n[secret.vault]\ntype = \"directory\"\npath = \"{}\"\n", self.path("secrets").display())
    }

    fn read(&self, more: &str) -> Result<Loaded, ConfigError> {
        let environment = |name: &str| (name == "PREFIX").then(|| "prod".to_owned());
        let main = self.path("t.toml");
        parse(&self.text(more), Format::Toml, &main.display().to_string(), &environment)
    }

    /// With these keys in the template.
    fn read_with(&self, keys: &str) -> Result<Loaded, ConfigError> {
        let text = self.text("").replace("intervals = { audit = 600 }", keys);
        let environment = |name: &str| match name {
            "PREFIX" => Some("prod".to_owned()),
            "PEPPER" => Some("a-long-pepper-of-all".to_owned()),
            _ => None,
        };
        parse(&text, Format::Toml, &self.path("t.toml").display().to_string(), &environment)
    }

    /// What is suspicious then, without the folder.
    fn warned_with(&self, keys: &str) -> Vec<String> {
        let folder = format!("{}/", self.path("customers.d").display());
        let warnings = self.read_with(keys).unwrap().warnings;
        let texts = warnings.iter().map(|warning| warning.to_string().replace(&folder, ""));
        texts.filter(|text| !text.contains("the secret file")).collect()
    }

    fn problem(&self, more: &str) -> String {
        self.read(more).unwrap_err().to_string()
    }
}

fn settings(config: &Config, id: &str) -> Value {
    serde_json::from_str(config.sources[id].settings.as_json()).unwrap()
}

/// What is refused, without the folder.
fn refused(config: &Config, site: &Site) -> Vec<String> {
    let folder = format!("{}/", site.path("customers.d").display());
    config
        .refused
        .iter()
        .flat_map(|file| &file.problems)
        .map(|problem| problem.to_string().replace(&folder, ""))
        .collect()
}

#[test]
fn each_file_is_a_source() {
    let site = Site::new();
    site.write("customers.d/acme.toml", "");
    site.write("customers.d/globex.yaml", "tenant: Globex Corp\nintervals:\n  dlp: 900\nquota_share: 0.5\n");
    site.write("customers.d/initech.json", r#"{"client_secret": "written-out", "collect": ["siem"]}"#);
    // What editors and deployments leave.
    for name in [".acme.toml.swp", "README", "acme.toml~", ".hidden.toml"] {
        site.write(&format!("customers.d/{name}"), "garbage = [");
    }
    let Loaded { config, warnings, files } = site.read("").unwrap();
    assert_eq!(config.refused, []);
    assert_eq!(config.sources.keys().collect::<Vec<_>>(), ["acme", "globex", "initech"]);
    assert_eq!(config.files["globex"], site.path("customers.d/globex.yaml"));
    let acme = settings(&config, "acme");
    assert_eq!((&acme["client_id"], &acme["client_secret"]), (&"prod-acme".into(), &"secret-of-acme".into()));
    assert_eq!((&acme["tenant"], acme.get("folder")), (&"acme".into(), None));
    let globex = &config.sources["globex"];
    assert_eq!((globex.tenant.as_str(), globex.quota_share), ("Globex Corp", 0.5));
    assert_eq!(settings(&config, "globex")["intervals"], serde_json::json!({"audit": 600, "dlp": 900}));
    assert_eq!(settings(&config, "initech")["client_secret"], "written-out");
    let told: Vec<_> = warnings.iter().filter(|warning| warning.message.contains("written out")).collect();
    assert!(told.len() == 1 && told[0].path.ends_with("initech.json: client_secret"), "{warnings:?}");
    // A file that comes, and one that changes, are noticed.
    assert!(!files.have_changed());
    site.write("customers.d/initech.json", "{}");
    assert!(files.have_changed());
    let files = site.read("").unwrap().files;
    site.write("customers.d/umbrella.toml", "");
    assert!(files.have_changed());
}

#[test]
fn a_bad_file_is_bad_alone() {
    let site = Site::new();
    site.write("customers.d/acme.toml", "region = \"eu\"\n");
    site.write("customers.d/acme.yaml", "region: eu\n");
    site.write("customers.d/broken.toml", "region = \"eu\"\nclient_secret = \"hunter2\ncollect = 1\n");
    site.write("customers.d/files.toml", "");
    site.write("customers.d/globex.toml", "quota_share = 7\n");
    site.write("customers.d/health.toml", "client_secret = \"x\"\n");
    site.write("customers.d/list.json", "[1]");
    site.write("customers.d/no-secret.toml", "");
    site.write("customers.d/of a man.toml", "client_secret = \"x\"\n");
    site.write("customers.d/own.toml", "client_secret = \"x\"\n");
    site.write("customers.d/unset.toml", "client_id = \"${NOBODY_SETS_IT}\"\nclient_secret = \"x\"\n");
    site.write("secrets/files", "s");
    let own = "[sources.own]\ntype = \"mimecast\"\n";
    let loaded = site.read(own).unwrap();
    assert_eq!(loaded.config.sources.keys().collect::<Vec<_>>(), ["acme", "own"], "the good ones are there");
    let mut refused = refused(&loaded.config, &site);
    refused.sort();
    let begins = [
        "acme.yaml: ",
        "broken.toml:2:",
        "files.toml: sinks.files has the same id",
        "globex.toml: quota_share: must be a number",
        "health.toml: the id is reserved",
        "list.json: is not a table",
        "no-secret.toml: client_secret: cannot read the secret file",
        "of a man.toml: the file's name is the source's id",
        "own.toml: sources.own has the same id",
        "unset.toml: client_id: the environment variable NOBODY_SETS_IT is not set",
    ];
    assert_eq!(refused.len(), begins.len(), "{refused:#?}");
    for (problem, begin) in refused.iter().zip(begins) {
        assert!(problem.starts_with(begin) && !problem.contains("hunter2"), "{problem}");
    }
    assert!(loaded.config.keeps("globex") && !loaded.config.keeps("nobody"));
}

/// One mistake, one line, and no customer's fault.
#[test]
fn the_keys_of_a_template_are_judged_once() {
    let site = Site::new();
    for id in ["acme", "globex", "initech"] {
        site.write(&format!("customers.d/{id}.toml"), "collect = [\"siem\"]\n");
    }
    let read = |keys: &str| site.read_with(keys);
    for (keys, path) in [
        ("rules = [{ type = 'mask', pattern = '(x' }]", "templates.customers.rules[0].pattern: is no regular"),
        ("rules = [{ type = 'hash', field = 'a' }]", "templates.customers.rules[0].key: is required"),
        ("quota_share = 3", "templates.customers.quota_share: must be"),
        ("limits.cpu_secs = 0", "templates.customers.limits.cpu_secs: must be"),
        ("quotas.x = { requests = 0.5 }", "templates.customers.quotas.x.requests: must say how many"),
        ("quotas.x = { requests = 5, window_secs = 0 }", "templates.customers.quotas.x.window_secs: must say how"),
        ("quotas.x = { requests = 5, of = 1 }", "templates.customers.quotas.x.of: must say how many"),
        ("region = '${NOBODY_SETS_IT}'", "templates.customers.region: the environment variable NOBODY_SETS_IT"),
        ("tenant = '{id}-${NOBODY_SETS_IT}'", "templates.customers.tenant: the environment variable NOBODY_SETS_IT"),
        ("category = 'SECRET[vault.none]'", "templates.customers.category: cannot read the secret file"),
        ("base_url = 'SECRET[nowhere.x]'", "templates.customers.base_url: there is no secret backend"),
    ] {
        let error = read(keys).unwrap_err();
        let [problem] = &error.problems[..] else { panic!("{keys}: {error}") };
        assert!(problem.to_string().starts_with(path), "{keys}: {problem}");
        assert_eq!(error.readable.unwrap().refused, [], "{keys}");
    }
    // What a file may still add, and what depends on the source.
    for keys in [
        "quotas.x = { requests = 5 }",
        "tenant = '${PREFIX}-{id}'",
        "rules = [{ type = 'mask', field = 'a', replacement = '{id}' }]",
        "rules = [{ type = 'hash', field = 'a', key = 'SECRET[vault.{id}]' }]",
    ] {
        let refused = match read(keys) {
            Ok(loaded) => loaded.config.refused.len(),
            Err(error) => panic!("{keys}: {error}"),
        };
        assert_eq!(refused, if keys.starts_with("quotas") { 3 } else { 0 }, "{keys}");
    }
    // What only the component can judge has the place in the template too, unless the file has the key.
    let config = read("region = 'eu'").unwrap().config;
    let placed = |path: &str| config.placed("acme", Problem::new(Step::Sources, path, "is wrong")).path;
    let file = site.path("customers.d/acme.toml").display().to_string();
    assert_eq!(placed("region"), "templates.customers.region");
    assert_eq!(placed("collect"), format!("{file}: collect"));
    assert_eq!(placed("start_at"), format!("{file}: start_at"));
    assert_eq!(config.placed("own", Problem::new(Step::Sources, "a", "x")).path, "sources.own.a");
}

/// Tables of both are one table: what of it is wrong stands where it was written.
#[test]
fn keys_of_the_same_table_have_their_places() {
    let site = Site::new();
    site.write("customers.d/acme.toml", "intervals = { dlp = '1h' }\nlabels.of = { a = 1 }\n");
    let config = site.read_with("intervals = { audit = '1s' }\nlabels.of = { a = 2, b = 3 }").unwrap().config;
    let placed = |path: &str| config.placed("acme", Problem::new(Step::Sources, path, "is wrong")).path;
    let file = site.path("customers.d/acme.toml").display().to_string();
    assert_eq!(placed("intervals.audit"), "templates.customers.intervals.audit");
    assert_eq!(placed("labels.of.b[0].c"), "templates.customers.labels.of.b[0].c");
    for own in ["intervals", "intervals.dlp", "intervals.auditing", "labels.of.a", ""] {
        assert_eq!(placed(own), if own.is_empty() { file.clone() } else { format!("{file}: {own}") });
        assert_eq!(config.template_of("acme", own), None);
    }
    assert_eq!(config.template_of("acme", "intervals.audit"), Some("templates.customers"));
    assert_eq!(config.template_of("nobody", "intervals.audit"), None);
}

#[test]
fn a_files_own_mistake_is_told_beside_its_templates() {
    let site = Site::new();
    site.write("customers.d/acme.toml", "quota_share = 7\nlimits.cpu_secs = 0\n");
    site.write("customers.d/globex.toml", "limits.handles = 64\n");
    let error = site.read_with("quota_share = 3\nlimits.cpu_secs = 0\ncategory = '${NOBODY_SETS_IT}'").unwrap_err();
    assert!(error.to_string().contains("NOBODY_SETS_IT") && error.readable.unwrap().refused.is_empty());
    let error = site.read_with("quota_share = 3\nlimits.cpu_secs = 0").unwrap_err();
    let paths: Vec<&str> = error.problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["templates.customers.quota_share", "templates.customers.limits.cpu_secs"]);
    let refused = refused(error.readable.as_ref().unwrap(), &site);
    assert_eq!(refused.len(), 2, "{refused:#?}");
    assert!(refused[0].starts_with("acme.toml: quota_share: must be"), "{refused:#?}");
    assert!(refused[1].starts_with("acme.toml: limits.cpu_secs: must be"), "{refused:#?}");
    // The same variable, in the file too.
    site.write("customers.d/acme.toml", "category = '${NOBODY_SETS_IT}'\n");
    let refused =
        self::refused(site.read_with("category = '${NOBODY_SETS_IT}'").unwrap_err().readable.as_ref().unwrap(), &site);
    assert!(refused.len() == 1 && refused[0].starts_with("acme.toml: category: the environment"), "{refused:#?}");
}

/// Whether a key is long enough is seen when it is filled in for a source.
#[test]
fn a_templates_key_that_depends_on_the_source_is_warned_of_for_what_it_is() {
    let site = Site::new();
    site.write("customers.d/acme.toml", "");
    site.write("customers.d/globex.toml", "");
    site.write("secrets/salt-acme", "a-long-salt-of-acme");
    site.write("secrets/salt-globex", "a-long-salt-of-globex");
    let rule = |key: &str| format!("rules = [{{ type = 'hash', field = 'a', key = '{key}' }}]");
    // As it is written, the first is too short.
    for long in ["${PEPPER}-{id}", "SECRET[vault.salt-{id}]", "SECRET[vault.salt-acme]", "${PEPPER}"] {
        assert_eq!(site.warned_with(&rule(long)), Vec::<String>::new(), "{long}");
    }
    for short in ["${PREFIX}-{id}", "{id}", "${PREFIX}"] {
        let warned = site.warned_with(&rule(short));
        assert_eq!(warned.len(), 1, "{short}: {warned:#?}");
        assert!(warned[0].starts_with("templates.customers.rules[0].key: has fewer than 16 bytes"), "{warned:#?}");
    }
}

#[test]
fn what_is_suspicious_about_a_file_names_it() {
    let site = Site::new();
    let report = "egress_mode = 'report'";
    site.write("customers.d/acme.toml", report);
    site.write("customers.d/globex.toml", report);
    site.write("customers.d/initech.toml", "");
    let begins = |keys: &str| -> Vec<String> {
        let warned = site.warned_with(keys);
        warned.iter().map(|text| text.split(": what").next().unwrap().to_owned()).collect()
    };
    let files = ["acme.toml: egress_mode", "globex.toml: egress_mode"];
    assert_eq!(begins(""), files);
    // Nor is it swallowed by what is said of others.
    assert_eq!(begins(report), [&["templates.customers.egress_mode"], &files[..]].concat());
    let top = format!("{report}\n{}", site.text(""));
    let loaded = parse(&top, Format::Toml, &site.path("t.toml").display().to_string(), &|_| Some("x".into())).unwrap();
    let told = loaded.warnings.iter().filter(|warning| warning.path.ends_with("egress_mode")).count();
    assert_eq!(told, 3, "{:#?}", loaded.warnings);
    // What the top gives is the top's, though the tables are one.
    for id in ["acme", "globex"] {
        site.write(&format!("customers.d/{id}.toml"), "tls.min_tls_version = '1.3'\n");
    }
    let told = |keys: &str| -> Vec<String> {
        let text =
            format!("tls.verify_certificate = false\n{}", site.text("")).replace("intervals = { audit = 600 }", keys);
        let name = site.path("t.toml").display().to_string();
        let warnings = parse(&text, Format::Toml, &name, &|_| Some("x".into())).unwrap().warnings;
        warnings.into_iter().map(|warning| warning.path).filter(|path| path.contains("tls.")).collect()
    };
    let at = "templates.customers.tls.verify_certificate";
    for keys in ["", "tls.min_tls_version = '1.2'"] {
        assert_eq!(told(keys), ["tls.verify_certificate"], "{keys}");
    }
    assert_eq!(told("tls.verify_certificate = false"), ["tls.verify_certificate", at]);
    // What a file has of others alone is no word of each.
    for id in ["acme", "globex", "initech"] {
        site.write(&format!("customers.d/{id}.toml"), "");
    }
    let warned = site.warned_with("limits.wall_secs = 10");
    assert!(
        !warned.is_empty() && warned.iter().all(|text| text.starts_with("templates.customers.timeouts.")),
        "{warned:#?}"
    );
    site.write("customers.d/acme.toml", "client_secret = 'SECRET[vault.open]'\n");
    site.write("secrets/open", "s");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(site.path("secrets/open"), fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = site.read("").unwrap().warnings;
    let warning = warnings.iter().find(|warning| warning.message.contains("secrets/open")).unwrap();
    assert!(warning.path.ends_with("customers.d/acme.toml: client_secret"), "{warning}");
}

#[test]
fn a_template_that_is_wrong_is_a_wrong_configuration() {
    let site = Site::new();
    for (more, said) in [
        ("[templates.more]\nfolder = \"nowhere\"\n", "nowhere: cannot read the folder"),
        ("[templates.more]\ntype = \"mimecast\"\n", "templates.more.folder: is required"),
        ("[templates.more]\nfolder = \"customers.d\"\n", "templates.more.folder: is the folder of another"),
        ("[templates.more]\nfolder = \"${NOBODY_SETS_IT}\"\n", "NOBODY_SETS_IT is not set"),
    ] {
        assert!(site.problem(more).contains(said), "{more}: {}", site.problem(more));
    }
    // No customer yet is none of these, nor a sink for one who is to come.
    let later = "[sinks.later]\ntype = \"stdout\"\ninputs = [\"globex\"]\n";
    let loaded = site.read(later).unwrap();
    assert!(loaded.config.sources.is_empty() && loaded.config.refused.is_empty());
    let yet: Vec<String> = loaded.warnings.iter().map(Problem::to_string).filter(|text| text.contains("yet")).collect();
    assert!(yet.iter().any(|text| text.contains("`globex` fits no source yet")), "{yet:?}");
    let everything = yet.iter().find(|text| text.contains("`*` fits no source yet")).unwrap();
    assert!(
        everything.contains("file comes into the folder of a template") && !everything.contains("or `*`"),
        "{yet:?}"
    );
    // Without a template it is a slip.
    let plain = "[sources.a]\ntype = \"mimecast\"\n[sinks.later]\ntype = \"stdout\"\ninputs = [\"globex\"]\n";
    let error = parse(plain, Format::Toml, "t.toml", &|_| None).unwrap_err();
    assert!(error.to_string().contains("`globex` fits no source."), "{error}");
    assert!(Path::new("t.toml").parent().is_some());
}
