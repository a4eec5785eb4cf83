use std::collections::BTreeSet;
use std::io::Write;

use super::super::Reader;
use super::super::testing::*;
use crate::chunk::{Budget, FaultClass, Next, Start, Timestamp};
use crate::config::{DAY, HOUR, MINUTE, SECOND};
use crate::effects::Request;

const STREAM: &str = "threat_intel/customer";

fn id(kind: &str, n: usize) -> String {
    format!("{kind}--00000000-0000-4000-8000-{n:012}")
}

/// Malware, indicator, relationship.
fn triple(n: usize) -> [String; 3] {
    let created = r#""created":"2026-03-08T08:00:00.000Z","modified":"2026-03-08T08:00:00.000Z""#;
    [
        format!(r#"{{"type":"malware","id":"{}",{created},"name":"{n}"}}"#, id("malware", n)),
        format!(r#"{{"type":"indicator","id":"{}",{created},"labels":["mark-{n}"]}}"#, id("indicator", n)),
        format!(
            r#"{{"type":"relationship","id":"{}","relationship_type":"indicates","source_ref":"{}","target_ref":"{}"}}"#,
            id("relationship", n),
            id("indicator", n),
            id("malware", n)
        ),
    ]
}

fn bundle(numbers: impl IntoIterator<Item = usize>) -> String {
    let objects: Vec<String> = numbers.into_iter().flat_map(triple).collect();
    format!(r#"{{"type":"bundle","id":"bundle--1","spec_version":"2.0","objects":[{}]}}"#, objects.join(","))
}

fn file(body: impl Into<Vec<u8>>, next: Option<&str>) -> Reply {
    let mut headers = vec![
        ("content-type", "application/octet-stream".to_owned()),
        ("content-disposition", "attachment; filename=\"malware_customer_stix_20260308083800000.stix\"".to_owned()),
    ];
    headers.extend(next.map(|token| ("x-mc-threat-feed-next-token", token.to_owned())));
    Reply::Status(200, headers, body.into())
}

fn data(request: &Request) -> serde_json::Value {
    assert!(request.url.ends_with("/api/ttp/threat-intel/get-feed"));
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        (body["data"][0]["fileType"].as_str(), body["data"][0]["compress"].as_bool()),
        (Some("stix"), Some(false))
    );
    body["data"][0].clone()
}

fn instant(value: &serde_json::Value) -> Timestamp {
    chrono::DateTime::parse_from_str(value.as_str().unwrap(), "%Y-%m-%dT%H:%M:%S%z").unwrap().timestamp() as u64
        * SECOND
}

/// Three pages of ten records.
fn pages(request: &Request) -> Reply {
    let data = data(request);
    assert_eq!(data["feedType"], "malware_customer");
    match data["token"].as_str() {
        None => file(bundle(0..10), Some("A")),
        Some("A") => file(bundle(10..20), Some("B")),
        Some("B") => file(bundle(20..30), Some("B")),
        other => panic!("{other:?}"),
    }
}

fn open(start: Start) -> Reader {
    Reader::open(V2, STREAM, start).unwrap()
}

fn read(script: impl FnMut(&Request) -> Reply) -> Read {
    drain(&mut open(Start::Configured), &mut Fake::new(script), SESSION, Budget::default())
}

#[test]
fn pages_of_bundles_at_every_split() {
    let mut effects = Fake::new(pages);
    let whole = drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default());
    let expected: Vec<String> = (0..30).map(|n| format!("mark-{n}")).collect();
    assert_eq!((whole.bodies.clone(), whole.faults.len(), whole.gaps.len()), (expected, 0, 0));
    assert_eq!((effects.requests.len(), whole.records), (3, 3 * 30), "two of three are merged into the third");
    assert_eq!(whole.ids.iter().collect::<BTreeSet<_>>().len(), 30);
    for events in [1, 9, 10, 11] {
        let budget = Budget { events, ..Budget::default() };
        let afresh = drain_afresh(V2, STREAM, &mut Fake::new(pages), SESSION, budget);
        assert_eq!((&afresh.bodies, &afresh.ids), (&whole.bodies, &whole.ids), "{events}");
        assert_eq!(afresh.records, whole.records, "{events}");
        assert_eq!((whole.pieces, afresh.pieces), (pieces(3, 3, 0), pieces(3, 3, 0)), "{events}");
        assert!(afresh.largest_position < 600);
    }
    // Both generations.
    let v1 = drain(&mut Reader::open(V1, STREAM, Start::Configured).unwrap(), &mut Fake::new(pages), SESSION_V1, one());
    assert_eq!(v1.bodies, whole.bodies);
}

#[test]
fn windows_go_on_with_an_overlap() {
    let mut windows = Vec::new();
    let mut position = Vec::new();
    for hour in 0..3 {
        let mut effects = Fake::new(|request: &Request| {
            let data = data(request);
            windows.push((instant(&data["start"]), instant(&data["end"])));
            file(bundle([1]), None)
        });
        effects.now = NOW + hour * HOUR;
        let start = if hour == 0 { Start::Configured } else { Start::After(position) };
        let read = drain(&mut open(start), &mut effects, SESSION, Budget::default());
        assert_eq!(read.bodies.len(), 1);
        position = read.position;
        drop(effects);
    }
    let end = |hour: u64| NOW + hour * HOUR - MINUTE;
    let begin = |hour: u64| NOW + hour * HOUR - 30 * MINUTE;
    assert_eq!(windows, [(NOW - 7 * DAY, end(0)), (begin(0), end(1)), (begin(1), end(2))]);
}

#[test]
fn nothing_in_every_form() {
    let fail = |message: &str| {
        format!(
            r#"{{"meta":{{"status":200}},"data":[],"fail":[{{"errors":[{{"code":"err_x","message":"{message}","retryable":false}}]}}]}}"#
        )
    };
    let empty = r#"{"meta":{"status":200},"data":[],"fail":[]}"#.to_owned();
    for text in [fail("No results found for threat intel feed."), fail("Unable to compress feeds."), empty] {
        let read = read(|_: &Request| ok(text.clone()));
        assert_eq!((read.records, read.faults.len()), (0, 0), "{text}");
    }
    for text in [bundle([]), r#"{"type":"bundle","id":"bundle--1"}"#.to_owned(), String::new()] {
        assert_eq!(read(|_: &Request| file(text.clone(), None)).records, 0, "{text}");
    }
    // Another failure is one.
    let fault =
        open(Start::Configured).pull(&mut Fake::new(|_| ok(fail("Something else"))), SESSION, &Budget::default());
    assert_eq!(fault.unwrap_err().class, FaultClass::Protocol);
    let forbidden = open(Start::Configured).pull(&mut Fake::new(|_| status(403, "")), SESSION, &Budget::default());
    let fault = forbidden.unwrap_err();
    assert!(fault.class == FaultClass::NotEntitled && fault.hint.unwrap().contains("Threat Management"));
}

#[test]
fn a_bundle_in_other_clothes() {
    // As JSON without a name, packed by gzip, in an archive of two members.
    assert_eq!(read(|_: &Request| ok(bundle(0..3))).bodies.len(), 3);
    assert_eq!(read(|_: &Request| file(gzip(bundle(0..3).as_bytes()), None)).bodies.len(), 3);
    let archive = zip(&[("a.stix", &bundle(0..3)), ("b.stix", &bundle(3..5))]);
    let whole = read(|_: &Request| file(archive.clone(), None));
    assert_eq!((whole.bodies.len(), whole.malformed.len()), (5, 0));
    let afresh = drain_afresh(V2, STREAM, &mut Fake::new(|_| file(archive.clone(), None)), SESSION, one());
    assert_eq!(afresh.ids, whole.ids);
    // Objects that are none, and one that has no partner.
    let [malware, indicator, _] = triple(1);
    let odd = format!(
        r#"{{"type":"bundle","objects":[17,{indicator},{}]}}"#,
        malware.replace("\"name\":\"1\"", "\"name\":\"mark-m\"")
    );
    let read = read(|_: &Request| file(odd.clone(), None));
    assert_eq!((read.malformed.len(), read.bodies), (1, vec!["mark-1".to_owned(), "mark-m".to_owned()]));
}

/// No header names it, its list comes late, and "bundle" last: what is no envelope must not pass for nothing.
#[test]
fn a_bundle_in_an_order_of_its_own() {
    for long in [0, 300, 3_000] {
        let objects = bundle(0..3).split_once("\"objects\":").unwrap().1.trim_end_matches('}').to_owned();
        let text =
            format!(r#"{{"x":"{}","objects":{objects}}},"type":"bundle"}}"#, "y".repeat(long)).replace("}]},", "}],");
        let read = read(|_: &Request| ok(text.clone()));
        assert_eq!((read.bodies.len(), read.malformed.len(), read.faults.len()), (3, 0, 0), "{long}");
    }
    // JSON that is neither a bundle nor nothing nor an error is told.
    let rows = r#"{"meta":{"status":200},"data":[{"a":1}],"fail":[]}"#;
    let fault = open(Start::Configured).pull(&mut Fake::new(|_| ok(rows)), SESSION, &Budget::default()).unwrap_err();
    assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Protocol, "bad-page"));
}

