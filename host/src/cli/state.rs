//! `tributary state`: looks after what the host remembers.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::place::{Place, table, time, told};
use super::progress::{Counted, Progress};
use super::restart::is_id;
use super::run::refused;
use super::view::View;
use super::{exit, health};
use crate::outside::Clock;
use crate::state::{DeadLetters, Forget, Found, ImportError, ReadError, StateError, Store, Summary, position};

/// Health events of a source that are shown beside its streams.
const LAST_EVENTS: usize = 10;

#[derive(Debug, Args)]
pub struct State {
    #[command(subcommand)]
    pub verb: StateVerb,
}

#[derive(Debug, Subcommand)]
pub enum StateVerb {
    /// Show how far each stream has come
    Show(Show),
    /// Judge the store and the dead letters, and change nothing
    ///
    /// Exits with 74 if something is damaged, and says what follows.
    Check(CheckState),
    /// Write everything that the store holds as lines of JSON
    Export(Export),
    /// Take in what `export` wrote, all of it or nothing
    Import(Import),
    /// Forget where streams are: they begin where the configuration says, and deliver again
    ///
    /// The ledger and the gaps stay.
    Reset(Reset),
    /// Give the state of a source to another id, as after renaming it in the configuration
    Move(Move),
}

#[derive(Debug, Args)]
pub struct Show {
    /// Ids of the sources to show; all of them if none is named
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,

    /// Show all health events that are kept, instead of the streams
    #[arg(long)]
    pub health: bool,

    /// Write JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Args)]
pub struct CheckState {
    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Args)]
pub struct Export {
    /// The file to write, which must not be there; standard output if none is named
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Args)]
pub struct Import {
    /// The file to read; `-` is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Args)]
pub struct Reset {
    /// The source whose streams are reset
    #[arg(value_name = "SOURCE", required_unless_present = "damaged", conflicts_with = "damaged")]
    pub source: Option<String>,

    /// This stream alone
    #[arg(long, value_name = "STREAM", requires = "source")]
    pub stream: Option<String>,

    /// Keep the ids that were seen: what is read again is not delivered again, as far as they reach back
    #[arg(long, requires = "source")]
    pub keep_seen: bool,

    /// Set a damaged store aside under another name, so that the next start makes a new one
    #[arg(long)]
    pub damaged: bool,

    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Args)]
pub struct Move {
    /// The source as the state knows it
    #[arg(value_name = "OLD")]
    pub old: String,

    /// The id that it shall have, of which nothing is stored yet
    #[arg(value_name = "NEW")]
    pub new: String,

    #[command(flatten)]
    pub place: Place,
}

/// Performs a verb and returns the exit code. Errors are those of writing to `out`.
pub fn state(config: &Path, arguments: &State, runtime: &Runtime, out: &mut impl Write) -> io::Result<u8> {
    match &arguments.verb {
        StateVerb::Show(arguments) => show(config, arguments, runtime, out),
        StateVerb::Check(arguments) => check(config, arguments, out),
        StateVerb::Export(arguments) => export(config, arguments, runtime, out),
        StateVerb::Import(arguments) => import(config, arguments, out),
        StateVerb::Reset(arguments) => reset(config, arguments, out),
        StateVerb::Move(arguments) => rename(config, arguments, out),
    }
}

/// The value, or the exit code from here; why has been said.
macro_rules! or_code {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(code) => return Ok(code),
        }
    };
}

fn show(config: &Path, arguments: &Show, runtime: &Runtime, out: &mut impl Write) -> io::Result<u8> {
    let view = or_code!(View::open(&arguments.place, config, runtime));
    let named = |source: &str| arguments.sources.is_empty() || arguments.sources.iter().any(|name| name == source);
    let rows: Vec<Summary> = or_code!(view.streams(named)).into_iter().map(|stored| stored.summary).collect();
    let events = or_code!(view.health(named));
    let known = |name: &str| rows.iter().any(|row| row.key.source == name) || events.contains_key(name);
    if let Some(unknown) = arguments.sources.iter().find(|name| !known(name)) {
        return Ok(unknown_source(unknown));
    }
    if arguments.health {
        health::show(&events, arguments.json, usize::MAX, out)?;
        return Ok(exit::OK);
    }
    if arguments.json {
        let rows: Vec<Value> = rows.iter().map(value).collect();
        serde_json::to_writer_pretty(&mut *out, &rows)?;
        writeln!(out)?;
        return Ok(exit::OK);
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let partly: Vec<String> = row.partly.iter().map(|(sink, events)| format!("{sink} has {events}")).collect();
            let retired = row.retired_ms.map(|since| format!("not configured since {}", time(since)));
            [
                row.key.source.clone(),
                row.key.stream.clone(),
                row.ledger.counts.records.to_string(),
                row.seen.to_string(),
                time(row.ledger.updated_ms),
                row.position.as_deref().map_or_else(|| "none".to_owned(), position::text),
                partly.into_iter().chain(retired).collect::<Vec<_>>().join("; "),
            ]
        })
        .collect();
    table(out, ["SOURCE", "STREAM", "RECORDS", "SEEN IDS", "STORED", "POSITION", ""], 2..4, &cells)?;
    if !arguments.sources.is_empty() && !events.is_empty() {
        writeln!(out)?;
        health::show(&events, false, LAST_EVENTS, out)?;
    }
    Ok(exit::OK)
}

