//! What a guest may do: the engine that runs it, its limits, the hosts that it reaches.

mod bindings;
mod component;
mod convert;
mod egress;
mod engine;
mod guest;
mod limits;
mod meter;
mod notes;
mod provenance;
mod request_parts;
#[allow(dead_code)] // Only the build script adds sections.
mod sections;
mod state;
mod stderr;
#[cfg(test)]
mod tests;
mod transport;
mod types;

pub use component::{Component, LoadError};
pub(crate) use egress::address::holds_metadata;
pub use egress::{Egress, EgressMode, EgressSettings, HostPattern, Layer, PatternError, Refusal};
pub use engine::{Sandbox, Settings, tells_written_pages};
pub use guest::{Context, Guest};
pub use limits::{Limit, Limits};
pub use notes::{GuestUsage, NetworkCounts, Notebook, Notes};
pub use provenance::{Provenance, sha256};
pub use transport::{
    Body, Names, Network, NetworkError, RequestOptions, Resolving, Response, Sent, Sockets, Transport, TransportError,
    Way, look_up, tls_client,
};
pub use types::{
    Budget, Chunk, Descriptor, Fault, FaultClass, Gap, GuestError, Kind, LogStream, Malformed, Next, Pieces, Plan,
    Quota, Session, Start,
};
