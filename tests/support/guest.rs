//! The real component in the real sandbox, with the simulator in memory behind it.

use std::sync::Arc;
use std::time::Duration;

use mimecast_simulator as sim;
use serde_json::{Value, json};
use tributary_host::config::network::NetworkSettings;
use tributary_host::outside::{Clock, Random};
use tributary_host::sandbox::{Budget, Chunk, Component, Context, Egress, EgressSettings, Guest, GuestError, Start};

use super::memory::Memory;
use super::world::component;

pub const API: &str = "http://127.0.0.1:1";
pub const STORAGE: &str = "http://127.0.0.1:2";

/// The network that both are in: an operator has to allow it.
pub const LOOPBACK: &str = "127.0.0.0/8";

/// The simulator's settings for tests in memory: addresses that a guest may name with `insecure_http`.
pub fn settings(tenants: Vec<sim::Tenant>) -> sim::Settings {
    sim::Settings { tenants, api_url: API.to_owned(), storage_url: STORAGE.to_owned(), ..sim::Settings::default() }
}

/// The configuration by which the component speaks for a tenant.
pub fn configuration(tenant: &sim::Tenant) -> Value {
    let mut configuration = match &tenant.credentials {
        sim::Credentials::V2 { client_id, client_secret } => {
            json!({ "client_id": client_id, "client_secret": client_secret })
        }
        sim::Credentials::V1 { email, app_id, app_key, access_key, secret_key } => json!({
            "api": "1.0", "administrator_email": email, "app_id": app_id, "app_key": app_key,
            "access_key": access_key, "secret_key": secret_key,
        }),
    };
    configuration["base_url"] = json!(API);
    configuration["insecure_http"] = json!(true);
    configuration["tenant"] = json!(tenant.name);
    configuration
}

/// A policy that lets those addresses pass.
pub fn egress() -> Egress {
    Egress::new([API, STORAGE]).unwrap().allowing([LOOPBACK.parse().unwrap()])
}

/// The same as an operator configures it.
pub fn network() -> NetworkSettings {
    let egress = EgressSettings { allow_private: vec![LOOPBACK.parse().unwrap()], ..EgressSettings::default() };
    NetworkSettings { egress, ..NetworkSettings::default() }
}

/// One tenant whose streams can be opened and read.
pub struct Source {
    pub memory: Memory,
    pub configuration: Value,
    component: Component,
    context: Context,
}

impl Source {
    /// A simulation of this one tenant, at its beginning. Time is tokio's: pause it.
    pub async fn new(settings: sim::Settings) -> Self {
        let clock = Clock::simulated(Duration::from_millis(settings.start_ms));
        let tenant = settings.tenants[0].clone();
        let memory = Memory::new(sim::Simulator::new(settings).unwrap(), clock);
        let component = component().await;
        let context = Context {
            source: "test".into(),
            egress: Arc::new(egress()),
            transport: Arc::new(memory.clone()),
            clock,
            random: Random::seeded(1),
            notes: Default::default(),
        };
        Self { configuration: configuration(&tenant), memory, component, context }
    }

    /// A reader of its own, in an instance of its own.
    pub async fn open(&self, stream: &str, start: Start) -> Reader {
        let configuration = self.configuration.to_string();
        let mut guest = self.component.instantiate(&self.context).await.unwrap();
        let session = guest.authenticate(&configuration).await.unwrap();
        guest.open(&configuration, stream, start).await.unwrap();
        Reader { guest, secret: session.secret.clone() }
    }

    /// All chunks from a start until the reader is caught up.
    pub async fn read(&self, stream: &str, start: Start, budget: Budget) -> Vec<Chunk> {
        self.open(stream, start).await.to_the_end(budget).await
    }
}

pub struct Reader {
    guest: Guest,
    secret: Vec<u8>,
}

impl Reader {
    pub async fn pull(&mut self, budget: Budget) -> Result<Chunk, GuestError> {
        self.guest.pull(&self.secret, budget).await
    }

    pub async fn to_the_end(&mut self, budget: Budget) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        loop {
            let chunk = self.pull(budget).await.unwrap();
            let next = chunk.next;
            chunks.push(chunk);
            assert!(chunks.len() < 1_000_000, "the reader never catches up");
            match next {
                tributary_host::sandbox::Next::More => {}
                tributary_host::sandbox::Next::CaughtUp => return chunks,
                tributary_host::sandbox::Next::Pause(ms) => tokio::time::sleep(Duration::from_millis(ms.into())).await,
            }
        }
    }
}

/// The ids of some chunks' events, in order.
pub fn ids<'a>(chunks: impl IntoIterator<Item = &'a Chunk>) -> Vec<u128> {
    chunks.into_iter().flat_map(|chunk| chunk.events.iter().map(|event| event.id)).collect()
}

impl Source {
    /// A reader, unless the source refuses to open the stream there, or at the first pull.
    pub async fn open_or_fault(&self, stream: &str, start: Start) -> Option<Reader> {
        let configuration = self.configuration.to_string();
        let mut guest = self.component.instantiate(&self.context).await.unwrap();
        let session = guest.authenticate(&configuration).await.unwrap();
        guest.open(&configuration, stream, start).await.ok()?;
        let mut reader = Reader { guest, secret: session.secret.clone() };
        reader.pull(Budget { events: 0, ..Budget::default() }).await.ok().map(|_| reader)
    }
}
