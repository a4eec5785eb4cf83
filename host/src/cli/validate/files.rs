//! What is wrong with the files of customers. There may be thousands, and one mistake may be in them all.

use std::collections::{BTreeMap, BTreeSet};
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

    /// `problems` have the file in their paths.
    pub fn add(&mut self, file: &Path, problems: Vec<Problem>) {
        let texts = problems.iter().map(|problem| inside(problem.clone(), file).to_string());
        let key = texts.collect::<Vec<_>>().join("\n");
        self.0.entry(key).or_default().push((file.to_owned(), problems));
    }

    /// Tells a step for each file, or for many that have the same mistakes.
    pub fn tell(self, what: &str, warnings: bool, report: &mut Report<'_, impl Write>) -> io::Result<()> {
        let mut tell = |step: &str, problems: &[Problem]| match warnings {
            true => report.passable(step, problems),
            false => report.line(step, Err(problems)),
        };
        for files in self.0.into_values() {
            let ([(file, problems), ..], true) = (files.as_slice(), files.len() > LINES) else {
                for (file, problems) in &files {
                    tell(&format!("{what} {}", file.display()), problems)?;
                }
                continue;
            };
            let problems: Vec<Problem> = problems.iter().map(|problem| inside(problem.clone(), file)).collect();
            tell(&format!("{what} {}", named(files.iter().map(|(file, _)| file.as_path()))), &problems)?;
        }
        Ok(())
    }
}

/// What is wrong with templates, and of which files the sources have it; the key is the template and the mistake as text.
#[derive(Default)]
pub struct Templates(BTreeMap<(String, String), (Problem, BTreeSet<PathBuf>)>);

impl Templates {
    /// `problem` has the template in its path.
    pub fn add(&mut self, template: &str, file: &Path, problem: Problem) {
        let key = (template.to_owned(), problem.to_string());
        self.0.entry(key).or_insert_with(|| (problem, BTreeSet::new())).1.insert(file.to_owned());
    }

    /// Tells each mistake once, those of the same files in one step.
    pub fn tell(self, what: &str, report: &mut Report<'_, impl Write>) -> io::Result<()> {
        let mut steps: BTreeMap<(String, BTreeSet<PathBuf>), Vec<Problem>> = BTreeMap::new();
        for ((template, _), (problem, files)) in self.0 {
            steps.entry((template, files)).or_default().push(problem);
        }
        for ((template, files), problems) in steps {
            let files = named(files.iter().map(PathBuf::as_path));
            report.line(&format!("{what} {template} for {files}"), Err(&problems))?;
        }
        Ok(())
    }
}

/// Files as a step names them: of many, the first.
fn named<'a>(files: impl ExactSizeIterator<Item = &'a Path>) -> String {
    let count = files.len();
    let names = files.take(LINES).map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
    match count {
        0..=LINES => names,
        _ => format!("{count} files: {names} and {} more", count - LINES),
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
