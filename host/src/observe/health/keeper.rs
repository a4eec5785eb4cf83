//! Who brings health events into the store.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{Health, Told};
use crate::backoff::Backoff;
use crate::deliver::{Storage, blocking};
use crate::outside::Random;
use crate::state::HealthRow;

/// What happens within this time is written together. Where nothing happens nothing is written.
const TOGETHER: Duration = Duration::from_secs(2);

/// See the module. [`Keeper::run`] is its task.
pub struct Keeper {
    health: Health,
    storage: Arc<dyn Storage>,
    random: Random,
}

impl Keeper {
    pub fn new(health: Health, storage: Arc<dyn Storage>, random: Random) -> Self {
        Self { health, storage, random }
    }

    /// Keeps events until [`Health::close`], and then the last ones.
    pub async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            let closed = self.is_closed();
            let events = self.health.take_unsaved();
            if events.is_empty() {
                if closed {
                    return;
                }
                self.health.0.wake.notified().await;
                self.wait(TOGETHER).await;
                continue;
            }
            let rows: Vec<HealthRow> = events
                .iter()
                .map(|event| HealthRow { source: Arc::clone(&event.source), json: event.json.clone() })
                .collect();
            match blocking(&self.storage, move |storage| storage.keep_health(&rows)).await {
                Ok(()) => {
                    backoff.reset();
                    self.health.forget_unwatched();
                }
                Err(error) if closed => {
                    tracing::warn!(events = events.len(), "the last health events cannot be kept: {error}");
                    return;
                }
                Err(error) => {
                    self.health.give_back_unsaved(events);
                    let wait = backoff.next(&self.random).max(TOGETHER);
                    tracing::warn!(retry_in = ?wait, "health events cannot be kept, and stay in memory: {error}");
                    self.wait(wait).await;
                }
            }
        }
    }

    /// Waits for `time`, or until the end has come.
    async fn wait(&self, time: Duration) {
        let closed = async {
            while !self.is_closed() {
                self.health.0.wake.notified().await;
            }
        };
        tokio::select! {
            biased;
            () = closed => {}
            () = sleep(time) => {}
        }
    }

    fn is_closed(&self) -> bool {
        self.health.book().closed
    }
}

impl Health {
    fn take_unsaved(&self) -> Vec<Arc<Told>> {
        self.book().sources.values_mut().flat_map(|watched| watched.unsaved.drain(..)).collect()
    }

    fn give_back_unsaved(&self, events: Vec<Arc<Told>>) {
        let mut book = self.book();
        for event in events.into_iter().rev() {
            if let Some(watched) = book.sources.get_mut(&event.source) {
                watched.unsaved.push_front(event);
                watched.bound();
            }
        }
    }
}
