//! Where `SECRET[backend.key]` comes from: `[secret.<backend>]`, and the built-in backend `env`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::files::Files;
use super::interpolate::{Environment, join};
use super::problem::{Problem, Step, listed, suggestion};

/// The backends that a configuration names.
pub struct Secrets<'a> {
    environment: &'a Environment<'a>,
    backends: BTreeMap<String, Backend>,
    /// What is suspicious about the files that were read.
    pub warnings: Vec<Problem>,
    /// What was read.
    pub files: Files,
}

enum Backend {
    /// The key is the name of an environment variable.
    Environment,
    /// One JSON object: its members are the secrets.
    File(Result<Map<String, Value>, Problem>),
    /// Each secret is a file of its own in this folder.
    Directory(PathBuf),
    /// Its section is wrong, which has been said.
    Broken,
}

const TYPES: [&str; 3] = ["directory", "env", "file"];

impl<'a> Secrets<'a> {
    /// Only the built-in backend `env`.
    pub fn new(environment: &'a Environment<'a>) -> Self {
        let backends = BTreeMap::from([("env".to_owned(), Backend::Environment)]);
        Secrets { environment, backends, warnings: Vec::new(), files: Files::default() }
    }

    /// Takes the section `secret` of the configuration.
    pub fn configure(&mut self, section: Value, problems: &mut Vec<Problem>) {
        let Value::Object(section) = section else {
            problems.push(Problem::new(Step::Interpolate, "secret", "must be a table").hint(EXAMPLE));
            return;
        };
        for (name, entry) in section {
            let backend = self.backend(&join("secret", &name), entry, problems).unwrap_or(Backend::Broken);
            self.backends.insert(name, backend);
        }
    }

    fn backend(&mut self, path: &str, entry: Value, problems: &mut Vec<Problem>) -> Option<Backend> {
        let fault = |path: &str, message: String| Problem::new(Step::Interpolate, path, message);
        let Value::Object(mut entry) = entry else {
            problems.push(fault(path, "must be a table".into()).hint(EXAMPLE));
            return None;
        };
        let kind = entry.remove("type");
        let place = entry.remove("path");
        for key in entry.keys() {
            let mut problem = fault(&join(path, key), "unknown key".into());
            problem.hint = suggestion(key, &["path", "type"]);
            problems.push(problem);
        }
        let kind = match kind.as_ref().and_then(Value::as_str) {
            Some(kind) if TYPES.contains(&kind) => kind,
            _ => {
                problems.push(fault(&join(path, "type"), format!("must be one of {}", listed(&TYPES))));
                return None;
            }
        };
        if kind == "env" {
            return Some(Backend::Environment);
        }
        let Some(place) = place.as_ref().and_then(Value::as_str).filter(|place| !place.is_empty()) else {
            problems.push(fault(&join(path, "path"), format!("is required for type `{kind}`")));
            return None;
        };
        if kind == "directory" {
            return Some(Backend::Directory(place.into()));
        }
        let at = join(path, "path");
        let members = self.read(Path::new(place), &at).and_then(|text| object(&text, Path::new(place), &at));
        Some(Backend::File(members))
    }

    /// The value of `SECRET[reference]`, which stands at `path`.
    pub fn value(&mut self, reference: &str, path: &str) -> Result<String, Problem> {
        let fault = |message: String| Problem::new(Step::Interpolate, path, message);
        let Some((name, key)) = reference.split_once('.').filter(|(name, key)| !name.is_empty() && !key.is_empty())
        else {
            return Err(fault("a secret is written `SECRET[backend.key]`".into())
                .hint("The built-in backend `env` takes the name of an environment variable: `SECRET[env.NAME]`"));
        };
        match self.backends.get(name) {
            Some(Backend::Environment) => (self.environment)(key)
                .ok_or_else(|| fault(format!("the environment variable {key} is not set")).hint("Set it")),
            Some(Backend::File(Ok(members))) => match members.get(key) {
                Some(Value::String(value)) => Ok(value.clone()),
                Some(_) => Err(fault(format!("`{key}` in the file of the secret backend `{name}` is not a string"))),
                None => Err(fault(format!("the file of the secret backend `{name}` has no key `{key}`"))
                    .hint("Add it to the file")),
            },
            Some(Backend::File(Err(problem))) => Err(Problem { path: path.to_owned(), ..problem.clone() }),
            Some(Backend::Directory(folder)) => {
                // The key is one file's name: it must not lead out of the folder.
                if key.contains(['/', '\\', '\0']) || key == "." || key == ".." || key.starts_with("..") {
                    return Err(fault(format!(
                        "a key of the secret backend `{name}` must be a file's name, without a folder"
                    )));
                }
                let file = folder.join(key);
                let text = self.read(&file, path)?;
                Ok(text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text)).unwrap_or(&text).into())
            }
            Some(Backend::Broken) => Err(fault(format!("the secret backend `{name}` is not configured correctly"))
                .hint(format!("Mend the section `secret.{name}`"))),
            None => {
                let known: Vec<&str> = self.backends.keys().map(String::as_str).collect();
                let hint = suggestion(name, &known).unwrap_or_else(|| format!("Add the section `secret.{name}`"));
                Err(fault(format!("there is no secret backend `{name}`")).hint(hint))
            }
        }
    }

    /// Reads a file with secrets; others than its owner ought not to be able to.
    fn read(&mut self, file: &Path, path: &str) -> Result<String, Problem> {
        self.files.note(file);
        let text = fs::read_to_string(file).map_err(|error| {
            // An error of UTF-8 does not quote the bytes.
            Problem::new(Step::Interpolate, path, format!("cannot read the secret file {}: {error}", file.display()))
                .hint("Check that it exists and that this user may read it")
        })?;
        #[cfg(unix)]
        if let Ok(metadata) = fs::metadata(file) {
            use std::os::unix::fs::PermissionsExt;
            let mode = metadata.permissions().mode() & 0o777;
            let warned = self.warnings.iter().any(|warning| warning.message.contains(&*file.to_string_lossy()));
            if mode & 0o077 != 0 && !warned {
                let message = format!("others may read the secret file {} (mode {mode:04o})", file.display());
                let warning = Problem::new(Step::Interpolate, path, message);
                self.warnings.push(warning.hint(format!("Run: chmod 600 {}", file.display())));
            }
        }
        Ok(text)
    }
}

