//! Every fault of the lists shows, and in the end nothing is missing.

mod common;

use common::*;
use mimecast_simulator::{EmptyShape, Endpoint, Fault, Reset, When};
use serde_json::{Value, json};

const DLP: Endpoint = Endpoint::Dlp;

impl World {
    fn once(&mut self, fault: Fault) {
        self.simulator.inject("one", fault, When::First(1)).unwrap();
    }

    fn dlp(&mut self, token: Option<&str>) -> Value {
        let list = list("dlp");
        let data = World::window(&list, self.now / DAY * DAY - 2 * DAY, self.now / DAY * DAY);
        self.rows(&list, &data, 5, token).body_json()
    }

    fn everything(&mut self, stream: &str) -> Vec<Value> {
        let list = list(stream);
        let data = World::window(&list, self.now / DAY * DAY - 2 * DAY, self.now);
        self.collect_rows(&list, &data, 5)
    }

    /// What the list has now, all of it, is the truth.
    fn is_whole(&mut self, stream: &str) {
        let rows = self.everything(stream);
        assert!(rows.len() > 10);
        let truth: std::collections::BTreeMap<_, _> = {
            let from = self.now / DAY * DAY - 2 * DAY;
            let issued = self.simulator.truth("one", self.now).filter(|it| it.stream == stream && it.time_ms >= from);
            issued.map(|it| (it.mark, it.count)).collect()
        };
        assert_eq!(marks(texts(&rows)), truth);
    }
}

fn world() -> World {
    World::full(false, |_| {})
}

fn next(answer: &Value) -> String {
    answer["meta"]["pagination"]["next"].as_str().unwrap().to_owned()
}

#[test]
fn lists_fail_in_every_way_and_then_work() {
    for (fault, status, wanted) in [
        (Fault::Status { at: DLP, status: 503 }, 503, ""),
        (Fault::HtmlError { at: DLP }, 502, ""),
        (Fault::FailWith200 { at: DLP }, 200, "err_internal"),
        (Fault::Forbidden { at: DLP, kind: None }, 403, "app_forbidden"),
        (Fault::Unauthorized { at: DLP }, 401, "unauthorized"),
        (Fault::InvalidClientIdentifier { at: DLP }, 401, "InvalidClientIdentifier"),
        (Fault::TooManyRequests { at: DLP, reset: Reset::Milliseconds(1234) }, 429, ""),
    ] {
        let mut world = world();
        world.once(fault.clone());
        let (list, other) = (list("dlp"), list("ttp/url"));
        assert_eq!(world.rows(&other, &json!({}), 5, None).status, 200, "another list does not care");
        let answer = world.rows(&list, &json!({}), 5, None);
        assert_eq!((answer.status, code(&answer).as_str()), (status, wanted), "{fault:?}");
        assert_eq!(world.simulator.fired("one"), [(fault, 1)]);
        world.is_whole("dlp");
    }
}

#[test]
fn pages_without_rows_tokens_that_stay_and_tokens_that_stop() {
    let mut world = world();
    let first = world.dlp(None);
    world.once(Fault::EmptyPageWithNext { at: DLP });
    let empty = world.dlp(Some(&next(&first)));
    assert!(rows_of(&empty).is_empty());
    assert_ne!(next(&empty), next(&first));
    assert_eq!(world.dlp(Some(&next(&empty)))["data"], world.dlp(Some(&next(&first)))["data"]);

    world.once(Fault::RepeatedToken { at: DLP });
    let stuck = world.dlp(Some(&next(&first)));
    assert!(rows_of(&stuck).is_empty());
    assert_eq!(next(&stuck), next(&first));

    world.once(Fault::CursorRefused { at: DLP });
    assert!(!rows_of(&world.dlp(None)).is_empty(), "fires only when a token was sent");
    let refused = world.dlp(Some(&next(&first)));
    assert_eq!(refused["fail"][0]["errors"][0]["code"], "err_validation_invalid_page_token");
    world.is_whole("dlp");
}

