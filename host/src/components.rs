//! Finds the components that a configuration names, and loads them.
//!
//! What is compiled is not kept on disk: it would have to be trusted as the binary itself is, since native code that is
//! loaded runs outside of every sandbox. It would save two seconds of processor time at the start of the process.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use semver::Version;

use crate::config::{ComponentOptions, Config};
use crate::sandbox::{Component, LoadError, Sandbox, sha256};

/// The longest file that is read, in bytes.
const LONGEST: u64 = 128 << 20;

/// Why a component is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    #[error("cannot read {path}: {message}. Check that it exists and that this user may read it")]
    Read { path: String, message: String },
    #[error("{path} has {bytes} bytes, more than the {LONGEST} that a component may have")]
    TooLong { path: String, bytes: u64 },
    #[error("there is no version {wanted} in {folder}; there is {}", listed(.known))]
    NoVersion { folder: String, wanted: String, known: Vec<String> },
    #[error(
        "there is no release in {folder}; there is {}. Put a file such as 1.2.0.wasm or NAME-1.2.0.wasm there, or name one \
         with `version`", listed(.known)
    )]
    NoRelease { folder: String, known: Vec<String> },
    #[error("{folder} holds version {version} twice: {}. Remove one", listed(.files))]
    Twice { folder: String, version: String, files: Vec<String> },
    #[error("{path} has the SHA-256 {found}, not {wanted}. It was changed, or `sha256` is that of another file")]
    OtherDigest { path: String, found: String, wanted: String },
    #[error("{path} says that it is version {said}, not {wanted}. Rename the file, or set another `version`")]
    OtherVersion { path: String, said: String, wanted: String },
    #[error("{path}: {error}")]
    Load { path: String, error: LoadError },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The components of a configuration, by name: each compiled, or why it is not.
#[derive(Clone, Default)]
pub struct Components(BTreeMap<String, Result<Component, ComponentError>>);

impl Components {
    /// Loads what `config` names and some source runs. One that cannot be loaded is no trouble to the others.
    pub async fn load(sandbox: &Sandbox, config: &Config) -> Self {
        let mut loaded = BTreeMap::new();
        let is_run = |name: &str| config.sources.values().any(|source| source.kind == name);
        for (name, options) in config.components.iter().filter(|(name, _)| is_run(name)) {
            loaded.insert(name.clone(), load(sandbox, options).await.map(|found| found.component));
        }
        Self(loaded)
    }

    /// `None` if the configuration does not name it.
    pub fn get(&self, name: &str) -> Option<Result<&Component, &ComponentError>> {
        self.0.get(name).map(Result::as_ref)
    }
}

/// A component with its file.
pub struct Found {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    pub component: Component,
}

/// Finds, checks and compiles one.
///
/// # Errors
/// When there is none, it is another one than it should be, or it cannot be run.
pub async fn load(sandbox: &Sandbox, options: &ComponentOptions) -> Result<Found, ComponentError> {
    let (path, version) = find(options)?;
    let bytes = read(&path)?;
    let shown = path.display().to_string();
    if let Some(wanted) = &options.sha256 {
        let found = sha256(&bytes);
        if found != *wanted {
            return Err(ComponentError::OtherDigest { path: shown, found, wanted: wanted.clone() });
        }
    }
    let component = sandbox.load(&bytes).await.map_err(|error| ComponentError::Load { path: shown.clone(), error })?;
    let said = &component.descriptor().version;
    if let Some(wanted) = version.filter(|wanted| wanted != said) {
        return Err(ComponentError::OtherVersion { path: shown, said: said.escape_debug().to_string(), wanted });
    }
    Ok(Found { path, bytes, component })
}

/// The file, and the version that it must have.
fn find(options: &ComponentOptions) -> Result<(PathBuf, Option<String>), ComponentError> {
    let ComponentOptions { path, version: wanted, .. } = options;
    if !path.is_dir() {
        return Ok((path.clone(), wanted.clone()));
    }
    let folder = path.display().to_string();
    let unreadable = |error: std::io::Error| ComponentError::Read { path: folder.clone(), message: error.to_string() };
    let mut files: BTreeMap<Version, Vec<PathBuf>> = BTreeMap::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if let Some(version) = version_of(&file) {
            files.entry(version).or_default().push(file);
        }
    }
    let known = || files.keys().map(ToString::to_string).collect();
    let chosen = match wanted {
        Some(wanted) => files.iter().find(|(version, _)| version.to_string() == *wanted).ok_or_else(|| {
            ComponentError::NoVersion { folder: folder.clone(), wanted: wanted.clone(), known: known() }
        }),
        // What comes before a release is run by whoever names it.
        None => files
            .iter()
            .rev()
            .find(|(version, _)| version.pre.is_empty())
            .ok_or_else(|| ComponentError::NoRelease { folder: folder.clone(), known: known() }),
    };
    let (version, files) = chosen?;
    match files.as_slice() {
        [file] => Ok((file.clone(), Some(version.to_string()))),
        _ => Err(ComponentError::Twice {
            folder,
            version: version.to_string(),
            files: files.iter().map(|file| file.display().to_string()).collect(),
        }),
    }
}

