//! `tributary completion`: a script that completes the command line in a shell.

use std::io::{self, Write};

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::{Cli, exit};

#[derive(Debug, Args)]
pub struct Completion {
    /// For which shell
    #[arg(value_name = "SHELL")]
    pub shell: CompletionShell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompletionShell {
    Bash,
    Zsh,
    Fish,
}

/// Writes the script; returns the exit code. Errors are those of writing to `out`.
pub fn completion(arguments: &Completion, out: &mut impl Write) -> io::Result<u8> {
    let shell = match arguments.shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
    };
    // What it writes to must not fail, so it goes by way of memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tributary", &mut script);
    out.write_all(&script)?;
    out.flush().map(|()| exit::OK)
}
