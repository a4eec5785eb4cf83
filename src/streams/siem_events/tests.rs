use std::cell::RefCell;
use std::collections::BTreeSet;

use super::super::Reader;
use super::super::progress::PUBLISHED_WITHIN;
use super::super::testing::*;
use super::*;
use crate::chunk::Budget;
use crate::effects::Request;

/// A vendor with one event every ten minutes; a cursor is the number of the next one.
struct Vendor {
    times: Vec<Timestamp>,
    /// Cursors that are refused from now on.
    refuse: bool,
    /// Events of the page before that a page repeats.
    overlap: usize,
    stalled: bool,
    /// An event that says that it happens tomorrow.
    wrong: Option<usize>,
}

fn event(number: usize, time: Timestamp) -> String {
    format!(r#"{{"eventType":"receipt","aggregateId":"mark-{number}","timestamp":{}}}"#, time / 1_000_000)
}

impl Vendor {
    /// Events of so many hours before now and so many after.
    fn steady(before: u64, after: u64) -> RefCell<Self> {
        let times = (1..=(before + after) * 6).map(|n| NOW - before * HOUR + n * 10 * MINUTE - MINUTE / 2).collect();
        RefCell::new(Self { times, refuse: false, overlap: 0, stalled: false, wrong: None })
    }

    fn answer(&mut self, now: Timestamp, request: &Request) -> Reply {
        assert!(request.url.starts_with("https://api.services.mimecast.com/siem/v1/events/cg?pageSize="));
        let size: usize = parameter(request, "pageSize").unwrap().parse().unwrap();
        let visible = self.times.iter().filter(|time| **time <= now).count();
        let first = match (parameter(request, "nextPage"), parameter(request, "dateRangeStartsAt")) {
            (Some(_), None) if self.refuse => {
                self.refuse = false;
                return status(400, "");
            }
            (Some(cursor), None) if self.stalled => {
                return ok(format!(r#"{{"value":[],"@nextPage":"{cursor}x","isCaughtUp":true}}"#));
            }
            (Some(cursor), None) => cursor.trim_end_matches('x').parse().unwrap(),
            (None, Some(date)) => {
                let date = chrono::DateTime::parse_from_rfc3339(&date.replace("%3A", ":")).unwrap();
                let date = date.timestamp_nanos_opt().unwrap() as u64;
                assert!(date + DAY >= now, "24 hours at most");
                self.times.iter().position(|time| *time >= date).unwrap_or(self.times.len())
            }
            other => panic!("{other:?}"),
        };
        let begin = if parameter(request, "nextPage").is_some() { first.saturating_sub(self.overlap) } else { first };
        let end = visible.min(first + size).max(begin);
        let rows: Vec<String> =
            (begin..end).map(|n| event(n, if self.wrong == Some(n) { NOW + DAY } else { self.times[n] })).collect();
        ok(format!(r#"{{"value":[{}],"@nextPage":"{end}","isCaughtUp":{}}}"#, rows.join(","), end == visible))
    }
}

fn config(start: &str) -> String {
    V2.replace("\"7d\"", &format!("\"{start}\",\"siem_mode\":\"stream\",\"page_sizes\":{{\"siem\":10}}"))
}

fn open(start: Start) -> Reader {
    Reader::open(&config("12h"), "siem/events", start).unwrap()
}

fn fake(vendor: &RefCell<Vendor>, now: Timestamp) -> Fake<'_> {
    let mut fake = Fake::new(move |request: &Request| vendor.borrow_mut().answer(now, request));
    fake.now = now;
    fake
}

fn distinct(read: &Read) -> BTreeSet<String> {
    read.bodies.iter().cloned().collect()
}

#[test]
fn all_types_in_one_cursor_at_every_split() {
    let vendor = Vendor::steady(30, 0);
    let mut effects = fake(&vendor, NOW);
    let read = drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default());
    assert_eq!((read.bodies.len(), read.faults.len(), read.gaps.len()), (72, 0, 0));
    assert_eq!(effects.requests.len(), 8);
    for events in [1, 9, 10, 11] {
        let budget = Budget { events, ..Budget::default() };
        let afresh = drain_afresh(&config("12h"), "siem/events", &mut fake(&vendor, NOW), SESSION, budget);
        assert_eq!((afresh.bodies, afresh.ids), (read.bodies.clone(), read.ids.clone()), "{events}");
        assert_eq!((read.pieces, afresh.pieces), (pieces(8, 8, 0), pieces(8, 8, 0)), "{events}");
    }
    assert!(read.largest_position < 500);
}

#[test]
fn a_start_that_is_too_old_is_a_gap() {
    let vendor = Vendor::steady(72, 0);
    let mut reader = Reader::open(&config("3d"), "siem/events", Start::Configured).unwrap();
    let read = drain(&mut reader, &mut fake(&vendor, NOW), SESSION, Budget::default());
    assert_eq!(read.bodies.len(), 143);
    assert_eq!(read.gaps, ["siem/events: `start_at` is older: Mimecast keeps 24 hours"]);
    // A stop of 23 hours is none; one of two days is, and so is a replay of them.
    let later = fake(&Vendor::steady(72, 60), NOW + 23 * HOUR).now;
    let vendor = Vendor::steady(72, 60);
    let day =
        drain(&mut open(Start::After(read.position.clone())), &mut fake(&vendor, later), SESSION, Budget::default());
    assert_eq!((day.bodies.len(), day.gaps.len()), (138, 0));
    let mut effects = fake(&vendor, NOW + 2 * DAY);
    let read = drain(&mut open(Start::After(read.position)), &mut effects, SESSION, Budget::default());
    assert_eq!(read.gaps.len(), 1);
    let span = Start::Span(NOW - 2 * DAY, NOW - 22 * HOUR);
    let read = drain(&mut open(span), &mut fake(&vendor, NOW), SESSION, Budget::default());
    assert_eq!((read.bodies.len(), read.gaps.len()), (11, 1));
}

#[test]
fn polls_go_on_by_the_cursor_and_overlaps_have_the_same_ids() {
    let vendor = Vendor::steady(12, 12);
    vendor.borrow_mut().overlap = 3;
    let mut position =
        drain(&mut open(Start::Configured), &mut fake(&vendor, NOW), SESSION, Budget::default()).position;
    let mut ids = BTreeSet::new();
    let mut rows = 0;
    for poll in 1..=12 {
        let mut effects = fake(&vendor, NOW + poll * HOUR);
        let read = drain(&mut open(Start::After(position)), &mut effects, SESSION, Budget::default());
        assert!(effects.requests.iter().all(|request| request.url.contains("nextPage=")));
        rows += read.ids.len();
        ids.extend(read.ids);
        position = read.position;
    }
    assert!(rows > ids.len());
    assert_eq!(ids.len(), 72 + 3, "and three of the page before");
}

#[test]
fn a_refused_cursor_is_mended_by_date() {
    let vendor = Vendor::steady(12, 30);
    let read = drain(&mut open(Start::Configured), &mut fake(&vendor, NOW), SESSION, Budget::default());
    vendor.borrow_mut().refuse = true;
    let mut effects = fake(&vendor, NOW + 2 * HOUR);
    let next = drain(&mut open(Start::After(read.position.clone())), &mut effects, SESSION, Budget::default());
    assert!(effects.requests[1].url.contains("dateRangeStartsAt="));
    assert!(next.faults.is_empty() && next.bodies.len() < 20);
    let all: BTreeSet<String> = distinct(&read).union(&distinct(&next)).cloned().collect();
    assert_eq!(all.len(), 84);
    // Longer ago than Mimecast serves, the operator's policy decides.
    vendor.borrow_mut().refuse = true;
    let fault =
        open(Start::After(read.position)).pull(&mut fake(&vendor, NOW + 25 * HOUR), SESSION, &Budget::default());
    let fault = match fault {
        Err(fault) => fault,
        Ok(chunk) => panic!("{chunk:?}"),
    };
    assert_eq!(fault.class, FaultClass::PositionLost);
}

#[test]
fn a_cursor_that_stalls_in_a_backlog_loses_nothing_of_it() {
    let vendor = Vendor::steady(12, 12);
    let first = open(Start::Configured).pull(&mut fake(&vendor, NOW), SESSION, &one()).unwrap();
    let mut read = Read::default();
    read.add(&first);
    let mut seen = distinct(&read);
    vendor.borrow_mut().stalled = true;
    let mut position = first.position;
    for poll in 1..=40 {
        let mut effects = fake(&vendor, NOW + poll * 5 * MINUTE);
        let read = drain(&mut open(Start::After(position)), &mut effects, SESSION, Budget::default());
        seen.extend(distinct(&read));
        position = read.position;
        vendor.borrow_mut().stalled = poll < 20;
    }
    let happened = vendor.borrow().times.iter().filter(|time| **time <= NOW + 200 * MINUTE).count();
    assert_eq!(seen.len(), happened);
}

#[test]
fn a_cursor_that_stalls_is_left_after_an_hour() {
    let vendor = Vendor::steady(12, 12);
    let mut read = drain(&mut open(Start::Configured), &mut fake(&vendor, NOW), SESSION, Budget::default());
    let mut seen = distinct(&read);
    vendor.borrow_mut().stalled = true;
    let mut dates = 0;
    for poll in 1..=30 {
        let mut effects = fake(&vendor, NOW + poll * 5 * MINUTE);
        read = drain(&mut open(Start::After(read.position)), &mut effects, SESSION, Budget::default());
        dates += effects.count("dateRangeStartsAt");
        seen.extend(distinct(&read));
    }
    assert_eq!(dates, 2);
    // All that happened until the second look by date, as far as its page reaches.
    assert!(seen.len() >= 72 + 12, "{}", seen.len());
    // A quiet vendor is asked by date once an hour, no more.
    let quiet = RefCell::new(Vendor { times: Vec::new(), refuse: false, overlap: 0, stalled: false, wrong: None });
    let mut position = drain(&mut open(Start::Configured), &mut fake(&quiet, NOW), SESSION, Budget::default()).position;
    let mut requests = (0, 0);
    for poll in 1..=120 {
        let mut effects = fake(&quiet, NOW + poll * MINUTE);
        position = drain(&mut open(Start::After(position)), &mut effects, SESSION, Budget::default()).position;
        requests = (requests.0 + effects.requests.len(), requests.1 + effects.count("dateRangeStartsAt"));
    }
    assert_eq!(requests, (121, 1));
}

/// Q14: a page that comes again and again, with its own cursor or none, is silence, too.
#[test]
fn a_page_that_repeats_is_left_after_an_hour() {
    for cursor in [r#","@nextPage":"72""#, ""] {
        let vendor = Vendor::steady(12, 12);
        let mut read = drain(&mut open(Start::Configured), &mut fake(&vendor, NOW), SESSION, Budget::default());
        let mut seen = distinct(&read);
        let stuck: Vec<String> = (72..75).map(|n| event(n, vendor.borrow().times[n])).collect();
        let stuck = format!(r#"{{"value":[{}]{cursor},"isCaughtUp":false}}"#, stuck.join(","));
        let mut dates = 0;
        for poll in 1..=36 {
            let now = NOW + poll * 5 * MINUTE;
            let mut effects = Fake::new(|request: &Request| {
                if parameter(request, "nextPage").is_some_and(|token| token == "72") {
                    return ok(stuck.clone());
                }
                vendor.borrow_mut().answer(now, request)
            });
            effects.now = now;
            read = drain(&mut open(Start::After(read.position)), &mut effects, SESSION, Budget::default());
            dates += effects.count("dateRangeStartsAt");
            seen.extend(distinct(&read));
        }
        assert_eq!((dates, seen.len()), (1, 72 + 18), "{cursor}");
    }
}

/// S28, Q55: a start that is within 24 hours by a clock that is behind is not so by the vendor's.
#[test]
fn a_clock_that_is_behind_does_not_stop_the_stream() {
    for (behind, date, faults) in [(0, true, 0), (HOUR, true, 0), (HOUR, false, 11)] {
        let vendor = Vendor::steady(30, 0);
        let script = |request: &Request| {
            let headers = if date { vec![("date", "Sun, 08 Mar 2026 12:00:00 +0000".to_owned())] } else { Vec::new() };
            if let Some(from) = parameter(request, "dateRangeStartsAt") {
                let from = chrono::DateTime::parse_from_rfc3339(&from.replace("%3A", ":")).unwrap();
                if from.timestamp_nanos_opt().unwrap() as u64 + DAY < NOW {
                    return Reply::Status(400, headers, Vec::new());
                }
            }
            vendor.borrow_mut().answer(NOW, request)
        };
        let mut effects = Fake::new(script);
        effects.now = NOW - behind;
        let mut reader = Reader::open(&config("24h"), "siem/events", Start::Configured).unwrap();
        let read = drain(&mut reader, &mut effects, SESSION, Budget::default());
        assert_eq!((read.bodies.len() > 130, read.faults.len()), (faults == 0, faults), "{behind} {date}");
    }
}

#[test]
fn odd_pages() {
    for (text, code) in [(r#"{"data":[]}"#, "bad-page"), ("[]", "not-json"), ("<html>", "not-json")] {
        let fault =
            open(Start::Configured).pull(&mut Fake::new(|_| ok(text)), SESSION, &Budget::default()).unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Protocol, code), "{text}");
    }
    let refused = r#"{"fail":[{"code":"app_forbidden","message":"Forbidden"}]}"#;
    let fault = open(Start::Configured).pull(&mut Fake::new(|_| status(403, refused)), SESSION, &Budget::default());
    let fault = fault.unwrap_err();
    assert_eq!(fault.class, FaultClass::NotEntitled);
    assert!(fault.hint.unwrap().contains("Threats, Security Events and Data for CG"));
    // A row that is no object, two rows that are equal, and a poisoned one that is not touched again.
    let time = NOW - HOUR;
    let rows = format!("17,{0},{0},{1}", event(1, time), event(2, time));
    let script = |_: &Request| ok(format!(r#"{{"value":[{rows}],"isCaughtUp":true}}"#));
    let whole = drain(&mut open(Start::Configured), &mut Fake::new(script), SESSION, Budget::default());
    let afresh = drain_afresh(&config("12h"), "siem/events", &mut Fake::new(script), SESSION, one());
    assert_eq!((whole.ids.len(), whole.malformed.len()), (3, 1));
    assert_eq!(whole.ids, afresh.ids);
    assert_eq!(whole.ids.iter().collect::<BTreeSet<_>>().len(), 3);
    let verbatim = Budget { verbatim: true, ..Budget::default() };
    let chunk = open(Start::Configured).pull(&mut Fake::new(script), SESSION, &verbatim).unwrap();
    assert!(String::from_utf8_lossy(&chunk.position).contains(r#""unparsed":[0]"#));
    let rest = drain(&mut open(Start::After(chunk.position)), &mut Fake::new(script), SESSION, Budget::default());
    assert_eq!(rest.ids, whole.ids);
}

#[test]
fn positions_of_version_1_are_understood() {
    let vendor = Vendor::steady(12, 0);
    let golden = format!(r#"{{"v":1,"stream":"siem/events","token":"60","from":0,"index":2,"mark":{}}}"#, NOW - HOUR);
    let read = drain(&mut open(Start::After(golden.into_bytes())), &mut fake(&vendor, NOW), SESSION, Budget::default());
    assert_eq!(read.bodies.len(), 12, "two are done, but another id stands there: the page again");
}

/// Three pages of an old backlog, then a stop: the vendor moves the old cursor without a word, or there was none.
#[test]
fn a_backlog_that_expires_unread_is_one_gap() {
    for cursor in [true, false] {
        for (stop, gaps) in [(HOUR, 0), (5 * HOUR, 1)] {
            let vendor = Vendor::steady(30, 30);
            let mut reader = Reader::open(&config("23h"), "siem/events", Start::Configured).unwrap();
            let budget = Budget { events: 10, ..Budget::default() };
            let mut script = fake(&vendor, NOW).script;
            let mut effects = Fake::new(|request: &Request| match script(request) {
                Reply::Status(status, headers, body) if !cursor => {
                    let text = String::from_utf8(body).unwrap().replace("@nextPage", "none");
                    Reply::Status(status, headers, text.into_bytes())
                }
                reply => reply,
            });
            let first = reader.pull(&mut effects, SESSION, &budget).unwrap();
            let mark = NOW - 23 * HOUR + 100 * MINUTE - MINUTE / 2;
            let now = NOW + stop;
            let mut vendor = vendor.borrow_mut();
            // Polled all the while by another reader, or not at all: it does not matter.
            let text = String::from_utf8(first.position).unwrap();
            for polled in [NOW, now] {
                let position = text.replace(&format!("\"polled\":{NOW}"), &format!("\"polled\":{polled}"));
                let mut effects = Fake::new(|request: &Request| match parameter(request, "nextPage") {
                    Some(_) => {
                        let oldest = vendor.times.iter().position(|time| *time + DAY > now).unwrap();
                        ok(format!(
                            r#"{{"value":[{}],"@nextPage":"{}","isCaughtUp":false}}"#,
                            event(oldest, vendor.times[oldest]),
                            oldest + 1
                        ))
                    }
                    None => vendor.answer(now, request),
                });
                effects.now = now;
                let mut reader = open(Start::After(position.into_bytes()));
                let chunk = reader.pull(&mut effects, SESSION, &one()).unwrap();
                let kept = if cursor { DAY } else { DAY - SLACK };
                let unread = (mark - PUBLISHED_WITHIN).max(NOW - 23 * HOUR);
                let all = [(Some(unread), Some(now - kept))];
                let told: Vec<_> = chunk.gaps.iter().map(|gap| (gap.begin, gap.end)).collect();
                assert_eq!(told, all[..gaps], "{cursor} {stop} {polled}");
                let again = reader.pull(&mut effects, SESSION, &one()).unwrap();
                assert_eq!(again.gaps.len(), 0);
            }
        }
    }
}

/// One event with a wrong time, and then a cursor that is refused or stalls: the backlog is begun anew, and what of it is too old by
/// then is told.
#[test]
fn an_event_of_the_future_hides_no_backlog() {
    for stalls in [false, true] {
        for (start, hours, gaps) in [("12h", 12, 0), ("23h", 23, 1)] {
            let vendor = Vendor::steady(30, 12);
            let first = vendor.borrow().times.iter().position(|time| *time >= NOW - hours * HOUR).unwrap();
            vendor.borrow_mut().wrong = Some(first + 5);
            let mut reader = Reader::open(&config(start), "siem/events", Start::Configured).unwrap();
            let page = Budget { events: 10, ..Budget::default() };
            let mut read = Read::default();
            read.add(&reader.pull(&mut fake(&vendor, NOW), SESSION, &page).unwrap());
            assert_eq!(read.bodies.len(), 10);
            let now = NOW + 2 * HOUR;
            (vendor.borrow_mut().stalled, vendor.borrow_mut().refuse) = (stalls, !stalls);
            for _ in 0..2 {
                let next =
                    drain(&mut open(Start::After(read.position.clone())), &mut fake(&vendor, now), SESSION, page);
                read.bodies.extend(next.bodies);
                read.gaps.extend(next.gaps);
                read.position = next.position;
                (vendor.borrow_mut().stalled, vendor.borrow_mut().refuse) = (false, false);
            }
            let happened = vendor.borrow().times.iter().skip(first).filter(|time| **time <= now).count();
            assert_eq!((distinct(&read).len(), read.gaps.len()), (happened, gaps), "{stalls} {start}");
        }
    }
}
