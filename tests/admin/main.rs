//! The API of a running host, as an operator, a probe, a browser and a page of another site meet it; and `tributary tap`.

mod access;
mod check;
mod site;
mod tls;
mod watch;

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
