//! The outside of the host: its clock, its randomness, its network.
//!
//! Nothing else in the host asks the system for these, so a simulation that replaces this one value is reproducible.
//! Waiting goes through tokio's timers, which a simulation pauses.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng, TryRng};
use rustix::time::{ClockId, clock_gettime};

use crate::sandbox::{Network, Sockets};

/// What the host has of the world.
#[derive(Clone)]
pub struct Outside {
    pub clock: Clock,
    pub random: Random,
    pub network: Arc<dyn Network>,
}

impl Outside {
    /// The system's clock, randomness and sockets.
    pub fn system() -> Self {
        Self { clock: Clock::System, random: Random::system(), network: Arc::new(Sockets::new()) }
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// The wall clock.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The system's, asked each time.
    System,
    /// Began at `epoch` (since the Unix epoch) at tokio's instant `start`, and runs with tokio's time.
    Simulated { epoch: Duration, start: tokio::time::Instant },
}

impl Clock {
    /// A clock that reads `epoch` (since the Unix epoch) now, and runs with tokio's time.
    pub fn simulated(epoch: Duration) -> Self {
        Clock::Simulated { epoch, start: tokio::time::Instant::now() }
    }

    /// Time since the Unix epoch, UTC. Zero, should the system's clock stand before it.
    pub fn now(&self) -> Duration {
        match self {
            Clock::System => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
            Clock::Simulated { epoch, start } => *epoch + start.elapsed(),
        }
    }

    /// Nanoseconds since the Unix epoch, as the contract counts.
    pub fn nanos(&self) -> u64 {
        u64::try_from(self.now().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since the Unix epoch.
    pub fn millis(&self) -> u64 {
        u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX)
    }
}

/// CPU time that this thread has used, as the system counts it: neither a wait nor another process that takes the CPU makes
/// it more. No simulation replaces it; it is for limits that lawful work does not come near.
pub fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// A cryptographic random number generator, shared by its clones.
#[derive(Clone)]
pub struct Random(Arc<Mutex<Generator>>);

/// Each stream of each tenant has a generator of its own, and most never draw a number from it: so it is made for the first.
enum Generator {
    Seed(u64),
    Running(Box<StdRng>),
}

impl Random {
    /// Seeded by the operating system.
    pub fn system() -> Self {
        Self::of(Generator::Running(Box::new(StdRng::from_rng(&mut rand::rng()))))
    }

    /// The same numbers for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self::of(Generator::Seed(seed))
    }

    fn of(generator: Generator) -> Self {
        Self(Arc::new(Mutex::new(generator)))
    }

    /// A generator of its own, seeded from this one: what one user draws does not shift what another gets.
    pub fn fork(&self) -> Self {
        Self::seeded(self.u64())
    }

    pub fn u64(&self) -> u64 {
        self.with(Rng::next_u64)
    }

    /// Evenly between zero and `limit`.
    pub fn up_to(&self, limit: Duration) -> Duration {
        // 53 bits: what a float holds exactly.
        limit.mul_f64((self.u64() >> 11) as f64 / (1u64 << 53) as f64)
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        // A generator has no state that a panic elsewhere could have left half-done.
        let mut generator = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &mut *generator {
                Generator::Running(running) => return draw(running),
                Generator::Seed(seed) => *generator = Generator::Running(Box::new(StdRng::seed_from_u64(*seed))),
            }
        }
    }
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.with(Rng::next_u32))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.with(Rng::next_u64))
    }

    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), Infallible> {
        self.with(|generator| generator.fill_bytes(destination));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_the_numbers_and_forks_are_apart() {
        let (one, two) = (Random::seeded(7), Random::seeded(7));
        let fork = one.fork();
        two.fork();
        fork.u64();
        assert_eq!(one.u64(), two.u64());
        assert_ne!(Random::seeded(7).u64(), Random::seeded(8).u64());
    }

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_runs_with_tokio() {
        let clock = Clock::simulated(Duration::from_secs(1_000));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(clock.millis(), 1_005_000);
    }
}
