//! `tributary validate`: judges a configuration and prints a line for each step.

mod files;
mod report;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use self::files::Files;
use self::report::Report;
use super::{Validate, exit};
use crate::config::{self, Config, ConfigError, Loaded, Problem, SinkKind, Source, Step};
use crate::sinks::file::blocked;
use crate::state;

/// Asks a source's component to judge its configuration, which is part of the whole one; the answer says in a few words
/// what it selects, or what is wrong, by paths in the source's table.
pub type PlanFor<'a> = dyn FnMut(&Config, &Source) -> Result<String, Vec<Problem>> + 'a;

/// Names in rules and routes that none of the sources has which were accepted. Asked after all of them.
pub type UnknownNames<'a> = dyn Fn(&Config) -> Vec<Problem> + 'a;

/// Judges the configuration at `path`; returns the exit code. Errors are those of writing to `out`.
pub fn validate(
    path: &Path,
    options: &Validate,
    plan_for: &mut PlanFor<'_>,
    unknown: &UnknownNames<'_>,
    out: &mut impl Write,
) -> io::Result<u8> {
    let mut report = Report::new(out, options.json);
    match config::load(path) {
        Ok(Loaded { config, warnings, .. }) => {
            report.steps(path, &[], &warnings, Some(&config))?;
            Files::refused(&config).tell("Source of", options.warn_on_files, &mut report)?;
            tests(path, &mut report)?;
            components(&config, None, options, plan_for, &mut report)?;
            for warning in unknown(&config) {
                report.warning(&warning)?;
            }
            if !options.no_environment {
                environment(&config, None, &mut report)?;
            }
        }
        Err(mut error) => {
            report.steps(path, &error.problems, &error.warnings, None)?;
            if let Some(config) = error.readable.take() {
                // The rest is judged as far as it can be: whoever mends one mistake must not meet the next one after it.
                Files::refused(&config).tell("Source of", options.warn_on_files, &mut report)?;
                tests(path, &mut report)?;
                components(&config, Some(&error), options, plan_for, &mut report)?;
                if !options.no_environment {
                    environment(&config, Some(&error), &mut report)?;
                }
            }
        }
    }
    let failed = report.failed || (report.warned && options.deny_warnings);
    let verdict = match (failed, report.failed) {
        (true, true) => "The configuration is wrong.",
        (true, false) => "There are warnings, and --deny-warnings is set.",
        (false, _) => "The configuration can be run.",
    };
    report.end(!failed, verdict)?;
    Ok(if failed { exit::CONFIGURATION } else { exit::OK })
}

/// Asks the components of all sources. `error` is what is wrong with the configuration, if anything is.
fn components(
    config: &Config,
    error: Option<&ConfigError>,
    options: &Validate,
    plan_for: &mut PlanFor<'_>,
    report: &mut Report<'_, impl Write>,
) -> io::Result<()> {
    let (mut accepted, mut refused) = (0, Files::default());
    for source in config.sources.values() {
        let judged = plan_for(config, source).map_err(|problems| {
            problems.into_iter().map(|problem| config.placed(&source.id, problem)).collect::<Vec<_>>()
        });
        // In some texts there may be nothing filled in: of those it knows nothing.
        let known = |problem: &Problem| error.is_none_or(|error| !error.is_open(&problem.path));
        let (known, open): (Vec<_>, Vec<_>) = judged.as_ref().err().into_iter().flatten().cloned().partition(known);
        // There may be thousands of files.
        let step = match (config.files.get(&source.id), &judged) {
            (Some(_), Ok(_)) => {
                accepted += 1;
                continue;
            }
            (Some(_), Err(_)) if known.is_empty() && !open.is_empty() => continue,
            (Some(file), Err(_)) => {
                refused.add(file, known);
                continue;
            }
            (None, _) => format!("Component accepts sources.{}", source.id),
        };
        match (&judged, known.is_empty(), open.first()) {
            (Ok(found), ..) => report.line(&step, Ok(found.clone()))?,
            (Err(_), true, Some(open)) => {
                report.not_judged(&step, &format!("because {} could not be filled in", open.path))?;
            }
            (Err(_), ..) => report.line(&step, Err(&known))?,
        }
    }
    refused.tell("Component accepts", options.warn_on_files, report)?;
    if accepted > 0 {
        report.line("Component accepts the sources of templates", Ok(accepted.to_string()))?;
    }
    let wrong = error.into_iter().flat_map(|error| &error.problems);
    let wrong = wrong.filter_map(|problem| problem.path.strip_prefix("sources.")?.split(['.', '[']).next());
    for id in wrong.filter(|id| !config.sources.contains_key(*id)).collect::<BTreeSet<_>>() {
        let step = format!("Component accepts sources.{id}");
        report.not_judged(&step, &format!("because it is not known what sources.{id} is: see what is said of it"))?;
    }
    Ok(())
}

/// The tests that stand in the configuration. They are read here, and run by `tributary test`.
fn tests(path: &Path, report: &mut Report<'_, impl Write>) -> io::Result<()> {
    match config::load_tests(path) {
        Ok(suite) if suite.tests.is_empty() => Ok(()),
        Ok(suite) => report.line("Tests, which `tributary test` runs", Ok(suite.tests.len().to_string())),
        Err(ConfigError { mut problems, .. }) => {
            // What else it stumbles over has been said.
            problems.retain(|problem| !report.has_told(&problem.path));
            match problems.is_empty() {
                true => report.not_judged("Tests", "because the rules and inputs that they are about are wrong"),
                false => report.line("Tests", Err(&problems)),
            }
        }
    }
}

/// Whether this machine has what the configuration needs.
fn environment(config: &Config, error: Option<&ConfigError>, report: &mut Report<'_, impl Write>) -> io::Result<()> {
    let mut writable = |key: String, folder: &Path, blocked: &dyn Fn() -> Option<String>| {
        let step = format!("{key} is writable");
        if error.is_some_and(|error| error.problems.iter().any(|problem| problem.path == key)) {
            return report.not_judged(&step, "because it is wrong");
        }
        let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let wrong = state::is_writable(folder).err().map(|error| error.to_string()).or_else(blocked);
        match wrong {
            None => report.line(&step, Ok(whole.display().to_string())),
            Some(wrong) => report.line(&step, Err(&[Problem::new(Step::Global, key, wrong)])),
        }
    };
    let blocked = || Some(state::blocked(&config.data_dir)?.to_string());
    writable("data_dir".to_owned(), &config.data_dir, &blocked)?;
    for sink in config.sinks.values() {
        if let SinkKind::File(options) = &sink.kind {
            let blocked = || Some(blocked::find(&options.path)?.told());
            writable(format!("sinks.{}.path", sink.id), &options.path, &blocked)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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
        let mut plan_for = |_: &Config, source: &Source| match source.tenant.as_str() {
            "bad" => Err(vec![Problem::new(Step::Sources, "client_id", "is missing").hint("Set it")]),
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
        assert!(
            out.contains("  sources.a.quota_share: ") && out.contains("  sources.a.client_id: is missing"),
            "{out}"
        );
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
            (main("client_id = 'x'\n"), "x Component accepts 5 files: "),
            (main("").replace("\"good\"", "\"bad\""), "x Component accepts sources.a\n"),
        ] {
            let (code, out) = run(&main, &passing, folder.path());
            assert!(code == exit::CONFIGURATION && out.contains(says), "no {says:?} in {out}");
        }
        let (_, out) = run(&main("client_id = 'x'\n"), &passing, folder.path());
        assert!(out.contains("\n  templates.t.client_id: is missing. Set it\n"), "{out}");
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
}
