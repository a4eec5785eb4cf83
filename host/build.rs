//! Builds the component and hands its path to the host, which embeds it.
//!
//! `TRIBUTARY_COMPONENT` names a finished component instead. The component has a target folder of its own: cargo holds a
//! lock on the outer one while this script runs. Its environment is scrubbed: an outer `RUSTFLAGS` or a wrapper such as
//! clippy's would replace the linker, and the output would be a core module.
//!
//! The component gets custom sections that say its version, the lock file's hash, and the commit. The commit is known to
//! release builds from a git repository, or where `TRIBUTARY_COMMIT` says it: it would make every commit a reason to build
//! the host again. The same sources at the same commit give the same bytes.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

#[path = "src/sandbox/sections.rs"]
mod sections;

const TARGET: &str = "wasm32-unknown-unknown";
const PACKAGE: &str = "mimecast-source";
const FILE: &str = "mimecast_source.wasm";

/// What is said where there is no commit.
const UNKNOWN: &str = "unknown";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/sandbox/sections.rs");
    println!("cargo::rerun-if-env-changed=TRIBUTARY_COMPONENT");
    println!("cargo::rerun-if-env-changed=TRIBUTARY_COMMIT");
    let commit = commit().unwrap_or_else(|| UNKNOWN.to_owned());
    println!("cargo::rustc-env=TRIBUTARY_BUILD_COMMIT={commit}");
    match component(&commit) {
        Ok(path) => println!("cargo::rustc-env=TRIBUTARY_COMPONENT_FILE={}", path.display()),
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
        }
    }
}

fn component(commit: &str) -> Result<PathBuf, String> {
    let lock = root().join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let lock = digest(&fs::read(&lock).map_err(|error| format!("cannot read {}: {error}", lock.display()))?);
    println!("cargo::rustc-env=TRIBUTARY_LOCK_SHA256={lock}");
    let (built, kept) = match env::var_os("TRIBUTARY_COMPONENT") {
        Some(path) => (prebuilt(Path::new(&path))?, None),
        None => {
            let folder = target_folder().join("component");
            (build(&folder)?, Some(folder.join(FILE)))
        }
    };
    let mut bytes = fs::read(&built).map_err(|error| format!("cannot read {}: {error}", built.display()))?;
    if !bytes.starts_with(&sections::COMPONENT) {
        return Err(format!("{} is not a WebAssembly component (a core module?)", built.display()));
    }
    // A finished component says for itself where it comes from.
    if kept.is_some() {
        sections::append(&mut bytes, sections::VERSION, env!("CARGO_PKG_VERSION"));
        sections::append(&mut bytes, sections::LOCK, &lock);
        if commit != UNKNOWN {
            sections::append(&mut bytes, sections::REVISION, commit);
        }
    }
    println!("cargo::rustc-env=TRIBUTARY_COMPONENT_SHA256={}", digest(&bytes));
    for (variable, name) in
        [("VERSION", sections::VERSION), ("LOCK_SHA256", sections::LOCK), ("COMMIT", sections::REVISION)]
    {
        let text = sections::text(&bytes, name).unwrap_or(UNKNOWN);
        println!("cargo::rustc-env=TRIBUTARY_COMPONENT_{variable}={text}");
    }
    let embedded = variable("OUT_DIR").join(FILE);
    for copy in kept.iter().chain([&embedded]) {
        // Unchanged, it is left alone, so that nothing that depends on it is built again.
        if fs::read(copy).ok().as_deref() != Some(&bytes) {
            fs::write(copy, &bytes).map_err(|error| format!("cannot write {}: {error}", copy.display()))?;
        }
    }
    Ok(embedded)
}

fn prebuilt(path: &Path) -> Result<PathBuf, String> {
    let path = path.canonicalize().map_err(|error| {
        format!("TRIBUTARY_COMPONENT={}: {error}. Name a component by its absolute path, or unset it", path.display())
    })?;
    println!("cargo::rerun-if-changed={}", path.display());
    Ok(path)
}

