//! What is wrong with a configuration, said so that the operator can mend it.

use std::fmt;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub problems: Vec<Problem>,
    /// What is suspicious as well.
    pub warnings: Vec<Problem>,
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
    near.then(|| format!("Did you mean `{}`?", nearest.1))
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
    }

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
