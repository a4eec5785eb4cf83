//! Faults that stay in a file once they are there, so that whoever fetches it again reads the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::publication::FileId;

/// What was done to a file's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Plant {
    BadLine,
    Glued,
    WithoutDatetime,
    BlankInTime,
    CarriageReturns,
    PipeInSubject,
    BackslashTexts,
    GuidName,
    UnknownPrefix,
    PathName,
    /// A damaged member stands behind this file in its archive.
    BrokenNeighbour,
}

/// The plants of one tenant's files.
#[derive(Debug, Default)]
pub struct Plants {
    planted: BTreeMap<FileId, BTreeSet<Plant>>,
    /// Files that somebody has.
    given: BTreeSet<FileId>,
}

impl Plants {
    pub fn add(&mut self, file: FileId, plant: Plant) {
        self.planted.entry(file).or_default().insert(plant);
    }

    /// Somebody is given a file: it changes no more.
    pub fn give(&mut self, file: FileId) {
        self.given.insert(file);
    }

    pub fn is_given(&self, file: FileId) -> bool {
        self.given.contains(&file)
    }

    pub fn has(&self, file: FileId, plant: Plant) -> bool {
        self.planted.get(&file).is_some_and(|plants| plants.contains(&plant))
    }

    /// The files that hold a broken line, or stand beside a damaged member; each once for each.
    pub fn malformed(&self) -> impl Iterator<Item = FileId> {
        self.planted.iter().flat_map(|(file, plants)| {
            let broken = plants.iter().filter(|plant| matches!(plant, Plant::BadLine | Plant::BrokenNeighbour));
            broken.map(|_| *file)
        })
    }
}
