//! One try to deliver, for what no position waits for.

use std::collections::VecDeque;
use std::sync::Arc;

use super::load::{Gatherer, Load};
use crate::deliver::Batch;
use crate::sinks::{Retry, Sink, SinkError, Verdict};

/// Delivers `batches` as the sink's terms want them, and says what became of the events that were not simply stored, with
/// the index of their batch.
///
/// # Errors
/// At the first delivery that fails. Those before it are stored.
pub async fn deliver_once(sink: &dyn Sink, batches: &[Arc<Batch>]) -> Result<Vec<(usize, Verdict)>, SinkError> {
    let terms = sink.terms();
    let mut gatherer = Gatherer::new(terms);
    for (number, batch) in batches.iter().enumerate() {
        gatherer.add(number as u64, batch, sink);
    }
    let mut loads: VecDeque<Load> = gatherer.drain().into();
    let mut answers = Vec::new();
    while let Some(load) = loads.pop_front() {
        match sink.deliver(&load.batches).await {
            Ok(some) => {
                let known = some.into_iter().filter(|answer| answer.batch < load.tickets.len());
                answers.extend(known.map(|answer| (load.tickets[answer.batch] as usize, answer.verdict)));
            }
            Err(error) if error.retry == Retry::Smaller && load.events() > 1 => {
                load.halves(terms.overhead).into_iter().rev().for_each(|half| loads.push_front(half));
            }
            Err(error) if error.retry == Retry::Smaller => {
                answers
                    .extend(load.tickets.iter().map(|ticket| (*ticket as usize, Verdict::Refused(error.to_string()))));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answers)
}
