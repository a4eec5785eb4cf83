use std::fs;
use std::path::{Path as FilePath, PathBuf};

use http::header::RETRY_AFTER;
use http_body_util::{BodyExt as _, Empty};

use super::super::tests::batch;
use super::*;
use crate::config::{self, Compression, Format, SinkKind};
use crate::outside::{Clock, Random};
use crate::sandbox::{Body, Network, NetworkError, RequestOptions, Sent, Transport, Way};
use crate::sinks::{Retry, Verdict};

fn options(lines: &str) -> ObjectStoreOptions {
    let text =
        format!("[sources.acme]\ntype = \"mimecast\"\n[sinks.x]\ntype = \"object_store\"\ninputs = [\"*\"]\n{lines}");
    let mut loaded = config::parse(&text, Format::Toml, "test.toml", &|_| None).unwrap();
    let SinkKind::ObjectStore(options) = loaded.config.sinks.remove("x").unwrap().kind else { panic!() };
    *options
}

fn local(folder: &FilePath, lines: &str) -> Objects {
    named("x", folder, lines)
}

fn named(id: &str, folder: &FilePath, lines: &str) -> Objects {
    let options = options(&format!("url = \"file://{}\"\n{lines}", folder.display()));
    Objects::new(id, &options, &Outside::system()).unwrap()
}

fn files(folder: &FilePath) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn text(path: &FilePath) -> String {
    let bytes = fs::read(path).unwrap();
    String::from_utf8(match path.extension().unwrap().to_str() {
        Some("zst") => zstd::decode_all(bytes.as_slice()).unwrap(),
        _ => bytes,
    })
    .unwrap()
}

#[tokio::test]
async fn an_object_for_each_group_and_known_when_it_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("lake");
    let sink = local(&out, "");
    sink.check().await.unwrap();
    let mut two = Batch::clone(&batch("../x", "siem/receipt", &["{1}", "{2}", "{3}"]));
    two.events[1].class = 4009;
    let delivery = [Arc::new(two), batch("b", "audit", &["{4}"])];
    assert_eq!(sink.deliver(&delivery).await.unwrap(), []);
    let found = files(folder.path());
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().all(|path| path.starts_with(&out)), "{found:?}");
    let texts: Vec<String> = found.iter().map(|path| text(path)).collect();
    assert_eq!(texts, ["{1}\n{3}\n", "{2}\n", "{4}\n"], "{found:?}");
    let name = found[1].file_name().unwrap().to_string_lossy().into_owned();
    let hash = key::hash("x", [delivery[0].events[1].id].into_iter());
    assert_eq!(name, format!("4009-{hash}.ndjson.zst"));
    assert!(found[2].ends_with(format!("b/audit/1970-01-01/0-{}.ndjson.zst", key::hash("x", [0].into_iter()))));

    // The same comes again, since the answer was lost.
    let answers = sink.deliver(&delivery).await.unwrap();
    let mut places: Vec<_> = answers.iter().map(|answer| (answer.batch, answer.event)).collect();
    places.sort_unstable();
    assert_eq!(places, [(0, 0), (0, 1), (0, 2), (1, 0)]);
    assert!(answers.iter().all(|answer| answer.verdict == Verdict::Known));
    assert_eq!(files(folder.path()), found);

    // In other company it is another object.
    assert_eq!(sink.deliver(&[batch("b", "audit", &["{4}", "{5}"])]).await.unwrap(), []);
    assert_eq!(files(folder.path()).len(), 4);
}

#[tokio::test]
async fn two_sinks_at_one_place_do_not_take_their_objects_for_each_others() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, masked] = ["whole", "masked"].map(|id| named(id, folder.path(), "compression = \"none\""));
    assert_eq!(whole.deliver(&[batch("a", "s", &["{1}"])]).await.unwrap(), []);
    assert_eq!(masked.deliver(&[batch("a", "s", &["{*}"])]).await.unwrap(), [], "not known: it is another's");
    let texts: Vec<String> = files(folder.path()).iter().map(|path| text(path)).collect();
    assert_eq!(texts.len(), 2);
    assert!(["{1}\n", "{*}\n"].iter().all(|line| texts.iter().any(|text| text == line)), "{texts:?}");
    assert_eq!(masked.deliver(&[batch("a", "s", &["{*}"])]).await.unwrap(), [Answer::known(0, 0)]);
}

