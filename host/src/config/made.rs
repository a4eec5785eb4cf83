//! The sources that templates make. What is the same for all of a template's sources is said of the template, and once; the
//! rest names the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use super::interpolate::{Environment, interpolate, join, wipe};
use super::judge::is_id;
use super::problem::{Problem, Step, is_within};
use super::secrets::Secrets;
use super::shape::{HEALTH, Inherited, RefusedFile, Source};
use super::source::{Shared, source};
use super::template_keys::TemplateKeys;

/// One file of a template's folder, with the keys of both.
pub struct Customer {
    pub id: String,
    pub file: PathBuf,
    pub table: Value,
    /// The paths of what stands in the file itself.
    pub own: Vec<String>,
    /// Of which template, and what of it.
    pub inherited: Inherited,
}

/// What templates make sources of.
#[derive(Default)]
pub struct Made {
    /// Whether there is a template at all: then sources may come later.
    pub templated: bool,
    /// What all sources of a template have.
    pub templates: Vec<TemplateKeys>,
    pub customers: Vec<Customer>,
    pub refused: Vec<RefusedFile>,
}

/// What came of them.
#[derive(Default)]
pub struct Judged {
    pub sources: BTreeMap<String, Source>,
    pub files: BTreeMap<String, PathBuf>,
    pub inherited: BTreeMap<String, Inherited>,
    pub refused: Vec<RefusedFile>,
    /// What is wrong with templates.
    pub problems: Vec<Problem>,
    /// What is suspicious about templates and files.
    pub warnings: Vec<Problem>,
}

impl Customer {
    /// Whether what is said of `path` is about what stands in the file itself.
    fn says(&self, path: &str) -> bool {
        self.own.iter().any(|own| is_within(path, own))
    }

    /// Whether a problem was said of the template already.
    fn is_of_template(&self, problem: &Problem, known: &[Problem]) -> bool {
        !self.says(&problem.path) && self.is_said(problem, known)
    }

    fn is_said(&self, said: &Problem, known: &[Problem]) -> bool {
        let path = join(&self.inherited.template, &said.path);
        known.iter().any(|known| known.path == path && known.message == said.message)
    }

    /// What is suspicious, with the place where it is to be mended.
    fn placed(&self, warning: Problem) -> Problem {
        self.inherited.placed(warning, &self.file)
    }
}

impl Made {
    /// Fills in what the environment and the secrets hold. A file for which something is missing is refused, unless it is
    /// its template's: then it is one of `known`.
    pub fn fill(&mut self, environment: &Environment<'_>, secrets: &mut Secrets<'_>, known: &[Problem]) {
        for mut customer in std::mem::take(&mut self.customers) {
            let (mut problems, before) = (Vec::new(), secrets.warnings.len());
            interpolate(&mut customer.table, "", environment, secrets, &mut problems);
            let warnings = secrets.warnings.split_off(before);
            secrets.warnings.extend(warnings.into_iter().map(|warning| customer.placed(warning)));
            if problems.is_empty() {
                self.customers.push(customer);
            } else {
                wipe(&mut customer.table);
                problems.retain(|problem| !customer.is_of_template(problem, known));
                if !problems.is_empty() {
                    self.refused.push(RefusedFile::new(customer.id, customer.file, problems));
                }
            }
        }
    }

    /// Reads the sources. `others` says what else has an id, such as `sinks.acme`; `known` is what was suspicious before: what the
    /// top gives to all is not told again of each.
    pub fn judge(self, shared: Shared<'_>, others: impl Fn(&str) -> Option<String>, known: &[Problem]) -> Judged {
        let is_of_top = |path: &str, message: &str| known.iter().any(|top| top.path == path && top.message == message);
        let mut judged = Judged { refused: self.refused, ..Judged::default() };
        let mut suspicious = Vec::new();
        for mut keys in self.templates {
            let mut found = Vec::new();
            source(&keys.path, "id", keys.table.clone(), shared, &mut found);
            judged.problems.extend(found.into_iter().filter(|problem| keys.gives(&problem.path)));
            let is_new = |warning: &Problem| {
                let path = warning.path.strip_prefix(&keys.path).map_or("", |path| path.trim_start_matches('.'));
                !keys.is_open(&warning.path) && (keys.gives(&warning.path) || !is_of_top(path, &warning.message))
            };
            suspicious.extend(shared.warnings().into_iter().filter(is_new));
            wipe(&mut keys.table);
        }
        for mut customer in self.customers {
            let mut found = Vec::new();
            match judged.taken(&customer.id, &others) {
                Some(message) => {
                    found.push(Problem::new(Step::Sources, "", message).hint("Give the file another name"));
                }
                None => {
                    let source = source("", &customer.id, customer.table.take(), shared, &mut found);
                    let mut warnings = shared.warnings();
                    warnings.retain(|warning| {
                        let is_known =
                            || customer.is_said(warning, &suspicious) || is_of_top(&warning.path, &warning.message);
                        customer.says(&warning.path) || !is_known()
                    });
                    judged.warnings.extend(warnings.into_iter().map(|warning| customer.placed(warning)));
                    found.retain(|problem| !customer.is_of_template(problem, &judged.problems));
                    if let Some(source) = source.filter(|_| found.is_empty()) {
                        judged.files.insert(customer.id.clone(), customer.file.clone());
                        judged.inherited.insert(customer.id.clone(), customer.inherited);
                        judged.sources.insert(customer.id.clone(), source);
                    }
                }
            }
            wipe(&mut customer.table);
            if !found.is_empty() {
                judged.refused.push(RefusedFile::new(customer.id, customer.file, found));
            }
        }
        // A text of a template that depends on the source may be suspicious for each of them.
        let mut told = BTreeSet::new();
        suspicious.append(&mut judged.warnings);
        suspicious.retain(|warning| told.insert((warning.path.clone(), warning.message.clone())));
        judged.warnings = suspicious;
        judged
    }
}

impl Judged {
    /// Why the file of a source cannot have this id.
    fn taken(&self, id: &str, others: impl Fn(&str) -> Option<String>) -> Option<String> {
        if !is_id(id) {
            return Some("the file's name is the source's id, and that has 1 to 64 letters, digits, `-` or `_`".into());
        }
        if id == HEALTH {
            return Some("the id is reserved for what the host says about itself".into());
        }
        let other = self.files.get(id).map(|other| other.display().to_string()).or_else(|| others(id));
        other.map(|other| format!("{other} has the same id"))
    }
}
