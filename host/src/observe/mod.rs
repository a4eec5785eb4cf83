//! What the host says about itself.

pub mod access;
pub mod api;
pub mod estimate;
mod health;
mod lines;
mod live;
mod logging;
pub mod metrics;
pub mod page;
mod patient;
mod places;
mod repeats;
pub mod server;
mod sessions;
pub mod socket;
pub mod tcp;
pub mod terminal;
pub mod view;

pub use health::{
    Cause, HEALTH_KIND, Happening, Health, Heard, HostCode, Keeper, Listener, Place, Queue, Severity, Told, batches,
};
pub use logging::{LogFormat, init_logging};
pub use repeats::Repeats;
