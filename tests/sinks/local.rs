//! The sinks whose far side says nothing, as subjects of the suite: files, and syslog.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tributary_host::config::{self, Format};
use tributary_host::outside::{Outside, Random};
use tributary_host::sinks::{self, Sink};

use crate::dialects::id_of;
use crate::subject::{Situation, Subject, TAKEN};

pub fn outside() -> Outside {
    Outside { random: Random::seeded(7), ..Outside::system() }
}

pub fn built(table: &str) -> Box<dyn Sink> {
    let text = format!("[sources.acme]\ntype = \"mimecast\"\n[sinks.far]\ninputs = [\"*\"]\n{table}\n");
    let loaded = config::parse(&text, Format::Toml, "test", &|_| None).unwrap_or_else(|error| panic!("{error}"));
    sinks::build(&loaded.config.sinks["far"], &outside()).unwrap_or_else(|error| panic!("{error}"))
}

/// Files in a folder, by one sink or another.
pub struct Files {
    name: &'static str,
    /// Its configuration, where `{folder}` is the folder.
    keys: &'static str,
    folder: TempDir,
    situation: Situation,
}

impl Files {
    pub fn new(situation: Situation) -> Self {
        Self::of("file", "type = \"file\"\npath = \"{folder}\"", situation)
    }

    /// Objects that are files.
    #[cfg(feature = "all-sinks")]
    pub fn objects(situation: Situation) -> Self {
        let keys = "type = \"object_store\"\nurl = \"file://{folder}\"\ncompression = \"none\"\nbatch.timeout_secs = 0";
        Self::of("object_store, folder", keys, situation)
    }

    fn of(name: &'static str, keys: &'static str, situation: Situation) -> Self {
        Self { name, keys, folder: tempfile::tempdir().unwrap(), situation }
    }

    /// Stands where the tenant's folder must be, until somebody takes it away.
    fn obstacle(&self) -> PathBuf {
        self.folder.path().join("events").join("Acme")
    }
}

impl Subject for Files {
    fn name(&self) -> &'static str {
        self.name
    }

    /// What was not acknowledged is cut off before it comes again.
    fn refuses_known(&self, _: Situation) -> bool {
        true
    }

    /// Nobody is at the other side of a folder who could be busy, slow, gone, or against it.
    fn begin(&self, situation: Situation) -> bool {
        match situation {
            Situation::AllGood => true,
            Situation::Failing => {
                fs::create_dir_all(self.obstacle().parent().unwrap()).unwrap();
                fs::write(self.obstacle(), "").unwrap();
                let obstacle = self.obstacle();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(500));
                    fs::remove_file(obstacle).unwrap();
                });
                true
            }
            _ => false,
        }
    }

    fn outside(&self) -> Outside {
        outside()
    }

    fn sink(&self) -> Box<dyn Sink> {
        built(&self.keys.replace("{folder}", &self.folder.path().join("events").display().to_string()))
    }

    fn happened(&self) -> bool {
        self.situation == Situation::AllGood || self.obstacle().is_dir()
    }

    fn mend(&self) {}

    fn hint(&self, _: Situation) -> Option<String> {
        None
    }

    fn stored(&self) -> BTreeMap<u128, u64> {
        let mut stored = BTreeMap::new();
        read_below(self.folder.path(), &mut |line| *stored.entry(id_of(line)).or_default() += 1);
        stored
    }

    fn violations(&self) -> Vec<String> {
        Vec::new()
    }
}

fn read_below(folder: &Path, line: &mut impl FnMut(&str)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_below(&path, line);
        } else {
            fs::read_to_string(&path).unwrap_or_default().lines().for_each(&mut *line);
        }
    }
}

/// A receiver of RFC 5424 by octet counting.
pub struct Syslog {
    port: u16,
    heard: Arc<Heard>,
    situation: Situation,
}

#[derive(Default)]
struct Heard {
    stored: Mutex<BTreeMap<u128, u64>>,
    violations: Mutex<Vec<String>>,
    /// Waits so long before each of its first messages, in milliseconds.
    slow: AtomicU64,
    late: AtomicU64,
}

impl Syslog {
    pub fn new(situation: Situation) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, heard) = (listener.local_addr().unwrap().port(), Arc::<Heard>::default());
        let all = Arc::clone(&heard);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let heard = Arc::clone(&all);
                std::thread::spawn(move || heard.listen(connection));
            }
        });
        Self { port, heard, situation }
    }
}

impl Heard {
    fn listen(&self, connection: TcpStream) {
        let mut reader = BufReader::new(connection);
        let mut length = Vec::new();
        while reader.read_until(b' ', &mut length).is_ok_and(|read| read > 0) {
            let slow = self.slow.load(Ordering::Relaxed);
            if slow > 0 && self.late.fetch_add(1, Ordering::Relaxed) < 20 {
                std::thread::sleep(Duration::from_millis(slow));
            }
            let length = std::str::from_utf8(&std::mem::take(&mut length)).unwrap().trim().parse().unwrap();
            let mut message = vec![0; length];
            if reader.read_exact(&mut message).is_err() {
                return;
            }
            let text = String::from_utf8(message).unwrap();
            match text.split_once('\u{feff}') {
                Some((head, body)) if head.starts_with('<') && head.contains(">1 2026-11-22T07:") => {
                    *self.stored.lock().unwrap().entry(id_of(body)).or_default() += 1;
                }
                _ => self.violations.lock().unwrap().push(text),
            }
        }
    }
}

impl Subject for Syslog {
    fn name(&self) -> &'static str {
        "syslog"
    }

    fn refuses_known(&self, _: Situation) -> bool {
        false
    }

    /// Without an answer, nobody knows what was read when a connection ends: those situations have no lawful end here.
    fn begin(&self, situation: Situation) -> bool {
        if situation == Situation::Slow {
            self.heard.slow.store(20, Ordering::Relaxed);
        }
        matches!(situation, Situation::AllGood | Situation::Slow | Situation::TooLong)
    }

    fn outside(&self) -> Outside {
        outside()
    }

    fn sink(&self) -> Box<dyn Sink> {
        built(&format!("type = \"syslog\"\nendpoint = \"tcp://127.0.0.1:{}\"\nmax_message_bytes = {TAKEN}", self.port))
    }

    /// What was written may be read a little later.
    fn settle(&self) {
        let expected = crate::feed::EVENTS as usize - usize::from(self.situation == Situation::TooLong);
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while self.heard.stored.lock().unwrap().len() < expected && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn happened(&self) -> bool {
        self.situation != Situation::Slow || self.heard.late.load(Ordering::Relaxed) >= 20
    }

    fn mend(&self) {}

    fn hint(&self, _: Situation) -> Option<String> {
        None
    }

    fn stored(&self) -> BTreeMap<u128, u64> {
        self.heard.stored.lock().unwrap().clone()
    }

    fn violations(&self) -> Vec<String> {
        self.heard.violations.lock().unwrap().clone()
    }
}
