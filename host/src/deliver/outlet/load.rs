//! Deliveries: how chunks are cut and gathered to what one sink takes at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use crate::deliver::{Batch, Head};
use crate::sinks::{Sink, Terms};

/// What a sink is given at once.
#[derive(Debug, Default)]
pub struct Load {
    pub batches: Vec<Arc<Batch>>,
    /// Where each of the batches comes from.
    pub tickets: Vec<u64>,
    /// The delivery that it is a part of, if it is not all of it.
    pub whole: Option<u64>,
    /// Whether it was refused, and is held.
    held: bool,
    bytes: usize,
    events: usize,
}

impl Load {
    pub fn events(&self) -> usize {
        self.events
    }

    /// Without events yet, of the same delivery as another.
    pub fn part(whole: Option<u64>) -> Self {
        Self { whole, ..Self::default() }
    }

    pub fn push(&mut self, ticket: u64, batch: Arc<Batch>, overhead: usize) {
        self.bytes += batch.len() + batch.events.len() * overhead;
        self.events += batch.events.len();
        self.batches.push(batch);
        self.tickets.push(ticket);
    }

    /// How many of `events` it has room for. One without any takes one, however long.
    fn room(&self, terms: &Terms, events: &[Head]) -> usize {
        let mut bytes = self.bytes;
        let most = terms.max_events.max(1) - self.events.min(terms.max_events.max(1));
        let fits = events.iter().take(most).take_while(|event| {
            bytes = bytes.saturating_add((event.end - event.begin) as usize + terms.overhead);
            bytes <= terms.max_bytes
        });
        let fits = fits.count();
        if self.events == 0 { fits.max(1) } else { fits }
    }

    fn is_full(&self, terms: &Terms) -> bool {
        self.bytes >= terms.max_bytes || self.events >= terms.max_events
    }

    /// Two deliveries of half its events each.
    pub fn halves(self, overhead: usize) -> [Load; 2] {
        let middle = self.events / 2;
        let mut halves = [Load::part(self.whole), Load::part(self.whole)];
        for (ticket, batch) in self.tickets.into_iter().zip(self.batches) {
            let left = middle.saturating_sub(halves[0].events).min(batch.events.len());
            let (first, second) = batch.events.split_at(left);
            if second.is_empty() {
                halves[0].push(ticket, batch, overhead);
            } else if first.is_empty() {
                halves[1].push(ticket, batch, overhead);
            } else {
                halves[0].push(ticket, Arc::new(batch.with(first.to_vec())), overhead);
                halves[1].push(ticket, Arc::new(batch.with(second.to_vec())), overhead);
            }
        }
        halves
    }
}

/// Gathers what comes for one sink to deliveries as its terms want them.
pub struct Gatherer {
    terms: Terms,
    open: BTreeMap<Option<Box<str>>, Open>,
    /// To be delivered, in this order.
    ready: VecDeque<Load>,
}

/// A delivery that waits for more.
struct Open {
    load: Load,
    since: Instant,
}

impl Gatherer {
    pub fn new(terms: Terms) -> Self {
        Self { terms, open: BTreeMap::new(), ready: VecDeque::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.ready.is_empty()
    }

    pub fn add(&mut self, ticket: u64, batch: &Arc<Batch>, sink: &dyn Sink) {
        if !self.terms.groups {
            return self.fill(None, ticket, batch);
        }
        let mut groups: BTreeMap<Option<Box<str>>, Vec<usize>> = BTreeMap::new();
        for (number, head) in batch.events.iter().enumerate() {
            groups.entry(sink.group(&batch.origin, head)).or_default().push(number);
        }
        for (group, numbers) in groups {
            if numbers.len() == batch.events.len() {
                self.fill(group, ticket, batch);
            } else {
                let events = numbers.into_iter().map(|number| batch.events[number].clone()).collect();
                self.fill(group, ticket, &Arc::new(batch.with(events)));
            }
        }
    }

    fn fill(&mut self, group: Option<Box<str>>, ticket: u64, batch: &Arc<Batch>) {
        let (terms, ready) = (&self.terms, &mut self.ready);
        let mut rest = batch.events.as_slice();
        let mut open = self.open.remove(&group);
        while !rest.is_empty() {
            let Open { mut load, since } =
                open.take().unwrap_or_else(|| Open { load: Load::default(), since: Instant::now() });
            let (now, later) = rest.split_at(load.room(terms, rest));
            rest = later;
            if now.len() == batch.events.len() {
                load.push(ticket, Arc::clone(batch), terms.overhead);
            } else if !now.is_empty() {
                load.push(ticket, Arc::new(batch.with(now.to_vec())), terms.overhead);
            }
            // What is left over has no room in it.
            if load.is_full(terms) || !rest.is_empty() {
                ready.push_back(load);
            } else {
                open = Some(Open { load, since });
            }
        }
        if let Some(open) = open {
            self.open.insert(group, open);
        }
    }

    /// When the next one is old enough, or is so already.
    pub fn due(&self) -> Option<Instant> {
        if !self.ready.is_empty() {
            return Some(Instant::now());
        }
        self.open.values().map(|open| open.since + self.terms.max_age).min()
    }

    /// The next delivery, if one is long or old enough.
    pub fn next(&mut self) -> Option<Load> {
        if let Some(load) = self.ready.pop_front() {
            return Some(load);
        }
        let oldest = self.open.iter().min_by_key(|(_, open)| open.since)?;
        if oldest.1.since + self.terms.max_age > Instant::now() {
            return None;
        }
        let group = oldest.0.clone();
        Some(self.open.remove(&group)?.load)
    }

    /// Nothing waits for company any more.
    pub fn flush(&mut self) {
        let mut open: Vec<Open> = std::mem::take(&mut self.open).into_values().collect();
        open.sort_by_key(|open| open.since);
        self.ready.extend(open.into_iter().map(|open| open.load));
    }

    /// Puts a delivery that failed before all others.
    pub fn put_back(&mut self, load: Load) {
        if load.events > 0 {
            self.ready.push_front(load);
        }
    }

    /// Puts what is held behind the other parts of its delivery: one of them may show that the far side takes events again.
    pub fn put_behind(&mut self, mut load: Load, overhead: usize) {
        let last = self.ready.iter().rposition(|other| other.whole == load.whole);
        match last.map(|last| &mut self.ready[last]) {
            Some(other) if other.held => {
                for (ticket, batch) in load.tickets.into_iter().zip(load.batches) {
                    other.push(ticket, batch, overhead);
                }
            }
            _ => {
                load.held = true;
                self.ready.insert(last.map_or(0, |last| last + 1), load);
            }
        }
    }

    /// Takes out everything.
    pub fn drain(&mut self) -> Vec<Load> {
        self.flush();
        std::mem::take(&mut self.ready).into()
    }
}

#[cfg(test)]
mod tests;
