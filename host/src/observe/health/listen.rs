//! Whoever watches health events while they happen.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use super::{Book, Health, Queue, Told};

/// Events that may wait for one listener. Then the oldest are dropped, and counted.
const WAITING: usize = 1_000;

/// The latest events of all sources, which are kept in memory for whoever begins to listen.
const RECENT: usize = 500;

/// Those who listen, and what a new one is told first.
#[derive(Default)]
pub(super) struct Audience {
    listeners: Vec<Weak<Queue>>,
    recent: VecDeque<Arc<Told>>,
}

impl Audience {
    pub(super) fn hear(&mut self, told: &Arc<Told>) {
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Arc::clone(told));
        self.listeners.retain(|listener| match listener.upgrade() {
            Some(queue) => {
                queue.push(told);
                true
            }
            None => false,
        });
    }

    /// Wakes all, for there is nothing more to come.
    pub(super) fn end(&self) {
        self.listeners.iter().filter_map(Weak::upgrade).for_each(|queue| queue.wake());
    }
}

/// Hears each event from the moment that it was made.
pub struct Listener {
    health: Health,
    queue: Arc<Queue>,
}

/// What a listener hears.
pub struct Heard {
    /// Oldest first.
    pub events: Vec<Arc<Told>>,
    /// How many were lost before these: they came faster than they were taken.
    pub dropped: u64,
}

impl Health {
    /// A new listener, with the latest events before it: at most `recent`, of all sources or of one, oldest first. Those
    /// of earlier runs of the host are not among them.
    pub fn listen(&self, source: Option<&str>, recent: usize) -> (Listener, Vec<Arc<Told>>) {
        let mut book = self.book();
        let queue = Arc::new(Queue::new(WAITING));
        book.audience.listeners.push(Arc::downgrade(&queue));
        let wanted = |told: &&Arc<Told>| source.is_none_or(|source| *told.source == *source);
        let mut latest: Vec<_> = book.audience.recent.iter().rev().filter(wanted).take(recent).cloned().collect();
        latest.reverse();
        (Listener { health: self.clone(), queue }, latest)
    }

    fn is_over(&self) -> bool {
        self.book().closed
    }
}

impl Book {
    pub(super) fn over(&mut self) {
        self.closed = true;
        self.audience.end();
    }
}

impl Listener {
    /// Waits for the next events; `None` when the host has ended, and all were heard.
    pub async fn next(&self) -> Option<Heard> {
        loop {
            // Asked first: what was told before the end is still to be taken.
            let over = self.health.is_over();
            let (events, dropped) = (self.queue.take(), self.queue.take_dropped());
            if !events.is_empty() || dropped > 0 {
                return Some(Heard { events, dropped });
            }
            if over {
                return None;
            }
            self.queue.arrived().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::collect::StreamState;
    use crate::outside::Clock;

    fn health() -> Health {
        let health = Health::new(Clock::simulated(Duration::from_secs(1_000)));
        health.watch_unknown("a");
        health.watch_unknown("b");
        health
    }

    fn tell(health: &Health, source: &str, stream: &str) {
        health.state_changed(source, stream, StreamState::Pending, StreamState::Started, None);
    }

    fn streams(events: &[Arc<Told>]) -> Vec<String> {
        let stream = |told: &Arc<Told>| {
            let event: serde_json::Value = serde_json::from_slice(&told.json).unwrap();
            event["stream"].as_str().unwrap().to_owned()
        };
        events.iter().map(stream).collect()
    }

    #[tokio::test]
    async fn a_listener_is_told_what_was_and_then_what_is() {
        let health = health();
        ["1", "2", "3"].iter().for_each(|stream| tell(&health, "a", stream));
        tell(&health, "b", "4");
        let (listener, before) = health.listen(None, 2);
        assert_eq!(streams(&before), ["3", "4"]);
        assert_eq!(streams(&health.listen(Some("a"), 2).1), ["2", "3"]);
        tell(&health, "a", "5");
        let heard = listener.next().await.unwrap();
        assert_eq!((streams(&heard.events), heard.dropped), (vec!["5".to_owned()], 0));
        // The last one is heard, and then the end.
        tell(&health, "a", "6");
        health.close();
        assert_eq!(streams(&listener.next().await.unwrap().events), ["6"]);
        assert!(listener.next().await.is_none());
    }

    #[tokio::test]
    async fn who_is_slow_loses_the_oldest_and_is_told_and_nobody_else_waits() {
        let health = health();
        let (slow, _) = health.listen(None, 0);
        (0..WAITING + 3).for_each(|number| tell(&health, "a", &number.to_string()));
        let heard = slow.next().await.unwrap();
        assert_eq!((heard.events.len(), heard.dropped), (WAITING, 3));
        assert_eq!(streams(&heard.events)[0], "3");
        assert!(health.book().audience.recent.len() <= RECENT);
        // One that is gone is forgotten.
        drop(slow);
        tell(&health, "a", "x");
        assert!(health.book().audience.listeners.is_empty());
    }
}
