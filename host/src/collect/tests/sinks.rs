//! Several sinks of one stream: healthy ones, slow ones, and such that refuse.

use super::*;
use crate::sinks::Answer;

/// A sink that a test steers.
#[derive(Default)]
pub(super) struct Steered {
    /// By id, how often it has it.
    pub has: Mutex<BTreeMap<u128, u64>>,
    /// It takes nothing while this is set.
    pub dead: Mutex<bool>,
    /// It refuses these for good.
    pub refuses: Mutex<BTreeSet<u128>>,
}

impl Steered {
    pub fn total(&self) -> u64 {
        self.has.lock().unwrap().values().sum()
    }

    pub fn unique(&self) -> u64 {
        self.has.lock().unwrap().len() as u64
    }

    pub fn attached(self: &Arc<Self>, id: &str, acknowledgements: bool) -> Attached {
        let sink = Box::new(Handle(Arc::clone(self)));
        Attached {
            id: id.into(),
            inputs: vec!["*".into()],
            acknowledgements,
            max_refused_share: 0.05,
            only: Default::default(),
            rules: Default::default(),
            sink,
        }
    }
}

pub(super) struct Handle(Arc<Steered>);

impl Sink for Handle {
    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async {
            sleep(Duration::from_millis(20)).await;
            if *self.0.dead.lock().unwrap() {
                return Err(SinkError::new("nobody answers"));
            }
            let refuses = self.0.refuses.lock().unwrap();
            let mut refusals = Vec::new();
            for (number, batch) in batches.iter().enumerate() {
                for (event, head) in batch.events.iter().enumerate() {
                    if refuses.contains(&head.id) {
                        refusals.push(Answer::refused(number, event, "too long"));
                    } else {
                        *self.0.has.lock().unwrap().entry(head.id).or_default() += 1;
                    }
                }
            }
            Ok(refusals)
        })
    }
}

pub(super) fn counts(case: &Case) -> Counts {
    let stored = case.world.stored.lock().unwrap();
    stored.get(&StreamKey::new("acme", "log")).map(|stream| stream.ledger.counts.clone()).unwrap_or_default()
}

