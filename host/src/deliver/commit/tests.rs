use std::sync::Mutex;

use super::*;
use crate::deliver::{Head, Ids, Memory, Origin, host_memory};
use crate::outside::Clock;
use crate::state::{HealthRow, Pieces, Refused, SinkCounts, StreamState};

/// Writes down what is stored, in order.
#[derive(Default)]
struct Journal {
    lines: Mutex<Vec<String>>,
    commits: Mutex<Vec<Commit>>,
    fails: Mutex<u32>,
    /// A source whose letters cannot be kept.
    full: Mutex<Option<&'static str>>,
}

impl Journal {
    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn last(&self) -> Commit {
        self.commits.lock().unwrap().last().unwrap().clone()
    }

    fn fail(&self) -> bool {
        let mut fails = self.fails.lock().unwrap();
        let fail = *fails > 0;
        *fails = fails.saturating_sub(1);
        fail
    }
}

impl Storage for Journal {
    fn stream(&self, _: &StreamKey) -> Result<StreamState, StateError> {
        Ok(StreamState::default())
    }

    fn known(&self, _: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError> {
        Ok(vec![false; ids.len()])
    }

    fn commit(&self, commits: Vec<Commit>) -> Result<(), StateError> {
        if self.fail() {
            return Err(StateError::Full { path: "state".into() });
        }
        let line: Vec<String> = commits
            .iter()
            .map(|commit| format!("{} at {:?} +{}", commit.key.stream, commit.position, commit.counts.records))
            .collect();
        self.lines.lock().unwrap().push(line.join(", "));
        self.commits.lock().unwrap().extend(commits);
        Ok(())
    }

    fn forget(&self, _: &StreamKey) -> Result<(), StateError> {
        Ok(())
    }

    fn keep_health(&self, _: &[HealthRow]) -> Result<(), StateError> {
        Ok(())
    }

    fn keep(&self, source: &str, letters: &[DeadLetter]) -> Result<(), StateError> {
        if self.fail() || *self.full.lock().unwrap() == Some(source) {
            return Err(StateError::DeadLettersFull { path: "letters".into(), bytes: 7, limit: 8 });
        }
        self.lines.lock().unwrap().push(format!("{source}: {} dead", letters.len()));
        Ok(())
    }
}

struct Case {
    journal: Arc<Journal>,
    lines: Lines,
    task: tokio::task::JoinHandle<()>,
    memory: Memory,
    /// What workers were told.
    said: Arc<Mutex<Vec<String>>>,
}

/// The ids of the chunk at `position`.
fn ids(position: u8, records: u64) -> impl Iterator<Item = u128> {
    (0..records).map(move |number| u128::from(position) * 100 + u128::from(number))
}

fn batch(position: u8, records: u64) -> Arc<Batch> {
    let origin = Origin { source: "acme".into(), tenant: "acme".into(), stream: "a".into() };
    let head = |id| Head { id, time: 0, kind: 0, class: 0, severity: 0, alert_key: None, begin: 0, end: 0 };
    Arc::new(Batch { origin, bodies: Default::default(), events: ids(position, records).map(head).collect() })
}

impl Case {
    fn new() -> Self {
        let journal = Arc::<Journal>::default();
        let (lines, committer) = committer(Arc::clone(&journal) as _, Random::seeded(1), Health::new(Clock::System));
        let task = tokio::spawn(committer.run());
        let memory = Memory::new(&"t".into(), 1 << 20, host_memory(1 << 20), 1 << 20);
        Self { journal, lines, task, memory, said: Arc::default() }
    }

    fn line(&self, stream: &str) -> Line {
        self.lines.line(StreamKey::new("acme", stream))
    }

    /// Hands in a chunk of so many records for sinks that are called by their number; an `x` in `sinks` is one that holds,
    /// an `o` one without acknowledgements.
    async fn announce(&self, line: &mut Line, position: u8, records: u64, sinks: &str) -> Vec<Acknowledgement> {
        self.announce_with(line, position, records, sinks, false).await
    }

    async fn announce_with(
        &self,
        line: &mut Line,
        position: u8,
        records: u64,
        sinks: &str,
        malformed: bool,
    ) -> Vec<Acknowledgement> {
        // A poll that brings nothing has read a page all the same.
        let pieces = Pieces { listed: 1, fetched: 1, gone: 0 };
        let counts = Counts { records, events: records, accepted: records, pieces, ..Counts::default() };
        let parcel = self.parcel(line, position, counts, malformed).await;
        let sinks = sinks.chars().enumerate();
        let expected = sinks.map(|(number, kind)| Expected::new(number.to_string().into(), kind == 'x', 0, records));
        line.announce(parcel, batch(position, records), expected.collect()).collect()
    }

