//! Deliveries that come to their end in parts: halves of what was too long, and what was to come again. What is refused of
//! one is judged by the share of all of it, however small the part in which it was found.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::load::Load;
use super::refusals::Refusals;
use crate::deliver::Batch;
use crate::sinks::SinkError;

/// Those that are under way, by the number that their loads bear.
#[derive(Default)]
pub struct Wholes {
    next: u64,
    open: BTreeMap<u64, Whole>,
}

/// One delivery.
struct Whole {
    /// Events that it had at first.
    events: usize,
    /// Of these nobody knows yet.
    left: usize,
    /// What was refused of it, and is neither held nor given up yet.
    refused: Vec<Refused>,
    /// Why it is held, until something more of it is taken.
    held: Option<SinkError>,
}

/// Events of one batch that were refused for good.
pub struct Refused {
    pub ticket: u64,
    pub batch: Arc<Batch>,
    /// One an event.
    pub reasons: Vec<String>,
}

/// What comes of refused events.
pub enum Judgement {
    /// They are given up: the delivery has come to its end.
    GiveUp(Vec<Refused>),
    /// Too many were refused: they are to be given again.
    Hold(Vec<Refused>, SinkError),
    /// Nobody knows before the other parts of the delivery have been answered.
    Wait,
}

impl Wholes {
    /// The delivery that `load` is of comes to its end in parts.
    pub fn split(&mut self, load: &mut Load) {
        self.of(load);
    }

    /// So many events of a load were taken, and these were refused; the others come again.
    pub fn answered(
        &mut self,
        load: &mut Load,
        taken: usize,
        refused: Vec<Refused>,
        refusals: &mut Refusals,
    ) -> Judgement {
        if load.whole.is_none() && taken == load.events() {
            refusals.count(taken, 0);
            return Judgement::GiveUp(refused);
        }
        let count = |refused: &[Refused]| refused.iter().map(|refused| refused.reasons.len()).sum::<usize>();
        let (none, whole) = (refused.is_empty(), self.of(load));
        if taken > 0 {
            whole.held = None;
        }
        whole.left = whole.left.saturating_sub(taken + count(&refused));
        whole.refused.extend(refused);
        let (events, all) = (whole.events, count(&whole.refused));
        // As soon as it is certain: else a mistake of configuration would be made out for each of its events.
        if !none && (whole.held.is_some() || refusals.are_too_many(events, all)) {
            let first = whole.refused.first().and_then(|refused| refused.reasons.first());
            let first = first.map(String::as_str).unwrap_or_default();
            let error = whole.held.get_or_insert_with(|| held(all, events, first)).clone();
            whole.left += all;
            return Judgement::Hold(std::mem::take(&mut whole.refused), error);
        }
        if whole.left > 0 {
            return Judgement::Wait;
        }
        refusals.count(events, all);
        let whole = load.whole.take().and_then(|number| self.open.remove(&number));
        Judgement::GiveUp(whole.map(|whole| whole.refused).unwrap_or_default())
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.open.clear();
    }

    fn of(&mut self, load: &mut Load) -> &mut Whole {
        let number = *load.whole.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        let events = load.events();
        self.open.entry(number).or_insert_with(|| Whole { events, left: events, refused: Vec::new(), held: None })
    }
}

fn held(refused: usize, events: usize, first: &str) -> SinkError {
    let message = format!("it refuses {refused} of {events} events for good, the first so: {first}");
    let hint = "So many look like a mistake of configuration, so they are held: mend it here or there. If they are bad indeed, `max_refused_share = 1` lets them go to the dead letters";
    SinkError::new(message).hint(hint)
}
