//! Many customers: a template and a folder of files, read again while the host runs.

use std::path::Path;
use std::time::Duration;

use mimecast_simulator as sim;
use mimecast_simulator::Endpoint;
use serde_json::Value;
use tributary_host::state::StreamKey;
use tributary_host::{Reloaded, Reloader, Running, config};
use tributary_tests::delivered::{Comparison, Delivered};
use tributary_tests::guest::{self, LOOPBACK};
use tributary_tests::process::{Process, command, output, until};
use tributary_tests::world::World;

const HOUR: u64 = 3_600_000;
const MINUTE: Duration = Duration::from_secs(60);
const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");

/// A provider's configuration below `folder`, with the secrets of `tenants`.
fn provider(folder: &Path, base_url: &str, tenants: &[sim::Tenant], more: &str) -> String {
    for name in ["customers.d", "secrets"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    for tenant in tenants {
        let sim::Credentials::V2 { client_id, client_secret } = &tenant.credentials else { unreachable!() };
        for (key, value) in [("client_id", client_id), ("client_secret", client_secret)] {
            std::fs::write(folder.join(format!("secrets/{}_{key}", tenant.name)), value).unwrap();
        }
    }
    let folder = folder.display();
    format!(
        "data_dir = \"{folder}/state\"\n\
         [secret.vault]\ntype = \"directory\"\npath = \"{folder}/secrets\"\n\
         [templates.customers]\nfolder = \"customers.d\"\ntype = \"mimecast\"\n\
         base_url = \"{base_url}\"\ninsecure_http = true\negress.allow_private = [\"{LOOPBACK}\"]\n{more}\n\
         client_id = \"SECRET[vault.{{id}}_client_id]\"\nclient_secret = \"SECRET[vault.{{id}}_client_secret]\"\n\
         [sinks.files]\ntype = \"file\"\ninputs = [\"*\"]\npath = \"{folder}/events\"\n"
    )
}

struct Site {
    world: World,
    text: String,
}

impl Site {
    fn new() -> Self {
        Self::of(300)
    }

    /// With so many events a day each.
    fn of(messages: u64) -> Self {
        let tenants = ["one", "two", "three"].map(|name| sim::Tenant::v2(name, messages)).to_vec();
        let world =
            World::new(sim::Settings { tenants: tenants.clone(), backlog_ms: 6 * HOUR, ..sim::Settings::default() });
        let text = provider(world.folder.path(), guest::API, &tenants, "");
        Self { world, text }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.world.folder.path().join("customers.d").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.file(name)).unwrap();
    }

    fn config(&self) -> config::Config {
        self.world.config(|_| self.text.clone())
    }

    fn logins(&self, tenant: &str) -> usize {
        let simulator = self.world.simulator();
        let token = |entry: &&sim::LogEntry| entry.endpoint == Some(Endpoint::Token);
        simulator.log().filter(token).filter(|entry| entry.tenant.as_deref() == Some(tenant)).count()
    }

    /// Reads the folder again, lets a minute pass, and sees that the first customer did not notice.
    async fn reload(&self, reloader: &mut Reloader) -> Reloaded {
        let before = self.logins("one");
        let reloaded = reloader.apply(&self.config()).await;
        tokio::time::sleep(MINUTE).await;
        assert_eq!(self.logins("one"), before, "who is not touched is not begun anew");
        reloaded
    }

    fn compare(&self, tenant: &str, since_ms: u64) -> Comparison {
        let delivered = Delivered::read(&self.world.events(), tenant);
        delivered.compare(&self.world.simulator(), tenant, since_ms, self.world.now())
    }
}

fn streams(running: &Running, source: &str) -> Vec<String> {
    let of = running.status().into_iter().filter(|status| &*status.source == source);
    of.map(|status| status.stream.to_string()).collect()
}

fn polls(running: &Running, source: &str) -> u64 {
    running.status().iter().filter(|status| &*status.source == source).map(|status| status.polls).sum()
}

