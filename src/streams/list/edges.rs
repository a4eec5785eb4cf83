//! Where a list could lose rows without a word: refusals with status 200, clocks that differ, the end of what is kept, rows that are
//! identical, tokens that lead in a circle.

use super::*;
use crate::catalog;

fn body(request: &Request) -> serde_json::Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn token(request: &Request) -> Option<String> {
    body(request)["meta"]["pagination"]["pageToken"].as_str().map(str::to_owned)
}

fn window(request: &Request) -> (Timestamp, Timestamp) {
    let data = body(request)["data"][0].clone();
    let end = |names: [&str; 3]| names.iter().find_map(|name| data[*name].as_str().map(instant)).unwrap();
    (end(["start", "from", "startDateTime"]), end(["end", "to", "endDateTime"]))
}

/// What `Date` says.
fn date(time: Timestamp) -> Vec<(&'static str, String)> {
    vec![("date", chrono::DateTime::from_timestamp_nanos(time as i64).to_rfc2822())]
}

/// Errors of fields come with status 200, too. A token that has run out must not be asked with for ever.
#[test]
fn a_token_that_is_refused_with_status_200_begins_the_window_anew() {
    let refused = r#"{"meta":{"status":200},"data":[],"fail":[{"errors":[{"code":"err_validation_invalid","message":"m","field":"pageToken","retryable":false}]}]}"#;
    let vendor = RefCell::new(Vendor::steady(1));
    let budget = Budget { events: 15, ..Budget::default() };
    let first = open(Start::Configured).pull(&mut fake(&vendor, NOW), SESSION, &budget).unwrap();
    let mut read = Read::default();
    read.add(&first);
    // Tokens from before the stop are known no longer.
    let mut expired = true;
    let mut effects = Fake::new(|request: &Request| {
        expired &= token(request).is_some();
        if expired { ok(refused) } else { vendor.borrow_mut().answer(NOW, request) }
    });
    let rest = drain(&mut open(Start::After(first.position)), &mut effects, SESSION, Budget::default());
    assert_eq!((distinct(&rest).len(), rest.faults.len()), (143, 0));

    // Refused for ever: told.
    let mut effects =
        Fake::new(
            |request: &Request| {
                if token(request).is_some() { ok(refused) } else { vendor.borrow_mut().answer(NOW, request) }
            },
        );
    let read = drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default());
    assert!(read.faults.len() > 10 && read.faults[0].class == FaultClass::Protocol);
    // What passes by itself is not taken for the token: the same page is asked for again.
    let passing = refused.replace("false", "true");
    let mut once = true;
    let mut effects = Fake::new(|request: &Request| {
        if std::mem::take(&mut once) { ok(passing.clone()) } else { vendor.borrow_mut().answer(NOW, request) }
    });
    let chunk = open(Start::Configured).pull(&mut fake(&vendor, NOW), SESSION, &budget).unwrap();
    let read = drain(&mut open(Start::After(chunk.position)), &mut effects, SESSION, Budget::default());
    assert_eq!((read.bodies.len(), read.faults.len()), (143 - 15, 1));
}

/// Q1: whatever stands in `fail` is an error, though it has no code; nothing in whatever form is none.
#[test]
fn an_error_without_a_code_does_not_pass_for_an_empty_list() {
    let pull = |fail: &str| {
        let text = format!(r#"{{"meta":{{"status":200}},"data":[],"fail":{fail}}}"#);
        open(Start::Configured).pull(&mut Fake::new(|_| ok(text.clone())), SESSION, &Budget::default())
    };
    for fail in [r#"[{"key":{"from":"x"},"errors":[]}]"#, "[1]", "[true]", r#"[{"reason":"x"}]"#] {
        let fault = pull(fail).unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Protocol, "fail"), "{fail}");
    }
    for fail in ["[]", "[ ]", "null", "[{}]", "[null]", r#"[{"errors":[]}]"#] {
        assert_eq!(pull(fail).map(|chunk| chunk.next), Ok(Next::CaughtUp), "{fail}");
    }
}

