use serde_json::{Deserializer, Value, json};

use super::super::tests::{client, reply};
use super::*;
use crate::sinks::tests::batch;

fn sink() -> SplunkHec {
    SplunkHec {
        client: client("endpoint", Some("default_token")),
        metadata: metadata("{stream}"),
        acknowledgements: IndexerAcknowledgements {
            enabled: true,
            query_interval: Duration::from_secs(1),
            retry_limit: 3,
        },
        channel: guid(&Random::seeded(1)),
        taken: Mutex::default(),
    }
}

fn metadata(source: &str) -> Vec<(&'static str, Template)> {
    let template = |text: &str| Template::parse(text).unwrap();
    vec![("host", template("{tenant}")), ("source", template(source)), ("index", template(""))]
}

#[test]
fn events_are_wrapped_one_after_another() {
    let mut acme = Batch::clone(&batch("A\"cme", "siem", &[r#"{"a":"é"}"#, r#"{"b":[1.50]}"#]));
    acme.events[1].time = 1_795_331_289_007_999_999;
    acme.events[1].severity = 4;
    let batches = [Arc::new(acme), batch("B", "dlp", &["{}"])];
    for (source, sources) in [("{stream}", ["siem", "siem", "dlp"]), ("{severity}", ["unknown", "high", "unknown"])] {
        let text = encode(&metadata(source), &batches, |_| true).text();
        let read: Vec<Value> = Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect();
        let id = |id: u128| json!({"event_id": format!("{id:032x}")});
        let expected = [
            json!({"time": 0.0, "host": "A\"cme", "source": sources[0], "event": {"a": "é"}, "fields": id(0)}),
            json!({"time": 1_795_331_289.007, "host": "A\"cme", "source": sources[1], "event": {"b": [1.5]}, "fields": id(11)}),
            json!({"time": 0.0, "host": "B", "source": sources[2], "event": {}, "fields": id(0)}),
        ];
        assert_eq!(read, expected);
        assert!(text.contains(r#""event":{"b":[1.50]}"#), "as it is: {text}");
    }
}

#[test]
fn a_refused_event_is_named_and_left_out_of_what_is_sent_again() {
    let reply_of = reply(400, r#"{"text":"Invalid data format","code":6,"invalid-event-number":1}"#);
    assert_eq!(sink().trouble(&reply_of, &said(&reply_of)), Ok(1));
    let batches = [batch("t", "s", &["{\"a\":1}"]), batch("t", "s", &["{\"a\":2}", "{\"a\":3}"])];
    let text = encode(&metadata("x"), &batches, |place| place != (1, 0)).text();
    let read: Vec<Value> = Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect();
    let left: Vec<&Value> = read.iter().map(|event| &event["event"]["a"]).collect();
    assert_eq!(left, [1, 3]);
}

#[test]
fn a_mistake_of_configuration_holds_and_names_its_key() {
    for (status, said_there, key) in [
        (403, r#"{"text":"Invalid token","code":4}"#, "`sinks.far.default_token`"),
        (403, r#"{"text":"Token is disabled","code":1}"#, "`sinks.far.default_token`"),
        (400, r#"{"text":"Incorrect index","code":7,"invalid-event-number":0}"#, "`sinks.far.index`"),
        (400, r#"{"text":"Data channel is missing","code":10}"#, "X-Splunk-Request-Channel"),
        (404, "no such page", "`sinks.far.endpoint`"),
    ] {
        let reply = reply(status, said_there);
        let error = sink().trouble(&reply, &said(&reply)).unwrap_err();
        assert!(error.to_string().contains(key) && error.retry == Default::default(), "{error:?}");
    }
    let busy = reply(503, r#"{"text":"Server is busy","code":9}"#);
    assert!(sink().trouble(&busy, &said(&busy)).unwrap_err().to_string().contains("Server is busy"));
}

#[test]
fn only_the_collector_says_success() {
    let said = sink().success(&reply(200, r#"{"text":"Success","code":0,"ackId":7}"#)).unwrap();
    assert_eq!(said.ack, Some(7));
    assert_eq!(sink().success(&reply(200, r#"{"text":"Success","code":0}"#)).unwrap().ack, None);
    for body in ["<html>Sign in</html>", "", "{}", "\"OK\"", r#"{"text":"Success","code":0"#] {
        let error = sink().success(&reply(200, body)).err().unwrap_or_else(|| panic!("{body}"));
        assert!(error.to_string().contains("`sinks.far.endpoint`") && error.retry == Default::default(), "{error}");
    }
    let busy = sink().success(&reply(200, r#"{"text":"Server is busy","code":9}"#)).err().unwrap();
    assert!(busy.to_string().contains("Server is busy"), "{busy}");
    let cut = Reply { body: Err(SinkError::new("its answer broke off")), ..reply(200, "") };
    assert_eq!(sink().success(&cut).err().unwrap().message, "its answer broke off");
}

#[test]
fn a_channel_is_a_guid() {
    let (one, other) = (guid(&Random::seeded(1)), guid(&Random::seeded(2)));
    let text = one.to_str().unwrap();
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{text}");
    assert!(text.as_bytes()[14] == b'4' && b"89ab".contains(&text.as_bytes()[19]), "{text}");
    assert_ne!(one, other);
}