/// Q13: a page without anything may still name the next one, but not for ever.
#[test]
fn empty_pages_are_followed_and_told_if_they_never_end() {
    let empty = r#"{"meta":{"status":200},"data":[],"fail":[]}"#;
    let next = |body: &str, token: String| {
        Reply::Status(200, vec![("x-mc-threat-feed-next-token", token)], body.as_bytes().to_vec())
    };
    let read = read(|request: &Request| match data(request)["token"].as_str() {
        None => next(empty, "A".into()),
        Some("A") => next(&bundle([]), "B".into()),
        _ => file(bundle([1]), None),
    });
    assert_eq!((read.bodies.len(), read.faults.len()), (1, 0));

    for body in [empty.to_owned(), bundle([])] {
        let mut n = 0;
        let mut effects = Fake::new(|_: &Request| {
            n += 1;
            next(&body, format!("T{n}"))
        });
        let mut reader = open(Start::Configured);
        let budget = Budget { requests: 1_000, ..Budget::default() };
        let fault = loop {
            match reader.pull(&mut effects, SESSION, &budget) {
                Ok(chunk) => assert_eq!(chunk.next, Next::More),
                Err(fault) => break fault,
            }
        };
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Unavailable, "page-token-repeats"));
        assert!(effects.requests.len() <= 101);
    }
}

