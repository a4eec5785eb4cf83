use std::time::{Duration, Instant};

use super::super::filter::tests::ids;
use super::super::{Counts, SinkCounts};
use super::schema::FORMAT_KEY;
use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE_MS: u64 = 60_000;

fn commit(stream: &str, position: &str, seen: Vec<u128>, at_ms: u64) -> Commit {
    let counts = Counts {
        records: 10,
        events: 9,
        malformed: 1,
        accepted: 9,
        sinks: [("files".to_owned(), SinkCounts { accepted: 9, delivered: 9, ..SinkCounts::default() })].into(),
        ..Counts::default()
    };
    let key = StreamKey::new("acme", stream);
    let (tenant, position) = ("Acme".to_owned(), Some(position.into()));
    Commit {
        key,
        tenant,
        position,
        counts,
        seen,
        seen_for: DAY,
        gaps: vec![],
        partly: None,
        alerts: Default::default(),
        at_ms,
    }
}

fn run_count(store: &Store, key: &StreamKey) -> usize {
    store.read(|transaction| Ok(seen::runs(&transaction.open_table(RUNS)?, &key.row())?.len())).unwrap()
}

#[test]
fn remembers() {
    let folder = tempfile::tempdir().unwrap();
    let key = StreamKey::new("acme", "siem/receipt");
    let known = ids(1, 3000);
    {
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.stream(&key).unwrap(), StreamState::default());
        assert_eq!(store.known(&key, &known[..2]).unwrap(), [false, false]);
        assert!(store.streams().unwrap().is_empty());
        let two =
            vec![commit("siem/receipt", "p1", known[..1500].to_vec(), 1000), commit("audit", "a1", Vec::new(), 1000)];
        store.commit(two).unwrap();
        let mut last = commit("siem/receipt", "", known[1500..].to_vec(), 2000);
        last.position = None;
        store.commit(vec![last]).unwrap();
        store.commit(Vec::new()).unwrap();
    }
    let store = Store::open(folder.path()).unwrap();
    let state = store.stream(&key).unwrap();
    assert_eq!(state.position.as_deref(), Some(b"p1".as_slice()));
    assert_eq!((state.ledger.counts.records, state.ledger.counts.sinks["files"].delivered), (20, 18));
    assert_eq!((state.ledger.since_ms, state.ledger.updated_ms), (1000, 2000));
    assert_eq!(store.streams().unwrap(), [StreamKey::new("acme", "audit"), key.clone()]);
    assert!(store.known(&key, &known).unwrap().iter().all(|known| *known));
    let mixed = [known[7], 5, known[2999], u128::MAX, known[7]];
    assert_eq!(store.known(&key, &mixed).unwrap(), [true, false, true, false, true]);
    assert_eq!(store.known(&StreamKey::new("acme", "audit"), &mixed).unwrap(), [false; 5]);
    assert_eq!(store.known(&StreamKey::new("acm", "siem/receipt"), &mixed).unwrap(), [false; 5]);
}

#[test]
fn all_commits_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.commit(vec![commit("a", "1", vec![1], 1)]).unwrap();
    // The second commit of the transaction will have to read this.
    {
        let guard = store.database().unwrap();
        let transaction = guard.as_ref().unwrap().begin_write().unwrap();
        transaction.open_table(LEDGERS).unwrap().insert("acme\0a", b"no ledger".as_slice()).unwrap();
        transaction.commit().unwrap();
    }
    let error = store.commit(vec![commit("b", "1", vec![2], 2), commit("a", "2", vec![3], 2)]).unwrap_err();
    assert!(error.to_string().contains("the ledger of acme/a cannot be read"), "{error}");
    let b = StreamKey::new("acme", "b");
    assert_eq!(store.stream(&b).unwrap(), StreamState::default());
    assert_eq!(store.known(&b, &[2]).unwrap(), [false]);
    store.commit(vec![commit("b", "1", vec![2], 2)]).unwrap();
    assert_eq!(store.known(&b, &[2]).unwrap(), [true]);
}

