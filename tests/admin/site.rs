//! A host that runs with one source, and answers over TCP too.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use mimecast_simulator as sim;
use serde_json::Value;
use tributary_tests::process::{Process, until};
use tributary_tests::world::{configuration, quota, serve};

use crate::BINARY;

pub const TOKEN: &str = "t0ken-of-the-api-0123456789";
pub const MINUTE: Duration = Duration::from_secs(60);

/// Right, for whoever asks over TCP.
pub const RIGHT: [(&str, &str); 2] = [("Host", "localhost"), ("Authorization", "Bearer t0ken-of-the-api-0123456789")];

pub struct Site {
    pub server: sim::Server,
    pub folder: tempfile::TempDir,
    /// Of the API, once it listens.
    port: OnceLock<u16>,
}

/// An answer: its status, head and body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Asks over `stream` and reads to its end. Without keep-alive, unless `headers` say so.
pub fn exchange(mut stream: impl Read + Write, line: &str, headers: &[(&str, &str)]) -> Answer {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "{line} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

impl Site {
    /// With the audit log alone; `api` is added to the table of the API.
    pub fn new(api: &str) -> Self {
        let tenant = sim::Tenant::v2("acme", 6_000);
        let settings =
            sim::Settings { backlog_ms: 6 * 3_600_000, tenants: vec![tenant.clone()], ..sim::Settings::default() };
        let server = serve(sim::Clock::real(), settings);
        let folder = tempfile::tempdir().unwrap();
        let keys = format!("{}\ncollect = [\"audit\"]", quota(&tenant));
        let text = configuration(folder.path(), &server.api_url, std::slice::from_ref(&tenant), &keys, "");
        let api = format!("[api]\naddress = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n{api}\n");
        std::fs::write(folder.path().join("tributary.toml"), text + &api).unwrap();
        Self { server, folder, port: OnceLock::new() }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("tributary.toml")
    }

    /// Adds to the configuration.
    pub fn configure(&self, more: &str) {
        std::fs::write(self.file(), std::fs::read_to_string(self.file()).unwrap() + more).unwrap();
    }

    /// Runs the host, until it listens.
    pub fn begin(&self) -> Process {
        let mut process = Process::run(BINARY, &self.file());
        self.port.set(process.port()).unwrap();
        process
    }

    /// Runs the host, until it is ready.
    pub fn run(&self) -> Process {
        let process = self.begin();
        assert!(until(MINUTE, || self.ask("GET /ready").status == 200), "{}", process.log());
        process
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", *self.port.get().unwrap())).unwrap();
        stream.set_read_timeout(Some(MINUTE)).unwrap();
        stream
    }

    /// Asks over TCP with these headers alone.
    pub fn ask_with(&self, line: &str, headers: &[(&str, &str)]) -> Answer {
        exchange(self.connect(), line, headers)
    }

    /// The same with the right ones.
    pub fn ask(&self, line: &str) -> Answer {
        self.ask_with(line, &RIGHT)
    }

    /// Asks through the Unix socket.
    pub fn ask_socket(&self, line: &str, headers: &[(&str, &str)]) -> Answer {
        let path = self.folder.path().join("state/socket");
        exchange(std::os::unix::net::UnixStream::connect(path).unwrap(), line, headers)
    }

    /// The lines of an answer that goes on, as they come, without those of HTTP's chunks. It has begun.
    pub fn watch(&self, path: &str, headers: &[(&str, &str)]) -> impl Iterator<Item = String> + use<> {
        let mut stream = self.connect();
        let headers: String = RIGHT.iter().chain(headers).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        write!(stream, "GET {path} HTTP/1.1\r\n{headers}\r\n").unwrap();
        let is_size = |line: &String| !line.is_empty() && u64::from_str_radix(line, 16).is_ok();
        let mut answer = BufReader::new(stream);
        let mut status = String::new();
        answer.read_line(&mut status).unwrap();
        assert!(status.starts_with("HTTP/1.1 200 "), "{status}");
        answer.lines().map(|line| line.unwrap().trim_end().to_owned()).filter(move |line| !is_size(line))
    }

    /// The state of the one stream.
    pub fn state(&self) -> String {
        let source = self.ask("GET /v1/sources/acme").json();
        source["streams"][0]["state"].as_str().unwrap().to_owned()
    }

    pub fn is_in(&self, state: &str) -> bool {
        until(MINUTE, || self.state() == state)
    }
}
