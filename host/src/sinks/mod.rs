//! Where events go. One file a sink.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::{self, SinkKind};
use crate::deliver::Batch;

mod file;
mod stdout;

/// Makes the sink that the configuration describes. What a crash left of its earlier work is put in order first, so
/// this may take a while, and blocks.
pub fn build(sink: &config::Sink) -> Result<Box<dyn Sink>, SinkError> {
    match &sink.kind {
        SinkKind::Stdout => Ok(Box::new(stdout::Stdout::new())),
        SinkKind::File(options) => Ok(Box::new(file::FileSink::open(options.clone())?)),
    }
}

/// A destination. One task owns it and hands it batches in order.
pub trait Sink: Send {
    /// Takes all of `batches`: returns only when every event is stored as durably as this sink can, or is among those
    /// that it refuses for good, which must be the same whenever the same event comes. An error means that any of them
    /// may be missing; the same batches come again.
    fn deliver<'a>(&'a mut self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a>;

    /// Whether it has anything to do while nothing arrives. One that has not is left asleep.
    fn idles(&self) -> bool {
        true
    }

    /// Called while nothing arrives, about once a second, of one that [idles](Sink::idles): time to rotate by age.
    fn idle(&mut self) -> SinkFuture<'_>;

    /// Finishes what is open; nothing is delivered afterwards.
    fn close(&mut self) -> SinkFuture<'_>;
}

/// What a delivery gives: the events that are refused for good. They go to the dead letters.
pub type DeliverFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<Refusal>, SinkError>> + Send + 'a>>;

/// An event that a sink will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Index into the batches of the delivery.
    pub batch: usize,
    /// Index into [`Batch::events`].
    pub event: usize,
    /// One sentence for people.
    pub reason: String,
}

pub type SinkFuture<'a> = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send + 'a>>;

/// Why a sink did not take a batch, and what the operator should do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", hint.as_ref().map(|hint| format!(". {hint}")).unwrap_or_default())]
pub struct SinkError {
    pub message: String,
    pub hint: Option<String>,
}

impl SinkError {
    fn new(message: impl Into<String>) -> Self {
        SinkError { message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Runs blocking work of a sink on a thread for such work. It runs to its end even if nobody waits for it any more.
async fn blocking(work: impl FnOnce() -> Result<(), SinkError> + Send + 'static) -> Result<(), SinkError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(SinkError::new(format!("the sink broke off: {error}"))),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::deliver::{Head, Origin};

    /// A batch with one event a line.
    pub fn batch(tenant: &str, stream: &str, lines: &[&str]) -> Arc<Batch> {
        let origin = Origin { source: "source".into(), tenant: tenant.into(), stream: stream.into() };
        let mut bodies = Vec::new();
        let mut events = Vec::new();
        for line in lines {
            let begin = bodies.len() as u32;
            bodies.extend_from_slice(line.as_bytes());
            bodies.push(b'\n');
            let end = bodies.len() as u32;
            let id = u128::from(begin);
            events.push(Head { id, time: 0, kind: 0, class: 0, severity: 0, alert_key: None, begin, end });
        }
        Arc::new(Batch { origin, bodies: bodies.into(), events })
    }

    #[test]
    fn builds_what_the_configuration_says() {
        let folder = tempfile::tempdir().unwrap();
        let options = |path: &std::path::Path| config::FileOptions {
            path: path.to_path_buf(),
            compression: config::Compression::None,
            max_bytes: 1,
            max_age: std::time::Duration::from_secs(1),
        };
        let sink = |kind| config::Sink {
            id: "x".into(),
            inputs: vec!["*".into()],
            acknowledgements: true,
            rules: Default::default(),
            kind,
        };
        build(&sink(SinkKind::Stdout)).unwrap();
        let out = folder.path().join("out");
        let held = build(&sink(SinkKind::File(options(&out)))).unwrap();
        let error = build(&sink(SinkKind::File(options(&out)))).err().unwrap().to_string();
        assert!(error.contains("in use by another"), "{error}");
        drop(held);
        build(&sink(SinkKind::File(options(&out)))).unwrap();
    }
}