#[tokio::test(start_paused = true)]
async fn customers_come_change_and_go_and_the_others_do_not_notice() {
    let site = Site::new();
    site.write("one.toml", "");
    site.write("two.toml", "");
    let config = site.config();
    let begin = site.world.now();
    let host = site.world.host().await;
    let running = host.clone().collect(&config).await.unwrap();
    let mut reloader = Reloader::new(host, running.control(), config).with_state(running.disk());
    running.caught_up().await;
    let all = streams(&running, "two");
    assert!(all.len() > 20 && streams(&running, "three").is_empty());

    site.write("three.yaml", "quota_share: 0.9\n");
    let came = site.reload(&mut reloader).await;
    assert_eq!((came.added, came.removed, came.changed), (vec!["three".to_owned()], vec![], vec![]));
    running.caught_up().await;
    assert_eq!(streams(&running, "three"), all);

    // Fewer streams, and then what the component refuses, and what is no TOML at all.
    site.write("two.toml", "collect = [\"audit\"]\n");
    assert_eq!(site.reload(&mut reloader).await.changed, ["two"]);
    assert_eq!(streams(&running, "two"), ["audit"]);
    for (bad, word) in [("start_at = \"soon\"\n", "start_at"), ("collect = [\n", "two.toml:")] {
        site.write("two.toml", bad);
        let refused = site.reload(&mut reloader).await;
        let [(source, why)] = &refused.news[..] else { panic!("{refused:?}") };
        assert!(source == "two" && why.contains(word), "{refused:?}");
        assert!(refused.changed.is_empty() && refused.removed.is_empty(), "{refused:?}");
        let before = polls(&running, "two");
        tokio::time::sleep(60 * MINUTE).await;
        assert!(polls(&running, "two") > before, "it goes on as it was");
        assert!(running.control().misconfigured()["two"].contains(word));
        assert_eq!(site.reload(&mut reloader).await.news, [], "it is said once");
    }
    site.write("two.toml", "");
    assert_eq!(site.reload(&mut reloader).await.changed, ["two"]);
    assert!(running.control().misconfigured().is_empty());
    running.caught_up().await;
    assert_eq!(streams(&running, "two"), all);

    // A customer goes, and comes back.
    site.remove("three.yaml");
    let gone = site.reload(&mut reloader).await;
    assert_eq!((gone.removed, streams(&running, "three")), (vec!["three".to_owned()], vec![]));
    let disk = running.disk().unwrap();
    let stored = || disk.store.summary(StreamKey::new("three", "audit")).unwrap();
    assert!(stored().retired_ms.is_some() && stored().position.is_some());
    // What was read last is stored in ten minutes, since it was nothing new.
    tokio::time::sleep(20 * MINUTE).await;
    let before = stored().ledger;
    tokio::time::sleep(60 * MINUTE).await;
    assert_eq!(stored().ledger, before, "nothing is read of it");
    site.write("three.toml", "");
    assert_eq!(site.reload(&mut reloader).await.added, ["three"]);
    assert_eq!(stored().retired_ms, None);
    running.caught_up().await;
    drop(disk);
    assert!(running.stop().await);
    for tenant in ["one", "two", "three"] {
        let found = site.compare(tenant, begin);
        assert!(found.is_exact() && found.total() > 60, "{tenant}: {found}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_customer_that_is_gone_for_a_month_is_dropped_while_the_host_runs() {
    let site = Site::of(0);
    let keys = "collect = [\"audit\"]\n";
    let write = |customer: &str| site.write(&format!("{customer}.toml"), keys);
    let run = async || site.world.host().await.collect(&site.config()).await.unwrap();
    // A day in which a host runs takes seconds.
    let hours = async |hours: u32| tokio::time::advance(hours * 60 * MINUTE).await;
    let stored = |running: &Running, customer: &str| {
        let disk = running.disk().unwrap();
        let summary = disk.store.summary(StreamKey::new(customer, "audit")).unwrap();
        (summary.position.is_some(), summary.ledger.since_ms)
    };
    ["one", "two", "three"].iter().for_each(|customer| write(customer));
    let running = run().await;
    running.caught_up().await;
    // Where it is, is stored in ten minutes, since there is nothing new.
    tokio::time::sleep(20 * MINUTE).await;
    let before = stored(&running, "two");
    assert!(before.0 && stored(&running, "three").0);
    assert!(running.stop().await);
    // Two go, and the third comes back in time.
    site.remove("two.toml");
    site.remove("three.toml");
    assert!(run().await.stop().await);
    hours(20 * 24).await;
    write("three");
    assert!(run().await.stop().await);
    hours(9 * 24 + 12).await;
    let running = run().await;
    assert_eq!(stored(&running, "two"), before, "after 29 days and a half");
    tokio::time::sleep(26 * 60 * MINUTE).await;
    assert_eq!(stored(&running, "two"), (false, before.1), "after a day in which none came or went; the ledger stays");
    assert!(stored(&running, "one").0 && stored(&running, "three").0);
    // Nothing holds the store when the host has ended.
    assert!(running.stop().await);
    assert!(run().await.stop().await);
}

#[tokio::test(start_paused = true)]
async fn at_the_start_a_bad_file_stops_nobody_else_and_a_bad_main_file_everybody() {
    let site = Site::new();
    site.write("one.toml", "");
    site.write("two.toml", "client_id = [\n");
    site.write("three.toml", "start_at = \"soon\"\n");
    let config = site.config();
    let host = site.world.host().await;
    let running = host.clone().collect(&config).await.unwrap();
    running.caught_up().await;
    assert!(!streams(&running, "one").is_empty());
    let wrong = running.control().misconfigured();
    assert!(wrong["two"].contains("two.toml:1:") && wrong["three"].contains("three.toml: ") && wrong.len() == 2);
    tokio::time::sleep(MINUTE).await;
    let disk = running.disk().unwrap();
    for source in ["two", "three"] {
        let events = disk.store.health(source).unwrap();
        let events: Vec<Value> = events.iter().map(|event| serde_json::from_slice(event).unwrap()).collect();
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(
            (&events[0]["event"], &events[0]["code"]),
            (&"ThirdPartyConfigError".into(), &"configuration".into())
        );
        assert!(events[0]["message"].as_str().unwrap().contains(".toml"), "{events:?}");
    }
    drop(disk);
    let mut reloader = Reloader::new(host.clone(), running.control(), config);
    site.write("two.toml", "");
    site.write("three.toml", "");
    let mut added = site.reload(&mut reloader).await.added;
    added.sort();
    assert_eq!(added, ["three", "two"]);
    running.caught_up().await;
    assert!(running.control().misconfigured().is_empty() && !streams(&running, "three").is_empty());
    // What is wrong with a file is counted, and no failure of the reload; with a template it is one, and said of that.
    site.write("two.toml", "client_id = [\n");
    site.write("three.toml", "start_at = \"soon\"\n");
    let files = site.reload(&mut reloader).await;
    assert!(!files.is_wrong && files.refused() == 2 && files.to_string().contains("refused: 2;"), "{files}");
    site.write("two.toml", "");
    let output = site.text.replacen("type = \"mimecast\"\n", "type = \"mimecast\"\noutput = \"xml\"\n", 1);
    assert_ne!(output, site.text);
    let template = reloader.apply(&site.world.config(|_| output)).await;
    assert!(template.is_wrong && template.refused() == 3, "{template:?}");
    assert!(
        template.news.iter().all(|(_, why)| why.contains("templates.customers.output: is \"xml\"")),
        "{template:?}"
    );
    // Also where the files have keys of the same table.
    for name in ["one", "two", "three"] {
        site.write(&format!("{name}.toml"), "intervals = { dlp = \"1h\" }\n");
    }
    let intervals =
        site.text.replacen("type = \"mimecast\"\n", "type = \"mimecast\"\nintervals = { audit = \"1s\" }\n", 1);
    let template = reloader.apply(&site.world.config(|_| intervals)).await;
    let said = |(_, why): &(String, String)| why.contains("templates.customers.intervals.audit: ");
    assert!(template.is_wrong && template.refused() == 3 && template.news.iter().all(said), "{template:?}");
    assert!(running.stop().await);
    // The same in the main file.
    let named = "[sources.named]\ntype = \"mimecast\"\nstart_at = \"soon\"\n[sinks.";
    let bad = site.world.config(|_| site.text.replacen("[sinks.", named, 1));
    assert!(host.collect(&bad).await.unwrap_err().is_configuration());
}

fn delivered(folder: &Path, tenant: &str) -> usize {
    Delivered::read(&folder.join("events"), tenant).total()
}

/// The whole command, with a folder that is written while it runs. No signal is sent.
#[test]
fn a_process_follows_its_folder() {
    let clock = sim::Clock::real();
    let tenants = ["acme", "globex", "initech"].map(|name| sim::Tenant::v2(name, 3_000));
    let settings = sim::Settings {
        start_ms: clock.now(),
        backlog_ms: 24 * HOUR,
        tenants: tenants.to_vec(),
        quota_factor: 900,
        ..sim::Settings::default()
    };
    let server = tributary_tests::world::start(clock, settings);
    let logins = |tenant: &str| {
        let simulator = server.simulator();
        let token = |entry: &&sim::LogEntry| entry.endpoint == Some(Endpoint::Token);
        simulator.log().filter(token).filter(|entry| entry.tenant.as_deref() == Some(tenant)).count()
    };
    let folder = tempfile::tempdir().unwrap();
    let more = "quotas.siem-batch = { requests = 50, window_secs = 1 }";
    let (text, file) = (provider(folder.path(), &server.api_url, &tenants, more), folder.path().join("tributary.toml"));
    std::fs::write(&file, &text).unwrap();
    let customer = |name: &str, text: &str| {
        // As a deployment should: nobody reads half of it.
        std::fs::write(folder.path().join("new"), text).unwrap();
        std::fs::rename(folder.path().join("new"), folder.path().join("customers.d").join(name)).unwrap();
    };
    customer("acme.toml", "");
    customer("globex.toml", "region = \n");
    let says = |verb: &str| output(&mut command(BINARY, &["--config", file.to_str().unwrap(), verb]));
    let judged = says("validate");
    assert_eq!(judged.code, Some(78), "{judged:?}");
    assert!(judged.stdout.contains("√ Sources: acme") && judged.stdout.contains("globex.toml:1:"), "{judged:?}");
    let mut process = Process::run(BINARY, &file);
    let begun = until(MINUTE, || delivered(folder.path(), "acme") > 100 || !process.is_running());
    assert!(begun && process.is_running(), "{}", process.kill());
    let before = logins("acme");
    let shown = says("status");
    assert!(shown.code == Some(0) && shown.stdout.contains("not run"), "{shown:?}");

    // A file that is new, and one that is mended.
    for (tenant, text) in [("initech", ""), ("globex", "quota_share = 0.5\n")] {
        customer(&format!("{tenant}.toml"), text);
        assert!(until(MINUTE, || delivered(folder.path(), tenant) > 100), "{}", process.kill());
    }
    customer("globex.toml", "collect = \"nothing of that name\"\n");
    std::fs::remove_file(folder.path().join("customers.d/initech.toml")).unwrap();
    let followed = until(MINUTE, || process.log().contains("is no longer configured"));
    assert!(followed, "{}", process.kill());
    let shown = says("status");
    let runs = shown.stdout.contains("it runs with the configuration that it had");
    assert!(runs && !shown.stdout.contains("initech") && !shown.stdout.contains("not run"), "{shown:?}");
    assert_eq!(logins("acme"), before, "the neighbour is not touched");
    process.signal("TERM");
    let (status, log) = process.wait(MINUTE);
    assert_eq!(status.code(), Some(0), "{log}");
    for words in [
        "its configuration is refused, and it is not collected",
        "its configuration is refused, and it goes on with the one that it had",
        "is new, and is collected",
        "stopped; everything that was read is delivered and stored",
    ] {
        assert!(log.contains(words), "{words:?} is not in {log}");
    }
    assert_eq!(log.matches("is new, and is collected").count(), 2, "{log}");
}
