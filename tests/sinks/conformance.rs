//! The suite: each subject through each situation, in the real pipeline. Its oracle is that of the simulation: nothing is
//! lost, what is refused is in the dead letters, and nothing is there twice where the far side can refuse it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tributary_host::Running;
use tributary_host::deliver::{Attached, Disk, Storage};
use tributary_host::state::{Found, StreamKey};

use crate::dialects::{Collector, Elastic, Lines, Splunk};
use crate::feed::{EVENTS, id, ready};
use crate::local::{Files, Syslog};
use crate::pipe::Pipe;
use crate::remote::{Kind, Remote};
use crate::subject::{GIVEN_UP, LONG, REFUSED, Situation, Subject};

/// Longer than any of them takes, by far: a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// Takes a subject through a situation.
async fn conforms(subject: &dyn Subject, situation: Situation) {
    if !subject.begin(situation) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let disk = Arc::new(opened(folder.path()));
        let sink = subject.sink();
        let attached = Attached {
            id: "far".into(),
            inputs: vec!["*".into()],
            acknowledgements: true,
            max_refused_share: 0.05,
            only: Default::default(),
            rules: Default::default(),
            sink,
        };
        let (storage, drain) = (Arc::clone(&disk) as Arc<dyn Storage>, Duration::from_secs(30));
        let sources = vec![ready(situation == Situation::TooLong)];
        (Running::new(sources, vec![attached], storage, 64 << 20, subject.outside(), drain), disk)
    };
    let (mut running, mut disk) = start();
    if subject.lasts(situation) {
        if let Some(hint) = subject.hint(situation) {
            let error = subject.sink().check().await.expect_err("it is not ready").to_string();
            assert!(error.contains(&hint), "{error}");
        }
        until(subject, "it tries more than once", || subject.happened()).await;
        assert_eq!(subject.stored().len(), 0);
        assert_eq!(running.status()[0].stored.records, 0, "positions stand still");
        subject.mend();
        if subject.hint(situation).is_some() {
            subject.sink().check().await.expect("it is mended");
        }
    }
    if situation == Situation::Mistaken {
        until(subject, "it is held", || subject.happened()).await;
        assert!(subject.stored().is_empty() && letters(&disk).len() <= GIVEN_UP);
        subject.mend();
    }
    if situation == Situation::Restart {
        until(subject, "a part is there", || subject.happened()).await;
        assert!(subject.stored().len() < EVENTS as usize, "this comes too late");
    }
    if situation == Situation::Restart || subject.mended_here(situation) {
        running.kill().await;
        drop(disk);
        (running, disk) = start();
    }
    // What the last process stored is not read again.
    until(subject, "all of it is acknowledged", || delivered(&disk) == EVENTS).await;
    let counts = running.status()[0].stored.imbalances();
    assert!(counts.is_empty(), "{counts:?}");
    assert!(running.stop().await);
    subject.settle();
    assert!(subject.happened(), "it did not come to that");
    judge(subject, situation, &disk);
}

