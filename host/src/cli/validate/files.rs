//! What is wrong with the files of customers. There may be thousands, and one mistake may be in them all.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::report::Report;
use crate::config::{Config, Problem};

/// More files with the same mistakes have one line.
const LINES: usize = 3;

/// Files by what is wrong with them; the key is that as text, without the name of the file.
#[derive(Default)]
pub struct Files(BTreeMap<String, Vec<(PathBuf, Vec<Problem>)>>);

impl Files {
    /// Those from which no source can be made.
    pub fn refused(config: &Config) -> Self {
        let mut files = Self::default();
        for file in &config.refused {
            files.add(&file.file, file.problems.clone());
        }
        files
    }

    /// `problems` have the file in their paths, or are those of its template.
    pub fn add(&mut self, file: &Path, problems: Vec<Problem>) {
        let texts = problems.iter().map(|problem| inside(problem.clone(), file).to_string());
        let key = texts.collect::<Vec<_>>().join("\n");
        self.0.entry(key).or_default().push((file.to_owned(), problems));
    }

    /// Tells a step for each file, or for many that have the same mistakes. What is wrong with a template is a failure also
    /// where files have only `warnings`.
    pub fn tell(self, what: &str, warnings: bool, report: &mut Report<'_, impl Write>) -> io::Result<()> {
        let mut tell = |step: &str, problems: &[Problem]| {
            let of_template = problems.iter().any(|problem| problem.path.starts_with("templates."));
            match warnings && !of_template {
                true => report.passable(step, problems),
                false => report.line(step, Err(problems)),
            }
        };
        for files in self.0.into_values() {
            let [first, second, third, _, ..] = files.as_slice() else {
                for (file, problems) in &files {
                    tell(&format!("{what} {}", file.display()), problems)?;
                }
                continue;
            };
            let names = [first, second, third].map(|(file, _)| file.display().to_string()).join(", ");
            let step = format!("{what} {} files: {names} and {} more", files.len(), files.len() - LINES);
            let (file, problems) = first;
            let problems: Vec<Problem> = problems.iter().map(|problem| inside(problem.clone(), file)).collect();
            tell(&step, &problems)?;
        }
        Ok(())
    }
}

/// The same by the place in its file.
fn inside(problem: Problem, file: &Path) -> Problem {
    let file = file.display().to_string();
    let path = match problem.path.strip_prefix(&file).map(|path| path.trim_start_matches([':', ' '])) {
        Some("") => "each of them",
        Some(path) => path,
        None => &problem.path,
    };
    Problem { path: path.to_owned(), message: problem.message.replace(&file, "the file"), ..problem }
}
