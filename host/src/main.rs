//! The command `tributary`.

use std::process::ExitCode;

/// Thousands of tenants leave small things between the large buffers of their polls, and the system's allocator keeps
/// the holes: with a thousand of them it held four times what is in use (`cargo bench --bench density`).
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tributary_host::cli::main()
}
