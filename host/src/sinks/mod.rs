//! Where events go. One file a sink.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::deliver::Batch;

/// A destination. One task owns it and hands it batches in order.
pub trait Sink: Send {
    /// Takes all of `batches`, or none that it does not say: returns only when every event is stored as durably as this
    /// sink can. An error means that any of them may be missing; the same batches come again.
    fn deliver<'a>(&'a mut self, batches: &'a [Arc<Batch>]) -> SinkFuture<'a>;

    /// Called while nothing arrives, about once a second: time to rotate by age.
    fn idle(&mut self) -> SinkFuture<'_>;

    /// Finishes what is open; nothing is delivered afterwards.
    fn close(&mut self) -> SinkFuture<'_>;
}

pub type SinkFuture<'a> = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send + 'a>>;

/// Why a sink did not take a batch, and what the operator should do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", hint.as_ref().map(|hint| format!(". {hint}")).unwrap_or_default())]
pub struct SinkError {
    pub message: String,
    pub hint: Option<String>,
}
