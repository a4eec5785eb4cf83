//! The source of docs/writing-a-source.md in the real host, against the vendor that it was made for.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tributary_tests::component::build;
use tributary_tests::process::{Output, Process, command, output, until};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
const LONG: Duration = Duration::from_secs(60);
const TOKEN: &str = "the-token-of-the-feed";

/// The made-up vendor.
#[derive(Clone)]
struct Vendor {
    address: SocketAddr,
    records: Arc<Mutex<Vec<Value>>>,
    /// Answers that it gave.
    answers: Arc<AtomicUsize>,
}

impl Vendor {
    fn start(records: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let vendor = Self {
            address: listener.local_addr().unwrap(),
            records: Arc::new(Mutex::new(records)),
            answers: Arc::default(),
        };
        let serving = vendor.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let vendor = serving.clone();
                thread::spawn(move || vendor.serve(stream));
            }
        });
        vendor
    }

    fn serve(&self, stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let Some(first) = lines.next() else { return };
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let allowed = head.iter().any(|line| line.to_lowercase() == format!("authorization: bearer {TOKEN}"));
        let (status, body) = if allowed { (200, self.answer(&first)) } else { (401, "{}".to_owned()) };
        let length = body.len();
        let mut stream = stream;
        let _ = write!(stream, "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        self.answers.fetch_add(1, Ordering::SeqCst);
    }

    fn answer(&self, line: &str) -> String {
        let number = |name: &str| -> u64 {
            let rest = line.split_once(name).unwrap().1;
            rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap()].parse().unwrap()
        };
        let (after, limit) = (number("after="), number("limit=") as usize);
        let records = self.records.lock().unwrap();
        let begin = records.iter().position(|record| record["id"].as_u64() == Some(after)).map_or(0, |at| at + 1);
        let page: Vec<&Value> = records[begin..].iter().take(limit).collect();
        json!({ "events": page, "more": records.len() - begin > limit }).to_string()
    }
}

fn record(id: u64) -> Value {
    json!({ "id": id, "at_ms": 1_750_000_000_000 + id, "text": format!("number {id}") })
}

/// One that has no number.
fn odd(text: &str) -> Value {
    json!({ "text": text })
}

struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new(component: &Path, vendor: &Vendor, token: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let (place, component, address) = (folder.path().display(), component.display(), vendor.address);
        let text = format!(
            "data_dir = \"{place}/state\"\n[components.feed]\npath = \"{component}\"\n[sources.acme]\ntype = \
             \"feed\"\nurl = \"http://{address}\"\ntoken = \"{token}\"\negress.allow_private = \
             [\"127.0.0.1\"]\n[sinks.lake]\ntype = \"file\"\ninputs = [\"acme\"]\npath = \"{place}/events\"\n"
        );
        std::fs::write(folder.path().join("tributary.toml"), text).unwrap();
        Self { folder }
    }

    fn says(&self, arguments: &[&str]) -> Output {
        let file = self.folder.path().join("tributary.toml");
        output(&mut command(BINARY, &[&["--config", file.to_str().unwrap()], arguments].concat()))
    }

    /// The numbers of all records that lie in files.
    fn delivered(&self) -> Vec<u64> {
        let mut folders = vec![self.folder.path().join("events")];
        let mut numbers = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                let text = std::fs::read_to_string(entry.path()).unwrap();
                // The last line may be half written.
                let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                numbers.extend(lines.map(|line| line["id"].as_u64().unwrap()));
            }
        }
        numbers.sort_unstable();
        numbers
    }

    /// Collects until these are there and the vendor has answered, and stops.
    fn collects(&self, vendor: &Vendor, expected: &[u64]) {
        let before = vendor.answers.load(Ordering::SeqCst);
        let process = Process::run(BINARY, &self.folder.path().join("tributary.toml"));
        let asked = || vendor.answers.load(Ordering::SeqCst) > before;
        assert!(until(LONG, || asked() && self.delivered() == expected), "{:?}\n{}", self.delivered(), process.log());
        process.signal("TERM");
        let (status, log) = process.wait(LONG);
        assert!(status.success(), "{log}");
        assert_eq!(self.delivered(), expected, "none is twice");
        self.says(&["audit"]).expect(0, &[]);
    }

    fn letters(&self) -> usize {
        let letters = self.says(&["dead-letters", "list", "--json"]).expect(0, &[]);
        letters.stdout.matches("\"reason\"").count()
    }
}

#[test]
fn the_example_collects_each_record_once() {
    let component = build("feed-source");
    let vendor = Vendor::start(vec![record(1), record(2), odd("in the middle"), record(5), odd("at the end")]);
    let site = Site::new(&component, &vendor, TOKEN);
    site.says(&["validate"]).expect(0, &["1 streams"]);
    site.says(&["check"]).expect(0, &["acme", "events"]);
    site.collects(&vendor, &[1, 2, 5]);
    assert_eq!(site.letters(), 2);

    // The odd one at the end is not handed over again, though no number stands for it.
    site.collects(&vendor, &[1, 2, 5]);
    vendor.records.lock().unwrap().extend([odd("the second at the end"), record(6), record(9)]);
    site.collects(&vendor, &[1, 2, 5, 6, 9]);
    assert_eq!(site.letters(), 3);
}

#[test]
fn the_example_says_what_to_do() {
    let component = build("feed-source");
    let vendor = Vendor::start(vec![record(1)]);
    Site::new(&component, &vendor, "another").says(&["check"]).expect(77, &["401", "Make a new token"]);
    let site = Site::new(&component, &vendor, TOKEN);
    let file = site.folder.path().join("tributary.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("url = \"http", "url = \"ftp")).unwrap();
    site.says(&["validate"]).expect(78, &["sources.acme", "without a path"]);
}
