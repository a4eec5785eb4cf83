//! Where events go. One file a sink.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, SinkKind};
use crate::deliver::{Batch, Head, Origin};
use crate::outside::Outside;

mod copied;
mod encode;
pub(crate) mod file;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "object_store")]
mod object_store;
mod otlp;
mod stdout;
mod syslog;

pub use copied::copied;
pub use stdout::Stdout;

/// Makes the sink that the configuration describes. What a crash left of its earlier work is put in order first, so
/// this may take a while, and blocks. A remote sink is not asked whether it is there: that is its [check](Sink::check).
pub fn build(sink: &config::Sink, outside: &Outside) -> Result<Box<dyn Sink>, SinkError> {
    let id = &*sink.id;
    Ok(match &sink.kind {
        SinkKind::Stdout => Box::new(stdout::Stdout::default()),
        SinkKind::File(options) => Box::new(file::FileSink::open(options.clone())?),
        SinkKind::Http(options) | SinkKind::Vector(options) => Box::new(http::Http::new(id, options, outside)?),
        SinkKind::SplunkHec(options) => Box::new(http::SplunkHec::new(id, options, outside)?),
        SinkKind::Elasticsearch(options) => Box::new(http::Elasticsearch::new(id, options, outside)?),
        SinkKind::Sumo(options) => Box::new(http::Sumo::new(id, options, outside)?),
        SinkKind::Otlp(options) => Box::new(otlp::Otlp::new(id, options, outside)?),
        #[cfg(feature = "kafka")]
        SinkKind::Kafka(options) => Box::new(kafka::Kafka::new(options)?),
        #[cfg(feature = "nats")]
        SinkKind::Nats(options) => Box::new(nats::Nats::new(id, options)?),
        #[cfg(feature = "object_store")]
        SinkKind::ObjectStore(options) => Box::new(object_store::Objects::new(id, options, outside)?),
        #[cfg(not(feature = "kafka"))]
        SinkKind::Kafka(_) => return Err(not_built_in("kafka")),
        #[cfg(not(feature = "nats"))]
        SinkKind::Nats(_) => return Err(not_built_in("nats")),
        #[cfg(not(feature = "object_store"))]
        SinkKind::ObjectStore(_) => return Err(not_built_in("object_store")),
        SinkKind::Syslog(options) => Box::new(syslog::Syslog::new((**options).clone())?),
    })
}

/// For a type without whose feature this was built; such a configuration was refused.
#[cfg(not(all(feature = "kafka", feature = "nats", feature = "object_store")))]
fn not_built_in(feature: &str) -> SinkError {
    SinkError::new(format!("`{feature}` is not in this build"))
        .hint(format!("Build it in: cargo build --release --features {feature}"))
}

/// A destination.
///
/// One task owns it, cuts what comes into deliveries by the sink's [terms](Sink::terms), and gives each again until every
/// event of it is stored or refused for good. A sink itself neither waits before it tries again nor remembers what failed.
pub trait Sink: Send + Sync {
    /// How deliveries are to be cut: always the same.
    fn terms(&self) -> Terms {
        Terms::default()
    }

    /// Events of different groups are never in one delivery. Only asked of one whose terms say that it groups.
    fn group(&self, _origin: &Origin, _event: &Head) -> Option<Box<str>> {
        None
    }

    /// Delivers `batches`. An event that the answer does not name is stored as durably as this sink can. An error means
    /// that any of them may be missing: all come again, perhaps in other company.
    ///
    /// It may be called again before it has answered, as often as the terms allow. Dropped, it may have stored anything.
    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a>;

    /// Asks the far side whether it would take events, without giving it any. Called when the host starts, whose sources
    /// do not wait for it, and by `tributary check`.
    fn check(&self) -> SinkFuture<'_> {
        Box::pin(async { Ok(()) })
    }

    /// Whether it has anything to do while nothing arrives. One that has not is left asleep.
    fn idles(&self) -> bool {
        true
    }

    /// Called while nothing arrives, about once a second, of one that [idles](Sink::idles): time to rotate by age.
    fn idle(&self) -> SinkFuture<'_> {
        Box::pin(async { Ok(()) })
    }

    /// Finishes what is open; nothing is delivered afterwards.
    fn close(&self) -> SinkFuture<'_> {
        Box::pin(async { Ok(()) })
    }
}

/// How a sink wants its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Bytes in one delivery, of events with what the sink adds to each. A longer event goes alone.
    pub max_bytes: usize,
    /// Events in one delivery, at least one.
    pub max_events: usize,
    /// Bytes that the sink adds to each event.
    pub overhead: usize,
    /// How long an event waits for company. Zero: only as long as no delivery may begin.
    pub max_age: Duration,
    pub concurrency: Concurrency,
    /// Whether [`Sink::group`] is to be asked of each event.
    pub groups: bool,
}