fn unknown_source(source: &str) -> u8 {
    refused(exit::USAGE, &format!("nothing is stored of a source {source:?}. Run `tributary state show` to see all"))
}

fn value(row: &Summary) -> Value {
    json!({
        "source": row.key.source, "stream": row.key.stream, "tenant": row.ledger.tenant,
        "position": row.position.as_deref().map(position::text), "seen_ids": row.seen,
        "since": time(row.ledger.since_ms), "stored": time(row.ledger.updated_ms),
        "ahead_of_position": row.partly.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "not_configured_since": row.retired_ms.map(time), "ledger": row.ledger.counts,
    })
}

fn check(config: &Path, arguments: &CheckState, out: &mut impl Write) -> io::Result<u8> {
    let folder = or_code!(arguments.place.folder(config));
    let mut code = exit::OK;
    match Store::check(&folder) {
        Ok(()) => writeln!(out, "√ the store is sound")?,
        Err(error @ StateError::Damaged { .. }) => {
            writeln!(out, "x {error}")?;
            code = exit::IO;
        }
        Err(error) => return Ok(told(&error)),
    }
    let (mut letters, mut damaged) = (0, 0);
    let read = DeadLetters::new(&folder, u64::MAX).read(None, |found| {
        match found {
            Found::Letter(_) => letters += 1,
            Found::Damaged { file, offset, bytes } => {
                damaged += 1;
                writeln!(out, "x {}: {bytes} bytes at {offset} are no dead letter", file.display())?;
            }
        }
        Ok(())
    });
    match read {
        Ok(()) => {}
        Err(ReadError::State(error)) => return Ok(told(&error)),
        Err(ReadError::Visit(error)) => return Err(error),
    }
    if damaged > 0 {
        writeln!(
            out,
            "  What stood there is lost, unless it is the piece of a line that a crash tore at the end: that comes again. Look at the bytes; the {letters} others are sound, and `tributary dead-letters` goes on with them"
        )?;
        code = exit::IO;
    } else {
        writeln!(out, "√ the dead letters are sound: {letters}")?;
    }
    Ok(code)
}

fn export(config: &Path, arguments: &Export, runtime: &Runtime, out: &mut impl Write) -> io::Result<u8> {
    let view = or_code!(View::open(&arguments.place, config, runtime));
    let mut progress = Progress::new();
    let Some(path) = &arguments.output else {
        let written = if io::stdout().is_terminal() { view.export(out) } else { counted(&view, out, &mut progress) };
        return Ok(written?.map_or_else(|code| code, |()| exit::OK));
    };
    let mut options = std::fs::OpenOptions::new();
    // Positions are no secrets, but subjects stand in no better place than their owner's.
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) => {
            let text = format!("cannot make {}: {error}. Name a file that is not there", path.display());
            return Ok(refused(exit::CANNOT_CREATE, &text));
        }
    };
    let written = counted(&view, &mut file, &mut progress);
    drop(progress);
    match written.and_then(|written| file.sync_all().map(|()| written)) {
        Ok(Ok(())) => Ok(exit::OK),
        Ok(Err(code)) => Ok(code),
        Err(error) => Ok(refused(
            exit::IO,
            &format!("cannot write {}: {error}. Make room there, or name another file", path.display()),
        )),
    }
}

/// Exports, and shows how far that is by what is stored: the ids that were seen are nearly all of it.
fn counted(view: &View<'_>, out: &mut impl Write, progress: &mut Progress) -> io::Result<Result<(), u8>> {
    let stored = match view.streams(|_| true) {
        Ok(stored) => stored,
        Err(code) => return Ok(Err(code)),
    };
    let bytes = stored.iter().map(|stored| STREAM_BYTES + stored.summary.seen * ID_BYTES).sum();
    let mut writer = BufWriter::with_capacity(64 << 10, Counted::new(out, Some(bytes), "written", progress));
    let written = view.export(&mut writer)?;
    writer.flush()?;
    Ok(written)
}

/// An id in an export: hexadecimal, quoted, with a comma.
const ID_BYTES: u64 = 35;

/// A stream in an export, beside its ids: about so much.
const STREAM_BYTES: u64 = 600;

