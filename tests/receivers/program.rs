//! Programs of other people, each in a folder of its own, ended with the test.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long one may take to listen: other tests run beside it.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where the program is; `None`, with a word, if it is nowhere.
///
/// # Panics
/// In CI, where all of them must be.
pub fn find(name: &str) -> Option<PathBuf> {
    let own = std::env::var_os("TRIBUTARY_RECEIVERS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = own.into_iter().chain(std::env::split_paths(&path)).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} is missing: run .ci/receivers, and set TRIBUTARY_RECEIVERS");
        // Past the harness, which keeps to itself what a test prints that passes.
        let _ = writeln!(std::io::stderr(), "skipped: {name} is not here; .ci/receivers gets it");
    }
    found
}

/// A program that runs.
pub struct Program {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Program {
    /// Starts it, and waits until it listens on all of `ports`. What it says goes to a file in `folder`.
    pub fn start(program: &Path, folder: &Path, arguments: &[&str], ports: &[u16]) -> Self {
        let name = program.file_name().unwrap().to_string_lossy().into_owned();
        let log = folder.join(format!("{name}.log"));
        let file = std::fs::File::create(&log).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).stdin(Stdio::null());
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let mut started = Program { child, name, log };
        let begun = Instant::now();
        for port in ports {
            while TcpStream::connect(("127.0.0.1", *port)).is_err() {
                let ended = started.child.try_wait().unwrap();
                let late = begun.elapsed() > PATIENCE;
                assert!(ended.is_none() && !late, "{} does not listen: {ended:?}\n{}", started.name, started.log());
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        started
    }

    /// What it has said.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Some of them take their time to end, and nothing of them is needed.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("{}: {}", self.name, self.log());
        }
    }
}

/// A port that nobody uses, nor the one 10,000 above it, where some programs listen too.
pub fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (std::process::id() as u16).wrapping_mul(37).wrapping_add(step) % 10_000;
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 10_000) {
            return port;
        }
    }
}

/// Asks until there is an answer.
///
/// # Panics
/// After a while, with what `what` is.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