impl Default for Terms {
    /// 8 MiB at once and in order, as soon as they come: more would only make a failed delivery repeat more.
    fn default() -> Self {
        Self {
            max_bytes: 8 << 20,
            max_events: usize::MAX,
            overhead: 0,
            max_age: Duration::ZERO,
            concurrency: Concurrency::Fixed(1),
            groups: false,
        }
    }
}

/// How many deliveries may be under way at the same time. With more than one, events may overtake each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    Fixed(usize),
    /// At most so many, fewer while the far side answers slowly or with trouble.
    Adaptive(usize),
}

/// What a delivery gives: of the events that were not simply stored, what became of them.
pub type DeliverFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<Answer>, SinkError>> + Send + 'a>>;

/// Of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Index into the batches of the delivery.
    pub batch: usize,
    /// Index into [`Batch::events`].
    pub event: usize,
    pub verdict: Verdict,
}

impl Answer {
    pub fn known(batch: usize, event: usize) -> Self {
        Self { batch, event, verdict: Verdict::Known }
    }

    /// `reason` is one sentence for people.
    pub fn refused(batch: usize, event: usize, reason: impl Into<String>) -> Self {
        Self { batch, event, verdict: Verdict::Refused(reason.into()) }
    }

    /// `refused` events of the delivery, of which this may be one. `reason` is one sentence for people.
    pub fn unsure(batch: usize, event: usize, refused: usize, reason: impl Into<String>) -> Self {
        Self { batch, event, verdict: Verdict::Unsure { refused, reason: reason.into() } }
    }

    pub fn again(batch: usize, event: usize, error: SinkError) -> Self {
        Self { batch, event, verdict: Verdict::Again(error) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The far side has had it before, and has it once.
    Known,
    /// Not now: it comes again, without those that were stored.
    Again(SinkError),
    /// It will never be taken, whenever the same event comes. It goes to the dead letters, with this sentence for people.
    Refused(String),
    /// It was taken or refused for good, and the far side does not say which: only how many of the delivery it refused. Given
    /// again it might be there twice, so it is not; it goes to the dead letters, with this sentence for people, and an
    /// operator may replay it. If too many were refused, what comes next waits.
    Unsure { refused: usize, reason: String },
}

pub type SinkFuture<'a> = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send + 'a>>;

/// Why a sink did not take a delivery, and what the operator should do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", hint.as_ref().map(|hint| format!(". {hint}")).unwrap_or_default())]
pub struct SinkError {
    pub message: String,
    pub hint: Option<String>,
    pub retry: Retry,
}

/// When the same events should come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Retry {
    /// After a while, which grows with each failure.
    #[default]
    Later,
    /// Not before the far side wants them.
    After(Duration),
    /// At once, in smaller deliveries: this one is longer than the far side takes, or holds an event that it refuses without
    /// a word about which. Of a single event it means that this is refused for good.
    Smaller,
}

/// What there is to do about what passes by itself.
const WAIT: &str = "Wait: the same events come again. If it stays, look at the log of what receives them";

impl SinkError {
    pub fn new(message: impl Into<String>) -> Self {
        SinkError { message: message.into(), hint: None, retry: Retry::Later }
    }

    /// What the operator should do next.
    pub fn next_step(&self) -> &str {
        self.hint.as_deref().unwrap_or(WAIT)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
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
        let (folder, outside) = (tempfile::tempdir().unwrap(), Outside::system());
        let options = |path: &std::path::Path| config::FileOptions {
            path: path.to_path_buf(),
            pattern: None,
            compression: config::Compression::None,
            max_bytes: 1,
            max_age: std::time::Duration::from_secs(1),
        };
        let sink = |kind| config::Sink {
            id: "x".into(),
            inputs: vec!["*".into()],
            acknowledgements: true,
            max_refused_share: 0.05,
            only: Default::default(),
            rules: Default::default(),
            kind,
        };
        build(&sink(SinkKind::Stdout), &outside).unwrap();
        let out = folder.path().join("out");
        let held = build(&sink(SinkKind::File(options(&out))), &outside).unwrap();
        let error = build(&sink(SinkKind::File(options(&out))), &outside).err().unwrap().to_string();
        assert!(error.contains("in use by another"), "{error}");
        drop(held);
        build(&sink(SinkKind::File(options(&out))), &outside).unwrap();
    }
}