/// The world's storage insists on what its own sink has; here others are tested.
pub(super) fn all_delivered(case: &Case) {
    case.world.delivered.lock().unwrap().extend(0..200_000);
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_send_the_healthy_sink_again_what_it_has() {
    let case = Case::new(20_000);
    all_delivered(&case);
    let (healthy, dead) = (Arc::<Steered>::default(), Arc::<Steered>::default());
    *dead.dead.lock().unwrap() = true;
    let start = || case.start_with(vec![healthy.attached("healthy", true), dead.attached("dead", true)]);
    let running = start();
    sleep(Duration::from_secs(10)).await;
    let before = healthy.total();
    assert!(before > 0 && counts(&case).records == 0, "no position moves");
    running.kill().await;
    *dead.dead.lock().unwrap() = false;
    let running = start();
    running.caught_up().await;
    assert!(running.stop().await);
    let counts = counts(&case);
    assert_eq!(counts.imbalances(), [""; 0]);
    assert_eq!((healthy.total(), healthy.unique()), (counts.accepted, counts.accepted), "each once");
    assert_eq!((dead.total(), dead.unique()), (counts.accepted, counts.accepted));
    assert_eq!(counts.sinks["healthy"].delivered, counts.accepted);
    let stored = case.world.stored.lock().unwrap();
    assert!(stored[&StreamKey::new("acme", "log")].partly.is_empty(), "and then nobody needs to know");
}

#[tokio::test(start_paused = true)]
async fn refused_events_become_letters_and_the_others_pass() {
    let case = Case::new(12_000);
    all_delivered(&case);
    let (picky, other) = (Arc::<Steered>::default(), Arc::<Steered>::default());
    *picky.refuses.lock().unwrap() = [0, 17, 5_000, 11_999].into();
    let running = case.start_with(vec![picky.attached("picky", true), other.attached("other", true)]);
    running.caught_up().await;
    assert!(running.stop().await);
    let counts = counts(&case);
    assert_eq!(counts.imbalances(), [""; 0]);
    let (picky_counts, other_counts) = (counts.sinks["picky"], counts.sinks["other"]);
    assert_eq!((picky_counts.dead_lettered, picky_counts.delivered), (4, counts.accepted - 4));
    assert_eq!((other_counts.dead_lettered, other_counts.delivered), (0, counts.accepted));
    let letters = case.world.letters.lock().unwrap();
    let kept: Vec<_> =
        letters.iter().map(|letter| (letter.refused.as_ref().unwrap().event, letter.head.clone())).collect();
    assert_eq!(kept[1], (17, b"{\"id\":17}\n".to_vec()));
    let sinks: BTreeSet<_> = letters.iter().map(|letter| letter.refused.as_ref().unwrap().sink.as_str()).collect();
    assert_eq!((kept.len(), sinks), (4, BTreeSet::from(["picky"])));
}

#[tokio::test(start_paused = true)]
async fn full_dead_letters_hold_the_position_say_so_and_go_on_by_themselves() {
    let case = Case::new(12_000);
    all_delivered(&case);
    let picky = Arc::<Steered>::default();
    picky.refuses.lock().unwrap().insert(100);
    *case.world.letters_full.lock().unwrap() = true;
    let running = case.start_with(vec![picky.attached("picky", true)]);
    sleep(Duration::from_secs(120)).await;
    let status = only(&running);
    assert!(status.held.as_ref().is_some_and(|why| why.contains("tributary dead-letters drop")), "{status:?}");
    assert_eq!(counts(&case).records, 0);
    *case.world.letters_full.lock().unwrap() = false;
    sleep(Duration::from_secs(20)).await;
    assert_eq!((only(&running).held, case.world.letters.lock().unwrap().len()), (None, 1));
    running.caught_up().await;
    assert!(running.stop().await);
    assert_eq!((counts(&case).imbalances(), picky.unique()), (vec![], counts(&case).accepted - 1));
}

#[tokio::test(start_paused = true)]
async fn a_dead_sink_without_acknowledgements_holds_nothing_and_its_losses_are_counted() {
    // Its queue takes 16 MiB.
    let case = Case::new(60_000);
    case.vendor.with(|state| state.padding = 500);
    all_delivered(&case);
    let (lake, probe) = (Arc::<Steered>::default(), Arc::<Steered>::default());
    *probe.dead.lock().unwrap() = true;
    let running = case.start_with(vec![lake.attached("lake", true), probe.attached("probe", false)]);
    running.caught_up().await;
    let while_dead = counts(&case);
    assert_eq!((while_dead.imbalances(), lake.total()), (vec![], while_dead.accepted));
    let (lost, pending) = (while_dead.sinks["probe"].lost, while_dead.sinks["probe"].pending());
    assert!(lost > 0 && pending > 0 && lost + pending == while_dead.accepted, "{while_dead:?}");
    *probe.dead.lock().unwrap() = false;
    sleep(7 * MINUTE).await;
    // What came meanwhile is delivered, and so is what waited.
    assert!(running.stop().await);
    let after = counts(&case);
    let sink = after.sinks["probe"];
    assert_eq!((after.imbalances(), sink.lost, sink.pending()), (vec![], lost, 0));
    assert_eq!(probe.total(), sink.delivered);
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_sink_without_acknowledgements() {
    let case = Case::new(5_000);
    all_delivered(&case);
    let (lake, probe) = (Arc::<Steered>::default(), Arc::<Steered>::default());
    *probe.dead.lock().unwrap() = true;
    let running = case.start_with(vec![lake.attached("lake", true), probe.attached("probe", false)]);
    running.caught_up().await;
    let stopping = Instant::now();
    assert!(running.stop().await, "it can drain");
    assert!(stopping.elapsed() < MINUTE);
    let counts = counts(&case);
    let sink = counts.sinks["probe"];
    assert_eq!((counts.imbalances(), sink.lost, sink.pending()), (vec![], counts.accepted, 0));
}
