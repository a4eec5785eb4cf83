//! The command `tributary`, for tests that start it as a process.

use std::process::ExitCode;

fn main() -> ExitCode {
    tributary_host::cli::main()
}
