use std::cell::RefCell;
use std::collections::BTreeSet;

use super::super::Reader;
use super::super::testing::*;
use super::*;
use crate::chunk::{Budget, Timestamp};
use crate::config::{HOUR, SECOND};
use crate::effects::Request;

const MINUTE: u64 = 60 * SECOND;

/// A vendor with rows at given times, newest first, paged by offset like the real one.
struct Vendor {
    /// Time of the event, and when it becomes visible.
    rows: Vec<(Timestamp, Timestamp)>,
    windows: Vec<(Timestamp, Timestamp)>,
}

fn row(time: Timestamp, number: usize) -> String {
    let text = chrono::DateTime::from_timestamp((time / SECOND) as i64, 0).unwrap().format("%Y-%m-%dT%H:%M:%S+0000");
    format!(r#"{{"id":"mark-{number}","eventTime":"{text}"}}"#)
}

fn instant(text: &str) -> Timestamp {
    chrono::DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%z").unwrap().timestamp() as u64 * SECOND
}

impl Vendor {
    /// One row in ten minutes, for so many days before now.
    fn steady(days: u64) -> Self {
        let rows = (1..days * 144).map(|n| NOW - n * 10 * MINUTE - 30 * SECOND).map(|time| (time, time)).collect();
        Self { rows, windows: Vec::new() }
    }

    fn answer(&mut self, now: Timestamp, request: &Request) -> Reply {
        assert!(request.url.ends_with("/api/audit/get-audit-events"));
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let begin = instant(body["data"][0]["startDateTime"].as_str().unwrap());
        let end = instant(body["data"][0]["endDateTime"].as_str().unwrap());
        assert!(end - begin <= WINDOW && begin < end);
        let size = body["meta"]["pagination"]["pageSize"].as_u64().unwrap() as usize;
        let offset = match body["meta"]["pagination"]["pageToken"].as_str() {
            None => {
                self.windows.push((begin, end));
                0
            }
            Some(token) => {
                let (window, offset) = token.split_once('/').unwrap();
                assert_eq!(window, format!("{begin}-{end}"), "a token belongs to its window");
                offset.parse().unwrap()
            }
        };
        let rows: Vec<String> = self
            .rows
            .iter()
            .enumerate()
            .filter(|(_, (time, visible))| (begin..=end).contains(time) && *visible <= now)
            .map(|(number, (time, _))| row(*time, number))
            .collect();
        let page = &rows[offset.min(rows.len())..rows.len().min(offset + size)];
        let next = if offset + size < rows.len() {
            format!(r#","next":"{begin}-{end}/{}""#, offset + size)
        } else {
            String::new()
        };
        let text = format!(
            r#"{{"meta":{{"status":200,"pagination":{{"pageSize":{}{next}}}}},"fail":[],"data":[{}]}}"#,
            page.len(),
            page.join(",")
        );
        ok(text)
    }
}

fn config(extra: &str) -> String {
    V2.replace("\"7d\"", &format!("\"3d\",\"page_sizes\":{{\"audit\":10}}{extra}"))
}

fn open(start: Start) -> Reader {
    Reader::open(&config(""), "audit", start).unwrap()
}

fn distinct(read: &Read) -> BTreeSet<String> {
    read.bodies.iter().cloned().collect()
}

fn fake<'a>(vendor: &'a RefCell<Vendor>, now: Timestamp) -> Fake<'a> {
    let mut fake = Fake::new(move |request: &Request| vendor.borrow_mut().answer(now, request));
    fake.now = now;
    fake
}

#[test]
fn a_backlog_is_read_in_days_and_nothing_is_missing() {
    let vendor = RefCell::new(Vendor::steady(10));
    let mut effects = fake(&vendor, NOW);
    let read = drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default());
    assert_eq!(distinct(&read).len(), 3 * 144 - 1);
    assert!(read.faults.is_empty() && read.gaps.is_empty());
    let windows = vendor.borrow().windows.clone();
    let start = NOW - 3 * DAY;
    assert_eq!(windows, [(start, start + DAY), (start + DAY, start + 2 * DAY), (start + 2 * DAY, NOW - MINUTE)]);

    let pages = u32::try_from(effects.requests.len()).unwrap();
    assert_eq!(read.pieces, pieces(pages, pages, 0));
    for events in [1, 7, 10, 11] {
        let budget = Budget { events, ..Budget::default() };
        let afresh = drain_afresh(&config(""), "audit", &mut effects, SESSION, budget);
        assert_eq!((afresh.bodies, afresh.ids), (read.bodies.clone(), read.ids.clone()), "{events}");
        assert_eq!(afresh.pieces, read.pieces, "{events}");
    }
}

