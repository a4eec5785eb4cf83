//! The events of a delivery, one by one.

use std::sync::Arc;

use crate::deliver::{Batch, Head};
use crate::template::Template;

/// Each event with its batch, and where an answer for it goes: the indexes of its batch and of itself.
pub fn places(batches: &[Arc<Batch>]) -> impl Iterator<Item = ((usize, usize), &Batch, &Head)> {
    batches.iter().enumerate().flat_map(|(number, batch)| {
        batch.events.iter().enumerate().map(move |(event, head)| ((number, event), &**batch, head))
    })
}

/// The event's JSON, without its line feed.
pub fn body<'a>(batch: &'a Batch, head: &Head) -> &'a [u8] {
    let line = &batch.bodies[head.begin as usize..head.end as usize];
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// Bytes that templates may add to an event, at a guess: a place is seldom filled with more.
pub fn overhead<'a>(templates: impl IntoIterator<Item = &'a Template>) -> usize {
    templates.into_iter().map(|template| 64 + template.texts().map(str::len).sum::<usize>()).sum()
}
