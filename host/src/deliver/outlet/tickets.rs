//! Which chunks a sink still owes an answer for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Delivery;
use crate::deliver::commit::Acknowledgement;
use crate::deliver::{Batch, Head, Origin};
use crate::state::{DeadLetter, Refused};

/// Chunks by ticket, in the order in which they came.
#[derive(Default)]
pub struct Tickets {
    next: u64,
    open: BTreeMap<u64, Open>,
}

struct Open {
    acknowledgement: Acknowledgement,
    /// Events without an answer.
    left: usize,
    /// Bytes that it keeps in memory.
    held: usize,
    letters: Vec<DeadLetter>,
}

impl Tickets {
    pub fn open(&mut self, delivery: Delivery) -> (u64, Arc<Batch>) {
        let Delivery { batch, letters, acknowledgement } = delivery;
        let ticket = self.next;
        self.next += 1;
        let (left, held) = (batch.events.len(), batch.held());
        self.open.insert(ticket, Open { acknowledgement, left, held, letters });
        (ticket, batch)
    }

    /// Notes the answers for so many events, and acknowledges the chunk with its last; gives the bytes that are free then.
    pub fn answered(&mut self, ticket: u64, events: usize, letters: Vec<DeadLetter>) -> usize {
        let Some(open) = self.open.get_mut(&ticket) else { return 0 };
        open.left = open.left.saturating_sub(events);
        open.letters.extend(letters);
        if open.left > 0 {
            return 0;
        }
        let Some(open) = self.open.remove(&ticket) else { return 0 };
        open.acknowledgement.acknowledge(open.letters);
        open.held
    }

    /// Nothing more will be answered: what has no answer yet is lost; gives the bytes that are free then.
    pub fn lose(&mut self) -> usize {
        let lost = std::mem::take(&mut self.open).into_values();
        lost.map(|open| {
            open.acknowledgement.lose(open.left, open.letters);
            open.held
        })
        .sum()
    }
}

/// What is kept of an event that `sink` refused.
pub fn letter(sink: &str, batch: &Batch, head: &Head, reason: String, at_ms: u64) -> DeadLetter {
    let Origin { source, tenant, stream } = &batch.origin;
    let refused = Refused {
        sink: sink.to_owned(),
        tenant: tenant.to_string(),
        event: head.id,
        time: head.time,
        kind: head.kind,
        class: head.class,
        severity: head.severity,
        alert_key: head.alert_key,
    };
    let body = &batch.bodies[head.begin as usize..head.end as usize];
    DeadLetter::refused(at_ms, &**source, &**stream, reason, refused, body)
}
