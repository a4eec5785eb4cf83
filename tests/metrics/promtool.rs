//! Prometheus' own tool, which judges metrics and rules.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where it is; `None`, with a word, if it is nowhere.
fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("promtool")).find(|program| program.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "promtool is missing: install Debian's package `prometheus`");
        // Past the harness, which keeps to itself what a test prints that passes.
        let _ = writeln!(std::io::stderr(), "skipped: promtool is not here; Debian's package `prometheus` has it");
    }
    found
}

/// What it says of `input` when it is run in `folder`; `None` where it is absent. Whether it is content, and all that it says.
pub fn promtool(folder: &Path, arguments: &[&str], input: &str) -> Option<(bool, String)> {
    let mut command = Command::new(find()?);
    command.args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_owned();
    // It may answer before it has read everything.
    let writer = std::thread::spawn(move || drop(pipe.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}
