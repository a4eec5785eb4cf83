mod lost;

use std::collections::BTreeSet;

use super::super::Reader;
use super::super::read::zip::tests::{How, JAVA, archive, archive_with};
use super::super::testing::*;
use super::*;
use crate::chunk::Budget;
use crate::config::{DAY, HOUR};
use crate::effects::Request;

fn record(number: usize) -> String {
    format!(
        r#"{{"acc":"C0EX1","Sender":"a@example.com","Subject":"mark-{number}","datetime":"2026-03-08T11:{:02}:00+0000"}}"#,
        number % 60
    )
}

fn json(numbers: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let records: Vec<String> = numbers.into_iter().map(record).collect();
    format!(r#"{{"type":"MTA","data":[{}]}}"#, records.join(",\n")).into_bytes()
}

fn marks(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("mark-{number}")).collect()
}

fn token(request: &Request) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["data"][0]["compress"], true, "every time");
    assert_eq!(body["data"][0]["fileFormat"], "json");
    Some(body["data"][0]["token"].as_str()?.to_owned())
}

fn file(body: Vec<u8>, next: Option<&str>) -> Reply {
    let mut headers = vec![("content-type", "application/octet-stream".to_owned())];
    headers.extend(next.map(|next| ("mc-siem-token", next.to_owned())));
    Reply::Status(200, headers, body)
}

fn last(next: Option<&str>) -> Reply {
    let mut headers = vec![("content-type", "application/json".to_owned())];
    headers.extend(next.map(|next| ("mc-siem-token", next.to_owned())));
    Reply::Status(200, headers, br#"{"meta":{"isLastToken":true,"status":200},"data":[],"fail":[]}"#.to_vec())
}

const NAMES: [&str; 3] =
    ["receipt_20260308110000000.json", "../delivery_20260308110000000.json", "new_20260308110000000.json"];

/// Two archives, an empty one with a new token between them, and the end without a token.
fn vendor(request: &Request) -> Reply {
    assert_eq!(request.url, "https://eu-api.mimecast.com/api/audit/get-siem-logs");
    match token(request).as_deref() {
        None => file(archive(&[(NAMES[0], &json(0..4), JAVA), (NAMES[1], &json([4, 4, 5]), How::Deflate)]), Some("A")),
        Some("A") => file(archive(&[]), Some("B")),
        Some("B") => file(
            archive(&[(NAMES[2], &json(6..9), JAVA), (NAMES[2], &json(9..11), JAVA), (NAMES[0], b"", JAVA)]),
            Some("C"),
        ),
        Some("C") => last(None),
        other => panic!("{other:?}"),
    }
}

fn expected() -> Vec<String> {
    marks([0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10])
}

fn open(start: Start) -> Reader {
    Reader::open(V1, "siem", start).unwrap()
}

fn run(effects: &mut Fake<'_>) -> Read {
    drain(&mut open(Start::Configured), effects, SESSION_V1, Budget::default())
}

#[test]
fn every_record_once_and_the_token_is_kept() {
    let mut effects = Fake::new(vendor);
    let read = run(&mut effects);
    assert_eq!(read.bodies, expected());
    assert!(read.faults.is_empty() && read.malformed.is_empty() && read.gaps.is_empty(), "{read:?}");
    assert_eq!(read.ids.iter().collect::<BTreeSet<_>>().len(), 12);
    assert!(
        effects.requests[0].headers.iter().any(|(name, value)| *name == "authorization" && value.starts_with("MC "))
    );
    // The end has no token: the old one is kept, and asked again at the next poll.
    let before = effects.requests.len();
    let again = drain(&mut open(Start::After(read.position)), &mut effects, SESSION_V1, Budget::default());
    assert_eq!((again.records, effects.requests.len()), (0, before + 1));
    assert_eq!(token(&effects.requests[before]).as_deref(), Some("C"));
}

#[test]
fn kinds_come_from_names() {
    let mut effects = Fake::new(vendor);
    let chunk = open(Start::Configured).pull(&mut effects, SESSION_V1, &Budget::default()).unwrap();
    let kinds: Vec<u32> = chunk.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds[..7], [[Kind::Receipt as u32; 4].as_slice(), &[Kind::Delivery as u32; 3]].concat());
}