#[test]
fn polls_overlap_so_that_late_records_are_found() {
    let vendor = RefCell::new(Vendor { rows: Vec::new(), windows: Vec::new() });
    // Visible 5, 20 and 28 minutes after they happened.
    for (n, late) in [5, 20, 28].into_iter().enumerate() {
        let time = NOW + (n as u64 + 1) * 7 * MINUTE;
        vendor.borrow_mut().rows.push((time, time + late * MINUTE));
    }
    let mut position = drain(&mut open(Start::Now(None)), &mut fake(&vendor, NOW), SESSION, Budget::default()).position;
    let mut seen = BTreeSet::new();
    let mut repeats = 0;
    for poll in 1..20 {
        let mut effects = fake(&vendor, NOW + poll * 5 * MINUTE);
        let read = drain(&mut open(Start::After(position)), &mut effects, SESSION, Budget::default());
        assert_eq!(effects.requests.len(), 1, "one window a poll");
        repeats += read.ids.iter().filter(|id| !seen.insert((*id).clone())).count();
        position = read.position;
    }
    assert_eq!(seen.len(), 3);
    assert!(repeats > 0 && repeats < 20, "{repeats}");
    let (begin, end) = *vendor.borrow().windows.last().unwrap();
    let (now, overlap) = (NOW + 19 * 5 * MINUTE, 35 * MINUTE);
    assert_eq!((begin, end), (now - overlap, now - MINUTE));
}

#[test]
fn rows_that_shift_are_read_again_and_none_is_lost() {
    // Five rows arrive in front while the second page is half read.
    let vendor = RefCell::new(Vendor::steady(2));
    let mut effects = fake(&vendor, NOW);
    let budget = Budget { events: 15, ..Budget::default() };
    let first = open(Start::Configured).pull(&mut effects, SESSION, &budget).unwrap();
    let mut read = Read::default();
    read.add(&first);
    let before = vendor.borrow().rows.len();
    let begin = vendor.borrow().windows[0].1 - 5 * MINUTE;
    let mut rows: Vec<(Timestamp, Timestamp)> = (0..5).map(|n| (begin + n * SECOND, 0)).collect();
    rows.append(&mut vendor.borrow_mut().rows.split_off(0));
    vendor.borrow_mut().rows = rows;
    // Their numbers change with them, so compare by what the vendor calls them now: here only the count of repeats and
    // that each old row of the window is there.
    let rest = drain(&mut open(Start::After(first.position)), &mut effects, SESSION, Budget::default());
    let all: BTreeSet<&str> = read.bodies.iter().chain(&rest.bodies).map(String::as_str).collect();
    assert!(all.len() >= before, "{} of {before}", all.len());
}

#[test]
fn a_refused_token_restarts_the_window() {
    let vendor = RefCell::new(Vendor::steady(1));
    let mut refusals = 1;
    let mut effects = Fake::new(|request: &Request| {
        if refusals > 0 && request.body.windows(9).any(|w| w == b"pageToken") {
            refusals -= 1;
            return status(400, "");
        }
        vendor.borrow_mut().answer(NOW, request)
    });
    let read = drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default());
    assert_eq!((distinct(&read).len(), read.bodies.len(), read.faults.len()), (143, 153, 0), "a page twice");

    // Refused for ever: told, and nothing is passed.
    let mut effects = Fake::new(|request: &Request| {
        if request.body.windows(9).any(|w| w == b"pageToken") {
            status(400, "")
        } else {
            vendor.borrow_mut().answer(NOW, request)
        }
    });
    let mut reader = open(Start::Configured);
    let chunk = reader.pull(&mut effects, SESSION, &Budget::default()).unwrap();
    assert_eq!(chunk.events.len(), 20);
    let fault = reader.pull(&mut effects, SESSION, &Budget::default()).unwrap_err();
    assert_eq!((fault.class, fault.status), (FaultClass::Protocol, Some(400)));
    // The next try begins the window anew, not with the same token: the vendor may have dropped that one for good.
    let mut effects = fake(&vendor, NOW);
    let read = drain(&mut reader, &mut effects, SESSION, Budget::default());
    assert!(!effects.requests[0].body.windows(9).any(|w| w == b"pageToken"));
    assert_eq!(distinct(&read).len(), 143);
}

