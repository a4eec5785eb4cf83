use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;

use super::super::schema::{FORMAT_KEY, META};
use super::*;
use crate::state::filter::tests::ids;
use crate::state::{
    Commit, Counts, Gap, HealthRow, ImportError, KEPT_HEALTH, Partly, Sighting, Sightings, SinkCounts, StreamState,
};

const DAY_MS: u64 = 86_400_000;

fn commit(source: &str, stream: &str, seen: Vec<u128>) -> Commit {
    let sink = SinkCounts { accepted: 7, delivered: 6, dead_lettered: 1, ..SinkCounts::default() };
    let counts = Counts {
        records: 10,
        events: 9,
        malformed: 1,
        repeated: 2,
        accepted: 7,
        gaps: 1,
        sinks: [("lake".to_owned(), sink)].into(),
        ..Counts::default()
    };
    let gap = Gap { what: "a file".into(), begin: Some(1), end: None, reason: "it is gone \u{1f5d1}".into(), at_ms: 5 };
    Commit {
        key: StreamKey::new(source, stream),
        tenant: "Acme".into(),
        position: Some(b"{\"at\":7}".to_vec()),
        counts,
        seen,
        seen_for: std::time::Duration::from_secs(86_400),
        gaps: vec![gap],
        partly: Some([("lake".to_owned(), [1, 2].into()), ("other".to_owned(), [3].into())].into()),
        alerts: Sightings {
            since_ms: 0,
            seen: [None, Some("pager")].map(|sink| sighting(stream.len() as u128, 1_000, sink)).into(),
        },
        at_ms: 1_000,
    }
}

fn sighting(key: u128, at_ms: u64, sink: Option<&str>) -> Sighting {
    Sighting { key, at_ms, sink: sink.map(Into::into) }
}

/// Those of all sinks, and then those of the one.
fn sightings(of: &[(u128, u64)]) -> Vec<Sighting> {
    let sinks = [None, Some("pager")];
    sinks.into_iter().flat_map(|sink| of.iter().map(move |(key, at_ms)| sighting(*key, *at_ms, sink))).collect()
}

fn filled(folder: &Path) -> Store {
    let store = Store::open(folder).unwrap();
    store.commit(vec![commit("acme", "audit", ids(1, 2_500)), commit("acme", "siem/av", ids(2, 10))]).unwrap();
    store.commit(vec![commit("acme2", "audit", ids(3, 10)), commit("acme", "audit", ids(4, 20))]).unwrap();
    store.keep_health(&[event("acme", 1), event("acme2", 2), event("acme", 3)]).unwrap();
    store
}

fn event(source: &str, number: u64) -> HealthRow {
    HealthRow { source: source.into(), json: format!("{{\"z\":{number},\"a\":\"\"}}").into() }
}

fn health(store: &Store) -> Vec<(String, Vec<String>)> {
    let text = |json: Vec<u8>| String::from_utf8(json).unwrap();
    let of = |source: String| (source.clone(), store.health(&source).unwrap().into_iter().map(text).collect());
    store.health_sources().unwrap().into_iter().map(of).collect()
}

/// Everything that can be seen of a store.
fn seen_of(store: &Store) -> BTreeMap<StreamKey, (StreamState, Vec<Gap>, Vec<bool>)> {
    let all: Vec<u128> = [ids(1, 2_500), ids(2, 10), ids(3, 10), ids(4, 20)].concat();
    let of = |key: &StreamKey| (store.stream(key).unwrap(), store.gaps(key).unwrap(), store.known(key, &all).unwrap());
    store.streams().unwrap().into_iter().map(|key| (key.clone(), of(&key))).collect()
}

fn exported(store: &Store) -> String {
    let mut out = Vec::new();
    store.export(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn an_export_is_taken_in_whole_or_not_at_all() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = filled(one.path());
    let text = exported(&store);
    let into = |text: &str| {
        let other = Store::open(two.path()).unwrap();
        let result = other.import(&mut BufReader::new(text.as_bytes()));
        (result, other)
    };
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() > 8, "{}", lines.len());
    let cut = lines[..lines.len() - 1].join("\n");
    let without = [&lines[..3], &lines[4..]].concat().join("\n");
    let changed = text.replace("\"position\":\"7b", "\"position\":\"7");
    let unknown = text.replace("\"gap\":", "\"hole\":");
    for (what, wrong) in [
        ("cut", &cut),
        ("without a line", &without),
        ("changed", &changed),
        ("unknown", &unknown),
        ("empty", &String::new()),
    ] {
        let (result, other) = into(wrong);
        let error = result.unwrap_err();
        assert!(error.to_string().contains("Nothing was taken in"), "{what}: {error}");
        assert!(other.streams().unwrap().is_empty(), "{what}");
    }
    let (result, other) = into(&text);
    assert_eq!(result.unwrap(), 3);
    assert_eq!(seen_of(&other), seen_of(&store));
    assert_eq!(health(&other), health(&store));
    assert_eq!(health(&other).len(), 2);
    assert_eq!(other.alerts("acme", 0).unwrap(), sightings(&[(5, 1_000), (7, 1_000)]));
    assert_eq!(exported(&other).lines().count(), lines.len());
    // It can be used: what was seen stays so, and more comes.
    other.commit(vec![commit("acme", "audit", ids(9, 3_000))]).unwrap();
    let key = StreamKey::new("acme", "audit");
    assert!(other.known(&key, &[ids(1, 2_500), ids(9, 3_000)].concat()).unwrap().iter().all(|known| *known));
    drop(other);
    let (result, _) = into(&text);
    assert!(matches!(result.unwrap_err(), ImportError::There(_)));
}

