use super::super::file::{BREAKS_FOR, TRIES};
use super::*;
use crate::config::HOUR;
use crate::streams::progress::PUBLISHED_WITHIN;

#[test]
fn sessions_and_faults_reach_the_host_and_the_reader_stays_usable() {
    let mut effects = Fake::new(|request: &Request| match parameter(request, "nextPage") {
        Some(_) if request.headers.contains(&("authorization", "Bearer made-up-token".into())) => {
            status(401, r#"{"fail":[{"code":"token_expired","message":"Token expired"}]}"#)
        }
        _ => vendor(request),
    });
    let mut reader = open(Start::Configured);
    let chunk = reader.pull(&mut effects, SESSION, &Budget::default()).unwrap();
    assert_eq!((chunk.events.len(), chunk.next), (20, Next::More));
    let fault = reader.pull(&mut effects, SESSION, &Budget::default()).unwrap_err();
    assert_eq!(fault.class, FaultClass::SessionExpired);
    let read = drain(&mut reader, &mut effects, br#"{"token":"fresh"}"#, Budget::default());
    assert_eq!(read.bodies, marks(3));
    assert!(read.faults.is_empty());

    // A session that was renewed before the fault was told makes the fault pointless.
    let mut reader = open(Start::Configured);
    reader.pull(&mut effects, SESSION, &Budget::default()).unwrap();
    let read = drain(&mut reader, &mut effects, br#"{"token":"fresh"}"#, Budget::default());
    assert_eq!((read.bodies, read.faults.len()), (marks(3), 0));
    let fault = reader.pull(&mut effects, b"nonsense", &Budget::default()).unwrap_err();
    assert_eq!(fault.class, FaultClass::SessionExpired);
}

#[test]
fn the_quota_is_respected() {
    let mut effects = Fake::new(|request: &Request| match vendor(request) {
        Reply::Status(status, _, body) if number(request).is_none() => Reply::Status(
            status,
            vec![("x-ratelimit-remaining", "0".into()), ("x-ratelimit-reset", "4000.0".into())],
            body,
        ),
        reply => reply,
    });
    let mut reader = open(Start::Configured);
    let chunk = reader.pull(&mut effects, SESSION, &Budget::default()).unwrap();
    assert_eq!((chunk.events.len(), chunk.next, chunk.quota_left), (20, Next::Pause(4_000), Some(0)));
    assert_eq!(reader.pull(&mut effects, SESSION, &Budget::default()).unwrap().next, Next::Pause(4_000));
    effects.monotonic += 4_000;
    let read = drain(&mut reader, &mut effects, SESSION, Budget::default());
    assert_eq!((read.bodies, read.pauses > 0), (marks(3), true));
}

/// One file whose only event has this time (milliseconds).
fn of_time(time: u64) -> Vec<u8> {
    gzip(format!(r#"{{"type":"url protect","subject":"mark-1","timestamp":{time}}}"#).as_bytes())
}

fn refused_after(event: Timestamp, quiet: u64) -> (Vec<String>, Vec<Fault>, Option<String>) {
    let mut effects = Fake::new(|request: &Request| match number(request) {
        Some(_) => ok(of_time(event / 1_000_000)),
        None => ok(listing(if parameter(request, "nextPage").is_none() { &[1] } else { &[] }, Some("C=="), true)),
    });
    let position = drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default()).position;
    // Nothing new, but the vendor answers, until now.
    effects.now += quiet;
    let position = drain(&mut open(Start::After(position)), &mut effects, SESSION, Budget::default()).position;
    let now = effects.now + HOUR;
    let mut effects = Fake::new(|request: &Request| match parameter(request, "nextPage").as_deref() {
        Some("C==") => status(400, ""),
        _ if number(request).is_some() => ok(of_time(event / 1_000_000)),
        _ => ok(listing(&[1, 2], Some("D=="), true)),
    });
    effects.now = now;
    let read = drain(&mut open(Start::After(position)), &mut effects, SESSION, Budget::default());
    (read.bodies, read.faults, effects.requests.get(1).and_then(|request| parameter(request, "dateRangeStartsAt")))
}

#[test]
fn a_quiet_stream_has_lost_nothing_when_its_token_is_refused() {
    // The only event is from the 8th; on the 18th the vendor still answered that there is nothing newer.
    let (bodies, faults, from) = refused_after(NOW - HOUR, 10 * DAY);
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!((bodies.len(), from.as_deref()), (1, Some("2026-03-11")), "not before what is kept");
}

#[test]
fn an_event_of_the_future_does_not_make_a_listing_of_the_future() {
    let (bodies, faults, from) = refused_after(NOW + 400 * DAY, HOUR);
    assert!(faults.is_empty());
    assert_eq!((bodies.len(), from.as_deref()), (1, Some("2026-03-07")));
    // Nor does a position that was written under a clock that was two days fast.
    let position = format!(
        r#"{{"v":1,"stream":"{STREAM}","token":"C==","mark":{0},"polled":{0},"caught_up":{0}}}"#,
        NOW + 2 * DAY
    );
    let mut effects = Fake::new(|request: &Request| match parameter(request, "nextPage") {
        Some(_) => status(400, ""),
        None => ok(listing(&[], None, true)),
    });
    drain(&mut open(Start::After(position.into_bytes())), &mut effects, SESSION, Budget::default());
    assert_eq!(parameter(&effects.requests[1], "dateRangeStartsAt").as_deref(), Some("2026-03-07"));
}

#[test]
fn a_stream_that_waits_for_a_file_for_longer_than_the_retention_is_lost_and_says_so() {
    let mut effects = Fake::new(|request: &Request| match number(request) {
        Some(2) => status(403, ""),
        _ => vendor(request),
    });
    let position = open(Start::Configured).pull(&mut effects, SESSION, &Budget::default()).unwrap().position;
    // The vendor answers listings all the time, so `polled` is young; but file 2 was never read.
    let text = String::from_utf8(position).unwrap();
    let young = text.replace(&format!("\"polled\":{NOW}"), &format!("\"polled\":{}", NOW + 9 * DAY));
    assert_ne!(text, young);
    let young = young.replace("\"from\"", "\"token\":\"X==\",\"from\"");
    let mut effects = Fake::new(|_: &Request| status(400, ""));
    effects.now += 9 * DAY;
    let fault = open(Start::After(young.into_bytes())).pull(&mut effects, SESSION, &Budget::default()).unwrap_err();
    assert_eq!(fault.class, FaultClass::PositionLost);
}

#[test]
fn records_without_a_time_are_not_left_out() {
    let lines = r#"{"subject":"mark-1"}
{"subject":"mark-2","timestamp":"soon"}
{"subject":"mark-3","timestamp":1}"#;
    let mut effects = Fake::new(|request: &Request| match number(request) {
        Some(_) => ok(gzip(lines.as_bytes())),
        None => ok(listing(&[1], Some("C=="), true)),
    });
    let config = V2.replace("7d", "36h");
    let mut reader = Reader::open(&config, STREAM, Start::Configured).unwrap();
    let read = drain(&mut reader, &mut effects, SESSION, Budget::default());
    assert_eq!(read.bodies, ["mark-1", "mark-2"], "the third one says itself that it is too old");
    assert!(!String::from_utf8(read.position).unwrap().contains("mark\":0"));
}

#[test]
fn a_connection_that_breaks_off_again_and_again_is_a_fault_and_passes_nothing() {
    let mut tries = 0;
    let mut effects = Fake::new(|request: &Request| match number(request) {
        Some(1) => {
            tries += 1;
            if tries <= 20 { Reply::Broken(file(1)[..40].to_vec()) } else { ok(file(1)) }
        }
        _ => vendor(request),
    });
    let mut reader = open(Start::Configured);
    let mut faults = Vec::new();
    for _ in 0..50 {
        match reader.pull(&mut effects, SESSION, &Budget::default()) {
            Err(fault) => faults.push(fault),
            Ok(chunk) if chunk.events.is_empty() => assert!(chunk.malformed.is_empty()),
            Ok(chunk) => {
                assert_eq!((chunk.events.len(), chunk.malformed.len()), (30, 0));
                break;
            }
        }
    }
    assert_eq!(
        (faults.len(), faults[0].class, faults[0].code.as_str()),
        (17, FaultClass::Unavailable, "file-breaks-off")
    );
    assert!(!faults[0].to_string().contains("signed"));

    // If it never gets better, it is told and passed at last.
    let mut effects = Fake::new(|request: &Request| match number(request) {
        Some(1) => Reply::Broken(file(1)[..40].to_vec()),
        _ => vendor(request),
    });
    // The host opens a new reader after each fault.
    let (mut faults, mut position) = (0, None);
    let chunk = 'all: loop {
        let mut reader = open(position.clone().map_or(Start::Configured, Start::After));
        loop {
            match reader.pull(&mut effects, SESSION, &Budget::default()) {
                Err(_) => {
                    effects.now += HOUR;
                    faults += 1;
                    break;
                }
                Ok(chunk) if chunk.records == 0 => position = Some(chunk.position),
                Ok(chunk) => break 'all chunk,
            }
        }
    };
    assert_eq!((faults, chunk.malformed.len(), chunk.events.len()), (BREAKS_FOR / HOUR, 1, 20));
}

#[test]
fn damaged_data_are_read_again_from_their_beginning() {
    // Stored without compression, so that a letter that is wrong makes a good line, and only the checksum tells.
    let whole = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        std::io::Write::write_all(&mut encoder, format!("{}\n", lines(1).join("\n")).as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let mut wrong = whole.clone();
    let at = wrong.windows(8).position(|text| text == b"mark-1-5").unwrap();
    wrong[at + 7] = b'x';
    for afresh in [false, true] {
        let mut tries = 0;
        let mut effects = Fake::new(|request: &Request| match number(request) {
            Some(1) => {
                tries += 1;
                ok(if tries == 1 { wrong.clone() } else { whole.clone() })
            }
            _ => vendor(request),
        });
        let read = if afresh {
            drain_afresh(V2, STREAM, &mut effects, SESSION, Budget::default())
        } else {
            drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default())
        };
        assert!(read.bodies.contains(&"mark-1-5".to_owned()), "the true record");
        assert_eq!(read.bodies[10..], expected(), "all of it again");
        let ids: std::collections::BTreeSet<&String> = read.ids.iter().collect();
        assert_eq!((ids.len(), read.malformed.len()), (30 + 1, 0), "and one that never was");
    }
    // It stays damaged: told, and passed.
    let mut effects = Fake::new(|request: &Request| match number(request) {
        Some(1) => ok(wrong.clone()),
        _ => vendor(request),
    });
    let read = drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default());
    assert_eq!((read.malformed.len(), read.gaps.len(), effects.count("/url/1.")), (1, 0, 1 + TRIES as usize));
    assert!(read.malformed[0].contains("may be wrong"), "{:?}", read.malformed);
    assert_eq!(read.bodies[read.bodies.len() - 20..], [marks(2), marks(3)].concat());
}

#[test]
fn an_event_of_the_future_hides_no_backlog_when_the_token_is_refused() {
    // Page 1 of a backlog of a week has an event with a wrong time; the token of page 2 is refused.
    let mut effects = Fake::new(|request: &Request| match number(request) {
        Some(_) => ok(of_time((NOW + DAY) / 1_000_000)),
        None => ok(listing(&[1], Some("C=="), false)),
    });
    let chunk = open(Start::Configured).pull(&mut effects, SESSION, &one()).unwrap();
    let chunk = open(Start::After(chunk.position)).pull(&mut effects, SESSION, &Budget::default()).unwrap();
    assert!(String::from_utf8_lossy(&chunk.position).contains("C=="));
    for (late, gaps) in [(0, 0), (2 * DAY, 1)] {
        let mut effects = Fake::new(|request: &Request| match parameter(request, "nextPage").as_deref() {
            Some("C==") => status(400, ""),
            _ => ok(listing(&[], Some("D=="), true)),
        });
        effects.now += late;
        let read = drain(&mut open(Start::After(chunk.position.clone())), &mut effects, SESSION, Budget::default());
        let from = parameter(&effects.requests[1], "dateRangeStartsAt");
        assert_eq!(from, Some(day(NOW + late - 7 * DAY)), "where the backlog began, as far as it is kept");
        assert_eq!((read.faults.len(), read.gaps.len()), (0, gaps), "{:?}", read.gaps);
    }
}

#[test]
fn a_vendor_that_refuses_every_token_is_not_asked_without_end() {
    let mut effects = Fake::new(|request: &Request| match (number(request), parameter(request, "nextPage")) {
        (Some(number), _) => ok(file(number)),
        (None, Some(_)) => status(400, ""),
        (None, None) => ok(listing(&[1], Some("A=="), false)),
    });
    let (fault, read) = fault(&mut open(Start::Configured), &mut effects);
    assert_eq!((fault.class, fault.status), (FaultClass::Protocol, Some(400)));
    assert_eq!((read.bodies, effects.count("/siem/")), (marks(1), 4));
}

#[test]
fn a_replay_of_what_is_no_longer_kept_asks_for_nothing() {
    let ask = |begin: u64, end: u64| {
        let mut effects = Fake::new(vendor);
        let span = Start::Span(NOW - begin * DAY, NOW - end * DAY);
        let read = drain(&mut open(span), &mut effects, SESSION, Budget::default());
        (read.gaps.len(), read.faults.len(), !effects.requests.is_empty())
    };
    assert_eq!(ask(30, 20), (1, 0, false));
    assert_eq!(ask(30, 5), (1, 0, true));
    assert_eq!(ask(5, 2), (0, 0, true));
}

#[test]
fn a_clock_that_was_set_back_does_not_hide_a_long_silence() {
    let mut effects = Fake::new(vendor);
    effects.now += 300 * DAY;
    let position = drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default()).position;
    effects.now = NOW;
    let read = drain(&mut open(Start::After(position)), &mut effects, SESSION, Budget::default());
    effects.now = NOW + 10 * DAY;
    let read = drain(&mut open(Start::After(read.position)), &mut effects, SESSION, Budget::default());
    assert_eq!(read.gaps.len(), 1);
}

#[test]
fn tokens_are_judged_by_the_length_that_they_have_in_a_position() {
    for (token, good) in [
        ("t".repeat(8_000), true),
        ("t".repeat(9_000), false),
        ("\\u0001".repeat(2_000), false),
        ("\\u0001".repeat(1_000), true),
    ] {
        let mut effects = Fake::new(|_: &Request| ok(listing(&[], Some(&token), true)));
        let result = open(Start::Configured).pull(&mut effects, SESSION, &Budget::default());
        match result {
            Ok(chunk) => assert!(good && chunk.position.len() < 10_000),
            Err(fault) => assert!(!good && fault.code == "token-too-long" && fault.hint.is_some(), "{fault}"),
        }
    }
}

#[test]
fn no_message_repeats_what_the_request_was_authorized_with() {
    for (code, body) in [
        (400, r#"{"fail":[{"code":"x","message":"bad token made-up-token"}]}"#.to_owned()),
        (500, format!("{}Bearer made-up-token for made-up-id", "x".repeat(180))),
        (403, format!(r#"{{"what":"{}made-up-secret"}}"#, "x".repeat(180))),
        (200, r#"{"fail":[{"code":"made-up-token","message":"made-up-secret"}]}"#.to_owned()),
        (502, format!(r#"{{"error":{{"code":"c","message":"{} made-up-token"}}}}"#, "long ".repeat(9_000))),
    ] {
        let mut effects = Fake::new(|_: &Request| status(code, &body));
        let fault = open(Start::Configured).pull(&mut effects, SESSION, &Budget::default()).unwrap_err();
        let text = format!("{fault:?}");
        assert!(!text.contains("made-up") && text.len() < 1_000, "{text}");
        assert!(fault.message.contains("answered"), "{text}");
    }
}

#[test]
fn answers_are_read_up_to_a_limit() {
    let huge = format!(r#"{{"value":[],"x":"{}","isCaughtUp":true}}"#, "x".repeat(17 << 20));
    let fail = format!(r#"{{"fail":[{}{{"code":"c"}}]}}"#, "{},".repeat(40_000));
    for (body, code) in [(&huge, "answer-too-large"), (&fail, "fail")] {
        let mut effects = Fake::new(|_: &Request| ok(body.as_str()));
        let fault = open(Start::Configured).pull(&mut effects, SESSION, &Budget::default()).unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Protocol, code));
        assert!(fault.message.contains("api.services.mimecast.com/siem/"), "{fault}");
    }
    let large = huge.replacen("xxx", "", 1 << 20);
    let mut effects = Fake::new(|_: &Request| ok(large.as_str()));
    let chunk = open(Start::Configured).pull(&mut effects, SESSION, &Budget::default()).unwrap();
    assert_eq!(chunk.next, Next::CaughtUp);
}

#[test]
fn a_vendor_that_was_out_of_reach_for_longer_than_the_retention_is_one_gap() {
    for afresh in [false, true] {
        let mut effects = Fake::new(vendor);
        let mut reader = open(Start::Configured);
        let position = drain(&mut reader, &mut effects, SESSION, Budget::default()).position;
        let mut effects = Fake::new(|_: &Request| Reply::Fail("dns"));
        effects.now += 10 * DAY;
        if afresh {
            reader = open(Start::After(position));
        }
        assert!(reader.pull(&mut effects, SESSION, &Budget::default()).is_err());
        let mut effects = Fake::new(vendor);
        effects.now += 10 * DAY;
        for gaps in [1, 0] {
            let read = drain(&mut reader, &mut effects, SESSION, Budget::default());
            assert_eq!((read.gaps.len(), read.records), (gaps, 0), "{afresh}");
        }
    }
}

#[test]
fn a_page_of_a_proxy_is_no_file() {
    let mut portals = 2;
    let mut effects = Fake::new(|request: &Request| match number(request) {
        Some(1) if portals > 0 => {
            portals -= 1;
            Reply::Status(
                200,
                vec![("content-type", "text/html; charset=utf-8".into())],
                b"<html>Log in</html>".to_vec(),
            )
        }
        _ => vendor(request),
    });
    let mut reader = open(Start::Configured);
    let fault = reader.pull(&mut effects, SESSION, &Budget::default()).unwrap_err();
    assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Unavailable, "not-a-file"));
    let read = drain(&mut reader, &mut effects, SESSION, Budget::default());
    assert_eq!((read.bodies, read.faults.len(), read.malformed.len()), (expected(), 1, 0));
}

#[test]
fn a_budget_of_nothing_still_goes_on() {
    let budget = Budget { events: 0, bytes: 0, time_ms: 0, ..Budget::default() };
    let read = drain(&mut open(Start::Configured), &mut Fake::new(vendor), SESSION, budget);
    assert_eq!(read.bodies, expected());
}

/// Q14: a first answer without a token, and then a stop: the listing begins at the oldest that is kept, whatever lay between.
#[test]
fn what_expires_unread_is_one_gap_however_long_nobody_asked() {
    let old = |request: &Request| match number(request) {
        Some(_) => ok(of_time((NOW - 7 * DAY + HOUR) / 1_000_000)),
        None => ok(listing(&[1], None, false)),
    };
    let position = drain(&mut open(Start::Configured), &mut Fake::new(old), SESSION, Budget::default()).position;
    let caught_up = drain(&mut open(Start::Configured), &mut Fake::new(vendor), SESSION, Budget::default()).position;
    for (position, stop, from) in [
        (&position, HOUR, None),
        (&position, 3 * DAY, Some(NOW - 7 * DAY)),
        (&position, 9 * DAY, Some(NOW - 7 * DAY)),
        (&caught_up, 3 * DAY, None),
        (&caught_up, 9 * DAY, Some(NOW - PUBLISHED_WITHIN)),
    ] {
        let mut effects = Fake::new(|_: &Request| ok(listing(&[], Some("D=="), true)));
        effects.now += stop;
        let chunk = open(Start::After(position.clone())).pull(&mut effects, SESSION, &Budget::default()).unwrap();
        let gaps: Vec<_> = chunk.gaps.iter().map(|gap| (gap.begin, gap.end)).collect();
        let end = NOW - 7 * DAY + stop;
        assert_eq!(gaps, from.map(|from| (Some(from), Some(end))).into_iter().collect::<Vec<_>>(), "{stop}");
        let again = drain(&mut open(Start::After(chunk.position)), &mut effects, SESSION, Budget::default());
        assert_eq!(again.gaps.len(), 0);
    }
}

/// What was published shortly before the position's newest event may be unread, too.
#[test]
fn the_gap_of_a_lost_position_begins_before_its_newest_event() {
    let position = format!(r#"{{"v":1,"stream":"{STREAM}","token":"C==","mark":{}}}"#, NOW - 9 * DAY).into_bytes();
    for (start, end) in [(Start::Oldest(Some(position.clone())), NOW - 7 * DAY), (Start::Now(Some(position)), NOW)] {
        let chunk = open(start).pull(&mut Fake::new(vendor), SESSION, &Budget::default()).unwrap();
        let gaps: Vec<_> = chunk.gaps.iter().map(|gap| (gap.begin, gap.end)).collect();
        assert_eq!(gaps, [(Some(NOW - 9 * DAY - PUBLISHED_WITHIN), Some(end))]);
    }
}