/// S28. By a clock that is an hour ahead every window would lie where nothing has happened yet.
#[test]
fn a_clock_that_is_ahead_hides_nothing() {
    for ahead in [0, 20 * MINUTE, HOUR] {
        let vendor = RefCell::new(Vendor { rows: Vec::new(), windows: Vec::new() });
        for n in 1..60 {
            let time = NOW + n * 4 * MINUTE;
            // Every third one appears 25 minutes late.
            vendor.borrow_mut().rows.push((time, time + if n % 3 == 0 { 25 * MINUTE } else { 0 }));
        }
        let mut start = Start::Now(None);
        let (mut seen, mut rows) = (BTreeSet::new(), 0);
        for poll in 0..60 {
            let theirs = NOW + poll * 5 * MINUTE;
            let mut effects = Fake::new(|request: &Request| match vendor.borrow_mut().answer(theirs, request) {
                Reply::Status(status, _, body) => Reply::Status(status, date(theirs), body),
                other => other,
            });
            effects.now = theirs + ahead;
            let read = drain(&mut open(start), &mut effects, SESSION, Budget::default());
            rows += read.ids.len();
            seen.extend(read.ids);
            start = Start::After(read.position);
        }
        assert_eq!(seen.len(), 59, "{} s ahead", ahead / SECOND);
        assert!(rows < 59 * 30, "{rows}");
    }
}

