//! A position of any bytes: it opens a reader or it is a fault, and a reader that opens comes to an end.

use mimecast_source::Reader;
use mimecast_source::chunk::{Budget, Start};
use mimecast_source::effects::Request;

use crate::drain::{Manner, go_on};
use crate::outside::{Outside, Reply, SESSION, SESSION_V1, V1, V2};

/// What Mimecast answers to a stream's requests.
pub fn answer(request: &Request) -> Reply {
    let url = request.url.as_str();
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = path.split_once('/').map_or("", |(_, path)| path);
    let with_token = url.contains("nextPage=")
        || [&b"\"token\""[..], b"\"pageToken\""]
            .iter()
            .any(|name| request.body.windows(name.len()).any(|part| part == *name));
    let record = |number: u32| {
        format!(r#"{{"id":"made-up-{number}","type":"receipt","timestamp":1772971000{number:03},"new":{number}}}"#)
    };
    let three = [1, 1, 2].map(record);
    if path.starts_with("siem/v1/batch/") {
        let number = u32::from(with_token);
        return Reply::new(format!(
            r#"{{"value":[{{"url":"https://files.example.com/a{number}?signed"}},{{"url":"https://files.example.com/b{number}?signed"}}],"@nextPage":"t{number}","isCaughtUp":{with_token}}}"#
        ));
    }
    if path.starts_with("siem/v1/events/") {
        let rows = three.join(",");
        return Reply::new(format!(r#"{{"value":[{rows}],"@nextPage":"t{with_token}","isCaughtUp":{with_token}}}"#));
    }
    if path.starts_with("api/audit/get-siem-logs") {
        if with_token {
            return Reply::new(r#"{"meta":{"isLastToken":true,"status":200},"data":[],"fail":[]}"#);
        }
        return Reply::new(format!(r#"{{"type":"MTA","data":[{}]}}"#, three.join(",")))
            .header("mc-siem-token", "t1")
            .header("content-disposition", "attachment; filename=\"receipt_20260308115900000.json\"");
    }
    if path.starts_with("api/ttp/threat-intel/") {
        let object = |kind: &str| format!(r#"{{"type":"{kind}","id":"{kind}--1"}}"#);
        let relationship = r#"{"type":"relationship","id":"relationship--1","relationship_type":"indicates","source_ref":"indicator--1","target_ref":"malware--1"}"#;
        let objects =
            [object("indicator"), object("malware"), relationship.to_owned(), object("identity"), object("malware")];
        let reply = Reply::new(format!(r#"{{"type":"bundle","id":"bundle--1","objects":[{}]}}"#, objects.join(",")));
        return if with_token { reply } else { reply.header("x-mc-threat-feed-next-token", "t1") };
    }
    if path.starts_with("api/") {
        let pagination = if with_token { r#"{"pageSize":3}"# } else { r#"{"pageSize":3,"next":"t1"}"# };
        return Reply::new(format!(
            r#"{{"meta":{{"status":200,"pagination":{pagination}}},"data":[{}],"fail":[]}}"#,
            three.join(",")
        ));
    }
    Reply::new(format!("{}\n", three.join("\n")))
}

/// The configuration and the session of a stream's generation.
pub fn setting(stream: &str) -> (String, &'static [u8]) {
    let (keys, session) = if stream == "siem" { (V1, SESSION_V1) } else { (V2, SESSION) };
    let mode = if stream == "siem/events" { r#","siem_mode":"stream""# } else { "" };
    (format!("{{{keys},\"start_at\":\"2h\"{mode}}}"), session)
}

/// Opens a stream with a position in each of the ways in which a host does, and reads it to its end.
///
/// # Panics
/// If it panics, never ends, or writes a position that is too long or that it does not read itself.
pub fn check(stream: &str, position: &[u8]) {
    let (config, session) = setting(stream);
    let open = |start| Reader::open(&config, stream, start).unwrap_or_else(|fault| panic!("its own position: {fault}"));
    let at_once = Manner { faults: 40, ..Manner::at_once() };
    let budget = Budget { events: 1, ..Budget::default() };
    let afresh = Manner { budget, faults: 40, must_end: false, ..Manner::afresh(40) };
    let first = Manner { must_end: false, pulls: 2, ..at_once };
    let lost = |start: fn(Option<Vec<u8>>) -> Start| start(Some(position.to_vec()));
    for (start, manner) in [
        (Start::After(position.to_vec()), at_once),
        (Start::After(position.to_vec()), afresh),
        (lost(Start::Oldest), first),
        (lost(Start::Now), first),
    ] {
        match Reader::open(&config, stream, start) {
            Ok(reader) => {
                go_on(reader, session, &mut Outside::new(1_000, &answer), manner, open);
            }
            Err(fault) => assert!(!fault.message.is_empty() && !fault.code.is_empty()),
        }
    }
}
