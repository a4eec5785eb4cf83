//! The task of a sink, against a far side that does what a test says.

mod ending;
mod refusing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;

use super::*;
use crate::deliver::commit::committer;
use crate::deliver::{Alerts, Head, Ids, Memory, Nature, Parcel, Pipeline, Route, host_memory};
use crate::outside::Clock;
use crate::rules::{Action, Conditions, Field, Replacement, Rule, Rules};
use crate::sinks::tests::batch;
use crate::sinks::{Concurrency, Retry, Verdict};
use crate::state::{Commit, Counts, HealthRow, StateError, StreamKey, StreamState};

/// What the far side does with one delivery.
enum Does {
    Fails(SinkError),
    /// Answers so for events, by the number in their body; the others are stored.
    Says(BTreeMap<u64, Verdict>),
}

#[derive(Default)]
struct Far {
    script: Mutex<VecDeque<Does>>,
    /// Numbers of the events of each delivery, in order.
    given: Mutex<Vec<Vec<u64>>>,
    stored: Mutex<Vec<u64>>,
    /// It refuses a delivery with one of these, and does not say which.
    bad: Mutex<BTreeSet<u64>>,
    under_way: Mutex<(usize, usize)>,
}

struct Near(Arc<Far>, Terms);

impl Sink for Near {
    fn terms(&self) -> Terms {
        self.1
    }

    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async {
            let places = batches.iter().enumerate().flat_map(|(number, batch)| {
                batch.events.iter().enumerate().map(move |(event, head)| {
                    let body = &batch.bodies[head.begin as usize..head.end as usize];
                    let text = std::str::from_utf8(body).unwrap().trim().parse::<u64>().unwrap();
                    ((number, event), text)
                })
            });
            let events: Vec<((usize, usize), u64)> = places.collect();
            self.0.given.lock().unwrap().push(events.iter().map(|(_, number)| *number).collect());
            {
                let mut under_way = self.0.under_way.lock().unwrap();
                under_way.0 += 1;
                under_way.1 = under_way.1.max(under_way.0);
            }
            sleep(Duration::from_millis(10)).await;
            self.0.under_way.lock().unwrap().0 -= 1;
            if events.iter().any(|(_, number)| self.0.bad.lock().unwrap().contains(number)) {
                return Err(SinkError::new("bad").retry(Retry::Smaller));
            }
            let does = self.0.script.lock().unwrap().pop_front();
            let mut says = match does {
                Some(Does::Fails(error)) => return Err(error),
                Some(Does::Says(says)) => says,
                None => BTreeMap::new(),
            };
            let mut answers = Vec::new();
            for ((batch, event), number) in events {
                match says.remove(&number) {
                    Some(verdict) => answers.push(Answer { batch, event, verdict }),
                    None => self.0.stored.lock().unwrap().push(number),
                }
            }
            Ok(answers)
        })
    }

    fn idles(&self) -> bool {
        false
    }
}

/// Keeps letters and counts.
#[derive(Default)]
struct Kept {
    letters: Mutex<Vec<DeadLetter>>,
    counts: Mutex<Counts>,
}

impl crate::deliver::Storage for Kept {
    fn blocks(&self) -> bool {
        false
    }

    fn stream(&self, _: &StreamKey) -> Result<StreamState, StateError> {
        Ok(StreamState::default())
    }

