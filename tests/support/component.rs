//! Components of this repository other than the product's.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds the component of `package`, and says where it is: as `host/build.rs` does, beside the product's, whose
/// dependencies it shares.
pub fn build(package: &str) -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    // `target/debug/deps/limits-…`
    let folder = executable.ancestors().nth(3).unwrap().join("component");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What the outer build is told is not meant for this one.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let kept = ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_"];
        let outer = ["CARGO_", "RUSTC", "RUSTDOC", "RUSTFLAGS", "CLIPPY_"];
        if outer.iter().any(|prefix| name.starts_with(prefix)) && !kept.iter().any(|prefix| name.starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
    let output = cargo
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(["build", "--locked", "--lib", "--profile", "component", "--package", package])
        .args(["--target", TARGET, "--target-dir"])
        .arg(&folder)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Clinker=wasm-component-ld\x1f-Ctarget-feature=+simd128")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join(TARGET).join("component").join(format!("{}.wasm", package.replace('-', "_")))
}
