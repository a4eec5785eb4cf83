//! Builds the component and hands its path to the host, which embeds it.
//!
//! `TRIBUTARY_COMPONENT` names a finished component instead. The component has a target folder of its own: cargo holds a
//! lock on the outer one while this script runs. Its environment is scrubbed: an outer `RUSTFLAGS` or a wrapper such as
//! clippy's would replace the linker, and the output would be a core module.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TARGET: &str = "wasm32-unknown-unknown";
const PACKAGE: &str = "mimecast-source";
const FILE: &str = "mimecast_source.wasm";

/// The first bytes of a component: magic, version 13, layer 1. A core module has `01 00 00 00` after the magic.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=TRIBUTARY_COMPONENT");
    match component() {
        Ok(path) => println!("cargo::rustc-env=TRIBUTARY_COMPONENT_FILE={}", path.display()),
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
        }
    }
}

fn component() -> Result<PathBuf, String> {
    let (built, kept) = match env::var_os("TRIBUTARY_COMPONENT") {
        Some(path) => (prebuilt(Path::new(&path))?, None),
        None => {
            let folder = target_folder().join("component");
            (build(&folder)?, Some(folder.join(FILE)))
        }
    };
    let bytes = fs::read(&built).map_err(|error| format!("cannot read {}: {error}", built.display()))?;
    if !bytes.starts_with(&COMPONENT) {
        return Err(format!("{} is not a WebAssembly component (a core module?)", built.display()));
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
    let root = variable("CARGO_MANIFEST_DIR").join("..");
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
