//! Every sink that speaks with a far side, in the real pipeline, against a far side that follows a script.

mod conformance;
mod dialects;
mod endpoints;
mod far;
mod feed;
mod local;
mod remote;
mod subject;
mod wire;