#[test]
fn a_source_is_renamed_with_all_that_is_known_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    let before = seen_of(&store);
    store.keep_health(&[event("new", 4)]).unwrap();
    store.rename("acme", "new").unwrap();
    let numbers = |numbers: &[u64]| numbers.iter().map(|n| format!("{{\"z\":{n},\"a\":\"\"}}")).collect::<Vec<_>>();
    assert_eq!(health(&store), [("acme2".to_owned(), numbers(&[2])), ("new".to_owned(), numbers(&[1, 3, 4]))]);
    let after = seen_of(&store);
    let renamed =
        |key: &StreamKey| if key.source == "acme" { StreamKey::new("new", &*key.stream) } else { key.clone() };
    let expected: BTreeMap<_, _> = before.into_iter().map(|(key, value)| (renamed(&key), value)).collect();
    assert_eq!(after, expected);
    assert_eq!(store.stream(&StreamKey::new("acme", "audit")).unwrap(), StreamState::default());
    // And it goes on.
    store.commit(vec![commit("new", "audit", ids(5, 10))]).unwrap();
    assert_eq!(store.gaps(&StreamKey::new("new", "audit")).unwrap().len(), 3);
    let of = |source| store.alerts(source, 0).unwrap();
    assert_eq!((of("acme"), of("acme2")), (vec![], sightings(&[(5, 1_000)])));
    assert_eq!(of("new"), sightings(&[(5, 1_000), (7, 1_000)]));
    assert_eq!(store.alerts("new", 1_001).unwrap(), []);
    let later = Sightings { since_ms: 1_001, seen: vec![sighting(9, 1_500, Some("pager"))] };
    store.commit(vec![Commit { alerts: later, ..commit("new", "audit", vec![]) }]).unwrap();
    assert_eq!(of("new"), [sighting(9, 1_500, Some("pager"))], "what is too old is gone");
}

#[test]
fn forgetting_keeps_the_ledger_and_the_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    let before = seen_of(&store);
    let (audit, av) = (StreamKey::new("acme", "audit"), StreamKey::new("acme", "siem/av"));
    store.forget(&audit, Forget::Position).unwrap();
    let state = store.stream(&audit).unwrap();
    assert_eq!((state.position, state.ledger == before[&audit].0.ledger), (None, true));
    assert_eq!(store.known(&audit, &ids(1, 5)).unwrap(), [true; 5]);
    store.forget(&audit, Forget::All).unwrap();
    let state = store.stream(&audit).unwrap();
    assert_eq!((state.partly, state.ledger == before[&audit].0.ledger), (Partly::new(), true));
    assert_eq!(store.known(&audit, &ids(1, 5)).unwrap(), [false; 5]);
    assert_eq!(store.gaps(&audit).unwrap().len(), 2);
    let after = seen_of(&store);
    assert_eq!(after[&av], before[&av]);
    assert_eq!(after[&StreamKey::new("acme2", "audit")], before[&StreamKey::new("acme2", "audit")]);
}

