//! The command line. One file a verb.

mod ask;
pub mod audit;
mod backlog;
pub mod check;
mod command;
pub mod completion;
pub mod dead_letters;
pub mod describe;
pub mod exit;
pub mod generate;
mod health;
mod moment;
pub mod place;
mod progress;
mod reload;
pub mod replay;
pub mod restart;
pub mod run;
pub mod schema;
pub mod state;
pub mod status;
mod supervisor;
pub mod tap;
pub mod test;
pub mod validate;
mod view;

pub use command::main;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::observe::LogFormat;

/// Collects logs from the services that a configuration names, and delivers every record once.
#[derive(Debug, Parser)]
#[command(name = "tributary", version, long_version = LONG_VERSION)]
#[command(propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 the ledger does not balance or a test failed or a dead letter stays, 64 wrong command line, 65 unusable input, 66 nothing there to read, 69 no host runs, 70 a fault of this program, 73 a file cannot be made, 74 damaged state or disk, 75 passing fault, 77 refused by the vendor or since the state is another user's, 78 wrong configuration."
)]
pub struct Cli {
    /// Configuration file: .toml, .yaml, .yml or .json
    #[arg(
        short,
        long,
        global = true,
        env = "TRIBUTARY_CONFIG",
        value_name = "FILE",
        value_hint = clap::ValueHint::FilePath,
        default_value = "/etc/tributary/tributary.toml",
        help_heading = GLOBAL
    )]
    pub config: PathBuf,

    /// What to log: off, error, warn, info, debug, trace, or directives such as info,hyper=debug
    #[arg(long, global = true, env = "TRIBUTARY_LOG", value_name = "LEVEL", default_value = "info", help_heading = GLOBAL)]
    pub log_level: String,

    /// How to write log lines, which go to standard error
    #[arg(long, global = true, env = "TRIBUTARY_LOG_FORMAT", value_name = "FORMAT", default_value = "text", help_heading = GLOBAL)]
    pub log_format: LogFormat,

    /// Let core files be written and debuggers attach: they show every secret
    #[arg(long, global = true, env = "TRIBUTARY_ALLOW_DEBUGGING", value_parser = BoolishValueParser::new(), help_heading = GLOBAL)]
    pub allow_debugging: bool,

    #[command(subcommand)]
    pub verb: Verb,
}

/// Over the options that every verb has.
const GLOBAL: &str = "Global options";

/// What was built, of what: the short version, then one line for each fact.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit: ",
    env!("TRIBUTARY_BUILD_COMMIT"),
    "\ncargo-lock-sha256: ",
    env!("TRIBUTARY_LOCK_SHA256"),
    "\ncomponent: mimecast ",
    env!("TRIBUTARY_COMPONENT_VERSION"),
    "\ncomponent-commit: ",
    env!("TRIBUTARY_COMPONENT_COMMIT"),
    "\ncomponent-cargo-lock-sha256: ",
    env!("TRIBUTARY_COMPONENT_LOCK_SHA256"),
    "\ncomponent-sha256: ",
    env!("TRIBUTARY_COMPONENT_SHA256"),
);

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Collect and deliver until stopped
    ///
    /// SIGTERM or SIGINT drains and stops; a second one stops at once. What was not acknowledged by then is read again
    /// at the next start. SIGHUP reads the configuration again and tries what stands still; a secret in a file is taken
    /// over when the file changes.
    Run(Run),
    /// Judge the configuration, without calling any service
    ///
    /// Prints a line for each step. Exits with 78 if one failed.
    Validate(Validate),
    /// Run the tests that stand in the configuration: which sinks get an event, and what of it
    ///
    /// No service is called and no secret asked for. Exits with 1 if a test failed, 66 if there is none.
    Test(test::Test),
    /// Try the credentials and one call for each stream, and store nothing
    ///
    /// Says what each refusal means and what to do. Exits with 75 for a passing fault, 77 if the service refuses the
    /// credentials or a right, 78 if the configuration is wrong.
    Check(Check),
    /// Show what was counted of each stream at each sink, and whether it balances
    ///
    /// Of a running host too. Exits with 1 if it does not balance.
    Audit(audit::Audit),
    /// Look after records that could not be read, and events that a sink refused for good
    DeadLetters(dead_letters::DeadLettersVerb),
    /// Read a span of a stream again, and deliver what of it was never delivered
    ///
    /// The running host does it, or this command alone if none runs. The stream's own position stays where it is. Stopped,
    /// it goes on with --resume. Exits with 75 if it could not come to the end.
    Replay(replay::Replay),
    /// Look after what the host remembers
    ///
    /// What only reads asks a running host; the rest is for when none runs.
    State(state::State),
    /// Show the streams of the running host: state, lag, and what is wrong
    ///
    /// Exits with 69 if no host runs.
    Status(status::Status),
    /// Show events of the running host as they pass, as lines of JSON
    ///
    /// Out of sources, after their own rules, or as sinks are given them. It slows nothing: what is not taken in time is
    /// skipped. Ctrl-C ends it. Exits with 69 if no host runs, or when it stops.
    Tap(tap::Tap),
    /// Wake the streams of a source of the running host, whatever they wait for
    ///
    /// They forget what was wrong, authenticate anew, and go on where they were. Exits with 69 if no host runs.
    Restart(restart::Restart),
    /// Say what a source is: its streams, their limits, the keys it takes, what it imports
    ///
    /// The built-in one, if no component is named.
    Describe(Describe),
    /// Print a configuration to begin with, with comments
    ///
    /// Or that of a Mimecast source of Sumo Logic: --from-sumo FILE. What has no counterpart stands in comments and on
    /// standard error. Exits with 65 if the file holds none, 66 if it cannot be read.
    Generate(generate::Generate),
    /// Print a JSON Schema of the whole configuration, with which an editor completes keys
    Schema(schema::Schema),
    /// Print a script that completes this command line in a shell
    Completion(completion::Completion),
}

