//! What the host says about itself.

pub mod api;
mod logging;
mod patient;
mod repeats;
pub mod server;
pub mod socket;
pub mod view;

pub use logging::{LogFormat, init_logging};
pub use repeats::Repeats;
