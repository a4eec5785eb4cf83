//! The oracle: it knows each record that was issued, and says what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mimecast_simulator as sim;
use tributary_host::state::{DeadLetters, Found, Gap, Store, StreamKey};

use crate::far::Heap;
use crate::scenario::TENANT;
use crate::world::World;

/// What a run came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub real_component: bool,
    pub hash: u64,
    pub violations: Vec<String>,
    /// Records that were issued and collected.
    pub issued: u64,
    /// Of them, those inside a reported gap.
    pub in_gaps: u64,
    /// Events and records in the dead letters.
    pub dead_letters: u64,
    /// Ids that lie twice at a sink that refuses known ones.
    pub duplicates: u64,
    /// Deliveries of an id that such a sink had already.
    pub repeats: u64,
    pub losses: u64,
    pub simulated: Duration,
    pub crashes: BTreeMap<&'static str, u64>,
    pub faults: BTreeMap<String, u64>,
    /// From the end of the faults to the first record that appeared after it, by stream.
    pub fresh: Vec<Duration>,
    /// From the end of the faults until everything had come through.
    pub settled: Duration,
}

/// What the dead letters hold.
#[derive(Debug, Default)]
struct Letters {
    /// Events that a sink refused.
    refused: BTreeSet<(String, u128)>,
    refused_marks: BTreeSet<(String, sim::Mark)>,
    malformed_marks: BTreeSet<sim::Mark>,
    malformed: BTreeMap<String, u64>,
    /// By stream, how often a whole file, or the rest of one, was passed: its data were damaged at every try. Its letter
    /// stands for all that was in it.
    passed: BTreeMap<String, u64>,
}

fn letters(world: &World) -> Letters {
    let mut letters = Letters::default();
    let all = DeadLetters::new(world.folder.path(), u64::MAX);
    let read = all.read(None, |found| {
        match found {
            Found::Letter(letter) => match letter.refused {
                Some(refused) => {
                    for mark in sim::Mark::find_all(&letter.head) {
                        letters.refused_marks.insert((refused.sink.clone(), mark));
                    }
                    letters.refused.insert((refused.sink, refused.event));
                }
                None => {
                    letters.malformed_marks.extend(sim::Mark::find_all(&letter.head));
                    if letter.reason.contains("is passed") {
                        *letters.passed.entry(letter.stream.clone()).or_default() += 1;
                    }
                    *letters.malformed.entry(letter.stream).or_default() += 1;
                }
            },
            // Torn by a crash; its record came again.
            Found::Damaged { .. } => {}
        }
        Ok(())
    });
    read.expect("letters in memory can be read");
    letters
}

/// Whether a gap covers a record by its time.
fn covers(gap: &Gap, record: &sim::Issued) -> bool {
    let at = record.time_ms * 1_000_000;
    // Times of requests are whole seconds, and a file holds what happened in its interval.
    let slack = 1_000_000_000;
    is_bounded(gap) && gap.begin.is_none_or(|begin| at + slack >= begin) && gap.end.is_none_or(|end| at <= end + slack)
}

/// One that names files tells no time.
fn is_bounded(gap: &Gap) -> bool {
    gap.begin.is_some() || gap.end.is_some()
}

/// Whether Mimecast has no longer served a file's record when a gap without bounds was told.
fn is_gone(gap: &Gap, record: &sim::Issued, retention_ms: u64) -> bool {
    // The host's clock may be wrong by so much.
    const SKEW_MS: u64 = 30 * 60_000;
    !is_bounded(gap) && (record.lost || record.visible_from_ms + retention_ms <= gap.at_ms + SKEW_MS)
}

/// How many records of one stream may be missing at each sink because the piece that they stood in is told as a whole, and
/// nothing names them.
struct Allowance {
    /// In files that are gone.
    gone: u64,
    /// In files, archives and bundles whose damaged rest was passed.
    passed: u64,
}

