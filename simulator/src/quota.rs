//! Quotas in fixed windows: a window begins with its first request (section 8.4, as recorded).

use std::collections::BTreeMap;

use crate::exchange::Response;
use crate::time::Millis;

/// What a request found of its quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub limit: u32,
    pub remaining: u32,
    /// Until the window restarts.
    pub reset_ms: Millis,
    /// The quota was used up before this request.
    pub refused: bool,
}

impl Share {
    /// Adds the three rate headers.
    pub fn describe(self, response: Response) -> Response {
        response
            .with("X-RateLimit-Limit", self.limit.to_string())
            .with("X-RateLimit-Remaining", self.remaining.to_string())
            .with("X-RateLimit-Reset", self.reset_ms.to_string())
    }

    /// 429 with an empty body.
    pub fn refusal(self) -> Response {
        self.describe(Response::new(429, ""))
    }
}

/// All windows, by whose and for what.
#[derive(Debug, Default)]
pub struct Quotas {
    windows: BTreeMap<String, (Millis, u32)>,
}

/// So many windows are remembered; ended ones are dropped beyond it.
const REMEMBERED: usize = 1_000;

impl Quotas {
    /// Counts one request. A refused one costs nothing.
    pub fn take(&mut self, key: &str, limit: u32, window_ms: Millis, now: Millis) -> Share {
        if self.windows.len() > REMEMBERED {
            self.windows.retain(|_, (begin, _)| now < begin.saturating_add(window_ms));
        }
        let window = self.windows.entry(key.to_owned()).or_insert((now, 0));
        if now >= window.0.saturating_add(window_ms) || now < window.0 {
            *window = (now, 0);
        }
        let refused = window.1 >= limit;
        if !refused {
            window.1 += 1;
        }
        Share { limit, remaining: limit - window.1, reset_ms: window.0 + window_ms - now, refused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_fills_up_and_restarts() {
        let mut quotas = Quotas::default();
        assert_eq!(quotas.take("a", 2, 1000, 50), Share { limit: 2, remaining: 1, reset_ms: 1000, refused: false });
        assert!(!quotas.take("a", 2, 1000, 150).refused);
        let share = quotas.take("a", 2, 1000, 1049);
        assert_eq!((share.refused, share.reset_ms), (true, 1));
        assert!(!quotas.take("b", 2, 1000, 1049).refused);
        assert!(!quotas.take("a", 2, 1000, 1050).refused);
    }
}
