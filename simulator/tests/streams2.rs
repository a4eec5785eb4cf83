//! API 2.0: the SIEM stream, and Cloud Integrated in both forms.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use mimecast_simulator::{Endpoint, Fault, Kind, Mark, Response, When};
use serde_json::Value;

const STREAM: Endpoint = Endpoint::SiemStream;

impl World {
    fn stream(&mut self, path: &str, query: &str) -> Response {
        let request = self.bearer(mimecast_simulator::Request::get(&format!("/siem/v1/{path}?{query}")));
        self.send(&request)
    }

    /// The pages of the stream from a start or a cursor on, and the cursor to go on from.
    fn pages(&mut self, path: &str, first: &str, mut cursor: Option<String>) -> (Vec<Vec<Value>>, Option<String>) {
        let mut pages = Vec::new();
        for _ in 0..2_000 {
            let query = match &cursor {
                None => first.to_owned(),
                Some(cursor) => format!("nextPage={}", escape(cursor)),
            };
            let response = self.stream(path, &query);
            assert_eq!(response.status, 200, "{:?}", response.body);
            let body = response.body_json();
            pages.push(body["value"].as_array().unwrap().clone());
            cursor = body["@nextPage"].as_str().map(str::to_owned).or(cursor);
            if body["isCaughtUp"] == true {
                return (pages, cursor);
            }
        }
        panic!("never caught up");
    }
}

fn world() -> World {
    World::full(false, |settings| settings.backlog_ms = 3 * DAY)
}

fn start(world: &World, ago: u64) -> String {
    iso(world.now - ago).replace("+0000", ".000Z")
}

fn inside(world: &World, from: u64, names: impl Fn(&str) -> bool) -> BTreeMap<Mark, u32> {
    let issued = world.simulator.truth("one", world.now).filter(|it| names(it.stream) && it.time_ms >= from);
    issued.map(|it| (it.mark, it.count)).collect()
}

/// The rows of pages without the events that come again at the start of a page.
fn fresh(pages: &[Vec<Value>], overlap: usize) -> Vec<String> {
    let mut out: Vec<Value> = Vec::new();
    for page in pages {
        let again = (1..=overlap.min(page.len())).rev().find(|count| out.ends_with(&page[..*count])).unwrap_or(0);
        out.extend_from_slice(&page[again..]);
    }
    texts(&out)
}

#[test]
fn the_stream_yields_the_truth_of_its_day() {
    let mut world = World::full(false, |settings| settings.stream_overlap = 0);
    let from = (world.now - 23 * HOUR) / 1000 * 1000;
    let (pages, cursor) = world.pages("events/cg", &format!("dateRangeStartsAt={}", start(&world, 23 * HOUR)), None);
    let truth = inside(&world, from, |stream| stream.starts_with("siem/"));
    assert_eq!(marks(texts(&pages.concat())), truth);
    assert!(truth.len() > 1_000 && pages.len() > 10);
    assert!(pages.concat().iter().all(|row| row.get("_offset").is_none() && row.get("_partition").is_none()));

    let again = world.pages("events/cg", "", cursor.clone());
    assert_eq!(again, (vec![vec![]], cursor.clone()), "caught up, and the cursor stays");
    world.now += HOUR;
    let (more, _) = world.pages("events/cg", "", cursor);
    let mut all = pages.concat();
    all.extend(more.concat());
    assert_eq!(marks(texts(&all)), inside(&world, from, |stream| stream.starts_with("siem/")));
}

#[test]
fn pages_begin_with_the_end_of_the_page_before() {
    let mut world = world();
    let (pages, _) =
        world.pages("events/cg", &format!("pageSize=50&dateRangeStartsAt={}", start(&world, 6 * HOUR)), None);
    let repeats = pages.windows(2).filter(|pair| pair[1].len() > 2 && pair[0].ends_with(&pair[1][..2])).count();
    assert!(repeats > pages.len() / 2, "{repeats} of {}", pages.len());
    assert!(pages.iter().all(|page| page.len() <= 100));
    let from = (world.now - 6 * HOUR) / 1000 * 1000;
    assert_eq!(marks(fresh(&pages, 2)).len(), inside(&world, from - 1000, |stream| stream.starts_with("siem/")).len());
}