#[test]
fn what_was_not_committed_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let key = StreamKey::new("acme", "a");
    {
        let store = Store::open(folder.path()).unwrap();
        store.commit(vec![commit("a", "1", vec![1], 1)]).unwrap();
        let guard = store.database().unwrap();
        let transaction = guard.as_ref().unwrap().begin_write().unwrap();
        transaction.open_table(POSITIONS).unwrap().insert(key.row().as_str(), (1, b"2".as_slice())).unwrap();
        // As a crash would: neither the transaction nor the file is closed.
        std::mem::forget(transaction);
        let copy = std::fs::read(folder.path().join(STATE_FILE)).unwrap();
        let elsewhere = folder.path().join("crashed");
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::write(elsewhere.join(STATE_FILE), copy).unwrap();
        let crashed = Store::open(&elsewhere).unwrap();
        assert_eq!(crashed.stream(&key).unwrap().position.as_deref(), Some(b"1".as_slice()));
        assert_eq!(crashed.known(&key, &[1, 2]).unwrap(), [true, false]);
        crashed.commit(vec![commit("a", "3", vec![2], 2)]).unwrap();
    }
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert!(matches!(Store::open(folder.path()).unwrap_err(), StateError::InUse { .. }));
    store.commit(vec![commit("a", "1", vec![], 1)]).unwrap();
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert!(store.stream(&StreamKey::new("acme", "a")).unwrap().position.is_some());
}

#[test]
fn a_damaged_file_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(STATE_FILE);
    {
        let store = Store::open(folder.path()).unwrap();
        for i in 0..20 {
            store.commit(vec![commit("a", &format!("position {i}"), ids(i, 500), i)]).unwrap();
        }
    }
    let sound = std::fs::read(&path).unwrap();
    let key = StreamKey::new("acme", "a");
    let refused = std::cell::Cell::new(0);
    let check = |bytes: Vec<u8>, what: String| {
        std::fs::write(&path, &bytes).unwrap();
        match Store::open(folder.path()) {
            Err(error) => {
                assert!(matches!(error, StateError::Damaged { .. }), "{what}: {error}");
                assert!(error.to_string().contains("move the file away"), "{error}");
                assert_eq!(std::fs::read(&path).unwrap(), bytes, "{what}: touched");
                refused.set(refused.get() + 1);
            }
            // A page that holds nothing, or a header that leads to the commit before: what is read is sound.
            Ok(store) => {
                let position = store.stream(&key).unwrap().position.unwrap();
                assert!(position == b"position 19" || position == b"position 18", "{what}: {position:?}");
                assert!(store.known(&key, &ids(18, 500)).unwrap().iter().all(|known| *known), "{what}");
            }
        }
    };
    for len in [0, 1, 100, 4096, sound.len() / 2, sound.len() - 4096, sound.len() - 1] {
        check(sound[..len].to_vec(), format!("cut to {len}"));
    }
    check(b"data_dir = '/x'\n".repeat(1000), "some other file".into());
    assert_eq!(refused.get(), 8, "every one of them is refused");
    for at in (0..sound.len()).step_by(sound.len() / 61) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        check(bytes, format!("flipped at {at}"));
    }
    for at in 0..32 {
        let mut bytes = sound.clone();
        bytes[at * 10] ^= 0xff;
        check(bytes, format!("flipped in the header at {}", at * 10));
    }
    println!("{} of {} refused", refused.get(), 8 + 61 + 32);
    std::fs::write(&path, &sound).unwrap();
    let position = Store::open(folder.path()).unwrap().stream(&key).unwrap().position.unwrap();
    assert_eq!(position, b"position 19");
}