#[test]
fn tokens_that_repeat_and_empty_pages() {
    let page = |rows: &str, next: &str| {
        ok(format!(r#"{{"meta":{{"pagination":{{"next":"{next}"}}}},"data":[{rows}],"fail":[]}}"#))
    };
    // Empty with a token: followed.
    let mut effects = Fake::new(|request: &Request| match String::from_utf8_lossy(&request.body) {
        body if body.contains("\"B\"") => ok(format!(r#"{{"data":[{}]}}"#, row(NOW - HOUR, 1))),
        body if body.contains("\"A\"") => page("", "B"),
        _ => page("", "A"),
    });
    let one_window =
        |extra: &str| Reader::open(&config(extra).replace("3d", "5h"), "audit", Start::Configured).unwrap();
    assert_eq!(drain(&mut one_window(""), &mut effects, SESSION, Budget::default()).bodies.len(), 1);

    // The same token for ever: told after one more look, and the window is kept.
    let mut effects = Fake::new(|request: &Request| {
        let has_token = request.body.windows(9).any(|w| w == b"pageToken");
        page(&row(NOW - HOUR, usize::from(has_token)), "A")
    });
    let mut reader = one_window("");
    let chunk = reader.pull(&mut effects, SESSION, &Budget::default()).unwrap();
    let fault = reader.pull(&mut effects, SESSION, &Budget::default()).unwrap_err();
    assert_eq!(
        (chunk.events.len(), fault.code.as_str(), fault.class),
        (4, "page-token-repeats", FaultClass::Unavailable)
    );
    let mut effects = Fake::new(|_: &Request| ok(format!(r#"{{"data":[{}]}}"#, row(NOW - HOUR, 7))));
    let read = drain(
        &mut Reader::open(&config(""), "audit", Start::After(chunk.position)).unwrap(),
        &mut effects,
        SESSION,
        Budget::default(),
    );
    assert_eq!(read.bodies.len(), 1);

    // Empty pages whose tokens go on for ever.
    let mut n = 0;
    let mut effects = Fake::new(|_: &Request| {
        n += 1;
        page("", &format!("T{n}"))
    });
    let mut reader = one_window("");
    let budget = Budget { requests: 1_000, ..Budget::default() };
    assert_eq!(reader.pull(&mut effects, SESSION, &budget).unwrap().next, Next::More);
    let fault = reader.pull(&mut effects, SESSION, &budget).unwrap_err();
    assert_eq!(fault.code, "page-token-repeats");
    assert_eq!(effects.requests.len(), 2 * EMPTY_PAGES as usize);
}

#[test]
fn equal_rows_of_one_page_have_ids_of_their_own_at_every_split() {
    let rows = [1, 1, 2, 1, 2].map(|n| row(NOW - HOUR, n)).join(",");
    let script = |_: &Request| ok(format!(r#"{{"data":[{rows}]}}"#));
    let config = config("").replace("3d", "5h");
    let whole = drain(
        &mut Reader::open(&config, "audit", Start::Configured).unwrap(),
        &mut Fake::new(script),
        SESSION,
        Budget::default(),
    );
    let afresh = drain_afresh(&config, "audit", &mut Fake::new(script), SESSION, one());
    assert_eq!(whole.ids, afresh.ids);
    assert_eq!(whole.ids.iter().collect::<BTreeSet<_>>().len(), 5);
}

#[test]
fn a_bad_row_is_malformed_and_a_poisoned_one_is_not_touched_again() {
    let rows = format!("{},17,{}", row(NOW - HOUR, 1), row(NOW - HOUR, 2));
    let script = |_: &Request| ok(format!(r#"{{"data":[{rows}]}}"#));
    let config = config("").replace("3d", "5h");
    let reader = |start| Reader::open(&config, "audit", start).unwrap();
    let chunk = reader(Start::Configured).pull(&mut Fake::new(script), SESSION, &one()).unwrap();
    let verbatim = Budget { verbatim: true, ..Budget::default() };
    let chunk = reader(Start::After(chunk.position)).pull(&mut Fake::new(script), SESSION, &verbatim).unwrap();
    assert_eq!((chunk.malformed.len(), chunk.malformed[0].head.as_slice()), (1, &b"17"[..]));
    assert!(String::from_utf8_lossy(&chunk.position).contains(r#""unparsed":[1]"#));
    let read = drain(&mut reader(Start::After(chunk.position)), &mut Fake::new(script), SESSION, Budget::default());
    assert_eq!(read.bodies, ["mark-2"]);
}

#[test]
fn starts_and_gaps() {
    let vendor = RefCell::new(Vendor::steady(65));
    // A replay: begin counts, end does not.
    let time = NOW - 1_000 * MINUTE - 30 * SECOND;
    let read =
        drain(&mut open(Start::Span(time, time + 20 * MINUTE)), &mut fake(&vendor, NOW), SESSION, Budget::default());
    assert_eq!(read.bodies.len(), 2);
    let read = drain_afresh(&config(""), "audit", &mut fake(&vendor, NOW), SESSION, one());
    assert!(read.faults.is_empty());

    // More than the vendor keeps: 60 days but for ten minutes, without a request before them.
    let config = config("").replace("3d", "90d");
    let read = drain(
        &mut Reader::open(&config, "audit", Start::Configured).unwrap(),
        &mut fake(&vendor, NOW),
        SESSION,
        Budget::default(),
    );
    assert_eq!((distinct(&read).len(), read.gaps.len()), (60 * 144 - 2, 1));

    // A position that is too old: the operator decides, and the gap is told.
    let mut effects = fake(&vendor, NOW + 61 * DAY);
    let mut reader = open(Start::After(read.position.clone()));
    for _ in 0..2 {
        let fault = reader.pull(&mut effects, SESSION, &Budget::default()).unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::PositionLost, "too-old"));
    }
    for start in [
        Start::Oldest(Some(read.position.clone())),
        Start::Now(Some(read.position.clone())),
        Start::Now(Some(Vec::new())),
    ] {
        let read = drain(&mut open(start), &mut effects, SESSION, Budget::default());
        assert_eq!(read.gaps.len(), 1);
    }
    // Fifty-nine days are no trouble.
    let mut effects = fake(&vendor, NOW + 59 * DAY);
    let read = drain(&mut open(Start::After(read.position)), &mut effects, SESSION, Budget::default());
    assert!(read.faults.is_empty() && read.gaps.is_empty());
}

#[test]
fn positions_of_version_1_are_understood() {
    let vendor = RefCell::new(Vendor::steady(2));
    let end = NOW - DAY;
    let golden = format!(
        r#"{{"v":1,"stream":"audit","next":{},"window":{{"begin":{},"end":{end},"resume":{end},"last":false,"token":"{}-{end}/10","index":0}}}}"#,
        NOW - 2 * DAY,
        NOW - 2 * DAY,
        NOW - 2 * DAY
    );
    let read = drain(&mut open(Start::After(golden.into_bytes())), &mut fake(&vendor, NOW), SESSION, Budget::default());
    assert_eq!(read.bodies.len(), 287 - 10);
    assert!(read.largest_position < 1_000);
}

#[test]
fn the_first_generation_signs_the_same_call() {
    let vendor = RefCell::new(Vendor::steady(1));
    let mut effects = fake(&vendor, NOW);
    let config = V1.replace("7d", "1d");
    let read = drain(
        &mut Reader::open(&config, "audit", Start::Configured).unwrap(),
        &mut effects,
        SESSION_V1,
        Budget::default(),
    );
    assert_eq!(read.bodies.len(), 143);
    let request = &effects.requests[0];
    assert_eq!(request.url, "https://eu-api.mimecast.com/api/audit/get-audit-events");
    let header = |name: &str| request.headers.iter().find(|(n, _)| *n == name).unwrap().1.clone();
    assert!(header("authorization").starts_with("MC made-up-access:"));
    assert_eq!(header("x-mc-date"), "Sun, 08 Mar 2026 12:00:00 UTC");
    assert_eq!(header("x-mc-req-id"), "01010101-0101-4101-8101-010101010101");
}

#[path = "edges.rs"]
mod edges;
#[path = "kinds.rs"]
mod kinds;

#[test]
fn bytes_that_are_no_utf8_do_not_hold_up_a_list() {
    let answered = |page: &[u8]| {
        let pages = RefCell::new(vec![page.to_vec()]);
        let script = |_: &Request| ok(pages.borrow_mut().pop().unwrap_or_else(|| br#"{"data":[]}"#.to_vec()));
        let mut reader = Reader::open(V2, "audit", Start::Configured).unwrap();
        drain(&mut reader, &mut Fake::new(script), SESSION, Budget::default())
    };
    for page in [
        &b"{\"data\":[{\"id\":\"mark-1\"},{\"id\":\"mark-2\",\"new\":\"\xe4\"},{\"rows\":[{\"id\":\"mark-3\",\"\xff\":1}]}]}"[..],
        b"{\"m\xe4ta\":1,\"data\":[{\"id\":\"mark-1\"},{\"id\":\"mark-2\"},{\"id\":\"mark-3\"}]}",
    ] {
        let read = answered(page);
        assert_eq!((read.bodies, read.faults.len()), (vec!["mark-1".into(), "mark-2".into(), "mark-3".into()], 0));
    }
}