/// A `Date` that is wrong by years says nothing.
#[test]
fn a_date_of_another_time_changes_nothing() {
    for theirs in [0, NOW - 400 * DAY, NOW + 400 * DAY] {
        let script = |_: &Request| Reply::Status(200, date(theirs), br#"{"data":[]}"#.to_vec());
        let read = drain(&mut open(Start::Configured), &mut Fake::new(script), SESSION, Budget::default());
        let mut effects = Fake::new(script);
        effects.now = NOW + 5 * MINUTE;
        drain(&mut open(Start::After(read.position)), &mut effects, SESSION, Budget::default());
        assert_eq!(window(&effects.requests[0]), (NOW - 30 * MINUTE, NOW + 4 * MINUTE));
    }
}

/// Q22. What is a little older than what is kept is not asked for, or it would be refused for ever; and it is told.
#[test]
fn the_end_of_what_is_kept_is_not_asked_for() {
    let kept = 60 * DAY;
    // The request takes some seconds, and the vendor is strict.
    let strict = |request: &Request| {
        let (begin, _) = window(request);
        if begin + kept < NOW + 5 * SECOND { status(400, "") } else { ok(r#"{"data":[]}"#) }
    };
    let config = config("").replace("3d", "60d");
    let read = |start: Start| {
        drain(&mut Reader::open(&config, "audit", start).unwrap(), &mut Fake::new(strict), SESSION, Budget::default())
    };
    let first = read(Start::Configured);
    assert_eq!((first.faults.len(), first.gaps.len()), (0, 1));
    // Once.
    assert_eq!(read(Start::After(first.position)).gaps.len(), 0);
    // Half an hour too long ago is no reason to lose the position, but it is a gap; half an hour less is none.
    for (next, gaps) in [(NOW - kept - HOUR / 2, 1), (NOW - kept + HOUR / 2, 0)] {
        let position = format!(r#"{{"v":1,"stream":"audit","next":{next}}}"#);
        let read = read(Start::After(position.into_bytes()));
        assert_eq!((read.faults.len(), read.gaps.len()), (0, gaps));
    }
    // A vendor that keeps less says so by a refusal: the operator is told what to do.
    let pull = |start: &str| {
        let config = config.replace("60d", start);
        let mut reader = Reader::open(&config, "dlp", Start::Configured).unwrap();
        reader.pull(&mut Fake::new(|_| status(400, "")), SESSION, &Budget::default()).unwrap_err().hint.unwrap()
    };
    assert!(pull("30d").contains("`start_at`") && !pull("2d").contains("`start_at`"));
}

/// Rows without an id may be identical. If they come to stand on two pages they are still two, where nothing moves any longer.
#[test]
fn identical_rows_on_two_pages_are_two_records() {
    let rows = |list: &[u32], time: Timestamp| {
        let text =
            chrono::DateTime::from_timestamp((time / SECOND) as i64, 0).unwrap().format("%Y-%m-%dT%H:%M:%S+0000");
        let row = |n: &u32| format!(r#"{{"policy":"mark-{n}","eventTime":"{text}","date":"{text}"}}"#);
        list.iter().map(row).collect::<Vec<_>>().join(",")
    };
    // Where the next poll reads again, a late row may have moved the second page's first row there: the same one.
    for (name, ago, distinct) in [
        ("dlp", 5 * HOUR, 7),
        ("ttp/url", 5 * HOUR, 7),
        ("ttp/attachment", 5 * HOUR, 7),
        ("dlp", 10 * MINUTE, 4),
        ("audit", 5 * HOUR, 4),
        ("ttp/impersonation", 5 * HOUR, 4),
    ] {
        let script = |total: [u32; 3]| {
            move |request: &Request| {
                let (begin, end) = window(request);
                if !(begin..end).contains(&(NOW - ago)) {
                    return ok(r#"{"data":[]}"#);
                }
                let (list, total, next): (&[u32], u32, &str) = match token(request).as_deref() {
                    None => (&[1, 2, 2], total[0], "A"),
                    // An empty page in between changes nothing.
                    Some("A") => (&[], total[0], "B"),
                    Some("B") => (&[2, 3, 2], total[1], "C"),
                    _ => (&[2], total[2], ""),
                };
                let rows = rows(list, NOW - ago);
                ok(format!(
                    r#"{{"meta":{{"pagination":{{"next":"{next}","totalCount":{total}}}}},"data":[{rows}],"fail":[]}}"#
                ))
            }
        };
        let stream = catalog::named(name)[0].name();
        let read = |total| {
            drain(
                &mut Reader::open(V2, stream, Start::Configured).unwrap(),
                &mut Fake::new(script(total)),
                SESSION,
                Budget::default(),
            )
        };
        let whole = read([7, 7, 7]);
        assert_eq!(
            (whole.bodies.len(), whole.ids.iter().collect::<BTreeSet<_>>().len()),
            (7, distinct),
            "{name} {ago}"
        );
        let afresh = drain_afresh(V2, stream, &mut Fake::new(script([7, 7, 7])), SESSION, one());
        assert_eq!(afresh.ids, whole.ids, "{name}");
        // The list has grown in between by one: the page begins with a row that was read.
        let grown = read([6, 7, 7]);
        assert!(grown.ids.iter().collect::<BTreeSet<_>>().len() <= 6, "{name}");
    }
}

/// Q14: more than one token that leads in a circle.
#[test]
fn tokens_in_a_circle_are_told() {
    for length in [2, 3, 7] {
        let script = |request: &Request| {
            let at: u64 = token(request).map_or(0, |token| token.parse().unwrap());
            let rows = row(NOW - HOUR - at * MINUTE, at as usize);
            let next = if at == length { 1 } else { at + 1 };
            ok(format!(r#"{{"meta":{{"pagination":{{"next":"{next}"}}}},"data":[{rows}]}}"#))
        };
        let mut reader = Reader::open(&config("").replace("3d", "5h"), "audit", Start::Configured).unwrap();
        let mut effects = Fake::new(script);
        let budget = Budget { requests: 1_000, ..Budget::default() };
        let chunk = reader.pull(&mut effects, SESSION, &budget).unwrap();
        assert_eq!(chunk.next, Next::More);
        assert_eq!(reader.pull(&mut effects, SESSION, &budget).unwrap_err().code, "page-token-repeats");
        assert!(effects.requests.len() < 60, "{}", effects.requests.len());
    }
}
