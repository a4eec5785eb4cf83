//! `tributary dead-letters replay`: sends refused events to their sinks again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Runtime;

use super::select::Select;
use super::{Replay, read};
use crate::cli::exit;
use crate::cli::place::told;
use crate::cli::progress::Progress;
use crate::cli::run::refused;
use crate::config;
use crate::deliver::{Batch, Head, Origin, deliver_once};
use crate::outside::Outside;
use crate::sinks::{self, Sink, SinkError, Verdict};
use crate::state::{DeadLetter, DeadLetters, StateError, Store, StreamKey, rights};

/// Letters that are sent one by one before it is noted which the sink took: the files are written anew for that.
const ALONE: usize = 100;

/// Bytes that a sink is given at once.
const DELIVERY_BYTES: usize = 4 << 20;

/// What became of what was selected.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    delivered: u64,
    refused: u64,
    /// No sink refused them: they could not be read.
    malformed: u64,
    /// Only their heads are kept.
    cut: u64,
    /// Their sinks are not configured any more.
    homeless: BTreeSet<String>,
}

/// Replays what `arguments` select, and returns the exit code. Errors are those of writing to `out`.
pub fn replay(path: &Path, arguments: &Replay, runtime: &Runtime, out: &mut impl Write) -> io::Result<u8> {
    let select = Select { ids: arguments.ids.clone(), ..arguments.select.clone() };
    if select.is_everything() && !arguments.all {
        return Ok(refused(
            exit::USAGE,
            &"no dead letter is named. Name ids, or select by --sink and so on, or say --all",
        ));
    }
    // Before secrets are asked for.
    let folder = match config::data_dir(path) {
        Ok(folder) => folder,
        Err(error) => return Ok(refused(exit::CONFIGURATION, &error)),
    };
    if let Err(error) = rights::may_change(&folder) {
        return Ok(told(&error));
    }
    let config = match config::load(path) {
        Ok(loaded) => loaded.config,
        Err(error) => return Ok(refused(exit::CONFIGURATION, &error)),
    };
    let store = match Store::open_existing(&config.data_dir) {
        Ok(store) => store,
        Err(error) => return Ok(told(&error)),
    };
    let letters = DeadLetters::new(&config.data_dir, u64::MAX);
    let mut tally = Tally::default();
    let mut by_sink: BTreeMap<String, Vec<DeadLetter>> = BTreeMap::new();
    let read = read(&letters, &select, |letter| {
        match &letter.refused {
            None => tally.malformed += 1,
            Some(_) if letter.is_cut() => tally.cut += 1,
            Some(event) if !config.sinks.contains_key(&event.sink) => {
                tally.homeless.insert(event.sink.clone());
            }
            Some(event) => by_sink.entry(event.sink.clone()).or_default().push(letter),
        }
        Ok(())
    })?;
    if let Err(code) = read {
        return Ok(code);
    }
    let (mut code, outside) = (exit::OK, Outside::system());
    let mut said = Said { progress: Progress::new(), all: by_sink.values().map(Vec::len).sum(), tried: 0 };
    for (sink, dead) in by_sink {
        let built = sinks::build(&config.sinks[&sink], &outside);
        let result = match built {
            Ok(built) => runtime.block_on(send(&*built, &dead, &store, &letters, &mut tally, &mut said)),
            Err(error) => Err(Trouble::Sink(error)),
        };
        match result {
            Ok(()) => {}
            Err(Trouble::Sink(error)) => {
                let text = format!("sink {sink}: {error}. What it has not taken stays; replay again when it does");
                code = refused(exit::TEMPORARY, &text);
            }
            Err(Trouble::State(error)) => return Ok(told(&error)),
        }
    }
    drop(said);
    report(&tally, out)?;
    let stays = tally.refused + tally.cut + tally.malformed > 0 || !tally.homeless.is_empty();
    Ok(if code == exit::OK && stays { exit::FAILED } else { code })
}

/// Says how far it is.
struct Said {
    progress: Progress,
    /// Events that are sent.
    all: usize,
    /// Those that were.
    tried: usize,
}

impl Said {
    fn count(&mut self, tried: usize) {
        if tried == 0 {
            return;
        }
        self.tried += tried;
        let Self { tried, all, .. } = *self;
        self.progress.tell(Some(tried as f64 / all.max(1) as f64), || format!("{tried} of {all} events sent"));
    }
}

enum Trouble {
    Sink(SinkError),
    State(StateError),
}

impl From<StateError> for Trouble {
    fn from(error: StateError) -> Self {
        Trouble::State(error)
    }
}

