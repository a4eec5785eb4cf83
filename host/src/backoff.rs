//! How long to wait after trouble that passes by itself.

use std::time::Duration;

use crate::outside::Random;

/// Waits with full jitter: each is drawn evenly between nothing and a ceiling that doubles, so that a thousand streams
/// which failed together do not come back together.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    pub const FIRST: Duration = Duration::from_secs(1);
    pub const LIMIT: Duration = Duration::from_secs(300);

    /// The next wait.
    pub fn next(&mut self, random: &Random) -> Duration {
        let ceiling = Self::FIRST.saturating_mul(1 << self.attempts.min(16)).min(Self::LIMIT);
        self.attempts += 1;
        random.up_to(ceiling)
    }

    /// Begins anew, after a success.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_up_to_the_limit() {
        let random = Random::seeded(1);
        for (attempts, ceiling) in [(0, 1), (1, 2), (5, 32), (8, 256), (9, 300), (40, 300)] {
            let waits: Vec<_> = (0..200).map(|_| Backoff { attempts }.next(&random)).collect();
            let (ceiling, longest) = (Duration::from_secs(ceiling), *waits.iter().max().unwrap());
            assert!(longest <= ceiling && longest > ceiling.mul_f64(0.9), "{attempts}: {longest:?}");
            assert!(*waits.iter().min().unwrap() < ceiling.mul_f64(0.1));
        }
    }

    #[test]
    fn success_begins_anew() {
        let mut backoff = Backoff { attempts: 8 };
        backoff.reset();
        assert!(backoff.next(&Random::seeded(1)) <= Backoff::FIRST);
    }
}
