use std::collections::BTreeSet;

use crate::events::{deliver, ids, sink, some};
use crate::program::{Program, eventually, find, port};

#[tokio::test]
async fn rotel_prints_each_record_with_its_id() {
    let Some(program) = find("rotel-agent") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (grpc, http) = (port(), port());
    let (grpc_at, http_at) = (format!("127.0.0.1:{grpc}"), format!("127.0.0.1:{http}"));
    let arguments = [
        "start",
        "--otlp-grpc-endpoint",
        &grpc_at,
        "--otlp-http-endpoint",
        &http_at,
        "--exporter",
        "blackhole",
        "--debug-log",
        "logs",
        "--debug-log-verbosity",
        "detailed",
    ];
    let collector = Program::start(&program, folder.path(), &arguments, &[http]);
    let batches = some();
    let mut expected: Vec<String> = Vec::new();
    for compression in ["gzip", "none"] {
        let lines = format!("type = \"otlp\"\nendpoint = \"http://{http_at}\"\ncompression = \"{compression}\"");
        assert_eq!(deliver(&*sink(&lines), &batches).await.unwrap(), (0, 0), "{compression}");
        expected.extend(ids(&batches));
    }
    let found = eventually("all records in the collector's log", async || {
        let log = collector.log();
        let found: Vec<String> = log.lines().filter_map(|line| uid(line).map(str::to_owned)).collect();
        (found.len() >= expected.len()).then_some(found)
    })
    .await;
    expected.sort_unstable();
    let mut sorted = found;
    sorted.sort_unstable();
    assert_eq!(sorted, expected, "each once by each sink");
    let log = collector.log();
    let bodies = log.lines().filter(|line| line.starts_with("Body: "));
    let in_bodies: BTreeSet<String> =
        ids(&batches).into_iter().filter(|id| log.contains(&format!("{{\"metadata\":{{\"uid\":\"{id}\"}}"))).collect();
    assert_eq!((bodies.count(), in_bodies), (expected.len(), ids(&batches)));
    assert!(log.contains("service.name: Str(tributary)"), "{log}");
}

/// Of `-> log.record.uid: Str(...)`.
fn uid(line: &str) -> Option<&str> {
    line.split_once("log.record.uid: Str(")?.1.strip_suffix(')')
}
