//! From a worker's chunks to the sinks.

mod batch;

pub use batch::{Batch, EventId, Head, Origin};