impl Allowance {
    fn of(world: &World, store: &Store, letters: &Letters, stream: &str) -> Self {
        let settings = &world.scenario.settings;
        let file = settings.records_per_file as u64;
        let piece = match stream {
            "siem" => file * settings.members_per_archive as u64,
            feed if feed.starts_with("threat_intel") => settings.feed_page as u64,
            _ => file,
        };
        let ledger = store.stream(&StreamKey::new(TENANT, stream)).unwrap_or_default().ledger;
        let passed = letters.passed.get(stream).copied().unwrap_or_default();
        Self { gone: ledger.counts.pieces.gone * file, passed: passed * piece }
    }
}

/// Takes one of what is left.
fn take(left: &mut u64) -> bool {
    let some = *left > 0;
    *left -= u64::from(some);
    some
}

/// A record that is not where it should be.
#[derive(Debug)]
pub struct Missing {
    pub sink: &'static str,
    pub stream: &'static str,
    pub record: sim::Issued,
}

/// Records of `due` that are neither at a sink nor in the dead letters nor in a reported gap.
pub fn missing(world: &World, due: &[sim::Issued], store: &Store, end_ms: u64) -> Vec<Missing> {
    absent(world, due, store, end_ms).0
}

/// How many ids a record must have at least. Rows that are alike to the last byte are told apart within one answer; if a
/// page ends between them, they are one.
fn expected(record: &sim::Issued) -> usize {
    let is_list = !["siem", "cloud"].iter().any(|group| record.stream.starts_with(group));
    if is_list { record.distinct as usize } else { record.count as usize }
}

/// A list is read again as far back as rows are known to appear late, which is half an hour, and a day for held messages;
/// the fault that puts rows into a window while it is paged puts them into old windows too.
fn is_too_late(record: &sim::Issued) -> bool {
    const MINUTE_MS: u64 = 60_000;
    let late_ms = record.visible_from_ms - record.time_ms;
    let is_list = !["siem", "cloud", "threat_intel"].iter().any(|group| record.stream.starts_with(group));
    is_list && late_ms > if record.stream.starts_with("held") { 24 * 60 * MINUTE_MS } else { 30 * MINUTE_MS }
}

/// Whether a held message left the queue before anybody could see it there. Faults keep the host from looking until their
/// end, and refused credentials for an hour after it; from then on it looks at every interval.
fn left_unseen(record: &sim::Issued, end_ms: u64) -> bool {
    // The longest interval of a run, and the longest wait after passing trouble.
    const LOOKS_MS: u64 = 25 * 60_000;
    const REFUSED_MS: u64 = 65 * 60_000;
    record.gone_from_ms.is_some_and(|gone| gone <= (record.visible_from_ms + LOOKS_MS).max(end_ms + REFUSED_MS))
}

/// The same, and how many are only accounted for by a gap.
fn absent(world: &World, due: &[sim::Issued], store: &Store, end_ms: u64) -> (Vec<Missing>, u64) {
    let (mut missing, mut in_gaps, mut known) = (Vec::new(), 0, None);
    let retention_ms = world.scenario.settings.siem_retention_ms;
    let far = world.far.all();
    let nothing = Heap::default();
    for manner in world.scenario.base_sinks() {
        let heap = far.get(manner.id).unwrap_or(&nothing);
        let mut allowances: BTreeMap<&str, Allowance> = BTreeMap::new();
        for record in due {
            let Some(stream) = world.scenario.carrier(record.stream) else { continue };
            let here = heap.marks.get(&(stream.into(), record.mark)).map_or(0, BTreeSet::len);
            if here >= expected(record) || is_too_late(record) || left_unseen(record, end_ms) {
                continue;
            }
            let letters = known.get_or_insert_with(|| letters(world));
            let dead = letters.malformed_marks.contains(&record.mark)
                || letters.refused_marks.contains(&(manner.id.to_owned(), record.mark));
            if dead {
                continue;
            }
            let key = StreamKey::new(TENANT, stream);
            // Without a position, a stream begins where the configuration says: a week before its first reading.
            let since = store.stream(&key).unwrap_or_default().ledger.since_ms;
            if record.time_ms + 7 * 86_400_000 < since + 3_600_000 {
                continue;
            }
            let gaps = store.gaps(&key).unwrap_or_default();
            let left = allowances.entry(stream).or_insert_with(|| Allowance::of(world, store, letters, stream));
            if gaps.iter().any(|gap| covers(gap, record))
                || gaps.iter().any(|gap| is_gone(gap, record, retention_ms)) && take(&mut left.gone)
            {
                in_gaps += 1;
                continue;
            }
            if take(&mut left.passed) {
                continue;
            }
            missing.push(Missing { sink: manner.id, stream, record: *record });
        }
    }
    (missing, in_gaps)
}

