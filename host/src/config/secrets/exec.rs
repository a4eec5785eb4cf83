//! A program that says secrets, by the protocol of Vector's backend `exec`.
//!
//! It gets `{"version":"1.0","secrets":["key", ...]}` on its standard input, and answers on its standard output with
//! `{"key":{"value":"...","error":null}, ...}`. What it writes to standard error is read and thrown away: it may hold
//! anything. Its exit code is not judged, its answer is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Secret;
use crate::config::problem::{Problem, Step};

/// The longest answer, in bytes: thousands of secrets.
const LONGEST: usize = 1 << 20;

/// The longest message of the program's that is shown, in characters.
const MESSAGE: usize = 200;

/// One program, and what it has said.
pub struct Program {
    command: Vec<String>,
    timeout: Duration,
    /// By key; why there is none, without a path.
    said: BTreeMap<String, Result<Secret, Problem>>,
}

/// What is said of one key.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    error: Value,
}

impl Program {
    pub fn new(command: Vec<String>, timeout: Duration) -> Self {
        Self { command, timeout, said: BTreeMap::new() }
    }

    /// Asks for those of `keys` that it was not asked for yet, in one call.
    pub fn ask(&mut self, keys: &BTreeSet<String>) {
        let keys: Vec<&String> = keys.iter().filter(|key| !self.said.contains_key(*key)).collect();
        if keys.is_empty() {
            return;
        }
        match self.call(&keys) {
            Ok(answers) => {
                let values: Vec<Secret> = answers.values().filter_map(|answer| answer.value.clone()).collect();
                let known = |text: &str| values.iter().any(|value| !value.is_empty() && text.contains(value.as_str()));
                let mut answers = answers;
                for key in keys {
                    let said = judge(key, answers.remove(key), known);
                    self.said.insert(key.clone(), said);
                }
            }
            Err(problem) => self.said.extend(keys.into_iter().map(|key| (key.clone(), Err(problem.clone())))),
        }
    }

    /// The value of `key` of the backend `name`.
    pub fn value(&mut self, name: &str, key: &str) -> Result<Secret, Problem> {
        self.ask(&BTreeSet::from([key.to_owned()]));
        match self.said.get(key) {
            Some(Ok(value)) => Ok(value.clone()),
            Some(Err(problem)) => {
                let message = format!("the secret backend `{name}`: {}", problem.message);
                Err(Problem { message, ..problem.clone() })
            }
            None => Err(fault(format!("the secret backend `{name}` was not asked for `{key}`"))
                .hint("Report it: every secret is asked for at the start")),
        }
    }

    fn call(&self, keys: &[&String]) -> Result<BTreeMap<String, Said>, Problem> {
        let program = self.command.first().map(String::as_str).unwrap_or_default();
        let query = json!({"version": "1.0", "secrets": keys}).to_string();
        let mut child = Command::new(program)
            .args(&self.command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // With all that it starts, so that all of it can be ended.
            .process_group(0)
            .spawn()
            .map_err(|error| {
                fault(format!("cannot run {program}: {error}"))
                    .hint("Name an executable file by its whole path, and let this user run it")
            })?;
        let deadline = Instant::now() + self.timeout;
        let output = converse(&mut child, query, deadline);
        let status = end(&mut child, deadline);
        let output = match output {
            Some(Ok(output)) => output,
            Some(Err(error)) => {
                return Err(fault(format!("the answer of {program} cannot be read: {error}")).hint(BY_HAND));
            }
            None => {
                let message = format!("{program} has not answered within {} s", self.timeout.as_secs());
                return Err(fault(message).hint("Run it by hand to see what it waits for, or set a longer `timeout`"));
            }
        };
        let answers: BTreeMap<String, Answer> = serde_json::from_slice(&output).map_err(|_| {
            // The parser's message could quote what stands there.
            let how = status.map_or_else(|| "was ended".to_owned(), |status| format!("ended with {status}"));
            fault(format!("{program} {how} and did not answer in the protocol's JSON ({} bytes)", output.len()))
                .hint(BY_HAND)
        })?;
        Ok(answers.into_iter().map(|(key, answer)| (key, answer.into())).collect())
    }
}

const BY_HAND: &str = "Run it by hand: it reads {\"version\":\"1.0\",\"secrets\":[\"key\"]} and must write \
                       {\"key\":{\"value\":\"...\",\"error\":null}}. What it writes to standard error is not shown, \
                       since it may hold secrets";

/// An answer whose value is wiped when it is dropped.
struct Said {
    value: Option<Secret>,
    error: Value,
}

impl From<Answer> for Said {
    fn from(answer: Answer) -> Self {
        Self { value: answer.value.map(Zeroizing::new), error: answer.error }
    }
}

/// `is_secret` tells a text that must not be shown.
fn judge(key: &str, said: Option<Said>, is_secret: impl Fn(&str) -> bool) -> Result<Secret, Problem> {
    let missing = |message: String| fault(message).hint("Look whether the program's own store has it");
    match said {
        None => Err(missing(format!("there is no answer for `{key}`"))),
        Some(Said { error: Value::Null, value: Some(value) }) if !value.is_empty() => Ok(value),
        Some(Said { error: Value::Null, .. }) => Err(missing(format!("the value of `{key}` is empty"))),
        Some(Said { error, .. }) => {
            let text = match &error {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let reason = match is_secret(&text) {
                true => "the program's message is not shown, since a secret stands in it".to_owned(),
                false => text.chars().take(MESSAGE).collect::<String>().escape_debug().to_string(),
            };
            Err(missing(format!("`{key}` was not given: {reason}")))
        }
    }
}

/// Hands over the query and reads the answer; `None` if that takes too long.
fn converse(child: &mut Child, query: String, deadline: Instant) -> Option<io::Result<Zeroizing<Vec<u8>>>> {
    // Each pipe has a thread of its own, so that none waits for another. They are not waited for: whatever the program
    // left running may hold the pipes open.
    if let Some(mut input) = child.stdin.take() {
        // A program that needs no question may have closed it.
        thread::spawn(move || drop(input.write_all(query.as_bytes())));
    }
    if let Some(mut errors) = child.stderr.take() {
        thread::spawn(move || io::copy(&mut errors, &mut io::sink()));
    }
    let mut output = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(read(&mut output)));
    receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
}

/// Reads to the end, and leaves no copy behind.
fn read(input: &mut impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; 8192]);
    let mut length = 0;
    loop {
        if length == buffer.len() {
            if length >= LONGEST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {LONGEST} bytes")));
            }
            let mut longer = Zeroizing::new(vec![0; 2 * length]);
            longer[..length].copy_from_slice(&buffer);
            buffer = longer;
        }
        match input.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(length);
    Ok(buffer)
}

/// Waits for the program's end until `deadline`, then ends it; `None` if it had to be ended.
fn end(child: &mut Child, deadline: Instant) -> Option<std::process::ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
            Ok(None) | Err(_) => break,
        }
    }
    if let Ok(id) = i32::try_from(child.id())
        && let Some(group) = Pid::from_raw(id)
    {
        // It may have ended just now.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
    None
}

fn fault(message: String) -> Problem {
    Problem::new(Step::Interpolate, "", message)
}
