//! The sinks' tasks: each owns one sink, and hands it what is queued.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};

use super::Batch;
use super::commit::{Acknowledgement, Line, Lines, Parcel};
use crate::backoff::Backoff;
use crate::config::glob;
use crate::outside::Random;
use crate::sinks::{Sink, SinkError};
use crate::state::StreamKey;

/// How often an idle sink is asked to look after its files.
const IDLE: Duration = Duration::from_secs(1);

/// Bytes that a sink is given at once. More would only make a failed delivery repeat more.
const DELIVERY_BYTES: usize = 8 << 20;

/// How often the same trouble of a sink is logged.
const COMPLAINT: Duration = Duration::from_secs(60);

/// A batch on its way to one sink. The queue needs no bound of its own: what is in flight is bounded in bytes.
struct Delivery {
    batch: Arc<Batch>,
    acknowledgement: Acknowledgement,
}

/// All sinks. When it and all routes are gone, the sinks finish what is queued, and close.
#[derive(Clone)]
pub struct Pipeline {
    lines: Lines,
    outlets: Arc<[Outlet]>,
}

#[derive(Clone)]
struct Outlet {
    id: Arc<str>,
    inputs: Arc<[String]>,
    queue: UnboundedSender<Delivery>,
}

/// A sink, and the sources that it takes: ids, in which `*` stands for any characters.
pub struct Attached {
    pub id: String,
    pub inputs: Vec<String>,
    pub sink: Box<dyn Sink>,
}

impl Outlet {
    fn takes(&self, source: &str) -> bool {
        self.inputs.iter().any(|input| glob(input, source))
    }
}

/// The way of one stream's chunks: to the sinks that take its source, then to the committer.
pub struct Route {
    line: Line,
    outlets: Vec<Outlet>,
}

/// The task of one sink.
pub struct SinkTask {
    id: Arc<str>,
    sink: Box<dyn Sink>,
    queue: UnboundedReceiver<Delivery>,
    random: Random,
}

impl Pipeline {
    /// The pipeline, and the tasks that its sinks run in.
    pub fn new(lines: Lines, sinks: Vec<Attached>, random: &Random) -> (Self, Vec<SinkTask>) {
        let (mut outlets, mut tasks) = (Vec::new(), Vec::new());
        for Attached { id, inputs, sink } in sinks {
            let (sender, queue) = unbounded_channel();
            let id: Arc<str> = id.into();
            tasks.push(SinkTask { id: Arc::clone(&id), sink, queue, random: random.fork() });
            outlets.push(Outlet { id, inputs: inputs.into(), queue: sender });
        }
        (Self { lines, outlets: outlets.into() }, tasks)
    }

    pub fn route(&self, key: StreamKey) -> Route {
        let outlets = self.outlets.iter().filter(|outlet| outlet.takes(&key.source)).cloned().collect();
        Route { line: self.lines.line(key), outlets }
    }
}

impl Route {
    /// Sends a chunk on its way.
    pub fn send(&mut self, mut parcel: Parcel, batch: Batch) {
        let empty = batch.is_empty();
        let batch = Arc::new(batch);
        let outlets = if empty { &[] } else { self.outlets.as_slice() };
        for outlet in outlets {
            parcel.commit.counts.delivered.insert(outlet.id.to_string(), batch.events.len() as u64);
        }
        let acknowledgements = self.line.announce(parcel, outlets.len());
        for (outlet, acknowledgement) in outlets.iter().zip(acknowledgements) {
            let delivery = Delivery { batch: Arc::clone(&batch), acknowledgement };
            // A sink's task ends only when the host is killed.
            let _ = outlet.queue.send(delivery);
        }
    }
}

impl SinkTask {
    /// Delivers until nobody is left who could send, then closes the sink.
    pub async fn run(mut self) {
        let mut complaint = Complaint::default();
        loop {
            match timeout(IDLE, self.queue.recv()).await {
                Ok(Some(first)) => self.deliver(first, &mut complaint).await,
                Ok(None) => break,
                Err(_) => {
                    if let Err(error) = self.sink.idle().await {
                        complaint.say(&self.id, &error, IDLE);
                    }
                }
            }
        }
        if let Err(error) = self.sink.close().await {
            tracing::error!(sink = %self.id, "the sink did not close: {error}");
        }
    }

    async fn deliver(&mut self, first: Delivery, complaint: &mut Complaint) {
        let mut size = first.batch.len();
        let (mut batches, mut acknowledgements) = (vec![first.batch], vec![first.acknowledgement]);
        while size < DELIVERY_BYTES
            && let Ok(delivery) = self.queue.try_recv()
        {
            size += delivery.batch.len();
            batches.push(delivery.batch);
            acknowledgements.push(delivery.acknowledgement);
        }
        let mut backoff = Backoff::default();
        while let Err(error) = self.sink.deliver(&batches).await {
            let wait = backoff.next(&self.random);
            complaint.say(&self.id, &error, wait);
            sleep(wait).await;
        }
        complaint.over(&self.id);
        acknowledgements.into_iter().for_each(Acknowledgement::acknowledge);
    }
}

/// Says trouble when it begins, when it changes, and now and then while it lasts.
#[derive(Default)]
struct Complaint {
    last: Option<(Instant, SinkError)>,
}

impl Complaint {
    fn say(&mut self, sink: &str, error: &SinkError, retry_in: Duration) {
        if self.last.as_ref().is_some_and(|(at, last)| last == error && at.elapsed() < COMPLAINT) {
            return;
        }
        tracing::error!(%sink, ?retry_in, "the sink does not take events; positions stand still: {error}");
        self.last = Some((Instant::now(), error.clone()));
    }

    fn over(&mut self, sink: &str) {
        if self.last.take().is_some() {
            tracing::info!(%sink, "the sink takes events again");
        }
    }
}
