//! A changed secret or configuration is taken over by a host that runs, and nothing else is disturbed by it.

use std::path::Path;
use std::time::Duration;

use mimecast_simulator as sim;
use mimecast_simulator::{Endpoint, Fault, When};
use tributary_host::collect::StreamState;
use tributary_host::{Reloader, Running};
use tributary_tests::delivered::Delivered;
use tributary_tests::process::{Process, until};
use tributary_tests::world::{QUOTA, World, configuration, serve, stream};

const HOUR: u64 = 3_600_000;
const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
const MINUTE: Duration = Duration::from_secs(60);

fn states(running: &Running) -> Vec<StreamState> {
    running.status().iter().map(|status| status.state).collect()
}

fn all(running: &Running, state: StreamState) -> bool {
    states(running).iter().all(|known| *known == state)
}

fn logins(world: &World) -> u64 {
    world.simulator().count(Endpoint::Token)
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_is_exchanged_and_the_streams_go_on_at_once() {
    let world = World::of(sim::Tenant::v2("one", 600), 6);
    let begin = world.now();
    let sim::Credentials::V2 { client_secret, .. } = sim::Tenant::v2("one", 600).credentials else { unreachable!() };
    let wrong = world.config(|text| text.replace(&client_secret, "another-secret-0123456789abcdef"));
    let host = world.host().await;
    let running = host.clone().collect(&wrong).await.unwrap();
    let control = running.control();
    let refused = tokio::time::timeout(MINUTE, control.credentials_refused()).await;
    assert!(refused.is_ok(), "whoever can read newer credentials is told");
    running.caught_up().await;
    assert!(all(&running, StreamState::Error), "{:?}", states(&running));
    let mut reloader = Reloader::new(host, control, wrong.clone());
    // The same again changes nothing, and asks nobody.
    let before = logins(&world);
    let same = reloader.apply(&wrong).await;
    tokio::time::sleep(MINUTE).await;
    assert!(same.changed.is_empty() && same.refused.is_empty() && same.restart.is_empty(), "{same:?}");
    assert_eq!(logins(&world), before, "an hour is left to the vendor");
    // What the component refuses is not taken over.
    let bad = world.config(|text| text.replace(&client_secret, "").replace("client_id", "#client_id"));
    let refused = reloader.apply(&bad).await;
    assert_eq!((refused.changed.len(), refused.refused.len()), (0, 1), "{refused:?}");
    assert!(refused.refused[0].to_string().contains("client_id"), "{refused:?}");
    let right = world.config(|text| text);
    assert_eq!(reloader.apply(&right).await.changed, ["one"]);
    tokio::time::sleep(Duration::from_millis(1)).await;
    running.caught_up().await;
    assert!(running.status().iter().all(|status| status.fault.is_none()), "{:?}", running.status());
    assert_eq!(logins(&world), before + 1, "one call for all streams");
    assert!(running.stop().await);
    let found = world.compare(begin);
    assert!(found.is_exact() && found.total() > 60, "{found}");
}

#[tokio::test(start_paused = true)]
async fn expired_keys_are_left_alone_until_something_changes() {
    let world = World::of(sim::Tenant::v1("one", 600), 6);
    let begin = world.now();
    world.inject(Fault::BindingExpired { at: Endpoint::SiemLogs }, When::Always);
    let config = world.config(|text| text);
    let host = world.host().await;
    let running = host.clone().collect(&config).await.unwrap();
    running.caught_up().await;
    let status = stream(&running, "siem");
    assert_eq!(status.state, StreamState::Stopped);
    assert!(status.fault.as_ref().unwrap().contains("SIGHUP"), "{:?}", status.fault);
    assert_eq!(stream(&running, "audit").state, StreamState::Collecting, "the others go on");
    let asked = world.simulator().count(Endpoint::SiemLogs);
    world.clear_faults();
    tokio::time::sleep(5 * 60 * MINUTE).await;
    assert_eq!(world.simulator().count(Endpoint::SiemLogs), asked);
    let polls = stream(&running, "audit").polls;
    let control = running.control();
    let mut reloader = Reloader::new(host, control.clone(), config);
    assert_eq!(reloader.retry(), ["one"]);
    tokio::time::sleep(Duration::from_millis(1)).await;
    running.caught_up().await;
    assert_eq!(stream(&running, "siem").state, StreamState::Collecting);
    assert!(stream(&running, "audit").polls > polls && reloader.retry().is_empty());
    // What needs a restart is said, and the rest is taken over.
    let other = world.config(|text| {
        text.replace("[sources.one]\n", "[sources.one]\nretry_for_secs = 60\nquota_share = 0.5\ncategory = \"mail\"\n")
            .replace("[sinks.files]\n", "[sinks.files]\ncompression = \"gzip\"\n")
    });
    let last_check = || control.facts("one").unwrap().last_check;
    assert_eq!(last_check(), None);
    let checked = control.check("one").await.unwrap();
    let changed = reloader.apply(&other).await;
    assert_eq!(last_check().as_ref(), Some(&*checked), "what was found out is not forgotten");
    assert_eq!(
        (changed.changed.as_slice(), changed.restart.as_slice()),
        (&["one".to_owned()][..], &["sinks.files".to_owned()][..])
    );
    // It is said each time that it changes, and not while it does not.
    assert_eq!(changed.restart_news, changed.restart);
    let same = reloader.apply(&other).await;
    assert_eq!((same.restart, same.restart_news), (vec!["sinks.files".to_owned()], vec![]));
    let third = world.config(|text| {
        text.replace("[sources.one]\n", "[sources.one]\nretry_for_secs = 60\nquota_share = 0.5\ncategory = \"mail\"\n")
            .replace("[sinks.files]\n", "[sinks.files]\ncompression = \"zstd\"\n")
    });
    assert_eq!(reloader.apply(&third).await.restart_news, ["sinks.files"]);
    // Streams go, and come back where they were.
    let fewer = world.config(|text| text.replace("[sources.one]\n", "[sources.one]\ncollect = [\"audit\"]\n"));
    assert_eq!(reloader.apply(&fewer).await.changed, ["one"]);
    assert_eq!(running.status().iter().map(|status| &*status.stream).collect::<Vec<_>>(), ["audit"]);
    tokio::time::sleep(60 * MINUTE).await;
    assert_eq!(reloader.apply(&world.config(|text| text)).await.changed, ["one"]);
    tokio::time::sleep(MINUTE).await;
    running.caught_up().await;
    assert!(running.status().len() > 1 && all(&running, StreamState::Collecting), "{:?}", states(&running));
    assert!(running.stop().await);
    let found = world.compare(begin);
    assert!(found.is_exact() && found.total() > 60, "{found}");
}

fn delivered(folder: &Path, tenant: &str) -> usize {
    Delivered::read(&folder.join("events"), tenant).total()
}

/// The whole command: a secret in a file is exchanged, then SIGHUP with configurations good and bad.
#[test]
fn a_process_takes_over_a_secret_and_a_configuration() {
    let clock = sim::Clock::real();
    let tenants = [sim::Tenant::v2("acme", 3_000), sim::Tenant::v2("globex", 3_000)];
    let settings = sim::Settings { backlog_ms: 24 * HOUR, tenants: tenants.to_vec(), ..sim::Settings::default() };
    let server = serve(clock, settings);
    let logins = |tenant: &str| {
        let simulator = server.simulator();
        let token = |entry: &&sim::LogEntry| entry.endpoint == Some(Endpoint::Token);
        simulator.log().filter(token).filter(|entry| entry.tenant.as_deref() == Some(tenant)).count()
    };
    let folder = tempfile::tempdir().unwrap();
    let sim::Credentials::V2 { client_secret: right, .. } = &tenants[0].credentials else { unreachable!() };
    let (secret, file) = (folder.path().join("acme-secret"), folder.path().join("tributary.toml"));
    let wrong = "n0t-the-secret-of-acme-0123456789abcdef";
    std::fs::write(&secret, wrong).unwrap();
    let text = configuration(folder.path(), &server.api_url, &tenants, QUOTA, "")
        .replace(right.as_str(), "SECRET[vault.acme-secret]")
        + &format!("[secret.vault]\ntype = \"directory\"\npath = \"{}\"\n", folder.path().display());
    std::fs::write(&file, &text).unwrap();
    let mut process = Process::run(BINARY, &file);
    let begun = until(MINUTE, || delivered(folder.path(), "globex") > 100 || !process.is_running());
    assert!(begun && process.is_running(), "{}", process.kill());
    assert_eq!(delivered(folder.path(), "acme"), 0);
    let before = logins("globex");

    // As a mounted secret is exchanged: another file takes its place.
    let new = folder.path().join("new");
    std::fs::write(&new, right).unwrap();
    std::fs::rename(&new, &secret).unwrap();
    let exchanged = std::time::Instant::now();
    assert!(until(MINUTE, || delivered(folder.path(), "acme") > 100), "{}", process.kill());
    println!("the new secret was in use {:?} after it was written", exchanged.elapsed());
    assert_eq!(logins("globex"), before, "the neighbour is not touched");

    // Two signals at once would be one: each waits for what the one before has led to.
    let hangup = |text: &str, told: &str| {
        let before = process.log().matches(told).count();
        std::fs::write(&file, text).unwrap();
        process.signal("HUP");
        assert!(until(MINUTE, || process.log().matches(told).count() > before), "no {told:?} in {}", process.log());
    };
    hangup(&format!("{text}\n[sources"), "the new configuration cannot be run");
    let with = |line: &str| text.replacen("[sources.acme]\n", &format!("[sources.acme]\n{line}\n"), 1);
    hangup(&with("start_at = \"soon\""), "its configuration is refused, and it goes on with the one that it had");
    hangup(&with("category = \"mail\""), "goes on with its new configuration");
    assert!(process.is_running());
    assert!(until(MINUTE, || logins("acme") >= 3), "acme begins anew with a session of its own");
    assert_eq!(logins("globex"), before);
    process.signal("TERM");
    let (status, log) = process.wait(MINUTE);
    assert_eq!(status.code(), Some(0), "{log}");
    for words in [
        "the new configuration cannot be run, and the old one goes on",
        "its configuration is refused, and it goes on with the one that it had: ",
        "start_at",
        "goes on with its new configuration",
        "stopped; everything that was read is delivered and stored",
    ] {
        assert!(log.contains(words), "{words:?} is not in {log}");
    }
    assert_eq!(log.matches("goes on with its new configuration").count(), 2, "{log}");
    for secret in [wrong, right.as_str()] {
        assert!(!log.contains(secret), "a secret is told");
    }
}

/// A program that says secrets is asked again when the vendor refuses what it said, and on SIGHUP.
#[test]
fn a_program_is_asked_again() {
    let (clock, tenant) = (sim::Clock::real(), sim::Tenant::v2("acme", 3_000));
    let settings = sim::Settings {
        start_ms: clock.now(),
        backlog_ms: 24 * HOUR,
        tenants: vec![tenant.clone()],
        quota_factor: 900,
        ..sim::Settings::default()
    };
    let server = tributary_tests::world::start(clock, settings);
    let folder = tempfile::tempdir().unwrap();
    let sim::Credentials::V2 { client_secret: right, .. } = &tenant.credentials else { unreachable!() };
    let (calls, program) = (folder.path().join("calls"), folder.path().join("program"));
    // The first time it says what the vendor knows no more.
    let wrong = "n0t-the-secret-of-acme-0123456789abcdef";
    let text = format!(
        "#!/bin/sh\necho >> {0}\n[ $(wc -l < {0}) = 1 ] && s={wrong} || s={right}\necho \"{{\\\"key\\\":{{\\\"value\\\":\\\"$s\\\"}}}}\"\n",
        calls.display()
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let file = folder.path().join("tributary.toml");
    let text = configuration(folder.path(), &server.api_url, std::slice::from_ref(&tenant), QUOTA, "")
        .replace(right.as_str(), "SECRET[program.key]")
        + &format!("[secret.program]\ntype = \"exec\"\ncommand = [\"{}\"]\n", program.display());
    std::fs::write(&file, &text).unwrap();
    let mut process = Process::run(BINARY, &file);
    let asked = || std::fs::read_to_string(&calls).unwrap_or_default().lines().count();
    let begun = until(MINUTE, || delivered(folder.path(), "acme") > 100 || !process.is_running());
    // Streams that were refused a little later are one more reason.
    let calls_before = asked();
    assert!(begun && process.is_running() && (2..=3).contains(&calls_before), "{calls_before}; {}", process.kill());
    process.signal("HUP");
    assert!(until(MINUTE, || asked() > calls_before), "{calls_before} calls; {}", process.kill());
    process.signal("TERM");
    let (status, log) = process.wait(MINUTE);
    assert_eq!(status.code(), Some(0), "{log}");
    assert!([wrong, right.as_str()].iter().all(|secret| !log.contains(secret)), "a secret is told");
}