#[test]
fn types_and_ends_choose() {
    let mut world = World::full(false, |settings| settings.stream_overlap = 0);
    let begin = start(&world, 20 * HOUR);
    let from = (world.now - 20 * HOUR) / 1000 * 1000;
    let mut check = |query: String, kinds: &[Kind]| {
        let (pages, cursor) = world.pages("events/cg", &query, None);
        let wanted = |stream: &str| kinds.iter().any(|kind| kind.stream() == stream);
        let _ = cursor;
        pages.concat().len() == inside(&world, from, wanted).values().map(|count| *count as usize).sum::<usize>()
    };
    // A cursor belongs to its types: these fit into one page.
    assert!(check(format!("types=av,url+protect&dateRangeStartsAt={begin}"), &[Kind::Av, Kind::UrlProtect]));
    assert!(check(format!("type=journal&dateRangeStartsAt={begin}"), &[Kind::Journal]));
    let end = start(&world, 12 * HOUR);
    let response = world.stream("events/cg", &format!("dateRangeStartsAt={begin}&dateRangeEndsAt={end}&pageSize=100"));
    let limit = world.now - 12 * HOUR;
    assert!(
        response.body_json()["value"].as_array().unwrap().iter().all(|row| row["timestamp"].as_u64().unwrap() <= limit)
    );
    for bad in ["types=nothing", "types=entities", "pageSize=0", "pageSize=101", "dateRangeStartsAt=2025-06-02"] {
        assert_eq!(world.stream("events/cg", bad).status, 400, "{bad}");
    }
}

#[test]
fn only_a_day_is_served() {
    let mut world = world();
    let old = world.stream("events/cg", &format!("dateRangeStartsAt={}", start(&world, 25 * HOUR)));
    assert_eq!((old.status, code(&old).as_str()), (400, "bad_request"));
    let good = world.stream("events/cg", &format!("dateRangeStartsAt={}", start(&world, 23 * HOUR)));
    let cursor = good.body_json()["@nextPage"].as_str().unwrap().to_owned();
    assert_eq!(world.stream("events/cg", &format!("nextPage={}", escape(&cursor))).status, 200);
    world.now += 10 * DAY;
    assert_eq!(world.stream("events/cg", &format!("nextPage={}", escape(&cursor))).status, 400, "after a long stop");
    assert_eq!(world.stream("events/cg", "nextPage=AAAA").status, 400);
}

#[test]
fn three_hundred_calls_an_hour() {
    let mut world = World::full(false, |settings| settings.quota_factor = 1);
    let statuses: Vec<u16> = (0..301).map(|_| world.stream("events/cg", "types=av").status).collect();
    assert!(statuses[..300].iter().all(|status| *status == 200));
    assert_eq!(statuses[300], 429);
    assert_eq!(world.stream("events/ci", "types=mailflow").status, 200, "a bucket of its own");
    assert_eq!(world.list("type=av&dateRangeStartsAt=2025-06-01").status, 200);
    world.now += HOUR;
    assert_eq!(world.stream("events/cg", "types=av").status, 200);
}

#[test]
fn cursors_tell_offsets_and_can_stall() {
    use base64::Engine as _;
    let mut world = world();
    let begin = format!("types=av,receipt&dateRangeStartsAt={}", start(&world, 20 * HOUR));
    let read = |response: &Response| response.body_json()["@nextPage"].as_str().unwrap().to_owned();
    let plain =
        |cursor: &str| String::from_utf8(base64::engine::general_purpose::STANDARD.decode(cursor).unwrap()).unwrap();
    let good = read(&world.stream("events/cg", &begin));
    assert!(plain(&good).starts_with("[av=") && plain(&good).contains(", receipt="), "{}", plain(&good));

    world.simulator.inject("one", Fault::StreamStalls { at: STREAM }, When::First(1)).unwrap();
    let mut cursor = read(&world.stream("events/cg", &begin));
    assert!(plain(&cursor).starts_with("[av=0-0, receipt=0-0]:"));
    for _ in 0..5 {
        world.now += HOUR;
        let answer = world.stream("events/cg", &format!("types=av,receipt&nextPage={}", escape(&cursor)));
        assert_eq!((answer.status, &answer.body_json()["value"]), (200, &serde_json::json!([])));
        cursor = read(&answer);
    }
    let mut other = world.stream("events/cg", &format!("types=av,receipt&nextPage={}", escape(&good))).body_json();
    assert!(!other["value"].take().as_array().unwrap().is_empty(), "a good cursor goes on");
}

