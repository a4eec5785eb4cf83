use std::time::Duration;

use super::*;
use crate::deliver::Origin;
use crate::sinks::DeliverFuture;
use crate::sinks::tests::batch;

const LINE: &str = "{12345678}";
/// With its line feed.
const BYTES: usize = 11;

fn terms(max_bytes: usize, max_events: usize) -> Terms {
    Terms { max_bytes, max_events, ..Terms::default() }
}

/// Groups by the parity of an event's place, or not at all.
struct Grouping(Terms);

impl Sink for Grouping {
    fn terms(&self) -> Terms {
        self.0
    }

    fn group(&self, origin: &Origin, event: &Head) -> Option<Box<str>> {
        Some(format!("{}/{}", origin.tenant, event.begin as usize / BYTES % 2).into())
    }

    fn deliver<'a>(&'a self, _: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// What each delivery holds: tickets with the first bytes of their events.
fn told(loads: Vec<Load>) -> Vec<Vec<(u64, Vec<u32>)>> {
    let one = |load: Load| {
        let parts = load.tickets.iter().zip(&load.batches);
        parts.map(|(ticket, batch)| (*ticket, batch.events.iter().map(|head| head.begin).collect())).collect()
    };
    loads.into_iter().map(one).collect()
}

fn all(gatherer: &mut Gatherer) -> Vec<Vec<(u64, Vec<u32>)>> {
    told(gatherer.drain())
}

#[tokio::test(start_paused = true)]
async fn deliveries_are_full_and_no_longer() {
    let mut gatherer = Gatherer::new(terms(usize::MAX, 3));
    let sink = Grouping(terms(usize::MAX, 3));
    gatherer.add(7, &batch("t", "s", &[LINE; 2]), &sink);
    gatherer.add(8, &batch("t", "s", &[LINE; 5]), &sink);
    let (first, second) = (vec![(7, vec![0, 11]), (8, vec![0])], vec![(8, vec![11, 22, 33])]);
    assert_eq!(all(&mut gatherer), [first, second, vec![(8, vec![44])]]);
    let by_bytes = terms(2 * BYTES, usize::MAX);
    let mut gatherer = Gatherer::new(by_bytes);
    gatherer.add(1, &batch("t", "s", &[LINE; 3]), &sink);
    assert_eq!(all(&mut gatherer), [[(1, vec![0, 11])], [(1, vec![22])]]);
    let mut gatherer = Gatherer::new(Terms { overhead: BYTES, ..by_bytes });
    gatherer.add(1, &batch("t", "s", &[LINE; 2]), &sink);
    assert_eq!(all(&mut gatherer), [[(1, vec![0])], [(1, vec![11])]], "what the sink adds counts");
    let mut gatherer = Gatherer::new(terms(1, usize::MAX));
    gatherer.add(1, &batch("t", "s", &[LINE; 2]), &sink);
    assert_eq!(all(&mut gatherer), [[(1, vec![0])], [(1, vec![11])]], "a long one goes alone");
}

#[tokio::test(start_paused = true)]
async fn a_whole_chunk_is_not_copied() {
    let mut gatherer = Gatherer::new(terms(usize::MAX, 5));
    let chunk = batch("t", "s", &[LINE; 5]);
    gatherer.add(1, &chunk, &Grouping(Terms::default()));
    let load = gatherer.next().expect("it is full");
    assert!(Arc::ptr_eq(&load.batches[0], &chunk));
    gatherer.add(1, &batch("t", "s", &[LINE; 6]), &Grouping(Terms::default()));
    let load = gatherer.next().unwrap();
    assert_eq!((load.events(), load.batches[0].len()), (5, 5 * BYTES));
}

#[tokio::test(start_paused = true)]
async fn an_event_waits_for_company_no_longer_than_it_may() {
    let patient = Terms { max_age: Duration::from_secs(5), ..terms(usize::MAX, 10) };
    let sink = Grouping(patient);
    let mut gatherer = Gatherer::new(patient);
    assert!(gatherer.due().is_none() && gatherer.is_empty());
    gatherer.add(1, &batch("t", "s", &[LINE]), &sink);
    tokio::time::sleep(Duration::from_secs(4)).await;
    gatherer.add(2, &batch("t", "s", &[LINE]), &sink);
    assert!(gatherer.next().is_none(), "there is time");
    assert_eq!(gatherer.due(), Some(Instant::now() + Duration::from_secs(1)), "that of the first");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(gatherer.next().unwrap().tickets, [1, 2]);
    gatherer.add(3, &batch("t", "s", &[LINE]), &sink);
    gatherer.flush();
    assert_eq!(gatherer.next().unwrap().tickets, [3], "unless somebody waits behind");
    assert!(gatherer.is_empty());
}

#[tokio::test(start_paused = true)]
async fn groups_stay_apart() {
    let grouped = Terms { groups: true, ..terms(usize::MAX, 2) };
    let sink = Grouping(grouped);
    let mut gatherer = Gatherer::new(grouped);
    gatherer.add(1, &batch("a", "s", &[LINE; 3]), &sink);
    gatherer.add(2, &batch("b", "s", &[LINE]), &sink);
    gatherer.add(3, &batch("a", "s", &[LINE; 2]), &sink);
    let mut loads = all(&mut gatherer);
    loads.sort();
    assert_eq!(
        loads,
        [vec![(1, vec![0, 22])], vec![(1, vec![11]), (3, vec![11])], vec![(2, vec![0])], vec![(3, vec![0])],]
    );
}

#[tokio::test(start_paused = true)]
async fn halves_hold_all_of_it() {
    let mut load = Load::default();
    load.push(1, batch("t", "s", &[LINE; 2]), 0);
    load.push(2, batch("t", "s", &[LINE; 3]), 0);
    let halves = load.halves(0);
    assert_eq!(halves.each_ref().map(Load::events), [2, 3]);
    let [_, second] = halves;
    let parts = told(second.halves(0).into());
    assert_eq!(parts, [[(2, vec![0])], [(2, vec![11, 22])]]);
}

#[tokio::test(start_paused = true)]
async fn what_failed_comes_first() {
    let mut gatherer = Gatherer::new(terms(usize::MAX, 1));
    let sink = Grouping(terms(usize::MAX, 1));
    gatherer.add(1, &batch("t", "s", &[LINE; 2]), &sink);
    let failed = gatherer.next().unwrap();
    gatherer.put_back(failed);
    gatherer.put_back(Load::default());
    assert_eq!(all(&mut gatherer), [[(1, vec![0])], [(1, vec![11])]]);
}
