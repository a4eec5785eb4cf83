//! Mimecast's logs as a WebAssembly component.
//!
//! A pure core in a thin shell: everything but `http` and the exports is values in, values out, and runs natively in
//! tests and benchmarks.
#![forbid(unsafe_code)]

pub mod chunk;
pub mod effects;
pub mod kind;
pub mod normalize;
pub mod record;
