use crate::events::{deliver, ids, sink, some};
use crate::program::find;
use crate::query::count;

#[tokio::test]
async fn files_are_read_by_duckdb() {
    let Some(duckdb) = find("duckdb") else { return };
    for (compression, ending) in [("none", ""), ("gzip", ".gz"), ("zstd", ".zst")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out").display().to_string();
        let lines = format!(
            "type = \"file\"\npath = \"{path}/{{date}}/{{tenant}}-{{stream}}\"\ncompression = \"{compression}\""
        );
        let sink = sink(&lines);
        let batches = some();
        // In two deliveries: a file has two members or frames then.
        deliver(&*sink, &batches[..1]).await.unwrap();
        deliver(&*sink, &batches[1..]).await.unwrap();
        sink.close().await.unwrap();
        let all = ids(&batches).len();
        assert_eq!(count(&duckdb, &format!("{path}/**/*.ndjson{ending}")), (all, all, 39), "{compression}");
        let second_day = count(&duckdb, &format!("{path}/2026-11-21/acme-siem/receipt/*.ndjson{ending}"));
        assert_eq!(second_day, (16, 16, 39), "{compression}");
    }
}
