//! Live events for whoever looks: a copy of what passes, beside delivery, that never slows it.
//!
//! While nobody looks it costs one atomic load for each chunk. A tap that is full is passed by, and counts what it missed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::Notify;

use super::Batch;
use crate::config::glob;

/// What may wait for one tap.
const WAITING_EVENTS: usize = 1_000;
const WAITING_BYTES: usize = 1 << 20;

/// All taps of a host. Its clones are one.
#[derive(Clone, Default)]
pub struct Taps(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Whether there is any.
    open: AtomicBool,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    taps: Vec<Weak<Waiting>>,
    closed: bool,
}

/// What a tap is to see. In all of these `*` stands for any characters; an empty list of the last three is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Sources whose events are seen as they pass to the sinks, after the source's own rules.
    pub outputs_of: Vec<String>,
    /// Sinks whose events are seen as the sink is given them, after its `where` and its rules.
    pub inputs_of: Vec<String>,
    pub tenants: Vec<String>,
    pub streams: Vec<String>,
    pub kinds: Vec<String>,
}

/// Where events pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joint<'a> {
    /// Out of their source.
    Output,
    /// Into this sink.
    Input(&'a Arc<str>),
}

/// An event that has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub source: Arc<str>,
    pub tenant: Arc<str>,
    pub stream: Arc<str>,
    /// Empty, if it has no name.
    pub kind: String,
    /// The sink that is given it, if it was seen there.
    pub sink: Option<Arc<str>>,
    /// Its body, without a line feed.
    pub body: Bytes,
}

/// One who looks. Dropped, it is gone.
pub struct Tap {
    taps: Taps,
    waiting: Arc<Waiting>,
}

struct Waiting {
    selection: Selection,
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Seen>,
    bytes: usize,
    skipped: u64,
}

impl Taps {
    /// Looks from now on.
    pub fn open(&self, selection: Selection) -> Tap {
        let waiting = Arc::new(Waiting { selection, queue: Mutex::default(), arrived: Notify::new() });
        let mut list = self.list();
        list.taps.push(Arc::downgrade(&waiting));
        self.0.open.store(true, Ordering::Relaxed);
        Tap { taps: self.clone(), waiting }
    }

    /// Whether anybody looks.
    pub(super) fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Shows what passes. `kinds` are the names of the source's.
    pub(super) fn show(&self, joint: Joint<'_>, batch: &Batch, kinds: &[String]) {
        let mut list = self.list();
        list.taps.retain(|tap| match tap.upgrade() {
            Some(tap) => {
                tap.show(joint, batch, kinds);
                true
            }
            None => false,
        });
        self.0.open.store(!list.taps.is_empty(), Ordering::Relaxed);
    }

