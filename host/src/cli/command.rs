//! From the process's arguments to its exit code.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use super::validate::validate;
use super::{
    Cli, Validate, Verb, audit, check, completion, dead_letters, describe, exit, generate, replay, restart, run,
    schema, state, status, tap, test,
};
use crate::config::{Config, Problem, Step};
use crate::host::{Known, unknown_names};
use crate::observe::init_logging;
use crate::protect::protect;
use crate::sandbox::LoadError;
use crate::{Host, Options};

/// Two threads carry thousands of streams, which wait for the network nearly all the time.
const THREADS: usize = 2;

/// Threads for what blocks: the disk, the names of hosts. Each keeps memory of its own, and where the disk is slow there
/// would be hundreds.
const BLOCKING_THREADS: usize = 64;

/// The command `tributary`, whole: another binary may be the same command by calling this alone.
pub fn main() -> ExitCode {
    ExitCode::from(match Cli::read(std::env::args_os()) {
        Ok(cli) => perform(&cli),
        Err(code) => code,
    })
}

fn perform(cli: &Cli) -> u8 {
    // Before the first secret is read.
    let protected = if cli.allow_debugging { Ok(()) } else { protect() };
    if let Err(error) = init_logging(&cli.log_level, cli.log_format) {
        eprintln!("tributary: {error}");
        return exit::USAGE;
    }
    if let Err(error) = protected {
        tracing::warn!("the system does not let this process refuse core files and debuggers: {error}");
    }
    let runtime = match Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tributary: the system gives no threads: {error}");
            return exit::SOFTWARE;
        }
    };
    let code = match &cli.verb {
        Verb::Run(arguments) => Ok(runtime.block_on(run::run(&cli.config, arguments))),
        Verb::Check(arguments) => check::check(&cli.config, arguments, &runtime, &mut io::stdout()),
        Verb::Validate(arguments) => validate_with_host(&cli.config, arguments, &runtime),
        Verb::Test(arguments) => test::test(&cli.config, arguments, &mut io::stdout().lock()),
        Verb::Audit(arguments) => audit::audit(&cli.config, arguments, &runtime, &mut io::stdout().lock()),
        Verb::DeadLetters(arguments) => {
            dead_letters::dead_letters(&cli.config, arguments, &runtime, &mut io::stdout().lock())
        }
        Verb::State(arguments) => state::state(&cli.config, arguments, &runtime, &mut io::stdout().lock()),
        Verb::Status(arguments) => status::status(&cli.config, arguments, &runtime, &mut io::stdout().lock()),
        Verb::Tap(arguments) => tap::tap(&cli.config, arguments, &runtime, &mut io::stdout().lock()),
        Verb::Replay(arguments) => replay::replay(&cli.config, arguments, &runtime, &mut io::stdout().lock()),
        Verb::Restart(arguments) => restart::restart(&cli.config, arguments, &runtime, &mut io::stdout().lock()),
        Verb::Generate(arguments) => generate::generate(arguments, &runtime, &mut io::stdout().lock()),
        Verb::Schema(arguments) => schema::schema(arguments, &runtime, &mut io::stdout().lock()),
        Verb::Completion(arguments) => completion::completion(arguments, &mut io::stdout().lock()),
        Verb::Describe(arguments) => describe::describe(arguments, &runtime, &mut io::stdout().lock()),
    };
    // A call that blocks, such as a write to a dead disk, must not keep the process.
    runtime.shutdown_background();
    match code {
        Ok(code) => code,
        // Whoever read the output has gone: nothing is wrong with it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::OK,
        Err(error) => {
            eprintln!("tributary: standard output: {error}");
            exit::IO
        }
    }
}

fn validate_with_host(path: &Path, arguments: &Validate, runtime: &Runtime) -> io::Result<u8> {
    // Made once the configuration has been read, as it runs: with its components, and room for what its sources may use.
    let (mut made, known) = (None, RefCell::new(Vec::new()));
    let mut plan_for = |config: &Config, source: &_| {
        let make = || {
            let options = Options::new(crate::COMPONENT).with_room_for(config);
            runtime.block_on(async { Ok(Host::load(options)?.with_components(config).await) })
        };
        let host: &Result<Host, LoadError> = made.get_or_insert_with(make);
        match host.as_ref().map(|host| runtime.block_on(host.plan(source))) {
            Ok(Ok(planned)) => {
                known.borrow_mut().push(Known::of(&planned));
                Ok(format!("{} streams", planned.plan.streams.len()))
            }
            Ok(Err(error)) => Err(error.problems()),
            Err(error) => Err(vec![Problem::new(Step::Sources, "", error.to_string())]),
        }
    };
    let unknown = |config: &_| unknown_names(config, &known.borrow());
    validate(path, arguments, &mut plan_for, &unknown, &mut io::stdout())
}