fn import(config: &Path, arguments: &Import, out: &mut impl Write) -> io::Result<u8> {
    let folder = or_code!(arguments.place.own_folder(config));
    let (input, bytes): (Box<dyn Read>, _) = if arguments.file == Path::new("-") {
        (Box::new(io::stdin()), None)
    } else {
        match File::open(&arguments.file) {
            Ok(file) => {
                // Of a pipe nobody knows.
                let bytes = file.metadata().ok().filter(|known| known.is_file()).map(|known| known.len());
                (Box::new(file), bytes)
            }
            Err(error) => {
                return Ok(refused(
                    exit::NO_INPUT,
                    &format!(
                        "cannot read {}: {error}. Name a file that `tributary state export` wrote",
                        arguments.file.display()
                    ),
                ));
            }
        }
    };
    let store = or_code!(Store::open(&folder).map_err(|error| told(&error)));
    let mut progress = Progress::new();
    let input = Counted::new(input, bytes, "read", &mut progress);
    let taken = store.import(&mut BufReader::with_capacity(64 << 10, input));
    drop(progress);
    match taken {
        Ok(streams) => {
            writeln!(out, "{streams} streams were taken in")?;
            Ok(exit::OK)
        }
        Err(ImportError::State(error)) => Ok(told(&error)),
        Err(error) => Ok(refused(exit::DATA, &error)),
    }
}

fn reset(config: &Path, arguments: &Reset, out: &mut impl Write) -> io::Result<u8> {
    let Some(source) = &arguments.source else { return set_aside(config, arguments, out) };
    let folder = or_code!(arguments.place.own_folder(config));
    let store = or_code!(Store::open_existing(&folder).map_err(|error| told(&error)));
    let mut keys = or_code!(store.streams_of(source).map_err(|error| told(&error)));
    if keys.is_empty() {
        return Ok(unknown_source(source));
    }
    if let Some(stream) = &arguments.stream {
        let known: Vec<&str> = keys.iter().map(|key| key.stream.as_str()).collect();
        if !known.contains(&stream.as_str()) {
            let text =
                format!("nothing is stored of a stream {stream:?} of {source}. Choose from {}", known.join(", "));
            return Ok(refused(exit::USAGE, &text));
        }
        keys.retain(|key| key.stream == *stream);
    }
    let what = if arguments.keep_seen { Forget::Position } else { Forget::All };
    for key in keys {
        or_code!(store.forget(&key, what).map_err(|error| told(&error)));
        writeln!(out, "{key} begins where its configuration says")?;
    }
    Ok(exit::OK)
}

fn set_aside(config: &Path, arguments: &Reset, out: &mut impl Write) -> io::Result<u8> {
    let folder = or_code!(arguments.place.own_folder(config));
    let mark = time(Clock::System.millis()).replace([':', '-', '.'], "");
    match or_code!(Store::set_aside(&folder, &mark).map_err(|error| told(&error))) {
        Some(path) => {
            writeln!(out, "the damaged store is {} now", path.display())?;
            writeln!(
                out,
                "The next `tributary run` makes a new one: sources begin where their configuration says, and may deliver again what they delivered before. If there is a copy or an export, put it back first (`tributary state import`)."
            )?;
            Ok(exit::OK)
        }
        None => Ok(refused(
            exit::USAGE,
            &"the store is sound, and stays. Run `tributary state reset SOURCE` to make a source begin anew",
        )),
    }
}

fn rename(config: &Path, arguments: &Move, out: &mut impl Write) -> io::Result<u8> {
    let Move { old, new, place } = arguments;
    if !is_id(new) {
        return Ok(refused(exit::USAGE, &format!("{new:?} is no id. Use letters, digits, `-` and `_`")));
    }
    let folder = or_code!(place.own_folder(config));
    let store = or_code!(Store::open_existing(&folder).map_err(|error| told(&error)));
    let letters = DeadLetters::new(&folder, u64::MAX);
    let keys = or_code!(store.streams_of(old).map_err(|error| told(&error)));
    if keys.is_empty() {
        return Ok(unknown_source(old));
    }
    let both = letters.path(old).exists() && letters.path(new).exists();
    if !or_code!(store.streams_of(new).map_err(|error| told(&error))).is_empty() || both {
        let text = format!("there is state of {new} already. Choose another id, or reset and drop what is there");
        return Ok(refused(exit::USAGE, &text));
    }
    // The letters first: should the store fail after them, moving again finds them moved.
    or_code!(letters.rename(old, new).map_err(|error| told(&error)));
    or_code!(store.rename(old, new).map_err(|error| told(&error)));
    writeln!(out, "{} streams of {old} are {new}'s now", keys.len())?;
    writeln!(
        out,
        "If sources.{old} has no `tenant`, set tenant = \"{old}\" in sources.{new}: it is part of every event's id, and of where files go."
    )?;
    Ok(exit::OK)
}
