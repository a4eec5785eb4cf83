//! How a store is given away and taken in: as lines of JSON that people can read.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};

use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::schema::{CLOCKS, GAPS, HEALTH, LEDGERS, PARTLY, POSITION_FORM, POSITIONS, corrupted, id_bytes, parse_ids};
use super::{Store, add_gaps, alerts, health, read};
use crate::state::hex;
use crate::state::seen::{self, BLOCKS, RUNS};
use crate::state::{Gap, Ledger, Sighting, Sightings, StateError, StreamKey, StreamState};

/// Ids in one line of an export: 16 bytes each, as hexadecimal.
const LINE_IDS: usize = 1_000;

/// Version of an export's lines.
const EXPORT_FORM: u32 = 1;

/// A line of an export.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Export {
        form: u32,
    },
    Stream {
        source: String,
        stream: String,
        position: Option<String>,
        clock: (u64, u64),
        ledger: Ledger,
    },
    Gap {
        source: String,
        stream: String,
        gap: Gap,
    },
    Partly {
        source: String,
        stream: String,
        sink: String,
        ids: Vec<String>,
    },
    Seen {
        source: String,
        stream: String,
        run: u64,
        oldest_expires: u64,
        expires: u64,
        ids: Vec<String>,
    },
    Health {
        source: String,
        event: Box<RawValue>,
    },
    /// Without a sink, all have seen it.
    Alert {
        source: String,
        key: String,
        at_ms: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sink: Option<String>,
    },
    End {
        lines: u64,
    },
}

/// Why an export cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    #[error(
        "line {0} is no line of an export: {1}. Nothing was taken in; name a file that `tributary state export` wrote"
    )]
    Line(u64, String),
    #[error("it ends too early. Nothing was taken in; export again")]
    Short,
    #[error("there is a stream {0} already. Nothing was taken in; reset it first, or import into another data_dir")]
    There(StreamKey),
}

impl Store {
    /// Writes everything as lines of JSON, as it was at one moment.
    pub fn export(&self, out: &mut impl Write) -> Result<(), ImportError> {
        let mut refused = None;
        let result = self.read(|transaction| {
            export(transaction, out).or_else(|error| match error {
                Failed::Write(error) => {
                    refused = Some(error);
                    Ok(())
                }
                Failed::Read(error) => Err(error),
            })
        });
        match refused {
            Some(error) => Err(error.into()),
            None => Ok(result?),
        }
    }

    /// Takes in what [`Store::export`] wrote, or nothing. Returns how many streams it was.
    pub fn import(&self, input: &mut impl BufRead) -> Result<u64, ImportError> {
        let there = self.streams()?;
        let (mut streams, mut ended, mut number) = (0, false, 0);
        let (mut pending, mut refused) = (None::<Run>, None);
        let result = self.change(|transaction| {
            let mut take = || -> Result<(), Refusal> {
                for text in input.lines() {
                    number += 1;
                    let wrong = |reason: String| Refusal::Import(ImportError::Line(number, reason));
                    let text = text.map_err(ImportError::from)?;
                    let line: Line = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
                    match line {
                        Line::Export { form: EXPORT_FORM } if number == 1 => {}
                        _ if number == 1 => return Err(wrong("it does not begin as an export does".into())),
                        Line::End { lines } if lines == number - 1 => ended = true,
                        Line::End { .. } => return Err(wrong("lines are missing before it".into())),
                        _ if ended => return Err(wrong("it comes after the end".into())),
                        line => {
                            if let Line::Stream { source, stream, .. } = &line {
                                let key = StreamKey::new(source, stream);
                                if there.contains(&key) {
                                    return Err(ImportError::There(key).into());
                                }
                                streams += 1;
                            }
                            self.take_line(transaction, line, &mut pending).map_err(|error| match error {
                                redb::Error::Corrupted(reason) => wrong(reason),
                                error => Refusal::Store(error),
                            })?;
                        }
                    }
                }
                if !ended {
                    return Err(ImportError::Short.into());
                }
                if let Some(run) = pending.take() {
                    self.take_run(transaction, run).map_err(Refusal::Store)?;
                }
                Ok(())
            };
            take().map_err(|refusal| match refusal {
                Refusal::Store(error) => error,
                Refusal::Import(error) => {
                    refused = Some(error);
                    corrupted("the import was refused".into())
                }
            })
        });
        match (refused, result) {
            (Some(refused), _) => Err(refused),
            (None, result) => Ok(result.map(|()| streams)?),
        }
    }