#[derive(Debug, Args)]
pub struct Run {
    /// How long a graceful stop may take
    #[arg(long, env = "TRIBUTARY_GRACEFUL_SHUTDOWN_LIMIT_SECS", value_name = "SECONDS", default_value_t = 60)]
    pub graceful_shutdown_limit_secs: u64,
}

#[derive(Debug, Args)]
pub struct Validate {
    /// Configuration file, instead of --config
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,

    /// Leave out what depends on this machine: whether folders can be written
    #[arg(long)]
    pub no_environment: bool,

    /// Take what is wrong with files of customers for warnings: a reload goes on without their sources
    #[arg(long)]
    pub warn_on_files: bool,

    /// Fail on warnings too
    #[arg(long)]
    pub deny_warnings: bool,

    /// Write one JSON document: each step, with its problems and warnings
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Ids of the sources to check; all of them if none is named
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,

    /// Write one JSON document: the result of each stream and of each sink
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Describe {
    /// A component's file, or a folder of its versions, of which the newest is taken
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub component: Option<PathBuf>,

    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: DescribeFormat,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DescribeFormat {
    /// For people
    Text,
    /// Everything, with the JSON Schema of the configuration
    Json,
}

impl Cli {
    /// Reads the command line. If there is nothing to run, what there is to say has been printed, and the exit code is
    /// returned.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, u8> {
        Cli::parse(arguments).map_err(|error| match error.print().and_then(|()| io::stdout().flush()) {
            // Nothing can be done if a terminal is gone, but what was asked for has to arrive.
            Err(gone) if !error.use_stderr() && gone.kind() != io::ErrorKind::BrokenPipe => {
                eprintln!("tributary: standard output: {gone}");
                exit::IO
            }
            _ => exit_code(&error),
        })
    }

    fn parse(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Cli, clap::Error> {
        let mut command = Cli::command();
        let matches = command.try_get_matches_from_mut(arguments)?;
        let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        if let Verb::Validate(Validate { file: Some(file), .. }) = &cli.verb {
            // The environment's is only a default.
            if matches.value_source("config") == Some(ValueSource::CommandLine) {
                let text = "the file is named twice: name it alone or with --config";
                return Err(command.error(ErrorKind::ArgumentConflict, text));
            }
            cli.config.clone_from(file);
        }
        Ok(cli)
    }
}

fn exit_code(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => exit::OK,
        _ => exit::USAGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(line: &str) -> Result<Cli, u8> {
        Cli::parse(line.split(' ')).map_err(|error| exit_code(&error))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_stand_before_or_after_the_verb() {
        for line in
            ["tributary -c a.toml --log-format json validate", "tributary validate --config a.toml --log-format json"]
        {
            let cli = read(line).unwrap();
            assert_eq!((cli.config.as_path(), cli.log_format), (Path::new("a.toml"), LogFormat::Json));
            assert!(matches!(
                cli.verb,
                Verb::Validate(Validate {
                    file: None,
                    no_environment: false,
                    warn_on_files: false,
                    deny_warnings: false,
                    json: false
                })
            ));
        }
        let Verb::Check(check) = read("tributary check acme other").unwrap().verb else { panic!() };
        assert_eq!(check.sources, ["acme", "other"]);
    }

    #[test]
    fn validate_takes_the_file_alone_too() {
        for line in ["tributary validate a.toml --json", "tributary validate --json -c a.toml"] {
            assert_eq!(read(line).unwrap().config, Path::new("a.toml"), "{line}");
        }
    }

    #[test]
    fn what_is_near_is_suggested() {
        for (line, near) in [("stats", "'status'"), ("run --gracefull-shutdown-limit-secs 1", "'--graceful-shutdown-")]
        {
            let error = Cli::parse(format!("tributary {line}").split(' ')).unwrap_err().to_string();
            assert!(error.contains(near), "{error}");
        }
    }

    #[test]
    fn the_options_of_a_verb_stand_apart_from_those_of_all() {
        for verb in ["run", "validate", "replay"] {
            let help = Cli::parse(["tributary", verb, "--help"]).unwrap_err().to_string();
            let (own, all) = help.split_once("Global options:").unwrap();
            for name in ["--config", "--log-level", "--log-format", "--allow-debugging"] {
                assert!(all.contains(name) && !own.contains(&format!("{name} ")), "{verb} {name}: {help}");
            }
            assert!(own.contains("Options:\n"), "{help}");
        }
    }

    #[test]
    fn exit_codes() {
        for (line, code) in [
            ("tributary --help", exit::OK),
            ("tributary run --help", exit::OK),
            ("tributary --version", exit::OK),
            ("tributary", exit::USAGE),
            ("tributary runn", exit::USAGE),
            ("tributary run --no-such-flag", exit::USAGE),
            ("tributary run --log-format xml", exit::USAGE),
            ("tributary validate a.toml -c b.toml", exit::USAGE),
            ("tributary -c b.toml validate a.toml", exit::USAGE),
        ] {
            assert_eq!(read(line).unwrap_err(), code, "{line}");
        }
    }
}
