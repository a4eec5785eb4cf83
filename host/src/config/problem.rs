//! What is wrong with a configuration, said so that the operator can mend it.

use std::fmt;
use std::path::Path;

use super::interpolate::join;
use super::shape::Config;

/// The part of reading a configuration in which a problem was found. In this order; `validate` prints a line for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The file can be read and is TOML, YAML or JSON.
    Parse,
    /// `${NAME}` and `SECRET[backend.key]` have values.
    Interpolate,
    /// `data_dir` and the other keys of the top level.
    Global,
    Sources,
    Sinks,
}

/// One thing that is wrong, or suspicious. Never holds a value of the configuration, as any may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub step: Step,
    /// Where: `sources.acme.client_secret`; for a file that cannot be parsed, its name with line and column.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl Problem {
    pub fn new(step: Step, path: impl Into<String>, message: impl Into<String>) -> Self {
        Problem { step, path: path.into(), message: message.into(), hint: None }
    }

    /// The same, where its path is one in the table `whole`.
    #[must_use]
    pub fn within(self, whole: &str) -> Self {
        let path = match self.path.is_empty() {
            true => whole.to_owned(),
            false => join(whole, &self.path),
        };
        Problem { path, ..self }
    }

    /// The same, where its path is one in `file`.
    #[must_use]
    pub fn in_file(self, file: &Path) -> Self {
        let inside = self.path.trim_start_matches(':');
        let path = match (inside.is_empty(), inside == self.path) {
            (true, _) => file.display().to_string(),
            (false, true) => format!("{}: {inside}", file.display()),
            // Line and column.
            (false, false) => format!("{}:{inside}", file.display()),
        };
        Problem { path, ..self }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, ". {hint}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration, all at once.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigError {
    pub problems: Vec<Problem>,
    /// What is suspicious as well.
    pub warnings: Vec<Problem>,
    /// What could be read in spite of that, for whoever looks for more mistakes. It must not be run: where something is wrong
    /// stands a default, or a text in which nothing was filled in.
    pub readable: Option<Box<Config>>,
}

impl ConfigError {
    /// With nothing that could be read.
    pub fn new(problems: Vec<Problem>) -> Self {
        Self { problems, warnings: Vec::new(), readable: None }
    }

    /// Whether nothing could be filled in at `path` or a part of it, or in what it is a part of. What is said of it then is not
    /// about what the operator means.
    pub fn is_open(&self, path: &str) -> bool {
        let open = self.problems.iter().filter(|problem| problem.step == Step::Interpolate);
        open.into_iter().any(|problem| is_within(path, &problem.path) || is_within(&problem.path, path))
    }

    /// Whether something is wrong with what is at `path`, or with a part of it.
    pub fn is_wrong(&self, path: &str) -> bool {
        self.problems.iter().any(|problem| is_within(&problem.path, path))
    }
}

/// Whether `path` is `whole`, or a part of it.
pub(super) fn is_within(path: &str, whole: &str) -> bool {
    path.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Leaves out of `said` what is about texts in which nothing was filled in, which is not about what the operator means. `open`
/// are their paths; what is said of a list of texts may be about any of them.
pub(super) fn leave_out_open(said: &mut Vec<Problem>, open: &[String]) {
    let is_item = |path: &str, list: &str| {
        let index = path.strip_prefix(list).and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']'));
        index.is_some_and(|index| index.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let is_about = |path: &str, open: &str| is_within(path, open) || is_item(open, path);
    said.retain(|problem| problem.step == Step::Interpolate || !open.iter().any(|open| is_about(&problem.path, open)));
}

/// Where nothing could be filled in.
pub(super) fn open(problems: &[Problem]) -> Vec<String> {
    let open = problems.iter().filter(|problem| problem.step == Step::Interpolate);
    open.map(|problem| problem.path.clone()).collect()
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// `Did you mean `x`?` for the known word that is nearest to `given`, if one is near enough to be a slip.
pub fn suggestion(given: &str, known: &[&str]) -> Option<String> {
    let nearest = known.iter().map(|word| (distance(given, word), *word)).min()?;
    let near = nearest.0 <= 1 + given.chars().count() / 4;
    let meant = if near { Some(nearest.1) } else { longer(given, known) };
    meant.map(|word| format!("Did you mean `{word}`?"))
}

/// The one word that begins with `given`, or with which it begins.
fn longer<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    const SHORTEST: usize = 4;
    let extends = |long: &str, short: &str| short.len() >= SHORTEST && long.starts_with(short);
    let mut words = known.iter().filter(|word| extends(word, given) || extends(given, word));
    words.next().filter(|_| words.next().is_none()).copied()
}

/// Known words as a list for people.
pub fn listed(known: &[&str]) -> String {
    known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_a_slip_and_nothing_far() {
        let known = ["type", "inputs", "max_bytes"];
        assert_eq!(suggestion("input", &known).as_deref(), Some("Did you mean `inputs`?"));
        assert_eq!(suggestion("max_byte", &known).as_deref(), Some("Did you mean `max_bytes`?"));
        assert_eq!(suggestion("colour", &known), None);
        assert_eq!(suggestion("splunk", &["splunk_hec", "sumo"]).as_deref(), Some("Did you mean `splunk_hec`?"));
        assert_eq!(suggestion("sumologic", &["splunk_hec", "sumo"]).as_deref(), Some("Did you mean `sumo`?"));
        assert_eq!(suggestion("elastic", &["elastic_one", "elastic_two"]), None, "there are two");
    }

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
