//! What a sink says of the events of one delivery.

use std::collections::BTreeMap;

use super::load::Load;
use crate::sinks::{Answer, SinkError, Verdict};

/// Of an event in a delivery: the index of its batch, and its own in it.
type Place = (usize, usize);

/// What is not simply stored, by place.
#[derive(Default)]
pub struct Sorted {
    pub refused: BTreeMap<Place, String>,
    pub unsure: BTreeMap<Place, String>,
    /// How many of the unsure ones are refused.
    pub refused_of_unsure: usize,
    pub again: BTreeMap<Place, SinkError>,
}

impl Sorted {
    /// Of the sink's answers to `load`.
    pub fn new(sink: &str, load: &Load, answers: Vec<Answer>) -> Self {
        let mut sorted = Self::default();
        for Answer { batch, event, verdict } in answers {
            if load.batches.get(batch).is_none_or(|batch| batch.events.len() <= event) {
                tracing::error!(%sink, "the sink answers for an event that it was not given: {verdict:?}");
                continue;
            }
            let place = (batch, event);
            match verdict {
                Verdict::Known => {}
                Verdict::Again(error) => drop(sorted.again.insert(place, error)),
                Verdict::Refused(reason) => drop(sorted.refused.insert(place, reason)),
                Verdict::Unsure { refused, reason } => {
                    sorted.unsure.insert(place, reason);
                    sorted.refused_of_unsure = refused;
                }
            }
        }
        sorted
    }

    /// Whether the sink has it, as far as it says.
    pub fn is_taken(&self, place: Place) -> bool {
        !self.again.contains_key(&place) && !self.refused.contains_key(&place) && !self.unsure.contains_key(&place)
    }
}

/// What it says of one batch, by the event's index.
pub fn of_batch<T>(said: &BTreeMap<Place, T>, number: usize) -> impl Iterator<Item = (usize, &T)> {
    said.range((number, 0)..(number + 1, 0)).map(|((_, event), said)| (*event, said))
}