    fn take_line(
        &self,
        transaction: &WriteTransaction,
        line: Line,
        pending: &mut Option<Run>,
    ) -> Result<(), redb::Error> {
        match line {
            Line::Export { .. } | Line::End { .. } => return Err(corrupted("it stands in the middle".into())),
            Line::Stream { source, stream, position, clock, ledger } => {
                let row = StreamKey::new(source, stream).row();
                if let Some(position) = position {
                    let bytes = unhex(&position)?;
                    transaction.open_table(POSITIONS)?.insert(row.as_str(), (POSITION_FORM, bytes.as_slice()))?;
                }
                transaction.open_table(CLOCKS)?.insert(row.as_str(), clock)?;
                let bytes = serde_json::to_vec(&ledger).map_err(|error| corrupted(error.to_string()))?;
                transaction.open_table(LEDGERS)?.insert(row.as_str(), bytes.as_slice())?;
            }
            Line::Gap { source, stream, gap } => {
                let row = StreamKey::new(source, stream).row();
                add_gaps(&mut transaction.open_table(GAPS)?, &row, &[gap])?;
            }
            Line::Health { source, event } => {
                health::add(&mut transaction.open_table(HEALTH)?, &source, event.get().as_bytes())?;
            }
            Line::Alert { source, key, at_ms, sink } => {
                let seen = vec![Sighting { key: parse_id(&key)?, at_ms, sink: sink.map(Into::into) }];
                alerts::add(transaction, &source, &Sightings { since_ms: 0, seen })?;
            }
            Line::Partly { source, stream, sink, ids } => {
                let row = StreamKey::new(source, stream).row();
                let ids = ids.iter().map(|id| parse_id(id)).collect::<Result<Vec<_>, _>>()?;
                transaction.open_table(PARTLY)?.insert((row.as_str(), sink.as_str()), id_bytes(&ids).as_slice())?;
            }
            Line::Seen { source, stream, run, oldest_expires, expires, ids } => {
                let row = StreamKey::new(source, stream).row();
                let ids = ids.iter().map(|id| parse_id(id)).collect::<Result<Vec<_>, _>>()?;
                match pending {
                    // The run goes on.
                    Some(known) if known.row == row && known.run == run => known.ids.extend(ids),
                    _ => {
                        let next = Run { row, run, oldest_expires, expires, ids };
                        if let Some(done) = pending.replace(next) {
                            self.take_run(transaction, done)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn take_run(&self, transaction: &WriteTransaction, run: Run) -> Result<(), redb::Error> {
        let Run { row, oldest_expires, expires, mut ids, .. } = run;
        ids.sort_unstable();
        let number = self.next_run();
        seen::write_blocks(&mut transaction.open_table(BLOCKS)?, number, &ids)?;
        let value = (oldest_expires, expires, ids.len() as u64);
        transaction.open_table(RUNS)?.insert((row.as_str(), number), value)?;
        Ok(())
    }
}

/// Why an import takes nothing in.
enum Refusal {
    Store(redb::Error),
    Import(ImportError),
}

impl From<ImportError> for Refusal {
    fn from(error: ImportError) -> Self {
        Refusal::Import(error)
    }
}

/// Why an export ends early.
enum Failed {
    Read(redb::Error),
    Write(io::Error),
}

impl<E: Into<redb::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Failed::Read(error.into())
    }
}

/// One transaction for all of it: what a running host stores meanwhile merges seen ids and drops what they were merged of.
fn export(transaction: &ReadTransaction, out: &mut impl Write) -> Result<(), Failed> {
    let lines = Cell::new(0);
    let mut put = |line: &Line| {
        lines.set(lines.get() + 1);
        let written = serde_json::to_writer(&mut *out, line).map_err(io::Error::from);
        written.and_then(|()| out.write_all(b"\n")).map_err(Failed::Write)
    };
    put(&Line::Export { form: EXPORT_FORM })?;
    let (runs, blocks) = (transaction.open_table(RUNS)?, transaction.open_table(BLOCKS)?);
    for key in read::streams(transaction)? {
        let StreamState { position, ledger, partly } = read::stream(transaction, &key)?;
        let clock = read::clock(transaction, &key)?;
        let (source, stream) = (key.source.clone(), key.stream.clone());
        let position = position.map(|bytes| hex::encode(&bytes));
        put(&Line::Stream { source: source.clone(), stream: stream.clone(), position, clock, ledger })?;
        for gap in read::gaps(transaction, &key)? {
            put(&Line::Gap { source: source.clone(), stream: stream.clone(), gap })?;
        }
        for (sink, ids) in partly {
            let ids = ids.iter().map(|id| format!("{id:032x}")).collect();
            put(&Line::Partly { source: source.clone(), stream: stream.clone(), sink, ids })?;
        }
        for run in seen::runs(&runs, &key.row())? {
            let ids = seen::ids(&blocks, &run)?;
            if ids.len() as u64 != run.count {
                let (there, count) = (ids.len(), run.count);
                return Err(corrupted(format!("of {count} ids of {key} that were seen, {there} are there")).into());
            }
            let (oldest_expires, expires, _) = run.row();
            for ids in ids.chunks(LINE_IDS) {
                put(&Line::Seen {
                    source: source.clone(),
                    stream: stream.clone(),
                    run: run.number,
                    oldest_expires,
                    expires,
                    ids: ids.iter().map(|id| format!("{id:032x}")).collect(),
                })?;
            }
        }
    }
    for source in health::sources(transaction)? {
        for event in health::of(transaction, &source)? {
            let event = serde_json::from_slice(&event).map_err(|error| corrupted(error.to_string()))?;
            put(&Line::Health { source: source.clone(), event })?;
        }
    }
    let sources: BTreeSet<String> = read::streams(transaction)?.into_iter().map(|key| key.source).collect();
    for source in sources {
        for Sighting { key, at_ms, sink } in alerts::of(transaction, &source, 0)? {
            let (key, sink) = (format!("{key:032x}"), sink.map(|sink| sink.to_string()));
            put(&Line::Alert { source: source.clone(), key, at_ms, sink })?;
        }
    }
    put(&Line::End { lines: lines.get() })?;
    out.flush().map_err(Failed::Write)
}

/// Seen ids of an import, until their last line has been read.
struct Run {
    row: String,
    run: u64,
    oldest_expires: u64,
    expires: u64,
    ids: Vec<u128>,
}

fn parse_id(text: &str) -> Result<u128, redb::Error> {
    let bytes = unhex(text)?;
    let mut ids = parse_ids(&bytes);
    ids.next().filter(|_| bytes.len() == 16).ok_or_else(|| corrupted("an id is not 32 hexadecimal digits".into()))
}

fn unhex(text: &str) -> Result<Vec<u8>, redb::Error> {
    hex::decode(text).ok_or_else(|| corrupted("what must be hexadecimal is not".into()))
}
