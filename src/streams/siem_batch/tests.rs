mod absent;
mod faults;
mod pieces;

use super::super::Reader;
use super::super::testing::*;
use super::*;
use crate::chunk::{Budget, FaultClass};
use crate::config::HOUR;
use crate::effects::Request;

const STREAM: &str = "siem/url-protect";

/// Ten records a file; the first two of each are the same line, and so are the last two.
fn lines(file: usize) -> Vec<String> {
    (0..10)
        .map(|n| {
            let n = match n {
                1 => 0,
                9 => 8,
                n => n,
            };
            format!(
                r#"{{"type":"url protect","subject":"mark-{file}-{n}","timestamp":{}}}"#,
                NOW / 1_000_000 - 1_000 * (100 - file as u64)
            )
        })
        .collect()
}

fn marks(file: usize) -> Vec<String> {
    lines(file).iter().map(|line| mark(line)).collect()
}

fn file(number: usize) -> Vec<u8> {
    gzip(format!("{}\n", lines(number).join("\n")).as_bytes())
}

fn entry(number: usize) -> String {
    format!(
        r#"{{"url":"https://bucket.s3.amazonaws.com/url/{number}.json.gz?X-Amz-Signature=signed","expiry":"2026-03-08T13:00:00.000Z","size":1}}"#
    )
}