    /// Nothing passes any more: all taps end when they have seen what there is.
    pub fn close(&self) {
        let mut list = self.list();
        list.closed = true;
        list.taps.iter().filter_map(Weak::upgrade).for_each(|tap| tap.arrived.notify_one());
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a tap has seen.
#[derive(Debug, PartialEq, Eq)]
pub struct Sight {
    /// Oldest first.
    pub events: Vec<Seen>,
    /// How many it has missed since: more passed than were taken.
    pub skipped: u64,
}

impl Tap {
    /// Waits for the next events; `None` when the host has ended, and all were seen.
    pub async fn next(&self) -> Option<Sight> {
        loop {
            // Asked first: what passed before the end is still to be taken.
            let closed = self.taps.list().closed;
            let queue = std::mem::take(&mut *self.waiting.lock());
            if !queue.events.is_empty() || queue.skipped > 0 {
                return Some(Sight { events: queue.events.into(), skipped: queue.skipped });
            }
            if closed {
                return None;
            }
            self.waiting.arrived.notified().await;
        }
    }
}

impl Waiting {
    fn show(&self, joint: Joint<'_>, batch: &Batch, kinds: &[String]) {
        let any = |patterns: &[String], text: &str| patterns.iter().any(|pattern| glob(pattern, text));
        let all = |patterns: &[String], text: &str| patterns.is_empty() || any(patterns, text);
        let (selection, origin) = (&self.selection, &batch.origin);
        let (wanted, sink) = match joint {
            Joint::Output => (any(&selection.outputs_of, &origin.source), None),
            Joint::Input(sink) => (any(&selection.inputs_of, sink), Some(sink)),
        };
        if !wanted || !all(&selection.tenants, &origin.tenant) || !all(&selection.streams, &origin.stream) {
            return;
        }
        let mut queue = self.lock();
        for head in &batch.events {
            let kind = kinds.get(head.kind as usize).map_or("", String::as_str);
            if !all(&selection.kinds, kind) {
                continue;
            }
            let body = batch.body(head);
            // However long, one has room.
            let fits = queue.events.len() < WAITING_EVENTS && queue.bytes + body.len() <= WAITING_BYTES;
            if !fits && !queue.events.is_empty() {
                queue.skipped += 1;
                continue;
            }
            queue.bytes += body.len();
            queue.events.push_back(Seen {
                source: Arc::clone(&origin.source),
                tenant: Arc::clone(&origin.tenant),
                stream: Arc::clone(&origin.stream),
                kind: kind.to_owned(),
                sink: sink.cloned(),
                // The chunk's own memory is counted, and given back when its sinks have it.
                body: Bytes::copy_from_slice(body),
            });
        }
        drop(queue);
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::tests::batch;

    fn selection(outputs: &[&str], inputs: &[&str]) -> Selection {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        Selection { outputs_of: texts(outputs), inputs_of: texts(inputs), ..Selection::default() }
    }

    fn bodies(sight: &Sight) -> Vec<&[u8]> {
        sight.events.iter().map(|seen| &*seen.body).collect()
    }

    #[tokio::test]
    async fn a_tap_sees_what_it_selects() {
        let taps = Taps::default();
        assert!(!taps.is_open());
        let sample = batch("t", "siem/receipt", &[r#"{"a":1}"#, r#"{"a":2}"#]);
        let (source, lake): (&str, Arc<str>) = (&sample.origin.source, "lake".into());
        let outputs = taps.open(selection(&[source], &[]));
        let inputs = taps.open(selection(&[], &["l*"]));
        let other = taps.open(selection(&["other"], &["other"]));
        let tenant = taps.open(Selection { tenants: vec!["u*".into()], ..selection(&["*"], &["*"]) });
        let stream = taps.open(Selection { streams: vec!["siem/*".into()], ..selection(&["*"], &[]) });
        let kind = taps.open(Selection { kinds: vec!["rec*".into()], ..selection(&["*"], &[]) });
        let no_kind = taps.open(Selection { kinds: vec!["av".into()], ..selection(&["*"], &[]) });
        assert!(taps.is_open());
        taps.show(Joint::Output, &sample, &["receipt".into()]);
        taps.show(Joint::Input(&lake), &sample, &["receipt".into()]);
        for (tap, count, sink) in [(&outputs, 2, None), (&inputs, 2, Some(&lake)), (&stream, 2, None), (&kind, 2, None)]
        {
            let sight = tap.next().await.unwrap();
            assert_eq!((sight.events.len(), sight.events[0].sink.as_ref(), sight.skipped), (count, sink, 0));
            assert_eq!(bodies(&sight), [br#"{"a":1}"#, br#"{"a":2}"#]);
            assert_eq!(sight.events[0].kind, "receipt");
        }
        taps.close();
        for tap in [&outputs, &other, &tenant, &no_kind] {
            assert_eq!(tap.next().await, None);
        }
        drop((outputs, inputs, other, tenant, stream, kind, no_kind));
        taps.show(Joint::Output, &sample, &[]);
        assert!(!taps.is_open());
    }

    #[tokio::test]
    async fn who_is_slow_misses_events_and_is_told() {
        let taps = Taps::default();
        let tap = taps.open(selection(&["*"], &[]));
        let sample = batch("t", "s", &vec!["{}"; WAITING_EVENTS + 7]);
        taps.show(Joint::Output, &sample, &[]);
        let sight = tap.next().await.unwrap();
        assert_eq!((sight.events.len(), sight.skipped), (WAITING_EVENTS, 7));
        // Long ones: by bytes; but one has room however long it is.
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(WAITING_BYTES));
        taps.show(Joint::Output, &batch("t", "s", &[&long, "{}"]), &[]);
        let sight = tap.next().await.unwrap();
        assert_eq!((sight.events.len(), sight.skipped), (1, 1));
        // The end comes behind what was seen.
        taps.show(Joint::Output, &batch("t", "s", &["{}"]), &[]);
        taps.close();
        assert_eq!(tap.next().await.unwrap().events.len(), 1);
        assert_eq!(tap.next().await, None);
    }
}