/// Sends the letters in their order, and takes away what the sink took. A crash after the sink has them sends them again
/// at the next replay, under the same ids.
async fn send(
    sink: &dyn Sink,
    dead: &[DeadLetter],
    store: &Store,
    letters: &DeadLetters,
    tally: &mut Tally,
    said: &mut Said,
) -> Result<(), Trouble> {
    let mut rest = dead;
    let mut result = Ok(());
    while let Some(first) = rest.first() {
        let mut bytes = 0;
        let some = rest.iter().take_while(|letter| {
            bytes += letter.head.len();
            bytes <= DELIVERY_BYTES && letter.unsure == first.unsure
        });
        let most = if first.unsure { ALONE } else { usize::MAX };
        let (now, later) = rest.split_at(some.take(most).count().max(1));
        rest = later;
        // Each batch is one event.
        let batches: Vec<Arc<Batch>> = now.iter().filter_map(batch).collect();
        let mut fates = Fates::default();
        if first.unsure {
            // Together they would have an answer as unsure as the first, and be there once more.
            for number in 0..batches.len() {
                fates.send_alone(sink, &batches, number).await;
                said.count(usize::from(!fates.stay.contains(&number)));
            }
        } else {
            fates.send_together(sink, &batches).await;
            said.count(now.len() - fates.stay.len());
        }
        let Fates { refused, stay, error } = fates;
        let gone = |(number, letter)| (!refused.contains(&number) && !stay.contains(&number)).then_some(letter);
        let taken: Vec<&DeadLetter> = now.iter().enumerate().filter_map(gone).collect();
        note(&taken, store, letters)?;
        tally.delivered += taken.len() as u64;
        tally.refused += refused.len() as u64;
        if let Some(error) = error {
            result = Err(Trouble::Sink(error));
            break;
        }
    }
    // What is delivered is synced; this only gives files their names.
    let closed = sink.close().await;
    result.and(closed.map_err(Trouble::Sink))
}

/// What became of events that were sent, by their number.
#[derive(Default)]
struct Fates {
    refused: BTreeSet<usize>,
    /// They were not taken, or not sent.
    stay: BTreeSet<usize>,
    /// Why nothing more is sent.
    error: Option<SinkError>,
}

impl Fates {
    /// Sends all of `batches` at once.
    async fn send_together(&mut self, sink: &dyn Sink, batches: &[Arc<Batch>]) {
        let answers = match deliver_once(sink, batches).await {
            Ok(answers) => answers,
            Err(error) => {
                self.stay.extend(0..batches.len());
                self.error = Some(error);
                return;
            }
        };
        for (number, verdict) in answers {
            match verdict {
                Verdict::Known => {}
                Verdict::Refused(_) => drop(self.refused.insert(number)),
                // Alone, it has an answer of its own.
                Verdict::Unsure { .. } => self.send_alone(sink, batches, number).await,
                Verdict::Again(error) => self.stop(number, error),
            }
        }
    }

    /// Sends one of `batches`, unless there was an error.
    async fn send_alone(&mut self, sink: &dyn Sink, batches: &[Arc<Batch>], number: usize) {
        if self.error.is_some() {
            self.stay.insert(number);
            return;
        }
        match deliver_once(sink, &batches[number..=number]).await {
            Ok(answers) => {
                for (_, verdict) in answers {
                    match verdict {
                        Verdict::Known => {}
                        Verdict::Refused(_) | Verdict::Unsure { .. } => drop(self.refused.insert(number)),
                        Verdict::Again(error) => self.stop(number, error),
                    }
                }
            }
            Err(error) => self.stop(number, error),
        }
    }

    fn stop(&mut self, number: usize, error: SinkError) {
        self.stay.insert(number);
        self.error = Some(error);
    }
}

/// Counts what sinks took, and takes its letters away.
fn note(taken: &[&DeadLetter], store: &Store, letters: &DeadLetters) -> Result<(), StateError> {
    if taken.is_empty() {
        return Ok(());
    }
    let mut streams: BTreeMap<StreamKey, (String, u64)> = BTreeMap::new();
    for letter in taken {
        let sink = letter.refused.as_ref().map(|event| event.sink.clone()).unwrap_or_default();
        streams.entry(StreamKey::new(&*letter.source, &*letter.stream)).or_insert((sink, 0)).1 += 1;
    }
    for (key, (sink, events)) in streams {
        store.replayed(&key, &sink, events)?;
    }
    let gone: BTreeSet<&str> = taken.iter().map(|letter| letter.id.as_str()).collect();
    letters.take(None, |letter| gone.contains(letter.id.as_str()))?;
    Ok(())
}

/// The letter as a batch of its one event.
fn batch(letter: &DeadLetter) -> Option<Arc<Batch>> {
    let event = letter.refused.as_ref()?;
    let origin = Origin {
        source: letter.source.as_str().into(),
        tenant: event.tenant.as_str().into(),
        stream: letter.stream.as_str().into(),
    };
    let head = Head {
        id: event.event,
        time: event.time,
        kind: event.kind,
        class: event.class,
        severity: event.severity,
        alert_key: event.alert_key,
        begin: 0,
        end: letter.head.len() as u32,
    };
    Some(Arc::new(Batch { origin, bodies: Bytes::copy_from_slice(&letter.head), events: vec![head] }))
}

fn report(tally: &Tally, out: &mut impl Write) -> io::Result<()> {
    let Tally { delivered, refused, malformed, cut, homeless } = tally;
    writeln!(out, "{delivered} events were delivered")?;
    if *refused > 0 {
        writeln!(out, "{refused} were refused again, and stay")?;
    }
    if *cut > 0 {
        writeln!(out, "{cut} were too long to be kept whole, and stay: `tributary dead-letters show ID`")?;
    }
    if *malformed > 0 {
        writeln!(
            out,
            "{malformed} are records that could not be read, and stay: a source takes records from its vendor alone. `tributary replay` reads their time again there, as long as the vendor keeps it; `tributary dead-letters show ID --raw` writes one out"
        )?;
    }
    for sink in homeless {
        writeln!(out, "those that the sink {sink} refused stay: it is not configured. Add it again, or drop them")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
