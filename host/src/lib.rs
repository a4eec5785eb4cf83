//! The host: it schedules log sources, runs each in a sandbox, delivers what they read and remembers how far it came.
#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod deliver;
pub mod observe;
pub mod sinks;
pub mod state;
