use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use super::super::tests::batch;
use super::*;
use crate::config::Compression;
use crate::template::Template;

const ALL: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

fn options(path: &Path, compression: Compression) -> FileOptions {
    FileOptions {
        path: path.to_path_buf(),
        pattern: None,
        compression,
        max_bytes: 1 << 20,
        max_age: Duration::from_secs(3600),
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name().unwrap() != LOCK_FILE {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    let mut text = String::new();
    let name = path.to_string_lossy();
    if name.contains(".gz") {
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    } else if name.contains(".zst") {
        zstd::Decoder::new(bytes.as_slice()).unwrap().read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    text
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn delivers_and_finishes() {
    for compression in ALL {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let sink = FileSink::open(options(&out, compression)).unwrap();
        sink.deliver(&[
            batch("acme", "siem/receipt", &["{1}", "{2}"]),
            batch("Other Ltd", "audit", &["{9}"]),
            batch("acme", "siem/receipt", &["{3}"]),
            batch("acme", "nothing", &[]),
        ])
        .await
        .unwrap();
        // Before it is finished, what was acknowledged can be read.
        let parts = files(&out);
        assert_eq!(parts.len(), 2);
        assert!(parts.iter().all(|part| part.to_string_lossy().ends_with(".part")));
        assert_eq!(text(&parts[1]), "{1}\n{2}\n{3}\n");
        sink.deliver(&[batch("acme", "siem/receipt", &["{4}"])]).await.unwrap();
        sink.close().await.unwrap();
        let done = files(&out);
        assert_eq!(done.len(), 2);
        assert!(done[0].starts_with(out.join("Other%20Ltd/audit")), "{done:?}");
        assert!(done[1].starts_with(out.join("acme/siem/receipt")), "{done:?}");
        let ending = format!("Z-0000.ndjson{}", encode::extension(compression));
        assert!(done[1].to_string_lossy().ends_with(&ending), "{done:?}");
        assert_eq!((text(&done[0]).as_str(), text(&done[1]).as_str()), ("{9}\n", "{1}\n{2}\n{3}\n{4}\n"));
        assert!(done.iter().all(|file| mode(file) == 0o600));
        assert_eq!((mode(&out), mode(&out.join("acme/siem"))), (0o700, 0o700));
    }
}

#[tokio::test]
async fn a_pattern_names_the_folders() {
    const DAY: u64 = 86_400_000_000_000;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let pattern = Some(Template::parse("{date}/{tenant}-{stream}").unwrap());
    let sink = FileSink::open(FileOptions { pattern, ..options(&out, Compression::Gzip) }).unwrap();
    let mut two_days = Batch::clone(&batch("../x", "siem/receipt", &["{1}", "{2}", "{3}", "{4}"]));
    for (event, time) in two_days.events.iter_mut().zip([1, DAY + 1, DAY - 1, DAY]) {
        event.time = time;
    }
    sink.deliver(&[Arc::new(two_days), batch("../x", "siem/receipt", &["{5}"])]).await.unwrap();
    sink.close().await.unwrap();
    let done = files(folder.path());
    assert_eq!(done.len(), 2, "{done:?}");
    assert!(done[0].starts_with(out.join("1970-01-01/%2E.%2Fx-siem/receipt")), "{done:?}");
    assert!(done[1].starts_with(out.join("1970-01-02/%2E.%2Fx-siem/receipt")), "{done:?}");
    assert_eq!((text(&done[0]).as_str(), text(&done[1]).as_str()), ("{1}\n{3}\n{5}\n", "{2}\n{4}\n"));
}

#[tokio::test]
async fn rotates_by_size_and_by_age() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path(), Compression::None);
    options.max_bytes = 8;
    options.max_age = Duration::from_secs(60);
    let sink = FileSink::open(options).unwrap();
    for line in ["{1}", "{2}", "{3}"] {
        sink.deliver(&[batch("t", "s", &[line])]).await.unwrap();
    }
    let texts = |finished: bool| -> Vec<String> {
        let files = files(folder.path());
        files
            .iter()
            .filter(|file| file.to_string_lossy().ends_with(".ndjson") == finished)
            .map(|file| text(file))
            .collect()
    };
    assert_eq!((texts(true), texts(false)), (vec!["{1}\n{2}\n".to_owned()], vec!["{3}\n".to_owned()]));
    sink.idle().await.unwrap();
    let begun = sink.folder.lock().unwrap().parts.values().next().unwrap().begun;
    sink.folder.lock().unwrap().rotate(begun + Duration::from_secs(59));
    assert_eq!(texts(false).len(), 1);
    sink.folder.lock().unwrap().rotate(begun + Duration::from_secs(60));
    assert_eq!((texts(true), texts(false).len()), (vec!["{1}\n{2}\n".to_owned(), "{3}\n".to_owned()], 0));
}

#[tokio::test]
async fn what_a_crash_left_is_finished() {
    for compression in ALL {
        let folder = tempfile::tempdir().unwrap();
        let sink = FileSink::open(options(folder.path(), compression)).unwrap();
        sink.deliver(&[batch("t", "s", &["{\"first\":1}", "{\"second\":2}"])]).await.unwrap();
        let part = files(folder.path()).remove(0);
        let acknowledged = fs::read(&part).unwrap();
        sink.deliver(&[batch("t", "s", &["{\"third\":\"not acknowledged, torn\"}"])]).await.unwrap();
        let all = fs::read(&part).unwrap();
        drop(sink);
        let finished = part.with_extension("");
        // Torn at every byte of the last delivery; or zeros where it should be.
        let mut zeros = acknowledged.clone();
        zeros.resize(all.len() + 100, 0);
        let torn = (acknowledged.len()..all.len()).map(|len| all[..len].to_vec());
        for bytes in torn.chain([zeros]) {
            fs::write(&part, &bytes).unwrap();
            drop(FileSink::open(options(folder.path(), compression)).unwrap());
            assert_eq!(files(folder.path()), std::slice::from_ref(&finished));
            assert_eq!(fs::read(&finished).unwrap(), acknowledged, "{compression:?} {}", bytes.len());
            fs::remove_file(&finished).unwrap();
        }
        // What is whole stays whole; what holds nothing goes.
        fs::write(&part, &all).unwrap();
        drop(FileSink::open(options(folder.path(), compression)).unwrap());
        assert_eq!(fs::read(&finished).unwrap(), all);
        fs::write(&part, &all[..3]).unwrap();
        fs::rename(&finished, folder.path().join("kept")).unwrap();
        drop(FileSink::open(options(folder.path(), compression)).unwrap());
        assert_eq!(files(folder.path()), [folder.path().join("kept")]);
    }
}

#[tokio::test]
async fn a_full_disk_leaves_no_piece() {
    for compression in ALL {
        let folder = tempfile::tempdir().unwrap();
        let sink = FileSink::open(options(folder.path(), compression)).unwrap();
        sink.deliver(&[batch("a", "s", &["{1}"]), batch("b", "s", &["{2}"])]).await.unwrap();
        let before: Vec<Vec<u8>> = files(folder.path()).iter().map(|file| fs::read(file).unwrap()).collect();
        let more = [batch("a", "s", &["{3}"]), batch("b", "s", &["{4}"]), batch("c", "s", &["{5}"])];
        // Enough for the first file, not for the second.
        sink.folder.lock().unwrap().room = Some(before[0].len() as u64 + 2);
        for _ in 0..2 {
            let error = sink.deliver(&more).await.unwrap_err();
            assert!(error.to_string().contains("Make room on that disk"), "{error}");
            let after: Vec<Vec<u8>> = files(folder.path()).iter().map(|file| fs::read(file).unwrap()).collect();
            assert_eq!(after, before, "{compression:?}");
            sink.folder.lock().unwrap().room = Some(before[0].len() as u64 + 2);
        }
        sink.folder.lock().unwrap().room = None;
        sink.deliver(&more).await.unwrap();
        sink.close().await.unwrap();
        let texts: Vec<String> = files(folder.path()).iter().map(|file| text(file)).collect();
        assert_eq!(texts, ["{1}\n{3}\n", "{2}\n{4}\n", "{5}\n"]);
    }
}

#[tokio::test]
async fn few_files_are_open_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let sink = FileSink::open(options(folder.path(), Compression::None)).unwrap();
    sink.folder.lock().unwrap().open_files = 3;
    let streams: Vec<String> = (0..10).map(|i| format!("s{i}")).collect();
    for round in ["{1}", "{2}"] {
        let batches: Vec<_> = streams.iter().map(|stream| batch("t", stream, &[round])).collect();
        sink.deliver(&batches).await.unwrap();
        let open = sink.folder.lock().unwrap().parts.values().filter(|part| part.is_open()).count();
        assert_eq!(open, 3);
    }
    sink.close().await.unwrap();
    let files = files(folder.path());
    assert_eq!(files.len(), 10);
    assert!(files.iter().all(|file| text(file) == "{1}\n{2}\n"));
}

#[tokio::test]
async fn a_removed_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let sink = FileSink::open(options(folder.path(), Compression::None)).unwrap();
    sink.deliver(&[batch("t", "s", &["{1}"])]).await.unwrap();
    fs::remove_dir_all(folder.path().join("t")).unwrap();
    sink.deliver(&[batch("t", "s", &["{2}"])]).await.unwrap();
    sink.close().await.unwrap();
    let files = files(folder.path());
    assert_eq!((files.len(), text(&files[0]).as_str()), (1, "{2}\n"));
}

#[tokio::test]
async fn a_finished_file_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path(), Compression::None);
    options.max_bytes = 1;
    let sink = FileSink::open(options).unwrap();
    for i in 0..20 {
        sink.deliver(&[batch("t", "s", &[&format!("{{{i}}}")])]).await.unwrap();
    }
    assert_eq!(files(folder.path()).len(), 20);
}

#[test]
fn faults_say_what_to_do() {
    let path = Path::new("/out");
    for (kind, word) in [
        (io::ErrorKind::StorageFull, "Make room"),
        (io::ErrorKind::PermissionDenied, "Let the user"),
        (io::ErrorKind::NotADirectory, "A file stands where"),
    ] {
        let text = fault(path, &kind.into()).to_string();
        assert!(text.starts_with("cannot write under /out: ") && text.contains(word), "{text}");
    }
    assert!(fault(path, &io::Error::from_raw_os_error(24)).to_string().contains("ulimit -n"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = FileSink::open(options(&file.join("out"), Compression::None)).err().unwrap();
    assert!(error.to_string().contains("A file stands where a folder must be"), "{error}");
}
