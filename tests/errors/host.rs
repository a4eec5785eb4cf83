//! The host's own trouble: the sandbox's limits, the state, and what health calls the rest.

use std::fs;
use std::path::Path;

use tributary_host::observe::{Cause, HostCode};
use tributary_host::sandbox::{GuestError, Limits};
use tributary_host::state::{DataDir, StateError, Store};
use tributary_tests::world::component;

use crate::row::{Row, show};
use crate::scripted::{Trial, said};

/// What each code of health means. A new one does not compile without.
fn means(code: HostCode) -> &'static str {
    match code {
        HostCode::Configuration => "A source's configuration is wrong, or became wrong at a reload. The others go on.",
        HostCode::Sink => "A sink does not take events. Nothing is lost: positions stand still until it does.",
        HostCode::Standstill => "What was read could not be delivered or stored for a long time.",
        HostCode::StateRead => "What is stored of a stream cannot be read. The stream waits.",
        HostCode::StateWrite => {
            "Positions and counts cannot be written. Nothing is lost: nothing moves on until they can."
        }
        HostCode::DeadLetters => {
            "Records that could not be read, or that a sink refused, cannot be kept. Their streams wait."
        }
        HostCode::Worker => "A part of the host has ended that should not.",
    }
}

/// What each trouble of the state is called here, and means.
fn of_state(error: &StateError) -> (&'static str, &'static str) {
    match error {
        StateError::NotWritable { .. } => ("data_dir not writable", "The state cannot be kept where it should be."),
        StateError::Missing { .. } => ("data_dir missing", "There is no state there yet."),
        StateError::OtherUser { .. } => ("data_dir of another user", "What one user makes there, another cannot use."),
        StateError::InUse { .. } => ("data_dir in use", "Another tributary runs with this state."),
        StateError::Damaged { .. } => ("state damaged", "The store cannot be read. It is left as it is."),
        StateError::Newer { .. } => ("state newer", "A newer release has written the store."),
        StateError::Full { .. } => ("disk full", "There is no room for positions and counts."),
        StateError::DeadLettersFull { .. } => {
            ("dead letters full", "What is kept of bad records has reached its limit.")
        }
        StateError::Io { .. } => ("state unusable", "The disk or the folder does not do what it should."),
    }
}

/// Each way in which a state cannot be used: as it comes about, where a test can make it so without a disk of its own.
fn states(folder: &Path) -> Vec<StateError> {
    let held = DataDir::open(&folder.join("held")).unwrap();
    let in_use = DataDir::open(&folder.join("held")).map(drop).unwrap_err();
    drop(held);
    let file = folder.join("file");
    fs::write(&file, "").unwrap();
    let below = DataDir::open(&file.join("state")).map(drop).unwrap_err();
    let damaged = folder.join("damaged");
    drop(Store::open(&damaged).unwrap());
    let store = fs::read_dir(&damaged).unwrap().map(|entry| entry.unwrap().path());
    let store = store.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    fs::write(&store, "no store at all").unwrap();
    let damaged = Store::open(&damaged).map(drop).unwrap_err();
    let path = || folder.join("state");
    let (reason, owner) = ("Permission denied".to_owned(), "it belongs to root".to_owned());
    vec![
        StateError::NotWritable { path: path(), reason, owner },
        StateError::Missing { path: path() },
        StateError::OtherUser {
            what: "/var/lib/tributary belongs to tributary (user 998) with mode 0700, and this process runs as root (user 0)".into(),
            user: "tributary".into(),
        },
        in_use,
        damaged,
        StateError::Newer { path: path(), found: 9, known: 1 },
        StateError::Full { path: path() },
        StateError::DeadLettersFull { path: path(), bytes: 11, limit: 10 },
        below,
    ]
}

fn state_rows() -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let shown = |text: String| {
        let text = text.replace(&folder.path().display().to_string(), "/var/lib/tributary");
        text.replace(&std::process::id().to_string(), "4711")
    };
    let row = |error: &StateError| {
        let (code, means) = of_state(error);
        let place = "data_dir".to_owned();
        Row { code: code.into(), place, what: shown(error.what()), next: error.hint().into(), means }
    };
    states(folder.path()).iter().map(row).collect()
}

/// What health says of the host's own trouble, with what it hears from elsewhere.
fn health_rows() -> Vec<Row> {
    let full = StateError::Full { path: "/var/lib/tributary/state.redb".into() };
    let row = |code: HostCode| {
        let cause = Cause::host(code, full.what(), full.hint());
        assert_eq!(cause.code, code.text());
        let next = cause.hint.unwrap_or_default();
        Row { code: cause.code, place: "source acme".into(), what: cause.message, next, means: means(code) }
    };
    HostCode::ALL.into_iter().map(row).collect()
}

/// The real component with less than it needs.
async fn limit_rows() -> Vec<Row> {
    let all = Limits::default();
    let mut rows = Vec::new();
    for (limits, means) in [
        (Limits { memory: 1 << 20, ..all }, "The component wants more memory than it may have."),
        (Limits { response_bytes: 100, ..all }, "The answers of one call are longer than they may be."),
        (Limits { position_bytes: 10, ..all }, "A stream's position is longer than it may be."),
        (Limits { handles: 3, ..all }, "The component holds more of the host's resources than it may."),
    ] {
        let listing = r#"{"meta":{"status":200},"fail":[],"data":[{"dlpLogs":[{"eventTime":"2026-03-08T11:00:00+0000","policy":"x"}]}]}"#;
        let trial = Trial::v2(move |_| said(200, listing)).reads("dlp");
        let error = trial.error_of(component().await.with_limits(limits)).await;
        assert!(matches!(error, GuestError::Limit(_)), "{limits:?}: {error}");
        let cause = Cause::of(&error);
        let next = cause.hint.unwrap_or_default();
        rows.push(Row { code: cause.code, place: "source acme, stream dlp".into(), what: cause.message, next, means });
    }
    // `tests/limits` makes hostile components do these.
    let trap = GuestError::Trap { message: "unreachable".into(), backtrace: String::new() };
    for (error, means) in [
        (trap, "The component broke down. The record that makes it do so is searched, and kept as a dead letter."),
        (
            GuestError::Breach("ends descend".into()),
            "The component gave an answer that its contract forbids. It is not used.",
        ),
    ] {
        let cause = Cause::of(&error);
        let next = cause.hint.unwrap_or_default();
        rows.push(Row { code: cause.code, place: "source acme, stream dlp".into(), what: cause.message, next, means });
    }
    rows
}

/// For the page.
pub async fn rows() -> Vec<Row> {
    let mut rows = limit_rows().await;
    rows.extend(state_rows());
    rows
}

/// The codes of health that stand for others: what they say besides comes from there.
pub fn codes() -> impl Iterator<Item = (&'static str, &'static str)> {
    HostCode::ALL.into_iter().map(|code| (code.text(), means(code)))
}

#[tokio::test(start_paused = true)]
async fn every_trouble_of_the_host_says_where_and_what_to_do() {
    show("The sandbox: code | where | what | next step", &limit_rows().await);
    show("The state: what | where | what | next step", &state_rows());
    show("Health: code | where | what | next step", &health_rows());
}
