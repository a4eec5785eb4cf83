//! `GET /metrics`: what the host counts anyhow, written as Prometheus reads it, when it is asked for.

mod host;
mod sinks;
mod streams;
mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

pub use self::streams::SourceFacts;
pub use self::text::CONTENT_TYPE;
use self::text::{Family, Kind, Labels, Page, Sums};
use super::api::Api;
use crate::fair::Fair;

/// What a scrape needs beside what others count.
pub struct Vitals {
    begun: Instant,
    /// The room for what is between pull and acknowledgement, and how large it is, in bytes.
    memory: Fair,
    memory_bytes: usize,
    tenant_labels: AtomicBool,
    /// The type of each sink, by its id.
    sink_types: Mutex<Arc<BTreeMap<String, &'static str>>>,
    reloads: [AtomicU64; 2],
    /// When the last good one was, in milliseconds since the Unix epoch; zero before the first.
    reloaded_ms: AtomicU64,
    /// Whether the last one was good.
    reloaded_well: AtomicBool,
    sums: Mutex<Sums>,
}

impl Vitals {
    pub(crate) fn new(memory: Fair, memory_bytes: usize) -> Self {
        Self {
            begun: Instant::now(),
            memory,
            memory_bytes,
            tenant_labels: AtomicBool::new(true),
            sink_types: Mutex::default(),
            reloads: Default::default(),
            reloaded_ms: AtomicU64::new(0),
            reloaded_well: AtomicBool::new(true),
            sums: Mutex::default(),
        }
    }

    /// Whether tenants have series of their own.
    pub(crate) fn tell_tenants_apart(&self, apart: bool) {
        self.tenant_labels.store(apart, Ordering::Relaxed);
    }

    /// Which types the sinks have, by id.
    pub(crate) fn know_sinks(&self, sink_types: BTreeMap<String, &'static str>) {
        *self.sink_types.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(sink_types);
    }

    /// Notes that the configuration was read again, and whether it could be taken over.
    pub(crate) fn reloaded(&self, well: bool, now_ms: u64) {
        self.reloads[usize::from(!well)].fetch_add(1, Ordering::Relaxed);
        self.reloaded_well.store(well, Ordering::Relaxed);
        if well {
            self.reloaded_ms.store(now_ms, Ordering::Relaxed);
        }
    }

    fn sink_types(&self) -> Arc<BTreeMap<String, &'static str>> {
        Arc::clone(&self.sink_types.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// All metrics of a running host. It reads folders, so it blocks.
pub fn render(api: &Api) -> String {
    let vitals = &api.control.vitals;
    let mut sums = vitals.sums.lock().unwrap_or_else(PoisonError::into_inner);
    let apart = vitals.tenant_labels.load(Ordering::Relaxed);
    let mut page = Page::new((!apart).then_some(&mut *sums));
    host::write(&mut page, api);
    let (sources, status) = (api.control.fleet.sources(), api.control.status());
    streams::write(&mut page, &sources, &status, api.clock.nanos());
    sinks::write(&mut page, &api.control.sinks(), &vitals.sink_types(), &status);
    page.finish()
}

/// Milliseconds as the seconds that metrics are in.
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1e3
}

fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, help }
}

fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, help }
}

/// A metric of the whole host.
fn plain(page: &mut Page<'_>, family: Family, value: impl Into<Option<f64>>) {
    page.family(family, |put| {
        if let Some(value) = value.into() {
            put(&Labels::default(), &[], value);
        }
    });
}
