//! Sinks against the receivers that people run, and what arrived read back by somebody else.
//!
//! `.ci/receivers FOLDER` gets the programs; `TRIBUTARY_RECEIVERS=FOLDER` says where they are. A test whose program is
//! absent says so and is skipped, except in CI.

mod events;
mod files;
#[cfg(feature = "all-sinks")]
mod kafka;
#[cfg(feature = "all-sinks")]
mod nats;
#[cfg(feature = "all-sinks")]
mod objects;
mod otlp;
mod program;
mod query;
mod syslog;