    /// Hands in a chunk of records that are all known.
    async fn announce_repeated(&self, line: &mut Line, position: u8, records: u64) {
        let counts = Counts { records, events: records, repeated: records, ..Counts::default() };
        let parcel = self.parcel(line, position, counts, false).await;
        assert_eq!(line.announce(parcel, batch(position, 0), Vec::new()).count(), 0);
    }

    async fn parcel(&self, line: &Line, position: u8, counts: Counts, malformed: bool) -> Parcel {
        let key = StreamKey::clone(&line.key);
        let letter = DeadLetter::malformed(0, &*key.source, &*key.stream, "r", vec![], None);
        let said = Arc::clone(&self.said);
        Parcel {
            commit: Commit {
                key,
                tenant: "acme".into(),
                position: Some(vec![position]),
                counts,
                seen: vec![],
                seen_for: Duration::ZERO,
                gaps: vec![],
                partly: None,
                alerts: Default::default(),
                at_ms: 0,
            },
            dead_letters: malformed.then_some(letter).into_iter().collect(),
            room: self.memory.reserve(100).await.unwrap(),
            flight: Ids::default().depart(vec![]),
            caught_up: false,
            report: Box::new(move |progress| {
                said.lock().unwrap().push(match progress {
                    Progress::Stored(_) => "stored".into(),
                    Progress::Held(why) => why.to_owned(),
                });
            }),
        }
    }