#[test]
fn a_flipped_byte_of_a_value_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(STATE_FILE);
    Store::open(folder.path()).unwrap().commit(vec![commit("a", "the only position", vec![7], 1)]).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    for at in 0..bytes.len() - 17 {
        if &bytes[at..at + 17] == b"the only position" {
            bytes[at] = b'T';
        }
    }
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(Store::open(folder.path()).unwrap_err(), StateError::Damaged { .. }));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let set = |format: u64| {
        let store = Store::open(folder.path()).unwrap();
        let guard = store.database().unwrap();
        let transaction = guard.as_ref().unwrap().begin_write().unwrap();
        transaction.open_table(META).unwrap().insert(FORMAT_KEY, format).unwrap();
        transaction.commit().unwrap();
    };
    set(FORMAT);
    set(FORMAT + 1);
    let error = Store::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("was written by a newer release (format 3; this release knows 2)"), "{error}");
}

#[test]
fn a_full_disk_passes_by() {
    let folder = tempfile::tempdir().unwrap();
    let key = StreamKey::new("acme", "a");
    let store = Store::open(folder.path()).unwrap();
    store.commit(vec![commit("a", "1", ids(1, 100), 1)]).unwrap();
    store.faults.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let error = store.commit(vec![commit("a", "2", ids(2, 100), 2)]).unwrap_err();
        assert!(matches!(error, StateError::Full { .. }), "{error}");
    }
    store.faults.full.store(false, Ordering::SeqCst);
    assert_eq!(store.stream(&key).unwrap().position.as_deref(), Some(b"1".as_slice()));
    assert!(store.known(&key, &ids(1, 100)).unwrap().iter().all(|known| *known));
    assert!(!store.known(&key, &ids(2, 100)).unwrap().iter().any(|known| *known));
    store.commit(vec![commit("a", "2", ids(2, 100), 2)]).unwrap();
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.stream(&key).unwrap().position.as_deref(), Some(b"2".as_slice()));
}

#[test]
fn a_commit_that_is_there_after_all_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let key = StreamKey::new("acme", "a");
    let store = Store::open(folder.path()).unwrap();
    store.commit(vec![commit("a", "1", ids(1, 100), 1)]).unwrap();
    store.faults.syncs.store(1, Ordering::SeqCst);
    let result = store.commit(vec![commit("a", "2", ids(2, 100), 2)]);
    assert_eq!(store.faults.syncs.load(Ordering::SeqCst), 0, "a sync failed");
    let state = store.stream(&key).unwrap();
    let expected: (&[u8], u64) = if result.is_ok() { (b"2", 20) } else { (b"1", 10) };
    assert_eq!((state.position.as_deref().unwrap(), state.ledger.counts.records), expected);
    assert!(result.is_ok(), "redb syncs once, after all is written: {result:?}");
    store.commit(vec![commit("a", "3", ids(3, 100), 3)]).unwrap();
    assert!(store.known(&key, &ids(2, 100)).unwrap().iter().all(|known| *known));
    assert_eq!(store.stream(&key).unwrap().ledger.counts.records, 30);
}

/// The sync fails with everything in place, and the file cannot be opened again at once to see that.
#[test]
fn a_commit_of_which_nobody_knows_counts_once_when_it_is_tried_again() {
    let key = StreamKey::new("acme", "a");
    let replay = key.replay(None);
    for (failing, key) in (2..6).flat_map(|failing| [(failing, &key), (failing, &replay)]) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.commit(vec![commit(&key.stream, "1", ids(1, 100), 1)]).unwrap();
        store.faults.syncs.store(failing, Ordering::SeqCst);
        let again = || vec![commit(&key.stream, "2", ids(2, 100), 2)];
        assert!(store.commit(again()).is_err(), "{failing}");
        while store.commit(again()).is_err() {}
        let state = store.stream(key).unwrap();
        assert_eq!((state.position.as_deref(), state.ledger.counts.records), (Some(b"2".as_slice()), 20), "{failing}");
        // What comes next is no repetition, even if it looks much like it.
        store.commit(again()).unwrap();
        assert_eq!(store.stream(key).unwrap().ledger.counts.records, 30);
        assert!(store.known(key, &ids(2, 100)).unwrap().iter().all(|known| *known));
    }
}

