//! The host that runs log sources.
