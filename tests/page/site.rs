//! A host that runs with some tenants of the simulator, and a browser before its page.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mimecast_simulator as sim;
use tributary_tests::process::{Process, until};
use tributary_tests::world::{QUOTA, serve, source};

use crate::BINARY;
use crate::browser::Browser;

pub const TOKEN: &str = "t0ken-of-the-page-0123456789";
const MINUTE: Duration = Duration::from_secs(60);

pub struct Site {
    pub server: sim::Server,
    pub folder: tempfile::TempDir,
    /// Both are known once it runs.
    pub origin: String,
    port: u16,
    process: Option<Process>,
}

impl Site {
    /// Tenants by their ids, each with keys that its source has beside its credentials.
    pub fn new(tenants: &[(&str, &str)]) -> Self {
        Self::with(tenants, "", |tenant| tenant)
    }

    /// The same, with `more` at the end of the configuration; `change` is made to the simulator's tenants.
    pub fn with(tenants: &[(&str, &str)], more: &str, change: impl Fn(sim::Tenant) -> sim::Tenant) -> Self {
        let known: Vec<sim::Tenant> = tenants.iter().map(|(id, _)| change(sim::Tenant::v2(id, 600))).collect();
        let settings = sim::Settings { backlog_ms: 2 * 3_600_000, tenants: known.clone(), ..sim::Settings::default() };
        let server = serve(sim::Clock::real(), settings);
        let folder = tempfile::tempdir().unwrap();
        let keys = known.iter().zip(tenants);
        let sources = keys.map(|(tenant, (_, keys))| source(tenant, &server.api_url, &format!("{QUOTA}\n{keys}")));
        let sources: String = sources.collect();
        let at = folder.path().display();
        let text = format!(
            "data_dir = \"{at}/state\"\n[api]\naddress = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n{sources}\n\
             [sinks.lake]\ntype = \"file\"\ninputs = [\"*\"]\npath = \"{at}/events\"\n{more}\n"
        );
        std::fs::write(folder.path().join("tributary.toml"), text).unwrap();
        Self { server, folder, origin: String::new(), port: 0, process: None }
    }

    /// Runs the host, until it is ready.
    pub fn run(&mut self) {
        let mut process = Process::run(BINARY, &self.folder.path().join("tributary.toml"));
        self.port = process.port();
        self.origin = format!("http://127.0.0.1:{}", self.port);
        assert!(until(MINUTE, || self.status("GET /ready", "") == Some(200)), "{}", process.log());
        self.process = Some(process);
    }

    /// Asks by itself, with the token, and gives the status.
    pub fn status(&self, line: &str, headers: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n{headers}");
        write!(stream, "{head}Connection: close\r\nContent-Length: 0\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
    }

    pub fn inject(&self, tenant: &str, fault: sim::Fault) {
        self.server.simulator().inject(tenant, fault, sim::When::Always).unwrap();
    }

    pub fn clear(&self, tenant: &str) {
        self.server.simulator().clear_faults(tenant).unwrap();
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Opens a page in a browser that has signed in.
    pub fn sign_in(&self, browser: &Browser, path: &str) {
        browser.open(&self.url(path));
        browser.type_in("#token", TOKEN);
        browser.click("form button");
        browser.until("!document.querySelector('#token') && document.querySelector('main h1')");
        // That the first page was refused is told there.
        let _ = browser.console();
    }
}
