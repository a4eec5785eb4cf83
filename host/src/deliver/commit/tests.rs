use std::io;
use std::sync::Mutex;

use super::*;
use crate::deliver::{Ids, Memory, host_memory};
use crate::state::{StateError, StreamState};

/// Writes down what is stored, in order.
#[derive(Default)]
struct Journal {
    lines: Mutex<Vec<String>>,
    fails: Mutex<u32>,
}

impl Journal {
    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
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
        Ok(())
    }

    fn keep(&self, source: &str, letters: &[DeadLetter]) -> io::Result<()> {
        if self.fail() {
            return Err(io::Error::other("full"));
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
}

impl Case {
    fn new() -> Self {
        let journal = Arc::<Journal>::default();
        let (lines, committer) = committer(Arc::clone(&journal) as _, Random::seeded(1));
        let task = tokio::spawn(committer.run());
        Self { journal, lines, task, memory: Memory::new(1 << 20, host_memory(1 << 20), 1 << 20) }
    }

    async fn parcel(&self, stream: &str, position: u8, records: u64, malformed: bool) -> Parcel {
        let key = StreamKey::new("acme", stream);
        let counts = Counts { records, ..Counts::default() };
        let letter = || DeadLetter {
            at_ms: 0,
            source: "acme".into(),
            stream: stream.into(),
            reason: "r".into(),
            size: None,
            head: vec![],
        };
        Parcel {
            commit: Commit {
                key,
                position: Some(vec![position]),
                counts,
                seen: vec![],
                seen_for: Duration::ZERO,
                at_ms: 0,
            },
            dead_letters: malformed.then(letter).into_iter().collect(),
            room: self.memory.reserve(100).await.unwrap(),
            flight: Ids::default().depart(vec![]),
            stored: Box::new(|_| {}),
        }
    }

    async fn settle(&self) -> Vec<String> {
        sleep(Duration::from_millis(10)).await;
        self.journal.lines()
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_contiguous_prefix_that_all_sinks_have_is_committed() {
    let case = Case::new();
    let mut line = case.lines.line(StreamKey::new("acme", "a"));
    let mut acks: Vec<Vec<_>> = Vec::new();
    for position in 1..=3 {
        acks.push(line.announce(case.parcel("a", position, 1, false).await, 2).collect());
    }
    acks[1].drain(..).for_each(Acknowledgement::acknowledge);
    acks[2].drain(..).for_each(Acknowledgement::acknowledge);
    acks[0].pop().unwrap().acknowledge();
    assert!(case.settle().await.is_empty());
    acks[0].pop().unwrap().acknowledge();
    assert_eq!(case.settle().await, ["a at Some([3]) +3"]);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_is_dropped_is_none() {
    let case = Case::new();
    let mut line = case.lines.line(StreamKey::new("acme", "a"));
    drop(line.announce(case.parcel("a", 1, 1, false).await, 1).collect::<Vec<_>>());
    line.announce(case.parcel("a", 2, 1, false).await, 1).for_each(Acknowledgement::acknowledge);
    drop((line, case.lines));
    case.task.await.unwrap();
    assert!(case.journal.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_kept_before_the_position_moves() {
    let case = Case::new();
    *case.journal.fails.lock().unwrap() = 3;
    let mut line = case.lines.line(StreamKey::new("acme", "a"));
    let _ = line.announce(case.parcel("a", 1, 1, true).await, 0).count();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(case.journal.lines(), ["acme: 1 dead", "a at Some([1]) +1"]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_position_waits_for_company_or_ten_minutes_or_the_end() {
    let case = Case::new();
    let mut a = case.lines.line(StreamKey::new("acme", "a"));
    let mut b = case.lines.line(StreamKey::new("acme", "b"));
    let _ = a.announce(case.parcel("a", 1, 0, false).await, 0).count();
    assert!(case.settle().await.is_empty());
    let _ = a.announce(case.parcel("a", 2, 5, false).await, 0).count();
    assert_eq!(case.settle().await, ["a at Some([2]) +5"]);
    let _ = a.announce(case.parcel("a", 3, 0, false).await, 0).count();
    let _ = a.announce(case.parcel("a", 4, 0, false).await, 0).count();
    sleep(IDLE_POSITION - Duration::from_secs(30)).await;
    assert_eq!(case.journal.lines().len(), 1);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(case.journal.lines()[1..], ["a at Some([4]) +0"]);
    let _ = b.announce(case.parcel("b", 9, 0, false).await, 0).count();
    drop((a, b, case.lines));
    case.task.await.unwrap();
    assert_eq!(case.journal.lines()[2..], ["b at Some([9]) +0"]);
}

#[tokio::test(start_paused = true)]
async fn streams_share_a_transaction_and_do_not_wait_for_each_other() {
    let case = Case::new();
    let mut a = case.lines.line(StreamKey::new("acme", "a"));
    let mut b = case.lines.line(StreamKey::new("acme", "b"));
    let stuck: Vec<_> = a.announce(case.parcel("a", 1, 1, false).await, 1).collect();
    let _ = b.announce(case.parcel("b", 1, 1, false).await, 0).count();
    assert_eq!(case.settle().await, ["b at Some([1]) +1"]);
    stuck.into_iter().for_each(Acknowledgement::acknowledge);
    let _ = b.announce(case.parcel("b", 2, 1, false).await, 0).count();
    let lines = case.settle().await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].contains("a at Some([1]) +1") && lines[1].contains("b at Some([2]) +1"));
}
