//! Health at one sink: its own trouble is told, and it gets the events if it asks for them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::config::{takes, takes_health};
use crate::observe::{Cause, Health, HostCode, Place, Queue, Told, batches};
use crate::outside::Random;
use crate::sinks::{Sink, SinkError, Verdict};

use super::once::deliver_once;

/// How often the same trouble is logged.
const COMPLAINT: Duration = Duration::from_secs(60);

/// See the module.
pub struct SinkHealth {
    sink: Arc<str>,
    inputs: Arc<[String]>,
    /// Whether positions wait for it.
    holds: bool,
    health: Health,
    /// Where events wait for it, if it asks for them.
    queue: Option<Arc<Queue>>,
    /// What it did not take: that comes again alone and unchanged, since far sides know a delivery again by all of it.
    failed: Option<Events>,
    backoff: Backoff,
    /// The trouble that it has had since it last took anything, and when that was logged.
    trouble: Option<(Instant, SinkError)>,
    /// Not before this, after it did not take them.
    again: Option<Instant>,
    /// Whether some are on their way.
    flying: bool,
    /// The trouble that it is in, for whoever asks.
    shown: Arc<Mutex<Option<String>>>,
}

impl SinkHealth {
    pub fn new(
        sink: Arc<str>,
        inputs: &[String],
        holds: bool,
        health: Health,
        shown: Arc<Mutex<Option<String>>>,
    ) -> Self {
        let queue = takes_health(inputs).then(|| health.queue());
        Self {
            sink,
            inputs: inputs.into(),
            holds,
            health,
            queue,
            failed: None,
            backoff: Backoff::default(),
            trouble: None,
            again: None,
            flying: false,
            shown,
        }
    }

    /// Tells that the sink does not take events, for each source that it takes.
    pub fn trouble(&mut self, error: &SinkError, retry_in: Duration) {
        self.show(Some(format!("{}. {}", error.message, error.next_step())));
        self.complain(error, retry_in);
        let message = format!("the sink does not take events; {}: {}", self.consequence(), error.message);
        let cause = Cause::host(HostCode::Sink, message, error.next_step());
        for source in self.sources() {
            self.health.trouble(&source, &Place::Sink(Arc::clone(&self.sink)), &cause, Some(retry_in));
        }
    }

    /// Logs that it does not: when it begins, when it changes, and now and then while it lasts.
    pub fn complain(&mut self, error: &SinkError, retry_in: Duration) {
        if self.trouble.as_ref().is_some_and(|(at, last)| last == error && at.elapsed() < COMPLAINT) {
            return;
        }
        tracing::error!(sink = %self.sink, ?retry_in, "the sink does not take events; {}: {}. {}", self.consequence(), error.message, error.next_step());
        self.trouble = Some((Instant::now(), error.clone()));
    }

    fn consequence(&self) -> &'static str {
        if self.holds { "positions stand still" } else { "no position waits for it" }
    }

    /// It takes them again.
    pub fn over(&mut self) {
        self.end("the sink takes events again");
    }

    /// What it did not take has its answer, and nothing waits for it any more.
    pub fn at_rest(&mut self) {
        self.end("nothing waits for the sink any more");
    }

    fn end(&mut self, said: &str) {
        if self.trouble.take().is_none() {
            return;
        }
        self.show(None);
        tracing::info!(sink = %self.sink, "{said}");
        for source in self.sources() {
            self.health.clear(&source, &Place::Sink(Arc::clone(&self.sink)));
        }
    }

    fn show(&self, trouble: Option<String>) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn sources(&self) -> Vec<Arc<str>> {
        self.health.sources(|source| takes(&self.inputs, source))
    }

    /// Waits until there are events that the sink may be given.
    pub async fn ready(&self) {
        let Some(queue) = self.queue.as_ref().filter(|_| !self.flying) else { return std::future::pending().await };
        if let Some(again) = self.again {
            sleep_until(again).await;
        }
        while self.failed.is_none() && queue.is_empty() {
            queue.arrived().await;
        }
    }

    /// What waits, if the sink may be given anything now. Nothing more until it is [settled](Self::settle).
    pub fn take(&mut self) -> Option<Events> {
        if self.flying || self.again.is_some_and(|again| again > Instant::now()) {
            return None;
        }
        self.again = None;
        let waiting = || Some(Events(self.queue.as_ref().filter(|queue| !queue.is_empty())?.take()));
        let events = self.failed.take().or_else(waiting)?;
        self.flying = true;
        Some(events)
    }

    /// How the delivery ended. What the sink did not take stays, and holds up nothing else.
    pub fn settle(&mut self, events: Events, result: Result<(), SinkError>, random: &Random) {
        if let Err(error) = self.settled(events, result) {
            let wait = self.backoff.next(random);
            self.again = Some(Instant::now() + wait);
            tracing::warn!(sink = %self.sink, retry_in = ?wait, "the sink does not take health events: {error}");
        }
    }

    /// The last try: of what it did not take, and of what has come since.
    pub async fn finish(&mut self, sink: &dyn Sink) {
        self.again = None;
        for _ in 0..2 {
            let Some(events) = self.take() else { return };
            let result = events.deliver(&self.sink, sink).await;
            if let Err(error) = self.settled(events, result) {
                tracing::warn!(sink = %self.sink, "the host ends, and the last health events are lost to the sink: {error}");
                return;
            }
        }
    }

    fn settled(&mut self, events: Events, result: Result<(), SinkError>) -> Result<(), SinkError> {
        self.flying = false;
        if let Err(error) = result {
            self.failed = Some(events);
            return Err(error);
        }
        self.backoff.reset();
        let Some(queue) = &self.queue else { return Ok(()) };
        let dropped = queue.take_dropped();
        if dropped > 0 {
            tracing::warn!(sink = %self.sink, dropped, "the sink takes health events again; the oldest were dropped. `tributary state show --health` has the last of each source");
        }
        Ok(())
    }
}

/// Health events on their way.
pub struct Events(Vec<Arc<Told>>);

impl Events {
    pub async fn deliver(&self, id: &str, sink: &dyn Sink) -> Result<(), SinkError> {
        let answers = deliver_once(sink, &batches(&self.0)).await?;
        let mut refused = 0;
        for (_, verdict) in answers {
            match verdict {
                Verdict::Known => {}
                Verdict::Again(error) => return Err(error),
                Verdict::Refused(reason) | Verdict::Unsure { reason, .. } => {
                    if refused == 0 {
                        tracing::warn!(sink = %id, "the sink refuses health events for good: {reason}");
                    }
                    refused += 1;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
