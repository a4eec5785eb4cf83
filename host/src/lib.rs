//! The host: it schedules log sources, runs each in a sandbox, delivers what they read and remembers how far it came.
#![forbid(unsafe_code)]

mod backoff;
pub mod collect;
pub mod config;
pub mod deliver;
pub mod outside;
pub mod sandbox;
pub mod sinks;
pub mod state;
