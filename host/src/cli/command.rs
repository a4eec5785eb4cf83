//! From the process's arguments to its exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use super::validate::{Refusal, validate};
use super::{Cli, Verb, audit, check, dead_letters, describe, exit, replay, restart, run, state, status};
use crate::observe::init_logging;
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
    if let Err(error) = init_logging(&cli.log_level, cli.log_format) {
        eprintln!("tributary: {error}");
        return exit::USAGE;
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
        Verb::Validate(arguments) => with_host(&runtime, |host| {
            let mut plan_for = |source: &_| {
                let planned = runtime.block_on(host.plan(source));
                match planned {
                    Ok(planned) => Ok(format!("{} streams", planned.plan.streams.len())),
                    Err(error) => Err(Refusal { message: error.reason.to_string(), hint: None }),
                }
            };
            validate(&cli.config, arguments, &mut plan_for, &mut io::stdout())
        }),
        Verb::Audit(arguments) => audit::audit(&cli.config, arguments, &runtime, &mut io::stdout().lock()),
        Verb::DeadLetters(arguments) => {
            dead_letters::dead_letters(&cli.config, arguments, &runtime, &mut io::stdout().lock())
        }
        Verb::State(arguments) => state::state(&cli.config, arguments, &runtime, &mut io::stdout().lock()),
        Verb::Status(arguments) => status::status(&cli.config, arguments, &runtime, &mut io::stdout().lock()),
        Verb::Replay(arguments) => replay::replay(&cli.config, arguments, &runtime, &mut io::stdout().lock()),
        Verb::Restart(arguments) => restart::restart(&cli.config, arguments, &runtime, &mut io::stdout().lock()),
        Verb::Describe(arguments) => with_host(&runtime, |host| {
            let mut out = io::stdout().lock();
            describe::describe(host.component(), arguments.format, &mut out)?;
            out.flush().map(|()| exit::OK)
        }),
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

fn with_host(runtime: &Runtime, act: impl FnOnce(&Host) -> io::Result<u8>) -> io::Result<u8> {
    match runtime.block_on(Host::load(Options::new(crate::COMPONENT))) {
        Ok(host) => act(&host),
        Err(error) => {
            eprintln!("tributary: {error}");
            Ok(exit::SOFTWARE)
        }
    }
}