#[test]
fn what_is_not_configured_is_kept_for_thirty_days() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    let key = StreamKey::new("acme", "audit");
    let at = |day: u64| 1_000_000 * DAY_MS + day * DAY_MS;
    let has = || store.stream(&key).unwrap().position.is_some();
    let only = |source: &str| source == "acme2";
    assert!(store.retire(|_| true, at(0)).unwrap().is_empty());
    let told = store.retire(only, at(1)).unwrap();
    assert_eq!(told, [Retired { source: "acme".into(), since_ms: at(1), dropped: false }]);
    assert_eq!(store.summaries().unwrap()[0].retired_ms, Some(at(1)));
    // Back in time: it goes on, and the days begin anew.
    store.retire(|_| true, at(30)).unwrap();
    assert_eq!(store.summaries().unwrap()[0].retired_ms, None);
    assert!(!store.retire(only, at(31)).unwrap()[0].dropped);
    assert!(!store.retire(only, at(60)).unwrap()[0].dropped && has());
    assert!(store.retire(only, at(61)).unwrap()[0].dropped && !has());
    assert_eq!(store.known(&key, &ids(1, 1)).unwrap(), [false]);
    assert_eq!(store.stream(&key).unwrap().ledger.counts.records, 20, "the ledger is for ever");
    assert!(!store.retire(only, at(62)).unwrap()[0].dropped, "once");
    assert!(store.stream(&StreamKey::new("acme2", "audit")).unwrap().position.is_some());
    // Noticed under a clock that stood at the epoch.
    let late = Commit { at_ms: at(70), ..commit("acme", "audit", vec![]) };
    store.commit(vec![late]).unwrap();
    store.retire(|_| true, at(70)).unwrap();
    store.retire(only, 5).unwrap();
    assert!(!store.retire(only, at(99)).unwrap()[0].dropped && has());
    assert!(store.retire(only, at(100)).unwrap()[0].dropped);
}

#[test]
fn a_store_of_format_1_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let key = StreamKey::new("acme", "audit");
    {
        let store = filled(folder.path());
        let guard = store.database().unwrap();
        let transaction = guard.as_ref().unwrap().begin_write().unwrap();
        let old =
            r#"{"counts":{"records":5,"events":5,"accepted":5,"delivered":{"lake":5}},"since_ms":1,"updated_ms":2}"#;
        transaction.open_table(LEDGERS).unwrap().insert(key.row().as_str(), old.as_bytes()).unwrap();
        transaction.open_table(META).unwrap().insert(FORMAT_KEY, 1).unwrap();
        transaction.delete_table(GAPS).unwrap();
        transaction.delete_table(PARTLY).unwrap();
        transaction.delete_table(RETIRED).unwrap();
        transaction.commit().unwrap();
    }
    let store = Store::open(folder.path()).unwrap();
    let state = store.stream(&key).unwrap();
    assert_eq!(state.position.as_deref(), Some(b"{\"at\":7}".as_slice()));
    assert_eq!((state.ledger.counts.imbalances(), state.ledger.counts.sinks["lake"].accepted), (vec![], 5));
    store.commit(vec![commit("acme", "audit", vec![])]).unwrap();
    let counts = store.stream(&key).unwrap().ledger.counts;
    assert_eq!((counts.imbalances(), counts.sinks["lake"].delivered, counts.records), (vec![], 11, 15));
    drop(store);
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_damaged_store_is_set_aside_and_a_sound_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Store::check(folder.path()).unwrap_err();
    assert!(matches!(missing, StateError::Missing { .. }) && std::fs::read_dir(folder.path()).unwrap().count() == 0);
    drop(filled(folder.path()));
    Store::check(folder.path()).unwrap();
    assert_eq!(Store::set_aside(folder.path(), "x").unwrap(), None);
    let path = folder.path().join("state.redb");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(5_000);
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(Store::check(folder.path()).unwrap_err(), StateError::Damaged { .. }));
    let aside = Store::set_aside(folder.path(), "x").unwrap().unwrap();
    assert_eq!(std::fs::read(&aside).unwrap(), bytes);
    assert!(Store::open(folder.path()).unwrap().streams().unwrap().is_empty());
}

#[test]
fn parts_that_sinks_have_are_replaced_and_dropped_with_their_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    let key = StreamKey::new("acme", "audit");
    assert_eq!(store.stream(&key).unwrap().partly["lake"], [1, 2].into());
    let none = Commit { partly: None, ..commit("acme", "audit", vec![]) };
    store.commit(vec![none.clone()]).unwrap();
    assert_eq!(store.stream(&key).unwrap().partly.len(), 2);
    store.commit(vec![Commit { partly: Some([("lake".to_owned(), [2].into())].into()), ..none.clone() }]).unwrap();
    assert_eq!(store.stream(&key).unwrap().partly, [("lake".to_owned(), [2].into())].into());
    store.commit(vec![Commit { partly: Some(Partly::new()), ..none }]).unwrap();
    assert_eq!(store.stream(&key).unwrap().partly, Partly::new());
    assert_eq!(store.stream(&StreamKey::new("acme", "siem/av")).unwrap().partly.len(), 2);
}

#[test]
fn a_replay_is_counted_beside_the_balance() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    let key = StreamKey::new("acme", "audit");
    store.replayed(&key, "lake", 2).unwrap();
    let counts = store.stream(&key).unwrap().ledger.counts;
    assert_eq!((counts.sinks["lake"].replayed, counts.imbalances()), (2, vec![]));
}

