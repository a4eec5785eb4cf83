//! The command `tributary` as a process.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a finished command said.
#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// All that it said.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Expects `code`, with each of `words` in what it says.
    #[track_caller]
    pub fn expect(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.text().contains(word), "no {word:?} in {}", self.text());
        }
        self
    }

    /// What it printed, which must be one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The command at `binary` with nothing of this process's environment that it would heed.
pub fn command(binary: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).stdin(Stdio::null());
    for name in ["TRIBUTARY_CONFIG", "TRIBUTARY_LOG", "TRIBUTARY_LOG_FORMAT", "HTTP_PROXY", "HTTPS_PROXY"] {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end.
pub fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Output { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// A process that runs on; killed when it is dropped.
pub struct Process {
    child: Child,
    log: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Process {
    /// `tributary run` with this configuration.
    pub fn run(binary: &str, file: &Path) -> Self {
        Self::start(command(binary, &["--config", file.to_str().unwrap(), "--log-level", "debug", "run"]))
    }

    /// What it writes to standard error is its log.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stderr.take().unwrap();
        let log = Arc::<Mutex<Vec<u8>>>::default();
        let text = Arc::clone(&log);
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            loop {
                match pipe.read(&mut piece).unwrap() {
                    0 => return,
                    length => text.lock().unwrap().extend_from_slice(&piece[..length]),
                }
            }
        });
        Self { child, log, reader: Some(reader) }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap()).into_owned()
    }

    /// All that it has logged, once it has ended.
    fn whole_log(&mut self) -> String {
        self.reader.take().unwrap().join().unwrap();
        self.log()
    }

    /// Waits until its API listens, and gives the port, which the system has chosen: `api.address` ends with `:0`.
    pub fn port(&mut self) -> u16 {
        let (words, mut port) = ("the API listens address=127.0.0.1:", None);
        let found = until(Duration::from_secs(60), || {
            let log = self.log();
            let rest = log.split_once(words).map(|(_, rest)| rest);
            port = rest.and_then(|rest| rest.split_once(' ')).map(|(port, _)| port.parse().unwrap());
            port.is_some() || !self.is_running()
        });
        assert!(found, "{}", self.log());
        port.unwrap_or_else(|| panic!("it does not listen: {}", self.log()))
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its exit code (none after a signal) and its log; panics if it has not ended within `limit`.
    pub fn wait(mut self, limit: Duration) -> (ExitStatus, String) {
        let deadline = Instant::now() + limit;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                None => panic!("the process does not end"),
            }
        };
        (status, self.whole_log())
    }

    /// SIGKILL.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.whole_log()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `done` holds; false if it does not within `limit`.
pub fn until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !done() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}