fn listing(files: &[usize], next: Option<&str>, caught_up: bool) -> Vec<u8> {
    let files: Vec<String> = files.iter().map(|n| entry(*n)).collect();
    let next = next.map(|next| format!(r#","@nextPage":"{next}""#)).unwrap_or_default();
    format!(r#"{{"value":[{}]{next},"isCaughtUp":{caught_up}}}"#, files.join(",")).into_bytes()
}

fn number(request: &Request) -> Option<usize> {
    request.url.split("/url/").nth(1)?.split('.').next()?.parse().ok()
}

/// Three pages of two files, the last one empty.
fn vendor(request: &Request) -> Reply {
    if let Some(number) = number(request) {
        assert!(!request.headers.iter().any(|(name, _)| *name == "authorization"), "no API header to other hosts");
        return ok(file(number));
    }
    assert!(
        request
            .url
            .starts_with("https://api.services.mimecast.com/siem/v1/batch/events/cg?type=url%20protect&pageSize=100&")
    );
    let token = parameter(request, "nextPage");
    assert_eq!(parameter(request, "dateRangeStartsAt").is_some(), token.is_none(), "dates only without a token");
    match token.as_deref() {
        None => ok(listing(&[1, 2], Some("A=="), false)),
        Some("A==") => ok(listing(&[], Some("B=="), false)),
        Some("B==") => ok(listing(&[3, 2, 3], Some("C=="), true)),
        Some("C==") => ok(listing(&[], Some("C=="), true)),
        other => panic!("{other:?}"),
    }
}

fn expected() -> Vec<String> {
    (1..=3).flat_map(marks).collect()
}

fn open(start: Start) -> Reader {
    Reader::open(V2, STREAM, start).unwrap()
}

#[test]
fn every_record_once_and_the_token_is_kept() {
    let mut effects = Fake::new(vendor);
    let mut reader = open(Start::Configured);
    let read = drain(&mut reader, &mut effects, SESSION, Budget::default());
    assert_eq!((read.bodies.clone(), read.pieces), (expected(), pieces(3, 3, 0)), "two are listed twice");
    assert!(read.faults.is_empty() && read.malformed.is_empty() && read.gaps.is_empty());
    let ids: std::collections::BTreeSet<&String> = read.ids.iter().collect();
    assert_eq!(ids.len(), 30, "equal lines have ids of their own");
    let first = &effects.requests[0];
    assert_eq!(parameter(first, "dateRangeStartsAt").as_deref(), Some("2026-03-01"));
    assert!(first.headers.contains(&("authorization", "Bearer made-up-token".to_owned())));
    assert!(effects.requests[1].headers.contains(&("accept-encoding", "identity".to_owned())));

    // The next poll goes on with the token, across days, and finds nothing new: nothing again, for ever.
    effects.now += DAY;
    let before = effects.requests.len();
    let mut reader = open(Start::After(read.position));
    for _ in 0..3 {
        let read = drain(&mut reader, &mut effects, SESSION, Budget::default());
        assert_eq!((read.records, read.pieces), (0, pieces(0, 0, 0)));
    }
    assert!(effects.requests[before..].iter().all(|request| parameter(request, "nextPage").as_deref() == Some("C==")));
    assert_eq!(effects.requests.len(), before + 3);
}

#[test]
fn the_same_events_and_ids_at_every_budget_with_a_new_reader_for_each_pull() {
    let whole = drain(&mut open(Start::Configured), &mut Fake::new(vendor), SESSION, Budget::default());
    for events in [1, 2, 3, 7, 10, 11] {
        let budget = Budget { events, ..Budget::default() };
        let kept = drain(&mut open(Start::Configured), &mut Fake::new(vendor), SESSION, budget);
        let afresh = drain_afresh(V2, STREAM, &mut Fake::new(vendor), SESSION, budget);
        for read in [kept, afresh] {
            assert_eq!((&read.bodies, &read.ids), (&whole.bodies, &whole.ids), "{events}");
            assert_eq!(read.records, whole.records);
            assert_eq!(read.pieces, pieces(3, 3, 0), "{events}");
        }
    }
    let bytes = Budget { bytes: 1, ..Budget::default() };
    assert_eq!(drain_afresh(V2, STREAM, &mut Fake::new(vendor), SESSION, bytes).ids, whole.ids);
}

#[test]
fn budgets_hold() {
    let mut effects = Fake::new(vendor);
    let mut reader = open(Start::Configured);
    let chunk = reader.pull(&mut effects, SESSION, &Budget { events: 4, ..Budget::default() }).unwrap();
    assert_eq!((chunk.events.len(), chunk.next, chunk.requests), (4, Next::More, 1));
    let chunk = reader.pull(&mut effects, SESSION, &Budget { bytes: 200, ..Budget::default() }).unwrap();
    assert!(chunk.bodies.len() >= 200 && chunk.events.len() == 1);

    // One request: the first page, and no other.
    let mut effects = Fake::new(vendor);
    let mut reader = open(Start::Configured);
    let budget = Budget { requests: 1, ..Budget::default() };
    let chunk = reader.pull(&mut effects, SESSION, &budget).unwrap();
    assert_eq!((chunk.events.len(), chunk.next, chunk.requests), (20, Next::More, 1));
    let chunk = reader.pull(&mut effects, SESSION, &Budget { requests: 0, ..budget }).unwrap();
    assert_eq!((chunk.events.len(), chunk.next, chunk.requests), (0, Next::More, 0));

    // A clock that jumps a second whenever it is read: chunks are small, maybe empty, but it gets there.
    let mut effects = Fake::new(vendor);
    effects.tick = 1_000;
    let budget = Budget { time_ms: 2_500, ..Budget::default() };
    let read = drain(&mut open(Start::Configured), &mut effects, SESSION, budget);
    assert_eq!(read.bodies, expected());
}

#[test]
fn verbatim_hands_the_next_record_over_unparsed() {
    let mut effects = Fake::new(vendor);
    let chunk = open(Start::Configured).pull(&mut effects, SESSION, &one()).unwrap();
    let chunk = open(Start::After(chunk.position))
        .pull(&mut effects, SESSION, &Budget { verbatim: true, ..Budget::default() })
        .unwrap();
    assert_eq!((chunk.events.len(), chunk.malformed.len(), chunk.records), (0, 1, 1));
    assert_eq!(chunk.malformed[0].head, lines(1)[1].as_bytes());
    let read = drain(&mut open(Start::After(chunk.position)), &mut effects, SESSION, Budget::default());
    assert_eq!(read.bodies, expected()[2..]);
}

#[test]
fn a_changed_listing_does_not_matter() {
    // The file that was half read stands elsewhere in the page, with another signature, and others have come.
    let mut effects = Fake::new(vendor);
    let budget = Budget { events: 14, ..Budget::default() };
    let chunk = open(Start::Configured).pull(&mut effects, SESSION, &budget).unwrap();
    let mut effects = Fake::new(|request: &Request| match (number(request), parameter(request, "nextPage")) {
        (Some(number), _) => ok(file(number)),
        (None, None) => ok(listing(&[7, 1, 2], Some("C=="), true)),
        (None, Some(_)) => vendor(request),
    });
    let read = drain(&mut open(Start::After(chunk.position)), &mut effects, SESSION, Budget::default());
    assert_eq!(read.bodies, [&marks(2)[4..], &marks(7)[..]].concat());
}

#[test]
fn a_missing_or_repeated_token_keeps_the_last_good_one() {
    for next in [None, Some("A==")] {
        let mut effects =
            Fake::new(|request: &Request| match (number(request), parameter(request, "nextPage").as_deref()) {
                (Some(number), _) => ok(file(number)),
                (None, None) => ok(listing(&[1], Some("A=="), false)),
                (None, Some("A==")) => ok(listing(&[2], next, false)),
                (None, other) => panic!("{other:?}"),
            });
        let mut reader = open(Start::Configured);
        let read = drain(&mut reader, &mut effects, SESSION, Budget::default());
        assert_eq!(read.bodies, [marks(1), marks(2)].concat());
        // Listed again, and what is done is not read again.
        let read = drain(&mut reader, &mut effects, SESSION, Budget::default());
        assert_eq!((read.records, effects.count("/url/")), (0, 2));
    }
}

#[test]
fn empty_pages_are_followed_but_not_for_ever() {
    let mut page = 0;
    let mut effects = Fake::new(move |_: &Request| {
        page += 1;
        ok(listing(&[], Some(&format!("T{page}")), false))
    });
    let budget = Budget { requests: 1_000, ..Budget::default() };
    let chunk = open(Start::Configured).pull(&mut effects, SESSION, &budget).unwrap();
    assert_eq!((chunk.next, chunk.requests), (Next::CaughtUp, EMPTY_PAGES));
    assert!(String::from_utf8(chunk.position).unwrap().contains("T100"), "the way so far is kept");
}

/// The next fault, and what came before it.
fn fault(reader: &mut Reader, effects: &mut Fake<'_>) -> (Fault, Read) {
    let mut read = Read::default();
    for _ in 0..20 {
        match reader.pull(effects, SESSION, &Budget::default()) {
            Ok(chunk) => read.add(&chunk),
            Err(fault) => return (fault, read),
        }
    }
    panic!("no fault");
}

#[test]
fn an_expired_address_is_not_tried_and_a_wrong_clock_does_not_matter() {
    let mut effects = Fake::new(vendor);
    let mut reader = open(Start::Configured);
    reader.pull(&mut effects, SESSION, &Budget { events: 10, ..Budget::default() }).unwrap();
    // An hour and a half later the second file's address has expired.
    effects.now += 3 * HOUR / 2;
    effects.monotonic += 5_400_000;
    let before = effects.requests.len();
    reader.pull(&mut effects, SESSION, &Budget { events: 10, ..Budget::default() }).unwrap();
    let after: Vec<bool> = effects.requests[before..].iter().map(|r| r.url.contains("/url/")).collect();
    assert_eq!(after, [false, true], "listed, then fetched");

    // A clock that is two hours fast sees nothing but expired addresses.
    let mut effects = Fake::new(vendor);
    effects.now += 2 * HOUR;
    assert_eq!(drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default()).bodies, expected());
}

#[test]
fn a_file_that_breaks_off_keeps_its_good_lines_and_is_fetched_again() {
    // A file whose lines do not compress, so that a cut leaves some of them.
    let big: Vec<String> = (0..3_000_u64)
        .map(|n| {
            format!(r#"{{"subject":"mark-{:016x}","timestamp":1772900000000}}"#, n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        })
        .collect();
    let big_marks: Vec<String> = big.iter().map(|line| mark(line)).collect();
    let text = big.join("\n");
    let cut = |body: &[u8]| body[..body.len() / 2].to_vec();
    for broken in [false, true] {
        let mut tries = 0;
        let mut effects = Fake::new(|request: &Request| match number(request) {
            Some(1) => {
                tries += 1;
                let whole = gzip(text.as_bytes());
                match (tries, broken) {
                    (3.., _) => ok(whole),
                    (_, true) => Reply::Broken(cut(&whole)),
                    (_, false) => ok(cut(&whole)),
                }
            }
            Some(other) => ok(file(other)),
            None => ok(listing(&[1, 2], Some("C=="), true)),
        });
        let read = drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default());
        assert_eq!(read.bodies, [big_marks.clone(), marks(2)].concat());
        assert!(read.malformed.is_empty());
        drop(effects);
        assert_eq!(tries, 3);
    }
    // It never gets better: what is good is kept, the rest is one malformed piece, and the stream goes on.
    for afresh in [false, true] {
        let mut effects = Fake::new(|request: &Request| match number(request) {
            Some(1) => ok(cut(&gzip(text.as_bytes()))),
            Some(other) => ok(file(other)),
            None => ok(listing(&[1, 2], Some("C=="), true)),
        });
        let read = if afresh {
            drain_afresh(V2, STREAM, &mut effects, SESSION, Budget::default())
        } else {
            drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default())
        };
        assert_eq!(effects.count("/url/1."), 4, "once, and three times again");
        let good = read.bodies.len() - 10;
        assert!(good > 1_000 && good < 2_000, "{good}");
        assert_eq!(read.bodies[..good], big_marks[..good]);
        assert_eq!(read.bodies[good..], marks(2));
        assert_eq!(read.malformed.len(), 1);
        assert!(read.malformed[0].contains(&format!("after {good} records")), "{}", read.malformed[0]);
    }
}

#[test]
fn bad_lines_empty_files_and_other_encodings() {
    let long = "x".repeat(2 << 20);
    let mut effects = Fake::new(|request: &Request| match number(request) {
        Some(1) => ok(Vec::new()),
        Some(2) => ok(gzip(b"")),
        Some(3) => {
            ok(gzip(format!("{}\nnot json\n{{\"long\":\"{long}\"}}\n\n{}", lines(3)[0], lines(3)[2]).as_bytes()))
        }
        Some(4) => ok(format!("{}\r\n", lines(4).join("\r\n"))),
        Some(5) => ok(gzip(&file(5))),
        _ => ok(listing(&[1, 2, 3, 4, 5], Some("C=="), true)),
    });
    for afresh in [false, true] {
        let read = if afresh {
            drain_afresh(V2, STREAM, &mut effects, SESSION, one())
        } else {
            drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default())
        };
        let expected = [vec![marks(3)[0].clone(), marks(3)[2].clone()], marks(4), marks(5)].concat();
        assert_eq!(read.bodies, expected);
        assert_eq!(read.malformed.len(), 2);
        assert!(read.faults.is_empty());
    }
}

#[test]
fn a_refused_token_is_mended_within_the_retention() {
    for refusal in [r#"{"fail":[{"code":"bad_token","message":"no"}]}"#, ""] {
        let mut effects = Fake::new(vendor);
        let mut reader = open(Start::Configured);
        let position = drain(&mut reader, &mut effects, SESSION, Budget::default()).position;
        let mut effects = Fake::new(|request: &Request| match parameter(request, "nextPage").as_deref() {
            Some("C==") => status(400, refusal),
            Some("D==") => ok(listing(&[], Some("D=="), true)),
            None if number(request).is_none() => ok(listing(&[3, 4], Some("D=="), true)),
            _ => ok(file(number(request).unwrap())),
        });
        effects.now += 5 * DAY;
        let read = drain(&mut open(Start::After(position.clone())), &mut effects, SESSION, Budget::default());
        assert!(read.faults.is_empty());
        assert_eq!(read.bodies, marks(4), "file 3 was finished before, and is known by its hash");
        // The newest event is of the 8th; a day of slack.
        assert_eq!(parameter(&effects.requests[1], "dateRangeStartsAt").as_deref(), Some("2026-03-07"));

        // Ten days later what was read last is gone: the operator decides.
        let mut effects = Fake::new(|request: &Request| match parameter(request, "nextPage") {
            Some(_) => status(400, refusal),
            None if number(request).is_none() => ok(listing(&[4], Some("D=="), true)),
            None => ok(file(4)),
        });
        effects.now += 10 * DAY;
        let mut reader = open(Start::After(position.clone()));
        let fault = reader.pull(&mut effects, SESSION, &Budget::default()).unwrap_err();
        assert_eq!(fault.class, FaultClass::PositionLost);
        let mut reader = open(Start::Oldest(Some(position.clone())));
        let read = drain(&mut reader, &mut effects, SESSION, Budget::default());
        assert_eq!((read.bodies, read.gaps.len()), (marks(4), 1));
    }
}

#[test]
fn a_refused_request_without_a_token_is_a_fault() {
    let mut effects = Fake::new(|_: &Request| status(400, ""));
    let fault = open(Start::Configured).pull(&mut effects, SESSION, &Budget::default()).unwrap_err();
    assert_eq!((fault.class, fault.status, effects.requests.len()), (FaultClass::Protocol, Some(400), 1));
}

#[test]
fn starts() {
    let at = |start: &str| V2.replace("7d", start);
    // Files have events of the last 100 seconds before noon: file n is 100 - n seconds old.
    let late = Reader::open(&at("2026-03-08T11:58:22Z"), STREAM, Start::Configured);
    let read = drain(&mut late.unwrap(), &mut Fake::new(vendor), SESSION, Budget::default());
    assert_eq!(read.bodies, [marks(2), marks(3)].concat());
    assert_eq!(read.records, 20, "what is before the start is no record");
    let mut effects = Fake::new(vendor);
    drain(&mut Reader::open(&at("36h"), STREAM, Start::Configured).unwrap(), &mut effects, SESSION, Budget::default());
    assert_eq!(parameter(&effects.requests[0], "dateRangeStartsAt").as_deref(), Some("2026-03-07"));

    let mut effects = Fake::new(vendor);
    let read = drain(&mut open(Start::Now(Some(b"{}".to_vec()))), &mut effects, SESSION, Budget::default());
    assert_eq!((read.records, read.gaps.len()), (0, 1));
    assert_eq!(parameter(&effects.requests[0], "dateRangeStartsAt").as_deref(), Some("2026-03-08"));
    let read = drain(&mut open(Start::Oldest(None)), &mut Fake::new(vendor), SESSION, Budget::default());
    assert_eq!((read.bodies, read.gaps.len()), (expected(), 0));

    // A span: its begin counts, its end does not; it survives a new reader.
    let second = 1_000_000_000;
    let span = Start::Span(NOW - 98 * second, NOW - 97 * second);
    let mut effects = Fake::new(vendor);
    let chunk = open(span).pull(&mut effects, SESSION, &Budget { events: 3, ..Budget::default() }).unwrap();
    let read = drain(&mut open(Start::After(chunk.position)), &mut effects, SESSION, Budget::default());
    assert_eq!(read.bodies, marks(2)[3..]);
}

#[test]
fn positions_stay_small_and_version_1_is_understood() {
    let name = |n: usize| format!("/url/{n}.json.gz");
    let state = State {
        token: Some("A==".into()),
        done: (0..5_000).map(|n| Hash(position::hash(name(n).as_bytes()))).collect(),
        before: (0..5_000).map(|n| Hash(position::hash(name(n).as_bytes()))).collect(),
        ..State::default()
    };
    let reader = SiemBatch {
        state,
        ..SiemBatch::open(Stream::SiemBatch(Kind::UrlProtect), Kind::UrlProtect, Start::Configured).unwrap()
    };
    assert!(reader.position().len() < 64 << 10);

    // Written by version 1: page A, file 1 done, four records of file 2.
    let golden = br#"{"v":1,"stream":"siem/url-protect","token":"A==","from":"2026-03-01","done":["GOLD1"],"file":{"hash":"GOLD2","index":4,"last":"00000000000000000000000000000000","count":1},"mark":1772971102000000000,"polled":1772971200000000000}"#;
    let golden = String::from_utf8(golden.to_vec())
        .unwrap()
        .replace("GOLD1", "78a90fff5f63acd6")
        .replace("GOLD2", "bc03aac2e33a8ab9");
    let mut effects = Fake::new(|request: &Request| match parameter(request, "nextPage").as_deref() {
        Some("A==") => ok(listing(&[1, 2], Some("C=="), true)),
        _ => vendor(request),
    });
    let read = drain(&mut open(Start::After(golden.clone().into_bytes())), &mut effects, SESSION, Budget::default());
    assert_eq!(read.bodies, marks(2)[4..]);

    for (position, class, code) in [
        (golden.replace("\"v\":1", "\"v\":2"), FaultClass::Configuration, "newer-position"),
        (golden.replace("url-protect", "receipt"), FaultClass::Configuration, "foreign-position"),
        ("{}".into(), FaultClass::PositionLost, "bad-position"),
        (String::new(), FaultClass::PositionLost, "bad-position"),
    ] {
        let fault = Reader::open(V2, STREAM, Start::After(position.into_bytes())).err().unwrap();
        assert_eq!((fault.class, fault.code.as_str()), (class, code));
    }
}
