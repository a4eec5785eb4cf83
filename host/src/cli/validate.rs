//! `tributary validate`: judges a configuration and prints a line for each step.

mod files;
mod report;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use self::files::{Files, Templates};
use self::report::Report;
use super::{Validate, exit};
use crate::config::{self, Config, ConfigError, Loaded, Problem, SinkKind, Source, Step, join};
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
    let (mut accepted, mut refused, mut of_templates) = (0, Files::default(), Templates::default());
    let mut missing = BTreeSet::new();
    for source in config.sources.values() {
        let step = format!("Component accepts sources.{}", source.id);
        // There may be thousands of files.
        let file = config.files.get(&source.id);
        let component = join("components", &source.kind);
        if error.is_some_and(|error| error.is_wrong(&component)) {
            match file {
                Some(_) => {
                    missing.insert(component);
                }
                None => report.not_judged(&step, &format!("because {component} is wrong"))?,
            }
            continue;
        }
        // In some texts there may be nothing filled in: of those it knows nothing.
        let known = |problem: &Problem| error.is_none_or(|error| !error.is_open(&problem.path));
        match (plan_for(config, source), file) {
            (Ok(_), Some(_)) => accepted += 1,
            (Ok(found), None) => report.line(&step, Ok(found))?,
            (Err(problems), Some(file)) => {
                let mut own = Vec::new();
                for problem in problems {
                    let template = config.template_of(&source.id, &problem.path);
                    match (config.placed(&source.id, problem), template) {
                        (problem, _) if !known(&problem) => {}
                        (problem, Some(template)) => of_templates.add(template, file, problem),
                        (problem, None) => own.push(problem),
                    }
                }
                if !own.is_empty() {
                    refused.add(file, own);
                }
            }
            (Err(problems), None) => {
                let placed = problems.into_iter().map(|problem| config.placed(&source.id, problem));
                let (known, open): (Vec<_>, Vec<_>) = placed.partition(known);
                match open.first().filter(|_| known.is_empty()) {
                    Some(open) => report.not_judged(&step, &format!("because {} could not be filled in", open.path))?,
                    None => report.line(&step, Err(&known))?,
                }
            }
        }
    }
    of_templates.tell("Component accepts", report)?;
    refused.tell("Component accepts", options.warn_on_files, report)?;
    for component in missing {
        let step = "Component accepts the sources of templates";
        report.not_judged(step, &format!("because {component} is wrong"))?;
    }
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
            // What else it stumbles over has been said; but it asks for no secret, where there is nothing wrong with one.
            problems.retain(|problem| !report.has_told(&problem.path));
            let secret = problems.iter().find(|problem| problem.step == Step::Interpolate).cloned();
            problems.retain(|problem| problem.step != Step::Interpolate);
            match (problems.is_empty(), secret) {
                (true, Some(Problem { path, message, .. })) => {
                    report.not_judged("Tests", &format!("because of {path}: {message}"))
                }
                (true, None) => {
                    report.not_judged("Tests", "because the rules and inputs that they are about are wrong")
                }
                (false, _) => report.line("Tests", Err(&problems)),
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
mod tests;