#[test]
fn the_same_events_and_ids_at_every_budget_with_a_new_reader_for_each_pull() {
    let whole = run(&mut Fake::new(vendor));
    for events in [1, 2, 3, 5, 7] {
        let budget = Budget { events, ..Budget::default() };
        let kept = drain(&mut open(Start::Configured), &mut Fake::new(vendor), SESSION_V1, budget);
        let afresh = drain_afresh(V1, "siem", &mut Fake::new(vendor), SESSION_V1, budget);
        for read in [kept, afresh] {
            assert_eq!((&read.bodies, &read.ids), (&whole.bodies, &whole.ids), "{events}");
            assert_eq!(read.pieces, pieces(5, 5, 0), "{events}: members");
        }
    }
    let mut effects = Fake::new(vendor);
    effects.tick = 1_000;
    let slow =
        drain(&mut open(Start::Configured), &mut effects, SESSION_V1, Budget { time_ms: 2_500, ..Budget::default() });
    assert_eq!(slow.ids, whole.ids);
}

#[test]
fn verbatim_hands_the_next_record_over_unparsed() {
    let chunk = open(Start::Configured).pull(&mut Fake::new(vendor), SESSION_V1, &one()).unwrap();
    let verbatim = Budget { verbatim: true, ..Budget::default() };
    let chunk = open(Start::After(chunk.position)).pull(&mut Fake::new(vendor), SESSION_V1, &verbatim).unwrap();
    assert_eq!((chunk.events.len(), chunk.malformed[0].head.as_slice()), (0, record(1).as_bytes()));
    let read = drain(&mut open(Start::After(chunk.position)), &mut Fake::new(vendor), SESSION_V1, Budget::default());
    assert_eq!(read.bodies, expected()[2..]);
}