#[test]
fn an_import_onto_a_full_disk_says_so() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(one.path()).unwrap();
    store.commit(vec![commit("a", "1", ids(1, 300_000), 1)]).unwrap();
    let mut text = Vec::new();
    store.export(&mut text).unwrap();
    let other = Store::open(two.path()).unwrap();
    other.faults.full.store(true, Ordering::SeqCst);
    let error = other.import(&mut text.as_slice()).unwrap_err();
    assert!(matches!(&error, ImportError::State(StateError::Full { .. })), "{error}");
    other.faults.full.store(false, Ordering::SeqCst);
    assert_eq!(other.import(&mut text.as_slice()).unwrap(), 1);
}

#[test]
fn runs_stay_few() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let key = StreamKey::new("acme", "a");
    let all = ids(1, 40_000);
    for (i, seen) in all.chunks(100).enumerate() {
        store.commit(vec![commit("a", "p", seen.to_vec(), i as u64)]).unwrap();
        assert!(run_count(&store, &key) <= 10, "{} runs after {i} commits", run_count(&store, &key));
    }
    assert!(store.known(&key, &all).unwrap().iter().all(|known| *known));
    let begin = Instant::now();
    let strangers = store.known(&key, &ids(2, 5_000)).unwrap();
    println!("5,000 strangers in {:?} over {} runs", begin.elapsed(), run_count(&store, &key));
    assert!(!strangers.iter().any(|known| *known));
}

#[test]
fn ids_expire_in_the_time_of_their_stream() {
    let folder = tempfile::tempdir().unwrap();
    let key = StreamKey::new("acme", "a");
    let hour = Duration::from_secs(3600);
    let put = |store: &Store, id: u128, minute: u64| {
        let mut commit = commit("a", "p", vec![id], minute * MINUTE_MS);
        commit.seen_for = hour;
        store.commit(vec![commit]).unwrap();
    };
    {
        let store = Store::open(folder.path()).unwrap();
        put(&store, 1, 0);
        put(&store, 2, 10);
        // Nothing for five hours: that counts as a quarter of one.
        put(&store, 3, 310);
        assert_eq!(store.known(&key, &[1, 2, 3]).unwrap(), [true; 3]);
    }
    // A week in which the host stood still counts for nothing.
    let store = Store::open(folder.path()).unwrap();
    let start = 7 * 24 * 60;
    put(&store, 4, start);
    put(&store, 5, start + 14);
    put(&store, 6, start + 28);
    // The stream is 25 + 28 minutes old.
    assert_eq!(store.known(&key, &[1, 2, 3, 4, 5, 6]).unwrap(), [true; 6]);
    for minute in 29..60 {
        put(&store, 100 + u128::from(minute), start + minute);
    }
    // 85 minutes: what came in the first 10 is long out; what came in the last 60 is there.
    assert_eq!(store.known(&key, &[1, 2]).unwrap(), [false, false]);
    assert_eq!(store.known(&key, &[4, 5, 6, 159]).unwrap(), [true; 4]);
    for minute in 60..600 {
        put(&store, 100 + u128::from(minute), start + minute);
    }
    let old: Vec<u128> = (29..520).map(|minute| 100 + minute).collect();
    assert!(!store.known(&key, &old).unwrap().iter().any(|known| *known), "an hour, and a quarter for merged runs");
    assert!(run_count(&store, &key) < 20);
}

#[test]
fn zero_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut one = commit("a", "p", vec![1], 1);
    one.seen_for = Duration::ZERO;
    store.commit(vec![one]).unwrap();
    assert_eq!(store.known(&StreamKey::new("acme", "a"), &[1]).unwrap(), [false]);
}
