//! A place full of marked secrets: one source that works, and two that are refused.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use mimecast_simulator as sim;
use tributary_tests::guest::LOOPBACK;
use tributary_tests::process::{Output, command, output};

use crate::BINARY;
use crate::needles::Needles;

pub struct Site {
    pub server: sim::Server,
    pub tenant: sim::Tenant,
    pub needles: Needles,
    folder: tempfile::TempDir,
    /// Where the host answers over TCP.
    port: u16,
    /// Given to each process.
    environment: Vec<(&'static str, String)>,
}

/// A secret that is nobody's. It is base64, as keys of API 1.0 must be.
fn marked(what: &str) -> String {
    let mut text = format!("M4rked+{}/0123456789abcdef0123456789ABCDEF", what.replace('-', "+"));
    text.truncate(text.len() / 4 * 4);
    text
}

impl Site {
    pub fn new(tenant: sim::Tenant) -> Self {
        let clock = sim::Clock::real();
        let settings = sim::Settings {
            start_ms: clock.now(),
            backlog_ms: 6 * 3_600_000,
            // Many archives: what has been given out once does not break any more.
            members_per_archive: 2,
            tenants: vec![tenant.clone()],
            quota_factor: 900,
            ..sim::Settings::default()
        };
        let server = tributary_tests::world::start(clock, settings);
        let folder = tempfile::tempdir().unwrap();
        for name in ["inputs", "inputs/vault", "outputs"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut site = Self { server, tenant, needles: Needles::default(), folder, port, environment: Vec::new() };
        site.plant();
        site
    }

    /// What the operator wrote. Everything else below the site is written by the host.
    pub fn inputs(&self) -> PathBuf {
        self.folder.path().join("inputs")
    }

    pub fn outputs(&self) -> PathBuf {
        self.folder.path().join("outputs")
    }

    pub fn state(&self) -> PathBuf {
        self.outputs().join("state")
    }

    pub fn file(&self) -> PathBuf {
        self.inputs().join("tributary.toml")
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.inputs().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    }

    /// Writes the configuration, with secrets from every place that there is.
    fn plant(&mut self) {
        let name = self.tenant.name.clone();
        // Nobody wants to wait for the vendor's own.
        let quotas = match self.tenant.generation() {
            sim::Generation::V2 => "quotas.siem-batch = { requests = 50, window_secs = 1 }",
            sim::Generation::V1 => "",
        };
        let keys = |source: &str, keys: &[(&str, &str)]| {
            let lines: String = keys.iter().map(|(key, value)| format!("{key} = \"{value}\"\n")).collect();
            let url = &self.server.api_url;
            format!(
                "[sources.{source}]\ntype = \"mimecast\"\nbase_url = \"{url}\"\ninsecure_http = true\n{lines}\
                 {quotas}\negress.allow_private = [\"{LOOPBACK}\"]\n\
                 proxy = {{ https = \"http://somebody:{}@proxy.example:3128\" }}\n",
                marked("of-the-proxy").replace('/', "%2F")
            )
        };
        // The right credentials, from three places.
        let (first, second, third, right, wrong) = match self.tenant.credentials.clone() {
            sim::Credentials::V2 { client_id, client_secret } => (
                client_id,
                client_secret,
                None,
                keys(&name, &[("client_id", "SECRET[vault.first]"), ("client_secret", "SECRET[program.second]")]),
                ["client_id", "client_secret"],
            ),
            sim::Credentials::V1 { app_id, app_key, access_key, secret_key, .. } => {
                let plain = [("api", "1.0"), ("app_id", app_id.as_str()), ("app_key", "SECRET[file.third]")];
                let secret = [("access_key", "SECRET[vault.first]"), ("secret_key", "SECRET[program.second]")];
                (
                    access_key,
                    secret_key,
                    Some(app_key),
                    keys(&name, &[&plain[..], &secret].concat()),
                    ["access_key", "secret_key"],
                )
            }
        };
        let third = third.unwrap_or_else(|| marked("of-a-file"));
        let more = match self.tenant.credentials {
            sim::Credentials::V2 { .. } => String::new(),
            sim::Credentials::V1 { .. } => {
                format!("api = \"1.0\"\napp_id = \"{}\"\napp_key = \"{}\"\n", "an-application", marked("application"))
            }
        };
        let text = marked("in-the-text");
        let refused = |source: &str, id: &str, secret: &str| {
            format!("{}{more}", keys(source, &[(wrong[0], id), (wrong[1], secret)]))
        };
        let sources = [
            right,
            refused("refused", &text, "${MARKED_SECRET}"),
            refused("refused-too", "SECRET[env.MARKED_ID]", "SECRET[file.wrong]"),
        ];
        self.write("vault/first", &format!("{first}\n"), 0o600);
        let vault = self.inputs().join("vault").display().to_string();
        let json = serde_json::json!({"third": third, "wrong": marked("of-the-file"), "unused": marked("unused")});
        let file = self.write("secrets.json", &json.to_string(), 0o600);
        let answer = serde_json::json!({
            "second": {"value": second, "error": null}, "more": {"value": marked("unasked"), "error": null},
        });
        let program = format!("#!/bin/sh\ncat >/dev/null\necho '{}' >&2\necho '{answer}'\n", marked("said-aside"));
        let program = self.write("program", &program, 0o700);
        let outputs = self.outputs().display().to_string();
        let all = format!(
            "data_dir = \"{outputs}/state\"\n[api]\naddress = \"127.0.0.1:{}\"\ntoken = \"{}\"\n{}[sinks.files]\ntype = \"file\"\ninputs = [\"*\", \"health\"]\n\
             path = \"{outputs}/events\"\n[sinks.console]\ntype = \"stdout\"\ninputs = [\"*\", \"health\"]\n\
             {}[secret]\nvault = {{ type = \"directory\", path = \"{vault}\" }}\n\
             file = {{ type = \"file\", path = \"{file}\" }}\n\
             program = {{ type = \"exec\", command = [\"{program}\"] }}\n",
            self.port,
            marked("of-the-api"),
            sources.concat(),
            self.sinks(),
        );
        self.write("tributary.toml", &all, 0o600);
        self.environment = vec![("MARKED_SECRET", marked("of-the-environment")), ("MARKED_ID", marked("id"))];
        for (what, secret) in [("the first", &first), ("the second", &second), ("the third", &third), ("text", &text)] {
            self.needles.add(what, secret);
        }
        for what in [
            "of-the-environment",
            "id",
            "of-the-file",
            "unused",
            "unasked",
            "said-aside",
            "application",
            "of-the-proxy",
            "of-a-sink",
            "of-an-address",
            "of-an-index",
            "of-an-indexer",
            "of-a-rule",
            "of-the-api",
        ] {
            self.needles.add(what, &marked(what));
        }
    }

    /// Sinks whose far side refuses all that they send. No position waits for them.
    fn sinks(&self) -> String {
        let url = &self.server.api_url;
        let one = |id: &str, kind: &str, keys: &[String]| {
            format!(
                "[sinks.{id}]\ntype = \"{kind}\"\ninputs = [\"*\"]\nacknowledgements = false\n{}\n",
                keys.join("\n")
            )
        };
        let auth = |secret: &str| format!("auth = {{ strategy = \"bearer\", token = \"{}\" }}", marked(secret));
        let basic = |secret: &str| {
            format!("auth = {{ strategy = \"basic\", user = \"somebody\", password = \"{}\" }}", marked(secret))
        };
        let rule = format!(
            "[[sinks.server.rules]]\ntype = \"hash\"\nfield = \"email.from\"\nkey = \"{}\"",
            marked("of-a-rule")
        );
        [
            one("server", "http", &[format!("uri = \"{url}/events\""), auth("of-a-sink"), rule]),
            one("sumo", "sumo", &[format!("endpoint = \"{url}/receiver/{}\"", marked("of-an-address"))]),
            one("elastic", "elasticsearch", &[format!("endpoints = [\"{url}\"]"), basic("of-an-index")]),
            one(
                "splunk",
                "splunk_hec",
                &[format!("endpoint = \"{url}\""), format!("default_token = \"{}\"", marked("of-an-indexer"))],
            ),
        ]
        .concat()
    }

    /// The command with the site's configuration, logging all that it can.
    pub fn command(&self, line: &str) -> std::process::Command {
        let file = self.file();
        let all = ["--config", file.to_str().unwrap(), "--log-level", "trace"];
        let mut command = command(BINARY, &all.into_iter().chain(line.split(' ')).collect::<Vec<_>>());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a verb to its end and looks through what it says.
    pub fn call(&self, line: &str) -> Output {
        let said = output(&mut self.command(line));
        self.needles.none_in(&format!("what `{line}` writes"), said.stdout.as_bytes());
        self.needles.none_in(&format!("what `{line}` logs"), said.stderr.as_bytes());
        said
    }

    /// All that was handed out over the wire so far is looked for too.
    pub fn learn(&mut self) -> usize {
        let handed = self.server.simulator().handed(&self.tenant.name);
        for secret in &handed {
            self.needles.add("a token or a signature", secret);
        }
        handed.len()
    }

    /// The configuration file's text, which holds secrets: the scan finds what is there.
    pub fn planted(&self) -> Vec<u8> {
        let read = |name: &str| fs::read(self.inputs().join(name)).unwrap();
        let environment = self.environment.iter().map(|(_, value)| value.clone().into_bytes());
        let files = ["tributary.toml", "vault/first", "secrets.json", "program"].map(read);
        files.into_iter().chain(environment).collect::<Vec<_>>().concat()
    }
}

impl Site {
    /// What a running host answers to a request: through its socket, and over TCP with the token, a wrong one and none.
    pub fn ask(&self, request: &str) -> [Vec<u8>; 4] {
        let tcp = || TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let right = format!("authorization: Bearer {}\r\n", marked("of-the-api"));
        [
            ask(UnixStream::connect(self.state().join("socket")).unwrap(), request, ""),
            ask(tcp(), request, &right),
            ask(tcp(), request, "authorization: Bearer wrong\r\n"),
            ask(tcp(), request, ""),
        ]
    }
}

/// The whole answer, or what came in a second of one that goes on.
fn ask(mut stream: impl Read + Write + Impatient, request: &str, more: &str) -> Vec<u8> {
    let goes_on = request.contains("/events");
    stream.wait_at_most(Duration::from_secs(if goes_on { 1 } else { 60 }));
    let head = "host: localhost\r\nconnection: close\r\ncontent-length: 0\r\n";
    write!(stream, "{request} HTTP/1.1\r\n{head}{more}\r\n").unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) => assert!(goes_on && error.kind() == std::io::ErrorKind::WouldBlock, "{request}: {error}"),
        Ok(_) => assert!(!answer.is_empty()),
    }
    answer
}

/// A stream that does not wait for ever.
trait Impatient {
    fn wait_at_most(&self, time: Duration);
}

impl Impatient for TcpStream {
    fn wait_at_most(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
    }
}

impl Impatient for UnixStream {
    fn wait_at_most(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
    }
}
