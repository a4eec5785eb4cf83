//! From a worker's chunks to the sinks, and from their acknowledgements to the stored position.

mod batch;
mod commit;
mod flight;
mod pipeline;
mod sink_health;
mod storage;

pub use batch::{Batch, EventId, Head, Origin};
pub use commit::{Acknowledgement, Committer, Line, Lines, Parcel, Progress, committer};
pub use flight::{Flight, Ids, Memory, Room, host_memory};
pub use pipeline::{Attached, Pipeline, Route, SinkTask};
pub use storage::{Disk, Storage, blocking};