/// A replay to all sinks tells the stream what it has delivered; one to a single sink does not. Neither moves the stream.
#[test]
fn what_a_replay_delivers_its_stream_has_seen() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let stream = StreamKey::new("acme", "audit");
    let hour = Duration::from_secs(3600);
    let commit = |key: &StreamKey, seen: &[u128], at_ms: u64| Commit {
        key: key.clone(),
        tenant: "acme".into(),
        position: Some(format!("of {key}").into_bytes()),
        counts: Counts { records: 1, events: 1, accepted: 1, ..Default::default() },
        seen: seen.to_vec(),
        seen_for: hour,
        gaps: Vec::new(),
        partly: None,
        alerts: Default::default(),
        at_ms,
    };
    store.commit(vec![commit(&stream, &[1], 1_000_000)]).unwrap();
    let before = store.summary(stream.clone()).unwrap();
    let (all, one) = (stream.replay(None), stream.replay(Some("lake")));
    assert!(all.is_replay() && one.is_replay() && !stream.is_replay());
    store.commit(vec![commit(&all, &[1, 2], 2_000_000), commit(&one, &[3], 2_000_000)]).unwrap();
    let known = |key: &StreamKey| store.known(key, &[1, 2, 3]).unwrap();
    assert_eq!(known(&stream), [true, true, false]);
    assert_eq!((known(&all), known(&one)), (vec![true, true, false], vec![false, false, true]));
    let after = store.summary(stream.clone()).unwrap();
    assert_eq!((&after.position, &after.ledger, after.seen), (&before.position, &before.ledger, 2));
    // What the replay knows for itself goes when it is done; what the stream knows stays.
    store.forget(&all, Forget::All).unwrap();
    assert_eq!((known(&all), known(&stream)), (vec![false; 3], vec![true, true, false]));
    // The stream's own time stood still: an hour of it later nothing is known.
    let step = 15 * 60_000;
    for number in 1..=5 {
        store.commit(vec![commit(&stream, &[], 1_000_000 + number * step)]).unwrap();
    }
    assert_eq!(known(&stream)[..2], [false, false]);
}

/// A replay beside its busy stream, both in each transaction: the stream grows older by what passes, and no more.
#[test]
fn a_replay_does_not_age_its_stream() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let stream = StreamKey::new("acme", "audit");
    let commit = |key: StreamKey, id: u128, at_ms: u64| Commit {
        key,
        seen_for: Duration::from_secs(3600),
        partly: None,
        alerts: Default::default(),
        at_ms,
        ..commit("acme", "", vec![id])
    };
    for second in 0..300_u64 {
        let (id, at_ms) = (u128::from(second), 1_000_000 + second * 1000);
        store.commit(vec![commit(stream.clone(), id, at_ms), commit(stream.replay(None), 1_000 + id, at_ms)]).unwrap();
    }
    assert_eq!(store.known(&stream, &[0, 1_000, 299, 1_299]).unwrap(), [true; 4]);
    assert_eq!(store.stream(&stream).unwrap().ledger.updated_ms, 1_299_000);
    let clock = store.read(|transaction| super::super::read::clock(transaction, &stream)).unwrap();
    assert_eq!(clock, (299_000, 1_299_000));
}

/// What a running host stores while an export is written merges the runs that the export is about to read.
#[test]
fn an_export_shows_one_moment() {
    struct Busy<'a>(&'a Store, Vec<u8>, u128);
    impl std::io::Write for Busy<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.2 += 1;
            self.0.commit(vec![commit("acme", "siem/av", ids(100 + self.2 as u64, 20))]).unwrap();
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = filled(one.path());
    let before = seen_of(&store);
    let mut busy = std::io::BufWriter::with_capacity(512, Busy(&store, Vec::new(), 0));
    store.export(&mut busy).unwrap();
    let Busy(_, text, commits) = busy.into_inner().map_err(|_| "flushed").unwrap();
    assert!(commits > 20, "{commits}");
    let other = Store::open(two.path()).unwrap();
    other.import(&mut BufReader::new(&*text)).unwrap();
    assert_eq!(seen_of(&other), before);
}

#[test]
fn the_last_thousand_health_events_of_each_source_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert!(store.health("acme").unwrap().is_empty() && store.health_sources().unwrap().is_empty());
    store.keep_health(&[event("acme2", 0)]).unwrap();
    for part in 0..13 {
        let events: Vec<_> = (0..100).map(|number| event("acme", part * 100 + number)).collect();
        store.keep_health(&events).unwrap();
    }
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    let kept = store.health("acme").unwrap();
    assert_eq!(kept.len(), KEPT_HEALTH);
    assert_eq!((&kept[0], &kept[999]), (&event("acme", 300).json.to_vec(), &event("acme", 1_299).json.to_vec()));
    assert_eq!(store.health("acme2").unwrap().len(), 1);
    assert!(store.health("acm").unwrap().is_empty());
}