    async fn settle(&self) -> Vec<String> {
        sleep(Duration::from_millis(10)).await;
        self.journal.lines()
    }
}

fn refused(sink: &str, event: u128) -> DeadLetter {
    let (sink, tenant) = (sink.to_owned(), "acme".to_owned());
    let refused = Refused { sink, tenant, event, time: 0, kind: 0, class: 0, severity: 0, alert_key: None };
    DeadLetter::refused(0, "acme", "a", "too long", refused, b"{}\n")
}

fn say(acknowledgements: Vec<Acknowledgement>) {
    acknowledgements.into_iter().for_each(|acknowledgement| acknowledgement.acknowledge(vec![]));
}

#[tokio::test(start_paused = true)]
async fn only_a_contiguous_prefix_that_all_sinks_have_is_committed() {
    let case = Case::new();
    let mut line = case.line("a");
    let mut acks: Vec<Vec<_>> = Vec::new();
    for position in 1..=3 {
        acks.push(case.announce(&mut line, position, 1, "xx").await);
    }
    acks.drain(1..).for_each(say);
    acks[0].pop().unwrap().acknowledge(vec![]);
    assert!(case.settle().await.is_empty());
    say(acks.remove(0));
    assert_eq!(case.settle().await, ["a at Some([3]) +3"]);
    let commit = case.journal.last();
    assert_eq!((commit.counts.imbalances(), commit.partly), (vec![], None));
    assert_eq!(commit.counts.sinks["1"], SinkCounts { accepted: 3, delivered: 3, ..SinkCounts::default() });
}

/// As a second replay of a stream is.
#[tokio::test(start_paused = true)]
async fn a_second_line_of_a_stream_goes_on_behind_the_first() {
    let case = Case::new();
    let (mut first, mut other) = (case.line("a"), case.line("b"));
    say(case.announce(&mut first, 1, 1, "x").await);
    say(case.announce(&mut first, 2, 1, "x").await);
    case.settle().await;
    drop(first);
    let mut second = case.line("a");
    let waiting = case.announce(&mut second, 3, 1, "x").await;
    say(case.announce(&mut other, 9, 1, "x").await);
    say(waiting);
    say(case.announce(&mut second, 4, 1, "x").await);
    let stored = case.settle().await.join(", ");
    assert!(stored.ends_with("a at Some([4]) +2, b at Some([9]) +1"), "{stored}");
    assert_eq!(case.journal.last().counts.sinks["0"].delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_is_dropped_is_none() {
    let case = Case::new();
    let mut line = case.line("a");
    drop(case.announce(&mut line, 1, 1, "x").await);
    say(case.announce(&mut line, 2, 1, "x").await);
    drop((line, case.lines));
    case.task.await.unwrap();
    let positions: Vec<_> = case.journal.commits.lock().unwrap().iter().map(|commit| commit.position.clone()).collect();
    assert!(positions.iter().all(Option::is_none), "{positions:?}");
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_kept_before_the_position_moves() {
    let case = Case::new();
    *case.journal.fails.lock().unwrap() = 3;
    let mut line = case.line("a");
    case.announce_with(&mut line, 1, 1, "", true).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(case.journal.lines(), ["acme: 1 dead", "a at Some([1]) +1"]);
}

#[tokio::test(start_paused = true)]
async fn letters_that_cannot_be_kept_hold_their_source_and_no_other() {
    let case = Case::new();
    *case.journal.full.lock().unwrap() = Some("acme");
    let mut line = case.line("a");
    let mut other = case.lines.line(StreamKey::new("other", "b"));
    case.announce(&mut line, 1, 1, "").await;
    case.announce_with(&mut line, 2, 1, "", true).await;
    case.announce(&mut line, 3, 1, "").await;
    case.announce_with(&mut other, 9, 1, "", true).await;
    let lines = case.settle().await;
    assert_eq!(lines, ["other: 1 dead", "a at Some([1]) +1, b at Some([9]) +1"]);
    let said = std::mem::take(&mut *case.said.lock().unwrap());
    assert!(said.iter().any(|text| text.contains("tributary dead-letters drop")), "{said:?}");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(case.journal.lines().len(), 2);
    *case.journal.full.lock().unwrap() = None;
    sleep(2 * LONGEST_HOLD).await;
    assert_eq!(case.journal.lines()[2..], ["acme: 1 dead", "a at Some([3]) +2"]);
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_letters_that_cannot_be_kept() {
    let case = Case::new();
    *case.journal.full.lock().unwrap() = Some("acme");
    let mut line = case.line("a");
    case.announce_with(&mut line, 1, 1, "", true).await;
    drop((line, case.lines));
    sleep(Duration::from_secs(600)).await;
    assert!(!case.task.is_finished(), "it would say that everything is stored");
    *case.journal.full.lock().unwrap() = None;
    case.task.await.unwrap();
    assert_eq!(case.journal.lines(), ["acme: 1 dead", "a at Some([1]) +1"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_sink_refuses_is_kept_first_and_counted() {
    let case = Case::new();
    let mut line = case.line("a");
    let mut acks = case.announce(&mut line, 1, 5, "xx").await;
    acks.pop().unwrap().acknowledge(vec![refused("1", 100), refused("1", 103)]);
    assert!(case.settle().await.is_empty(), "the other has not answered");
    say(acks);
    assert_eq!(case.settle().await, ["acme: 2 dead", "a at Some([1]) +5"]);
    let counts = case.journal.last().counts;
    assert_eq!(counts.imbalances(), [""; 0]);
    assert_eq!((counts.sinks["1"].delivered, counts.sinks["1"].dead_lettered, counts.sinks["0"].delivered), (3, 2, 5));
}

#[tokio::test(start_paused = true)]
async fn a_sink_without_acknowledgements_holds_nothing_and_is_counted_when_it_answers() {
    let case = Case::new();
    let mut line = case.line("a");
    let mut late = Vec::new();
    for position in 1..=4 {
        let mut acks = case.announce(&mut line, position, 10, "xo").await;
        late.push(acks.pop().unwrap());
        say(acks);
        case.settle().await;
    }
    let mut sum = Counts::default();
    for commit in case.journal.commits.lock().unwrap().iter() {
        sum.add(&commit.counts);
    }
    assert_eq!((case.journal.last().position, sum.sinks["1"].pending()), (Some(vec![4]), 40));
    assert_eq!((sum.imbalances(), sum.sinks["0"].delivered), (vec![], 40));
    // One is late, one refuses something, of one a part is lost and of the rest one refused, one never answers.
    drop(late.pop());
    late.pop().unwrap().lose(6, vec![refused("1", 300)]);
    late.pop().unwrap().acknowledge(vec![refused("1", 200)]);
    late.pop().unwrap().acknowledge(vec![]);
    let before = case.settle().await.len();
    assert_eq!(case.journal.lines().last().unwrap(), "acme: 2 dead", "the rest is no hurry");
    drop((line, case.lines));
    case.task.await.unwrap();
    assert_eq!(case.journal.lines().len(), before + 1);
    sum.add(&case.journal.last().counts);
    assert_eq!(sum.imbalances(), [""; 0]);
    let sink = sum.sinks["1"];
    assert_eq!((sink.delivered, sink.dead_lettered, sink.lost, sink.pending()), (22, 2, 6, 10));
}

#[tokio::test(start_paused = true)]
async fn the_store_learns_which_sink_has_what_the_position_waits_for() {
    let case = Case::new();
    let mut line = case.line("a");
    let mut first = case.announce(&mut line, 1, 3, "xx").await;
    let second = case.announce(&mut line, 2, 2, "xx").await;
    first.pop().unwrap().acknowledge(vec![refused("1", 101)]);
    say(second);
    assert!(case.settle().await.is_empty(), "a sink that is merely slower costs nothing");
    sleep(PARTLY_AFTER).await;
    let commit = case.journal.last();
    assert_eq!((commit.position.clone(), commit.counts.clone()), (None, Counts::default()));
    // What was refused comes again: its letter is not kept yet.
    let partly = commit.partly.unwrap();
    assert_eq!(partly["1"].iter().copied().collect::<Vec<_>>(), [100, 102, 200, 201]);
    assert_eq!(partly["0"].iter().copied().collect::<Vec<_>>(), [200, 201]);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(case.journal.lines().len(), 1, "once");
    say(first);
    case.settle().await;
    let commit = case.journal.last();
    assert_eq!((commit.position, commit.partly), (Some(vec![2]), Some(Partly::new())));
    // Then nothing is known, and nothing of it is written.
    say(case.announce(&mut line, 3, 1, "xx").await);
    case.settle().await;
    assert_eq!(case.journal.last().partly, None);
}

#[tokio::test(start_paused = true)]
async fn what_was_known_before_a_restart_is_forgotten_as_the_position_covers_it() {
    let case = Case::new();
    let mut line = case.line("a");
    line.restore([("1".to_owned(), [100, 101, 200, 999].into())].into());
    say(case.announce(&mut line, 1, 2, "xx").await);
    case.settle().await;
    assert_eq!(case.journal.last().partly, Some([("1".to_owned(), [200, 999].into())].into()));
    say(case.announce(&mut line, 2, 1, "xx").await);
    case.settle().await;
    assert_eq!(case.journal.last().partly, Some([("1".to_owned(), [999].into())].into()));
}

#[tokio::test(start_paused = true)]
async fn an_idle_position_waits_for_company_or_ten_minutes_or_the_end() {
    let case = Case::new();
    let (mut a, mut b) = (case.line("a"), case.line("b"));
    case.announce(&mut a, 1, 0, "").await;
    assert!(case.settle().await.is_empty());
    case.announce(&mut a, 2, 5, "").await;
    assert_eq!(case.settle().await, ["a at Some([2]) +5"]);
    case.announce(&mut a, 3, 0, "").await;
    case.announce(&mut a, 4, 0, "").await;
    sleep(IDLE_POSITION - Duration::from_secs(30)).await;
    assert_eq!(case.journal.lines().len(), 1);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(case.journal.lines()[1..], ["a at Some([4]) +0"]);
    case.announce(&mut b, 9, 0, "").await;
    drop((a, b, case.lines));
    case.task.await.unwrap();
    assert_eq!(case.journal.lines()[2..], ["b at Some([9]) +0"]);
}

#[tokio::test(start_paused = true)]
async fn idle_streams_share_a_transaction_in_ten_minutes() {
    let case = Case::new();
    let mut lines: Vec<_> = ["a", "b", "c"].into_iter().map(|stream| case.line(stream)).collect();
    // For two hours each moves every five minutes, at another moment.
    for minute in 0..120u8 {
        if let Some(line) = lines.get_mut(usize::from(minute % 5)) {
            case.announce(line, minute, 0, "").await;
        }
        sleep(Duration::from_secs(60)).await;
    }
    let written = case.journal.lines();
    assert!((10..=12).contains(&written.len()), "{written:#?}");
    assert!(written.iter().all(|line| ["a at", "b at", "c at"].iter().all(|part| line.contains(part))), "{written:#?}");
    drop((lines, case.lines));
    case.task.await.unwrap();
    let commits = case.journal.commits.lock().unwrap();
    for (stream, last) in [("a", 115), ("b", 116), ("c", 117)] {
        let written = commits.iter().rfind(|commit| commit.key.stream == stream);
        assert_eq!(written.unwrap().position, Some(vec![last]));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_again_is_no_hurry_and_is_counted() {
    let case = Case::new();
    let mut line = case.line("a");
    for position in 1..=9 {
        case.announce_repeated(&mut line, position, 7).await;
        sleep(Duration::from_secs(60)).await;
    }
    assert!(case.journal.lines().is_empty(), "{:?}", case.journal.lines());
    case.announce(&mut line, 10, 2, "").await;
    assert_eq!(case.settle().await, ["a at Some([10]) +65"]);
    let counts = case.journal.last().counts;
    assert_eq!((counts.repeated, counts.accepted, counts.events), (63, 2, 65));
}

#[tokio::test(start_paused = true)]
async fn streams_share_a_transaction_and_do_not_wait_for_each_other() {
    let case = Case::new();
    let (mut a, mut b) = (case.line("a"), case.line("b"));
    let stuck = case.announce_with(&mut a, 1, 1, "x", true).await;
    case.announce(&mut b, 1, 1, "").await;
    assert_eq!(case.settle().await, ["b at Some([1]) +1"]);
    say(stuck);
    case.announce(&mut b, 2, 1, "").await;
    let lines = case.settle().await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[2].contains("a at Some([1]) +1") && lines[2].contains("b at Some([2]) +1"));
}
