//! Events to deliver, and sinks to deliver them to.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use tributary_host::config::{self, Format};
use tributary_host::deliver::{Batch, Head, Origin, deliver_once};
use tributary_host::outside::Outside;
use tributary_host::sinks::{Sink, SinkError, Verdict, build};

/// 2026-11-20T00:00:00Z.
const BEGIN: u64 = 1_795_132_800_000_000_000;
const HOUR: u64 = 3_600_000_000_000;

/// A batch of events, one an hour, of which some hold what protocols like to trip over.
pub fn batch(tenant: &str, stream: &str, numbers: Range<u64>) -> Arc<Batch> {
    let (mut bodies, mut events) = (Vec::new(), Vec::new());
    for number in numbers {
        let id = id(tenant, stream, number);
        let text = ["plain", "Grüße, 漢字 🙂", "quote \\\" backslash \\\\ bracket ] brace }", "tab\\tline\\nfeed", ""]
            [number as usize % 5];
        let body = format!("{{\"metadata\":{{\"uid\":\"{id:032x}\"}},\"number\":{number},\"text\":\"{text}\"}}\n");
        let begin = bodies.len() as u32;
        bodies.extend_from_slice(body.as_bytes());
        let (end, time) = (bodies.len() as u32, BEGIN + number * HOUR);
        events.push(Head { id, time, kind: 0, class: 4009, severity: 4, alert_key: None, begin, end });
    }
    let origin = Origin { source: "acme-eu".into(), tenant: tenant.into(), stream: stream.into() };
    Arc::new(Batch { origin, bodies: bodies.into(), events })
}

fn id(tenant: &str, stream: &str, number: u64) -> u128 {
    // Fowler, Noll and Vo's hash: any will do.
    let name = tenant.bytes().chain([0]).chain(stream.bytes());
    let hash =
        name.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    u128::from(hash) << 64 | u128::from(number)
}

/// The ids in them, as they stand in the bodies.
pub fn ids(batches: &[Arc<Batch>]) -> BTreeSet<String> {
    batches.iter().flat_map(|batch| batch.events.iter().map(|event| format!("{:032x}", event.id))).collect()
}

/// Some of two tenants, with names that must be cleaned here and there.
pub fn some() -> Vec<Arc<Batch>> {
    vec![batch("acme", "siem/receipt", 0..40), batch("Other Ltd. ../x", "audit", 0..30), batch("acme", "audit", 0..10)]
}

/// The id in a body, and that the body is whole.
pub fn id_in(body: &[u8]) -> String {
    let event: serde_json::Value = serde_json::from_slice(body).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(body));
    });
    event["metadata"]["uid"].as_str().unwrap().to_owned()
}

/// The sink that these lines of a configuration describe.
pub fn sink(lines: &str) -> Box<dyn Sink> {
    named("x", lines)
}

pub fn named(id: &str, lines: &str) -> Box<dyn Sink> {
    let text = format!("[sources.acme]\ntype = \"mimecast\"\n[sinks.{id}]\ninputs = [\"*\"]\n{lines}\n");
    let loaded = config::parse(&text, Format::Toml, "test.toml", &|_| None).unwrap_or_else(|error| panic!("{error}"));
    build(&loaded.config.sinks[id], &Outside::system()).unwrap_or_else(|error| panic!("{error}"))
}

/// Delivers them, and says how many were known and how many refused.
pub async fn deliver(sink: &dyn Sink, batches: &[Arc<Batch>]) -> Result<(usize, usize), SinkError> {
    let (mut known, mut refused) = (0, 0);
    for (_, verdict) in deliver_once(sink, batches).await? {
        match verdict {
            Verdict::Known => known += 1,
            Verdict::Refused(_) | Verdict::Unsure { .. } => refused += 1,
            Verdict::Again(error) => return Err(error),
        }
    }
    Ok((known, refused))
}
