//! Secrets stay where they belong: not in what the host writes or says, not in its memory longer than they are used, and not
//! within reach of other processes.

mod memory;
mod needles;
mod protection;
mod scan;
mod site;
mod verbs;

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