fn build(folder: &Path) -> Result<PathBuf, String> {
    let root = root();
    for input in ["src", "wit", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    ensure_target()?;
    let mut cargo = Command::new(variable("CARGO"));
    scrub(&mut cargo);
    let output = cargo
        .current_dir(&root)
        .args(["build", "--locked", "--lib", "--profile", "component"])
        .args(["--package", PACKAGE, "--target", TARGET, "--target-dir"])
        .arg(folder)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Clinker=wasm-component-ld\x1f-Ctarget-feature=+simd128")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run cargo for the component: {error}"))?;
    if !output.status.success() {
        return Err(format!("the component did not build:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(folder.join(TARGET).join("component").join(FILE))
}

/// Installs the target once if it is missing. `rust-toolchain.toml` names it, but rustup may be told not to install.
fn ensure_target() -> Result<(), String> {
    let installed = || {
        let mut rustc = Command::new(variable("RUSTC"));
        scrub(&mut rustc);
        let output = rustc.args(["--print", "target-libdir", "--target", TARGET]).output();
        output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
    };
    if installed() {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    scrub(&mut rustup);
    let added = rustup.args(["target", "add", TARGET]).stdin(Stdio::null()).output();
    if installed() {
        return Ok(());
    }
    let reason = match added {
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "),
        Err(error) => format!("rustup: {error}"),
    };
    Err(format!(
        "the Rust target {TARGET} is not installed, and adding it failed ({reason}).\n\
         Type: rustup target add {TARGET}\n\
         Without rustup, install your distribution's standard library for {TARGET}, or set TRIBUTARY_COMPONENT to a \
         finished component."
    ))
}

/// Takes out what the outer cargo and its caller say about the outer build. What says where cargo finds its home, the
/// registries and its share of the processors stays.
fn scrub(command: &mut Command) {
    const KEPT: [&str; 6] =
        ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_MAKEFLAGS"];
    const DROPPED: [&str; 5] = ["CARGO_", "RUSTC", "RUSTDOC", "RUSTFLAGS", "CLIPPY_"];
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if starts(&DROPPED) && !starts(&KEPT) {
            command.env_remove(name);
        }
    }
}

/// The commit that is built, with `-dirty` behind it if sources differ from it. `None` if nobody knows.
fn commit() -> Option<String> {
    if let Ok(commit) = env::var("TRIBUTARY_COMMIT") {
        let sound = !commit.is_empty() && commit.len() <= 64 && commit.chars().all(|c| c.is_ascii_graphic());
        return sound.then_some(commit);
    }
    if env::var_os("PROFILE").is_none_or(|profile| profile != "release") {
        return None;
    }
    let root = root().canonicalize().ok()?;
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            git.env_remove(name);
        }
        let output = git.current_dir(&root).args(arguments).stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    // Sources that were unpacked inside of another repository are not a part of it.
    let top = Path::new(&git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()?;
    if top != root {
        return None;
    }
    let commit = git(&["rev-parse", "HEAD"])?;
    // The log of HEAD grows with each commit and each change of branch.
    for name in ["HEAD", "logs/HEAD"] {
        let path = root.join(git(&["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    const SOURCES: [&str; 6] = ["src", "host", "wit", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml"];
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let changed = git(&[&["status", "--porcelain", "--"][..], &SOURCES].concat())?;
    Some(if changed.is_empty() { commit } else { format!("{commit}-dirty") })
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn root() -> PathBuf {
    variable("CARGO_MANIFEST_DIR").join("..")
}

/// The workspace's target folder: OUT_DIR is `<target>[/<triple>]/<profile>/build/<package>-<hash>/out`.
fn target_folder() -> PathBuf {
    let out = variable("OUT_DIR");
    let profile = out.ancestors().nth(3).unwrap_or(&out);
    let above = profile.parent().unwrap_or(profile);
    let crossed = env::var_os("TARGET").is_some_and(|triple| above.ends_with(triple));
    if crossed { above.parent().unwrap_or(above).to_owned() } else { above.to_owned() }
}

fn variable(name: &str) -> PathBuf {
    PathBuf::from(env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}")))
}
