use std::sync::Mutex;

use super::*;
use crate::sinks::{Answer, DeliverFuture};
use crate::state::{Found, Refused};

/// A collector that rejects the event 2, and says of a delivery with others only that it rejected one.
#[derive(Default)]
struct Collector {
    given: Mutex<Vec<Vec<u128>>>,
    /// It answers no more after so many deliveries.
    deliveries: Option<usize>,
    /// After so many the verb is killed.
    killed: Option<usize>,
}

impl Sink for Collector {
    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async {
            let ids: Vec<u128> = batches.iter().map(|batch| batch.events[0].id).collect();
            let (alone, bad) = (ids.len() == 1, ids.contains(&2));
            if self.killed.is_some_and(|most| self.given.lock().unwrap().len() >= most) {
                std::future::pending::<()>().await;
            }
            let mut given = self.given.lock().unwrap();
            if self.deliveries.is_some_and(|most| given.len() >= most) {
                return Err(SinkError::new("nobody answers"));
            }
            given.push(ids);
            Ok(match (bad, alone) {
                (false, _) => Vec::new(),
                (true, true) => vec![Answer::refused(0, 0, "too long")],
                (true, false) => (0..batches.len()).map(|batch| Answer::unsure(batch, 0, 1, "one of these")).collect(),
            })
        })
    }
}

fn letter(event: u128) -> DeadLetter {
    let (sink, tenant) = ("far".to_owned(), "acme".to_owned());
    let refused = Refused { sink, tenant, event, time: 1, kind: 0, class: 0, severity: 1, alert_key: None };
    DeadLetter::refused(1_000, "acme", "audit", "one of these", refused, format!("{{\"n\":{event}}}\n").as_bytes())
}

/// Replays `dead`, and gives what the collector got, which events are still dead, how many were delivered, and whether it
/// went well.
fn replayed(collector: &Collector, dead: &[DeadLetter]) -> (Vec<Vec<u128>>, Vec<u128>, u64, bool) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let letters = DeadLetters::new(folder.path(), u64::MAX);
    letters.append("acme", dead).unwrap();
    let all = || {
        let mut all = Vec::new();
        let take = |found| -> io::Result<()> {
            let Found::Letter(letter) = found else { panic!("it is whole") };
            all.push(letter);
            Ok(())
        };
        assert!(letters.read(None, take).is_ok());
        all
    };
    let (mut tally, dead) = (Tally::default(), all());
    let mut said = Said { progress: Progress::new(), all: dead.len(), tried: 0 };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let well = runtime.block_on(async {
        tokio::select! {
            biased;
            result = send(collector, &dead, &store, &letters, &mut tally, &mut said) => result.is_ok(),
            () = std::future::ready(()) => false,
        }
    });
    let left = all().iter().map(|letter| letter.refused.as_ref().unwrap().event).collect();
    (collector.given.lock().unwrap().clone(), left, tally.delivered, well)
}

#[test]
fn what_a_sink_may_have_is_sent_once_more_and_no_oftener() {
    let dead: Vec<_> = (0..4).map(|event| letter(event).unsure()).chain([letter(4), letter(5)]).collect();
    let given = vec![vec![0], vec![1], vec![2], vec![3], vec![4, 5]];
    assert_eq!(replayed(&Collector::default(), &dead), (given, vec![2], 5, true));
}

#[test]
fn what_was_kept_without_the_mark_goes_together_and_then_alone() {
    let dead: Vec<_> = (1..4).map(letter).collect();
    let given = vec![vec![1, 2, 3], vec![1], vec![2], vec![3]];
    assert_eq!(replayed(&Collector::default(), &dead), (given, vec![2], 2, true));
}

#[test]
fn what_was_taken_before_an_error_is_dead_no_longer() {
    let unsure: Vec<_> = (0..4).map(|event| letter(event).unsure()).collect();
    let collector = Collector { deliveries: Some(2), ..Collector::default() };
    assert_eq!(replayed(&collector, &unsure), (vec![vec![0], vec![1]], vec![2, 3], 2, false));
    let together: Vec<_> = (3..6).map(letter).collect();
    let collector = Collector { deliveries: Some(0), ..Collector::default() };
    assert_eq!(replayed(&collector, &together), (vec![], vec![3, 4, 5], 0, false));
}

/// What the sink has by then would come twice.
#[test]
fn a_kill_forgets_little_of_what_was_sent_alone() {
    let dead: Vec<_> = (1_000..1_250).map(|event| letter(event).unsure()).collect();
    let collector = Collector { killed: Some(230), ..Collector::default() };
    let (given, left, delivered, well) = replayed(&collector, &dead);
    assert_eq!((given.len(), delivered, well), (230, 200, false));
    assert!(left.into_iter().eq(1_200..1_250));
}
