//! Mimecast's log API as a deterministic state machine.
//!
//! [`Simulator::handle`] takes a request and the time as values and gives back an answer: no clock, no socket, no thread.
//! The same settings and the same requests at the same times give the same bytes. [`Server`] puts it on loopback.
//!
//! Served: access tokens, SIEM batch files and audit events of API 2.0; signed SIEM logs, audit events and discovery of
//! API 1.0; the account in both. What is not served answers 404.
//!
//! Every record carries a [`Mark`] in a value that survives normalization, and [`Simulator::truth`] lists the marks of all
//! records that a tenant has: a test looks for the marks in what came out and compares. [`Simulator::inject`] makes the
//! API misbehave in the ways of [`Fault`].
//!
//! Facts come from the reference of Mimecast's API; sections are named where a fact is used. All records are made up.
//!
//! ```
//! use mimecast_simulator::{Request, Settings, Simulator, Tenant};
//!
//! let settings = Settings { tenants: vec![Tenant::v2("acme", 5_000)], ..Settings::default() };
//! let now = settings.start_ms;
//! let mut simulator = Simulator::new(settings)?;
//! assert_eq!(simulator.handle(&Request::get("/siem/v1/batch/events/cg?type=receipt"), now).status, 401);
//! assert!(simulator.truth("acme", now).count() > 10_000);
//! # Ok::<(), mimecast_simulator::SettingsError>(())
//! ```

#![forbid(unsafe_code)]

mod account;
mod audit;
mod auth;
mod body;
mod cache;
mod control;
mod errors;
mod exchange;
mod fault;
mod kind;
mod plant;
mod publication;
mod quota;
mod random;
mod records;
mod serve;
mod settings;
mod siem1;
mod siem2;
mod simulator;
mod storage;
mod time;
mod truth;
mod zip;

pub use auth::signature;
pub use control::Unknown;
pub use exchange::{Request, Response};
pub use fault::{Endpoint, Fault, Reset, When};
pub use kind::{Generation, Kind};
pub use records::Mark;
pub use serve::{Clock, ManualClock, Server};
pub use settings::{ArchiveForm, Credentials, Quota, Settings, SettingsError, Tenant};
pub use simulator::{LogEntry, Simulator};
pub use time::Millis;
pub use truth::Issued;
