//! `tributary dead-letters`: looks after records that could not be read, and events that a sink refused for good.

mod replay;
mod select;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use self::select::Select;
use super::exit;
use super::place::{Place, table, time, told};
use super::run::refused;
use crate::state::{DeadLetter, DeadLetters, Found, ReadError};

#[derive(Debug, Args)]
pub struct DeadLettersVerb {
    #[command(subcommand)]
    pub verb: Action,
}

#[derive(Debug, Subcommand)]
pub enum Action {
    /// List dead letters, the oldest of each source first
    ///
    /// Exits with 74 if something between them is damaged.
    List(List),
    /// Show one dead letter, or write its bytes out
    ///
    /// What a source could not read cannot be read again by it from here: `--raw` writes it out, for you to look at or to
    /// hand to support.
    Show(Show),
    /// Send events to the sinks that refused them
    ///
    /// For when no host runs with this state. What a sink takes is dead no longer; what it refuses again stays. Exits with
    /// 1 if any stays.
    Replay(Replay),
    /// Throw dead letters away, for good
    ///
    /// Also while a host runs: positions that waited for room go on by themselves.
    Drop(Drop),
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    pub select: Select,

    /// Write a JSON object a line
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Args)]
pub struct Show {
    /// Its id, or how it begins
    #[arg(value_name = "ID")]
    pub id: String,

    /// Write its bytes alone, as they came
    #[arg(long, conflicts_with = "json")]
    pub raw: bool,

    /// Write JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Args)]
pub struct Replay {
    /// Ids, or how they begin
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,

    /// All that the other options select
    #[arg(long)]
    pub all: bool,

    #[command(flatten)]
    pub select: Select,
}

#[derive(Debug, Args)]
pub struct Drop {
    /// Ids, or how they begin
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,

    /// All that the other options select
    #[arg(long)]
    pub all: bool,

    #[command(flatten)]
    pub select: Select,

    #[command(flatten)]
    pub place: Place,
}

/// Performs a verb and returns the exit code. Errors are those of writing to `out`.
pub fn dead_letters(
    config: &Path,
    arguments: &DeadLettersVerb,
    runtime: &Runtime,
    out: &mut impl Write,
) -> io::Result<u8> {
    match &arguments.verb {
        Action::List(arguments) => with(arguments.place.folder(config), |letters| list(letters, arguments, out)),
        Action::Show(arguments) => with(arguments.place.folder(config), |letters| show(letters, arguments, out)),
        Action::Drop(arguments) => {
            with(arguments.place.own_folder(config), |letters| drop_some(letters, arguments, out))
        }
        Action::Replay(arguments) => replay::replay(config, arguments, runtime, out),
    }
}

fn with(folder: Result<PathBuf, u8>, act: impl FnOnce(&DeadLetters) -> io::Result<u8>) -> io::Result<u8> {
    let letters = match folder {
        Ok(folder) => DeadLetters::new(&folder, u64::MAX),
        Err(code) => return Ok(code),
    };
    match letters.must_exist() {
        Ok(()) => act(&letters),
        Err(error) => Ok(told(&error)),
    }
}

/// Reads what `select` takes; tells what is damaged, and gives how many such places there are. An error of reading is told,
/// and gives its exit code.
fn read(
    letters: &DeadLetters,
    select: &Select,
    mut take: impl FnMut(DeadLetter) -> io::Result<()>,
) -> io::Result<Result<u64, u8>> {
    let mut damaged = 0;
    let read = letters.read(select.source.as_deref(), |found| match found {
        Found::Letter(letter) if select.takes(&letter) => take(letter),
        Found::Letter(_) => Ok(()),
        Found::Damaged { file, offset, bytes } => {
            damaged += 1;
            let file = file.display();
            eprintln!(
                "tributary: {file}: {bytes} bytes at {offset} are no dead letter: changed, or torn by a crash. The others are shown; look at the bytes, and see `tributary state check`"
            );
            Ok(())
        }
    });
    match read {
        Ok(()) => Ok(Ok(damaged)),
        Err(ReadError::State(error)) => Ok(Err(told(&error))),
        Err(ReadError::Visit(error)) => Err(error),
    }
}

fn list(letters: &DeadLetters, arguments: &List, out: &mut impl Write) -> io::Result<u8> {
    let mut rows = Vec::new();
    let read = read(letters, &arguments.select, |letter| {
        if arguments.json {
            serde_json::to_writer(&mut *out, &value(&letter, false))?;
            return out.write_all(b"\n");
        }
        let sink = letter.refused.as_ref().map_or("-", |refused| &refused.sink).to_owned();
        let size = letter.size.unwrap_or(letter.head.len() as u64).to_string();
        rows.push([letter.id, time(letter.at_ms), letter.source, letter.stream, sink, size, letter.reason]);
        Ok(())
    })?;
    let damaged = match read {
        Ok(damaged) => damaged,
        Err(code) => return Ok(code),
    };
    if !arguments.json {
        table(out, ["ID", "TIME", "SOURCE", "STREAM", "REFUSED BY", "BYTES", "REASON"], 5..6, &rows)?;
    }
    Ok(if damaged > 0 { exit::IO } else { exit::OK })
}

/// A letter as JSON, with its bytes if they are wanted.
fn value(letter: &DeadLetter, bytes: bool) -> Value {
    let event = letter.refused.as_ref().map(
        |refused| json!({ "id": format!("{:032x}", refused.event), "tenant": refused.tenant, "class": refused.class }),
    );
    let mut value = json!({
        "id": letter.id, "time": time(letter.at_ms), "source": letter.source, "stream": letter.stream,
        "sink": letter.refused.as_ref().map(|refused| &refused.sink), "event": event, "reason": letter.reason,
        "size": letter.size, "kept": letter.head.len(), "truncated": letter.is_cut(), "sha256": letter.sha256,
    });
    if bytes {
        value["head"] = String::from_utf8_lossy(&letter.head).into();
    }
    value
}

fn show(letters: &DeadLetters, arguments: &Show, out: &mut impl Write) -> io::Result<u8> {
    let select = Select { ids: vec![arguments.id.clone()], ..Select::default() };
    let mut found = Vec::new();
    let read = read(letters, &select, |letter| {
        found.push(letter);
        Ok(())
    })?;
    if let Err(code) = read {
        return Ok(code);
    }
    let [letter] = found.as_slice() else {
        let text = match found.len() {
            0 => format!("there is no dead letter {}. See `tributary dead-letters list`", arguments.id),
            many => format!("{many} dead letters begin with {}. Name more of its id", arguments.id),
        };
        return Ok(refused(exit::USAGE, &text));
    };
    if arguments.raw {
        out.write_all(&letter.head)?;
    } else if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &value(letter, true))?;
        writeln!(out)?;
    } else {
        text(letter, out)?;
    }
    Ok(exit::OK)
}

