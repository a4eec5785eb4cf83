use serde_json::{Value, json};

use super::super::tests::{client, origin_of};
use super::*;
use crate::sinks::Verdict;
use crate::sinks::tests::batch;

fn sink(index: &str) -> Elasticsearch {
    Elasticsearch { client: client("endpoints", None), index: Template::parse(index).unwrap(), path: PATH.into() }
}

fn lines(payload: &Payload) -> Vec<Value> {
    let text = payload.text();
    assert!(text.ends_with('\n'), "the server insists on it");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_event_is_created_under_its_id_with_a_time() {
    let bodies = [r#"{"a":1}"#, "{ }", r#"{"@timestamp":"1999-01-01T00:00:00Z","a":2}"#, r#"{"a":{"@timestamp":3}}"#];
    let mut batch = Batch::clone(&batch("Acme Ltd", "siem/receipt", &bodies));
    for (number, head) in batch.events.iter_mut().enumerate() {
        // 2026-11-22T07:08:09Z
        head.time = 1_795_331_289_000_000_000 + 86_400_000_000_000 * number as u64 + number as u64;
    }
    let index = Template::parse("logs-{tenant}-{stream}-{date}").unwrap();
    let lines = lines(&encode(&index, &[Arc::new(batch.clone())]));
    assert_eq!(lines.len(), 8);
    for (number, head) in batch.events.iter().enumerate() {
        let day = 22 + number;
        let expected = json!({"create": {
            "_index": format!("logs-acme-ltd-siem-receipt-2026-11-{day}"),
            "_id": format!("{:032x}", head.id),
        }});
        assert_eq!(lines[2 * number], expected);
    }
    assert_eq!(lines[1], json!({"@timestamp": "2026-11-22T07:08:09Z", "a": 1}));
    assert_eq!(lines[3], json!({"@timestamp": "2026-11-23T07:08:09.000000001Z"}));
    assert_eq!(lines[5], json!({"@timestamp": "1999-01-01T00:00:00Z", "a": 2}), "its own");
    assert_eq!(lines[7]["@timestamp"], "2026-11-25T07:08:09.000000003Z", "a deeper one is none");
}

#[test]
fn each_item_is_answered_for_by_itself() {
    let sink = sink("x");
    let batches = [batch("t", "s", &["{1}", "{2}", "{3}"]), batch("t", "s", &["{4}", "{5}", "{6}"])];
    let item = |status: u16, kind: &str, reason: &str| json!({"create": {"_id": "x", "status": status, "error": {"type": kind, "reason": reason}}});
    let said = json!({"took": 1, "errors": true, "items": [
        {"create": {"status": 201}},
        item(409, "version_conflict_engine_exception", "document already exists"),
        item(429, "es_rejected_execution_exception", "queue is full"),
        item(400, "document_parsing_exception", "failed to parse field [a]\n of type [long]"),
        item(403, "cluster_block_exception", "index is read-only"),
        item(404, "index_not_found_exception", "no such index"),
    ]});
    let answers = sink.answers(&batches, said.to_string().as_bytes()).unwrap();
    let told: Vec<_> = answers.iter().map(|answer| (answer.batch, answer.event)).collect();
    assert_eq!(told, [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
    assert_eq!(answers[0].verdict, Verdict::Known);
    let Verdict::Again(error) = &answers[1].verdict else { panic!("{answers:?}") };
    assert_eq!(error.to_string(), "an event is not taken: es_rejected_execution_exception (429) queue is full");
    let Verdict::Refused(reason) = &answers[2].verdict else { panic!("{answers:?}") };
    assert_eq!(reason, "document_parsing_exception (400) failed to parse field [a] of type [long]");
    for (answer, hint) in [(3, "`sinks.far.auth`"), (4, "`sinks.far.bulk.index`")] {
        let Verdict::Again(error) = &answers[answer].verdict else { panic!("{answers:?}") };
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn a_success_is_short_and_nonsense_holds() {
    let (sink, batches) = (sink("x"), [batch("t", "s", &["{1}", "{2}"])]);
    assert_eq!(sink.answers(&batches, b"{\"took\":3,\"errors\":false,\"items\":[]}"), Ok(Vec::new()));
    for said in
        ["<html>Sign in</html>", "", "{\"errors\":true,\"items\":[{\"create\":{\"status\":400}}]}", "{\"errors\":true}"]
    {
        let error = sink.answers(&batches, said.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("`sinks.far.endpoints`"), "{error}");
    }
    assert_eq!(origin_of(&sink.client), "http://far.test:1");
}
