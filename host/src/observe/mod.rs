//! What the host says about itself.

mod health;
mod logging;
mod repeats;

pub use health::{Cause, HEALTH_KIND, Happening, Health, Keeper, Place, Queue, Severity, Told, batches};
pub use logging::{LogFormat, init_logging};
pub use repeats::Repeats;
