use super::super::http::tests::{client, reply};
use super::*;
use crate::sinks::Retry;
use crate::sinks::tests::batch;

fn sink() -> Otlp {
    Otlp { client: client("endpoint", None), service_name: "tributary".into(), clock: Clock::System }
}

/// What stands in the field `number` of a message, each time.
fn all(message: &[u8], number: u64) -> Vec<&[u8]> {
    let bytes = |(field, value)| match value {
        Value::Bytes(bytes) if field == number => Some(bytes),
        _ => None,
    };
    fields(message).filter_map(bytes).collect()
}

fn number(message: &[u8], number: u64) -> Option<u64> {
    fields(message).find_map(|(field, value)| match value {
        Value::Number(value) if field == number => Some(value),
        _ => None,
    })
}

/// The value of an attribute, an `AnyValue`.
fn attribute<'a>(message: &'a [u8], field: u64, key: &str) -> Option<&'a [u8]> {
    let found = all(message, field).into_iter().find(|pair| all(pair, 1) == [key.as_bytes()])?;
    Some(all(found, 2)[0])
}

fn text<'a>(message: &'a [u8], field: u64, key: &str) -> &'a str {
    std::str::from_utf8(all(attribute(message, field, key).unwrap(), 1)[0]).unwrap()
}

#[test]
fn a_record_has_what_the_event_has() {
    let mut acme = Batch::clone(&batch("acme", "siem", &[r#"{"n":1.50}"#, "{}"]));
    (acme.events[0].time, acme.events[0].severity, acme.events[0].class) = (17, 4, 4009);
    let acme = Arc::new(acme);
    let long = format!("{{\"x\":\"{}\"}}", "é".repeat(10_000));
    let batches = [Arc::clone(&acme), batch("acme", "dlp", &[&long]), batch("other", "siem", &["{4}"])];
    let request = encode("collector", &batches, 99);
    let resource_logs = all(&request, 1);
    assert_eq!(resource_logs.len(), 2, "one a tenant");
    let resource = all(resource_logs[0], 1)[0];
    assert_eq!((text(resource, 1, "service.name"), text(resource, 1, "tributary.tenant")), ("collector", "acme"));
    let records = all(all(resource_logs[0], 2)[0], 2);
    assert_eq!(records.len(), 3);
    let times = [1, 11].map(|field| number(records[0], field));
    assert_eq!((times, number(records[0], 2)), ([Some(17), Some(99)], Some(17)));
    assert_eq!(all(records[0], 3), [b"high"]);
    assert_eq!(all(all(records[0], 5)[0], 1), [br#"{"n":1.50}"#]);
    assert_eq!(text(records[0], 6, "log.record.uid"), format!("{:032x}", acme.events[0].id));
    assert_eq!(text(records[0], 6, "tributary.stream"), "siem");
    assert_eq!(number(attribute(records[0], 6, "class_uid").unwrap(), 3), Some(4009));
    assert_eq!((number(records[1], 2), attribute(records[1], 6, "class_uid")), (None, None));
    assert_eq!(text(records[2], 6, "tributary.stream"), "dlp");
    assert_eq!(all(all(records[2], 5)[0], 1), [long.as_bytes()]);
}

#[test]
fn of_a_partial_success_nothing_is_sent_again() {
    let batches = [batch("t", "s", &["{1}", "{2}"])];
    let answered = |rejected: u64| {
        let mut answer = Message::default();
        answer.message(1, |partial| {
            partial.number(1, rejected);
            partial.bytes(2, b"too\nlong");
        });
        sink().answers(&batches, &Partial::read("application/x-protobuf", &answer.0).unwrap())
    };
    assert_eq!(answered(0), [], "a warning");
    let unsure =
        "the collector has rejected 1 of the 2 records that this was sent with, and does not say which: too long";
    assert_eq!(answered(1), [Answer::unsure(0, 0, 1, unsure), Answer::unsure(0, 1, 1, unsure)]);
    assert_eq!(answered(2), [Answer::refused(0, 0, "too long"), Answer::refused(0, 1, "too long")]);
}

#[test]
fn only_a_collector_says_success() {
    let answered = |content_type: &'static str, body: &str| {
        let mut reply = reply(200, body);
        reply.headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        sink().success(&reply)
    };
    let (json, protobuf) = ("application/json; charset=utf-8", "application/x-protobuf");
    for content_type in [json, protobuf, "text/plain"] {
        assert_eq!(answered(content_type, ""), Ok(Partial::default()), "{content_type}");
        assert_eq!(answered(content_type, "{\"partialSuccess\":{}}"), Ok(Partial::default()), "{content_type}");
    }
    let two = Partial { rejected: 2, message: "too long".into() };
    for rejected in ["2", "\"2\""] {
        let body =
            format!("{{\"partialSuccess\":{{\"rejectedLogRecords\":{rejected},\"errorMessage\":\"too long\"}}}}");
        assert_eq!(answered(json, &body), Ok(Partial { rejected: 2, message: "too long".into() }), "{body}");
        assert!(answered(json, &body[..body.len() - 1]).is_err(), "it broke off");
    }
    assert_eq!(answered(protobuf, "\x0a\x0c\x08\x02\x12\x08too long"), Ok(two));
    for (content_type, body) in [
        ("text/html", "<html>Sign in</html>"),
        (protobuf, "<html>Sign in</html>"),
        (json, "\"OK\""),
        ("text/plain", "OK"),
        (protobuf, "\x0a\x0c\x08\x02\x12\x08too lon"),
        // A message that could be protobuf.
        ("text/plain", "\x0a\x00"),
    ] {
        let error = answered(content_type, body).unwrap_err();
        assert!(error.to_string().contains("`sinks.far.endpoint`") && error.retry == Retry::Later, "{body} {error}");
    }
    let cut = Reply { body: Err(SinkError::new("its answer broke off")), ..reply(200, "") };
    assert_eq!(sink().success(&cut).unwrap_err().message, "its answer broke off");
}