#[test]
fn plain_files_in_every_form() {
    let lines = |end: &str| {
        (0..3)
            .map(|n| format!("datetime=2026-03-08T11:00:0{n}+0000|aCode=x{n}|acc=C0EX1|Subject=\\mark-{n}\\{end}"))
            .collect::<String>()
            .into_bytes()
    };
    let named = |name: &str, body: Vec<u8>| {
        let headers = vec![
            ("content-disposition", format!("attachment; filename=\"{name}\"")),
            ("mc-siem-token", "A".to_owned()),
        ];
        Reply::Status(200, headers, body)
    };
    let receipt = "receipt_20260308110000000.siem";
    let nd: String = (0..3).map(|n| record(n) + "\n").collect();
    let glued: String = (0..3).map(record).collect();
    for body in
        [lines("\r\n"), lines("\n"), lines("\r"), json(0..3), nd.into_bytes(), glued.into_bytes(), gzip(&json(0..3))]
    {
        let script = |request: &Request| match token(request) {
            None => named(receipt, body.clone()),
            Some(_) => last(Some("B")),
        };
        for read in [run(&mut Fake::new(script)), drain_afresh(V1, "siem", &mut Fake::new(script), SESSION_V1, one())] {
            assert_eq!(read.bodies, marks(0..3), "{:?} {}", read, String::from_utf8_lossy(&body));
            assert!(String::from_utf8_lossy(&read.position).contains(r#""token":"B""#));
        }
    }
    // key_value files in an archive, and an empty plain file.
    let script = |request: &Request| match token(request).as_deref() {
        None => file(archive(&[(receipt, &lines("\r\n"), JAVA)]), Some("A")),
        Some("A") => named(receipt, Vec::new()),
        _ => last(None),
    };
    let mut once = 0;
    let mut effects = Fake::new(move |request: &Request| {
        once += usize::from(token(request).as_deref() == Some("A"));
        if once > 1 { last(None) } else { script(request) }
    });
    assert_eq!(run(&mut effects).bodies, marks(0..3));
    // Rows in an answer that is no file.
    let mut effects = Fake::new(|request: &Request| match token(request) {
        None => Reply::Status(200, vec![("mc-siem-token", "A".into())], json(0..2)),
        Some(_) => last(None),
    });
    assert_eq!(run(&mut effects).bodies, marks(0..2));
}

#[test]
fn bad_members_are_told_and_the_others_read() {
    let text = json(0..300);
    let bytes = archive_with(
        &[
            ("receipt_1.json", &text, JAVA),
            ("process_1.json", &text, How::Encrypted),
            ("jrnl_1.json", &json(500..502), JAVA),
        ],
        |index, data| {
            if index == 0 {
                // A good block, and then one of a type that does not exist.
                let mut compress = flate2::Compress::new(flate2::Compression::default(), false);
                *data = Vec::with_capacity(text.len());
                compress.compress_vec(&text[..text.len() / 2], data, flate2::FlushCompress::Sync).unwrap();
                data.extend_from_slice(&[0xff; 50]);
            }
        },
    );
    let script = |request: &Request| match token(request) {
        None => file(bytes.clone(), Some("A")),
        Some(_) => last(None),
    };
    let whole = run(&mut Fake::new(script));
    assert_eq!(whole.malformed.len(), 2, "{:?}", whole.malformed);
    assert!(whole.malformed[0].contains("receipt_1.json") && whole.malformed[1].contains("encrypted"));
    let good = whole.bodies.len() - 2;
    assert!(good > 100 && good < 200, "{good}");
    assert_eq!(whole.bodies[..good], marks(0..good));
    assert_eq!(whole.bodies[good..], marks(500..502));
    assert!(whole.faults.is_empty());
    let afresh =
        drain_afresh(V1, "siem", &mut Fake::new(script), SESSION_V1, Budget { events: 7, ..Budget::default() });
    assert_eq!((afresh.ids, afresh.malformed), (whole.ids, whole.malformed));

    // Records that cannot be read, inside a good member.
    let member = format!("{{\"type\":\"MTA\",\"data\":[{},\n{{\"x\":\"y}},\n{}]}}", record(0), record(1));
    let mut effects = Fake::new(|request: &Request| match token(request) {
        None => file(archive(&[("receipt_1.json", member.as_bytes(), JAVA)]), Some("A")),
        Some(_) => last(None),
    });
    let read = run(&mut effects);
    assert_eq!((read.bodies, read.malformed.len()), (marks(0..2), 1));
}

#[test]
fn an_answer_that_breaks_off_is_fetched_again() {
    let whole = archive(&[("receipt_1.json", &json(0..200), How::Store), ("jrnl_1.json", &json(200..210), How::Store)]);
    let half = whole[..whole.len() / 2].to_vec();
    for broken in [false, true] {
        let mut tries = 0;
        let mut effects = Fake::new(|request: &Request| match token(request) {
            Some(_) => last(None),
            None => {
                tries += 1;
                match (tries, broken) {
                    (3.., _) => file(whole.clone(), Some("A")),
                    (_, true) => {
                        let Reply::Broken(body) = Reply::Broken(half.clone()) else { unreachable!() };
                        Reply::Broken(body)
                    }
                    (_, false) => file(half.clone(), Some("A")),
                }
            }
        });
        let read = run(&mut effects);
        assert_eq!(read.bodies, marks(0..210));
        assert!(read.malformed.is_empty() && read.faults.is_empty());
    }
    // For ever: the good records, one malformed piece, and on to the next token.
    for afresh in [false, true] {
        let mut effects = Fake::new(|request: &Request| match token(request).as_deref() {
            None => file(half.clone(), Some("A")),
            Some("A") => file(archive(&[("av_1.json", &json([900]), JAVA)]), Some("B")),
            _ => last(None),
        });
        let read = if afresh {
            drain_afresh(V1, "siem", &mut effects, SESSION_V1, Budget::default())
        } else {
            run(&mut effects)
        };
        let good = read.bodies.len() - 1;
        assert!(good > 50 && good < 200, "{good}");
        assert_eq!(read.bodies[..good], marks(0..good));
        assert_eq!(read.bodies[good..], marks([900]));
        assert_eq!(read.malformed.len(), 1, "{:?}", read.malformed);
        assert_eq!(effects.requests.iter().filter(|request| token(request).is_none()).count(), 4);
    }
}

#[test]
fn a_connection_that_breaks_off_again_and_again_is_a_fault_and_passes_nothing() {
    let big = archive(&[(NAMES[0], &json(0..400), JAVA)]);
    let mut tries = 0;
    let mut effects = Fake::new(|request: &Request| match token(request) {
        None => {
            tries += 1;
            let headers =
                vec![("content-type", "application/octet-stream".to_owned()), ("mc-siem-token", "C".to_owned())];
            if tries <= 20 {
                Reply::Broken(big[..big.len() / 2].to_vec())
            } else {
                Reply::Status(200, headers, big.clone())
            }
        }
        Some(_) => last(None),
    });
    let mut reader = open(Start::Configured);
    let (mut faults, mut records) = (Vec::new(), 0);
    for _ in 0..60 {
        match reader.pull(&mut effects, SESSION_V1, &Budget::default()) {
            Err(fault) => faults.push(fault),
            Ok(chunk) => {
                assert!(chunk.malformed.is_empty());
                records += chunk.records;
                if chunk.next == Next::CaughtUp {
                    break;
                }
            }
        }
    }
    assert_eq!(
        (records, faults[0].class, faults[0].code.as_str()),
        (400, FaultClass::Unavailable, "archive-breaks-off")
    );
    assert_eq!(faults.len(), 17);
}

#[test]
fn a_plain_document_that_is_not_closed_has_broken_off() {
    // Behind a record, and in the middle of one: the connection ends in order both times.
    let whole = json(0..6);
    for cut in [4, whole.len() / 2] {
        for better in [true, false] {
            let mut tries = 0;
            let mut effects = Fake::new(|request: &Request| match token(request).as_deref() {
                None => {
                    tries += 1;
                    let short = whole[..whole.len() - cut].to_vec();
                    file(if better && tries > 1 { whole.clone() } else { short }, Some("C"))
                }
                Some(_) => last(None),
            });
            let read = run(&mut effects);
            if better {
                assert_eq!((read.bodies, read.malformed.len(), tries_of(&effects)), (marks(0..6), 0, 2));
            } else {
                assert_eq!((read.malformed.len(), tries_of(&effects)), (1, 1 + TRIES as usize));
                assert!(read.malformed[0].contains("too early"), "{:?}", read.malformed);
                assert_eq!(read.bodies, marks(0..read.bodies.len()));
                assert!((2..6).contains(&read.bodies.len()));
            }
        }
    }
    // In an archive, whose checksum says that it is whole, it is told at once, and the others are read.
    let short = whole[..whole.len() - 4].to_vec();
    let mut effects = Fake::new(|request: &Request| match token(request) {
        None => file(archive(&[(NAMES[0], &short, JAVA), (NAMES[1], &json(6..8), JAVA)]), Some("C")),
        Some(_) => last(None),
    });
    let read = run(&mut effects);
    assert_eq!((read.malformed.len(), &read.bodies[5..]), (1, &marks(6..8)[..]));
    assert!(read.malformed[0].contains("not closed"), "{:?}", read.malformed);
}

fn tries_of(effects: &Fake<'_>) -> usize {
    effects.requests.iter().filter(|request| token(request).is_none()).count()
}

#[test]
fn the_developer_key_error_is_asked_again_once() {
    let refusal = r#"{"meta":{"status":200},"data":[],"fail":[{"errors":[{"code":"err_developer_key","message":"App ID is invalid"}]}]}"#;
    let mut times = 1;
    let mut effects = Fake::new(|request: &Request| {
        times -= 1;
        if times == 0 { ok(refusal) } else { vendor(request) }
    });
    let read = run(&mut effects);
    assert_eq!((read.bodies, read.faults.len()), (expected(), 0));
    let mut effects = Fake::new(|_: &Request| ok(refusal));
    let fault = open(Start::Configured).pull(&mut effects, SESSION_V1, &Budget::default()).unwrap_err();
    assert_eq!(
        (fault.class, fault.code.as_str(), effects.requests.len()),
        (FaultClass::Configuration, "wrong-app-id", 2)
    );
}

#[test]
fn answers_without_end_wait_for_the_next_poll() {
    let mut n = 0;
    let mut effects = Fake::new(|_: &Request| {
        n += 1;
        file(archive(&[]), Some(&format!("T{n}")))
    });
    let budget = Budget { requests: 1_000, ..Budget::default() };
    let chunk = open(Start::Configured).pull(&mut effects, SESSION_V1, &budget).unwrap();
    assert_eq!((chunk.next, chunk.requests), (Next::CaughtUp, EMPTY_ANSWERS));
    // The same token again, and none at all, with an archive: read once, then the end.
    for next in [None, Some("A")] {
        let mut effects = Fake::new(|_: &Request| file(archive(&[("receipt_1.json", &json(0..2), JAVA)]), next));
        let mut reader = open(Start::Configured);
        let read = drain(&mut reader, &mut effects, SESSION_V1, Budget::default());
        let again = drain(&mut reader, &mut effects, SESSION_V1, Budget::default());
        assert!(read.bodies.len() <= 4 && read.bodies[..2] == marks(0..2));
        assert_eq!(again.records, 0);
    }
}

#[test]
fn starts() {
    let config = V1.replace("7d", "2026-03-08T11:05:00Z");
    let read = drain(
        &mut Reader::open(&config, "siem", Start::Configured).unwrap(),
        &mut Fake::new(vendor),
        SESSION_V1,
        Budget::default(),
    );
    assert_eq!(read.bodies, marks(5..11));
    let read = drain(&mut open(Start::Now(Some(Vec::new()))), &mut Fake::new(vendor), SESSION_V1, Budget::default());
    assert_eq!((read.records, read.gaps.len()), (0, 1));
    let minute = 60 * 1_000_000_000;
    let span = Start::Span(NOW - 55 * minute, NOW - 53 * minute);
    let read = drain(&mut open(span), &mut Fake::new(vendor), SESSION_V1, Budget::default());
    assert_eq!(read.bodies, marks(5..7));
}

#[test]
fn positions_stay_small_and_version_1_is_understood() {
    let mut source = SiemArchive::open(Start::Configured).unwrap();
    source.state.done = (0..5_000).map(|n| Hash(position::hash(format!("{n}").as_bytes()))).collect();
    assert!(source.position().len() < 64 << 10);
    let first = format!("{:016x}", position::hash(NAMES[2].as_bytes()));
    assert_eq!(first, "afbc95534d3ce3bd");
    let golden = format!(
        r#"{{"v":1,"stream":"siem","token":"B","file":{{"hash":"{first}","index":2}},"tries":0,"broken":[0,0]}}"#
    );
    let read =
        drain(&mut open(Start::After(golden.into_bytes())), &mut Fake::new(vendor), SESSION_V1, Budget::default());
    assert_eq!(read.bodies, marks(8..11));
}

#[test]
fn stamps() {
    assert_eq!(stamp("receipt_20260308120000250.json"), Some(NOW + 250 * 1_000_000));
    assert_eq!(stamp("logs/ttp_url_20260308120000.siem"), Some(NOW));
    for name in ["", "receipt.json", "receipt_2026.json", "receipt_99999999999999999.json", "av_99991231235959999.json"]
    {
        assert_eq!(stamp(name), None, "{name}");
    }
}