#[tokio::test]
async fn one_group_that_fails_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let sink = local(folder.path(), "compression = \"none\"");
    // A file stands where the folder of a tenant must be.
    fs::write(folder.path().join("a"), "").unwrap();
    let answers = sink.deliver(&[batch("a", "s", &["{1}", "{2}"]), batch("b", "s", &["{3}"])]).await.unwrap();
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|answer| answer.batch == 0 && matches!(answer.verdict, Verdict::Again(_))));
    let error = sink.deliver(&[batch("a", "s", &["{1}"])]).await.unwrap_err();
    assert!(error.to_string().contains("the user that runs tributary"), "{error}");
    fs::remove_file(folder.path().join("a")).unwrap();
    assert_eq!(sink.deliver(&[batch("a", "s", &["{1}", "{2}"])]).await.unwrap(), []);
}

#[test]
fn the_same_group_for_the_gatherer_and_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let sink = local(folder.path(), "key_prefix = \"{date}/{severity}/x-\"\ncompression = \"gzip\"");
    assert!(sink.terms().groups);
    let batch = batch("t", "s", &["{1}"]);
    assert_eq!(sink.group(&batch.origin, &batch.events[0]).as_deref(), Some("1970-01-01/unknown/x-"));
    assert_eq!((sink.options.compression, sink.terms().max_age.as_secs()), (Compression::Gzip, 300));
}

#[test]
fn faults_name_the_keys() {
    let s3 = |lines: &str| options(&format!("url = \"s3://bucket\"\n{lines}")).store;
    let own = s3("auth = { access_key_id = \"AK\", secret_access_key = \"hunter2\" }");
    assert!(!format!("{own:?}").contains("hunter2"));
    let noted = |status| {
        let noted = Noted::default();
        noted.set(status, Some("AccessDenied"));
        noted
    };
    let error = object_store::Error::NotFound { path: "x".into(), source: "y".into() };
    for (store, status, word) in [
        (&own, 403, "`auth.access_key_id`"),
        (&s3(""), 401, "the environment"),
        (&own, 404, "`url`"),
        (&own, 301, "`region`"),
        (&own, 412, "If-None-Match"),
    ] {
        let text = store::fault(store, &error, &noted(status)).to_string();
        assert!(text.contains(&format!("the store answered {status} (AccessDenied)")) && text.contains(word), "{text}");
    }
    let conflict = |code| {
        let noted = Noted::default();
        noted.set(409, Some(code));
        noted.exists()
    };
    assert!(noted(412).exists() && conflict("BlobAlreadyExists") && !conflict("ConditionalRequestConflict"));
    assert_eq!(store::fault(&own, &error, &noted(413)).retry, crate::sinks::Retry::Smaller);
}

/// A store that is busy until this date.
struct Busy(&'static str);

impl Network for Busy {
    fn transport(&self, _: &Way<'_>) -> Result<Arc<dyn Transport>, NetworkError> {
        Ok(Arc::new(Busy(self.0)))
    }
}

impl Transport for Busy {
    fn send(&self, _: http::Request<Body>, _: RequestOptions) -> Sent {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let answer = http::Response::builder().status(503).header(RETRY_AFTER, self.0).body(body).unwrap();
        Box::pin(async { Ok(answer) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_store_says_when_in_seconds_or_by_a_date() {
    // RFC 9110's example: 784,111,777 seconds after the epoch.
    for (said, retry) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", Retry::After(Duration::from_secs(30))),
        ("17", Retry::After(Duration::from_secs(17))),
        ("soon", Retry::Later),
    ] {
        let clock = Clock::simulated(Duration::from_secs(784_111_777 - 30));
        let outside = Outside { clock, random: Random::seeded(1), network: Arc::new(Busy(said)) };
        let keys = "url = \"s3://lake\"\nregion = \"eu-central-1\"\nauth = { access_key_id = \"AK\", secret_access_key = \"hunter2\" }";
        let sink = Objects::new("x", &options(keys), &outside).unwrap();
        let error = sink.deliver(&[batch("a", "s", &["{1}"])]).await.unwrap_err();
        assert_eq!(error.retry, retry, "{said}: {error}");
    }
}
