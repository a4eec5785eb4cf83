//! A page of a list. The first byte chooses the list, the rest is the answer; the page behind it is empty.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimecast_source::effects::Request;
use mimecast_source_fuzz::drain::{Manner, drain};
use mimecast_source_fuzz::json::Json;
use mimecast_source_fuzz::outside::{Outside, Reply, SESSION, V2};

const STREAMS: [&str; 11] = [
    "audit",
    "dlp",
    "held/messages",
    "held/releases",
    "rejections",
    "ttp/url",
    "ttp/attachment",
    "ttp/impersonation",
    "archive/search",
    "archive/user-search",
    "archive/view",
];

/// What tells a row from an object around rows.
const OF_ROWS: [&str; 11] = [
    "id",
    "eventTime",
    "date",
    "dateReceived",
    "released",
    "created",
    "createTime",
    "viewed",
    "messageId",
    "subject",
    "senderAddress",
];

/// An object around more lists than that is a row.
const LISTS: usize = 8;

fuzz_target!(|data: &[u8]| {
    let Some((choice, page)) = data.split_first() else { return };
    let stream = STREAMS[usize::from(*choice) % STREAMS.len()];
    let output = ["ocsf", "ecs", "raw"][usize::from(choice >> 6) % 3];
    let config = format!("{{{V2},\"start_at\":\"30m\",\"output\":\"{output}\"}}");
    let script = |request: &Request| {
        if request.body.windows(11).any(|part| part == b"\"pageToken\"") {
            return Reply::new(r#"{"meta":{"status":200,"pagination":{"pageSize":100}},"data":[],"fail":[]}"#);
        }
        Reply::new(page)
    };
    let read =
        |piece: usize, manner: Manner| drain(&config, stream, SESSION, &mut Outside::new(piece, &script), manner);
    let once = read(page.len(), Manner::at_once());
    // Bytes that are no UTF-8 stand for a letter.
    if let Some(rows) = rows(String::from_utf8_lossy(page).as_bytes()) {
        assert!(once.faults.is_empty(), "a good page is refused: {:?}", once.faults);
        assert_eq!(once.records(), rows, "{stream}: rows of the page");
    }
    assert_eq!(read(1 + usize::from(choice >> 4), Manner::at_once()), once, "it depends on the pieces");
    if once.records() <= 50 {
        assert_eq!(read(page.len(), Manner::afresh(400)), once, "a reader that is opened anew reads something else");
    }
});

/// How many rows a page has, counted in another way than the core does; `None` if it is no page, or a matter of opinion.
fn rows(page: &[u8]) -> Option<usize> {
    let json = Json::read(page).filter(|json| matches!(json, Json::Object(_)) && json.twice().is_none())?;
    let shaped = |value: Option<&Json>| value.is_none_or(|value| matches!(value, Json::Object(_)));
    let pagination = json.get("meta").and_then(|meta| meta.get("pagination"));
    let [next, total] = ["next", "totalCount"].map(|name| pagination.and_then(|pagination| pagination.get(name)));
    let plain = json.get("fail").is_none_or(|fail| *fail == Json::List(Vec::new()))
        && shaped(json.get("meta"))
        && shaped(pagination)
        && next.is_none_or(|next| matches!(next, Json::Text(text) if text.len() < 1_000))
        && total.is_none();
    let rows = match json.get("data").filter(|data| !data.is_null()) {
        None => &[][..],
        Some(Json::List(rows)) => rows,
        Some(_) => return None,
    };
    let count = |row: &Json| {
        let Json::Object(members) = row else { return 1 };
        let lists =
            || members.iter().filter_map(|(_, value)| if let Json::List(list) = value { Some(list) } else { None });
        let holds_no_object =
            |list: &Vec<Json>| !list.is_empty() && !list.iter().any(|value| matches!(value, Json::Object(_)));
        let count: usize = lists().map(Vec::len).sum();
        let more = members.iter().any(|(_, value)| matches!(value, Json::Text(_) | Json::Object(_)));
        let is_row = members.iter().any(|(name, _)| OF_ROWS.contains(&name.as_str()))
            || !(1..=LISTS).contains(&lists().count())
            || lists().any(holds_no_object)
            || (count == 0 && more);
        if is_row { 1 } else { count }
    };
    plain.then(|| rows.iter().map(count).sum())
}
