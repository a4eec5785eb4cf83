//! Whatever a field holds, the event is valid and nothing panics.

use mimecast_source::{
    chunk::Event,
    kind::{Generation, Kind},
    normalize::{Encoding, Origin},
};
use serde_json::{Map, Value, json};

use crate::{audit, event, events, judge, lists, normalize, records, siem};

fn oddities() -> Vec<Value> {
    vec![
        Value::Null,
        json!(""),
        json!(" "),
        json!(7),
        json!("7"),
        json!(-1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(true),
        json!("true"),
        json!([]),
        json!({}),
        json!(["a@example.com", null, 1]),
        json!({"a": {"b": [1]}}),
        json!("<>"),
        json!("a@b_c.example"),
        json!("Ann <ann@example.com>"),
        json!("Internal IP"),
        json!("192.0.2.1:25"),
        json!("[2001:db8::1]:25"),
        json!("2001:db8::1"),
        json!("::ffff:192.0.2.1"),
        json!("fe80::1%eth0"),
        json!("{\"a\":1}"),
        json!("{\"spf\":{\"info\":\"X\"},\"dk"),
        json!("[1"),
        json!("{\n\"a\": [1,\n2]}"),
        json!("\"{\\\"spf\\\":{\\\"info\\\":\\\"X\\\"}}\""),
        json!({"spf": {"info": 1}, "dkim": "x", "dmarc": {"info": {"a": 1}}}),
        json!("line\nfeed \"quoted\" \u{0} \u{1F600}"),
        json!("\"a.pdf\", \"b.pdf"),
        json!("x".repeat(10_240)),
    ]
}

fn all(shared: &std::path::Path) -> Vec<(Generation, Origin<'static>, Map<String, Value>)> {
    let api2 = records::api2(shared).into_iter().map(|(kind, record)| (Generation::V2, siem(Some(kind)), record));
    let api1 = records::api1().into_iter().map(|(kind, record)| (Generation::V1, siem(Some(kind)), record));
    let audits = records::audit().into_iter().step_by(3).map(|record| (Generation::V2, audit(), record));
    let lists =
        lists::records().into_iter().map(|(generation, kind, record)| (generation, lists::origin(kind), record));
    api2.chain(api1).chain(audits).chain(lists).collect()
}

#[test]
fn any_value_in_any_field() {
    let Some(shared) = judge::shared() else { return };
    let mut judged = 0;
    for (generation, origin, record) in all(&shared) {
        let fields: Vec<String> = record.keys().cloned().collect();
        for oddity in oddities() {
            let texts: Vec<Vec<u8>> = fields
                .iter()
                .map(|field| {
                    let mut record = record.clone();
                    record.insert(field.clone(), oddity.clone());
                    serde_json::to_vec(&record).expect("JSON")
                })
                .collect();
            let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            let chunk = normalize(generation, &origin, &texts);
            assert_eq!(chunk.malformed, []);
            for ((_, body), field) in events(&chunk).into_iter().zip(&fields) {
                let complaints = judge::complaints(&shared, &body);
                assert!(complaints.is_empty(), "{field} = {oddity}: {complaints:#?}\n{body:#}");
                judged += 1;
            }
        }
        // And all fields at once.
        for oddity in oddities() {
            let record: Map<String, Value> = fields.iter().map(|field| (field.clone(), oddity.clone())).collect();
            let (_, body) = event(generation, &origin, &Value::Object(record));
            let complaints = judge::complaints(&shared, &body);
            assert!(complaints.is_empty(), "all = {oddity}: {complaints:#?}\n{body:#}");
        }
    }
    println!("{judged} events judged");
}

/// Numbers by xorshift: the same ones in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// Records of any fields of any stream with any value, as every kind: each is an event, each event is valid, and what
/// nobody knows stands in `unmapped`.
#[test]
fn made_up_records_of_any_fields() {
    let Some(shared) = judge::shared() else { return };
    let mut names: Vec<String> = records::dictionary(&shared).into_values().flatten().collect();
    names.extend(lists::records().into_iter().flat_map(|(_, _, record)| record.into_iter().map(|(name, _)| name)));
    names.sort();
    names.dedup();
    names.retain(|name| !["type", "eventType"].contains(&name.as_str()));
    let mut values = oddities();
    values.extend(names.iter().map(|name| records::value(name)));
    values.extend(lists::records().into_iter().flat_map(|(_, _, record)| record.into_iter().map(|(_, value)| value)));
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    for kind in Kind::ALL {
        let texts: Vec<Vec<u8>> = (0..60)
            .map(|number| {
                let mut record = Map::new();
                for _ in 0..1 + random.below(25) {
                    let name = names[random.below(names.len())].clone();
                    record.insert(name, values[random.below(values.len())].clone());
                }
                record.insert("aKeyOfTheFuture".to_owned(), json!({"number": number}));
                serde_json::to_vec(&record).expect("JSON")
            })
            .collect();
        let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        for generation in [Generation::V1, Generation::V2] {
            let chunk = normalize(generation, &lists::origin(kind), &texts);
            assert_eq!(chunk.malformed, []);
            for (number, (head, body)) in events(&chunk).into_iter().enumerate() {
                let complaints = judge::complaints(&shared, &body);
                assert!(complaints.is_empty(), "{}: {complaints:#?}", String::from_utf8_lossy(texts[number]));
                assert_eq!(body["unmapped"]["aKeyOfTheFuture"]["number"], number);
                assert_eq!(head.kind, kind as u32);
            }
        }
    }
}

/// A number that comes as a text, and a text that comes as a number, is the same record and the same event.
#[test]
fn numbers_as_texts_and_the_reverse() {
    let Some(shared) = judge::shared() else { return };
    for (generation, origin, record) in all(&shared) {
        let mut other = record.clone();
        for value in other.values_mut() {
            match &*value {
                Value::Number(number) => *value = json!(number.to_string()),
                Value::Bool(truth) => *value = json!(truth.to_string()),
                Value::String(text) => {
                    if let Ok(number) = text.parse::<u32>()
                        && number.to_string() == *text
                    {
                        *value = json!(number);
                    }
                }
                _ => {}
            }
        }
        let one = event(generation, &origin, &Value::Object(record));
        let another = event(generation, &origin, &Value::Object(other));
        assert_eq!(Event { end: 0, ..one.0 }, Event { end: 0, ..another.0 });
        let mut bodies = [one.1, another.1];
        // What is no attribute stands as it came.
        for body in &mut bodies {
            assert_eq!(judge::complaints(&shared, body), Vec::<String>::new());
            body.as_object_mut().map(|body| body.remove("unmapped"));
            body.as_object_mut().map(|body| body.remove("entity"));
        }
        assert_eq!(bodies[0], bodies[1]);
    }
}

#[test]
fn bytes_that_are_no_utf8_in_every_kind() {
    let Some(shared) = judge::shared() else { return };
    for kind in Kind::ALL {
        let mut text = b"{\"subject\":\"a\xffb\",\"to\":\"\xfe@example.com\",\"new\xfdkey\":\"x\"}".to_vec();
        for _ in 0..2 {
            let chunk = normalize(Generation::V2, &lists::origin(kind), &[&text]);
            let (_, body) = events(&chunk).remove(0);
            assert_eq!(judge::complaints(&shared, &body), Vec::<String>::new());
            assert!(body.to_string().contains("a\u{fffd}b") && body["unmapped"]["new\u{fffd}key"] == "x", "{body:#}");
            text = [&b" "[..], &text].concat();
        }
    }
}

#[test]
fn what_is_no_object_is_malformed_and_the_next_record_is_fine() {
    let good: &[u8] = br#"{"type":"journal","timestamp":1}"#;
    for bad in [&b"[1]"[..], b"", b"7", b"{", b"{} {}", b"{\"a\":\xff}", b"\x00\x01"] {
        let chunk = normalize(Generation::V2, &siem(None), &[bad, good]);
        assert_eq!((chunk.malformed.len(), chunk.events.len()), (1, 1));
        assert_eq!(chunk.malformed[0].head, bad);
        assert_eq!(chunk.malformed[0].size, Some(bad.len() as u64));
        assert!(chunk.malformed[0].reason.starts_with("the record is not "), "{}", chunk.malformed[0].reason);
    }
}

#[test]
fn bytes_that_are_no_utf8_are_delivered_and_told_apart() {
    let records: [&[u8]; 3] = [
        b"{\"type\":\"journal\",\"timestamp\":1,\"subject\":\"a\xffb\"}",
        b"{\"type\":\"journal\",\"timestamp\":1,\"subject\":\"a\xfeb\"}",
        b"{\"timestamp\":1,\"subject\":\"a\xffb\",\"type\":\"journal\"}",
    ];
    let chunk = normalize(Generation::V2, &siem(None), &records);
    let events = events(&chunk);
    assert_eq!(events[0].1["email"]["subject"], "a\u{fffd}b");
    assert_eq!(events[1].1["email"]["subject"], "a\u{fffd}b");
    assert_ne!(events[0].0.id, events[1].0.id);
    assert_eq!(events[0].0.id, events[2].0.id);
}

#[test]
fn a_record_over_several_lines_becomes_one_line() {
    let chunk = normalize(Generation::V2, &siem(None), &[b"{\n \"new\": {\r\n \"a b\": [ 1,\n 2 ] } }\n"]);
    assert_eq!(events(&chunk)[0].1["unmapped"], json!({"new": {"a b": [1, 2]}}));
}

#[test]
fn lines_of_key_and_value() {
    let Some(shared) = judge::shared() else { return };
    let lines: [&[u8]; 4] = [
        br#"datetime=2025-03-01T08: 15:02+0000|aCode=AAAAAAAAAAAAAAAAAAAAAA|acc=C0EX1|SpamLimit=0|IP=192.0.2.10|Dir=Inbound|MsgId=<m1@example.org>|Subject=\Q1 | plan "x"\|headerFrom=bob@example.org|Sender=bob@example.org|Rcpt=ann@example.com|SpamInfo=[]|Act=Acc|TlsVer=TLSv1.2|Cphr=TLS_X|SpamProcessingDetail={"spf":{"info":"ALLOW","allow":true}}|SpamScore=1"#,
        br#"datetime=2025-03-01T08:15:03+0000|aCode=B|acc=C0EX1|IP=198.51.100.9|RejType=\Manual Envelope Rejection\|RejCode=550|Dir=Inbound|headerFrom=|Sender=x@example.net|Rcpt=ann@example.com|Act=Rej|RejInfo=\Envelope blocked - User Entry\"#,
        br#"datetime=2025-03-01T08:15:04+0000|aCode=A|acc=C0EX1|AttSize=1267|Act=Acc|AttCnt=2|AttNames="a.docx", "b.xlsx"|MsgSize=2116|MsgId=<m1@example.org>"#,
        br#"aCode=A|acc=C0EX1|Delivered=true|IP=198.51.100.25|AttCnt=2|Dir=Inbound|ReceiptAck=250 2.0.0 OK 1740816908 id=1|MsgId=<m1@example.org>|Subject=\Weekly report\|Latency=5618|Sender=bob@example.org|Rcpt=ann@example.com|Attempt=1|Snt=28237|UseTls=Yes|Route=To Example"#,
    ];
    let origin = Origin { encoding: Encoding::KeyValue, fallback_time: Some(5_000_000_000), ..siem(None) };
    let chunk = normalize(Generation::V1, &origin, &lines);
    let events = events(&chunk);
    for (_, body) in &events {
        assert_eq!(judge::complaints(&shared, body), Vec::<String>::new());
    }
    let kinds: Vec<u32> = events.iter().map(|(head, _)| head.kind).collect();
    assert_eq!(kinds, [Kind::Receipt, Kind::Receipt, Kind::Process, Kind::Delivery].map(|kind| kind as u32));
    let body = |index: usize| &events[index].1;
    assert_eq!(body(0)["email"]["subject"], "Q1 | plan \"x\"");
    assert_eq!(body(0)["email_auth"], json!({"spf": "ALLOW"}));
    assert_eq!(body(0)["unmapped"]["spamProcessingDetail"], json!({"spf": {"allow": true}}));
    assert_eq!(body(0)["time"], 1_740_816_902_000_i64);
    assert_eq!(body(1)["status_detail"], "Envelope blocked - User Entry");
    assert_eq!((&body(1)["is_alert"], &body(1)["severity_id"]), (&json!(true), &json!(2)));
    assert_eq!(body(2)["email"]["files"][1]["name"], "b.xlsx");
    assert_eq!(body(3)["unmapped"]["ReceiptAck"], "250 2.0.0 OK 1740816908 id=1");
    // A line without a time has the file's.
    assert_eq!(events[3].0.time, 5_000_000_000);
    let bad = normalize(Generation::V1, &origin, &[b"no fields"]);
    assert_eq!(bad.malformed.len(), 1);
}

#[test]
fn a_record_without_a_usable_time_is_kept() {
    for (record, kept) in
        [(json!({"type": "journal"}), Value::Null), (json!({"type": "journal", "timestamp": "x"}), json!("x"))]
    {
        let (head, body) = event(Generation::V2, &siem(None), &record);
        assert_eq!((head.time, &body["time"]), (0, &json!(0)));
        assert_eq!(body["unmapped"]["timestamp"], kept);
        assert!(body["metadata"]["original_time"].is_null());
    }
}
