//! Reload under load: customers come, change and go all the time, while each of the others is polled at its interval, with the
//! session and the way to the vendor that it had.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mimecast_simulator as sim;
use mimecast_simulator::{Endpoint, Fault, When};
use tributary_host::outside::{Outside, Random};
use tributary_host::sandbox::{Network, NetworkError, Transport, Way};
use tributary_host::{Host, Options, Reloader};
use tributary_tests::guest::{self, LOOPBACK};
use tributary_tests::memory::Memory;
use tributary_tests::world::{World, component};

/// Tenants whose files nobody touches, and others.
const STAYING: usize = 20;
const MOVING: usize = 20;

const INTERVAL_MS: u64 = 60_000;

/// How long the vendor takes to answer: at any moment a third of all tenants has a poll under way.
const ANSWER_MS: u64 = 20_000;

/// From reload to reload, and how many there are. It shares no divisor with the interval, so they hit every moment of a poll.
/// All of it lasts no longer than a session does.
const RELOADED_EVERY: Duration = Duration::from_secs(13);
const RELOADS: usize = 100;

/// Files that each reload touches.
const TOUCHED: usize = 3;

/// The simulator, which notes for whom a way to it is made. A way has connections of its own: those of one that stays, stay.
struct Ways {
    memory: Memory,
    made: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Network for Ways {
    fn transport(&self, way: &Way<'_>) -> Result<Arc<dyn Transport>, NetworkError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        *made.entry(way.source.to_string()).or_default() += 1;
        self.memory.transport(way)
    }
}

/// What a moving customer's file goes through: it comes, it changes (once mildly, once so that its workers begin anew), it goes.
const LIVES: [Option<&str>; 4] =
    [Some("category = \"mail\"\n"), Some("category = \"mail\"\nquota_share = 0.5\n"), None, Some("")];

#[tokio::test(start_paused = true)]
async fn who_is_not_touched_misses_no_poll() {
    let names = |prefix: &str, number: usize| (0..number).map(|n| format!("{prefix}-{n:02}")).collect::<Vec<_>>();
    let (staying, moving) = (names("staying", STAYING), names("moving", MOVING));
    let tenants: Vec<sim::Tenant> = staying.iter().chain(&moving).map(|name| sim::Tenant::v2(name, 0)).collect();
    let world = World::new(sim::Settings { tenants: tenants.clone(), backlog_ms: 3_600_000, ..Default::default() });
    let folder = world.folder.path().display().to_string();
    for name in ["customers.d", "secrets"] {
        std::fs::create_dir(world.folder.path().join(name)).unwrap();
    }
    for tenant in &tenants {
        let sim::Credentials::V2 { client_id, client_secret } = &tenant.credentials else { unreachable!() };
        for (key, value) in [("client_id", client_id), ("client_secret", client_secret)] {
            std::fs::write(format!("{folder}/secrets/{}_{key}", tenant.name), value).unwrap();
        }
        let slow = Fault::Slow { at: Endpoint::Audit, delay_ms: ANSWER_MS };
        world.simulator().inject(&tenant.name, slow, When::Always).unwrap();
    }
    let text = format!(
        "data_dir = \"{folder}/state\"\n[secret.vault]\ntype = \"directory\"\npath = \"{folder}/secrets\"\n\
         [templates.customers]\nfolder = \"customers.d\"\ntype = \"mimecast\"\nbase_url = \"{}\"\ninsecure_http = true\n\
         egress.allow_private = [\"{LOOPBACK}\"]\ncollect = [\"audit\"]\nintervals = {{ audit = \"1m\" }}\n\
         client_id = \"SECRET[vault.{{id}}_client_id]\"\nclient_secret = \"SECRET[vault.{{id}}_client_secret]\"\n\
         [sinks.files]\ntype = \"file\"\ninputs = [\"*\"]\npath = \"{folder}/events\"\n",
        guest::API
    );
    let write = |name: &str, text: &str| std::fs::write(format!("{folder}/customers.d/{name}.toml"), text).unwrap();
    staying.iter().chain(&moving).for_each(|name| write(name, ""));
    let config = || world.config(|_| text.clone());

    let made = Arc::<Mutex<BTreeMap<String, usize>>>::default();
    let network = Arc::new(Ways { memory: world.memory.clone(), made: Arc::clone(&made) });
    let outside = Outside { clock: world.clock, random: Random::seeded(1), network };
    let host = Host::around(component().await, Options { outside, ..Options::new(tributary_host::COMPONENT) });
    let running = host.clone().collect(&config()).await.unwrap();
    let mut reloader = Reloader::new(host, running.control(), config()).with_state(running.disk());
    running.caught_up().await;
    // From here on each poll is one request.
    let ways = |name: &str| made.lock().unwrap()[name];
    let begin: BTreeMap<&String, usize> = staying.iter().map(|name| (name, ways(name))).collect();
    let begun = world.now() + INTERVAL_MS;

    let (mut lives, mut next) = (BTreeMap::<&String, usize>::new(), 0);
    let [mut added, mut changed, mut removed] = [0; 3];
    for _ in 0..RELOADS {
        for _ in 0..TOUCHED {
            let name = &moving[next % MOVING];
            next += 1;
            let life = lives.entry(name).or_default();
            match LIVES[*life % LIVES.len()] {
                Some(text) => write(name, text),
                None => std::fs::remove_file(format!("{folder}/customers.d/{name}.toml")).unwrap(),
            }
            *life += 1;
        }
        let reloaded = reloader.apply(&config()).await;
        assert!(reloaded.refused.is_empty() && reloaded.restart.is_empty(), "{reloaded:?}");
        assert_eq!(reloaded.added.len() + reloaded.changed.len() + reloaded.removed.len(), TOUCHED, "{reloaded:?}");
        added += reloaded.added.len();
        changed += reloaded.changed.len();
        removed += reloaded.removed.len();
        tokio::time::sleep(RELOADED_EVERY).await;
    }
    assert_eq!([added, changed, removed], [60, 160, 80]);

    let ended = world.now();
    let asked = |name: &str, at: Endpoint| -> Vec<u64> {
        let simulator = world.simulator();
        let of = |entry: &&sim::LogEntry| entry.endpoint == Some(at) && entry.tenant.as_deref() == Some(name);
        simulator.log().filter(of).map(|entry| entry.time_ms).collect()
    };
    for name in &staying {
        let polls: Vec<u64> = asked(name, Endpoint::Audit).into_iter().filter(|at| *at >= begun).collect();
        let gaps: Vec<u64> = polls.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(gaps.iter().all(|gap| *gap == INTERVAL_MS), "{name} is polled after {gaps:?} ms");
        let due = (ended - begun) / INTERVAL_MS;
        assert!((due..=due + 1).contains(&(polls.len() as u64)), "{name}: {} of {due} polls", polls.len());
        assert_eq!(asked(name, Endpoint::Token).len(), 1, "{name} keeps its session");
        assert_eq!(ways(name), begin[name], "{name} keeps its connections");
    }
    // What the figures above would be otherwise.
    for name in &moving {
        let (logins, ways) = (asked(name, Endpoint::Token).len(), ways(name));
        assert!(logins > 5 && ways > 5, "{name}: {logins} sessions, {ways} ways");
    }
    let well = |name: &str| running.status().iter().any(|stream| &*stream.source == name && stream.fault.is_none());
    assert!(staying.iter().all(|name| well(name)));
    assert!(running.stop().await);
}