#[test]
fn the_last_page_may_promise_another() {
    let mut world = world();
    let calm = world.everything("dlp");
    world.simulator.inject("one", Fault::NextOnLastPage { at: DLP }, When::Always).unwrap();
    let list = list("dlp");
    let data = World::window(&list, world.now / DAY * DAY - 2 * DAY, world.now);
    let all = world.rows(&list, &data, 500, None).body_json();
    assert_eq!(rows_of(&all), calm);
    let after = world.rows(&list, &data, 500, Some(&next(&all))).body_json();
    assert!(rows_of(&after).is_empty() && after["meta"]["pagination"]["next"].is_null(), "{after}");
}

#[test]
fn tokens_may_be_objects_and_meta_may_lack() {
    let mut world = world();
    world.once(Fault::NextAsObject { at: DLP });
    let first = world.dlp(None);
    let inside = first["meta"]["pagination"]["next"]["pageToken"].as_str().unwrap();
    assert_eq!(rows_of(&world.dlp(Some(inside))).len(), 5);
    world.once(Fault::MetaMissing { at: DLP });
    assert!(world.dlp(None)["meta"].is_object(), "a page with a next one keeps its meta");
    let list = list("dlp");
    let data = World::window(&list, world.now - DAY, world.now);
    let last = world.rows(&list, &data, 500, None).body_json();
    assert!(last.get("meta").is_none() && !rows_of(&last).is_empty());
}

#[test]
fn shapes_vary_when_told() {
    for (stream, at) in [("dlp", DLP), ("rejections", Endpoint::Rejections), ("held/messages", Endpoint::HeldMessages)]
    {
        let mut world = world();
        let list = list(stream);
        let data = World::window(&list, world.now - DAY, world.now);
        let usual = world.rows(&list, &data, 5, None).body_json();
        world.once(Fault::OtherShape { at });
        let other = world.rows(&list, &data, 5, None).body_json();
        assert_ne!(other["data"], usual["data"]);
        assert_eq!(rows_of(&other), rows_of(&usual));
        assert_eq!(other["data"].as_array().unwrap().len(), if list.3.is_some() { 5 } else { 1 });

        let later = World::window(&list, world.now + DAY, world.now + 2 * DAY);
        for (shape, length) in
            [(EmptyShape::NoData, None), (EmptyShape::NoElement, Some(0)), (EmptyShape::EmptyList, Some(1))]
        {
            world.once(Fault::EmptyShape { at, shape });
            assert_eq!(rows_of(&world.rows(&list, &data, 5, None).body_json()).len(), 5, "only where nothing is");
            let empty = world.rows(&list, &later, 5, None).body_json();
            assert_eq!(empty["data"].as_array().map(Vec::len), length, "{empty}");
            assert!(rows_of(&empty).is_empty());
        }
    }
}

#[test]
fn rows_come_late_and_while_paging() {
    let mut world = world();
    let calm = world.everything("dlp").len();
    world.once(Fault::LateRows { at: DLP, count: 3, late_ms: 2 * HOUR });
    assert_eq!(world.everything("dlp").len(), calm + 3);
    world.once(Fault::RowsInsertedDuringListing { at: DLP, count: 2 });
    let rows = world.everything("dlp");
    let again = marks(texts(&rows)).values().filter(|count| **count > 1).count();
    assert_eq!(rows.len(), calm + 3 + 2, "offsets move: two rows come twice, two at the front were passed");
    assert!(again >= 2);
    world.is_whole("dlp");
}

#[test]
fn a_row_stands_twice_where_its_id_tells() {
    let mut world = world();
    world.once(Fault::RowTwice { at: Endpoint::Rejections });
    let list = list("rejections");
    let data = World::window(&list, world.now - DAY, world.now);
    let rows = rows_of(&world.rows(&list, &data, 5, None).body_json());
    assert_eq!((rows.len(), &rows[0]), (6, &rows[1]));
    world.once(Fault::RowTwice { at: DLP });
    world.is_whole("dlp");
    assert!(
        world.simulator.fired("one").contains(&(Fault::RowTwice { at: DLP }, 0)),
        "rows without an id are left alone"
    );
}
