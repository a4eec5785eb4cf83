//! What the network showed of one source: for whoever has to explain a failure.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::DateTime;

use super::TransportError;
use crate::outside::Clock;

/// The last that was noted. A source's instances share it.
#[derive(Debug, Default)]
pub struct Notes(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    transport_error: Option<TransportError>,
    skew: Option<i64>,
}

impl Notes {
    /// Why the last request got no answer; `None` once one did.
    pub fn transport_error(&self) -> Option<String> {
        self.lock().transport_error.as_ref().map(ToString::to_string)
    }

    /// How many seconds this machine's clock is ahead of the vendor's, by the `Date` of its last answer.
    pub fn skew(&self) -> Option<i64> {
        self.lock().skew
    }

    pub(super) fn answered(&self, headers: &http::HeaderMap, clock: &Clock) {
        let date = headers.get(http::header::DATE).and_then(|date| date.to_str().ok());
        let theirs = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()).map(|date| date.timestamp());
        let mut noted = self.lock();
        noted.transport_error = None;
        if let Some(theirs) = theirs {
            noted.skew = Some(clock.now().as_secs() as i64 - theirs);
        }
    }

    pub(super) fn failed(&self, error: &TransportError) {
        self.lock().transport_error = Some(error.clone());
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_vendors_clock_is_compared() {
        let notes = Notes::default();
        let mut headers = http::HeaderMap::new();
        // RFC 9110's example: 784,111,777 seconds after the epoch.
        headers.insert("date", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        notes.answered(&headers, &Clock::simulated(Duration::from_secs(784_111_777 + 90)));
        assert_eq!(notes.skew(), Some(90));
        notes.answered(&http::HeaderMap::new(), &Clock::simulated(Duration::ZERO));
        assert_eq!(notes.skew(), Some(90), "an answer without a date says nothing");
    }

    #[test]
    fn an_answer_ends_the_trouble() {
        let notes = Notes::default();
        notes.failed(&TransportError::Refused);
        assert!(notes.transport_error().unwrap().contains("refused"));
        notes.answered(&http::HeaderMap::new(), &Clock::System);
        assert_eq!(notes.transport_error(), None);
    }
}
