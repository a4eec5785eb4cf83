//! What an operator does to a store while no host runs: look, forget, rename.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::ReadableTable;
use serde::{Deserialize, Serialize};

use super::schema::{
    CLOCKS, Contents, FORMAT, GAPS, LEDGERS, PARTLY, POSITIONS, RETIRED, corrupted, parse_ledger, rehearse,
};
use super::{Store, alerts, health, remove_stream};
use crate::state::folder::{DataDir, STATE_FILE};
use crate::state::position;
use crate::state::rights;
use crate::state::seen::{self, BLOCKS, RUNS};
use crate::state::{Ledger, StateError, StreamKey};

/// How long the state of a source is kept that is no longer configured, so that adding it again goes on.
pub const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// A source that is no longer configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    pub source: String,
    /// When that was first noticed, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Whether its positions and seen ids have been dropped just now: it was too long.
    pub dropped: bool,
}

/// What the store knows of one stream, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub key: StreamKey,
    #[serde(with = "position::option")]
    pub position: Option<Vec<u8>>,
    pub ledger: Ledger,
    /// Ids that are remembered as seen.
    pub seen: u64,
    /// Of what the position does not cover, how many events each sink has.
    pub partly: Vec<(String, u64)>,
    /// Since when the source is no longer configured.
    pub retired_ms: Option<u64>,
}

/// What is forgotten of a stream. The ledger and the gaps stay for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forget {
    /// The position alone: what is read again is known, as far as the seen ids reach, and not delivered again.
    Position,
    /// The seen ids too: what is read again is delivered again.
    All,
}

/// The file of the store in `data_dir`, which must be there.
fn present(data_dir: &Path) -> Result<PathBuf, StateError> {
    let path = data_dir.join(STATE_FILE);
    if rights::exists(&path)? { Ok(path) } else { Err(StateError::Missing { path }) }
}

impl Store {
    /// Opens the store in `data_dir`, which must be there: nothing is made.
    pub fn open_existing(data_dir: &Path) -> Result<Store, StateError> {
        present(data_dir)?;
        Store::open(data_dir).map_err(StateError::of_verb)
    }

    /// Judges the store in `data_dir` without changing it.
    pub fn check(data_dir: &Path) -> Result<(), StateError> {
        let path = present(data_dir)?;
        let _folder = DataDir::open(data_dir).map_err(StateError::of_verb)?;
        match rehearse(&path)? {
            Contents { format, .. } if format > FORMAT => Err(StateError::Newer { path, found: format, known: FORMAT }),
            _ => Ok(()),
        }
    }