/// The end of a run that cannot be judged any more.
pub fn failed(world: &World) -> Outcome {
    Outcome {
        real_component: world.scenario.real_component,
        hash: world.trace.hash(),
        violations: world.violations.clone(),
        crashes: world.trace.crashes(),
        faults: world.faults(),
        ..Outcome::default()
    }
}

/// Judges a run whose host has stopped in good order.
pub fn judge(world: &World, due: &[sim::Issued], store: &Store, end_ms: u64, settled: Duration) -> Outcome {
    let mut outcome = Outcome { settled, ..failed(world) };
    let (missing, in_gaps) = absent(world, due, store, end_ms);
    outcome.issued = due.iter().filter(|record| world.scenario.carrier(record.stream).is_some()).count() as u64;
    outcome.in_gaps = in_gaps;
    outcome.losses = missing.len() as u64;
    let mut say = |text: String| outcome.violations.push(text);
    for lost in missing.iter().take(3) {
        say(format!("P2: lost at sink {} of {}: {:?}", lost.sink, lost.stream, lost.record));
    }
    if missing.len() > 3 {
        say(format!("P2: {} records are lost", missing.len()));
    }
    let letters = letters(world);
    ledgers(world, store, &letters, &mut say);
    copies(world, &letters, &mut say);
    outcome.dead_letters = letters.refused.len() as u64 + letters.malformed.values().sum::<u64>();
    outcome.fresh = fresh(world, due, end_ms);
    let far = world.far.all();
    for manner in world.scenario.base_sinks().iter().filter(|manner| manner.idempotent) {
        for copies in far.get(manner.id).into_iter().flat_map(|heap| heap.events.values()) {
            outcome.duplicates += copies.stored.saturating_sub(1);
            outcome.repeats += copies.arrived.saturating_sub(1);
        }
    }
    drop(far);
    outcome
}

/// Whether Mimecast has answered the same question with other rows: one that happened once stood in one answer twice. Then
/// one record has two ids, rightly. A file never changes once it was given out.
fn is_altered(world: &World) -> bool {
    world.faults().contains_key("mimecast: RowTwice")
}

/// Whether rows were put into a window of a list while it was paged, so that a row stood at the end of one page and at the
/// beginning of the next. Of rows without ids that looks as two that are alike, and in a window of old rows it counts as two: one
/// id for both would lose the second where there are two.
fn is_shifted(world: &World, stream: &str) -> bool {
    let is_list = !["siem", "cloud", "threat_intel"].iter().any(|group| stream.starts_with(group));
    is_list && world.faults().contains_key("mimecast: RowsInsertedDuringListing")
}

/// Whether a bundle of a feed could not be read to its end, so that objects of it stand without their partners: as records
/// of their own, until they come again whole.
fn is_parted(world: &World, stream: &str) -> bool {
    let parting = [
        "mimecast: FeedCut",
        "mimecast: ConnectionCut",
        "wire: cut in the body",
        "source: broke down on a poison record",
    ];
    let faults = world.faults();
    stream.starts_with("threat_intel") && parting.iter().any(|kind| faults.contains_key(*kind))
}

/// Events of a stream at a sink whose file was taken away for ever, after it could be read.
fn of_lost_files(world: &World, heap: &Heap, stream: &str) -> u64 {
    let name: Arc<str> = stream.into();
    let simulator = world.memory.simulator();
    let lost = simulator.truth(TENANT, world.clock.millis()).filter(|record| record.lost && record.stream == stream);
    lost.filter_map(|record| heap.marks.get(&(Arc::clone(&name), record.mark))).map(|ids| ids.len() as u64).sum()
}

