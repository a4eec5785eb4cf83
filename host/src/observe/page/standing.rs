//! How a stream or a source stands, in one word: trouble comes first.

use crate::collect::{StreamState, StreamStatus};

/// See the module. The worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Its configuration is wrong, it stopped, or its trouble has lasted too long: somebody has to act.
    Failed,
    /// What was read cannot be stored, since the state or the dead letters are in trouble. A sink's trouble is its own: its
    /// streams collect.
    Blocked,
    /// Its last poll failed, and it is tried again.
    Retrying,
    /// It has not read anything yet, or it ends.
    Starting,
    Collecting,
    /// The account has no right to it, and nobody asked for it by name.
    Unlicensed,
}

impl Standing {
    /// All, in the order in which the page tells them.
    pub const ALL: [Self; 6] =
        [Self::Failed, Self::Blocked, Self::Retrying, Self::Starting, Self::Collecting, Self::Unlicensed];

    /// `is_named` says whether the operator has asked for it by name.
    pub fn of(status: &StreamStatus, is_named: impl FnOnce(&str, &str) -> bool) -> Self {
        match status.state {
            StreamState::Error | StreamState::Stopped => Self::Failed,
            _ if status.held.is_some() => Self::Blocked,
            StreamState::NotLicensed if is_named(&status.source, &status.stream) => Self::Failed,
            StreamState::NotLicensed => Self::Unlicensed,
            _ if status.fault.is_some() => Self::Retrying,
            StreamState::Collecting => Self::Collecting,
            _ => Self::Starting,
        }
    }

    /// As the address of the page has it, and the names of classes in the style sheet.
    pub fn key(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Retrying => "retrying",
            Self::Starting => "starting",
            Self::Collecting => "collecting",
            Self::Unlicensed => "unlicensed",
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "Error",
            Self::Blocked => "Blocked",
            Self::Retrying => "Retrying",
            Self::Starting => "Starting",
            Self::Collecting => "Collecting",
            Self::Unlicensed => "Not licensed",
        }
    }

    /// After a number of streams.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Failed => "in error",
            Self::Blocked => "blocked",
            Self::Retrying => "retrying",
            Self::Starting => "starting",
            Self::Collecting => "collecting",
            Self::Unlicensed => "not licensed",
        }
    }

    /// A shape beside the word, for whoever does not tell the colours apart.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Failed => "✕",
            Self::Blocked => "■",
            Self::Retrying => "▲",
            Self::Starting => "○",
            Self::Collecting => "●",
            Self::Unlicensed => "–",
        }
    }

    /// Whether somebody on call wants to see it.
    pub fn is_trouble(self) -> bool {
        self <= Self::Retrying
    }
}

/// How many streams stand how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally([u64; Standing::ALL.len()]);

impl Tally {
    pub fn add(&mut self, standing: Standing) {
        self.0[standing as usize] += 1;
    }

    pub fn of(&self, standing: Standing) -> u64 {
        self.0[standing as usize]
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those of which there are any, the worst first.
    pub fn some(&self) -> impl Iterator<Item = (Standing, u64)> + '_ {
        Standing::ALL.into_iter().map(|standing| (standing, self.of(standing))).filter(|(_, count)| *count > 0)
    }

    /// That of all together.
    pub fn worst(&self) -> Option<Standing> {
        self.some().next().map(|(standing, _)| standing)
    }
}
