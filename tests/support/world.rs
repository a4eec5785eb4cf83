//! A whole world for one test: a simulated Mimecast, and the real host with the real component that collects from it.
//!
//! In memory it runs on tokio's time, which a test pauses: a week passes in seconds, and every run is the same. Over
//! sockets it runs on real time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use mimecast_simulator as sim;
use tempfile::TempDir;
use tributary_host::collect::StreamStatus;
use tributary_host::outside::{Clock, Outside, Random};
use tributary_host::sandbox::{self, Component, Limits, Sandbox};
use tributary_host::{Host, Options, Running, StartError, config};

use crate::delivered::{Comparison, Delivered};
use crate::guest;
use crate::memory::Memory;

/// The component, compiled once for all tests of a process.
pub async fn component() -> Component {
    static COMPONENT: tokio::sync::OnceCell<Component> = tokio::sync::OnceCell::const_new();
    let load = async || {
        let settings = sandbox::Settings { limits: Limits::default(), slots: 256, ticker: false };
        Sandbox::new(settings).unwrap().load(tributary_host::COMPONENT).await.unwrap()
    };
    COMPONENT.get_or_init(load).await.clone()
}

/// A source's table, and the keys that it adds to it.
pub fn source(tenant: &sim::Tenant, base_url: &str, more: &str) -> String {
    let name = &tenant.name;
    let mut text =
        format!("\n[sources.{name}]\ntype = \"mimecast\"\nbase_url = \"{base_url}\"\ninsecure_http = true\n");
    text += &format!("egress.allow_private = [\"{}\"]\n", guest::LOOPBACK);
    match &tenant.credentials {
        sim::Credentials::V2 { client_id, client_secret } => {
            text += &format!("client_id = \"{client_id}\"\nclient_secret = \"{client_secret}\"\n");
        }
        sim::Credentials::V1 { app_id, app_key, access_key, secret_key, .. } => {
            text += &format!("api = \"1.0\"\napp_id = \"{app_id}\"\napp_key = \"{app_key}\"\n");
            text += &format!("access_key = \"{access_key}\"\nsecret_key = \"{secret_key}\"\n");
        }
    }
    text + more + "\n"
}

/// Shortens a quota of API 2.0 as the simulator that [`serve`] starts does: nobody wants to wait for the vendor's own.
pub const QUOTA: &str = "quotas.siem-batch = { requests = 50, window_secs = 1 }";

/// That key where the tenant's API has the quota.
pub fn quota(tenant: &sim::Tenant) -> &'static str {
    match tenant.generation() {
        sim::Generation::V2 => QUOTA,
        sim::Generation::V1 => "",
    }
}

/// A simulated Mimecast behind loopback sockets, which begins now, and has as much mail now as at any other time.
pub fn serve(clock: sim::Clock, settings: sim::Settings) -> sim::Server {
    let settings = sim::Settings { start_ms: clock.now(), quota_factor: 900, ..settings };
    start(clock, settings)
}

/// The same with its settings as they are.
pub fn start(clock: sim::Clock, mut settings: sim::Settings) -> sim::Server {
    settings.tenants.iter_mut().for_each(|tenant| tenant.calendar = sim::Calendar::Even);
    sim::Server::start(sim::Simulator::new(settings).unwrap(), clock).unwrap()
}

/// The configuration that an operator would write for these tenants, with state and events below `folder`.
pub fn configuration(folder: &Path, base_url: &str, tenants: &[sim::Tenant], more: &str, sink: &str) -> String {
    let sources: String = tenants.iter().map(|tenant| source(tenant, base_url, more)).collect();
    let folder = folder.display();
    format!(
        "data_dir = \"{folder}/state\"\n{sources}\n\
         [sinks.files]\ntype = \"file\"\ninputs = [\"*\"]\npath = \"{folder}/events\"\n{sink}\n"
    )
}

/// See the module.
pub struct World {
    pub memory: Memory,
    pub clock: Clock,
    pub folder: TempDir,
    /// Keys that each source has besides its credentials, as TOML.
    pub source: String,
    /// Keys that the sink has besides its path.
    pub sink: String,
    tenants: Vec<sim::Tenant>,
    runs: std::cell::Cell<u64>,
}

