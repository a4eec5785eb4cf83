//! What the lists have beside audit.

use super::*;
use crate::catalog::{self, Stream};

fn body(request: &Request) -> serde_json::Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// A window's begin and end, under whatever names.
fn window(request: &Request) -> (Timestamp, Timestamp) {
    let data = body(request)["data"][0].clone();
    let end = |names: [&str; 3]| names.iter().find_map(|name| data[*name].as_str().map(instant)).unwrap();
    (end(["start", "from", "startDateTime"]), end(["end", "to", "endDateTime"]))
}

fn lists() -> impl Iterator<Item = (Stream, Kind)> {
    Stream::all().filter_map(|stream| if let Stream::List(kind) = stream { Some((stream, kind)) } else { None })
}

fn read(config: &str, stream: Stream, effects: &mut Fake<'_>, start: Start) -> Read {
    let mut reader = Reader::open(config, stream.name(), start).unwrap();
    let session = if config.contains("1.0") { SESSION_V1 } else { SESSION };
    drain(&mut reader, effects, session, Budget::default())
}

#[test]
fn every_list_of_both_generations_at_every_split() {
    for (stream, kind) in lists() {
        // Two pages, under a name of its own or right in `data`, one row twice and one that is odd.
        for wrapped in [false, true] {
            let script = |request: &Request| {
                let (begin, end) = window(request);
                if !(begin..end).contains(&(NOW - HOUR)) {
                    return ok(r#"{"data":[]}"#);
                }
                let second = body(request)["meta"]["pagination"]["pageToken"] == "T";
                let rows =
                    if second { r#"{"id":"mark-3"},17"# } else { r#"{"id":"mark-1"},{"id":"mark-2"},{"id":"mark-1"}"# };
                let next = if second { "" } else { r#","next":"T""# };
                let data = if wrapped { format!(r#"{{"rows":[{rows}],"resultCount":9}}"#) } else { rows.to_owned() };
                ok(format!(
                    r#"{{"meta":{{"status":200,"pagination":{{"pageSize":3{next}}}}},"data":[{data}],"fail":[]}}"#
                ))
            };
            let whole = self::read(V2, stream, &mut Fake::new(script), Start::Configured);
            assert_eq!(whole.bodies, ["mark-1", "mark-2", "mark-1", "mark-3"], "{}", stream.name());
            assert_eq!((whole.malformed.len(), whole.faults.len(), whole.gaps.len()), (1, 0, 0), "{}", stream.name());
            assert_eq!(whole.ids.iter().collect::<BTreeSet<_>>().len(), 4, "{}", stream.name());
            let afresh = drain_afresh(V2, stream.name(), &mut Fake::new(script), SESSION, one());
            assert_eq!(afresh.ids, whole.ids, "{}", stream.name());
            if stream.is_of(crate::kind::Generation::V1) {
                let mut effects = Fake::new(script);
                assert_eq!(
                    self::read(V1, stream, &mut effects, Start::Configured).bodies.len(),
                    4,
                    "{}",
                    stream.name()
                );
                let path = list::of(kind).unwrap().endpoint.path;
                assert!(effects.requests.iter().all(|r| r.url == format!("https://eu-api.mimecast.com{path}")));
            }
        }
        let refused = r#"{"fail":[{"code":"app_forbidden","message":"Forbidden"}]}"#;
        let mut reader = Reader::open(V2, stream.name(), Start::Configured).unwrap();
        let fault = reader.pull(&mut Fake::new(|_| status(403, refused)), SESSION, &Budget::default()).unwrap_err();
        let endpoint = &list::of(kind).unwrap().endpoint;
        let hint = fault.hint.unwrap();
        assert_eq!(fault.class, FaultClass::NotEntitled, "{}", stream.name());
        assert!(hint.contains(endpoint.product) && hint.contains(endpoint.permission), "{hint}");
    }
    assert_eq!(lists().count(), 11);
}

/// A message stands in the list as long as nobody decides: the same id each time, and its vanishing is nothing.
#[test]
fn held_messages_are_read_over_a_day_and_in_one_window() {
    let stream = catalog::named("held/messages")[0];
    let mut held = vec![1, 2, 3];
    let mut position = Vec::new();
    let mut ids = BTreeSet::new();
    for poll in 0..6 {
        let mut effects = Fake::new(|request: &Request| {
            assert_eq!(body(request)["data"][0]["admin"], true);
            let (_, end) = window(request);
            let here = end > NOW - 2 * MINUTE;
            let rows: Vec<String> = held.iter().filter(|_| here).map(|n| format!(r#"{{"id":"mark-{n}"}}"#)).collect();
            ok(format!(r#"{{"data":[{}]}}"#, rows.join(",")))
        });
        effects.now = NOW + poll * 5 * MINUTE;
        let start = if poll == 0 { Start::Configured } else { Start::After(position) };
        let read = self::read(V2, stream, &mut effects, start);
        if poll > 0 {
            let now = NOW + poll * 5 * MINUTE;
            assert_eq!(effects.requests.len(), 1, "one request a poll");
            assert_eq!(window(&effects.requests[0]), (now - 5 * MINUTE - DAY, now - MINUTE));
        }
        drop(effects);
        ids.extend(read.ids);
        position = read.position;
        // One leaves, another comes.
        held.remove(0);
        held.push(poll as usize + 10);
    }
    assert_eq!(ids.len(), 3 + 5);
    assert!(stream.repeats_within(stream.overlap().unwrap()) > DAY + HOUR);
}

/// Rows that leave the queue move others to a page that was read already: the window begins anew.
#[test]
fn a_queue_that_shrinks_while_it_is_paged_is_read_again() {
    let stream = catalog::named("held/messages")[0];
    let page = |rows: &str, total: u32, next: &str| {
        ok(format!(r#"{{"meta":{{"pagination":{{"totalCount":{total}{next}}}}},"data":[{rows}]}}"#))
    };
    let mut firsts = 0;
    let script = |request: &Request| {
        if window(request).1 < NOW - HOUR {
            return ok(r#"{"data":[]}"#);
        }
        let first = body(request)["meta"]["pagination"]["pageToken"].is_null();
        firsts += u32::from(first);
        match (first, firsts) {
            (true, 1) => page(r#"{"id":"mark-1"},{"id":"mark-2"}"#, 4, r#","next":"T""#),
            (true, _) => page(r#"{"id":"mark-2"},{"id":"mark-3"}"#, 3, r#","next":"T""#),
            (false, _) => page(r#"{"id":"mark-4"}"#, 3, ""),
        }
    };
    let read = self::read(V2, stream, &mut Fake::new(script), Start::Configured);
    assert_eq!(distinct(&read).len(), 4);
}

/// It shrinks at every try: what may have moved to a page that was read is found by the next poll, and only by that.
#[test]
fn a_queue_that_shrinks_again_and_again_is_read_again_by_the_next_poll() {
    let stream = catalog::named("held/messages")[0];
    let page = |rows: &str, total: u32, next: &str| {
        ok(format!(r#"{{"meta":{{"pagination":{{"totalCount":{total}{next}}}}},"data":[{rows}]}}"#))
    };
    // In the window five days ago; the others are empty.
    let old = NOW - 5 * DAY;
    let asked = std::cell::Cell::new(0);
    let script = |request: &Request| {
        let (begin, end) = window(request);
        if !(begin..end).contains(&old) {
            return ok(r#"{"data":[]}"#);
        }
        asked.set(asked.get() + 1);
        match asked.get() {
            1 => page(r#"{"id":"mark-1"},{"id":"mark-2"}"#, 6, r#","next":"T""#),
            2 => page(r#"{"id":"mark-4"},{"id":"mark-5"}"#, 5, ""),
            3 => page(r#"{"id":"mark-2"},{"id":"mark-3"}"#, 5, r#","next":"T""#),
            4 => page(r#"{"id":"mark-5"}"#, 4, ""),
            5 => page(r#"{"id":"mark-3"},{"id":"mark-4"}"#, 3, r#","next":"T""#),
            6 => page(r#"{"id":"mark-5"}"#, 3, ""),
            other => panic!("{other}"),
        }
    };
    let first = self::read(V2, stream, &mut Fake::new(script), Start::Configured);
    assert_eq!((distinct(&first).len(), asked.get()), (4, 4));
    let second = self::read(V2, stream, &mut Fake::new(script), Start::After(first.position.clone()));
    assert_eq!((distinct(&second).len(), asked.get()), (3, 6));
    let third = self::read(V2, stream, &mut Fake::new(script), Start::After(second.position.clone()));
    assert_eq!((third.records, asked.get()), (0, 6));
    let all: BTreeSet<String> = [first, second].iter().flat_map(distinct).collect();
    assert_eq!(all.len(), 5);
}

/// What a clock that was ahead seemed to have read has not yet happened.
#[test]
fn a_clock_that_is_set_back_hides_nothing() {
    let stream = catalog::named("dlp")[0];
    let script = |_: &Request| ok(r#"{"data":[]}"#);
    let mut ahead = Fake::new(script);
    ahead.now = NOW + 5 * HOUR;
    let position = self::read(V2, stream, &mut ahead, Start::Configured).position;
    let mut effects = Fake::new(script);
    self::read(V2, stream, &mut effects, Start::After(position));
    assert_eq!(window(&effects.requests[0]), (NOW - 30 * MINUTE, NOW - MINUTE));
}

/// A poll that takes hours begins the next one where its first windows left late records behind.
#[test]
fn what_was_young_when_its_window_was_read_is_read_again() {
    let stream = catalog::named("ttp/url")[0];
    let config = V2.replace("\"7d\"", "\"20h\",\"overlaps\":{\"ttp\":\"6d\"}");
    let mut effects = Fake::new(|_: &Request| ok(r#"{"data":[]}"#));
    let mut reader = Reader::open(&config, stream.name(), Start::Configured).unwrap();
    let first = drain(&mut reader, &mut effects, SESSION, Budget::default());
    assert_eq!(window(&effects.requests[0]), (NOW - 20 * HOUR, NOW - MINUTE));
    // Two days later it all counts as young still: from the very start, and in one window.
    let mut later = Fake::new(|_: &Request| ok(r#"{"data":[]}"#));
    later.now = NOW + 2 * DAY;
    self::read(&config, stream, &mut later, Start::After(first.position));
    let windows: Vec<_> = later.requests.iter().map(window).collect();
    assert_eq!(windows, [(NOW - 20 * HOUR, NOW + 2 * DAY - MINUTE)]);
}
