//! An audit record. The first line is the type, the rest the text of `eventInfo`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimecast_source::chunk::Chunk;
use mimecast_source::kind::{Generation, Kind};
use mimecast_source::normalize::{Encoding, Form, Normalizer, Occurrences, Origin, Settings, Source};
use mimecast_source_fuzz::chunks::bodies;
use mimecast_source_fuzz::forms;
use mimecast_source_fuzz::json::Json;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (audit_type, info) = text.split_once('\n').unwrap_or(("User Logged On", &text));
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let record = format!(
        r#"{{"id":"made-up","auditType":{},"user":"ann@example.com","eventTime":"2025-03-02T00:07:12+0000","eventInfo":{},"category":"authentication_logs"}}"#,
        quoted(audit_type),
        quoted(info)
    );
    let origin = Origin {
        source: Source::List,
        stream: "audit",
        kind: Some(Kind::Audit),
        encoding: Encoding::Json,
        fallback_time: None,
    };
    forms::check(record.as_bytes(), &origin, false);
    for form in [Form::Ocsf, Form::Ecs] {
        let mut chunk = Chunk::default();
        let mut occurrences = Occurrences::Adjacent { last: None, count: 0 };
        let settings = Settings { form, ..Settings::new(Generation::V2, "acme") };
        Normalizer::new(settings).push(record.as_bytes(), &origin, &mut occurrences, &mut chunk);
        let body = bodies(&chunk).remove(0);
        if !info.is_empty() {
            assert_eq!(body.get("message").and_then(Json::text), Some(info), "{form:?}: the text is not what it was");
        }
        // One type is always one class, whatever the text says.
        let class = chunk.events[0].class;
        assert_eq!(class != 0, form == Form::Ocsf);
        let arrives = |text: &str| audit_type.is_empty() || arrives(&body, text);
        assert!(arrives(audit_type), "{form:?}: the type is lost: {audit_type:?}");
    }
});

/// Whether a text stands anywhere in the body.
fn arrives(body: &Json, text: &str) -> bool {
    match body {
        Json::Word(_) => false,
        Json::Text(own) => own == text,
        Json::List(elements) => elements.iter().any(|element| arrives(element, text)),
        Json::Object(members) => members.iter().any(|(_, value)| arrives(value, text)),
    }
}
