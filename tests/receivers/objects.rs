use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use tributary_host::sinks::Sink;

use crate::events::{batch, deliver, ids, sink, some};
use crate::program::{Program, eventually, find, port};
use crate::query::count;

/// SeaweedFS with S3 in front, and its own door to the same files.
struct Weed {
    _program: Program,
    s3: u16,
    filer: u16,
}

fn weed(folder: &Path) -> Option<Weed> {
    let program = find("weed")?;
    let (master, volume, filer, s3) = (port(), port(), port(), port());
    let identities = r#"{"identities":[{"name":"t","credentials":[{"accessKey":"AK","secretKey":"hunter2"}],"actions":["Admin","Read","Write","List"]}]}"#;
    std::fs::write(folder.join("s3.json"), identities).unwrap();
    let data = folder.join("data");
    std::fs::create_dir(&data).unwrap();
    let arguments = [
        "server".to_owned(),
        "-ip=127.0.0.1".into(),
        "-ip.bind=127.0.0.1".into(),
        "-master.telemetry=false".into(),
        format!("-dir={}", data.display()),
        format!("-master.port={master}"),
        format!("-volume.port={volume}"),
        "-volume.max=20".into(),
        "-master.volumeSizeLimitMB=64".into(),
        "-filer".into(),
        format!("-filer.port={filer}"),
        "-s3".into(),
        format!("-s3.port={s3}"),
        format!("-s3.port.iceberg={}", port()),
        format!("-s3.config={}", folder.join("s3.json").display()),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let program = Program::start(&program, folder, &arguments, &[master, volume, filer, s3]);
    Some(Weed { _program: program, s3, filer })
}

impl Weed {
    /// One request to the files' own door: status and body.
    fn ask(&self, method: &str, path: &str) -> (u16, Vec<u8>) {
        let mut socket = TcpStream::connect(("127.0.0.1", self.filer)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\nContent-Length: 0\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
        (status, answer[end + 4..].to_vec())
    }

    /// The keys of all objects in the folder, with their bytes.
    fn objects(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let (status, body) = self.ask("GET", &format!("{}/?limit=1000", encoded(folder)));
        if status == 404 {
            return Vec::new();
        }
        let listing: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let mut found = Vec::new();
        for entry in listing["Entries"].as_array().into_iter().flatten() {
            let path = entry["FullPath"].as_str().unwrap();
            // Go's bits for a folder.
            if entry["Mode"].as_u64().unwrap() & (1 << 31) != 0 {
                found.extend(self.objects(path));
            } else {
                let (status, bytes) = self.ask("GET", &encoded(path));
                assert_eq!(status, 200, "{path}");
                found.push((path.to_owned(), bytes));
            }
        }
        found
    }

    fn sink(&self, lines: &str) -> Box<dyn Sink> {
        sink(&format!(
            "type = \"object_store\"\nendpoint = \"http://127.0.0.1:{}\"\nregion = \"us-east-1\"\nauth = {{ access_key_id = \"AK\", secret_access_key = \"hunter2\" }}\n{lines}",
            self.s3
        ))
    }
}

fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'=');
    path.bytes().map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[tokio::test]
async fn s3_has_each_object_once_and_duckdb_reads_it() {
    let Some(duckdb) = find("duckdb") else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(weed) = weed(folder.path()) else { return };
    eventually("a bucket", async || (weed.ask("POST", "/buckets/lake/").0 < 300).then_some(())).await;

    let error = weed.sink("url = \"s3://nowhere\"").check().await.unwrap_err().to_string();
    assert!(error.contains("`url`"), "{error}");
    let wrong = format!(
        "type = \"object_store\"\nurl = \"s3://lake\"\nendpoint = \"http://127.0.0.1:{}\"\nregion = \"us-east-1\"\nauth = {{ access_key_id = \"AK\", secret_access_key = \"hunter3\" }}",
        weed.s3
    );
    let error = deliver(&*sink(&wrong), &some()[..1]).await.unwrap_err().to_string();
    assert!(
        error.contains("403") && error.contains("`auth.secret_access_key`") && !error.contains("hunter3"),
        "{error}"
    );

    for (compression, ending) in [("zstd", ".zst"), ("gzip", ".gz"), ("none", "")] {
        let sink = weed.sink(&format!("url = \"s3://lake/{compression}\"\ncompression = \"{compression}\""));
        eventually("the store", async || sink.check().await.ok()).await;
        let batches = some();
        assert_eq!(deliver(&*sink, &batches).await.unwrap(), (0, 0), "{compression}");
        let before = weed.objects(&format!("/buckets/lake/{compression}"));
        // The answer was lost, and all of it comes again.
        assert_eq!(deliver(&*sink, &batches).await.unwrap(), (ids(&batches).len(), 0), "{compression}");
        let after = weed.objects(&format!("/buckets/lake/{compression}"));
        assert_eq!(before, after);
        let folders: BTreeSet<&str> = after.iter().map(|(path, _)| path.rsplit_once('/').unwrap().0).collect();
        assert!(
            folders.contains(format!("/buckets/lake/{compression}/acme/siem/receipt/2026-11-21").as_str()),
            "{folders:?}"
        );
        // Two days, two days and one.
        assert_eq!(after.len(), 5, "{folders:?}");

        let copy = folder.path().join(compression);
        std::fs::create_dir(&copy).unwrap();
        for (number, (path, bytes)) in after.iter().enumerate() {
            assert!(path.ends_with(&format!(".ndjson{ending}")), "{path}");
            std::fs::write(copy.join(format!("{number}.ndjson{ending}")), bytes).unwrap();
        }
        let all = ids(&batches).len();
        assert_eq!(count(&duckdb, &format!("{}/*", copy.display())), (all, all, 39), "{compression}");
    }
    // In other company it is another object, and nothing is replaced.
    let sink = weed.sink("url = \"s3://lake/more\"");
    deliver(&*sink, &[batch("acme", "audit", 0..5)]).await.unwrap();
    assert_eq!(deliver(&*sink, &[batch("acme", "audit", 0..6)]).await.unwrap(), (0, 0));
    assert_eq!(weed.objects("/buckets/lake/more").len(), 2);
}