    /// Gives the damaged store in `data_dir` another name, with `mark` in it, and returns it: the next start makes a new
    /// one. `None` if it is not damaged; then it stays.
    pub fn set_aside(data_dir: &Path, mark: &str) -> Result<Option<PathBuf>, StateError> {
        match Store::check(data_dir) {
            Ok(()) => return Ok(None),
            Err(StateError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
        let _folder = DataDir::open(data_dir)?;
        let (from, to) = (data_dir.join(STATE_FILE), data_dir.join(format!("{STATE_FILE}.damaged-{mark}")));
        if to.exists() {
            return Err(StateError::io(&to, &std::io::ErrorKind::AlreadyExists.into()));
        }
        let renamed = fs::rename(&from, &to).and_then(|()| File::open(data_dir)?.sync_all());
        renamed.map_err(|error| StateError::io(&to, &error))?;
        Ok(Some(to))
    }

    /// All streams.
    pub fn summaries(&self) -> Result<Vec<Summary>, StateError> {
        self.streams()?.into_iter().map(|key| self.summary(key)).collect()
    }

    /// The position of each of `keys`, in their order.
    pub fn positions(&self, keys: &[StreamKey]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        self.read(|transaction| {
            let positions = transaction.open_table(POSITIONS)?;
            let position = |key: &StreamKey| Ok(positions.get(&*key.row())?.map(|row| row.value().1.to_vec()));
            keys.iter().map(position).collect()
        })
    }

    /// One stream.
    pub fn summary(&self, key: StreamKey) -> Result<Summary, StateError> {
        let state = self.stream(&key)?;
        let seen = self.read(|transaction| {
            let runs = seen::runs(&transaction.open_table(RUNS)?, &key.row())?;
            Ok(runs.iter().map(|run| run.count).sum())
        })?;
        let retired_ms = self.read(|transaction| {
            let retired = transaction.open_table(RETIRED)?.get(key.source.as_str())?;
            Ok(retired.map(|since| since.value()))
        })?;
        let partly = state.partly.into_iter().map(|(sink, ids)| (sink, ids.len() as u64)).collect();
        Ok(Summary { position: state.position, ledger: state.ledger, seen, partly, retired_ms, key })
    }

    /// Notes which sources are `configured`. Of those that are not, the state is kept for [`KEPT`] and then dropped, but
    /// for the ledger and the gaps.
    pub fn retire(&self, configured: impl Fn(&str) -> bool, now_ms: u64) -> Result<Vec<Retired>, StateError> {
        // Once for all: of ten thousand sources, five thousand may go at once.
        let mut sources: BTreeMap<String, Vec<StreamKey>> = BTreeMap::new();
        for key in self.streams()? {
            sources.entry(key.source.clone()).or_default().push(key);
        }
        let known: Vec<(String, u64)> = self.read(|transaction| {
            let retired = transaction.open_table(RETIRED)?;
            retired
                .iter()?
                .map(|row| row.map(|row| (row.0.value().to_owned(), row.1.value())).map_err(Into::into))
                .collect()
        })?;
        let back = known.iter().any(|(source, _)| configured(source));
        let gone: BTreeMap<&String, &Vec<StreamKey>> =
            sources.iter().filter(|(source, _)| !configured(source)).collect();
        if gone.is_empty() && !back {
            return Ok(Vec::new());
        }
        let limit = KEPT.as_millis() as u64;
        let mut found = Vec::new();
        for (source, keys) in &gone {
            let first = known.iter().find(|(name, _)| name == *source).map_or(now_ms, |(_, since)| *since);
            let (mut stored_ms, mut has_position) = (0, false);
            for key in *keys {
                let state = self.stream(key)?;
                stored_ms = stored_ms.max(state.ledger.updated_ms);
                has_position |= state.position.is_some();
            }
            // A clock that stood far back when it was first noticed must not make the days pass at once.
            let since_ms = first.max(stored_ms);
            let dropped = now_ms.saturating_sub(since_ms) >= limit && has_position;
            found.push(Retired { source: (*source).clone(), since_ms, dropped });
        }
        for retired in found.iter().filter(|retired| retired.dropped) {
            for key in gone.get(&retired.source).into_iter().copied().flatten() {
                self.forget(key, Forget::All)?;
            }
            self.forget_health(&retired.source)?;
            self.forget_alerts(&retired.source)?;
        }
        self.change(|transaction| {
            let mut table = transaction.open_table(RETIRED)?;
            for (source, _) in known.iter().filter(|(source, _)| configured(source)) {
                table.remove(source.as_str())?;
            }
            for retired in &found {
                table.insert(retired.source.as_str(), retired.since_ms)?;
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The streams of `source`.
    pub fn streams_of(&self, source: &str) -> Result<Vec<StreamKey>, StateError> {
        Ok(self.streams()?.into_iter().filter(|key| key.source == source).collect())
    }

    /// Forgets where a stream is.
    pub fn forget(&self, key: &StreamKey, what: Forget) -> Result<(), StateError> {
        let row = key.row();
        self.change(|transaction| {
            transaction.open_table(POSITIONS)?.remove(row.as_str())?;
            if what == Forget::All {
                transaction.open_table(CLOCKS)?.remove(row.as_str())?;
                remove_stream(&mut transaction.open_table(PARTLY)?, &row)?;
                let (mut runs, mut blocks) = (transaction.open_table(RUNS)?, transaction.open_table(BLOCKS)?);
                for run in seen::runs(&runs, &row)? {
                    runs.remove((row.as_str(), run.number))?;
                    blocks.retain_in((run.number, 0)..=(run.number, u32::MAX), |_, _| false)?;
                }
            }
            Ok(())
        })
    }

    /// Gives all that is stored of the source `old` to `new`, of which nothing is stored.
    pub fn rename(&self, old: &str, new: &str) -> Result<(), StateError> {
        let keys = self.streams_of(old)?;
        self.change(|transaction| {
            for key in &keys {
                let (from, to) = (key.row(), StreamKey::new(new, &*key.stream).row());
                let (from, to) = (from.as_str(), to.as_str());
                let mut positions = transaction.open_table(POSITIONS)?;
                let position = positions.remove(from)?.map(|value| (value.value().0, value.value().1.to_vec()));
                if let Some((form, position)) = position {
                    positions.insert(to, (form, position.as_slice()))?;
                }
                let mut ledgers = transaction.open_table(LEDGERS)?;
                let ledger = ledgers.remove(from)?.map(|value| value.value().to_vec());
                if let Some(ledger) = ledger {
                    ledgers.insert(to, ledger.as_slice())?;
                }
                let mut clocks = transaction.open_table(CLOCKS)?;
                let clock = clocks.remove(from)?.map(|value| value.value());
                if let Some(clock) = clock {
                    clocks.insert(to, clock)?;
                }
                let mut runs = transaction.open_table(RUNS)?;
                for run in seen::runs(&runs, from)? {
                    runs.remove((from, run.number))?;
                    runs.insert((to, run.number), run.row())?;
                }
                let mut gaps = transaction.open_table(GAPS)?;
                let moved: Vec<(u64, Vec<u8>)> = gaps
                    .range((from, 0)..=(from, u64::MAX))?
                    .map(|row| row.map(|row| (row.0.value().1, row.1.value().to_vec())))
                    .collect::<Result<_, _>>()?;
                for (number, gap) in moved {
                    gaps.remove((from, number))?;
                    gaps.insert((to, number), gap.as_slice())?;
                }
                let mut partly = transaction.open_table(PARTLY)?;
                let moved: Vec<(String, Vec<u8>)> = partly
                    .range((from, "")..)?
                    .take_while(|row| row.as_ref().map_or(true, |row| row.0.value().0 == from))
                    .map(|row| row.map(|row| (row.0.value().1.to_owned(), row.1.value().to_vec())))
                    .collect::<Result<_, _>>()?;
                remove_stream(&mut partly, from)?;
                for (sink, ids) in moved {
                    partly.insert((to, sink.as_str()), ids.as_slice())?;
                }
            }
            health::rename(transaction, old, new)?;
            alerts::rename(transaction, old, new)?;
            transaction.open_table(RETIRED)?.remove(old)?;
            Ok(())
        })
    }

    /// Counts dead letters that a sink took when they were replayed.
    pub fn replayed(&self, key: &StreamKey, sink: &str, events: u64) -> Result<(), StateError> {
        let row = key.row();
        self.change(|transaction| {
            let mut ledgers = transaction.open_table(LEDGERS)?;
            let mut ledger = match ledgers.get(row.as_str())? {
                Some(value) => parse_ledger(key, value.value())?,
                None => Ledger::default(),
            };
            ledger.counts.sinks.entry(sink.to_owned()).or_default().replayed += events;
            let bytes = serde_json::to_vec(&ledger).map_err(|error| corrupted(error.to_string()))?;
            ledgers.insert(row.as_str(), bytes.as_slice())?;
            Ok(())
        })
    }
}

#[cfg(test)]
#[path = "care_tests.rs"]
mod tests;
