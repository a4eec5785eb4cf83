use super::super::http::tests::client;
use super::*;
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
fn of_a_partial_success_the_rejected_ones_are_sought() {
    let batches = [batch("t", "s", &["{1}", "{2}"])];
    let answered = |rejected: u64| {
        let mut answer = Message::default();
        answer.message(1, |partial| {
            partial.number(1, rejected);
            partial.bytes(2, b"too\nlong");
        });
        sink().answers(&batches, &Partial::read(&answer.0))
    };
    assert_eq!(answered(0), Ok(Vec::new()), "a warning");
    assert_eq!(answered(1).unwrap_err().retry, Retry::Smaller);
    assert_eq!(answered(2).unwrap(), [Answer::refused(0, 0, "too long"), Answer::refused(0, 1, "too long")]);
    assert_eq!(sink().answers(&batches, &Partial::read(b"")), Ok(Vec::new()));
    assert_eq!(
        Partial::read(b"{\"partialSuccess\":{\"rejectedLogRecords\":\"1\"}}"),
        Partial::default(),
        "JSON is none"
    );
}