/// What was killed may still be writing, in a thread that nobody can stop; then the folder is not free yet.
fn opened(folder: &Path) -> Disk {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Disk::open(folder, 1 << 30) {
            Ok(disk) => return disk,
            Err(error) if Instant::now() > deadline => panic!("{error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

async fn until(subject: &dyn Subject, what: &str, reached: impl Fn() -> bool) {
    let waiting = async {
        while !reached() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(PATIENCE, waiting).await.is_err() {
        let (there, violations) = (subject.stored().len(), subject.violations());
        panic!("{}, not in time: {what}; {there} events are there; {violations:?}", subject.name());
    }
}

/// How far the stored position is.
fn delivered(disk: &Disk) -> u64 {
    let stored = disk.store.stream(&StreamKey::new("acme", "log")).unwrap();
    stored.position.map_or(0, |position| u64::from_be_bytes(position.try_into().unwrap()))
}

/// The events in the dead letters.
fn letters(disk: &Disk) -> BTreeSet<u128> {
    let mut letters = BTreeSet::new();
    let read = disk.dead_letters.read(None, |found| {
        let Found::Letter(letter) = found else { panic!("a line that cannot be read") };
        letters.extend(letter.refused.map(|refused| refused.event));
        Ok(())
    });
    read.unwrap();
    letters
}

fn judge(subject: &dyn Subject, situation: Situation, disk: &Disk) {
    assert_eq!(subject.violations(), [""; 0]);
    let letters = letters(disk);
    let refused: BTreeSet<u128> = match situation {
        Situation::Refusing => REFUSED.into_iter().map(id).collect(),
        Situation::TooLong => [id(LONG)].into(),
        Situation::Mistaken if letters.len() <= GIVEN_UP => letters.clone(),
        _ => BTreeSet::new(),
    };
    if situation == Situation::Refusing && subject.keeps_beside_refused() {
        assert!(letters.is_superset(&refused) && letters.len() < EVENTS as usize, "{} letters", letters.len());
    } else {
        assert_eq!(letters, refused, "those in the dead letters");
    }
    let stored = subject.stored();
    let lost: Vec<u64> =
        (0..EVENTS).filter(|number| !stored.contains_key(&id(*number)) && !refused.contains(&id(*number))).collect();
    assert_eq!(lost, [0; 0], "lost");
    assert_eq!(stored.len() + refused.len(), EVENTS as usize, "and none that was refused");
    let doubled = stored.values().filter(|times| **times > 1).count();
    if subject.refuses_known(situation) || !subject.may_double(situation) {
        assert_eq!(doubled, 0, "twice there");
    }
}

/// Takes a kind of sink that speaks HTTP through all situations, at the same time.
pub async fn suite(kind: Kind) {
    let name = kind.name;
    all(name, async |situation| Box::new(Remote::new(kind.clone(), situation).await) as Box<dyn Subject>).await;
}

pub async fn all(name: &str, subject: impl AsyncFn(Situation) -> Box<dyn Subject>) {
    let mut runs = JoinSet::new();
    for situation in Situation::ALL {
        let subject = subject(situation).await;
        runs.spawn(async move {
            let outcome = tokio::spawn(async move { conforms(&*subject, situation).await }).await;
            (situation, outcome.is_ok())
        });
    }
    let failed: Vec<Situation> =
        runs.join_all().await.into_iter().filter(|(_, passed)| !passed).map(|(situation, _)| situation).collect();
    assert_eq!(failed, [], "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files() {
    all("file", async |situation| Box::new(Files::new(situation)) as Box<dyn Subject>).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog() {
    all("syslog", async |situation| Box::new(Syslog::new(situation)) as Box<dyn Subject>).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stdout() {
    all("stdout", async |situation| Box::new(Pipe::new(situation)) as Box<dyn Subject>).await;
}

const NDJSON: &str = "application/x-ndjson";

#[tokio::test(flavor = "multi_thread")]
async fn http_lines() {
    suite(Kind {
        name: "http",
        keys: "type = \"http\"\nuri = \"{url}/in\"\nauth = { strategy = \"bearer\", token = \"hunter22\" }\ncompression = \"zstd\"",
        before_keys: "sinks.far.",
        address_key: "uri",
        credentials_key: "auth.token",
        dialect: Arc::new(Lines { content_type: NDJSON, headers: &[("authorization", "Bearer hunter22")] }),
        refuses_known: false,
        doubles_after_restart: false,
        doubles_beside_refused: false,
        keeps_beside_refused: false,
        lacks: &[],
        side_by_side: false,
        held_after: 20,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_array() {
    suite(Kind {
        name: "http, json",
        keys: "type = \"http\"\nuri = \"{url}\"\nencoding = \"json\"\nrequest.headers = { X-Team = \"blue\" }\nauth = { strategy = \"basic\", user = \"me\", password = \"hunter22\" }",
        before_keys: "sinks.far.",
        address_key: "uri",
        credentials_key: "auth.password",
        dialect: Arc::new(Lines { content_type: "application/json", headers: &[("x-team", "blue")] }),
        refuses_known: false,
        doubles_after_restart: false,
        doubles_beside_refused: false,
        keeps_beside_refused: false,
        lacks: &[],
        side_by_side: false,
        held_after: 20,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vector() {
    suite(Kind {
        name: "vector",
        keys: "type = \"vector\"\nuri = \"{url}\"\nauth = { strategy = \"basic\", user = \"me\", password = \"hunter22\" }",
        before_keys: "sinks.far.",
        address_key: "uri",
        credentials_key: "auth.password",
        dialect: Arc::new(Lines { content_type: NDJSON, headers: &[("authorization", "Basic bWU6aHVudGVyMjI=")] }),
        refuses_known: false,
        doubles_after_restart: false,
        doubles_beside_refused: false,
        keeps_beside_refused: false,
        lacks: &[],
        side_by_side: false,
        held_after: 20,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sumo() {
    suite(Kind {
        name: "sumo",
        keys: "type = \"sumo\"\nendpoint = \"{url}/receiver/v1/http/hunter22\"\nsource_category = \"mail/{stream}\"\nsiem_forward = true\nsiem_vendor = \"Vendor\"",
        before_keys: "sinks.far.",
        address_key: "endpoint",
        credentials_key: "endpoint",
        dialect: Arc::new(Lines {
            content_type: NDJSON,
            headers: &[
                ("x-sumo-name", "acme/log"),
                ("x-sumo-host", "Acme"),
                ("x-sumo-category", "mail/log"),
                ("x-sumo-fields", "_siemForward=true,_siemVendor=Vendor"),
            ],
        }),
        refuses_known: false,
        doubles_after_restart: false,
        doubles_beside_refused: false,
        keeps_beside_refused: false,
        lacks: &[],
        side_by_side: false,
        held_after: 20,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn splunk_hec() {
    suite(Kind {
        name: "splunk_hec",
        keys: "type = \"splunk_hec\"\nendpoint = \"{url}\"\ndefault_token = \"hunter22\"\nacknowledgements.query_interval_secs = 1",
        before_keys: "sinks.far.",
        address_key: "endpoint",
        credentials_key: "default_token",
        dialect: Arc::new(Splunk),
        refuses_known: false,
        doubles_after_restart: false,
        doubles_beside_refused: true,
        keeps_beside_refused: false,
        lacks: &[],
        side_by_side: false,
        held_after: 8,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch() {
    suite(Kind {
        name: "elasticsearch",
        keys: "type = \"elasticsearch\"\nendpoints = [\"{url}\"]\nbulk.index = \"mail-{tenant}\"\nauth = { strategy = \"api_key\", api_key = \"hunter22\" }",
        before_keys: "sinks.far.",
        address_key: "endpoints",
        credentials_key: "auth.api_key",
        dialect: Arc::new(Elastic),
        refuses_known: true,
        doubles_after_restart: false,
        doubles_beside_refused: false,
        keeps_beside_refused: false,
        lacks: &[],
        side_by_side: false,
        held_after: 2,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp() {
    suite(Kind {
        name: "otlp",
        keys: "type = \"otlp\"\nendpoint = \"{url}\"\nauth = { strategy = \"bearer\", token = \"hunter22\" }",
        before_keys: "sinks.far.",
        address_key: "endpoint",
        credentials_key: "auth.token",
        dialect: Arc::new(Collector),
        refuses_known: false,
        doubles_after_restart: false,
        doubles_beside_refused: false,
        keeps_beside_refused: true,
        lacks: &[],
        side_by_side: false,
        held_after: 2,
    })
    .await;
}