#[test]
fn the_stream_has_the_faults_of_pages() {
    let mut world = World::full(false, |settings| settings.stream_overlap = 0);
    let first = format!("dateRangeStartsAt={}", start(&world, 20 * HOUR));
    let (calm, _) = world.pages("events/cg", &first, None);
    for fault in [
        Fault::EmptyPageWithNext { at: STREAM },
        Fault::RepeatedToken { at: STREAM },
        Fault::LateRows { at: STREAM, count: 2, late_ms: 3 * HOUR },
        Fault::CaughtUpWithFiles,
        Fault::NextPageMissing,
    ] {
        world.simulator.inject("one", fault.clone(), When::After { skip: 1, count: 1 }).unwrap();
        let (mut pages, cursor) = world.pages("events/cg", &first, None);
        pages.extend(world.pages("events/cg", "", cursor).0);
        assert!(world.simulator.fired("one").contains(&(fault.clone(), 1)), "{fault:?}");
        assert_eq!(marks(texts(&pages.concat())).len(), marks(texts(&calm.concat())).len(), "{fault:?}");
        world.simulator.clear_faults("one").unwrap();
    }
    world.now += HOUR;
    let truth = world.simulator.truth("one", world.now).filter(|it| it.stream.starts_with("siem/"));
    assert!(
        truth.filter(|it| it.time_ms + 70 * MINUTE < it.visible_from_ms).count() >= 2,
        "late ones are in the truth"
    );
    world.simulator.inject("one", Fault::Forbidden { at: STREAM, kind: Some(Kind::Av) }, When::First(1)).unwrap();
    assert_eq!(world.stream("events/cg", "types=receipt").status, 200);
    assert_eq!(world.stream("events/cg", "types=av,receipt").status, 403);
}

#[test]
fn batch_and_stream_form_of_a_record_differ_in_offsets_only() {
    let mut world = World::full(false, |settings| settings.stream_overlap = 0);
    let (lines, _) = world.collect("receipt", None);
    let strip = |mut row: Value| {
        let object = row.as_object_mut().unwrap();
        object.remove("_offset");
        object.remove("_partition");
        row.to_string()
    };
    let batch: BTreeSet<String> = lines.iter().map(|line| strip(serde_json::from_str(line).unwrap())).collect();
    let query = format!("types=receipt&dateRangeStartsAt={}", start(&world, 10 * HOUR));
    let rows = world.stream("events/cg", &query).body_json()["value"].take();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 100);
    assert!(rows.iter().all(|row| batch.contains(&row.to_string())));
}

#[test]
fn cloud_integrated_comes_as_files_and_as_a_stream() {
    let mut world = World::full(false, |settings| {
        settings.stream_overlap = 0;
        settings.tenants[0].rates.cloud = 1_000;
    });
    let request = |query: &str| mimecast_simulator::Request::get(&format!("/siem/v1/batch/events/ci?{query}"));
    let mut lines = Vec::new();
    let mut query = "type=entities,mailflow,urlclick&dateRangeStartsAt=2025-05-01".to_owned();
    loop {
        let asked = world.bearer(request(&query));
        let response = world.send(&asked);
        assert_eq!(response.status, 200);
        let page = page_of(&response);
        for url in page.urls {
            lines.extend(gunzip(&world.fetch(&url).body).lines().map(str::to_owned));
        }
        if page.caught_up {
            break;
        }
        query = format!("type=entities,mailflow,urlclick&nextPage={}", escape(&page.next.unwrap()));
    }
    let all = inside(&world, 0, |stream| stream.starts_with("cloud/"));
    assert_eq!(marks(&lines), all);
    for kind in Kind::CLOUD {
        assert!(world.truth(kind.stream()).len() > 20, "{}", kind.stream());
    }
    for (path, wrong) in [("batch/events/ci", "type=receipt"), ("batch/events/cg", "type=entities")] {
        assert_eq!(world.stream(path, wrong).status, 400);
    }
    let from = (world.now - 23 * HOUR) / 1000 * 1000;
    let (pages, _) = world.pages("events/ci", &format!("dateRangeStartsAt={}", start(&world, 23 * HOUR)), None);
    assert_eq!(marks(texts(&pages.concat())), inside(&world, from, |stream| stream.starts_with("cloud/")));
}
