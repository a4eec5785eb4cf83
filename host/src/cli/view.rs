//! What is stored, from the store itself or from the host that holds it.

use std::io::{self, BufRead, Write};
use std::path::Path;

use tokio::runtime::Runtime;

use super::ask::{RunningHost, broken, other_release};
use super::exit;
use super::health::{self, Events};
use super::place::{Place, told};
use super::run::{refused, state_code};
use super::status::unanswered;
use crate::observe::view::{StateLine, Stored};
use crate::state::{ImportError, StateError, Store};

/// Where a verb reads.
pub enum View<'a> {
    /// No host runs.
    Store(Box<Store>),
    Host(RunningHost<'a>),
}

impl<'a> View<'a> {
    /// The store of `place`, or the host that holds it. Otherwise the exit code; why has been said.
    pub fn open(place: &Place, config: &Path, runtime: &'a Runtime) -> Result<Self, u8> {
        let folder = place.folder(config)?;
        match Store::open_existing(&folder) {
            Ok(store) => Ok(Self::Store(Box::new(store))),
            Err(error @ StateError::InUse { .. }) => match RunningHost::find(&folder, runtime)? {
                Some(host) => Ok(Self::Host(host)),
                None => Err(refused(state_code(&error), &unanswered(&error))),
            },
            Err(error) => Err(told(&error)),
        }
    }

    /// Whether a host runs, and numbers go on.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Host(_))
    }

    /// What is stored of the streams of the sources that `named` takes. Otherwise the exit code; why has been said.
    pub fn streams(&self, named: impl Fn(&str) -> bool) -> Result<Vec<Stored>, u8> {
        let taken = |stored: &Stored| named(&stored.summary.key.source);
        match self {
            Self::Store(store) => {
                let read = || Stored::read(store)?.collect::<Result<Vec<_>, _>>();
                let all: Vec<Stored> = read().map_err(|error| told(&error))?;
                Ok(all.into_iter().filter(taken).collect())
            }
            Self::Host(host) => {
                let mut streams = Vec::new();
                each_line(host, "/v1/state", |line| match line {
                    StateLine::Stream(stored) if taken(&stored) => streams.push(*stored),
                    _ => {}
                })?;
                Ok(streams)
            }
        }
    }

    /// The health events that are kept of the sources that `named` takes. Otherwise the exit code; why has been said.
    pub fn health(&self, named: impl Fn(&str) -> bool) -> Result<Events, u8> {
        match self {
            Self::Store(store) => health::read(store, named).map_err(|error| told(&error)),
            Self::Host(host) => {
                let mut events = Events::new();
                each_line(host, "/v1/state/health", |line| match line {
                    StateLine::Health(source, event) if named(&source) => {
                        events.entry(source).or_default().push(event.get().as_bytes().to_vec());
                    }
                    _ => {}
                })?;
                Ok(events)
            }
        }
    }

    /// Writes everything as lines of JSON. Otherwise the exit code, after why has been said; or the error of `out`.
    pub fn export(&self, out: &mut impl Write) -> io::Result<Result<(), u8>> {
        match self {
            Self::Store(store) => match store.export(out) {
                Ok(()) => Ok(Ok(())),
                Err(ImportError::State(error)) => Ok(Err(told(&error))),
                Err(ImportError::Read(error)) => Err(error),
                Err(error) => Ok(Err(refused(exit::IO, &error))),
            },
            Self::Host(host) => {
                let mut lines = match host.lines("/v1/state/export") {
                    Ok(lines) => lines,
                    Err(code) => return Ok(Err(code)),
                };
                loop {
                    let length = match lines.fill_buf() {
                        Ok([]) => break,
                        Ok(bytes) => {
                            out.write_all(bytes)?;
                            bytes.len()
                        }
                        Err(error) => return Ok(Err(broken(&error))),
                    };
                    lines.consume(length);
                }
                out.flush().map(Ok)
            }
        }
    }
}

/// Takes each line of a host's answer, which must have its end. Otherwise the exit code; why has been said.
fn each_line(host: &RunningHost<'_>, path: &str, mut take: impl FnMut(StateLine)) -> Result<(), u8> {
    let mut ended = false;
    for line in host.lines(path)?.lines() {
        let line = line.map_err(|error| broken(&error))?;
        match serde_json::from_str(&line).map_err(|error| other_release(&error))? {
            StateLine::End(_) => ended = true,
            StateLine::Failed(reason) => return Err(refused(exit::IO, &reason)),
            line => take(line),
        }
    }
    if ended { Ok(()) } else { Err(broken(&io::ErrorKind::UnexpectedEof.into())) }
}
