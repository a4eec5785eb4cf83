//! An answer of the archive chain, being read: a ZIP archive, or one plain file.

use std::collections::BTreeMap;

use super::super::position::{self, FileMark, Id};
use super::super::read::records::Records;
use super::super::read::zip::Zip;
use super::super::read::{Begun, BodyPieces, Pieces, ReadError, inflate};
use crate::api::Answer;
use crate::api::logs::file_name;
use crate::chunk::Timestamp;
use crate::effects::Nothing;
use crate::kind::Kind;
use crate::normalize::Occurrences;

/// The answer that is being read.
pub(super) struct Archive {
    pub(super) content: Files,
    /// The token of the answer after it.
    pub(super) next: Option<String>,
    pub(super) at: String,
    pub(super) member: Option<Member>,
    /// How often a name was met: two members may share one.
    pub(super) names: BTreeMap<u64, u32>,
    pub(super) met_current: bool,
}

pub(super) enum Files {
    Zip(Box<Zip>),
    /// One file, not in an archive: its name, until it is opened.
    Plain(Option<String>, Box<dyn Pieces>),
}

impl Files {
    /// What it means that a JSON document in it is not closed. A plain file was cut off: if the connection ended in order,
    /// no length and no checksum tells. A member has both, so it will be no better the next time.
    pub(super) fn cut_off(&self) -> ReadError {
        match self {
            Files::Zip(_) => ReadError::Corrupt("the JSON document is not closed"),
            Files::Plain(..) => ReadError::Truncated,
        }
    }
}

pub(super) struct Member {
    pub(super) name: String,
    pub(super) hash: u64,
    /// Done before: it is only passed over.
    pub(super) passed: bool,
    pub(super) kind: Option<Kind>,
    pub(super) fallback_time: Option<Timestamp>,
    pub(super) records: Records,
    pub(super) index: u64,
    pub(super) occurrences: Occurrences,
    pub(super) error: Option<ReadError>,
    pub(super) ended: bool,
}

impl Archive {
    pub(super) fn new(answer: &mut Answer, begin: Vec<u8>, next: Option<String>) -> Self {
        let zip = begin.starts_with(b"PK");
        let name = file_name(&answer.headers).unwrap_or_default();
        let source = Box::new(Begun { begin, rest: BodyPieces(answer.take_body()) });
        let content = if zip {
            Files::Zip(Box::new(Zip::new(source)))
        } else {
            Files::Plain(Some(name), inflate::decode(source))
        };
        Self { content, next, at: answer.at.clone(), member: None, names: BTreeMap::new(), met_current: false }
    }

    pub(super) fn of_text(answer: &Answer, text: Vec<u8>, next: Option<String>) -> Self {
        let source = Box::new(Begun { begin: text, rest: BodyPieces(Box::new(Nothing)) });
        let content = Files::Plain(Some(String::new()), source);
        Self { content, next, at: answer.at.clone(), member: None, names: BTreeMap::new(), met_current: false }
    }

    /// Identity of a member within its archive: its name, and for the second one of a name its number.
    pub(super) fn hash(&mut self, name: &str) -> u64 {
        let hash = position::hash(name.as_bytes());
        let count = self.names.entry(hash).or_insert(0);
        *count += 1;
        if *count == 1 { hash } else { position::hash(format!("{name}\n{count}").as_bytes()) }
    }
}

impl Member {
    /// Notes the run of equal records at whose end the reading is, if the mark is this member's.
    pub(super) fn note_run(&self, mark: &mut FileMark) {
        if mark.hash.0 == self.hash
            && let Occurrences::Adjacent { last, count } = &self.occurrences
        {
            (mark.last, mark.count) = (last.map(Id), *count);
        }
    }
}

/// The mark of the member that is being read.
pub(super) fn current(file: &mut Option<FileMark>, hash: u64) -> &mut FileMark {
    if file.as_ref().is_some_and(|mark| mark.hash.0 != hash) {
        *file = None;
    }
    file.get_or_insert_with(|| FileMark::new(hash))
}

/// A member's name as it may be printed.
pub(super) fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// The time in a file's name: `receipt_20250301081600000.json`, UTC (section 4.4).
pub(super) fn stamp(name: &str) -> Option<Timestamp> {
    let stem = name.rsplit(['/', '\\']).next()?.split('.').next()?;
    let digits = stem.rsplit('_').next().filter(|part| part.len() >= 14 && part.bytes().all(|b| b.is_ascii_digit()))?;
    let time = chrono::NaiveDateTime::parse_from_str(&digits[..14], "%Y%m%d%H%M%S").ok()?.and_utc();
    let milliseconds = digits.get(14..17).and_then(|ms| ms.parse::<u64>().ok()).unwrap_or(0);
    // Years after 2554 are no time of ours.
    u64::try_from(time.timestamp()).ok()?.checked_mul(1_000_000_000)?.checked_add(milliseconds * 1_000_000)
}
