//! From a worker's chunks to the sinks, and from their acknowledgements to the stored position.

mod alerts;
mod aside;
mod batch;
mod commit;
mod flight;
mod outlet;
mod passage;
mod pipeline;
mod storage;
mod tap;

pub use alerts::Alerts;
pub use batch::{Batch, EventId, Head, Origin};
pub use commit::{Acknowledgement, Committer, Line, Lines, Parcel, Progress, committer};
pub use flight::{Flight, Ids, Memory, Room, host_memory};
pub use outlet::{SinkBoard, SinkStatus, SinkTask, deliver_once};
pub use passage::Nature;
pub use pipeline::{Attached, Pipeline, Route};
pub use storage::{Disk, Storage, blocking};
pub use tap::{Joint, Seen, Selection, Sight, Tap, Taps};
