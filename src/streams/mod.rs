//! One file a stream (or family): how it pages and what its position is.

mod feed;
mod list;
pub mod position;
mod progress;
pub mod pull;
pub mod read;
mod siem_archive;
mod siem_batch;
mod siem_events;
mod start;
#[cfg(test)]
pub mod testing;
mod window;

use crate::auth::Access;
use crate::catalog::Stream;
use crate::chunk::{Budget, Chunk, Fault, FaultClass, Next, Pieces, Start, Timestamp};
use crate::code::Code;
use crate::config::{Config, HOUR, IncludeOriginal, Output, SECOND};
use crate::effects::Effects;
use crate::kind::Generation;
use crate::normalize::{Form, Normalizer, Settings};
use pull::Pull;

/// One stream, being read. The contract's resource `reader`.
pub struct Reader {
    config: Config,
    normalizer: Normalizer,
    source: Box<dyn Source>,
    /// A fault that came after events, and the session under which it came.
    pending: Option<(Fault, Vec<u8>)>,
    paused_until_ms: u64,
    /// What was counted before a fault that left no chunk: the state that it belongs to goes on.
    uncounted: Pieces,
}

/// What a stream does. A reader holds one.
trait Source {
    /// Settles where to begin, now that there is a clock. Called before every [`Source::pull`].
    fn begin(&mut self, pull: &mut Pull<'_>) -> Result<(), Fault>;

    /// Reads on until the chunk is full or there is no more.
    fn pull(&mut self, pull: &mut Pull<'_>) -> Result<Next, Fault>;

    /// Covers everything that was read.
    fn position(&self) -> Vec<u8>;
}

impl Reader {
    /// Opens a stream. No I/O.
    ///
    /// # Errors
    /// Those of [`Config::parse`]; an unknown stream; a position that cannot be read or is another stream's.
    pub fn open(config: &str, stream: &str, start: Start) -> Result<Reader, Fault> {
        let config = Config::parse(config)?;
        let generation = config.generation();
        let Some(stream) = Stream::of(generation).into_iter().find(|s| s.name() == stream) else {
            let known: Vec<&str> = Stream::of(generation).iter().map(|s| s.name()).collect();
            return Err(Fault::new(
                FaultClass::Configuration,
                Code::UnknownStream,
                format!("there is no stream \"{stream}\" in this generation of the API"),
            )
            .hint(format!("Choose from: {}", known.join(", "))));
        };
        let normalizer = Normalizer::new(Settings {
            form: match config.output {
                Output::Ocsf => Form::Ocsf,
                Output::Ecs => Form::Ecs,
                Output::Raw => Form::Raw,
            },
            id_scope: config.id_scope.clone(),
            fields: config.fields.clone(),
            labels: config.labels.iter().map(|label| label.name().to_owned()).collect(),
            category: config.category.clone(),
            include_original: config.include_original == IncludeOriginal::Body,
            ..Settings::new(generation, &config.tenant)
        });
        let source: Box<dyn Source> = match stream {
            Stream::SiemBatch(kind) => Box::new(siem_batch::SiemBatch::open(stream, kind, start)?),
            Stream::List(kind) => Box::new(list::List::open(stream, kind, start)?),
            Stream::Feed(feed) => Box::new(feed::Feed::open(stream, feed, start)?),
            Stream::SiemEvents => Box::new(siem_events::SiemEvents::open(start)?),
            Stream::SiemArchive => Box::new(siem_archive::SiemArchive::open(start)?),
        };
        Ok(Reader { config, normalizer, source, pending: None, paused_until_ms: 0, uncounted: Pieces::default() })
    }

    /// Reads on, with the newest session.
    ///
    /// # Errors
    /// What went wrong; events that were read before it are returned first, and the fault at the next call. The reader
    /// stays usable.
    pub fn pull(&mut self, effects: &mut dyn Effects, secret: &[u8], budget: &Budget) -> Result<Chunk, Fault> {
        if let Some((fault, session)) = self.pending.take() {
            // A new session answers a fault of the old one.
            if fault.class != FaultClass::SessionExpired || session == secret {
                return Err(fault);
            }
        }
        let access = Access::new(&self.config, secret)?;
        let mut pull =
            Pull::new(effects, &self.config, &access, &mut self.normalizer, &mut self.paused_until_ms, *budget);
        self.source.begin(&mut pull)?;
        pull.chunk.pieces.add(std::mem::take(&mut self.uncounted));
        let result = self.source.pull(&mut pull);
        let moved = pull.moved;
        let mut chunk = pull.chunk;
        chunk.position = self.source.position();
        match result {
            Ok(next) => chunk.next = next,
            Err(fault) => {
                let empty = chunk.events.is_empty() && chunk.malformed.is_empty() && chunk.gaps.is_empty();
                if empty && !moved {
                    self.uncounted = chunk.pieces;
                    return Err(fault);
                }
                self.pending = Some((fault, secret.to_vec()));
                chunk.next = Next::More;
            }
        }
        Ok(chunk)
    }

    pub fn generation(&self) -> Generation {
        self.config.generation()
    }
}

/// Requests of lists have a resolution of one second.
fn whole(time: Timestamp) -> Timestamp {
    time - time % SECOND
}

/// Notes the time, if the note is older than an hour, which is near enough, or was made by a clock that has been set back.
fn hourly(note: &mut Option<Timestamp>, now: Timestamp) {
    if note.is_none_or(|at| at > now || now > at + HOUR) {
        *note = Some(now);
    }
}

/// `YYYY-MM-DD` in UTC.
fn day(time: Timestamp) -> String {
    chrono::DateTime::from_timestamp((time / 1_000_000_000) as i64, 0)
        .unwrap_or_default()
        .format("%Y-%m-%d")
        .to_string()
}
