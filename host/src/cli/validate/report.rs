//! How `tributary validate` tells its steps: as lines, or as one JSON document.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::config::{Config, Problem, Step};

/// What was found so far.
pub struct Report<'a, W> {
    out: &'a mut W,
    /// The steps so far, if they are to be written as one document.
    json: Option<Vec<Value>>,
    /// Where problems were told.
    told: BTreeSet<String>,
    pub failed: bool,
    pub warned: bool,
}

impl<'a, W: Write> Report<'a, W> {
    pub fn new(out: &'a mut W, json: bool) -> Self {
        Self { out, json: json.then(Vec::new), told: BTreeSet::new(), failed: false, warned: false }
    }

    /// Whether a problem at `path` was told.
    pub fn has_told(&self, path: &str) -> bool {
        self.told.contains(path)
    }

    /// One step, with what it found or why it failed.
    pub fn line(&mut self, step: &str, result: Result<String, &[Problem]>) -> io::Result<()> {
        let problems = result.as_ref().err().copied().unwrap_or_default();
        self.failed |= result.is_err();
        self.told.extend(problems.iter().map(|problem| problem.path.clone()));
        if let Some(steps) = &mut self.json {
            let mut told = json!({ "step": step, "ok": result.is_ok(), "problems": [], "warnings": [] });
            told["problems"] = problems.iter().map(value).collect();
            if let Ok(found) = result {
                told["found"] = found.into();
            }
            steps.push(told);
            return Ok(());
        }
        match result {
            Ok(found) if found.is_empty() => writeln!(self.out, "√ {step}"),
            Ok(found) => writeln!(self.out, "√ {step}: {found}"),
            Err(problems) => {
                writeln!(self.out, "x {step}")?;
                problems.iter().try_for_each(|problem| writeln!(self.out, "  {problem}"))
            }
        }
    }

    /// One step in which something is wrong that does not count as a failure.
    pub fn passable(&mut self, step: &str, problems: &[Problem]) -> io::Result<()> {
        match &mut self.json {
            None => writeln!(self.out, "! {step}")?,
            Some(steps) => steps.push(json!({ "step": step, "ok": true, "problems": [], "warnings": [] })),
        }
        problems.iter().try_for_each(|problem| self.warning(problem))
    }

    /// One step that cannot be taken, because of what is wrong elsewhere.
    pub fn not_judged(&mut self, step: &str, why: &str) -> io::Result<()> {
        match &mut self.json {
            None => writeln!(self.out, "- {step}: not judged, {why}"),
            Some(steps) => {
                let why = format!("not judged, {why}");
                steps.push(json!({ "step": step, "ok": false, "not_judged": why, "problems": [], "warnings": [] }));
                Ok(())
            }
        }
    }

    /// Ends with a sentence.
    pub fn end(self, ok: bool, verdict: &str) -> io::Result<()> {
        match self.json {
            None => writeln!(self.out, "{verdict}"),
            Some(steps) => {
                serde_json::to_writer(&mut *self.out, &json!({ "ok": ok, "verdict": verdict, "steps": steps }))?;
                writeln!(self.out)
            }
        }
    }

    /// What is suspicious about the step before.
    pub fn warning(&mut self, warning: &Problem) -> io::Result<()> {
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
    pub fn steps(
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
            self.told.extend(found.iter().map(|problem| problem.path.clone()));
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
