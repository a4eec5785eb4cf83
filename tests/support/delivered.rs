//! What lies in a sink's files, compared by marks with what the simulator knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use mimecast_simulator as sim;
use serde_json::Value;

/// The longest time between two looks at the hold queue.
const UNSEEN_MS: u64 = 3_600_000;

/// The events of some files, by mark: the stream in whose folder each lies, its time in milliseconds, its id.
#[derive(Debug, Default)]
pub struct Delivered {
    pub events: BTreeMap<sim::Mark, Vec<Event>>,
    /// Lines that are no event, or carry no mark or several.
    pub unreadable: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub stream: String,
    pub time_ms: u64,
    pub id: String,
}

impl Delivered {
    /// What a file sink in `folder` has written for `tenant`, finished or not.
    pub fn read(folder: &Path, tenant: &str) -> Self {
        let folder = folder.join(tenant);
        // A host that begins takes away what a killed one left empty: then the list of files was old.
        (0..100).find_map(|_| Self::read_once(&folder)).unwrap()
    }

    /// `None` if a file is no longer there.
    fn read_once(folder: &Path) -> Option<Self> {
        let mut delivered = Self::default();
        for file in files(folder) {
            let stream = file.parent().unwrap().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            for line in BufReader::new(decoded(&file)?).split(b'\n') {
                delivered.take(&stream, &line.unwrap());
            }
        }
        Some(delivered)
    }

    fn take(&mut self, stream: &str, line: &[u8]) {
        let event: Value = serde_json::from_slice(line).unwrap_or_default();
        let mut marks = sim::Mark::find_all(line);
        marks.dedup();
        match (event["time"].as_u64(), event["metadata"]["uid"].as_str(), marks.as_slice()) {
            (Some(time_ms), Some(id), [mark]) => {
                let event = Event { stream: stream.to_owned(), time_ms, id: id.to_owned() };
                self.events.entry(*mark).or_default().push(event);
            }
            _ => self.unreadable.push(String::from_utf8_lossy(line).into_owned()),
        }
    }

    pub fn total(&self) -> usize {
        self.events.values().map(Vec::len).sum()
    }

    /// Ids that lie there more than once; the second line of a record that is followed by itself has an id of its own.
    pub fn repeated_ids(&self) -> usize {
        let ids: Vec<&str> = self.events.values().flatten().map(|event| event.id.as_str()).collect();
        ids.len() - ids.iter().collect::<BTreeSet<_>>().len()
    }

    /// Compares with all records that `tenant` has at `until_ms`. Those that appeared after `since_ms` may be missing.
    pub fn compare(&self, simulator: &sim::Simulator, tenant: &str, since_ms: u64, until_ms: u64) -> Comparison {
        let mut result = Comparison { unreadable: self.unreadable.len(), ..Comparison::default() };
        let mut known = BTreeSet::new();
        for record in simulator.truth(tenant, until_ms) {
            known.insert(record.mark);
            let events = self.events.get(&record.mark).map(Vec::as_slice).unwrap_or_default();
            let (expected, found) = (record.count as usize, events.len());
            // A held message may have left its queue before it could be read: before the first poll, or between two.
            let first = simulator.settings().start_ms.max(record.visible_from_ms);
            let gone = record.gone_from_ms.is_some_and(|gone| gone <= first + UNSEEN_MS);
            let due = record.visible_from_ms <= since_ms && !record.lost && !gone;
            let count = result.streams.entry(record.stream).or_default();
            *count += found;
            result.missing += if due { expected.saturating_sub(found) } else { 0 };
            result.doubled += found.saturating_sub(expected);
            for event in events {
                result.elsewhere += usize::from(event.stream != record.stream);
                result.untimely += usize::from(!is_timely(&record, event));
            }
        }
        result.strangers = self.events.keys().filter(|mark| !known.contains(mark)).count();
        result
    }
}

/// Most tell whole seconds. Rows of one mark may be seconds apart, an indicator may have been modified a minute after it was made, and
/// a release without a time has the end of the window that it was read in.
fn is_timely(record: &sim::Issued, event: &Event) -> bool {
    let seconds = (event.time_ms / 1000).checked_sub(record.time_ms / 1000);
    let later = match record.stream {
        "held/releases" => 86_400 + 3_600,
        "threat_intel/customer" | "threat_intel/grid" => 60,
        _ if record.distinct > 1 => 3,
        _ => 0,
    };
    seconds.is_some_and(|seconds| seconds <= later)
}

/// What differs from the truth.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Delivered, by stream.
    pub streams: BTreeMap<&'static str, usize>,
    pub missing: usize,
    /// More often there than issued.
    pub doubled: usize,
    /// In another stream's folder.
    pub elsewhere: usize,
    /// With another time.
    pub untimely: usize,
    /// With a mark that was never issued.
    pub strangers: usize,
    pub unreadable: usize,
}

impl Comparison {
    /// Nothing missing, nothing wrong, nothing twice.
    pub fn is_exact(&self) -> bool {
        self.is_complete() && self.doubled == 0
    }

    /// Nothing missing and nothing wrong; records may be there twice.
    pub fn is_complete(&self) -> bool {
        self.missing + self.elsewhere + self.untimely + self.strangers + self.unreadable == 0
    }

    pub fn total(&self) -> usize {
        self.streams.values().sum()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// `None` if the file is no longer there.
fn decoded(path: &Path) -> Option<Box<dyn Read>> {
    let name = path.to_str().unwrap().trim_end_matches(".part");
    // It may have been finished since it was listed.
    let file = match File::open(path).or_else(|_| File::open(name)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        file => file.unwrap(),
    };
    Some(match name.rsplit('.').next() {
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file))),
        Some("zst") => Box::new(zstd::Decoder::new(file).unwrap()),
        _ => Box::new(file),
    })
}

/// All event files below a folder; none if it is not there.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.to_str().unwrap().contains(".ndjson") {
            found.push(path);
        }
    }
    found
}

/// The records that were refused of one source, each with its reason.
pub fn dead_letters(data_dir: &Path, source: &str) -> Vec<Value> {
    let path = data_dir.join("dead-letters").join(format!("{source}.ndjson"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
