//! What goes from a worker to the sinks: a chunk's bodies, and which of its events are to be delivered.

use std::sync::Arc;

use bytes::Bytes;

/// The first 128 bits of a record's hash, the same for the same record for ever.
pub type EventId = u128;

/// The head of one event, as the source gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub id: EventId,
    /// Nanoseconds since the Unix epoch, UTC.
    pub time: u64,
    /// Index into the source's kinds.
    pub kind: u32,
    /// Class of the body's schema; zero where the form has none.
    pub class: u32,
    /// 0 unknown, 1 informational, 2 low, 3 medium, 4 high, 5 critical, 6 fatal.
    pub severity: u8,
    pub alert_key: Option<EventId>,
    /// Where its line begins and ends in [`Batch::bodies`], line feed included.
    pub begin: u32,
    pub end: u32,
}

/// Where a batch came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    pub source: Arc<str>,
    pub tenant: Arc<str>,
    pub stream: Arc<str>,
}

/// Events of one chunk on their way to the sinks. Cheap to share: sinks read slices of the guest's own bytes.
#[derive(Debug, Clone)]
pub struct Batch {
    pub origin: Origin,
    /// NDJSON, as the source wrote it.
    pub bodies: Bytes,
    /// The events to deliver, ascending; what was seen before is not among them.
    pub events: Vec<Head>,
}

impl Batch {
    /// The bodies to deliver as few slices as possible: neighbours are one.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut events = self.events.iter().peekable();
        std::iter::from_fn(move || {
            let first = events.next()?;
            let mut end = first.end;
            while let Some(next) = events.next_if(|next| next.begin == end) {
                end = next.end;
            }
            Some(&self.bodies[first.begin as usize..end as usize])
        })
    }

    /// The same as pieces that share the chunk's memory.
    pub fn pieces(&self) -> impl Iterator<Item = Bytes> {
        self.slices().map(|slice| self.bodies.slice_ref(slice))
    }

    /// The body of one of its events, without the line feed behind it.
    pub fn body(&self, event: &Head) -> &[u8] {
        let line = &self.bodies[event.begin as usize..event.end as usize];
        line.strip_suffix(b"\n").unwrap_or(line)
    }

    /// Bytes to deliver.
    pub fn len(&self) -> usize {
        self.events.iter().map(|event| (event.end - event.begin) as usize).sum()
    }

    /// Bytes that stay in memory as long as it does: the chunk's bodies are one piece, however few of them are delivered.
    pub fn held(&self) -> usize {
        self.bodies.len() + size_of_val(&*self.events)
    }

    /// Some of its events, without a copy of the bodies.
    pub fn with(&self, events: Vec<Head>) -> Batch {
        Batch { origin: self.origin.clone(), bodies: self.bodies.clone(), events }
    }

    /// Bytes that it keeps in memory beside those that it shares with `other`.
    pub fn copied_from(&self, other: &Batch) -> usize {
        if self.bodies.as_ptr() == other.bodies.as_ptr() { 0 } else { self.held() }
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(begin: u32, end: u32) -> Head {
        Head { id: u128::from(begin), time: 0, kind: 0, class: 0, severity: 0, alert_key: None, begin, end }
    }

    #[test]
    fn neighbours_are_one_slice() {
        let origin = Origin { source: "s".into(), tenant: "t".into(), stream: "x".into() };
        let bodies = Bytes::from_static(b"{1}\n{2}\n{3}\n{4}\n");
        let batch = Batch { origin, bodies, events: vec![head(0, 4), head(4, 8), head(12, 16)] };
        assert_eq!(batch.slices().collect::<Vec<_>>(), [b"{1}\n{2}\n".as_slice(), b"{4}\n"]);
        assert_eq!(batch.len(), 12);
        assert_eq!(batch.body(&batch.events[2]), b"{4}");
        assert_eq!(batch.held(), 16 + 3 * size_of::<Head>());
    }
}
