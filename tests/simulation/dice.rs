//! The only source of chance in a run: everything follows from the seed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A small generator (SplitMix64), shared by its clones. It decides what happens, and nothing secret.
#[derive(Debug, Clone)]
pub struct Dice(Arc<Mutex<u64>>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    /// One of its own: what is drawn from it does not shift what others get.
    pub fn fork(&self, label: &str) -> Self {
        Self::new(self.number() ^ hash(label.as_bytes()))
    }

    pub fn number(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(*state)
    }

    /// `least..=most`.
    pub fn between(&self, least: u64, most: u64) -> u64 {
        least + self.number() % (most - least + 1)
    }

    /// True in so many of a thousand cases.
    pub fn chance(&self, per_mille: u64) -> bool {
        self.number() % 1000 < per_mille
    }

    pub fn pick<'a, T>(&self, list: &'a [T]) -> &'a T {
        &list[(self.number() % list.len() as u64) as usize]
    }

    /// Milliseconds, evenly between these.
    pub fn span(&self, least: Duration, most: Duration) -> Duration {
        Duration::from_millis(self.between(least.as_millis() as u64, most.as_millis() as u64))
    }
}

pub fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// FNV-1a: short inputs, and nobody who would choose them to collide.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
