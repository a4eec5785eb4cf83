//! What the host says about itself.

pub mod api;
mod health;
mod logging;
pub mod metrics;
mod patient;
mod repeats;
pub mod server;
pub mod socket;
pub mod view;

pub use health::{Cause, HEALTH_KIND, Happening, Health, Keeper, Place, Queue, Severity, Told, batches};
pub use logging::{LogFormat, init_logging};
pub use repeats::Repeats;