fn text(letter: &DeadLetter, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "id      {}\ntime    {}\nsource  {}", letter.id, time(letter.at_ms), letter.source)?;
    writeln!(out, "stream  {}\nreason  {}", letter.stream, letter.reason)?;
    if let Some(refused) = &letter.refused {
        writeln!(out, "sink    {}\nevent   {:032x}", refused.sink, refused.event)?;
    }
    let kept = letter.head.len();
    match letter.size {
        Some(size) if letter.is_cut() => writeln!(out, "size    {size} bytes, of which the first {kept} are kept")?,
        Some(size) => writeln!(out, "size    {size} bytes")?,
        None => writeln!(out, "size    not known; {kept} bytes are kept")?,
    }
    if let Some(hash) = &letter.sha256 {
        writeln!(out, "sha256  {hash} (of all of it)")?;
    }
    writeln!(out)?;
    // Bytes of others on a terminal: nothing that steers it.
    let shown: String = String::from_utf8_lossy(&letter.head)
        .chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    writeln!(out, "{}", shown.trim_end_matches('\n'))?;
    match &letter.refused {
        None => writeln!(
            out,
            "\nIt could not be read, and is not read again from here: a source takes records from its vendor alone.\n`tributary replay --source {} --stream {} --from …` reads its time again there; --raw writes it out.",
            letter.source, letter.stream
        ),
        Some(_) if letter.is_cut() => writeln!(out, "\nIt was too long to be kept whole, and cannot be replayed."),
        Some(_) => writeln!(out, "\n`tributary dead-letters replay {}` sends it to the sink again.", letter.id),
    }
}

fn drop_some(letters: &DeadLetters, arguments: &Drop, out: &mut impl Write) -> io::Result<u8> {
    let select = Select { ids: arguments.ids.clone(), ..arguments.select.clone() };
    if select.is_everything() && !arguments.all {
        return Ok(refused(
            exit::USAGE,
            &"no dead letter is named. Name ids, or select by --source and so on, or say --all",
        ));
    }
    match letters.take(select.source.as_deref(), |letter| select.takes(letter)) {
        Ok(taken) if taken.letters == 0 => {
            Ok(refused(exit::USAGE, &"no dead letter fits. See `tributary dead-letters list`"))
        }
        Ok(taken) => {
            writeln!(out, "{} dead letters are dropped; {} bytes are free", taken.letters, taken.bytes)?;
            Ok(exit::OK)
        }
        Err(error) => Ok(told(&error)),
    }
}
