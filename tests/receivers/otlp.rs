use std::collections::BTreeSet;

use crate::events::{deliver, id_in, ids, sink, some};
use crate::program::{Program, eventually, find, port};

/// A collector that prints what it takes, by OpenTelemetry's names.
#[tokio::test]
async fn a_collector_reads_each_record_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = find("rotel-agent") else { return };
    let http = port();
    let (grpc_endpoint, http_endpoint) = (format!("127.0.0.1:{}", port()), format!("127.0.0.1:{http}"));
    let arguments = ["start", "--otlp-grpc-endpoint", &grpc_endpoint, "--otlp-http-endpoint", &http_endpoint];
    let prints = ["--exporter", "blackhole", "--debug-log", "logs", "--debug-log-verbosity", "detailed"];
    let collector = Program::start(&program, folder.path(), &[&arguments[..], &prints].concat(), &[http]);
    let sink = sink(&format!("type = \"otlp\"\nendpoint = \"http://{http_endpoint}\"\nbatch.max_events = 30"));
    sink.check().await.unwrap();
    let batches = some();
    assert_eq!(deliver(&*sink, &batches).await.unwrap(), (0, 0));

    let wanted = ids(&batches);
    let log = eventually("all records are printed", async || {
        let log = collector.log();
        (texts(&log, "     -> log.record.uid: Str(").len() >= wanted.len()).then_some(log)
    })
    .await;
    let uids = texts(&log, "     -> log.record.uid: Str(");
    assert_eq!((uids.len(), uids.iter().cloned().collect()), (wanted.len(), wanted.clone()));
    // The body is the event's own JSON, and its record's id is its own.
    let bodies: Vec<String> = texts(&log, "Body: Str(").iter().map(|body| id_in(body.as_bytes())).collect();
    assert_eq!(bodies, uids);
    let tenants: BTreeSet<String> = texts(&log, "     -> tributary.tenant: Str(").into_iter().collect();
    assert_eq!(tenants, ["acme".to_owned(), "Other Ltd. ../x".to_owned()].into());
    assert_eq!(texts(&log, "SeverityNumber: SEVERITY_NUMBER_ERROR(").len(), wanted.len());
}

/// What stands behind `begin` in the lines of what it prints, without the bracket at its end.
fn texts(log: &str, begin: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| line.strip_prefix(begin)?.strip_suffix(')'));
    lines.map(str::to_owned).collect()
}