const EXAMPLE: &str = "For example: [secret.vault] type = \"directory\", path = \"/run/secrets\"";

fn object(text: &str, file: &Path, path: &str) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        // The parser's message could quote what stands there.
        _ => Err(Problem::new(
            Step::Interpolate,
            path,
            format!("the secret file {} does not hold one JSON object", file.display()),
        )
        .hint("Write {\"key\": \"value\", ...}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn file_and_directory() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("all.json");
        write(&file, r#"{"acme_secret": "s3", "n": 5}"#, 0o600);
        write(&folder.path().join("token"), "t0k\n", 0o600);
        write(&folder.path().join("open"), "o\r\n", 0o644);
        let none = |_: &str| None;
        let mut secrets = Secrets::new(&none);
        let mut problems = Vec::new();
        let section = json!({"f": {"type": "file", "path": file}, "d": {"type": "directory", "path": folder.path()}});
        secrets.configure(section, &mut problems);
        assert_eq!(problems, []);
        assert_eq!(secrets.value("f.acme_secret", "p").unwrap(), "s3");
        assert_eq!(secrets.value("d.token", "p").unwrap(), "t0k");
        assert!(secrets.warnings.is_empty());
        assert_eq!(secrets.value("d.open", "p").unwrap(), "o");
        assert_eq!(secrets.value("d.open", "q").unwrap(), "o");
        assert_eq!(secrets.warnings.len(), 1, "once a file: {:?}", secrets.warnings);
        assert!(secrets.warnings[0].to_string().contains("chmod 600"));
        for (reference, word) in [
            ("f.nope", "no key `nope`"),
            ("f.n", "not a string"),
            ("d.nope", "cannot read"),
            ("d.../all.json", "without a folder"),
        ] {
            let problem = secrets.value(reference, "sources.a.b").unwrap_err().to_string();
            assert!(problem.starts_with("sources.a.b: ") && problem.contains(word), "{problem}");
        }
    }

    #[test]
    fn a_wrong_section_is_named() {
        let none = |_: &str| None;
        let mut secrets = Secrets::new(&none);
        let mut problems = Vec::new();
        let section = json!({
            "a": {"type": "fil", "path": "/x"}, "b": {"type": "file"}, "c": {"type": "env", "pth": "/x"}, "d": "text"
        });
        secrets.configure(section, &mut problems);
        let text: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(text.len(), 4, "{text:#?}");
        assert!(text[0].starts_with("secret.a.type: must be one of `directory`, `env`, `file`"));
        assert!(text[1].starts_with("secret.b.path: is required"));
        assert!(text[2].starts_with("secret.c.pth: unknown key. Did you mean `path`?"));
        assert!(text[3].starts_with("secret.d: must be a table"));
    }

    #[test]
    fn a_broken_file_is_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("all.json");
        write(&file, r#"{"k": hunter2}"#, 0o600);
        let none = |_: &str| None;
        let mut secrets = Secrets::new(&none);
        secrets.configure(json!({"f": {"type": "file", "path": file}}), &mut Vec::new());
        let problem = secrets.value("f.k", "sources.a.b").unwrap_err().to_string();
        assert!(problem.starts_with("sources.a.b: ") && problem.contains("one JSON object"), "{problem}");
        assert!(!problem.contains("hunter2"));
    }
}
