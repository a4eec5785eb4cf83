//! Mimecast's log API as a deterministic state machine.
//!
//! [`Simulator::handle`] takes a request and the time as values and gives back an answer: no clock, no socket, no thread.
//! The same settings and the same requests at the same times give the same bytes. [`Server`] puts it on loopback.
//!
//! Served in API 2.0: access tokens; SIEM events as batch files and as a stream, of Cloud Gateway and of Cloud
//! Integrated; releases of held messages; rejections. In API 1.0: signed SIEM logs and discovery. In both: audit events,
//! data loss prevention, held messages, the three TTP logs, threat feeds, the three archive logs, the account. What is not
//! served answers 404.
//!
//! [`Tenant::v2`] and [`Tenant::v1`] have SIEM records and audit events only; [`Tenant::with_every_stream`] gives records
//! to all streams, [`Tenant::rates`] to chosen ones.
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
mod endpoint;
mod errors;
mod exchange;
mod fault;
mod feed;
mod handed;
mod kind;
mod list;
mod list_query;
mod plant;
mod publication;
mod quota;
mod random;
mod rates;
mod records;
mod serve;
mod settings;
mod siem1;
mod siem2;
mod simulator;
mod storage;
mod stream;
mod time;
mod truth;
mod zip;

pub use auth::signature;
pub use control::Unknown;
pub use endpoint::Endpoint;
pub use exchange::{Request, Response};
pub use fault::{EmptyShape, Fault, Reset, When};
pub use kind::{Generation, Kind};
pub use rates::Rates;
pub use records::Mark;
pub use records::message::Calendar;
pub use serve::{Clock, ManualClock, Server};
pub use settings::{ArchiveForm, Credentials, Quota, Settings, SettingsError, Tenant};
pub use simulator::{LogEntry, Simulator};
pub use time::Millis;
pub use truth::Issued;
