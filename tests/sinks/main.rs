//! Every sink that speaks with a far side, in the real pipeline, against a far side that follows a script.

#[cfg(feature = "all-sinks")]
mod brokers;
mod conformance;
mod dialects;
mod endpoints;
mod far;
mod feed;
mod local;
mod pipe;
mod remote;
#[cfg(feature = "all-sinks")]
mod stores;
mod strangers;
mod subject;
mod wire;