/// Stored, without compression.
fn zip(members: &[(&str, &str)]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in members {
        let mut crc = flate2::Crc::new();
        crc.update(text.as_bytes());
        let mut head = Vec::new();
        for word in [20_u16, 0, 0, 0, 0] {
            head.write_all(&word.to_le_bytes()).unwrap();
        }
        for word in [crc.sum(), text.len() as u32, text.len() as u32] {
            head.write_all(&word.to_le_bytes()).unwrap();
        }
        head.write_all(&(name.len() as u16).to_le_bytes()).unwrap();
        head.write_all(&0_u16.to_le_bytes()).unwrap();
        let offset = bytes.len() as u32;
        bytes.extend([b"PK\x03\x04".as_slice(), &head, name.as_bytes(), text.as_bytes()].concat());
        directory.extend(
            [b"PK\x01\x02".as_slice(), &20_u16.to_le_bytes(), &head, &[0; 10], &offset.to_le_bytes(), name.as_bytes()]
                .concat(),
        );
    }
    let (count, offset) = (members.len() as u16, bytes.len() as u32);
    bytes.extend(&directory);
    bytes.extend([b"PK\x05\x06".as_slice(), &[0; 4], &count.to_le_bytes(), &count.to_le_bytes()].concat());
    bytes.extend([(directory.len() as u32).to_le_bytes().as_slice(), &offset.to_le_bytes(), &[0; 2]].concat());
    bytes
}

#[test]
fn a_refused_token_restarts_the_window() {
    let mut refusals = 1;
    let read = read(|request: &Request| {
        if refusals > 0 && data(request)["token"] == "B" {
            refusals -= 1;
            return status(400, "");
        }
        pages(request)
    });
    let distinct: BTreeSet<&String> = read.ids.iter().collect();
    assert_eq!((read.ids.len(), distinct.len(), read.faults.len()), (50, 30, 0));

    let refused = |request: &Request| if data(request)["token"] == "A" { status(400, "") } else { pages(request) };
    let mut reader = open(Start::Configured);
    let chunk = reader.pull(&mut Fake::new(refused), SESSION, &Budget::default()).unwrap();
    assert_eq!(chunk.events.len(), 20);
    let fault = reader.pull(&mut Fake::new(refused), SESSION, &Budget::default()).unwrap_err();
    assert_eq!((fault.class, fault.status), (FaultClass::Protocol, Some(400)));
    let mut effects = Fake::new(pages);
    let rest = drain(&mut reader, &mut effects, SESSION, Budget::default());
    assert_eq!((rest.bodies.len(), data(&effects.requests[0])["token"].is_null()), (30, true));
}