/// The version in a file's name: `1.2.0.wasm`, `v1.2.0.wasm`, `mimecast-1.2.0-rc.1.wasm`.
fn version_of(file: &Path) -> Option<Version> {
    let stem = file.file_name()?.to_str()?.strip_suffix(".wasm")?;
    let parts = std::iter::once(stem).chain(stem.match_indices('-').map(|(at, _)| &stem[at + 1..]));
    parts.filter_map(|part| Version::parse(part.strip_prefix('v').unwrap_or(part)).ok()).next()
}

fn read(path: &Path) -> Result<Vec<u8>, ComponentError> {
    let shown = || path.display().to_string();
    let unreadable = |error: std::io::Error| ComponentError::Read { path: shown(), message: error.to_string() };
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > LONGEST {
        return Err(ComponentError::TooLong { path: shown(), bytes });
    }
    fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(path: &Path, version: Option<&str>) -> ComponentOptions {
        ComponentOptions { path: path.to_owned(), version: version.map(str::to_owned), sha256: None }
    }

    #[test]
    fn a_folder_gives_its_newest_release_or_the_version_named() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "acme-1.9.0.wasm",
            "acme-1.10.0.wasm",
            "v0.9.0.wasm",
            "acme-eu-2.0.0-rc.1.wasm",
            "9.9.9.cwasm",
            "latest.wasm",
            "1.2.wasm",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let find = |version| find(&options(folder.path(), version));
        let found = |version| find(version).map(|(path, version)| (path.file_name().unwrap().to_owned(), version));
        assert_eq!(found(None), Ok(("acme-1.10.0.wasm".into(), Some("1.10.0".into()))), "numbers, not letters");
        assert_eq!(found(Some("0.9.0")), Ok(("v0.9.0.wasm".into(), Some("0.9.0".into()))));
        assert_eq!(found(Some("2.0.0-rc.1")), Ok(("acme-eu-2.0.0-rc.1.wasm".into(), Some("2.0.0-rc.1".into()))));
        let missing = find(Some("3.0.0")).unwrap_err().to_string();
        assert!(missing.contains("no version 3.0.0") && missing.contains("1.9.0, 1.10.0"), "{missing}");
        fs::write(folder.path().join("1.10.0.wasm"), "").unwrap();
        assert!(matches!(find(None), Err(ComponentError::Twice { .. })), "{:?}", find(None));
        assert!(find(Some("1.9.0")).is_ok());
    }

    #[test]
    fn a_folder_without_a_release_has_nothing_to_run() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("acme-2.0.0-rc.1.wasm"), "").unwrap();
        let error = find(&options(folder.path(), None)).unwrap_err().to_string();
        assert!(error.contains("no release") && error.contains("2.0.0-rc.1"), "{error}");
        let file = folder.path().join("acme-2.0.0-rc.1.wasm");
        assert_eq!(find(&options(&file, None)), Ok((file, None)), "a file may be called anything");
    }

    #[tokio::test]
    async fn a_file_that_is_not_the_one_named_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("acme.wasm");
        let sandbox = Sandbox::new(crate::sandbox::Settings { slots: 2, ..Default::default() }).unwrap();
        let load = async |options: &ComponentOptions| load(&sandbox, options).await.map(|found| found.path);
        let plain = options(&file, None);
        assert!(matches!(load(&plain).await, Err(ComponentError::Read { .. })));
        fs::write(&file, crate::COMPONENT).unwrap();
        assert_eq!(load(&plain).await, Ok(file.clone()));
        let right = ComponentOptions {
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            sha256: Some(sha256(crate::COMPONENT)),
            ..plain
        };
        assert_eq!(load(&right).await, Ok(file.clone()));
        let older = ComponentOptions { version: Some("0.0.1".into()), ..right.clone() };
        assert!(matches!(load(&older).await, Err(ComponentError::OtherVersion { .. })));
        fs::write(&file, [crate::COMPONENT, &[0, 2, 1, b'x']].concat()).unwrap();
        let changed = load(&right).await.unwrap_err();
        assert!(matches!(changed, ComponentError::OtherDigest { .. }), "{changed}");
        assert_eq!(load(&ComponentOptions { sha256: None, ..right }).await, Ok(file), "it is a component still");
    }
}