    fn known(&self, _: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError> {
        Ok(vec![false; ids.len()])
    }

    fn commit(&self, commits: Vec<Commit>) -> Result<(), StateError> {
        commits.iter().for_each(|commit| self.counts.lock().unwrap().add(&commit.counts));
        Ok(())
    }

    fn forget(&self, _: &StreamKey) -> Result<(), StateError> {
        Ok(())
    }

    fn keep(&self, _: &str, letters: &[DeadLetter]) -> Result<(), StateError> {
        self.letters.lock().unwrap().extend_from_slice(letters);
        Ok(())
    }

    fn keep_health(&self, _: &[HealthRow]) -> Result<(), StateError> {
        Ok(())
    }
}

struct Case {
    far: Arc<Far>,
    kept: Arc<Kept>,
    route: Route,
    memory: Memory,
    board: SinkBoard,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Case {
    fn new(terms: Terms, script: Vec<Does>) -> Self {
        Self::ruled(terms, script, Rules::default(), Rules::default())
    }

    /// No position waits for it.
    fn unheld(terms: Terms, script: Vec<Does>) -> Self {
        Self::with(terms, script, (Rules::default(), Rules::default()), false)
    }

    /// With rules of the source and of the sink.
    fn ruled(terms: Terms, script: Vec<Does>, of_source: Rules, of_sink: Rules) -> Self {
        Self::with(terms, script, (of_source, of_sink), true)
    }

    fn with(terms: Terms, script: Vec<Does>, (of_source, of_sink): (Rules, Rules), holds: bool) -> Self {
        let (far, kept) =
            (Arc::new(Far { script: Mutex::new(script.into()), ..Far::default() }), Arc::<Kept>::default());
        let clock = Clock::simulated(Duration::from_secs(1_800_000_000));
        let (random, health) = (Random::seeded(1), Health::new(clock));
        let (lines, committer) = committer(Arc::clone(&kept) as _, random.fork(), health.clone());
        let attached = Attached {
            id: "far".into(),
            inputs: vec!["*".into()],
            only: Default::default(),
            rules: of_sink,
            acknowledgements: holds,
            max_refused_share: 0.05,
            sink: Box::new(Near(Arc::clone(&far), terms)),
        };
        let (pipeline, tasks) = Pipeline::new(lines, vec![attached], &health, clock, &random);
        tokio::spawn(committer.run());
        let tasks = tasks.into_iter().map(|task| tokio::spawn(task.run())).collect();
        let board = pipeline.board();
        let nature = Nature { rules: of_source, ..Nature::default() };
        let route = pipeline.route(StreamKey::new("acme", "log"), &nature, Alerts::new(Duration::ZERO));
        let memory = Memory::new(&"t".into(), 1 << 20, host_memory(1 << 20), 1 << 20);
        Self { far, kept, route, memory, board, tasks }
    }

    /// Sends a chunk of events with these numbers.
    async fn send(&mut self, numbers: std::ops::Range<u64>) {
        let lines: Vec<String> = numbers.map(|number| number.to_string()).collect();
        self.send_lines(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }

    async fn send_lines(&mut self, lines: &[&str]) {
        let batch = Batch::clone(&batch("t", "log", lines));
        let records = batch.events.len() as u64;
        let counts = Counts { records, events: records, accepted: records, ..Counts::default() };
        let commit = Commit {
            key: StreamKey::new("acme", "log"),
            tenant: "t".into(),
            position: Some(vec![1]),
            counts,
            seen: Vec::new(),
            seen_for: Duration::ZERO,
            gaps: Vec::new(),
            partly: None,
            alerts: Default::default(),
            at_ms: 0,
        };
        let room = self.memory.reserve(100).await.unwrap();
        let flight = Ids::default().depart(Vec::new());
        let (dead_letters, report) = (Vec::new(), Box::new(|_: crate::deliver::Progress<'_>| {}));
        let turn = self.route.turn(&batch.events).await;
        self.route.send(Parcel { commit, dead_letters, room, flight, caught_up: false, report }, batch, turn);
    }

    /// Waits until so many events are stored or kept as letters.
    async fn settled(&self, accepted: u64) -> crate::state::SinkCounts {
        loop {
            let counts = self.kept.counts.lock().unwrap().clone();
            assert_eq!(counts.imbalances(), [""; 0]);
            if counts.accepted == accepted {
                return counts.sinks["far"];
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn given(&self) -> Vec<Vec<u64>> {
        self.far.given.lock().unwrap().clone()
    }

    /// What is stored, sorted.
    fn stored(&self) -> Vec<u64> {
        let mut stored = self.far.stored.lock().unwrap().clone();
        stored.sort_unstable();
        stored
    }
}

fn says(numbers: impl IntoIterator<Item = u64>, verdict: Verdict) -> Does {
    Does::Says(numbers.into_iter().map(|number| (number, verdict.clone())).collect())
}

fn again() -> Verdict {
    Verdict::Again(SinkError::new("too busy"))
}

fn refused() -> Verdict {
    Verdict::Refused("too odd".into())
}

/// Of a delivery of which so many were refused.
fn unsure(refused: usize) -> Verdict {
    Verdict::Unsure { refused, reason: "one of these".into() }
}

#[tokio::test(start_paused = true)]
async fn only_what_was_not_stored_comes_again() {
    let mut case = Case::new(Terms::default(), vec![says([2, 4], again()), says([4], again())]);
    case.send(0..6).await;
    let counts = case.settled(6).await;
    assert_eq!(case.given(), [vec![0, 1, 2, 3, 4, 5], vec![2, 4], vec![4]]);
    assert_eq!((counts.delivered, case.stored()), (6, (0..6).collect()), "each once");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_long_is_halved_down_to_one_event() {
    let small = || Does::Fails(SinkError::new("too long").retry(Retry::Smaller));
    // All, the first half, its first event, its second.
    let mut case = Case::new(Terms::default(), vec![small(), small(), small()]);
    case.send(0..4).await;
    let counts = case.settled(4).await;
    assert_eq!(case.given(), [vec![0, 1, 2, 3], vec![0, 1], vec![0], vec![1], vec![2, 3]]);
    assert_eq!((counts.delivered, counts.dead_lettered), (3, 1));
    let letters = case.kept.letters.lock().unwrap();
    assert_eq!((letters.len(), letters[0].reason.as_str()), (1, "too long"));
}

#[tokio::test(start_paused = true)]
async fn of_a_delivery_only_what_was_too_long_together_is_halved() {
    let small = || Verdict::Again(SinkError::new("too long").retry(Retry::Smaller));
    let script = vec![says([1, 2, 3, 4], small()), says([1, 2], small()), says([1], small())];
    let mut case = Case::new(Terms::default(), script);
    case.send(0..5).await;
    let counts = case.settled(5).await;
    assert_eq!(case.given(), [vec![0, 1, 2, 3, 4], vec![1, 2], vec![1], vec![2], vec![3, 4]]);
    assert_eq!((counts.delivered, counts.dead_lettered, case.stored()), (4, 1, vec![0, 2, 3, 4]));
}

#[tokio::test(start_paused = true)]
async fn the_far_side_is_left_alone_for_as_long_as_it_says() {
    let wait = Duration::from_secs(90);
    let busy = Does::Fails(SinkError::new("busy").retry(Retry::After(wait)));
    let mut case = Case::new(Terms::default(), vec![busy]);
    let begun = Instant::now();
    case.send(0..1).await;
    sleep(Duration::from_secs(60)).await;
    let status = case.board.all().remove(0);
    assert!(status.trouble.as_ref().unwrap().starts_with("busy. Wait"));
    assert!(status.holds && status.queued_bytes > 0);
    case.settled(1).await;
    let status = case.board.all().remove(0);
    assert_eq!((status.trouble, status.queued_bytes), (None, 0), "and when it is over, that is known too");
    assert!(begun.elapsed() >= wait && begun.elapsed() < wait * 2, "{:?}", begun.elapsed());
    assert_eq!(case.given().len(), 2);
}

fn rule(action: Action, field: &str) -> Rules {
    let conditions = Conditions { field: Some(Field::parse(field).unwrap()), ..Conditions::default() };
    Rules::new(vec![Rule { name: "x".into(), action, conditions }])
}

#[tokio::test(start_paused = true)]
async fn not_many_chunks_are_looked_into_at_once() {
    let now = async |route: &Route, events: &[Head]| {
        tokio::select! { biased; turn = route.turn(events) => Some(turn), () = std::future::ready(()) => None }
    };
    let hides = || rule(Action::Mask(Replacement::new("-")), "a");
    let events = batch("t", "log", &["1"]).events.clone();
    for (of_source, of_sink) in [(hides(), Rules::default()), (Rules::default(), hides())] {
        let Case { route, .. } = Case::ruled(Terms::default(), Vec::new(), of_source, of_sink);
        let mut turns = Vec::new();
        for _ in 0..8 {
            turns.push(now(&route, &events).await.unwrap());
        }
        assert!(now(&route, &events).await.is_none());
        assert!(now(&route, &[]).await.is_some(), "nothing is no work");
        turns.pop();
        assert!(now(&route, &events).await.is_some());
    }
    let Case { route, .. } = Case::new(Terms::default(), Vec::new());
    let mut turns = Vec::new();
    for _ in 0..9 {
        turns.push(now(&route, &events).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_of_the_sources_rules_does_not_show_what_the_sinks_hide() {
    for (of_sink, head) in [
        (Rules::default(), &b"{\"a\" \"secret\":1}\n"[..]),
        (rule(Action::Mask(Replacement::new("****")), "secret"), b""),
    ] {
        let mut case = Case::ruled(Terms::default(), Vec::new(), rule(Action::Exclude, "secret"), of_sink);
        // The source's rule cannot look into it.
        case.send_lines(&["{\"a\" \"secret\":1}"]).await;
        assert_eq!(case.settled(1).await.dead_lettered, 1);
        let letters = case.kept.letters.lock().unwrap();
        assert_eq!((letters[0].head.as_slice(), letters[0].size), (head, Some(17)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_known_counts_as_delivered() {
    let mut case = Case::new(Terms::default(), vec![says(0..3, Verdict::Known)]);
    case.send(0..3).await;
    assert_eq!(case.settled(3).await.delivered, 3);
}

#[tokio::test(start_paused = true)]
async fn deliveries_wait_for_company_unless_somebody_waits_behind() {
    let terms = Terms { max_age: Duration::from_secs(60), ..Terms::default() };
    let mut case = Case::new(terms, Vec::new());
    case.send(0..1).await;
    sleep(Duration::from_secs(30)).await;
    case.send(1..2).await;
    sleep(Duration::from_secs(29)).await;
    assert_eq!(case.given(), [[0; 0]; 0]);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(case.given(), [[0, 1]]);
    case.send(2..3).await;
    sleep(Duration::from_secs(1)).await;
    case.route.flush();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(case.given(), [vec![0, 1], vec![2]]);
}

#[tokio::test(start_paused = true)]
async fn several_deliveries_are_under_way_where_the_terms_allow_it() {
    for (concurrency, most) in [(Concurrency::Fixed(1), 1), (Concurrency::Fixed(3), 3), (Concurrency::Adaptive(4), 4)] {
        let mut case = Case::new(Terms { max_events: 1, concurrency, ..Terms::default() }, Vec::new());
        case.send(0..200).await;
        case.settled(200).await;
        assert_eq!(case.far.under_way.lock().unwrap().1, most, "{concurrency:?}");
        assert_eq!(case.stored(), (0..200).collect::<Vec<_>>());
        if most == 1 {
            assert_eq!(*case.far.stored.lock().unwrap(), (0..200).collect::<Vec<_>>(), "in order");
        }
    }
}
