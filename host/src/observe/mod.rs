//! What the host says about itself.

mod logging;
mod repeats;

pub use logging::{LogFormat, init_logging};
pub use repeats::Repeats;
