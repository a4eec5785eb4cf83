use std::collections::VecDeque;

use super::*;
use crate::collect::StreamState;
use crate::deliver::Batch;
use crate::outside::Clock;
use crate::sinks::DeliverFuture;

/// A far side that notes the ids of each delivery, and fails as often as a test says.
#[derive(Default)]
struct Far {
    given: Mutex<Vec<Vec<u128>>>,
    fails: Mutex<VecDeque<bool>>,
}

impl Sink for Far {
    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async {
            let ids = batches.iter().flat_map(|batch| &batch.events).map(|event| event.id);
            self.given.lock().unwrap().push(ids.collect());
            match self.fails.lock().unwrap().pop_front() {
                Some(true) => Err(SinkError::new("nobody answers")),
                _ => Ok(Vec::new()),
            }
        })
    }
}

struct Case {
    far: Far,
    health: Health,
    sink: SinkHealth,
    random: Random,
}

impl Case {
    fn new(fails: &[bool]) -> Self {
        let health = Health::new(Clock::simulated(Duration::from_secs(1_800_000_000)));
        health.watch_unknown("acme");
        let sink = SinkHealth::new("far".into(), &["health".to_owned()], true, health.clone(), Arc::default());
        let far = Far { fails: Mutex::new(fails.iter().copied().collect()), ..Far::default() };
        Self { far, health, sink, random: Random::seeded(1) }
    }

    /// One more event.
    fn happens(&self) {
        self.health.state_changed("acme", "log", StreamState::Pending, StreamState::Started, None);
    }

    /// Delivers what may be delivered, as soon as it may.
    async fn turn(&mut self) {
        self.sink.ready().await;
        let events = self.sink.take().unwrap();
        assert!(self.sink.take().is_none(), "one at a time");
        let result = events.deliver("far", &self.far).await;
        self.sink.settle(events, result, &self.random);
    }

    /// The deliveries, each as the numbers of its events by their order.
    fn given(&self) -> Vec<Vec<usize>> {
        let given = self.far.given.lock().unwrap();
        let mut known: Vec<u128> = Vec::new();
        given.iter().flatten().for_each(|id| {
            if !known.contains(id) {
                known.push(*id);
            }
        });
        let number = |id: &u128| known.iter().position(|known| known == id).unwrap();
        given.iter().map(|ids| ids.iter().map(number).collect()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_comes_again_alone_and_unchanged() {
    let mut case = Case::new(&[true, true, false]);
    case.happens();
    case.happens();
    for _ in 0..3 {
        case.turn().await;
        case.happens();
    }
    case.turn().await;
    assert_eq!(case.given(), [vec![0, 1], vec![0, 1], vec![0, 1], vec![2, 3, 4]]);
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_again_though_nothing_more_happens() {
    let mut case = Case::new(&[true]);
    case.happens();
    case.turn().await;
    assert!(case.sink.take().is_none(), "not at once");
    case.turn().await;
    assert_eq!(case.given(), [[0], [0]]);
    case.happens();
    case.turn().await;
    assert_eq!(case.given()[2..], [[1]]);
}

#[tokio::test(start_paused = true)]
async fn the_last_try_is_of_what_failed_and_of_what_came_since() {
    for (fails, given) in [
        (&[true][..], vec![vec![0], vec![0], vec![1, 2]]),
        (&[true, true][..], vec![vec![0], vec![0]]),
        (&[false, false][..], vec![vec![0], vec![1, 2]]),
    ] {
        let mut case = Case::new(fails);
        case.happens();
        case.turn().await;
        case.happens();
        case.happens();
        case.sink.finish(&case.far).await;
        assert_eq!(case.given(), given);
    }
}