/// Both balances, and the ledger against the far sides.
fn ledgers(world: &World, store: &Store, letters: &Letters, say: &mut impl FnMut(String)) {
    let far = world.far.all();
    for row in store.summaries().expect("the store can be read") {
        let counts = &row.ledger.counts;
        let stream = &row.key.stream;
        counts.imbalances().into_iter().for_each(|text| say(format!("P2: {}: {text}", row.key)));
        let gaps = store.gaps(&row.key).expect("the store can be read");
        if counts.gaps != gaps.len() as u64 {
            say(format!("P2: {}: {} gaps are counted and {} kept", row.key, counts.gaps, gaps.len()));
        }
        let malformed = letters.malformed.get(stream).copied().unwrap_or_default();
        // A crash between letter and position makes a letter twice, and never none.
        if malformed < counts.malformed {
            say(format!("P4: {}: {} are malformed and {malformed} in the dead letters", row.key, counts.malformed));
        }
        for (sink, counts) in &counts.sinks {
            let heap = far.get(sink.as_str());
            let copies = || heap.into_iter().flat_map(|heap| &heap.events).filter(|((of, _), _)| **of == **stream);
            let here = copies().count() as u64;
            // On their way at each crash, and never come since: the vendor may have kept them no longer than the host was down,
            // or the component broke down on them, and they are malformed now.
            let orphans = copies().filter(|(_, copies)| copies.excused >= copies.arrived).count() as u64;
            let holds = world.scenario.base_sinks().iter().any(|manner| manner.id == *sink);
            let vanishes = is_parted(world, stream) || stream == "held/messages" || is_altered(world);
            // What was on its way at a crash is not always there any more when it would come again.
            let lost = heap.map_or(0, |heap| of_lost_files(world, heap, stream));
            // A record may stand there twice.
            let spare = lost + 2 * Allowance::of(world, store, letters, stream).passed;
            if here < counts.delivered || holds && here - orphans > counts.delivered + spare && !vanishes {
                say(format!(
                    "P2: {}: sink {sink} has {here} events, and the ledger says {}",
                    row.key, counts.delivered
                ));
            }
            let letters = letters.refused.iter().filter(|(of, _)| of == sink).count() as u64;
            if letters < counts.dead_lettered {
                say(format!(
                    "P4: {}: {letters} letters of sink {sink}, and the ledger says {}",
                    row.key, counts.dead_lettered
                ));
            }
        }
    }
}

/// Nothing twice, but what was on its way at a crash or in a delivery that failed; and an id for each record.
fn copies(world: &World, letters: &Letters, say: &mut impl FnMut(String)) {
    let far = world.far.all();
    for (sink, heap) in far.iter() {
        let mut unexcused = 0;
        let mut records: BTreeMap<u128, sim::Mark> = BTreeMap::new();
        for ((stream, id), copies) in &heap.events {
            if copies.arrived > 1 + copies.excused {
                unexcused += 1;
                if unexcused <= 2 {
                    say(format!("P1: {stream}: {id:032x} came to sink {sink} for no reason: {copies:?}"));
                }
            }
            if letters.refused.contains(&((*sink).to_owned(), *id)) {
                say(format!("P2: {stream}: {id:032x} lies at sink {sink} and in its dead letters"));
            }
            if let Some(mark) = copies.mark
                && *records.entry(*id).or_insert(mark) != mark
            {
                say(format!("P3: {id:032x} stands for two records"));
            }
        }
        if unexcused > 2 {
            say(format!("P1: {unexcused} events came to sink {sink} for no reason"));
        }
        // An object of a feed whose partner could not be read stands alone, and only indicators are marked.
        if let Some((stream, text)) = heap.unmarked.iter().find(|(stream, _)| !is_parted(world, stream)) {
            say(format!("an event of {stream} at sink {sink} carries no mark, or several: {text}"));
        }
    }
    let altered = is_altered(world);
    let truth: BTreeMap<_, _> = world
        .memory
        .simulator()
        .truth(TENANT, world.clock.millis())
        .map(|record| (record.mark, record.count as usize))
        .collect();
    for (sink, heap) in far.iter() {
        for ((stream, mark), ids) in &heap.marks {
            match truth.get(mark) {
                None => say(format!("sink {sink} has {mark} of {stream}, which was never issued")),
                // An indicator whose malware could not be read is another record than the same one with it.
                Some(_) if is_parted(world, stream) => {}
                Some(_) if is_shifted(world, stream) => {}
                Some(count) if ids.len() > *count && !altered => {
                    say(format!("P3: {stream}: {mark} was issued {count} times and has {} ids at {sink}", ids.len()));
                }
                Some(_) => {}
            }
        }
    }
}

