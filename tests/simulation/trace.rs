//! What happened in a run: a hash over every step that can be seen from outside, and counts of what was done to the host.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tributary_host::outside::Clock;

use crate::dice::{hash, mix};

/// The steps of one run.
pub struct Trace {
    clock: Clock,
    told: bool,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    hash: u64,
    steps: u64,
    /// Crashes, by the point where they struck.
    crashes: BTreeMap<&'static str, u64>,
    /// Faults that the simulation (not Mimecast's simulator) made, by kind.
    faults: BTreeMap<String, u64>,
}

impl Trace {
    /// `told` prints each step, for whoever looks into one seed.
    pub fn new(clock: Clock, told: bool) -> Self {
        Self { clock, told, log: Mutex::default() }
    }

    /// Notes a step: what, where, and two numbers that tell it from others.
    pub fn step(&self, what: &str, place: &str, one: u64, two: u64) {
        let at = self.clock.millis();
        let mut log = self.log();
        for part in [at, hash(what.as_bytes()), hash(place.as_bytes()), one, two] {
            log.hash = mix(log.hash.rotate_left(5) ^ part);
        }
        log.steps += 1;
        if self.told {
            println!("{at} {what} {place} {one} {two:x}");
        }
    }

    pub fn crash(&self, point: &'static str) {
        *self.log().crashes.entry(point).or_default() += 1;
        self.step("crash", point, 0, 0);
    }

    pub fn fault(&self, kind: &str) {
        *self.log().faults.entry(kind.to_owned()).or_default() += 1;
        self.step("fault", kind, 0, 0);
    }

    pub fn hash(&self) -> u64 {
        self.log().hash
    }

    pub fn crashes(&self) -> BTreeMap<&'static str, u64> {
        self.log().crashes.clone()
    }

    pub fn faults(&self) -> BTreeMap<String, u64> {
        self.log().faults.clone()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
