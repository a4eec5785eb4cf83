//! Handing on what a pull read.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Worker;
use crate::deliver::{Batch, EventId, Flight, Head, Parcel, Progress, Room};
use crate::observe::Place;
use crate::sandbox::{self, Chunk, Malformed, Next};
use crate::state::{Commit, Counts, DeadLetter, Gap, Pieces};

impl Worker {
    /// Hands a chunk on, without what was seen before.
    pub(super) async fn accept(&mut self, chunk: Chunk, mut room: Room) {
        let moved = self.moves(&chunk.position);
        self.judge.succeeded();
        self.care.succeeded(moved);
        self.lost = None;
        let caught_up = chunk.next == Next::CaughtUp;
        self.entry.health().progress(&self.account.id, &Place::Stream(Arc::clone(&self.origin.stream)), caught_up);
        let newest = chunk.events.iter().map(|event| event.time).max();
        let at_ms = self.around.clock.millis();
        for gap in &chunk.gaps {
            tracing::warn!(source = %self.key.source, stream = %self.key.stream, begin = gap.begin, end = gap.end, "gap: {}: {}", gap.what, gap.reason);
        }
        let counts = Counts {
            records: chunk.records.into(),
            events: chunk.events.len() as u64,
            malformed: chunk.malformed.len() as u64,
            merged: chunk.merged.into(),
            gaps: chunk.gaps.len() as u64,
            pieces: Pieces {
                listed: chunk.pieces.listed.into(),
                fetched: chunk.pieces.fetched.into(),
                gone: chunk.pieces.gone.into(),
            },
            ..Counts::default()
        };
        // The end of a replay is stored, whatever it brought.
        let ends = caught_up && self.replay.is_some();
        if !moved && !ends && counts == Counts::default() {
            self.entry.update(|status| status.progress(&counts, newest, caught_up, at_ms));
            self.after_reading();
            return;
        }
        let heads = chunk.events.len() * size_of::<Head>();
        let malformed: usize = chunk.malformed.iter().map(|malformed| malformed.head.len()).sum();
        room.fit(chunk.bodies.len() + heads + malformed + chunk.position.len());
        let (events, flight) = self.unseen(chunk.events).await;
        let turn = self.route.turn(&events).await;
        let accepted = events.len() as u64;
        let counts = Counts { repeated: counts.events - accepted, accepted, ..counts };
        let dead_letters = chunk
            .malformed
            .into_iter()
            .map(|Malformed { reason, head, size }| {
                DeadLetter::malformed(at_ms, &*self.origin.source, &*self.origin.stream, reason, head, size)
            })
            .collect();
        let gaps: Vec<Gap> = chunk
            .gaps
            .into_iter()
            .map(|sandbox::Gap { what, begin, end, reason }| Gap { what, begin, end, reason, at_ms })
            .collect();
        let gap_nanos = gaps.iter().map(Gap::nanos).fold(0, u64::saturating_add);
        let mut position = (moved || ends).then(|| chunk.position.clone());
        if let Some(replay) = &self.replay {
            replay.found(&gaps);
            position = position.map(|position| replay.mark(&position, caught_up));
        }
        gaps.iter().for_each(|gap| self.entry.health().gap(&self.account.id, &self.origin.stream, gap));
        let seen_for = Duration::from_millis(self.stream.repeats_within_ms);
        let commit = Commit {
            key: self.key.clone(),
            tenant: self.origin.tenant.to_string(),
            position,
            counts: counts.clone(),
            seen: if self.forgets() { Vec::new() } else { events.iter().map(|event| event.id).collect() },
            seen_for,
            gaps,
            partly: None,
            alerts: Default::default(),
            at_ms,
        };
        self.reach.set(Some(chunk.position));
        self.entry.update(|status| {
            status.in_flight += 1;
            status.rate.count(counts.accepted, at_ms);
            if counts.accepted > 0 {
                status.hours.heard(at_ms);
            }
            status.progress(&counts, newest, caught_up, at_ms);
            status.gap_nanos = status.gap_nanos.saturating_add(gap_nanos);
        });
        self.standstill.sent();
        self.after_reading();
        let (entry, standstill) = (self.entry.clone(), self.standstill.clone());
        let report = Box::new(move |progress: Progress<'_>| match progress {
            Progress::Stored(counts) => {
                standstill.stored();
                entry.update(|status| {
                    status.stored.add(counts);
                    status.in_flight = status.in_flight.saturating_sub(1);
                    status.held = None;
                });
            }
            Progress::Held(why) => entry.update(|status| status.held = Some(why.to_owned())),
        });
        let batch = Batch { origin: self.origin.clone(), bodies: chunk.bodies, events };
        self.route.send(Parcel { commit, dead_letters, room, flight, caught_up, report }, batch, turn);
    }

    /// Whether no record of the stream is read twice, so that nothing need be remembered. A replay remembers for itself.
    fn forgets(&self) -> bool {
        self.stream.repeats_within_ms == 0 && self.replay.is_none()
    }

    /// The events that were not seen before: not in this chunk, not on their way, not stored.
    async fn unseen(&self, mut events: Vec<Head>) -> (Vec<Head>, Flight) {
        let mut chunk = HashSet::with_capacity(events.len());
        events.retain(|event| chunk.insert(event.id));
        if self.forgets() || events.is_empty() {
            return (events, self.reach.ids.depart(Vec::new()));
        }
        // What is on its way is asked first: an id that is stored meanwhile is found by the second question.
        events.retain(|event| !self.reach.ids.contains(event.id));
        let mut key = self.key.clone();
        if let Some(replay) = self.replay.as_ref().filter(|replay| !replay.span.all) {
            // The stream's worker does not ask about a replay in turn: its position could pass what a crash then takes
            // from the replay. So a record that both read at once is delivered twice.
            events.retain(|event| !replay.others.contains(event.id));
            key = replay.of.clone();
        }
        let ids: Arc<[EventId]> = events.iter().map(|event| event.id).collect();
        let known = self.stored("the seen ids cannot be read", move |storage| storage.known(&key, &ids)).await;
        let mut known = known.into_iter();
        events.retain(|_| !known.next().unwrap_or(false));
        let flight = self.reach.ids.depart(events.iter().map(|event| event.id).collect());
        (events, flight)
    }
}