/// How long after the end of the faults each stream's first new record came.
fn fresh(world: &World, due: &[sim::Issued], end_ms: u64) -> Vec<Duration> {
    let far = world.far.all();
    let Some(heap) = far.get("idempotent") else { return Vec::new() };
    let mut first: BTreeMap<&str, u64> = BTreeMap::new();
    for record in due.iter().filter(|record| record.visible_from_ms >= end_ms) {
        let Some(stream) = world.scenario.carrier(record.stream) else { continue };
        let ids = heap.marks.get(&(stream.into(), record.mark)).into_iter().flatten();
        for copies in ids.filter_map(|id| heap.events.get(&(stream.into(), *id))) {
            let at = first.entry(stream).or_insert(u64::MAX);
            *at = (*at).min(copies.first_ms);
        }
    }
    first.into_values().map(|at| Duration::from_millis(at.saturating_sub(end_ms))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn record(visible_from_ms: u64, gone_from_ms: Option<u64>, lost: bool) -> sim::Issued {
        let (stream, kind, mark) = ("siem/receipt", "receipt", sim::Mark(1));
        let time_ms = visible_from_ms;
        sim::Issued { stream, kind, mark, count: 1, distinct: 1, time_ms, visible_from_ms, gone_from_ms, lost }
    }

    #[test]
    fn a_held_message_is_due_if_it_waited_while_the_host_could_look() {
        let end = 100 * HOUR;
        for (visible, gone, unseen) in [(90, 95, true), (90, 101, true), (90, 102, false), (102, 103, false)] {
            assert_eq!(left_unseen(&record(visible * HOUR, Some(gone * HOUR), false), end), unseen, "{visible} {gone}");
        }
        assert!(left_unseen(&record(102 * HOUR, Some(102 * HOUR + HOUR / 4), false), end));
        assert!(!left_unseen(&record(90 * HOUR, None, false), end));
    }

    #[test]
    fn a_gap_excuses_what_it_names() {
        let gap = |begin, end| {
            let bound = |hour: u64| hour * HOUR * 1_000_000;
            let (begin, end) = (Option::map(begin, bound), Option::map(end, bound));
            Gap { what: String::new(), begin, end, reason: String::new(), at_ms: 1_000 * HOUR }
        };
        let of = |hour: u64| record(hour * HOUR, None, false);
        let bounded = gap(Some(5), Some(10));
        assert_eq!([4, 5, 10, 11].map(|hour| covers(&bounded, &of(hour))), [false, true, true, false]);
        assert_eq!([4, 10, 11].map(|hour| covers(&gap(None, Some(10)), &of(hour))), [true, true, false]);
        // One without bounds names a file: one that was taken away, or that is not kept any more.
        let file = gap(None, None);
        assert!(!covers(&file, &of(7)));
        assert_eq!([899, 901].map(|hour| is_gone(&file, &of(hour), 100 * HOUR)), [true, false]);
        assert!(is_gone(&file, &record(999 * HOUR, None, true), 100 * HOUR));
        assert!(!is_gone(&bounded, &record(7 * HOUR, None, true), 100 * HOUR));
    }
}