#[test]
fn a_bundle_that_breaks_off_is_fetched_again() {
    let text = bundle(0..30);
    let mut breaks = 2;
    let read = read(|_: &Request| {
        breaks -= 1;
        if breaks >= 0 { Reply::Broken(text.as_bytes()[..text.len() / 2].to_vec()) } else { file(text.clone(), None) }
    });
    assert_eq!((read.bodies.len(), read.pauses, read.malformed.len()), (30, 2, 0));
    // For ever: told, and nothing is passed.
    let broken = |_: &Request| Reply::Broken(text.as_bytes()[..text.len() / 2].to_vec());
    let read = drain(&mut open(Start::Configured), &mut Fake::new(broken), SESSION, Budget::default());
    assert!(read.bodies.len() < 30 && read.faults.len() > 5);
    assert_eq!((read.faults[0].class, read.faults[0].code.as_str()), (FaultClass::Unavailable, "file-breaks-off"));
    let rest =
        drain(&mut open(Start::After(read.position)), &mut Fake::new(|_| file(text.clone(), None)), SESSION, one());
    assert_eq!(read.bodies.len() + rest.bodies.len(), 30);
    // A bundle that ends too early without a broken connection is passed in the end, and what was good of it is kept.
    let last = triple(29).join(",").len();
    let short = text.as_bytes()[..text.len() - last].to_vec();
    let cut =
        drain(&mut open(Start::Configured), &mut Fake::new(|_| file(short.clone(), None)), SESSION, Budget::default());
    assert_eq!((cut.bodies.len(), cut.malformed.len(), cut.faults.len()), (29, 1, 0));
    // Damaged data are passed in the end, with a word.
    let mut damaged = gzip(text.as_bytes());
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    let mut effects = Fake::new(|_: &Request| file(damaged.clone(), None));
    let (mut reader, mut reasons, mut next) = (open(Start::Configured), Vec::new(), Next::More);
    while next != Next::CaughtUp {
        let chunk = reader.pull(&mut effects, SESSION, &Budget::default()).unwrap();
        reasons.extend(chunk.malformed.into_iter().map(|malformed| malformed.reason));
        next = chunk.next;
    }
    assert!(reasons.last().unwrap().contains("the rest of the bundle is passed"), "{reasons:?}");
}

#[test]
fn damage_is_passed_once_though_every_pull_has_a_new_reader() {
    let mut damaged = zip(&[("a.stix", &bundle(0..5))]);
    // The checksum in the member's header.
    damaged[14] ^= 0xff;
    let read = drain_afresh(V2, STREAM, &mut Fake::new(|_: &Request| file(damaged.clone(), None)), SESSION, one());
    assert_eq!((read.bodies.len(), read.malformed.len()), (5, 1), "{:?}", read.malformed);
}

#[test]
fn a_bundle_that_has_changed_is_read_from_its_start() {
    let budget = Budget { events: 5, ..Budget::default() };
    let first = |_: &Request| file(bundle(0..10), None);
    let chunk = open(Start::Configured).pull(&mut Fake::new(first), SESSION, &budget).unwrap();
    assert_eq!((chunk.events.len(), chunk.next), (5, Next::More));
    // An object has come in front.
    let second = |_: &Request| file(bundle((50..51).chain(0..10)), None);
    let rest = drain(&mut open(Start::After(chunk.position)), &mut Fake::new(second), SESSION, Budget::default());
    assert_eq!(rest.bodies.len(), 11);
}

#[test]
fn a_poisoned_record_is_not_touched_again() {
    let verbatim = Budget { verbatim: true, ..Budget::default() };
    let chunk = open(Start::Configured).pull(&mut Fake::new(pages), SESSION, &verbatim).unwrap();
    assert_eq!((chunk.malformed.len(), chunk.events.len()), (1, 0));
    let rest = drain(&mut open(Start::After(chunk.position)), &mut Fake::new(pages), SESSION, Budget::default());
    assert_eq!(rest.bodies.len(), 29);
}
