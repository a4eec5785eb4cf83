//! `tributary validate`: judges a configuration and prints a line for each step.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::{Validate, exit};
use crate::config::{self, Config, ConfigError, Loaded, Problem, SinkKind, Source, Step};
use crate::state;

/// What a component says against a source's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub message: String,
    /// What the operator should do.
    pub hint: Option<String>,
}

/// Asks a source's component to judge its configuration, which is part of the whole one; the answer says in a few words
/// what it selects.
pub type PlanFor<'a> = dyn FnMut(&Config, &Source) -> Result<String, Refusal> + 'a;

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
    let mut report = Report { out, json: options.json.then(Vec::new), failed: false, warned: false };
    match config::load(path) {
        Ok(Loaded { config, warnings, .. }) => {
            report.steps(path, &[], &warnings, Some(&config))?;
            files(&config, &mut report)?;
            let mut accepted = 0;
            for source in config.sources.values() {
                let result = plan_for(&config, source).map_err(|refusal| refusal_text(&refusal));
                match config.files.get(&source.id) {
                    // There may be thousands.
                    Some(_) if result.is_ok() => accepted += 1,
                    Some(file) => report.line(&format!("Component accepts {}", file.display()), result)?,
                    None => report.line(&format!("Component accepts sources.{}", source.id), result)?,
                }
            }
            if accepted > 0 {
                report.line("Component accepts the sources of templates", Ok(accepted.to_string()))?;
            }
            for warning in unknown(&config) {
                report.warning(&warning)?;
            }
            if !options.no_environment {
                environment(&config, &mut report)?;
            }
        }
        Err(ConfigError { problems, warnings }) => report.steps(path, &problems, &warnings, None)?,
    }
    let failed = report.failed || (report.warned && options.deny_warnings);
    let verdict = match (failed, report.failed) {
        (true, true) => "The configuration is wrong.",
        (true, false) => "There are warnings, and --deny-warnings is set.",
        (false, _) => "The configuration can be run.",
    };
    match report.json {
        None => writeln!(report.out, "{verdict}")?,
        Some(steps) => {
            serde_json::to_writer(&mut *report.out, &json!({ "ok": !failed, "verdict": verdict, "steps": steps }))?;
            writeln!(report.out)?;
        }
    }
    Ok(if failed { exit::CONFIGURATION } else { exit::OK })
}

/// The files of templates from which no source can be made.
fn files(config: &Config, report: &mut Report<'_, impl Write>) -> io::Result<()> {
    for file in &config.refused {
        let problems: Vec<String> = file.problems.iter().map(ToString::to_string).collect();
        report.line(&format!("Source of {}", file.file.display()), Err(problems.join("\n  ")))?;
    }
    Ok(())
}

/// Whether this machine has what the configuration needs.
fn environment(config: &Config, report: &mut Report<'_, impl Write>) -> io::Result<()> {
    let writable = |path: &Path| match state::is_writable(path) {
        Ok(()) => Ok(path.display().to_string()),
        Err(error) => Err(error.to_string()),
    };
    report.line("data_dir is writable", writable(&config.data_dir))?;
    for sink in config.sinks.values() {
        if let SinkKind::File(options) = &sink.kind {
            report.line(&format!("sinks.{}.path is writable", sink.id), writable(&options.path))?;
        }
    }
    Ok(())
}

fn refusal_text(refusal: &Refusal) -> String {
    match &refusal.hint {
        Some(hint) => format!("{}. {hint}", refusal.message.trim_end_matches('.')),
        None => refusal.message.clone(),
    }
}

struct Report<'a, W> {
    out: &'a mut W,
    /// The steps so far, if they are to be written as one document.
    json: Option<Vec<Value>>,
    failed: bool,
    warned: bool,
}

impl<W: Write> Report<'_, W> {
    /// One step, with what it found or why it failed.
    fn line(&mut self, step: &str, result: Result<String, String>) -> io::Result<()> {
        self.failed |= result.is_err();
        if let Some(steps) = &mut self.json {
            steps.push(match result {
                Ok(found) => json!({ "step": step, "ok": true, "found": found, "problems": [], "warnings": [] }),
                Err(reason) => {
                    json!({ "step": step, "ok": false, "problems": [{ "message": reason }], "warnings": [] })
                }
            });
            return Ok(());
        }
        match result {
            Ok(found) if found.is_empty() => writeln!(self.out, "√ {step}"),
            Ok(found) => writeln!(self.out, "√ {step}: {found}"),
            Err(reason) => writeln!(self.out, "x {step}\n  {reason}"),
        }
    }

    /// What is suspicious about the step before.
    fn warning(&mut self, warning: &Problem) -> io::Result<()> {
        self.warned = true;
        match self.json.as_mut().map(|steps| steps.last_mut().and_then(|step| step["warnings"].as_array_mut())) {
            None => writeln!(self.out, "  warning: {warning}"),
            Some(warnings) => {
                warnings.into_iter().for_each(|warnings| warnings.push(value(warning)));
                Ok(())
            }
        }
    }

    /// The steps of reading the file, as far as they were reached.
    fn steps(
        &mut self,
        path: &Path,
        problems: &[Problem],
        warnings: &[Problem],
        config: Option<&Config>,
    ) -> io::Result<()> {
        for step in [Step::Parse, Step::Interpolate, Step::Global, Step::Sources, Step::Sinks] {
            let found: Vec<&Problem> = problems.iter().filter(|problem| problem.step == step).collect();
            let name = match step {
                Step::Parse => format!("Parse {}", path.display()),
                Step::Interpolate => "Fill in variables and secrets".to_owned(),
                Step::Global => "Top level".to_owned(),
                Step::Sources => counted("Sources", config.map(|config| config.sources.keys())),
                Step::Sinks => counted("Sinks", config.map(|config| config.sinks.keys())),
            };
            self.failed |= !found.is_empty();
            if let Some(steps) = &mut self.json {
                let problems: Vec<Value> = found.iter().map(|problem| value(problem)).collect();
                steps.push(json!({ "step": name, "ok": found.is_empty(), "problems": problems, "warnings": [] }));
            } else {
                writeln!(self.out, "{} {name}", if found.is_empty() { '√' } else { 'x' })?;
                found.iter().try_for_each(|problem| writeln!(self.out, "  {problem}"))?;
            }
            for warning in warnings.iter().filter(|warning| warning.step == step) {
                self.warning(warning)?;
            }
            if step == Step::Parse && !found.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

fn value(problem: &Problem) -> Value {
    json!({ "path": problem.path, "message": problem.message, "hint": problem.hint })
}

fn counted<'a>(what: &str, ids: Option<impl Iterator<Item = &'a String>>) -> String {
    match ids {
        Some(ids) => {
            let ids: Vec<&str> = ids.map(String::as_str).collect();
            match ids.len() {
                0..=20 => format!("{what}: {}", ids.join(", ")),
                many => format!("{what}: {many}"),
            }
        }
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    const PLAIN: Validate = Validate { no_environment: false, deny_warnings: false, json: false };

    fn run(text: &str, options: &Validate, folder: &Path) -> (u8, String) {
        let path = folder.join("t.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let mut out = Vec::new();
        let mut plan_for = |_: &Config, source: &Source| match source.tenant.as_str() {
            "bad" => Err(Refusal { message: "client_id is missing.".into(), hint: Some("Set it".into()) }),
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
        assert!(out.contains("x Component accepts sources.a\n  client_id is missing. Set it\n√"), "{out}");
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