impl World {
    /// A simulation at its beginning. Time is tokio's: pause it.
    pub fn new(settings: sim::Settings) -> Self {
        let settings =
            sim::Settings { api_url: guest::API.to_owned(), storage_url: guest::STORAGE.to_owned(), ..settings };
        let clock = Clock::simulated(Duration::from_millis(settings.start_ms));
        let tenants = settings.tenants.clone();
        Self {
            memory: Memory::new(sim::Simulator::new(settings).unwrap(), clock),
            clock,
            folder: tempfile::tempdir().unwrap(),
            source: String::new(),
            sink: String::new(),
            tenants,
            runs: std::cell::Cell::new(0),
        }
    }

    /// One tenant with a backlog of so many hours.
    pub fn of(tenant: sim::Tenant, backlog_hours: u64) -> Self {
        let tenants = vec![tenant];
        Self::new(sim::Settings { tenants, backlog_ms: backlog_hours * 3_600_000, ..sim::Settings::default() })
    }

    pub fn now(&self) -> u64 {
        self.clock.millis()
    }

    pub fn simulator(&self) -> MutexGuard<'_, sim::Simulator> {
        self.memory.simulator()
    }

    /// Makes the first tenant's endpoints misbehave.
    pub fn inject(&self, fault: sim::Fault, when: sim::When) {
        self.simulator().inject(&self.tenants[0].name, fault, when).unwrap();
    }

    pub fn clear_faults(&self) {
        self.simulator().clear_faults(&self.tenants[0].name).unwrap();
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn events(&self) -> PathBuf {
        self.folder.path().join("events")
    }

    /// The configuration, after `edit` has changed its text.
    pub fn config(&self, edit: impl FnOnce(String) -> String) -> config::Config {
        let file = self.folder.path().join("tributary.toml");
        let text = configuration(self.folder.path(), guest::API, &self.tenants, &self.source, &self.sink);
        std::fs::write(&file, edit(text)).unwrap();
        config::load(&file).unwrap_or_else(|error| panic!("{error}")).config
    }

    /// A host with this world as its network.
    pub async fn host(&self) -> Host {
        self.runs.set(self.runs.get() + 1);
        let random = Random::seeded(self.runs.get());
        let network = Arc::new(self.memory.clone());
        let outside = Outside { clock: self.clock, random, network };
        let options = Options { outside, ..Options::new(tributary_host::COMPONENT) };
        Host::around(component().await, options)
    }

    pub async fn try_start(&self) -> Result<Running, StartError> {
        let config = self.config(|text| text);
        self.host().await.collect(&config).await
    }

    /// A host that collects nothing, in which the first tenant's streams can be replayed.
    pub async fn stand_by(&self) -> Running {
        let config = self.config(|text| text);
        let source = &config.sources[&self.tenants[0].name];
        self.host().await.stand_by(&config, source).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub async fn start(&self) -> Running {
        self.try_start().await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn delivered(&self) -> Delivered {
        Delivered::read(&self.events(), &self.tenants[0].name)
    }

    /// The first tenant's events against the truth; what appeared after `since_ms` may be missing.
    pub fn compare(&self, since_ms: u64) -> Comparison {
        self.delivered().compare(&self.simulator(), &self.tenants[0].name, since_ms, self.now())
    }

    /// Waits until a host has read and stored everything that there is.
    pub async fn settled(&self, running: &Running) {
        let well = || running.status().iter().all(|status| status.caught_up && status.in_flight == 0);
        assert!(self.until(Duration::from_secs(3 * 3_600), well).await, "{:?}", running.status());
    }

    /// Waits (in the simulation's time) until `done` holds, and says whether it did within `limit`.
    pub async fn until(&self, limit: Duration, mut done: impl FnMut() -> bool) -> bool {
        let deadline = tokio::time::Instant::now() + limit;
        while !done() {
            if tokio::time::Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        true
    }
}

/// No stream is in trouble, and the books balance.
pub fn assert_sound(running: &Running) {
    for status in running.status() {
        let (name, counts) = (&status.stream, &status.stored);
        assert_eq!(status.fault, None, "{name}");
        assert_eq!(counts.records, counts.events + counts.malformed + counts.merged, "{name}: {counts:?}");
        assert_eq!(counts.events, counts.repeated + counts.accepted, "{name}: {counts:?}");
        assert_eq!(counts.sinks.get("files").map_or(0, |sink| sink.delivered), counts.accepted, "{name}: {counts:?}");
    }
}

/// The status of one stream.
pub fn stream(running: &Running, name: &str) -> StreamStatus {
    let found = running.status().into_iter().find(|status| &*status.stream == name);
    found.unwrap_or_else(|| panic!("there is no stream {name}"))
}
