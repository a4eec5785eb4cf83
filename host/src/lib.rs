//! The host: it schedules log sources, runs each in a sandbox, delivers what they read and remembers how far it came.
#![forbid(unsafe_code)]

mod backoff;
pub mod cli;
pub mod collect;
pub mod components;
pub mod config;
pub mod deliver;
mod fair;
mod host;
pub mod observe;
pub mod outside;
pub mod protect;
mod reload;
pub mod replay;
pub mod rules;
pub mod sandbox;
pub mod sinks;
pub mod state;
pub mod template;

/// The component that is built in.
pub const COMPONENT: &[u8] = include_bytes!(env!("TRIBUTARY_COMPONENT_FILE"));

pub use host::{Control, Host, Options, Planned, Ready, Running, SourceError, SourceReason, StartError};
pub use reload::{Reloaded, Reloader};
