//! A Chromium without a screen, spoken to by WebDriver: as much of it as the tests need.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// How long anything may take: other tests run beside it.
const PATIENCE: Duration = Duration::from_secs(90);

/// The name of an element's reference in WebDriver.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window, ended with the test.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// Its profile.
    _folder: tempfile::TempDir,
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} is missing: see .ci/run");
        // Past the harness, which keeps to itself what a test prints that passes.
        let _ = writeln!(std::io::stderr(), "skipped: {name} is not here; apt-get install chromium chromium-driver");
    }
    found
}

impl Browser {
    /// `None`, with a word, if there is none on this machine.
    pub fn start() -> Option<Self> {
        let (chromium, driver) = (find("chromium")?, find("chromedriver")?);
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(driver);
        command.arg(format!("--port={port}")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut browser = Self { driver: command.spawn().unwrap(), port, session: String::new(), _folder: folder };
        let profile = format!("--user-data-dir={}", browser._folder.path().display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            "--hide-scrollbars",
            "--window-size=1280,900",
            &profile,
        ];
        let options = json!({ "binary": chromium, "args": arguments });
        let always = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "chromedriver does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        let begun = browser.call("POST", "/session", &json!({ "capabilities": { "alwaysMatch": always } }));
        browser.session = format!("/session/{}", begun["sessionId"].as_str().unwrap());
        Some(browser)
    }

    /// Asks the driver; panics with what it says is wrong.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_call(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", self.port);
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).map_err(|error| error.to_string())?;
        // The driver leaves the connection open, whatever it is asked.
        let mut answer = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while line.trim_end() != "" || length == 0 {
            line.clear();
            let read = answer.read_line(&mut line).map_err(|error| error.to_string())?;
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(|_| "it does not say how long its answer is")?;
            }
            if read == 0 {
                return Err("it answers nothing".to_owned());
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).map_err(|error| error.to_string())?;
        let mut value: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        match value["value"]["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["value"]["message"])),
            None => Ok(value["value"].take()),
        }
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("{}{path}", self.session), body)
    }

    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Runs a function's body in the page, and gives what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The same of an expression.
    pub fn get(&self, expression: &str) -> Value {
        self.run(&format!("return {expression};"))
    }

    /// The text of the first element that fits, as a person sees it; empty if there is none.
    pub fn text(&self, css: &str) -> String {
        let found = self.get(&format!("document.querySelector({})?.innerText ?? ''", json!(css)));
        found.as_str().unwrap_or_default().to_owned()
    }

    pub fn count(&self, css: &str) -> u64 {
        self.get(&format!("document.querySelectorAll({}).length", json!(css))).as_u64().unwrap()
    }

    /// Waits until the expression holds.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        let begun = Instant::now();
        // A page that is being left has no answer.
        let ask = json!({ "script": format!("return Boolean({expression});"), "args": [] });
        let path = format!("{}/execute/sync", self.session);
        while self.try_call("POST", &path, &ask) != Ok(Value::Bool(true)) {
            let late = begun.elapsed() > PATIENCE;
            assert!(!late, "never: {expression}\n{}", self.text("body"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the first element that fits has this in its text.
    #[track_caller]
    pub fn until_text(&self, css: &str, text: &str) {
        let (css, text) = (json!(css), json!(text));
        self.until(&format!("(document.querySelector({css})?.innerText ?? '').includes({text})"));
    }

    fn element(&self, css: &str) -> String {
        let found = self.post("/element", &json!({ "using": "css selector", "value": css }));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    pub fn click(&self, css: &str) {
        self.post(&format!("/element/{}/click", self.element(css)), &json!({}));
    }

    /// Types, after what may stand there is taken away.
    pub fn type_in(&self, css: &str, text: &str) {
        let element = self.element(css);
        self.post(&format!("/element/{element}/clear"), &json!({}));
        self.post(&format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses keys where the focus is.
    pub fn press(&self, keys: &str) {
        let press = |key: char| [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })];
        let actions: Vec<Value> = keys.chars().flat_map(press).collect();
        self.post("/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }));
    }

    /// A command of Chromium's own.
    pub fn devtools(&self, command: &str, parameters: &Value) {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    pub fn set_size(&self, width: u32, height: u32) {
        let mobile = width < 600;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// `light` or `dark`.
    pub fn set_scheme(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Writes what is seen as a PNG.
    pub fn picture(&self, file: &Path) {
        let png = self.call("GET", &format!("{}/screenshot", self.session), &json!({}));
        std::fs::write(file, STANDARD.decode(png.as_str().unwrap()).unwrap()).unwrap();
    }

    /// What the console was told since it was last asked.
    pub fn console(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        log.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// All URLs that were asked for.
    pub fn requests(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "performance" }));
        let url = |entry: &Value| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            let sent = message["method"] == "Network.requestWillBeSent";
            sent.then(|| message["params"]["request"]["url"].as_str().map(str::to_owned))?
        };
        log.as_array().unwrap().iter().filter_map(url).collect()
    }

    /// Nothing was wrong in the page, and nobody but `origin` was asked for anything.
    #[track_caller]
    pub fn assert_quiet(&self, origin: &str) {
        assert_eq!(self.console(), [""; 0]);
        let requests = self.requests();
        assert!(requests.iter().any(|url| url.starts_with(origin)), "{requests:?}");
        // The browser's own first tab is made of what it has.
        let own = |url: &String| ["chrome://", "data:", &format!("{origin}/")].iter().any(|own| url.starts_with(own));
        let other: Vec<_> = requests.iter().filter(|url| !own(url)).collect();
        assert!(other.is_empty(), "{other:?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // Chromium ends with its session.
            let _ = self.try_call("DELETE", &self.session, &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
